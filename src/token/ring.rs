//! The keys in force, ready to sign and verify.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Purpose, SigningKey, TOKEN_MAX_BYTES, TokenError};
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
    signs_from: UnixMs,
    header: Header,
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
            keys.sort_by(|a, b| (a.signs_from, &a.header.kid).cmp(&(b.signs_from, &b.header.kid)));
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
        jsonwebtoken::encode(&key.header, claims, &key.encoding).expect("a key that has signed signs")
    }

    pub(super) fn verify<C: DeserializeOwned>(&self, purpose: Purpose, token: &str) -> Result<C, TokenError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // The header is only trusted to choose among the keys of this one purpose; everything else in it must
        // be exactly what we would have written, so there is nothing an attacker could ask for.
        let of_ours = self.keys[&purpose].iter().find(|key| key.header == header);
        let key = of_ours.ok_or(TokenError::Invalid)?;
        let data = jsonwebtoken::decode::<C>(token, &key.decoding, &signature_only(key.header.alg));
        data.map(|data| data.claims).map_err(|_| TokenError::Invalid)
    }
}

/// The library checks the signature with the one algorithm of the key. Times, issuer and room are checked by
/// each kind itself, against a clock that is passed in and with errors that tell them apart.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
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
    // Whether a key signs is found out here, once, and not when a visitor needs it.
    jsonwebtoken::encode(&header, &(), &encoding).map_err(|_| unreadable("it does not sign"))?;
    let is_public = matches!(algorithm, Algorithm::ES256);
    Ok((Key { signs_from: key.signs_from, header, encoding, decoding }, is_public.then_some(jwk)))
}
