mod gathering;

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    id::SaleId,
    room::{Command, Outcome, Place, Refusal, Room, Standing, View},
    sale,
    store::{RoomReply, SaleReply, catalog, tests::rules},
};

/// A store that issues positions, keeps what it was sent, and does as it is told.
#[derive(Clone)]
struct Fake(Arc<FakeState>);

struct FakeState {
    /// Each call takes a permit: without one it stays in flight.
    gate: Semaphore,
    in_flight: AtomicBool,
    gathering: Option<Gathering>,
    tail: AtomicU64,
    calls: Mutex<Vec<Vec<Command>>>,
    /// What the next calls do other than succeed.
    moods: Mutex<VecDeque<Mood>>,
}

enum Mood {
    Err,
    Panic,
    ShortAnswer,
    Closed,
    View(Option<Box<View>>),
}

impl Fake {
    fn new(permits: usize) -> Self {
        Self::gathering(permits, None)
    }

    fn gathering(permits: usize, gathering: Option<Gathering>) -> Self {
        Self(Arc::new(FakeState {
            gate: Semaphore::new(permits),
            in_flight: AtomicBool::new(false),
            gathering,
            tail: AtomicU64::new(0),
            calls: Mutex::default(),
            moods: Mutex::default(),
        }))
    }

    fn next(&self, mood: Mood) {
        self.0.moods.lock().unwrap().push_back(mood);
    }

    fn let_pass(&self, calls: usize) {
        self.0.gate.add_permits(calls);
    }

    fn calls(&self) -> Vec<Vec<Command>> {
        self.0.calls.lock().unwrap().clone()
    }

    fn outcome(&self, command: &Command) -> Outcome {
        match command {
            Command::Join { count } => {
                let first = self.0.tail.fetch_add(u64::from(*count), SeqCst) + 1;
                Outcome::Joined { epoch: 1, first, count: *count }
            }
            // The answer carries the question, so that a test sees whose it is.
            Command::Look { place } => Outcome::Standing(Standing::Waiting { ahead: place.position }),
            _ => Outcome::Done,
        }
    }
}

impl Store for Fake {
    fn gathering(&self) -> Option<Gathering> {
        self.0.gathering
    }

    async fn room(&self, _: RoomId, commands: Vec<Command>) -> Result<RoomReply, StoreError> {
        assert!(!self.0.in_flight.swap(true, SeqCst), "two batches of one room in flight");
        self.0.calls.lock().unwrap().push(commands.clone());
        self.0.gate.acquire().await.unwrap().forget();
        self.0.in_flight.store(false, SeqCst);
        let mood = self.0.moods.lock().unwrap().pop_front();
        let mut outcomes: Vec<_> = commands.iter().map(|command| self.outcome(command)).collect();
        let mut shown = Some(view(1, self.0.tail.load(SeqCst)));
        match mood {
            None => {}
            Some(Mood::Err) => return Err(StoreError::Unavailable("cut".to_owned())),
            Some(Mood::Panic) => panic!("the store panics, as told"),
            Some(Mood::ShortAnswer) => drop(outcomes.pop()),
            Some(Mood::Closed) => outcomes.fill(Outcome::Refused(Refusal::Closed)),
            Some(Mood::View(view)) => shown = view.map(|view| *view),
        }
        Ok(RoomReply { now: UnixMs(7), view: shown.map(Arc::new), outcomes })
    }

    async fn sale(&self, _: SaleId, _: Vec<sale::Command>) -> Result<SaleReply, StoreError> {
        unreachable!("a lane asks for its room only")
    }

    async fn catalog(&self, _: Vec<catalog::Command>) -> Result<Vec<catalog::Outcome>, StoreError> {
        unreachable!("a lane asks for its room only")
    }
}

fn view(now: u64, tail: u64) -> View {
    let mut room = None;
    Room::apply(&mut room, UnixMs(0), &Command::Configure { version: 1, first_epoch: 1, rules: rules() });
    View { now: UnixMs(now), tail, ..room.unwrap().view(UnixMs(0)) }
}

const JOIN: Command = Command::Join { count: 1 };

fn look(position: u64) -> Command {
    Command::Look { place: Place { epoch: 1, position } }
}

fn lane(store: &Fake) -> (Arc<Lane<Fake>>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let room = RoomId::parse("main").unwrap();
    (Lane::new(store.clone(), room, Handle::current(), Arc::clone(&metrics)), metrics)
}

type Submitted<'a> = Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + 'a>>;

