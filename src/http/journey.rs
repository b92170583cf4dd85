//! The same journey for a browser without script: forms that post, and a place page that refreshes itself. No GET
//! changes anything: prefetchers are visitors too.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
    web::ServiceConfig,
};
use url::form_urlencoded;

use super::{
    Caller, PAGES, RoomPath, Shared,
    cookies::{self, Transport},
    endpoint_within,
    passes::{Claimed, claim_place, way_in},
    place::stand,
    problem::{Code, Problem},
    status::{stock_held, view_of},
    tickets::{admit, give_back, private},
    visitor::{self, Brought, Carrier},
    waiting_page::policy,
};
use crate::{
    instance::LiveRoom,
    page::{self, Journey, Language, PlaceState, place::InLine},
    room::{Phase, Place, Standing, estimate},
    token::Ticket,
};

/// The addresses of this file; joining is at the page's own address.
pub fn configure(config: &mut ServiceConfig) {
    endpoint_within(PAGES, "/w/{room}/place").get(place).register(config);
    endpoint_within(PAGES, "/w/{room}/enter").post(enter).register(config);
    endpoint_within(PAGES, "/w/{room}/leave").post(leave).register(config);
}

#[utoipa::path(post, path = "/w/{room}", tag = "page", operation_id = "joinByForm",
    params(("room" = String, Path, description = "The room's id"),
        ("t" = Option<String>, Query, description = "Where in the shop the visitor wants to go")),
    responses((status = 303, description = "In line: on to the place page"),
        (status = 403, description = "`room_closed`, or `forbidden`: a form of another site"),
        (status = 404, description = "`unknown_room`"), (status = 429, description = "`rate_limited`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn join(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
    Caller(caller): Caller,
) -> Result<HttpResponse, Problem> {
    let brought = visitor::brought(&request, &context, &room);
    match &brought {
        Some(Brought { carrier: Carrier::Cookie, .. }) => cookies::require_same_origin(&request, &context.public_url)?,
        _ => cookies::refuse_other_sites(&request, &context.public_url)?,
    }
    let admission = admit(&context, &room, brought, caller).await?;
    let mut response = see_other(&place_address(&room, &request));
    if let Some(now) = admission.issued {
        let transport = Transport::of(&context.public_url);
        response.cookie(cookies::ticket(&room.document, admission.joined.ticket, now, transport));
    }
    Ok(response.finish())
}

#[utoipa::path(get, path = "/w/{room}/place", tag = "page", operation_id = "placePage",
    params(("room" = String, Path, description = "The room's id"),
        ("t" = Option<String>, Query, description = "Where in the shop the visitor wants to go")),
    responses((status = 200, description = "Where the visitor stands, in the visitor's language", content_type = "text/html"),
        (status = 404, description = "`unknown_room`")))]
pub(crate) async fn place(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ticket = visitor::brought(&request, &context, &room).and_then(|brought| brought.ticket.ok());
    let state = state_of(&room, ticket.as_ref()).await;
    let return_url = return_url(&request);
    let journey = Journey {
        document: &room.document,
        language: language(&request),
        return_url: return_url.as_deref(),
        now: room.lane.view().map_or_else(|| context.instance.clock.now(), |view| view.now),
    };
    let page = page::place(&journey, &state);
    Ok(private(HttpResponse::Ok())
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(&page.csp)))
        .insert_header((HeaderName::from_static("x-robots-tag"), "noindex"))
        .body(page.html))
}

