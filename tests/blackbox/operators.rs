//! What operators do, over real HTTP, and what of it a restart keeps.

use reqwest::{Method, StatusCode, header};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    SOON,
    client::{json_of, plain},
    process::Process,
    server::{ADMIN_KEY, Backend, Home, Server},
};

/// Sends a document to a room under a precondition, or none.
async fn put(server: &Server, room: &str, document: Value, if_match: Option<&str>) -> (u16, Value) {
    let request = plain().put(server.url(&format!("/v1/rooms/{room}"))).bearer_auth(ADMIN_KEY).json(&document);
    let request = if_match.into_iter().fold(request, |request, version| request.header(header::IF_MATCH, version));
    json_of(request.send().await.unwrap()).await
}

#[rstest]
#[tokio::test]
async fn a_document_is_replaced_by_its_version_alone(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let (_home, server) = Server::fresh_on(store);
    let document = json!({ "name": "Main", "shop_url": "https://shop.example/" });
    let (status, made) = put(&server, "main", document.clone(), None).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(put(&server, "main", document.clone(), None).await.0, 428);
    let version = made["version"].to_string();
    let mut renamed = document.clone();
    renamed["name"] = "Renamed".into();
    assert_eq!(put(&server, "main", renamed, Some(&format!("\"{version}\""))).await.0, 200);
    let (status, stale) = put(&server, "main", document.clone(), Some(&version)).await;
    assert_eq!((status, stale["type"].as_str()), (412, Some("urn:dropgate:stale_version")));
    let (status, bad) =
        put(&server, "main", json!({ "name": "x", "shop_url": "https://a.example/", "rat": 1 }), Some("*")).await;
    assert_eq!((status, &bad["field"]), (400, &json!("rat")));
    let (_, shown) = server.admin(Method::GET, "/v1/rooms/main", None).await;
    assert_eq!(shown["name"], "Renamed", "the bad document changed nothing");
}

#[rstest]
#[tokio::test]
async fn settings_change_while_the_line_stands(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let (_home, server) = Server::fresh_on(store);
    server.put_room("main", json!({ "mode": "hold", "join_per_address": 0 })).await;
    let visitors: Vec<_> = (0..5).map(|_| server.visitor()).collect();
    for visitor in &visitors {
        assert_eq!(visitor.post("/v1/rooms/main/tickets", Value::Null).await.status(), StatusCode::CREATED);
    }
    server.patch_room("main", json!({ "rate_per_minute": 6000, "mode": "queue" })).await;
    let (_, status) = server.visitor().get_json("/v1/rooms/main/status").await;
    assert_eq!((status["tail"].as_u64(), status["rate_per_minute"].as_u64()), (Some(5), Some(6000)), "{status}");
    let (status, place) = visitors[4].get_json("/v1/rooms/main/place").await;
    assert_eq!((status, &place["position"]), (200, &json!(5)));
}

#[rstest]
#[tokio::test]
async fn a_reset_and_a_room_made_again_void_old_tickets(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let (_home, server) = Server::fresh_on(store);
    let held = json!({ "mode": "hold", "join_per_address": 0 });
    server.put_room("main", held.clone()).await;
    let before_reset = server.visitor();
    before_reset.post("/v1/rooms/main/tickets", Value::Null).await;
    assert_eq!(server.admin(Method::POST, "/v1/rooms/main/reset", None).await.0, 200);
    let (status, problem) = before_reset.get_json("/v1/rooms/main/place").await;
    assert_eq!((status, &problem["reason"]), (410, &json!("reset")), "{problem}");

    let before_deletion = server.visitor();
    before_deletion.post("/v1/rooms/main/tickets", Value::Null).await;
    assert_eq!(before_deletion.get("/v1/rooms/main/place").await.status(), StatusCode::OK);
    assert_eq!(server.admin(Method::DELETE, "/v1/rooms/main", None).await.0, 204);
    assert_eq!(before_deletion.get("/v1/rooms/main/place").await.status(), StatusCode::NOT_FOUND);
    server.put_room("main", held).await;
    for visitor in [&before_reset, &before_deletion] {
        let (status, problem) = visitor.get_json("/v1/rooms/main/place").await;
        assert_eq!((status, &problem["reason"]), (410, &json!("reset")), "{problem}");
    }
}

