//! The door of the shop: each page first asks the gate, as a forward-auth gateway would, and learns who comes.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite},
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use reqwest::Client;

use super::{books::Books, place_of};
use crate::demo::browser::send;

/// What the shop's pages hand on to the gate of a request: what it needs to tell visitors and navigations apart.
const HANDED_ON: [HeaderName; 5] = [
    header::COOKIE,
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::USER_AGENT,
    HeaderName::from_static("sec-fetch-mode"),
];

/// What is kept of the gate's refusal: enough to send the visitor on, and never a hop-by-hop header.
const HANDED_BACK: [&str; 5] = ["location", "set-cookie", "cache-control", "retry-after", "content-type"];

/// The shop's own cookie, for whoever the gate lets in without a name.
const COOKIE: &str = "windhaus";

/// The gate of the shop's room.
pub struct Gate {
    /// Its address: `…/gate/main/redirect`.
    pub url: String,
    pub client: Client,
}

/// Who is in the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What the gate called the session.
    pub session: String,
    /// Under which name they buy: the session's, so that the sale knows whom the line let in; where the gate is open
    /// and names nobody, one that the shop keeps in a cookie of its own.
    pub buyer: String,
    /// Whether that cookie is still to be set.
    is_new: bool,
}

impl Gate {
    /// Asks the gate about a request: whom it lets in, or what to answer instead.
    pub async fn ask(&self, request: &HttpRequest, books: &Books) -> Result<Guest, HttpResponse> {
        let mut question = self.client.get(&self.url);
        for name in &HANDED_ON {
            for value in request.headers().get_all(name) {
                question = question.header(name.as_str(), value.as_bytes());
            }
        }
        // A block, for what it borrows must not be held while the gate is waited for.
        {
            let connection = request.connection_info();
            question =
                question.header("x-forwarded-proto", connection.scheme()).header("x-forwarded-host", connection.host());
        }
        let question = question
            .header("x-forwarded-method", request.method().as_str())
            .header("x-forwarded-uri", request.uri().path_and_query().map_or("/", |uri| uri.as_str()))
            .header("x-forwarded-for", request.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default());
        let answer = send(question).await;
        // A gate that does not answer lets nobody in: the shop is what it protects.
        let Ok(answer) = answer else {
            return Err(HttpResponse::ServiceUnavailable().body("the gate does not answer"));
        };
        if answer.status() == reqwest::StatusCode::OK {
            let session = answer.headers().get("x-dropgate-session").and_then(|value| value.to_str().ok());
            let session = session.unwrap_or_default();
            books.welcome(session);
            return Ok(Guest::of(session, request));
        }
        let status = StatusCode::from_u16(answer.status().as_u16());
        let mut refusal = HttpResponse::build(status.unwrap_or(StatusCode::BAD_GATEWAY));
        for name in HANDED_BACK {
            for value in answer.headers().get_all(name) {
                refusal.append_header((name, value.as_bytes()));
            }
        }
        Err(refusal.body(answer.bytes().await.unwrap_or_default()))
    }
}

impl Guest {
    fn of(session: &str, request: &HttpRequest) -> Self {
        let session = session.to_owned();
        if place_of(&session).is_some() {
            return Self { buyer: session.clone(), session, is_new: false };
        }
        match request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()).filter(|name| is_name(name)) {
            Some(buyer) => Self { session, buyer, is_new: false },
            None => Self { session, buyer: format!("guest-{:032x}", rand::random::<u128>()), is_new: true },
        }
    }

    /// The cookie to set, if there is one. Lax: no form of a stranger brings it.
    pub fn cookie(&self) -> Option<Cookie<'static>> {
        let cookie = Cookie::build(COOKIE, self.buyer.clone()).path("/").http_only(true).same_site(SameSite::Lax);
        self.is_new.then(|| cookie.finish())
    }
}

fn is_name(name: &str) -> bool {
    let tag = name.strip_prefix("guest-").unwrap_or_default();
    tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a form comes from a page of this shop: a browser says so itself, or names the page's origin.
pub fn is_own_form(request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    match header("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => {
            let connection = request.connection_info();
            let own = format!("{}://{}", connection.scheme(), connection.host());
            header("origin").is_some_and(|origin| origin == own)
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_forms_of_the_shops_own_pages_count() {
        let form = |name: &'static str, value: &'static str| {
            let request = TestRequest::post().insert_header(("host", "shop.example")).insert_header((name, value));
            is_own_form(&request.to_http_request())
        };
        assert!(form("sec-fetch-site", "same-origin"));
        assert!(form("origin", "http://shop.example"));
        for other in ["cross-site", "same-site", "none"] {
            assert!(!form("sec-fetch-site", other));
        }
        assert!(!form("origin", "http://evil.example"));
        assert!(!form("x-nothing", "said"));
    }

    #[test]
    fn whoever_the_line_let_in_buys_under_the_sessions_name_and_others_under_a_cookie() {
        let request = TestRequest::get().to_http_request();
        let guest = Guest::of("0-17-0123456789abcdef", &request);
        assert_eq!(guest.buyer, guest.session);
        assert_eq!(guest.cookie(), None);

        let stranger = Guest::of("open", &request);
        let cookie = stranger.cookie().unwrap();
        assert_eq!(cookie.value(), stranger.buyer);
        let again = TestRequest::get().cookie(cookie).to_http_request();
        let again = Guest::of("open", &again);
        assert_eq!((&again.buyer, again.cookie()), (&stranger.buyer, None));
        let forged = TestRequest::get().cookie(Cookie::new(COOKIE, "0-17-0123456789abcdef")).to_http_request();
        assert!(Guest::of("open", &forged).buyer.starts_with("guest-"), "no cookie makes a session");
    }
}
