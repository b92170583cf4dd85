use super::*;
use crate::http::{lag::tests::pretend, limits::LATE_AFTER};

#[actix_web::test]
async fn a_shop_reserves_and_is_told_all_of_it() {
    let counter = Counter::open().await;
    let body = json!({ "lines": [{ "sku": "sock", "quantity": 1 }, { "sku": "shoe", "quantity": 2 }], "buyer": "ada" });
    let made = counter.reserve("k", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("{HERE}/{id}"));
    assert_eq!(made.header("cache-control"), "private, no-store");
    let expected = json!({
        "id": id, "token": made.body["token"], "state": "held", "buyer": "ada",
        "lines": [{ "sku": "shoe", "quantity": 2 }, { "sku": "sock", "quantity": 1 }],
        "created_at": "2027-01-15T08:00:00Z", "expires_at": "2027-01-15T08:05:00Z", "paying": false,
    });
    assert_eq!(made.body, expected);
    counter.bench.pass_ms(1_000);
    let again = counter.reserve("k", body).await;
    assert_eq!((again.status, again.body), (201, expected), "the very same, token and all");
    assert_eq!(counter.shoes().await, (8, 2, 0));
}

#[actix_web::test]
async fn a_key_is_one_body_of_one_caller() {
    let counter = Counter::open().await;
    let one = counter.hold("k", 1).await;
    let other_body = json!({ "lines": [{ "sku": "shoe", "quantity": 2 }] });
    assert_problem(&counter.reserve("k", other_body.clone()).await, 422, "key_reused");
    // Another shop's key of the same name names another reservation, and does not find the first.
    let (secret, _) = counter.bench.key(&["shop"], Value::Null).await;
    let other_shop = Counter { shop: secret, ..counter };
    let theirs = other_shop.reserve("k", other_body).await;
    assert_eq!(theirs.status, 201, "{}", theirs.body);
    assert_ne!(theirs.body["id"], one.id);
    assert_eq!(other_shop.shoes().await, (7, 3, 0));
}

#[actix_web::test]
async fn a_repeated_call_gets_the_reservation_as_it_now_is() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 1).await;
    assert_eq!(counter.as_shop(&hold, "confirm", json!({ "order": "o-1" })).await.status, 200);
    let again = counter.reserve("k", json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] })).await;
    assert_eq!((again.status, &again.body["state"], &again.body["order"]), (201, &json!("confirmed"), &json!("o-1")));
    assert_eq!(counter.shoes().await, (9, 0, 1));
}

#[actix_web::test]
async fn what_stands_in_the_way_is_told_line_by_line() {
    let counter = Counter::open().await;
    counter.hold("first", 8).await;
    let lines =
        json!([{ "sku": "shoe", "quantity": 3 }, { "sku": "sock", "quantity": 9 }, { "sku": "shoe", "quantity": 1 }]);
    let refused = counter.reserve("k", json!({ "lines": lines })).await;
    assert_problem(&refused, 409, "sold_out");
    let expected = json!([
        { "sku": "shoe", "wanted": 4, "available": 2, "held": 8 },
        { "sku": "sock", "wanted": 9, "available": 3, "held": 0 },
    ]);
    assert_eq!(refused.body["lines"], expected);
    let greedy = counter.reserve("k", json!({ "lines": [{ "sku": "hat", "quantity": 1 }] })).await;
    assert_problem(&greedy, 404, "unknown_sku");
    assert_eq!(greedy.body["sku"], "hat");
    // A refusal stores nothing: its key may be tried again, with another body too.
    assert_eq!(counter.reserve("k", json!({ "lines": [{ "sku": "sock", "quantity": 1 }] })).await.status, 201);
}

