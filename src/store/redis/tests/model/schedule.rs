//! Random schedules: drawn from a seed, run, and cut down to what is needed where they fail.

use std::fmt::Write;

use super::{
    Broken,
    books::Books,
    gate::{Aggregate, Ms},
    servers::Servers,
    world::{Passage, Step, World},
};

/// What may befall a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Servers fail one after the other and answers are lost; every instance lives.
    Calm,
    /// Instances die and join too.
    Deaths,
    /// Servers that were replaced go on answering.
    Split,
}

pub const WEATHERS: [Weather; 3] = [Weather::Calm, Weather::Deaths, Weather::Split];

/// Numbers from a seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap_or(0)
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }
}

/// A world to be, and what befalls it.
#[derive(Clone, Debug)]
pub struct Schedule {
    instances: usize,
    ahead: Vec<Ms>,
    lag: Ms,
    pub steps: Vec<Step>,
}

impl Schedule {
    pub fn draw(seed: u64, weather: Weather, any_lag: bool) -> Self {
        let dice = &mut Dice::new(seed);
        let servers = 2 + dice.below(2);
        let ahead = (0..servers).map(|_| dice.of(&[0, 0, 0, 3_000, 700_000])).collect();
        let lag = if any_lag && dice.below(4) == 0 { Ms::MAX } else { 30_000 };
        let length = 20 + dice.below(80);
        let instances = 2 + dice.below(2);
        let mut steps = Vec::with_capacity(length + 20);
        while steps.len() < length {
            draw_some(dice, weather, &mut steps);
        }
        Self { instances, ahead, lag, steps }
    }

    /// Runs it to its end; what went wrong, if anything did.
    pub fn run<A: Aggregate, B: Books<A>>(
        &self,
        counted: (fn(&A) -> u64, u64),
        broken: Option<Broken>,
    ) -> Result<World<A, B>, String> {
        let servers = Servers::new(&self.ahead, self.lag);
        let mut world = World::new(self.instances, servers, counted, broken);
        self.steps.iter().try_for_each(|step| world.step(*step))?;
        world.settle()?;
        Ok(world)
    }

    /// The same without any step that it fails without.
    pub fn shrink(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut size = self.steps.len();
        while size > 0 {
            let mut at = 0;
            while at < self.steps.len() {
                let mut less = self.clone();
                less.steps.drain(at..(at + size).min(self.steps.len()));
                if fails(&less) {
                    self = less;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        self
    }

    pub fn tell(&self) -> String {
        let mut text = format!("{} instances, clocks ahead {:?}, lag {}\n", self.instances, self.ahead, self.lag);
        self.steps.iter().for_each(|step| _ = writeln!(text, "  {step:?}"));
        text
    }
}

fn draw_some(dice: &mut Dice, weather: Weather, steps: &mut Vec<Step>) {
    let instance = dice.below(4);
    match dice.below(100) {
        0..=34 => {
            for _ in 0..=dice.below(3) {
                steps.push(want(dice, instance));
            }
            steps.push(Step::Calls { instance });
        }
        35..=54 => {
            steps.push(want(dice, instance));
            for _ in 0..=dice.below(4) {
                let passage = dice.of(&PASSAGES);
                steps.push(Step::Call { instance, passage });
            }
        }
        55..=59 => steps.push(Step::Calls { instance }),
        60..=62 => steps.push(Step::Arrive),
        63..=70 => {
            steps.push(Step::Pass { ms: dice.of(&[10, 100, 600, 1_100, 2_100, 2_600, 5_100, 5_100, 16_000, 61_000]) })
        }
        71 => steps.push(Step::Pass { ms: dice.of(&[100, 30_000, 91_000, 601_000]) }),
        72..=79 => steps.push(Step::Replicate { server: dice.below(3), share: 1 + dice.below(4) }),
        80..=84 => steps.push(Step::Look { instance }),
        85..=88 => fail(dice, weather, steps),
        89 => steps.push(Step::Restart { back: dice.below(6) }),
        90..=91 => steps.push(Step::Follow { server: dice.below(3) }),
        92 if dice.below(3) == 0 => steps.push(Step::Flush),
        _ => befall(dice, weather, steps),
    }
}

fn want(dice: &mut Dice, instance: usize) -> Step {
    Step::Want { instance, kind: u8::try_from(dice.below(40)).unwrap_or(0), pick: dice.below(64) }
}

const PASSAGES: [Passage; 8] = [
    Passage::Answered,
    Passage::Answered,
    Passage::Answered,
    Passage::Answered,
    Passage::Answered,
    Passage::Unanswered,
    Passage::Lost,
    Passage::Delayed,
];

/// A server fails; those who notice at once come in some order.
fn fail(dice: &mut Dice, weather: Weather, steps: &mut Vec<Step>) {
    let to = dice.below(3);
    let splits = weather == Weather::Split && dice.below(2) == 0;
    steps.push(if splits { Step::Split { to } } else { Step::Fail { to } });
    for _ in 0..dice.below(5) {
        let instance = dice.below(4);
        if dice.below(2) == 0 {
            steps.push(Step::Look { instance });
        }
        if dice.below(2) == 0 {
            steps.push(Step::Calls { instance });
        } else {
            (0..=dice.below(4)).for_each(|_| steps.push(Step::Call { instance, passage: dice.of(&PASSAGES) }));
        }
    }
}

fn befall(dice: &mut Dice, weather: Weather, steps: &mut Vec<Step>) {
    let instance = dice.below(4);
    match (weather, dice.below(6)) {
        (Weather::Deaths, 0) => steps.push(Step::Die { instance, in_order: dice.below(2) == 0 }),
        (Weather::Deaths, 1) => steps.push(Step::Join),
        (Weather::Deaths, 2) => {
            steps.extend([Step::Die { instance, in_order: false }, Step::Fail { to: dice.below(3) }])
        }
        (Weather::Split, 0..=1) => steps.push(Step::Cut { instance }),
        (Weather::Split, 2) => steps.push(Step::Heal),
        (_, 3) => steps.push(Step::Join),
        (_, 4) => steps.push(Step::List),
        _ => steps.push(Step::Calls { instance }),
    }
}
