//! Group commit: while one batch of a room or a sale is in flight, the commands that arrive form the next one.
//!
//! At low load a batch is one command, and nobody waits for a timer; under load it grows until the store keeps
//! up. Where a batch costs the store much whatever is in it, those who come in a while under load share one ([`window`]). The
//! queue is bounded by its length, and by the time that whoever comes next would wait in it ([`backlog`]): past a
//! bound a caller is told so at once instead of being made to wait for an answer that would come too late to be of use.
//!
//! A batch is driven by a task of its own, so that a caller that goes away (a closed connection, a timeout)
//! takes nothing with it but its own answer: its command may still be applied. The task runs on the caller's own
//! runtime, behind whatever else is ready there: so its batch finds all who have come by then, and no other thread has
//! to be woken for it. Where that runtime ends first, the task goes on where the lane is at home.
//!
//! The [`Lane`] is the same for both; who shares a batch with whom is the matter of [`room`] and [`sale`].

mod backlog;
mod room;
mod sale;
#[cfg(test)]
mod tests;
mod window;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

pub use self::window::Gathering;
use self::{backlog::Backlog, window::Window};
use super::{Store, StoreError};
use crate::{
    clock::Clock,
    id::{RoomId, SaleId},
    room::Room,
    sale::Sale,
    telemetry::Metrics,
    time::UnixMs,
};

/// The most callers that wait for one room or sale, whatever they want. The embedded store on an ordinary disk answers
/// about 40 000 a second in batches, so this is a quarter of a second of work; where the store is slower, the time of the
/// wait is what turns callers away first. At some 200 bytes each it also bounds the memory, to 2 MB a room or sale.
pub const QUEUE_MAX: usize = 10_000;

/// The most commands in one batch, a run of joins counted as one. About a microsecond each in the embedded
/// store, a few in a script: nobody else waits longer than a millisecond or so for its turn.
pub const BATCH_MAX: usize = 256;

/// What a lane leads to.
pub trait Aggregate: Sized + Send + Sync + 'static {
    type Id: Clone + Send + Sync;
    type Command: Send;
    type Outcome: Clone + fmt::Debug + Send;
    /// What every answer shows of it.
    type View: fmt::Debug + Send + Sync;
    type Queue: Queue<Self>;

    /// Sends a batch to the store.
    fn call<S: Store>(
        store: &S,
        id: Self::Id,
        commands: Vec<Self::Command>,
    ) -> impl Future<Output = Result<Reply<Self>, StoreError>> + Send;

    /// Whether a command begins something, so that its caller loses nothing by coming back. Only these are turned away
    /// because the wait is long: what keeps or ends what somebody already has, and what the room or sale has to be told,
    /// is worth waiting for.
    fn begins(command: &Self::Command) -> bool;

    /// Whether `new` shows an earlier moment than `old`.
    fn is_older(new: &Self::View, old: &Self::View) -> bool;
}

/// Those who wait for a room or sale, and how they become batches.
pub trait Queue<A: Aggregate>: Send {
    /// Those who wait for a batch that is in flight.
    type Callers: Send;
    /// What a reply leaves to do to the queue.
    type Left: Send;

    fn push(&mut self, waiter: Waiter<A>);

    /// How many wait.
    fn waiting(&self) -> usize;

    /// How many are asked before whoever comes now.
    fn ahead(&self) -> usize;

    /// The next batch and who waits for it; none if there is nothing to send. Whoever has gone is left out.
    fn next_batch(&mut self) -> Option<(Vec<A::Command>, Self::Callers)>;

    /// How many callers a batch answers.
    fn count(callers: &Self::Callers) -> usize;

    /// Gives everyone their part of the reply; what is left to do is for [`Queue::settle`].
    fn answer(callers: Self::Callers, reply: Result<Reply<A>, StoreError>) -> Self::Left;

    /// Learns from a reply, and takes back who has to ask again; how many it turns away instead.
    fn settle(&mut self, left: Self::Left) -> usize;

    /// Gives up on everyone: their replies are dropped, which tells them.
    fn clear(&mut self);
}

/// A command whose caller waits.
pub struct Waiter<A: Aggregate> {
    command: A::Command,
    reply: oneshot::Sender<Result<Answer<A>, StoreError>>,
}

/// What the store said to a batch.
pub struct Reply<A: Aggregate> {
    now: UnixMs,
    view: Option<Arc<A::View>>,
    /// One a command, in order.
    outcomes: Vec<A::Outcome>,
}

/// The answer to one command.
#[derive(Clone, Debug)]
pub struct Answer<A: Aggregate = Room> {
    /// The time of the room or sale at which the command was applied.
    pub now: UnixMs,
    /// What it shows of itself after the batch; none if it does not exist.
    pub view: Option<Arc<A::View>>,
    pub outcome: A::Outcome,
}

