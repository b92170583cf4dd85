//! One server: its connections, and whether it is there.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool::{
    Runtime,
    managed::{self, Metrics as Uses, PoolError, RecycleError, RecycleResult, TimeoutType},
};
use rand::Rng;
use redis::{Pipeline, RedisConnectionInfo, Value};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    CallError,
    breaker::{Breaker, Pass, Strike},
    connection::{AskError, Connection, DialError, Dialer},
    facts::{Demands, Facts},
    request::{Copies, Failure, Refusal, Request, Sending, read},
};
use crate::{address::HostPort, telemetry::Metrics};

/// How often a server that is away is asked whether it is back: often enough that nobody notices more than half a second.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// What every node of a link has in common.
pub(super) struct Shared {
    pub dialer: Arc<Dialer>,
    pub login: RedisConnectionInfo,
    pub demands: Demands,
    pub connections: usize,
    pub metrics: Arc<Metrics>,
    /// Tells who looks for primaries that one is in trouble.
    pub trouble: Notify,
}

/// One server.
pub(super) struct Node {
    pub at: HostPort,
    shared: Arc<Shared>,
    pool: managed::Pool<Maker>,
    breaker: Breaker,
    generation: Arc<AtomicU64>,
    met: Arc<Met>,
}

/// The run of the server that was looked at last, so that each is looked at once.
#[derive(Default)]
pub(super) struct Met(Mutex<String>);

impl From<String> for Met {
    fn from(run_id: String) -> Self {
        Self(Mutex::new(run_id))
    }
}

impl Met {
    /// Whether this run is new.
    fn is_new(&self, run_id: &str) -> bool {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *met != run_id;
        run_id.clone_into(&mut met);
        is_new
    }
}

/// Why a server can't be used now. Nothing was sent to it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("it is a replica")]
    NotPrimary,
    #[error("it is still loading its data")]
    Loading,
}

/// A connection of a pool.
struct Member {
    connection: Connection,
    generation: u64,
    copies: Copies,
}

/// Makes the connections of one pool.
struct Maker {
    at: HostPort,
    shared: Arc<Shared>,
    generation: Arc<AtomicU64>,
    met: Arc<Met>,
}

impl managed::Manager for Maker {
    type Type = Member;
    type Error = Trouble;

    async fn create(&self) -> Result<Member, Trouble> {
        let generation = self.generation.load(Ordering::Acquire);
        let (connection, facts) = self.shared.introduce(&self.at, &self.met).await?;
        Ok(Member { connection, generation, copies: self.shared.copies(&facts) })
    }

    /// Without a round trip: whether the connection was cut is known already.
    async fn recycle(&self, member: &mut Member, _: &Uses) -> RecycleResult<Trouble> {
        match member.connection.is_fit() && member.generation == self.generation.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(RecycleError::message("cut, spoilt or discarded")),
        }
    }
}

impl Shared {
    /// Connects, and makes sure that a server that takes writes is at the other end.
    ///
    /// # Errors
    /// It can't be reached, refuses us, or is a replica.
    pub async fn introduce(&self, at: &HostPort, met: &Met) -> Result<(Connection, Facts), Trouble> {
        let introduced = timeout(self.dialer.connect_timeout, self.introduce_slowly(at, met)).await;
        introduced.unwrap_or(Err(Trouble::Dial(DialError::Silent)))
    }

    async fn introduce_slowly(&self, at: &HostPort, met: &Met) -> Result<(Connection, Facts), Trouble> {
        let mut connection = self.dialer.dial(at, &self.login).await?;
        let facts = Facts::of(&mut connection).await?;
        if !facts.is_primary {
            return Err(Trouble::NotPrimary);
        }
        if met.is_new(&facts.run_id) {
            let found = facts.examine(&mut connection, self.demands).await;
            for finding in found.faults.iter().chain(&found.doubts) {
                tracing::warn!(server = %at, finding, "this Redis is not set up as the store wants it");
            }
        }
        Ok((connection, facts))
    }

    fn copies(&self, facts: &Facts) -> Copies {
        // The server's own patience ends first, so that too few copies are told as that. It looks at its clocks ten times a
        // second only.
        let patience = self.dialer.call_timeout / 2;
        Copies::of(self.demands.durability, facts.has_waitaof(), patience)
    }
}

impl Node {
    /// A server that nothing is known of yet.
    pub fn new(at: HostPort, met: Met, shared: &Arc<Shared>) -> Arc<Self> {
        let (generation, met) = (Arc::new(AtomicU64::new(0)), Arc::new(met));
        let maker = Maker {
            at: at.clone(),
            shared: Arc::clone(shared),
            generation: Arc::clone(&generation),
            met: Arc::clone(&met),
        };
        let pool = managed::Pool::builder(maker)
            .max_size(shared.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(shared.dialer.call_timeout))
            // An introduction has a patience of its own, which ends first.
            .create_timeout(Some(shared.dialer.connect_timeout * 2))
            .recycle_timeout(Some(shared.dialer.connect_timeout))
            .build()
            .expect("timeouts need a runtime, and it is named");
        Arc::new(Self { at, shared: Arc::clone(shared), pool, breaker: Breaker::new(), generation, met })
    }

    /// Whether it is away, as far as is known.
    pub fn is_away(&self) -> bool {
        self.breaker.is_open()
    }

