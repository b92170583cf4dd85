//! A cluster: which server has which slots.
//!
//! The library's own client would send a call up to sixteen times, also where it may have run. This one keeps a map, corrects it
//! where a server says that a slot has moved, and leaves sending again to the caller.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use redis::{Pipeline, Value};

use super::{
    OpenError,
    node::{Met, Node, Shared},
    slot::SLOTS,
};
use crate::address::HostPort;

/// The servers of a cluster that take writes.
pub(super) struct Cluster {
    seeds: Vec<HostPort>,
    shared: Arc<Shared>,
    map: RwLock<Map>,
    /// Whom to ask first next time: another one each time, lest one that is cut off from the rest be believed for ever.
    turn: AtomicUsize,
}

struct Map {
    nodes: BTreeMap<HostPort, Arc<Node>>,
    /// One a slot.
    owners: Vec<Option<Arc<Node>>>,
}

/// What one server says of the whole.
struct View {
    /// Whether it hears the majority; one that does not has old news.
    is_sound: bool,
    ranges: Vec<(u16, u16, HostPort)>,
}

impl Cluster {
    /// The cluster that these belong to, every server of it looked at.
    pub async fn of(seeds: Vec<HostPort>, shared: Arc<Shared>) -> Result<Self, OpenError> {
        let owners = vec![None; usize::from(SLOTS)];
        let map = RwLock::new(Map { nodes: BTreeMap::new(), owners });
        let this = Self { seeds, shared, map, turn: AtomicUsize::new(0) };
        let view = match this.view().await {
            Ok(view) => view,
            Err(why) => {
                // It may be no cluster at all, which is better said than that it can't tell its slots.
                this.shared.inspect(&this.seeds[0]).await?;
                return Err(OpenError::NoCluster(why));
            }
        };
        let mut met = BTreeMap::new();
        for (_, _, at) in &view.ranges {
            if !met.contains_key(at) {
                met.insert(at.clone(), this.shared.inspect(at).await?);
            }
        }
        this.install(view, met);
        Ok(this)
    }

