//! How late a worker is, and what it refuses for it.
//!
//! A worker is one thread with one queue of what is ready. Once more comes than it can do, everybody waits in that queue,
//! and longer with each round of it. So the worker beats: it queues a task of its own now and then, and how long that
//! one waits is how long everybody does who came at the same time. A request that is reached while a beat is overdue
//! came before that beat, and has waited at least as long.
//!
//! As CoDel has it (RFC 8289), what counts is the time somebody has waited when their turn comes, and only where it is too
//! long again and again: the round before must have been late too. One pause (a machine that stands still, a stalled
//! disk) refuses nobody, and after the first round in time nobody is refused any more.
//!
//! Refused is only what costs many times its refusal, which is signing and verifying passes. A page, a status or a join
//! costs hardly more than saying no to it, most of it in the kernel: refusing those would cost throughput and gain no
//! time. They are served late, and how late is bounded by the number of connections.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Context,
    limits::LATE_AFTER,
    problem::{Code, Problem},
};
use crate::telemetry::Metrics;

/// How often a worker beats: a fraction of [`LATE_AFTER`], and seldom enough to cost nothing in an idle worker.
const BEAT_EVERY: Duration = Duration::from_millis(25);

thread_local! {
    /// Those of the worker that this thread is; none before the first request that asks.
    static BEATS: Cell<Option<Beats>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Beats {
    /// When the next one is due, or was, if it is still waiting.
    due: Instant,
    /// How late the latest was.
    lag: Duration,
}

impl Beats {
    /// A first beat.
    fn begin(now: Instant) -> Self {
        Self { due: now + BEAT_EVERY, lag: Duration::ZERO }
    }

    /// The beat that follows.
    fn next(self, now: Instant) -> Self {
        Self { due: now + BEAT_EVERY, lag: now.saturating_duration_since(self.due) }
    }

    /// Whether what is reached now has waited too long, and so had what the latest beat stood behind.
    fn is_late(self, now: Instant) -> bool {
        self.lag > LATE_AFTER && now.saturating_duration_since(self.due) > LATE_AFTER
    }
}

/// Lets a request that is dear pass, unless it has waited too long already. To be asked before any work, but after the body
/// was read: a connection with a body unread is closed, and opening another costs more than was saved.
///
/// # Errors
/// 503 where the worker is late.
pub(super) fn in_time(context: &Context) -> Result<(), Problem> {
    let now = Instant::now();
    let beats = BEATS.get().unwrap_or_else(|| {
        let first = Beats::begin(now);
        BEATS.set(Some(first));
        actix_web::rt::spawn(keep_beating(first, Arc::clone(&context.instance.metrics)));
        first
    });
    if !beats.is_late(now) {
        return Ok(());
    }
    context.instance.metrics.http.late.inc();
    Err(Problem::new(Code::Overloaded, "this instance has more to do than it can do in time; nothing was done"))
}

/// Ends with the worker's runtime.
async fn keep_beating(mut beats: Beats, metrics: Arc<Metrics>) {
    loop {
        tokio::time::sleep_until(beats.due.into()).await;
        beats = beats.next(Instant::now());
        BEATS.set(Some(beats));
        metrics.http.worker_lag_seconds.observe(beats.lag.as_secs_f64());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes this thread a worker that is as late as that, and stays so.
    pub fn pretend(lag: Duration) {
        BEATS.set(Some(Beats { due: Instant::now() - lag, lag }));
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_beat_in_time_is_not_late_and_one_pause_is_not_either() {
        let start = Instant::now();
        let beats = Beats::begin(start);
        assert!(!beats.is_late(start + BEAT_EVERY));
        assert!(!beats.is_late(start + ms(5_000)), "the first round to be late");
        let after = beats.next(start + ms(5_000));
        assert!(!after.is_late(start + ms(5_000) + BEAT_EVERY + LATE_AFTER), "the next round is in time");
    }

    #[test]
    fn what_waits_too_long_again_is_late_until_a_round_was_in_time() {
        let start = Instant::now();
        let second_round = start + BEAT_EVERY + LATE_AFTER + ms(1);
        let beats = Beats::begin(start).next(second_round);
        assert!(!beats.is_late(second_round + BEAT_EVERY + LATE_AFTER), "first come, first served");
        let too_late = second_round + BEAT_EVERY + LATE_AFTER + ms(1);
        assert!(beats.is_late(too_late));
        let next = beats.next(too_late);
        assert!(next.is_late(too_late + BEAT_EVERY + LATE_AFTER + ms(1)));
        let in_time = next.next(too_late + BEAT_EVERY + LATE_AFTER);
        assert!(!in_time.is_late(too_late + ms(5_000)));
    }
}
