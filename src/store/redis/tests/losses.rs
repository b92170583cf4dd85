//! Random losses on a real server: its keys are set back to how they were a while ago, as they are at a replica that was
//! promoted too early, and its identity changes, as it does then. Several instances remember what was lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use redis::{Connection, ConnectionLike, Value, cmd};

use crate::{
    id::{RoomId, SaleId},
    room::{self, Place, Position, SessionRef, Standing, Tag},
    sale::{self, ReservationId, Sku, State},
    store::{
        Backend, RoomReply, SaleReply, Store, StoreError,
        audit::audit_sale,
        instances::Announcement,
        redis::{
            RedisStore,
            link::{Durability, Link, LinkOptions},
            testing::RedisServer,
        },
        tests::{
            rules,
            sales::{confirm, reserve, sale_rules},
        },
    },
    telemetry::Metrics,
    time::UnixMs,
};

/// Of each kind of schedule.
const SCHEDULES: u64 = 30;
const STEPS: usize = 120;
const UNITS: u64 = 40;

/// What all instances together acknowledged.
#[derive(Default)]
struct Told {
    positions: BTreeSet<Position>,
    sessions: BTreeMap<Position, SessionRef>,
    left: BTreeSet<Position>,
    /// Reservations that are held, and those confirmed.
    held: BTreeSet<u128>,
    sold: BTreeSet<u128>,
    next: u128,
}

