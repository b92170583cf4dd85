//! The gate before an aggregate, as `lua/gate.lua` and `lua/run.lua` have it: one call, decided and applied at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use super::Broken;

/// An instance.
pub type Id = usize;

pub type Ms = u64;

/// How long others are waited for after a loss.
pub const RECOVERY_MS: Ms = 5_000;

/// Whoever changed something in this time may remember what the store has lost.
const HEARD_MS: Ms = 90_000;

/// Rows of instances unseen for so long are pruned.
const PRUNE_MS: Ms = 600_000;

/// Which batch: the newer is the higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub term: u64,
    pub seq: u64,
}

/// What a making, and every recovery after it, is called: when it began, by whom, on which server. No two are called the
/// same, whatever became of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    at: Ms,
    by: Id,
    stamp: u64,
}

/// A term, told from others of the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name {
    pub term: u64,
    pub made: Option<Made>,
}

/// A row that is told again, and the batch that made it.
pub type Told<A> = (<A as Aggregate>::Key, Mark, <A as Aggregate>::Row);

/// What stands behind the gate.
pub trait Aggregate: Clone + Debug + Default {
    type Command: Clone + Debug;
    type Outcome: Clone + Debug + PartialEq;
    type Key: Ord + Clone + Debug;
    type Row: Clone + Debug;
    /// Whether it waits for its operator where more is lost than anybody remembers; if not, it is rebuilt.
    const CAN_BE_LOST: bool;

    fn exists(&self) -> bool;
    /// What is due, before a batch.
    fn tick(&mut self, turn: &mut Turn<Self>);
    fn apply(&mut self, command: &Self::Command, turn: &mut Turn<Self>) -> Self::Outcome;
    /// Whether a command may be applied to one that waits for its operator, and ends the waiting.
    fn is_allowed_lost(command: &Self::Command) -> bool;
    fn replay(&mut self, rows: &[(Self::Key, Mark, Self::Row)], broken: Option<Broken>);
    /// `term` is the one that begins.
    fn recovered(&mut self, heard: Option<bool>, term: u64, turn: &mut Turn<Self>);
    /// The row that rebuilds it, if the command has it.
    fn settings(command: &Self::Command) -> Option<(Self::Key, Self::Row)>;
    /// Whether a row is remembered however old.
    fn is_kept(key: &Self::Key, broken: Option<Broken>) -> bool;
    /// What must hold in every state.
    fn check(&self) -> Result<(), String>;
}

/// What a batch has at hand, and what it leaves behind.
pub struct Turn<A: Aggregate> {
    pub now: Ms,
    pub mark: Mark,
    pub changed: bool,
    pub facts: BTreeMap<A::Key, A::Row>,
    pub broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    Recovering,
    Lost,
}

#[derive(Clone, Debug)]
pub enum Op<A: Aggregate> {
    Batch(Vec<A::Command>),
    /// `into` names the recovery that the first page went into.
    Replay {
        into: Option<Name>,
        rows: Vec<Told<A>>,
    },
    Done {
        into: Option<Name>,
        forgotten: Mark,
    },
    Leave,
}

#[derive(Clone, Debug)]
pub struct Call<A: Aggregate> {
    pub op: Op<A>,
    pub from: Id,
    pub number: u64,
    /// The term in which the sender last caught up.
    pub seen: Name,
    /// The highest term it ever met.
    pub met: u64,
    pub reckoned: Ms,
    pub floor: Ms,
    pub adopts: bool,
    pub peers: BTreeSet<Id>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    Recovering,
    Behind,
    Stale,
    Gone,
    Lost,
    Old,
}

#[derive(Clone, Debug)]
pub struct Answer<A: Aggregate> {
    pub status: Status,
    pub name: Name,
    pub seq: u64,
    pub now: Ms,
    pub outcomes: Vec<A::Outcome>,
    pub facts: BTreeMap<A::Key, A::Row>,
    /// Seen by the model only: a recovery ended with this call, heard or unheard.
    pub ended: Option<bool>,
    /// And so is that there was nothing before it.
    pub is_made: bool,
}

