//! The sign-in cookie of the operator's dashboard.

use serde::{Deserialize, Serialize};

use super::{KeyRing, Purpose, TokenError};
use crate::time::UnixMs;

/// How long a sign-in to the dashboard lasts, in ms: a working day.
pub const DASHBOARD_COOKIE_MS: u64 = 12 * 60 * 60 * 1000;

/// Who signed in to the dashboard, and until when (HS256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardCookie {
    /// The name of the API key that was shown. What it may do is looked up anew each time, so that a key
    /// taken back ends the sign-in too.
    pub key: String,
    /// The token carries whole seconds.
    pub expires: UnixMs,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iat: u64,
    exp: u64,
}

impl KeyRing {
    /// Signs a dashboard cookie with the key in force at `now`.
    pub fn sign_dashboard_cookie(&self, cookie: &DashboardCookie, now: UnixMs) -> String {
        let claims = Claims { sub: cookie.key.clone(), iat: now.unix_seconds(), exp: cookie.expires.unix_seconds() };
        self.sign(Purpose::Dashboard, now, &claims)
    }

    /// The dashboard cookie in `token`. Whether its key still stands is for the caller to look up.
    ///
    /// # Errors
    /// Anything but a dashboard cookie of ours before its end.
    pub fn verify_dashboard_cookie(&self, token: &str, now: UnixMs) -> Result<DashboardCookie, TokenError> {
        let claims: Claims = self.verify(Purpose::Dashboard, token)?;
        let expires = UnixMs(claims.exp.saturating_mul(1000));
        if expires <= now {
            return Err(TokenError::Expired);
        }
        Ok(DashboardCookie { key: claims.sub, expires })
    }
}