#[actix_web::test]
async fn a_buyers_limit_counts_over_keys() {
    let counter = Counter::open().await;
    let ask = |shoes: u64| json!({ "lines": [{ "sku": "shoe", "quantity": shoes }], "buyer": "ada" });
    assert_eq!(counter.reserve("a", ask(3)).await.status, 201);
    let refused = counter.reserve("b", ask(2)).await;
    assert_problem(&refused, 409, "limit_exceeded");
    let told = ["sku", "limit", "used"].map(|field| refused.body[field].clone());
    assert_eq!(told, [json!("shoe"), json!(4), json!(3)]);
    assert_eq!(counter.shoes().await, (7, 3, 0));
}

#[actix_web::test]
async fn a_hold_is_swapped_in_one_step() {
    let counter = Counter::open().await;
    let ask = |shoes: u64, replaces: Value| json!({ "lines": [{ "sku": "shoe", "quantity": shoes }], "buyer": "ada", "replaces": replaces });
    let first = counter.reserve("a", ask(3, Value::Null)).await;
    let second = counter.reserve("b", ask(4, first.body["id"].clone())).await;
    assert_eq!(second.status, 201, "the limit of four counts without what is given back: {}", second.body);
    assert_eq!(counter.shoes().await, (6, 4, 0));
    let nobodys = counter.reserve("c", ask(1, json!("f5f47872-8414-888a-a45a-74fac051e2c9"))).await;
    assert_problem(&nobodys, 404, "unknown_reservation");
}

#[actix_web::test]
async fn who_may_reserve() {
    let counter = Counter::open().await;
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    let ask = async |key: &str| {
        let key = format!("Bearer {key}");
        counter.send(Method::POST, HERE, &[("Authorization", &key), ("Idempotency-Key", "k")], &body).await
    };
    assert_problem(&ask("dropgate_nobodys").await, 401, "unauthorized");
    let (read_only, _) = counter.bench.key(&["read"], Value::Null).await;
    assert_problem(&ask(&read_only).await, 403, "forbidden");
    let (of_a_room, _) = counter.bench.key(&["shop"], json!(["main"])).await;
    assert_problem(&ask(&of_a_room).await, 403, "forbidden");
    let none = counter.send(Method::POST, HERE, &[("Idempotency-Key", "k")], &body).await;
    assert_problem(&none, 401, "unauthorized");
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    let elsewhere = counter.send(Method::POST, "/v1/sales/nowhere/reservations", &[], &body).await;
    assert_problem(&elsewhere, 404, "unknown_sale");
    assert_eq!(counter.shoes().await, (10, 0, 0));
}

#[actix_web::test]
async fn outside_its_hours_a_sale_sells_nothing() {
    let counter =
        Counter::with(json!({ "opens_at": "2027-01-15T09:00:00Z", "closes_at": "2027-01-15T10:00:00Z" })).await;
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    assert_problem(&counter.reserve("k", body.clone()).await, 403, "sale_closed");
    counter.bench.pass_ms(3_600_000);
    assert_eq!(counter.reserve("k", body.clone()).await.status, 201);
    counter.bench.pass_ms(3_600_000);
    assert_problem(&counter.reserve("k2", body).await, 403, "sale_closed");
}

#[actix_web::test]
async fn a_late_worker_takes_nothing_new_and_finishes_what_was_begun() {
    let counter = Counter::open().await;
    let hold = counter.hold("k", 1).await;
    pretend(LATE_AFTER * 2);
    let refused = counter.reserve("k2", json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] })).await;
    assert_problem(&refused, 503, "overloaded");
    assert_eq!(counter.as_shop(&hold, "confirm", json!({ "order": "1" })).await.status, 200);
    assert_eq!(counter.shoes().await, (9, 0, 1));
}

#[actix_web::test]
async fn the_answers_are_counted() {
    let counter = Counter::open().await;
    counter.hold("k", 10).await;
    counter.reserve("k2", json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] })).await;
    let metrics = counter.bench.call(Method::GET, "/metrics", Value::Null).await;
    let text = metrics.body.as_str().unwrap();
    for line in [
        "dropgate_reservations_total{call=\"reserve\",outcome=\"done\"} 1",
        "dropgate_reservations_total{call=\"reserve\",outcome=\"sold_out\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
}
