//! What every store must do, whatever it is made of: one suite, run on each back end.

pub mod sales;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use futures_util::future::join_all;
use rand::{Rng, rngs::StdRng};

use super::{
    RoomReply, Store,
    batcher::Lane,
    catalog::{self, Expect, Kind},
    embedded::Embedded,
};
use crate::{
    clock::Clock,
    id::RoomId,
    room::{Command, Document, Holder, Outcome, Place, Refusal, Room, Rules, Session, SessionRef, Standing, Tag},
    telemetry::Metrics,
    time::UnixMs,
};

/// A clock that tests set.
#[derive(Clone)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_000_000)))
    }

    pub fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || UnixMs(time.0.load(SeqCst)))
    }

    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, SeqCst);
    }

    pub fn set_back(&self, ms: u64) {
        self.0.fetch_sub(ms, SeqCst);
    }
}

#[tokio::test]
async fn in_memory() {
    let time = Time::new();
    suite(&Embedded::memory(time.clock(), Arc::new(Metrics::new())), &time).await;
}

#[tokio::test]
async fn on_disk() {
    let (time, folder) = (Time::new(), tempfile::tempdir().unwrap());
    suite(&Embedded::file(folder.path(), time.clock(), Arc::new(Metrics::new())).unwrap(), &time).await;
}

/// All of it, on one store that nobody has used. `time` is the store's.
pub async fn suite<S: Store>(store: &S, time: &Time) {
    nobody_is_home(store).await;
    a_batch_is_in_order_and_at_one_time(store).await;
    rooms_do_not_mix_and_positions_are_dense(store).await;
    time_does_not_run_backwards(store, time).await;
    one_claim_one_session(store, time).await;
    a_room_can_go_and_come_again(store).await;
    a_batch_does_what_the_room_does(store, time).await;
    lanes_share_a_store(store).await;
    documents_have_versions(store).await;
    sales::suite(store, time).await;
}

async fn nobody_is_home<S: Store>(store: &S) {
    let reply = store.room(id("nobody"), vec![Command::Tick, JOIN]).await.unwrap();
    assert_eq!(reply.outcomes, vec![Outcome::Refused(Refusal::UnknownRoom); 2]);
    assert_eq!(reply.view, None);
    let reply = store.room(id("nobody"), vec![]).await.unwrap();
    assert_eq!(reply.outcomes, []);
}

async fn a_batch_is_in_order_and_at_one_time<S: Store>(store: &S) {
    let place = Place { epoch: 1, position: 1 };
    let session = SessionRef { epoch: 1, position: 1, tag: Tag(7) };
    let batch = vec![
        Command::Configure { version: 1, first_epoch: 1, rules: rules() },
        JOIN,
        Command::Claim { place, tag: Tag(7) },
        Command::Finish { session },
        Command::Look { place },
    ];
    let reply = store.room(id("in-order"), batch).await.unwrap();
    let live = Session { name: session, start: reply.now, deadline: reply.now.plus_ms(600_000), exchanged: UnixMs(0) };
    assert_eq!(
        reply.outcomes,
        [
            Outcome::Done,
            Outcome::Joined { epoch: 1, first: 1, count: 1 },
            Outcome::Live(live),
            Outcome::Done,
            Outcome::Standing(Standing::Over),
        ]
    );
    let view = reply.view.unwrap();
    assert_eq!((view.now, view.tail, view.entered, view.inside), (reply.now, 1, 1, 0));
}

async fn rooms_do_not_mix_and_positions_are_dense<S: Store>(store: &S) {
    let rooms = ["mix-a", "mix-b", "mix-c"];
    for room in rooms {
        configure(store, room, 1).await;
    }
    let joins = (0..300).map(|n| {
        let (store, room) = (store.clone(), rooms[n % 3]);
        async move { (room, position(&store.room(id(room), vec![JOIN]).await.unwrap())) }
    });
    let issued: BTreeSet<(&str, u64)> = join_all(joins).await.into_iter().collect();
    let all: BTreeSet<(&str, u64)> = rooms.into_iter().flat_map(|room| (1..=100).map(move |p| (room, p))).collect();
    assert_eq!(issued, all);
}

