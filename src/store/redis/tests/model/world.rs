//! A world: servers, instances, what goes to and fro between them, and what befalls them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Broken,
    books::{Books, Fate},
    gate::{Aggregate, Answer, Call, Id, Ms, Name, Phase, Status},
    sender::{Came, REPLAY_WINDOW, Sender},
    servers::Servers,
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Answered,
    /// It was applied; nobody hears of it.
    Unanswered,
    /// It never arrives.
    Lost,
    /// It arrives when nobody waits for it any more.
    Delayed,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Somebody wants something of an instance.
    Want {
        instance: Id,
        kind: u8,
        pick: usize,
    },
    /// An instance makes its next call.
    Call {
        instance: Id,
        passage: Passage,
    },
    /// An instance makes calls until it has nothing to call.
    Calls {
        instance: Id,
    },
    /// A delayed call arrives.
    Arrive,
    Pass {
        ms: Ms,
    },
    Replicate {
        server: usize,
        share: usize,
    },
    Fail {
        to: usize,
    },
    /// Another is promoted though the primary lives; it answers as before.
    Split {
        to: usize,
    },
    Restart {
        back: usize,
    },
    Follow {
        server: usize,
    },
    /// An instance looks for the primary.
    Look {
        instance: Id,
    },
    /// An instance reaches no server but the one it speaks to.
    Cut {
        instance: Id,
    },
    Heal,
    Flush,
    Die {
        instance: Id,
        in_order: bool,
    },
    Join,
    /// Instances learn of each other.
    List,
}

#[derive(Debug)]
struct Instance<A: Aggregate> {
    sender: Sender<A>,
    wants: VecDeque<A::Command>,
    link: usize,
    is_cut: bool,
    peers: BTreeSet<Id>,
    is_listed: bool,
}

/// How many commands are sent at once.
const BATCH: usize = 2;

/// A world of so many instances; fewer are alive at once.
const INSTANCES: usize = 8;

/// Who was seen in this time is listed, dead or alive.
const LISTED_MS: Ms = 90_000;

/// No call is on its way for longer.
const DELAY_MS: Ms = 30_000;

/// Calls to one another after which an instance has nothing to call any more.
const CALLS: usize = 60;

/// Who speaks with nobody for so long looks at the store by himself, if only to look.
const LOOKED_AT_MS: Ms = 5_200;

/// How many rounds of half a second everybody has to find an open aggregate: five seconds until a server that lags behind
/// is adopted, five for a recovery, and as much again for a second one that a late sender begins.
const ROUNDS: usize = 46;

pub struct World<A: Aggregate, B> {
    pub servers: Servers<A>,
    instances: BTreeMap<Id, Instance<A>>,
    next: Id,
    died: BTreeMap<Id, Ms>,
    deaths: Vec<Ms>,
    last_ended: Ms,
    jumped: BTreeMap<u64, Name>,
    now: Ms,
    delayed: VecDeque<(Ms, usize, Call<A>)>,
    pub books: B,
    pub fate: Fate,
    split_ms: Ms,
    /// Something is gone that need not be remembered by anybody.
    may_be_lost: bool,
    count: fn(&A) -> u64,
    reach: u64,
    broken: Option<Broken>,
}

