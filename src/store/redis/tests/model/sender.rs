//! The sender of one instance, as `sender.rs` and `memory.rs` have it, call by call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Broken,
    gate::{Aggregate, Answer, Call, Id, Mark, Ms, Name, Op, Status},
};

/// How long a batch whose answer was lost is sent again.
const RESEND_FOR: Ms = 2_000;

/// How long a server that lags behind is looked past for a better one.
const STALE_FOR: Ms = 5_000;

/// How often one batch catches up with the store before its caller is told to come again.
const ROUNDS: usize = 3;

/// How long rows are remembered.
pub const REPLAY_WINDOW: Ms = 60_000;

/// Few, so that a replay has pages and something may happen between them.
const ROWS_AT_ONCE: usize = 3;

#[derive(Clone, Debug)]
struct Row<A: Aggregate> {
    mark: Mark,
    row: A::Row,
    at: Ms,
}

/// What a sender is about.
#[derive(Clone, Debug)]
struct Task<A: Aggregate> {
    commands: Vec<A::Command>,
    until: Ms,
    rounds: usize,
    replay: Option<Replay<A>>,
}

#[derive(Clone, Debug)]
struct Replay<A: Aggregate> {
    pages: VecDeque<Vec<(A::Key, Mark, A::Row)>>,
    into: Option<Name>,
    told: Vec<A::Key>,
}

#[derive(Clone, Debug)]
pub struct Sender<A: Aggregate> {
    id: Id,
    number: u64,
    seen: Name,
    met: u64,
    now: Ms,
    at: Ms,
    rows: BTreeMap<A::Key, Row<A>>,
    forgotten: Mark,
    settings: Option<(A::Key, A::Row)>,
    stale_since: Option<Ms>,
    task: Option<Task<A>>,
    broken: Option<Broken>,
}

/// What came of a call.
#[derive(Debug)]
pub enum Came<A: Aggregate> {
    /// There is more to call.
    On,
    /// The batch's answer.
    Acknowledged(Vec<(A::Command, A::Outcome)>),
    /// The batch is given up; it may have been applied.
    Failed(Status),
    /// And another server is to be looked for.
    Distrusted,
}