async fn time_does_not_run_backwards<S: Store>(store: &S, time: &Time) {
    configure(store, "time", 1).await;
    time.advance(50_000);
    // Nothing changes, and still nobody may be told of an earlier time after it.
    let tick = || vec![Command::Tick];
    let late = store.room(id("time"), tick()).await.unwrap().now;
    time.set_back(40_000);
    for batch in [tick(), vec![JOIN], tick()] {
        let reply = store.room(id("time"), batch).await.unwrap();
        assert_eq!((reply.now, reply.view.unwrap().now), (late, late));
    }
    time.advance(40_001);
    assert_eq!(store.room(id("time"), tick()).await.unwrap().now, late.plus_ms(1));
}

async fn one_claim_one_session<S: Store>(store: &S, time: &Time) {
    configure(store, "claims", 1).await;
    store.room(id("claims"), vec![JOIN]).await.unwrap();
    let claims = (0..100).map(|tag| {
        let claim = Command::Claim { place: Place { epoch: 1, position: 1 }, tag: Tag(tag) };
        let store = store.clone();
        async move { store.room(id("claims"), vec![claim]).await.unwrap().outcomes.remove(0) }
    });
    let outcomes = join_all(claims).await;
    assert!(matches!(outcomes[0], Outcome::Live(_)), "{:?}", outcomes[0]);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "more than one session");
    // A session is over when its time is, on the dot.
    let Outcome::Live(session) = outcomes[0] else { unreachable!() };
    let check = || vec![Command::Check { session: session.name, holder: Holder::App }];
    time.advance(599_999);
    assert_eq!(store.room(id("claims"), check()).await.unwrap().outcomes, [Outcome::Live(session)]);
    time.advance(1);
    let over = Outcome::Refused(Refusal::SessionOver);
    assert_eq!(store.room(id("claims"), check()).await.unwrap().outcomes, [over]);
}

async fn a_room_can_go_and_come_again<S: Store>(store: &S) {
    configure(store, "phoenix", 1).await;
    store.room(id("phoenix"), vec![JOIN, JOIN]).await.unwrap();
    let reply = store
        .room(id("phoenix"), vec![Command::Delete { last_epoch: 0 }, Command::Delete { last_epoch: 1 }])
        .await
        .unwrap();
    assert_eq!((reply.outcomes, reply.view), (vec![Outcome::Done; 2], None));
    configure(store, "phoenix", 2).await;
    let reply = store.room(id("phoenix"), vec![JOIN]).await.unwrap();
    assert_eq!(reply.outcomes, [Outcome::Joined { epoch: 2, first: 1, count: 1 }]);
}

/// The room run by itself is the specification: the store must give its outcomes and its views.
async fn a_batch_does_what_the_room_does<S: Store>(store: &S, time: &Time) {
    let mut rng: StdRng = rand::SeedableRng::seed_from_u64(1);
    let mut alone = None;
    for _ in 0..400 {
        time.advance(rng.random_range(0..2_000));
        let batch: Vec<Command> = (0..rng.random_range(1..6)).map(|_| random_command(&mut rng)).collect();
        let reply = store.room(id("alone"), batch.clone()).await.unwrap();
        let outcomes: Vec<Outcome> =
            batch.iter().map(|command| Room::apply(&mut alone, reply.now, command).outcome).collect();
        assert_eq!(reply.outcomes, outcomes, "{batch:?}");
        assert_eq!(reply.view.as_deref(), alone.as_ref().map(|room| room.view(reply.now)).as_ref());
    }
}

