//! Tests of the line, by what a visitor or an operator sees.

use super::*;
use crate::room::{
    command::{Place, Session, Standing, Tag},
    settings::Rules,
};

const START: u64 = 1_700_000_000_000;

/// A room under a virtual clock.
struct Bench {
    room: Option<Room>,
    now: u64,
}

fn rules(rate_per_minute: u64, burst: u64) -> Rules {
    Rules {
        mode: Mode::Queue,
        rate_per_minute,
        burst,
        max_active: None,
        claim_window_ms: 10_000,
        overcall: 1,
        session_ms: 600_000,
        session_renewal: true,
        session_max_ms: None,
        opens_at: None,
        closes_at: None,
    }
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let mut bench = Self { room: None, now: START };
        bench.send(Command::Configure { version: 1, first_epoch: 1, rules });
        bench
    }

    fn send(&mut self, command: Command) -> Outcome {
        Room::apply(&mut self.room, UnixMs(self.now), &command).outcome
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now += ms;
        self
    }

    fn view(&self) -> View {
        self.room.as_ref().expect("the room exists").view(UnixMs(self.now))
    }

    fn claim(&mut self, position: Position) -> Outcome {
        self.send(Command::Claim { place: Place { epoch: 1, position }, tag: Tag(position + 1000) })
    }

    fn enter(&mut self, position: Position) -> Session {
        match self.claim(position) {
            Outcome::Live(session) => session,
            other => panic!("position {position} did not enter: {other:?}"),
        }
    }

    fn look(&mut self, position: Position) -> Outcome {
        self.send(Command::Look { place: Place { epoch: 1, position } })
    }

    fn tick_for(&mut self, ms: u64, every: u64) {
        for _ in 0..ms / every {
            self.after(every).send(Command::Tick);
        }
    }
}

#[test]
fn a_join_into_an_empty_line_is_called_in_the_same_step() {
    let mut bench = Bench::new(rules(60, 1));
    assert_eq!(bench.send(Command::Join { count: 2 }), Outcome::Joined { epoch: 1, first: 1, count: 2 });
    assert_eq!(bench.look(1), Outcome::Standing(Standing::Called { deadline: UnixMs(bench.now + 10_000).slot() }));
    assert_eq!(bench.look(2), Outcome::Standing(Standing::Waiting { ahead: 0 }));
    let session = bench.enter(1);
    assert_eq!(session.deadline, UnixMs(START + 600_000));
    assert_eq!(bench.after(5).enter(1), session, "a second claim gives the same session");
}

trait Slot {
    fn slot(self) -> Self;
}

impl Slot for UnixMs {
    /// A deadline as a room with a window of ten seconds rounds it.
    fn slot(self) -> Self {
        UnixMs(self.0.div_ceil(41) * 41)
    }
}

#[test]
fn a_room_of_one_a_minute_admits_one_a_minute() {
    let mut bench = Bench::new(Rules { overcall: 10, ..rules(1, 1) });
    bench.send(Command::Join { count: 100 });
    for minute in 1..=60 {
        assert_eq!(bench.view().head, minute);
        bench.enter(minute);
        // Ticks that never fall on the minute: what they come late must not add up.
        bench.tick_for(60_000, 250);
    }
}
