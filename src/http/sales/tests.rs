use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};

use crate::http::{
    Surface,
    testing::{ADMIN, Bench, Reply},
};

fn document() -> Value {
    json!({ "name": "Drop", "items": [
        { "sku": "shoe/42", "name": "Shoe", "total": 10, "per_buyer": 2 }, { "sku": "50%?#+", "name": "Sock", "total": 5 },
    ] })
}

fn code(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.body["type"].as_str().unwrap_or_default().trim_start_matches("urn:dropgate:"))
}

async fn restock(bench: &Bench, path: &str, key: Option<&str>, body: Value) -> Reply {
    let path = format!("/v1/sales/drop/items/{path}/restock");
    let request = TestRequest::post().uri(&path).insert_header(("Authorization", format!("Bearer {ADMIN}")));
    let request = key.into_iter().fold(request, |request, key| request.insert_header(("Idempotency-Key", key)));
    bench.send(Surface::All, request.set_json(body)).await
}

async fn with_drop() -> Bench {
    let bench = Bench::new().await;
    let made = bench.call(Method::PUT, "/v1/sales/drop", document()).await;
    assert_eq!((made.status, made.header("location")), (201, "/v1/sales/drop"), "{}", made.body);
    bench
}

#[actix_web::test]
async fn a_sale_is_made_shown_and_deleted() {
    let bench = with_drop().await;
    let shown = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await;
    let put = &shown.body["document"];
    for (field, value) in document().as_object().unwrap() {
        if field != "items" {
            assert_eq!(&put[field], value, "{field}: what was put");
        }
    }
    assert_eq!(put["items"][0], document()["items"][0]);
    assert_eq!((&put["hold_seconds"], &put["id"]), (&json!(300), &json!("drop")), "what was left out has its default");
    assert_eq!(shown.header("etag"), format!("\"{}\"", put["version"]));
    assert_eq!(bench.call(Method::GET, "/v1/sales", Value::Null).await.body, json!({ "sales": [put] }));

    let instances = bench.call(Method::GET, "/v1/instances", Value::Null).await.body;
    assert_eq!(instances["instances"][0]["sales"]["drop"], put["version"], "{instances}");

    assert_eq!(bench.call(Method::DELETE, "/v1/sales/drop", Value::Null).await.status, 204);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(code(&bench.call(method, "/v1/sales/drop", Value::Null).await), (404, "unknown_sale"));
    }
    assert_eq!(code(&bench.call(Method::PATCH, "/v1/sales/drop", json!({})).await), (404, "unknown_sale"));
    assert_eq!(code(&restock(&bench, "a", Some("k"), json!({ "delta": 1 })).await), (404, "unknown_sale"));
}

#[actix_web::test]
async fn what_stands_there_is_replaced_by_its_version_alone() {
    let bench = with_drop().await;
    let first = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await;
    let unseen = bench.call(Method::PUT, "/v1/sales/drop", document()).await;
    assert_eq!(code(&unseen), (428, "version_required"));
    assert_eq!(unseen.body["version"], first.body["version"]);
    // What GET showed can be put back as it is, and that changes nothing.
    let same = bench.put_over(first.header("etag"), "/v1/sales/drop", first.body["document"].clone()).await;
    assert_eq!((same.status, &same.body), (200, &first.body["document"]));

    let patched = bench.call(Method::PATCH, "/v1/sales/drop", json!({ "hold_seconds": 60 })).await;
    assert_eq!((patched.status, &patched.body["hold_seconds"]), (200, &json!(60)));
    let stale = bench.put_over(first.header("etag"), "/v1/sales/drop", document()).await;
    assert_eq!(code(&stale), (412, "stale_version"));
    assert_eq!(stale.body["version"], patched.body["version"]);
    let none = bench.put_over("*", "/v1/sales/other", document()).await;
    assert_eq!(code(&none), (412, "stale_version"), "there is nothing to replace");
}

#[actix_web::test]
async fn a_document_that_cannot_be_taken_names_its_field() {
    let bench = with_drop().await;
    let with = |changes: Value| {
        let mut changed = document();
        json_patch::merge(&mut changed, &changes);
        changed
    };
    for (changes, field) in [
        (json!({ "hold_second": 5 }), "hold_second"),
        (json!({ "hold_seconds": 901 }), "hold_seconds"),
        (json!({ "id": "other" }), "id"),
        (json!({ "name": null }), "name"),
        (json!({ "items": [] }), "items"),
        (json!({ "items": [{ "sku": "a b", "name": "A", "total": 1 }] }), "items[0].sku"),
        (json!({ "items": [{ "sku": "a", "name": "A", "total": -1 }] }), "items[0].total"),
        (json!({ "items": [{ "sku": "a", "name": "A", "total": 1_000_000_001 }] }), "items[0].total"),
        (json!({ "items": [{ "sku": "a", "name": "A" }] }), "items[0].total"),
        (json!({ "requires_pass": ["No Id"] }), "requires_pass[0]"),
        (json!({ "closes_at": "tomorrow" }), "closes_at"),
    ] {
        let refused = bench.put_over("*", "/v1/sales/drop", with(changes.clone())).await;
        assert_eq!((code(&refused), &refused.body["field"]), ((400, "invalid_request"), &json!(field)), "{changes}");
    }
    let first = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await;
    assert_eq!(first.body["document"]["name"], "Drop", "nothing changed");
    assert_eq!(code(&bench.call(Method::PUT, "/v1/sales/No%20Id", document()).await), (400, "invalid_request"));
}

