//! Tests of the line, by what a visitor or an operator sees.

use super::*;
use crate::room::{
    HeldBack, Void, Voids,
    bounds::JUMP,
    command::{Holder, Place, Session, SessionRef, Standing, Tag},
    recovery::{Fact, Heard, Told},
    settings::{Rules, StockGate},
};

mod stock;

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
        sale: None,
        stock_gate: StockGate::Off,
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

#[test]
fn permits_of_no_shows_pass_to_the_next_in_line() {
    let mut bench = Bench::new(Rules { overcall: 0, ..rules(60, 5) });
    bench.send(Command::Join { count: 20 });
    assert_eq!((bench.view().head, bench.view().held_back), (5, Some(HeldBack::NoShows)));
    bench.enter(2);
    bench.send(Command::Leave { place: Place { epoch: 1, position: 4 } });
    assert_eq!(bench.view().head, 6, "what is given back calls the next at once");
    bench.after(1000).send(Command::Tick);
    assert_eq!(bench.view().head, 7, "the one who entered made room for the rate");
    bench.after(9100).send(Command::Tick);
    assert_eq!(bench.view().head, 11, "1, 3, 5 and 6 never came");
    assert_eq!(bench.claim(3), Outcome::Refused(Refusal::Lapsed));
    assert_eq!(bench.claim(4), Outcome::Refused(Refusal::SessionOver));
    assert_eq!(bench.look(4), Outcome::Standing(Standing::Over));
}

#[test]
fn a_place_given_back_in_line_takes_no_permit() {
    let mut bench = Bench::new(rules(60, 1));
    bench.send(Command::Join { count: 6 });
    for position in [3, 4, 6] {
        bench.send(Command::Leave { place: Place { epoch: 1, position } });
    }
    bench.after(1000).send(Command::Tick);
    assert_eq!(bench.view().head, 4, "3 and 4 are passed with the permit of 2");
    bench.after(1000).send(Command::Tick);
    let view = bench.view();
    assert_eq!((view.head, view.lapsed, view.outstanding(), view.waiting()), (6, 3, 3, 0));
}

#[test]
fn the_cap_counts_those_called_and_those_inside() {
    let mut bench = Bench::new(Rules { max_active: Some(3), session_ms: 60_000, ..rules(6000, 100) });
    bench.send(Command::Join { count: 10 });
    assert_eq!((bench.view().head, bench.view().held_back), (3, Some(HeldBack::ShopFull)));
    let session = bench.enter(1);
    bench.after(1000).send(Command::Tick);
    assert_eq!(bench.view().head, 3);
    bench.send(Command::Finish { session: session.name });
    assert_eq!(bench.view().head, 4, "a place freed is a place called, in the same step");
    bench.send(Command::Configure {
        version: 2,
        first_epoch: 1,
        rules: Rules { max_active: Some(1), ..rules(6000, 100) },
    });
    bench.after(20_000).send(Command::Tick);
    assert_eq!((bench.view().outstanding(), bench.view().head), (1, 5), "a lowered cap drains");
}

#[test]
fn nobody_is_called_before_the_opening_and_the_burst_at_it() {
    let opens_at = Some(UnixMs(START + 60_000));
    let mut bench = Bench::new(Rules { opens_at, ..rules(600, 10) });
    bench.send(Command::Join { count: 1000 });
    bench.tick_for(59_999, 7);
    assert_eq!((bench.view().head, bench.view().phase), (0, Phase::Scheduled));
    bench.now = START + 60_000;
    bench.send(Command::Tick);
    assert_eq!((bench.view().head, bench.view().phase), (10, Phase::Running));
    bench.after(1000).send(Command::Tick);
    assert_eq!(bench.view().head, 20);
}

#[test]
fn a_late_tick_at_the_opening_pours_out_no_more_than_the_time_since() {
    let mut bench = Bench::new(Rules { opens_at: Some(UnixMs(START + 60_000)), ..rules(600, 10) });
    bench.send(Command::Join { count: 1000 });
    bench.after(60_300).send(Command::Tick);
    assert_eq!(bench.view().head, 13);
    let called_at = bench.now;
    assert_eq!(bench.look(1), Outcome::Standing(Standing::Called { deadline: UnixMs(called_at + 10_000).slot() }));
}

