//! One server that takes all writes: always the same address, or whichever the sentinels name.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use redis::{Pipeline, RedisConnectionInfo, Value};

use super::{
    OpenError,
    node::{Met, Node, Shared, Trouble},
};
use crate::address::HostPort;

/// The server that takes writes.
pub(super) struct Primary {
    current: ArcSwap<Node>,
    sentinels: Option<Sentinels>,
    shared: Arc<Shared>,
}

/// Who knows where the primary of this name is.
pub(super) struct Sentinels {
    pub addresses: Vec<HostPort>,
    pub name: String,
    pub login: RedisConnectionInfo,
}

impl Primary {
    /// The server at this address.
    pub async fn fixed(at: &HostPort, shared: Arc<Shared>) -> Result<Self, OpenError> {
        let node = Node::new(at.clone(), shared.inspect(at).await?, &shared);
        Ok(Self { current: ArcSwap::new(node), sentinels: None, shared })
    }

    /// The server that the sentinels name, and that says so too.
    pub async fn named(sentinels: Sentinels, shared: Arc<Shared>) -> Result<Self, OpenError> {
        let (named, mut heard) = sentinels.ask(&shared).await;
        for at in named {
            match shared.inspect(&at).await {
                Ok(met) => {
                    let node = Node::new(at, met, &shared);
                    return Ok(Self { current: ArcSwap::new(node), sentinels: Some(sentinels), shared });
                }
                Err(unfit @ OpenError::Unfit { .. }) => return Err(unfit),
                Err(other) => heard.push(other.to_string()),
            }
        }
        Err(OpenError::NoPrimary { name: sentinels.name, detail: heard.join("; ") })
    }

    pub fn node(&self) -> Arc<Node> {
        self.current.load_full()
    }

    /// Whether somebody can be asked where the primary is.
    pub fn may_move(&self) -> bool {
        self.sentinels.is_some()
    }

    /// Asks the sentinels, and turns to the server they name that takes writes.
    pub async fn look(&self) {
        let Some(sentinels) = &self.sentinels else { return };
        let current = self.node();
        let (named, heard) = sentinels.ask(&self.shared).await;
        for why in heard {
            tracing::debug!(why, "a sentinel does not know the primary");
        }
        // What they name must say of itself that it takes writes: in a failover they are behind, or ahead.
        for at in named {
            if at == current.at {
                match self.holds(&current).await {
                    true => return,
                    false => continue,
                }
            }
            let met = Met::default();
            match self.shared.introduce(&at, &met).await {
                Ok(_) => return self.turn_to(&current, at, met),
                Err(trouble) => tracing::debug!(%at, %trouble, "what a sentinel names is no primary"),
            }
        }
    }

    /// Whether the server in use is the one to use: a demoted one still answers, and would until it is asked.
    async fn holds(&self, current: &Node) -> bool {
        if current.is_away() {
            return false;
        }
        let is_demoted = matches!(current.verify().await, Err(Trouble::NotPrimary));
        if is_demoted {
            current.discard();
        }
        !is_demoted
    }

    fn turn_to(&self, old: &Node, at: HostPort, met: Met) {
        tracing::info!(from = %old.at, to = %at, "a new primary of Redis");
        self.shared.metrics.redis.primaries_changed.inc();
        self.current.store(Node::new(at, met, &self.shared));
        old.discard();
    }
}

impl Sentinels {
    /// Which servers they name, the likeliest first; and what those say that name none.
    async fn ask(&self, shared: &Shared) -> (Vec<HostPort>, Vec<String>) {
        let asked = self.addresses.iter().map(async |sentinel| {
            let named = self.ask_one(sentinel, shared).await;
            named.map_err(|why| format!("{sentinel}: {why}"))
        });
        let mut named = Vec::new();
        let mut heard = Vec::new();
        for answer in join_all(asked).await {
            match answer {
                Ok(name) => named.push(name),
                Err(why) => heard.push(why),
            }
        }
        (by_age(named), heard)
    }

    /// Where this sentinel says that the primary is, and since which failover.
    async fn ask_one(&self, sentinel: &HostPort, shared: &Shared) -> Result<(HostPort, u64), String> {
        let mut connection = shared.dialer.dial(sentinel, &self.login).await.map_err(|error| error.to_string())?;
        let mut questions = Pipeline::new();
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        questions.cmd("SENTINEL").arg("MASTER").arg(&self.name);
        let mut answers = connection.ask(&questions).await.map_err(|error| error.to_string())?.into_iter();
        let address = match answers.next() {
            Some(Value::Nil) => return Err(format!("knows no {:?}", self.name)),
            Some(Value::ServerError(error)) => return Err(error.to_string()),
            answer => answer.unwrap_or_default(),
        };
        let (host, port) = redis::from_redis_value(address).map_err(|error| error.to_string())?;
        let about: BTreeMap<String, String> =
            redis::from_redis_value(answers.next().unwrap_or_default()).unwrap_or_default();
        let failover = about.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default();
        Ok((HostPort { host, port }, failover))
    }
}

/// Every server that was named, that of the latest failover first. One sentinel that is cut off from the others, together with
/// the primary that was, would lead us to it for as long as it is believed; so the latest counts, not the first.
fn by_age(mut named: Vec<(HostPort, u64)>) -> Vec<HostPort> {
    named.sort_by_key(|(_, failover)| Reverse(*failover));
    let mut servers = Vec::new();
    for (at, _) in named {
        if !servers.contains(&at) {
            servers.push(at);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_failover_counts() {
        let at = |port| HostPort { host: "h".to_owned(), port };
        let named = vec![(at(1), 1), (at(2), 2), (at(3), 2), (at(2), 2), (at(1), 0)];
        assert_eq!(by_age(named), [at(2), at(3), at(1)]);
    }
}
