//! The manners of every address: methods, bodies, errors.

use std::{collections::BTreeSet, time::Duration};

use actix_web::test::TestRequest;
use rstest::rstest;

use super::*;
use crate::http::{
    lag,
    limits::{BODY_MAX_BYTES, HEADERS_MAX_BYTES, LATE_AFTER},
};

#[actix_web::test]
async fn an_unknown_address_is_a_problem() {
    let bench = Bench::new().await;
    let reply = bench.get("/no/such/thing").await;
    assert_problem(&reply, 404, "not_found");
    assert_eq!(reply.body["instance"], "/no/such/thing");
    assert_problem(&bench.get("/v1/rooms/nobody/status").await, 404, "unknown_room");
    assert_problem(&bench.get("/w/Not%20An%20Id").await, 404, "unknown_room");
}

#[rstest]
#[case("/v1/rooms/main/status", "GET, HEAD, OPTIONS")]
#[case("/v1/rooms/main/tickets", "OPTIONS, POST")]
#[case("/w/main", "GET, HEAD, OPTIONS, POST")]
#[actix_web::test]
async fn a_wrong_method_is_told_the_right_ones(#[case] path: &str, #[case] allow: &str) {
    let bench = Bench::with_room(json!({})).await;
    let reply = bench.send(Surface::All, TestRequest::delete().uri(path)).await;
    assert_problem(&reply, 405, "method_not_allowed");
    assert_eq!(reply.header("allow"), allow);
    let options = bench.send(Surface::All, TestRequest::default().method(Method::OPTIONS).uri(path)).await;
    assert_eq!((options.status, options.header("allow")), (204, allow));
}

