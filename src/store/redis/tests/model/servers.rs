//! Servers: one primary, replicas that lag behind it, and those that take themselves for the primary still.

use std::{collections::BTreeMap, rc::Rc};

use super::Broken;
use super::gate::{Aggregate, Answer, Call, Host, Kept, Ms, serve};

type Data<A> = Option<Rc<Kept<A>>>;

type Log<A> = Vec<(Ms, Data<A>)>;

#[derive(Debug)]
pub struct Server<A: Aggregate> {
    pub is_up: bool,
    /// Whether it takes itself for the primary.
    pub is_primary: bool,
    /// Whether it ever followed the primary of today.
    is_synced: bool,
    stamp: u64,
    /// How far its clock is ahead.
    ahead: Ms,
    /// All it ever held as a primary, and when; of a replica, what it holds.
    log: Log<A>,
    /// Of a replica: how much of the primary's log it has.
    has: usize,
}

impl<A: Aggregate> Server<A> {
    pub fn data(&self) -> &Data<A> {
        &self.log[self.log.len() - 1].1
    }
}

/// How much of a server's reign was lost when another followed it.
#[derive(Debug)]
struct Reign {
    stamp: u64,
    kept: u64,
}

#[derive(Debug)]
pub struct Servers<A: Aggregate> {
    pub all: Vec<Server<A>>,
    /// The one that everybody is to speak with.
    pub primary: usize,
    stamps: u64,
    /// The most that a replica lags behind that is promoted.
    lag: Ms,
    /// What was counted under each stamp at last, and what of it the next one had.
    counts: BTreeMap<u64, u64>,
    ended: Vec<Reign>,
}

impl<A: Aggregate> Servers<A> {
    pub fn new(ahead: &[Ms], lag: Ms) -> Self {
        let all = ahead.iter().enumerate().map(|(at, ahead)| Server {
            is_up: true,
            is_primary: at == 0,
            is_synced: true,
            stamp: 1,
            ahead: *ahead,
            log: vec![(0, None)],
            has: 0,
        });
        Self { all: all.collect(), primary: 0, stamps: 1, lag, counts: BTreeMap::new(), ended: vec![] }
    }

    /// A call, if the server takes one.
    pub fn call(
        &mut self,
        at: usize,
        now: Ms,
        call: &Call<A>,
        count: impl Fn(&A) -> u64,
        broken: Option<Broken>,
    ) -> Option<Answer<A>> {
        let server = &mut self.all[at];
        if !server.is_up || !server.is_primary {
            return None;
        }
        let host = Host { stamp: server.stamp, now: now + server.ahead };
        let (answer, written) = serve(server.data().as_deref(), host, call, broken);
        if let Some(kept) = written {
            self.counts.insert(server.stamp, count(&kept.body));
            server.log.push((now, Some(Rc::new(kept))));
        }
        Some(answer)
    }

    /// The time of the aggregate at the primary.
    pub fn time(&self, now: Ms) -> Ms {
        let server = &self.all[self.primary];
        let host = Host { stamp: server.stamp, now: now + server.ahead };
        server.data().as_ref().map_or(host.now, |kept| kept.now(host).max(kept.last))
    }

    /// All have what the primary has, and nothing before it is remembered.
    pub fn level(&mut self) {
        let log = &self.all[self.primary].log;
        let last = vec![log[log.len() - 1].clone()];
        self.all.iter_mut().for_each(|server| server.log.clone_from(&last));
    }

    /// Whether more than one takes itself for the primary.
    pub fn is_split(&self) -> bool {
        self.all.iter().filter(|server| server.is_up && server.is_primary).count() > 1
    }

    /// The most that a reign counted beyond what the next one knew of it.
    pub fn most_lost(&self) -> u64 {
        let lost = |reign: &Reign| self.counts.get(&reign.stamp).copied().unwrap_or(0).saturating_sub(reign.kept);
        self.ended.iter().map(lost).max().unwrap_or(0)
    }

