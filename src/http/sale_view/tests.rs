use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};

use crate::{
    http::{
        Surface,
        testing::{Bench, Reply},
    },
    sale::{Caller, Command, Line, Outcome, ReservationId, Reserve, Sku, command::Fingerprint},
};

async fn with_drop(changes: Value) -> Bench {
    let bench = Bench::new().await;
    let mut document = json!({ "name": "Drop", "items": [
        { "sku": "b", "name": "Bee", "total": 2, "per_buyer": 1 }, { "sku": "a", "name": "Ay", "total": 0 },
    ] });
    json_patch::merge(&mut document, &changes);
    let made = bench.call(Method::PUT, "/v1/sales/drop", document).await;
    assert_eq!(made.status, 201, "{}", made.body);
    bench
}

async fn look(bench: &Bench) -> Reply {
    bench.send(Surface::All, TestRequest::get().uri("/v1/sales/drop")).await
}

async fn hold_two(bench: &Bench) {
    let ask = Reserve {
        id: ReservationId(1),
        fingerprint: Fingerprint(0),
        caller: Caller::Shop,
        buyer: None,
        lines: vec![Line { sku: Sku::parse("b").unwrap(), quantity: 2 }],
        hold_seconds: None,
        replaces: None,
    };
    let sale = bench.context.instance.sale("drop").unwrap();
    let answer = sale.lane.submit(Command::Reserve(ask)).await.unwrap();
    assert!(matches!(answer.outcome, Outcome::Reservation(_)));
}

#[actix_web::test]
async fn everyone_sees_the_stock_of_the_last_second() {
    let bench = with_drop(json!({})).await;
    let first = look(&bench).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(
        (&first.body["sale"], &first.body["state"], &first.body["name"]),
        (&json!("drop"), &json!("open"), &json!("Drop"))
    );
    let bee = json!({ "sku": "b", "name": "Bee", "stock": "in_stock", "per_buyer": 1, "total": 2, "available": 2, "held": 0, "sold": 0 });
    let ay = json!({ "sku": "a", "name": "Ay", "stock": "sold_out", "total": 0, "available": 0, "held": 0, "sold": 0 });
    assert_eq!(first.body["items"], json!([bee, ay]), "in the order of the document");
    assert!(first.body.get("document").is_none() && first.body.get("opens_at").is_none());
    assert_eq!(first.header("cache-control"), "public, max-age=1, s-maxage=1, stale-if-error=60");
    assert_eq!(first.header("vary"), "Authorization, Accept-Encoding");
    assert_eq!(first.header("access-control-allow-origin"), "*");

    hold_two(&bench).await;
    bench.pass_ms(999);
    assert_eq!(look(&bench).await.body, first.body, "the store is not asked again within the second");
    bench.pass_ms(1);
    let held = look(&bench).await;
    assert_eq!((&held.body["items"][0]["stock"], &held.body["items"][0]["held"]), (&json!("all_held"), &json!(2)));
    assert_ne!(held.header("etag"), first.header("etag"));
    bench.pass_ms(5_000);
    let known = TestRequest::get().uri("/v1/sales/drop").insert_header(("If-None-Match", held.header("etag")));
    let unchanged = bench.send(Surface::All, known).await;
    assert_eq!(unchanged.status, 304, "while nothing changes its ETag lasts");
    assert_eq!(unchanged.header("vary"), "Authorization, Accept-Encoding");
}

#[actix_web::test]
async fn numbers_can_be_kept_from_who_has_no_key() {
    let bench = with_drop(json!({ "show_numbers": false })).await;
    let (read, _) = bench.key(&["read"], Value::Null).await;
    hold_two(&bench).await;
    let shown = look(&bench).await;
    assert_eq!(shown.body["items"][0], json!({ "sku": "b", "name": "Bee", "stock": "all_held", "per_buyer": 1 }));
    let with_key = bench.call_as(&read, Method::GET, "/v1/sales/drop", Value::Null).await;
    assert_eq!(with_key.body["items"][0]["held"], 2);
    assert_eq!(
        (with_key.header("cache-control"), with_key.header("vary")),
        ("private, no-store", "Authorization, Cookie")
    );
}

#[actix_web::test]
async fn a_key_sees_it_fresh_if_it_is_good_for_this_sale() {
    let bench = with_drop(json!({})).await;
    look(&bench).await;
    hold_two(&bench).await;
    let fresh = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await;
    assert_eq!(fresh.body["items"][0]["held"], 2, "within the second");
    for (wanted, status) in [
        (json!({ "name": "k", "scopes": ["shop"] }), 200),
        (json!({ "name": "k", "scopes": ["read"], "sales": ["drop"] }), 200),
        (json!({ "name": "k", "scopes": ["admin"], "sales": ["other"] }), 403),
        (json!({ "name": "k", "scopes": ["admin"], "rooms": ["main"] }), 403),
    ] {
        let made = bench.call(Method::POST, "/v1/keys", wanted.clone()).await;
        let secret = made.body["secret"].as_str().unwrap();
        assert_eq!(bench.call_as(secret, Method::GET, "/v1/sales/drop", Value::Null).await.status, status, "{wanted}");
    }
    assert_eq!(bench.call_as("no such key", Method::GET, "/v1/sales/drop", Value::Null).await.status, 401);
}

#[actix_web::test]
async fn the_state_follows_the_clock_and_the_document() {
    let soon = json!({ "opens_at": "2027-01-15T08:00:10Z", "closes_at": "2027-01-15T08:00:20Z" });
    let bench = with_drop(soon).await;
    let state = async || look(&bench).await.body["state"].clone();
    let mut seen = vec![state().await];
    for _ in 0..2 {
        bench.pass_ms(10_000);
        seen.push(state().await);
    }
    assert_eq!(seen, ["scheduled", "open", "closed"]);
    bench.call(Method::PATCH, "/v1/sales/drop", json!({ "name": "Again", "closes_at": null })).await;
    let reopened = look(&bench).await.body;
    assert_eq!((&reopened["state"], &reopened["name"]), (&json!("open"), &json!("Again")), "a change shows at once");
}

#[actix_web::test]
async fn an_unknown_sale_is_told_without_a_key_and_on_every_listener() {
    let bench = with_drop(json!({})).await;
    for surface in [Surface::All, Surface::Public, Surface::Admin] {
        let unknown = bench.send(surface, TestRequest::get().uri("/v1/sales/none")).await;
        assert_eq!((unknown.status, &unknown.body["type"]), (404, &json!("urn:dropgate:unknown_sale")), "{surface:?}");
        assert_eq!(unknown.header("cache-control"), "no-store");
        assert_eq!(bench.send(surface, TestRequest::get().uri("/v1/sales/drop")).await.status, 200, "{surface:?}");
        assert_eq!(bench.send(surface, TestRequest::get().uri("/v1/sales/No%2FId")).await.status, 404);
    }
    let public = bench.send(Surface::Public, TestRequest::delete().uri("/v1/sales/drop")).await;
    assert_eq!(public.status, 405, "operators have a listener of their own");
}
