use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::{
    Pair, cases,
    commands::{self, Life, life},
    keys::{self, Keys},
};
use crate::{
    sale::{
        Buyer, Command, OrderRef, Reserve, Sale,
        recovery::{Recovery, Stamp, Told},
        view::Header,
    },
    store::{
        redis::{
            scripted::{Answer, Op, Scripted, Status},
            tests::bare::{Bare, Server},
            wire::Args,
        },
        tests::sales::{confirm, reserve_of},
    },
    time::UnixMs,
};

/// What happens between two batches.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    /// A replica falls behind from here on.
    Remember,
    /// The replica of then takes over; one of so many rows is told only later.
    Lose {
        to: usize,
        late: u64,
    },
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Nothing),
        2 => Just(Fate::Remember),
        1 => (0..4usize, 1..5u64).prop_map(|(to, late)| Fate::Lose { to, late }),
    ]
}

type Facts = BTreeMap<String, (Stamp, String)>;

impl Pair<'_> {
    /// Tells both what is remembered, and demands that they make the same of it.
    fn tell(&mut self, clock: UnixMs, facts: &Facts, is_recovery: bool) -> Result<(), TestCaseError> {
        let (buried, stored) = (self.keys.buried(&self.id), self.keys.stamps(&self.id));
        let mut args = Args::default();
        args.word("").word(facts.len());
        for (name, (stamp, value)) in facts {
            args.word(key_of(name)).word(stamp.term).word(stamp.seq).word(value);
        }
        if is_recovery {
            // The first call finds that the server is another.
            let text = self.bare.call(Op::Replay, &self.id, clock, args.clone());
            prop_assert_eq!(Answer::read(&text).unwrap().status, Status::Recovering, "{}", text);
            self.bare.made = None;
        }
        let text = self.bare.call(Op::Replay, &self.id, clock, args);
        let answer = Answer::read(&text).unwrap();
        prop_assert_eq!(answer.status, Status::Ok, "{}", text);
        self.bare.made = answer.made.map(str::to_owned);
        let mut args = Args::default();
        args.word(0).word(0);
        let text = self.bare.call(Op::Done, &self.id, clock, args);
        let answer = Answer::read(&text).unwrap();
        prop_assert_eq!(answer.status, Status::Ok, "{}", text);
        let told = facts.iter().map(|(name, (stamp, value))| {
            let (born, row) = keys::told(key_of(name), value);
            Told { stamp: *stamp, born, row }
        });
        let told: Vec<_> = told.collect();
        let term = is_recovery.then_some(answer.term);
        Sale::recover(&mut self.pure, &Recovery { now: answer.now, term, buried, told: &told, stored: &stored });
        let header = Sale::decode(&answer).unwrap().header.map(|header| Header { term: 0, ..header });
        let found = self.keys.sale(&self.id);
        prop_assert_eq!(found.as_ref(), self.pure.as_ref());
        prop_assert_eq!(header, self.pure.as_ref().map(|sale| sale.header(answer.now)));
        self.learn(&answer);
        self.last = self.pure.as_ref().map_or(UnixMs(0), |sale| sale.header(UnixMs(0)).now);
        Ok(())
    }
}

/// The key of a fact as it was told.
fn key_of(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

/// Leads a life in which the store loses something now and then.
fn lead(pair: &mut Pair<'_>, life: Life, fates: &[Fate]) -> Result<(), TestCaseError> {
    let mut now = UnixMs(1_000_000);
    pair.send(now, &[commands::configure(1, life.born, 9)])?;
    let mut earlier = vec![(pair.keys.dump(&pair.id), pair.pure.clone())];
    let mut owed = Facts::new();
    for ((dt, batch), fate) in life.steps.into_iter().zip(fates) {
        now = UnixMs(now.0.saturating_add_signed(dt));
        pair.send(now, &batch)?;
        match *fate {
            Fate::Nothing => {}
            Fate::Remember => earlier.push((pair.keys.dump(&pair.id), pair.pure.clone())),
            Fate::Lose { to, late } => {
                let (dump, pure) = &earlier[to % earlier.len()];
                pair.keys.set_back(dump);
                pair.pure.clone_from(pure);
                let is_late = |key: &String| {
                    let mut hasher = DefaultHasher::new();
                    key.hash(&mut hasher);
                    late > 1 && hasher.finish().is_multiple_of(late)
                };
                let mut facts = pair.facts.clone();
                let later: Facts = facts.extract_if(.., |key, _| is_late(key)).collect();
                owed.extend(later);
                pair.tell(now, &facts, true)?;
            }
        }
        if matches!(fate, Fate::Remember) && !owed.is_empty() {
            pair.tell(now, &std::mem::take(&mut owed), false)?;
        }
    }
    Ok(())
}

#[test]
fn what_is_told_after_a_loss_comes_to_the_same_as_in_the_machine() {
    let server = Server::start();
    let (mut bare, mut keys) = (Bare::<Sale>::new(&server, "one"), Keys::new(server.connect()));
    let config = Config { cases: cases(), max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() };
    let led = RefCell::new((&mut bare, &mut keys, 0));
    let lives = (life(), prop::collection::vec(fate(), 40));
    let outcome = TestRunner::new(config).run(&lives, |(life, fates)| {
        let (bare, keys, number) = &mut *led.borrow_mut();
        *number += 1;
        lead(&mut Pair::new(bare, keys, format!("lost-{number}")), life, &fates)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// A grant of one key to `buyer`, and its payment if there is an order.
fn grant(buyer: &str, order: Option<&str>) -> Vec<Command> {
    let buyer = Some(Buyer::parse(buyer).unwrap());
    let reserve = Command::Reserve(Reserve { buyer, ..reserve_of(1, &[("red", 1)]) });
    let confirm = order.map(|order| confirm(1, &OrderRef::parse(order).unwrap()));
    [reserve].into_iter().chain(confirm).collect()
}

#[test]
fn what_two_histories_granted_under_one_key_is_kept_apart() {
    let server = Server::start();
    let (mut bare, mut keys) = (Bare::<Sale>::new(&server, "one"), Keys::new(server.connect()));
    let orders = [(None, None), (None, Some("b")), (Some("a"), None), (Some("a"), Some("b"))];
    for (number, (lost, found)) in orders.into_iter().enumerate() {
        let mut pair = Pair::new(&mut bare, &mut keys, format!("apart-{number}"));
        let now = UnixMs(1_000_000);
        pair.send(now, &[commands::configure(1, 1, 9)]).unwrap();
        let (dump, pure) = (pair.keys.dump(&pair.id), pair.pure.clone());
        pair.send(now, &grant("ann", lost)).unwrap();
        let owed = std::mem::take(&mut pair.facts);
        pair.keys.set_back(&dump);
        pair.pure = pure;
        pair.tell(now, &Facts::new(), true).unwrap();
        pair.send(now, &grant("bob", found)).unwrap();
        let before = pair.pure.as_ref().unwrap().header(now);
        pair.tell(now, &owed, false).unwrap();
        let after = pair.pure.as_ref().unwrap().header(now);
        assert_eq!((after.available, after.held), (before.available, before.held), "{lost:?} {found:?}");
        assert_eq!(after.seq, before.seq + 1, "ann's is told of");
    }
}
