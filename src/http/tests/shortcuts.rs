//! What is asked most is found by a shortcut; spelt another way it takes the ordinary one, and nobody sees a difference.

use super::*;
use crate::http::testing::ADMIN;

/// The addresses with a shortcut, each with another spelling and its route.
const HOT: [(&str, &str, &str, &str); 4] = [
    ("GET", "/w/main?t=%2Fshoes", "/w/m%61in?t=%2Fshoes", "/w/{room}"),
    ("GET", "/v1/rooms/main/status", "/v1/rooms/m%61in/status", "/v1/rooms/{room}/status"),
    ("POST", "/v1/rooms/main/tickets", "/v1/rooms/m%61in/tickets", "/v1/rooms/{room}/tickets"),
    ("POST", "/v1/sales/drop/reservations", "/v1/sales/dr%6Fp/reservations", "/v1/sales/{sale}/reservations"),
];

async fn with_sale() -> Bench {
    let bench = Bench::with_room(json!({ "allowed_hosts": [".shop.example"], "sale": "drop" })).await;
    let items = json!([{ "sku": "shoe", "name": "Shoe", "total": 100 }]);
    assert_eq!(bench.call(Method::PUT, "/v1/sales/drop", json!({ "name": "Drop", "items": items })).await.status, 201);
    bench
}

async fn ask(bench: &Bench, method: &str, path: &str, key: &str) -> Reply {
    let request = TestRequest::default().method(method.parse().unwrap()).uri(path);
    let request = request.insert_header(("Origin", "https://www.shop.example"));
    let request =
        request.insert_header(("Authorization", format!("Bearer {key}"))).insert_header(("Idempotency-Key", path));
    let lines = json!({ "lines": [{ "sku": "shoe", "quantity": 1 }] });
    let body = if path.starts_with("/v1/sales") { lines } else { json!({}) };
    bench.send(Surface::All, if method == "POST" { request.set_json(body) } else { request }).await
}

#[actix_web::test]
async fn both_ways_lead_to_the_same() {
    let bench = with_sale().await;
    for (method, plain, other, route) in HOT {
        for method in [method, "HEAD", "OPTIONS", "DELETE"] {
            let [plain, other] = [ask(&bench, method, plain, ADMIN).await, ask(&bench, method, other, ADMIN).await];
            assert_eq!(plain.status, other.status, "{method} {route}");
            for header in ["access-control-allow-origin", "vary", "allow", "etag", "content-type", "cache-control"] {
                assert_eq!(plain.header(header), other.header(header), "{header} of {method} {route}");
            }
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &bench.context.instance.metrics.registry).unwrap();
        let counted = format!(r#"request_seconds_count{{route="{route}",method="{method}"}} 2"#);
        assert!(text.contains(&counted), "{counted} is not in\n{text}");
    }
}

#[actix_web::test]
async fn an_unknown_id_is_unknown_on_the_shortcut_too() {
    let bench = with_sale().await;
    for (method, plain, _, route) in HOT {
        let elsewhere = plain.replace("main", "nowhere").replace("drop", "nowhere");
        assert_eq!(ask(&bench, method, &elsewhere, ADMIN).await.status, 404, "{route}");
    }
}

#[actix_web::test]
async fn a_key_for_a_sale_is_good_for_it_on_both_ways() {
    let bench = with_sale().await;
    let wanted = json!({ "name": "till", "scopes": ["shop"], "sales": ["drop"] });
    let made = bench.call(Method::POST, "/v1/keys", wanted).await;
    let key = made.body["secret"].as_str().unwrap();
    let [.., (method, plain, other, _)] = HOT;
    for path in [plain, other] {
        let reply = ask(&bench, method, path, key).await;
        assert_eq!(reply.status, 201, "{path}: {}", reply.body);
    }
}