#[utoipa::path(post, path = "/w/{room}/enter", tag = "page", operation_id = "enterByForm",
    params(("room" = String, Path, description = "The room's id"),
        ("t" = Option<String>, Query, description = "Where in the shop the visitor wants to go")),
    responses((status = 303, description = "Into the shop; or back to the place page, which says why not"),
        (status = 403, description = "`forbidden`: a form of another site"), (status = 404, description = "`unknown_room`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn enter(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let back = place_address(&room, &request);
    let ticket = match visitor::required_to_act(&request, &context, &room) {
        Ok((ticket, _)) => ticket,
        Err(problem) => return back_or(problem, &back),
    };
    match claim_place(&room, &ticket).await {
        Ok(Claimed::Inside { session, now }) => {
            let shop = way_in(&context, &room, &session, now, return_url(&request).as_deref());
            Ok(see_other(&shop).finish())
        }
        Ok(Claimed::Waiting { .. }) => Ok(see_other(&back).finish()),
        Err(problem) => back_or(problem, &back),
    }
}

#[utoipa::path(post, path = "/w/{room}/leave", tag = "page", operation_id = "leaveByForm",
    params(("room" = String, Path, description = "The room's id"),
        ("t" = Option<String>, Query, description = "Where in the shop the visitor wanted to go")),
    responses((status = 303, description = "The place is given back: on to the place page"),
        (status = 403, description = "`forbidden`: a form of another site"), (status = 404, description = "`unknown_room`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn leave(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let back = place_address(&room, &request);
    let left = match visitor::required_to_act(&request, &context, &room) {
        Ok((ticket, _)) => give_back(&room, &ticket).await,
        Err(problem) => Err(problem),
    };
    match left {
        Ok(()) => {
            let mut response = see_other(&back);
            response.cookie(cookies::no_ticket(&room.id, Transport::of(&context.public_url)));
            Ok(response.finish())
        }
        Err(problem) => back_or(problem, &back),
    }
}

/// What the place page has to say. It never fails: a store out of reach is one of the things it says.
async fn state_of(room: &LiveRoom, ticket: Option<&Ticket>) -> PlaceState {
    let Some(place) = ticket.and_then(|ticket| visitor::place_of(ticket).ok()) else {
        return match view_of(room) {
            Ok(view) if view.phase == Phase::Closed => PlaceState::Shut,
            Ok(_) => PlaceState::Outside,
            Err(_) => PlaceState::Trouble { holds_ticket: false },
        };
    };
    match stand(room, place).await {
        Ok(standing) => shown(room, place, standing),
        Err(problem) if problem.code == Code::TicketLapsed => PlaceState::Reset,
        Err(problem) if problem.code.status().is_server_error() => PlaceState::Trouble { holds_ticket: true },
        Err(_) => PlaceState::Outside,
    }
}

fn shown(room: &LiveRoom, place: Place, standing: Standing) -> PlaceState {
    let position = place.position;
    match standing {
        Standing::Called { deadline } => PlaceState::Called { position, deadline },
        Standing::Inside { deadline } => PlaceState::Inside { position, deadline },
        Standing::Lapsed => PlaceState::Lapsed,
        Standing::Over => PlaceState::Over,
        Standing::Waiting { ahead } => match room.lane.view() {
            Some(view) => PlaceState::Waiting(InLine {
                position,
                ahead,
                head: view.head,
                wait: estimate::wait(&view, ahead),
                phase: view.phase,
                held_back: view.held_back,
                stock: view.stock.map(|stock| stock.level()),
                stock_held: stock_held(room, &view),
                chance: estimate::chance(&view, ahead),
            }),
            None => PlaceState::Trouble { holds_ticket: true },
        },
    }
}

/// What the place page explains is sent back there; the rest is an error page.
fn back_or(problem: Problem, back: &str) -> Result<HttpResponse, Problem> {
    match problem.code {
        Code::InvalidTicket | Code::TicketLapsed | Code::SessionOver => Ok(see_other(back).finish()),
        _ => Err(problem),
    }
}

fn see_other(location: &str) -> HttpResponseBuilder {
    let mut response = private(HttpResponse::build(StatusCode::SEE_OTHER));
    response.insert_header((header::LOCATION, location));
    response
}

/// Where the visitor wants to go, unchecked: `t`, or `rd` as some gateways call it.
fn return_url(request: &HttpRequest) -> Option<String> {
    let named = |name: &str| {
        let mut pairs = form_urlencoded::parse(request.query_string().as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    named("t").or_else(|| named("rd"))
}

fn place_address(room: &LiveRoom, request: &HttpRequest) -> String {
    let query = return_url(request).map_or_else(String::new, |url| {
        let encoded: String = form_urlencoded::byte_serialize(url.as_bytes()).collect();
        format!("?t={encoded}")
    });
    format!("/w/{}/place{query}", room.id)
}

fn language(request: &HttpRequest) -> Language {
    Language::preferred(request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()))
}
