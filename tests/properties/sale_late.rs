//! Payments for holds that have died: what the shop was told once holds for ever, because it has refunded by then.

use dropgate::{
    sale::{
        Command, Confirm, EventKind, IfExpired, Line, OrderRef, Outcome, Refusal, ReservationId, Sale, Share, State,
        stock::LATE_ORDERS_MAX,
    },
    time::UnixMs,
};

use crate::sale::{events, reserve, rules, sku};

const START: UnixMs = UnixMs(1_000_000);

fn sale(total: u64) -> Option<Sale> {
    let mut sale = None;
    Sale::apply(
        &mut sale,
        START,
        &[Command::Configure { version: 1, born: 1, rules: rules(total, None, None), make: true }],
    );
    sale
}

/// When holds made at the start have died.
fn late() -> UnixMs {
    START.plus_ms(1_000)
}

fn at(sale: &mut Option<Sale>, now: UnixMs, command: Command) -> Outcome {
    Sale::apply(sale, now, &[command]).outcomes.remove(0)
}

fn pay(order: &str, if_expired: IfExpired) -> Command {
    let order = OrderRef::parse(order).unwrap();
    Command::Confirm(Confirm { id: ReservationId(1), order, lines: None, if_expired })
}

fn pay_part(quantity: u64, if_expired: IfExpired) -> Command {
    let (order, lines) = (OrderRef::parse("part").unwrap(), Some(vec![Line { sku: sku(0), quantity }]));
    Command::Confirm(Confirm { id: ReservationId(1), order, lines, if_expired })
}

fn release(id: u128) -> Command {
    Command::Release { id: ReservationId(id) }
}

fn is_confirmed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reservation(r) if matches!(r.state, State::Confirmed { .. }))
}

/// The orders told of as paid too late, in order.
fn told(sale: &Option<Sale>) -> Vec<String> {
    let late = |kind| match kind {
        EventKind::PaidTooLate { order, .. } => Some(order.to_string()),
        _ => None,
    };
    events(sale.as_ref().unwrap()).into_iter().filter_map(|event| late(event.kind)).collect()
}

#[test]
fn an_order_refused_as_too_late_is_never_sold_to() {
    for first in [IfExpired::Retake, IfExpired::Reject] {
        let mut sale = sale(1);
        at(&mut sale, START, reserve(1, 0, 1));
        at(&mut sale, late(), reserve(2, 1, 1));
        assert_eq!(at(&mut sale, late(), pay("a", first)), Outcome::Refused(Refusal::Expired));
        at(&mut sale, late(), release(2));
        for _ in 0..2 {
            let again = at(&mut sale, late(), pay("a", IfExpired::Retake));
            assert_eq!(again, Outcome::Refused(Refusal::Expired), "the units are back, but so is the money");
        }
        assert!(is_confirmed(&at(&mut sale, late(), pay("b", IfExpired::Retake))), "another order may");
        let after = at(&mut sale, late(), pay("a", IfExpired::Retake));
        assert_eq!(after, Outcome::Refused(Refusal::Expired));
        assert_eq!(told(&sale), ["a"]);
    }
}

#[test]
fn a_payment_for_a_released_hold_is_told_so_for_ever() {
    let mut sale = sale(1);
    at(&mut sale, START, reserve(1, 0, 1));
    at(&mut sale, START, release(1));
    for _ in 0..2 {
        assert_eq!(at(&mut sale, START, pay("a", IfExpired::Retake)), Outcome::Refused(Refusal::Released));
    }
    assert_eq!(told(&sale), ["a"]);
}

#[test]
fn orders_that_take_turns_are_told_of_once_each() {
    let mut sale = sale(1);
    at(&mut sale, START, reserve(1, 0, 1));
    for order in ["a", "b", "a", "b"] {
        let refused = at(&mut sale, late(), pay(order, IfExpired::Reject));
        assert_eq!(refused, Outcome::Refused(Refusal::Expired));
    }
    assert_eq!(told(&sale), ["a", "b"]);
}

#[test]
fn more_late_orders_than_are_remembered_are_refused_for_good() {
    let mut sale = sale(1);
    at(&mut sale, START, reserve(1, 0, 1));
    for n in 0..LATE_ORDERS_MAX {
        let refused = at(&mut sale, late(), pay(&format!("order-{n}"), IfExpired::Reject));
        assert_eq!(refused, Outcome::Refused(Refusal::Expired));
    }
    let before = sale.clone();
    for if_expired in [IfExpired::Reject, IfExpired::Retake] {
        let refused = at(&mut sale, late(), pay("one-more", if_expired));
        assert!(matches!(refused, Outcome::Refused(Refusal::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(at(&mut sale, late(), pay("order-0", IfExpired::Retake)), Outcome::Refused(Refusal::Expired));
    assert_eq!(sale, before);
}

#[test]
fn a_retake_of_the_last_units_tells_that_all_is_sold() {
    let mut sale = sale(1);
    at(&mut sale, START, reserve(1, 0, 1));
    at(&mut sale, late(), Command::Tick);
    assert!(is_confirmed(&at(&mut sale, late(), pay("a", IfExpired::Retake))));
    let last: Vec<_> = events(sale.as_ref().unwrap()).into_iter().rev().map(|event| event.kind).take(3).collect();
    assert!(
        matches!(&last[..], [EventKind::SoldOut { .. }, EventKind::Confirmed { .. }, EventKind::Held { .. }]),
        "{last:?}"
    );
}

#[test]
fn a_retake_that_leaves_only_held_units_tells_so() {
    let mut sale = sale(2);
    at(&mut sale, START, reserve(1, 0, 1));
    at(&mut sale, late(), reserve(2, 1, 1));
    assert!(is_confirmed(&at(&mut sale, late(), pay("a", IfExpired::Retake))));
    let last = events(sale.as_ref().unwrap()).pop().unwrap().kind;
    assert_eq!(last, EventKind::AllHeld { sku: sku(0) });
}

#[test]
fn a_confirmation_says_whether_all_was_bought_that_was_reserved() {
    let share = |now, command| {
        let mut sale = sale(2);
        at(&mut sale, START, reserve(1, 0, 2));
        assert!(is_confirmed(&at(&mut sale, now, command)));
        let share = |kind| match kind {
            EventKind::Confirmed { share, .. } => Some(share),
            _ => None,
        };
        events(sale.as_ref().unwrap()).into_iter().find_map(|event| share(event.kind)).unwrap()
    };
    for now in [START, late()] {
        assert_eq!(share(now, pay("a", IfExpired::Retake)), Share::Whole);
        assert_eq!(share(now, pay_part(2, IfExpired::Retake)), Share::Whole);
        assert_eq!(share(now, pay_part(1, IfExpired::Retake)), Share::Part);
    }
}

#[test]
fn a_payment_for_an_item_that_is_sold_no_more_comes_too_late() {
    let mut sale = sale(1);
    at(&mut sale, START, reserve(1, 0, 1));
    at(&mut sale, late(), Command::Tick);
    let mut without = rules(1, None, None);
    without.items.remove(&sku(0));
    assert_eq!(
        at(&mut sale, late(), Command::Configure { version: 2, born: 1, rules: without, make: true }),
        Outcome::Done
    );
    assert_eq!(at(&mut sale, late(), pay_part(1, IfExpired::Retake)), Outcome::Refused(Refusal::Expired));
    assert_eq!(told(&sale), ["part"]);
}