#[rstest]
#[tokio::test]
async fn a_restart_keeps_the_pause_the_line_and_the_keys(#[values(Backend::File, Backend::Redis)] store: Backend) {
    let declared = "[[rooms]]\nid = \"main\"\nname = \"Main\"\nshop_url = \"https://shop.example/\"\n";
    let home = Home::on(store).with_config(declared);
    let server = home.start();
    server.patch_room("main", json!({ "mode": "hold" })).await;
    let visitor = server.visitor();
    visitor.post("/v1/rooms/main/tickets", Value::Null).await;
    let wanted = json!({ "name": "till", "scopes": ["read"] });
    let (status, key) = server.admin(Method::POST, "/v1/keys", Some(wanted)).await;
    assert_eq!(status, 201, "{key}");
    let (_, jwks) = visitor.get_json("/.well-known/jwks.json").await;

    let server = server.kill_and_restart(&home);
    let as_till = plain().get(server.url("/v1/rooms/main")).bearer_auth(key["secret"].as_str().unwrap());
    let (status, room) = json_of(as_till.send().await.unwrap()).await;
    assert_eq!((status, &room["mode"]), (200, &json!("hold")), "the declaration did not undo the pause");
    let (status, place) = visitor.get_json("/v1/rooms/main/place").await;
    assert_eq!((status, &place["position"]), (200, &json!(1)), "the ticket's key survived: {place}");
    assert_eq!(visitor.get_json("/.well-known/jwks.json").await.1, jwks);
}

#[rstest]
#[tokio::test]
async fn a_key_does_what_it_may_and_no_more(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let (_home, server) = Server::fresh_on(store);
    server.put_room("main", json!({})).await;
    let (_, key) = server.admin(Method::POST, "/v1/keys", Some(json!({ "name": "r", "scopes": ["read"] }))).await;
    let call = async |method: Method, path: &str, secret: Option<&str>| {
        let request = plain().request(method, server.url(path));
        let request = secret.into_iter().fold(request, |request, secret| request.bearer_auth(secret));
        request.send().await.unwrap()
    };
    let secret = key["secret"].as_str();
    assert_eq!(call(Method::GET, "/v1/rooms/main", secret).await.status(), StatusCode::OK);
    let refused = call(Method::DELETE, "/v1/rooms/main", secret).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/problem+json");
    let without = call(Method::GET, "/v1/rooms/main", None).await;
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(without.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="dropgate""#);
}

#[tokio::test]
async fn the_dashboard_signs_in_with_a_key_and_its_cookie_operates() {
    let (_home, server) = Server::fresh();
    server.put_room("main", json!({})).await;
    let operator = server.visitor();
    let form = operator
        .request(Method::POST, "/dashboard/session")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("key={ADMIN_KEY}"));
    assert_eq!(operator.send(form).await.status(), StatusCode::SEE_OTHER);
    let (status, rooms) = operator.get_json("/v1/rooms").await;
    assert_eq!((status, &rooms["rooms"][0]["id"]), (200, &json!("main")));
    let pause = operator.request(Method::PATCH, "/v1/rooms/main").json(&json!({ "mode": "hold" }));
    assert_eq!(operator.send(pause).await.status(), StatusCode::OK);
    let elsewhere = plain()
        .patch(server.url("/v1/rooms/main"))
        .header(header::COOKIE, format!("dropgate_dashboard={}", operator.cookie("dropgate_dashboard").unwrap()))
        .header("Sec-Fetch-Site", "cross-site")
        .json(&json!({ "mode": "open" }));
    assert_eq!(elsewhere.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(operator.post("/dashboard/session/end", Value::Null).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(operator.get("/v1/rooms").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn operators_can_have_a_listener_of_their_own() {
    let home = Home::in_memory().with_argument("--admin-listen").with_argument("127.0.0.1:0");
    let mut process = Process::start("dropgate", &mut home.command("127.0.0.1:0"));
    let public = process.line_after("listening on ", SOON);
    let admin = process.line_after("admin listening on ", SOON);
    for path in ["/v1/rooms", "/dashboard", "/metrics"] {
        let status = async |base: &str| {
            let request = plain().get(format!("{base}{path}")).bearer_auth(ADMIN_KEY);
            request.send().await.unwrap().status()
        };
        assert_eq!(status(&public).await, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(status(&admin).await, StatusCode::OK, "{path}");
    }
    let metrics = plain().get(format!("{admin}/metrics")).send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::OK, "whoever reaches it may read the figures");
}