/// The server that a call came to.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    pub stamp: u64,
    pub now: Ms,
}

/// An aggregate with its header, as the store keeps it.
#[derive(Clone, Debug)]
pub struct Kept<A: Aggregate> {
    pub name: Name,
    pub stamp: u64,
    pub seq: u64,
    pub phase: Phase,
    until: Ms,
    done: BTreeSet<Id>,
    peers: BTreeSet<Id>,
    fork: Mark,
    is_lost: bool,
    skew: i64,
    pub last: Ms,
    sent: BTreeMap<Id, (u64, Answer<A>)>,
    seen: BTreeMap<Id, Ms>,
    pub body: A,
    /// Seen by the model only: every batch that is in this state.
    pub applied: BTreeSet<(Id, u64)>,
    pub applied_twice: Option<(Id, u64)>,
}

/// One call on its way through the gate.
struct Way<'a, A: Aggregate> {
    kept: Kept<A>,
    host: Host,
    call: &'a Call<A>,
    now: Ms,
    turn: Turn<A>,
    ended: Option<bool>,
    is_made: bool,
    broken: Option<Broken>,
}

/// What a call comes to: its answer, and the state that is written, if any is.
pub fn serve<A: Aggregate>(
    stored: Option<&Kept<A>>,
    host: Host,
    call: &Call<A>,
    broken: Option<Broken>,
) -> (Answer<A>, Option<Kept<A>>) {
    let kept = stored.cloned().unwrap_or_else(|| Kept::nothing(host));
    let now = kept.now(host).max(kept.last).max(call.floor);
    let turn = Turn { now, mark: Mark::default(), changed: false, facts: BTreeMap::new(), broken };
    let mut way = Way { kept, host, call, now, turn, ended: None, is_made: false, broken };
    let (mut answer, writes) = if stored.is_some() { way.run() } else { way.at_nothing() };
    (answer.ended, answer.is_made) = (way.ended, way.is_made);
    (answer, writes.then_some(way.kept))
}

impl<A: Aggregate> Kept<A> {
    fn nothing(host: Host) -> Self {
        Self {
            name: Name::default(),
            stamp: host.stamp,
            seq: 0,
            phase: Phase::Open,
            until: 0,
            done: BTreeSet::new(),
            peers: BTreeSet::new(),
            fork: Mark::default(),
            is_lost: false,
            skew: 0,
            last: 0,
            sent: BTreeMap::new(),
            seen: BTreeMap::new(),
            body: A::default(),
            applied: BTreeSet::new(),
            applied_twice: None,
        }
    }

    /// The store's time; the wear of the skew is left out.
    pub fn now(&self, host: Host) -> Ms {
        host.now.saturating_add_signed(self.skew)
    }
}

