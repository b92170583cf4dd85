//! The keys in force, ready to sign and verify.

use std::collections::BTreeMap;

use aws_lc_rs::{
    error::Unspecified,
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Purpose, SigningKey, TokenError};
use crate::time::UnixMs;

/// The dots of a token and its signature, 64 bytes in base64 at most, with a few to spare.
const SIGNATURE_MAX_BYTES: usize = 96;

/// All keys in force, ready to sign and verify. Rebuilt when the catalog changes.
pub struct KeyRing {
    issuer: String,
    /// By purpose, those that sign first in front. No list is empty.
    keys: BTreeMap<Purpose, Vec<Key>>,
    jwks: JwkSet,
}

/// A key that cannot be used, or one that is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret is not what its purpose needs.
    #[error("signing key {kid}: {detail}")]
    Unreadable { kid: String, detail: String },
    /// No key at all for a purpose.
    #[error("there is no signing key for {0:?}")]
    Missing(Purpose),
}

struct Key {
    kid: String,
    signs_from: UnixMs,
    /// The header of all it signs, as it stands in a token.
    header: String,
    pair: Pair,
}

/// What signs and what verifies, read once: to read a key takes longer than to use it.
enum Pair {
    /// HS256.
    Secret(Box<hmac::Key>),
    /// ES256.
    Public { signs: Box<EcdsaKeyPair>, verifies: Box<DecodingKey> },
}

impl KeyRing {
    /// A ring of these keys; `issuer` is `public_url` without a trailing slash.
    ///
    /// # Errors
    /// A key that can't be read, or a purpose without any key.
    pub fn new(issuer: &str, keys: Vec<SigningKey>) -> Result<Self, KeyError> {
        let mut ring = Self { issuer: issuer.to_owned(), keys: BTreeMap::new(), jwks: JwkSet { keys: Vec::new() } };
        for signing_key in keys {
            let (key, public) = read(&signing_key)?;
            ring.jwks.keys.extend(public);
            ring.keys.entry(signing_key.purpose).or_default().push(key);
        }
        if let Some(purpose) = Purpose::ALL.into_iter().find(|purpose| !ring.keys.contains_key(purpose)) {
            return Err(KeyError::Missing(purpose));
        }
        for keys in ring.keys.values_mut() {
            // The kid breaks the tie, so that every instance signs with the same of two keys.
            keys.sort_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid)));
        }
        Ok(ring)
    }

    /// Who signs: `public_url` without a trailing slash.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public keys of passes and entry passes, as a JWKS document: also those that do not sign yet, so that
    /// verifiers know them when they do.
    pub fn jwks(&self) -> &JwkSet {
        &self.jwks
    }

    pub(super) fn sign<C: Serialize>(&self, purpose: Purpose, now: UnixMs, claims: &C) -> String {
        let keys = &self.keys[&purpose];
        // Where this machine's clock is behind and no key signs yet, the first one does: better than not at all.
        let key = keys.iter().rev().find(|key| key.signs_from <= now).unwrap_or(&keys[0]);
        #[expect(clippy::expect_used, reason = "the key has signed when it was read, and our claims are plain structs")]
        key.encode(claims).expect("a key that has signed signs")
    }

    pub(super) fn verify<C: DeserializeOwned>(&self, purpose: Purpose, token: &str) -> Result<C, TokenError> {
        self.claims(purpose, token).ok_or(TokenError::Invalid)
    }

    fn claims<C: DeserializeOwned>(&self, purpose: Purpose, token: &str) -> Option<C> {
        if token.len() > purpose.token_max_bytes() {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        // The header chooses among the keys of this one purpose, and it has to be to the letter what we write
        // ourselves: what it says of algorithms, keys to fetch or extensions is never so much as read.
        let key = self.keys[&purpose].iter().find(|key| key.header == header)?;
        if !key.pair.verifies(signature, message.as_bytes()) {
            return None;
        }
        // Times, issuer and room are checked by each kind itself, against a clock that is passed in and with errors
        // that tell them apart.
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

impl Key {
    fn encode<C: Serialize>(&self, claims: &C) -> Result<String, Unspecified> {
        let claims = serde_json::to_vec(claims).map_err(|_| Unspecified)?;
        // All of it at once: a ticket is signed for every join, and growing would copy it twice.
        let mut token = String::with_capacity(self.header.len() + claims.len() * 4 / 3 + SIGNATURE_MAX_BYTES);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        self.pair.sign(&mut token)?;
        Ok(token)
    }
}

impl Pair {
    /// Puts the signature of what stands there behind it.
    fn sign(&self, token: &mut String) -> Result<(), Unspecified> {
        let append = |signature: &[u8], token: &mut String| {
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(signature, token);
        };
        match self {
            Self::Secret(key) => append(hmac::sign(key, token.as_bytes()).as_ref(), token),
            Self::Public { signs, .. } => append(signs.sign(&SystemRandom::new(), token.as_bytes())?.as_ref(), token),
        }
        Ok(())
    }

    fn verifies(&self, signature: &str, message: &[u8]) -> bool {
        match self {
            // In constant time.
            Self::Secret(key) => {
                URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| hmac::verify(key, message, &signature).is_ok())
            }
            Self::Public { verifies, .. } => {
                matches!(jsonwebtoken::crypto::verify(signature, message, verifies, Algorithm::ES256), Ok(true))
            }
        }
    }
}

fn read(key: &SigningKey) -> Result<(Key, Option<Jwk>), KeyError> {
    let unreadable = |detail: &str| KeyError::Unreadable { kid: key.kid.clone(), detail: detail.to_owned() };
    let secret = STANDARD.decode(&key.secret).map_err(|_| unreadable("the secret is not base64"))?;
    let algorithm = key.purpose.algorithm();
    let (pair, public) = match algorithm {
        Algorithm::ES256 => {
            let read = read_public(&secret, &key.kid);
            let (pair, jwk) = read.ok_or_else(|| unreadable("the secret is not a P-256 key in PKCS#8"))?;
            (pair, Some(jwk))
        }
        _ if secret.len() < super::keys::SECRET_BYTES => return Err(unreadable("the secret is too short")),
        _ => (Pair::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret))), None),
    };
    let mut header = Header::new(algorithm);
    header.typ = Some(key.purpose.typ().to_owned());
    header.kid = Some(key.kid.clone());
    let header = serde_json::to_vec(&header).map_err(|_| unreadable("the header can't be written"))?;
    let header = URL_SAFE_NO_PAD.encode(header);
    let ready = Key { kid: key.kid.clone(), signs_from: key.signs_from, header, pair };
    // Whether a key signs is found out here, once, and not when a visitor needs it.
    ready.encode(&()).map_err(|_| unreadable("it does not sign"))?;
    Ok((ready, public))
}

/// A key for ES256, and its public half as shops read it; none if it is not one.
fn read_public(pkcs8: &[u8], kid: &str) -> Option<(Pair, Jwk)> {
    let signs = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
    let mut jwk = Jwk::from_encoding_key(&EncodingKey::from_ec_der(pkcs8), Algorithm::ES256).ok()?;
    let verifies = DecodingKey::from_jwk(&jwk).ok()?;
    jwk.common.key_id = Some(kid.to_owned());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Some((Pair::Public { signs: Box::new(signs), verifies: Box::new(verifies) }, jwk))
}
