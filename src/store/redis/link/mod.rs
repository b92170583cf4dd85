//! How one process reaches Redis. Knows nothing of rooms and sales: it calls scripts.
//!
//! A [`Link`] finds the server that takes writes ([`primary`]: one address, or whichever the sentinels name; [`cluster`]:
//! by slot), keeps a pool of connections to each ([`node`]), and tells a caller how its call went in terms of what the caller can
//! do next ([`CallError`]). It sends again only what is certain not to have run. While a server is away nobody waits for it
//! ([`breaker`]).

mod breaker;
mod cluster;
mod connection;
mod error;
mod facts;
mod node;
mod primary;
mod request;
mod script;
mod slot;
#[cfg(test)]
mod tests;
mod tls;

use std::{path::PathBuf, sync::Arc, time::Duration};

use redis::RedisConnectionInfo;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use self::{
    cluster::{Cluster, read_redirection},
    connection::{DialError, Dialer},
    facts::{Demands, Facts},
    node::{Met, Node, Shared, jittered},
    primary::{Primary, Sentinels},
    request::{Failure, Refusal, Request},
    slot::slot_of,
};
pub use self::{
    error::{CallError, OpenError},
    script::Script,
};
use crate::{
    address::{HostPort, RedisUrl, Servers},
    telemetry::{CallErrorLabels, Metrics},
};

/// How long a call is sent again that servers refuse for a while: as long as a failover or a moving slot may take, and shorter
/// than a visitor's patience.
const REFUSED_FOR: Duration = Duration::from_secs(2);

/// The first pause before sending again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest pause before sending again, so that a recovery is soon noticed.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Redirections followed at once. More in a row than a slot has moves at one time are a loop, and then there are pauses.
const REDIRECTIONS_MAX: u32 = 5;

/// How often a primary that seems well is looked at: a demoted one that still answers is noticed that soon.
const PRIMARY_EVERY: Duration = Duration::from_secs(1);

/// How often the map of a cluster that seems well is read anew. Its servers correct us before, one call at a time.
const MAP_EVERY: Duration = Duration::from_secs(10);

/// How often primaries are looked for while one is in trouble.
const SEARCH_EVERY: Duration = Duration::from_millis(200);

/// The shortest time between two looks, however much trouble there is.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What a change has survived when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: it is in the memory of one server.
    None,
    /// It is on that server's disk.
    Local,
    /// It is in the memory of so many other servers.
    Replica { copies: u32 },
}

/// How Redis is to be reached, apart from where it is.
pub struct LinkOptions {
    /// Beats one in the address.
    pub password: Option<SecretString>,
    /// PEM; the public authorities are trusted where there is none.
    pub ca_file: Option<PathBuf>,
    pub durability: Durability,
    /// To one server, at most.
    pub connections: usize,
    /// Until a connection is there, logged in and looked at.
    pub connect_timeout: Duration,
    /// From sending a call to its answer.
    pub call_timeout: Duration,
    pub metrics: Arc<Metrics>,
}

/// The way to Redis. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    route: Route,
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// How the server for a key is found.
#[derive(Clone)]
enum Route {
    Primary(Arc<Primary>),
    Cluster(Arc<Cluster>),
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Link {
    /// Connects, and makes sure that a store can live there. Connections live on the runtime that this is called on.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(url: &RedisUrl, options: LinkOptions) -> Result<Self, OpenError> {
        let password = options.password.as_ref().or(url.password.as_ref().map(|password| password.secret()));
        let database = match &url.servers {
            Servers::Single { database, .. } => *database,
            Servers::Sentinel { .. } | Servers::Cluster { .. } => 0,
        };
        let shared = Arc::new(Shared {
            dialer: Arc::new(Dialer {
                tls: url.is_tls.then(|| tls::connector(options.ca_file.as_deref())).transpose()?,
                connect_timeout: options.connect_timeout,
                call_timeout: options.call_timeout,
                runtime: Handle::current(),
            }),
            login: login(url.user.as_deref(), password, database),
            demands: Demands {
                durability: options.durability,
                is_cluster: matches!(url.servers, Servers::Cluster { .. }),
            },
            connections: options.connections,
            metrics: options.metrics,
            trouble: Notify::new(),
        });
        let route = match &url.servers {
            Servers::Single { server, .. } => {
                Route::Primary(Arc::new(Primary::fixed(server, Arc::clone(&shared)).await?))
            }
            Servers::Sentinel { sentinels, name, password } => {
                let login = login(None, password.as_ref().map(|password| password.secret()), 0);
                let sentinels = Sentinels { addresses: sentinels.clone(), name: name.clone(), login };
                Route::Primary(Arc::new(Primary::named(sentinels, Arc::clone(&shared)).await?))
            }
            Servers::Cluster { seeds } => {
                Route::Cluster(Arc::new(Cluster::of(seeds.clone(), Arc::clone(&shared)).await?))
            }
        };
        let keeper = tokio::spawn(keep(route.clone(), Arc::clone(&shared)));
        Ok(Self(Arc::new(Inner { route, shared, keeper })))
    }

    /// Calls a script whose keys all live in one slot, and which answers with a text. Nothing is sent again behind the caller's
    /// back but what is certain not to have run, and that for two seconds at most.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, script: &Script, keys: &[String], args: Vec<Vec<u8>>) -> Result<Vec<u8>, CallError> {
        let redis = &self.0.shared.metrics.redis;
        redis.calls.inc();
        let called = self.0.call(&Request { script, keys, args: &args }).await;
        if let Err(error) = &called {
            redis.call_errors.get_or_create_owned(&CallErrorLabels { kind: error.kind() }).inc();
        }
        called
    }

    /// The server of this key turned out to be stale, its data older than what was seen: drops its connections and
    /// looks for the primary again.
    pub fn distrust(&self, key: &str) {
        if let Some(node) = self.0.route.node(slot_of(key)) {
            self.0.distrust(&node);
        }
    }

    /// What a change has survived when [`Link::call`] returns.
    pub fn durability(&self) -> Durability {
        self.0.shared.demands.durability
    }
}

