//! Everything a request looks up, replaced as a whole when the catalog changes.

use std::{collections::HashMap, sync::Arc};

use secrecy::ExposeSecret;

use super::{
    Instance, LiveRoom, LiveSale, OperateError, Options,
    api_key::{ApiKey, ApiKeys, ENV_ADMIN, Origin, Scope, SecretHash},
    documents, signing,
};
use crate::{
    clock::Clock,
    id::{RoomId, SaleId},
    room::Document,
    sale,
    store::{
        Backend,
        batcher::Lane,
        catalog::{Entry, Kind},
        sale_lane::SaleLane,
    },
    telemetry::Metrics,
    token::{KeyRing, SigningKey, ring::KeyError},
};

/// How often one refresh looks again because a sale refused its document and it was taken back: once for that, and
/// once more for another who wrote meanwhile. What is left then is the next refresh's.
const REFRESH_ROUNDS: usize = 3;

/// How many rooms are told of their settings at a time: enough to hide the store's latency at start, few enough not to
/// crowd out visitors.
const CONFIGURE_AT_ONCE: usize = 32;

/// Everything a request looks up, as of one revision of the catalog.
pub(super) struct Directory {
    /// The revision of the catalog this was made from.
    pub revision: u64,
    pub rooms: HashMap<RoomId, Arc<LiveRoom>>,
    pub sales: HashMap<SaleId, Arc<LiveSale>>,
    pub ring: Arc<KeyRing>,
    /// The signing keys that the catalog holds; those of the configuration are in the ring as well.
    pub signing: Vec<SigningKey>,
    pub api_keys: ApiKeys,
}

/// What turns documents into a directory.
pub(super) struct Reader<'a> {
    pub options: &'a Options,
    pub store: &'a Backend,
    pub metrics: &'a Arc<Metrics>,
    pub clock: &'a Clock,
}

impl Reader<'_> {
    /// The directory of a listing. What can't be read keeps the form it had in `last`: a newer version may have
    /// written it, and a room that stands is worth more than an error.
    ///
    /// # Errors
    /// A signing key can't be read, and there is no ring from before.
    pub fn read(&self, revision: u64, entries: &[Entry], last: Option<&Directory>) -> Result<Directory, KeyError> {
        let (mut rooms, mut sales) = (HashMap::new(), HashMap::new());
        let (mut signing, mut api_keys) = (Vec::new(), configured_keys(self.options));
        for entry in entries {
            match entry.kind {
                Kind::Room => {
                    let before = last.and_then(|last| last.rooms.get(entry.id.as_str()));
                    rooms.extend(self.room(entry, before).map(|room| (room.id.clone(), room)));
                }
                Kind::Sale => {
                    let before = last.and_then(|last| last.sales.get(entry.id.as_str()));
                    sales.extend(self.sale(entry, before).map(|sale| (sale.id.clone(), sale)));
                }
                Kind::ApiKey => api_keys.extend(documents::read::<ApiKey>(entry)),
                Kind::SigningKey => signing.extend(documents::read::<SigningKey>(entry)),
            }
        }
        let in_force = signing::in_force(&self.options.signing.keys, &signing);
        let ring = match (KeyRing::new(&self.options.public_url, in_force), last) {
            (Ok(ring), _) => Arc::new(ring),
            (Err(error), Some(last)) => {
                tracing::error!(%error, "the signing keys stay as they were");
                Arc::clone(&last.ring)
            }
            (Err(error), None) => return Err(error),
        };
        Ok(Directory { revision, rooms, sales, ring, signing, api_keys: ApiKeys::new(api_keys) })
    }

    fn room(&self, entry: &Entry, before: Option<&Arc<LiveRoom>>) -> Option<Arc<LiveRoom>> {
        if let Some(room) = before.filter(|room| room.version == entry.version) {
            return Some(Arc::clone(room));
        }
        let Some(document) = documents::read::<Document>(entry) else {
            return before.map(Arc::clone);
        };
        let lane = before.map_or_else(|| self.lane(&document.id), |room| Arc::clone(&room.lane));
        Some(Arc::new(LiveRoom::new(document, &self.options.public_url, entry.version, entry.first_epoch, lane)))
    }

    fn sale(&self, entry: &Entry, before: Option<&Arc<LiveSale>>) -> Option<Arc<LiveSale>> {
        if let Some(sale) = before.filter(|sale| sale.version == entry.version) {
            return Some(Arc::clone(sale));
        }
        let Some(document) = documents::read::<sale::Document>(entry) else {
            return before.map(Arc::clone);
        };
        let lane = before.map_or_else(|| self.sale_lane(&document.id), |sale| Arc::clone(&sale.lane));
        let before = before.map(Arc::as_ref);
        Some(Arc::new(LiveSale::new(document, entry.version, entry.first_epoch, before, lane)))
    }

    fn lane(&self, room: &RoomId) -> Arc<Lane<Backend>> {
        Lane::new(self.store.clone(), room.clone(), self.options.runtime.clone(), Arc::clone(self.metrics))
    }

    fn sale_lane(&self, sale: &SaleId) -> Arc<SaleLane<Backend>> {
        let (runtime, metrics) = (self.options.runtime.clone(), Arc::clone(self.metrics));
        SaleLane::new(self.store.clone(), sale.clone(), self.clock.clone(), runtime, metrics)
    }
}

