//! Whether a visitor is let in.

use std::net::IpAddr;

use actix_web::cookie::Cookie;

use super::{
    asked::{Asked, Kind},
    session::{self, Found},
};
use crate::{
    http::{ClientAddress, Context},
    instance::LiveRoom,
    room::{Command, Mode, Outcome, Phase, SessionRef, settings::OnStoreFailure},
    store::StoreError,
    token::{self, EntryPass, SessionCookie, TokenError, return_url},
};

/// What becomes of a visitor.
pub(super) enum Decision {
    /// Let in, in this session.
    Inside(SessionRef),
    /// Let in without having been checked: the room is open, or stays open while the store is out of reach.
    Open,
    /// Sent elsewhere.
    Go { to: String, cookie: Option<Cookie<'static>>, reason: Reason },
    /// Not let in, and not sent elsewhere, for it is no page that is being opened; `to` is where a page would go.
    Stay { to: String, reason: Reason },
}

/// Why a visitor was not let in just like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// An entry pass was exchanged: the cookie is set, on to the clean address.
    Exchanged,
    /// The room was idle and let the visitor in: the cookie is set, on to see whether it comes back.
    Admitted,
    /// The cookie came back: on to the clean address.
    Checked,
    /// The cookie did not come back.
    NoCookie,
    /// Nobody we know: a place in line is needed.
    NoSession,
    /// The session is over, was reset, or moved on to another browser.
    SessionOver,
    /// The store could not be asked.
    StoreFailed,
}

impl Reason {
    /// As gateways see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchanged => "exchanged",
            Self::Admitted => "admitted",
            Self::Checked => "checked",
            Self::NoCookie => "no_cookie",
            Self::NoSession => "no_session",
            Self::SessionOver => "session_over",
            Self::StoreFailed => "store_failed",
        }
    }
}

/// Decides about one request.
pub(super) async fn decide(context: &Context, room: &LiveRoom, asked: &Asked<'_>, caller: IpAddr) -> Decision {
    if asked.is_waiting_room {
        return Decision::Open;
    }
    let is_check = asked.parameter.as_deref() == Some(return_url::CHECK);
    if !is_check && let Some(decision) = exchange(context, room, asked).await {
        return decision;
    }
    let found = session::find(context, room, asked).await;
    let reason = match (found, is_check) {
        (Found::Live(name), false) => return Decision::Inside(name),
        (Found::Live(name), true) => return on_to_clean(asked, Decision::Inside(name)),
        (Found::Failed(error), _) if lets_in(room, &error) => return Decision::Open,
        _ if is_free(room) && is_check => return on_to_clean(asked, Decision::Open),
        _ if is_free(room) => return Decision::Open,
        (Found::Failed(_), _) => Reason::StoreFailed,
        // Never admitted here: a browser that keeps no cookies would be admitted again at every page.
        (_, true) => Reason::NoCookie,
        (found, false) => match (admit(context, room, asked, caller).await, found) {
            (Ok(Some(decision)), _) => return decision,
            (Err(error), _) if lets_in(room, &error) => return Decision::Open,
            (Err(_), _) => Reason::StoreFailed,
            (Ok(None), Found::Over) => Reason::SessionOver,
            (Ok(None), _) => Reason::NoSession,
        },
    };
    if store_is_gone_and_room_open(room).await { Decision::Open } else { keep_out(context, room, asked, reason) }
}

