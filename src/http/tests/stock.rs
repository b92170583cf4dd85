//! What visitors are told of the stock.

use super::*;
use crate::{
    id::SaleId,
    room::{Command, SalePhase, StockNews},
};

/// A room whose line knows of a sale of 100 units.
async fn with_sale(gate: &str, show_numbers: bool) -> Bench {
    let bench =
        Bench::with_room(json!({ "sale": "drop", "stock_gate": gate, "rate_per_minute": 60, "burst": 1 })).await;
    let items = json!([{ "sku": "shoe", "name": "Shoe", "total": 100 }]);
    let sale = json!({ "name": "Drop", "items": items, "show_numbers": show_numbers });
    assert_eq!(bench.call(Method::PUT, "/v1/sales/drop", sale).await.status, 201);
    bench
}

impl Bench {
    /// What a sale that came later than the one at hand would say, so that nothing contradicts it.
    async fn hear(&self, seq: u64, available: u64, held: u64) {
        let (sale, phase) = (SaleId::parse("drop").unwrap(), SalePhase::Open);
        let news = StockNews { sale, born: u64::MAX, term: 0, seq, available, held, phase, grants: Vec::new() };
        self.context.instance.room("main").unwrap().lane.submit(Command::SetStock(news)).await.unwrap();
    }

    async fn stock(&self) -> (Value, Value) {
        let status = self.get("/v1/rooms/main/status").await.body;
        (status["stock"].clone(), status["stock_held"].clone())
    }
}

#[actix_web::test]
async fn the_status_says_what_is_left() {
    let bench = with_sale("inform", false).await;
    for (seq, available, held, said) in
        [(1, 3, 4, "in_stock"), (2, 0, 4, "all_held"), (3, 0, 0, "sold_out"), (4, 0, 1, "all_held")]
    {
        bench.hear(seq, available, held).await;
        assert_eq!(bench.stock().await, (json!(said), Value::Null), "{available} available, {held} held");
    }
    bench.patch_room(json!({ "stock_gate": "off" })).await;
    assert_eq!(bench.stock().await, (Value::Null, Value::Null), "the line is not to know");
}

#[actix_web::test]
async fn how_many_may_come_back_is_said_where_the_sale_shows_its_numbers() {
    let bench = with_sale("hold", true).await;
    // The instance learns within a tenth of a second what the sale's document says.
    while !bench.context.instance.room("main").unwrap().shows_stock_numbers() {
        tokio::task::yield_now().await;
    }
    bench.hear(1, 0, 4).await;
    assert_eq!(bench.stock().await, (json!("all_held"), json!(4)));
    bench.hear(2, 1, 3).await;
    assert_eq!(bench.stock().await, (json!("in_stock"), Value::Null), "what is left there is nobody's business here");
}

#[actix_web::test]
async fn the_status_changes_only_when_what_it_says_does() {
    let bench = with_sale("inform", false).await;
    bench.hear(1, 30, 4).await;
    let tag = bench.get("/v1/rooms/main/status").await.header("etag").to_owned();
    bench.hear(2, 29, 5).await;
    assert_eq!(bench.get("/v1/rooms/main/status").await.header("etag"), tag, "still in stock");
    bench.hear(3, 0, 5).await;
    assert_ne!(bench.get("/v1/rooms/main/status").await.header("etag"), tag);
}

#[actix_web::test]
async fn who_stands_far_behind_is_told_that_it_may_come_to_nothing() {
    let bench = with_sale("inform", false).await;
    bench.hear(1, 3, 0).await;
    let mut tickets = Vec::new();
    for _ in 0..5 {
        tickets.push(bench.join().await);
    }
    let mut told = Vec::new();
    for ticket in &tickets {
        told.push(bench.get_with(ticket, "/v1/rooms/main/place").await.body["chance"].clone());
    }
    let (likely, unlikely) = (json!("likely"), json!("unlikely"));
    assert_eq!(told, [Value::Null, likely.clone(), likely, unlikely.clone(), unlikely], "the first was called");
}

#[actix_web::test]
async fn a_line_that_holds_needs_a_sale_to_know() {
    let bench = Bench::with_room(json!({})).await;
    let refused = bench.call(Method::PATCH, "/v1/rooms/main", json!({ "stock_gate": "hold" })).await;
    assert_problem(&refused, 400, "invalid_request");
    assert_eq!(refused.body["field"], "stock_gate");
    bench.patch_room(json!({ "stock_gate": "hold", "sale": "not-made-yet" })).await;
    bench.join().await;
    let status = bench.get("/v1/rooms/main/status").await.body;
    assert_eq!((&status["head"], &status["held_back"], &status["stock"]), (&json!(0), &json!("stock"), &Value::Null));
}
