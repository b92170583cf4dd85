//! Sales on Redis against the pure machine, batch by batch.

mod commands;
mod keys;
mod losses;

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use self::{
    commands::{Life, life},
    keys::Keys,
};
use super::bare::{Bare, Server};
use crate::{
    sale::{
        Command, Line, Outcome, ReservationId, Reserve, Sale,
        audit::Difference,
        command::{Caller, Fingerprint},
        recovery::Stamp,
    },
    store::SaleReply,
    store::redis::{
        scripted::{Answer, Op, Scripted, Status},
        wire::Args,
    },
    time::UnixMs,
};

/// Lives that are led by default; `DROPGATE_DIFFERENTIAL_CASES` leads more.
const CASES: u32 = 150;

fn cases() -> u32 {
    std::env::var("DROPGATE_DIFFERENTIAL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// A sale in both stores.
struct Pair<'a> {
    bare: &'a mut Bare<Sale>,
    keys: &'a mut Keys,
    id: String,
    pure: Option<Sale>,
    last: UnixMs,
    /// Whether the whole state is compared after each batch.
    is_compared: bool,
    /// What a sender remembers, by its key.
    facts: BTreeMap<String, (Stamp, String)>,
}

impl<'a> Pair<'a> {
    fn new(bare: &'a mut Bare<Sale>, keys: &'a mut Keys, id: String) -> Self {
        (bare.term, bare.made) = (0, None);
        Self { bare, keys, id, pure: None, last: UnixMs(0), is_compared: true, facts: BTreeMap::new() }
    }

    /// Sends a batch to Redis alone.
    fn batch(&mut self, clock: UnixMs, commands: &[Command]) -> SaleReply {
        self.bare.number += 1;
        let mut args = Args::default();
        args.word(commands.len());
        commands.iter().for_each(|command| Sale::encode(command, &mut args));
        let text = self.bare.call(Op::Batch, &self.id, clock, args);
        let answer = Answer::read(&text).unwrap();
        assert_eq!(answer.status, Status::Ok, "{text}");
        for row in commands.iter().filter_map(Sale::settings_row) {
            self.facts.insert("g".to_owned(), (Stamp { term: answer.term, seq: 0 }, row));
        }
        self.learn(&answer);
        Sale::decode(&answer).unwrap()
    }

    /// Remembers what an answer tells.
    fn learn(&mut self, answer: &Answer<'_>) {
        (self.bare.term, self.bare.made) = (answer.term, answer.made.map(str::to_owned));
        let stamp = Stamp { term: answer.term, seq: answer.seq };
        for (key, value) in &answer.facts {
            // What was confirmed is kept besides what came of it elsewhere, as by another sender.
            let words: Vec<&str> = value.split(' ').collect();
            let is_sold = key.starts_with('r') && words[5] == "C";
            let name = if is_sold { format!("{key} {}", words[7]) } else { (*key).to_owned() };
            self.facts.insert(name, (stamp, (*value).to_owned()));
        }
    }

    /// Sends a batch to both, and demands the same.
    fn send(&mut self, clock: UnixMs, commands: &[Command]) -> Result<Vec<Outcome>, TestCaseError> {
        let before = if self.is_compared { self.keys.contents(&self.id) } else { Vec::new() };
        let mut reply = self.batch(clock, commands);
        prop_assert_eq!(reply.now, clock.max(self.last));
        let applied = Sale::apply(&mut self.pure, reply.now, commands);
        for outcome in &mut reply.outcomes {
            if let Outcome::Items(view) = outcome {
                view.term = 0;
            }
        }
        for ((command, found), expected) in commands.iter().zip(&reply.outcomes).zip(&applied.outcomes) {
            prop_assert_eq!(found, expected, "{:?}", command);
        }
        prop_assert_eq!(reply.outcomes.len(), applied.outcomes.len());
        let header = reply.header.map(|header| crate::sale::view::Header { term: 0, ..header });
        prop_assert_eq!(header, self.pure.as_ref().map(|sale| sale.header(reply.now)));
        if applied.changed && self.is_compared {
            let found = self.keys.sale(&self.id);
            prop_assert_eq!(found.as_ref(), self.pure.as_ref());
        } else if self.is_compared {
            prop_assert_eq!(before, self.keys.contents(&self.id), "a batch that changes nothing writes nothing");
        }
        self.last = self.pure.as_ref().map_or(UnixMs(0), |sale| sale.header(UnixMs(0)).now);
        Ok(reply.outcomes)
    }
}

#[test]
fn a_sale_on_redis_does_what_the_machine_does() {
    let server = Server::start();
    let mut bare = Bare::<Sale>::new(&server, "one");
    let mut keys = Keys::new(server.connect());
    let mut number = 0;
    let config = Config { cases: cases(), max_shrink_iters: 4_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let led = std::cell::RefCell::new((&mut bare, &mut keys, &mut number));
    let outcome = runner.run(&life(), |Life { steps, born }| {
        let (bare, keys, number) = &mut *led.borrow_mut();
        **number += 1;
        let mut pair = Pair::new(bare, keys, format!("sale-{number}"));
        let mut now = UnixMs(1_000_000);
        pair.send(now, &[commands::configure(1, born, 9)])?;
        for (dt, commands) in steps {
            now = UnixMs(now.0.saturating_add_signed(dt));
            pair.send(now, &commands)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn reserve(id: u128, quantity: u64) -> Command {
    Command::Reserve(Reserve {
        id: ReservationId(id),
        fingerprint: Fingerprint(0),
        caller: Caller::Shop,
        buyer: None,
        lines: vec![Line { sku: commands::sku(0), quantity }],
        hold_seconds: None,
        replaces: None,
    })
}

#[test]
fn many_holds_due_at_once_a_long_past_and_its_trimming_are_as_in_the_machine() {
    let server = Server::start();
    let (mut bare, mut keys) = (Bare::<Sale>::new(&server, "one"), Keys::new(server.connect()));
    let mut pair = Pair::new(&mut bare, &mut keys, "long".to_owned());
    let mut now = UnixMs(1_000_000);
    pair.send(now, &[commands::configure(1, 1, 1_000_000)]).unwrap();
    let mut id = 0;
    pair.is_compared = false;
    // A hundred and fifteen thousand events, most of them of holds that expire: 64 with each batch, 64 with each tick.
    while pair.pure.as_ref().unwrap().header(now).seq < 115_000 {
        let batch: Vec<_> = (0..600).map(|n| reserve(id + n, 1)).collect();
        id += 600;
        pair.send(now, &batch).unwrap();
        now = now.plus_ms(1_000);
        pair.send(now, &[reserve(u128::MAX, 1_000_000), Command::Tick, reserve(u128::MAX, 1_000_000)]).unwrap();
        pair.send(now, &vec![Command::Tick; 12]).unwrap();
    }
    assert!(pair.pure.as_ref().unwrap().first_event() > 1, "nothing was trimmed");
    pair.is_compared = true;
    let page = |after, limit| Command::Events { after, term: 1, limit };
    let ends = [0, 10_001, 50_000, 114_990].map(|after| page(after, 3));
    pair.send(now, &ends).unwrap();
    pair.send(now, &[page(20_000, 5_000), reserve(u128::MAX - 1, 1), page(114_000, usize::MAX), Command::Walk])
        .unwrap();
    // A day later it is all forgotten, 64 at a time.
    now = now.plus_ms(25 * 3_600_000);
    pair.send(now, &[Command::Tick]).unwrap();
}

#[test]
fn a_walk_finds_what_does_not_agree() {
    let server = Server::start();
    let mut bare = Bare::<Sale>::new(&server, "one");
    let now = UnixMs(1_000_000);
    bare.batch("bad", now, &[commands::configure(1, 1, 9), reserve(1, 2), reserve(2, 1)]);
    let mut walk = || match bare.batch("bad", now, &[Command::Walk]).outcomes.remove(0) {
        Outcome::Walked(walk) => walk,
        other => panic!("{other:?}"),
    };
    let clean = walk();
    assert_eq!((clean.held, clean.confirmed, clean.ended, clean.differences), (2, 0, 0, Vec::new()));
    let mut connection = server.connect();
    redis::cmd("HSET").arg("{s:bad}:stock").arg("red").arg("9 6 2 0 -").exec(&mut connection).unwrap();
    redis::cmd("ZREM").arg("{s:bad}:due").arg(format!("{:032x}", 2)).exec(&mut connection).unwrap();
    redis::cmd("HSET").arg("{s:bad}:buyers").arg("=eve").arg("1 2 red 2").exec(&mut connection).unwrap();
    let found = walk().differences;
    let is_there = |what: fn(&Difference) -> bool| assert!(found.iter().any(what), "{found:?}");
    is_there(|difference| matches!(difference, Difference::Unbalanced { .. }));
    is_there(|difference| matches!(difference, Difference::Reservations { told: 3, found: 2, .. }));
    is_there(|difference| matches!(difference, Difference::Sum { told: 2, found: 3, .. }));
    is_there(|difference| matches!(difference, Difference::Buyer { told: 0, found: 2, .. }));
    is_there(|difference| matches!(difference, Difference::Deadline { id: ReservationId(2) }));
}
