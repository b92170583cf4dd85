//! Sets the stage and takes it down: the instance, the shop beside it, and what is looked at from behind.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{dev::ServerHandle, web};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use url::Url;

use super::{
    Arguments,
    browser::connections,
    checks::{Bounds, Sample},
    feed::Follower,
    goods::{self, SALE},
    ledger::Ledger,
    plan::UNTIL_OPENING,
    progress::Shelf,
    provider::{Payments, Provider},
    shop::{
        self, PRODUCT, Shop,
        books::Books,
        gate::Gate,
        till::{Refusal, Till},
    },
    tally::Tally,
    visitor::World,
};
use crate::{
    app::{Application, BuildError, Stopper},
    clock::Clock,
    config::{Config, PublicUrl, StoreUrl},
    instance::{Instance, api_key::new_secret},
    room::{Document, Rules, settings::Timestamp},
    telemetry::ResponseLabels,
    time::UnixMs,
};

/// The one room of the demo.
pub const ROOM: &str = "main";

/// How long a called visitor has: short, so that a short run shows places lapse and pass on.
const CLAIM_WINDOW_SECONDS: u64 = 3;

/// How long a visitor who wandered off counts as inside, and a unit is kept for them: short, so that a short run shows
/// it pass on. Whoever goes on looking at pages goes on being inside.
const SESSION_SECONDS: u64 = 40;

/// Open connections of the instance: the crowd shares far fewer, and a machine's limit of open files has to do for
/// both ends of each.
const CONNECTIONS_MAX: usize = 4_096;

/// Between two looks at what is still going on at the end, and how many of them: the sale is quiet but for baskets
/// that expire.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 100;

/// A set stage.
pub struct Stage {
    pub public_url: PublicUrl,
    pub product: Url,
    pub shop: web::Data<Shop>,
    pub bounds: Bounds,
    provider: web::Data<Provider>,
    follower: Arc<Follower>,
    instance: Arc<Instance>,
    key: SecretString,
    /// The version and epoch the room began with.
    began: (u64, u64),
    stopper: Stopper,
    shop_handle: ServerHandle,
    running: Vec<JoinHandle<()>>,
}

