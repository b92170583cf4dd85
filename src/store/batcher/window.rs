//! When a lane sends its next batch, where a batch costs the store much whatever is in it: a commit writes some ten pages
//! and syncs, a call of Redis begins a script. The first few who come in a window are sent for at once, the others together
//! when it is over or enough have come; databases call that a commit delay. Where a batch takes longer than a window nobody
//! waits for anything but the store.
//!
//! How many are enough is learnt by waiting for a whole window once in a while. Where only those come who were answered,
//! because each waits for its answer before it asks again, all are there soon, and there is nothing to wait for.

use std::time::{Duration, Instant};

/// How many are sent for in a window before others wait for its end. With windows of two milliseconds nobody waits who
/// comes less often than 2 000 times a second, evenly spread, to one room or sale of one instance; of a burst the first
/// few don't.
pub const FEW: usize = 4;

/// How long what was learnt counts: so long that a window waited for in vain is no loss.
const KNOWN_FOR: Duration = Duration::from_millis(100);

/// How a store would have commands gather under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// How long a window lasts.
    pub lasts: Duration,
    /// How many are enough at most: more hardly make a batch cheaper.
    pub enough: usize,
}

/// The window that is open, or the last one.
pub struct Window {
    gathering: Gathering,
    began: Option<Instant>,
    /// How many were sent for in it.
    sent: usize,
    pause: Pause,
    /// How many are enough, and when that was learnt.
    known: Option<(usize, Instant)>,
}

/// Whether those who wait let others come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    None,
    /// Until the window ends.
    Until(Instant),
    /// For as long as a window lasts, to learn how many come.
    Learning(Instant),
}

impl Window {
    /// Before the first batch.
    pub fn new(gathering: Gathering) -> Self {
        Self { gathering, began: None, sent: 0, pause: Pause::None, known: None }
    }

    /// How long those who wait now let others come, from now; asked again after a wake-up, for what is left of it.
    pub fn pause(&mut self, now: Instant, waiting: usize) -> Duration {
        let end = self.began.map(|began| began + self.gathering.lasts).filter(|end| now < *end);
        self.pause = match (self.pause, end) {
            _ if waiting == 0 || waiting >= self.enough() => Pause::None,
            (Pause::Until(end) | Pause::Learning(end), _) if now >= end => return Duration::ZERO,
            (Pause::None, Some(_)) if self.sent >= FEW && self.known.is_none() => {
                Pause::Learning(now + self.gathering.lasts)
            }
            (Pause::None, Some(end)) if self.sent >= FEW => Pause::Until(end),
            (going_on, _) => going_on,
        };
        match self.pause {
            Pause::None => Duration::ZERO,
            Pause::Until(end) | Pause::Learning(end) => end.saturating_duration_since(now),
        }
    }

    /// Whether, now that so many wait, those who let others come need wait no longer.
    pub fn come(&self, waiting: usize) -> bool {
        self.pause != Pause::None && waiting >= self.enough()
    }

    /// Takes note of a batch for so many.
    pub fn send(&mut self, now: Instant, callers: usize) {
        if self.began.is_none_or(|began| now >= began + self.gathering.lasts) {
            (self.began, self.sent) = (Some(now), 0);
        }
        self.sent += callers;
        let known = self.known.filter(|(_, since)| now < *since + KNOWN_FOR);
        self.known = match (known, std::mem::replace(&mut self.pause, Pause::None)) {
            (Some((enough, since)), _) => Some((enough.max(callers), since)),
            (None, Pause::Learning(_)) => Some((callers, now)),
            (None, _) => None,
        };
    }

