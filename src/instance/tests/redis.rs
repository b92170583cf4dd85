//! Two instances on one Redis, on the clock of the machine: what each learns of the other, and what both do when the
//! server is away or has forgotten everything.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::{
    room::{Command, Mode, Outcome},
    store::redis::{
        RedisStore,
        link::{Durability, Link, LinkOptions},
        testing::RedisServer,
    },
};

/// What a change may take to be everywhere.
const EVERYWHERE: Duration = Duration::from_secs(1);

/// What a test waits for anything else, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

async fn instance(server: &RedisServer) -> Arc<Instance> {
    let metrics = Arc::new(Metrics::new());
    let options = LinkOptions {
        password: None,
        ca_file: None,
        durability: Durability::None,
        connections: 4,
        connect_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(1),
        metrics: Arc::clone(&metrics),
    };
    let store = RedisStore::new(Link::open(&server.url(), options).await.unwrap());
    let options = Options {
        public_url: "https://line.example".to_owned(),
        rooms: Vec::new(),
        sales: Vec::new(),
        api_keys: Vec::new(),
        admin_secret: None,
        signing: SigningPolicy::default(),
        runtime: tokio::runtime::Handle::current(),
    };
    Instance::start(Backend::Redis(store), Clock::system(), metrics, options).await.unwrap()
}

fn room(changes: serde_json::Value) -> Document {
    let mut document = json!({"id": "main", "name": "Main", "shop_url": "https://shop.example/"});
    json_patch::merge(&mut document, &changes);
    read_document(document).unwrap()
}

fn sale() -> sale::Document {
    read_document(json!({"id": "drop", "name": "Drop", "items": [{"sku": "a", "name": "Ay", "total": 5}]})).unwrap()
}

/// Waits until something is so; how long that took.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it never came about that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// The document stands, and its room is still finding out what the server may have lost.
fn unsettled(error: OperateError) -> Result<(), OperateError> {
    if matches!(error, OperateError::Store(_)) { Ok(()) } else { Err(error) }
}

async fn submit(instance: &Instance, command: Command) -> Result<Outcome, StoreError> {
    let room = instance.room("main").unwrap();
    room.lane.submit(command).await.map(|answer| answer.outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_everywhere_within_a_second_and_a_line_is_one() {
    let server = RedisServer::start(&[]);
    let (one, other) = (instance(&server).await, instance(&server).await);
    one.put_room(&room(json!({"mode": "hold"})), Expect::Absent).await.unwrap();
    let made = until("the room is there", async || other.room("main").is_some_and(|room| !room.lags())).await;
    assert!(made < EVERYWHERE, "{made:?}");
    for n in 0..6 {
        let instance = if n % 2 == 0 { &one } else { &other };
        let outcome = submit(instance, Command::Join { count: 1 }).await.unwrap();
        assert_eq!(outcome, Outcome::Joined { epoch: 1, first: n + 1, count: 1 });
    }
    let version = other.patch_room("main", &json!({"mode": "open"}), Expect::Any).await.unwrap().room.version;
    let changed = until("the change is there", async || one.room("main").unwrap().document.mode == Mode::Open).await;
    assert!(changed < EVERYWHERE, "{changed:?}");
    until("both are listed with it", async || {
        let rows = one.instances().await.unwrap();
        rows.len() == 2 && rows.iter().all(|row| row.announcement.rooms.iter().all(|(_, obeyed)| *obeyed == version))
    })
    .await;
    other.stop().await;
    let rows = one.instances().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.announcement.id).collect::<Vec<_>>(), [one.id]);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_keys_outlive_a_server_that_forgets_everything() {
    let server = RedisServer::start(&[]);
    let (one, other) = (instance(&server).await, instance(&server).await);
    one.put_room(&room(json!({})), Expect::Absent).await.unwrap();
    let key = NewKey { name: "a".to_owned(), scopes: [Scope::Admin].into(), rooms: None, sales: None };
    let key = one.create_api_key(key).await.unwrap().key;
    let signing = one.signing_keys();
    server.ask::<String>(&["FLUSHALL"]);
    until("a third one finds all of it", async || {
        let third = instance(&server).await;
        let found = third.room("main").is_some() && third.api_key_by_id(&key.id).is_some();
        let is_same = third.signing_keys() == signing;
        third.stop().await;
        found && is_same
    })
    .await;
    until("the other has it too", async || other.api_key_by_id(&key.id).is_some()).await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_views_stay_and_soon_after_all_goes_on() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let one = instance(&server).await;
    one.put_room(&room(json!({})), Expect::Absent).await.unwrap();
    one.put_sale(&sale(), Expect::Absent).await.unwrap();
    let items = one.sale("drop").unwrap().recent_items(&one.clock).await.unwrap();
    submit(&one, Command::Join { count: 3 }).await.unwrap();
    server.kill();
    until("it is noticed", async || one.ready().await.is_err()).await;
    let asked = Instant::now();
    for _ in 0..20 {
        let refused = submit(&one, Command::Join { count: 1 }).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "nobody waits for a server that is away: {:?}", asked.elapsed());
    assert_eq!(one.room("main").unwrap().lane.view().unwrap().tail, 3, "the last known status is there");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(one.sale("drop").unwrap().recent_items(&one.clock).await.unwrap(), items, "and the last known stock");
    server.restart();
    let back = until("it is back", async || one.ready().await.is_ok()).await;
    assert!(back < Duration::from_secs(2), "{back:?}");
    one.patch_room("main", &json!({"rate_per_minute": 60}), Expect::Any).await.map(drop).or_else(unsettled).unwrap();
    until("the instance is listed again", async || !one.instances().await.unwrap().is_empty()).await;
    one.stop().await;
}
