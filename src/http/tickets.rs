//! Joining a line, and leaving it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::ServiceConfig,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Caller, ClientAddress, Context, Cors, Endpoint, OptionalJsonBody, RoomPath, Shared,
    cookies::{self, Transport},
    endpoint,
    place::stand,
    problem::{Code, Problem, invalid_ticket},
    refusals,
    status::view_of,
    visitor::{self, Brought, Carrier},
};
use crate::{
    id::RoomId,
    instance::LiveRoom,
    room::{Command, Outcome, Place, Position, Refusal, Standing},
    time::UnixMs,
    token::{Ticket, TicketKind},
};

/// The addresses of this file.
pub fn configure(config: &mut ServiceConfig) {
    asked_most().register(config);
    endpoint("/v1/rooms/{room}/leave").post(leave).cors(Cors::RoomHosts).register(config);
}

/// The address that is asked most.
pub(super) fn asked_most() -> Endpoint {
    endpoint("/v1/rooms/{room}/tickets").post(join).cors(Cors::RoomHosts)
}

/// A body without fields: `{}`, or none at all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A place in line, with its proof.
#[derive(Debug, Serialize, ToSchema)]
pub struct Joined {
    #[schema(value_type = String)]
    pub room: RoomId,
    #[schema(value_type = String, example = "position")]
    pub kind: TicketKind,
    /// The position.
    pub number: Position,
    pub ticket: String,
    /// The highest position called.
    pub head: Position,
    /// Whether this one is called already.
    pub called: bool,
}

/// What came of asking for a place.
pub struct Admission {
    pub joined: Joined,
    /// When the place was issued, if this issued it; none where the visitor brought it.
    pub issued: Option<UnixMs>,
}