impl Inner {
    async fn call(&self, request: &Request<'_>) -> Result<Vec<u8>, CallError> {
        let slot = request.keys.first().map_or(0, |key| slot_of(key));
        debug_assert!(request.keys.iter().all(|key| slot_of(key) == slot), "keys in several slots: {:?}", request.keys);
        let mut patience = Patience::new();
        // Where a slot on its way to another server was seen to be, for one sending.
        let mut asked: Option<Arc<Node>> = None;
        loop {
            let asking = asked.is_some();
            let Some(node) = asked.take().or_else(|| self.route.node(slot)) else {
                self.shared.trouble.notify_one();
                patience.pause("no server has the slot").await?;
                continue;
            };
            let (refusal, said) = match node.call(request, asking).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Call(error)) => return Err(error),
                Err(Failure::Refused(refusal, said)) => (refusal, said),
            };
            let is_redirected = match &refusal {
                Refusal::Moved(there) => self.route.moved(slot, there, &node),
                Refusal::Ask(there) => {
                    asked = self.route.named(there, &node);
                    asked.is_some()
                }
                Refusal::NotPrimary => {
                    self.distrust(&node);
                    false
                }
                Refusal::Unready | Refusal::NoSlot | Refusal::NoScript => false,
            };
            if is_redirected && patience.redirect() {
                continue;
            }
            let paused = patience.pause(&said).await;
            if paused.is_err() && matches!(refusal, Refusal::NotPrimary | Refusal::Unready) {
                node.give_up_on(&said);
            }
            paused?;
        }
    }

    fn distrust(&self, node: &Node) {
        node.discard();
        self.shared.trouble.notify_one();
    }
}

impl Route {
    fn node(&self, slot: u16) -> Option<Arc<Node>> {
        match self {
            Self::Primary(primary) => Some(primary.node()),
            Self::Cluster(cluster) => cluster.owner(slot),
        }
    }

    /// Learns from a server where the slot is; false if that makes no sense.
    fn moved(&self, slot: u16, there: &str, asked: &Node) -> bool {
        match (self, read_redirection(there, &asked.at)) {
            (Self::Cluster(cluster), Some(at)) => {
                cluster.moved(slot, at);
                true
            }
            _ => false,
        }
    }

    /// The server that another one named.
    fn named(&self, there: &str, asked: &Node) -> Option<Arc<Node>> {
        match (self, read_redirection(there, &asked.at)) {
            (Self::Cluster(cluster), Some(at)) => Some(cluster.node_at(at)),
            _ => None,
        }
    }
}

/// How long one call is still sent again.
struct Patience {
    until: Instant,
    pause: Duration,
    redirections: u32,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + REFUSED_FOR, pause: PAUSE, redirections: 0 }
    }

    /// Whether a redirection may be followed at once.
    fn redirect(&mut self) -> bool {
        self.redirections += 1;
        self.redirections <= REDIRECTIONS_MAX
    }

    /// Waits before the next sending; an error once there is to be none.
    async fn pause(&mut self, said: &str) -> Result<(), CallError> {
        let next = Instant::now() + jittered(self.pause);
        if next >= self.until {
            return Err(CallError::NotSent(format!("refused for {} s: {said}", REFUSED_FOR.as_secs())));
        }
        sleep_until(next).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

/// Looks where the primaries are, now and then, and at once when one is in trouble.
async fn keep(route: Route, shared: Arc<Shared>) {
    loop {
        let every = match &route {
            Route::Primary(primary) if !primary.may_move() => return,
            Route::Primary(primary) if primary.node().is_away() => SEARCH_EVERY,
            Route::Primary(_) => PRIMARY_EVERY,
            Route::Cluster(cluster) if cluster.is_hurt() => SEARCH_EVERY,
            Route::Cluster(_) => MAP_EVERY,
        };
        tokio::select! {
            () = sleep(jittered(every)) => {}
            () = shared.trouble.notified() => {}
        }
        match &route {
            Route::Primary(primary) => primary.look().await,
            Route::Cluster(cluster) => cluster.look().await,
        }
        sleep(LOOK_PAUSE).await;
    }
}

fn login(user: Option<&str>, password: Option<&SecretString>, database: u32) -> RedisConnectionInfo {
    // The library's name is of no use to an operator, and old servers refuse it.
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(i64::from(database));
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password.expose_secret());
    }
    login
}

impl Shared {
    /// Looks at a server before anything is entrusted to it.
    async fn inspect(&self, at: &HostPort) -> Result<Met, OpenError> {
        let unfit = |detail: String| OpenError::Unfit { at: at.clone(), detail };
        let no = |error| match error {
            DialError::Refused(detail) => unfit(detail),
            other => OpenError::Unreachable { at: at.clone(), detail: other.to_string() },
        };
        let mut connection = self.dialer.dial(at, &self.login).await.map_err(no)?;
        let facts = Facts::of(&mut connection).await.map_err(no)?;
        let found = facts.examine(&mut connection, self.demands).await;
        for doubt in &found.doubts {
            tracing::warn!(server = %at, doubt, "this Redis may not be set up as the store wants it");
        }
        match found.faults.into_iter().reduce(|all, fault| format!("{all}; {fault}")) {
            Some(faults) => Err(unfit(faults)),
            // After the faults, because a sentinel has no role either.
            None if !facts.is_primary => Err(OpenError::Replica { at: at.clone() }),
            None => Ok(Met::from(facts.run_id)),
        }
    }
}
