//! What a gateway is told, in statuses that it understands.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};

use super::{
    Door, REASON_HEADER, SESSION_HEADER,
    decide::{Decision, Reason},
};
use crate::http::problem::{Code, Problem};

/// What is said of a visitor whom nobody checked.
const OPEN: &str = "open";
/// Seconds after which a script or a form may be tried again: about what it takes to get a place in line.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The answer to what was decided.
pub(super) fn decision(door: Door, decision: Decision) -> HttpResponse {
    match decision {
        Decision::Inside(session) => let_in(&session.to_string()),
        Decision::Open => let_in(OPEN),
        Decision::Go { to, cookie, reason } => {
            let mut response = no_store(match door {
                Door::Redirect | Door::Envoy => StatusCode::FOUND,
                // nginx is told in its own words to redirect; the snippet for it does.
                Door::Nginx => StatusCode::UNAUTHORIZED,
            });
            put(&mut response, header::LOCATION, &to);
            put(&mut response, HeaderName::from_static(REASON_HEADER), reason.as_str());
            if let Some(cookie) = cookie {
                put(&mut response, header::SET_COOKIE, &cookie.to_string());
            }
            response
        }
        Decision::Stay { to, reason } => stay(door, &to, reason),
    }
}

/// The answer to a request that could not be decided about.
pub(super) fn problem(door: Door, problem: Problem) -> HttpResponse {
    let reason = HeaderValue::from_static(problem.code.as_str());
    let problem = problem.header(HeaderName::from_static(REASON_HEADER), reason);
    match door {
        Door::Redirect | Door::Envoy => HttpResponse::from_error(problem),
        Door::Nginx => forbidden(&problem),
    }
}

fn let_in(session: &str) -> HttpResponse {
    let mut response = no_store(StatusCode::OK);
    put(&mut response, HeaderName::from_static(SESSION_HEADER), session);
    response
}

/// 429 with the address in header and body: whoever sent a form or made a call is told where a place is to be had,
/// and nothing of theirs is turned into a GET behind their back.
fn stay(door: Door, to: &str, reason: Reason) -> HttpResponse {
    let detail = "a place in line is needed first: open `location` in a window of its own, and send this again \
                  once inside";
    let mut problem = Problem::new(Code::RateLimited, detail)
        .with("location", to)
        .with("reason", reason.as_str())
        .retry_after(RETRY_AFTER_SECONDS)
        .header(HeaderName::from_static(REASON_HEADER), HeaderValue::from_static(reason.as_str()));
    if let Ok(to) = HeaderValue::from_str(to) {
        problem = problem.header(header::LOCATION, to);
    }
    match door {
        Door::Redirect | Door::Envoy => HttpResponse::from_error(problem),
        Door::Nginx => forbidden(&problem),
    }
}

/// 403 with a problem's headers and without its body, which nginx would not pass on.
fn forbidden(problem: &Problem) -> HttpResponse {
    problem.put_headers(HttpResponse::Forbidden().finish())
}

fn no_store(status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::new(status);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Puts a header in whose value is of our own making, and so never has a byte that headers may not have.
fn put(response: &mut HttpResponse, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(response.headers_mut().insert(name, value)),
        Err(error) => tracing::error!(%error, %name, "a header of the gate's answer can't be written"),
    }
}
