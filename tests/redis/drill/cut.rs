//! Connections that break between a request and its reply.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::{crowd::audit, fleet::Fleet};
use crate::support::{
    client::{answer, plain},
    redis::{
        proxy::Proxy,
        server::{Redis, SYNCED},
    },
    stock::{Shop, Told},
};

const ASKED: u64 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_before_the_cut_is_done_once_and_answered() {
    let redis = Redis::start(SYNCED);
    let proxy = Proxy::to(&redis.address());
    let fleet = Fleet::start(&proxy.url(), 1);
    let base = fleet.servers()[0].base();
    fleet.put_room(json!({ "join_per_address": 0, "mode": "hold" })).await;
    let shop = Shop::open(&fleet.servers()[0], 100, json!({})).await;
    let client = plain();
    let (mut positions, mut ids) = (Vec::new(), BTreeSet::new());
    for buyer in 0..ASKED {
        proxy.cut_before_reply_to("EVALSHA", 1);
        let join = client.post(format!("{base}/v1/rooms/main/tickets")).json(&json!({}));
        let (status, joined) = answer(join).await.unwrap();
        assert_eq!(status, 201, "{joined}");
        positions.push(joined["number"].as_u64().unwrap());
        proxy.cut_before_reply_to("EVALSHA", 1);
        let (status, held) = shop.reserve(&format!("buyer-{buyer}")).await.unwrap();
        assert_eq!(status, 201, "{held}");
        let id = held["id"].as_str().unwrap().to_owned();
        let (call, body) = match buyer % 3 {
            0 => ("confirm", json!({ "order": id })),
            1 => ("release", json!({})),
            _ => ("extend", json!({ "seconds": 60 })),
        };
        proxy.cut_before_reply_to("EVALSHA", 1);
        let (status, done) = shop.call(&id, call, body).await.unwrap();
        assert_eq!(status, 200, "{call}: {done}");
        ids.insert(id);
    }
    assert!(proxy.accepted() > 2 * ASKED, "hardly anything was cut: {} connections", proxy.accepted());
    proxy.resume();
    assert_eq!(positions, (1..=ASKED).collect::<Vec<_>>(), "no place was issued that nobody has");
    assert_eq!(ids.len() as u64, ASKED);
    let mut told = Told::default();
    shop.audit(&mut told).await;
    let third = ASKED as i64 / 3;
    assert_eq!((told.available, told.held, told.sold), (100 - 2 * third, third, third));
    let (_, view) = answer(shop.keyed(Method::GET, "")).await.unwrap();
    assert_eq!(view["items"][0]["sold"], third, "{view}");
    audit(&redis.url(), "drop");
    fleet.stop();
}
