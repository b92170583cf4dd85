//! What only a real connection shows: TLS, slow senders, an orderly stop, two listeners.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use reqwest::{Client, tls::TlsInfo};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    SOON,
    client::{Browserlike, header, json_of, plain},
    eventually,
    server::{ADMIN_KEY, Backend, Home, Server},
};

const FIRST_CERT: &str = include_str!("tls/first.pem");
const FIRST_KEY: &str = include_str!("tls/first.key");
const SECOND_CERT: &str = include_str!("tls/second.pem");
const SECOND_KEY: &str = include_str!("tls/second.key");

/// A connection on which nothing was said yet.
fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Everything until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server neither answered nor closed: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn headers_that_trickle_in_are_cut_off() {
    let (_home, server) = Server::fresh();
    let mut stream = connect(&server);
    let begun = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").unwrap();
    let answer = rest(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() > Duration::from_secs(4), "not before their time: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off() {
    let (_home, server) = Server::fresh();
    server.put_room("main", json!({})).await;
    let mut stream = connect(&server);
    let head = "POST /v1/rooms/main/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = tokio::task::spawn_blocking(move || rest(&mut stream)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("urn:dropgate:request_timeout"), "{answer}");
}

#[tokio::test]
async fn what_is_in_flight_is_finished_before_the_end() {
    let (_home, mut server) = Server::fresh();
    server.put_room("main", json!({})).await;
    let mut stream = connect(&server);
    let head = "POST /v1/rooms/main/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // Once the gauge shows it, the request is at work and no stop may lose it.
    eventually("the request is at work", SOON, async || {
        let metrics = plain().get(server.url("/metrics")).bearer_auth(ADMIN_KEY).send().await.unwrap();
        let text = metrics.text().await.unwrap();
        if text.lines().any(|line| line == "dropgate_http_in_flight 2") { Ok(()) } else { Err(text) }
    })
    .await;
    server.process().signal(Signal::SIGTERM);
    stream.write_all(b"{}").unwrap();
    let answer = tokio::task::spawn_blocking(move || rest(&mut stream)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.process().wait(SOON).code(), Some(0));
}

/// One answer with a JSON body, from a connection that is kept.
fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    while !(answer.contains("\r\n\r\n") && answer.ends_with('}')) {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "closed after: {answer}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    answer
}

/// To open another one costs more than the refusal.
#[tokio::test]
async fn who_is_refused_with_a_body_keeps_the_connection() {
    let home = Home::in_memory().with_env("DROPGATE_LIMITS_MAX_IN_FLIGHT", "1");
    let server = home.start();
    server.put_room("main", json!({ "join_per_address": 0 })).await;
    let head = "POST /v1/rooms/main/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    let mut stream = connect(&server);
    let mut ask = || {
        stream.write_all(format!("{head}{{}}").as_bytes()).unwrap();
        answer(&mut stream)
    };
    // One without its body stays at work. It may come while ours is, and be refused itself: then the next one does.
    let mut at_work = Vec::new();
    let refused = (0..100).find_map(|_| {
        at_work.push(connect(&server));
        at_work.last_mut()?.write_all(head.as_bytes()).unwrap();
        Some(ask()).filter(|answer| answer.starts_with("HTTP/1.1 503"))
    });
    assert!(refused.is_some_and(|answer| answer.contains("urn:dropgate:overloaded")), "nobody was refused");
    assert!(ask().starts_with("HTTP/1.1 503"));
}

/// Trusts whatever certificate is shown, and remembers it.
fn trusting() -> Client {
    Client::builder().danger_accept_invalid_certs(true).tls_info(true).no_proxy().build().unwrap()
}

/// The certificate of a fresh connection, as PEM has it.
async fn shown(server: &Server) -> String {
    let response = trusting().get(server.url("/healthz")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let info = response.extensions().get::<TlsInfo>().unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, info.peer_certificate().unwrap())
}

fn body_of(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

#[tokio::test]
async fn tls_serves_http2_and_rereads_its_files_on_sighup() {
    let home = Home::in_memory().with_argument("--tls-cert=cert.pem").with_argument("--tls-key=key.pem");
    let write = |cert: &str, key: &str| {
        std::fs::write(home.path("cert.pem"), cert).unwrap();
        std::fs::write(home.path("key.pem"), key).unwrap();
    };
    write(FIRST_CERT, FIRST_KEY);
    let mut server = home.start();
    assert!(server.base().starts_with("https://"), "{}", server.base());
    assert_eq!(shown(&server).await, body_of(FIRST_CERT));
    // A pair that does not fit is not taken: the old certificate stays in use.
    write(SECOND_CERT, FIRST_KEY);
    server.process().signal(Signal::SIGHUP);
    eventually("the refusal is logged", SOON, || {
        let log = server.process().output();
        async move { if log.contains("the old certificate stays in use") { Ok(()) } else { Err(log) } }
    })
    .await;
    assert_eq!(shown(&server).await, body_of(FIRST_CERT));
    write(SECOND_CERT, SECOND_KEY);
    server.process().signal(Signal::SIGHUP);
    eventually("the new certificate is shown", SOON, async || {
        let now = shown(&server).await;
        if now == body_of(SECOND_CERT) { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(server.stop(), 0);
}

#[tokio::test]
async fn over_tls_cookies_are_bound_to_the_host() {
    let home = Home::in_memory().with_argument("--tls-cert=cert.pem").with_argument("--tls-key=key.pem");
    std::fs::write(home.path("cert.pem"), FIRST_CERT).unwrap();
    std::fs::write(home.path("key.pem"), FIRST_KEY).unwrap();
    let server = home.start();
    let room = json!({ "name": "Main", "shop_url": "https://shop.example/" });
    let made = trusting().put(server.url("/v1/rooms/main")).bearer_auth(ADMIN_KEY).json(&room).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let joined = trusting().post(server.url("/v1/rooms/main/tickets")).send().await.unwrap();
    let cookie = header(&joined, "set-cookie");
    assert!(cookie.starts_with("__Host-dropgate_ticket_main=") && cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn an_admin_listener_takes_the_operators_calls_off_the_public_one() {
    let home = Home::in_memory().with_argument("--admin-listen=127.0.0.1:0");
    let mut server = home.start();
    let admin = server.process().line_after("admin listening on ", SOON);
    let status = async |base: &str, path: &str| {
        plain().get(format!("{base}{path}")).bearer_auth(ADMIN_KEY).send().await.unwrap().status().as_u16()
    };
    for path in ["/v1/rooms", "/v1/keys", "/v1/instances", "/metrics", "/dashboard"] {
        assert_eq!(status(server.base(), path).await, 404, "{path} on the public listener");
        assert_eq!(status(&admin, path).await, 200, "{path} on the admin listener");
    }
    let room = json!({ "name": "Main", "shop_url": "https://shop.example/" });
    let made = plain().put(format!("{admin}/v1/rooms/main")).bearer_auth(ADMIN_KEY).json(&room).send().await.unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(status(server.base(), "/v1/rooms/main/status").await, 200);
    assert_eq!(status(&admin, "/w/main").await, 404);
    assert_eq!(status(server.base(), "/healthz").await, 200);
}

#[rstest]
#[tokio::test]
async fn a_hundred_visitors_claim_one_ticket_at_once_over_http(
    #[values(Backend::Memory, Backend::Redis)] store: Backend,
) {
    let (_home, server) = Server::fresh_on(store);
    server.put_room("main", json!({})).await;
    let visitor = server.visitor();
    assert_eq!(visitor.post_json("/v1/rooms/main/tickets", Value::Null).await.0, 201);
    let tabs: Vec<Browserlike> = (0..100).map(|_| visitor.second_tab()).collect();
    let claim = async |tab: &Browserlike| json_of(tab.post("/v1/rooms/main/passes", json!({})).await).await;
    let granted = futures_util::future::join_all(tabs.iter().map(claim)).await;
    let named = |pass: &Value| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let middle = pass.as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap();
        ["sub", "jti", "iat", "exp"].map(|name| claims[name].clone())
    };
    let first = named(&granted[0].1["pass"]);
    for (status, body) in &granted {
        assert_eq!((*status, named(&body["pass"])), (200, first.clone()));
    }
    assert_eq!(visitor.get_json("/v1/rooms/main/status").await.1["inside"], 1);
}
