//! A shop with stock: its way to a sale, what the events of the sale tell, and what its buyers know.

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    client::{answer, json_of, plain},
    server::{ADMIN_KEY, Server},
};

/// The one SKU of the sales here.
pub const SKU: &str = "shoe";

/// A shop's way to its sale.
#[derive(Clone)]
pub struct Shop {
    pub client: Client,
    pub sale: String,
}

/// What folding all events gives.
#[derive(Debug, Default)]
pub struct Told {
    pub total: i64,
    pub available: i64,
    pub held: i64,
    pub sold: i64,
    /// The events about each reservation: type, and order where there is one.
    pub reservations: BTreeMap<String, Vec<Event>>,
    pub last: u64,
    pub cursor: Option<String>,
}

/// An event about a reservation.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub order: Option<String>,
}

impl Shop {
    /// A sale of so many shoes, with `settings` on top.
    pub async fn open(server: &Server, total: u64, settings: Value) -> Self {
        let shop = Self::of(server);
        shop.put(total, settings).await;
        shop
    }

    /// Makes the sale, with `settings` on top.
    pub async fn put(&self, total: u64, settings: Value) {
        let mut document = json!({ "name": "Drop", "items": [{ "sku": SKU, "name": "Shoe", "total": total }] });
        for (name, value) in settings.as_object().unwrap() {
            document[name] = value.clone();
        }
        let (status, body) = json_of(self.keyed(Method::PUT, "").json(&document).send().await.unwrap()).await;
        assert_eq!(status, 201, "{body}");
    }

    /// The sale `drop` on a server.
    pub fn of(server: &Server) -> Self {
        Self::named(server.base(), "drop")
    }

    /// A sale on the server at `base`.
    pub fn named(base: &str, sale: &str) -> Self {
        Self { client: plain(), sale: format!("{base}/v1/sales/{sale}") }
    }

    /// Asks for one shoe for this buyer, under a key that is the buyer's name.
    pub fn reserving(&self, buyer: &str) -> RequestBuilder {
        let body = json!({ "lines": [{ "sku": SKU, "quantity": 1 }], "buyer": buyer });
        self.keyed(Method::POST, "/reservations").header("Idempotency-Key", buyer).json(&body)
    }

    /// A call about a reservation.
    pub fn calling(&self, id: &str, call: &str, body: &Value) -> RequestBuilder {
        self.keyed(Method::POST, &format!("/reservations/{id}/{call}")).json(body)
    }

    /// A call to the sale with the operator's key.
    pub fn keyed(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.sale)).bearer_auth(ADMIN_KEY)
    }

    /// Asks for one shoe for this buyer; none if the server went away over it.
    pub async fn reserve(&self, buyer: &str) -> Option<(u16, Value)> {
        answer(self.reserving(buyer)).await
    }

    /// A call about a reservation; none if the server went away over it.
    pub async fn call(&self, id: &str, call: &str, body: Value) -> Option<(u16, Value)> {
        answer(self.calling(id, call, &body)).await
    }

    /// What a reservation is now.
    pub async fn look(&self, id: &str) -> (u16, Value) {
        answer(self.keyed(Method::GET, &format!("/reservations/{id}"))).await.unwrap()
    }

    /// Folds the events that `told` does not have yet, and holds the books against them.
    pub async fn audit(&self, told: &mut Told) {
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
            // The feed goes on from what the store still had: what it lost and got back is told again after this.
            "sale.rewound" => (0, 0, 0),
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
    pub fn story(&self, id: &str) -> Vec<(&str, Option<&str>)> {
        let mut story = Vec::new();
        for event in self.reservations.get(id).into_iter().flatten() {
            story.push((event.kind.trim_start_matches("reservation."), event.order.as_deref()));
        }
        story
    }

    /// How many events of that type there were about reservations.
    pub fn count(&self, kind: &str) -> usize {
        self.reservations.values().flatten().filter(|event| event.kind == kind).count()
    }
}

/// How far a buyer got, as far as the buyer knows: the last call that was sent, and whether its answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Held,
    Confirming,
    Confirmed,
    Releasing,
    Released,
}

/// A buyer comes back: what is known still holds.
pub async fn hold_against(shop: &Shop, told: &Told, id: &str, known: Known) {
    let (status, seen) = shop.look(id).await;
    assert_eq!(status, 200, "{id}, {known:?}, is lost: {seen}");
    let state = seen["state"].as_str().unwrap();
    let possible: &[&str] = match known {
        Known::Held => &["held"],
        Known::Confirming => &["held", "confirmed"],
        Known::Confirmed => &["confirmed"],
        Known::Releasing => &["held", "released"],
        Known::Released => &["released"],
    };
    assert!(possible.contains(&state), "{id} was {known:?} and is {state}");
    let order = told.story(id).last().and_then(|(_, order)| *order).map(Value::from);
    if state == "confirmed" {
        assert_eq!((order, &seen["order"]), (Some(json!(id)), &json!(id)), "under another order");
    }
}
