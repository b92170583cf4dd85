//! Redis goes away and comes back: what is served meanwhile, and how the instances behave at its door.

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::json;
use tokio::time;

use super::{fleet::Fleet, times};
use crate::support::{
    client::{header, plain},
    eventually,
    redis::{
        proxy::Proxy,
        server::{Redis, SYNCED},
    },
    stock::Shop,
};

/// How soon a refusal comes once it is known that the store is away; the middle one of many, as this machine is shared.
const AT_ONCE: Duration = Duration::from_millis(50);
/// How soon all is well after the return.
const RECOVERY: Duration = Duration::from_secs(2);
/// What a machine that does ten other things gets on top.
const BUSY: Duration = Duration::from_secs(2);
/// The instances' crowd at the door.
const CALLERS: usize = 16;
/// What one instance may ask of Redis in the first second: a batch of the room and one of the sale at a time, and what
/// it looks after by itself, far from one call a visitor.
const FIRST_SECOND: u64 = 400;

/// How Redis is away.
#[derive(Clone, Copy)]
enum Away {
    /// Nobody listens.
    Refusing,
    /// Connections open, and nothing ever comes.
    Silent,
}

/// `DRILL_AWAY_SECONDS` says for how long.
#[rstest::rstest]
#[case::refusing(Away::Refusing)]
#[case::silent(Away::Silent)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_the_page_stands_and_nothing_is_sold(#[case] away: Away) {
    let seconds = times("DRILL_AWAY_SECONDS", 4);
    let redis = Redis::start(SYNCED);
    let proxy = Proxy::to(&redis.address());
    let fleet = Fleet::start(&proxy.url(), 2);
    fleet.put_room(json!({ "join_per_address": 0, "mode": "hold" })).await;
    let shop = Shop::open(&fleet.servers()[0], 10_000, json!({})).await;
    fleet.all_know("/v1/sales/drop").await;
    let bases = fleet.bases();
    let client = plain();
    let (status, _) = shop.reserve("before").await.unwrap();
    assert_eq!(status, 201);
    // What nobody ever looked at cannot be shown as it was.
    for base in &bases {
        assert_eq!(client.get(format!("{base}/v1/sales/drop")).send().await.unwrap().status(), 200);
    }
    match away {
        Away::Refusing => proxy.refuse(),
        Away::Silent => proxy.blackhole(),
    }
    let gone = Instant::now();
    // Whoever is under way when it happens waits for as long as a call may take.
    for base in &bases {
        reserve(&client, base, "first").await;
    }
    let mut took = Vec::new();
    for round in 0.. {
        if gone.elapsed() > Duration::from_secs(seconds as u64) {
            break;
        }
        for base in &bases {
            for path in ["/w/main", "/v1/rooms/main/status", "/v1/sales/drop", "/healthz"] {
                let served = client.get(format!("{base}{path}")).send().await.unwrap();
                assert_eq!(served.status(), 200, "{path} after {:?}", gone.elapsed());
            }
            let asked = Instant::now();
            let refused = reserve(&client, base, &format!("during-{round}")).await;
            took.push(asked.elapsed());
            assert_eq!(refused.status(), 503);
            assert!(header(&refused, "retry-after").parse::<u32>().unwrap() > 0);
        }
        time::sleep(Duration::from_millis(20)).await;
    }
    took.sort();
    assert!(took.len() > 20 && took[took.len() / 2] < AT_ONCE, "{took:?}");
    let knocks = proxy.accepted();

    redis.cli(&["CONFIG", "RESETSTAT"]);
    let back = Instant::now();
    proxy.resume();
    let crowd: Vec<_> = (0..CALLERS).map(|who| tokio::spawn(knock(bases[who % 2].clone(), who, back))).collect();
    time::sleep(Duration::from_secs(1)).await;
    let asked: u64 =
        redis.commandstats().iter().filter(|(name, _)| name.starts_with("eval")).map(|(_, calls)| calls).sum();
    for caller in crowd {
        let after = caller.await.unwrap();
        assert!(after < RECOVERY + BUSY, "{after:?}");
    }
    assert!(asked < FIRST_SECOND * 2, "{asked} script calls in the first second: {:?}", redis.commandstats());
    assert!(proxy.accepted() - knocks < 64, "{} connections at once", proxy.accepted() - knocks);
    eventually("all is ready", RECOVERY + BUSY, async || {
        for base in &bases {
            let ready = client.get(format!("{base}/readyz")).send().await.unwrap().status();
            if ready != 200 {
                return Err(ready);
            }
        }
        Ok(())
    })
    .await;
    println!("{seconds} s away: refused in {:?}, {asked} script calls in the first second", took[took.len() / 2]);
    fleet.stop();
}

async fn reserve(client: &Client, base: &str, buyer: &str) -> Response {
    let shop = Shop { client: client.clone(), ..Shop::named(base, "drop") };
    shop.reserving(buyer).send().await.unwrap()
}

/// Somebody who tries until the first reservation; how long that was after the return. Goes on for the second.
async fn knock(base: String, who: usize, back: Instant) -> Duration {
    let client = plain();
    let mut first = None;
    for round in 0.. {
        let status = reserve(&client, &base, &format!("after-{who}-{round}")).await.status();
        if status == 201 {
            first.get_or_insert_with(|| back.elapsed());
        }
        if back.elapsed() > Duration::from_secs(1)
            && let Some(first) = first
        {
            return first;
        }
        assert!(back.elapsed() < Duration::from_secs(30), "{status}");
        time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("nobody knocks for ever")
}
