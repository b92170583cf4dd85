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

/// Of a hundred inside who only look; the rest buys, or tries to.
const ONLY_LOOK: u32 = 15;

/// Of a hundred who buy, how many do so in which manner; the rest pays at once like most people.
const MANNERS: [(Manner, u32); 11] = [
    (Manner::PressesTwice, 6),
    (Manner::ChangesMind, 7),
    (Manner::PutsBack, 4),
    (Manner::WalksAway, 10),
    (Manner::Forgets, 4),
    (Manner::IsDeclined, 4),
    (Manner::PaysPart, 3),
    (Manner::PaysLate, 7),
    (Manner::PaysTooLate, 5),
    (Manner::WantsTooMuch, 5),
    (Manner::TypesNonsense, 2),
];

/// Of a hundred who buy, how many want two.
const WANT_TWO: u32 = 30;

/// Of a hundred who buy, how many want which size: the middle one runs out first.
const SIZES_WANTED: [u32; 3] = [25, 52, 23];

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
    Buys(Purchase),
    /// Leaves by the browser's cross; the session runs out by itself.
    WandersOff,
}

/// What one buys, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Which of the sizes.
    pub size: usize,
    pub quantity: u64,
    pub manner: Manner,
    /// How long they think before each press.
    pub thinking: Duration,
}

/// How one buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Pays,
    /// Fills the basket by two presses of the button, at once.
    PressesTwice,
    /// Takes another size instead, and pays.
    ChangesMind,
    /// Fills the basket, and puts it all back.
    PutsBack,
    /// Fills the basket and is never heard of again.
    WalksAway,
    /// Fills the basket, comes back to it when its time is over, and tries again.
    Forgets,
    /// The card is declined the first time.
    IsDeclined,
    /// The card covers all but one.
    PaysPart,
    /// After the basket's time, before the grace is over.
    PaysLate,
    /// After both.
    PaysTooLate,
    /// More than one person gets: in one go, and then by a second basket.
    WantsTooMuch,
    /// Things that are no number of kites.
    TypesNonsense,
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
        let looks = self.0.random_ratio(ONLY_LOOK, 100);
        let errand = if looks { Errand::WandersOff } else { Errand::Buys(self.purchase()) };
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

    fn purchase(&mut self) -> Purchase {
        let drawn = self.0.random_range(0..100);
        let manner = pick(drawn, MANNERS).unwrap_or(Manner::Pays);
        let drawn = self.0.random_range(0..100);
        let size = pick(drawn, [0, 1, 2].into_iter().zip(SIZES_WANTED)).unwrap_or_default();
        // A part of one is nothing.
        let wants_two = self.0.random_ratio(WANT_TWO, 100) || manner == Manner::PaysPart;
        Purchase { size, quantity: if wants_two { 2 } else { 1 }, manner, thinking: self.between(300, 1_500) }
    }

    fn between(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(self.0.random_range(low_ms..high_ms))
    }
}

/// Which of the shares of a hundred a number below a hundred falls into; none beyond their end.
fn pick<T>(drawn: u32, shares: impl IntoIterator<Item = (T, u32)>) -> Option<T> {
    let mut below = 0;
    shares.into_iter().find_map(|(what, share)| {
        below += share;
        (drawn < below).then_some(what)
    })
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
    fn a_crowd_buys_in_every_manner_and_mostly_pays() {
        let mut buyers: Vec<Purchase> = Vec::new();
        for plan in Planner::new(1).crowd(3_000) {
            if let Errand::Buys(purchase) = plan.errand {
                buyers.push(purchase);
            }
        }
        let all = u32::try_from(buyers.len()).unwrap();
        let share = |is: &dyn Fn(&Purchase) -> bool| {
            u32::try_from(buyers.iter().filter(|purchase| is(purchase)).count()).unwrap() * 100 / all
        };
        for (manner, wanted) in MANNERS {
            let drawn = share(&|purchase| purchase.manner == manner);
            assert!(drawn.abs_diff(wanted) <= 2, "{manner:?}: {drawn} of 100, {wanted} wanted");
        }
        let paying = 100 - MANNERS.iter().map(|(_, share)| share).sum::<u32>();
        assert!(share(&|purchase| purchase.manner == Manner::Pays).abs_diff(paying) <= 3);
        for (size, wanted) in SIZES_WANTED.into_iter().enumerate() {
            assert!(share(&|purchase| purchase.size == size).abs_diff(wanted) <= 3);
        }
        assert!(buyers.iter().all(|purchase| purchase.manner != Manner::PaysPart || purchase.quantity == 2));
    }

    #[test]
    fn shares_of_a_hundred_are_picked_to_their_end() {
        let shares = || [('a', 10), ('b', 20)];
        let picked = [0, 9, 10, 29, 30].map(|drawn| pick(drawn, shares()));
        assert_eq!(picked, [Some('a'), Some('a'), Some('b'), Some('b'), None]);
    }

    #[test]
    fn the_same_seed_draws_the_same_crowd() {
        assert_eq!(Planner::new(7).crowd(50), Planner::new(7).crowd(50));
        assert_ne!(Planner::new(7).crowd(50), Planner::new(8).crowd(50));
    }
}
