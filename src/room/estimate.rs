//! How long a visitor will wait: an interval from the observed speed of the head. And whether anything will be left.
//!
//! The page computes the same from the status alone. With `ahead = number − head − 1`, less what of it lies in `voids`,
//! `places = ahead + 1` (the visitor's own place is called too) and `pace` in thousandths of a position a minute
//! (`pace_per_minute` × 1000):
//!
//! ```text
//! opens  = state is "scheduled" ? max(0, ceil((opens_at − now) / 1000)) : 0          seconds
//! low    = opens + floor(places × 60 000 / pace.high)
//! likely = opens + ceil (places × 60 000 / pace.likely)
//! high   = opens + ceil (places × 60 000 / pace.low)
//! ```
//!
//! In state `free` all three are 0; in `paused` and `closed`, and while `held_back` is `stock`, nothing can be said. [`super::pace`] says how the pace
//! is observed: it starts at the room's rate, glides to what is seen within a minute of a standing line, and looks
//! back five minutes. So the estimate rises only with a cause the status shows: another `rate_per_minute`, a pause,
//! a postponed opening, or `held_back`.
//!
//! The chance of a visitor to get a unit, where the stock is known: everyone before it (ahead in line, called, or inside
//! without a reservation) is thought to take one, and of the units held a quarter to come back. In a sale that has closed
//! it is unlikely whatever there is:
//!
//! ```text
//! likely = ahead + outstanding + undecided < available + floor(held / 4)
//! ```

use serde::{Deserialize, Serialize};

use super::{
    stock::SalePhase,
    view::{HeldBack, Phase, View},
};

/// A wait in whole seconds, as an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    pub low: u64,
    pub likely: u64,
    pub high: u64,
}

/// The longest wait ever said, a year: further than that nobody plans.
const WAIT_MAX_SECONDS: u64 = 365 * 86_400;

/// The wait of a visitor with `ahead` others before it; none while nothing can be said (paused, closed).
pub fn wait(view: &View, ahead: u64) -> Option<Wait> {
    let opens = match view.phase {
        Phase::Paused | Phase::Closed => return None,
        Phase::Running if view.held_back == Some(HeldBack::Stock) => return None,
        Phase::Free => return Some(Wait { low: 0, likely: 0, high: 0 }),
        Phase::Scheduled => view.opens_at.map_or(0, |at| at.since(view.now).div_ceil(1000)),
        Phase::Running => 0,
    };
    // Milliseconds a minute times thousandths, over milliseconds a second.
    let places = ahead.saturating_add(1).saturating_mul(60_000);
    let bounded = |seconds: u64| opens.saturating_add(seconds).min(WAIT_MAX_SECONDS);
    Some(Wait {
        low: bounded(places / view.pace.high_milli.max(1)),
        likely: bounded(places.div_ceil(view.pace.likely_milli.max(1))),
        high: bounded(places.div_ceil(view.pace.low_milli.max(1))),
    })
}

/// Whether a visitor will find something left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chance {
    Likely,
    Unlikely,
}

/// One in so many of the units held is thought to come back: baskets are given up more often than that, but some
/// take several units, and a hope that fails is worse than a caution that does not.
const HELD_PER_RETURN: u64 = 4;

/// The chance of a visitor with `ahead` others before it; none where nothing is known of the stock.
pub fn chance(view: &View, ahead: u64) -> Option<Chance> {
    let stock = view.stock?;
    let before = ahead.saturating_add(view.outstanding()).saturating_add(view.undecided);
    let units = match stock.phase {
        SalePhase::Scheduled | SalePhase::Open => stock.available.saturating_add(stock.held / HELD_PER_RETURN),
        SalePhase::Closed => 0,
    };
    Some(if before < units { Chance::Likely } else { Chance::Unlikely })
}
