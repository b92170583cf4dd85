mod drain;
mod late;

use std::{
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{batch::LINES_MAX, *};
use crate::{
    id::RoomId,
    room,
    sale::{IfExpired, Refusal, Reservation, ReservationId, Reserve, State},
    store::{
        RoomReply, SaleReply,
        batcher::{BATCH_MAX, Gathering},
        catalog,
        sale_lane::{SaleAnswer, SaleLane},
        tests::{
            Time,
            sales::{reserve, reserve_of, sale_rules},
        },
    },
    telemetry::Metrics,
};

/// A store of one sale, which keeps what it was sent and answers only as often as it is let.
#[derive(Clone)]
struct Shop(Arc<ShopState>);

struct ShopState {
    sale: Mutex<Option<Sale>>,
    time: Time,
    /// Each call takes a permit: without one it stays in flight.
    gate: Semaphore,
    calls: Mutex<Vec<Vec<Command>>>,
    /// How much time each call takes.
    call_ms: AtomicU64,
    /// Calls that fail.
    failing: AtomicU64,
    /// How many are enough in lanes made from now on, which let commands gather for longer than any test; 0 where they don't.
    enough: AtomicUsize,
}

impl Shop {
    /// A shop of these units by SKU, whose holds live a second; and a lane to it.
    fn new(permits: usize, items: &[(&str, u64)]) -> (Self, Arc<SaleLane<Self>>, Arc<Metrics>) {
        let (time, mut sale) = (Time::new(), None);
        Sale::apply(&mut sale, time.clock().now(), &[sale_rules(1, items)]);
        let shop = Self(Arc::new(ShopState {
            sale: Mutex::new(sale),
            time,
            gate: Semaphore::new(permits),
            calls: Mutex::default(),
            call_ms: AtomicU64::new(0),
            failing: AtomicU64::new(0),
            enough: AtomicUsize::new(0),
        }));
        let metrics = Arc::new(Metrics::new());
        let lane = shop.lane(&metrics);
        (shop, lane, metrics)
    }

    fn lane(&self, metrics: &Arc<Metrics>) -> Arc<SaleLane<Self>> {
        let id = SaleId::parse("drop").unwrap();
        SaleLane::new(self.clone(), id, self.0.time.clock(), Handle::current(), Arc::clone(metrics))
    }

    /// What another instance does, which the lane does not see.
    fn behind_its_back(&self, commands: &[Command]) -> Vec<Outcome> {
        Sale::apply(&mut self.0.sale.lock().unwrap(), self.0.time.clock().now(), commands).outcomes
    }

    fn let_pass(&self, calls: usize) {
        self.0.gate.add_permits(calls);
    }

    fn calls(&self) -> Vec<Vec<Command>> {
        self.0.calls.lock().unwrap().clone()
    }

    fn last_call(&self) -> Vec<Command> {
        self.calls().pop().unwrap()
    }
}

impl Store for Shop {
    fn gathering(&self) -> Option<Gathering> {
        let enough = self.0.enough.load(SeqCst);
        (enough > 0).then_some(Gathering { lasts: Duration::from_secs(3_600), enough })
    }

    async fn sale(&self, _: SaleId, commands: Vec<Command>) -> Result<SaleReply, StoreError> {
        self.0.calls.lock().unwrap().push(commands.clone());
        self.0.gate.acquire().await.unwrap().forget();
        self.0.time.advance(self.0.call_ms.load(SeqCst));
        if self.0.failing.load(SeqCst) > 0 {
            self.0.failing.fetch_sub(1, SeqCst);
            return Err(StoreError::Unavailable("cut".to_owned()));
        }
        let now = self.0.time.clock().now();
        let mut sale = self.0.sale.lock().unwrap();
        let outcomes = Sale::apply(&mut sale, now, &commands).outcomes;
        let header = sale.as_ref().map(|sale| sale.header(now));
        Ok(SaleReply { now, header, outcomes })
    }

    async fn room(&self, _: RoomId, _: Vec<room::Command>) -> Result<RoomReply, StoreError> {
        unreachable!("a lane asks for its sale only")
    }

    async fn catalog(&self, _: Vec<catalog::Command>) -> Result<Vec<catalog::Outcome>, StoreError> {
        unreachable!("a lane asks for its sale only")
    }
}

/// The same as a look-up.
fn cheap(command: &Command) -> Command {
    let Command::Reserve(ask) = command else { panic!("{command:?}") };
    Command::Lookup(ask.clone())
}

fn look(id: u128) -> Command {
    Command::Look { id: ReservationId(id) }
}

fn held(answer: Result<SaleAnswer, StoreError>) -> Reservation {
    match answer.unwrap().outcome {
        Outcome::Reservation(reservation) if matches!(reservation.state, State::Held { .. }) => reservation,
        other => panic!("not held: {other:?}"),
    }
}

fn is_sold_out(answer: &Result<SaleAnswer, StoreError>) -> bool {
    matches!(answer.as_ref().unwrap().outcome, Outcome::Refused(Refusal::SoldOut { .. }))
}

type Submitted<'a> = Pin<Box<dyn Future<Output = Result<SaleAnswer, StoreError>> + 'a>>;

/// Submits commands, in order, without waiting for their answers.
fn queue(lane: &SaleLane<Shop>, commands: impl IntoIterator<Item = Command>) -> Vec<Submitted<'_>> {
    let mut submitted: Vec<Submitted> = Vec::new();
    for command in commands {
        let mut future: Submitted = Box::pin(lane.submit(command));
        assert!((&mut future).now_or_never().is_none());
        submitted.push(future);
    }
    submitted
}

