//! Group commit: while one batch of a room is in flight, the commands that arrive form the next one.
//!
//! Nobody waits for a timer. At low load a batch is one command; under load it grows until the store keeps
//! up. The queue is bounded: past the bound a caller is told so at once instead of being made to wait for an
//! answer that would come too late to be of use.
//!
//! A batch is driven by a task of its own, so that a caller that goes away (a closed connection, a timeout)
//! takes nothing with it but its own answer: its command may still be applied.

mod batch;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use arc_swap::ArcSwapOption;
use tokio::{runtime::Handle, sync::oneshot};

use self::batch::Batch;
use super::{Store, StoreError};
use crate::{
    id::RoomId,
    room::{Command, Outcome, View},
    telemetry::Metrics,
    time::UnixMs,
};

/// The most callers that wait for one room. The embedded store on an ordinary disk answers about 40 000 a
/// second in batches, so this is a quarter of a second of work: whoever came later would rather hear "busy,
/// try again" than wait. At some 200 bytes each it also bounds the memory, to 2 MB a room.
pub const QUEUE_MAX: usize = 10_000;

/// The most commands in one batch, a run of joins counted as one. About a microsecond each in the embedded
/// store, a few in a script: no other room waits longer than a millisecond or so for its turn.
pub const BATCH_MAX: usize = 256;

/// The way to one room: its queue, and the latest view of it that any batch brought back.
pub struct Lane<S> {
    store: S,
    room: RoomId,
    runtime: Handle,
    metrics: Arc<Metrics>,
    // A std mutex: held for a push or for taking a batch, never across an await.
    queue: Mutex<Queue>,
    view: ArcSwapOption<View>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// A driver task exists: it will come back for whatever is waiting.
    driven: bool,
}

/// A command whose caller waits.
struct Pending {
    command: Command,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// The answer to one command.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The room's time at which the command was applied.
    pub now: UnixMs,
    /// The room after the batch; none if it does not exist.
    pub view: Option<Arc<View>>,
    pub outcome: Outcome,
}

impl<S: Store> Lane<S> {
    /// A lane to `room`. Batches are driven on `runtime`, so that they outlive the caller that started them.
    pub fn new(store: S, room: RoomId, runtime: Handle, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { store, room, runtime, metrics, queue: Mutex::default(), view: ArcSwapOption::empty() })
    }

    /// Queues a command and waits for what came of it. Dropping the future gives up the answer, not the
    /// command: it may still be applied.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] at once when the queue is full; otherwise what the store says.
    pub async fn submit(self: &Arc<Self>, command: Command) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        if self.enqueue(Pending { command, reply })? {
            // Made here and moved into the task: if the runtime is shutting down and never polls it, the
            // callers are told all the same.
            let driver = Driver { lane: Arc::clone(self), finished: false };
            self.runtime.spawn(driver.run());
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the batch was abandoned".to_owned())))
    }

    /// The latest view any batch brought back: no store call, no lock. None before the first answer and
    /// where the room does not exist.
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.load_full()
    }

    /// Puts a command into the queue; true if a driver has to be started for it.
    fn enqueue(&self, pending: Pending) -> Result<bool, StoreError> {
        let mut queue = self.lock();
        if queue.waiting.len() >= QUEUE_MAX {
            drop(queue);
            self.metrics.store.overloaded.inc();
            return Err(StoreError::Overloaded);
        }
        queue.waiting.push_back(pending);
        self.metrics.store.queue_depth.inc();
        Ok(!std::mem::replace(&mut queue.driven, true))
    }

    /// The next batch; none, and the driver's leave to end, if nobody waits.
    fn next_batch(&self) -> Option<Batch> {
        let mut queue = self.lock();
        let before = queue.waiting.len();
        let batch = Batch::take(&mut queue.waiting);
        self.waiting_less(before - queue.waiting.len());
        if batch.is_empty() {
            queue.driven = false;
            return None;
        }
        Some(batch)
    }

    /// Sends a batch to the store and its answers to the callers.
    async fn run_batch(&self, batch: Batch) {
        let (commands, callers) = batch.into_parts();
        self.metrics.store.batch_size.observe(callers.count() as f64);
        let started = Instant::now();
        let reply = self.store.room(self.room.clone(), commands).await;
        self.metrics.store.call_seconds.observe(started.elapsed().as_secs_f64());
        match &reply {
            Ok(reply) => self.remember(reply.view.as_ref()),
            Err(_) => _ = self.metrics.store.errors.inc(),
        }
        callers.answer(reply);
    }

    /// Keeps a view unless it is older than the one at hand: a store that lost its last moments must not make
    /// the shown head fall. Only the one driver writes, so reading first and storing then is no race.
    fn remember(&self, view: Option<&Arc<View>>) {
        let age = |view: &View| (view.term, view.epoch, view.now);
        let older = match (view, self.view.load().as_ref()) {
            (Some(new), Some(old)) => age(new) < age(old),
            _ => false,
        };
        if !older {
            self.view.store(view.cloned());
        }
    }

    fn waiting_less(&self, callers: usize) {
        self.metrics.store.queue_depth.dec_by(i64::try_from(callers).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held; if it ever did, the queue would still be whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one task that sends a lane's batches, for as long as somebody waits.
struct Driver<S: Store> {
    lane: Arc<Lane<S>>,
    finished: bool,
}

impl<S: Store> Driver<S> {
    async fn run(mut self) {
        while let Some(batch) = self.lane.next_batch() {
            self.lane.run_batch(batch).await;
        }
        self.finished = true;
    }
}

impl<S: Store> Drop for Driver<S> {
    /// A driver that ends before its time (the store panicked, the runtime shuts down) leaves the lane free
    /// for the next one, and nobody waiting for an answer that will not come.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let abandoned = {
            let mut queue = self.lane.lock();
            queue.driven = false;
            std::mem::take(&mut queue.waiting)
        };
        self.lane.waiting_less(abandoned.len());
        // Dropping the senders tells the callers.
    }
}
