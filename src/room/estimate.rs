//! How long a visitor will wait: an interval from the observed speed of the head.

use serde::{Deserialize, Serialize};

use super::view::View;

/// A wait in whole seconds, as an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    pub low: u64,
    pub likely: u64,
    pub high: u64,
}

/// The wait of a visitor with `ahead` others before it; none while nothing can be said (paused, closed).
pub fn wait(_view: &View, _rate_per_minute: u64, _ahead: u64) -> Option<Wait> {
    todo!()
}