/// Exchanges an entry pass that stands in the address, if there is a good one.
async fn exchange(context: &Context, room: &LiveRoom, asked: &Asked<'_>) -> Option<Decision> {
    let token = asked.parameter.as_deref().filter(|_| asked.kind.may_exchange())?;
    let to = asked.clean.clone()?;
    let now = context.instance.clock.now();
    let EntryPass { session, issued, .. } = match context.instance.keys().verify_entry_pass(&room.id, token, now) {
        Ok(pass) => pass,
        // Another room's pass is for that room's gate, which stands further in.
        Err(TokenError::OtherRoom | TokenError::Invalid | TokenError::Expired) => return None,
    };
    let answer = room.lane.submit(Command::Exchange { session, issued }).await;
    match answer.map(|answer| answer.outcome) {
        Ok(Outcome::Live(live)) => {
            let exchanged = SessionCookie { room: room.id.clone(), session: live.name, exchanged: live.exchanged };
            let cookie = Some(session::cookie(context, room, asked, &exchanged));
            Some(Decision::Go { to, cookie, reason: Reason::Exchanged })
        }
        Err(error) if lets_in(room, &error) => Some(Decision::Open),
        // Exchanged before, by this browser or another: the cookie tells which.
        Ok(_) | Err(_) => None,
    }
}

/// Lets a visitor into an idle room without the page. None where there is a line, or no page being opened.
async fn admit(
    context: &Context,
    room: &LiveRoom,
    asked: &Asked<'_>,
    caller: IpAddr,
) -> Result<Option<Decision>, StoreError> {
    let (Kind::Page, Some(clean)) = (asked.kind, &asked.clean) else { return Ok(None) };
    let line_stands = room.lane.view().is_some_and(|view| view.phase != Phase::Running || view.waiting() > 0);
    if line_stands {
        return Ok(None);
    }
    let per_minute = room.document.join_per_address;
    if context.join_limit.admit(&room.id, ClientAddress::of(caller), per_minute).is_err() {
        return Ok(None);
    }
    let answer = room.lane.submit(Command::Admit { tag: token::random_tag() }).await?;
    let Outcome::Live(live) = answer.outcome else { return Ok(None) };
    let admitted = SessionCookie { room: room.id.clone(), session: live.name, exchanged: live.exchanged };
    Ok(Some(Decision::Go {
        to: return_url::with_parameter(clean, return_url::CHECK),
        cookie: Some(session::cookie(context, room, asked, &admitted)),
        reason: Reason::Admitted,
    }))
}

/// To the address without the parameter, where a page is being opened; else let in as it is.
fn on_to_clean(asked: &Asked<'_>, otherwise: Decision) -> Decision {
    match (&asked.clean, asked.kind) {
        (Some(clean), Kind::Page) => Decision::Go { to: clean.clone(), cookie: None, reason: Reason::Checked },
        _ => otherwise,
    }
}

fn keep_out(context: &Context, room: &LiveRoom, asked: &Asked<'_>, reason: Reason) -> Decision {
    let mut to = format!("{}/w/{}", context.public_url.as_str(), room.id);
    if let Some(back) = &asked.back {
        to.push_str("?t=");
        to.extend(url::form_urlencoded::byte_serialize(back.as_bytes()));
    }
    match asked.kind {
        Kind::Page | Kind::PageHead => Decision::Go { to, cookie: None, reason },
        // A browser throws away what it could not fetch ahead, and asks again when the page is really opened.
        Kind::Prefetch | Kind::Plain | Kind::Other => Decision::Stay { to, reason },
    }
}

/// Whether everyone passes, as far as we last heard.
fn is_free(room: &LiveRoom) -> bool {
    room.lane.view().map_or(room.document.mode == Mode::Open, |view| view.phase == Phase::Free)
}

/// Whether the room's operator wants visitors let in for this error. A store that is merely busy is no reason: it
/// is busy because there is a crowd.
pub(super) fn lets_in(room: &LiveRoom, error: &StoreError) -> bool {
    room.document.on_store_failure == OnStoreFailure::Open
        && matches!(error, StoreError::Unavailable(_) | StoreError::Recovering)
}

/// Where a room is to stay open without its store, whoever would be kept out without the store having been asked
/// has it asked now.
async fn store_is_gone_and_room_open(room: &LiveRoom) -> bool {
    if room.document.on_store_failure != OnStoreFailure::Open {
        return false;
    }
    room.lane.submit(Command::Tick).await.is_err_and(|error| lets_in(room, &error))
}
