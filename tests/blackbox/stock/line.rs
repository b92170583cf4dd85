//! The line and its sale: as many are called as there are units, what comes back calls the next, and when all is sold
//! everyone who waits is told so.

use std::time::Duration;

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    SOON,
    client::{Browserlike, answer, plain},
    eventually,
    server::{Backend, Home, Server},
    stock::{SKU, Shop},
};

/// What returns calls the next within a second; a machine that does ten other things meanwhile gets another two.
const PROMISED: Duration = Duration::from_secs(3);

/// Somebody who came by the line.
struct Visitor {
    browser: Browserlike,
    pass: String,
    reservation: String,
    token: String,
}

impl Visitor {
    async fn join(server: &Server) -> Self {
        let browser = server.visitor();
        let (status, joined) = browser.post_json("/v1/rooms/main/tickets", Value::Null).await;
        assert_eq!(status, 201, "{joined}");
        Self { browser, pass: String::new(), reservation: String::new(), token: String::new() }
    }

    async fn enter(&mut self) {
        let (status, claimed) = self.browser.post_json("/v1/rooms/main/passes", json!({})).await;
        assert_eq!(status, 200, "{claimed}");
        claimed["pass"].as_str().unwrap().clone_into(&mut self.pass);
    }

    /// Puts a shoe into the basket, which must not be refused: the line led here.
    async fn reserve(&mut self, shop: &Shop) {
        let request = plain().post(format!("{}/reservations", shop.sale)).header("X-Dropgate-Pass", &self.pass);
        let request =
            request.header("Idempotency-Key", "once").json(&json!({ "lines": [{ "sku": SKU, "quantity": 1 }] }));
        let (status, reserved) = answer(request).await.unwrap();
        assert_eq!(status, 201, "led into an empty shop: {reserved}");
        reserved["id"].as_str().unwrap().clone_into(&mut self.reservation);
        reserved["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    async fn release(&self, shop: &Shop) {
        let request = plain().post(format!("{}/reservations/{}/release", shop.sale, self.reservation));
        let request = request.header("X-Dropgate-Reservation", &self.token).json(&json!({}));
        let (status, released) = answer(request).await.unwrap();
        assert_eq!(status, 200, "{released}");
    }

    async fn buy(&self, shop: &Shop) {
        let order = json!({ "order": format!("order-{}", self.reservation) });
        let (status, bought) = shop.call(&self.reservation, "confirm", order).await.unwrap();
        assert_eq!(status, 200, "{bought}");
    }

    async fn place(&self) -> Value {
        let (status, place) = self.browser.get_json("/v1/rooms/main/place").await;
        assert_eq!(status, 200, "{place}");
        place
    }
}

async fn line(server: &Server, settings: Value, people: usize) -> Vec<Visitor> {
    let mut room = json!({ "sale": "drop", "rate_per_minute": 600_000, "join_per_address": 0 });
    for (name, value) in settings.as_object().unwrap() {
        room[name] = value.clone();
    }
    server.put_room("main", room).await;
    let mut visitors = Vec::new();
    for _ in 0..people {
        visitors.push(Visitor::join(server).await);
    }
    visitors
}

async fn status(server: &Server) -> Value {
    server.visitor().get_json("/v1/rooms/main/status").await.1
}

/// Waits until the status says this of its head and its stock.
async fn comes_to(server: &Server, head: u64, stock: &str, patience: Duration) {
    eventually(&format!("head {head}, {stock}"), patience, async || {
        let status = status(server).await;
        if (&status["head"], &status["stock"]) == (&json!(head), &json!(stock)) { Ok(()) } else { Err(status) }
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_line_that_holds_calls_as_many_as_there_are_units(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let home = Home::on(store);
    let server = home.start();
    let shop = Shop::open(&server, 3, json!({ "requires_pass": ["main"], "show_numbers": true })).await;
    let mut visitors = line(&server, json!({ "stock_gate": "hold" }), 6).await;
    comes_to(&server, 3, "in_stock", SOON).await;
    for visitor in &mut visitors[..3] {
        visitor.enter().await;
        assert_eq!(status(&server).await["head"], 3, "those inside have not reserved yet");
    }
    for visitor in &mut visitors[..3] {
        visitor.reserve(&shop).await;
    }
    comes_to(&server, 3, "all_held", SOON).await;
    let told = status(&server).await;
    assert_eq!((&told["stock_held"], &told["held_back"]), (&json!(3), &json!("stock")), "{told}");
    let waits = visitors[3].place().await;
    assert_eq!(
        (&waits["state"], &waits["chance"], &waits["wait_seconds"]),
        (&json!("waiting"), &json!("unlikely"), &Value::Null)
    );

    visitors[1].release(&shop).await;
    comes_to(&server, 4, "in_stock", PROMISED).await;
    visitors[3].enter().await;
    visitors[3].reserve(&shop).await;
    comes_to(&server, 4, "all_held", SOON).await;
    for at in [0, 2, 3] {
        visitors[at].buy(&shop).await;
    }
    comes_to(&server, 4, "sold_out", SOON).await;
    for visitor in &visitors[4..] {
        assert_eq!(visitor.browser.post("/v1/rooms/main/passes", json!({})).await.status(), 202);
        let page = visitor.browser.navigate("/w/main/place").await.text().await.unwrap();
        assert!(page.contains("Sold out") && page.contains("You need not wait."), "{page}");
    }
    assert_eq!(status(&server).await["head"], 4, "nobody was led into an empty shop");
    assert_eq!(server.stop(), 0);
}

#[rstest]
#[tokio::test]
async fn a_hold_that_runs_out_calls_the_next_though_nobody_asks(
    #[values(Backend::Memory, Backend::Redis)] store: Backend,
) {
    let home = Home::on(store);
    let server = home.start();
    let shop = Shop::open(&server, 1, json!({ "requires_pass": ["main"], "hold_seconds": 1 })).await;
    let mut visitors = line(&server, json!({ "stock_gate": "hold" }), 2).await;
    comes_to(&server, 1, "in_stock", SOON).await;
    visitors[0].enter().await;
    visitors[0].reserve(&shop).await;
    comes_to(&server, 2, "in_stock", Duration::from_secs(1) + PROMISED).await;
    visitors[1].enter().await;
    visitors[1].reserve(&shop).await;
    assert_eq!(server.stop(), 0);
}

#[rstest]
#[tokio::test]
async fn who_has_bought_makes_room_for_the_next(#[values(Backend::File, Backend::Redis)] store: Backend) {
    let server = Home::on(store);
    let server = server.start();
    let shop = Shop::open(&server, 9, json!({ "requires_pass": ["main"], "finish_session": true })).await;
    let mut visitors = line(&server, json!({ "max_active": 1 }), 2).await;
    visitors[0].enter().await;
    visitors[0].reserve(&shop).await;
    assert_eq!(visitors[1].place().await["state"], "waiting", "the shop is full");
    visitors[0].buy(&shop).await;
    eventually("the next is called", PROMISED, async || {
        let place = visitors[1].place().await;
        if place["state"] == "called" { Ok(()) } else { Err(place) }
    })
    .await;
    visitors[1].enter().await;
    assert_eq!(visitors[0].place().await["state"], "over");
    let (code, view) = answer(shop.keyed(Method::GET, "")).await.unwrap();
    assert_eq!((code, &view["items"][0]["sold"]), (200, &json!(1)));
    assert_eq!(server.stop(), 0);
}
