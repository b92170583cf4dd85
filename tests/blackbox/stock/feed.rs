//! The event feed over a real connection.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::support::{
    SOON,
    client::answer,
    eventually,
    server::{Backend, Home},
    stock::Shop,
};

#[rstest]
#[tokio::test]
async fn a_reader_who_waits_does_not_hold_up_the_end(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let home = Home::on(store);
    let mut server = home.start();
    let shop = Shop::open(&server, 1, json!({})).await;
    let reader = shop.clone();
    let (_, told) = answer(shop.keyed(Method::GET, "/events")).await.unwrap();
    let query = format!("/events?after={}&wait=25", told["next"].as_str().unwrap());
    let waiting = tokio::spawn(async move { answer(reader.keyed(Method::GET, &query)).await });
    let metrics = server.url("/metrics");
    eventually("the reader waits", SOON, async || {
        let (_, text) = answer(shop.client.get(&metrics).bearer_auth(crate::support::server::ADMIN_KEY)).await.unwrap();
        let text = text.as_str().unwrap().to_owned();
        if text.lines().any(|line| line == "dropgate_http_in_flight 2") { Ok(()) } else { Err(text) }
    })
    .await;
    let begun = Instant::now();
    server.process().signal(Signal::SIGTERM);
    let (status, part) = waiting.await.unwrap().expect("the reader is answered, not cut off");
    assert_eq!((status, part), (200, json!({ "events": [], "next": told["next"] })));
    assert_eq!(server.process().wait(SOON).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(15), "held up for {:?}", begun.elapsed());
}
