//! How often one address may fail to sign in to the dashboard.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;

use super::{
    client_address::ClientAddress,
    problem::{Code, Problem},
};
use crate::time::UnixMs;

/// Failures an address has within [`WINDOW_MS`]: a person mistypes a few times, a guesser gets nowhere.
const FAILURES_MAX: usize = 5;
/// A minute, in ms.
const WINDOW_MS: u64 = 60_000;
/// Addresses remembered at once, some 20 MB: a guesser with more of them than that still has 2^256 keys to guess.
const ADDRESSES_MAX: u64 = 100_000;

/// The latest failures of each address.
pub struct SignInLimit {
    failures: Cache<ClientAddress, Arc<Mutex<Vec<UnixMs>>>>,
}

impl SignInLimit {
    /// A limit that remembers nobody yet.
    pub fn new() -> Self {
        let forget_after = Duration::from_millis(WINDOW_MS);
        Self { failures: Cache::builder().max_capacity(ADDRESSES_MAX).time_to_idle(forget_after).build() }
    }

    /// Lets `caller` try, and remembers if it fails. Tries of one address go one after the other, so that many at once
    /// are no way around the count.
    ///
    /// # Errors
    /// 429 without trying where the address failed too often, saying when it may try again.
    pub fn attempt<T>(
        &self,
        caller: ClientAddress,
        now: UnixMs,
        try_it: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let failures = self.failures.get_with(caller, Arc::default);
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|failed| now.since(*failed) < WINDOW_MS);
        if let (Some(oldest), true) = (failures.first(), failures.len() >= FAILURES_MAX) {
            let wait_ms = WINDOW_MS - now.since(*oldest);
            let detail = format!("{FAILURES_MAX} failures a minute are enough");
            return Err(Problem::new(Code::RateLimited, detail).retry_after(wait_ms.div_ceil(1_000)));
        }
        let outcome = try_it();
        if outcome.is_none() {
            failures.push(now);
        }
        Ok(outcome)
    }
}

impl Default for SignInLimit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMs = UnixMs(1_800_000_000_000);

    fn address(text: &str) -> ClientAddress {
        ClientAddress::of(text.parse().unwrap())
    }

    #[test]
    fn the_sixth_try_after_five_failures_is_not_even_made() {
        let limit = SignInLimit::new();
        let caller = address("203.0.113.7");
        for second in 0..5 {
            assert!(limit.attempt(caller, START.plus_ms(second * 1_000), || None::<()>).unwrap().is_none());
        }
        let refused = limit.attempt(caller, START.plus_ms(5_000), || -> Option<()> { panic!("tried") }).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_seconds), (Code::RateLimited, Some(55)));
        let other = limit.attempt(address("203.0.113.8"), START.plus_ms(5_000), || Some(()));
        assert_eq!(other.unwrap(), Some(()), "another address is not held to it");
        let later = limit.attempt(caller, START.plus_ms(60_000), || Some(()));
        assert_eq!(later.unwrap(), Some(()), "the first failure is a minute old");
    }

    #[test]
    fn success_is_no_failure() {
        let limit = SignInLimit::new();
        for _ in 0..20 {
            assert_eq!(limit.attempt(address("203.0.113.7"), START, || Some(())).unwrap(), Some(()));
        }
    }
}