    /// Who has the slot, as far as is known.
    pub fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.read(|map| map.owners.get(usize::from(slot)).cloned().flatten())
    }

    /// The server at this address, which was named by another.
    pub fn node_at(&self, at: HostPort) -> Arc<Node> {
        let known = self.read(|map| map.nodes.get(&at).cloned());
        known.unwrap_or_else(|| self.write(|map| map.node_at(at, Met::default(), &self.shared)))
    }

    /// A server says that the slot lives there.
    pub fn moved(&self, slot: u16, at: HostPort) {
        self.write(|map| {
            let node = map.node_at(at, Met::default(), &self.shared);
            if let Some(owner) = map.owners.get_mut(usize::from(slot)) {
                *owner = Some(node);
            }
        });
        self.shared.trouble.notify_one();
    }

    /// Whether a server is away, and another may be about to take its place.
    pub fn is_hurt(&self) -> bool {
        self.read(|map| map.nodes.values().any(|node| node.is_away()))
    }

    /// Asks who has which slots, and believes it.
    pub async fn look(&self) {
        match self.view().await {
            Ok(view) => self.install(view, BTreeMap::new()),
            Err(why) => tracing::debug!(why, "no server could tell who has which slots"),
        }
    }

    /// What the first sound server says; else what any says.
    async fn view(&self) -> Result<View, String> {
        let mut unsound = None;
        let mut heard = Vec::new();
        for at in self.whom_to_ask() {
            match self.view_of(&at).await {
                Ok(view) if view.is_sound => return Ok(view),
                Ok(view) => unsound = Some(view),
                Err(why) => heard.push(format!("{at}: {why}")),
            }
        }
        unsound.filter(|view| !view.ranges.is_empty()).ok_or_else(|| heard.join("; "))
    }

    /// All that are known: those that are there first, and beginning with another one each time.
    fn whom_to_ask(&self) -> Vec<HostPort> {
        let (mut there, away) = self.read(|map| {
            let nodes = map.nodes.values().map(|node| (node.at.clone(), node.is_away()));
            nodes.partition::<Vec<_>, _>(|(_, is_away)| !is_away)
        });
        if !there.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % there.len();
            there.rotate_left(turn);
        }
        let known = there.into_iter().chain(away).map(|(at, _)| at);
        let mut asked: Vec<HostPort> = Vec::new();
        for at in known.chain(self.seeds.iter().cloned()) {
            if !asked.contains(&at) {
                asked.push(at);
            }
        }
        asked
    }

    async fn view_of(&self, at: &HostPort) -> Result<View, String> {
        let shared = &self.shared;
        let mut connection = shared.dialer.dial(at, &shared.login).await.map_err(|error| error.to_string())?;
        let mut question = Pipeline::new();
        question.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        let answers = connection.ask(&question).await.map_err(|error| error.to_string())?;
        let [info, Value::Array(ranges)] = <[Value; 2]>::try_from(answers).unwrap_or_default() else {
            return Err("it does not tell its slots".to_owned());
        };
        let info: String = redis::from_redis_value(info).map_err(|error| error.to_string())?;
        let ranges = ranges.into_iter().map(|range| read_range(range, &at.host)).collect::<Option<_>>();
        let ranges = ranges.ok_or_else(|| "its slots can't be read".to_owned())?;
        Ok(View { is_sound: info.contains("cluster_state:ok"), ranges })
    }

    fn install(&self, view: View, mut met: BTreeMap<HostPort, Met>) {
        let shared = &self.shared;
        let have_changed = self.write(|map| {
            let mut owners = vec![None; usize::from(SLOTS)];
            for (first, last, at) in view.ranges {
                let node = map.node_at(at.clone(), met.remove(&at).unwrap_or_default(), shared);
                for owner in owners.iter_mut().take(usize::from(last) + 1).skip(usize::from(first)) {
                    *owner = Some(Arc::clone(&node));
                }
            }
            let has_changed = |(old, new): (&Option<Arc<Node>>, &Option<Arc<Node>>)| match (old, new) {
                (Some(old), Some(new)) => !Arc::ptr_eq(old, new) && old.at != new.at,
                _ => false,
            };
            let have_changed = map.owners.iter().zip(&owners).any(has_changed);
            // Who owns nothing any more is forgotten; its connections end with the calls that use them.
            map.nodes.retain(|_, node| owners.iter().flatten().any(|owner| Arc::ptr_eq(owner, node)));
            map.owners = owners;
            have_changed
        });
        if have_changed {
            shared.metrics.redis.primaries_changed.inc();
            tracing::info!("slots of the Redis cluster have changed hands");
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Map) -> T) -> T {
        look(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Map) -> T) -> T {
        change(&mut self.map.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Map {
    fn node_at(&mut self, at: HostPort, met: Met, shared: &Arc<Shared>) -> Arc<Node> {
        let node = self.nodes.entry(at.clone()).or_insert_with(|| Node::new(at, met, shared));
        Arc::clone(node)
    }
}

/// One element of `CLUSTER SLOTS`: first slot, last slot, and the servers, of which the first takes writes.
fn read_range(range: Value, asked: &str) -> Option<(u16, u16, HostPort)> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let first = redis::from_redis_value(parts.next()?).ok()?;
    let last = redis::from_redis_value(parts.next()?).ok()?;
    let Value::Array(server) = parts.next()? else { return None };
    let mut server = server.into_iter();
    // Nothing, or a question mark, where it does not know its own name: the one we know it by then.
    let host: Option<String> = redis::from_redis_value(server.next()?).ok()?;
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.to_owned());
    let port = redis::from_redis_value(server.next()?).ok()?;
    (first <= last && last < SLOTS).then_some((first, last, HostPort { host, port }))
}

/// The address in a redirection by a server at `asked`: `host:port`, the host left out where it is the same.
pub(super) fn read_redirection(there: &str, asked: &HostPort) -> Option<HostPort> {
    let (host, port) = there.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    Some(HostPort { host: host.to_owned(), port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_read() {
        let asked = HostPort { host: "here".to_owned(), port: 1 };
        let read = |text| read_redirection(text, &asked).map(|at| (at.host, at.port));
        assert_eq!(read("127.0.0.1:6381"), Some(("127.0.0.1".to_owned(), 6381)));
        assert_eq!(read(":6381"), Some(("here".to_owned(), 6381)));
        assert_eq!(read("::1:6381"), Some(("::1".to_owned(), 6381)));
        assert_eq!(read("6381"), None);
        assert_eq!(read("a:b"), None);
    }
}
