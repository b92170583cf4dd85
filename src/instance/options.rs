//! What an instance is told at its start.

use std::{collections::BTreeSet, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::{
    StartError,
    api_key::{ENV_ADMIN, Scope, SecretHash},
};
use crate::{
    id::{RoomId, SaleId},
    room::Document,
    sale,
    token::SigningKey,
};

/// A secret of fewer bytes may be found by trying: nothing slows down a caller that tries keys, because ours are far
/// beyond that.
const GUESSABLE_BYTES: usize = 16;

/// What an instance is told at its start: settings that only a restart changes.
pub struct Options {
    /// Where visitors reach us, without a trailing slash: also the issuer of our tokens.
    pub public_url: String,
    /// Rooms to create if they do not exist.
    pub rooms: Vec<Document>,
    /// Sales to create if they do not exist.
    pub sales: Vec<sale::Document>,
    /// API keys from the configuration.
    pub api_keys: Vec<DeclaredKey>,
    /// The secret of the key `env-admin`.
    pub admin_secret: Option<SecretString>,
    pub signing: SigningPolicy,
    /// Where batches and background tasks run: they outlive the request that started them.
    pub runtime: Handle,
}

/// An API key as the configuration declares it: `[[keys]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredKey {
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// The rooms it is good for; all if left out, none if only sales are named.
    #[serde(default)]
    pub rooms: Option<BTreeSet<RoomId>>,
    /// The sales it is good for; all if left out, none if only rooms are named.
    #[serde(default)]
    pub sales: Option<BTreeSet<SaleId>>,
    /// The SHA-256 of the secret, in hex.
    pub sha256: SecretHash,
}

/// How signing keys come and go.
#[derive(Clone)]
pub struct SigningPolicy {
    /// Keys from the configuration: a purpose named here is signed with these alone.
    pub keys: Vec<SigningKey>,
    /// A key that has signed for so long is replaced; never if none.
    pub rotate_after: Option<Duration>,
}

impl Default for SigningPolicy {
    /// No keys of our own; rotation each ninety days.
    fn default() -> Self {
        Self { keys: Vec::new(), rotate_after: Some(Duration::from_secs(90 * 24 * 60 * 60)) }
    }
}

impl Options {
    /// Refuses what would surprise later: keys of one name, keys that may do nothing, an empty admin secret.
    pub(super) fn check(&self) -> Result<(), StartError> {
        let refuse =
            |name: &str, detail: &str| Err(StartError::Key { name: name.to_owned(), detail: detail.to_owned() });
        let mut names = BTreeSet::from([ENV_ADMIN]);
        for key in &self.api_keys {
            if !names.insert(&key.name) {
                return refuse(&key.name, "there is another key of this name");
            }
            if key.scopes.is_empty() {
                return refuse(&key.name, "needs at least one scope of read, shop, admin");
            }
            if key.rooms.as_ref().is_some_and(BTreeSet::is_empty) {
                return refuse(&key.name, "names no room: leave `rooms` out to allow all");
            }
            if key.sales.as_ref().is_some_and(BTreeSet::is_empty) {
                return refuse(&key.name, "names no sale: leave `sales` out to allow all");
            }
        }
        match &self.admin_secret {
            Some(secret) if secret.expose_secret().trim().is_empty() => refuse(ENV_ADMIN, "the secret is empty"),
            Some(secret) if secret.expose_secret().len() < GUESSABLE_BYTES => {
                tracing::warn!(
                    "DROPGATE_ADMIN_KEY is short enough to be guessed: `dropgate key new` makes a better one"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
