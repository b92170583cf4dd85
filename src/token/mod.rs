//! Signed tokens: tickets, passes, entry passes, session cookies, and the keys that sign them.
//!
//! Each kind has its own keys, its own `typ` and a pinned algorithm; none is ever accepted as another.

pub mod keys;
pub mod return_url;

use crate::{
    id::RoomId,
    room::{Epoch, Position, SessionRef},
    time::UnixMs,
};

/// The proof of a visitor's place in a room's line (HS256, for our own eyes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub room: RoomId,
    pub kind: TicketKind,
    pub number: Position,
    pub epoch: Epoch,
    pub issued: UnixMs,
}

/// What a ticket's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketKind {
    Position,
    /// A draw number, before positions are drawn.
    Draw,
}

/// The admission token of an app or a reservation (ES256, until the session's deadline).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    pub room: RoomId,
    pub session: SessionRef,
    /// The session's start: `iat` and `nbf` are 60 s before it.
    pub start: UnixMs,
    /// The session's deadline.
    pub deadline: UnixMs,
}

/// The short form for the way back (ES256, 120 s, one exchange): the only token that ever stands in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPass {
    pub room: RoomId,
    pub session: SessionRef,
    /// When it was issued, by the room's clock, in ms: the order of exchanges.
    pub issued: UnixMs,
    pub session_deadline: UnixMs,
}

/// What the gate's session cookie carries (HS256, no deadline: the store knows whether the session lives).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    pub room: RoomId,
    pub session: SessionRef,
    pub exchanged: UnixMs,
}

/// Why a token was not accepted. The bearer is told no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of this kind, not signed by us, or tampered with.
    #[error("not a valid token of this kind")]
    Invalid,
    /// Signed by us, but past its time.
    #[error("the token has expired")]
    Expired,
    /// Signed by us for another room.
    #[error("the token belongs to another room")]
    OtherRoom,
}
