//! When a lane sends its next batch, where a batch costs the store much whatever is in it: a commit writes some ten pages
//! and syncs, a call of Redis begins a script. The first few who come in a while are sent for at once, the others together
//! when it is over or enough have come; databases call that a commit delay. Where a batch takes longer than that nobody
//! waits for anything but the store.
//!
//! How many are enough is found by waiting for a whole window once in a while. Where as many come as were answered,
//! because each waits for its answer before it asks again, nobody else will come, and there is nothing to wait for.

use std::time::{Duration, Instant};

/// How many are sent for in a window before others wait for its end: with one of two milliseconds, nobody waits up to 2 000
/// a second.
pub const FEW: usize = 4;

/// How long what was found out counts: so long that a window waited for in vain is no loss.
const KNOWN_FOR: Duration = Duration::from_millis(100);

/// How a store would have commands gather under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// How long at most.
    pub lasts: Duration,
    /// How many are enough: more hardly make a batch cheaper.
    pub enough: usize,
}

impl Gathering {
    /// Not at all: a batch costs little.
    pub const NONE: Self = Self { lasts: Duration::ZERO, enough: 0 };
}

/// The window that is open, or the last one.
pub struct Window {
    gathering: Gathering,
    began: Option<Instant>,
    /// How many were sent for in it.
    sent: usize,
    /// Those who wait let others come.
    rests: bool,
    /// How many came in a whole window, and when that was found out.
    known: Option<(usize, Instant)>,
}

impl Window {
    /// Before the first batch.
    pub fn new(gathering: Gathering) -> Self {
        Self { gathering, began: None, sent: 0, rests: false, known: None }
    }

    /// How long those who wait now let others come.
    pub fn rest(&mut self, now: Instant, waiting: usize) -> Duration {
        let is_free = waiting == 0 || self.sent < FEW || waiting >= self.enough();
        let end = self.began.filter(|_| !is_free).map(|began| began + self.gathering.lasts);
        let rest = end.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        self.rests = !rest.is_zero();
        rest
    }

    /// Whether, now that so many wait, those who let others come need wait no longer. True once a rest.
    pub fn come(&mut self, waiting: usize) -> bool {
        self.rests && waiting == self.enough()
    }

    /// Takes note of a batch for so many.
    pub fn send(&mut self, now: Instant, callers: usize) {
        if self.began.is_none_or(|began| now >= began + self.gathering.lasts) {
            (self.began, self.sent) = (Some(now), 0);
        }
        self.sent += callers;
        self.known = match self.known {
            Some((enough, since)) if now < since + KNOWN_FOR => Some((enough.max(callers), since)),
            Some(_) => None,
            None => self.rests.then_some((callers, now)),
        };
        self.rests = false;
    }

    fn enough(&self) -> usize {
        self.known.map_or(self.gathering.enough, |(enough, _)| enough.min(self.gathering.enough))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LASTS: Duration = Duration::from_millis(2);
    const ENOUGH: usize = 16;
    const GATHERING: Gathering = Gathering { lasts: LASTS, enough: ENOUGH };

    /// Sends for `callers` as often as it goes in a second, each batch `takes` so long, and so many wait again when it is
    /// over; how many batches that were.
    fn loops(callers: usize, takes: Duration) -> u32 {
        let (mut window, start) = (Window::new(GATHERING), Instant::now());
        let (mut now, mut batches) = (start, 0);
        while now < start + MS * 1_000 {
            now += window.rest(now, callers);
            window.send(now, callers);
            now += takes;
            batches += 1;
        }
        batches
    }

    #[test]
    fn few_who_come_seldom_wait_for_nobody() {
        let (mut window, start) = (Window::new(GATHERING), Instant::now());
        for half_ms in 0..1_000 {
            let now = start + MS / 2 * half_ms;
            assert_eq!(window.rest(now, 1), Duration::ZERO);
            window.send(now, 1);
        }
    }

    #[test]
    fn behind_a_few_others_wait_for_the_end_or_for_enough() {
        let (mut window, start) = (Window::new(GATHERING), Instant::now());
        window.send(start, FEW - 1);
        assert_eq!(window.rest(start + MS, 1), Duration::ZERO);
        window.send(start + MS, 1);
        assert_eq!(window.rest(start + MS, ENOUGH), Duration::ZERO);
        assert_eq!(window.rest(start + MS, 0), Duration::ZERO, "nobody is there to wait");
        assert_eq!(window.rest(start + LASTS, 1), Duration::ZERO);
        assert_eq!(window.rest(start + LASTS * 9, 1), Duration::ZERO, "a slow disk");
        assert_eq!(window.rest(start + MS, ENOUGH - 1), MS);
        assert_eq!([1, ENOUGH, ENOUGH + 1].map(|waiting| window.come(waiting)), [false, true, false]);
        window.send(start + MS, ENOUGH);
        assert!(!window.come(ENOUGH), "nobody rests any more");
    }

    #[test]
    fn a_crowd_that_waits_for_no_answer_has_one_batch_a_window() {
        let (mut window, start) = (Window::new(GATHERING), Instant::now());
        let (mut now, mut batches) = (start, 0);
        while now < start + MS * 1_000 {
            // Four a millisecond, of whom those of the first half have come when the last batch is over.
            let rest = window.rest(now, 2);
            let came = if rest > MS / 2 { 8 } else { 2 };
            now += rest;
            window.send(now, came);
            now += MS / 2;
            batches += 1;
        }
        assert!((500..=520).contains(&batches), "{batches}");
    }

    #[test]
    fn where_all_have_come_again_there_is_nobody_to_wait_for() {
        // 2 000 batches without any rest; one window in fifty is waited for.
        for callers in [1, 3, 8, 15, 100] {
            let batches = loops(callers, MS / 2);
            assert!(batches >= 1_950, "{callers} at a time: {batches}");
        }
    }

    #[test]
    fn where_a_batch_costs_little_nobody_waits() {
        let (mut window, now) = (Window::new(Gathering::NONE), Instant::now());
        for _ in 0..100 {
            window.send(now, 1);
            assert_eq!(window.rest(now, 1), Duration::ZERO);
        }
    }
}
