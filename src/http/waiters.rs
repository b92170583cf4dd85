//! Requests that wait for something to happen: so many at a time and no more, and none of them past the end.

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Requests that may wait at a time: each holds a connection, and asks the store once a second.
const WAITERS_MAX: usize = 256;

/// The places to wait at; one an instance.
pub struct Waiters {
    places: Semaphore,
    ended: watch::Sender<bool>,
}

/// A request that waits; dropping it gives its place back.
pub struct Waiting<'a> {
    _place: SemaphorePermit<'a>,
    ended: watch::Receiver<bool>,
}

impl Waiters {
    /// All places free.
    pub(super) fn new() -> Self {
        Self { places: Semaphore::new(WAITERS_MAX), ended: watch::channel(false).0 }
    }

    /// A place, if there is one: whoever gets none is told to come again.
    pub fn enter(&self) -> Option<Waiting<'_>> {
        let place = self.places.try_acquire().ok()?;
        Some(Waiting { _place: place, ended: self.ended.subscribe() })
    }

    /// From now on nobody waits: an instance that stops must not be held up by those who had time.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }
}

impl Waiting<'_> {
    /// Returns when nobody may wait any longer.
    pub async fn ended(&mut self) {
        // The sender lives as long as the place does, so this waits for nothing but the word.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_end() {
        let waiters = Waiters::new();
        let mut waiting: Vec<_> = (0..WAITERS_MAX).map(|_| waiters.enter().unwrap()).collect();
        assert!(waiters.enter().is_none());
        waiting.pop();
        let mut last = waiters.enter().unwrap();
        waiters.end();
        last.ended().await;
        waiting[0].ended().await;
    }
}
