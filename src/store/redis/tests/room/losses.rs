//! The store loses the last moments, as a replica does that was promoted too early: its keys are what they were a while
//! ago. Three senders tell what they were told, and the room in memory is told the same.

use std::{cell::RefCell, collections::BTreeMap};

use proptest::{prelude::*, test_runner::Config, test_runner::TestCaseResult, test_runner::TestRunner};

use super::{
    ID, cases,
    events::{self, Batch, World},
    keys,
};
use crate::{
    room::{Command, Fact, Heard, Outcome, Room, Session, SessionRef, Tag, View, Void},
    store::redis::{
        room,
        scripted::{Answer, Op, Scripted, Status, keys as key_names},
        tests::bare::{Bare, Server},
        wire::{Args, Words},
    },
    time::UnixMs,
};

const SENDERS: usize = 3;
/// A little more than others are waited for.
const WAITED_MS: u64 = 5001;

#[derive(Clone, Debug)]
enum Step {
    Batch(usize, Box<Batch>),
    /// The state as of so many steps ago comes back.
    Loss {
        back: usize,
        /// In which order the senders tell, the first of them after the rest has been waited for in vain.
        order: Vec<usize>,
        late: usize,
        page: usize,
        /// The keys are gone altogether.
        whole: bool,
        /// So many terms more are lost with it: the senders have met them, and remember nothing of them.
        skipped: u64,
        /// The last who comes late breaks off.
        breaks_off: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let telling = (Just(vec![0, 1, 2]).prop_shuffle(), 0..SENDERS, 1..40usize, any::<bool>());
    let loss = (1..12usize, telling, prop::bool::weighted(0.15), 0..3u64);
    prop_oneof![
        8 => (0..SENDERS, events::batch()).prop_map(|(sender, batch)| Step::Batch(sender, Box::new(batch))),
        1 => loss.prop_map(|(back, (order, late, page, breaks_off), whole, skipped)| {
            Step::Loss { back, order, late, page, whole, skipped, breaks_off }
        }),
    ]
}

/// What a sender remembers.
#[derive(Default)]
struct Memory {
    rows: BTreeMap<String, (u64, u64, String)>,
    settings: Option<String>,
}

impl Memory {
    fn learn(&mut self, answer: &Answer<'_>) {
        for (key, value) in &answer.facts {
            let row = (answer.term, answer.seq, (*value).to_owned());
            let known = self.rows.entry((*key).to_owned()).or_insert_with(|| row.clone());
            *known = row.max(known.clone());
        }
    }

    /// Everything, the settings first.
    fn rows(&self) -> Vec<(String, String)> {
        let settings = self.settings.iter().map(|value| ("g".to_owned(), value.clone()));
        settings.chain(self.rows.iter().map(|(key, (_, _, value))| (key.clone(), value.clone()))).collect()
    }
}

type Dump = Vec<(String, Vec<u8>)>;

struct Losing {
    senders: Vec<Bare<Room>>,
    memories: Vec<Memory>,
    world: World,
    earlier: Vec<(Dump, Option<Room>)>,
    term: u64,
}

impl Losing {
    fn new(server: &Server) -> Self {
        let senders = (0..SENDERS).map(|n| Bare::new(server, &format!("sender-{n}"))).collect();
        Self { senders, memories: Vec::new(), world: World::new(), earlier: Vec::new(), term: 0 }
    }

    fn begin(&mut self) {
        self.senders[0].flush();
        self.senders.iter_mut().for_each(|sender| (sender.term, sender.made) = (0, None));
        self.memories = (0..SENDERS).map(|_| Memory::default()).collect();
        (self.world, self.earlier, self.term) = (World::new(), Vec::new(), 0);
    }

    fn step(&mut self, step: &Step) -> TestCaseResult {
        match step {
            Step::Batch(sender, batch) => self.batch(*sender, batch),
            Step::Loss { back, order, late, page, whole, skipped, breaks_off } => {
                let Some(term) = self.set_back(*back, *whole, *skipped) else { return Ok(()) };
                self.recovery(order, *late, *page, term, *breaks_off)
            }
        }
    }

    fn batch(&mut self, sender: usize, batch: &Batch) -> TestCaseResult {
        let (now, commands, outcomes) = self.world.apply(batch);
        self.compare_batch(sender, now, &commands, &outcomes)?;
        self.remember();
        Ok(())
    }

