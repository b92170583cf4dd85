//! API keys: who may call what. A secret is shown once and kept only as its hash.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use aws_lc_rs::{constant_time, digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    id::{RoomId, SaleId},
    time::UnixMs,
};

/// The id of the key whose secret is in `DROPGATE_ADMIN_KEY`.
pub const ENV_ADMIN: &str = "env-admin";

/// The longest name of a key, in characters.
pub const NAME_MAX_CHARS: usize = 80;

/// The longest secret that is looked at, in bytes: ours have 52, an operator's own may be longer.
const SECRET_MAX_BYTES: usize = 1_024;

/// The random part of a secret: 256 bits, so that hashing it once is enough and guessing is hopeless.
const SECRET_BYTES: usize = 32;

/// What secrets of ours start with: a scanner for leaked secrets knows them by it.
const SECRET_PREFIX: &str = "dropgate_";

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything that is not public.
    Read,
    /// What a shop's server does: renew and finish sessions.
    Shop,
    /// Everything, the others included.
    Admin,
}

impl Scope {
    /// Its name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Shop => "shop",
            Self::Admin => "admin",
        }
    }
}

/// Where a key comes from, and with that who may remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `DROPGATE_ADMIN_KEY`.
    Environment,
    /// `[[keys]]` of the configuration.
    Configuration,
    /// Made by a call, kept in the catalog.
    Created,
}

/// One API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// The rooms it is good for: see [`ApiKey::covers_room`].
    pub rooms: Option<BTreeSet<RoomId>>,
    /// The sales it is good for. Keys stored before there were sales have none.
    #[serde(default)]
    pub sales: Option<BTreeSet<SaleId>>,
    pub origin: Origin,
    /// When it was made; none where the configuration declares it.
    pub created: Option<UnixMs>,
    pub sha256: SecretHash,
}

impl ApiKey {
    /// Whether the key has this scope. `admin` includes the others: its holder could make itself such a key.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether the key is good for this room: one that names rooms is good for those, one that names sales alone for
    /// no room, one that names neither for all.
    pub fn covers_room(&self, room: &str) -> bool {
        self.rooms.as_ref().map_or(self.sales.is_none(), |rooms| rooms.contains(room))
    }

    /// Whether the key is good for this sale, by the same rule.
    pub fn covers_sale(&self, sale: &str) -> bool {
        self.sales.as_ref().map_or(self.rooms.is_none(), |sales| sales.contains(sale))
    }

    /// What a sign-in with this key is remembered by. A part of the hash belongs to it, so that a configured key whose
    /// secret is replaced ends the sign-ins of the old secret.
    pub fn sign_in_name(&self) -> String {
        format!("{}:{:016x}", self.id, self.sha256.bucket())
    }

    /// The id of the key in a [`ApiKey::sign_in_name`].
    pub fn id_of_sign_in(name: &str) -> Option<&str> {
        name.rsplit_once(':').map(|(id, _)| id)
    }

    /// Whether the key is good for all rooms and sales, those to come included: what is not about one needs that.
    pub fn covers_all(&self) -> bool {
        self.rooms.is_none() && self.sales.is_none()
    }
}

/// The SHA-256 of a secret, written in hex.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash([u8; digest::SHA256_OUTPUT_LEN]);

/// A text that is no SHA-256 in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 in hex: 64 characters of 0-9 and a-f")]
pub struct InvalidHash;

