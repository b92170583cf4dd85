//! What machines ask: whether the process lives, whether it can work, and its figures.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use serde_json::json;

use super::{
    Shared,
    auth::Read,
    documents::private,
    endpoint,
    problem::{Code, Problem},
    sale_figures::sale_figures,
};
use crate::{instance::Instance, store::StoreError};

/// How long the store may take to answer a readiness check: longer, and a load balancer gave up before us.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// What Prometheus asks for, and what everything else takes: the same lines are good as both.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who may see the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFor {
    /// Whoever reaches the listener: it is the operators' own.
    Everyone,
    /// Keys with `read`.
    Readers,
}

/// Health and readiness: on every listener.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/healthz").get(healthz).register(config);
    endpoint("/readyz").get(readyz).register(config);
}

/// The figures, on the listener that operators use.
pub fn configure_metrics(config: &mut web::ServiceConfig, readers: MetricsFor) {
    match readers {
        MetricsFor::Everyone => endpoint("/metrics").get(metrics).register(config),
        MetricsFor::Readers => endpoint("/metrics").get(metrics_for_readers).register(config),
    }
}

#[utoipa::path(get, path = "/healthz", tag = "machines", operation_id = "healthz",
    responses((status = 200, description = "The process lives", body = Object)))]
pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({ "status": "ok" }))
}

#[utoipa::path(get, path = "/readyz", tag = "machines", operation_id = "readyz",
    responses((status = 200, description = "The store answers", body = Object),
        (status = 503, description = "`store_unavailable`")))]
pub(crate) async fn readyz(context: Shared) -> Result<HttpResponse, Problem> {
    let late = || Problem::new(Code::StoreUnavailable, "the store did not answer in time");
    match tokio::time::timeout(READY_WITHIN, context.instance.ready()).await {
        Ok(Ok(())) => {
            let mut response = HttpResponse::Ok();
            Ok(response.insert_header((header::CACHE_CONTROL, "no-store")).json(json!({ "status": "ready" })))
        }
        // Too busy for one more question is still ready: a balancer that took us out would make it worse elsewhere.
        Ok(Err(StoreError::Overloaded)) => Ok(HttpResponse::Ok().json(json!({ "status": "busy" }))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(late()),
    }
}

#[utoipa::path(get, path = "/metrics", tag = "machines", operation_id = "metrics", security(("api_key" = ["read"])),
    responses((status = 200, description = "The figures, as Prometheus text; on the operators' own listener without a key",
            body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`")))]
pub(crate) async fn metrics_for_readers(
    _key: Read,
    request: HttpRequest,
    context: Shared,
) -> Result<HttpResponse, Problem> {
    metrics(request, context).await
}

async fn metrics(request: HttpRequest, context: Shared) -> Result<HttpResponse, Problem> {
    let instance = &context.instance;
    let sales = sale_figures(instance).await;
    let mut body = String::new();
    let written = text::encode_registry(&mut body, &instance.metrics.registry)
        .and_then(|()| text::encode_registry(&mut body, &room_figures(instance)))
        .and_then(|()| text::encode_registry(&mut body, &sales))
        .and_then(|()| text::encode_eof(&mut body));
    written.map_err(|error| {
        tracing::error!(%error, "the metrics can't be written");
        Problem::new(Code::Internal, "the fault is ours, and logged")
    })?;
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let content_type = if accepted.contains("application/openmetrics-text") { OPENMETRICS } else { PLAIN };
    Ok(private(HttpResponse::Ok()).content_type(content_type).body(body))
}

/// The only label of a room's figures: an id we serve, never one that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoomLabel {
    room: String,
}

/// What the rooms show of themselves, read at the moment it is asked: nothing to keep in step, and a deleted room is
/// gone at once.
fn room_figures(instance: &Instance) -> Registry {
    type Figures = Family<RoomLabel, Gauge>;
    let mut registry = Registry::with_prefix("dropgate_room");
    let mut family = |name: &str, help: &str| {
        let figures = Figures::default();
        registry.register(name, help, figures.clone());
        figures
    };
    let waiting = family("waiting", "Positions issued and not yet called, voids aside");
    let outstanding = family("called", "Positions called whose visitors may still claim");
    let inside = family("inside", "Live sessions");
    let tail = family("tail", "The highest position issued in this epoch");
    let head = family("head", "The highest position called in this epoch");
    let entered = family("entered", "Positions claimed in this epoch");
    let lapsed = family("lapsed", "Positions passed by the head and given back, never claimed, or void, in this epoch");
    let epoch = family("epoch", "The count of resets");
    let version = family("settings_version", "The version of the settings in force");
    let rate = family("rate_per_minute", "The rate of the settings");
    for (id, room) in instance.rooms() {
        let Some(view) = room.lane.view() else { continue };
        let set = |figures: &Figures, value: u64| {
            let label = RoomLabel { room: id.to_string() };
            figures.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&waiting, view.waiting());
        set(&outstanding, view.outstanding());
        set(&inside, view.inside);
        set(&tail, view.tail);
        set(&head, view.head);
        set(&entered, view.entered);
        set(&lapsed, view.lapsed);
        set(&epoch, view.epoch);
        set(&version, view.version);
        set(&rate, room.rules.rate_per_minute);
    }
    registry
}

#[cfg(test)]
mod tests;
