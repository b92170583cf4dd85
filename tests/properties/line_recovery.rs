//! A room whose store loses the last moments again and again: positions are never issued twice, nobody enters twice, and
//! rate and cap are kept, whoever remembers and tells.

use std::collections::{BTreeMap, BTreeSet};

use dropgate::{
    room::{
        Command, Fact, Heard, Outcome, Place, Position, Refusal, Room, Rules, Session, SessionRef, Tag, Told, View,
        bounds::{JUMP, PERMIT},
    },
    time::UnixMs,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::line_world::ordinary_rules;

const INSTANCES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Join(usize, u32),
    /// Those called last, so many of them, and one of the whole line.
    Claim(usize, u64, u64),
    Leave(usize, u64),
    Finish(usize, u64),
    Renew(usize, u64),
    /// A replica is promoted that stands where the store stood so many steps ago, be it before or after other losses; the
    /// instances whose bit is set are heard in time, the others late or never.
    Loss {
        back: usize,
        heard: u8,
        never: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..INSTANCES;
    let heard = prop_oneof![2 => Just(7u8), 1 => 1..7u8];
    let crowd = prop_oneof![9 => 1..40u32, 1 => 1000..5000u32];
    prop_oneof![
        6 => (1..600u64).prop_map(Step::Pass),
        4 => (who(), crowd).prop_map(|(who, count)| Step::Join(who, count)),
        8 => (who(), 1..30u64, 0..1000u64).prop_map(|(who, count, share)| Step::Claim(who, count, share)),
        2 => (who(), 0..1000u64).prop_map(|(who, share)| Step::Leave(who, share)),
        2 => (who(), 0..1000u64).prop_map(|(who, share)| Step::Finish(who, share)),
        1 => (who(), 0..1000u64).prop_map(|(who, share)| Step::Renew(who, share)),
        2 => (1..8usize, heard, any::<bool>()).prop_map(|(back, heard, never)| Step::Loss { back, heard, never }),
    ]
}

/// A room, its past, and what everybody was told.
struct World {
    room: Option<Room>,
    rules: Rules,
    now: u64,
    /// What the store held after each step.
    earlier: Vec<Option<Room>>,
    /// How often something was lost: who is there knows it, whatever the store has forgotten.
    term: u64,
    /// What each instance was told and remembers, by key.
    memories: Vec<BTreeMap<String, Fact>>,
    issued: BTreeSet<Position>,
    /// Who entered, with each session that anybody was told of: of one that only the dead knew nobody can say that it was, but
    /// the store, if a replica comes back.
    entered: BTreeMap<Position, Vec<Tag>>,
    entries: Vec<u64>,
    tags: u64,
    /// Everybody was heard after each loss: then nothing is unknown, and the cap is kept too.
    all_heard: bool,
}

impl World {
    fn new(rules: Rules) -> Self {
        let mut room = None;
        let now = 1_700_000_000_000;
        let configure = Command::Configure { version: 1, first_epoch: 1, rules: rules.clone() };
        Room::apply(&mut room, UnixMs(now), &configure);
        Self {
            earlier: vec![room.clone()],
            term: 0,
            room,
            rules,
            now,
            memories: vec![BTreeMap::new(); INSTANCES],
            issued: BTreeSet::new(),
            entered: BTreeMap::new(),
            entries: Vec::new(),
            tags: 0,
            all_heard: true,
        }
    }

    fn view(&self) -> View {
        self.room.as_ref().unwrap().view(UnixMs(self.now))
    }

    /// One instance asks, and remembers what came of it.
    fn send(&mut self, who: usize, command: &Command) -> Outcome {
        let before = self.room.clone();
        let taken = |view: &View| view.inside + view.outstanding();
        let was_taken = taken(&self.view());
        let outcome = Room::apply(&mut self.room, UnixMs(self.now), command).outcome;
        let learned = facts(before.as_ref().unwrap(), self.room.as_ref().unwrap(), &self.view());
        self.memories[who].extend(learned);
        let is_taken = taken(&self.view());
        assert!(is_taken <= self.rules.max_active.unwrap_or(u64::MAX).max(was_taken), "{is_taken} of {was_taken}");
        outcome
    }

    fn happen(&mut self, step: &Step) {
        match *step {
            Step::Pass(ms) => {
                self.now += ms;
                self.send(0, &Command::Tick);
            }
            Step::Join(who, count) => {
                let Outcome::Joined { first, count, .. } = self.send(who, &Command::Join { count }) else {
                    panic!("nobody may join")
                };
                for position in first..first + u64::from(count) {
                    assert!(self.issued.insert(position), "{position} was issued twice");
                }
            }
            Step::Claim(who, count, share) => {
                let head = self.view().head;
                let called: Vec<_> = self.issued.range(..=head).rev().take(count as usize).copied().collect();
                for position in called.into_iter().chain(self.any(share)) {
                    self.claim(who, position);
                }
            }
            Step::Leave(who, share) => {
                let Some(position) = self.any(share).filter(|position| !self.entered.contains_key(position)) else {
                    return;
                };
                self.send(who, &Command::Leave { place: place(position) });
            }
            Step::Finish(who, share) => {
                let Some(session) = self.any_inside(share) else { return };
                self.send(who, &Command::Finish { session });
            }
            Step::Renew(who, share) => {
                let Some(session) = self.any_inside(share) else { return };
                self.send(who, &Command::Renew { session });
            }
            Step::Loss { back, heard, never } => self.lose(back, heard, never),
        }
        self.earlier.push(self.room.clone());
    }

    fn claim(&mut self, who: usize, position: Position) {
        self.tags += 1;
        let tag = Tag(self.tags);
        // Of what only the dead knew nobody can say whether it was.
        let row = format!("p{position}");
        let is_known = self.memories.iter().any(|memory| memory.contains_key(&row));
        let outcome = self.send(who, &Command::Claim { place: place(position), tag });
        match outcome {
            Outcome::Live(session) => {
                let sessions = self.entered.entry(position).or_default();
                let is_same = sessions.is_empty() || sessions.contains(&session.name.tag);
                assert!(is_same || !is_known, "{position} entered twice");
                sessions.push(session.name.tag);
                if session.name.tag == tag {
                    self.entries.push(self.now);
                }
            }
            Outcome::Waiting { .. } => {
                assert!(!self.all_heard || !self.entered.contains_key(&position), "{position} waits, and had entered");
            }
            Outcome::Refused(Refusal::Lapsed | Refusal::SessionOver) => {}
            other => panic!("claim of {position}: {other:?}"),
        }
    }

    fn any(&self, share: u64) -> Option<Position> {
        let n = self.issued.len() as u64 * share / 1000;
        self.issued.iter().nth(n as usize).copied()
    }

    fn any_inside(&self, share: u64) -> Option<SessionRef> {
        let n = self.entered.len() as u64 * share / 1000;
        let (position, tags) = self.entered.iter().nth(n as usize)?;
        Some(SessionRef { epoch: 1, position: *position, tag: *tags.last()? })
    }

    /// The last steps are forgotten, and told again by those who are heard.
    fn lose(&mut self, back: usize, heard: u8, never: bool) {
        let at = self.earlier.len().saturating_sub(back + 1);
        self.room = self.earlier[at].clone();
        self.term += 1;
        let is_heard = |n: &usize| heard & (1 << n) != 0;
        let (in_time, late): (Vec<_>, Vec<_>) = (0..INSTANCES).partition(is_heard);
        let mut told = Told::default();
        in_time.iter().for_each(|n| self.replay(*n, &mut told));
        let how = if late.is_empty() { Heard::All } else { Heard::NotAll { term: self.term } };
        self.all_heard &= late.is_empty();
        self.room.as_mut().unwrap().recover(UnixMs(self.now), &told, how);
        self.send(in_time[0], &Command::Tick);
        for n in late {
            if never {
                // It has died, and another takes its place.
                self.memories[n].clear();
                continue;
            }
            let mut told = Told::default();
            self.replay(n, &mut told);
            self.room.as_mut().unwrap().recover(UnixMs(self.now), &told, Heard::Late);
        }
    }

    fn replay(&mut self, n: usize, told: &mut Told) {
        for fact in self.memories[n].values() {
            Room::replay(&mut self.room, told, UnixMs(self.now), fact);
        }
    }

    /// Over any stretch of time no more entered than the rate and what may stand ready or be called at once.
    fn check_rate(&self) {
        let ceiling = self.rules.ceiling_units();
        for (at, first) in self.entries.iter().enumerate() {
            for (more, last) in self.entries[at..].iter().enumerate() {
                let poured = self.rules.rate_per_minute * (last - first) + ceiling;
                assert!((more as u64 + 1) * PERMIT <= poured, "{} entered in {} ms", more + 1, last - first);
            }
        }
    }
}

fn place(position: Position) -> Place {
    Place { epoch: 1, position }
}

/// The rows that a change of the room makes, as a store tells them.
fn facts(before: &Room, after: &Room, view: &View) -> Vec<(String, Fact)> {
    let (before, after) = (serde_json::to_value(before).unwrap(), serde_json::to_value(after).unwrap());
    let number = |value: &Value| value.as_u64().unwrap();
    let (tail, head, joins, entered) = (view.tail, view.head, number(&after["joins"]), view.entered);
    let mut rows = vec![("s".to_owned(), Fact::Figures { epoch: 1, tail, head, joins, entered })];
    for void in after["voids"].as_array().unwrap() {
        let (first, last) = (number(&void["first"]), number(&void["last"]));
        rows.push((format!("v{first}"), Fact::Void { epoch: 1, first, last }));
    }
    let calls = |room: &Value| room["calls"]["by_last"].as_object().unwrap().clone();
    let known = calls(&before);
    for (last, call) in calls(&after).into_iter().filter(|(last, call)| known.get(last) != Some(call)) {
        let (first, deadline) = (number(&call["first"]), UnixMs(number(&call["deadline"])));
        rows.push((format!("c{first}"), Fact::Called { epoch: 1, first, last: last.parse().unwrap(), deadline }));
    }
    let inside = |room: &Value| room["sessions"]["by_position"].as_object().unwrap().clone();
    let (were, are) = (inside(&before), inside(&after));
    for (position, live) in are.iter().filter(|(position, live)| were.get(*position) != Some(live)) {
        let name = SessionRef { epoch: 1, position: position.parse().unwrap(), tag: Tag(number(&live["tag"])) };
        let [start, deadline, exchanged] = ["start", "deadline", "exchanged"].map(|name| UnixMs(number(&live[name])));
        let session = Session { name, start, deadline, exchanged };
        rows.push((format!("p{position}"), Fact::Inside { session, undecided: None }));
    }
    for position in resolved(&after).difference(&resolved(&before)).filter(|p| !are.contains_key(&p.to_string())) {
        rows.push((format!("p{position}"), Fact::Over { epoch: 1, position: *position }));
    }
    for position in were.keys().filter(|position| !are.contains_key(*position)) {
        let over = Fact::Over { epoch: 1, position: position.parse().unwrap() };
        rows.push((format!("p{position}"), over));
    }
    rows
}

fn resolved(room: &Value) -> BTreeSet<Position> {
    let mut positions = BTreeSet::new();
    for (index, chunk) in room["claimed"]["chunks"].as_object().unwrap() {
        let start = index.parse::<u64>().unwrap() * 2048;
        for (at, word) in (0..).zip(chunk.as_array().unwrap()) {
            let word = word.as_u64().unwrap();
            positions.extend((0..64).filter(|bit| word & (1 << bit) != 0).map(|bit| start + at * 64 + bit));
        }
    }
    positions
}

/// The positions that are issued while this happens to an ordinary room.
fn issued(steps: &[Step]) -> Vec<Position> {
    let mut world = World::new(ordinary_rules());
    steps.iter().for_each(|step| world.happen(step));
    world.issued.into_iter().collect()
}

#[test]
fn a_loss_from_before_an_earlier_one_passes_over_what_was_issued_after_either() {
    let steps = [
        Step::Pass(1),
        Step::Loss { back: 1, heard: 0b011, never: false },
        Step::Join(0, 1),
        // Back to before the first loss, and who joined one is not heard.
        Step::Loss { back: 2, heard: 0b010, never: true },
        Step::Join(0, 1),
    ];
    assert_eq!(issued(&steps), [JUMP + 1, 2 * JUMP + 1]);
}

#[test]
fn a_loss_that_is_told_less_than_the_one_before_it_passes_over_as_much() {
    let steps = [
        Step::Pass(1),
        Step::Loss { back: 1, heard: 0b011, never: false },
        Step::Loss { back: 1, heard: 0b001, never: false },
        Step::Join(0, 1),
        // Who is heard now remembers neither loss.
        Step::Loss { back: 3, heard: 0b010, never: true },
        Step::Join(1, 1),
    ];
    assert_eq!(issued(&steps), [2 * JUMP + 1, 3 * JUMP + 1]);
}

#[test]
fn a_loss_that_is_told_of_no_crowd_passes_over_what_was_issued_behind_one() {
    const CROWD: u32 = 5_000;
    let steps = [
        Step::Pass(1),
        Step::Join(0, CROWD),
        Step::Loss { back: 1, heard: 0b001, never: false },
        Step::Join(0, 1),
        // Back to before the crowd, and who saw it is not heard.
        Step::Loss { back: 3, heard: 0b010, never: true },
        Step::Join(1, 1),
    ];
    let behind_the_crowd = [JUMP + u64::from(CROWD) + 1, 2 * JUMP + 1];
    assert_eq!(issued(&steps), (1..=u64::from(CROWD)).chain(behind_the_crowd).collect::<Vec<_>>());
}

#[test]
fn a_replica_that_comes_back_passes_over_what_was_issued_while_it_was_away() {
    let steps = [
        Step::Pass(1),
        // All are heard: the term begins with no jump.
        Step::Loss { back: 1, heard: 0b111, never: false },
        // Another replica takes over, which has not even met that term.
        Step::Loss { back: 1, heard: 0b001, never: false },
        Step::Join(0, 1),
        // The one of the second term is back, and who joined one is not heard.
        Step::Loss { back: 2, heard: 0b010, never: true },
        Step::Join(1, 1),
    ];
    assert_eq!(issued(&steps), [2 * JUMP + 1, 3 * JUMP + 1]);
}

#[test]
fn a_replica_of_a_term_in_which_all_were_heard_passes_over_what_was_issued_after_it() {
    let steps = [
        Step::Pass(1),
        Step::Loss { back: 1, heard: 0b011, never: false },
        // From before that loss; all are heard, and what they tell raises the tail.
        Step::Loss { back: 2, heard: 0b111, never: false },
        Step::Pass(1),
        Step::Loss { back: 1, heard: 0b001, never: false },
        Step::Join(0, 1),
        // Back to the first of the three, and who joined one is not heard.
        Step::Loss { back: 4, heard: 0b010, never: true },
        Step::Join(1, 1),
    ];
    assert_eq!(issued(&steps), [3 * JUMP + 1, 4 * JUMP + 1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_holds_through_losses(
        rate in 60..6000u64,
        cap in prop::option::of(5..60u64),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let rules = Rules { rate_per_minute: rate, max_active: cap, session_ms: 5000, ..ordinary_rules() };
        let mut world = World::new(rules);
        for step in &steps {
            world.happen(step);
        }
        world.check_rate();
    }
}
