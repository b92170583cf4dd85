//! The visitors' calls and the manners of the whole, over one instance with a clock that stands.

pub(crate) mod bench;
mod errors;
mod line;
mod pages;
mod shortcuts;
mod status;
mod stock;

use actix_web::{
    http::{Method, header},
    test::TestRequest,
};
use serde_json::{Value, json};

use super::{
    Surface,
    testing::{Bench, Reply},
};

/// The name of the room's ticket cookie.
const TICKET_COOKIE: &str = "__Host-dropgate_ticket_main";

impl Bench {
    /// An instance with the room `main`, `settings` on top of the defaults.
    async fn with_room(settings: Value) -> Self {
        let bench = Self::new().await;
        bench.make_room("main", settings).await;
        bench
    }

    async fn make_room(&self, id: &str, settings: Value) {
        let mut document = json!({ "name": id, "shop_url": "https://shop.example/" });
        for (name, value) in settings.as_object().unwrap() {
            document[name] = value.clone();
        }
        let made = self.call(Method::PUT, &format!("/v1/rooms/{id}"), document).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    async fn patch_room(&self, settings: Value) {
        let patched = self.call(Method::PATCH, "/v1/rooms/main", settings).await;
        assert_eq!(patched.status, 200, "{}", patched.body);
    }

    /// GET as anybody.
    async fn get(&self, path: &str) -> Reply {
        self.send(Surface::All, TestRequest::get().uri(path)).await
    }

    /// GET with the ticket an app holds.
    async fn get_with(&self, ticket: &str, path: &str) -> Reply {
        self.send(Surface::All, TestRequest::get().uri(path).insert_header(("X-Dropgate-Ticket", ticket))).await
    }

    /// POST as anybody.
    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Surface::All, TestRequest::post().uri(path).set_json(body)).await
    }

    /// POST with the ticket an app holds.
    async fn post_with(&self, ticket: &str, path: &str, body: Value) -> Reply {
        let request = TestRequest::post().uri(path).insert_header(("X-Dropgate-Ticket", ticket));
        self.send(Surface::All, request.set_json(body)).await
    }

    /// POST as a form of our own page would, with its cookie.
    async fn submit(&self, ticket: Option<&str>, path: &str) -> Reply {
        let mut request = TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", "same-origin"));
        if let Some(ticket) = ticket {
            request = request.insert_header((header::COOKIE, format!("{TICKET_COOKIE}={ticket}")));
        }
        self.send(Surface::All, request.insert_header(("Sec-Fetch-Mode", "navigate"))).await
    }

    /// Joins and tells the ticket.
    async fn join(&self) -> String {
        let joined = self.post("/v1/rooms/main/tickets", json!({})).await;
        assert_eq!(joined.status, 201, "{}", joined.body);
        joined.body["ticket"].as_str().unwrap().to_owned()
    }

    /// What a claim of that ticket is answered.
    async fn claim(&self, ticket: &str) -> Reply {
        self.post_with(ticket, "/v1/rooms/main/passes", json!({})).await
    }
}

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Whether an answer is a well-formed problem of that status and code.
#[track_caller]
fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.body["type"], format!("urn:dropgate:{code}"), "{}", reply.body);
    assert_eq!(reply.body["status"], status);
    for field in ["title", "detail", "instance"] {
        assert!(reply.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {}", reply.body);
    }
}
