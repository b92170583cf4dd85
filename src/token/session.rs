//! The gate's session cookie: which session a browser holds, and by which exchange.

use serde::{Deserialize, Serialize};

use super::{KeyRing, Purpose, TokenError};
use crate::{id::RoomId, room::SessionRef, time::UnixMs};

/// What the gate's session cookie carries (HS256, no deadline: the store knows whether the session lives).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    pub room: RoomId,
    pub session: SessionRef,
    /// When the entry pass was issued that was exchanged for it: live only while no later one was.
    pub exchanged: UnixMs,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    room: RoomId,
    sub: String,
    exchanged_ms: u64,
    iat: u64,
}

impl KeyRing {
    /// Signs a session cookie with the key in force at `now`.
    pub fn sign_session_cookie(&self, cookie: &SessionCookie, now: UnixMs) -> String {
        let claims = Claims {
            room: cookie.room.clone(),
            sub: cookie.session.to_string(),
            exchanged_ms: cookie.exchanged.0,
            iat: now.unix_seconds(),
        };
        self.sign(Purpose::SessionCookie, now, &claims)
    }

    /// The session cookie in `token`. Whether the session lives is the room's to say.
    ///
    /// # Errors
    /// Anything but a session cookie of ours for `room`.
    pub fn verify_session_cookie(&self, room: &RoomId, token: &str) -> Result<SessionCookie, TokenError> {
        let claims: Claims = self.verify(Purpose::SessionCookie, token)?;
        if claims.room != *room {
            return Err(TokenError::OtherRoom);
        }
        Ok(SessionCookie {
            session: claims.sub.parse().map_err(|_| TokenError::Invalid)?,
            exchanged: UnixMs(claims.exchanged_ms),
            room: claims.room,
        })
    }
}
