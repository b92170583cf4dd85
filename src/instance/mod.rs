//! What one running process knows: the rooms it serves with their latest views, the keys in force, the API
//! keys. It follows the catalog, ticks the rooms, and knows nothing of HTTP.

use std::sync::Arc;

use crate::{
    clock::Clock,
    id::RoomId,
    room::Document,
    store::{Backend, batcher::Lane},
    telemetry::Metrics,
    token::keys::KeyRing,
};

/// One running `dropgate serve`.
pub struct Instance {
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    store: Backend,
}

/// A room this instance serves. A change of settings makes a new one around the same lane.
pub struct LiveRoom {
    pub document: Arc<Document>,
    /// The document's version in the catalog.
    pub version: u64,
    pub lane: Arc<Lane<Backend>>,
}

impl Instance {
    /// The room of that id: a look-up in memory.
    pub fn room(&self, _id: &str) -> Option<Arc<LiveRoom>> {
        todo!()
    }

    /// The signing keys in force.
    pub fn keys(&self) -> Arc<KeyRing> {
        todo!()
    }

    /// All rooms, ordered by id.
    pub fn rooms(&self) -> Vec<(RoomId, Arc<LiveRoom>)> {
        todo!()
    }
}
