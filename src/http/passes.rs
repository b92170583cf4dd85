//! Claiming the pass: the way from the line into the shop.

use actix_web::{HttpRequest, HttpResponse, http::header, web::ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Context, Cors, OptionalJsonBody, RoomPath, Shared, endpoint, lag,
    problem::Problem,
    refusals,
    status::{poll, view_of},
    tickets::private,
    visitor,
};
use crate::{
    instance::LiveRoom,
    room::{Command, Outcome, Session, Standing, View, estimate, settings::Timestamp},
    time::UnixMs,
    token::{EntryPass, Pass, Ticket, random_tag},
};

/// Bounds of the pause before a visitor claims again, in seconds: the page polls by the same.
const RETRY_MIN_SECONDS: u64 = 2;
const RETRY_MAX_SECONDS: u64 = 30;

/// The addresses of this file.
pub fn configure(config: &mut ServiceConfig) {
    endpoint("/v1/rooms/{room}/passes").post(claim).cors(Cors::RoomHosts).register(config);
}

/// What a claim may say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Where in the shop to go; one that is not the room's to send to counts as absent.
    pub return_url: Option<String>,
}

/// The pass, and the way into the shop.
#[derive(Debug, Serialize, ToSchema)]
pub struct Granted {
    /// The admission token: a JWT that the shop verifies with our public keys.
    pub pass: String,
    /// The session's deadline.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The shop's address with an entry pass in it, good for one visit in the next two minutes.
    pub redirect_to: String,
}

/// Not yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotYet {
    /// Visitors who stand before this one.
    pub ahead: u64,
    pub retry_after_seconds: u64,
}

/// What came of a claim.
pub enum Claimed {
    /// The session lives; `now` is the room's time of the answer.
    Inside {
        session: Session,
        now: UnixMs,
    },
    Waiting {
        ahead: u64,
    },
}

#[utoipa::path(post, path = "/v1/rooms/{room}/passes", tag = "line", operation_id = "claim",
    params(("room" = String, Path, description = "The room's id"),
        ("X-Dropgate-Ticket" = Option<String>, Header, description = "The ticket; a browser sends its cookie")),
    request_body(content = Option<Claim>, content_type = "application/json"),
    responses((status = 200, description = "The pass; again the same while the session lives", body = Granted),
        (status = 202, description = "Not called yet", body = NotYet),
        (status = 401, description = "`invalid_ticket`"), (status = 403, description = "`forbidden`: a cookie from another site"),
        (status = 404, description = "`unknown_room`"), (status = 410, description = "`ticket_lapsed` with `reason`, or `session_over`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn claim(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
    OptionalJsonBody(claim): OptionalJsonBody<Claim>,
) -> Result<HttpResponse, Problem> {
    lag::in_time(&context)?;
    let (ticket, _) = visitor::required_to_act(&request, &context, &room)?;
    match claim_place(&room, &ticket).await? {
        Claimed::Waiting { ahead } => {
            let retry_after_seconds = retry_after(&room, &*view_of(&room)?, ahead);
            let mut response = private(HttpResponse::Accepted());
            response.insert_header((header::RETRY_AFTER, retry_after_seconds));
            Ok(response.json(NotYet { ahead, retry_after_seconds }))
        }
        Claimed::Inside { session, now } => {
            let pass =
                Pass { room: room.id.clone(), session: session.name, start: session.start, deadline: session.deadline };
            Ok(private(HttpResponse::Ok()).json(Granted {
                pass: context.instance.keys().sign_pass(&pass, now),
                expires_at: Timestamp(session.deadline),
                redirect_to: way_in(&context, &room, &session, now, claim.return_url.as_deref()),
            }))
        }
    }
}

/// Claims a ticket's place. Who is known to wait is answered from memory: the store sees only those called.
///
/// # Errors
/// 410 where the place has lapsed, its session is over or the line was reset; 401 for a number never issued.
pub async fn claim_place(room: &LiveRoom, ticket: &Ticket) -> Result<Claimed, Problem> {
    let place = visitor::place_of(ticket)?;
    let view = view_of(room)?;
    if visitor::is_reset(&view, place) {
        return Err(visitor::reset());
    }
    if let Some(Standing::Waiting { ahead }) = visitor::waiting_in_memory(&view, place) {
        return Ok(Claimed::Waiting { ahead });
    }
    let answer = room.lane.submit(Command::Claim { place, tag: random_tag() }).await?;
    match answer.outcome {
        Outcome::Live(session) => Ok(Claimed::Inside { session, now: answer.now }),
        Outcome::Waiting { ahead } => Ok(Claimed::Waiting { ahead }),
        Outcome::Refused(refusal) => Err(refusals::problem(refusal)),
        other => Err(refusals::unexpected(&other)),
    }
}

/// The shop's address with a fresh entry pass in it.
pub fn way_in(context: &Context, room: &LiveRoom, session: &Session, now: UnixMs, return_url: Option<&str>) -> String {
    let entry =
        EntryPass { room: room.id.clone(), session: session.name, issued: now, session_deadline: session.deadline };
    let token = context.instance.keys().sign_entry_pass(&entry, now);
    room.return_policy.resolve(return_url).with_entry_pass(&token)
}

/// Seconds after which a waiting visitor may claim again: a tenth of the likely wait.
fn retry_after(room: &LiveRoom, view: &View, ahead: u64) -> u64 {
    let tenth = estimate::wait(view, ahead).map_or(RETRY_MAX_SECONDS, |wait| wait.likely / 10);
    poll(tenth.clamp(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS), room.document.claim_window_seconds)
}
