//! What a sale shows of itself.

use serde::{Deserialize, Serialize};

use super::command::Sku;
use crate::time::UnixMs;

/// A sale's items as of `now`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub now: UnixMs,
    /// How often the store has recovered from a loss; 0 where it can lose nothing.
    pub term: u64,
    pub version: u64,
    /// The version of the sale's first document: another sale of the same id has another.
    pub born: u64,
    pub phase: Phase,
    pub items: Vec<Item>,
    /// The number of the last event.
    pub seq: u64,
}

/// One SKU's books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub sku: Sku,
    pub total: u64,
    pub available: u64,
    pub held: u64,
    pub sold: u64,
}

/// What every answer of a sale carries: enough to tell the line and to refuse late comers, whatever the number of SKUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub now: UnixMs,
    /// How often the store has recovered from a loss; 0 where it can lose nothing.
    pub term: u64,
    pub version: u64,
    /// The version of the sale's first document: another sale of the same id has another.
    pub born: u64,
    pub phase: Phase,
    /// Units of all SKUs.
    pub available: u64,
    pub held: u64,
    /// The number of the last event.
    pub seq: u64,
    /// The next deadline of a hold: what is held may come back then.
    pub next_due: Option<UnixMs>,
}

/// What a view and a header are made of, but for the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub last: UnixMs,
    pub version: u64,
    pub born: u64,
    pub opens_at: Option<UnixMs>,
    pub closes_at: Option<UnixMs>,
    /// Units of all SKUs.
    pub available: u64,
    pub held: u64,
    /// The number of the last event.
    pub seq: u64,
    /// The next deadline of a hold.
    pub next_due: Option<UnixMs>,
}

impl Figures {
    /// Whether the sale sells at `now`.
    pub fn phase(&self, now: UnixMs) -> Phase {
        match (self.opens_at, self.closes_at) {
            (_, Some(closes)) if closes <= now => Phase::Closed,
            (Some(opens), _) if now < opens => Phase::Scheduled,
            _ => Phase::Open,
        }
    }

    /// All items as of `now`.
    pub fn view(&self, now: UnixMs, items: Vec<Item>) -> View {
        let now = now.max(self.last);
        let (version, born, seq) = (self.version, self.born, self.seq);
        View { now, term: 0, version, born, phase: self.phase(now), items, seq }
    }

    /// What every answer carries.
    pub fn header(&self, now: UnixMs) -> Header {
        let now = now.max(self.last);
        Header {
            now,
            term: 0,
            version: self.version,
            born: self.born,
            phase: self.phase(now),
            available: self.available,
            held: self.held,
            seq: self.seq,
            next_due: self.next_due,
        }
    }
}

/// Whether a sale sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Scheduled,
    Open,
    Closed,
}
