//! Several instances, of which one dies; and scripts that are gone.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time;

use super::{crowd::Crowd, fleet::Fleet, times};
use crate::support::{
    client::{answer, plain},
    redis::server::{Redis, SYNCED},
    visits::calling,
};

const EACH: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_forgotten_under_load_trouble_nobody() {
    let redis = Redis::start(SYNCED);
    let fleet = Fleet::start(&redis.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    for _ in 0..times("DRILL_SCRIPT_FLUSHES", 10) {
        crowd.get_answers(50).await;
        redis.cli(&["SCRIPT", "FLUSH"]);
    }
    crowd.get_answers(50).await;
    crowd.go_home().await;
    crowd.had_no_trouble();
    crowd.hold_against(&fleet).await;
    fleet.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crowd_of_an_instance_killed_with_kill_9_goes_on_at_the_others() {
    let redis = Redis::start(SYNCED);
    let mut fleet = Fleet::start(&redis.url(), 3);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    for _ in 0..2 {
        crowd.get_answers(100).await;
        fleet.kill(0);
    }
    crowd.get_answers(100).await;
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}

/// A line of this many, all of whom try again and again.
const LINE: usize = 30;
const RATE_PER_MINUTE: u64 = 300;
const BURST: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_holds_over_all_instances_though_one_is_killed() {
    let redis = Redis::start(SYNCED);
    let mut fleet = Fleet::start(&redis.url(), 3);
    let bases = fleet.bases();
    let settings = json!({ "rate_per_minute": RATE_PER_MINUTE, "burst": BURST, "overcall": 0, "join_per_address": 0 });
    let opened = Instant::now();
    fleet.put_room(settings).await;
    let (client, room) = (plain(), |base: &str| format!("{base}/v1/rooms/main"));
    let enter = async |who: usize| {
        let join = client.post(format!("{}/tickets", room(&bases[who % 3]))).json(&json!({}));
        let (status, joined) = answer(join).await.unwrap();
        assert_eq!(status, 201, "{joined}");
        let (ticket, position) = (joined["ticket"].as_str().unwrap(), &joined["number"]);
        for attempt in who.. {
            let base = &bases[attempt % 3];
            match answer(calling(&client, &room(base), "passes", ticket)).await {
                Some((200, _)) => break,
                Some((202, _)) => {
                    let place = client.get(format!("{}/place", room(base))).header("X-Dropgate-Ticket", ticket);
                    if let Some((200, place)) = answer(place).await {
                        assert_eq!(place["position"], *position, "at another instance the place is the same");
                    }
                }
                // It is the one that was killed.
                None => {}
                Some(other) => panic!("{position}: {other:?}"),
            }
            time::sleep(Duration::from_millis(50)).await;
        }
        opened.elapsed()
    };
    let killed = async {
        time::sleep(Duration::from_secs(2)).await;
        fleet.kill(1);
    };
    let (mut entered, ()) = tokio::join!(join_all((0..LINE).map(enter)), killed);
    entered.sort();
    for (place, at) in entered.iter().enumerate() {
        let allowed = BURST + at.as_millis() as u64 * RATE_PER_MINUTE / 60_000;
        assert!((place as u64) < allowed, "{} had entered after {at:?}: {entered:?}", place + 1);
    }
    // The line was not held up either: twice as long as the rate needs is a busy machine's.
    let needed = Duration::from_millis((LINE as u64 - BURST) * 60_000 / RATE_PER_MINUTE);
    assert!(entered[LINE - 1] < needed * 2 + Duration::from_secs(5), "{entered:?}");
    fleet.stop();
}
