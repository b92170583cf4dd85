//! A sale's batches: bounded by the lines they reserve; who has to wait until due holds are expired asks again with
//! every batch, ahead of who came later; who comes too late to what is gone asks the cheap way.
//!
//! **While holds are due** that the store has not expired yet, a reserve they stand in the way of is `Pending`. Each
//! batch then begins with ticks that expire more, and the lane goes on sending until nothing is due, whether anybody
//! waits or not: so it is enough that somebody, sometime, asks. Nobody is told "sold out" on account of a hold that is
//! due, and nobody waits longer than [`PENDING_MAX_MS`]. Those who want other things are served meanwhile.

mod batch;
mod gone;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use self::{
    batch::{Batch, Caller, Lesson, Way, skus},
    gone::Gone,
};
use super::{Aggregate, Queue, Reply, Waiter};
use crate::{
    clock::Clock,
    id::SaleId,
    sale::{Command, Outcome, Sale, Sku, view::Header},
    store::{Store, StoreError},
    time::UnixMs,
};

/// The ticks a batch begins with while holds are due and somebody waits for them, or nobody wants anything. With what
/// every batch expires by itself that makes 512: a hundred thousand take 200 batches, which is about a second.
const DRAIN_TICKS: usize = 7;

/// The same while holds are due and everybody gets an answer all the same: more units come back than a batch can
/// reserve one by one, and nobody is kept waiting for what is not wanted.
const STEADY_TICKS: usize = 1;

/// How long a caller waits for holds that are due to be expired, by the sale's time: then it is told to
/// try again. Never that all is sold.
const PENDING_MAX_MS: u64 = 3_000;

impl Aggregate for Sale {
    type Id = SaleId;
    type Command = Command;
    type Outcome = Outcome;
    type View = Header;
    type Queue = SaleQueue;

    async fn call<S: Store>(store: &S, id: SaleId, commands: Vec<Command>) -> Result<Reply<Self>, StoreError> {
        let reply = store.sale(id, commands).await?;
        Ok(Reply { now: reply.now, view: reply.header.map(Arc::new), outcomes: reply.outcomes })
    }

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Reserve(_) | Command::Look { .. })
    }

    fn is_older(new: &Header, old: &Header) -> bool {
        let age = |header: &Header| (header.born, header.term, header.version, header.seq, header.now);
        age(new) < age(old)
    }
}

/// Those who wait for a sale.
pub struct SaleQueue {
    clock: Clock,
    /// How many have come so far.
    came: u64,
    /// The sale's time as of the latest reply.
    now: UnixMs,
    /// Those who have not asked yet, first come first served.
    waiting: VecDeque<Waiting>,
    /// Those who have to ask again, and those who came later for the same, by the number in which they came.
    again: BTreeMap<u64, Waiting>,
    /// How many of `again` want each SKU: who comes for one of these stands behind them.
    wanted: BTreeMap<Sku, usize>,
    gone: Gone,
    /// The latest reply left holds that are due.
    is_behind: bool,
}

/// Somebody with a place in the queue.
pub struct Waiting {
    /// The how manyth to come.
    number: u64,
    /// When it was first made to wait for holds to be expired; none before.
    since: Option<UnixMs>,
    waiter: Waiter<Sale>,
}

