//! Logs and metrics. Knows nothing of the rest, so that every part may report here.

use prometheus_client::registry::Registry;

/// Every metric of one instance. Its registry is a value: servers in one test process do not clash.
pub struct Metrics {
    pub registry: Registry,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        Self { registry: Registry::with_prefix("dropgate") }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
