//! What is wrong with how a gateway asks, told to the operator: nginx passes on no body that would say so.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpRequest;

use super::Door;
use crate::{
    http::{extract::parameter, problem::Problem},
    time::UnixMs,
};

/// Between two complaints: such a mistake concerns every request, and one line a minute is found as well.
const PAUSE_MS: u64 = 60_000;

/// When the last complaint was logged; 0 before the first.
#[derive(Default)]
pub(crate) struct Complaints(AtomicU64);

impl Complaints {
    /// Logs why a gateway was turned away, unless that was done within the last minute.
    pub(super) fn tell(&self, now: UnixMs, door: Door, request: &HttpRequest, problem: &Problem) {
        if self.is_due(now) {
            let (peer, reason) = (request.peer_addr().map(|peer| peer.ip()), problem.detail.as_ref());
            tracing::warn!(room = parameter(request, "room"), ?door, ?peer, reason, "a gateway was turned away");
        }
    }

    /// Whether it is time, for one of those who ask at once.
    fn is_due(&self, now: UnixMs) -> bool {
        let told = self.0.load(Ordering::Relaxed);
        let is_time = told == 0 || now.since(UnixMs(told)) >= PAUSE_MS;
        is_time && self.0.compare_exchange(told, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_complaint_a_minute() {
        let complaints = Complaints::default();
        let due: Vec<bool> =
            [1_000, 1_000, 60_999, 61_000, 61_001].map(|ms| complaints.is_due(UnixMs(ms))).into_iter().collect();
        assert_eq!(due, [true, false, false, true, false]);
    }
}
