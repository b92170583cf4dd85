//! What the configuration says about Redis, as the store takes it.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{self, Durability as Declared},
    store::redis::link::{Durability, LinkOptions},
    telemetry::Metrics,
};

/// How Redis is to be reached by this configuration.
pub fn link_options(store: &config::Store, metrics: &Arc<Metrics>) -> LinkOptions {
    LinkOptions {
        password: store.password.clone(),
        ca_file: store.ca_file.clone(),
        durability: match store.durability {
            Declared::None => Durability::None,
            Declared::Local => Durability::Local,
            Declared::Replica => Durability::Replica { copies: store.replicas },
        },
        connections: store.connections,
        connect_timeout: Duration::from_millis(store.connect_timeout_ms),
        call_timeout: Duration::from_millis(store.call_timeout_ms),
        metrics: Arc::clone(metrics),
    }
}
