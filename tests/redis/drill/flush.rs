//! Somebody empties the store in the middle of it all.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time;

use super::{crowd::Crowd, fleet::Fleet};
use crate::support::{
    SOON,
    client::answer,
    eventually,
    redis::server::Redis,
    stock::Shop,
    visits::{calling, session_of},
};

const LINE: usize = 12;
/// Before the store is emptied.
const INSIDE: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_flushall_the_line_goes_on_and_the_sale_waits_for_its_operator() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    // From here on a line that moves by one after the other.
    let settings = json!({ "rate_per_minute": 120, "burst": INSIDE, "overcall": 0, "mode": "queue" });
    fleet.servers()[0].patch_room("main", settings).await;
    let client = crate::support::client::plain();
    let room = |base: &str| format!("{base}/v1/rooms/main");
    let claim = async |ticket: &str| crowd.insist(0, |base| calling(&client, &room(base), "passes", ticket)).await;
    let mut tickets = Vec::new();
    for who in 0..LINE {
        let (status, joined) =
            crowd.insist(who, |base| client.post(format!("{}/tickets", room(base))).json(&json!({}))).await;
        assert_eq!((status, joined["number"].as_u64()), (201, Some(who as u64 + 1)), "{joined}");
        tickets.push(joined["ticket"].as_str().unwrap().to_owned());
    }
    let mut inside = Vec::new();
    for ticket in &tickets[..INSIDE] {
        let (status, pass) = claim(ticket).await;
        assert_eq!(status, 200, "{pass}");
        inside.push(session_of(&pass));
    }
    let (status, held) = Shop::named(&fleet.bases()[1], "drop").reserve("early").await.unwrap();
    assert_eq!(status, 201, "{held}");

    redis.cli(&["FLUSHALL"]);
    for (number, ticket) in tickets.iter().enumerate() {
        let look = |base: &str| client.get(format!("{}/place", room(base))).header("X-Dropgate-Ticket", ticket);
        let (status, place) = crowd.insist(number, look).await;
        assert_eq!((status, place["position"].as_u64()), (200, Some(number as u64 + 1)), "{place}");
    }
    let mut subjects = BTreeSet::new();
    for (number, ticket) in tickets.iter().enumerate() {
        let pass = eventually(&format!("{} enters", number + 1), SOON, async || match claim(ticket).await {
            (200, pass) => Ok(session_of(&pass)),
            (202, waits) => Err(waits),
            (status, refused) => panic!("{}: {status} {refused}", number + 1),
        })
        .await;
        assert!(subjects.insert(pass["sub"].to_string()), "two share a session");
        if let Some(before) = inside.get(number) {
            assert_eq!(*before, pass, "{} has a second session", number + 1);
        }
    }
    sells_nothing(&fleet).await;
    sells_again_when_its_operator_says_so(&fleet).await;
    fleet.stop();
}

/// Nobody can buy, wherever and however often they ask, and everybody is told why.
async fn sells_nothing(fleet: &Fleet) {
    for base in fleet.bases() {
        let shop = Shop::named(&base, "drop");
        for buyer in ["early", "late"] {
            let refused = eventually("the sale is closed", SOON, async || match shop.reserve(buyer).await.unwrap() {
                (403, refused) => Ok(refused),
                (503, away) => Err(away),
                (status, sold) => panic!("{buyer}: {status} {sold}"),
            })
            .await;
            assert_eq!(
                (&refused["type"], &refused["reason"]),
                (&json!("urn:dropgate:sale_closed"), &json!("needs_operator"))
            );
        }
        let (status, view) = answer(shop.keyed(Method::GET, "")).await.unwrap();
        assert_eq!((status, &view["state"]), (200, &Value::from("needs_operator")), "{view}");
    }
    time::sleep(Duration::from_secs(1)).await;
    let (status, refused) = Shop::named(&fleet.bases()[0], "drop").reserve("later").await.unwrap();
    assert_eq!(status, 403, "{refused}");
}

async fn sells_again_when_its_operator_says_so(fleet: &Fleet) {
    let shop = Shop::named(&fleet.bases()[0], "drop");
    let deleted = shop.keyed(Method::DELETE, "").header("If-Match", "*").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    shop.put(1, json!({})).await;
    let elsewhere = Shop::named(&fleet.bases()[1], "drop");
    let (status, held) =
        eventually("the new sale is known", SOON, async || match elsewhere.reserve("new").await.unwrap() {
            (201, held) => Ok((201, held)),
            (403 | 404 | 503, not_yet) => Err(not_yet),
            other => panic!("{other:?}"),
        })
        .await;
    assert_eq!((status, &held["state"]), (201, &json!("held")));
    let (status, refused) = shop.reserve("newer").await.unwrap();
    assert_eq!((status, &refused["type"]), (409, &json!("urn:dropgate:sold_out")), "{refused}");
}