    fn compare_batch(&mut self, n: usize, now: UnixMs, commands: &[Command], outcomes: &[Outcome]) -> TestCaseResult {
        let mut args = Args::default();
        args.word(commands.len());
        commands.iter().for_each(|command| Room::encode(command, &mut args));
        if let Some(row) = commands.iter().rev().find_map(Room::settings_row) {
            self.memories[n].settings = Some(row);
        }
        self.senders[n].number += 1;
        let text = self.senders[n].call(Op::Batch, ID, UnixMs(self.world.now), args);
        let answer = Answer::read(&text).unwrap();
        prop_assert_eq!(answer.status, Status::Ok, "{}", text);
        self.heed(n, &answer);
        let said = Room::decode(&answer).unwrap();
        prop_assert_eq!(&said.outcomes, outcomes, "after {:?} at {:?}", commands, now);
        let view = self.world.room.as_ref().map(|room| View { term: answer.term, ..room.view(now) });
        prop_assert_eq!(said.view.as_deref(), view.as_ref(), "after {:?} at {:?}", commands, now);
        self.compare_state(&format!("{commands:?} at {now:?}"))
    }

    fn heed(&mut self, n: usize, answer: &Answer<'_>) {
        self.memories[n].learn(answer);
        self.term = self.term.max(answer.term);
        let sender = &mut self.senders[n];
        (sender.term, sender.made) = (answer.term, answer.made.map(str::to_owned));
    }

    fn compare_state(&mut self, after: &str) -> TestCaseResult {
        let stored = keys::read(self.senders[0].connection(), ID)
            .map_err(|why| TestCaseError::fail(format!("{why} after {after}")))?;
        let held = self.world.room.as_ref().map(|room| serde_json::to_value(room).unwrap());
        prop_assert_eq!(stored, held, "the state after {}", after);
        Ok(())
    }

    fn remember(&mut self) {
        let connection = self.senders[0].connection();
        let dump = |key: &String| {
            let bytes: Option<Vec<u8>> = redis::cmd("DUMP").arg(key).query(connection).unwrap();
            bytes.map(|bytes| (key.clone(), bytes))
        };
        let dump = key_names::<Room>(ID).iter().filter_map(dump).collect();
        self.earlier.push((dump, self.world.room.clone()));
    }

    fn recovery(&mut self, order: &[usize], late: usize, page: usize, term: u64, breaks_off: bool) -> TestCaseResult {
        let (in_time, late) = order.split_at(SENDERS - late);
        let mut told = crate::room::Told::default();
        for (at, n) in in_time.iter().enumerate() {
            self.replay(*n, &mut told, page)?;
            let is_last = at + 1 == in_time.len();
            if is_last && !late.is_empty() {
                self.world.now += WAITED_MS;
            }
            let status = self.done(*n);
            prop_assert_eq!(status, if is_last { Status::Ok } else { Status::Recovering });
        }
        let heard = if late.is_empty() { Heard::All } else { Heard::NotAll { term } };
        self.recover(&told, heard);
        self.compare_state(&format!("a recovery, {heard:?} and {late:?} late"))?;
        for n in late {
            told = crate::room::Told::default();
            self.replay(*n, &mut told, page)?;
            if breaks_off && Some(n) == late.last() {
                break;
            }
            prop_assert_eq!(self.done(*n), Status::Ok);
            self.recover(&told, Heard::Late);
            self.compare_state(&format!("{n} told it late"))?;
        }
        self.earlier.clear();
        self.remember();
        Ok(())
    }

    fn recover(&mut self, told: &crate::room::Told, heard: Heard) {
        let now = self.world.time();
        if let Some(room) = &mut self.world.room {
            room.recover(now, told, heard);
        }
    }

    /// The term that begins, if there is anything to recover.
    fn set_back(&mut self, back: usize, whole: bool, skipped: u64) -> Option<u64> {
        if self.earlier.is_empty() {
            return None;
        }
        self.earlier.truncate(self.earlier.len().saturating_sub(back - 1).max(1));
        let (dump, room) = self.earlier.pop().unwrap();
        self.senders[0].flush();
        // A store that is empty is rebuilt if anybody knows with which settings.
        if whole && self.memories.iter().all(|memory| memory.settings.is_some()) {
            self.world.set_back(None);
            self.senders.iter_mut().for_each(|sender| sender.made = None);
            return Some(self.term + 1);
        }
        self.world.set_back(room);
        let connection = self.senders[0].connection();
        for (key, bytes) in &dump {
            let () = redis::cmd("RESTORE").arg(key).arg(0).arg(&bytes[..]).query(connection).unwrap();
        }
        let main = &key_names::<Room>(ID)[0];
        let is_made: bool = redis::cmd("HEXISTS").arg(main).arg("stamp").query(connection).unwrap();
        if !is_made {
            self.senders.iter_mut().for_each(|sender| (sender.term, sender.made) = (0, None));
            return None;
        }
        // As the server's identity was another.
        let () = redis::cmd("HSET").arg(main).arg("stamp").arg("another").query(connection).unwrap();
        let met = self.term + skipped;
        self.senders.iter_mut().for_each(|sender| sender.term = met);
        Some(met + 1)
    }

