//! What the crowd saw, counted: shared by all visitors, read by the progress, the summary and the checks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    browser::Trouble,
    checks::{Entry, Sample},
    provider::Choice,
};

/// The longest answer time told apart: beyond the patience with a page nobody waits.
const LONGEST_US: u64 = 60_000_000;

/// Digits of an answer time that count.
const PRECISION: u8 = 3;

/// Kinds of trouble kept apart; more would fill the screen and say no more.
const KINDS_OF_TROUBLE_MAX: usize = 20;

/// The count of everything.
pub struct Tally {
    start: Instant,
    seen: Mutex<Seen>,
}

/// What was seen so far.
#[derive(Clone)]
pub struct Seen {
    pub counts: Counts,
    /// The position of every join.
    pub joined: Vec<u64>,
    pub entries: Vec<Entry>,
    /// Position and session's name of every claim that was answered with a pass, both tabs' too.
    pub sessions: Vec<(u64, String)>,
    /// Looks at the room's own counters.
    pub samples: Vec<Sample>,
    pub join_us: Histogram<u64>,
    pub status_us: Histogram<u64>,
    /// What visitors were told of their orders: how many units are theirs; 0 where the money goes back.
    pub answered: Vec<(String, u64)>,
    /// What went wrong, and how often.
    pub troubles: BTreeMap<String, u64>,
    /// What must never be, as it was seen.
    pub broken: Vec<String>,
}

/// How many visitors did what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub arrived: u64,
    pub entered: u64,
    /// Came too late for their turn.
    pub lapsed: u64,
    /// Gave their place back.
    pub left: u64,
    /// Read in line that everything was sold, and gave their place back.
    pub told_sold_out: u64,
    /// Went without a word, while waiting.
    pub vanished: u64,
    /// Baskets filled, again and by two presses too.
    pub filled: u64,
    /// With another size instead.
    pub changed: u64,
    pub put_back: u64,
    /// Left with something in the basket.
    pub walked_away: u64,
    /// Came back to a basket whose time was over.
    pub found_expired: u64,
    /// Orders confirmed, in time or late, the whole or a part.
    pub bought: u64,
    /// Of these, paid after the basket's time and before the grace was over.
    pub bought_late: u64,
    /// Of these, paid after the grace, and the units could still be had.
    pub bought_too_late: u64,
    /// Of these, a part.
    pub bought_part: u64,
    pub declined: u64,
    /// Paid too late, and the units were gone.
    pub refunded: u64,
    /// Forms refused: nothing left for good, nothing left for now, more than a person gets, no number.
    pub refused_sold_out: u64,
    pub refused_all_held: u64,
    pub refused_limit: u64,
    pub refused_invalid: u64,
    /// Went without, because there was nothing left.
    pub found_sold_out: u64,
    /// Went because nothing worked.
    pub gave_up: u64,
    /// Left the shop without buying.
    pub wandered_off: u64,
    /// In the shop now.
    pub shopping: u64,
}

impl Counts {
    /// Forms that were refused, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.refused_sold_out + self.refused_all_held + self.refused_limit + self.refused_invalid
    }

    /// Counts how a payment ended.
    pub fn answer(&mut self, word: &str, units: u64, choice: Choice) {
        match word {
            "confirmed" if units > 0 => {
                self.bought += 1;
                match choice {
                    Choice::PayLate => self.bought_late += 1,
                    Choice::PayTooLate => self.bought_too_late += 1,
                    Choice::PayPart => self.bought_part += 1,
                    Choice::Pay | Choice::Decline => {}
                }
            }
            "declined" => self.declined += 1,
            _ => self.refunded += 1,
        }
    }
}

/// No answer time yet.
///
/// # Errors
/// Never: the bounds are constants that fit.
pub fn answer_times() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, LONGEST_US, PRECISION)
}

/// What kind of answer was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Join,
    Status,
}

impl Tally {
    /// Nothing seen yet; times count from `start`.
    ///
    /// # Errors
    /// Never: the bounds of the histograms are constants that fit.
    pub fn new(start: Instant) -> Result<Self, hdrhistogram::CreationError> {
        let histogram = answer_times()?;
        let seen = Seen {
            counts: Counts::default(),
            joined: Vec::new(),
            entries: Vec::new(),
            sessions: Vec::new(),
            samples: Vec::new(),
            join_us: histogram.clone(),
            status_us: histogram,
            answered: Vec::new(),
            troubles: BTreeMap::new(),
            broken: Vec::new(),
        };
        Ok(Self { start, seen: Mutex::new(seen) })
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Changes counts.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.seen().counts);
    }

    /// Keeps how long a call took.
    pub fn timed(&self, call: Call, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let seen = &mut *self.seen();
        match call {
            Call::Join => seen.join_us.saturating_record(micros),
            Call::Status => seen.status_us.saturating_record(micros),
        }
    }

    pub fn joined(&self, position: u64) {
        self.seen().joined.push(position);
    }

    /// One visitor entered; a second tab's claim is no second entry.
    pub fn entered(&self, entry: Entry) {
        let mut seen = self.seen();
        seen.entries.push(entry);
        seen.counts.entered += 1;
    }

    pub fn session(&self, position: u64, name: String) {
        self.seen().sessions.push((position, name));
    }

    /// What a visitor was told of an order.
    pub fn answered(&self, order: String, units: u64) {
        self.seen().answered.push((order, units));
    }

    /// One look at the room; the same moment twice is once.
    pub fn sampled(&self, sample: Sample) {
        let mut seen = self.seen();
        if seen.samples.last().is_none_or(|last| last.at_ms < sample.at_ms) {
            seen.samples.push(sample);
        }
    }

    /// One failure; whoever met it may try again.
    pub fn trouble(&self, trouble: &Trouble) {
        let mut seen = self.seen();
        let is_kept = seen.troubles.contains_key(&trouble.0) || seen.troubles.len() < KINDS_OF_TROUBLE_MAX;
        let kind = if is_kept { &trouble.0 } else { "other" };
        *seen.troubles.entry(kind.to_owned()).or_default() += 1;
    }

    /// Something that must never be.
    pub fn broken(&self, what: String) {
        self.seen().broken.push(what);
    }

    /// The counts as they are.
    pub fn counts(&self) -> Counts {
        self.seen().counts
    }

    /// Everything as it is.
    pub fn snapshot(&self) -> Seen {
        self.seen().clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Whoever panicked while counting left a count that is one off at most.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
