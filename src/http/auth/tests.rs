use actix_web::{
    http::{Method, header},
    test::TestRequest,
};
use serde_json::{Value, json};

use super::bearer;
use crate::http::{
    Surface,
    testing::{ADMIN, Bench},
};

/// Every operator call on one thing, with the scope it needs.
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/rooms", "read"),
    ("GET", "/v1/rooms/main", "read"),
    ("PUT", "/v1/rooms/main", "admin"),
    ("PATCH", "/v1/rooms/main", "admin"),
    ("DELETE", "/v1/rooms/main", "admin"),
    ("POST", "/v1/rooms/main/reset", "admin"),
    ("GET", "/v1/sales", "read"),
    ("PUT", "/v1/sales/drop", "admin"),
    ("PATCH", "/v1/sales/drop", "admin"),
    ("DELETE", "/v1/sales/drop", "admin"),
    ("POST", "/v1/sales/drop/items/a/restock", "admin"),
    ("GET", "/v1/keys", "admin"),
    ("POST", "/v1/keys", "admin"),
    ("GET", "/v1/keys/env-admin", "admin"),
    ("DELETE", "/v1/keys/env-admin", "admin"),
    ("GET", "/v1/signing-keys", "admin"),
    ("POST", "/v1/signing-keys/rotate", "admin"),
    ("GET", "/v1/instances", "read"),
    ("GET", "/metrics", "read"),
];

fn method(name: &str) -> Method {
    name.parse().unwrap()
}

