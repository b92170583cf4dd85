//! What a sender was told of an aggregate and remembers, to tell it again after the store has lost it.
//!
//! Rows are the store's own and nobody here looks into them; the newest of a key counts. They are kept for the replay
//! window, which is longer than any replica lags behind that is fit to be promoted.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::time::UnixMs;

/// How long rows are remembered.
pub(super) const REPLAY_WINDOW: Duration = Duration::from_secs(60);

/// The most bytes that one instance remembers: a minute of some twenty-five thousand reservations a second. Whoever would go
/// beyond is turned away, because what can't be remembered must not be acknowledged.
pub(super) const BYTES_MAX: usize = 512 << 20;

/// From here on nothing is remembered beyond the replay window.
const BYTES_TIGHT: usize = BYTES_MAX / 2;

/// Until when a row is remembered that is never to be forgotten: an aggregate has few.
pub(super) const ALWAYS: UnixMs = UnixMs(u64::MAX);

/// What a row costs besides its texts: its places in the map and the queue.
const ROW_BYTES: usize = 160;

/// How many bytes all memories of an instance hold.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Whether no more can be remembered.
    pub fn is_full(&self) -> bool {
        self.0.load(Relaxed) >= BYTES_MAX
    }
}

/// A row of an aggregate, as of the batch `seq` of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub term: u64,
    pub seq: u64,
    pub value: Box<str>,
}

/// The rows that a sender remembers of one aggregate.
pub(super) struct Memory {
    rows: HashMap<Arc<str>, Row>,
    /// What was learned when, oldest first. A row that was learned anew stands here twice; the later one counts.
    learned: VecDeque<(Instant, Arc<str>, u64)>,
    /// Rows remembered beyond the window, by the aggregate's time until which they are.
    kept: BTreeMap<(UnixMs, Arc<str>), u64>,
    /// The last batch, and its term, of which something is remembered no more.
    forgotten: (u64, u64),
    budget: Budget,
    bytes: usize,
}

impl Memory {
    pub fn new(budget: Budget) -> Self {
        Self {
            rows: HashMap::new(),
            learned: VecDeque::new(),
            kept: BTreeMap::new(),
            forgotten: (0, 0),
            budget,
            bytes: 0,
        }
    }

    /// Remembers a row, if none of its key is remembered: what an answer says that was given once before.
    pub fn learn_late(&mut self, now: Instant, key: &str, row: Row) {
        if !self.rows.contains_key(key) {
            self.learn(now, key, row);
        }
    }

    /// The store has lost this batch, and so have we: one that lacks it is lost too.
    pub fn forgets(&mut self, term: u64, seq: u64) {
        self.forgotten = self.forgotten.max((term, seq));
    }

    /// Remembers a row.
    pub fn learn(&mut self, now: Instant, key: &str, row: Row) {
        let (seq, value_bytes) = (row.seq, row.value.len());
        let key: Arc<str> = match self.rows.get_key_value(key) {
            Some((known, _)) => Arc::clone(known),
            None => key.into(),
        };
        self.learned.push_back((now, Arc::clone(&key), seq));
        let added = key.len() + value_bytes + ROW_BYTES;
        let gone = self.rows.insert(Arc::clone(&key), row).map_or(0, |old| size(&key, &old));
        self.change_bytes(added, gone);
    }

