//! What a crowd costs Redis: calls are counted by the server itself.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::support::{
    client::{answer, plain},
    redis::server::{Redis, SYNCED},
    stock::Shop,
    visits::calling,
};

const CROWD: usize = 1_000;
/// Who asks at a time: as many could share a batch.
const AT_ONCE: usize = 100;
/// What an instance calls by itself in a second, generously: it ticks its rooms four times, refreshes the catalog, looks
/// at the stock, and tells the others that it is there.
const OF_ITSELF: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_of_anything_share_few_calls_and_polls_cost_none() {
    let redis = Redis::start(SYNCED);
    let fleet = Fleet::start(&redis.url(), 1);
    let base = fleet.servers()[0].base();
    let room = format!("{base}/v1/rooms/main");
    fleet.put_room(json!({ "rate_per_minute": 600_000, "burst": 100_000, "join_per_address": 0 })).await;
    let shop = Shop::open(&fleet.servers()[0], 1_000_000, json!({})).await;
    let client = plain();
    let count = async |what: &str, status: u16, ask: &dyn Fn(usize) -> RequestBuilder| -> (Vec<Value>, u64) {
        redis.cli(&["CONFIG", "RESETSTAT"]);
        let began = Instant::now();
        let asked = stream::iter((0..CROWD).map(|who| answer(ask(who)))).buffer_unordered(AT_ONCE);
        let answers: Vec<_> = asked.collect().await;
        let (stats, own) = (redis.commandstats(), (began.elapsed().as_secs() + 1) * OF_ITSELF);
        let calls: u64 = stats.iter().filter(|(name, _)| name.starts_with("eval")).map(|(_, calls)| calls).sum();
        println!("{CROWD} {what}: {calls} script calls in {:?}", began.elapsed());
        let bodies = answers.into_iter().map(|answer| {
            let (seen, body) = answer.unwrap();
            assert_eq!(seen, status, "{what}: {body}");
            body
        });
        (bodies.collect(), calls.saturating_sub(own))
    };
    let (joined, joins) = count("joins", 201, &|_| client.post(format!("{room}/tickets")).json(&json!({}))).await;
    let tickets: Vec<_> = joined.iter().map(|joined| joined["ticket"].as_str().unwrap()).collect();
    let (_, polls) = count("polls", 200, &|_| client.get(format!("{room}/status"))).await;
    let (_, pages) = count("pages", 200, &|_| client.get(format!("{base}/w/main"))).await;
    let (_, claims) = count("claims", 200, &|who| calling(&client, &room, "passes", tickets[who])).await;
    let (_, reservations) = count("reservations", 201, &|who| shop.reserving(&format!("buyer-{who}"))).await;
    assert_eq!((polls, pages), (0, 0), "whoever waits costs the store nothing");
    for (what, calls) in [("joins", joins), ("claims", claims), ("reservations", reservations)] {
        assert!(calls <= CROWD as u64 / 2, "{calls} calls for {CROWD} {what}");
    }
    fleet.stop();
}
