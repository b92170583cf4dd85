//! The demo shop: a product behind the gate, and an order. It stands to Dropgate as any shop does: each page first
//! asks the gate as a forward-auth gateway would, and an order ends the session through the API with a `shop` key.

use std::{
    collections::{BTreeSet, HashMap},
    net::{SocketAddr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
    web,
};
use askama::Template;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};

use super::visitor::SESSION_HEADER;

/// The style of the shop's pages.
pub const STYLE: &str = include_str!("../../templates/demo.css");

/// The product's page.
pub const PRODUCT: &str = "/drop";

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

/// Threads of the shop: it does next to nothing, and the machine has better things to do.
const WORKERS: usize = 1;

/// Open connections: those of the whole crowd at once, and some.
const CONNECTIONS_MAX: usize = 20_000;

/// The shop's own knowledge. Its stock is a plain count in memory: a shop that knows its stock needs no more, and
/// nothing else in this version does.
pub struct Shop {
    /// The gate's address for this room: `…/gate/main/redirect`.
    pub gate: String,
    /// The calls of the room's sessions: `…/v1/rooms/main/sessions`.
    pub sessions: String,
    /// A key of scope `shop`.
    pub key: SecretString,
    pub client: Client,
    pub total: u64,
    pub books: Mutex<Books>,
}

/// Who came, and what was sold.
#[derive(Debug, Default)]
pub struct Books {
    sold: u64,
    /// The order of each session: asked twice, it is the same order.
    by_session: HashMap<String, u64>,
    /// The places of everyone who was let in, as their sessions name them.
    let_in: BTreeSet<u64>,
}

/// A running shop.
pub struct Running {
    pub server: Server,
    pub handle: ServerHandle,
}

#[derive(Template)]
#[template(path = "demo_product.html")]
struct ProductPage {
    total: u64,
    left: u64,
    session: Option<String>,
}

#[derive(Template)]
#[template(path = "demo_order.html")]
struct OrderPage {
    order: Option<u64>,
}

impl Books {
    /// Takes a unit for a session; its order's number, or none when all `total` are sold.
    pub fn take(&mut self, session: &str, total: u64) -> Option<u64> {
        if let Some(order) = self.by_session.get(session) {
            return Some(*order);
        }
        if self.sold >= total {
            return None;
        }
        self.sold += 1;
        self.by_session.insert(session.to_owned(), self.sold);
        Some(self.sold)
    }

    /// Notes who was let in.
    pub fn welcome(&mut self, session: &str) {
        self.let_in.extend(place_of(session));
    }
}

/// The place that a session's name tells: `<epoch>-<position>-<tag>`.
pub fn place_of(session: &str) -> Option<u64> {
    session.split('-').nth(1)?.parse().ok()
}

impl Shop {
    /// Opens the shop on a listener.
    ///
    /// # Errors
    /// The listener can't be used.
    pub fn open(shop: web::Data<Self>, listener: TcpListener) -> std::io::Result<Running> {
        let app = move || {
            App::new()
                .app_data(shop.clone())
                .route("/", web::get().to(home))
                .route(PRODUCT, web::get().to(product))
                .route("/order", web::post().to(order))
        };
        let server = HttpServer::new(app)
            .workers(WORKERS)
            .max_connections(CONNECTIONS_MAX)
            .disable_signals()
            .listen(listener)?
            .run();
        Ok(Running { handle: server.handle(), server })
    }

    /// Units sold so far.
    pub fn sold(&self) -> u64 {
        self.books().sold
    }

    /// The places of everyone who was let in so far.
    pub fn let_in(&self) -> BTreeSet<u64> {
        self.books().let_in.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the gate about a request: the session it lets in, or what to answer instead.
    async fn gate(&self, request: &HttpRequest) -> Result<String, HttpResponse> {
        let mut question = self.client.get(&self.gate);
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
        let answer = question
            .header("x-forwarded-method", request.method().as_str())
            .header("x-forwarded-uri", request.uri().path_and_query().map_or("/", |uri| uri.as_str()))
            .header("x-forwarded-for", request.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default())
            .send()
            .await;
        // A gate that does not answer lets nobody in: the shop is what it protects.
        let Ok(answer) = answer else {
            return Err(HttpResponse::ServiceUnavailable().body("the gate does not answer"));
        };
        if answer.status() == reqwest::StatusCode::OK {
            let session = answer.headers().get("x-dropgate-session").and_then(|value| value.to_str().ok());
            let session = session.unwrap_or_default();
            self.books().welcome(session);
            return Ok(session.to_owned());
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

    /// Ends a session whose visitor has bought. Best effort: it ends by itself at its deadline.
    async fn finish(&self, session: &str) {
        let url = format!("{}/{session}/finish", self.sessions);
        let asked = self.client.post(url).bearer_auth(self.key.expose_secret()).json(&serde_json::json!({}));
        match asked.send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "the shop could not end a session"),
            Err(error) => tracing::warn!(%error, "the shop could not end a session"),
        }
    }
}

async fn home() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, PRODUCT)).finish()
}

async fn product(request: HttpRequest, shop: web::Data<Shop>) -> HttpResponse {
    match shop.gate(&request).await {
        Ok(session) => {
            let page = ProductPage {
                total: shop.total,
                left: shop.total - shop.sold(),
                session: Some(session.clone()).filter(|session| !session.is_empty()),
            };
            show(&page, StatusCode::OK, &session)
        }
        Err(refusal) => refusal,
    }
}

async fn order(request: HttpRequest, shop: web::Data<Shop>) -> HttpResponse {
    let session = match shop.gate(&request).await {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    let order = shop.books().take(&session, shop.total);
    shop.finish(&session).await;
    let status = if order.is_some() { StatusCode::OK } else { StatusCode::GONE };
    show(&OrderPage { order }, status, &session)
}

fn show(page: &impl Template, status: StatusCode, session: &str) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((SESSION_HEADER, session))
            .body(html),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// A listener on a free port of the same address.
///
/// # Errors
/// The address has no free port, or is none of this machine's.
pub fn listener_beside(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address.ip(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_is_sold_once_and_an_order_repeats() {
        let mut orders = Books::default();
        assert_eq!(orders.take("a", 2), Some(1));
        assert_eq!(orders.take("a", 2), Some(1), "asked twice");
        assert_eq!(orders.take("b", 2), Some(2));
        assert_eq!(orders.take("c", 2), None);
        assert_eq!((orders.take("b", 2), orders.sold), (Some(2), 2));
    }
}