    /// Forgets what the window has passed by. `kept_until` tells of a row until when it is remembered all the same;
    /// `time` is the aggregate's.
    pub fn forget(&mut self, now: Instant, time: UnixMs, kept_until: impl Fn(&str, &str) -> Option<UnixMs>) {
        while let Some((at, _, _)) = self.learned.front()
            && now.duration_since(*at) >= REPLAY_WINDOW
            && let Some((_, key, seq)) = self.learned.pop_front()
        {
            let Some(row) = self.rows.get(&key).filter(|row| row.seq == seq) else { continue };
            self.forgotten = self.forgotten.max((row.term, seq));
            match kept_until(&key, &row.value).filter(|until| *until > time) {
                Some(until) if until == ALWAYS || self.budget.0.load(Relaxed) < BYTES_TIGHT => {
                    self.kept.insert((until, key), seq);
                }
                _ => self.drop_row(&key),
            }
        }
        while let Some(((until, _), _)) = self.kept.first_key_value()
            && *until <= time
            && let Some(((_, key), seq)) = self.kept.pop_first()
        {
            if self.rows.get(&key).is_some_and(|row| row.seq == seq) {
                self.drop_row(&key);
            }
        }
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Everything remembered.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.rows.iter().map(|(key, row)| (&**key, row))
    }

    /// The last batch, and its term, of which something is remembered no more: a store that lost that one has lost more
    /// than can be told again.
    pub fn forgotten(&self) -> (u64, u64) {
        self.forgotten
    }

    /// What was told again is remembered for the window from now: the store may lose it again.
    pub fn renew(&mut self, now: Instant) {
        self.learned.clear();
        self.learned.extend(self.rows.iter().map(|(key, row)| (now, Arc::clone(key), row.seq)));
        self.kept.clear();
    }

    fn drop_row(&mut self, key: &Arc<str>) {
        let gone = self.rows.remove(key).map_or(0, |row| size(key, &row));
        self.change_bytes(0, gone);
    }

    fn change_bytes(&mut self, added: usize, gone: usize) {
        self.bytes = self.bytes + added - gone;
        self.budget.0.fetch_add(added, Relaxed);
        self.budget.0.fetch_sub(gone, Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Relaxed);
    }
}

fn size(key: &str, row: &Row) -> usize {
    key.len() + row.value.len() + ROW_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64) -> Row {
        Row { term: 1, seq, value: "value".into() }
    }

    fn keys(memory: &Memory) -> Vec<(&str, u64)> {
        let mut keys: Vec<_> = memory.rows().map(|(key, row)| (key, row.seq)).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_row_is_remembered_for_the_window_after_it_was_last_learned() {
        let (budget, start) = (Budget::default(), Instant::now());
        let mut memory = Memory::new(budget.clone());
        memory.learn(start, "a", row(1));
        memory.learn(start, "b", row(2));
        memory.learn(start + REPLAY_WINDOW / 2, "a", row(3));
        memory.forget(start + REPLAY_WINDOW, UnixMs(0), |_, _| None);
        assert_eq!((keys(&memory), memory.forgotten()), (vec![("a", 3)], (1, 2)));
        memory.forget(start + REPLAY_WINDOW * 2, UnixMs(0), |_, _| None);
        assert_eq!((keys(&memory), memory.forgotten()), (vec![], (1, 3)));
        assert_eq!(budget.0.load(Relaxed), 0);
    }

    #[test]
    fn a_session_is_remembered_until_its_deadline() {
        let start = Instant::now();
        let mut memory = Memory::new(Budget::default());
        memory.learn(start, "a", row(1));
        let until = |_: &str, _: &str| Some(UnixMs(100));
        memory.forget(start + REPLAY_WINDOW, UnixMs(99), until);
        assert_eq!(keys(&memory), [("a", 1)]);
        memory.forget(start + REPLAY_WINDOW, UnixMs(100), until);
        assert_eq!(keys(&memory), []);
    }

    #[test]
    fn the_budget_knows_when_it_is_spent() {
        let budget = Budget::default();
        let mut memory = Memory::new(budget.clone());
        let value: Box<str> = "x".repeat(BYTES_MAX / 4).into();
        for key in ["a", "b", "c", "d"] {
            assert!(!budget.is_full());
            memory.learn(Instant::now(), key, Row { term: 1, seq: 1, value: value.clone() });
        }
        assert!(budget.is_full());
        drop(memory);
        assert!(!budget.is_full());
    }
}
