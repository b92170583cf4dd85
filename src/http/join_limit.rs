//! How many places one address may take a minute: the room's `join_per_address`.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::sync::Cache;

use super::{
    client_address::ClientAddress,
    problem::{Code, Problem},
};
use crate::id::RoomId;

/// Addresses remembered at once, over all rooms: some 30 MB. Beyond it the least recently seen are forgotten, which
/// gives them a fresh allowance: a crowd that large is held back by the rate of the line, not by this.
const ADDRESSES_MAX: u64 = 200_000;
/// An address unseen for so long has its full allowance back anyway.
const FORGET_AFTER: Duration = Duration::from_secs(60);

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Whether addresses are evidence: it would be wrong to count a whole crowd as the one proxy it comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Callers are told apart: they connect directly, or through proxies whose word counts.
    Addresses,
    /// All come through a proxy that nobody vouched for.
    None,
}

/// The limiter of one instance.
pub struct JoinLimit<C: Clock = MonotonicClock> {
    evidence: Evidence,
    clock: C,
    // The limit is part of the key: a changed one starts afresh.
    limiters: Cache<(RoomId, ClientAddress, NonZeroU32), Arc<Limiter<C>>>,
}

impl JoinLimit {
    /// A limiter that remembers nobody yet.
    pub fn new(evidence: Evidence) -> Self {
        Self::with_clock(evidence, MonotonicClock)
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> JoinLimit<C>
where
    Limiter<C>: Send + Sync,
{
    /// As [`JoinLimit::new`], on a clock of the caller's.
    pub fn with_clock(evidence: Evidence, clock: C) -> Self {
        let limiters = Cache::builder().max_capacity(ADDRESSES_MAX).time_to_idle(FORGET_AFTER).build();
        Self { evidence, clock, limiters }
    }

    /// Counts a join of `caller`; `per_minute` is the room's setting, 0 for none.
    ///
    /// # Errors
    /// 429 saying when the next join is due.
    pub fn admit(&self, room: &RoomId, caller: ClientAddress, per_minute: u64) -> Result<(), Problem> {
        let per_minute = u32::try_from(per_minute).unwrap_or(u32::MAX);
        let (Evidence::Addresses, Some(limit)) = (self.evidence, NonZeroU32::new(per_minute)) else {
            return Ok(());
        };
        let limiter = self.limiters.get_with((room.clone(), caller, limit), || {
            Arc::new(RateLimiter::direct_with_clock(Quota::per_minute(limit), self.clock.clone()))
        });
        limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = format!("one address may take {limit} places a minute in this room");
            Problem::new(Code::RateLimited, detail).retry_after(seconds.max(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(evidence: Evidence) -> (JoinLimit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (JoinLimit::with_clock(evidence, clock.clone()), clock)
    }

    fn room(id: &str) -> RoomId {
        RoomId::parse(id).unwrap()
    }

    fn caller(address: &str) -> ClientAddress {
        ClientAddress::of(address.parse().unwrap())
    }

    #[test]
    fn an_address_takes_its_share_and_then_waits() {
        let (limit, clock) = limit(Evidence::Addresses);
        for _ in 0..3 {
            limit.admit(&room("a"), caller("192.0.2.1"), 3).unwrap();
        }
        let problem = limit.admit(&room("a"), caller("192.0.2.1"), 3).unwrap_err();
        assert_eq!((problem.code, problem.retry_after_seconds), (Code::RateLimited, Some(20)));
        limit.admit(&room("a"), caller("192.0.2.2"), 3).expect("another address");
        limit.admit(&room("b"), caller("192.0.2.1"), 3).expect("another room");
        clock.advance(Duration::from_secs(20));
        limit.admit(&room("a"), caller("192.0.2.1"), 3).expect("one place is due again");
        assert!(limit.admit(&room("a"), caller("192.0.2.1"), 3).is_err());
    }

    #[test]
    fn a_household_shares_its_64() {
        let (limit, _) = limit(Evidence::Addresses);
        limit.admit(&room("a"), caller("2001:db8::1"), 1).unwrap();
        assert!(limit.admit(&room("a"), caller("2001:db8::ffff:2"), 1).is_err());
    }

    #[test]
    fn nobody_is_counted_where_the_limit_is_off_or_addresses_prove_nothing() {
        let (counting, _) = limit(Evidence::Addresses);
        let (blind, _) = limit(Evidence::None);
        for _ in 0..100 {
            counting.admit(&room("a"), caller("192.0.2.1"), 0).unwrap();
            blind.admit(&room("a"), caller("192.0.2.1"), 1).unwrap();
        }
    }
}
