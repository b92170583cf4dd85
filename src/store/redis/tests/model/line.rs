//! A line as far as a loss can hurt it: positions, those called, those claimed, and the void behind a tail that jumped.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Broken,
    books::{Books, Fate},
    gate::{Aggregate, Id, Mark, Ms, Turn},
};

/// How many joins a loss may take. Few, so that the model gets beyond it.
pub const LOST_MOST: u64 = 6;
/// How far apart the positions of two terms are.
const JUMP: u64 = LOST_MOST + 1;

/// How long a call stays open.
const CALL_MS: Ms = 20_000;

#[derive(Clone, Copy, Debug)]
pub enum Command {
    Configure,
    Join,
    Call(u64),
    Claim(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Nothing,
    Position(u64),
    Waiting,
    Entered,
    Already,
    Lapsed,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Settings,
    Scalars,
    Void,
    Call(u64),
    Position(u64),
}

#[derive(Clone, Debug)]
pub enum Row {
    Settings,
    Scalars { tail: u64, head: u64, joins: u64 },
    Void(Vec<(u64, u64)>),
    Call { last: u64, until: Ms },
    Claimed,
}

#[derive(Clone, Debug, Default)]
pub struct Line {
    exists: bool,
    pub tail: u64,
    pub head: u64,
    pub claimed: BTreeSet<u64>,
    calls: BTreeMap<u64, (u64, Ms)>,
    void: Vec<(u64, u64)>,
    /// What a replay tells of the head and the calls, until the recovery ends.
    told_head: u64,
    told_calls: BTreeMap<u64, (u64, Ms)>,
    /// It was gone altogether.
    is_rebuilt: bool,
    /// How many positions were issued.
    pub joins: u64,
}

impl Line {
    pub fn is_void(&self, position: u64) -> bool {
        self.void.iter().any(|(first, last)| (*first..=*last).contains(&position))
    }

    fn is_called(&self, position: u64, now: Ms) -> bool {
        self.calls.iter().any(|(first, (last, until))| (*first..=*last).contains(&position) && now < *until)
    }

    /// Who was called had been issued.
    fn reach(&mut self, position: u64) {
        self.tail = self.tail.max(position);
        self.told_head = self.told_head.max(position);
    }

    fn scalars(&self, turn: &mut Turn<Self>) {
        turn.changed = true;
        turn.facts.insert(Key::Scalars, Row::Scalars { tail: self.tail, head: self.head, joins: self.joins });
    }

    /// Calls those that are next; the head passes the void.
    fn call(&mut self, count: u64, turn: &mut Turn<Self>) {
        let mut left = count;
        while left > 0 && self.head < self.tail {
            self.head += 1;
            if !self.is_void(self.head) {
                left -= 1;
                self.calls.insert(self.head, (self.head, turn.now + CALL_MS));
                turn.facts.insert(Key::Call(self.head), Row::Call { last: self.head, until: turn.now + CALL_MS });
            }
            self.scalars(turn);
        }
    }

    pub fn claim(&self, position: u64, now: Ms) -> Outcome {
        match position {
            _ if self.claimed.contains(&position) => Outcome::Already,
            _ if position > self.tail => Outcome::Unknown,
            _ if position > self.head => Outcome::Waiting,
            _ if self.is_called(position, now) || self.is_void(position) => Outcome::Entered,
            _ => Outcome::Lapsed,
        }
    }
}

impl Aggregate for Line {
    type Command = Command;
    type Outcome = Outcome;
    type Key = Key;
    type Row = Row;
    const CAN_BE_LOST: bool = false;

    fn exists(&self) -> bool {
        self.exists
    }

    fn tick(&mut self, _turn: &mut Turn<Self>) {}

    fn apply(&mut self, command: &Command, turn: &mut Turn<Self>) -> Outcome {
        match *command {
            Command::Configure if !self.exists => {
                self.exists = true;
                turn.changed = true;
                Outcome::Nothing
            }
            Command::Join if self.exists => {
                self.tail += 1;
                self.joins += 1;
                self.scalars(turn);
                Outcome::Position(self.tail)
            }
            Command::Call(count) => {
                self.call(count, turn);
                Outcome::Nothing
            }
            Command::Claim(position) if self.exists => {
                let outcome = self.claim(position, turn.now);
                if outcome == Outcome::Entered {
                    self.claimed.insert(position);
                    turn.changed = true;
                }
                if matches!(outcome, Outcome::Entered | Outcome::Already) {
                    turn.facts.insert(Key::Position(position), Row::Claimed);
                }
                outcome
            }
            _ => Outcome::Nothing,
        }
    }

    fn is_allowed_lost(_command: &Command) -> bool {
        false
    }