#[test]
fn after_the_closing_nobody_joins_or_is_called_and_the_called_still_enter() {
    let mut bench = Bench::new(Rules { closes_at: Some(UnixMs(START + 5000)), ..rules(60, 1) });
    bench.send(Command::Join { count: 5 });
    bench.after(5000).send(Command::Tick);
    assert_eq!((bench.view().phase, bench.view().head), (Phase::Closed, 1));
    assert_eq!(bench.send(Command::Join { count: 1 }), Outcome::Refused(Refusal::Closed));
    assert_eq!(bench.send(Command::Admit { tag: Tag(1) }), Outcome::Refused(Refusal::Closed));
    let session = bench.enter(1);
    assert!(matches!(bench.send(Command::Renew { session: session.name }), Outcome::Live(_)));
}

#[test]
fn an_open_room_calls_everyone_and_owes_nobody_a_permit() {
    let mut bench = Bench::new(Rules { mode: Mode::Open, max_active: Some(1), ..rules(1, 1) });
    bench.send(Command::Join { count: 1000 });
    assert_eq!((bench.view().head, bench.view().phase), (1000, Phase::Free));
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: Rules { max_active: None, ..rules(60, 5) } });
    bench.send(Command::Join { count: 1000 });
    assert_eq!(bench.view().head, 1000, "nothing stands ready after an open door");
    bench.after(10_100).send(Command::Tick);
    assert_eq!(bench.view().lapsed, 1000);
    bench.after(1000).send(Command::Tick);
    assert!(bench.view().head <= 1000 + 11, "lapsed calls of the open door give no permits: {}", bench.view().head);
}

#[test]
fn permits_of_an_old_rate_do_not_go_round_among_no_shows() {
    let mut bench = Bench::new(rules(60_000, 1000));
    bench.send(Command::Join { count: 100_000 });
    bench.tick_for(1000, 250);
    assert_eq!(bench.view().head, 2000);
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: rules(60, 1) });
    let head = bench.view().head;
    bench.tick_for(60_000, 250);
    let called = bench.view().head - head;
    // Nobody is called while the old calls are outstanding, above the new ceiling of eleven; then at most those
    // eleven go round in each of the five windows left.
    assert!((40..=5 * 11).contains(&called), "{called} called in a minute of one a second");
}

#[test]
fn a_shorter_claim_window_keeps_older_promises() {
    let mut bench = Bench::new(rules(600, 10));
    bench.send(Command::Join { count: 30 });
    bench.send(Command::Configure {
        version: 2,
        first_epoch: 1,
        rules: Rules { claim_window_ms: 1000, ..rules(600, 10) },
    });
    bench.after(1000).send(Command::Tick);
    bench.after(1100).send(Command::Tick);
    assert_eq!(bench.claim(20), Outcome::Refused(Refusal::Lapsed));
    bench.enter(10);
    bench.after(7899);
    bench.enter(9);
    bench.after(200);
    assert_eq!(bench.claim(8), Outcome::Refused(Refusal::Lapsed));
}

#[test]
fn what_has_lapsed_is_not_called_again_with_its_neighbours() {
    let mut bench = Bench::new(Rules { claim_window_ms: 9600, ..rules(600, 5) });
    bench.send(Command::Join { count: 5 });
    let short = Rules { claim_window_ms: 1000, ..rules(600, 5) };
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: short });
    bench.after(1000).send(Command::Join { count: 5 });
    assert_eq!(bench.view().head, 10);
    // The next call's deadline is that of the first, to the millisecond, and those between have lapsed.
    let first = (START + 9600).div_ceil(40) * 40;
    bench.now = first - 1000;
    bench.send(Command::Join { count: 1 });
    assert_eq!(bench.look(11), Outcome::Standing(Standing::Called { deadline: UnixMs(first) }));
    assert_eq!(bench.look(1), Outcome::Standing(Standing::Called { deadline: UnixMs(first) }));
    assert_eq!(bench.look(6), Outcome::Standing(Standing::Lapsed));
    bench.after(1000).send(Command::Tick);
    assert_eq!((bench.view().lapsed, bench.view().outstanding()), (11, 0));
}

