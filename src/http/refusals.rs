//! What a visitor or a shop is told when a room refuses.

use super::{
    problem::{Code, Problem},
    visitor,
};
use crate::room::{Outcome, Refusal};

/// The problem of a refusal.
pub fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::UnknownRoom => Problem::unknown_room(),
        Refusal::Closed => Problem::new(Code::RoomClosed, "this room takes nobody in at present"),
        Refusal::Reset => visitor::reset(),
        Refusal::NotIssued => Problem::new(Code::InvalidTicket, "this number was never issued"),
        Refusal::Lapsed => {
            Problem::new(Code::TicketLapsed, "the place was called and not claimed in time").with("reason", "lapsed")
        }
        Refusal::SessionOver => Problem::new(Code::SessionOver, "the session has ended, or the place was given back"),
        Refusal::UnknownSession => Problem::new(Code::UnknownSession, "there was never a session of this name"),
        Refusal::Superseded => Problem::new(Code::InvalidPass, "another browser has taken this session over"),
        Refusal::LineAhead => Problem::new(Code::Conflict, "there is a line: join it"),
    }
}

/// The problem of an outcome that its command cannot have: a fault of ours, logged.
pub fn unexpected(outcome: &Outcome) -> Problem {
    tracing::error!(?outcome, "the room answered something else than was asked");
    Problem::new(Code::Internal, "the fault is ours, and logged")
}
