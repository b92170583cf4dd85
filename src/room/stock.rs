//! What a room knows of the stock behind it, and how many visitors it may call for it.
//!
//! Room and sale are two aggregates, so the stock comes in as a command, again and again: what is older than what is
//! known is passed over, and with a stock gate that holds, what has not been confirmed for two seconds is no longer
//! relied on.
//!
//! **Whom a unit is meant for.** A gate that holds calls one visitor a unit. Those called and not yet claimed are meant
//! one each; so are those inside who have not reserved yet, because they were led in for it and need their time: a
//! line that forgot them at the door would pour a crowd into the shop while the first are still looking. So
//! `available − outstanding − undecided` more may be called, which is the design's `available − outstanding` with those
//! who are on their way counted until they get there. A visitor stays undecided until it reserves (the sale's events
//! name it), its session ends, or the length of an unrenewed session has passed: a unit is not kept for ever for
//! somebody who only browses. Whoever has reserved once had its chance: what it gives back calls the next in line.
//!
//! A line counts visitors and not what they take: where a buyer may take several units, the last ones called may find
//! fewer than one each. Two rooms with one sale each count their own.

use serde::{Deserialize, Serialize};

use super::{
    bounds::{STOCK_REFRESH_MS, STOCK_STALE_MS},
    command::SessionRef,
};
use crate::time::UnixMs;

/// The stock as a room last heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Tells apart sales that had the same id one after the other: the later one has the higher.
    pub born: u64,
    /// The sale's count of recoveries.
    pub term: u64,
    /// The number of the sale's last event that this takes into account.
    pub seq: u64,
    /// Units of all SKUs that can be reserved.
    pub available: u64,
    /// Units of all SKUs in reservations that may still end without a sale.
    pub held: u64,
    /// The room's time at which this was last said to be so.
    pub at: UnixMs,
}

/// What there is to say of the stock to everyone who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    InStock,
    /// Everything is in somebody's basket and may come back.
    AllHeld,
    /// Nothing is left, and nothing can come back by itself.
    SoldOut,
}

/// A reservation that the sale granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The number of its event.
    pub seq: u64,
    /// Whose it is; none where the buyer's name is no session's.
    pub session: Option<SessionRef>,
}

/// What a sale says of itself to its rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockNews {
    /// As in [`Stock`].
    pub born: u64,
    pub term: u64,
    /// The number of the sale's last event whose grants the room was told, these included.
    pub seq: u64,
    pub available: u64,
    pub held: u64,
    /// What was granted since the room's last news, in order. One that the room has heard of counts once.
    pub grants: Vec<Grant>,
}

impl Stock {
    /// What tells older from newer.
    pub fn age(&self) -> (u64, u64, u64) {
        (self.born, self.term, self.seq)
    }

    /// What there is to say.
    pub fn level(&self) -> Level {
        match (self.available, self.held) {
            (0, 0) => Level::SoldOut,
            (0, _) => Level::AllHeld,
            _ => Level::InStock,
        }
    }

    /// Until when this may be relied on.
    pub fn good_until(&self) -> UnixMs {
        self.at.plus_ms(STOCK_STALE_MS)
    }

    /// Whether saying the same again is worth writing down.
    pub fn wants_refresh(&self, now: UnixMs) -> bool {
        now.since(self.at) >= STOCK_REFRESH_MS
    }
}
