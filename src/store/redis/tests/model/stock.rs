//! A stock as far as a loss can hurt it: units, and holds that take and give them back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Broken,
    books::{Books, Fate},
    gate::{Aggregate, Id, Mark, Ms, Turn},
};

/// How many there are of each thing: few, so that what is given back is soon taken again.
const TOTAL: [u64; 2] = [3, 2];

/// How long a hold lasts.
const HOLD_MS: Ms = 15_000;

#[derive(Clone, Copy, Debug)]
pub enum Command {
    Make { is_operator: bool },
    Reserve { id: u64, lines: [u64; 2] },
    Extend(u64),
    Confirm { id: u64, order: u64 },
    Release(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Held,
    Confirmed(u64),
    Released,
    Expired,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Made,
    NeedsOperator,
    Is(State),
    SoldOut,
    PaidTooLate,
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub state: State,
    lines: [u64; 2],
    until: Ms,
    mark: Mark,
    /// Orders that were paid for nothing: the shop was told.
    late: BTreeSet<u64>,
}

impl Record {
    /// Whether another side promised it for longer. That it expired here was nobody's act.
    fn is_outlasted_by(&self, other: &Self) -> bool {
        let is_open = matches!(self.state, State::Held | State::Expired);
        is_open && other.state == State::Held && other.until > self.until
    }

