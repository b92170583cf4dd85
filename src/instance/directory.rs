//! Everything a request looks up, replaced as a whole when the catalog changes.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::ExposeSecret;

use super::{
    LiveRoom, LiveSale, Options,
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

/// Everything a request looks up, as of one revision of the catalog.
pub(super) struct Directory {
    /// The revision of the catalog this was made from.
    pub revision: u64,
    // Ordered, as lists of them are; and with as few as there are, comparing ids costs a request less than hashing one.
    pub rooms: BTreeMap<RoomId, Arc<LiveRoom>>,
    pub sales: BTreeMap<SaleId, Arc<LiveSale>>,
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
        let (mut rooms, mut sales) = (BTreeMap::new(), BTreeMap::new());
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
            if entry.made {
                sale.made_was_noted();
            }
            return Some(Arc::clone(sale));
        }
        let Some(document) = documents::read::<sale::Document>(entry) else {
            return before.map(Arc::clone);
        };
        let lane = before.map_or_else(|| self.sale_lane(&document.id), |sale| Arc::clone(&sale.lane));
        Some(Arc::new(LiveSale::new(document, entry, before.map(Arc::as_ref), lane)))
    }

    fn lane(&self, room: &RoomId) -> Arc<Lane<Backend>> {
        Lane::new(self.store.clone(), room.clone(), self.options.runtime.clone(), Arc::clone(self.metrics))
    }

    fn sale_lane(&self, sale: &SaleId) -> Arc<SaleLane<Backend>> {
        let (runtime, metrics) = (self.options.runtime.clone(), Arc::clone(self.metrics));
        SaleLane::new(self.store.clone(), sale.clone(), self.clock.clone(), runtime, metrics)
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
