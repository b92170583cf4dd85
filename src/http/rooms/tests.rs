use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};

use crate::http::{
    Surface,
    testing::{ADMIN, Bench, Reply},
};

fn document() -> Value {
    json!({ "name": "Main", "shop_url": "https://shop.example/", "rate_per_minute": 1200 })
}

fn code(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.body["type"].as_str().unwrap_or_default().trim_start_matches("urn:dropgate:"))
}

#[actix_web::test]
async fn a_room_is_made_shown_and_deleted() {
    let bench = Bench::new().await;
    let made = bench.call(Method::PUT, "/v1/rooms/main", document()).await;
    assert_eq!((made.status, made.header("location")), (201, "/v1/rooms/main"));
    assert_eq!(made.header("cache-control"), "private, no-store");
    let version = made.body["version"].as_u64().unwrap();
    assert_eq!(made.header("etag"), format!("\"{version}\""));

    let shown = bench.call(Method::GET, "/v1/rooms/main", Value::Null).await;
    assert_eq!((shown.status, &shown.body), (200, &made.body));
    for (field, value) in document().as_object().unwrap() {
        assert_eq!(&shown.body[field], value, "{field}: what was put");
    }
    assert_eq!(shown.body["claim_window_seconds"], 180, "what was left out has its default");

    let all = bench.call(Method::GET, "/v1/rooms", Value::Null).await;
    assert_eq!(all.body["rooms"], json!([shown.body]));

    assert_eq!(bench.call(Method::DELETE, "/v1/rooms/main", Value::Null).await.status, 204);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(code(&bench.call(method, "/v1/rooms/main", Value::Null).await), (404, "unknown_room"));
    }
    assert_eq!(code(&bench.call(Method::PATCH, "/v1/rooms/main", json!({})).await), (404, "unknown_room"));
    assert_eq!(code(&bench.call(Method::POST, "/v1/rooms/main/reset", Value::Null).await), (404, "unknown_room"));
}

#[actix_web::test]
async fn what_stands_there_is_replaced_by_its_version_alone() {
    let bench = Bench::new().await;
    let first = bench.call(Method::PUT, "/v1/rooms/main", document()).await.body;
    let unseen = bench.call(Method::PUT, "/v1/rooms/main", document()).await;
    assert_eq!(code(&unseen), (428, "version_required"));
    assert_eq!(unseen.body["version"], first["version"]);

    // What GET showed can be put back as it is, and that changes nothing.
    let etag = format!("\"{}\"", first["version"]);
    let same = bench.put_over(&etag, "/v1/rooms/main", first.clone()).await;
    assert_eq!((same.status, &same.body), (200, &first));
    let same = bench.put_over("*", "/v1/rooms/main", document()).await;
    assert_eq!((same.status, &same.body["version"]), (200, &first["version"]));

    let mut slower = document();
    slower["rate_per_minute"] = 60.into();
    let changed = bench.put_over(&etag, "/v1/rooms/main", slower.clone()).await;
    assert_eq!((changed.status, &changed.body["rate_per_minute"]), (200, &json!(60)));
    let stale = bench.put_over(&etag, "/v1/rooms/main", document()).await;
    assert_eq!((code(&stale), &stale.body["version"]), ((412, "stale_version"), &changed.body["version"]));
    assert_eq!(bench.call(Method::GET, "/v1/rooms/main", Value::Null).await.body, changed.body);

    assert_eq!(code(&bench.put_over("*", "/v1/rooms/none", document()).await), (412, "stale_version"));
    assert_eq!(code(&bench.put_over("seven", "/v1/rooms/main", document()).await), (400, "invalid_request"));
    let delete = TestRequest::delete().uri("/v1/rooms/main").insert_header(("If-Match", etag));
    let delete = delete.insert_header(("Authorization", format!("Bearer {ADMIN}")));
    assert_eq!(code(&bench.send(Surface::All, delete).await), (412, "stale_version"));
}

#[actix_web::test]
async fn a_bad_document_names_its_field_and_changes_nothing() {
    let bench = Bench::new().await;
    let before = bench.room().await.body;
    let with = |field: &str, value: Value| {
        let mut document = document();
        document[field] = value;
        document
    };
    for (field, value) in [
        ("rate", json!(5)),
        ("rate_per_minute", json!(0)),
        ("rate_per_minute", json!("fast")),
        ("mode", json!("shut")),
        ("id", json!("other")),
        ("shop_url", json!("javascript:alert(1)")),
        ("draw", json!(true)),
        ("sale", json!("No Id")),
        ("stock_gate", json!("hold")),
    ] {
        for refused in [
            bench.put_over("*", "/v1/rooms/main", with(field, value.clone())).await,
            bench.call(Method::PUT, "/v1/rooms/fresh", with(field, value.clone())).await,
            bench.call(Method::PATCH, "/v1/rooms/main", json!({ field: value })).await,
        ] {
            assert_eq!(code(&refused), (400, "invalid_request"), "{field}: {}", refused.body);
            assert_eq!(refused.body["field"], field, "{}", refused.body);
        }
    }
    assert_eq!(bench.call(Method::PUT, "/v1/rooms/main", json!([])).await.status, 400);
    assert_eq!(code(&bench.call(Method::PUT, "/v1/rooms/No%20Id", document()).await), (400, "invalid_request"));
    assert_eq!(bench.call(Method::GET, "/v1/rooms/main", Value::Null).await.body, before);
    assert_eq!(bench.call(Method::GET, "/v1/rooms/fresh", Value::Null).await.status, 404);
    let text = TestRequest::put().uri("/v1/rooms/main").set_payload("{}");
    let text =
        text.insert_header(("Authorization", format!("Bearer {ADMIN}"))).insert_header(("Content-Type", "text/plain"));
    assert_eq!(bench.send(Surface::All, text).await.status, 415);
}

#[actix_web::test]
async fn a_patch_changes_what_it_names_and_null_takes_the_default() {
    let bench = Bench::new().await;
    bench.room().await;
    let patched = bench.call(Method::PATCH, "/v1/rooms/main", json!({ "mode": "hold", "max_active": 50 })).await;
    assert_eq!((patched.status, &patched.body["mode"], &patched.body["name"]), (200, &json!("hold"), &json!("Main")));
    let again = bench.call(Method::PATCH, "/v1/rooms/main", json!({ "max_active": null, "mode": null })).await;
    assert_eq!((&again.body["max_active"], &again.body["mode"]), (&Value::Null, &json!("queue")));
}

#[actix_web::test]
async fn a_reset_raises_the_epoch() {
    let bench = Bench::new().await;
    bench.room().await;
    let epoch = async || {
        let reset = bench.call(Method::POST, "/v1/rooms/main/reset", Value::Null).await;
        assert_eq!((reset.status, &reset.body["room"]), (200, &json!("main")));
        reset.body["epoch"].as_u64().unwrap()
    };
    let first = epoch().await;
    assert_eq!(epoch().await, first + 1);
}

#[actix_web::test]
async fn the_public_listener_knows_no_operator_calls_when_they_have_their_own() {
    let bench = Bench::new().await;
    for path in ["/v1/rooms", "/v1/keys", "/v1/instances", "/dashboard", "/metrics"] {
        let request = |path| TestRequest::get().uri(path).insert_header(("Authorization", format!("Bearer {ADMIN}")));
        assert_eq!(bench.send(Surface::Public, request(path)).await.status, 404, "{path}");
        assert_eq!(bench.send(Surface::Admin, request(path)).await.status, 200, "{path}");
    }
}
