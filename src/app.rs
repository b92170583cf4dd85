//! One instance: builds the store and the servers, binds, runs until it is stopped.
//!
//! [`Application::build`] binds before anything else, so that a taken port is found before a store is opened and
//! port 0 has its number before anyone needs the address. Nothing is printed here: whoever runs an application says
//! where it listens.

mod descriptors;
mod error;
mod redis;
mod server;
mod signals;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::dev::ServerHandle;
use tokio::{runtime::Handle, sync::watch, time::Instant};

pub use self::{
    error::{BuildError, RunError},
    redis::link_options,
    tls::Reloader,
};
use self::{server::Plan, tls::Tls};
use crate::{
    clock::Clock,
    config::{self, Config, PublicUrl, StoreUrl},
    http::{Bounds, Context, Evidence, Surface, TrustedProxies, connections::Connections},
    instance::Instance,
    store::{
        Backend,
        embedded::Embedded,
        redis::{RedisStore, link::Link},
    },
    telemetry::Metrics,
};

/// A built instance: bound, its store open, not yet answering.
pub struct Application {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    servers: Vec<actix_web::dev::Server>,
    connections: Arc<Connections>,
    context: Arc<Context>,
    store: Backend,
    tls: Option<Tls>,
    shutdown_timeout: Duration,
    stop: Stopper,
}

/// Stops an application from elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    fn new() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    /// Asks the application to stop; does not wait. Asking again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    async fn stopped(&self) {
        let mut stop = self.0.subscribe();
        // The sender lives as long as we do, so this waits for nothing but the word.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

impl Application {
    /// Binds, opens the store and starts what runs in the background. Call it on a multi-threaded runtime that
    /// outlives the application.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        Self::build_at(config, Clock::system()).await
    }

    /// As [`Application::build`], on a clock of the caller's.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build_at(config: &Config, clock: Clock) -> Result<Self, BuildError> {
        let listener = server::bind(config.server.listen)?;
        let admin_listener = config.server.admin_listen.map(server::bind).transpose()?;
        let address = server::address_of(&listener)?;
        let admin_address = admin_listener.as_ref().map(server::address_of).transpose()?;
        let public_url = public_url(config, address)?;
        let tls = Tls::of(&config.server)?;
        let metrics = Arc::new(Metrics::new());
        let store = open_store(&config.store, &clock, &metrics).await?;
        let options = config.options(&public_url, Handle::current());
        let instance = Instance::start(store.clone(), clock, metrics, options).await?;
        make_first_room(config, &instance).await?;
        let context = Arc::new(context(config, instance, public_url, address));
        let connections = Connections::watch();
        let plan = Plan { config, context: &context, tls: tls.as_ref(), connections: &connections };
        let surface = if admin_listener.is_some() { Surface::Public } else { Surface::All };
        let mut servers = vec![plan.server(listener, surface)?];
        if let Some(listener) = admin_listener {
            servers.push(plan.server(listener, Surface::Admin)?);
        }
        let shutdown_timeout = Duration::from_secs(config.server.shutdown_timeout_seconds);
        let stop = Stopper::new();
        Ok(Self { address, admin_address, servers, connections, context, store, tls, shutdown_timeout, stop })
    }

    /// The public listener's address, its port the one it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the public listener is, for whoever is on this machine.
    pub fn url(&self) -> String {
        PublicUrl::of_listener(self.address, self.tls.is_some()).to_string()
    }

    /// The admin listener's address, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Where the admin listener is, if there is one.
    pub fn admin_url(&self) -> Option<String> {
        Some(PublicUrl::of_listener(self.admin_address?, self.tls.is_some()).to_string())
    }

    /// The address visitors know us by.
    pub fn public_url(&self) -> &PublicUrl {
        &self.context.public_url
    }

    /// What this process knows.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.context.instance
    }

    /// What stops it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// What rereads the TLS files; none without TLS.
    pub fn reloader(&self) -> Option<Reloader> {
        self.tls.as_ref().map(Tls::reloader)
    }

    /// From now on SIGTERM and SIGINT stop the application, and SIGHUP rereads the TLS files.
    ///
    /// # Errors
    /// The process can't listen to signals.
    pub fn heed_signals(&self) -> std::io::Result<()> {
        signals::heed(self.stopper(), self.reloader())
    }

    /// Answers until it is stopped; then takes no more connections, finishes what is in flight and flushes the store.
    ///
    /// # Errors
    /// A server failed, or the store could not be closed in order. What was acknowledged is kept all the same.
    pub async fn run(self) -> Result<(), RunError> {
        let handles: Vec<ServerHandle> = self.servers.iter().map(actix_web::dev::Server::handle).collect();
        let mut running = tokio::task::JoinSet::new();
        for server in self.servers {
            running.spawn(server);
        }
        let failed = tokio::select! {
            () = self.stop.stopped() => None,
            ended = running.join_next() => ended,
        };
        let deadline = Instant::now() + self.shutdown_timeout;
        self.connections.drain();
        self.context.waiters.end();
        let graceful = true;
        futures_util::future::join_all(handles.iter().map(|handle| handle.stop(graceful))).await;
        let closed = tokio::time::timeout_at(deadline.max(Instant::now() + server::FLUSH_AT_LEAST), async {
            self.context.instance.stop().await;
            match &self.store {
                Backend::Embedded(store) => store.close().await,
                Backend::Redis(store) => store.close().await,
            }
        });
        closed.await.map_err(|_| RunError::NotFlushed)??;
        match failed {
            Some(ended) => Err(RunError::Server(ended.map_err(std::io::Error::other).and_then(|ended| ended).err())),
            None => Ok(()),
        }
    }
}