/// Submits commands, in order, without waiting for their answers.
async fn queue(lane: &Arc<Lane<Fake>>, commands: impl IntoIterator<Item = Command>) -> Vec<Submitted<'_>> {
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
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn position(answer: Result<Answer, StoreError>) -> u64 {
    match answer.unwrap().outcome {
        Outcome::Joined { first, count: 1, .. } => first,
        other => panic!("not one position: {other:?}"),
    }
}

/// A lane with one batch in flight, and its caller.
async fn busy(lane: &Arc<Lane<Fake>>) -> Submitted<'_> {
    let first = queue(lane, [Command::Tick]).await.pop().unwrap();
    settle().await;
    first
}

#[tokio::test]
async fn a_lone_command_goes_out_alone_and_at_once() {
    let store = Fake::new(9);
    let (lane, metrics) = lane(&store);
    assert_eq!(position(lane.submit(JOIN).await), 1);
    assert_eq!(position(lane.submit(JOIN).await), 2);
    assert_eq!(store.calls(), [vec![JOIN], vec![JOIN]]);
    assert_eq!(metrics.store.queue_depth.get(), 0);
}

#[tokio::test]
async fn what_arrives_during_a_batch_is_the_next_batch_and_joins_are_one() {
    let store = Fake::new(0);
    let (lane, metrics) = lane(&store);
    let first = busy(&lane).await;
    let rest = queue(&lane, [JOIN, Command::Join { count: 3 }, JOIN, look(8), JOIN, look(9)]).await;
    settle().await;
    assert_eq!(store.calls(), [[Command::Tick]], "one batch at a time");
    assert_eq!(metrics.store.queue_depth.get(), 6);
    store.let_pass(2);
    assert_eq!(first.await.unwrap().outcome, Outcome::Done);
    let answers: Vec<Outcome> = join_all(rest).await.into_iter().map(|answer| answer.unwrap().outcome).collect();
    let joined = |first, count| Outcome::Joined { epoch: 1, first, count };
    let ahead = |ahead| Outcome::Standing(Standing::Waiting { ahead });
    assert_eq!(answers, [joined(1, 1), joined(2, 3), joined(5, 1), ahead(8), joined(6, 1), ahead(9)]);
    assert_eq!(store.calls()[1], [Command::Join { count: 5 }, look(8), JOIN, look(9)]);
    assert_eq!(metrics.store.queue_depth.get(), 0);
}

#[tokio::test]
async fn a_join_that_would_wrap_the_sum_begins_anew() {
    let store = Fake::new(0);
    let (lane, _) = lane(&store);
    let first = busy(&lane).await;
    let rest = queue(&lane, [JOIN, Command::Join { count: u32::MAX }, JOIN]).await;
    store.let_pass(2);
    first.await.unwrap();
    join_all(rest).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(store.calls()[1], [JOIN, Command::Join { count: u32::MAX }, JOIN]);
}

#[tokio::test]
async fn a_batch_has_a_cap_and_the_rest_follows_in_order() {
    let store = Fake::new(0);
    let (lane, _) = lane(&store);
    let first = busy(&lane).await;
    let looks = 0..2 * BATCH_MAX as u64 + 5;
    let rest = queue(&lane, looks.clone().map(look)).await;
    store.let_pass(9);
    first.await.unwrap();
    for (ahead, answer) in looks.clone().zip(join_all(rest).await) {
        assert_eq!(answer.unwrap().outcome, Outcome::Standing(Standing::Waiting { ahead }));
    }
    let sizes: Vec<usize> = store.calls().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, BATCH_MAX, BATCH_MAX, 5]);
    assert_eq!(store.calls()[1..].concat(), looks.map(look).collect::<Vec<_>>());
}

#[tokio::test]
async fn past_the_bound_a_caller_is_told_at_once() {
    let store = Fake::new(0);
    let (lane, metrics) = lane(&store);
    let first = busy(&lane).await;
    let waiting = queue(&lane, std::iter::repeat_n(JOIN, QUEUE_MAX)).await;
    let mut late = Box::pin(lane.submit(JOIN));
    let refused = (&mut late).now_or_never().expect("made to wait");
    assert_eq!(refused.unwrap_err(), StoreError::Overloaded);
    assert_eq!(metrics.store.overloaded.get(), 1);
    // Nobody who was let in loses by it, and the lane serves on.
    store.let_pass(3);
    first.await.unwrap();
    let positions: BTreeSet<u64> = join_all(waiting).await.into_iter().map(position).collect();
    assert_eq!(positions, (1..=QUEUE_MAX as u64).collect());
    assert_eq!(position(lane.submit(JOIN).await), QUEUE_MAX as u64 + 1);
    assert_eq!(metrics.store.queue_depth.get(), 0);
}

