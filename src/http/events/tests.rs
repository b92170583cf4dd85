use std::time::Duration;

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    http::{
        Surface,
        testing::{ADMIN, Bench, Reply},
    },
    instance::LiveHolds,
    store::catalog::Expect,
};

/// A bound on what should happen at once.
const SOON: Duration = Duration::from_secs(10);

/// An instance with a sale of two shoes.
async fn bench() -> Bench {
    let bench = Bench::new().await;
    put_sale(&bench).await;
    bench
}

async fn put_sale(bench: &Bench) {
    let items = json!([{ "sku": "shoe", "name": "Shoe", "total": 2 }]);
    let document = serde_json::from_value(json!({ "id": "drop", "name": "Drop", "items": items })).unwrap();
    bench.context.instance.put_sale(&document, Expect::Absent).await.unwrap();
}

async fn events(bench: &Bench, query: &str) -> Reply {
    bench.call(Method::GET, &format!("/v1/sales/drop/events{query}"), Value::Null).await
}

/// Reserves shoes for ada; the reservation's id.
async fn hold(bench: &Bench, key: &str, shoes: u64) -> String {
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": shoes }], "buyer": "ada" });
    let request = TestRequest::post().uri("/v1/sales/drop/reservations").set_json(body);
    let request = request.insert_header(("Authorization", format!("Bearer {ADMIN}")));
    let made = bench.send(Surface::All, request.insert_header(("Idempotency-Key", key.to_owned()))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["id"].as_str().unwrap().to_owned()
}

/// The cursor of an event of the sale that is there.
fn cursor(bench: &Bench, seq: u64) -> String {
    format!("0.{}.{seq}", bench.context.instance.sale("drop").unwrap().born)
}

async fn act(bench: &Bench, id: &str, call: &str, body: Value) -> u16 {
    bench.call(Method::POST, &format!("/v1/sales/drop/reservations/{id}/{call}"), body).await.status
}

#[actix_web::test]
async fn the_feed_tells_what_happened_in_order() {
    let bench = bench().await;
    let first = hold(&bench, "a", 2).await;
    let part = json!({ "order": "o-1", "lines": [{ "sku": "shoe", "quantity": 1 }] });
    assert_eq!(act(&bench, &first, "confirm", part).await, 200);
    let second = hold(&bench, "b", 1).await;
    bench.pass_ms(300_000);
    assert_eq!(act(&bench, &second, "confirm", json!({ "order": "o-2" })).await, 410);
    let third = hold(&bench, "c", 1).await;
    assert_eq!(act(&bench, &third, "release", json!({})).await, 200);
    let reply = events(&bench, "").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{}", reply.body);
    let (lines, time) = (|n: u64| json!([{ "sku": "shoe", "quantity": n }]), "2027-01-15T08:00:00Z");
    let expected = json!([
        { "type": "item.restocked", "sku": "shoe", "delta": 2, "time": time },
        { "type": "item.returned", "sku": "shoe", "available": 2, "time": time },
        { "type": "reservation.held", "reservation": first, "buyer": "ada", "lines": lines(2),
            "expires_at": "2027-01-15T08:05:00Z", "time": time },
        { "type": "item.all_held", "sku": "shoe", "time": time },
        { "type": "reservation.confirmed", "reservation": first, "buyer": "ada", "order": "o-1", "lines": lines(1),
            "returned": lines(1), "time": time },
        { "type": "item.returned", "sku": "shoe", "available": 1, "time": time },
        { "type": "reservation.held", "reservation": second, "buyer": "ada", "lines": lines(1),
            "expires_at": "2027-01-15T08:05:00Z", "time": time },
        { "type": "item.all_held", "sku": "shoe", "time": time },
        { "type": "reservation.expired", "reservation": second, "lines": lines(1) },
        { "type": "item.returned", "sku": "shoe", "available": 1 },
        { "type": "reservation.paid_too_late", "reservation": second, "order": "o-2", "lines": lines(1) },
        { "type": "reservation.held", "reservation": third, "buyer": "ada", "lines": lines(1),
            "expires_at": "2027-01-15T08:10:00Z" },
        { "type": "item.all_held", "sku": "shoe" },
        { "type": "reservation.released", "reservation": third, "lines": lines(1) },
        { "type": "item.returned", "sku": "shoe", "available": 1 },
    ]);
    let told = reply.body["events"].as_array().unwrap();
    assert_eq!(told.len(), expected.as_array().unwrap().len(), "{told:#?}");
    for ((event, expected), seq) in told.iter().zip(expected.as_array().unwrap()).zip(1..) {
        let mut expected = expected.clone();
        expected["cursor"] = json!(cursor(&bench, seq));
        expected["seq"] = json!(seq);
        if expected.get("time").is_none() {
            expected["time"] = json!("2027-01-15T08:05:00Z");
        }
        assert_eq!(*event, expected);
    }
    assert_eq!(reply.body["next"], cursor(&bench, 15));
}

#[actix_web::test]
async fn a_cursor_goes_on_where_it_stands() {
    let bench = bench().await;
    hold(&bench, "a", 1).await;
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let part = events(&bench, &format!("?limit=1{after}")).await;
        let told = part.body["events"].as_array().unwrap().clone();
        after = format!("&after={}", part.body["next"].as_str().unwrap());
        if told.is_empty() {
            break;
        }
        seen.extend(told.iter().map(|event| event["seq"].as_u64().unwrap()));
    }
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(after, format!("&after={}", cursor(&bench, 3)), "an empty part gives back the cursor it was asked with");
}