#[test]
fn only_a_newer_version_configures_and_a_newer_epoch_starts_afresh() {
    let mut bench = Bench::new(rules(60, 1));
    bench.send(Command::Join { count: 5 });
    let again = Command::Configure { version: 1, first_epoch: 9, rules: rules(6000, 100) };
    let before = bench.room.clone();
    let applied = Room::apply(&mut bench.room, UnixMs(bench.now + 60_000), &again);
    assert_eq!((applied.changed, &bench.room), (false, &before));
    bench.send(Command::Configure { version: 2, first_epoch: 9, rules: rules(60, 1) });
    assert_eq!((bench.view().epoch, bench.view().tail), (9, 0));
    assert_eq!(bench.claim(1), Outcome::Refused(Refusal::Reset));
    bench.send(Command::Delete { last_epoch: u64::MAX });
    assert_eq!(bench.room, None);
    assert_eq!(bench.claim(1), Outcome::Refused(Refusal::UnknownRoom));
}

#[test]
fn an_entry_pass_is_exchanged_once_and_the_latest_browser_wins() {
    let mut bench = Bench::new(rules(60, 1));
    bench.send(Command::Join { count: 1 });
    let name = bench.enter(1).name;
    let issued = UnixMs(bench.now);
    assert!(matches!(bench.send(Command::Exchange { session: name, issued }), Outcome::Live(_)));
    assert_eq!(bench.send(Command::Exchange { session: name, issued }), Outcome::Refused(Refusal::Superseded));
    let later = issued.plus_ms(1);
    assert!(matches!(bench.send(Command::Exchange { session: name, issued: later }), Outcome::Live(_)));
    let check = |exchanged| Command::Check { session: name, holder: Holder::Browser { exchanged } };
    assert_eq!(bench.send(check(issued)), Outcome::Refused(Refusal::Superseded));
    assert!(matches!(bench.send(check(later)), Outcome::Live(_)));
    let forged = SessionRef { tag: Tag(1), ..name };
    assert_eq!(bench.send(Command::Finish { session: forged }), Outcome::Refused(Refusal::UnknownSession));
    bench.send(Command::Finish { session: name });
    assert_eq!(bench.send(check(later)), Outcome::Refused(Refusal::SessionOver));
    assert_eq!(bench.send(Command::Finish { session: name }), Outcome::Done, "finished is finished");
}

#[test]
fn renewal_slides_the_deadline_up_to_the_longest_visit() {
    let mut bench = Bench::new(Rules { session_ms: 10_000, session_max_ms: Some(25_000), ..rules(60, 1) });
    bench.send(Command::Join { count: 1 });
    let name = bench.enter(1).name;
    let mut renew = |ms| match bench.after(ms).send(Command::Renew { session: name }) {
        Outcome::Live(session) => session.deadline.0 - START,
        other => panic!("{other:?}"),
    };
    assert_eq!([renew(0), renew(8000), renew(8000), renew(8000)], [10_000, 18_000, 25_000, 25_000]);
    assert_eq!(bench.after(1000).send(Command::Renew { session: name }), Outcome::Refused(Refusal::SessionOver));
}

#[test]
fn an_idle_room_admits_without_a_line_and_a_busy_one_does_not() {
    let mut bench = Bench::new(rules(60, 1));
    let Outcome::Live(session) = bench.send(Command::Admit { tag: Tag(5) }) else { panic!("an idle room admits") };
    assert_eq!((session.name.position, session.exchanged), (1, UnixMs(START)));
    assert_eq!(bench.send(Command::Admit { tag: Tag(6) }), Outcome::Refused(Refusal::LineAhead), "no permit to spare");
    bench.send(Command::Join { count: 1 });
    bench.after(1000);
    assert_eq!(bench.send(Command::Admit { tag: Tag(6) }), Outcome::Refused(Refusal::LineAhead), "2 goes first");
    assert!(matches!(bench.after(1000).send(Command::Admit { tag: Tag(6) }), Outcome::Live(_)));
}

#[test]
fn only_rooms_that_time_can_change_want_a_tick() {
    let mut bench = Bench::new(Rules { session_ms: 1000, ..rules(60, 1) });
    let wants_tick = |bench: &Bench| bench.view().wants_tick(UnixMs(bench.now + 1000));
    assert!(!wants_tick(&bench), "an empty room is left in peace");
    bench.send(Command::Join { count: 1 });
    assert!(wants_tick(&bench), "a call may lapse");
    bench.enter(1);
    bench.after(1000).send(Command::Tick);
    assert!(wants_tick(&bench), "the entries a minute wear off");
    bench.after(310_000).send(Command::Tick);
    assert!(!wants_tick(&bench));
    let closes_at = Some(UnixMs(bench.now + 1000));
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: Rules { closes_at, ..rules(60, 1) } });
    assert!(!bench.view().wants_tick(UnixMs(bench.now + 999)), "a closing lies ahead, and changes nothing yet");
    assert!(wants_tick(&bench), "the closing has come");
    bench.after(1000).send(Command::Tick);
    assert!(!wants_tick(&bench), "closed, and that is that");
}

