//! The demo shop: a product behind the gate, a basket, an order. It stands to Dropgate as any shop does: each page
//! first asks the gate as a forward-auth gateway would ([`gate`]), and what is sold it sells through the sale's calls
//! with a key of scope `shop` ([`till`]). It counts nothing itself, and the sale ends the sessions of those who bought.
//!
//! What it remembers is in [`books`]; [`product`], [`basket`] and [`orders`] are its pages, [`pages`] their words.
//! The way back from the payment provider does not ask the gate: whoever has paid must get an answer, even if the
//! session ended meanwhile.

mod basket;
pub mod books;
pub mod gate;
pub mod orders;
pub mod pages;
mod product;
pub mod till;

use std::net::{SocketAddr, TcpListener};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::StatusCode,
    web,
};
use secrecy::SecretString;

use self::{
    books::Books,
    gate::{Gate, Guest, is_own_form},
    pages::{Notice, refuse},
    till::Till,
};
use super::provider::{self, Provider};
use crate::clock::Clock;

/// The product's page.
pub const PRODUCT: &str = "/drop";

/// Threads of the shop: it does next to nothing, and the machine has better things to do.
const WORKERS: usize = 1;

/// Open connections: those of the whole crowd at once, and some.
const CONNECTIONS_MAX: usize = 20_000;

/// The longest name of a form: what the page draws is shorter.
const ONCE_MAX_BYTES: usize = 64;

/// The shop.
pub struct Shop {
    pub gate: Gate,
    pub till: Till,
    pub books: Books,
    pub clock: Clock,
    /// What the payment provider proves itself with.
    pub provider_secret: SecretString,
}

/// A running shop.
pub struct Running {
    pub server: Server,
    pub handle: ServerHandle,
}

/// The place that a session's name tells: `<epoch>-<position>-<tag>`.
pub fn place_of(session: &str) -> Option<u64> {
    session.split('-').nth(1)?.parse().ok()
}

/// Opens the shop on a listener, and the payment provider with it.
///
/// # Errors
/// The listener can't be used.
pub fn open(shop: web::Data<Shop>, provider: web::Data<Provider>, listener: TcpListener) -> std::io::Result<Running> {
    let app = move || {
        App::new()
            .app_data(shop.clone())
            .app_data(provider.clone())
            .configure(product::configure)
            .configure(basket::configure)
            .configure(orders::configure)
            .configure(provider::configure)
            .configure(pages::configure)
            .default_service(web::to(nowhere))
    };
    let server = HttpServer::new(app)
        .workers(WORKERS)
        .max_connections(CONNECTIONS_MAX)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
    let handle = server.handle();
    Ok(Running { server, handle })
}

impl Shop {
    /// Who comes for a page; else what the gate has to say.
    async fn guest(&self, request: &HttpRequest) -> Result<Guest, HttpResponse> {
        self.gate.ask(request, &self.books).await
    }

    /// Who sends a form, if it is one of ours.
    async fn guest_with_form(&self, request: &HttpRequest) -> Result<Guest, HttpResponse> {
        if !is_own_form(request) {
            return Err(refuse(StatusCode::FORBIDDEN, Notice::foreign_form()));
        }
        self.guest(request).await
    }
}

/// Whether a form may have this name: what the page draws has nothing else in it.
fn is_once(once: &str) -> bool {
    (1..=ONCE_MAX_BYTES).contains(&once.len()) && once.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A name for a form, so that pressing its button twice is once.
fn new_once() -> String {
    format!("{:032x}", rand::random::<u128>())
}

async fn nowhere() -> HttpResponse {
    refuse(StatusCode::NOT_FOUND, Notice::plain("There is no such page in this shop."))
}

/// A listener on a free port of the same address.
///
/// # Errors
/// The address has no free port, or is none of this machine's.
pub fn listener_beside(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address.ip(), 0))
}