    /// Sends the call once; loads the script where the server lacks it.
    pub async fn call(self: &Arc<Self>, request: &Request<'_>, asking: bool) -> Result<Vec<u8>, Failure> {
        let pass = self.breaker.pass().ok_or_else(|| self.away())?;
        let mut held = self.check_out(pass).await?;
        let mut sending = Sending { with_source: false, asking, copies: held.copies };
        loop {
            let answers = match held.connection.ask(&request.commands(sending)).await {
                Ok(answers) => answers,
                Err(error) => {
                    drop(managed::Object::take(held));
                    return Err(self.failed(pass, &error));
                }
            };
            self.breaker.worked();
            match read(answers, sending) {
                Err(Failure::Refused(Refusal::NoScript, _)) if !sending.with_source => sending.with_source = true,
                done => return done,
            }
        }
    }

    fn failed(self: &Arc<Self>, pass: Pass, error: &AskError) -> Failure {
        let detail = format!("{}: {error}", self.at);
        let (strike, failure) = match error {
            AskError::NotSent(_) => (Strike::Failed, CallError::NotSent(detail)),
            AskError::Unclear(error) if error.is_timeout() => (Strike::Silent, CallError::Unclear(detail)),
            AskError::Unclear(_) => (Strike::Failed, CallError::Unclear(detail)),
        };
        self.strike(pass, strike, &error.to_string());
        failure.into()
    }

    /// Throws its connections away; those in use, once they come back.
    pub fn discard(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.pool.retain(|_, _| false);
    }

    /// It refused for longer than a call waits: until it is ready again nobody else waits as long.
    pub fn give_up_on(self: &Arc<Self>, why: &str) {
        if let Some(pass) = self.breaker.pass() {
            self.strike(pass, Strike::Silent, why);
        }
    }

    /// Makes sure that it takes writes, over a connection that is there already if it can be.
    ///
    /// # Errors
    /// It says that it does not, or nothing at all.
    pub async fn verify(&self) -> Result<(), Trouble> {
        let mut role = Pipeline::new();
        role.cmd("ROLE");
        let mut held = match self.pool.get().await {
            Ok(held) => held,
            Err(PoolError::Backend(trouble)) => return Err(trouble),
            // All connections are in use: they would tell.
            Err(_) => return Ok(()),
        };
        let answers = match held.connection.ask(&role).await {
            Ok(answers) => answers,
            Err(error) => {
                drop(managed::Object::take(held));
                return Err(DialError::from(error).into());
            }
        };
        match answers.first() {
            Some(Value::Array(role)) if role.first() == Some(&Value::BulkString(b"master".to_vec())) => Ok(()),
            _ => Err(Trouble::NotPrimary),
        }
    }

    async fn check_out(self: &Arc<Self>, pass: Pass) -> Result<managed::Object<Maker>, Failure> {
        let checked_out = tokio::select! {
            biased;
            checked_out = self.pool.get() => checked_out,
            // Others found out first that it is away.
            () = self.breaker.opened() => return Err(self.away()),
        };
        let (strike, detail) = match checked_out {
            Ok(held) => return Ok(held),
            Err(PoolError::Backend(Trouble::NotPrimary)) => {
                return Err(Failure::Refused(Refusal::NotPrimary, format!("{} is a replica", self.at)));
            }
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                let detail = format!("every connection to {} is in use", self.at);
                return Err(CallError::NotSent(detail).into());
            }
            Err(PoolError::Backend(Trouble::Dial(DialError::Silent)) | PoolError::Timeout(_)) => {
                (Strike::Silent, "no connection in time".to_owned())
            }
            Err(PoolError::Backend(trouble)) => (Strike::Failed, trouble.to_string()),
            Err(error) => (Strike::Failed, error.to_string()),
        };
        self.strike(pass, strike, &detail);
        Err(CallError::NotSent(format!("{}: {detail}", self.at)).into())
    }

    fn away(&self) -> Failure {
        CallError::NotSent(format!("Redis at {} is away", self.at)).into()
    }

    fn strike(self: &Arc<Self>, pass: Pass, strike: Strike, why: &str) {
        self.shared.trouble.notify_one();
        if self.breaker.strike(pass, strike) {
            tracing::warn!(server = %self.at, why, "Redis is lost: calls fail at once until it is back");
            self.shared.metrics.redis.breakers_open.inc();
            self.shared.dialer.runtime.spawn(probe(Arc::downgrade(self)));
        }
    }

    async fn probe(&self) -> Result<(), Trouble> {
        match self.shared.introduce(&self.at, &self.met).await? {
            (_, facts) if facts.is_loading => Err(Trouble::Loading),
            _ => Ok(()),
        }
    }

    fn back(&self) {
        // Connections from before may lead to what is no longer there.
        self.discard();
        self.breaker.close();
        self.shared.metrics.redis.breakers_open.dec();
        tracing::info!(server = %self.at, "Redis is back");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.breaker.is_open() {
            self.shared.metrics.redis.breakers_open.dec();
        }
    }
}

/// Asks a server that is away until it is back, one question at a time; at once at first, because one slow answer is no
/// outage.
async fn probe(node: Weak<Node>) {
    loop {
        match node.upgrade() {
            None => return,
            Some(node) => {
                if node.probe().await.is_ok() {
                    return node.back();
                }
            }
        }
        sleep(jittered(PROBE_EVERY)).await;
    }
}

/// Up to a quarter more or less, so that instances that lost a server together do not come back to it together.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.75..1.25))
}
