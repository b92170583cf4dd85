//! What a shop's server does with a session: keep it alive, or end it early.

use actix_web::{
    HttpResponse,
    web::{Path, ServiceConfig},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Context, OptionalJsonBody, Shared,
    auth::Shop,
    endpoint,
    problem::{Code, Problem},
    refusals,
    tickets::{Nothing, private},
};
use crate::room::{Command, Outcome, Refusal, SessionRef, settings::Timestamp};

/// The addresses of this file.
pub fn configure(config: &mut ServiceConfig) {
    endpoint("/v1/rooms/{room}/sessions/{sub}/renew").post(renew).register(config);
    endpoint("/v1/rooms/{room}/sessions/{sub}/finish").post(finish).register(config);
}

/// A session after its renewal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Renewed {
    /// The session's name, as the pass has it.
    pub sub: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

#[utoipa::path(post, path = "/v1/rooms/{room}/sessions/{sub}/renew", tag = "shop", operation_id = "renewSession",
    params(("room" = String, Path, description = "The room's id"), ("sub" = String, Path, description = "The pass's `sub`")),
    request_body(content = Option<Nothing>, content_type = "application/json"),
    responses((status = 200, description = "The session's new deadline", body = Renewed),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_room` or `unknown_session`"), (status = 410, description = "`session_over`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")), security(("api_key" = [])))]
pub(crate) async fn renew(
    _key: Shop,
    path: Path<(String, String)>,
    context: Shared,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<HttpResponse, Problem> {
    let session = session_of(&path.1)?;
    match ask(&context, &path.0, Command::Renew { session }).await? {
        Outcome::Live(live) => {
            let renewed = Renewed { sub: live.name.to_string(), expires_at: Timestamp(live.deadline) };
            Ok(private(HttpResponse::Ok()).json(renewed))
        }
        Outcome::Refused(refusal) => Err(problem(refusal)),
        other => Err(refusals::unexpected(&other)),
    }
}

#[utoipa::path(post, path = "/v1/rooms/{room}/sessions/{sub}/finish", tag = "shop", operation_id = "finishSession",
    params(("room" = String, Path, description = "The room's id"), ("sub" = String, Path, description = "The pass's `sub`")),
    request_body(content = Option<Nothing>, content_type = "application/json"),
    responses((status = 204, description = "The session is over, and was so before if asked twice"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_room` or `unknown_session`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")), security(("api_key" = [])))]
pub(crate) async fn finish(
    _key: Shop,
    path: Path<(String, String)>,
    context: Shared,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<HttpResponse, Problem> {
    let session = session_of(&path.1)?;
    match ask(&context, &path.0, Command::Finish { session }).await? {
        Outcome::Done | Outcome::Refused(Refusal::SessionOver | Refusal::Reset) => {
            Ok(private(HttpResponse::NoContent()).finish())
        }
        Outcome::Refused(refusal) => Err(problem(refusal)),
        other => Err(refusals::unexpected(&other)),
    }
}

async fn ask(context: &Context, room: &str, command: Command) -> Result<Outcome, Problem> {
    let room = context.instance.room(room).ok_or_else(Problem::unknown_room)?;
    Ok(room.lane.submit(command).await?.outcome)
}

fn session_of(sub: &str) -> Result<SessionRef, Problem> {
    sub.parse().map_err(|_| refusals::problem(Refusal::UnknownSession))
}

/// A session has no ticket of its own to lapse: what a reset ended is over.
fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Reset => {
            Problem::new(Code::SessionOver, "the operator has started a new line").with("reason", "reset")
        }
        other => refusals::problem(other),
    }
}
