//! What a buyer, a shop or an operator is told when a sale refuses.

use serde_json::json;

use super::problem::{Code, Problem};
use crate::sale::{Limit, Outcome, Refusal};

/// The problem of a refusal.
pub fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::UnknownSale => Problem::unknown_sale(),
        Refusal::NeedsOperator => {
            Problem::new(Code::SaleClosed, "the store has lost the sale: its operator has to make it anew")
        }
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
        Refusal::LimitExceeded { what, limit, used } => {
            let detail = limit_words(&what);
            let sku = match what {
                Limit::UnitsOf { sku } => json!(sku),
                Limit::Units | Limit::Grants | Limit::Extensions => json!(null),
            };
            Problem::new(Code::LimitExceeded, detail).with("sku", sku).with("limit", limit).with("used", used)
        }
        Refusal::UnknownReservation => Problem::new(Code::UnknownReservation, "this sale has no such reservation"),
        Refusal::Expired => Problem::new(Code::ReservationExpired, "the units went back when the hold's time was over"),
        Refusal::Released => Problem::new(Code::ReservationReleased, "the units were given back"),
        Refusal::Conflict { detail } => Problem::new(Code::Conflict, detail),
    }
}

fn limit_words(what: &Limit) -> &'static str {
    match what {
        Limit::UnitsOf { .. } => "more of this item than one buyer may hold and have bought",
        Limit::Units => "more than one buyer may hold and have bought",
        Limit::Grants => "this buyer has made as many reservations in a day as one may",
        Limit::Extensions => "this reservation was extended as often as one may be",
    }
}

/// The refusal as visitors may see it of a sale that shows no numbers: whether any are left, and whether any are held.
/// Even as many as were asked for would be found out by asking again and again.
pub fn without_numbers(mut refusal: Refusal) -> Refusal {
    if let Refusal::SoldOut { lines } = &mut refusal {
        for line in lines {
            (line.available, line.held) = (line.available.min(1), line.held.min(1));
        }
    }
    refusal
}

/// The problem of an outcome that its command cannot have: a fault of ours, logged.
pub fn unexpected(outcome: &Outcome) -> Problem {
    tracing::error!(?outcome, "the sale answered something else than was asked");
    Problem::new(Code::Internal, "the fault is ours, and logged")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sale::Sku;

    #[test]
    fn every_limit_has_words_of_its_own_and_the_same_members() {
        let sku = Sku::parse("shoe").unwrap();
        let limits = [Limit::UnitsOf { sku }, Limit::Units, Limit::Grants, Limit::Extensions];
        let told = limits.map(|what| problem(Refusal::LimitExceeded { what, limit: 2, used: 1 }));
        for problem in &told {
            assert_eq!((&problem.fields["limit"], &problem.fields["used"]), (&json!(2), &json!(1)), "{problem:?}");
        }
        assert_eq!(told.each_ref().map(|problem| problem.fields["sku"].as_str()), [Some("shoe"), None, None, None]);
        let words: BTreeSet<_> = told.iter().map(|problem| &problem.detail).collect();
        assert_eq!(words.len(), told.len());
    }
}
