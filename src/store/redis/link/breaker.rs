//! Whether a server is worth asking. While it is away nobody waits for it: calls fail at once, and one probe at a time finds
//! out when it is back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// So many failed connections in a row, and a server counts as away: one alone may be chance.
const STRIKES_MAX: u32 = 3;

/// What speaks against a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// No connection, or one was cut. That is told at once, so a few callers may hear it.
    Failed,
    /// No answer in time. One is enough: the next caller would wait as long.
    Silent,
}

/// Admits calls, or not.
pub(super) struct Breaker {
    state: Mutex<State>,
    is_open: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    strikes: u32,
    /// How often it has opened. What was sent before an opening says nothing about the time after it.
    openings: u64,
}

/// The right to one call, and to say how it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass(u64);

impl Breaker {
    pub fn new() -> Self {
        Self { state: Mutex::default(), is_open: watch::Sender::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None while the server is away.
    pub fn pass(&self) -> Option<Pass> {
        (!self.is_open()).then(|| Pass(self.state().openings))
    }

    pub fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Comes back once the server counts as away.
    pub async fn opened(&self) {
        // The sender is ours, so this waits for nothing but the word.
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
    }

    pub fn worked(&self) {
        self.state().strikes = 0;
    }

    /// Whether this opened it. Who opened it sends the probe.
    pub fn strike(&self, pass: Pass, strike: Strike) -> bool {
        let mut state = self.state();
        if state.openings != pass.0 {
            return false;
        }
        state.strikes = match strike {
            Strike::Failed => state.strikes + 1,
            Strike::Silent => STRIKES_MAX,
        };
        if state.strikes < STRIKES_MAX {
            return false;
        }
        state.openings += 1;
        self.is_open.send_replace(true);
        true
    }

    /// The probe was answered.
    pub fn close(&self) {
        self.state().strikes = 0;
        self.is_open.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_a_few_failures_in_a_row() {
        let breaker = Breaker::new();
        let pass = breaker.pass().unwrap();
        assert!(!breaker.strike(pass, Strike::Failed) && !breaker.strike(pass, Strike::Failed));
        breaker.worked();
        assert!(!breaker.strike(pass, Strike::Failed) && !breaker.strike(pass, Strike::Failed));
        assert!(breaker.pass().is_some());
        assert!(breaker.strike(pass, Strike::Failed));
        assert!(breaker.pass().is_none());
    }

    #[test]
    fn one_silence_opens_it_and_only_one_hears_that_it_did() {
        let breaker = Breaker::new();
        let (first, second) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        assert!(breaker.strike(first, Strike::Silent));
        assert!(!breaker.strike(second, Strike::Silent));
    }

    #[test]
    fn what_was_sent_before_it_opened_does_not_open_it_again() {
        let breaker = Breaker::new();
        let (first, late) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        assert!(breaker.strike(first, Strike::Silent));
        breaker.close();
        assert!(!breaker.strike(late, Strike::Silent) && breaker.pass().is_some());
    }
}
