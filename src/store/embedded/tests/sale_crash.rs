//! `kill -9` of a process that sells: holds and confirmations that it acknowledged stand, once, and the books are right.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::runtime::{Builder, Handle};

use super::{
    crash::{FOLDER, KILLS, live_and_die, say},
    *,
};
use crate::{
    sale::{Command as Ask, OrderRef, Outcome as Told, ReservationId, State},
    store::{
        audit::audit_sale,
        sale_lane::SaleLane,
        tests::sales::{confirm, id, reserve, reserve_of, sale_rules},
    },
};

const BUYERS: u64 = 16;
/// Its holds live half a day.
const LASTING: &str = "lasting";
/// Its holds live a second, so that they are due under load.
const FLEETING: &str = "fleeting";

/// What the child was told in all its lives.
#[derive(Default)]
struct Acknowledged {
    /// By reservation: its deadline.
    held: BTreeMap<u128, u64>,
    confirmed: BTreeSet<u128>,
    released: BTreeSet<u128>,
    /// Confirmations of holds that live a second.
    fleeting: BTreeSet<u128>,
}

#[test]
fn twenty_kills_lose_no_hold_and_no_sale_and_double_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::from_os_rng();
    let mut told = Acknowledged::default();
    for kill in 0..KILLS {
        let before = told.held.len();
        let after_ms = rng.random_range(20..250);
        for line in live_and_die(folder.path(), after_ms, "sale_crash::the_child_that_sells") {
            told.note(&line);
        }
        assert!(told.held.len() > before, "kill {kill} after {after_ms} ms met no load");
        let copy = tempfile::tempdir().unwrap();
        fs::copy(database(&folder), database(&copy)).unwrap();
        Builder::new_current_thread().build().unwrap().block_on(told.hold_against(copy.path()));
    }
    assert!(told.confirmed.len() > KILLS && told.released.len() > KILLS && told.fleeting.len() > KILLS);
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let id = words[1].parse().unwrap();
        match words[0] {
            "held" => {
                let deadline = words[2].parse().unwrap();
                let known = *self.held.entry(id).or_insert(deadline);
                assert_eq!(known, deadline, "two holds of one key: {line}");
            }
            "confirmed" => _ = self.confirmed.insert(id),
            "released" => _ = self.released.insert(id),
            "fleeting" => _ = self.fleeting.insert(id),
            other => panic!("the child said {other:?}"),
        }
    }

    /// Opens the store and asks it for everything it ever acknowledged.
    async fn hold_against(&self, folder: &Path) {
        let store = Embedded::file(folder, Clock::system(), Arc::new(Metrics::new())).unwrap();
        for sale in [LASTING, FLEETING] {
            let report = audit_sale(&store, id(sale)).await.unwrap().unwrap();
            assert!(report.is_clean(), "{sale}: {:?}", report.differences().collect::<Vec<_>>());
        }
        let before = store.sale(id(LASTING), vec![]).await.unwrap().header.unwrap();
        let keys: Vec<u128> = self.held.keys().copied().collect();
        for some in keys.chunks(200) {
            // The same keys again: the reservations that are there, and no others.
            let again = some.iter().map(|key| reserve(*key, "red", 1)).collect();
            let found = store.sale(id(LASTING), again).await.unwrap().outcomes;
            for (key, found) in some.iter().zip(found) {
                let Told::Reservation(reservation) = found else { panic!("{key} is lost: {found:?}") };
                self.hold_one_against(*key, &reservation.state);
            }
        }
        let after = store.sale(id(LASTING), vec![]).await.unwrap().header.unwrap();
        assert_eq!((before.seq, before.held), (after.seq, after.held), "a key was granted a second time");
        let at_most = self.held.len() as u64 + BUYERS * KILLS as u64;
        assert!(before.held <= at_most, "{} held, {} acknowledged", before.held, self.held.len());
        for some in self.fleeting.iter().copied().collect::<Vec<_>>().chunks(200) {
            let looks = some.iter().map(|key| Ask::Look { id: ReservationId(*key) }).collect();
            for found in store.sale(id(FLEETING), looks).await.unwrap().outcomes {
                assert!(
                    matches!(&found, Told::Reservation(found) if matches!(found.state, State::Confirmed { .. })),
                    "{found:?}"
                );
            }
        }
    }

    fn hold_one_against(&self, key: u128, state: &State) {
        match state {
            State::Confirmed { order, .. } => assert_eq!(*order, order_of(key)),
            State::Released { .. } => assert!(!self.confirmed.contains(&key), "{key} was paid for"),
            State::Held { deadline, .. } => {
                assert_eq!(deadline.0, self.held[&key], "{key} has another deadline");
                assert!(!self.confirmed.contains(&key), "{key} was paid for, and is only held");
                assert!(!self.released.contains(&key), "{key} is back");
            }
            State::Expired { .. } => panic!("{key} expired half a day early"),
        }
    }
}

fn order_of(key: u128) -> OrderRef {
    OrderRef::parse(&format!("order-{key}")).unwrap()
}

/// Not a test of its own: the child of the one above, which kills it. By itself it has nothing to do.
#[test]
fn the_child_that_sells() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let metrics = Arc::new(Metrics::new());
    let store = Embedded::file(Path::new(&folder), Clock::system(), Arc::clone(&metrics)).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let lane =
            |sale| SaleLane::new(store.clone(), id(sale), Clock::system(), Handle::current(), Arc::clone(&metrics));
        let (lasting, fleeting) = (lane(LASTING), lane(FLEETING));
        let Ask::Configure { version, born, mut rules, make } = sale_rules(1, &[("red", 1_000_000)]) else {
            unreachable!()
        };
        fleeting.submit(Ask::Configure { version, born, rules: rules.clone(), make }).await.unwrap();
        (rules.hold_ms, rules.hold_max_ms) = (43_200_000, 43_200_000);
        lasting.submit(Ask::Configure { version, born, rules, make }).await.unwrap();
        say("ready");
        let buyers: Vec<_> = (0..BUYERS)
            .map(|_| tokio::spawn(buy(Arc::clone(&lasting), Arc::clone(&fleeting), rand::random())))
            .collect();
        for buyer in buyers {
            buyer.await.unwrap();
        }
    });
}

/// Reserves, pays for some and lets others go, until killed.
async fn buy(lasting: Arc<SaleLane<Embedded>>, fleeting: Arc<SaleLane<Embedded>>, first: u64) {
    for key in u128::from(first) << 64.. {
        let Told::Reservation(held) = lasting.submit(reserve(key, "red", 1)).await.unwrap().outcome else { panic!() };
        let State::Held { deadline, .. } = held.state else { panic!("{held:?}") };
        say(&format!("held {key} {}", deadline.0));
        match key % 4 {
            0 => {
                lasting.submit(confirm(key, &order_of(key))).await.unwrap();
                say(&format!("confirmed {key}"));
            }
            1 => {
                lasting.submit(Ask::Release { id: ReservationId(key) }).await.unwrap();
                say(&format!("released {key}"));
            }
            // Left to expire, but for a few.
            2 => {
                fleeting.submit(Ask::Reserve(reserve_of(key, &[("red", 3)]))).await.unwrap();
                if key % 8 == 2 {
                    fleeting.submit(confirm(key, &order_of(key))).await.unwrap();
                    say(&format!("fleeting {key}"));
                }
            }
            _ => {}
        }
    }
}