/// The way to one room or sale: its queue, and the latest view of it that any batch brought back.
pub struct Lane<S, A: Aggregate = Room> {
    store: S,
    id: A::Id,
    /// Where it is at home: the runtime that outlives all callers.
    runtime: Handle,
    metrics: Arc<Metrics>,
    // A std mutex: held for a push or for taking a batch, never across an await.
    desk: Mutex<Desk<A>>,
    /// Tells a driver that lets commands gather that enough have; none where they never do.
    gathered: Option<Notify>,
    view: ArcSwapOption<A::View>,
}

struct Desk<A: Aggregate> {
    queue: A::Queue,
    backlog: Backlog,
    /// None where commands never gather.
    window: Option<Window>,
    /// A driver task exists: it will come back for whatever is waiting.
    driven: bool,
}

impl<S: Store> Lane<S> {
    /// A lane to `room`. Batches are driven on `runtime`, so that they outlive the caller that started them. Where commands
    /// gather, it and the callers' own have to have timers.
    pub fn new(store: S, room: RoomId, runtime: Handle, metrics: Arc<Metrics>) -> Arc<Self> {
        Self::of(store, room, room::RoomQueue::default(), runtime, metrics)
    }
}

impl<S: Store> Lane<S, Sale> {
    /// A lane to `sale`, driven on `runtime` like a room's. `clock` tells how old is what the lane has learnt.
    pub(super) fn to_sale(store: S, sale: SaleId, clock: Clock, runtime: Handle, metrics: Arc<Metrics>) -> Arc<Self> {
        Self::of(store, sale, sale::SaleQueue::new(clock), runtime, metrics)
    }
}

impl<S: Store, A: Aggregate> Lane<S, A> {
    fn of(store: S, id: A::Id, queue: A::Queue, runtime: Handle, metrics: Arc<Metrics>) -> Arc<Self> {
        let window = store.gathering().map(Window::new);
        let desk = Mutex::new(Desk { queue, backlog: Backlog::default(), window, driven: false });
        let (gathered, view) = (store.gathering().map(|_| Notify::new()), ArcSwapOption::empty());
        Arc::new(Self { store, id, runtime, metrics, desk, gathered, view })
    }