    /// A replica catches up, by so much of what it lacks.
    pub fn replicate(&mut self, at: usize, share: usize) {
        if at == self.primary || !self.all[at].is_up || self.all[at].is_primary {
            return;
        }
        let log = &self.all[self.primary].log;
        let has = if self.all[at].is_synced { self.all[at].has } else { log.len() - 1 };
        let next = has + (log.len() - 1 - has) * share.min(4) / 4;
        let version = log[next].clone();
        let server = &mut self.all[at];
        (server.log, server.has, server.is_synced) = (vec![version], next, true);
    }

    /// No replica lags further behind than is allowed.
    pub fn keep_up(&mut self, now: Ms) {
        let log: Vec<Ms> = self.all[self.primary].log.iter().map(|(at, _)| *at).collect();
        for at in 0..self.all.len() {
            let server = &self.all[at];
            let follows = server.is_up && !server.is_primary && server.is_synced;
            // The first version that it lacks is as old as its lag.
            if follows && log.get(server.has + 1).is_some_and(|next| now - next > self.lag) {
                let next = log.iter().rposition(|written| now - written > self.lag).unwrap_or(0);
                let version = self.all[self.primary].log[next].clone();
                let server = &mut self.all[at];
                (server.log, server.has) = (vec![version], next);
            }
        }
    }

    /// Whether a replica may lag behind further than anybody remembers.
    pub fn lags(&self) -> bool {
        self.lag == Ms::MAX
    }

    fn is_fit(&self, at: usize) -> bool {
        let server = &self.all[at];
        server.is_up && at != self.primary && (server.is_synced || self.lag == Ms::MAX)
    }

    /// Another becomes the primary. The one before it is dead, or goes on as if it were.
    pub fn promote(&mut self, to: usize, kills: bool, count: impl Fn(&A) -> u64) -> bool {
        if !self.is_fit(to) {
            return false;
        }
        let before = self.primary;
        if kills {
            (self.all[before].is_up, self.all[before].is_primary) = (false, false);
        }
        self.reign(before, to, count);
        self.primary = to;
        for (at, server) in self.all.iter_mut().enumerate() {
            server.is_synced = at == to;
            server.has = 0;
        }
        self.all[to].is_primary = true;
        true
    }

    /// The primary starts anew with what it had written so many versions ago.
    pub fn restart(&mut self, now: Ms, back: usize, count: impl Fn(&A) -> u64) {
        let at = self.primary;
        let lag = self.lag;
        let log = &mut self.all[at].log;
        for _ in 0..back {
            // What it lacks then is as old as the oldest version that it lacks.
            if log.len() > 1 && log.last().is_some_and(|(written, _)| now - written <= lag) {
                log.pop();
            }
        }
        self.reign(at, at, count);
        self.all
            .iter_mut()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .for_each(|(_, server)| server.is_synced = false);
    }

    fn reign(&mut self, before: usize, to: usize, count: impl Fn(&A) -> u64) {
        let kept = self.all[to].data().as_ref().map_or(0, |kept| count(&kept.body));
        self.ended.push(Reign { stamp: self.all[before].stamp, kept });
        self.stamps += 1;
        self.all[to].stamp = self.stamps;
        self.counts.insert(self.stamps, kept);
        let last = self.all[to].log.len() - 1;
        self.all[to].log.drain(..last);
    }

    /// A dead server comes back, or one that is no longer the primary hears of it: it follows the primary.
    pub fn follow(&mut self, at: usize) {
        if at != self.primary {
            let last = self.all[at].log.len() - 1;
            let server = &mut self.all[at];
            server.log.drain(..last);
            (server.is_up, server.is_primary, server.is_synced, server.has) = (true, false, false, 0);
        }
    }

    /// All is deleted.
    pub fn flush(&mut self, now: Ms) {
        self.all[self.primary].log.push((now, None));
    }
}