    fn takes(&self) -> bool {
        matches!(self.state, State::Held | State::Confirmed(_))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Stock {
    exists: bool,
    records: BTreeMap<u64, Record>,
    staged: BTreeMap<(u64, Mark), Record>,
}

/// What the staged rows of one hold come to.
struct Target {
    id: u64,
    record: Record,
    /// What was confirmed of it elsewhere.
    orders: Vec<u64>,
    /// It is none of the rows, but what two of them come to.
    is_outlasted: bool,
}

impl Stock {
    fn taken(&self) -> [u64; 2] {
        self.records
            .values()
            .filter(|record| record.takes())
            .fold([0, 0], |sum, record| [sum[0] + record.lines[0], sum[1] + record.lines[1]])
    }

    fn fits(&self, lines: [u64; 2]) -> bool {
        let taken = self.taken();
        (0..2).all(|at| taken[at] + lines[at] <= TOTAL[at])
    }

    fn keep(&mut self, id: u64, record: Record, turn: &mut Turn<Self>) {
        turn.changed = true;
        turn.facts.insert(id, record.clone());
        self.records.insert(id, record);
    }

    /// Changes a record within this batch.
    fn change(&mut self, id: u64, turn: &mut Turn<Self>, change: impl FnOnce(&mut Record)) {
        if let Some(mut record) = self.records.get(&id).cloned() {
            change(&mut record);
            record.mark = turn.mark;
            self.keep(id, record, turn);
        }
    }

    /// Whoever is told of what is there remembers it as if he had made it.
    fn tell(&self, id: u64, turn: &mut Turn<Self>) {
        if let Some(record) = self.records.get(&id).filter(|_| turn.broken != Some(Broken::TellsWhatIsThereAndNoFact)) {
            turn.facts.insert(id, record.clone());
        }
    }

    fn confirm(&mut self, id: u64, order: u64, turn: &mut Turn<Self>) -> Outcome {
        self.tell(id, turn);
        let Some(record) = self.records.get(&id) else { return Outcome::Unknown };
        match record.state {
            State::Confirmed(_) => Outcome::Is(record.state),
            State::Held => {
                self.change(id, turn, |record| record.state = State::Confirmed(order));
                Outcome::Is(State::Confirmed(order))
            }
            _ if self.fits(record.lines) => {
                self.change(id, turn, |record| record.state = State::Confirmed(order));
                Outcome::Is(State::Confirmed(order))
            }
            _ => {
                self.change(id, turn, |record| _ = record.late.insert(order));
                Outcome::PaidTooLate
            }
        }
    }

    /// The staged rows, hold by hold: the newest counts, but what was confirmed stays confirmed.
    fn targets(&mut self, broken: Option<Broken>) -> Vec<Target> {
        let mut targets = BTreeMap::new();
        for ((id, mark), row) in std::mem::take(&mut self.staged) {
            let stored = self.records.get(&id);
            let newest = stored.filter(|stored| stored.mark >= mark).unwrap_or(&row).clone();
            let target = targets.entry(id).or_insert_with(|| Target {
                id,
                record: newest.clone(),
                orders: vec![],
                is_outlasted: false,
            });
            let mut late = target.record.late.clone();
            late.extend(row.late.iter().chain(stored.iter().flat_map(|stored| &stored.late)));
            if newest.mark >= target.record.mark {
                target.record = newest;
            }
            if broken == Some(Broken::LetsTheNewerWin) {
                continue;
            }
            target.record.late = late;
            if target.record.is_outlasted_by(&row) {
                (target.record.state, target.record.until, target.record.mark) = (State::Held, row.until, mark);
                target.is_outlasted = true;
            }
            for record in stored.into_iter().chain([&row]) {
                if let State::Confirmed(order) = record.state {
                    target.orders.push(order);
                }
            }
        }
        let mut targets: Vec<_> = targets.into_values().collect();
        targets.sort_by_key(|target| target.record.mark);
        targets
    }

    /// Gives a hold what is to become of it, as far as the units are there.
    fn settle(&mut self, target: Target, turn: &mut Turn<Self>) {
        let Target { id, mut record, orders, is_outlasted } = target;
        if is_outlasted {
            record.mark = turn.mark;
        }
        let has = self.records.get(&id).is_some_and(Record::takes);
        let fits = has || self.fits(record.lines) || turn.broken == Some(Broken::TakesWhatIsNotThere);
        match record.state {
            State::Held if !has && record.until <= turn.now => {
                (record.state, record.mark) = (State::Expired, turn.mark);
            }
            State::Held | State::Confirmed(_) if fits => {}
            State::Held => (record.state, record.mark) = (State::Lost, turn.mark),
            State::Confirmed(order) => {
                record.late.insert(order);
                (record.state, record.mark) = (State::Expired, turn.mark);
            }
            State::Released | State::Expired | State::Lost => {}
        }
        for order in orders {
            match record.state {
                State::Confirmed(known) if known == order => continue,
                State::Confirmed(_) => _ = record.late.insert(order),
                _ if record.late.contains(&order) => continue,
                _ if fits => record.state = State::Confirmed(order),
                _ => _ = record.late.insert(order),
            }
            record.mark = turn.mark;
        }
        self.keep(id, record, turn);
    }
}

impl Aggregate for Stock {
    type Command = Command;
    type Outcome = Outcome;
    type Key = u64;
    type Row = Record;
    const CAN_BE_LOST: bool = true;

    fn exists(&self) -> bool {
        self.exists
    }

    fn tick(&mut self, turn: &mut Turn<Self>) {
        let is_due = |record: &Record| record.state == State::Held && record.until <= turn.now;
        let due: Vec<u64> = self.records.iter().filter(|(_, record)| is_due(record)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.change(id, turn, |record| record.state = State::Expired));
    }

    fn apply(&mut self, command: &Command, turn: &mut Turn<Self>) -> Outcome {
        if let Command::Make { is_operator } = *command {
            if is_operator {
                self.exists = true;
                turn.changed = true;
            }
            return if self.exists { Outcome::Made } else { Outcome::NeedsOperator };
        }
        if !self.exists {
            return Outcome::Unknown;
        }
        match *command {
            Command::Make { .. } => Outcome::Made,
            Command::Reserve { id, lines } => match self.records.get(&id) {
                Some(record) => {
                    self.tell(id, turn);
                    Outcome::Is(record.state)
                }
                None if !self.fits(lines) => Outcome::SoldOut,
                None => {
                    let (until, mark) = (turn.now + HOLD_MS, turn.mark);
                    self.keep(id, Record { state: State::Held, lines, until, mark, late: BTreeSet::new() }, turn);
                    Outcome::Is(State::Held)
                }
            },
            Command::Confirm { id, order } => self.confirm(id, order, turn),
            Command::Extend(id) | Command::Release(id) => {
                let Some(state) = self.records.get(&id).map(|record| record.state) else { return Outcome::Unknown };
                let until = turn.now + HOLD_MS;
                self.tell(id, turn);
                match (state, command) {
                    (State::Held, Command::Extend(_)) => self.change(id, turn, |record| record.until = until),
                    (State::Held, _) => self.change(id, turn, |record| record.state = State::Released),
                    _ => {}
                }
                Outcome::Is(self.records.get(&id).map_or(state, |record| record.state))
            }
        }
    }

    fn is_allowed_lost(command: &Command) -> bool {
        matches!(command, Command::Make { is_operator: true })
    }

    fn replay(&mut self, rows: &[(u64, Mark, Record)], broken: Option<Broken>) {
        for (id, _, row) in rows {
            let stored = self.records.get(id);
            let is_newer = stored.is_none_or(|stored| stored.mark < row.mark);
            let is_order = matches!(row.state, State::Confirmed(_)) || !row.late.is_empty();
            let is_longer = stored.is_some_and(|stored| stored.is_outlasted_by(row));
            if is_newer || ((is_order || is_longer) && broken != Some(Broken::LetsTheNewerWin)) {
                self.staged.insert((*id, row.mark), row.clone());
            }
        }
    }

    fn recovered(&mut self, _heard: Option<bool>, _term: u64, turn: &mut Turn<Self>) {
        let mut targets = self.targets(turn.broken);
        if turn.broken == Some(Broken::TakesInAnyOrder) {
            targets.reverse();
            targets.into_iter().for_each(|target| self.settle(target, turn));
            return;
        }
        // What takes nothing goes first, then what is overdue, then what takes.
        let (takes, gives): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| {
            let has = self.records.get(&target.id).is_some_and(Record::takes);
            !has && (target.record.takes() || !target.orders.is_empty())
        });
        gives.into_iter().for_each(|target| self.settle(target, turn));
        self.tick(turn);
        takes.into_iter().for_each(|target| self.settle(target, turn));
    }

    fn settings(_command: &Command) -> Option<(u64, Record)> {
        None
    }

    fn is_kept(_key: &u64, _broken: Option<Broken>) -> bool {
        false
    }

    fn check(&self) -> Result<(), String> {
        let taken = self.taken();
        if (0..2).any(|at| taken[at] > TOTAL[at]) { Err(format!("{taken:?} of {TOTAL:?} are taken")) } else { Ok(()) }
    }
}

/// What buyers were told.
#[derive(Debug, Default)]
pub struct Buyers {
    next: u64,
    held: Vec<u64>,
    released: BTreeSet<u64>,
    /// Until when the hold lasts at least, as far as it is known.
    told: Vec<(u64, State, Id, Ms)>,
    late: Vec<(u64, u64, Id)>,
}

impl Books<Stock> for Buyers {
    fn first() -> Command {
        Command::Make { is_operator: true }
    }

