//! One server that takes all writes: always the same address, or whichever the sentinels name.

use std::sync::Arc;

use arc_swap::ArcSwap;
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

    /// The server that the first sentinel names whose word can be relied on.
    pub async fn named(sentinels: Sentinels, shared: Arc<Shared>) -> Result<Self, OpenError> {
        let mut heard = Vec::new();
        for sentinel in &sentinels.addresses {
            let at = match sentinels.ask(sentinel, &shared).await {
                Ok(at) => at,
                Err(why) => {
                    heard.push(format!("{sentinel}: {why}"));
                    continue;
                }
            };
            match shared.inspect(&at).await {
                Ok(met) => {
                    let node = Node::new(at, met, &shared);
                    return Ok(Self { current: ArcSwap::new(node), sentinels: Some(sentinels), shared });
                }
                Err(unfit @ OpenError::Unfit { .. }) => return Err(unfit),
                Err(other) => heard.push(format!("{sentinel} names {at}: {other}")),
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

    /// Asks the sentinels, one after the other until one names a server that takes writes, and turns to that one.
    pub async fn look(&self) {
        let Some(sentinels) = &self.sentinels else { return };
        let current = self.node();
        for sentinel in &sentinels.addresses {
            let named = match sentinels.ask(sentinel, &self.shared).await {
                Ok(named) => named,
                Err(why) => {
                    tracing::debug!(%sentinel, why, "a sentinel does not know the primary");
                    continue;
                }
            };
            // A sentinel may be behind: what it names must say of itself that it takes writes, or the next is asked.
            if named == current.at {
                match self.holds(&current).await {
                    true => return,
                    false => continue,
                }
            }
            let met = Met::default();
            match self.shared.introduce(&named, &met).await {
                Ok(_) => return self.turn_to(&current, named, met),
                Err(trouble) => tracing::debug!(%sentinel, %named, %trouble, "what a sentinel names is no primary"),
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
    /// Where this sentinel says that the primary is.
    async fn ask(&self, sentinel: &HostPort, shared: &Shared) -> Result<HostPort, String> {
        let mut connection = shared.dialer.dial(sentinel, &self.login).await.map_err(|error| error.to_string())?;
        let mut question = Pipeline::new();
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let answers = connection.ask(&question).await.map_err(|error| error.to_string())?;
        let address = match answers.into_iter().next() {
            Some(Value::Nil) => return Err(format!("knows no {:?}", self.name)),
            Some(Value::ServerError(error)) => return Err(error.to_string()),
            answer => answer.unwrap_or_default(),
        };
        let (host, port) = redis::from_redis_value(address).map_err(|error| error.to_string())?;
        Ok(HostPort { host, port })
    }
}
