use super::*;

const SHOP: &str = "https://shop.example";

#[actix_web::test]
async fn pages_of_the_rooms_hosts_may_call_and_no_others() {
    let counter = Counter::with(json!({ "requires_pass": ["main"] })).await;
    let elsewhere = json!({ "name": "Other", "shop_url": "https://other.example/" });
    counter.bench.call(Method::PUT, "/v1/rooms/other", elsewhere).await;
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    for (origin, allowed) in [(SHOP, SHOP), ("https://other.example", ""), ("https://evil.example", ""), ("null", "")] {
        let reply = counter.send(Method::POST, HERE, &[("Origin", origin), ("Idempotency-Key", "k")], &body).await;
        // An error's reason is for the page to read too.
        assert_problem(&reply, 403, "pass_required");
        assert_eq!(reply.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        assert!(reply.header("vary").contains("Origin"), "{}", reply.header("vary"));
    }
}

#[actix_web::test]
async fn a_sale_without_passes_may_be_called_from_every_rooms_pages() {
    let counter = Counter::open().await;
    let reply = counter.send(Method::POST, HERE, &[("Origin", SHOP)], &json!({ "lines": [] })).await;
    assert_eq!(reply.header("access-control-allow-origin"), SHOP);
    let reply = counter.send(Method::POST, HERE, &[("Origin", "https://evil.example")], &json!({})).await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[actix_web::test]
async fn a_preflight_names_the_headers_that_are_needed() {
    let counter = Counter::open().await;
    let one = format!("{HERE}/f5f47872-8414-888a-a45a-74fac051e2c9");
    for (path, methods) in [
        (HERE.to_owned(), "OPTIONS, POST"),
        (one.clone(), "GET, HEAD, OPTIONS"),
        (format!("{one}/paying"), "OPTIONS, POST"),
        (format!("{one}/release"), "OPTIONS, POST"),
        (format!("{one}/extend"), "OPTIONS, POST"),
    ] {
        let headers = [("Origin", SHOP), ("Access-Control-Request-Method", "POST")];
        let reply = counter.send(Method::OPTIONS, &path, &headers, &Value::Null).await;
        assert_eq!((reply.status, reply.header("access-control-allow-methods")), (204, methods), "{path}");
        for name in ["x-dropgate-pass", "x-dropgate-reservation", "idempotency-key", "content-type"] {
            assert!(reply.header("access-control-allow-headers").contains(name), "{path} {name}");
        }
    }
    // Shops' servers confirm; no page has their key.
    let headers = [("Origin", SHOP), ("Access-Control-Request-Method", "POST")];
    let reply = counter.send(Method::OPTIONS, &format!("{one}/confirm"), &headers, &Value::Null).await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
}
