//! The rate of the line over time: nothing is lost between ticks, nothing is poured out after a gap, no-shows'
//! permits pass on, and the estimate of the wait keeps its word.

use dropgate::room::{
    Outcome, Rules, Tag,
    bounds::PERMIT,
    estimate::{self, Wait},
};
use proptest::prelude::*;

use crate::line_world::{Witness, World, ordinary_rules};

/// A standing line whose visitors come (or not) as they are called.
struct Crowd {
    world: World,
    /// The highest position that has been called and has made up its mind.
    decided: u64,
    /// Of a thousand called, so many come.
    show_up: u64,
}

impl Crowd {
    fn new(rules: Rules, size: u32, show_up: u64) -> Self {
        let mut world = World::new(rules);
        world.witness = Witness::Quick;
        world.join(size);
        Self { world, decided: 0, show_up }
    }

    /// Time passes, the room is ticked, and those called since come if they are of those who come.
    fn step(&mut self, ms: u64) {
        self.world.now += ms;
        self.world.tick();
        for position in self.decided + 1..=self.world.view().head {
            // A spread that is even over any stretch of the line.
            if position * 617 % 1000 < self.show_up {
                assert!(matches!(self.world.claim(position, Tag(position)), Outcome::Live(_)));
            }
            self.decided = position;
        }
    }

    fn run(&mut self, ms: u64, step_ms: u64) {
        for _ in 0..ms / step_ms {
            self.step(step_ms);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// However time is cut into ticks, none longer than a second: exactly the permits of the time are called.
    #[test]
    fn no_permit_is_lost_between_ticks(
        rate in prop_oneof![1..120u64, 120..3000u64],
        burst in 1..5u64,
        gaps in prop::collection::vec(1..1000u64, 50..400),
    ) {
        let mut world = World::new(Rules { overcall: 100, claim_window_ms: 86_400_000, ..rules(rate, burst) });
        world.join(100_000);
        for gap in &gaps {
            world.now += gap;
            world.tick();
        }
        let elapsed: u64 = gaps.iter().sum();
        prop_assert_eq!(world.view().head, (burst * PERMIT + rate * elapsed) / PERMIT);
    }

    /// As long as at least one in (1 + overcall) of the called come, the room's rate enters.
    #[test]
    fn the_rate_is_kept_among_no_shows(
        rate in 30..600u64,
        overcall in 1..4u64,
        more in 0..500u64,
        window_s in 2..20u64,
        step_ms in 100..400u64,
    ) {
        let show_up = (1000_u64.div_ceil(overcall + 1) + more).min(1000);
        let window_ms = window_s * 1000;
        // What stands ready gives the ceiling its slack: visitors take up to a tick to come, deadlines are rounded
        // up, and places are whole while the share of those who come is not.
        let rules = Rules { overcall, claim_window_ms: window_ms, ..rules(rate, rate / 30 + 4) };
        let mut crowd = Crowd::new(rules, 1_000_000, show_up);
        // Each claim window hands on the last one's no-shows: with three in four of them it takes sixteen to settle.
        crowd.run(16 * window_ms, step_ms);
        let before = crowd.world.bound.entries;
        crowd.run(300_000, step_ms);
        let entered = crowd.world.bound.entries - before;
        // Those called just then are off by what an evenly spread thousand may be.
        let expected = rate * 5;
        prop_assert!(entered * 100 >= expected * 97 - 300, "{} of {} entered", entered, expected);
        prop_assert!(entered * 100 <= expected * 103 + 300, "{} of {} entered", entered, expected);
    }

    /// After any gap one tick calls at most what stood ready and a second's growth; the line then goes on at its rate.
    #[test]
    fn nothing_is_poured_out_after_a_gap(rate in 1..6000u64, gap in 1000..100_000_000u64) {
        let mut world = World::new(Rules { overcall: 10, ..rules(rate, 1) });
        world.join(1_000_000);
        world.now += gap;
        world.tick();
        let most = 1 + (PERMIT + PERMIT.max(rate * 1000)) / PERMIT;
        prop_assert!(world.view().head <= most, "{} called, at most {}", world.view().head, most);
        let head = world.view().head;
        world.now += 1000;
        world.tick();
        prop_assert!(world.view().head - head <= rate / 60 + 1);
    }

    /// The estimate holds: who joins the line now enters within the interval, and its likely value never moves
    /// away by more than the interval's own width while nothing changes.
    #[test]
    fn the_estimate_keeps_its_word(rate in 20..1200u64, show_up in 700..=1000u64, place in 300..900u64) {
        let mut crowd = Crowd::new(Rules { overcall: 2, claim_window_ms: 5000, ..rules(rate, (rate / 60).max(1)) }, 1000, show_up);
        // Long enough for the first no-shows to have lapsed: then their share shows in the pace.
        crowd.run(90_000.min(150 * 60_000 / rate), 250);
        let view = crowd.world.view();
        prop_assume!(view.head < place - 50);
        let said = estimate::wait(&view, place - view.head - 1).unwrap();
        let asked = crowd.world.now;
        let mut last = said;
        while crowd.world.view().head < place {
            crowd.step(250);
            last = glide(&crowd.world, place, last)?;
        }
        let waited = (crowd.world.now - asked) / 1000;
        prop_assert!(said.low <= waited + 1 && waited <= said.high + 2, "{:?} said, {} waited", said, waited);
    }
}

/// The next estimate of a place: it may not rise by more than a few hundredths in a quarter of a second.
fn glide(world: &World, place: u64, last: Wait) -> Result<Wait, TestCaseError> {
    let view = world.view();
    if view.head >= place {
        return Ok(last);
    }
    let next = estimate::wait(&view, place - view.head - 1).unwrap();
    let allowed = last.likely + last.likely / 20 + 3;
    prop_assert!(next.likely <= allowed, "{:?} after {:?}, held back by {:?}", next, last, view.held_back);
    prop_assert!(next.low <= next.likely && next.likely <= next.high);
    Ok(next)
}

fn rules(rate_per_minute: u64, burst: u64) -> Rules {
    Rules { rate_per_minute, burst, session_ms: 1000, ..ordinary_rules() }
}
