//! One typed configuration: defaults < file < environment < flags.
//!
//! `config/default.toml` is the reference of every setting, and a test holds it to the defaults here.
//! [`load`] brings the layers together and says where a wrong value came from, [`address`] holds the kinds of
//! address a setting can be.

pub mod address;
pub mod load;
mod locate;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

pub use address::{PublicUrl, StoreUrl};
pub use load::{ConfigError, Flags, Sources, load};

use crate::{
    http::{
        client_address::Network,
        limits::{CONNECTIONS_MAX, IN_FLIGHT_MAX},
    },
    id::RoomId,
    room,
    token::keys::Purpose,
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
    pub keys: Vec<ApiKey>,
    /// Rooms that are created at start where they do not exist; those that do are left alone.
    pub rooms: Vec<room::Document>,
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
    pub listen: SocketAddr,
    /// Takes operator calls, dashboard and metrics off the public listener.
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

/// `[store]`: where rooms live.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    pub url: StoreUrl,
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
    /// The file that holds `secret`, read at start.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Verifies at once, and signs from here on; from the start if left out. The latest due signs.
    #[serde(default)]
    pub signs_from: Option<room::settings::Timestamp>,
}

/// One `[[keys]]`: an API key, of which only the hash is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// The rooms it may touch; all if left out.
    #[serde(default)]
    pub rooms: Option<Vec<RoomId>>,
    pub sha256: Sha256,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// What a shop's server does: finish, renew.
    Shop,
    /// Everything.
    Admin,
}

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256(pub [u8; 32]);

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
        Self { filter: "info".to_owned(), format: LogFormat::Text }
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

impl SigningKey {
    /// The secret, from the configuration or its file, surrounding white space cut off.
    ///
    /// # Errors
    /// The file can't be read. A loaded configuration has exactly one of the two.
    pub fn read_secret(&self) -> std::io::Result<SecretString> {
        match (&self.secret, &self.secret_file) {
            (Some(secret), _) => Ok(secret.clone()),
            (None, Some(path)) => load::read_secret_file(path),
            (None, None) => Err(std::io::Error::other("neither secret nor secret_file is set")),
        }
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const NO_HASH: &str = "must be a SHA-256 in 64 hexadecimal digits, as `dropgate key new` prints it";
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect::<Option<_>>()
            .ok_or(NO_HASH)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        if digits.len() == 64 { bytes.try_into().map(Self).map_err(|_| NO_HASH) } else { Err(NO_HASH) }
    }
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
