//! What a sale shows of itself.

use serde::{Deserialize, Serialize};

use super::command::Sku;
use crate::time::UnixMs;

/// A sale's items as of `now`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub now: UnixMs,
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

/// Whether a sale sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Scheduled,
    Open,
    Closed,
}