    fn joining() -> Command {
        Command::Make { is_operator: false }
    }

    fn operator() -> Option<Command> {
        Some(Self::first())
    }

    fn command(&mut self, kind: u8, pick: usize) -> Command {
        let held = self.held.get(pick % self.held.len().max(1)).copied();
        self.next += 1;
        match (kind % 10, held) {
            (0..=3, _) | (_, None) => {
                let lines = [[1, 0], [0, 1], [1, 1], [2, 0]][pick % 4];
                self.held.push(self.next);
                Command::Reserve { id: self.next, lines }
            }
            (4, Some(id)) => Command::Extend(id),
            (5..=7, Some(id)) => Command::Confirm { id, order: self.next },
            (_, Some(id)) => Command::Release(id),
        }
    }

    fn sent(&mut self, commands: &[Command]) {
        for command in commands {
            if let Command::Release(id) = command {
                self.released.insert(*id);
            }
        }
    }

    fn gives(command: &Command) -> bool {
        matches!(command, Command::Release(_))
    }

    fn acknowledged(&mut self, by: Id, command: &Command, outcome: &Outcome, now: Ms) {
        match (*command, *outcome) {
            (Command::Reserve { id, .. } | Command::Extend(id), Outcome::Is(State::Held)) => {
                // A grant that is told again says nothing of when it was made.
                let until = if matches!(command, Command::Extend(_)) { now + HOLD_MS } else { 0 };
                self.told.push((id, State::Held, by, until));
            }
            (Command::Confirm { id, .. } | Command::Release(id), Outcome::Is(state)) => {
                self.told.push((id, state, by, now));
            }
            (Command::Confirm { id, order }, Outcome::PaidTooLate) => self.late.push((id, order, by)),
            _ => {}
        }
    }

    fn end(&self, stock: &Stock, now: Ms, fate: &Fate) -> Result<(), String> {
        if fate.is_given_up || fate.is_split_for_long {
            return Ok(());
        }
        for (id, state, by, until) in self.told.iter().filter(|(_, _, by, _)| !fate.dead.contains(by)) {
            let Some(record) = stock.records.get(id) else {
                return Err(format!("hold {id}, {state:?} by {by}, is gone"));
            };
            let is_told =
                record.state == State::Lost || matches!(state, State::Confirmed(order) if record.late.contains(order));
            if is_told && fate.is_kind() && !fate.is_unanswered {
                return Err(format!("hold {id}, {state:?} by {by}, is {:?} {:?}", record.state, record.late));
            }
            let is_kept = match (*state, record.state) {
                (State::Confirmed(order), State::Confirmed(kept)) if order == kept => true,
                (State::Confirmed(order), _) => record.late.contains(&order),
                // Extended by who did not hear of it: it comes back with its deadline.
                (State::Released, State::Held) => !fate.is_kind(),
                (State::Held, State::Released) => self.released.contains(id),
                (State::Held, State::Expired) => *until <= now || !record.late.is_empty() || self.released.contains(id),
                _ => true,
            };
            if !is_kept {
                return Err(format!("hold {id}, {state:?} by {by}, is {record:?}"));
            }
        }
        for (id, order, by) in self.late.iter().filter(|(_, _, by)| !fate.dead.contains(by)) {
            let record = stock.records.get(id);
            let is_told =
                record.is_some_and(|record| record.late.contains(order) || record.state == State::Confirmed(*order));
            if !is_told {
                return Err(format!("order {order} for hold {id}, too late by {by}, is not told of"));
            }
        }
        Ok(())
    }
}
