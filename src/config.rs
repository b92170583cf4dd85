//! One typed configuration: defaults < file < environment < flags.
//!
//! `config/default.toml` is the reference of every setting, and a test holds it to the defaults here.
//! [`mod@load`] brings the layers together and says where a wrong value came from; [`crate::address`] holds the
//! kinds of address a setting can be.

pub mod load;
mod locate;
mod notes;
mod store;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::runtime::Handle;

pub use self::{
    load::{ConfigError, Flags, Sources, load, load_file},
    notes::notes,
    store::{Durability, Store},
};

pub use crate::address::{PublicUrl, StoreUrl};
use crate::{
    http::{
        client_address::Network,
        limits::{CONNECTIONS_MAX, IN_FLIGHT_MAX},
    },
    instance::{DeclaredKey, Options, SigningPolicy},
    room, sale,
    time::UnixMs,
    token::{self, keys::Purpose},
};

/// The commented reference of every setting, as `dropgate` ships it.
pub const REFERENCE: &str = include_str!("config/default.toml");

/// Everything one instance is told at its start. A change needs a restart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: Server,
    pub store: Store,
    pub limits: Limits,
    pub log: Log,
    pub signing: Signing,
    pub keys: Vec<DeclaredKey>,
    /// Rooms that are created at start where they do not exist; those that do are left alone.
    pub rooms: Vec<room::Document>,
    /// Sales that are created at start where they do not exist; those that do are left alone.
    pub sales: Vec<sale::Document>,
    /// The room to make if, the declared ones created, there is none at all: `--shop`.
    #[serde(skip)]
    pub first_room: Option<Box<room::Document>>,
    /// The secret of the key `env-admin`: `DROPGATE_ADMIN_KEY`, never in the file.
    #[serde(skip)]
    pub admin_key: Option<SecretString>,
}

/// `[server]`: where it listens, and how the world reaches it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    #[serde(deserialize_with = "listener")]
    pub listen: SocketAddr,
    /// Takes operator calls, dashboard and metrics off the public listener.
    #[serde(deserialize_with = "other_listener")]
    pub admin_listen: Option<SocketAddr>,
    /// Never derived from a request. None only where `listen` is on loopback: see [`Server::public_url_at`].
    pub public_url: Option<PublicUrl>,
    /// PEM files; both or none.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Whose `X-Forwarded-*` and `X-Original-URL` headers count.
    #[serde(deserialize_with = "list_or_text")]
    pub trusted_proxies: Vec<Network>,
    /// How long a stop waits for what is in flight.
    pub shutdown_timeout_seconds: u64,
    /// Threads that answer requests; as many as there are processors if left out.
    pub workers: Option<usize>,
}

/// `[limits]`: what one instance takes on at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections, over all threads; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// Requests being answered, over all threads; further ones get 503 at once.
    pub max_in_flight: usize,
}

/// `[log]`: what is written to stderr.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level, or levels by module: `info,dropgate::store=debug`.
    pub filter: String,
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// `[signing]`: the keys that sign tickets and passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signing {
    /// A new key of each purpose that often; 0 never rotates.
    pub rotate_after_days: u64,
    /// Keys by configuration: a purpose named here is signed with these alone, and none is made for it.
    pub keys: Vec<SigningKey>,
}

/// One `[[signing.keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// Its name in what it signs; unique.
    pub kid: String,
    pub purpose: Purpose,
    /// Base64: 32 random bytes, or PKCS#8 for the purposes that sign passes.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<SecretString>,
    /// The file that holds `secret`: read when the configuration is loaded.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Verifies at once, and signs from here on; from the start if left out. The latest due signs.
    #[serde(default)]
    pub signs_from: Option<room::settings::Timestamp>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: None,
            public_url: None,
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            shutdown_timeout_seconds: 30,
            workers: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: CONNECTIONS_MAX, max_in_flight: IN_FLIGHT_MAX }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,actix_server=warn".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Signing {
    fn default() -> Self {
        Self { rotate_after_days: 90, keys: Vec::new() }
    }
}

impl Server {
    /// Whether connections to the public listener are TLS.
    pub fn is_tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// The address the world knows us by, the listener being bound to `bound`.
    pub fn public_url_at(&self, bound: SocketAddr) -> PublicUrl {
        self.public_url.clone().unwrap_or_else(|| PublicUrl::of_listener(bound, self.is_tls()))
    }
}

impl Config {
    /// What the instance of this configuration is told, its public address and the runtime of its tasks being known.
    pub fn options(&self, public_url: &PublicUrl, runtime: Handle) -> Options {
        Options {
            public_url: public_url.as_str().to_owned(),
            rooms: self.rooms.clone(),
            sales: self.sales.clone(),
            api_keys: self.keys.clone(),
            admin_secret: self.admin_key.clone(),
            signing: self.signing.policy(),
            runtime,
        }
    }
}

impl Signing {
    /// The same, as the instance keeps its keys. Call on a loaded configuration: every key has its secret.
    pub fn policy(&self) -> SigningPolicy {
        let day = Duration::from_secs(24 * 60 * 60);
        let days = u32::try_from(self.rotate_after_days).unwrap_or(u32::MAX);
        SigningPolicy {
            keys: self.keys.iter().map(SigningKey::to_key).collect(),
            rotate_after: (days > 0).then(|| day.saturating_mul(days)),
        }
    }
}

impl SigningKey {
    fn to_key(&self) -> token::SigningKey {
        token::SigningKey {
            kid: self.kid.clone(),
            purpose: self.purpose,
            // Counts the keys that the store makes, and this is none of them.
            generation: 0,
            published: UnixMs::default(),
            signs_from: self.signs_from.map_or_else(UnixMs::default, |time| time.0),
            secret: self.secret.as_ref().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default(),
        }
    }
}

/// The address of a listener, as file, environment and flags give it.
pub fn listener_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address and a port, like 127.0.0.1:8080 or [::1]:8080")
}

fn listener<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    listener_address(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn other_listener<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    listener(deserializer).map(Some)
}

/// A list in the file; in the environment, texts with commas between them.
fn list_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<String>),
        Text(String),
    }
    let texts = match ListOrText::deserialize(deserializer)? {
        ListOrText::List(texts) => texts,
        ListOrText::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    texts
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Some(SecretString::from(String::deserialize(deserializer)?)))
}
