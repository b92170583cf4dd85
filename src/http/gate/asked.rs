//! What the visitor asked the shop for, as the gateway tells of it.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{self, HeaderMap},
    },
};

use super::Door;
use crate::{
    http::problem::{Code, Problem},
    instance::LiveRoom,
    token::{
        ReturnPolicy,
        return_url::{self, Address, Refused, Scheme},
    },
};

/// What the visitor asked the shop for.
pub(super) struct Asked<'a> {
    /// How the visitor's browser reaches the shop.
    pub scheme: Scheme,
    /// The host, in lower case and without a port.
    pub host: String,
    pub kind: Kind,
    /// The value of the parameter `dropgate`, as it stands.
    pub parameter: Option<String>,
    /// The address without that parameter, where it is one that can be repeated in a `Location`.
    pub clean: Option<String>,
    /// Where the visitor is to come back to after waiting; the shop's front door if none.
    pub back: Option<String>,
    /// Whether it is the waiting room itself that stands behind the gate: nobody would ever get there.
    pub is_waiting_room: bool,
    /// The visitor's own headers, with cookies.
    pub headers: &'a HeaderMap,
}

/// What sort of request it is: pages can be redirected, anything else would take the redirect for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page is being opened.
    Page,
    /// A page is asked for without its body, as link checkers do.
    PageHead,
    /// A page is fetched ahead of its opening, which may never come.
    Prefetch,
    /// A GET that is no page by any sign, and no script's or picture's either: apps and command lines.
    Plain,
    /// Pictures, scripts, calls, and forms being sent.
    Other,
}

impl Kind {
    fn of(method: &Method, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mode = text("sec-fetch-mode");
        let opens_page = match mode {
            Some(mode) => mode == "navigate",
            None => text("accept").is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html")),
        };
        // `prefetch;prerender` and the like too; the older names are still sent by some.
        let ahead = ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().filter_map(text).any(|purpose| {
            purpose.contains("prefetch") || purpose.contains("preview") || purpose.contains("prerender")
        });
        match *method {
            Method::GET if ahead => Self::Prefetch,
            Method::GET if opens_page => Self::Page,
            Method::HEAD if opens_page && !ahead => Self::PageHead,
            Method::GET if mode.is_none() => Self::Plain,
            _ => Self::Other,
        }
    }

    /// Whether an entry pass may be exchanged by it: not by what another site can make a browser load, nor by
    /// what never gets to see the cookie.
    pub fn may_exchange(self) -> bool {
        matches!(self, Self::Page | Self::Plain)
    }
}

impl<'a> Asked<'a> {
    /// Reads what the gateway tells. Its headers count, for it is a trusted one.
    pub fn read(door: Door, request: &'a HttpRequest, room: &LiveRoom) -> Result<Self, Problem> {
        let policy = &room.return_policy;
        let told = match door {
            Door::Redirect => redirect_tells(request)?,
            Door::Nginx => nginx_tells(request)?,
            Door::Envoy => envoy_tells(request, room.id.as_str(), policy.shop().as_str())?,
        };
        let (address, path) = read_address(&told.origin, &told.path, policy)?;
        let url = format!("{}{path}", address.origin());
        let without = return_url::cut_parameter(&url);
        let (clean, is_own) = match policy.inspect(&without) {
            Ok(_) => (Some(without), false),
            // Where we share a host with the shop, its addresses are ours too, and good for a hop.
            Err(Refused::Own) => (Some(without), true),
            Err(_) => (None, false),
        };
        let kind = Kind::of(&told.method, request.headers());
        let back = match kind {
            Kind::Page | Kind::PageHead | Kind::Prefetch => clean.clone(),
            // Nobody wants to come back to a picture or to where a form was sent, but to the page it stood on.
            Kind::Plain | Kind::Other => header_text(request, header::REFERER.as_str()).map(str::to_owned),
        };
        Ok(Self {
            scheme: address.scheme(),
            host: address.host_text(),
            kind,
            parameter: return_url::parameter(&url).map(str::to_owned),
            back: back.and_then(|back| policy.check(&back)).map(|back| back.as_str().to_owned()),
            is_waiting_room: is_own && is_path_of(&path, room.id.as_str()),
            clean,
            headers: request.headers(),
        })
    }
}

/// What a gateway tells, in pieces: where (`https://host:port`), what there, and how.
struct Told {
    origin: String,
    path: String,
    method: Method,
}

