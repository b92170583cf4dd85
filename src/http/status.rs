//! The shared status of a room: the same for everyone, made from memory once a change, never by a store call.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web::ServiceConfig,
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{
    Cors, Endpoint, endpoint,
    extract::with_room,
    precompressed::{Effort, Precompressed},
    problem::{Code, Problem},
};
use crate::{
    id::RoomId,
    instance::LiveRoom,
    room::{Epoch, HeldBack, Mode, Phase, Position, View, settings::Timestamp, stock::Level},
};

/// How often to ask again, in seconds, when the turn is less than two minutes off …
const POLL_NEAR_SECONDS: u64 = 2;
/// … less than five minutes …
const POLL_MIDDLE_SECONDS: u64 = 10;
/// … and beyond: nobody ahead of a visitor that far back can vanish fast enough to matter sooner.
const POLL_FAR_SECONDS: u64 = 30;

/// The addresses of this file.
pub fn configure(config: &mut ServiceConfig) {
    asked_most().register(config);
}

/// The address that is asked most.
pub(super) fn asked_most() -> Endpoint {
    endpoint("/v1/rooms/{room}/status").get(status).cors(Cors::Public)
}

/// What a room shows of itself to everyone.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Status {
    #[schema(value_type = String)]
    pub room: RoomId,
    #[schema(value_type = String, example = "running")]
    pub state: Phase,
    #[schema(value_type = String, example = "queue")]
    pub mode: Mode,
    /// The count of resets by the operator.
    pub epoch: Epoch,
    /// The count of recoveries after the store had lost something; 0 where it can lose nothing.
    pub term: u64,
    /// The version of the settings in force.
    pub version: u64,
    /// The highest position called: "now serving".
    pub head: Position,
    /// The highest position issued.
    pub tail: Position,
    /// Positions issued and not yet called, without those in `voids`.
    pub waiting: u64,
    /// Ranges beyond the head, each by its first and last position, that hold nobody: the line passes over them at once.
    /// They are there only for a while after the store had lost something; where there are none they are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<u64>>)]
    pub voids: Vec<[Position; 2]>,
    /// Live sessions.
    pub inside: u64,
    pub rate_per_minute: u64,
    /// Visitors who entered in the last minute.
    pub entering_per_minute: u64,
    pub pace_per_minute: PacePerMinute,
    /// What keeps the line from moving at the room's rate: `shop_full`, `no_shows`, or `stock`: as many are called or
    /// inside as there are units.
    #[schema(value_type = Option<String>, example = "shop_full")]
    pub held_back: Option<HeldBack>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<Timestamp>,
    /// What is left of the sale behind the room, where its line is to know: `in_stock`, `all_held` (everything is in
    /// somebody's basket and may come back) or `sold_out` (nothing can come back by itself).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "in_stock")]
    pub stock: Option<Level>,
    /// How many units may come back while all are held; only where the sale shows its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock_held: Option<u64>,
    pub claim_window_seconds: u64,
    pub poll_after_seconds: PollAfter,
    /// When any of this last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// The observed speed of the head, in positions a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PacePerMinute {
    #[schema(value_type = f64)]
    pub low: Thousandths,
    #[schema(value_type = f64)]
    pub likely: Thousandths,
    #[schema(value_type = f64)]
    pub high: Thousandths,
}

/// A number in thousandths, written as a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thousandths(pub u64);

impl Serialize for Thousandths {
    #[expect(clippy::cast_precision_loss, reason = "speeds stay far below 2^53 thousandths")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

/// How long to wait before asking again, by how far off the turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PollAfter {
    /// Less than two minutes.
    pub near: u64,
    /// Less than five minutes.
    pub middle: u64,
    pub far: u64,
}

/// The status made ready to send.
pub struct Rendered {
    pub status: Status,
    body: Precompressed,
}

#[utoipa::path(get, path = "/v1/rooms/{room}/status", tag = "line", operation_id = "getStatus",
    params(("room" = String, Path, description = "The room's id")),
    responses((status = 200, description = "The shared status, the same for everyone; cacheable for a second", body = Status),
        (status = 304, description = "Nothing changed since the ETag sent along"),
        (status = 404, description = "`unknown_room`")))]