#[actix_web::test]
async fn a_cursor_that_never_was_is_refused_by_name() {
    let bench = bench().await;
    for query in [
        "?after=x",
        "?after=0.2",
        "?after=BORN.3",
        "?after=BORN.9007199254740992&wait=25",
        "?after=1.1.1",
        "?limit=0",
        "?wait=26",
    ] {
        let reply = events(
            &bench,
            &query.replace("BORN.3", &cursor(&bench, 3)).replace("BORN.", cursor(&bench, 0).trim_end_matches('0')),
        )
        .await;
        assert_eq!((reply.status, &reply.body["type"]), (400, &json!("urn:dropgate:invalid_request")), "{query}");
        assert!(query[1..].starts_with(reply.body["field"].as_str().unwrap()), "{query}: {}", reply.body);
    }
}

#[actix_web::test]
async fn who_may_read_the_feed() {
    let bench = bench().await;
    let path = "/v1/sales/drop/events";
    assert_eq!(bench.send(Surface::All, TestRequest::get().uri(path)).await.status, 401);
    let (reader, _) = bench.key(&["read"], Value::Null).await;
    assert_eq!(bench.call_as(&reader, Method::GET, path, Value::Null).await.status, 200);
    let (shop, _) = bench.key(&["shop"], Value::Null).await;
    assert_eq!(bench.call_as(&shop, Method::GET, path, Value::Null).await.status, 403);
    assert_eq!(events(&bench, "").await.header("cache-control"), "private, no-store");
    let nowhere = bench.call(Method::GET, "/v1/sales/nowhere/events", Value::Null).await;
    assert_eq!((nowhere.status, &nowhere.body["type"]), (404, &json!("urn:dropgate:unknown_sale")));
}

#[actix_web::test]
async fn a_waiting_reader_is_woken_by_what_happens() {
    let bench = bench().await;
    let begun = Instant::now();
    let wait = async { timeout(SOON, events(&bench, &format!("?after={}&wait=25", cursor(&bench, 2)))).await.unwrap() };
    let buy = async {
        sleep(Duration::from_millis(50)).await;
        hold(&bench, "a", 1).await;
    };
    let (reply, ()) = tokio::join!(wait, buy);
    assert_eq!(reply.body["events"][0]["type"], "reservation.held", "{}", reply.body);
    assert!(begun.elapsed() < super::ASK_AGAIN_AFTER, "woken, and not by and by: {:?}", begun.elapsed());
}

#[actix_web::test]
async fn a_waiting_reader_sees_a_hold_expire_though_nobody_else_asks() {
    let bench = bench().await;
    hold(&bench, "a", 2).await;
    let wait = async { timeout(SOON, events(&bench, &format!("?after={}&wait=25", cursor(&bench, 4)))).await.unwrap() };
    let pass = async {
        sleep(Duration::from_millis(50)).await;
        bench.pass_ms(300_000);
    };
    let (reply, ()) = tokio::join!(wait, pass);
    assert_eq!(reply.body["events"][0]["type"], "reservation.expired", "{}", reply.body);
}

#[actix_web::test]
async fn waiting_ends_with_the_time_and_with_the_instance() {
    let bench = bench().await;
    let begun = Instant::now();
    let reply = events(&bench, &format!("?after={}&wait=1", cursor(&bench, 2))).await;
    assert_eq!((reply.status, &reply.body), (200, &json!({ "events": [], "next": cursor(&bench, 2) })));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let wait = async { timeout(SOON, events(&bench, &format!("?after={}&wait=25", cursor(&bench, 2)))).await.unwrap() };
    let end = async {
        sleep(Duration::from_millis(50)).await;
        bench.context.waiters.end();
    };
    let (reply, ()) = tokio::join!(wait, end);
    assert_eq!((reply.status, &reply.body["events"]), (200, &json!([])));
}

#[actix_web::test]
async fn a_deleted_sales_cursor_is_not_the_next_ones() {
    let bench = bench().await;
    hold(&bench, "a", 1).await;
    let old = cursor(&bench, 2);
    let stock = bench.context.instance.sale("drop").unwrap();
    bench.context.instance.delete_sale("drop", Expect::Any, LiveHolds::Drop).await.unwrap();
    put_sale(&bench).await;
    hold(&bench, "a", 1).await;
    assert_ne!(stock.born, bench.context.instance.sale("drop").unwrap().born);
    let refused = events(&bench, &format!("?after={old}")).await;
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("after")), "{}", refused.body);
    let own = events(&bench, &format!("?after={}", cursor(&bench, 2))).await;
    assert_eq!((own.status, &own.body["events"][0]["seq"]), (200, &json!(3)), "{}", own.body);
}

#[actix_web::test]
async fn a_reader_for_whom_there_is_no_place_is_told_to_come_again() {
    let bench = bench().await;
    let places: Vec<_> = std::iter::from_fn(|| bench.context.waiters.enter()).collect();
    let query = format!("?after={}&wait=25", cursor(&bench, 2));
    let refused = timeout(SOON, events(&bench, &query)).await.unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(events(&bench, query.split('&').next().unwrap()).await.status, 200, "who does not wait needs no place");
    drop(places);
}
