//! The entry pass: short-lived, exchanged once, the only token that ever stands in a URL.

use serde::{Deserialize, Serialize};

use super::{CLOCK_SKEW_MS, KeyRing, Purpose, TokenError, hex, random_bytes};
use crate::{id::RoomId, room::SessionRef, time::UnixMs};

/// How long an entry pass is good for, in ms: a redirect on a slow phone, and no longer.
pub const ENTRY_PASS_MS: u64 = 120_000;

/// The short form for the way back (ES256, 120 s, one exchange): the only token that ever stands in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPass {
    pub room: RoomId,
    pub session: SessionRef,
    /// When it was issued, by the room's clock, in ms: the order of exchanges.
    pub issued: UnixMs,
    /// The session's deadline. The token carries whole seconds.
    pub session_deadline: UnixMs,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    session_exp: u64,
    issued_ms: u64,
}

impl KeyRing {
    /// Signs an entry pass with the key in force at `now`, good from a minute before `now` until two after.
    pub fn sign_entry_pass(&self, pass: &EntryPass, now: UnixMs) -> String {
        let since = now.unix_seconds().saturating_sub(CLOCK_SKEW_MS / 1000);
        let claims = Claims {
            iss: self.issuer().to_owned(),
            aud: pass.room.as_str().to_owned(),
            sub: pass.session.to_string(),
            jti: hex(&random_bytes::<16>()),
            iat: since,
            nbf: since,
            exp: now.plus_ms(ENTRY_PASS_MS).unix_seconds(),
            session_exp: pass.session_deadline.unix_seconds(),
            issued_ms: pass.issued.0,
        };
        self.sign(Purpose::EntryPass, now, &claims)
    }

    /// The entry pass in `token`. Whether it was exchanged before is the room's to say.
    ///
    /// # Errors
    /// Anything but an entry pass of ours for `room` that is in time at `now`, give or take a minute.
    pub fn verify_entry_pass(&self, room: &RoomId, token: &str, now: UnixMs) -> Result<EntryPass, TokenError> {
        let claims: Claims = self.verify(Purpose::EntryPass, token)?;
        if claims.iss != self.issuer() {
            return Err(TokenError::Invalid);
        }
        if claims.aud != room.as_str() {
            return Err(TokenError::OtherRoom);
        }
        if UnixMs(claims.exp.saturating_mul(1000)).plus_ms(CLOCK_SKEW_MS) <= now {
            return Err(TokenError::Expired);
        }
        if UnixMs(claims.nbf.saturating_mul(1000)) > now.plus_ms(CLOCK_SKEW_MS) {
            return Err(TokenError::Invalid);
        }
        Ok(EntryPass {
            room: room.clone(),
            session: claims.sub.parse().map_err(|_| TokenError::Invalid)?,
            issued: UnixMs(claims.issued_ms),
            session_deadline: UnixMs(claims.session_exp.saturating_mul(1000)),
        })
    }
}
