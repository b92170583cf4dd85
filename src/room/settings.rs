//! The document of a room as an operator writes it, and the part of it that the line obeys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{id::RoomId, time::UnixMs};

/// A room's document. What is left out takes the default; unknown fields are refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub id: RoomId,
    pub name: String,
    /// Where visitors go when nothing better is known; its host is always allowed.
    pub shop_url: String,
    /// Hosts a visitor may be sent back to: `a.example` exact, `.example.com` its subdomains.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// The domain of the gate's session cookie, where one shop has several hosts.
    #[serde(default)]
    pub cookie_domain: Option<String>,
    #[serde(default = "default::rate_per_minute")]
    pub rate_per_minute: u64,
    /// Permits that may stand ready; one second of the rate, at least 1, if left out.
    #[serde(default)]
    pub burst: Option<u64>,
    /// The most visitors inside the shop at once, unclaimed calls counted.
    #[serde(default)]
    pub max_active: Option<u64>,
    #[serde(default = "default::claim_window_seconds")]
    pub claim_window_seconds: u64,
    /// How many times the rate may be called beyond it to make up for no-shows.
    #[serde(default = "default::overcall")]
    pub overcall: u64,
    #[serde(default = "default::session_seconds")]
    pub session_seconds: u64,
    #[serde(default = "default::session_renewal")]
    pub session_renewal: bool,
    #[serde(default)]
    pub session_max_seconds: Option<u64>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    #[serde(default)]
    pub closes_at: Option<Timestamp>,
    #[serde(default)]
    pub draw: bool,
    #[serde(default)]
    pub sale: Option<String>,
    #[serde(default)]
    pub stock_gate: StockGate,
    #[serde(default)]
    pub on_store_failure: OnStoreFailure,
    /// Joins a minute and address (IPv6 by /64); 0 switches the limit off.
    #[serde(default = "default::join_per_address")]
    pub join_per_address: u64,
    #[serde(default)]
    pub page: Page,
}

/// How the room treats its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The line moves at the room's rate.
    #[default]
    Queue,
    /// Everyone passes.
    Open,
    /// Join, but nobody is called: a pause.
    Hold,
    /// Nobody may join; sessions live on.
    Closed,
}

/// What the line does with what it knows of the stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockGate {
    #[default]
    Off,
    Inform,
    Hold,
}

/// What the gate does while the store is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreFailure {
    #[default]
    Closed,
    Open,
}

/// How a room's page looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    pub title: Option<Localized>,
    pub message: Option<Localized>,
    /// A data URI: PNG, WebP or SVG of at most 16 kB.
    pub logo: Option<String>,
    /// `#rrggbb`
    pub accent: Option<String>,
}

/// A text, or one a language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Localized {
    One(String),
    ByLanguage(BTreeMap<String, String>),
}

/// A point in time, written as RFC 3339 in documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub UnixMs);

/// A field of a document that can't be taken, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct FieldError {
    pub field: String,
    pub detail: String,
}

/// What the line itself obeys: integers, all products below 2^53.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    pub mode: Mode,
    pub rate_per_minute: u64,
    pub burst: u64,
    pub max_active: Option<u64>,
    pub claim_window_ms: u64,
    pub overcall: u64,
    pub session_ms: u64,
    pub session_renewal: bool,
    pub session_max_ms: Option<u64>,
    pub opens_at: Option<UnixMs>,
    pub closes_at: Option<UnixMs>,
}

impl Document {
    /// Checks every field against its bounds and the others.
    ///
    /// # Errors
    /// The first field that can't be taken.
    pub fn validate(&self) -> Result<(), FieldError> {
        todo!()
    }

    /// The part the line obeys. Call on a validated document.
    pub fn rules(&self) -> Rules {
        todo!()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;

    fn try_from(_text: String) -> Result<Self, String> {
        todo!()
    }
}

impl From<Timestamp> for String {
    fn from(_time: Timestamp) -> Self {
        todo!()
    }
}

mod default {
    pub fn rate_per_minute() -> u64 {
        600
    }
    pub fn claim_window_seconds() -> u64 {
        180
    }
    pub fn overcall() -> u64 {
        1
    }
    pub fn session_seconds() -> u64 {
        600
    }
    pub fn session_renewal() -> bool {
        true
    }
    pub fn join_per_address() -> u64 {
        60
    }
}
