//! How long whoever comes now would have to wait, so that it can be told at once where that is too long.
//!
//! By Little's law the wait is the length of the queue times the time by which it grows shorter by one. That time is
//! taken from one batch to the next, with all that lies between them, and only while batches leave somebody behind: a
//! queue that each batch empties is no backlog, however long its batches take. So an idle lane turns nobody away, and one
//! that has drained takes everybody again.
//!
//! What counts is the median of the latest few batches. One call that takes a second (a failover, a disk that stalls) is
//! thereby no measure of what those behind it will wait; a store that has become slower is, three batches later.
//!
//! How long a call is in flight already is left out on purpose. A store that does not answer has bounds of its own: the
//! time of a call, and the breaker after it.

use std::time::{Duration, Instant};

/// The longest that whoever comes now would have to wait for its batch. Long enough that the bursts of a store that keeps
/// up pass (a hundred batches in memory, some forty in Redis), and so short that the answer is still one to somebody who
/// is there: people take a tenth of a second for none at all, and shops give up after some seconds.
pub const WAIT_MAX: Duration = Duration::from_millis(250);

/// Of how many batches the median is taken: the fewest that two outliers can't move.
const MEASURED: usize = 5;

/// What the latest batches tell about the wait.
#[derive(Default)]
pub struct Backlog {
    /// When the latest batch was taken and how many it took, if it left somebody behind.
    latest: Option<(Instant, u32)>,
    /// The time a head of the latest batches, the newest last.
    each: Vec<Duration>,
    /// The median of these; nothing before the first.
    median: Duration,
}

impl Backlog {
    /// A batch was taken: the queue is shorter by `took`, and `left` still stand in it.
    pub fn taken(&mut self, now: Instant, took: usize, left: usize) {
        if left == 0 {
            *self = Self::default();
            return;
        }
        let took = u32::try_from(took).unwrap_or(u32::MAX);
        match self.latest {
            // It was all for those who ask again, and nobody here came nearer: the time is the next batch's too.
            Some(_) if took == 0 => return,
            Some((before, heads)) => self.measure(now.saturating_duration_since(before) / heads),
            None if took == 0 => return,
            None => {}
        }
        self.latest = Some((now, took));
    }

    /// Whether whoever comes now, behind `ahead` others, would have to wait too long.
    pub fn is_too_long(&self, ahead: usize) -> bool {
        self.median.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX)) > WAIT_MAX
    }

    fn measure(&mut self, each: Duration) {
        if self.each.len() == MEASURED {
            self.each.remove(0);
        }
        self.each.push(each);
        let mut sorted = self.each.clone();
        sorted.sort_unstable();
        // Of an even number the quicker one: in doubt nobody is turned away.
        self.median = sorted[(sorted.len() - 1) / 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A queue of 10 000 of which a batch of a hundred was taken after each of these times.
    fn after(steps: &[Duration]) -> (Backlog, Instant) {
        let (mut backlog, mut now) = (Backlog::default(), Instant::now());
        backlog.taken(now, 100, 9_900);
        for step in steps {
            now += *step;
            backlog.taken(now, 100, 9_900);
        }
        (backlog, now)
    }

    #[test]
    fn the_wait_is_the_queue_times_the_time_a_head() {
        // A hundred in 10 ms is 10 000 a second: 2 500 in the longest wait.
        let (backlog, _) = after(&[MS * 10; MEASURED]);
        assert!(!backlog.is_too_long(2_500));
        assert!(backlog.is_too_long(2_501));
    }

    #[test]
    fn nobody_is_turned_away_where_nothing_was_measured() {
        assert!(!Backlog::default().is_too_long(1_000_000));
        let (backlog, _) = after(&[]);
        assert!(!backlog.is_too_long(1_000_000), "one batch alone tells nothing");
    }

    #[test]
    fn a_queue_that_was_emptied_takes_everybody_again() {
        let (mut backlog, now) = after(&[MS * 1_000; MEASURED]);
        assert!(backlog.is_too_long(100));
        backlog.taken(now + MS * 1_000, 100, 0);
        assert!(!backlog.is_too_long(1_000_000));
        // What lay between does not count as the next one's time.
        backlog.taken(now + MS * 9_000, 100, 50);
        assert!(!backlog.is_too_long(1_000_000));
    }

    #[test]
    fn one_slow_call_is_no_measure() {
        let (mut backlog, mut now) = after(&[MS * 10; MEASURED]);
        now += MS * 2_000;
        for _ in 0..MEASURED {
            backlog.taken(now, 100, 2_000);
            assert!(!backlog.is_too_long(2_000), "refused though the store is as quick as before");
            now += MS * 10;
        }
        // Where it is the first to be measured, it counts until two others were.
        let (mut backlog, mut now) = after(&[MS * 2_000]);
        assert!(backlog.is_too_long(100));
        now += MS * 10;
        backlog.taken(now, 100, 2_000);
        assert!(!backlog.is_too_long(2_000));
    }

    #[test]
    fn a_store_that_became_slower_is_noticed_within_three_batches() {
        let (mut backlog, mut now) = after(&[MS * 10; MEASURED]);
        for is_noticed in [false, false, true] {
            now += MS * 100;
            backlog.taken(now, 100, 2_000);
            assert_eq!(backlog.is_too_long(2_000), is_noticed);
        }
    }

    #[test]
    fn a_batch_that_took_nobody_makes_the_wait_longer() {
        let (mut backlog, mut now) = after(&[]);
        for took in [0, 0, 0, 100] {
            now += MS * 10;
            backlog.taken(now, took, 500);
        }
        // A hundred in 40 ms.
        assert!(!backlog.is_too_long(625));
        assert!(backlog.is_too_long(626));
    }
}