    /// A sender tells everything, in pages, after its batch was refused.
    fn replay(&mut self, n: usize, told: &mut crate::room::Told, page: usize) -> TestCaseResult {
        let peers = (0..SENDERS).map(|n| format!("sender-{n}")).collect::<Vec<_>>().join(" ");
        let mut nothing = Args::default();
        nothing.word(0);
        self.senders[n].number += 1;
        let text = self.senders[n].call(Op::Batch, ID, UnixMs(self.world.now), nothing);
        let status = Answer::read(&text).unwrap().status;
        prop_assert!(matches!(status, Status::Recovering | Status::Behind | Status::Gone | Status::Ok), "{}", text);
        let rows = self.memories[n].rows();
        self.senders[n].made = None;
        // One page at least: it says who the others are.
        for rows in rows.chunks(page).chain(rows.is_empty().then_some(&rows[..])) {
            let mut args = Args::default();
            args.word(&peers).word(rows.len());
            for (key, value) in rows {
                args.word(key).word(0).word(0).word(value);
            }
            let text = self.senders[n].call(Op::Replay, ID, UnixMs(self.world.now), args);
            let answer = Answer::read(&text).unwrap();
            prop_assert_eq!(answer.status, Status::Ok, "{}", text);
            let (now, made) = (answer.now, answer.made.map(str::to_owned));
            let before = self.world.time().max(now);
            prop_assert!(now <= before);
            self.senders[n].made = made;
            self.senders[n].term = self.senders[n].term.max(answer.term);
            for (key, value) in rows {
                for fact in facts(key, value) {
                    Room::replay(&mut self.world.room, told, now, &fact);
                }
            }
            self.compare_state(&format!("{rows:?} were told"))?;
        }
        Ok(())
    }

    fn done(&mut self, n: usize) -> Status {
        let mut args = Args::default();
        args.word(0).word(0);
        let text = self.senders[n].call(Op::Done, ID, UnixMs(self.world.now), args);
        let answer = Answer::read(&text).unwrap();
        self.heed(n, &answer);
        answer.status
    }
}

/// What a row says.
fn facts(key: &str, value: &str) -> Vec<Fact> {
    let mut words = Words::of(value);
    let epoch = words.parse().unwrap();
    let number = |words: &mut Words<'_>| words.parse::<u64>().unwrap();
    let name = || key[1..].parse::<u64>().unwrap();
    match &key[..1] {
        "g" => {
            let first_epoch = number(&mut words);
            vec![Fact::Settings { version: epoch, first_epoch, rules: room::rules(&mut words).unwrap() }]
        }
        "s" => {
            let [tail, head, joins, entered] = [(); 4].map(|()| number(&mut words));
            vec![Fact::Figures { epoch, tail, head, joins, entered }]
        }
        "v" => {
            let fact = |Void { first, last }| Fact::Void { epoch, first, last };
            words.rest().split(',').map(|range| fact(room::void(range).unwrap())).collect()
        }
        "c" => {
            let (last, deadline) = (number(&mut words), UnixMs(number(&mut words)));
            vec![Fact::Called { epoch, first: name(), last, deadline }]
        }
        _ => match words.word().unwrap() {
            "over" => vec![Fact::Over { epoch, position: name() }],
            tag => {
                let name = SessionRef { epoch, position: name(), tag: Tag(u64::from_str_radix(tag, 16).unwrap()) };
                let [start, deadline, exchanged] = [(); 3].map(|()| UnixMs(number(&mut words)));
                let undecided = words.word().unwrap().parse().ok().map(UnixMs);
                vec![Fact::Inside { session: Session { name, start, deadline, exchanged }, undecided }]
            }
        },
    }
}

#[test]
fn the_script_recovers_as_the_room_does() {
    let server = Server::start();
    let losing = RefCell::new(Losing::new(&server));
    let config = Config { cases: cases(), max_shrink_iters: 1500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..60), |steps| {
            let mut losing = losing.borrow_mut();
            losing.begin();
            steps.iter().try_for_each(|step| losing.step(step))
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
