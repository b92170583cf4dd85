//! Metrics. Knows nothing of the rest, so that every part may report here.
//!
//! One struct an area, each registered in [`Metrics::new`]: names begin with `dropgate_`, durations are in
//! seconds, and no label ever carries a visitor, a token or an address.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Every metric of one instance. Its registry is a value: servers in one test process do not clash.
pub struct Metrics {
    pub registry: Registry,
    pub store: StoreMetrics,
    pub redis: RedisMetrics,
    pub http: HttpMetrics,
    pub sales: SaleMetrics,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("dropgate");
        let store = StoreMetrics::register(&mut registry);
        let redis = RedisMetrics::register(&mut registry);
        let http = HttpMetrics::register(&mut registry);
        let sales = SaleMetrics::register(&mut registry);
        Self { registry, store, redis, http, sales }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// How the store and the batcher in front of it fare.
pub struct StoreMetrics {
    /// `dropgate_store_batch_size`: callers answered by one batch.
    pub batch_size: Histogram,
    /// `dropgate_store_queue_depth`: callers waiting for a batch to take them, over all rooms.
    pub queue_depth: Gauge,
    /// `dropgate_store_overloaded_total`: callers turned away because a queue was full or the wait too long.
    pub overloaded: Counter,
    /// `dropgate_store_too_late_total`: those of them for whom the wait was too long.
    pub too_late: Counter,
    /// `dropgate_store_call_seconds`: from sending a batch to its answer.
    pub call_seconds: Histogram,
    /// `dropgate_store_errors_total`: batches that failed.
    pub errors: Counter,
    /// `dropgate_journal_commit_seconds`: one write and one fsync of the embedded store.
    pub journal_commit_seconds: Histogram,
    /// `dropgate_journal_commit_batches`: batches of all rooms that shared one fsync.
    pub journal_commit_batches: Histogram,
    /// `dropgate_journal_snapshot_seconds`: encoding one room for its snapshot; the engine stands still as long.
    pub journal_snapshot_seconds: Histogram,
    /// `dropgate_journal_records`: records a restart would replay.
    pub journal_records: Gauge,
}

impl StoreMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self {
            batch_size: Histogram::new(sizes()),
            queue_depth: Gauge::default(),
            overloaded: Counter::default(),
            too_late: Counter::default(),
            call_seconds: Histogram::new(store_times()),
            errors: Counter::default(),
            journal_commit_seconds: Histogram::new(store_times()),
            journal_commit_batches: Histogram::new(sizes()),
            journal_snapshot_seconds: Histogram::new(store_times()),
            journal_records: Gauge::default(),
        };
        let store = registry.sub_registry_with_prefix("store");
        store.register("batch_size", "Callers answered by one batch", this.batch_size.clone());
        store.register("queue_depth", "Callers waiting for a batch to take them", this.queue_depth.clone());
        store.register(
            "overloaded",
            "Callers turned away, the queue full or the wait too long",
            this.overloaded.clone(),
        );
        store.register("too_late", "Callers turned away because the wait was too long", this.too_late.clone());
        store.register("call_seconds", "From sending a batch to its answer", this.call_seconds.clone());
        store.register("errors", "Batches that failed", this.errors.clone());
        let journal = registry.sub_registry_with_prefix("journal");
        journal.register("commit_seconds", "One write and one fsync", this.journal_commit_seconds.clone());
        journal.register("commit_batches", "Batches that shared one fsync", this.journal_commit_batches.clone());
        journal.register("snapshot_seconds", "Encoding one room's snapshot", this.journal_snapshot_seconds.clone());
        journal.register("records", "Records a restart would replay", this.journal_records.clone());
        this
    }
}

/// How the way to Redis fares, where the store is there.
pub struct RedisMetrics {
    /// `dropgate_redis_calls_total`: script calls, also those that failed.
    pub calls: Counter,
    /// `dropgate_redis_call_errors_total`: script calls that failed, by kind.
    pub call_errors: Family<CallErrorLabels, Counter>,
    /// `dropgate_redis_breakers_open`: servers that are away, so that calls to them fail at once.
    pub breakers_open: Gauge,
    /// `dropgate_redis_primaries_changed_total`: how often another server was found to take the writes.
    pub primaries_changed: Counter,
}

/// How a script call failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallErrorLabels {
    /// `not_sent`, `unclear`, `too_few_copies` or `script`.
    pub kind: &'static str,
}

impl RedisMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self {
            calls: Counter::default(),
            call_errors: Family::default(),
            breakers_open: Gauge::default(),
            primaries_changed: Counter::default(),
        };
        let redis = registry.sub_registry_with_prefix("redis");
        redis.register("calls", "Script calls, also those that failed", this.calls.clone());
        redis.register("call_errors", "Script calls that failed, by kind", this.call_errors.clone());
        redis.register("breakers_open", "Servers that are away", this.breakers_open.clone());
        redis.register("primaries_changed", "Changes of the server that takes writes", this.primaries_changed.clone());
        this
    }
}