#[actix_web::test]
async fn an_item_of_any_name_is_restocked_once_a_key() {
    let bench = with_drop().await;
    let numbers = |reply: &Reply| (reply.body["total"].clone(), reply.body["available"].clone());
    for _ in 0..3 {
        let added = restock(&bench, "shoe%2F42", Some("k"), json!({ "delta": 3 })).await;
        assert_eq!((added.status, &added.body["sku"]), (200, &json!("shoe/42")), "{}", added.body);
        assert_eq!(numbers(&added), (json!(13), json!(13)), "sent again, done once");
    }
    let withdrawn = restock(&bench, "50%25%3F%23%2B", Some("k2"), json!({ "delta": -5 })).await;
    assert_eq!((numbers(&withdrawn), &withdrawn.body["sku"]), ((json!(0), json!(0)), &json!("50%?#+")));
    let reused = restock(&bench, "shoe%2F42", Some("k"), json!({ "delta": 4 })).await;
    assert_eq!(code(&reused), (422, "key_reused"));
    let too_many = restock(&bench, "shoe%2F42", Some("k3"), json!({ "delta": -14 })).await;
    assert_eq!(code(&too_many), (409, "conflict"));

    let shown = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await.body;
    assert_eq!((&shown["items"][0]["total"], &shown["document"]["items"][0]["total"]), (&json!(13), &json!(10)));
    let mut more = document();
    more["items"][0]["total"] = 12.into();
    assert_eq!(bench.put_over("*", "/v1/sales/drop", more).await.status, 200);
    let shown = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await.body;
    assert_eq!(shown["items"][0]["total"], 15, "two more than the document said before");
}

#[actix_web::test]
async fn a_restock_that_cannot_be_taken_says_why() {
    let bench = with_drop().await;
    let good = "shoe%2F42";
    for delta in [json!(0), json!(1.5), json!("1"), json!(null), json!(1_000_000_001), json!(1e30)] {
        let refused = restock(&bench, good, Some("k"), json!({ "delta": delta })).await;
        assert_eq!((refused.status, &refused.body["field"]), (400, &json!("delta")), "{delta}: {}", refused.body);
    }
    let huge = restock(&bench, good, Some("k"), json!({ "delta": u64::MAX })).await;
    assert_eq!((huge.status, &huge.body["field"]), (400, &json!("delta")));
    let more = restock(&bench, good, Some("k"), json!({ "delta": 1, "sku": "a" })).await;
    assert_eq!((more.status, &more.body["field"]), (400, &json!("sku")));
    let without = restock(&bench, good, None, json!({ "delta": 1 })).await;
    assert_eq!((without.status, &without.body["field"]), (400, &json!("Idempotency-Key")));
    for unknown in ["shoe", "shoe%252F42", "sh%C3%B6e", "a%20b", "%ff"] {
        let refused = restock(&bench, unknown, Some("k"), json!({ "delta": 1 })).await;
        assert_eq!(code(&refused), (404, "unknown_sku"), "{unknown}");
    }
    let shown = bench.call(Method::GET, "/v1/sales/drop", Value::Null).await.body;
    assert_eq!(shown["items"][0]["total"], 10, "nothing changed");
}

#[actix_web::test]
async fn a_sale_as_large_as_may_be_can_be_put_and_other_bodies_stay_small() {
    let bench = Bench::new().await;
    let item = |n: usize| json!({ "sku": format!("{n:0128}"), "name": "鞋".repeat(200), "total": 1_000_000_000, "per_buyer": 10 });
    let items: Vec<_> = (0..1_000).map(item).collect();
    let put = bench.call(Method::PUT, "/v1/sales/drop", json!({ "name": "Drop", "items": items })).await;
    assert_eq!(put.status, 201);
    let many: Vec<_> = (0..1_001).map(|n| json!({ "sku": format!("{n}"), "name": "x", "total": 1 })).collect();
    let refused = bench.put_over("*", "/v1/sales/drop", json!({ "name": "Drop", "items": many })).await;
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("items")));
    let padded = json!({ "delta": 1, "pad": "x".repeat(70_000) });
    assert_eq!(code(&restock(&bench, "a", Some("k"), padded).await), (413, "too_large"));
}