#[test]
fn a_large_room_keeps_few_checkpoints() {
    let mut bench = Bench::new(rules(6_000_000, 100_000));
    bench.send(Command::Join { count: 10_000_000 });
    bench.tick_for(30_000, 10);
    let bytes = postcard::to_stdvec(&bench.room).unwrap().len();
    assert!(bytes < 16_000, "{bytes} bytes for a line of ten millions nobody entered");
}

#[test]
fn a_smaller_burst_holds_from_its_first_moment() {
    let mut bench = Bench::new(Rules { mode: Mode::Hold, ..rules(6000, 100) });
    bench.send(Command::Join { count: 1000 });
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: rules(60, 1) });
    assert_eq!(bench.view().head, 1, "what stood ready is cut to the new burst");
}

#[test]
fn nobody_is_thought_to_stand_in_a_void() {
    let mut bench = Bench::new(rules(60, 1));
    bench.send(Command::Join { count: 3 });
    bench.room.as_mut().unwrap().recover(UnixMs(START), &Told::default(), Heard::NotAll { term: 1 });
    let behind = JUMP + 3 + 1;
    assert_eq!(bench.send(Command::Join { count: 2 }), Outcome::Joined { epoch: 1, first: behind, count: 2 });

    let view = bench.view();
    assert_eq!((view.head, view.waiting()), (1, 4));
    assert_eq!(view.voids, [Void { first: 4, last: behind - 1 }].into_iter().collect());
    let ahead = [1, 2, 3, 4, behind - 1, behind, behind + 1, behind + 2].map(|position| view.ahead(position));
    assert_eq!(ahead, [None, Some(0), Some(1), Some(2), Some(2), Some(2), Some(3), None]);
    let look = Command::Look { place: Place { epoch: 1, position: behind + 1 } };
    assert_eq!(bench.send(look), Outcome::Standing(Standing::Waiting { ahead: 3 }));

    bench.tick_for(3000, 100);
    let view = bench.view();
    assert_eq!((view.head, view.waiting(), view.voids), (behind, 1, Voids::default()));
}

#[test]
fn a_void_that_others_tell_of_takes_no_position_that_was_issued_here() {
    let mut bench = Bench::new(Rules { mode: Mode::Hold, ..rules(60, 1) });
    bench.send(Command::Join { count: 100 });
    let mut told = Told::default();
    for last in [200, 300] {
        Room::replay(&mut bench.room, &mut told, UnixMs(START), &Fact::Void { epoch: 1, first: 51, last });
    }
    let view = bench.view();
    assert_eq!((view.tail, view.waiting()), (300, 100));
    assert_eq!(view.voids, [Void { first: 101, last: 300 }].into_iter().collect());
}

#[test]
fn a_line_that_takes_anothers_place_issues_nothing_that_an_earlier_term_may_have_issued_in_it() {
    let mut bench = Bench::new(rules(60, 1));
    bench.send(Command::Join { count: 3 });
    bench.room.as_mut().unwrap().recover(UnixMs(START), &Told::default(), Heard::NotAll { term: 2 });
    bench.send(Command::Reset);
    assert_eq!(bench.view().waiting(), 0);
    assert_eq!(bench.send(Command::Join { count: 1 }), Outcome::Joined { epoch: 2, first: 2 * JUMP + 1, count: 1 });
    assert_eq!((bench.view().head, bench.view().waiting()), (2 * JUMP, 1), "no permit is left after a loss");
}

#[test]
fn a_ticket_of_a_later_term_counts_as_joins_what_is_no_whole_jump() {
    let mut bench = Bench::new(Rules { mode: Mode::Hold, ..rules(60, 1) });
    // The store has forgotten a jump, and two who joined behind it.
    let look = Command::Look { place: Place { epoch: 1, position: JUMP + 2 } };
    assert_eq!(bench.send(look), Outcome::Standing(Standing::Waiting { ahead: JUMP + 1 }));
    bench.room.as_mut().unwrap().recover(UnixMs(START), &Told::default(), Heard::NotAll { term: 3 });
    assert_eq!(bench.view().tail, 3 * JUMP + 2);
}
