//! A room in its script against the room itself: the same commands at the same times, the same outcomes, the same view,
//! the same state.

mod events;
mod keys;

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};

use super::bare::{Bare, Server};
use crate::{
    room::{Command, Mode, Outcome, Place, Room, Rules, SessionRef, Tag, bounds},
    time::UnixMs,
};
use events::{Batch, START, World};

const ID: &str = "main";

/// How many sequences are tried: some seconds' worth, unless more are asked for.
fn cases() -> u32 {
    std::env::var("DROPGATE_DIFFERENTIAL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// One room on a server, and the same in memory.
struct Pair {
    script: Bare<Room>,
    world: World,
}

impl Pair {
    fn new(server: &Server) -> Self {
        Self { script: Bare::new(server, "one"), world: World::new() }
    }

    fn begin(&mut self) {
        self.script.flush();
        (self.script.term, self.script.made) = (0, None);
        self.world = World::new();
    }

    /// Applies a batch to both, and compares all there is to compare.
    fn apply(&mut self, batch: &Batch) -> TestCaseResult {
        let (now, commands, outcomes) = self.world.apply(batch);
        self.compare(now, &commands, &outcomes)
    }

    /// The same for commands that are given.
    fn send(&mut self, commands: &[Command]) -> Vec<Outcome> {
        let now = self.world.time();
        let outcomes: Vec<Outcome> = commands.iter().map(|command| self.world.send(now, command)).collect();
        self.compare(now, commands, &outcomes).unwrap();
        outcomes
    }

    /// The same without a look at the state: for many batches that lead somewhere.
    fn send_only(&mut self, commands: &[Command]) {
        let now = self.world.time();
        let outcomes: Vec<Outcome> = commands.iter().map(|command| self.world.send(now, command)).collect();
        assert_eq!(self.script.batch(ID, now, commands).outcomes, outcomes);
    }

    fn compare(&mut self, now: UnixMs, commands: &[Command], outcomes: &[Outcome]) -> TestCaseResult {
        let said = |what: &str| format!("{what} after {commands:?} at {now:?}");
        let before = keys::traces(self.script.connection(), ID);
        let reply = self.script.batch(ID, UnixMs(self.world.now), commands);
        prop_assert_eq!(&reply.outcomes, outcomes, "{}", said("outcomes"));
        let term = reply.view.as_ref().map_or(0, |view| view.term);
        let view = self.world.room.as_ref().map(|room| crate::room::View { term, ..room.view(now) });
        prop_assert_eq!(reply.view.as_deref(), view.as_ref(), "{}", said("view"));
        let stored = keys::read(self.script.connection(), ID).map_err(|why| TestCaseError::fail(said(&why)))?;
        let held = self.world.room.as_ref().map(|room| serde_json::to_value(room).unwrap());
        prop_assert_eq!(stored, held, "{}", said("state"));
        if !self.world.changed {
            prop_assert!(keys::traces(self.script.connection(), ID) == before, "{}", said("a write"));
        }
        Ok(())
    }
}

#[test]
fn the_script_does_what_the_room_does() {
    let server = Server::start();
    let pair = RefCell::new(Pair::new(&server));
    let config = Config { cases: cases(), max_shrink_iters: 3000, failure_persistence: None, ..Config::default() };
    let sequence = prop::collection::vec(events::batch(), 1..90);
    TestRunner::new(config)
        .run(&sequence, |batches| {
            let mut pair = pair.borrow_mut();
            pair.begin();
            batches.iter().try_for_each(|batch| pair.apply(batch))
        })
        .unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn checkpoints_merge_where_there_are_too_many() {
    let server = Server::start();
    let mut pair = Pair::new(&server);
    let configure = |version: u64, mode: Mode| {
        let rules = Rules { mode, claim_window_ms: 80_000_000 - 1000 * version, ..events::ordinary_rules() };
        Command::Configure { version, first_epoch: 1, rules }
    };
    let join = Command::Join { count: 3 };
    pair.send(&[configure(1, Mode::Open), join.clone()]);
    for version in 2..bounds::CALLS_MAX as u64 + 40 {
        pair.send_only(&[configure(version, Mode::Open), join.clone()]);
    }
    pair.send(&[configure(bounds::CALLS_MAX as u64 + 40, Mode::Queue), join.clone()]);
    let tail = pair.world.room.as_ref().unwrap().view(UnixMs(START)).tail;
    for position in [1, tail - 100, tail - 5] {
        let claim = Command::Claim { place: Place { epoch: 1, position }, tag: Tag(position) };
        assert!(matches!(pair.send(&[claim])[..], [Outcome::Live(_)]), "{position}");
    }
    for hours in 0..24 {
        pair.world.now = START + hours * 3_600_000;
        pair.send(&[Command::Tick, join.clone()]);
    }
}

/// A crowd costs what one visitor costs, and those given back are passed however many they are.
#[test]
fn a_line_of_millions() {
    let server = Server::start();
    let mut pair = Pair::new(&server);
    let rules = Rules { rate_per_minute: 600_000, burst: 5000, ..events::ordinary_rules() };
    pair.send(&[Command::Configure { version: 1, first_epoch: 1, rules: rules.clone() }]);
    pair.send(&[Command::Join { count: 3_000_000_000 }]);
    let leave = |position| Command::Leave { place: Place { epoch: 1, position } };
    let block: Vec<Command> = (5002..5500).map(leave).collect();
    pair.send(&block);
    for _ in 0..5 {
        pair.world.now += 400;
        pair.send(&[Command::Tick]);
    }
    pair.send(&(1..100).map(|n| leave(3_000_000_000 - n * n)).collect::<Vec<_>>());
    let open = Rules { mode: Mode::Open, ..rules };
    pair.send(&[Command::Configure { version: 2, first_epoch: 1, rules: open }]);
    let position = 2_000_000_000;
    let claim = Command::Claim { place: Place { epoch: 1, position }, tag: Tag(9) };
    pair.send(&[claim, leave(2_000_000_001)]);
    let session = SessionRef { epoch: 1, position, tag: Tag(9) };
    pair.world.now += 40_000;
    pair.send(&[Command::Finish { session }, Command::Tick]);
}
