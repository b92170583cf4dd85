//! What a room shows of itself after a batch: all an instance needs to serve the status from memory.

use serde::{Deserialize, Serialize};

use super::{
    command::{Epoch, Position},
    pace::Pace,
    settings::Mode,
    stock::Stock,
    voids::Voids,
};
use crate::time::UnixMs;

/// A room as of `now`, the same for everyone who looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub now: UnixMs,
    /// The version of the settings in force.
    pub version: u64,
    pub epoch: Epoch,
    /// The count of recoveries after the store lost something; 0 on the embedded store.
    pub term: u64,
    pub phase: Phase,
    pub mode: Mode,
    /// The rate in force.
    pub rate_per_minute: u64,
    pub opens_at: Option<UnixMs>,
    pub closes_at: Option<UnixMs>,
    /// The highest position issued.
    pub tail: Position,
    /// The highest position called.
    pub head: Position,
    /// Positions claimed so far in this epoch.
    pub entered: u64,
    /// Positions called and given back or never claimed, so far in this epoch.
    pub lapsed: u64,
    /// Live sessions.
    pub inside: u64,
    /// How fast the head moved of late.
    pub pace: Pace,
    /// Visitors who entered in the last minute.
    pub entering_per_minute: u64,
    /// What keeps the line from moving at the room's rate, if anything does.
    pub held_back: Option<HeldBack>,
    /// Whether the pace or the entries a minute will still change as time passes, though nothing happens.
    pub decaying: bool,
    /// What the room knows of the stock behind it; none where there is no sale, or its line is not to know.
    pub stock: Option<Stock>,
    /// Of those inside, how many have not reserved yet, though a unit is meant for them.
    pub undecided: u64,
    /// What the head will pass over: positions that nobody alive is known to have been given.
    pub voids: Voids,
}

impl View {
    /// Positions called whose visitors may still claim.
    pub fn outstanding(&self) -> u64 {
        self.head - self.entered - self.lapsed
    }

    /// Positions issued and not yet called, with those given back meanwhile, voids aside.
    pub fn waiting(&self) -> u64 {
        self.voids.places(self.head, self.tail)
    }

    /// How many stand before a position that waits; `None` where it does not: called, or not issued.
    pub fn ahead(&self, position: Position) -> Option<u64> {
        (self.head < position && position <= self.tail).then(|| self.voids.places(self.head, position - 1))
    }

    /// Whether a tick at `now` may change what this room shows, so that an instance must send one: somebody waits,
    /// may claim or is inside, the opening or the closing has come, or figures of the recent past are still wearing off.
    pub fn wants_tick(&self, now: UnixMs) -> bool {
        // One may come with a ticket from a void, and waits until the head has passed it.
        let people = self.head < self.tail || self.outstanding() > 0 || self.inside > 0;
        let has_come = |time: Option<UnixMs>| time.is_some_and(|at| self.now < at && at <= now);
        people || self.decaying || has_come(self.opens_at) || has_come(self.closes_at)
    }
}

/// What the room is doing; the status shows it as `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before `opens_at`: the line is held.
    Scheduled,
    /// The line moves.
    Running,
    /// Mode `open`: everyone passes.
    Free,
    /// Mode `hold`: join, but nobody is called.
    Paused,
    /// Mode `closed`, or past `closes_at`.
    Closed,
}

/// Why the line moves slower than the room's rate: the causes a page can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBack {
    /// Sessions and unclaimed calls have reached `max_active`: the shop is full.
    ShopFull,
    /// As many are called and have not come as overcall allows: places pass on as they lapse.
    NoShows,
    /// As many are called or inside as there are units, or the sale is not open, or nothing is known of the stock: what
    /// comes back, and the opening, call the next.
    Stock,
}