impl<A: Aggregate, B: Books<A>> World<A, B> {
    /// `count` counts what `reach` is the most of that may be lost.
    pub fn new(
        instances: usize,
        servers: Servers<A>,
        (count, reach): (fn(&A) -> u64, u64),
        broken: Option<Broken>,
    ) -> Self {
        let mut world = Self {
            servers,
            instances: BTreeMap::new(),
            next: 0,
            died: BTreeMap::new(),
            deaths: vec![],
            last_ended: 0,
            jumped: BTreeMap::new(),
            now: 1_000_000,
            delayed: VecDeque::new(),
            books: B::default(),
            fate: Fate::default(),
            split_ms: 0,
            may_be_lost: false,
            count,
            reach,
            broken,
        };
        world.join();
        world.list();
        world.instances.values_mut().for_each(|first| first.wants = VecDeque::from([B::first()]));
        world.calls(0);
        world.servers.level();
        (1..instances).for_each(|_| world.join());
        world.list();
        world
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The instance that a step means, among those alive.
    fn who(&self, instance: Id) -> Option<Id> {
        self.instances.keys().nth(instance % self.instances.len().max(1)).copied()
    }

    pub fn step(&mut self, step: Step) -> Result<(), String> {
        let servers = self.servers.all.len();
        match step {
            Step::Want { instance, kind, pick } => {
                let command = self.books.command(kind, pick);
                let who = self.who(instance);
                who.and_then(|id| self.instances.get_mut(&id))
                    .into_iter()
                    .for_each(|it| it.wants.push_back(command.clone()));
            }
            Step::Call { instance, passage } => _ = self.who(instance).map(|id| self.call(id, passage)),
            Step::Calls { instance } => _ = self.who(instance).map(|id| self.calls(id)),
            Step::Arrive => {
                if let Some((at, server, call)) = self.delayed.pop_front()
                    && self.now - at < DELAY_MS
                {
                    self.served(server, &call);
                }
            }
            Step::Pass { ms } => self.pass(ms),
            Step::Replicate { server, share } => self.servers.replicate(server % servers, share),
            Step::Fail { to } => _ = self.servers.promote(to % servers, true, self.count),
            Step::Split { to } => _ = self.servers.promote(to % servers, false, self.count),
            Step::Restart { back } => self.servers.restart(self.now, back, self.count),
            Step::Follow { server } => self.servers.follow(server % servers),
            Step::Look { instance } => _ = self.who(instance).map(|id| self.look(id)),
            Step::Cut { instance } => {
                let who = self.who(instance);
                who.and_then(|id| self.instances.get_mut(&id)).into_iter().for_each(|it| it.is_cut = true);
            }
            Step::Heal => self.instances.values_mut().for_each(|it| it.is_cut = false),
            Step::Flush => {
                self.servers.flush(self.now);
                self.may_be_lost = true;
                self.fate.is_flushed = true;
            }
            Step::Die { instance, in_order } => self.die(instance, in_order),
            Step::Join if self.next < INSTANCES => self.join(),
            Step::Join => {}
            Step::List => self.list(),
        }
        self.fate.is_split |= self.servers.is_split();
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        for (at, server) in self.servers.all.iter().enumerate() {
            if let Some(kept) = server.data() {
                kept.body.check().map_err(|error| format!("on server {at}: {error}"))?;
                if let Some((by, number)) = kept.applied_twice {
                    return Err(format!("batch {number} of {by} was applied twice"));
                }
            }
        }
        Ok(())
    }

    /// Time passes. In a long time everybody looks at the store again and again.
    fn pass(&mut self, ms: Ms) {
        let mut left = ms;
        while left > LOOKED_AT_MS {
            left -= LOOKED_AT_MS;
            self.elapse(LOOKED_AT_MS);
            let all: Vec<Id> = self.instances.keys().copied().collect();
            for id in all.into_iter().filter(|_| left > ms / 2) {
                self.look(id);
                self.touch(id);
            }
        }
        self.elapse(left);
    }

    fn elapse(&mut self, ms: Ms) {
        self.now += ms;
        if self.servers.is_split() {
            self.split_ms += ms;
            self.fate.is_split_for_long |= self.split_ms >= REPLAY_WINDOW / 2;
        }
        self.servers.keep_up(self.now);
        self.instances.values_mut().for_each(|it| it.sender.forget(self.now));
    }

    fn join(&mut self) {
        let is_listed = self.is(Broken::ServesUnlisted);
        let id = self.next;
        self.next += 1;
        let sender = Sender::new(id, self.broken);
        let wants = VecDeque::from([B::joining()]);
        let peers = if is_listed { self.instances.keys().copied().collect() } else { BTreeSet::new() };
        let link = self.servers.primary;
        self.instances.insert(id, Instance { sender, wants, link, is_cut: false, peers, is_listed });
    }

    /// An instance serves when all others know it.
    fn list(&mut self) {
        if self.instances.values().any(|it| it.is_cut) {
            return;
        }
        self.died.retain(|_, at| self.now - *at < LISTED_MS);
        let all: BTreeSet<Id> = self.instances.keys().chain(self.died.keys()).copied().collect();
        for it in self.instances.values_mut() {
            it.peers.clone_from(&all);
            it.is_listed = true;
        }
    }

    fn die(&mut self, instance: Id, in_order: bool) {
        if self.instances.len() < 2 {
            return;
        }
        let Some(id) = self.who(instance) else { return };
        let Some(it) = self.instances.remove(&id) else { return };
        self.fate.dead.insert(id);
        self.died.insert(id, self.now);
        self.deaths.push(self.now);
        if in_order && self.is(Broken::LeavesUnheard) {
            let call = it.sender.leave(self.now);
            self.served(it.link, &call);
            self.died.remove(&id);
            self.instances.values_mut().for_each(|other| _ = other.peers.remove(&id));
        }
    }

    fn look(&mut self, id: Id) {
        let primary = self.servers.primary;
        let Some(it) = self.instances.get_mut(&id) else { return };
        let old = &self.servers.all[it.link];
        if !(it.is_cut && old.is_up && old.is_primary) {
            it.link = primary;
        }
    }

    /// What a server does about a call.
    fn served(&mut self, server: usize, call: &Call<A>) -> Option<Answer<A>> {
        let answer = self.servers.call(server, self.now, call, self.count, self.broken)?;
        if let Some(heard) = answer.ended {
            self.ended(heard, answer.name);
        }
        Some(answer)
    }

    /// A recovery ended.
    fn ended(&mut self, heard: bool, name: Name) {
        self.fate.is_unheard |= !heard;
        // Who died between the last recovery and this one is no longer listed.
        let is_forgotten = |at: &Ms| *at >= self.last_ended && self.now - *at >= LISTED_MS;
        self.fate.is_beyond_the_void |= self.deaths.iter().any(is_forgotten);
        self.last_ended = self.now;
        // Two sides jumped from the same term, and by as much.
        let jumped = (!heard).then(|| self.jumped.insert(name.term, name)).flatten();
        self.fate.is_beyond_the_void |= jumped.is_some_and(|other| other != name) && self.fate.is_split;
    }

    /// An instance makes calls until it has nothing to call.
    fn calls(&mut self, id: Id) {
        for _ in 0..CALLS {
            let is_over = self.instances.get(&id).is_none_or(|it| it.sender.is_idle() && it.wants.is_empty());
            if is_over || self.call(id, Passage::Answered).is_some_and(|status| status != Status::Ok) {
                return;
            }
        }
    }

    /// The next call of an instance; what became of its batch, if it ended with it.
    fn call(&mut self, id: Id, passage: Passage) -> Option<Status> {
        let now = self.now;
        let it = self.instances.get_mut(&id).filter(|it| it.is_listed)?;
        if it.sender.is_idle() {
            let some = it.wants.len().min(BATCH);
            let commands: Vec<_> = it.wants.drain(..some).collect();
            it.sender.begin(now, commands);
        }
        let call = it.sender.call(now, &it.peers)?;
        self.books.sent(it.sender.commands());
        let link = it.link;
        let is_open = self.servers.all[link].is_up && self.servers.all[link].is_primary;
        let answer = match passage {
            _ if !is_open => {
                self.look(id);
                None
            }
            Passage::Answered => self.served(link, &call),
            Passage::Unanswered => {
                self.fate.is_unanswered = true;
                self.served(link, &call);
                None
            }
            Passage::Lost => None,
            Passage::Delayed => {
                self.fate.is_unanswered = true;
                self.delayed.push_back((now, link, call.clone()));
                None
            }
        };
        let it = self.instances.get_mut(&id)?;
        let came = match &answer {
            Some(answer) => it.sender.answered(now, answer),
            None => it.sender.unanswered(now),
        };
        match came {
            Came::On => None,
            Came::Acknowledged(outcomes) => {
                let then = answer.map_or(now, |answer| answer.now);
                outcomes.iter().for_each(|(command, outcome)| self.books.acknowledged(id, command, outcome, then));
                Some(Status::Ok)
            }
            Came::Failed(status) => Some(status),
            Came::Distrusted => {
                self.look(id);
                Some(Status::Stale)
            }
        }
    }

    /// Everybody finds the primary again, and is to find the aggregate open within a bounded time.
    pub fn settle(&mut self) -> Result<(), String> {
        self.step(Step::Heal)?;
        (0..self.servers.all.len()).for_each(|at| self.servers.follow(at));
        self.step(Step::List)?;
        let mut last = BTreeMap::new();
        for _ in 0..ROUNDS {
            self.step(Step::Pass { ms: 500 })?;
            let all: Vec<Id> = self.instances.keys().copied().collect();
            for id in all {
                self.look(id);
                let status = self.touch(id);
                last.insert(id, status);
                self.check()?;
            }
            if last.values().all(|status| *status == Status::Ok) && self.is_open() {
                return self.balance();
            }
            self.give_up(&last)?;
            if self.servers.all[self.servers.primary].data().is_none() {
                // Their configuration says that there is one.
                self.instances.values_mut().for_each(|it| it.wants.push_back(B::joining()));
            }
        }
        let phase = self.servers.all[self.servers.primary].data().as_ref().map(|kept| kept.phase);
        Err(format!("not open after all that time: {last:?}, {phase:?}"))
    }

    fn touch(&mut self, id: Id) -> Status {
        let now = self.now;
        if let Some(it) = self.instances.get_mut(&id)
            && it.sender.is_idle()
            && it.wants.is_empty()
        {
            it.sender.begin(now, vec![]);
        }
        for _ in 0..CALLS {
            if let Some(status) = self.call(id, Passage::Answered)
                && (status != Status::Ok || self.instances.get(&id).is_none_or(|it| it.wants.is_empty()))
            {
                return status;
            }
        }
        Status::Recovering
    }

    fn is_open(&self) -> bool {
        let kept = self.servers.all[self.servers.primary].data();
        kept.as_ref().is_some_and(|kept| kept.phase == Phase::Open && kept.body.exists())
    }

    /// Where everybody was told that nobody remembers, the operator says what is to be.
    fn give_up(&mut self, last: &BTreeMap<Id, Status>) -> Result<(), String> {
        let needs = |status: &Status| matches!(status, Status::Gone | Status::Lost);
        let is_gone = self.servers.all[self.servers.primary].data().is_none();
        let Some(command) = B::operator().filter(|_| is_gone || last.values().any(needs)) else { return Ok(()) };
        if !self.may_be_lost && !self.fate.is_split && !self.servers.lags() {
            return Err("given up though everything is remembered".to_owned());
        }
        self.fate.is_given_up = true;
        // Through somebody who saw it, where there is one.
        let saw = self.instances.iter().find(|(_, it)| it.sender.is_to_watch()).map(|(id, _)| *id);
        let id = saw.or_else(|| self.who(0));
        id.and_then(|id| self.instances.get_mut(&id)).into_iter().for_each(|it| it.wants.push_back(command.clone()));
        Ok(())
    }

    fn balance(&mut self) -> Result<(), String> {
        self.fate.is_beyond_the_void |= self.servers.most_lost() > self.reach && !self.fate.is_kind();
        self.fate.is_beyond_the_void |= self.fate.is_flushed && (self.fate.is_unheard || !self.fate.dead.is_empty());
        let kept = self.servers.all[self.servers.primary].data().clone();
        kept.map_or(Ok(()), |kept| self.books.end(&kept.body, self.servers.time(self.now), &self.fate))
    }
}