/// Why the stage could not be set.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("listening beside {0}")]
    Shop(SocketAddr, #[source] std::io::Error),
    #[error(transparent)]
    Instance(#[from] BuildError),
    #[error("drawing a key")]
    Key(#[from] aws_lc_rs::error::Unspecified),
    #[error("preparing the crowd's connections")]
    Connections(#[from] reqwest::Error),
    #[error("an address of the demo")]
    Address(#[from] url::ParseError),
    #[error("the demo's room or sale")]
    Document(#[from] serde_json::Error),
    #[error("the histograms")]
    Tally(#[from] hdrhistogram::CreationError),
    #[error("the room did not come up")]
    NoRoom,
}

/// One look behind the stage.
pub struct Look {
    pub sample: Sample,
    pub inside: u64,
    pub entering_per_minute: u64,
    pub shelf: Shelf,
    version: u64,
    epoch: u64,
}

impl Stage {
    /// Sets the stage: everything listens when this returns.
    ///
    /// # Errors
    /// What could not be set up, an address in use most of all.
    pub async fn set(arguments: &Arguments, stop: watch::Receiver<bool>) -> Result<Self, StageError> {
        let listener = shop::listener_beside(arguments.listen).map_err(|e| StageError::Shop(arguments.listen, e))?;
        let shop_address = listener.local_addr().map_err(|e| StageError::Shop(arguments.listen, e))?;
        let product = Url::parse(&format!("http://{}{PRODUCT}", reachable(shop_address)))?;
        let opens_at = UnixMs(Clock::system().now().plus_ms(as_ms(UNTIL_OPENING)).0);
        let document = room(arguments, &product, opens_at)?;
        let bounds = bounds(&document.rules(), opens_at);
        let key = SecretString::from(new_secret()?);
        let app = Application::build(&configuration(arguments, document, &key)?).await?;
        let (instance, public_url) = (Arc::clone(app.instance()), app.public_url().clone());
        let (shop, provider) = shop_and_provider(&public_url, &product, &key, stop.clone())?;
        let open = shop::open(shop.clone(), provider.clone(), listener);
        let open = open.map_err(|e| StageError::Shop(shop_address, e))?;
        let (stopper, shop_handle) = (app.stopper(), open.handle.clone());
        let follower = Arc::new(Follower::new(&sale_url(&public_url), key.clone(), connections()?));
        let running = vec![
            tokio::spawn(run_instance(app)),
            tokio::spawn(run_shop(open)),
            tokio::spawn(follow(Arc::clone(&follower), stop)),
        ];
        let began = (0, 0);
        let mut stage = Self {
            public_url,
            product,
            shop,
            bounds,
            provider,
            follower,
            instance,
            key,
            began,
            stopper,
            shop_handle,
            running,
        };
        let look = stage.look().ok_or(StageError::NoRoom)?;
        stage.began = (look.version, look.epoch);
        Ok(stage)
    }

    /// What the visitors of this stage share.
    pub fn world(&self, tally: Tally, stop: watch::Receiver<bool>) -> Result<Arc<World>, StageError> {
        let room = Url::parse(&format!("{}/v1/rooms/{ROOM}/", self.public_url))?;
        Ok(Arc::new(World { client: connections()?, product: self.product.clone(), room, tally, stop }))
    }

    /// The key of the dashboard.
    pub fn admin_key(&self) -> &str {
        self.key.expose_secret()
    }

    /// The room as it stands.
    pub fn look(&self) -> Option<Look> {
        let view = self.instance.room(ROOM)?.lane.view()?;
        let sale = self.instance.sale(SALE).and_then(|sale| sale.lane.header());
        let shelf = sale.map_or_else(Shelf::default, |sale| Shelf { left: sale.available, in_baskets: sale.held });
        let meant_for_others = view.outstanding() + view.undecided;
        let sample = Sample {
            at_ms: view.now.0,
            tail: view.tail,
            head: view.head,
            entered: view.entered,
            lapsed: view.lapsed,
            waiting: view.waiting(),
            // As many as a second calls may have been called since the room last heard of the sale.
            is_short: shelf.left <= meant_for_others + self.bounds.rate_per_minute.div_ceil(60),
        };
        let (inside, entering_per_minute) = (view.inside, view.entering_per_minute);
        Some(Look { sample, inside, entering_per_minute, shelf, version: view.version, epoch: view.epoch })
    }

    /// Keeps a look, unless the room was changed by hand: then its counters may have started anew.
    pub fn sample(&self, tally: &Tally) {
        if let Some(look) = self.look().filter(|look| (look.version, look.epoch) == self.began) {
            tally.sampled(look.sample);
        }
    }

    /// What of the room was changed by hand since the start.
    pub fn changed(&self) -> Option<&'static str> {
        match self.look() {
            None => Some("the room was deleted"),
            Some(look) if look.epoch != self.began.1 => Some("the line was reset"),
            Some(look) if look.version != self.began.0 => Some("the room was changed"),
            Some(_) => None,
        }
    }

    /// Answers to joins, those of the page without script too, that nobody of the crowd heard: a person's, or one that
    /// came too late. No more positions than these may have gone to nobody we know.
    pub fn unheard_joins(&self, tally: &Tally) -> u64 {
        let answered = |route: &str, status: &'static str| {
            let labels = ResponseLabels { route: route.to_owned(), status };
            self.instance.metrics.http.responses.get(&labels).map_or(0, |counter| counter.get())
        };
        let joins = answered("/v1/rooms/{room}/tickets", "2xx") + answered("/w/{room}", "3xx");
        joins.saturating_sub(tally.snapshot().join_us.len())
    }

    /// Waits, so long at most, until everybody who has paid has an answer.
    pub async fn last_payments(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.provider.payments.is_calling() && Instant::now() < until {
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// The event feed, folded from its first event to its last and compared with the sale as of that event.
    ///
    /// # Errors
    /// The feed or the sale can't be read, or never stood still for a moment.
    pub async fn books(&self) -> Result<Ledger, String> {
        for _ in 0..LOOKS_MAX {
            self.follower.drain().await.map_err(|error| error.to_string())?;
            let shelf = self.shop.till.shelf_now().await.map_err(|refusal: Refusal| format!("{refusal:?}"))?;
            // Baskets go on expiring: only where nothing happened since do both stand for the same moment.
            if self.follower.drain().await.map_err(|error| error.to_string())? == 0 {
                let mut ledger = self.follower.ledger();
                ledger.compare(shelf.items());
                return Ok(ledger);
            }
            sleep(BETWEEN_LOOKS).await;
        }
        Err("the sale never stood still".to_owned())
    }

    /// Ends everything, the visitors being gone.
    pub async fn strike(self) {
        let at_once = false;
        self.shop_handle.stop(at_once).await;
        self.stopper.stop();
        for task in self.running {
            let _ = task.await;
        }
    }
}

/// The shop with its till and its door, and who takes its payments.
fn shop_and_provider(
    public_url: &PublicUrl,
    product: &Url,
    key: &SecretString,
    stop: watch::Receiver<bool>,
) -> Result<(web::Data<Shop>, web::Data<Provider>), StageError> {
    let (client, clock) = (connections()?, Clock::system());
    let provider_secret = SecretString::from(new_secret()?);
    let shop = Shop {
        gate: Gate { url: format!("{public_url}/gate/{ROOM}/redirect"), client: client.clone() },
        till: Till::new(sale_url(public_url), key.clone(), client.clone())?,
        books: Books::default(),
        clock: clock.clone(),
        provider_secret: provider_secret.clone(),
    };
    let callback = product.join("/orders/callback")?.to_string();
    let payments = Payments::default();
    let provider = Provider { callback, secret: provider_secret, client, clock, stop, payments };
    Ok((web::Data::new(shop), web::Data::new(provider)))
}

fn sale_url(public_url: &PublicUrl) -> String {
    format!("{public_url}/v1/sales/{SALE}")
}

async fn follow(follower: Arc<Follower>, stop: watch::Receiver<bool>) {
    follower.follow(stop).await;
}

async fn run_instance(app: Application) {
    if let Err(error) = app.run().await {
        tracing::error!(%error, "the instance ended");
    }
}

async fn run_shop(shop: shop::Running) {
    if let Err(error) = shop.server.await {
        tracing::error!(%error, "the shop ended");
    }
}

/// The instance: in memory, trusting what the shop says of its visitors, the shop being on this machine.
fn configuration(arguments: &Arguments, document: Document, key: &SecretString) -> Result<Config, serde_json::Error> {
    let sale = serde_json::from_value(goods::document(u64::from(arguments.stock), ROOM))?;
    let mut config =
        Config { rooms: vec![document], sales: vec![sale], admin_key: Some(key.clone()), ..Config::default() };
    config.store.url = StoreUrl::Memory;
    config.server.listen = arguments.listen;
    config.server.public_url = (!arguments.listen.ip().is_loopback())
        .then(|| PublicUrl::of_listener(reachable(arguments.listen), config.server.is_tls()));
    config.server.trusted_proxies = ["127.0.0.0/8", "::1"].iter().filter_map(|block| block.parse().ok()).collect();
    config.server.shutdown_timeout_seconds = 1;
    config.limits.max_connections = CONNECTIONS_MAX;
    Ok(config)
}

fn room(arguments: &Arguments, product: &Url, opens_at: UnixMs) -> Result<Document, serde_json::Error> {
    serde_json::from_value(json!({
        "id": ROOM,
        "name": "The kite drop",
        "shop_url": product.as_str(),
        "rate_per_minute": arguments.rate,
        "claim_window_seconds": CLAIM_WINDOW_SECONDS,
        "session_seconds": SESSION_SECONDS,
        "join_per_address": 0,
        "opens_at": String::from(Timestamp(opens_at)),
        "sale": SALE,
        "stock_gate": "hold",
        "page": { "title": "Kite No. 7", "message": "One drop, handmade. Thank you for waiting.", "accent": "#b4421b" },
    }))
}

/// What the room promises: L = overcall × rate × claim window + burst, in permits, rounded up.
fn bounds(rules: &Rules, opens_at: UnixMs) -> Bounds {
    let overcalled = (rules.overcall * rules.rate_per_minute * rules.claim_window_ms).div_ceil(60_000);
    Bounds { rate_per_minute: rules.rate_per_minute, surge: overcalled + rules.burst, opened_ms: opens_at.0 }
}

/// An address that a browser on this machine can go to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

fn as_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