impl<A: Aggregate> Way<'_, A> {
    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn answer(&self, status: Status) -> Answer<A> {
        Answer {
            status,
            name: self.kept.name,
            seq: self.kept.seq,
            now: self.now,
            outcomes: vec![],
            facts: BTreeMap::new(),
            ended: None,
            is_made: false,
        }
    }

    fn mark(&mut self) {
        self.turn.now = self.now;
        self.turn.mark = Mark { term: self.kept.name.term, seq: self.kept.seq + 1 };
    }

    /// The time by which instances are seen and forgotten.
    fn seen_now(&self) -> Ms {
        if self.is(Broken::CountsByTheServersClock) { self.host.now } else { self.kept.now(self.host) }
    }

    fn make_header(&mut self, term: u64) {
        let made = Made { at: self.host.now, by: self.call.from, stamp: self.host.stamp };
        self.kept.name = Name { term, made: Some(made) };
        self.kept.stamp = self.host.stamp;
    }

    fn begin_recovery(&mut self, term: u64) {
        if self.kept.phase != Phase::Recovering || self.is(Broken::MovesTheFork) {
            self.kept.fork = Mark { term: self.kept.name.term, seq: self.kept.seq };
        }
        if self.is(Broken::TermsHaveNoNames) {
            (self.kept.name.term, self.kept.stamp) = (term, self.host.stamp);
        } else {
            self.make_header(term);
        }
        self.kept.phase = Phase::Recovering;
        self.kept.until = self.host.now + RECOVERY_MS;
        self.kept.done.clear();
        self.kept.peers.clear();
        if self.call.reckoned > 0 {
            self.kept.skew = self.call.reckoned.cast_signed() - self.host.now.cast_signed();
        }
    }

    fn all_heard(&self) -> bool {
        let since = self.seen_now().saturating_sub(HEARD_MS);
        let seen = self.kept.seen.iter().filter(|(_, at)| **at >= since).map(|(id, _)| id);
        let peers = self.kept.peers.iter().filter(|_| !self.is(Broken::ForgetsPeers));
        // Who is done has brought the peers: before that nobody knows who is to be heard.
        let is_known = !self.kept.done.is_empty() || self.is(Broken::AsksNobody);
        is_known && seen.chain(peers).all(|id| self.kept.done.contains(id))
    }

    fn note_done(&mut self, forgotten: Mark, was_open: bool) {
        if !was_open {
            self.kept.done.insert(self.call.from);
        }
        let forgotten = if self.is(Broken::ForgetsWhatItForgot) { Mark::default() } else { forgotten };
        let is_heeded = !was_open || !self.is(Broken::HeedsNoLateLoss);
        if A::CAN_BE_LOST && forgotten > self.kept.fork && is_heeded {
            self.kept.is_lost = true;
            if was_open {
                self.kept.phase = Phase::Lost;
            }
        }
    }

    fn end_recovery(&mut self) -> bool {
        let heard = self.all_heard();
        if !heard && self.host.now < self.kept.until && !self.is(Broken::EndsBeforeAllAreDone) {
            return false;
        }
        self.kept.phase = if self.kept.is_lost { Phase::Lost } else { Phase::Open };
        self.now = self.kept.now(self.host).max(self.kept.last).max(self.call.floor);
        self.recovered(Some(heard));
        self.ended = Some(heard);
        true
    }

    fn recovered(&mut self, heard: Option<bool>) {
        self.mark();
        self.kept.body.recovered(heard, self.kept.name.term, &mut self.turn);
        self.turn.changed = true;
    }

    fn sent_before(&self) -> Option<Answer<A>> {
        if self.is(Broken::CountsNoBatches) {
            return None;
        }
        let (last, answer) = self.kept.sent.get(&self.call.from)?;
        match self.call.number.cmp(last) {
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Equal => Some(answer.clone()),
            std::cmp::Ordering::Less => Some(self.answer(Status::Old)),
        }
    }

    fn apply_batch(&mut self, commands: &[A::Command]) -> (Answer<A>, bool) {
        if let Some(before) = self.sent_before() {
            return (before, false);
        }
        self.mark();
        self.kept.body.tick(&mut self.turn);
        let outcomes: Vec<_> = commands.iter().map(|command| self.kept.body.apply(command, &mut self.turn)).collect();
        if self.kept.phase == Phase::Lost {
            (self.kept.phase, self.kept.is_lost) = (Phase::Open, false);
        }
        if !self.turn.changed {
            let mut answer = self.answer(Status::Ok);
            (answer.outcomes, answer.facts) = (outcomes, self.turn.facts.clone());
            return (answer, false);
        }
        self.kept.seq += 1;
        self.kept.last = self.now;
        let mut answer = self.answer(Status::Ok);
        (answer.outcomes, answer.facts) = (outcomes, self.turn.facts.clone());
        let batch = (self.call.from, self.call.number);
        if !self.kept.applied.insert(batch) {
            self.kept.applied_twice = Some(batch);
        }
        let gone = self.seen_now().saturating_sub(PRUNE_MS);
        let gone: Vec<Id> = self.kept.seen.iter().filter(|(_, at)| **at < gone).map(|(id, _)| *id).collect();
        self.kept.sent.insert(self.call.from, (self.call.number, answer.clone()));
        self.kept.seen.insert(self.call.from, self.seen_now());
        for id in gone {
            if id != self.call.from || self.is(Broken::PrunesItself) {
                self.kept.seen.remove(&id);
                self.kept.sent.remove(&id);
            }
        }
        (answer, true)
    }

    fn apply_replay(&mut self, rows: &[Told<A>]) -> (Answer<A>, bool) {
        self.kept.peers.extend(&self.call.peers);
        self.kept.body.replay(rows, self.broken);
        (self.answer(Status::Ok), true)
    }

    fn finish_replay(&mut self, was_open: bool) -> (Answer<A>, bool) {
        if was_open {
            self.recovered(None);
        }
        self.kept.seq += 1;
        self.kept.last = self.now;
        let mut answer = self.answer(Status::Ok);
        answer.facts = self.turn.facts.clone();
        self.kept.seen.insert(self.call.from, self.seen_now());
        (answer, true)
    }

    fn at_nothing(&mut self) -> (Answer<A>, bool) {
        match &self.call.op {
            Op::Replay { into: None, rows } if !A::CAN_BE_LOST => {
                self.make_header(self.call.met);
                self.begin_recovery(self.call.met + 1);
                self.apply_replay(rows)
            }
            Op::Batch(commands) => {
                let by_operator = commands.iter().any(A::is_allowed_lost) && !self.is(Broken::LeavesTheGoneGone);
                if self.call.seen.made.is_some() && !by_operator {
                    return (self.answer(Status::Gone), false);
                }
                self.make_header(self.call.met + 1);
                let (answer, writes) = self.apply_batch(commands);
                self.is_made = writes;
                let name = if writes { self.kept.name } else { Name::default() };
                (Answer { name, ..answer }, writes)
            }
            _ => (self.answer(Status::Gone), false),
        }
    }

    fn at_a_loss(&mut self, term: u64) -> (Answer<A>, bool) {
        self.begin_recovery(term);
        (self.answer(Status::Recovering), true)
    }

    fn run(&mut self) -> (Answer<A>, bool) {
        let (call, name) = (self.call, self.kept.name);
        if matches!(call.op, Op::Leave) {
            self.kept.seen.remove(&call.from);
            return (self.answer(Status::Ok), true);
        }
        if self.kept.stamp != self.host.stamp && !self.is(Broken::LooksAtNoStamp) {
            return self.at_a_loss(name.term.max(call.met) + 1);
        }
        if call.met > name.term && !self.is(Broken::LooksAtNoTerm) {
            return if call.adopts { self.at_a_loss(call.met + 1) } else { (self.answer(Status::Stale), false) };
        }
        let was_open = self.kept.phase != Phase::Recovering;
        if let Op::Replay { into: Some(into), .. } | Op::Done { into: Some(into), .. } = &call.op
            && *into != name
            && !self.is(Broken::TellsAnyRecovery)
        {
            return (self.answer(Status::Recovering), false);
        }
        if let Op::Replay { rows, .. } = &call.op {
            return self.apply_replay(rows);
        }
        if let Op::Done { forgotten, .. } = &call.op {
            self.note_done(*forgotten, was_open);
        }
        if !was_open && !self.end_recovery() {
            return (self.answer(Status::Recovering), true);
        }
        let Op::Batch(commands) = &call.op else { return self.finish_replay(was_open) };
        let is_behind = call.seen.made.is_some() && call.seen != name && !self.is(Broken::LetsInWhoIsBehind);
        let is_lost = self.kept.phase == Phase::Lost && !commands.iter().any(A::is_allowed_lost);
        if !is_behind && !is_lost {
            return self.apply_batch(commands);
        }
        if !was_open {
            self.kept.seq += 1;
        }
        (self.answer(if is_behind { Status::Behind } else { Status::Lost }), !was_open)
    }
}
