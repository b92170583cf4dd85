//! Who comes when, and what they are like: drawn once, from a seed, before anyone arrives.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// From the start of the demo to the opening of the line: time for a crowd to gather, as before any drop.
pub const UNTIL_OPENING: Duration = Duration::from_secs(5);

/// Shares of a hundred visitors; the rest waits patiently in one tab.
const IMPATIENT: u32 = 12;
const GHOSTS: u32 = 10;
const TWO_TABS: u32 = 8;

/// Of a hundred who come before or with the opening; the rest drops in afterwards.
const EARLY: u32 = 70;

/// The mean of the latecomers' delay; with an end, so that a short run sees them all.
const LATE_MEAN_SECONDS: f64 = 8.0;
const LATE_MAX_SECONDS: f64 = 25.0;

/// What one visitor is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// After the start of the demo.
    pub arrival: Duration,
    pub temper: Temper,
    /// How long they look around in the shop.
    pub browsing: Duration,
    pub errand: Errand,
}

/// How one visitor waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// In one tab, until it is their turn.
    Patient,
    /// In two tabs on one ticket, both of which claim.
    TwoTabs,
    /// No longer than this.
    Impatient { patience: Duration, farewell: Farewell },
    /// Joins and is never heard of again.
    Ghost,
}

/// How one goes who has had enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Gives the place back.
    Leaves,
    /// Closes the tab: nobody learns of it until the place lapses.
    ClosesTab,
}

/// What one does inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    Buys,
    /// Leaves by the browser's cross; the session runs out by itself.
    WandersOff,
}

/// Draws visitors without end.
pub struct Planner(StdRng);

impl Planner {
    /// The same seed draws the same visitors.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A crowd of so many, in the order they arrive: a rush up to the opening, then latecomers.
    pub fn crowd(&mut self, size: usize) -> Vec<Plan> {
        let mut plans: Vec<Plan> = (0..size)
            .map(|_| {
                let arrival = self.rush();
                self.visitor(arrival)
            })
            .collect();
        plans.sort_by_key(|plan| plan.arrival);
        plans
    }

    /// One visitor who arrives then.
    pub fn visitor(&mut self, arrival: Duration) -> Plan {
        let errand = if self.0.random_ratio(85, 100) { Errand::Buys } else { Errand::WandersOff };
        Plan { arrival, temper: self.temper(), browsing: self.between(1_000, 6_000), errand }
    }

    fn rush(&mut self) -> Duration {
        let opening = UNTIL_OPENING.as_secs_f64();
        let seconds = if self.0.random_ratio(EARLY, 100) {
            // The root of an even draw: more and more towards the opening.
            (opening + 1.0) * self.0.random::<f64>().sqrt()
        } else {
            let late = -LATE_MEAN_SECONDS * (1.0 - self.0.random::<f64>()).ln();
            opening + late.min(LATE_MAX_SECONDS)
        };
        Duration::from_secs_f64(seconds)
    }

    fn temper(&mut self) -> Temper {
        let drawn = self.0.random_range(0..100);
        if drawn < IMPATIENT {
            let farewell = if self.0.random_ratio(1, 2) { Farewell::Leaves } else { Farewell::ClosesTab };
            Temper::Impatient { patience: self.between(5_000, 40_000), farewell }
        } else if drawn < IMPATIENT + GHOSTS {
            Temper::Ghost
        } else if drawn < IMPATIENT + GHOSTS + TWO_TABS {
            Temper::TwoTabs
        } else {
            Temper::Patient
        }
    }

    fn between(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(self.0.random_range(low_ms..high_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_has_all_sorts_and_comes_in_order() {
        let crowd = Planner::new(1).crowd(2_000);
        assert!(crowd.is_sorted_by_key(|plan| plan.arrival));
        let share = |is: fn(&Temper) -> bool| crowd.iter().filter(|plan| is(&plan.temper)).count() / 20;
        assert!((8..=16).contains(&share(|t| matches!(t, Temper::Impatient { .. }))));
        assert!((7..=13).contains(&share(|t| *t == Temper::Ghost)));
        assert!((5..=11).contains(&share(|t| *t == Temper::TwoTabs)));
        let early = crowd.iter().filter(|plan| plan.arrival <= UNTIL_OPENING + Duration::from_secs(1)).count();
        assert!((1_300..=1_600).contains(&early), "{early} come in the rush");
    }

    #[test]
    fn the_same_seed_draws_the_same_crowd() {
        assert_eq!(Planner::new(7).crowd(50), Planner::new(7).crowd(50));
        assert_ne!(Planner::new(7).crowd(50), Planner::new(8).crowd(50));
    }
}
