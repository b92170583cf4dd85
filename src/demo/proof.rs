//! The proof that what was sold was sold once: three books that were kept apart — the events, the shop's orders, what
//! visitors were told — must say the same.

use std::collections::HashMap;

use super::{
    checks::Verdict,
    ledger::Ledger,
    shop::{
        books::{Order, OrderState, Repeats},
        till::Units,
    },
};

/// No unit sold twice, and the events from the first to the last give the stock as it stands. `of` is how many units
/// there were to sell, and `told` what visitors were told of their orders.
pub fn stock(ledger: &Ledger, of: u64, told: &[(String, u64)]) -> Verdict {
    let sold = ledger.sold();
    let told: i64 = told.iter().map(|(_, units)| i64::try_from(*units).unwrap_or(i64::MAX)).sum();
    let oversold = ledger.oversold().max(told - ledger.total());
    if let Some(broken) = ledger.broken.first() {
        return Verdict::Broken(format!("{sold} sold, {oversold} oversold; {broken}"));
    }
    if oversold > 0 {
        return Verdict::Broken(format!("{sold} sold, {oversold} oversold"));
    }
    let restocked = ledger.total() - i64::try_from(of).unwrap_or(i64::MAX);
    let restocked = if restocked == 0 { String::new() } else { format!(", {restocked:+} by hand") };
    Verdict::Holds(format!(
        "{sold} of {of}{restocked} sold, 0 oversold; {} events, folded, are the stock as it stands",
        ledger.seq()
    ))
}

/// Every order that was confirmed is an event with the same units, and every such event an order; every order paid too
/// late likewise; and nobody who has paid is without an answer.
pub fn orders(ledger: &Ledger, orders: &[Order]) -> Verdict {
    let by_reference: HashMap<&str, &Order> = orders.iter().map(|order| (order.reference.as_str(), order)).collect();
    for order in orders {
        let bought = ledger.bought.get(&order.reference);
        let fault = match &order.state {
            OrderState::Confirmed(units) if bought == Some(units) => continue,
            OrderState::Confirmed(units) => format!("is confirmed for {units:?}, the events say {bought:?}"),
            OrderState::TooLate if bought.is_some() => "is refunded, and the events say that it is bought".to_owned(),
            OrderState::TooLate if !ledger.too_late.contains(&order.reference) => {
                "is refunded, and no event says that it was paid too late".to_owned()
            }
            OrderState::Paid(_) | OrderState::Unanswered(_) => "is paid and has no answer".to_owned(),
            OrderState::TooLate | OrderState::AtTheProvider | OrderState::Declined => continue,
        };
        return Verdict::Broken(format!("order {} {fault}", order.reference));
    }
    let is_confirmed = |reference: &str| {
        matches!(by_reference.get(reference).map(|order| &order.state), Some(OrderState::Confirmed(_)))
    };
    let is_refunded = |reference: &str| by_reference.get(reference).is_some_and(|o| o.state == OrderState::TooLate);
    if let Some(event) = ledger.bought.keys().find(|reference| !is_confirmed(reference)) {
        return Verdict::Broken(format!("the events say that order {event} is bought, the shop does not know it"));
    }
    if let Some(event) = ledger.too_late.iter().find(|reference| !is_refunded(reference)) {
        return Verdict::Broken(format!("order {event} was paid too late, and the shop did not refund it"));
    }
    let (bought, refunded) = (ledger.bought.len(), ledger.too_late.len());
    Verdict::Holds(format!("{bought} bought and {refunded} refunded, each an event, and nobody paid without an answer"))
}

/// What visitors were told of their orders is what the shop has in its books.
pub fn answers(told: &[(String, u64)], orders: &[Order]) -> Verdict {
    let by_reference: HashMap<&str, &Order> = orders.iter().map(|order| (order.reference.as_str(), order)).collect();
    for (reference, told_units) in told {
        let kept = by_reference.get(reference.as_str()).map(|order| &order.state);
        let is_so = match kept {
            Some(OrderState::Confirmed(units)) => total(units) == *told_units,
            Some(OrderState::TooLate) => *told_units == 0,
            _ => false,
        };
        if !is_so {
            return Verdict::Broken(format!("order {reference}: told {told_units} units, the shop has {kept:?}"));
        }
    }
    Verdict::Holds(format!("{} visitors were told of their orders what is in the books", told.len()))
}

