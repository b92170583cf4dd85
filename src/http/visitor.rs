//! What a visitor brings: a ticket in a header (apps) or a cookie (browsers). A header beats a cookie.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
};

use super::{
    Context,
    cookies::{self, Purpose, Transport},
    problem::{Code, Problem, invalid_ticket},
};
use crate::{
    instance::LiveRoom,
    room::{Place, Standing, View},
    token::{Ticket, TicketKind, TokenError},
};

/// Where apps put the ticket.
pub const TICKET_HEADER: HeaderName = HeaderName::from_static("x-dropgate-ticket");

/// How a ticket came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Header,
    Cookie,
}

/// A ticket as it was brought, its signature checked.
#[derive(Debug)]
pub struct Brought {
    pub token: String,
    pub carrier: Carrier,
    pub ticket: Result<Ticket, TokenError>,
}

/// The ticket that came with a request, if any did.
pub fn brought(request: &HttpRequest, context: &Context, room: &LiveRoom) -> Option<Brought> {
    let keys = context.instance.keys();
    let verified = |token: &str, carrier: Carrier| {
        let ticket = keys.verify_ticket(&room.id, token);
        Brought { token: token.to_owned(), carrier, ticket }
    };
    if let Some(value) = request.headers().get(TICKET_HEADER) {
        // What is no text is no ticket either.
        return Some(verified(value.to_str().unwrap_or(""), Carrier::Header));
    }
    if !request.headers().contains_key(header::COOKIE) {
        return None;
    }
    let name = cookies::name(Purpose::Ticket, &room.id, Transport::of(&context.public_url));
    let mut candidates = cookies::values(request.headers(), &name).map(|token| verified(token, Carrier::Cookie));
    let first = candidates.next()?;
    // Without the `__Host-` prefix a stranger's cookie of the same name may stand before ours.
    if first.ticket.is_ok() { Some(first) } else { candidates.find(|other| other.ticket.is_ok()).or(Some(first)) }
}

/// The ticket that a call about a place cannot do without.
///
/// # Errors
/// 401 `invalid_ticket` where there is none, or it is not ours.
pub fn required(request: &HttpRequest, context: &Context, room: &LiveRoom) -> Result<(Ticket, Carrier), Problem> {
    let Some(brought) = brought(request, context, room) else {
        let detail = "bring the ticket in the header X-Dropgate-Ticket or in the cookie that joining has set";
        return Err(Problem::new(Code::InvalidTicket, detail));
    };
    let ticket = brought.ticket.map_err(invalid_ticket)?;
    Ok((ticket, brought.carrier))
}

/// As [`required`], for a call that changes something: a cookie counts only from our own pages.
///
/// # Errors
/// As [`required`], and 403 for a cookie sent by another site.
pub fn required_to_act(
    request: &HttpRequest,
    context: &Context,
    room: &LiveRoom,
) -> Result<(Ticket, Carrier), Problem> {
    let (ticket, carrier) = required(request, context, room)?;
    if carrier == Carrier::Cookie {
        cookies::require_same_origin(request, &context.public_url)?;
    }
    Ok((ticket, carrier))
}

/// The place a ticket stands for.
///
/// # Errors
/// 401 for a draw number: this version draws no places, so none of ours can be brought.
pub fn place_of(ticket: &Ticket) -> Result<Place, Problem> {
    match ticket.kind {
        TicketKind::Position => Ok(Place { epoch: ticket.epoch, position: ticket.number }),
        TicketKind::Draw => Err(Problem::new(Code::InvalidTicket, "this room draws no places")),
    }
}

/// What memory alone can say of a place: that it waits. Everything else is the store's to say.
pub fn waiting_in_memory(view: &View, place: Place) -> Option<Standing> {
    if place.epoch != view.epoch {
        return None;
    }
    view.ahead(place.position).map(|ahead| Standing::Waiting { ahead })
}

/// Whether memory alone can say that the operator has reset the line since.
pub fn is_reset(view: &View, place: Place) -> bool {
    place.epoch < view.epoch
}

/// 410 for a ticket of a line that was reset.
pub fn reset() -> Problem {
    Problem::new(Code::TicketLapsed, "the operator has started a new line; join it").with("reason", "reset")
}