#[tokio::test]
async fn whoever_would_wait_too_long_is_told_at_once_but_what_somebody_has_is_kept() {
    let (lane, metrics) = lane(&Fake::new(0));
    // As if a driver were there: the batches are taken here, at times of ours.
    lane.lock().driven = true;
    let waiting = queue(&lane, (0..1_000).map(look)).await;
    let start = Instant::now();
    // A batch a second: the 488 behind the second one have as good as two seconds to wait.
    let mut taken =
        [0, 1].map(|second| lane.next_batch(start + Duration::from_secs(second))).into_iter().collect::<Vec<_>>();
    let refused = lane.submit(look(1)).now_or_never().expect("made to wait");
    assert_eq!(refused.unwrap_err(), StoreError::Overloaded);
    assert_eq!((metrics.store.overloaded.get(), metrics.store.too_late.get()), (1, 1));
    let place = Place { epoch: 1, position: 1 };
    let kept = queue(&lane, [Command::Leave { place }, Command::Tick]).await;
    // Once a batch has taken all, everybody is let in again.
    taken.extend([2, 3].map(|second| lane.next_batch(start + Duration::from_secs(second))));
    assert_eq!(lane.lock().queue.waiting(), 0);
    queue(&lane, [look(1)]).await;
    drop((waiting, kept, taken));
}

#[tokio::test]
async fn a_caller_that_goes_takes_only_its_own_answer_with_it() {
    let store = Fake::new(0);
    let (lane, metrics) = lane(&store);
    // The first started the driver, and its batch is in flight: applied without it.
    drop(queue(&lane, [look(1)]).await);
    settle().await;
    drop(busy(&lane).await);
    let mut rest = queue(&lane, [JOIN, JOIN, JOIN]).await;
    drop(rest.remove(1));
    store.let_pass(9);
    let positions: Vec<u64> = join_all(rest).await.into_iter().map(position).collect();
    assert_eq!(positions, [1, 2], "who had gone before the batch was taken got no position");
    assert_eq!(store.calls().last().unwrap(), &[Command::Join { count: 2 }]);
    assert_eq!(metrics.store.queue_depth.get(), 0);
}

#[tokio::test]
async fn when_all_who_waited_have_gone_the_lane_rests_and_wakes_again() {
    let store = Fake::new(0);
    let (lane, _) = lane(&store);
    let first = busy(&lane).await;
    drop(queue(&lane, [JOIN, JOIN]).await);
    store.let_pass(1);
    first.await.unwrap();
    settle().await;
    assert_eq!(store.calls().len(), 1);
    store.let_pass(1);
    assert_eq!(position(lane.submit(JOIN).await), 1);
}

#[tokio::test]
async fn a_store_error_is_told_to_all_of_the_batch_and_to_nobody_else() {
    let store = Fake::new(0);
    let (lane, metrics) = lane(&store);
    let first = busy(&lane).await;
    let failed = queue(&lane, [JOIN, look(1)]).await;
    store.let_pass(1);
    first.await.unwrap();
    let after = queue(&lane, [JOIN]).await;
    store.next(Mood::Err);
    store.let_pass(2);
    for answer in join_all(failed).await {
        assert_eq!(answer.unwrap_err(), StoreError::Unavailable("cut".to_owned()));
    }
    join_all(after).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(metrics.store.errors.get(), 1);
}

#[tokio::test]
async fn a_store_that_panics_or_answers_short_leaves_no_lane_stuck() {
    let store = Fake::new(9);
    let (lane, metrics) = lane(&store);
    for mood in [Mood::Panic, Mood::ShortAnswer] {
        store.next(mood);
        let answer = lane.submit(JOIN).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        lane.submit(JOIN).await.unwrap();
    }
    // Who waits behind a batch that panics is told, not forgotten.
    let store = Fake::new(0);
    let lane = lane_on(&store, &metrics);
    let first = busy(&lane).await;
    let behind = queue(&lane, [JOIN]).await.pop().unwrap();
    store.next(Mood::Panic);
    store.let_pass(2);
    assert!(first.await.is_err());
    assert!(behind.await.is_err());
    lane.submit(JOIN).await.unwrap();
    assert_eq!(metrics.store.queue_depth.get(), 0);
}

fn lane_on(store: &Fake, metrics: &Arc<Metrics>) -> Arc<Lane<Fake>> {
    Lane::new(store.clone(), RoomId::parse("main").unwrap(), Handle::current(), Arc::clone(metrics))
}

