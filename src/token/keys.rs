//! The signing keys: made on first start, shared through the catalog, rotated with overlap.

use serde::{Deserialize, Serialize};

use super::{EntryPass, Pass, SessionCookie, Ticket, TokenError};
use crate::{id::RoomId, time::UnixMs};

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
}

/// One signing key as the catalog keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SigningKey {
    /// The key's id, a UUID: the `kid` of what it signs.
    pub kid: String,
    pub purpose: Purpose,
    pub published: UnixMs,
    /// Signs from here on: ten minutes after it was published, so that verifiers know it; at once for the first.
    pub signs_from: UnixMs,
    /// Secret bytes or PKCS#8, in base64.
    pub secret: String,
}

/// All keys in force, ready to sign and verify. Rebuilt when the catalog changes.
pub struct KeyRing {}

impl KeyRing {
    /// A ring of these keys; `issuer` is `public_url` without a trailing slash.
    ///
    /// # Errors
    /// A key that can't be read, by its id.
    pub fn new(_issuer: &str, _keys: Vec<SigningKey>) -> Result<Self, String> {
        todo!()
    }

    pub fn sign_ticket(&self, _ticket: &Ticket, _now: UnixMs) -> String {
        todo!()
    }
    pub fn sign_pass(&self, _pass: &Pass, _now: UnixMs) -> String {
        todo!()
    }
    pub fn sign_entry_pass(&self, _pass: &EntryPass, _now: UnixMs) -> String {
        todo!()
    }
    pub fn sign_session_cookie(&self, _cookie: &SessionCookie, _now: UnixMs) -> String {
        todo!()
    }

    /// # Errors
    /// Anything but a ticket of ours for `room`.
    pub fn verify_ticket(&self, _room: &RoomId, _token: &str) -> Result<Ticket, TokenError> {
        todo!()
    }
    /// Signature, kind and room only: whether the session lives is the store's to say.
    pub fn verify_pass(&self, _room: &RoomId, _token: &str) -> Result<Pass, TokenError> {
        todo!()
    }
    pub fn verify_entry_pass(&self, _room: &RoomId, _token: &str, _now: UnixMs) -> Result<EntryPass, TokenError> {
        todo!()
    }
    pub fn verify_session_cookie(&self, _room: &RoomId, _token: &str) -> Result<SessionCookie, TokenError> {
        todo!()
    }

    /// The public keys of passes and entry passes, as a JWKS document.
    pub fn jwks(&self) -> serde_json::Value {
        todo!()
    }
}
