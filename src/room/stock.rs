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
use crate::{id::SaleId, time::UnixMs};

/// The stock of the sale that the room's settings name, as the room last heard of it.
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
    /// Whether they can be reserved now.
    pub phase: SalePhase,
    /// The room's time at which this was last said to be so.
    pub at: UnixMs,
}

/// Whether the sale behind a room sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SalePhase {
    /// Its units are there and will be on sale: nobody is led in for them yet.
    Scheduled,
    Open,
    /// Nothing can be reserved any more, neither what was left nor what comes back.
    Closed,
}

/// What there is to say of the stock to everyone who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// There are units to be had, or will be once the sale opens.
    InStock,
    /// Everything is in somebody's basket and may come back.
    AllHeld,
    /// Nothing is left, and nothing can come back by itself. In a closed sale that is so whatever is still held: its
    /// holders may yet buy, but what they give up nobody can have.
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
    /// Whose stock it is. News of any other sale than the room's own are passed over: they may have been under way while
    /// the room was given another sale, whose news would all count as older if these were taken.
    pub sale: SaleId,
    /// As in [`Stock`].
    pub born: u64,
    pub term: u64,
    /// The number of the sale's last event whose grants the room was told, these included.
    pub seq: u64,
    pub available: u64,
    pub held: u64,
    pub phase: SalePhase,
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
        match (self.phase, self.available, self.held) {
            (SalePhase::Closed, ..) | (_, 0, 0) => Level::SoldOut,
            (SalePhase::Scheduled | SalePhase::Open, 0, _) => Level::AllHeld,
            (SalePhase::Scheduled | SalePhase::Open, ..) => Level::InStock,
        }
    }

    /// Units that somebody led in now could reserve.
    pub fn reservable(&self) -> u64 {
        match self.phase {
            SalePhase::Open => self.available,
            SalePhase::Scheduled | SalePhase::Closed => 0,
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