    /// Takes note that nobody is left to wait.
    pub fn nobody(&mut self) {
        self.pause = Pause::None;
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

    fn window() -> (Window, Instant) {
        (Window::new(Gathering { lasts: LASTS, enough: ENOUGH }), Instant::now())
    }

    /// The next batch of so many, who all wait already: it goes once their pause is over.
    fn batch(window: &mut Window, now: &mut Instant, callers: usize) -> Duration {
        let pause = window.pause(*now, callers);
        *now += pause;
        window.send(*now, callers);
        pause
    }

    #[test]
    fn few_who_come_seldom_wait_for_nobody() {
        let (mut window, start) = window();
        for half_ms in 0..1_000 {
            let now = start + MS / 2 * half_ms;
            assert_eq!(window.pause(now, 1), Duration::ZERO);
            window.send(now, 1);
        }
    }

    #[test]
    fn behind_a_few_others_wait_until_there_are_enough() {
        let (mut window, start) = window();
        window.send(start, FEW - 1);
        assert_eq!(window.pause(start + MS, 1), Duration::ZERO);
        window.send(start + MS, 1);
        assert_eq!(window.pause(start + MS, ENOUGH), Duration::ZERO);
        assert_eq!(window.pause(start + MS, 0), Duration::ZERO, "nobody is there to wait");
        assert!(!window.come(ENOUGH), "nobody waits for others");
        assert_eq!(window.pause(start + MS, ENOUGH - 1), LASTS);
        assert_eq!([1, ENOUGH - 1, ENOUGH].map(|waiting| window.come(waiting)), [false, false, true]);
        // Woken for nothing, they go on waiting; and no longer than they were to.
        assert_eq!(window.pause(start + MS * 2, 1), MS);
        assert_eq!(window.pause(start + MS * 3, 1), Duration::ZERO);
        window.send(start + MS * 3, ENOUGH - 1);
        assert!(!window.come(ENOUGH), "what they waited for has gone");
    }

    #[test]
    fn where_a_batch_takes_longer_than_a_window_nobody_waits() {
        let (mut window, start) = window();
        window.send(start, 50);
        assert_eq!(window.pause(start + LASTS, 1), Duration::ZERO);
        assert_eq!(window.pause(start + LASTS * 9, 1), Duration::ZERO);
    }

    #[test]
    fn whoever_knows_waits_for_the_end_of_the_window_and_no_longer() {
        let (mut window, mut now) = window();
        window.send(now, FEW);
        assert_eq!(batch(&mut window, &mut now, 12), LASTS, "to learn");
        now += MS / 2;
        assert_eq!(window.pause(now, 11), LASTS - MS / 2);
        assert_eq!(window.pause(now, 12), Duration::ZERO, "as many as came in a whole window");
    }

    #[test]
    fn what_was_learnt_grows_with_the_batches_and_is_learnt_anew() {
        let (mut window, mut now) = window();
        window.send(now, FEW);
        batch(&mut window, &mut now, 5);
        assert_eq!(batch(&mut window, &mut now, 5), Duration::ZERO);
        assert_eq!(batch(&mut window, &mut now, 12), Duration::ZERO);
        assert_ne!(window.pause(now, 5), Duration::ZERO, "twelve came once");
        window.nobody();
        // Far fewer come now, and after a while that is known.
        now += KNOWN_FOR;
        window.send(now, FEW);
        assert_eq!(batch(&mut window, &mut now, 5), LASTS);
        assert_eq!(batch(&mut window, &mut now, 5), Duration::ZERO);
    }

    #[test]
    fn a_crowd_that_waits_for_no_answer_has_one_batch_a_window() {
        let (mut window, start) = window();
        let (mut now, mut batches) = (start, 0);
        while now < start + MS * 1_000 {
            // Four a millisecond: two while the last batch was under way, and those who come during the pause.
            let pause = window.pause(now, 2);
            now += pause;
            window.send(now, 2 + usize::try_from(pause.as_micros() / 250).unwrap());
            now += MS / 2;
            batches += 1;
        }
        assert!((480..=520).contains(&batches), "{batches}");
    }

    #[test]
    fn where_all_have_come_again_there_is_nobody_to_wait_for() {
        // 2 000 batches without any pause; one window in fifty is waited for.
        for callers in [1, 3, 8, 15, 100] {
            let (mut window, start) = window();
            let (mut now, mut batches) = (start, 0);
            while now < start + MS * 1_000 {
                batch(&mut window, &mut now, callers);
                now += MS / 2;
                batches += 1;
            }
            assert!(batches >= 1_950, "{callers} at a time: {batches}");
        }
    }
}
