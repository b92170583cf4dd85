//! The event feed of a sale: its outbox in order, from a cursor on, with long polling.
//!
//! A reader keeps `next` of the last answer and asks with it: it gets each event at least once and in order, whatever
//! was lost on the way. [`event`] shows one event, [`query`] reads what is asked.

pub mod event;
mod query;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web::ServiceConfig};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

use self::{
    event::Event,
    query::{Cursor, Query},
};
use super::{
    Context, SalePath, Shared,
    auth::Read,
    documents::private,
    endpoint,
    problem::{Code, Problem},
    sale_refusals,
};
use crate::{
    instance::LiveSale,
    sale::{self, Command, Outcome},
};

/// How long a waiting reader trusts that nothing happened: another instance's changes wake nobody here, and holds that
/// are due expire when somebody asks.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The addresses of these files.
pub fn configure(config: &mut ServiceConfig) {
    endpoint("/v1/sales/{sale}/events").get(list).register(config);
}

/// A part of a sale's events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    /// In order, without gaps.
    pub events: Vec<Event>,
    /// The cursor to ask with next: that of the last event here, or the one asked with.
    pub next: String,
}

#[utoipa::path(get, path = "/v1/sales/{sale}/events", tag = "shop", operation_id = "listEvents", security(("api_key" = ["read"])),
    params(("sale" = String, Path, description = "The sale's id"),
        ("after" = Option<String>, Query, description = "The cursor of the last event known, as it was given; all that are kept if left \
            out. One older than what is kept goes on at the oldest `sale.checkpoint`; one of a deleted sale is refused"),
        ("limit" = Option<u64>, Query, description = "The most events, 1 to 1000; 100 if left out"),
        ("wait" = Option<u64>, Query, description = "Seconds to wait for an event where there is none yet, 0 to 25; 0 if left out. \
            An answer may come sooner without any")),
    responses((status = 200, description = "Events, in order", body = EventList),
        (status = 400, description = "`invalid_request` with `field`"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`"),
        (status = 503, description = "`overloaded` (also where too many readers wait), `store_unavailable` or `recovering`")))]
pub(crate) async fn list(
    _key: Read,
    SalePath(sale): SalePath,
    context: Shared,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string())?;
    let Part { start, events } = wait_for(&context, &sale, query).await?;
    let next = events.last().map_or_else(|| query.after.unwrap_or(start), |event| Cursor { seq: event.seq, ..start });
    let events = events.into_iter().map(|event| Event::of(start, event)).collect();
    Ok(private(HttpResponse::Ok()).json(EventList { events, next: next.to_string() }))
}

/// Events as the sale told them.
struct Part {
    /// The beginning of the sale's events, as they are numbered now.
    start: Cursor,
    events: Vec<sale::Event>,
}

/// The events asked for, once there are any or the time is over.
async fn wait_for(context: &Context, sale: &LiveSale, query: Query) -> Result<Part, Problem> {
    let until = Instant::now() + query.wait;
    // Before the store is asked: what happens after its answer wakes us.
    let mut changes = sale.lane.changes();
    let mut waiting = None;
    loop {
        let part = ask(sale, query).await?;
        if !part.events.is_empty() || Instant::now() >= until {
            return Ok(part);
        }
        if waiting.is_none() {
            waiting = context.waiters.enter();
        }
        // Not an empty answer at once: its reader would ask again at once.
        let full =
            || Problem::new(Code::Overloaded, "too many readers wait here already: try again, or without `wait`");
        let waiting = waiting.as_mut().ok_or_else(full)?;
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep_until(until.min(Instant::now() + ASK_AGAIN_AFTER)) => {}
            () = waiting.ended() => return Ok(part),
        }
    }
}

async fn ask(sale: &LiveSale, query: Query) -> Result<Part, Problem> {
    let (term, after) = query.after.map_or((0, 0), |after| (after.term, after.seq));
    let answer = sale.lane.submit(Command::Events { after, term, limit: query.limit }).await?;
    let events = match answer.outcome {
        Outcome::Events(events) => events,
        Outcome::Refused(refusal) => return Err(sale_refusals::problem(refusal)),
        other => return Err(sale_refusals::unexpected(&other)),
    };
    let (now, born) = answer.header.map_or((0, sale.born), |header| (header.term, header.born));
    if query.after.is_some_and(|after| after.born != born) {
        return Err(Problem::invalid_field("after", "is of a sale that was deleted: ask without it, and begin anew"));
    }
    // One of an older term may be ahead: the store knows where it stands.
    if term > now || (term == now && answer.header.is_some_and(|header| header.seq < after)) {
        return Err(Problem::invalid_field("after", "no event has this cursor yet: ask without one, and begin anew"));
    }
    Ok(Part { start: Cursor { term: now, born, seq: 0 }, events })
}