fn public_url(config: &Config, bound: SocketAddr) -> Result<PublicUrl, BuildError> {
    if config.server.public_url.is_none() && !bound.ip().is_loopback() {
        return Err(BuildError::NoPublicUrl(bound));
    }
    Ok(config.server.public_url_at(bound))
}

async fn open_store(store: &config::Store, clock: &Clock, metrics: &Arc<Metrics>) -> Result<Backend, BuildError> {
    Ok(match &store.url {
        StoreUrl::Memory => Backend::Embedded(Embedded::memory(clock.clone(), Arc::clone(metrics))),
        StoreUrl::File(path) => Backend::Embedded(Embedded::file(path, clock.clone(), Arc::clone(metrics))?),
        StoreUrl::Redis(url) => Backend::Redis(RedisStore::new(Link::open(url, link_options(store, metrics)).await?)),
    })
}

/// `--shop` makes a room only where there is none: what an operator made later is left alone.
async fn make_first_room(config: &Config, instance: &Instance) -> Result<(), BuildError> {
    if let Some(document) = &config.first_room
        && instance.rooms().is_empty()
    {
        instance.make_room(document).await.map_err(BuildError::FirstRoom)?;
    }
    Ok(())
}

fn context(config: &Config, instance: Arc<Instance>, public_url: PublicUrl, bound: SocketAddr) -> Context {
    let proxies = TrustedProxies::new(config.server.trusted_proxies.clone());
    let evidence = evidence(&proxies, &public_url, &PublicUrl::of_listener(bound, config.server.is_tls()));
    if evidence == Evidence::None {
        tracing::warn!(
            %public_url,
            "visitors come through a proxy that is not in server.trusted_proxies: join_per_address is not enforced"
        );
    }
    let connections = descriptors::connections(config.limits.max_connections);
    let bounds = Bounds { connections, in_flight: config.limits.max_in_flight };
    Context::new(instance, public_url, proxies, evidence, bounds)
}

/// Whether peers are visitors: no proxy stands before us where visitors use our own scheme and port, and where one
/// does, its word has to count. A header could not tell: anyone can write one.
fn evidence(proxies: &TrustedProxies, public_url: &PublicUrl, own: &PublicUrl) -> Evidence {
    let is_direct = public_url.scheme_and_port() == own.scheme_and_port();
    if is_direct || !proxies.is_empty() { Evidence::Addresses } else { Evidence::None }
}
