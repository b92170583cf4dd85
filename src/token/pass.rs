//! The pass: the admission token of apps and reservations, verified by anyone with our public keys.

use serde::{Deserialize, Serialize};

use super::{CLOCK_SKEW_MS, KeyRing, Purpose, TokenError, hex};
use crate::{id::RoomId, room::SessionRef, time::UnixMs};

/// The admission token of an app or a reservation (ES256, until the session's deadline).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    pub room: RoomId,
    pub session: SessionRef,
    /// The session's start: `iat` and `nbf` are 60 s before it. The token carries whole seconds.
    pub start: UnixMs,
    /// The session's deadline. The token carries whole seconds.
    pub deadline: UnixMs,
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
}

impl KeyRing {
    /// Signs a pass with the key in force at `now`. The claims depend on the pass alone: asked again while the
    /// session lives, the same `sub`, `jti`, `iat` and `exp` come out.
    pub fn sign_pass(&self, pass: &Pass, now: UnixMs) -> String {
        let since = pass.start.unix_seconds().saturating_sub(CLOCK_SKEW_MS / 1000);
        let claims = Claims {
            iss: self.issuer().to_owned(),
            aud: pass.room.as_str().to_owned(),
            sub: pass.session.to_string(),
            jti: pass_id(&pass.room, pass.session),
            iat: since,
            nbf: since,
            exp: pass.deadline.unix_seconds(),
        };
        self.sign(Purpose::Pass, now, &claims)
    }

    /// The pass in `token`: signature, kind, issuer and room. Not its deadline: whether the session lives is the
    /// store's to say, for a session may have been renewed or finished since.
    ///
    /// # Errors
    /// Anything but a pass of ours for `room`.
    pub fn verify_pass(&self, room: &RoomId, token: &str) -> Result<Pass, TokenError> {
        let pass = self.verify_any_pass(token)?;
        if pass.room == *room { Ok(pass) } else { Err(TokenError::OtherRoom) }
    }

    /// As [`KeyRing::verify_pass`], of whatever room: a sale takes the passes of several.
    ///
    /// # Errors
    /// Anything but a pass of ours.
    pub fn verify_any_pass(&self, token: &str) -> Result<Pass, TokenError> {
        let claims: Claims = self.verify(Purpose::Pass, token)?;
        if claims.iss != self.issuer() {
            return Err(TokenError::Invalid);
        }
        Ok(Pass {
            room: RoomId::parse(&claims.aud).map_err(|_| TokenError::Invalid)?,
            session: claims.sub.parse().map_err(|_| TokenError::Invalid)?,
            start: UnixMs(claims.iat.saturating_mul(1000)).plus_ms(CLOCK_SKEW_MS),
            deadline: UnixMs(claims.exp.saturating_mul(1000)),
        })
    }
}

/// The `jti` of a session's pass: derived, so that no store has to keep it, and hashed, so that it says no more
/// than a random one would.
fn pass_id(room: &RoomId, session: SessionRef) -> String {
    let name = format!("dropgate pass {room} {session}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    hex(&digest.as_ref()[..16])
}
