//! Calls sent again: whatever became of the rules since, what was granted is found, and what was done is not done twice.

use dropgate::{
    sale::{
        Buyer, Command, Line, Outcome, Refusal, ReservationId, Reserve, Rules, Sale,
        command::{Fingerprint, Limit},
        settings::TOTAL_MAX,
        stock::GRANTS_PER_BUYER,
    },
    time::UnixMs,
};

use crate::sale::{reserve, rules, sku};

const NOW: UnixMs = UnixMs(1_000_000);

fn sale(rules: Rules) -> Option<Sale> {
    let mut sale = None;
    Sale::apply(&mut sale, NOW, &[Command::Configure { version: 1, born: 1, rules, make: true }]);
    sale
}

fn at(sale: &mut Option<Sale>, now: UnixMs, command: Command) -> Outcome {
    Sale::apply(sale, now, &[command]).outcomes.remove(0)
}

fn configure(sale: &mut Option<Sale>, rules: Rules) {
    assert_eq!(at(sale, NOW, Command::Configure { version: 2, born: 1, rules, make: true }), Outcome::Done);
}

fn ask(hold_seconds: u64) -> Reserve {
    let Command::Reserve(ask) = reserve(1, 0, 1) else { unreachable!() };
    Reserve { hold_seconds: Some(hold_seconds), ..ask }
}

fn restock(delta: i64) -> Command {
    Command::Restock { id: ReservationId(9), sku: sku(0), delta }
}

#[test]
fn a_grant_is_found_again_after_holds_were_made_shorter() {
    let mut sale = sale(rules(5, None, None));
    let granted = at(&mut sale, NOW, Command::Reserve(ask(3)));
    assert!(matches!(granted, Outcome::Reservation(_)), "{granted:?}");
    configure(&mut sale, Rules { hold_ms: 1_000, hold_max_ms: 1_000, ..rules(5, None, None) });
    for again in [Command::Reserve(ask(3)), Command::Lookup(ask(3))] {
        assert_eq!(at(&mut sale, NOW, again), granted);
    }
    let other = Reserve { fingerprint: Fingerprint(1), ..ask(1) };
    assert_eq!(at(&mut sale, NOW, Command::Reserve(other)), Outcome::Refused(Refusal::KeyReused));
    let new = at(&mut sale, NOW, Command::Reserve(Reserve { id: ReservationId(2), ..ask(3) }));
    assert!(matches!(&new, Outcome::Refused(Refusal::Invalid { field, .. }) if field == "hold_seconds"), "{new:?}");
    let nothing = at(&mut sale, NOW, Command::Reserve(Reserve { lines: Vec::new(), ..ask(3) }));
    assert!(matches!(nothing, Outcome::Refused(Refusal::Invalid { .. })), "what can't be a grant comes first");
}

#[test]
fn a_grant_is_found_again_after_its_item_was_removed() {
    let mut sale = sale(rules(5, None, None));
    at(&mut sale, NOW, Command::Reserve(ask(1)));
    let released = at(&mut sale, NOW, Command::Release { id: ReservationId(1) });
    let mut without = rules(5, None, None);
    without.items.remove(&sku(0));
    configure(&mut sale, without);
    assert_eq!(at(&mut sale, NOW, Command::Reserve(ask(1))), released);
    let new = at(&mut sale, NOW, Command::Reserve(Reserve { id: ReservationId(2), ..ask(1) }));
    assert_eq!(new, Outcome::Refused(Refusal::UnknownSku { sku: sku(0) }));
}

#[test]
fn a_restock_sent_again_is_done_though_its_item_was_removed() {
    let mut sale = sale(rules(5, None, None));
    assert_eq!(at(&mut sale, NOW, restock(2)), Outcome::Done);
    let mut without = rules(5, None, None);
    without.items.remove(&sku(0));
    configure(&mut sale, without);
    assert_eq!(at(&mut sale, NOW, restock(2)), Outcome::Done);
    assert_eq!(at(&mut sale, NOW, restock(3)), Outcome::Refused(Refusal::KeyReused));
}

#[test]
fn a_restock_beyond_the_bound_names_its_own_field() {
    let mut sale = sale(rules(5, None, None));
    let most = i64::try_from(TOTAL_MAX).unwrap();
    let field = |outcome| match outcome {
        Outcome::Refused(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(at(&mut sale, NOW, restock(most))), "delta");
    assert_eq!(at(&mut sale, NOW, restock(1)), Outcome::Done);
    let consider = Command::Consider { rules: rules(TOTAL_MAX, None, None) };
    assert_eq!(field(at(&mut sale, NOW, consider)), "total");
}

#[test]
fn each_limit_is_told_by_its_name() {
    let limit = |outcome| match outcome {
        Outcome::Refused(Refusal::LimitExceeded { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let mut by_sku = sale(rules(5, Some(1), Some(9)));
    assert_eq!(limit(at(&mut by_sku, NOW, reserve(1, 0, 2))), Limit::UnitsOf { sku: sku(0) });
    let mut by_sale = sale(rules(5, Some(9), Some(1)));
    assert_eq!(limit(at(&mut by_sale, NOW, reserve(1, 0, 2))), Limit::Units);
    let mut open = sale(rules(5, None, None));
    for id in 0..u128::from(GRANTS_PER_BUYER) {
        at(&mut open, NOW, reserve(id, 0, 1));
        at(&mut open, NOW, Command::Release { id: ReservationId(id) });
    }
    assert_eq!(limit(at(&mut open, NOW, reserve(1_000, 0, 1))), Limit::Grants);
    at(&mut open, NOW, reserve(1_000, 1, 1));
    // Each a little later than the last, so that each moves the deadline.
    let extend = |n: u64| (NOW.plus_ms(n * 10), Command::Extend { id: ReservationId(1_000), seconds: 2, key: None });
    let outcomes: Vec<_> = (0..11).map(extend).map(|(now, command)| at(&mut open, now, command)).collect();
    assert!(outcomes[..10].iter().all(|outcome| matches!(outcome, Outcome::Reservation(_))), "{outcomes:?}");
    assert_eq!(limit(outcomes[10].clone()), Limit::Extensions);
}

#[test]
fn lines_of_one_item_count_together_against_a_limit() {
    let mut sale = sale(rules(5, Some(1), None));
    let line = Line { sku: sku(0), quantity: 1 };
    let twice = Reserve { lines: vec![line.clone(), line], buyer: Buyer::parse("b").ok(), ..ask(1) };
    let refused = at(&mut sale, NOW, Command::Reserve(twice));
    assert!(matches!(refused, Outcome::Refused(Refusal::LimitExceeded { .. })), "{refused:?}");
}