/// A room and a sale on one server, several instances, and what the server could be set back to.
struct World {
    server: Connection,
    stores: Vec<RedisStore>,
    room: RoomId,
    sale: SaleId,
    told: Told,
    earlier: Vec<Vec<(String, Vec<u8>)>>,
    rng: StdRng,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_all_instances_live() {
    let server = RedisServer::start(&["--save", "", "--enable-debug-command", "local"]);
    for seed in 0..SCHEDULES {
        let mut world = World::new(&server, seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.hold_against(seed).await;
    }
}

impl World {
    async fn new(server: &RedisServer, seed: u64) -> Self {
        let mut connection = redis::Client::open(("127.0.0.1", server.port())).unwrap().get_connection().unwrap();
        connection.req_command(cmd("FLUSHALL").arg("SYNC")).unwrap();
        let mut stores = Vec::new();
        for _ in 0..3 {
            stores.push(RedisStore::new(linked(server).await));
            assert!(Backend::Redis(stores[0].clone()).gathering().is_some(), "a call costs much whatever is in it");
        }
        // Twice, so that each has heard of all the others.
        for store in stores.iter().chain(&stores) {
            let (id, started) = (store.instance_id(), UnixMs(0));
            let me = Announcement { id, build: String::new(), started, rooms: Vec::new(), sales: Vec::new() };
            store.announce(me).await.unwrap();
        }
        let (room, sale) = (RoomId::parse("room").unwrap(), SaleId::parse("sale").unwrap());
        let rules = room::Rules { rate_per_minute: 60_000, burst: 10, session_ms: 3_600_000, ..rules() };
        let configure = room::Command::Configure { version: 1, first_epoch: 1, rules };
        for store in &stores {
            store.room(room.clone(), vec![configure.clone()]).await.unwrap();
            store.sale(sale.clone(), vec![long_rules()]).await.unwrap();
        }
        let rng = StdRng::seed_from_u64(seed);
        let mut world =
            Self { server: connection, stores, room, sale, told: Told::default(), earlier: Vec::new(), rng };
        world.remember();
        world
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..8 => self.remember(),
            8..12 => self.set_back(),
            12..14 => _ = self.server.req_command(cmd("SCRIPT").arg("FLUSH")).unwrap(),
            14..40 => self.join().await,
            40..60 => self.claim().await,
            60..64 => self.leave().await,
            64..84 => self.reserve().await,
            84..94 => self.confirm().await,
            _ => self.release().await,
        }
    }

    /// As a replica has it that falls behind from here on.
    fn remember(&mut self) {
        let Value::Array(keys) = self.server.req_command(cmd("KEYS").arg("*")).unwrap() else { panic!("no keys") };
        let keys = keys.into_iter().map(|key| redis::from_redis_value::<String>(key).unwrap());
        let dumped = keys.map(|key| {
            let dump = self.server.req_command(cmd("DUMP").arg(&key)).unwrap();
            (key, redis::from_redis_value(dump).unwrap())
        });
        let dumped = dumped.collect();
        self.earlier.push(dumped);
    }

    /// A replica is promoted that has fallen behind.
    fn set_back(&mut self) {
        let back = self.rng.random_range(1..4).min(self.earlier.len());
        self.earlier.truncate(self.earlier.len() - back + 1);
        self.server.req_command(cmd("FLUSHALL").arg("SYNC")).unwrap();
        for (key, dump) in self.earlier.last().unwrap() {
            self.server.req_command(cmd("RESTORE").arg(key).arg(0).arg(&dump[..])).unwrap();
        }
        self.server.req_command(cmd("DEBUG").arg("CHANGE-REPL-ID")).unwrap();
    }

    async fn join(&mut self) {
        let count = self.rng.random_range(1..4);
        let outcome = self.ask_room(room::Command::Join { count }).await;
        let room::Outcome::Joined { epoch: 1, first, count } = outcome else { panic!("{outcome:?}") };
        for position in first..first + u64::from(count) {
            assert!(self.told.positions.insert(position), "position {position} was issued twice");
        }
    }

    async fn claim(&mut self) {
        let Some(position) = self.any_position() else { return };
        let tag = Tag(self.rng.random());
        let outcome = self.ask_room(room::Command::Claim { place: place(position), tag }).await;
        if let room::Outcome::Live(session) = outcome {
            let known = self.told.sessions.entry(position).or_insert(session.name);
            assert_eq!(*known, session.name, "{position} entered twice");
            assert!(!self.told.left.contains(&position), "{position} had left");
        } else {
            assert!(!self.told.sessions.contains_key(&position) || self.told.left.contains(&position), "{outcome:?}");
        }
    }

    async fn leave(&mut self) {
        let Some(position) = self.any_position() else { return };
        let outcome = self.ask_room(room::Command::Leave { place: place(position) }).await;
        assert_eq!(outcome, room::Outcome::Done);
        self.told.left.insert(position);
    }

    async fn reserve(&mut self) {
        self.told.next += 1;
        let id = self.told.next;
        match self.ask_sale(reserve(id, "red", 1)).await {
            sale::Outcome::Reservation(_) => _ = self.told.held.insert(id),
            sale::Outcome::Refused(sale::Refusal::SoldOut { .. }) => {
                let taken = self.told.held.len() + self.told.sold.len();
                assert_eq!(taken as u64, UNITS, "a false refusal");
            }
            other => panic!("{other:?}"),
        }
    }

    async fn confirm(&mut self) {
        let Some(id) = self.any_held() else { return };
        let order = sale::OrderRef::parse(&format!("order-{id}")).unwrap();
        let outcome = self.ask_sale(confirm(id, &order)).await;
        assert!(matches!(outcome, sale::Outcome::Reservation(_)), "{id}: {outcome:?}");
        self.told.held.remove(&id);
        self.told.sold.insert(id);
    }

    async fn release(&mut self) {
        let Some(id) = self.any_held() else { return };
        let outcome = self.ask_sale(sale::Command::Release { id: ReservationId(id) }).await;
        assert!(matches!(outcome, sale::Outcome::Reservation(_)), "{id}: {outcome:?}");
        self.told.held.remove(&id);
    }

    fn any_position(&mut self) -> Option<Position> {
        let n = self.rng.random_range(0..self.told.positions.len().max(1));
        self.told.positions.iter().nth(n).copied()
    }

    fn any_held(&mut self) -> Option<u128> {
        let n = self.rng.random_range(0..self.told.held.len().max(1));
        self.told.held.iter().nth(n).copied()
    }

    async fn ask_room(&mut self, command: room::Command) -> room::Outcome {
        for _ in 0..20 {
            let store = self.any_store();
            match store.room(self.room.clone(), vec![command.clone()]).await {
                Ok(RoomReply { mut outcomes, .. }) => return outcomes.remove(0),
                Err(StoreError::Recovering) => self.touch_all().await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the room never recovers")
    }

    async fn ask_sale(&mut self, command: sale::Command) -> sale::Outcome {
        for _ in 0..20 {
            let store = self.any_store();
            match store.sale(self.sale.clone(), vec![command.clone()]).await {
                Ok(SaleReply { mut outcomes, .. }) => return outcomes.remove(0),
                Err(StoreError::Recovering) => self.touch_all().await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the sale never recovers")
    }

    fn any_store(&mut self) -> RedisStore {
        let n = self.rng.random_range(0..self.stores.len());
        self.stores[n].clone()
    }

    /// What each instance does within a second of a loss.
    async fn touch_all(&self) {
        for store in &self.stores {
            let _ = store.room(self.room.clone(), vec![]).await;
            let _ = store.sale(self.sale.clone(), vec![]).await;
        }
    }

    /// Asks for everything that was acknowledged.
    async fn hold_against(&mut self, seed: u64) {
        for position in self.told.positions.clone() {
            let outcome = self.ask_room(room::Command::Look { place: place(position) }).await;
            let room::Outcome::Standing(standing) = outcome else { panic!("{position}: {outcome:?}") };
            let inside = matches!(standing, Standing::Inside { .. });
            let (entered, left) = (self.told.sessions.contains_key(&position), self.told.left.contains(&position));
            assert_eq!(inside, entered && !left, "schedule {seed}: {position} is {standing:?}");
        }
        for id in self.told.held.iter().chain(&self.told.sold).copied().collect::<Vec<_>>() {
            let outcome = self.ask_sale(sale::Command::Look { id: ReservationId(id) }).await;
            let sale::Outcome::Reservation(found) = outcome else { panic!("schedule {seed}: {id} is {outcome:?}") };
            let is_sold = matches!(found.state, State::Confirmed { .. });
            let is_held = matches!(found.state, State::Held { .. });
            assert_eq!((is_held, is_sold), (self.told.held.contains(&id), self.told.sold.contains(&id)), "{found:?}");
        }
        let report = audit_sale(&self.stores[0], self.sale.clone()).await.unwrap().unwrap();
        assert!(report.is_clean(), "schedule {seed}: {report:?}");
        let red = report.view.items.iter().find(|item| item.sku == Sku::parse("red").unwrap()).unwrap();
        assert_eq!((red.held, red.sold), (self.told.held.len() as u64, self.told.sold.len() as u64));
    }
}

async fn linked(server: &RedisServer) -> Link {
    let options = LinkOptions {
        password: None,
        ca_file: None,
        durability: Durability::None,
        connections: 4,
        connect_timeout: Duration::from_secs(5),
        call_timeout: Duration::from_secs(5),
        metrics: Arc::new(Metrics::new()),
    };
    Link::open(&server.url(), options).await.unwrap()
}

/// A sale in which nothing expires by itself.
fn long_rules() -> sale::Command {
    match sale_rules(1, &[("red", UNITS)]) {
        sale::Command::Configure { version, born, rules, make } => {
            let rules = sale::Rules { hold_ms: 3_600_000, hold_max_ms: 7_200_000, ..rules };
            sale::Command::Configure { version, born, rules, make }
        }
        other => other,
    }
}

fn place(position: Position) -> Place {
    Place { epoch: 1, position }
}
