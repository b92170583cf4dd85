//! The document of a room as an operator writes it, and the part of it that the line obeys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bounds;
use crate::{
    id::{RoomId, SaleId},
    time::UnixMs,
};

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
    /// The sale behind the room, which may not exist yet.
    #[serde(default)]
    pub sale: Option<SaleId>,
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
    /// It says so to everyone who waits.
    Inform,
    /// And it calls no more visitors than there are units.
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
#[serde(untagged, expecting = "must be a text, or an object with one text a language")]
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
    pub sale: Option<SaleId>,
    pub stock_gate: StockGate,
}

impl Document {
    /// The part the line obeys. Call on a validated document.
    pub fn rules(&self) -> Rules {
        let ms = |seconds: u64| seconds.saturating_mul(1000);
        Rules {
            mode: self.mode,
            rate_per_minute: self.rate_per_minute,
            burst: self.burst.unwrap_or_else(|| default_burst(self.rate_per_minute)),
            max_active: self.max_active,
            claim_window_ms: ms(self.claim_window_seconds),
            overcall: self.overcall,
            session_ms: ms(self.session_seconds),
            session_renewal: self.session_renewal,
            session_max_ms: self.session_max_seconds.map(ms),
            opens_at: self.opens_at.map(|at| at.0),
            closes_at: self.closes_at.map(|at| at.0),
            sale: self.sale.clone(),
            stock_gate: self.stock_gate,
        }
    }
}

/// One second of the rate, at least one permit.
fn default_burst(rate_per_minute: u64) -> u64 {
    (rate_per_minute / 60).max(bounds::BURST_MIN)
}

impl Rules {
    /// These rules, forced into their bounds. Validation refuses what this would change; the line relies on it all
    /// the same, so that no command, wherever it came from, makes its arithmetic overflow.
    #[must_use]
    pub fn bounded(&self) -> Self {
        let session_max_ms = bounds::SESSION_MAX_SECONDS * 1000;
        let session_ms = self.session_ms.clamp(bounds::SESSION_MIN_SECONDS * 1000, session_max_ms);
        let total = |ms: u64| ms.clamp(session_ms, bounds::SESSION_TOTAL_MAX_SECONDS * 1000);
        Self {
            mode: self.mode,
            rate_per_minute: self.rate_per_minute.clamp(bounds::RATE_MIN, bounds::RATE_MAX),
            burst: self.burst.clamp(bounds::BURST_MIN, bounds::BURST_MAX),
            max_active: self.max_active.map(|cap| cap.clamp(bounds::ACTIVE_MIN, bounds::ACTIVE_MAX)),
            claim_window_ms: self
                .claim_window_ms
                .clamp(bounds::CLAIM_WINDOW_MIN_SECONDS * 1000, bounds::CLAIM_WINDOW_MAX_SECONDS * 1000),
            overcall: self.overcall.min(bounds::OVERCALL_MAX),
            session_ms,
            session_renewal: self.session_renewal,
            session_max_ms: self.session_max_ms.map(total),
            opens_at: self.opens_at.map(|at| at.min(UnixMs(bounds::TIME_MAX_MS))),
            closes_at: self.closes_at.map(|at| at.min(UnixMs(bounds::TIME_MAX_MS))),
            sale: self.sale.clone(),
            stock_gate: self.stock_gate,
        }
    }

    /// `B`: the credit that may stand ready while nobody waits, in units.
    pub fn ready_units(&self) -> u64 {
        self.burst * bounds::PERMIT
    }

    /// `L`: the most that credit and unclaimed calls may come to, in units.
    pub fn ceiling_units(&self) -> u64 {
        self.ceiling_exact().min(bounds::CEILING_MAX)
    }

    /// `L` before its bound; saturates.
    pub(super) fn ceiling_exact(&self) -> u64 {
        let overcalled = self.overcall.saturating_mul(self.rate_per_minute).saturating_mul(self.claim_window_ms);
        overcalled.saturating_add(self.burst.saturating_mul(bounds::PERMIT))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let invalid = || format!("\"{}\" is not a time like 2030-01-31T18:00:00Z", text.escape_debug());
        if !is_rfc3339_shaped(text.as_bytes()) {
            return Err(invalid());
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        let ms = u64::try_from(time.as_millisecond()).map_err(|_| format!("{text} lies before 1970"))?;
        Ok(Self(UnixMs(ms)))
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        let ms = i64::try_from(time.0.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
    }
}

/// `yyyy-mm-ddThh:mm:ss`, perhaps a fraction, then `Z` or `±hh:mm`: the parser itself would take much more.
fn is_rfc3339_shaped(text: &[u8]) -> bool {
    let matches = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                _ => byte.eq_ignore_ascii_case(form),
            })
    };
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
        zone => zone,
    };
    matches(date_time, b"0000-00-00T00:00:00") && (matches(zone, b"Z") || matches(zone, b"+00:00"))
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

#[cfg(test)]
mod tests;