pub(crate) async fn status(request: HttpRequest) -> Result<HttpResponse, Problem> {
    const CACHING: [(HeaderName, HeaderValue); 2] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1, s-maxage=1, stale-if-error=60")),
        (HeaderName::from_static("cdn-cache-control"), HeaderValue::from_static("max-age=1, stale-while-revalidate=5")),
    ];
    with_room(&request, |room| with_rendered(room, |rendered| rendered.body.respond(&request, CACHING)))?
}

/// The room's view: what memory knows.
///
/// # Errors
/// 503 in the moment between a room's making and its first answer.
pub fn view_of(room: &LiveRoom) -> Result<Arc<View>, Problem> {
    room.note_look();
    room.lane.view().ok_or_else(being_set_up)
}

fn being_set_up() -> Problem {
    Problem::new(Code::Recovering, "this room is being set up")
}

/// Shows the room's status to `look`: made again only when its view is another, and sent again as it was where nothing
/// that it shows has changed: so its ETag lasts as long as the room stands still.
///
/// # Errors
/// As [`view_of`].
fn with_rendered<R>(room: &LiveRoom, look: impl FnOnce(&Rendered) -> R) -> Result<R, Problem> {
    room.note_look();
    let view = room.lane.peek();
    let view = view.as_ref().ok_or_else(being_set_up)?;
    let make = |view: &View, last: Option<&Arc<Rendered>>| {
        let mut status = Status::of(room, view);
        if let Some(last) = last {
            let updated_at = std::mem::replace(&mut status.updated_at, last.status.updated_at);
            if status == last.status {
                return Arc::clone(last);
            }
            status.updated_at = updated_at;
        }
        Arc::new(Rendered::new(status))
    };
    Ok(room.status.with(view, make, |rendered| look(rendered)))
}

impl Rendered {
    fn new(status: Status) -> Self {
        // A struct of plain fields always has a JSON form.
        let json = serde_json::to_vec(&status).unwrap_or_default();
        Self { status, body: Precompressed::new("application/json", json, Effort::Quick) }
    }
}

impl Status {
    /// The status that a view of a room shows.
    pub fn of(room: &LiveRoom, view: &View) -> Self {
        let claim_window_seconds = room.document.claim_window_seconds;
        Self {
            room: room.id.clone(),
            state: view.phase,
            mode: view.mode,
            epoch: view.epoch,
            term: view.term,
            version: view.version,
            head: view.head,
            tail: view.tail,
            waiting: view.waiting(),
            voids: view.voids.iter().map(|void| [void.first, void.last]).collect(),
            inside: view.inside,
            rate_per_minute: view.rate_per_minute,
            entering_per_minute: view.entering_per_minute,
            pace_per_minute: PacePerMinute {
                low: Thousandths(view.pace.low_milli),
                likely: Thousandths(view.pace.likely_milli),
                high: Thousandths(view.pace.high_milli),
            },
            held_back: view.held_back,
            opens_at: view.opens_at.map(Timestamp),
            closes_at: view.closes_at.map(Timestamp),
            stock: view.stock.map(|stock| stock.level()),
            stock_held: stock_held(room, view),
            claim_window_seconds,
            poll_after_seconds: PollAfter {
                near: poll(POLL_NEAR_SECONDS, claim_window_seconds),
                middle: poll(POLL_MIDDLE_SECONDS, claim_window_seconds),
                far: poll(POLL_FAR_SECONDS, claim_window_seconds),
            },
            updated_at: Timestamp(view.now),
        }
    }
}

/// How many units may come back, while that is all there is and everyone may know.
pub fn stock_held(room: &LiveRoom, view: &View) -> Option<u64> {
    let all_held = view.stock.filter(|stock| stock.level() == Level::AllHeld && room.shows_stock_numbers());
    all_held.map(|stock| stock.held)
}

/// Seconds to the next question: at most a quarter of the claim window, so that no turn is slept through.
pub fn poll(wanted: u64, claim_window_seconds: u64) -> u64 {
    wanted.min(claim_window_seconds / 4).max(1)
}
