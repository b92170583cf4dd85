use actix_web::http::Method;
use serde_json::{Value, json};

use crate::http::testing::Bench;

#[actix_web::test]
async fn a_key_is_made_used_and_removed_and_its_secret_told_once() {
    let bench = Bench::new().await;
    let (secret, id) = bench.key(&["admin"], Value::Null).await;
    let shown = bench.call_as(&secret, Method::GET, &format!("/v1/keys/{id}"), Value::Null).await;
    assert_eq!((shown.status, &shown.body["scopes"]), (200, &json!(["admin"])));
    let all = bench.call(Method::GET, "/v1/keys", Value::Null).await.body;
    assert_eq!(all["keys"].as_array().unwrap().len(), 2, "this one and env-admin");
    let told = format!("{}{all}", shown.body);
    assert!(!told.contains(&secret) && !told.contains("sha256") && !told.contains("secret"), "{told}");

    let own = bench.call_as(&secret, Method::DELETE, &format!("/v1/keys/{id}"), Value::Null).await;
    assert_eq!((own.status, &own.body["type"]), (409, &json!("urn:dropgate:conflict")));
    assert_eq!(bench.call(Method::DELETE, "/v1/keys/env-admin", Value::Null).await.status, 409);
    assert_eq!(bench.call(Method::DELETE, &format!("/v1/keys/{id}"), Value::Null).await.status, 204);
    assert_eq!(bench.call(Method::DELETE, &format!("/v1/keys/{id}"), Value::Null).await.status, 404);
    assert_eq!(bench.call_as(&secret, Method::GET, "/v1/keys", Value::Null).await.status, 401);
}

#[actix_web::test]
async fn a_bad_request_for_a_key_names_its_field() {
    let bench = Bench::new().await;
    for (wanted, field) in [
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "", "scopes": ["read"] }), "name"),
        (json!({ "name": "x", "scopes": ["root"] }), "scopes[0]"),
        (json!({ "name": "x", "scopes": ["read"], "rooms": [] }), "rooms"),
        (json!({ "name": "x", "scopes": ["read"], "sales": [] }), "sales"),
        (json!({ "name": "x", "scopes": ["read"], "sales": ["No Id"] }), "sales[0]"),
        (json!({ "name": "x", "scopes": ["read"], "secret": "mine" }), "secret"),
        (json!({ "scopes": ["read"] }), "name"),
    ] {
        let refused = bench.call(Method::POST, "/v1/keys", wanted.clone()).await;
        assert_eq!((refused.status, &refused.body["field"]), (400, &json!(field)), "{wanted}: {}", refused.body);
    }
}

#[actix_web::test]
async fn signing_keys_are_shown_without_what_they_sign_with_and_rotate_on_request() {
    let bench = Bench::new().await;
    let before = bench.call(Method::GET, "/v1/signing-keys", Value::Null).await;
    let keys = before.body["signing_keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key["signs"] == true && key.get("secret").is_none()), "{}", before.body);
    let after = bench.call(Method::POST, "/v1/signing-keys/rotate", Value::Null).await;
    assert_eq!(after.status, 200);
    let rotated = after.body["signing_keys"].as_array().unwrap();
    assert_eq!(rotated.len(), keys.len() * 2);
    assert_eq!(rotated.iter().filter(|key| key["signs"] == true).count(), keys.len(), "the new ones wait");
    assert_eq!(bench.call(Method::POST, "/v1/signing-keys/rotate", Value::Null).await.status, 409);
}
