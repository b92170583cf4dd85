//! Ten thousand buyers for a hundred units.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    server::{Backend, Home},
    stock::{SKU, Shop, Told},
};

const BUYERS: usize = 10_000;
const UNITS: usize = 100;
/// Buyers at the counter at a time: each a connection of its own.
const AT_ONCE: usize = 256;
/// Far longer than any of it takes, for a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(90);

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_buyers_share_a_hundred_units(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let home = Home::on(store);
    let server = home.start();
    let shop = Shop::open(&server, UNITS as u64, json!({})).await;
    let buy = async |buyer: usize| {
        let (status, answer) = shop.reserve(&format!("buyer-{buyer}")).await.unwrap();
        if status == 409 {
            assert_eq!(answer["type"], "urn:dropgate:sold_out", "{answer}");
            let held = answer["lines"][0]["held"].as_u64().unwrap();
            let expected = json!([{ "sku": SKU, "wanted": 1, "available": 0, "held": held }]);
            assert_eq!(answer["lines"], expected);
            return None;
        }
        assert_eq!(status, 201, "{answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        let (status, answer) = shop.call(&id, "confirm", json!({ "order": format!("o-{buyer}") })).await.unwrap();
        assert_eq!((status, &answer["state"]), (200, &json!("confirmed")), "{answer}");
        Some(id)
    };
    let bought = stream::iter(0..BUYERS).map(buy).buffer_unordered(AT_ONCE);
    let bought: Vec<_> = bought.filter_map(async |bought| bought).collect().await;
    assert_eq!(bought.len(), UNITS);
    assert_eq!(bought.iter().collect::<BTreeSet<_>>().len(), UNITS, "two buyers share a reservation");
    let mut told = Told::default();
    shop.audit(&mut told).await;
    assert_eq!((told.available, told.held, told.sold), (0, 0, UNITS as i64));
    // Whoever comes now is told that nothing comes back.
    let (status, answer) = shop.reserve("latecomer").await.unwrap();
    assert_eq!((status, answer["lines"][0]["held"].as_u64()), (409, Some(0)), "{answer}");
    assert_eq!(server.stop(), 0);
}

/// The rush with short holds, of which three in ten are walked away from.
struct Rush {
    shop: Shop,
    /// Who was told that some may come back.
    hopeful: Mutex<Vec<usize>>,
    /// Who walked away and paid when it was too late.
    late: Mutex<BTreeSet<String>>,
    bought: Mutex<BTreeSet<String>>,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_walked_away_from_is_sold_to_somebody_else(#[values(Backend::Memory, Backend::Redis)] store: Backend) {
    let home = Home::on(store);
    let server = home.start();
    let shop = Shop::open(&server, UNITS as u64, json!({ "hold_seconds": 1 })).await;
    let (hopeful, late, bought) = (Mutex::default(), Mutex::default(), Mutex::default());
    let rush = Arc::new(Rush { shop, hopeful, late, bought });
    let all = async {
        rush.wave((0..BUYERS).collect()).await;
        // Those who still hope come again and again; each time a hundred of them at most, as a page would have them.
        while rush.bought.lock().unwrap().len() < UNITS {
            let some: Vec<usize> = {
                let mut hopeful = rush.hopeful.lock().unwrap();
                let first = hopeful.len().min(UNITS);
                let rest = hopeful.split_off(first);
                std::mem::replace(&mut *hopeful, rest)
            };
            assert!(!some.is_empty(), "nobody hopes, and not all is sold");
            rush.wave(some).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("not all is sold in time");
    let mut told = Told::default();
    rush.shop.audit(&mut told).await;
    assert_eq!((told.available, told.held, told.sold), (0, 0, UNITS as i64), "exactly, and nothing is stuck");
    let (bought, late) = (rush.bought.lock().unwrap().clone(), rush.late.lock().unwrap().clone());
    assert!(late.len() >= UNITS / 10, "only {} walked away: the test tests nothing", late.len());
    assert_eq!(bought.len(), UNITS);
    for id in &bought {
        let kinds: Vec<_> = told.story(id).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["held", "confirmed"]);
    }
    for id in &late {
        let kinds: Vec<_> = told.story(id).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["held", "expired", "paid_too_late"], "whoever paid is heard of, once");
    }
    assert_eq!(told.count("reservation.held"), bought.len() + late.len());
    assert_eq!(server.stop(), 0);
}

impl Rush {
    /// Each of these buyers comes once.
    async fn wave(self: &Arc<Self>, buyers: Vec<usize>) {
        let mut walked: Vec<tokio::task::JoinHandle<()>> = Vec::new();
        let mut came = stream::iter(buyers).map(|buyer| self.come(buyer)).buffer_unordered(AT_ONCE);
        while let Some(left) = came.next().await {
            // Who walks away leaves the counter to the next.
            walked.extend(left.map(|id| tokio::spawn(Arc::clone(self).pay_late(id))));
        }
        for payer in walked {
            payer.await.unwrap();
        }
    }

    /// A buyer asks, and buys or walks away from the reservation that is returned.
    async fn come(&self, buyer: usize) -> Option<String> {
        let (status, answer) = self.shop.reserve(&format!("buyer-{buyer}")).await.unwrap();
        if status == 409 {
            assert_eq!(answer["type"], "urn:dropgate:sold_out", "{answer}");
            if answer["lines"][0]["held"].as_u64() != Some(0) {
                self.hopeful.lock().unwrap().push(buyer);
            }
            return None;
        }
        assert_eq!(status, 201, "{answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        if buyer % 10 < 3 {
            return Some(id);
        }
        let (status, answer) = self.shop.call(&id, "confirm", json!({ "order": id })).await.unwrap();
        match status {
            200 => _ = self.bought.lock().unwrap().insert(id),
            // On a machine so busy that a second passed in between, this buyer too was late.
            410 => _ = self.late.lock().unwrap().insert(id),
            _ => panic!("{status} {answer}"),
        }
        None
    }

    /// Pays when the hold is over, three times, as an anxious buyer does.
    async fn pay_late(self: Arc<Self>, id: String) {
        // The one wait: it is the buyer's.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for _ in 0..3 {
            let (status, answer) = self.shop.call(&id, "confirm", json!({ "order": id })).await.unwrap();
            assert_eq!((status, &answer["type"]), (410, &Value::from("urn:dropgate:reservation_expired")), "{answer}");
        }
        self.late.lock().unwrap().insert(id);
    }
}
