//! Every bound of the HTTP side in one place, each with its reason.

use std::time::Duration;

/// The largest request body: a room's document with its logo (16 kB, base64) and texts fits with room to spare.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
/// The largest body of a sale's document, with a key of `admin` alone: a thousand items with the longest names fit.
pub const DOCUMENT_MAX_BYTES: usize = 1024 * 1024;
/// How long a body may take to arrive: 64 kB over a bad mobile link.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest request headers, names and values together: a browser's cookies of many rooms fit.
pub const HEADERS_MAX_BYTES: usize = 16 * 1024;
/// How long headers may take to arrive, from the connection's or the last request's end: a slow sender holds a
/// connection no longer.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests at work on one HTTP/2 connection: what browsers and proxies expect to be able to open.
pub const STREAMS_MAX: usize = 100;
/// How long an idle connection is kept: a page polls at most every 30 s, and its next poll may as well reconnect.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Open connections an instance; beyond it they wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Requests at work an instance; beyond it they are refused at once with 503, so that those at work finish in time.
pub const IN_FLIGHT_MAX: usize = 10_000;
/// How long a request may have waited for its worker, round after round, before what is dear to answer is refused. As long
/// as one may wait for the store: a drop opens with a burst, and whoever is served in a quarter of a second has noticed
/// nothing, while whoever is refused comes back seconds later.
pub const LATE_AFTER: Duration = Duration::from_millis(250);
/// How long the body of a refused request is waited for: it mostly comes with the headers.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a TLS handshake may take: as headers, and it comes before them.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The bounds an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open connections an instance.
    pub connections: usize,
    /// Requests at work an instance.
    pub in_flight: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, in_flight: IN_FLIGHT_MAX }
    }
}
