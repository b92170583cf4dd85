//! The stock from outside: buyers and shops over real HTTP, the books held against what the events tell.

mod crash;
mod deadline;
mod feed;
mod line;
mod rush;

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    client::{json_of, plain},
    server::{ADMIN_KEY, Server},
};

/// The one SKU of the sales here.
const SKU: &str = "shoe";

/// A shop's way to its sale.
#[derive(Clone)]
struct Shop {
    client: Client,
    sale: String,
}

/// What folding all events gives.
#[derive(Debug, Default)]
struct Told {
    total: i64,
    available: i64,
    held: i64,
    sold: i64,
    /// The events about each reservation: type, and order where there is one.
    reservations: BTreeMap<String, Vec<Event>>,
    last: u64,
    cursor: Option<String>,
}

/// An event about a reservation.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    kind: String,
    order: Option<String>,
}

impl Shop {
    /// A sale of so many shoes, with `settings` on top.
    async fn open(server: &Server, total: u64, settings: Value) -> Self {
        let mut document = json!({ "name": "Drop", "items": [{ "sku": SKU, "name": "Shoe", "total": total }] });
        for (name, value) in settings.as_object().unwrap() {
            document[name] = value.clone();
        }
        let shop = Self::of(server);
        let (status, body) = json_of(shop.keyed(Method::PUT, "").json(&document).send().await.unwrap()).await;
        assert_eq!(status, 201, "{body}");
        shop
    }

    fn of(server: &Server) -> Self {
        Self { client: plain(), sale: server.url("/v1/sales/drop") }
    }

    fn keyed(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.sale)).bearer_auth(ADMIN_KEY)
    }

    /// Asks for one shoe for this buyer; none if the server went away over it.
    async fn reserve(&self, buyer: &str) -> Option<(u16, Value)> {
        let body = json!({ "lines": [{ "sku": SKU, "quantity": 1 }], "buyer": buyer });
        let request = self.keyed(Method::POST, "/reservations").header("Idempotency-Key", buyer);
        answer(request.json(&body)).await
    }

    /// A call about a reservation; none if the server went away over it.
    async fn call(&self, id: &str, call: &str, body: Value) -> Option<(u16, Value)> {
        answer(self.keyed(Method::POST, &format!("/reservations/{id}/{call}")).json(&body)).await
    }

    async fn look(&self, id: &str) -> (u16, Value) {
        answer(self.keyed(Method::GET, &format!("/reservations/{id}"))).await.unwrap()
    }

    /// Folds the events that `told` does not have yet, and holds the books against them.
    async fn audit(&self, told: &mut Told) {
        loop {
            let after = told.cursor.as_ref().map_or_else(String::new, |cursor| format!("&after={cursor}"));
            let (status, part) = answer(self.keyed(Method::GET, &format!("/events?limit=1000{after}"))).await.unwrap();
            assert_eq!(status, 200, "{part}");
            let events = part["events"].as_array().unwrap();
            events.iter().for_each(|event| told.fold(event));
            told.cursor = Some(part["next"].as_str().unwrap().to_owned());
            if events.is_empty() {
                break;
            }
        }
        let (status, view) = answer(self.keyed(Method::GET, "")).await.unwrap();
        assert_eq!(status, 200, "{view}");
        let column = |name: &str| view["items"][0][name].as_i64().unwrap();
        let books = ["total", "available", "held", "sold"].map(column);
        assert_eq!([told.total, told.available, told.held, told.sold], books, "the events tell other books: {view}");
    }
}

impl Told {
    fn fold(&mut self, event: &Value) {
        assert_eq!(event["seq"].as_u64(), Some(self.last + 1), "a gap before {event}");
        self.last += 1;
        let units = |field: &str| -> i64 {
            let lines = event[field].as_array();
            lines.map_or(0, |lines| lines.iter().map(|line| line["quantity"].as_i64().unwrap()).sum())
        };
        let kind = event["type"].as_str().unwrap();
        let (available, held, sold) = match kind {
            "reservation.held" => (-units("lines"), units("lines"), 0),
            "reservation.released" | "reservation.expired" => (units("lines"), -units("lines"), 0),
            "reservation.confirmed" => (units("returned"), -units("lines") - units("returned"), units("lines")),
            "item.restocked" => (event["delta"].as_i64().unwrap(), 0, 0),
            "reservation.paid_too_late" | "item.all_held" | "item.sold_out" | "item.returned" | "sale.checkpoint" => {
                (0, 0, 0)
            }
            other => panic!("an event nobody knows: {other}"),
        };
        (self.available, self.held, self.sold) = (self.available + available, self.held + held, self.sold + sold);
        self.total += available + held + sold;
        assert!(self.available >= 0 && self.held >= 0, "{event}: oversold");
        if let Some(id) = event["reservation"].as_str() {
            let text = |field: &str| event[field].as_str().map(str::to_owned);
            let event = Event { kind: kind.to_owned(), order: text("order") };
            self.reservations.entry(id.to_owned()).or_default().push(event);
        }
    }

    /// What happened to a reservation, without when.
    fn story(&self, id: &str) -> Vec<(&str, Option<&str>)> {
        let mut story = Vec::new();
        for event in self.reservations.get(id).into_iter().flatten() {
            story.push((event.kind.trim_start_matches("reservation."), event.order.as_deref()));
        }
        story
    }

    /// How many events of that type there were about reservations.
    fn count(&self, kind: &str) -> usize {
        self.reservations.values().flatten().filter(|event| event.kind == kind).count()
    }
}

/// An answer that came whole; none if the server went away over it.
async fn answer(request: RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
