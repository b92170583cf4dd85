//! Who may call what: an API key's scope stands in the handler's signature, as [`Read`], [`Shop`] or [`Admin`].
//!
//! A call about one room or sale (its path has `{room}` or `{sale}`) needs a key that covers it; any other needs one
//! that covers all, because what it shows or changes is not one room's or sale's.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderValue},
};
use futures_util::future::{Ready, ready};

use super::{
    dashboard,
    extract::{context, parameter},
    problem::{Code, Problem},
};
use crate::instance::api_key::{ApiKey, Scope};

macro_rules! extractors {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        pub struct $name(pub Arc<ApiKey>);

        impl FromRequest for $name {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(authorize(request, Scope::$name).map(Self))
            }
        }
    )+};
}

extractors! {
    /// The caller may look at what is not public.
    Read;
    /// The caller is a shop's server.
    Shop;
    /// The caller operates this installation, or the room or sale of the path.
    Admin;
}

/// The caller may look at what is not public, of the rooms and sales its key covers: for calls that show each by
/// itself.
pub struct ReadSome(pub Arc<ApiKey>);

impl FromRequest for ReadSome {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(authenticate(request).and_then(|key| require_scope(&key, Scope::Read).map(|()| Self(key))))
    }
}

/// The caller's key, if it has one of these scopes here; for calls that a token opens as well.
///
/// # Errors
/// As for the last of the scopes.
pub(super) fn authorize_any(request: &HttpRequest, scopes: &[Scope]) -> Result<Arc<ApiKey>, Problem> {
    let mut refused = without_key("no key is good for this");
    for scope in scopes {
        match authorize(request, *scope) {
            Ok(key) => return Ok(key),
            Err(problem) => refused = problem,
        }
    }
    Err(refused)
}

/// The caller's key, if it sent one, good for the room or sale of the path; whatever its scopes.
pub struct OptionalKey(pub Option<Arc<ApiKey>>);

impl FromRequest for OptionalKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(optional_key(request).map(Self))
    }
}

fn optional_key(request: &HttpRequest) -> Result<Option<Arc<ApiKey>>, Problem> {
    let key = if request.headers().contains_key(header::AUTHORIZATION) {
        Some(authenticate(request)?)
    } else {
        dashboard::signed_in(request, context(request)?)?
    };
    key.map(|key| require_cover(request, &key, Scope::Read).map(|()| key)).transpose()
}

/// The caller's key, if it may do this here.
///
/// # Errors
/// 401 where there is none that we know; 403 where it may not.
pub(super) fn authorize(request: &HttpRequest, scope: Scope) -> Result<Arc<ApiKey>, Problem> {
    let key = authenticate(request)?;
    require_scope(&key, scope)?;
    require_cover(request, &key, scope)?;
    Ok(key)
}

/// Whether the key is good for what the path names, or for everything where it names nothing.
fn require_cover(request: &HttpRequest, key: &ApiKey, scope: Scope) -> Result<(), Problem> {
    match (parameter(request, "room"), parameter(request, "sale")) {
        (Some(room), _) if !key.covers_room(room) => {
            Err(insufficient(scope, format!("the key `{}` is not good for this room", key.name)))
        }
        (_, Some(sale)) if !key.covers_sale(sale) => {
            Err(insufficient(scope, format!("the key `{}` is not good for this sale", key.name)))
        }
        (None, None) if !key.covers_all() => Err(insufficient(
            scope,
            format!("the key `{}` is bound to rooms or sales, and this is about all", key.name),
        )),
        _ => Ok(()),
    }
}

fn require_scope(key: &ApiKey, scope: Scope) -> Result<(), Problem> {
    if key.allows(scope) {
        return Ok(());
    }
    Err(insufficient(scope, format!("the key `{}` lacks the scope `{}`", key.name, scope.as_str())))
}

/// The caller's key, whatever it may do: from the header, or of whoever is signed in to the dashboard.
///
/// # Errors
/// 401 where there is none that we know; 403 where another site's page may be at work.
pub fn authenticate(request: &HttpRequest) -> Result<Arc<ApiKey>, Problem> {
    let context = context(request)?;
    if let Some(secret) = bearer(request.headers()) {
        let challenge = r#"Bearer realm="dropgate", error="invalid_token""#;
        return context.instance.api_key(secret).ok_or_else(|| unauthorized("no such key, or not any more", challenge));
    }
    dashboard::signed_in(request, context)?
        .ok_or_else(|| unauthorized("send an API key as `Authorization: Bearer …`", r#"Bearer realm="dropgate""#))
}

/// Whether the caller brought a key, good or not. Another scheme is for somebody on the way here, such as a proxy that
/// asks for a password.
pub(super) fn brings_key(request: &HttpRequest) -> bool {
    bearer(request.headers()).is_some()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// 401 for a caller who brought nothing.
pub(super) fn without_key(detail: &'static str) -> Problem {
    unauthorized(detail, r#"Bearer realm="dropgate""#)
}

fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(Code::Unauthorized, detail).header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

fn insufficient(scope: Scope, detail: String) -> Problem {
    let challenge = match scope {
        Scope::Read => r#"Bearer realm="dropgate", error="insufficient_scope", scope="read""#,
        Scope::Shop => r#"Bearer realm="dropgate", error="insufficient_scope", scope="shop""#,
        Scope::Admin => r#"Bearer realm="dropgate", error="insufficient_scope", scope="admin""#,
    };
    Problem::new(Code::Forbidden, detail).header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

#[cfg(test)]
mod tests;
