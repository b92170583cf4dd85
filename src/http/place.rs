//! Where a visitor stands. The store says it, because only the store knows of places given back; while it is out
//! of reach, memory says who waits.

use actix_web::{HttpRequest, HttpResponse, web::ServiceConfig};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Cors, RoomPath, Shared, endpoint, problem::Problem, refusals, status::view_of, tickets::private, visitor};
use crate::{
    instance::LiveRoom,
    room::{
        Command, Outcome, Place, Position, Standing, estimate,
        estimate::{Chance, Wait},
        settings::Timestamp,
    },
};

/// The addresses of this file.
pub fn configure(config: &mut ServiceConfig) {
    endpoint("/v1/rooms/{room}/place").get(place).cors(Cors::RoomHosts).register(config);
}

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Waiting,
    /// May claim the pass until `deadline`.
    Called,
    /// The session lives until `deadline`.
    Inside,
    /// Called and not claimed in time.
    Lapsed,
    /// The session has ended, or the place was given back.
    Over,
}

/// A visitor's place.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyPlace {
    pub state: State,
    /// Null before positions are drawn.
    pub position: Option<Position>,
    /// Visitors who stand before this one. Null before positions are drawn.
    pub ahead: Option<u64>,
    /// Null while nothing can be said: paused, closed, waiting for units, or no longer in line.
    pub wait_seconds: Option<WaitSeconds>,
    /// Whether there will be something left: `likely` or `unlikely`. Only while waiting, where the stock is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "likely")]
    pub chance: Option<Chance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
}

/// A wait, as an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitSeconds {
    pub low: u64,
    pub likely: u64,
    pub high: u64,
}

impl From<Wait> for WaitSeconds {
    fn from(Wait { low, likely, high }: Wait) -> Self {
        Self { low, likely, high }
    }
}

#[utoipa::path(get, path = "/v1/rooms/{room}/place", tag = "line", operation_id = "getPlace",
    params(("room" = String, Path, description = "The room's id"),
        ("X-Dropgate-Ticket" = Option<String>, Header, description = "The ticket; a browser sends its cookie")),
    responses((status = 200, description = "Where the place stands", body = MyPlace),
        (status = 401, description = "`invalid_ticket`"), (status = 404, description = "`unknown_room`"),
        (status = 410, description = "`ticket_lapsed` with `reason: reset`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn place(
    RoomPath(room): RoomPath,
    context: Shared,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (ticket, _) = visitor::required(&request, &context, &room)?;
    let place = visitor::place_of(&ticket)?;
    let standing = stand(&room, place).await?;
    Ok(private(HttpResponse::Ok()).json(MyPlace::of(&room, place, standing)?))
}

/// Where a place stands.
///
/// # Errors
/// 410 where the line was reset; 401 for a number that was never issued; 503 where the store does not answer.
pub async fn stand(room: &LiveRoom, place: Place) -> Result<Standing, Problem> {
    let view = view_of(room)?;
    if visitor::is_reset(&view, place) {
        return Err(visitor::reset());
    }
    let asked = room.lane.submit(Command::Look { place }).await;
    if let (Err(_), Some(waiting)) = (&asked, visitor::waiting_in_memory(&view, place)) {
        return Ok(waiting);
    }
    match asked?.outcome {
        Outcome::Standing(standing) => Ok(standing),
        Outcome::Refused(refusal) => Err(refusals::problem(refusal)),
        other => Err(refusals::unexpected(&other)),
    }
}

impl MyPlace {
    fn of(room: &LiveRoom, place: Place, standing: Standing) -> Result<Self, Problem> {
        let no_wait = Some(Wait { low: 0, likely: 0, high: 0 });
        let (state, ahead, wait_seconds, deadline) = match standing {
            Standing::Waiting { ahead } => (State::Waiting, ahead, estimate::wait(&*view_of(room)?, ahead), None),
            Standing::Called { deadline } => (State::Called, 0, no_wait, Some(deadline)),
            Standing::Inside { deadline } => (State::Inside, 0, no_wait, Some(deadline)),
            Standing::Lapsed => (State::Lapsed, 0, None, None),
            Standing::Over => (State::Over, 0, None, None),
        };
        let chance = match standing {
            Standing::Waiting { ahead } => estimate::chance(&*view_of(room)?, ahead),
            _ => None,
        };
        Ok(Self {
            state,
            chance,
            position: Some(place.position),
            ahead: Some(ahead),
            wait_seconds: wait_seconds.map(WaitSeconds::from),
            deadline: deadline.map(Timestamp),
        })
    }
}
