//! What can be asked of a room, and what it answers.

use serde::{Deserialize, Serialize};

use super::{settings::Rules, stock::StockNews};
use crate::time::UnixMs;

/// A place in the line: 1, 2, 3 …
pub type Position = u64;

/// A room's count of resets by its operator; a ticket of an older epoch is void.
pub type Epoch = u64;

/// 64 random bits drawn by the caller: they make a session's name unguessable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag(pub u64);

/// What a ticket says of its holder's place, its signature checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub epoch: Epoch,
    pub position: Position,
}

/// The name of a session, as a pass's `sub` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    pub epoch: Epoch,
    pub position: Position,
    pub tag: Tag,
}

/// One command to a room. Applied in order, each atomic, at one `now` a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Creates the room or changes its settings. A `version` not above the room's own changes nothing, so
    /// that any instance may send it at any time. A `first_epoch` above the room's epoch starts a fresh
    /// line: the id was deleted and made again.
    Configure { version: u64, first_epoch: Epoch, rules: Rules },
    /// Forgets the room, if its epoch is not above `last_epoch`: so a deletion that arrives late does not take the next
    /// room of this id with it. The catalog remembers the epoch.
    Delete { last_epoch: Epoch },
    /// Empties the line and ends the sessions: the epoch rises, older tickets and passes are void.
    Reset,
    /// Brings the room to `now`; every other command does so first by itself.
    Tick,
    /// Issues `count` positions at the end of the line.
    Join { count: u32 },
    /// A called visitor asks for the pass; `tag` names the session if this starts one.
    Claim { place: Place, tag: Tag },
    /// At the gate of an idle room: join, claim and exchange in one step, only if nobody waits and a permit is to spare.
    Admit { tag: Tag },
    /// Asks where a place stands. Changes nothing, unless the place was forgotten: a signed number above the tail
    /// raises the tail, here as in Claim and Leave, before somebody else gets it.
    Look { place: Place },
    /// Exchanges an entry pass issued at `issued` for the browser's session cookie: only if strictly newer
    /// than the session's last, so a posted link admits one browser and the latest wins.
    Exchange { session: SessionRef, issued: UnixMs },
    /// Asks whether a session lives, and whether it belongs to this holder; changes nothing.
    Check { session: SessionRef, holder: Holder },
    /// Slides a session's deadline, never past start + `session_max`.
    Renew { session: SessionRef },
    /// Ends a session early and frees its place at once.
    Finish { session: SessionRef },
    /// Gives the place back: while waiting the head will pass it without a permit, while called it lapses
    /// now, while inside the session ends.
    Leave { place: Place },
    /// What the sale behind the room has left. Older news than what is known change nothing.
    SetStock(StockNews),
    /// There is no sale behind the room any more, or another one: what was known of its stock is forgotten.
    ForgetStock,
}

/// Who presents a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// A browser, by the cookie it got for the entry pass issued then: lives only while no later one was exchanged.
    Browser { exchanged: UnixMs },
    /// An app or a shop's server, by the pass itself.
    App,
}

/// A session: the time a visitor is inside the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub name: SessionRef,
    pub start: UnixMs,
    pub deadline: UnixMs,
    /// When the entry pass was issued that the latest browser exchanged; 0 before the first.
    pub exchanged: UnixMs,
}

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Not yet called; `ahead` others stand before it.
    Waiting { ahead: u64 },
    /// May claim until then.
    Called { deadline: UnixMs },
    /// Claimed, and the session lives.
    Inside { deadline: UnixMs },
    /// Was called and did not claim in time.
    Lapsed,
    /// Claimed and the session is over, or the place was given back.
    Over,
}

/// Why a room did not do what was asked. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no such room (any more).
    UnknownRoom,
    /// Nobody may join: mode `closed`, or past `closes_at`.
    Closed,
    /// The ticket or session is of an older epoch: the operator reset the line.
    Reset,
    /// The number is further above the tail than any loss explains, or of a future epoch: not ours.
    NotIssued,
    /// Called, and not claimed in time.
    Lapsed,
    /// The session has ended, or the place was given back.
    SessionOver,
    /// No session of that name ever was, or its tag is wrong.
    UnknownSession,
    /// A newer entry pass was exchanged, or this one already was.
    Superseded,
    /// Somebody is in line, or no permit is to spare: the visitor has to queue.
    LineAhead,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Configure, Delete, Reset, Tick, Finish, Leave, SetStock and ForgetStock did what they say (or had nothing left to do).
    Done,
    /// Positions `first ..= first + count - 1` are issued.
    Joined { epoch: Epoch, first: Position, count: u32 },
    /// Claim (now or before), Admit, Exchange, Check and Renew: the session as it now is.
    Live(Session),
    /// Claim came too early.
    Waiting { ahead: u64 },
    /// The answer to Look.
    Standing(Standing),
    /// Refused; nothing changed but the clock.
    Refused(Refusal),
    /// The store's own program failed at this command, which is a bug; nothing changed. No machine says so: it is what a
    /// store puts in the place of an outcome, and never leaves it.
    Failed,
}
