//! What machines ask, over real HTTP.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{
    client::plain,
    server::{ADMIN_KEY, Server},
};

#[tokio::test]
async fn a_running_server_lives_and_is_ready() {
    let (_home, server) = Server::fresh();
    for path in ["/healthz", "/readyz"] {
        let answer = plain().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store", "{path}");
    }
}

#[tokio::test]
async fn the_figures_tell_of_rooms_routes_and_the_store_and_of_nobody() {
    let (_home, server) = Server::fresh();
    server.put_room("main", json!({ "mode": "hold" })).await;
    let visitor = server.visitor();
    let (_, joined) = visitor.post_json("/v1/rooms/main/tickets", Value::Null).await;
    visitor.get("/v1/rooms/nobody-made-this/status").await;
    visitor.get("/asked/for/nothing").await;
    let metrics = plain().get(server.url("/metrics"));
    let metrics = metrics.bearer_auth(ADMIN_KEY).send().await.unwrap().text().await.unwrap();
    for part in [
        "dropgate_room_waiting{room=\"main\"} 1",
        "dropgate_room_inside{room=\"main\"} 0",
        "dropgate_http_request_seconds_bucket{",
        "route=\"/v1/rooms/{room}/tickets\"",
        "dropgate_store_batch_size_count",
        "dropgate_store_queue_depth 0",
        "dropgate_journal_commit_seconds_count",
    ] {
        assert!(metrics.contains(part), "{part} is missing in\n{metrics}");
    }
    let ticket = joined["ticket"].as_str().unwrap();
    for secret in ["nobody-made-this", "asked/for", ticket, "127.0.0.1"] {
        assert!(!metrics.contains(secret), "{secret} is in\n{metrics}");
    }
}

#[tokio::test]
async fn the_openapi_document_is_the_one_in_the_tree() {
    let (_home, server) = Server::fresh();
    let served = plain().get(server.url("/openapi.json")).send().await.unwrap().text().await.unwrap();
    let stands = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap();
    assert!(served == stands, "openapi.json is behind what is served");
}

#[tokio::test]
async fn the_instances_are_listed_with_the_settings_they_obey() {
    let (_home, server) = Server::fresh();
    let room = server.put_room("main", json!({})).await;
    let (status, body) = server.admin(Method::GET, "/v1/instances", None).await;
    assert_eq!((status, body["instances"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    assert_eq!(body["instances"][0]["rooms"]["main"], room["version"]);
}