impl SecretHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(hash)
    }

    /// The first eight bytes: enough to look a key up by, and they tell nothing about the secret.
    fn bucket(&self) -> u64 {
        self.0.iter().take(8).fold(0, |bucket, byte| bucket << 8 | u64::from(*byte))
    }

    fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for SecretHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != hash.len() || !rest.is_empty() {
            return Err(InvalidHash);
        }
        for (byte, [high, low]) in hash.iter_mut().zip(digits) {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(InvalidHash);
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

/// A new secret: 256 random bits behind a prefix that says whose they are.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_secret() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes)?;
    Ok(format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// All keys in force, found by secret or by id.
#[derive(Default)]
pub(super) struct ApiKeys {
    by_hash: HashMap<u64, Vec<Arc<ApiKey>>>,
    by_id: HashMap<String, Arc<ApiKey>>,
}

impl ApiKeys {
    /// These keys. Of two with one id the first stays: what the configuration says comes before what was made since.
    pub(super) fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let mut all = Self::default();
        for key in keys {
            if all.by_id.contains_key(&key.id) {
                tracing::error!(id = key.id, "two API keys of one id: the later is left out");
                continue;
            }
            let key = Arc::new(key);
            all.by_hash.entry(key.sha256.bucket()).or_default().push(Arc::clone(&key));
            all.by_id.insert(key.id.clone(), key);
        }
        all
    }

    pub(super) fn by_secret(&self, secret: &str) -> Option<Arc<ApiKey>> {
        if secret.is_empty() || secret.len() > SECRET_MAX_BYTES {
            return None;
        }
        let hash = SecretHash::of(secret);
        self.by_hash.get(&hash.bucket())?.iter().find(|key| key.sha256.is(&hash)).cloned()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<ApiKey>> {
        self.by_id.get(id).cloned()
    }

    /// All keys, ordered by id.
    pub(super) fn all(&self) -> Vec<Arc<ApiKey>> {
        let mut keys: Vec<_> = self.by_id.values().cloned().collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, secret: &str, scopes: &[Scope]) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            name: id.to_owned(),
            scopes: scopes.iter().copied().collect(),
            rooms: None,
            sales: None,
            origin: Origin::Created,
            created: None,
            sha256: SecretHash::of(secret),
        }
    }

    #[test]
    fn a_key_is_found_by_its_secret_and_by_nothing_else() {
        let keys = ApiKeys::new([key("a", "one", &[Scope::Read]), key("b", "two", &[Scope::Shop])]);
        assert_eq!(keys.by_secret("one").map(|key| key.id.clone()), Some("a".to_owned()));
        assert_eq!(keys.by_secret("two").map(|key| key.id.clone()), Some("b".to_owned()));
        for wrong in ["", "One", "one ", "on", &SecretHash::of("one").to_string(), &"x".repeat(2_000)] {
            assert!(keys.by_secret(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn admin_includes_the_other_scopes_and_they_include_nothing() {
        let admin = key("a", "s", &[Scope::Admin]);
        assert!([Scope::Read, Scope::Shop, Scope::Admin].into_iter().all(|scope| admin.allows(scope)));
        let shop = key("b", "s", &[Scope::Shop]);
        assert!(shop.allows(Scope::Shop) && !shop.allows(Scope::Read) && !shop.allows(Scope::Admin));
    }

    #[test]
    fn a_bound_key_covers_what_it_names_alone() {
        let rooms = || Some([RoomId::parse("main").expect("an id")].into());
        let sales = || Some([SaleId::parse("drop").expect("an id")].into());
        let free = || key("a", "s", &[Scope::Admin]);
        // Rooms main and other, sales drop and other, everything.
        let covered = |key: &ApiKey| {
            let rooms = ["main", "other"].map(|room| key.covers_room(room));
            (rooms, ["drop", "other"].map(|sale| key.covers_sale(sale)), key.covers_all())
        };
        assert_eq!(covered(&free()), ([true, true], [true, true], true));
        assert_eq!(covered(&ApiKey { rooms: rooms(), ..free() }), ([true, false], [false, false], false));
        assert_eq!(covered(&ApiKey { sales: sales(), ..free() }), ([false, false], [true, false], false));
        assert_eq!(
            covered(&ApiKey { rooms: rooms(), sales: sales(), ..free() }),
            ([true, false], [true, false], false)
        );
    }

    #[test]
    fn a_key_stored_before_there_were_sales_reads() {
        let mut stored = serde_json::to_value(key("a", "s", &[Scope::Shop])).expect("JSON");
        stored.as_object_mut().expect("an object").remove("sales");
        assert_eq!(serde_json::from_value::<ApiKey>(stored).expect("a key").sales, None);
    }

    #[test]
    fn a_hash_reads_back_and_refuses_what_is_none() {
        let hash = SecretHash::of("secret");
        assert_eq!(SecretHash::try_from(hash.to_string()), Ok(hash));
        assert_eq!(SecretHash::try_from(hash.to_string().to_uppercase()), Ok(hash));
        for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(SecretHash::try_from(wrong.to_owned()), Err(InvalidHash), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, two) = (new_secret().expect("random bytes"), new_secret().expect("random bytes"));
        assert_ne!(one, two);
        assert_eq!(one.len(), SECRET_PREFIX.len() + 43, "32 bytes in base64 without padding");
    }
}