#[utoipa::path(post, path = "/v1/rooms/{room}/tickets", tag = "line", operation_id = "join",
    params(("room" = String, Path, description = "The room's id"),
        ("X-Dropgate-Ticket" = Option<String>, Header, description = "A ticket from before; it is kept if its place still stands")),
    request_body(content = Option<Nothing>, content_type = "application/json"),
    responses((status = 201, description = "A new place; the ticket is also set as a cookie", body = Joined),
        (status = 200, description = "The place the visitor already has", body = Joined),
        (status = 401, description = "`invalid_ticket`: the header is not a ticket of this room"),
        (status = 403, description = "`room_closed`, or `forbidden`: a cookie from another site"),
        (status = 404, description = "`unknown_room`"), (status = 429, description = "`rate_limited`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn join(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
    Caller(caller): Caller,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<HttpResponse, Problem> {
    let brought = visitor::brought(&request, &context, &room);
    if let Some(Brought { carrier: Carrier::Cookie, .. }) = &brought {
        cookies::require_same_origin(&request, &context.public_url)?;
    }
    let admission = admit(&context, &room, brought, caller).await?;
    let Some(now) = admission.issued else {
        return Ok(private(HttpResponse::Ok()).json(admission.joined));
    };
    let mut response = private(HttpResponse::Created());
    // An app of another origin carries its ticket itself; its call must not replace a browser's place here.
    if cookies::refuse_other_sites(&request, &context.public_url).is_ok() {
        let transport = Transport::of(&context.public_url);
        let cookie = cookies::ticket(&room.document, admission.joined.ticket.clone(), now, transport);
        // Written straight into the header: the framework would keep a jar of one cookie first.
        response.append_header((header::SET_COOKIE, cookie.to_string()));
    }
    Ok(response.json(admission.joined))
}

/// The place a visitor already has where it still stands, else a new one at the end of the line.
///
/// # Errors
/// 401 for a header that is no ticket of ours (a cookie that is none is as good as no cookie); 403 where nobody may
/// join; 429 for an address that took too many places.
pub async fn admit(
    context: &Context,
    room: &LiveRoom,
    brought: Option<Brought>,
    caller: ClientAddress,
) -> Result<Admission, Problem> {
    let held = match brought {
        Some(Brought { ticket: Ok(ticket), token, .. }) => Some((ticket, token)),
        Some(Brought { ticket: Err(error), carrier: Carrier::Header, .. }) => return Err(invalid_ticket(error)),
        _ => None,
    };
    if let Some((ticket, token)) = held
        && let Some(head) = still_stands(room, visitor::place_of(&ticket)?).await?
    {
        return Ok(Admission { joined: joined(ticket, token, head), issued: None });
    }
    issue(context, room, caller).await
}

/// The head, if a place can still lead into the shop or has its visitor inside.
async fn still_stands(room: &LiveRoom, place: Place) -> Result<Option<Position>, Problem> {
    let head = match stand(room, place).await {
        Ok(Standing::Waiting { .. } | Standing::Called { .. } | Standing::Inside { .. }) => Some(view_of(room)?.head),
        Ok(Standing::Lapsed | Standing::Over) => None,
        // Of a line that was reset, or a number that was never issued.
        Err(problem) if matches!(problem.code, Code::TicketLapsed | Code::InvalidTicket) => None,
        Err(problem) => return Err(problem),
    };
    Ok(head)
}

async fn issue(context: &Context, room: &LiveRoom, caller: ClientAddress) -> Result<Admission, Problem> {
    context.join_limit.admit(&room.id, caller, room.document.join_per_address)?;
    let answer = room.lane.submit(Command::Join { count: 1 }).await?;
    let (epoch, number) = match answer.outcome {
        Outcome::Joined { epoch, first, .. } => (epoch, first),
        Outcome::Refused(refusal) => return Err(refusals::problem(refusal)),
        other => return Err(refusals::unexpected(&other)),
    };
    let ticket = Ticket { room: room.id.clone(), kind: TicketKind::Position, number, epoch, issued: answer.now };
    let token = context.instance.keys().sign_ticket(&ticket, answer.now);
    let head = answer.view.map_or(0, |view| view.head);
    Ok(Admission { joined: joined(ticket, token, head), issued: Some(answer.now) })
}

fn joined(ticket: Ticket, token: String, head: Position) -> Joined {
    let Ticket { room, kind, number, .. } = ticket;
    Joined { room, kind, number, ticket: token, head, called: number <= head }
}

#[utoipa::path(post, path = "/v1/rooms/{room}/leave", tag = "line", operation_id = "leave",
    params(("room" = String, Path, description = "The room's id"),
        ("X-Dropgate-Ticket" = Option<String>, Header, description = "The ticket; a browser sends its cookie")),
    request_body(content = Option<Nothing>, content_type = "application/json"),
    responses((status = 204, description = "The place or the session is given back, or was over already"),
        (status = 401, description = "`invalid_ticket`"), (status = 403, description = "`forbidden`: a cookie from another site"),
        (status = 404, description = "`unknown_room`"), (status = 410, description = "`ticket_lapsed` with `reason: reset`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn leave(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<HttpResponse, Problem> {
    let (ticket, carrier) = visitor::required_to_act(&request, &context, &room)?;
    give_back(&room, &ticket).await?;
    let mut response = private(HttpResponse::NoContent());
    if carrier == Carrier::Cookie {
        response.cookie(cookies::no_ticket(&room.id, Transport::of(&context.public_url)));
    }
    Ok(response.finish())
}

/// Gives a place back; one that is over already is left as it is.
///
/// # Errors
/// 410 for a ticket of a line that was reset; 401 for a number that was never issued.
pub async fn give_back(room: &LiveRoom, ticket: &Ticket) -> Result<(), Problem> {
    let place = visitor::place_of(ticket)?;
    match room.lane.submit(Command::Leave { place }).await?.outcome {
        Outcome::Done | Outcome::Refused(Refusal::Lapsed | Refusal::SessionOver) => Ok(()),
        Outcome::Refused(refusal) => Err(refusals::problem(refusal)),
        other => Err(refusals::unexpected(&other)),
    }
}

/// What concerns one visitor is kept by no cache.
pub fn private(mut response: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    const KEPT_BY_NOBODY: HeaderValue = HeaderValue::from_static("private, no-store");
    response.insert_header((header::CACHE_CONTROL, KEPT_BY_NOBODY));
    response
}
