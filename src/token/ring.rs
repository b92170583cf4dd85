//! The keys in force, ready to sign and verify.

use std::collections::BTreeMap;

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
    algorithm: Algorithm,
    /// The header of all it signs, as it stands in a token.
    header: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
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
        let is_ours = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.decoding, key.algorithm);
        if !matches!(is_ours, Ok(true)) {
            return None;
        }
        // Times, issuer and room are checked by each kind itself, against a clock that is passed in and with errors
        // that tell them apart.
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

impl Key {
    fn encode<C: Serialize>(&self, claims: &C) -> Result<String, jsonwebtoken::errors::Error> {
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
        let signature = jsonwebtoken::crypto::sign(token.as_bytes(), &self.encoding, self.algorithm)?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}

fn read(key: &SigningKey) -> Result<(Key, Option<Jwk>), KeyError> {
    let unreadable = |detail: &str| KeyError::Unreadable { kid: key.kid.clone(), detail: detail.to_owned() };
    let secret = STANDARD.decode(&key.secret).map_err(|_| unreadable("the secret is not base64"))?;
    let algorithm = key.purpose.algorithm();
    let encoding = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_der(&secret),
        _ if secret.len() < super::keys::SECRET_BYTES => return Err(unreadable("the secret is too short")),
        _ => EncodingKey::from_secret(&secret),
    };
    let mut jwk = Jwk::from_encoding_key(&encoding, algorithm)
        .map_err(|_| unreadable("the secret is not a P-256 key in PKCS#8"))?;
    let decoding = DecodingKey::from_jwk(&jwk).map_err(|_| unreadable("the public key can't be derived"))?;
    jwk.common.key_id = Some(key.kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    let mut header = Header::new(algorithm);
    header.typ = Some(key.purpose.typ().to_owned());
    header.kid = Some(key.kid.clone());
    let header = serde_json::to_vec(&header).map_err(|_| unreadable("the header can't be written"))?;
    let header = URL_SAFE_NO_PAD.encode(header);
    let (kid, signs_from) = (key.kid.clone(), key.signs_from);
    let ready = Key { kid, signs_from, algorithm, header, encoding, decoding };
    // Whether a key signs is found out here, once, and not when a visitor needs it.
    ready.encode(&()).map_err(|_| unreadable("it does not sign"))?;
    let is_public = matches!(algorithm, Algorithm::ES256);
    Ok((ready, is_public.then_some(jwk)))
}