/// A server's worker may stop while its driver has the answers of others in hand.
#[tokio::test]
async fn what_a_callers_runtime_leaves_behind_is_finished_at_home() {
    let store = Fake::new(0);
    let (lane, _) = lane(&store);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let worker = std::thread::spawn({
        let lane = Arc::clone(&lane);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let first = runtime.block_on(busy(&lane));
            begun.send(()).unwrap();
            may_end.recv().unwrap();
            drop((runtime, first));
        }
    });
    has_begun.recv().unwrap();
    let others = queue(&lane, [look(2), JOIN]).await;
    end.send(()).unwrap();
    worker.join().unwrap();
    store.let_pass(2);
    for answer in join_all(others).await {
        answer.expect("the batch in flight was gone on with, and the next one sent");
    }
    assert_eq!(store.calls().len(), 2, "nothing was sent twice: {:?}", store.calls());
}

#[test]
fn a_runtime_that_is_gone_is_told_and_not_waited_for() {
    let short_lived = tokio::runtime::Runtime::new().unwrap();
    let store = Fake::new(9);
    let room = RoomId::parse("main").unwrap();
    let lane = Lane::new(store, room, short_lived.handle().clone(), Arc::new(Metrics::new()));
    drop(short_lived);
    for _ in 0..2 {
        let answer = lane.submit(JOIN).now_or_never().expect("told at once");
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_refused_run_of_joins_is_refused_for_each() {
    let store = Fake::new(0);
    let (lane, _) = lane(&store);
    let first = busy(&lane).await;
    let rest = queue(&lane, [JOIN, JOIN]).await;
    store.let_pass(1);
    first.await.unwrap();
    store.next(Mood::Closed);
    store.let_pass(1);
    for answer in join_all(rest).await {
        assert_eq!(answer.unwrap().outcome, Outcome::Refused(Refusal::Closed));
    }
}

#[tokio::test]
async fn the_kept_view_never_goes_back_and_goes_with_the_room() {
    let store = Fake::new(99);
    let (lane, _) = lane(&store);
    assert!(lane.view().is_none());
    let newer_term = View { term: 1, ..view(4, 2) };
    let newer_epoch = View { epoch: 2, ..newer_term.clone() };
    for (sent, kept) in [
        (Some(view(5, 1)), Some(view(5, 1))),
        (Some(view(4, 9)), Some(view(5, 1))),
        (Some(view(5, 2)), Some(view(5, 2))),
        (Some(newer_term.clone()), Some(newer_term.clone())),
        (Some(newer_epoch.clone()), Some(newer_epoch.clone())),
        (Some(newer_term), Some(newer_epoch)),
        (None, None),
        (Some(view(1, 1)), Some(view(1, 1))),
    ] {
        store.next(Mood::View(sent.clone().map(Box::new)));
        let answer = lane.submit(Command::Tick).await.unwrap();
        assert_eq!(answer.view.as_deref(), sent.as_ref(), "a caller gets the view of its own batch");
        assert_eq!(lane.view().as_deref(), kept.as_ref());
    }
}

#[test]
fn many_threads_get_each_position_once_whoever_goes_away() {
    const THREADS: u64 = 8;
    const JOINS: u64 = 2_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let store = Fake::new(Semaphore::MAX_PERMITS);
    let metrics = Arc::new(Metrics::new());
    let lane = Lane::new(store.clone(), RoomId::parse("main").unwrap(), runtime.handle().clone(), Arc::clone(&metrics));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let lane = Arc::clone(&lane);
            std::thread::spawn(move || {
                let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
                own.block_on(async {
                    let mut positions = Vec::new();
                    for round in 0..JOINS / 10 {
                        // Every few rounds somebody gives up with the command under way.
                        let impatient = if (round + thread) % 3 == 0 { 3 } else { 0 };
                        positions.extend((0..impatient).filter_map(|_| lane.submit(JOIN).now_or_never()).map(position));
                        let patient = join_all((impatient..10).map(|_| lane.submit(JOIN))).await;
                        positions.extend(patient.into_iter().map(position));
                    }
                    positions
                })
            })
        })
        .collect();
    let all: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let distinct: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "a position was given to two callers");
    let issued = store.0.tail.load(SeqCst);
    assert!(distinct.iter().all(|position| (1..=issued).contains(position)));
    assert!(all.len() as u64 <= issued && issued <= THREADS * JOINS);
    // The last answers may overtake the driver's own end.
    while lane.lock().driven {
        std::thread::yield_now();
    }
    assert_eq!(metrics.store.queue_depth.get(), 0);
}