impl<A: Aggregate> Sender<A> {
    pub fn new(id: Id, broken: Option<Broken>) -> Self {
        Self {
            id,
            number: 0,
            seen: Name::default(),
            met: 0,
            now: 0,
            at: 0,
            rows: BTreeMap::new(),
            forgotten: Mark::default(),
            settings: None,
            stale_since: None,
            task: None,
            broken,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.task.is_none()
    }

    /// Whether there may be anything to tell.
    pub fn is_to_watch(&self) -> bool {
        self.seen.term > 0 || self.met > 0
    }

    pub fn begin(&mut self, now: Ms, commands: Vec<A::Command>) {
        if let Some(settings) = commands.iter().rev().find_map(A::settings) {
            self.settings = Some(settings);
        }
        self.number += 1;
        self.task = Some(Task { commands, until: now + RESEND_FOR, rounds: 0, replay: None });
    }

    /// The commands on their way.
    pub fn commands(&self) -> &[A::Command] {
        self.task.as_ref().map_or(&[], |task| &task.commands)
    }

    /// The call to be made next.
    pub fn call(&self, now: Ms, peers: &BTreeSet<Id>) -> Option<Call<A>> {
        let task = self.task.as_ref()?;
        let op = match &task.replay {
            None => Op::Batch(task.commands.clone()),
            Some(Replay { pages, into, .. }) => match pages.front() {
                Some(rows) => Op::Replay { into: *into, rows: rows.clone() },
                None => Op::Done { into: *into, forgotten: self.forgotten() },
            },
        };
        Some(self.called(op, now, peers))
    }

    pub fn leave(&self, now: Ms) -> Call<A> {
        self.called(Op::Leave, now, &BTreeSet::new())
    }

    fn called(&self, op: Op<A>, now: Ms, peers: &BTreeSet<Id>) -> Call<A> {
        let met = if self.broken == Some(Broken::SeesBackwards) { self.seen.term } else { self.met };
        Call {
            op,
            from: self.id,
            number: self.number,
            seen: self.seen,
            met,
            reckoned: if self.seen.term == 0 { 0 } else { self.now + (now - self.at) },
            floor: self.now,
            adopts: self.stale_since.is_some_and(|since| now - since >= STALE_FOR),
            peers: peers.clone(),
        }
    }

    fn forgotten(&self) -> Mark {
        let of_term = self.forgotten.term == self.seen.term;
        if self.broken == Some(Broken::ForgetsOfOlderTerms) && !of_term { Mark::default() } else { self.forgotten }
    }

    /// No answer came.
    pub fn unanswered(&mut self, now: Ms) -> Came<A> {
        match &self.task {
            Some(task) if task.replay.is_none() && now < task.until => Came::On,
            _ => self.fail(Status::Old),
        }
    }

    fn fail(&mut self, status: Status) -> Came<A> {
        self.task = None;
        Came::Failed(status)
    }

    pub fn answered(&mut self, now: Ms, answer: &Answer<A>) -> Came<A> {
        self.met = self.met.max(answer.name.term);
        if answer.status == Status::Lost && self.broken != Some(Broken::ForgetsThatItWasLost) {
            // A store that loses even this has lost more than is remembered.
            self.forgotten = self.forgotten.max(Mark { term: answer.name.term, seq: answer.seq });
        }
        if self.task.as_ref().is_some_and(|task| task.replay.is_some()) {
            return self.told(now, answer);
        }
        if answer.status != Status::Stale {
            self.stale_since = None;
        }
        match answer.status {
            Status::Ok => {
                self.learn(now, answer);
                let task = self.task.take();
                let commands = task.map(|task| task.commands).unwrap_or_default();
                Came::Acknowledged(commands.into_iter().zip(answer.outcomes.iter().cloned()).collect())
            }
            Status::Recovering | Status::Behind if self.seen == answer.name => self.fail(answer.status),
            Status::Recovering | Status::Behind => self.begin_replay(),
            Status::Gone if !A::CAN_BE_LOST && self.settings.is_some() => self.begin_replay(),
            Status::Gone | Status::Lost | Status::Old => self.fail(answer.status),
            Status::Stale => {
                self.stale_since.get_or_insert(now);
                self.task = None;
                Came::Distrusted
            }
        }
    }

    fn begin_replay(&mut self) -> Came<A> {
        let settings = self.settings.iter().map(|(key, row)| (key.clone(), Mark::default(), row.clone()));
        let others = self.rows.iter().map(|(key, row)| (key.clone(), row.mark, row.row.clone()));
        let rows: Vec<_> = settings.chain(others).collect();
        let mut pages: VecDeque<_> = rows.chunks(ROWS_AT_ONCE).map(<[_]>::to_vec).collect();
        if pages.is_empty() {
            pages.push_back(vec![]);
        }
        let Some(task) = &mut self.task else { return Came::On };
        task.rounds += 1;
        if task.rounds > ROUNDS {
            return self.fail(Status::Recovering);
        }
        task.replay = Some(Replay { pages, into: None, told: self.rows.keys().cloned().collect() });
        Came::On
    }

    /// A page, or the end of the replay, was answered.
    fn told(&mut self, now: Ms, answer: &Answer<A>) -> Came<A> {
        let Some(replay) = self.task.as_mut().and_then(|task| task.replay.as_mut()) else { return Came::On };
        if !replay.pages.is_empty() {
            if answer.status != Status::Ok {
                return self.fail(Status::Recovering);
            }
            replay.pages.pop_front();
            replay.into.get_or_insert(answer.name);
            return Came::On;
        }
        let is_taken = answer.status == Status::Ok
            || (answer.status == Status::Recovering
                && (replay.into == Some(answer.name) || self.broken == Some(Broken::TellsAnyRecovery)));
        if !is_taken {
            return self.fail(answer.status);
        }
        let told = std::mem::take(&mut replay.told);
        if self.broken != Some(Broken::RemembersFromTheFirst) {
            told.iter().for_each(|key| _ = self.rows.get_mut(key).map(|row| row.at = now));
        }
        if answer.status == Status::Recovering {
            self.see(now, answer);
            return self.fail(Status::Recovering);
        }
        self.learn(now, answer);
        if let Some(task) = &mut self.task {
            task.replay = None;
        }
        Came::On
    }

    fn see(&mut self, now: Ms, answer: &Answer<A>) {
        if answer.name.term >= self.seen.term || self.broken == Some(Broken::SeesBackwards) {
            self.seen = answer.name;
        }
        (self.now, self.at) = (self.now.max(answer.now), now);
    }

    fn learn(&mut self, now: Ms, answer: &Answer<A>) {
        // An answer from before the recovery, given again after it, is older than what is known.
        let is_old = answer.name.term < self.seen.term && self.broken != Some(Broken::LearnsBackwards);
        self.see(now, answer);
        let mark = Mark { term: answer.name.term, seq: answer.seq };
        for (key, row) in &answer.facts {
            if !(is_old && self.rows.contains_key(key)) {
                self.rows.insert(key.clone(), Row { mark, row: row.clone(), at: now });
            }
        }
        self.forget(now);
    }

    pub fn forget(&mut self, now: Ms) {
        let (broken, forgotten) = (self.broken, &mut self.forgotten);
        self.rows.retain(|key, row| {
            let stays = now - row.at < REPLAY_WINDOW || A::is_kept(key, broken);
            if !stays {
                *forgotten = row.mark.max(*forgotten);
            }
            stays
        });
    }
}
