//! `[store]`: where rooms and sales live, and how a store on Redis is reached.

use std::{ops::RangeInclusive, path::PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::secret;
use crate::address::StoreUrl;

/// The most copies that can be waited for: nobody runs more, and a slip of the hand would stop all sales.
const REPLICAS: RangeInclusive<u32> = 1..=16;

/// Connections to one server. Rooms and sales send batches, so that few carry much; a Redis serves about ten thousand to all.
const CONNECTIONS: RangeInclusive<usize> = 1..=512;

/// Patience in milliseconds: less than 20 is the jitter of a healthy network, more than 30 s outlives any visitor's.
const TIMEOUT_MS: RangeInclusive<u64> = 20..=30_000;

/// The least patience where copies are waited for: half of it is the server's, whose clocks tick ten times a second.
const TIMEOUT_WITH_COPIES_MIN_MS: u64 = 300;

/// `[store]`: where rooms live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    pub url: StoreUrl,
    /// Of Redis; beats one in the url.
    #[serde(deserialize_with = "secret")]
    pub password: Option<SecretString>,
    /// PEM: whom to trust on a TLS connection to Redis, instead of the public authorities.
    pub ca_file: Option<PathBuf>,
    /// What a change on Redis has survived when it is answered.
    pub durability: Durability,
    /// How many replicas have it under `replica`.
    pub replicas: u32,
    /// To one Redis server, at most.
    pub connections: usize,
    pub connect_timeout_ms: u64,
    /// From sending a batch to its answer.
    pub call_timeout_ms: u64,
}

/// What a change on Redis has survived when it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: it is in the memory of one server.
    #[default]
    None,
    /// It is on that server's disk.
    Local,
    /// It is in the memory of `replicas` other servers.
    Replica,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::default(),
            password: None,
            ca_file: None,
            durability: Durability::None,
            replicas: 1,
            connections: 16,
            connect_timeout_ms: 500,
            call_timeout_ms: 1_000,
        }
    }
}

impl Store {
    /// The first setting that can't be taken, and why.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let no = |key: &str, detail: String| Err((format!("store.{key}"), detail));
        if !REPLICAS.contains(&self.replicas) {
            return no("replicas", format!("must be from {} to {}", REPLICAS.start(), REPLICAS.end()));
        }
        if !CONNECTIONS.contains(&self.connections) {
            return no("connections", format!("must be from {} to {}", CONNECTIONS.start(), CONNECTIONS.end()));
        }
        for (key, value) in [("connect_timeout_ms", self.connect_timeout_ms), ("call_timeout_ms", self.call_timeout_ms)]
        {
            if !TIMEOUT_MS.contains(&value) {
                return no(key, format!("must be from {} to {}", TIMEOUT_MS.start(), TIMEOUT_MS.end()));
            }
        }
        if self.durability != Durability::None && self.call_timeout_ms < TIMEOUT_WITH_COPIES_MIN_MS {
            let detail = format!("must be at least {TIMEOUT_WITH_COPIES_MIN_MS} where store.durability is not none");
            return no("call_timeout_ms", detail);
        }
        let StoreUrl::Redis(url) = &self.url else {
            return match self.durability {
                Durability::None => Ok(()),
                _ => no("durability", "is that of a store on Redis, and store.url names none".to_owned()),
            };
        };
        if self.ca_file.is_some() && !url.is_tls {
            return no("ca_file", "needs a store.url that begins with rediss: no other connection is TLS".to_owned());
        }
        let has_password = self.password.is_some() || url.password.is_some();
        if url.user.is_some() && !has_password {
            return no("password", "store.url names a user: set this, or DROPGATE_STORE_PASSWORD".to_owned());
        }
        Ok(())
    }
}
