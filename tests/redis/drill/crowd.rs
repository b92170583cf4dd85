//! Visitors and buyers at several instances, who insist, and write down what they were told.

use std::{
    collections::BTreeMap,
    process::Output,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time};

use super::fleet::Fleet;
use crate::support::{
    client::{answer, plain},
    server::{ADMIN_KEY, dropgate},
    stock::{self, Known, Shop},
    visits::{self, Leave, calling, session_of},
};

/// Of this there is always more than anybody wants.
const PLENTY: &str = "drop";
/// Of this there is never enough, so that every unit that is forgotten would be sold again.
const RARE: &str = "rare";
/// How many of the rare thing there are at first, and come with each delivery.
const DELIVERY: u64 = 20;
const SALES: [&str; 2] = [PLENTY, RARE];

/// Longer than any failure here lasts on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than an instance may think about an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Before somebody who was refused asks again.
const PAUSE: Duration = Duration::from_millis(20);
/// An instance may show figures that are a second old.
const FRESH: Duration = Duration::from_millis(1_500);
/// How many look at a time when all is held against the books.
const AT_ONCE: usize = 16;

/// The crowd and its notes.
pub struct Crowd {
    bases: Vec<String>,
    client: Client,
    book: Mutex<Book>,
    /// How many answers were the store's word.
    acknowledged: AtomicUsize,
    over: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Book {
    visits: visits::Told,
    /// What buyers know, by sale and reservation.
    goods: BTreeMap<(&'static str, String), Known>,
    /// What was answered instead of an answer.
    troubles: Vec<String>,
}

impl Crowd {
    /// Opens a line and two sales, known to all instances; nobody comes yet.
    pub async fn gather(fleet: &Fleet) -> Arc<Self> {
        // Whoever joins is called at once, so that every step of the way is under way at any moment.
        fleet.put_room(json!({ "rate_per_minute": 600_000, "burst": 100_000, "join_per_address": 0 })).await;
        for (sale, total) in [(PLENTY, 1_000_000), (RARE, DELIVERY)] {
            // Holds outlive the test: what is not held any more was confirmed or released.
            Shop::named(fleet.servers()[0].base(), sale).put(total, json!({ "hold_seconds": 900 })).await;
            fleet.all_know(&format!("/v1/sales/{sale}")).await;
        }
        Arc::new(Self {
            bases: fleet.bases(),
            client: plain(),
            book: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            tasks: Mutex::default(),
        })
    }

    /// So many visitors come, and so many buyers for each sale.
    pub fn come(self: &Arc<Self>, each: usize) {
        let mut tasks = self.tasks.lock().unwrap();
        for who in 0..each {
            tasks.spawn(Arc::clone(self).visit(who));
            for sale in SALES {
                tasks.spawn(Arc::clone(self).buy(sale, who));
            }
        }
    }

    /// Waits until so many more answers have come.
    pub async fn get_answers(&self, count: usize) {
        let goal = self.acknowledged.load(SeqCst) + count;
        let deadline = Instant::now() + PATIENCE;
        while self.acknowledged.load(SeqCst) < goal {
            if let Some(ended) = self.tasks.lock().unwrap().try_join_next() {
                ended.expect("nobody in the crowd met anything wrong");
            }
            assert!(Instant::now() < deadline, "no answers any more: {:#?}", self.book().last_troubles());
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// More of the rare thing; `delivery` names it.
    pub async fn deliver(&self, delivery: usize) {
        let path = format!("/items/{}/restock", stock::SKU);
        let body = json!({ "delta": DELIVERY });
        let (status, answer) = self
            .insist(0, |base| {
                let restock = Shop::named(base, RARE).keyed(reqwest::Method::POST, &path);
                restock.header("Idempotency-Key", format!("delivery-{delivery}")).json(&body)
            })
            .await;
        assert_eq!(status, 200, "{answer}");
    }

    /// All finish what they are at; nobody comes any more.
    pub async fn go_home(&self) {
        self.over.store(true, SeqCst);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        while let Some(ended) = tasks.join_next().await {
            ended.expect("nobody in the crowd met anything wrong");
        }
    }

    /// Nobody was ever refused, kept waiting or cut off.
    pub fn had_no_trouble(&self) {
        assert!(self.book().troubles.is_empty(), "{:#?}", self.book().last_troubles());
    }

    /// Asks every living instance for everything that was acknowledged, and has the books audited.
    pub async fn hold_against(&self, fleet: &Fleet) {
        time::sleep(FRESH).await;
        let visits = self.book().visits.since(0);
        let goods = self.book().goods.clone();
        let count = |wanted| goods.values().filter(|known| **known == wanted).count();
        let (sold, given_back) = (count(Known::Confirmed), count(Known::Released));
        let stakes =
            format!("{} places, {} passes, {sold} sold, {given_back} back", visits.tickets.len(), visits.passes.len());
        assert!(
            visits.passes.len() > 5 && visits.leaving.len() > 5 && sold > 5 && given_back > 5,
            "{stakes}: hardly anything"
        );
        for base in fleet.bases() {
            visits::hold_against(&base, &visits).await;
            for sale in SALES {
                let (shop, mut told) = (Shop::named(&base, sale), stock::Told::default());
                shop.audit(&mut told).await;
                let of_sale = goods.iter().filter(|((at, _), _)| *at == sale);
                stream::iter(of_sale)
                    .for_each_concurrent(AT_ONCE, |((_, id), known)| stock::hold_against(&shop, &told, id, *known))
                    .await;
                assert!(told.available >= 0 && told.held >= 0 && told.sold <= told.total, "oversold: {told:?}");
            }
        }
        for sale in SALES {
            audit(&fleet.store_url(), sale);
        }
        println!("{stakes}; refused for a while {} times", self.book().troubles.len());
    }

    /// Asks one instance after the other until one gives an answer that is the store's word.
    pub async fn insist(&self, who: usize, ask: impl Fn(&str) -> RequestBuilder) -> (u16, Value) {
        let deadline = Instant::now() + PATIENCE;
        for attempt in who.. {
            let base = &self.bases[attempt % self.bases.len()];
            let trouble = match time::timeout(ANSWER, answer(ask(base))).await {
                Ok(Some((status, body))) if status < 500 && status != 429 => {
                    self.acknowledged.fetch_add(1, SeqCst);
                    return (status, body);
                }
                Ok(Some((status, body))) => format!("{base}: {status} {body}"),
                Ok(None) => format!("{base}: hung up"),
                Err(_) => format!("{base}: no answer within {ANSWER:?}"),
            };
            assert!(Instant::now() < deadline, "for {PATIENCE:?} nothing but: {trouble}");
            self.book().troubles.push(trouble);
            time::sleep(PAUSE).await;
        }
        unreachable!("nobody asks for ever")
    }

    /// Joins, enters, and now and then leaves again.
    async fn visit(self: Arc<Self>, who: usize) {
        let room = |base: &str| format!("{base}/v1/rooms/main");
        for round in 0.. {
            if self.over.load(SeqCst) {
                return;
            }
            let join = |base: &str| self.client.post(format!("{}/tickets", room(base))).json(&json!({}));
            let (status, joined) = self.insist(who, join).await;
            assert_eq!(status, 201, "{joined}");
            let position = joined["number"].as_u64().unwrap();
            let ticket = joined["ticket"].as_str().unwrap().to_owned();
            let twice = self.book().visits.tickets.insert(position, ticket.clone());
            assert_eq!(twice, None, "position {position} was issued twice");
            if round % 4 == 0 {
                continue;
            }
            let call = async |call| self.insist(who, |base| calling(&self.client, &room(base), call, &ticket)).await;
            let pass = loop {
                match call("passes").await {
                    (200, pass) => break pass,
                    (202, _) => time::sleep(PAUSE).await,
                    (status, refused) => panic!("{position}: {status} {refused}"),
                }
            };
            self.book().visits.passes.insert(position, session_of(&pass));
            if round % 4 == 1 {
                self.book().visits.leaving.insert(position, Leave::Asked);
                let (status, left) = call("leave").await;
                assert!((200..300).contains(&status) || status == 410, "{position}: {status} {left}");
                self.book().visits.leaving.insert(position, Leave::Done);
            }
        }
    }

    /// Buys one after the other; of what there is plenty, some is given back.
    async fn buy(self: Arc<Self>, sale: &'static str, who: usize) {
        for round in 0.. {
            if self.over.load(SeqCst) {
                return;
            }
            let key = format!("{who}-{round}");
            let (status, held) = self.insist(who, |base| self.shop(base, sale).reserving(&key)).await;
            if status == 409 && sale == RARE {
                assert_eq!(held["type"], "urn:dropgate:sold_out", "{held}");
                time::sleep(PAUSE).await;
                continue;
            }
            assert_eq!(status, 201, "{held}");
            let id = held["id"].as_str().unwrap().to_owned();
            let note = |known| self.book().goods.insert((sale, id.clone()), known);
            assert_eq!(note(Known::Held), None, "{id} was given to two");
            let (call, body, asked, done) = match (round % 4, sale) {
                (0, PLENTY) => continue,
                (1, PLENTY) => ("release", json!({}), Known::Releasing, Known::Released),
                _ => ("confirm", json!({ "order": id }), Known::Confirming, Known::Confirmed),
            };
            note(asked);
            let (status, answer) = self.insist(who, |base| self.shop(base, sale).calling(&id, call, &body)).await;
            assert_eq!(status, 200, "{sale} {call} {id}: {answer}");
            note(done);
        }
    }

    fn shop(&self, base: &str, sale: &str) -> Shop {
        Shop { client: self.client.clone(), ..Shop::named(base, sale) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

impl Book {
    fn last_troubles(&self) -> &[String] {
        &self.troubles[self.troubles.len().saturating_sub(10)..]
    }
}

/// `dropgate audit` finds nothing.
pub fn audit(store: &str, sale: &str) {
    let mut command = dropgate();
    let Output { status, stdout, stderr } = command
        .args(["audit", "--store", store, "--sale", sale])
        .env("DROPGATE_ADMIN_KEY", ADMIN_KEY)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(0), "audit of {sale}: {told}");
}
