//! The visitor's cookies: their names, how long they live, and when a request that carries one may change anything.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time},
    http::header::{self, HeaderMap, HeaderName},
};

use super::problem::{Code, Problem};
use crate::{address::PublicUrl, id::RoomId, room::Document, time::UnixMs};

/// How long a cookie lives that nothing else bounds, and a ticket's beyond the room's closing.
pub const COOKIE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where browsers say which site made a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The visitor's place in line, at the waiting room's host.
    Ticket,
    /// The visitor's session, at the shop's host.
    Session,
}

/// How browsers reach the host that sets the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Https,
    /// On localhost only: browsers drop `Secure` cookies there.
    Http,
}

impl Transport {
    /// How browsers reach the waiting room.
    pub fn of(public_url: &PublicUrl) -> Self {
        if public_url.is_https() { Self::Https } else { Self::Http }
    }
}

/// The name of a room's cookie that is bound to one host.
pub fn name(purpose: Purpose, room: &RoomId, transport: Transport) -> String {
    let prefix = match transport {
        // The browser itself keeps other hosts and plain HTTP from setting a cookie of this name.
        Transport::Https => "__Host-",
        Transport::Http => "",
    };
    format!("{prefix}{}", plain_name(purpose, room))
}

/// The name without the prefix, for a cookie that several hosts of one domain share.
pub fn plain_name(purpose: Purpose, room: &RoomId) -> String {
    match purpose {
        Purpose::Ticket => format!("dropgate_ticket_{room}"),
        Purpose::Session => format!("dropgate_session_{room}"),
    }
}

/// A cookie bound to the host that sets it; add a `domain` only to one named by [`plain_name`].
pub fn cookie(name: String, value: String, life: Duration, transport: Transport) -> Cookie<'static> {
    let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .secure(transport == Transport::Https)
        // Lax: the visitor comes back from the shop by a link and has to be known.
        .same_site(SameSite::Lax)
        .max_age(time::Duration::seconds(seconds))
        .finish()
}

/// The ticket's cookie: until a day after the room closes, else a day.
pub fn ticket(document: &Document, value: String, now: UnixMs, transport: Transport) -> Cookie<'static> {
    let until_closing = document.closes_at.map_or(0, |closes| closes.0.since(now));
    let life = Duration::from_millis(until_closing) + COOKIE_LIFE;
    cookie(name(Purpose::Ticket, &document.id, transport), value, life, transport)
}

/// The cookie that removes a room's ticket.
pub fn no_ticket(room: &RoomId, transport: Transport) -> Cookie<'static> {
    cookie(name(Purpose::Ticket, room, transport), String::new(), Duration::ZERO, transport)
}

/// The values of a cookie, in the order sent: a name may come twice where another host of the domain set it too.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(move |pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// Whether a request that a cookie authorises comes from our own pages.
///
/// # Errors
/// 403 unless the browser says so: by `Sec-Fetch-Site`, or where that is absent by `Origin`.
pub fn require_same_origin(request: &HttpRequest, public_url: &PublicUrl) -> Result<(), Problem> {
    let value_of = |name: HeaderName| request.headers().get(name).map(|value| value.as_bytes());
    let ours = match value_of(SEC_FETCH_SITE) {
        Some(site) => site == b"same-origin",
        None => value_of(header::ORIGIN).is_some_and(|origin| origin == public_url.as_str().as_bytes()),
    };
    if ours { Ok(()) } else { Err(cross_site()) }
}

/// Whether a request that carries no cookie may set one: refused only where the browser says that another site made
/// it, lest that site replace a visitor's place (a `Lax` cookie does not travel with such a request).
///
/// # Errors
/// 403 for a request of another site.
pub fn refuse_other_sites(request: &HttpRequest, public_url: &PublicUrl) -> Result<(), Problem> {
    let named = |name: HeaderName| request.headers().contains_key(name);
    let says_nothing = !named(SEC_FETCH_SITE) && !named(header::ORIGIN);
    if says_nothing { Ok(()) } else { require_same_origin(request, public_url) }
}

fn cross_site() -> Problem {
    Problem::new(Code::Forbidden, "a cookie counts only for requests that our own pages make")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn url() -> PublicUrl {
        "https://line.shop.example".parse().unwrap()
    }

    fn allowed(headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
        require_same_origin(&request.to_http_request(), &url()).is_ok()
    }

    #[test]
    fn a_cookie_counts_only_for_our_own_pages() {
        assert!(allowed(&[("sec-fetch-site", "same-origin")]));
        assert!(allowed(&[("origin", "https://line.shop.example")]));
        assert!(!allowed(&[]));
        assert!(!allowed(&[("origin", "null")]));
        assert!(!allowed(&[("origin", "https://line.shop.example.evil.example")]));
        assert!(!allowed(&[("origin", "http://line.shop.example")]));
        for site in ["same-site", "cross-site", "none", "SAME-ORIGIN"] {
            // Sec-Fetch-Site can't be forged by a page, so it wins over a fitting Origin.
            assert!(!allowed(&[("sec-fetch-site", site), ("origin", "https://line.shop.example")]), "{site}");
        }
    }

    #[test]
    fn a_first_join_is_refused_to_other_sites_only() {
        let check = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
            refuse_other_sites(&request.to_http_request(), &url()).is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("origin", "https://line.shop.example")]));
        assert!(!check(&[("origin", "https://evil.example")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn names_follow_the_transport() {
        let room = RoomId::parse("main").unwrap();
        assert_eq!(name(Purpose::Ticket, &room, Transport::Https), "__Host-dropgate_ticket_main");
        assert_eq!(name(Purpose::Session, &room, Transport::Http), "dropgate_session_main");
    }

    #[test]
    fn a_host_cookie_is_secure_and_bound_to_the_whole_host() {
        let text = cookie("__Host-x".into(), "v".into(), COOKIE_LIFE, Transport::Https).to_string();
        assert_eq!(text, "__Host-x=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400");
        let local = cookie("x".into(), "v".into(), COOKIE_LIFE, Transport::Http).to_string();
        assert_eq!(local, "x=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400");
    }

    #[test]
    fn every_value_of_a_name_is_seen_and_no_other_name() {
        let request = TestRequest::get()
            .append_header(("cookie", "a=1; xa=2;a=3"))
            .append_header(("cookie", "ab=4; a=5=6"))
            .to_http_request();
        let seen: Vec<&str> = values(request.headers(), "a").collect();
        assert_eq!(seen, ["1", "3", "5=6"]);
    }
}
