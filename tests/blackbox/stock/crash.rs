//! `kill -9` of the server while it sells: what it acknowledged stands, and stands once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use rand::Rng;
use rstest::rstest;
use serde_json::json;

use crate::support::{
    server::{Backend, Home},
    stock::{Known, Shop, Told, hold_against},
};

const KILLS: usize = 20;
const BUYERS: usize = 16;

/// What buyers were told in all lives of the server.
#[derive(Default)]
struct Ledger {
    /// By reservation.
    known: BTreeMap<String, Known>,
    /// Who asked and was not answered.
    unanswered: Vec<String>,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_while_selling_lose_nothing_and_double_nothing(
    #[values(Backend::File, Backend::Redis)] store: Backend,
) {
    let home = Home::on(store);
    let mut server = home.start();
    // Holds outlive the test: what is not held any more was confirmed or released.
    let settings = json!({ "hold_seconds": 900 });
    Shop::open(&server, 1_000_000, settings).await;
    let (mut told, mut sold, mut repeated) = (Told::default(), 0, 0);
    for kill in 0..KILLS {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let buy = |buyer| tokio::spawn(buy(Shop::of(&server), format!("{kill}-{buyer}"), Arc::clone(&ledger)));
        let buyers: Vec<_> = (0..BUYERS).map(buy).collect();
        // The one wait of this test: it is the moment of the kill.
        let after_ms = rand::rng().random_range(50..350);
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        server.process().kill();
        for buyer in buyers {
            buyer.await.unwrap();
        }
        server = home.start();
        let shop = Shop::of(&server);
        let ledger = std::mem::take(&mut *ledger.lock().unwrap());
        assert!(!ledger.known.is_empty(), "kill {kill} after {after_ms} ms met no load");
        repeated += ledger.unanswered.len();
        for key in &ledger.unanswered {
            let (status, body) = shop.reserve(key).await.unwrap();
            assert_eq!(status, 201, "{body}");
        }
        shop.audit(&mut told).await;
        stream::iter(&ledger.known)
            .for_each_concurrent(BUYERS, |(id, known)| hold_against(&shop, &told, id, *known))
            .await;
        sold += ledger.known.values().filter(|known| **known == Known::Confirmed).count();
    }
    assert!(sold > KILLS && repeated > 0, "{sold} sold, {repeated} asked again: hardly anything was at stake");
    for id in told.reservations.keys() {
        let mut kinds: Vec<_> = told.story(id).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.remove(0), "held");
        assert!(matches!(kinds[..], [] | ["confirmed"] | ["released"]), "{id}: held, then {kinds:?}");
    }
    assert_eq!(told.count("reservation.confirmed") as i64, told.sold);
    assert_eq!(server.stop(), 0);
}

/// Buys one after the other, now and then changing their minds, until the server is gone.
async fn buy(shop: Shop, name: String, ledger: Arc<Mutex<Ledger>>) {
    for round in 0.. {
        let key = format!("{name}-{round}");
        let Some((status, held)) = shop.reserve(&key).await else {
            ledger.lock().unwrap().unanswered.push(key);
            return;
        };
        assert_eq!(status, 201, "{held}");
        let id = held["id"].as_str().unwrap().to_owned();
        let note = |known| ledger.lock().unwrap().known.insert(id.clone(), known);
        assert_eq!(note(Known::Held), None, "{id} was given to two");
        let (call, body, asked, done) = match round % 4 {
            0 => continue,
            1 => ("release", json!({}), Known::Releasing, Known::Released),
            _ => ("confirm", json!({ "order": id }), Known::Confirming, Known::Confirmed),
        };
        note(asked);
        let Some((status, answer)) = shop.call(&id, call, body).await else { return };
        assert_eq!(status, 200, "{answer}");
        note(done);
    }
}
