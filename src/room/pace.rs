//! How fast the head moved of late, kept in the room so that every instance says the same.

use serde::{Deserialize, Serialize};

/// Observed speed of the head, in positions a minute: an interval, because a line is not a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// The slowest the head moved over any of the recent stretches.
    pub low: u64,
    /// Its speed over the whole recent past.
    pub likely: u64,
    /// The fastest.
    pub high: u64,
}
