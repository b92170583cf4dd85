//! A whole sale behind a line that holds: visitors come as they are called, reserve, give back, buy or only look, and
//! are never more than there are units for them.

use std::collections::{BTreeMap, BTreeSet};

use dropgate::room::{Outcome, Rules, StockGate, Tag};
use proptest::prelude::*;

use crate::line_world::{SessionAct, World, ordinary_rules};

/// One visitor's next step in the shop.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass { ms: u64 },
    Reserve,
    GiveBack,
    Buy,
    Go,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..900u64).prop_map(|ms| Step::Pass { ms }),
        3 => Just(Step::Reserve),
        1 => Just(Step::GiveBack),
        2 => Just(Step::Buy),
        1 => Just(Step::Go),
    ]
}

/// A sale of single units, and who inside has reserved.
struct Shop {
    world: World,
    available: u64,
    held: BTreeSet<u64>,
    looking: BTreeMap<u64, u64>,
    decided: u64,
}

impl Shop {
    fn new(units: u64, crowd: u32) -> Self {
        let rules = Rules { stock_gate: StockGate::Hold, rate_per_minute: 60_000, burst: 1000, ..ordinary_rules() };
        let mut world = World::new(rules);
        world.join(crowd);
        let mut shop = Self { world, available: units, held: BTreeSet::new(), looking: BTreeMap::new(), decided: 0 };
        shop.tell(1, None);
        shop
    }

    /// The line hears of it, and whoever is called comes at once and finds a unit that nobody else is led to.
    fn tell(&mut self, newer: u64, reserved: Option<u64>) {
        let grants = reserved.map(Some).into_iter().collect();
        self.world.tell_stock(newer, self.available, self.held.len() as u64, grants);
        for position in self.decided + 1..=self.world.view().head {
            assert!(matches!(self.world.claim(position, Tag(position)), Outcome::Live(_)));
            self.looking.insert(position, self.world.now);
            self.decided = position;
        }
        assert!(self.looking.len() as u64 <= self.available, "{:?} for {}", self.looking, self.available);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass { ms } => {
                self.world.now += ms;
                let now = self.world.now;
                // A unit is kept for the length of a session and no longer.
                self.looking.retain(|_, since| now < *since + ordinary_rules().session_ms);
                self.tell(0, None);
            }
            Step::Reserve => {
                let Some((position, _)) = self.looking.pop_first() else { return };
                self.available -= 1;
                self.held.insert(position);
                self.tell(1, Some(position));
            }
            Step::GiveBack => {
                if self.held.pop_first().is_none() {
                    return;
                }
                self.available += 1;
                let before = self.world.view();
                self.tell(1, None);
                let called = self.world.view().head - before.head;
                assert_eq!(called, before.waiting().min(1), "one returned unit calls one");
            }
            Step::Buy => {
                if self.held.pop_first().is_some() {
                    self.tell(1, None);
                }
            }
            Step::Go => {
                let Some((position, _)) = self.looking.pop_first() else { return };
                self.world.with_session(position, SessionAct::Finish);
                self.tell(0, None);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_led_into_an_empty_shop(
        units in 0..20u64,
        crowd in 1..60u32,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut shop = Shop::new(units, crowd);
        for step in steps {
            shop.step(step);
        }
    }
}