#[actix_web::test]
async fn head_has_the_headers_of_get() {
    let bench = Bench::with_room(json!({})).await;
    let get = bench.get("/v1/rooms/main/status").await;
    let head = bench.send(Surface::All, TestRequest::default().method(Method::HEAD).uri("/v1/rooms/main/status")).await;
    assert_eq!(head.status, 200);
    for name in ["etag", "cache-control", "content-type", "vary"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[rstest]
#[case::no_json("{", 400, "invalid_request")]
#[case::two_documents("{} {}", 400, "invalid_request")]
#[case::another_type("[]", 400, "invalid_request")]
#[actix_web::test]
async fn a_body_that_is_no_json_is_refused(#[case] body: &'static str, #[case] status: u16, #[case] code: &str) {
    let bench = Bench::with_room(json!({})).await;
    let request = TestRequest::post().uri("/v1/rooms/main/tickets").insert_header(("Content-Type", "application/json"));
    assert_problem(&bench.send(Surface::All, request.set_payload(body)).await, status, code);
}

#[actix_web::test]
async fn a_wrong_field_is_named() {
    let bench = Bench::with_room(json!({})).await;
    let ticket = bench.join().await;
    for (body, field) in [(json!({ "return_url": 7 }), "return_url"), (json!({ "returnurl": "x" }), "returnurl")] {
        let reply = bench.post_with(&ticket, "/v1/rooms/main/passes", body).await;
        assert_problem(&reply, 400, "invalid_request");
        assert_eq!(reply.body["field"], field, "{}", reply.body);
    }
}

#[actix_web::test]
async fn bodies_under_v1_are_json() {
    let bench = Bench::with_room(json!({})).await;
    let post = |kind: &'static str, body: &'static str| {
        let request = TestRequest::post().uri("/v1/rooms/main/tickets").insert_header(("Content-Type", kind));
        bench.send(Surface::All, request.set_payload(body))
    };
    assert_problem(&post("text/plain", "{}").await, 415, "unsupported_media_type");
    assert_problem(&post("application/x-www-form-urlencoded", "a=b").await, 415, "unsupported_media_type");
    assert_eq!(post("application/json; charset=utf-8", "{}").await.status, 201);
    assert_eq!(post("text/plain", "").await.status, 201, "there is no body to be of a type");
}

#[actix_web::test]
async fn a_body_too_large_is_refused_announced_or_not() {
    let bench = Bench::with_room(json!({})).await;
    let request = TestRequest::post().uri("/v1/rooms/main/tickets").insert_header(("Content-Type", "application/json"));
    let large = bench.send(Surface::All, request.set_payload(vec![b' '; BODY_MAX_BYTES + 1])).await;
    assert_problem(&large, 413, "too_large");
    let request = TestRequest::post().uri("/v1/rooms/main/tickets").insert_header(("Content-Type", "application/json"));
    let announced = request.insert_header(("Content-Length", (BODY_MAX_BYTES + 1).to_string()));
    assert_problem(&bench.send(Surface::All, announced).await, 413, "too_large");
}

#[actix_web::test]
async fn headers_too_large_are_refused() {
    let bench = Bench::with_room(json!({})).await;
    let with = |bytes: usize| {
        let request = TestRequest::get().uri("/v1/rooms/main/status").insert_header(("X-Much", "x".repeat(bytes)));
        bench.send(Surface::All, request)
    };
    assert_eq!(with(HEADERS_MAX_BYTES - 200).await.status, 200);
    assert_problem(&with(HEADERS_MAX_BYTES).await, 431, "headers_too_large");
}

#[actix_web::test]
async fn too_many_at_work_are_shed_at_once() {
    let bench = Bench::with_room(json!({})).await;
    let limit = i64::try_from(bench.context.bounds.in_flight).unwrap();
    let in_flight = &bench.context.instance.metrics.http.in_flight;
    in_flight.inc_by(limit);
    let mut told = BTreeSet::new();
    for _ in 0..100 {
        let shed = bench.get("/v1/rooms/main/status").await;
        assert_problem(&shed, 503, "overloaded");
        told.insert(shed.header("retry-after").to_owned());
    }
    assert_eq!(Vec::from_iter(told), ["1", "2", "3"], "those who are refused together come back together");
    assert_eq!(in_flight.get(), limit, "whoever is refused is at work no more");
    in_flight.dec_by(limit);
    assert_eq!(bench.get("/v1/rooms/main/status").await.status, 200);
    assert_eq!(in_flight.get(), 0, "nor is whoever was answered");
}

#[actix_web::test]
async fn a_late_worker_refuses_what_is_dear_and_serves_the_rest() {
    let bench = Bench::with_room(json!({})).await;
    let joined = bench.post("/v1/rooms/main/tickets", json!({})).await;
    let ticket = joined.body["ticket"].as_str().unwrap();
    let claim = || TestRequest::post().uri("/v1/rooms/main/passes").insert_header(("X-Dropgate-Ticket", ticket));
    lag::tests::pretend(LATE_AFTER * 2);
    let refused = bench.send(Surface::All, claim()).await;
    assert_problem(&refused, 503, "overloaded");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(bench.context.instance.metrics.http.late.get(), 1);
    assert_eq!(bench.get("/v1/rooms/main/status").await.status, 200);
    assert_eq!(bench.post("/v1/rooms/main/tickets", json!({})).await.status, 201);
    lag::tests::pretend(Duration::ZERO);
    assert_eq!(bench.send(Surface::All, claim()).await.status, 200);
}

#[actix_web::test]
async fn a_navigation_gets_a_page_that_says_the_same() {
    let bench = Bench::new().await;
    let navigate = TestRequest::get().uri("/w/nobody").insert_header(("Sec-Fetch-Mode", "navigate"));
    let page = bench.send(Surface::All, navigate.insert_header(("Accept-Language", "de"))).await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    let html = page.body.as_str().unwrap();
    assert!(html.contains("urn:dropgate:unknown_room") && html.contains(r#"lang="de""#), "{html}");
    assert!(page.header("content-security-policy").contains("style-src 'sha256-"));
    let older = TestRequest::get().uri("/w/nobody").insert_header(("Accept", "text/html,*/*;q=0.8"));
    assert_eq!(bench.send(Surface::All, older).await.header("content-type"), "text/html; charset=utf-8");
    let script = TestRequest::get().uri("/w/nobody").insert_header(("Sec-Fetch-Mode", "cors"));
    assert_problem(&bench.send(Surface::All, script.insert_header(("Accept", "text/html"))).await, 404, "unknown_room");
}

#[actix_web::test]
async fn every_answer_is_guarded() {
    let bench = Bench::with_room(json!({})).await;
    for path in ["/v1/rooms/main/status", "/w/main", "/w/main/place", "/no/such/thing"] {
        let reply = bench.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert!(reply.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    }
}

#[actix_web::test]
async fn other_origins_read_only_what_the_contract_says() {
    let bench = Bench::with_room(json!({ "allowed_hosts": [".shop.example"] })).await;
    let ask = |path: &'static str, origin: &'static str| {
        bench.send(Surface::All, TestRequest::get().uri(path).insert_header(("Origin", origin)))
    };
    assert_eq!(ask("/v1/rooms/main/status", "https://any.example").await.header("access-control-allow-origin"), "*");
    assert_eq!(ask("/.well-known/jwks.json", "https://any.example").await.header("access-control-allow-origin"), "*");
    for (origin, allowed) in [
        ("https://shop.example", "https://shop.example"),
        ("https://www.shop.example", "https://www.shop.example"),
        ("https://evil.example", ""),
        ("https://evilshop.example", ""),
        ("null", ""),
    ] {
        // The place is refused without a ticket, and the refusal can be read all the same.
        let reply = ask("/v1/rooms/main/place", origin).await;
        assert_eq!(reply.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(reply.header("vary"), "Origin", "{origin}");
    }
    assert_eq!(ask("/v1/rooms", "https://shop.example").await.header("access-control-allow-origin"), "");
}

#[actix_web::test]
async fn a_preflight_names_what_may_be_sent() {
    let bench = Bench::with_room(json!({})).await;
    let preflight = |origin: &'static str| {
        let request = TestRequest::default().method(Method::OPTIONS).uri("/v1/rooms/main/passes");
        let request = request.insert_header(("Access-Control-Request-Method", "POST"));
        bench.send(Surface::All, request.insert_header(("Origin", origin)))
    };
    let allowed = preflight("https://shop.example").await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, "https://shop.example"));
    assert!(allowed.header("access-control-allow-methods").contains("POST"));
    assert!(allowed.header("access-control-allow-headers").contains("x-dropgate-ticket"));
    let refused = preflight("https://evil.example").await;
    assert_eq!(
        (refused.header("access-control-allow-origin"), refused.header("access-control-allow-methods")),
        ("", "")
    );
}

#[actix_web::test]
async fn routes_are_measured_by_their_pattern() {
    let bench = Bench::with_room(json!({})).await;
    bench.get("/v1/rooms/main/status").await;
    bench.get("/v1/rooms/secret-room/status").await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &bench.context.instance.metrics.registry).unwrap();
    let line = r#"dropgate_http_responses_total{route="/v1/rooms/{room}/status",status="2xx"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains(r#"dropgate_http_request_seconds_count{route="/v1/rooms/{room}/status",method="GET"} 2"#));
    assert!(!text.contains("secret-room"), "no id is ever a label");
}

#[test]
fn what_a_store_says_is_told_by_what_the_caller_can_do() {
    use crate::{http::problem::Problem, store::StoreError};
    let told = |error: StoreError| {
        let problem = Problem::from(error);
        let reason = problem.fields.get("reason").and_then(|reason| reason.as_str()).map(str::to_owned);
        (problem.code.status_number(), problem.code.as_str(), problem.retry_after_seconds.is_some(), reason)
    };
    assert_eq!(told(StoreError::Overloaded), (503, "overloaded", true, None));
    assert_eq!(told(StoreError::Unavailable("it".to_owned())), (503, "store_unavailable", true, None));
    assert_eq!(told(StoreError::Recovering), (503, "recovering", true, None));
    assert_eq!(told(StoreError::NeedsOperator), (403, "sale_closed", false, Some("needs_operator".to_owned())));
}