/// The same form sent again got the same reservation.
pub fn repeats(repeats: Repeats) -> Verdict {
    let Repeats { same, other } = repeats;
    if other == 0 {
        Verdict::Holds(format!("{same} came again, and each got what it had"))
    } else {
        Verdict::Broken(format!("of {} that came again, {other} got another reservation", same + other))
    }
}

fn total(units: &Units) -> u64 {
    units.values().sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Three of `a`, of which order `o` bought two, and order `p` was paid too late.
    fn ledger() -> Ledger {
        let line = json!([{ "sku": "a", "quantity": 2 }]);
        let events = [
            json!({ "seq": 1, "type": "item.restocked", "sku": "a", "delta": 3 }),
            json!({ "seq": 2, "type": "reservation.held", "reservation": "p", "buyer": null, "lines": line }),
            json!({ "seq": 3, "type": "reservation.expired", "reservation": "p", "lines": line }),
            json!({ "seq": 4, "type": "reservation.held", "reservation": "o", "buyer": "me", "lines": line }),
            json!({ "seq": 5, "type": "reservation.confirmed", "reservation": "o", "order": "o", "lines": line, "returned": [] }),
            json!({ "seq": 6, "type": "reservation.paid_too_late", "reservation": "p", "order": "p" }),
        ];
        let mut ledger = Ledger::default();
        events.into_iter().for_each(|event| ledger.fold(&serde_json::from_value(event).unwrap()));
        ledger
    }

    fn units(quantity: u64) -> Units {
        Units::from([("a".to_owned(), quantity)])
    }

    fn order(reference: &str, state: OrderState) -> Order {
        let buyer = "me".to_owned();
        Order { reference: reference.to_owned(), buyer, reservation: reference.to_owned(), units: units(2), state }
    }

    fn honest() -> Vec<Order> {
        vec![
            order("o", OrderState::Confirmed(units(2))),
            order("p", OrderState::TooLate),
            order("q", OrderState::AtTheProvider),
            order("r", OrderState::Declined),
        ]
    }

    fn is_broken(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Broken(_))
    }

    #[test]
    fn three_books_that_agree_hold() {
        let told = [("o".to_owned(), 2), ("p".to_owned(), 0)];
        assert!(!is_broken(&stock(&ledger(), 3, &told)));
        assert!(!is_broken(&orders(&ledger(), &honest())));
        assert!(!is_broken(&answers(&told, &honest())));
    }

    #[test]
    fn an_order_without_its_event_and_an_event_without_its_order_are_seen() {
        let with = |at: usize, state| {
            let mut doctored = honest();
            doctored[at].state = state;
            is_broken(&orders(&ledger(), &doctored))
        };
        assert!(with(0, OrderState::AtTheProvider), "bought by the events alone");
        assert!(with(0, OrderState::Confirmed(units(1))), "other units");
        assert!(with(0, OrderState::TooLate), "refunded, and bought");
        assert!(with(1, OrderState::Declined), "too late by the events alone");
        assert!(with(2, OrderState::Confirmed(units(2))), "bought by the shop alone");
        assert!(with(2, OrderState::TooLate), "too late by the shop alone");
        assert!(with(3, OrderState::Paid(units(2))), "paid, and no answer");
        assert!(with(3, OrderState::Unanswered(units(2))), "paid, and no answer");
        assert!(is_broken(&orders(&ledger(), &honest()[1..])), "an order the shop lost");
    }

    #[test]
    fn more_told_than_there_was_and_books_that_do_not_add_up_are_seen() {
        let told = |units: u64| vec![("o".to_owned(), units)];
        assert!(!is_broken(&stock(&ledger(), 3, &told(3))));
        assert!(is_broken(&stock(&ledger(), 3, &told(4))));
        let mut broken = ledger();
        broken.broken.push("anything".to_owned());
        assert!(is_broken(&stock(&broken, 3, &[])));
    }

    #[test]
    fn a_visitor_who_was_told_otherwise_is_seen() {
        for told in [("o", 1), ("o", 0), ("p", 2), ("q", 0), ("nobody", 1)] {
            assert!(is_broken(&answers(&[(told.0.to_owned(), told.1)], &honest())), "{told:?}");
        }
    }

    #[test]
    fn a_key_that_got_two_reservations_is_seen() {
        assert!(!is_broken(&repeats(Repeats { same: 3, other: 0 })));
        assert!(is_broken(&repeats(Repeats { same: 3, other: 1 })));
    }
}
