//! The signing keys: made on first start, shared through the catalog, rotated with overlap.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

use super::{
    CLOCK_SKEW_MS, RESERVATION_TOKEN_MAX_BYTES, TOKEN_MAX_BYTES, dashboard::DASHBOARD_COOKIE_MS, entry::ENTRY_PASS_MS,
    random_bytes,
};
use crate::{room::bounds::SESSION_MAX_SECONDS, time::UnixMs};

/// The bytes of an HMAC key: as many as SHA-256 gives.
pub const SECRET_BYTES: usize = 32;

/// How long a key is public before it signs, in ms: verifiers may cache our public keys for five minutes.
pub const PUBLISHED_BEFORE_MS: u64 = 10 * 60 * 1000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Ticket,
    Pass,
    EntryPass,
    SessionCookie,
    /// The sign-in cookie of the operator's dashboard.
    Dashboard,
    /// Reservations of sales.
    Reservation,
}

impl Purpose {
    /// Every purpose: each needs a key.
    pub const ALL: [Self; 6] =
        [Self::Ticket, Self::Pass, Self::EntryPass, Self::SessionCookie, Self::Dashboard, Self::Reservation];

    /// The `typ` of what it signs.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Ticket => "dropgate-ticket+jwt",
            Self::Pass => "dropgate+jwt",
            Self::EntryPass => "dropgate-entry+jwt",
            Self::SessionCookie => "dropgate-session+jwt",
            Self::Dashboard => "dropgate-dashboard+jwt",
            Self::Reservation => "dropgate-reservation+jwt",
        }
    }

    /// The one algorithm it signs with: public where shops verify, secret where only we do.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Pass | Self::EntryPass => Algorithm::ES256,
            Self::Ticket | Self::SessionCookie | Self::Dashboard | Self::Reservation => Algorithm::HS256,
        }
    }

    /// The longest that anything signed for this purpose is good for, in ms.
    pub const fn longest_life_ms(self) -> u64 {
        match self {
            // A ticket has no end of its own; it is void with its line. No line stands for longer than this.
            Self::Ticket => 90 * DAY_MS,
            // Until the session's deadline as it stood when the pass was signed.
            Self::Pass => SESSION_MAX_SECONDS * 1000,
            Self::EntryPass => ENTRY_PASS_MS,
            // As long as the browser keeps the cookie.
            Self::SessionCookie => DAY_MS,
            Self::Dashboard => DASHBOARD_COOKIE_MS,
            // A hold lives for a day at most, but what was bought is shown to its buyer while the sale stands.
            Self::Reservation => 90 * DAY_MS,
        }
    }

    /// The longest token of this purpose that is looked at, in bytes.
    pub const fn token_max_bytes(self) -> usize {
        match self {
            Self::Reservation => RESERVATION_TOKEN_MAX_BYTES,
            Self::Ticket | Self::Pass | Self::EntryPass | Self::SessionCookie | Self::Dashboard => TOKEN_MAX_BYTES,
        }
    }
}

/// One signing key as the catalog keeps it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The key's id, a UUID: the `kid` of what it signs.
    pub kid: String,
    pub purpose: Purpose,
    /// 1 for the first key of its purpose, one more for each that follows.
    pub generation: u64,
    pub published: UnixMs,
    /// Signs from here on: ten minutes after it was published, so that verifiers know it; at once for the first.
    pub signs_from: UnixMs,
    /// Secret bytes or PKCS#8, in base64.
    pub secret: String,
}

impl SigningKey {
    /// The id to keep it under in the catalog: the same for two instances that make the next key of a purpose at
    /// the same time, so that only one of them does.
    pub fn document_id(&self) -> String {
        self.slot().document_id()
    }

    fn slot(&self) -> Slot {
        Slot { purpose: self.purpose, generation: self.generation }
    }
}

// Never derived: a secret that is printed is a secret no more.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("purpose", &self.purpose)
            .field("generation", &self.generation)
            .field("published", &self.published)
            .field("signs_from", &self.signs_from)
            .finish_non_exhaustive()
    }
}

/// The place of a key in the succession of its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub purpose: Purpose,
    pub generation: u64,
}

impl Slot {
    /// The catalog's id of the key in this place.
    pub fn document_id(self) -> String {
        let purpose = match self.purpose {
            Purpose::Ticket => "ticket",
            Purpose::Pass => "pass",
            Purpose::EntryPass => "entry-pass",
            Purpose::SessionCookie => "session-cookie",
            Purpose::Dashboard => "dashboard",
            Purpose::Reservation => "reservation",
        };
        format!("{purpose}-{}", self.generation)
    }
}

/// When keys are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a key signs before the next takes over, in ms.
    pub rotate_every_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { rotate_every_ms: 90 * DAY_MS }
    }
}

/// What is to be done about the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Keys to make, with [`generate`], and to publish if nobody else did meanwhile.
    pub publish: Vec<Slot>,
    /// Keys that no living token was signed with: to be forgotten.
    pub retire: Vec<String>,
}

/// What is to be done about these keys at `now`. Nothing, most of the time.
pub fn plan(now: UnixMs, keys: &[SigningKey], policy: Policy) -> Plan {
    let mut plan = Plan::default();
    for purpose in Purpose::ALL {
        let mut mine: Vec<&SigningKey> = keys.iter().filter(|key| key.purpose == purpose).collect();
        // The kid breaks the tie where two memories of the catalog each had made a key.
        mine.sort_by(|a, b| (a.generation, &a.kid).cmp(&(b.generation, &b.kid)));
        match mine.last() {
            None => plan.publish.push(Slot { purpose, generation: 1 }),
            Some(newest) if now.since(newest.signs_from) >= policy.rotate_every_ms => {
                plan.publish.push(Slot { purpose, generation: newest.generation + 1 });
            }
            Some(_) => {}
        }
        // A successor that another instance has not heard of yet leaves that one signing with the old key for
        // as long as a successor is announced, no longer; so that is added to the life of what was signed.
        let kept_ms = purpose.longest_life_ms() + CLOCK_SKEW_MS + PUBLISHED_BEFORE_MS;
        for pair in mine.windows(2) {
            if pair[1].signs_from.plus_ms(kept_ms) <= now {
                plan.retire.push(pair[0].kid.clone());
            }
        }
    }
    plan
}

/// Makes the key of a slot. The first of its purpose signs at once; any other when verifiers had time to learn it.
///
/// # Errors
/// The machine could not make a key pair.
pub fn generate(slot: Slot, now: UnixMs) -> Result<SigningKey, GenerateError> {
    let secret = match slot.purpose.algorithm() {
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| GenerateError)?;
            STANDARD.encode(pair.to_pkcs8v1().map_err(|_| GenerateError)?)
        }
        _ => STANDARD.encode(random_bytes::<SECRET_BYTES>()),
    };
    let signs_from = if slot.generation == 1 { now } else { now.plus_ms(PUBLISHED_BEFORE_MS) };
    let kid = uuid::Builder::from_random_bytes(random_bytes()).into_uuid().to_string();
    Ok(SigningKey { kid, purpose: slot.purpose, generation: slot.generation, published: now, signs_from, secret })
}

/// A key pair could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing key could not be made")]
pub struct GenerateError;
