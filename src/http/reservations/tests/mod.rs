//! The calls about reservations, over one instance with a clock that stands.

mod bodies;
mod calls;
mod deadline;
mod origins;
mod passes;
mod provider;
mod reserve;
mod thrice;

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};

use crate::{
    http::{
        Surface,
        testing::{Bench, Reply},
    },
    sale::{Command, Event, EventKind, Outcome, view::Item},
    store::catalog::Expect,
};

/// Where the sale's reservations are.
const HERE: &str = "/v1/sales/drop/reservations";

/// An instance with the room `main` and the sale `drop`, and the key of a shop.
struct Counter {
    bench: Bench,
    shop: String,
}

impl Counter {
    /// Ten of `shoe`, three of `sock`, at most four shoes a buyer; `settings` on top.
    async fn with(settings: Value) -> Self {
        let bench = Bench::new().await;
        bench.room().await;
        let shoe = json!({ "sku": "shoe", "name": "Shoe", "total": 10, "per_buyer": 4 });
        let sock = json!({ "sku": "sock", "name": "Sock", "total": 3 });
        let mut document = json!({ "id": "drop", "name": "Drop", "items": [shoe, sock] });
        for (name, value) in settings.as_object().unwrap() {
            document[name] = value.clone();
        }
        let document = serde_json::from_value(document).unwrap();
        bench.context.instance.put_sale(&document, Expect::Absent).await.unwrap();
        let (shop, _) = bench.key(&["shop"], Value::Null).await;
        Self { bench, shop }
    }

    async fn open() -> Self {
        Self::with(json!({})).await
    }

    /// Sends a request with these headers; a body of null is none.
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let request = headers.iter().fold(TestRequest::default().method(method).uri(path), |request, header| {
            request.insert_header((header.0, header.1.to_owned()))
        });
        let request = if body.is_null() { request } else { request.set_json(body) };
        self.bench.send(Surface::All, request).await
    }

    /// Reserves as the shop.
    async fn reserve(&self, key: &str, body: Value) -> Reply {
        let shop = format!("Bearer {}", self.shop);
        self.send(Method::POST, HERE, &[("Authorization", &shop), ("Idempotency-Key", key)], &body).await
    }

    /// Reserves so many shoes as the shop, and must get them.
    async fn hold(&self, key: &str, shoes: u64) -> Hold {
        let reply = self.reserve(key, json!({ "lines": [{ "sku": "shoe", "quantity": shoes }] })).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let text = |field: &str| reply.body[field].as_str().unwrap().to_owned();
        Hold { path: reply.header("location").to_owned(), token: text("token"), id: text("id") }
    }

    /// POSTs a call about a reservation, as the shop.
    async fn as_shop(&self, hold: &Hold, call: &str, body: Value) -> Reply {
        let shop = format!("Bearer {}", self.shop);
        self.send(Method::POST, &format!("{}/{call}", hold.path), &[("Authorization", &shop)], &body).await
    }

    /// POSTs a call about a reservation, with its token.
    async fn as_holder(&self, hold: &Hold, call: &str, body: Value) -> Reply {
        let headers = [("X-Dropgate-Reservation", hold.token.as_str())];
        self.send(Method::POST, &format!("{}/{call}", hold.path), &headers, &body).await
    }

    /// The reservation, by its token.
    async fn look(&self, hold: &Hold) -> Reply {
        self.send(Method::GET, &hold.path, &[("X-Dropgate-Reservation", &hold.token)], &Value::Null).await
    }

    /// The books: (SKU, available, held, sold), and the number of the last event.
    async fn books(&self) -> (Vec<(String, u64, u64, u64)>, u64) {
        let sale = self.bench.context.instance.sale("drop").unwrap();
        let Outcome::Items(view) = sale.lane.submit(Command::Items).await.unwrap().outcome else { panic!() };
        let book = |item: &Item| {
            assert_eq!(item.available + item.held + item.sold, item.total);
            (item.sku.to_string(), item.available, item.held, item.sold)
        };
        (view.items.iter().map(book).collect(), view.seq)
    }

    /// The shoes available, held and sold.
    async fn shoes(&self) -> (u64, u64, u64) {
        let (_, available, held, sold) = self.books().await.0.swap_remove(0);
        (available, held, sold)
    }
}

/// A reservation as its maker knows it.
struct Hold {
    path: String,
    token: String,
    id: String,
}

/// Whether an answer is a problem of that status and code.
#[track_caller]
fn assert_problem(reply: &Reply, status: u16, code: &str) {
    let kind = format!("urn:dropgate:{code}");
    assert_eq!((reply.status, &reply.body["type"]), (status, &json!(kind)), "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "no-store");
}