#[actix_web::test]
async fn nobody_gets_in_without_a_key_that_stands() {
    let bench = Bench::new().await;
    bench.room().await;
    for (name, path, _) in CALLS {
        let without = bench.send(Surface::All, TestRequest::default().method(method(name)).uri(path)).await;
        assert_eq!(without.status, 401, "{name} {path}");
        assert_eq!(without.header("www-authenticate"), r#"Bearer realm="dropgate""#);
        assert_eq!(without.header("content-type"), "application/problem+json");
        let wrong = bench.call_as("not a key", method(name), path, Value::Null).await;
        assert_eq!(wrong.status, 401, "{name} {path}");
        assert!(wrong.header("www-authenticate").contains("invalid_token"));
    }
}

#[actix_web::test]
async fn a_key_does_what_its_scope_says_and_no_more() {
    let bench = Bench::new().await;
    bench.room().await;
    let (read, _) = bench.key(&["read"], Value::Null).await;
    let (shop, _) = bench.key(&["shop"], Value::Null).await;
    for (name, path, scope) in CALLS {
        let as_shop = bench.call_as(&shop, method(name), path, Value::Null).await;
        assert_eq!(as_shop.status, 403, "shop: {name} {path}");
        assert!(as_shop.header("www-authenticate").contains(&format!("scope=\"{scope}\"")), "{name} {path}");
        let expected = if *scope == "read" { 200 } else { 403 };
        assert_eq!(bench.call_as(&read, method(name), path, Value::Null).await.status, expected, "read: {name} {path}");
    }
}

#[actix_web::test]
async fn a_bound_key_is_good_for_its_rooms_alone() {
    let bench = Bench::new().await;
    bench.room().await;
    let document = json!({ "name": "Other", "shop_url": "https://shop.example/" });
    assert_eq!(bench.call(Method::PUT, "/v1/rooms/other", document.clone()).await.status, 201);
    let (bound, _) = bench.key(&["admin"], json!(["main"])).await;
    let patch = json!({ "rate_per_minute": 60 });
    assert_eq!(bench.call_as(&bound, Method::PATCH, "/v1/rooms/main", patch.clone()).await.status, 200);
    assert_eq!(bench.call_as(&bound, Method::PATCH, "/v1/rooms/other", patch).await.status, 403);
    assert_eq!(bench.call_as(&bound, Method::GET, "/v1/rooms/other", Value::Null).await.status, 403);
    assert_eq!(bench.call_as(&bound, Method::PUT, "/v1/rooms/third", document).await.status, 403);
    let seen = bench.call_as(&bound, Method::GET, "/v1/rooms", Value::Null).await.body;
    assert_eq!(seen["rooms"].as_array().unwrap().iter().map(|room| &room["id"]).collect::<Vec<_>>(), ["main"]);
    // A key of all rooms would be a way out of the bound.
    let wanted = json!({ "name": "out", "scopes": ["admin"] });
    assert_eq!(bench.call_as(&bound, Method::POST, "/v1/keys", wanted).await.status, 403);
    assert_eq!(bench.call_as(&bound, Method::GET, "/v1/instances", Value::Null).await.status, 403);
}

#[actix_web::test]
async fn a_key_bound_to_sales_is_good_for_those_and_for_no_room() {
    let bench = Bench::new().await;
    bench.room().await;
    let document = json!({ "name": "Drop", "items": [{ "sku": "a", "name": "A", "total": 1 }] });
    let wanted = json!({ "name": "bound", "scopes": ["admin"], "sales": ["drop"] });
    let made = bench.call(Method::POST, "/v1/keys", wanted).await;
    assert_eq!((&made.body["sales"], &made.body["rooms"]), (&json!(["drop"]), &Value::Null));
    let bound = made.body["secret"].as_str().unwrap();
    assert_eq!(bench.call_as(bound, Method::PUT, "/v1/sales/drop", document.clone()).await.status, 201);
    assert_eq!(bench.call(Method::PUT, "/v1/sales/other", document.clone()).await.status, 201);
    let seen = bench.call_as(bound, Method::GET, "/v1/sales", Value::Null).await.body;
    assert_eq!(seen["sales"].as_array().unwrap().iter().map(|sale| &sale["id"]).collect::<Vec<_>>(), ["drop"]);
    assert_eq!(bench.call_as(bound, Method::PATCH, "/v1/sales/other", json!({})).await.status, 403);
    assert_eq!(bench.call_as(bound, Method::POST, "/v1/sales/other/items/a/restock", json!({})).await.status, 403);
    assert_eq!(bench.call_as(bound, Method::PATCH, "/v1/rooms/main", json!({})).await.status, 403);
    let rooms = bench.call_as(bound, Method::GET, "/v1/rooms", Value::Null).await.body;
    assert_eq!(rooms["rooms"], json!([]));
    assert_eq!(bench.call_as(bound, Method::GET, "/v1/instances", Value::Null).await.status, 403);
    let (of_a_room, _) = bench.key(&["admin"], json!(["main"])).await;
    assert_eq!(bench.call_as(&of_a_room, Method::PATCH, "/v1/sales/drop", json!({})).await.status, 403);
    assert_eq!(bench.call_as(&of_a_room, Method::PUT, "/v1/sales/third", document).await.status, 403);
}

#[actix_web::test]
async fn an_unknown_room_is_told_to_those_who_may_know() {
    let bench = Bench::new().await;
    let without = bench.send(Surface::All, TestRequest::get().uri("/v1/rooms/none")).await;
    assert_eq!(without.status, 401);
    assert_eq!(bench.call_as(ADMIN, Method::GET, "/v1/rooms/none", Value::Null).await.status, 404);
}

#[test]
fn a_secret_is_read_from_a_bearer_header_alone() {
    let secret = |value: &'static str| {
        let request = TestRequest::get().insert_header((header::AUTHORIZATION, value)).to_http_request();
        bearer(request.headers()).map(str::to_owned)
    };
    assert_eq!(secret("Bearer abc").as_deref(), Some("abc"));
    assert_eq!(secret("bearer  abc ").as_deref(), Some("abc"));
    for none in ["abc", "Basic abc", "Bearerabc"] {
        assert_eq!(secret(none), None, "{none}");
    }
    assert_eq!(bearer(TestRequest::get().to_http_request().headers()), None);
}
