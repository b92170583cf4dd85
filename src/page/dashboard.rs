//! The operator's dashboard. The page is a shell: its script asks for the numbers and sends the changes.
//!
//! It calls, with the dashboard's cookie: `GET /v1/rooms` (the documents with their `version`), `GET
//! /v1/rooms/{room}/status`, `PATCH /v1/rooms/{room}` (merge-patch, `If-Match`), `POST /v1/rooms/{room}/reset`; `GET
//! /v1/sales`, `GET /v1/sales/{sale}`, `POST /v1/sales/{sale}/items/{sku}/restock` (`Idempotency-Key`).
//! Signing in is a form: `POST /dashboard/session` with the field `key`; out: `POST /dashboard/session/end`.

use askama::Template;

use super::{Rendered, asset, policy::policy, waiting::rendered};

/// How a sign-in ended before, told on the page of the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// The first try.
    Fresh,
    /// The key is not known, or may not administer.
    Refused,
    /// Too many failures from this address.
    TooMany,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Page<'a> {
    public_url: &'a str,
    style: &'a str,
    script: &'a str,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    style: &'a str,
    problem: Option<&'a str>,
}

/// The dashboard of somebody who is signed in. The same for everyone: the script asks for what it shows.
/// `public_url` is where visitors are: the dashboard may be on a listener that has no waiting pages.
pub fn dashboard(public_url: &str) -> Rendered {
    let (style, script) = (asset::dashboard_style(), asset::dashboard_script());
    Rendered { html: rendered(&Page { public_url, style, script }), csp: policy(style, Some(script), "'self'") }
}

/// The page that asks for a key.
pub fn sign_in(before: SignIn) -> Rendered {
    let style = asset::dashboard_style();
    let problem = match before {
        SignIn::Fresh => None,
        SignIn::Refused => Some("That key is not known here, or it may not administer."),
        SignIn::TooMany => Some("Too many failed attempts from your address. Wait a minute and try again."),
    };
    Rendered { html: rendered(&SignInPage { style, problem }), csp: policy(style, None, "'self'") }
}