impl Instance {
    /// Brings this instance up to the catalog, and every room up to its document.
    ///
    /// # Errors
    /// The store does not answer. What was learned until then stays.
    pub(super) async fn refresh(&self) -> Result<(), OperateError> {
        for _ in 0..REFRESH_ROUNDS {
            self.follow().await?;
            self.configure_rooms().await?;
            if !self.configure_sales().await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes in the catalog as it stands.
    async fn follow(&self) -> Result<(), OperateError> {
        let _following = self.following.lock().await;
        let last = self.directory.load_full();
        let listing = self.documents.list(last.revision).await?;
        if let Some(entries) = listing.entries {
            let (store, metrics) = (&self.documents.store, &self.metrics);
            let reader = Reader { options: &self.options, store, metrics, clock: &self.clock };
            match reader.read(listing.revision, &entries, Some(&last)) {
                Ok(directory) => self.directory.store(Arc::new(directory)),
                // Never with a directory from before; if it were, that one stays.
                Err(error) => tracing::error!(%error, "the signing keys can't be read"),
            }
        }
        Ok(())
    }

    /// Tells the rooms of their documents that may not know them: new ones, changed ones, and those whose writer died
    /// before it told them.
    async fn configure_rooms(&self) -> Result<(), OperateError> {
        let directory = self.directory.load_full();
        let lagging: Vec<_> = directory.rooms.values().filter(|room| room.lags()).cloned().collect();
        for some in lagging.chunks(CONFIGURE_AT_ONCE) {
            let told = some.iter().map(|room| room.lane.submit(room.configure()));
            for answer in futures_util::future::join_all(told).await {
                answer?;
            }
        }
        Ok(())
    }

    /// The same for sales. A stock can refuse its document, which then is taken back: whether one was.
    async fn configure_sales(&self) -> Result<bool, OperateError> {
        let directory = self.directory.load_full();
        let lagging: Vec<_> = directory.sales.values().filter(|sale| sale.lags()).cloned().collect();
        let mut taken_back = false;
        for some in lagging.chunks(CONFIGURE_AT_ONCE) {
            let told = some.iter().map(|sale| sale.lane.submit(sale.configure()));
            for (sale, answer) in some.iter().zip(futures_util::future::join_all(told).await) {
                if let sale::Outcome::Refused(refusal) = answer?.outcome {
                    self.take_back(sale, &refusal).await?;
                    taken_back = true;
                }
            }
        }
        Ok(taken_back)
    }
}

/// The API keys the configuration gives.
fn configured_keys(options: &Options) -> Vec<ApiKey> {
    let env_admin = options.admin_secret.as_ref().map(|secret| ApiKey {
        id: ENV_ADMIN.to_owned(),
        name: ENV_ADMIN.to_owned(),
        scopes: [Scope::Admin].into(),
        rooms: None,
        sales: None,
        origin: Origin::Environment,
        created: None,
        sha256: SecretHash::of(secret.expose_secret()),
    });
    let declared = options.api_keys.iter().map(|key| ApiKey {
        id: key.name.clone(),
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        rooms: key.rooms.clone(),
        sales: key.sales.clone(),
        origin: Origin::Configuration,
        created: None,
        sha256: key.sha256,
    });
    env_admin.into_iter().chain(declared).collect()
}