/// How requests fare, by the pattern of their route: `/v1/rooms/{room}/status`, never an id.
pub struct HttpMetrics {
    /// `dropgate_http_request_seconds`: from the first byte handled to the answer, by route and method.
    pub request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// `dropgate_http_responses_total`: by route and class of status.
    pub responses: Family<ResponseLabels, Counter>,
    /// `dropgate_http_in_flight`: requests being answered.
    pub in_flight: Gauge,
    /// `dropgate_http_shed_total`: requests refused because too many were being answered.
    pub shed: Counter,
    /// `dropgate_http_late_total`: claims and reservations refused because they had waited too long for their worker.
    pub late: Counter,
    /// `dropgate_http_worker_lag_seconds`: how long what is ready waits for its worker.
    pub worker_lag_seconds: Histogram,
}

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    pub route: String,
    pub method: &'static str,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResponseLabels {
    pub route: String,
    /// `2xx` … `5xx`
    pub status: &'static str,
}

impl HttpMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self {
            request_seconds: Family::new_with_constructor(|| Histogram::new(request_times())),
            responses: Family::default(),
            in_flight: Gauge::default(),
            shed: Counter::default(),
            late: Counter::default(),
            worker_lag_seconds: Histogram::new(request_times()),
        };
        let http = registry.sub_registry_with_prefix("http");
        http.register("request_seconds", "From a request's start to its answer", this.request_seconds.clone());
        http.register("responses", "Answers by class of status", this.responses.clone());
        http.register("in_flight", "Requests being answered", this.in_flight.clone());
        http.register("shed", "Requests refused because too many were being answered", this.shed.clone());
        http.register("late", "Claims and reservations refused because their worker was late", this.late.clone());
        let lag = this.worker_lag_seconds.clone();
        http.register("worker_lag_seconds", "How long what is ready waits for its worker", lag);
        this
    }
}

/// What becomes of what buyers and shops ask of sales.
pub struct SaleMetrics {
    /// `dropgate_reservations_total`: answers to calls about reservations, by call and outcome.
    pub reservations: Family<ReservationLabels, Counter>,
}

/// A call about a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleCall {
    Reserve,
    Look,
    Paying,
    Confirm,
    Release,
    Extend,
}

/// What came of a call about a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReservationLabels {
    /// `reserve`, `look`, `paying`, `confirm`, `release` or `extend`.
    pub call: &'static str,
    /// `done`, or the code of the problem: `sold_out`, `limit_exceeded` …
    pub outcome: &'static str,
}

impl SaleMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self { reservations: Family::default() };
        registry.register("reservations", "Answers to calls about reservations", this.reservations.clone());
        this
    }

    /// Counts one answer.
    pub fn count(&self, call: SaleCall, outcome: &'static str) {
        let call = match call {
            SaleCall::Reserve => "reserve",
            SaleCall::Look => "look",
            SaleCall::Paying => "paying",
            SaleCall::Confirm => "confirm",
            SaleCall::Release => "release",
            SaleCall::Extend => "extend",
        };
        self.reservations.get_or_create_owned(&ReservationLabels { call, outcome }).inc();
    }
}

/// 50 µs to 3.3 s, quadrupling: from a look-up in memory to the patience of a visitor.
fn request_times() -> impl Iterator<Item = f64> {
    exponential_buckets(0.000_05, 4.0, 9)
}

/// 1, 4, 16 … 16 384: from a quiet room to the whole queue in one batch.
fn sizes() -> impl Iterator<Item = f64> {
    exponential_buckets(1.0, 4.0, 8)
}

/// 50 µs to 1.6 s, doubling: from a batch in memory to a disk in trouble.
fn store_times() -> impl Iterator<Item = f64> {
    exponential_buckets(0.000_05, 2.0, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_reports_under_the_names_operators_rely_on() {
        let metrics = Metrics::new();
        metrics.store.overloaded.inc();
        metrics.store.batch_size.observe(1.0);
        metrics.redis.call_errors.get_or_create_owned(&CallErrorLabels { kind: "unclear" }).inc();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry).unwrap();
        for line in [
            "dropgate_store_batch_size_count 1",
            "dropgate_store_queue_depth 0",
            "dropgate_store_overloaded_total 1",
            "dropgate_store_too_late_total 0",
            "dropgate_store_call_seconds_count 0",
            "dropgate_http_late_total 0",
            "dropgate_http_worker_lag_seconds_count 0",
            "dropgate_journal_commit_seconds_count 0",
            "dropgate_redis_calls_total 0",
            "dropgate_redis_call_errors_total{kind=\"unclear\"} 1",
            "dropgate_redis_breakers_open 0",
            "dropgate_redis_primaries_changed_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