    fn replay(&mut self, rows: &[(Key, Mark, Row)], broken: Option<Broken>) {
        for (key, _, row) in rows {
            match (key, row) {
                (_, Row::Settings) => {
                    self.is_rebuilt |= !self.exists;
                    self.exists = true;
                }
                (_, Row::Scalars { tail, head, joins }) => {
                    self.tail = self.tail.max(*tail);
                    self.told_head = self.told_head.max(*head);
                    self.joins = self.joins.max(*joins);
                }
                (_, Row::Void(ranges)) => {
                    for range in ranges {
                        if !self.void.contains(range) {
                            self.void.push(*range);
                        }
                    }
                }
                (Key::Call(first), Row::Call { last, until }) => {
                    self.told_calls.insert(*first, (*last, *until));
                    self.reach(*last);
                }
                (Key::Position(_), Row::Claimed) if broken == Some(Broken::ForgetsClaims) => {}
                (Key::Position(position), _) => {
                    self.claimed.insert(*position);
                    self.reach(*position);
                }
                _ => {}
            }
        }
    }

    fn recovered(&mut self, heard: Option<bool>, term: u64, turn: &mut Turn<Self>) {
        let head = self.head;
        let calls = std::mem::take(&mut self.told_calls);
        self.calls.extend(calls.into_iter().filter(|(first, _)| *first > head));
        self.head = head.max(self.told_head);
        if std::mem::take(&mut self.is_rebuilt) {
            // Who entered from the void is forgotten: whoever is behind the head has lapsed.
            self.void.retain(|(_, last)| *last > self.head);
            self.void.iter_mut().for_each(|(first, _)| *first = (*first).max(self.head + 1));
        }
        if heard == Some(false) {
            self.calls.clear();
            if turn.broken != Some(Broken::JumpsNot) {
                let here = if turn.broken == Some(Broken::JumpsFromTheTail) { 0 } else { JUMP * term + self.joins };
                let last = here.max(self.tail + JUMP);
                self.void.push((self.tail + 1, last));
                self.tail = last;
            }
        }
        turn.facts.insert(Key::Void, Row::Void(self.void.clone()));
        self.scalars(turn);
    }

    fn settings(command: &Command) -> Option<(Key, Row)> {
        matches!(command, Command::Configure).then_some((Key::Settings, Row::Settings))
    }

    fn is_kept(key: &Key, broken: Option<Broken>) -> bool {
        matches!(key, Key::Scalars | Key::Void) && broken != Some(Broken::ForgetsTheTail)
    }

    fn check(&self) -> Result<(), String> {
        if self.head > self.tail {
            return Err(format!("the head {} is beyond the tail {}", self.head, self.tail));
        }
        match self.claimed.iter().next_back() {
            Some(last) if *last > self.tail => Err(format!("{last} entered, the tail is {}", self.tail)),
            _ => Ok(()),
        }
    }
}

/// What visitors were told.
#[derive(Debug, Default)]
pub struct Visitors {
    tickets: Vec<(u64, Id)>,
    entered: Vec<(u64, Id)>,
    /// Who was told that his ticket is none.
    turned_away: BTreeSet<u64>,
}

impl Books<Line> for Visitors {
    fn first() -> Command {
        Command::Configure
    }

    fn joining() -> Command {
        Command::Configure
    }

    fn operator() -> Option<Command> {
        None
    }

    fn command(&mut self, kind: u8, pick: usize) -> Command {
        let ticket = self.tickets.get(pick % self.tickets.len().max(1));
        match (kind % 8, ticket) {
            (0..=2, _) | (_, None) => Command::Join,
            (3..=4, _) => Command::Call(1 + pick as u64 % 2),
            (_, Some((position, _))) => Command::Claim(*position),
        }
    }

    fn sent(&mut self, _commands: &[Command]) {}

    fn gives(_command: &Command) -> bool {
        false
    }

    fn acknowledged(&mut self, by: Id, command: &Command, outcome: &Outcome, _now: Ms) {
        match (command, outcome) {
            (_, Outcome::Position(position)) => self.tickets.push((*position, by)),
            (Command::Claim(position), Outcome::Entered) => self.entered.push((*position, by)),
            (Command::Claim(position), Outcome::Unknown) => _ = self.turned_away.insert(*position),
            _ => {}
        }
    }

    fn end(&self, line: &Line, now: Ms, fate: &Fate) -> Result<(), String> {
        for (place, (position, by)) in self.tickets.iter().enumerate() {
            let is_doubled = self.tickets[..place].iter().any(|(other, _)| other == position);
            if is_doubled && !fate.is_beyond_the_void {
                return Err(format!("position {position} was issued twice, at last by {by}"));
            }
            let is_turned_away = self.turned_away.contains(position) && !fate.is_split;
            let is_unknown = line.claim(*position, now) == Outcome::Unknown || is_turned_away;
            if is_unknown && !fate.is_beyond_the_void {
                return Err(format!("position {position}, issued by {by}, is unknown"));
            }
        }
        for (place, (position, first)) in self.entered.iter().enumerate() {
            let excused = !fate.is_kind() || fate.is_beyond_the_void;
            let again = self.entered[..place].iter().any(|(other, _)| other == position);
            if again && !excused {
                return Err(format!("position {position} entered twice, at last by {first}"));
            }
            let after = line.claim(*position, now);
            let is_out = matches!(after, Outcome::Already | Outcome::Lapsed);
            if !is_out && !fate.dead.contains(first) && !fate.is_split && !fate.is_beyond_the_void {
                return Err(format!("position {position} entered by {first}, and is now {after:?}"));
            }
        }
        Ok(())
    }
}
