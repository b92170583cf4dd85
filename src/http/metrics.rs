//! The metrics of one route, looked up once so that a request costs no search by label.

use std::{cell::OnceCell, time::Duration};

use actix_web::http::{Method, StatusCode};
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};

use crate::telemetry::{HttpMetrics, ResponseLabels, RouteLabels};

/// Classes of status, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Methods told apart; whatever else a client makes up is one.
const METHODS: [(Method, &str); 6] = [
    (Method::GET, "GET"),
    (Method::POST, "POST"),
    (Method::PUT, "PUT"),
    (Method::PATCH, "PATCH"),
    (Method::DELETE, "DELETE"),
    (Method::HEAD, "HEAD"),
];

/// The metrics of one route.
pub(super) struct RouteMetrics {
    route: String,
    all_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    all_responses: Family<ResponseLabels, Counter>,
    // Made when first seen, so that a scrape does not list methods a route never had.
    seconds: [OnceCell<Histogram>; METHODS.len() + 1],
    responses: [OnceCell<Counter>; CLASSES.len()],
}

impl RouteMetrics {
    /// Those of the route with that pattern.
    pub(super) fn new(metrics: &HttpMetrics, route: String) -> Self {
        Self {
            route,
            all_seconds: metrics.request_seconds.clone(),
            all_responses: metrics.responses.clone(),
            seconds: Default::default(),
            responses: Default::default(),
        }
    }

    /// Counts one answer.
    pub(super) fn observe(&self, method: &Method, elapsed: Duration, status: StatusCode) {
        let index = METHODS.iter().position(|(known, _)| known == method).unwrap_or(METHODS.len());
        let method = METHODS.get(index).map_or("other", |(_, name)| name);
        let labels = || RouteLabels { route: self.route.clone(), method };
        let seconds = self.seconds[index].get_or_init(|| self.all_seconds.get_or_create_owned(&labels()));
        seconds.observe(elapsed.as_secs_f64());
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let labels = || ResponseLabels { route: self.route.clone(), status: CLASSES[class] };
        self.responses[class].get_or_init(|| self.all_responses.get_or_create_owned(&labels())).inc();
    }
}