fn redirect_tells(request: &HttpRequest) -> Result<Told, Problem> {
    let host = required(request, "x-forwarded-host")?;
    let scheme = scheme_of(required(request, "x-forwarded-proto")?)?;
    let path = match raw(request, "x-forwarded-uri")? {
        Some(path) => escape(path),
        None => "/".to_owned(),
    };
    Ok(Told { origin: format!("{}{host}", scheme.prefix()), path, method: method(request, "x-forwarded-method") })
}

fn nginx_tells(request: &HttpRequest) -> Result<Told, Problem> {
    let url = raw(request, "x-original-url")?.ok_or_else(|| missing("x-original-url"))?;
    let url = escape(url);
    let (scheme, rest) = url.split_once("://").ok_or_else(|| unreadable("x-original-url"))?;
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let origin = format!("{}{host}", scheme_of(scheme)?.prefix());
    Ok(Told { origin, path: path.to_owned(), method: method(request, "x-original-method") })
}

fn envoy_tells(request: &HttpRequest, room: &str, shop_url: &str) -> Result<Told, Problem> {
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => required(request, header::HOST.as_str())?,
    };
    let scheme = match raw(request, "x-forwarded-proto")? {
        Some(_) => scheme_of(required(request, "x-forwarded-proto")?)?,
        None if shop_url.starts_with(Scheme::Http.prefix()) => Scheme::Http,
        None => Scheme::Https,
    };
    let whole = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let door = format!("/gate/{room}/envoy");
    let path = whole.strip_prefix(&door).ok_or_else(|| unreadable("the path"))?.to_owned();
    Ok(Told { origin: format!("{}{host}", scheme.prefix()), path, method: request.method().clone() })
}

/// The address in its canonical form, if host and port are the room's. A gateway that does not know that TLS ends in
/// front of it says http: where the shop is reached by https alone, that is what is meant.
fn read_address(origin: &str, path: &str, policy: &ReturnPolicy) -> Result<(Address, String), Problem> {
    let (address, rest) = Address::read(origin).ok_or_else(foreign_host)?;
    if !rest.is_empty() {
        return Err(foreign_host());
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    match policy.admits(&address) {
        Ok(()) => return Ok((address, path)),
        Err(Refused::Plain) => {}
        Err(_) if address.scheme() == Scheme::Http => {}
        Err(_) => return Err(foreign_host()),
    }
    let secured = address.secured();
    policy.admits(&secured).map_err(|_| foreign_host())?;
    Ok((secured, path))
}

/// Whether a path is one of ours for a room. Ours are plain; dots and escapes might mean another path to the shop
/// than to us, and would lead past the gate.
fn is_path_of(path: &str, room: &str) -> bool {
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    let is_plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_'));
    let below = |ours: String| path.strip_prefix(&ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_plain && (below(format!("/w/{room}")) || below(format!("/v1/rooms/{room}")))
}

fn method(request: &HttpRequest, name: &str) -> Method {
    let told = header_text(request, name).and_then(|name| Method::from_bytes(name.as_bytes()).ok());
    told.unwrap_or_else(|| request.method().clone())
}

fn scheme_of(text: &str) -> Result<Scheme, Problem> {
    match text {
        "https" | "wss" => Ok(Scheme::Https),
        "http" | "ws" => Ok(Scheme::Http),
        _ => Err(unreadable("the scheme")),
    }
}

/// The one value of a header. Two of them are one too many: somebody forgot to take away what the visitor sent.
fn raw<'a>(request: &'a HttpRequest, name: &str) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = request.headers().get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.as_bytes())),
        (Some(_), Some(_)) => Err(unreadable(name)),
    }
}

fn required<'a>(request: &'a HttpRequest, name: &str) -> Result<&'a str, Problem> {
    let value = raw(request, name)?.ok_or_else(|| missing(name))?;
    std::str::from_utf8(value).map_err(|_| unreadable(name))
}

fn header_text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// What stands in a request line beyond ASCII, escaped as browsers do before they send it.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn foreign_host() -> Problem {
    Problem::new(Code::Forbidden, "the host is not one of this room's: see shop_url and allowed_hosts")
}

fn missing(name: &str) -> Problem {
    Problem::invalid_field(name, "the gateway did not send this header")
}

fn unreadable(name: &str) -> Problem {
    Problem::invalid_field(name, "the gateway sent this in a form that can't be read, or twice")
}
