//! What a buyer, a shop or an operator is told when a sale refuses.

use serde_json::json;

use super::problem::{Code, Problem};
use crate::sale::{Outcome, Refusal};

/// The problem of a refusal.
pub fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::UnknownSale => Problem::unknown_sale(),
        Refusal::Invalid { field, detail } => Problem::invalid_field(field, detail),
        Refusal::UnknownSku { sku } => {
            Problem::new(Code::UnknownSku, format!("this sale has no item {sku}")).with("sku", sku.as_str())
        }
        Refusal::KeyReused => {
            Problem::new(Code::KeyReused, "this Idempotency-Key was used for another request: take a new one")
        }
        Refusal::Closed => Problem::new(Code::SaleClosed, "the sale has not begun, or is over"),
        Refusal::PassRequired => {
            Problem::new(Code::PassRequired, "come through the waiting room: a live pass is needed")
        }
        Refusal::SoldOut { lines } => {
            Problem::new(Code::SoldOut, "fewer units are available than were asked for; what is held may come back")
                .with("lines", json!(lines))
        }
        Refusal::LimitExceeded { sku, limit, used } => {
            Problem::new(Code::LimitExceeded, "more than one buyer may hold and have bought")
                .with("sku", json!(sku))
                .with("limit", limit)
                .with("used", used)
        }
        Refusal::UnknownReservation => Problem::new(Code::UnknownReservation, "this sale has no such reservation"),
        Refusal::Expired => Problem::new(Code::ReservationExpired, "the units went back when the hold's time was over"),
        Refusal::Released => Problem::new(Code::ReservationReleased, "the units were given back"),
        Refusal::Conflict { detail } => Problem::new(Code::Conflict, detail),
    }
}

/// The problem of an outcome that its command cannot have: a fault of ours, logged.
pub fn unexpected(outcome: &Outcome) -> Problem {
    tracing::error!(?outcome, "the sale answered something else than was asked");
    Problem::new(Code::Internal, "the fault is ours, and logged")
}