impl SaleQueue {
    /// An empty queue. `clock` tells how old is what was learnt.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            came: 0,
            now: UnixMs(0),
            waiting: VecDeque::new(),
            again: BTreeMap::new(),
            wanted: BTreeMap::new(),
            gone: Gone::default(),
            is_behind: false,
        }
    }

    /// Takes from those who ask again what fits, in order.
    fn take_again(&mut self, batch: &mut Batch) {
        while let Some((_, first)) = self.again.first_key_value()
            // What it wants may just have come back: never the cheap way.
            && batch.has_room_again(&first.waiter.command)
            && let Some(next) = self.pop_again()
        {
            if !next.waiter.has_gone() {
                batch.add(next, Way::Full);
            }
        }
    }

    /// Takes from those who have not asked yet what fits, in order; who wants what others wait for goes behind them.
    fn take_new(&mut self, batch: &mut Batch) {
        let now = self.clock.now();
        while let Some(next) = self.waiting.front() {
            let way = self.gone.way(now, &next.waiter.command);
            let leaves = next.waiter.has_gone();
            let stands_behind = skus(&next.waiter.command).any(|sku| self.wanted.contains_key(sku));
            if !(leaves || stands_behind || batch.has_room_for(&next.waiter.command, way)) {
                return;
            }
            let Some(next) = self.waiting.pop_front() else { return };
            match (leaves, stands_behind) {
                (true, _) => {}
                (false, true) => self.put_again(Waiting { since: Some(self.now), ..next }),
                (false, false) => batch.add(next, way),
            }
        }
    }

    fn put_again(&mut self, waiting: Waiting) {
        for sku in skus(&waiting.waiter.command) {
            *self.wanted.entry(sku.clone()).or_default() += 1;
        }
        self.again.insert(waiting.number, waiting);
    }

    fn pop_again(&mut self) -> Option<Waiting> {
        let (_, first) = self.again.pop_first()?;
        for sku in skus(&first.waiter.command) {
            if let Some(count) = self.wanted.get_mut(sku) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(sku);
                }
            }
        }
        Some(first)
    }

    /// Tells those who have waited too long to try again later; how many.
    fn give_up(&mut self) -> usize {
        let mut told = 0;
        while let Some((_, first)) = self.again.first_key_value()
            && first.since.is_some_and(|since| self.now.since(since) >= PENDING_MAX_MS)
            && let Some(first) = self.pop_again()
        {
            let _ = first.waiter.reply.send(Err(StoreError::Overloaded));
            told += 1;
        }
        told
    }
}

impl Queue<Sale> for SaleQueue {
    type Callers = Vec<Caller>;
    type Left = Option<Lesson>;

    fn push(&mut self, waiter: Waiter<Sale>) {
        self.came += 1;
        self.waiting.push_back(Waiting { number: self.came, since: None, waiter });
    }

    fn waiting(&self) -> usize {
        self.waiting.len() + self.again.len()
    }

    /// Without those who ask again, and who are bounded by [`PENDING_MAX_MS`]: of what others want there may be enough.
    fn ahead(&self) -> usize {
        self.waiting.len()
    }

    fn next_batch(&mut self) -> Option<(Vec<Command>, Vec<Caller>)> {
        let ticks = match (self.is_behind, self.again.is_empty() && !self.waiting.is_empty()) {
            (false, _) => 0,
            (true, true) => STEADY_TICKS,
            (true, false) => DRAIN_TICKS,
        };
        let mut batch = Batch::beginning_with(ticks);
        self.take_again(&mut batch);
        self.take_new(&mut batch);
        batch.into_parts()
    }

    fn count(callers: &Vec<Caller>) -> usize {
        callers.len()
    }

    fn answer(callers: Vec<Caller>, reply: Result<Reply<Sale>, StoreError>) -> Option<Lesson> {
        batch::answer(callers, reply)
    }

    fn settle(&mut self, lesson: Option<Lesson>) -> usize {
        let Some(lesson) = lesson else {
            // The store did not answer. Whoever asks next will hear whether anything is due.
            self.is_behind = false;
            return 0;
        };
        self.now = lesson.now;
        let header = lesson.header.as_deref();
        self.is_behind = header.is_some_and(|header| header.next_due.is_some_and(|due| due <= header.now));
        self.gone.learn(self.clock.now(), header, lesson.none_left);
        for caller in lesson.again {
            let since = Some(caller.since.unwrap_or(lesson.now));
            self.gone.forget(skus(&caller.waiter.command));
            self.put_again(Waiting { since, ..caller });
        }
        self.give_up()
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.again.clear();
        self.wanted.clear();
    }
}