/// Lets the driver run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Puts a batch into flight, so that what follows forms the next one.
async fn busy(lane: &SaleLane<Shop>) -> Submitted<'_> {
    let first = queue(lane, [look(0)]).pop().unwrap();
    settle().await;
    first
}

#[tokio::test]
async fn a_batch_is_bounded_by_the_lines_it_reserves() {
    let (shop, lane, metrics) = Shop::new(0, &[("red", 1_000), ("blue", 1_000)]);
    let first = busy(&lane).await;
    let two_lines = (1..=60).map(|id| Command::Reserve(reserve_of(id, &[("red", 1), ("blue", 1)])));
    let rest = queue(&lane, two_lines);
    assert_eq!(metrics.store.queue_depth.get(), 60);
    shop.let_pass(9);
    first.await.unwrap();
    for (id, answer) in (1..).zip(join_all(rest).await) {
        assert_eq!(held(answer).id, ReservationId(id));
    }
    let sizes: Vec<usize> = shop.calls().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, LINES_MAX / 2, 60 - LINES_MAX / 2]);
    assert_eq!(metrics.store.queue_depth.get(), 0);
    assert_eq!(lane.header().unwrap().available, 2_000 - 120);
}

#[tokio::test]
async fn a_sales_commands_gather_and_holds_that_are_due_do_not_wait_for_others() {
    let (shop, _, metrics) = Shop::new(9_999, &[("shoe", 9_000)]);
    shop.0.enough.store(6, SeqCst);
    let lane = shop.lane(&metrics);
    for id in 0..4 {
        lane.submit(look(id)).await.unwrap();
    }
    let calls = shop.calls().len();
    let mut waiting = queue(&lane, (4..9).map(look));
    settle().await;
    assert_eq!(shop.calls().len(), calls, "they wait for others");
    // Five thousand holds, all of them due: more than a batch expires.
    let holds: Vec<_> = (100..5_100).map(|id| reserve(id, "shoe", 1)).collect();
    shop.behind_its_back(&holds);
    shop.0.time.advance(2_000);
    waiting.extend(queue(&lane, [look(9)]));
    for answer in join_all(waiting).await {
        answer.unwrap();
    }
    for _ in 0..9 {
        settle().await;
    }
    let now = shop.0.time.clock().now();
    assert_eq!(shop.0.sale.lock().unwrap().as_ref().unwrap().header(now).held, 0, "something is still due");
    assert!(shop.calls().len() > calls + 1, "one batch expired all of it");
}

#[tokio::test]
async fn what_takes_no_lines_is_bounded_in_number_and_ticks_are_one() {
    let (shop, lane, _) = Shop::new(0, &[("red", 1)]);
    let first = busy(&lane).await;
    let looks = queue(&lane, (0..BATCH_MAX as u128 + 10).map(look));
    let ticks = queue(&lane, [Command::Tick, Command::Tick, Command::Tick]);
    shop.let_pass(9);
    first.await.unwrap();
    join_all(looks).await.into_iter().chain(join_all(ticks).await).for_each(|answer| drop(answer.unwrap()));
    let sizes: Vec<usize> = shop.calls().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, BATCH_MAX, 11]);
    assert_eq!(shop.last_call().pop(), Some(Command::Tick));
}

#[tokio::test]
async fn what_is_larger_than_a_batch_gets_one_of_its_own() {
    let (shop, lane, _) = Shop::new(0, &[("red", 1)]);
    let first = busy(&lane).await;
    let many = Command::Events { after: 0, term: 0, limit: usize::MAX };
    let rest = queue(&lane, [look(1), many.clone(), reserve(2, "red", 1)]);
    shop.let_pass(9);
    first.await.unwrap();
    join_all(rest).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(shop.calls()[1..], [vec![look(1)], vec![many], vec![reserve(2, "red", 1)]]);
}

#[tokio::test]
async fn the_header_never_goes_back_and_goes_with_the_sale() {
    let (shop, lane, _) = Shop::new(99, &[("red", 5)]);
    assert_eq!(lane.header(), None);
    lane.submit(reserve(1, "red", 2)).await.unwrap();
    let latest = lane.header().unwrap();
    assert_eq!((latest.available, latest.held), (3, 2));
    // A store that lost its last moments.
    let mut fresh = None;
    Sale::apply(&mut fresh, UnixMs(1), &[sale_rules(1, &[("red", 5)])]);
    *shop.0.sale.lock().unwrap() = fresh;
    let answer = lane.submit(look(1)).await.unwrap();
    assert_eq!(answer.header.unwrap().available, 5, "a caller gets the header of its own batch");
    assert_eq!(lane.header(), Some(latest));
    shop.behind_its_back(&[Command::Delete { born: 1 }]);
    assert_eq!(lane.submit(look(1)).await.unwrap().outcome, Outcome::Refused(Refusal::UnknownSale));
    assert_eq!(lane.header(), None);
}

#[test]
fn only_a_buyer_who_begins_may_be_turned_away_for_the_waits_sake() {
    assert!(Sale::begins(&reserve(1, "red", 1)) && Sale::begins(&look(1)));
    let kept = [Command::Tick, Command::Items, Command::Events { after: 0, term: 0, limit: 1 }];
    let id = ReservationId(1);
    let held = [Command::Paying { id }, Command::Release { id }, Command::Extend { id, seconds: 1, key: None }];
    for command in kept.into_iter().chain(held) {
        assert!(!Sale::begins(&command), "{command:?}");
    }
}