async fn lanes_share_a_store<S: Store>(store: &S) {
    configure(store, "lanes", 1).await;
    let metrics = Arc::new(Metrics::new());
    let lane = || Lane::new(store.clone(), id("lanes"), tokio::runtime::Handle::current(), Arc::clone(&metrics));
    let (one, other) = (lane(), lane());
    let joins = (0..500).map(|n| if n % 2 == 0 { one.submit(JOIN) } else { other.submit(JOIN) });
    let issued: BTreeSet<u64> = join_all(joins)
        .await
        .into_iter()
        .map(|answer| match answer.unwrap().outcome {
            Outcome::Joined { first, count: 1, .. } => first,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(issued, (1..=500).collect());
    assert_eq!(one.view().max_by_tail(other.view()), 500);
}

async fn documents_have_versions<S: Store>(store: &S) {
    use catalog::{Command as Ask, Outcome as Said};
    let put =
        |body: &str, expect| Ask::Put { kind: Kind::ApiKey, id: "shop".to_owned(), body: body.to_owned(), expect };
    let said = store
        .catalog(vec![
            put("a", Expect::Absent),
            put("b", Expect::Absent),
            put("a", Expect::Any),
            put("b", Expect::Version(1)),
            Ask::List { known: 1 },
            Ask::List { known: 2 },
        ])
        .await
        .unwrap();
    let created: Vec<_> = said
        .iter()
        .map(|said| match said {
            Said::Put { entry, created } => Some((entry.version, *created)),
            _ => None,
        })
        .collect();
    assert_eq!(created, [Some((1, true)), None, Some((1, false)), Some((2, false)), None, None]);
    assert_eq!(said[1], Said::Conflict { found: Some(1) });
    assert!(
        matches!(&said[4], Said::Listed { revision: 2, entries: Some(all) } if all.len() == 1 && all[0].body == "b")
    );
    assert_eq!(said[5], Said::Listed { revision: 2, entries: None });
    let delete = Ask::Delete { kind: Kind::ApiKey, id: "shop".to_owned(), expect: Expect::Version(2), last_epoch: 0 };
    assert_eq!(
        store.catalog(vec![delete.clone(), delete]).await.unwrap(),
        [Said::Deleted, Said::Conflict { found: None }]
    );
}

trait Tail {
    fn max_by_tail(self, other: Self) -> u64;
}

impl Tail for Option<Arc<crate::room::View>> {
    fn max_by_tail(self, other: Self) -> u64 {
        [self, other].into_iter().flatten().map(|view| view.tail).max().unwrap_or_default()
    }
}

pub const JOIN: Command = Command::Join { count: 1 };

pub fn id(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}

/// What a room's document makes of itself when it says nothing.
pub fn rules() -> Rules {
    let document = r#"{ "id": "main", "name": "Main", "shop_url": "https://shop.example" }"#;
    serde_json::from_str::<Document>(document).unwrap().rules()
}

/// Makes a room with default settings, or makes it anew in a later epoch.
pub async fn configure<S: Store>(store: &S, room: &str, epoch: u64) {
    let command = Command::Configure { version: epoch, first_epoch: epoch, rules: rules() };
    assert_eq!(store.room(id(room), vec![command]).await.unwrap().outcomes, [Outcome::Done]);
}

/// The one position a batch of one join brought.
pub fn position(reply: &RoomReply) -> u64 {
    match reply.outcomes[..] {
        [Outcome::Joined { first, count: 1, .. }] => first,
        ref other => panic!("not one position: {other:?}"),
    }
}

/// Any command, mostly of those that visitors cause, about places that mostly exist.
pub fn random_command(rng: &mut StdRng) -> Command {
    let epoch = rng.random_range(1..3);
    let position = rng.random_range(1..60);
    let place = Place { epoch, position };
    let session = SessionRef { epoch, position, tag: Tag(position) };
    match rng.random_range(0..100) {
        0..4 => {
            let rate_per_minute = rng.random_range(1..600);
            let rules = Rules { rate_per_minute, max_active: Some(20), claim_window_ms: 20_000, ..rules() };
            Command::Configure { version: rng.random_range(1..1_000), first_epoch: 1, rules }
        }
        4 => Command::Delete { last_epoch: rng.random_range(0..4) },
        5 => Command::Reset,
        6..20 => Command::Tick,
        20..45 => Command::Join { count: rng.random_range(1..4) },
        45..65 => Command::Claim { place, tag: Tag(position) },
        65..70 => Command::Admit { tag: Tag(rng.random()) },
        70..75 => Command::Look { place },
        75..80 => Command::Exchange { session, issued: UnixMs(rng.random_range(0..2_000_000)) },
        80..85 => Command::Check { session, holder: Holder::App },
        85..90 => Command::Renew { session },
        90..95 => Command::Finish { session },
        _ => Command::Leave { place },
    }
}