    /// Queues a command and waits for what came of it. Dropping the future gives up the answer, not the
    /// command: it may still be applied.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] at once when the queue is full or the wait too long; otherwise what the store says.
    pub async fn submit(self: &Arc<Self>, command: A::Command) -> Result<Answer<A>, StoreError> {
        let (reply, answer) = oneshot::channel();
        if self.enqueue(Waiter { command, reply })? {
            // Made here and moved into the task: if the runtime is shutting down and never polls it, the
            // callers are told all the same.
            let here = Handle::try_current().ok().filter(|_| self.store.is_portable());
            let runtime = here.unwrap_or_else(|| self.runtime.clone());
            runtime.spawn(Driver::new(Arc::clone(self), &runtime).run());
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the batch was abandoned".to_owned())))
    }

    /// The latest view any batch brought back: no store call, no lock. None before the first answer and
    /// where the room or sale does not exist.
    pub fn view(&self) -> Option<Arc<A::View>> {
        self.view.load_full()
    }

    /// The same for a look at it, without sharing it.
    pub fn peek(&self) -> Guard<Option<Arc<A::View>>> {
        self.view.load()
    }

    /// Puts a command into the queue; true if a driver has to be started for it.
    fn enqueue(&self, waiter: Waiter<A>) -> Result<bool, StoreError> {
        let mut desk = self.lock();
        let is_full = desk.queue.waiting() >= QUEUE_MAX;
        let is_late = !is_full && A::begins(&waiter.command) && desk.backlog.is_too_long(desk.queue.ahead());
        if is_full || is_late {
            drop(desk);
            self.metrics.store.overloaded.inc();
            self.metrics.store.too_late.inc_by(u64::from(is_late));
            return Err(StoreError::Overloaded);
        }
        desk.queue.push(waiter);
        self.metrics.store.queue_depth.inc();
        let waiting = desk.queue.waiting();
        let has_gathered = desk.window.as_ref().is_some_and(|window| window.come(waiting));
        self.gathered.iter().filter(|_| has_gathered).for_each(Notify::notify_one);
        Ok(!std::mem::replace(&mut desk.driven, true))
    }

    /// Lets commands gather for the next batch, where the store would rather have fewer. Asks again after each wake-up: one
    /// may have been for an earlier batch.
    async fn gather(&self) {
        let Some(gathered) = &self.gathered else { return };
        while let Some(pause) = self.pause(Instant::now()) {
            let _ = tokio::time::timeout(pause, gathered.notified()).await;
        }
    }

    /// How long commands still gather.
    fn pause(&self, now: Instant) -> Option<Duration> {
        let mut desk = self.lock();
        let waiting = desk.queue.waiting();
        desk.window.as_mut().map(|window| window.pause(now, waiting)).filter(|pause| !pause.is_zero())
    }

    /// The next batch; none, and the driver's leave to end, if there is nothing to send.
    fn next_batch(&self, now: Instant) -> Option<Batch<A>> {
        let mut desk = self.lock();
        let before = desk.queue.ahead();
        let batch = self.counted(&mut desk.queue, A::Queue::next_batch);
        let left = desk.queue.ahead();
        desk.backlog.taken(now, before.saturating_sub(left), left);
        if let Some(window) = &mut desk.window {
            match &batch {
                Some((_, callers)) => window.send(now, A::Queue::count(callers)),
                None => window.nobody(),
            }
        }
        desk.driven = batch.is_some();
        batch
    }

    /// Sends a batch to the store.
    fn call(&self, commands: Vec<A::Command>) -> Call<A> {
        let (store, id) = (self.store.clone(), self.id.clone());
        Box::pin(async move { A::call(&store, id, commands).await })
    }

    /// Gives the answers to a batch to its callers.
    fn answer(&self, callers: Callers<A>, reply: Result<Reply<A>, StoreError>) {
        match &reply {
            Ok(reply) => self.remember(reply.view.as_ref()),
            Err(_) => _ = self.metrics.store.errors.inc(),
        }
        let left = A::Queue::answer(callers, reply);
        let turned_away = self.counted(&mut self.lock().queue, |queue| queue.settle(left));
        self.metrics.store.overloaded.inc_by(turned_away as u64);
    }

    /// Keeps a view unless it is older than the one at hand: a store that lost its last moments must not make
    /// the shown head fall. Only the one driver writes, so reading first and storing then is no race.
    fn remember(&self, view: Option<&Arc<A::View>>) {
        let older = match (view, self.view.load().as_ref()) {
            (Some(new), Some(old)) => A::is_older(new, old),
            _ => false,
        };
        if !older {
            self.view.store(view.cloned());
        }
    }

    /// Does something to the queue, and reports how its length changed.
    fn counted<T>(&self, queue: &mut A::Queue, act: impl FnOnce(&mut A::Queue) -> T) -> T {
        let signed = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        let before = queue.waiting();
        let done = act(queue);
        self.metrics.store.queue_depth.inc_by(signed(queue.waiting()) - signed(before));
        done
    }

    fn lock(&self) -> MutexGuard<'_, Desk<A>> {
        // Nothing panics while the lock is held; if it ever did, the queue would still be whole.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Callers<A> = <<A as Aggregate>::Queue as Queue<A>>::Callers;
type Batch<A> = (Vec<<A as Aggregate>::Command>, Callers<A>);
type Call<A> = Pin<Box<dyn Future<Output = Result<Reply<A>, StoreError>> + Send>>;

/// The one task that sends a lane's batches, for as long as there is something to send.
struct Driver<S: Store, A: Aggregate> {
    lane: Arc<Lane<S, A>>,
    /// The batch at the store, and who waits for it. Boxed, so that another task can go on with it.
    in_flight: Option<InFlight<A>>,
    /// It runs on the lane's own runtime, and has nowhere else to go.
    is_home: bool,
    finished: bool,
}

struct InFlight<A: Aggregate> {
    call: Call<A>,
    callers: Callers<A>,
    since: Instant,
}

impl<S: Store, A: Aggregate> Driver<S, A> {
    fn new(lane: Arc<Lane<S, A>>, runtime: &Handle) -> Self {
        let is_home = runtime.id() == lane.runtime.id();
        Self { lane, in_flight: None, is_home, finished: false }
    }

    async fn run(mut self) {
        loop {
            if self.in_flight.is_none() {
                self.lane.gather().await;
            }
            let Some(batch) = self.in_flight.take().or_else(|| self.next()) else { break };
            let reply = self.in_flight.insert(batch).call.as_mut().await;
            if let Some(InFlight { callers, since, .. }) = self.in_flight.take() {
                self.lane.metrics.store.call_seconds.observe(since.elapsed().as_secs_f64());
                self.lane.answer(callers, reply);
            }
        }
        self.finished = true;
    }

    fn next(&self) -> Option<InFlight<A>> {
        let since = Instant::now();
        let (commands, callers) = self.lane.next_batch(since)?;
        self.lane.metrics.store.batch_size.observe(A::Queue::count(&callers) as f64);
        Some(InFlight { call: self.lane.call(commands), callers, since })
    }
}

impl<S: Store, A: Aggregate> Drop for Driver<S, A> {
    /// A driver that ends before its time leaves the lane free for the next one, and nobody waiting for an answer
    /// that will not come. A runtime that ended before the lane's own (a server's worker stops) took nobody else's
    /// answers with it: the rest is finished at home.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if !self.is_home && !std::thread::panicking() {
            let lane = Arc::clone(&self.lane);
            let rest = Self { lane, in_flight: self.in_flight.take(), is_home: true, finished: false };
            self.lane.runtime.spawn(rest.run());
            return;
        }
        let mut desk = self.lane.lock();
        desk.driven = false;
        desk.backlog = Backlog::default();
        desk.window.iter_mut().for_each(Window::nobody);
        self.lane.counted(&mut desk.queue, A::Queue::clear);
    }
}

impl<A: Aggregate> Waiter<A> {
    fn has_gone(&self) -> bool {
        self.reply.is_closed()
    }
}
