//! Keeping up with the catalog: what it says is looked up here, and rooms and sales are told of their documents.
//!
//! One room or sale that can't be told is no reason to leave the others untold: whoever wrote its document hears of it
//! ([`Troubles`]), and the next refresh tries again.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Instance, OperateError, directory::Reader};
use crate::{
    id::{RoomId, SaleId},
    sale,
    store::{StoreError, catalog::Kind},
};

/// How often one refresh looks again because a document changed underway: a sale refused its own and it was taken back,
/// or the catalog had lost one. Once for that, and once more for another who wrote meanwhile. What is left then is the
/// next refresh's.
const REFRESH_ROUNDS: usize = 3;

/// How many rooms are told of their settings at a time: enough to hide the store's latency at start, few enough not to
/// crowd out visitors.
const CONFIGURE_AT_ONCE: usize = 32;

/// The rooms and sales that could not be told of their documents.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    rooms: Vec<(RoomId, StoreError)>,
    sales: Vec<(SaleId, StoreError)>,
}

impl Troubles {
    /// What stood in the way of this room, if anything did.
    ///
    /// # Errors
    /// That.
    pub fn of_room(&self, id: &str) -> Result<(), StoreError> {
        let found = self.rooms.iter().find(|(room, _)| room.as_str() == id);
        found.map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    /// The same of a sale.
    ///
    /// # Errors
    /// That.
    pub fn of_sale(&self, id: &str) -> Result<(), StoreError> {
        let found = self.sales.iter().find(|(sale, _)| sale.as_str() == id);
        found.map_or(Ok(()), |(_, error)| Err(error.clone()))
    }
}

/// Documents that rooms and sales obey, as of some moment.
type Obeyed = Vec<(Kind, String, u64)>;

impl Instance {
    /// Brings this instance up to the catalog, and every room and sale up to its document.
    ///
    /// # Errors
    /// The catalog does not answer. What was learned until then stays.
    pub(super) async fn refresh(&self) -> Result<Troubles, OperateError> {
        let mut troubles = Troubles::default();
        for _ in 0..REFRESH_ROUNDS {
            let obeyed = self.obeyed();
            self.follow().await?;
            let lifted = self.lift_lost(&obeyed).await?;
            troubles.rooms = self.configure_rooms().await;
            let taken_back = self.configure_sales(&mut troubles.sales).await?;
            self.note_made().await?;
            if !(lifted || taken_back) {
                break;
            }
        }
        Ok(troubles)
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

    /// The versions that rooms and sales have shown to obey.
    fn obeyed(&self) -> Obeyed {
        let directory = self.directory.load();
        let rooms = directory.rooms.values().filter_map(|room| {
            let version = room.lane.view()?.version;
            (version > room.version).then(|| (Kind::Room, room.id.to_string(), version))
        });
        let sales = directory.sales.values().filter_map(|sale| {
            let version = sale.lane.header()?.version;
            (version > sale.version).then(|| (Kind::Sale, sale.id.to_string(), version))
        });
        rooms.chain(sales).collect()
    }

    /// Where a room or sale obeyed a version before the catalog was asked that the catalog does not have, its document was
    /// lost, and those written later would not be obeyed: the one that stands there is lifted above it. Whether any was.
    async fn lift_lost(&self, obeyed: &Obeyed) -> Result<bool, OperateError> {
        let directory = self.directory.load_full();
        let mut lifted = false;
        for (kind, id, above) in obeyed {
            let stands = match kind {
                Kind::Room => directory.rooms.get(id.as_str()).map(|room| room.version),
                Kind::Sale => directory.sales.get(id.as_str()).map(|sale| sale.version),
                Kind::ApiKey | Kind::SigningKey => None,
            };
            if stands.is_some_and(|version| version < *above) {
                tracing::warn!(
                    ?kind,
                    id,
                    "the catalog lost the last document, and the one before it is in force again"
                );
                self.documents.lift(*kind, id.clone(), *above).await?;
                lifted = true;
            }
        }
        Ok(lifted)
    }

    /// Tells the rooms of their documents that may not know them: new ones, changed ones, and those whose writer died
    /// before it told them.
    async fn configure_rooms(&self) -> Vec<(RoomId, StoreError)> {
        let directory = self.directory.load_full();
        let lagging: Vec<_> = directory.rooms.values().filter(|room| room.lags()).cloned().collect();
        let mut troubles = Vec::new();
        for some in lagging.chunks(CONFIGURE_AT_ONCE) {
            let told = some.iter().map(|room| room.lane.submit(room.configure()));
            for (room, answer) in some.iter().zip(join_all(told).await) {
                troubles.extend(answer.err().map(|error| (room.id.clone(), error)));
            }
        }
        troubles
    }

    /// The same for sales. A stock can refuse its document, which then is taken back: whether one was.
    async fn configure_sales(&self, troubles: &mut Vec<(SaleId, StoreError)>) -> Result<bool, OperateError> {
        troubles.clear();
        let directory = self.directory.load_full();
        let lagging: Vec<_> = directory.sales.values().filter(|sale| sale.lags()).cloned().collect();
        let mut taken_back = false;
        for some in lagging.chunks(CONFIGURE_AT_ONCE) {
            let told = some.iter().map(|sale| sale.lane.submit(sale.configure()));
            for (sale, answer) in some.iter().zip(join_all(told).await) {
                match answer {
                    Ok(answer) => {
                        if let sale::Outcome::Refused(refusal) = answer.outcome {
                            self.take_back(sale, &refusal).await?;
                            taken_back = true;
                        }
                    }
                    Err(error) => troubles.push((sale.id.clone(), error)),
                }
            }
        }
        Ok(taken_back)
    }

    /// Notes of every sale that the store has made that it has: from then on it is not made again by itself. Here it
    /// counts at once, whether or not the catalog can be told.
    async fn note_made(&self) -> Result<(), OperateError> {
        let directory = self.directory.load_full();
        let made: Vec<_> = directory.sales.values().filter(|sale| sale.is_there()).cloned().collect();
        made.iter().for_each(|sale| sale.note_made());
        for sale in made.iter().filter(|sale| sale.made_is_news()) {
            self.documents.note_made(Kind::Sale, sale.id.to_string(), sale.born).await?;
            sale.made_was_noted();
        }
        Ok(())
    }
}
