//! The stock under random commands and a virtual clock: the books are right after every batch, the outbox has
//! no gaps, and folding it gives the stock. No sweeper runs here.

use std::collections::{BTreeMap, BTreeSet};

use dropgate::{
    id::RoomId,
    sale::{
        Buyer, Caller, Command, Confirm, Event, EventKind, IfExpired, Line, OrderRef, Outcome, Refusal, ReservationId,
        Reserve, Rules, Sale, Sku, State, audit::Ledger, command::Fingerprint, settings::ItemRules,
    },
    time::UnixMs,
};
use proptest::prelude::*;

const SKUS: [&str; 3] = ["red", "green", "blue"];

pub fn sku(index: usize) -> Sku {
    Sku::parse(SKUS[index % SKUS.len()]).unwrap()
}

pub fn buyer(index: usize) -> Buyer {
    Buyer::parse(&format!("buyer-{}", index % 5)).unwrap()
}

pub fn rules(total: u64, per_buyer: Option<u64>, max_units: Option<u64>) -> Rules {
    Rules {
        items: (0..SKUS.len()).map(|index| (sku(index), ItemRules { total, per_buyer })).collect(),
        hold_ms: 1_000,
        hold_max_ms: 3_000,
        payment_grace_ms: 1_500,
        max_units_per_buyer: max_units,
        requires_pass: Vec::new(),
        opens_at: None,
        closes_at: None,
    }
}

/// What is tried: ids are few, so that keys repeat and holds are met again.
pub fn command() -> impl Strategy<Value = Command> {
    let id = (0..24u128).prop_map(ReservationId);
    let lines = prop::collection::vec((0..SKUS.len(), 1..4u64), 1..4)
        .prop_map(|lines| lines.into_iter().map(|(s, quantity)| Line { sku: sku(s), quantity }).collect::<Vec<_>>());
    let order = (0..3usize).prop_map(|n| OrderRef::parse(&format!("order-{n}")).unwrap());
    let if_expired = prop_oneof![Just(IfExpired::Reject), Just(IfExpired::Retake)];
    let reserve =
        (id.clone(), 0..2u128, 0..5usize, lines.clone(), prop::option::of(0..5u64), prop::option::of(id.clone()))
            .prop_map(|(id, print, b, lines, hold_seconds, replaces)| Reserve {
                id,
                fingerprint: Fingerprint(print),
                caller: Caller::Anyone,
                buyer: Some(buyer(b)),
                lines,
                hold_seconds,
                replaces,
            });
    prop_oneof![
        8 => reserve.clone().prop_map(Command::Reserve),
        1 => reserve.prop_map(Command::Lookup),
        4 => (id.clone(), order, prop::option::of(lines.clone()), if_expired)
            .prop_map(|(id, order, lines, if_expired)| Command::Confirm(Confirm { id, order, lines, if_expired })),
        2 => id.clone().prop_map(|id| Command::Release { id }),
        2 => id.clone().prop_map(|id| Command::Paying { id }),
        2 => (id.clone(), 0..5u64, prop::option::of((0..3u128).prop_map(Fingerprint)))
            .prop_map(|(id, seconds, key)| Command::Extend { id, seconds, key }),
        1 => id.clone().prop_map(|id| Command::Look { id }),
        1 => (1000..1008u128, 0..SKUS.len(), -6..6i64)
            .prop_map(|(id, s, delta)| Command::Restock { id: ReservationId(id), sku: sku(s), delta }),
        1 => (1..6u64, 0..12u64).prop_map(|(version, total)| Command::Configure { version, born: 1, rules: rules(total, Some(5), None), make: true }),
        1 => Just(Command::Tick),
    ]
}

fn check_books(sale: &Sale, now: UnixMs, ledger: &mut Ledger, folded: &mut u64) {
    let Outcome::Events(events) = ask(sale, now, Command::Events { after: *folded, term: 0, limit: usize::MAX }) else {
        panic!()
    };
    for event in &events {
        ledger.fold(event).unwrap();
        *folded = event.seq;
    }
    let view = sale.view(now);
    ledger.compare(view.seq, &view.items).unwrap();
    for item in &view.items {
        assert_eq!(item.available + item.held + item.sold, item.total, "{item:?}");
    }
    let mut held: BTreeMap<Sku, u64> = BTreeMap::new();
    for id in 0..24 {
        if let Outcome::Reservation(reservation) = ask(sale, now, Command::Look { id: ReservationId(id) })
            && matches!(reservation.state, State::Held { .. })
        {
            for (sku, units) in reservation.lines {
                *held.entry(sku).or_default() += units;
            }
        }
    }
    for item in &view.items {
        assert_eq!(item.held, held.get(&item.sku).copied().unwrap_or(0), "{}", item.sku);
    }
    assert_eq!(sale.walk().differences, []);
    let header = sale.header(now);
    assert_eq!(header.available, view.items.iter().map(|item| item.available).sum::<u64>());
    assert_eq!(header.held, view.items.iter().map(|item| item.held).sum::<u64>());
}

/// A question that changes nothing, put to a copy.
fn ask(sale: &Sale, _now: UnixMs, command: Command) -> Outcome {
    let mut copy = Some(sale.clone());
    Sale::apply(&mut copy, UnixMs(0), &[command]).outcomes.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_books_are_right_after_every_batch(
        total in 0..12u64,
        batches in prop::collection::vec((0..900u64, prop::collection::vec(command(), 1..8)), 1..60),
    ) {
        let mut sale = None;
        let mut now = UnixMs(1_000_000);
        Sale::apply(&mut sale, now, &[Command::Configure { version: 1, born: 1, rules: rules(total, Some(5), Some(7)), make: true }]);
        let (mut ledger, mut folded) = (Ledger::default(), 0);
        let mut too_late = BTreeSet::new();
        for (dt, commands) in batches {
            now = now.plus_ms(dt);
            let before = sale.clone();
            let applied = Sale::apply(&mut sale, now, &commands);
            prop_assert_eq!(applied.outcomes.len(), commands.len());
            if !applied.changed {
                prop_assert_eq!(&before, &sale);
            }
            check_books(sale.as_ref().unwrap(), now, &mut ledger, &mut folded);
            for (command, outcome) in commands.iter().zip(&applied.outcomes) {
                prop_assert!(never_a_false_refusal(command, outcome));
                prop_assert!(late_for_ever(&mut too_late, command, outcome), "{command:?}: {outcome:?}");
            }
        }
        let mut told = BTreeSet::new();
        for event in events(sale.as_ref().unwrap()) {
            if let EventKind::PaidTooLate { id, order, .. } = event.kind {
                prop_assert!(told.insert((id, order)), "told twice");
            }
        }
        prop_assert_eq!(told, too_late);
    }

    #[test]
    fn every_command_sent_three_times_in_any_order_leaves_the_books_of_one(
        commands in prop::collection::vec(command(), 1..20),
    ) {
        // All at one instant, each command three times in a row, against once each: the stock is the same.
        let books = |times: usize| {
            let mut sale = None;
            let now = UnixMs(1_000_000);
            Sale::apply(&mut sale, now, &[Command::Configure { version: 1, born: 1, rules: rules(8, Some(5), None), make: true }]);
            for command in &commands {
                for _ in 0..times {
                    Sale::apply(&mut sale, now, std::slice::from_ref(command));
                }
            }
            sale.unwrap().view(now)
        };
        prop_assert_eq!(books(1), books(3));
    }
}

/// A refusal names only shortages that are real: something was wanted beyond what was available.
fn never_a_false_refusal(command: &Command, outcome: &Outcome) -> bool {
    match (command, outcome) {
        (Command::Reserve(_), Outcome::Refused(Refusal::SoldOut { lines })) => {
            !lines.is_empty() && lines.iter().all(|line| line.wanted > line.available)
        }
        _ => true,
    }
}

/// Whether an order that was once refused as too late still is.
fn late_for_ever(late: &mut BTreeSet<(ReservationId, OrderRef)>, command: &Command, outcome: &Outcome) -> bool {
    let Command::Confirm(confirm) = command else { return true };
    let key = (confirm.id, confirm.order.clone());
    let is_late = matches!(outcome, Outcome::Refused(Refusal::Expired | Refusal::Released));
    let was_late = late.contains(&key);
    if is_late {
        late.insert(key);
    }
    is_late || !was_late
}

/// All events kept.
pub fn events(sale: &Sale) -> Vec<Event> {
    match ask(sale, UnixMs(0), Command::Events { after: 0, term: 0, limit: usize::MAX }) {
        Outcome::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

pub fn reserve(id: u128, b: usize, quantity: u64) -> Command {
    Command::Reserve(Reserve {
        id: ReservationId(id),
        fingerprint: Fingerprint(0),
        caller: Caller::Anyone,
        buyer: Some(buyer(b)),
        lines: vec![Line { sku: sku(0), quantity }],
        hold_seconds: None,
        replaces: None,
    })
}

#[test]
fn a_hundred_thousand_holds_due_at_once_never_make_a_false_sold_out() {
    let mut open = rules(100_000, None, None);
    open.items.retain(|name, _| *name == sku(0));
    let mut sale = None;
    let start = UnixMs(1_000_000);
    Sale::apply(&mut sale, start, &[Command::Configure { version: 1, born: 1, rules: open, make: true }]);
    for id in 0..100_000u128 {
        let by = Command::Reserve(Reserve {
            id: ReservationId(id),
            fingerprint: Fingerprint(0),
            caller: Caller::Shop,
            buyer: None,
            lines: vec![Line { sku: sku(0), quantity: 1 }],
            hold_seconds: None,
            replaces: None,
        });
        assert!(matches!(Sale::apply(&mut sale, start, &[by]).outcomes[0], Outcome::Reservation(_)));
    }
    let due = start.plus_ms(1_000);
    let ask_much = reserve(1_000_000, 0, 50_000);
    let mut batches = 0;
    loop {
        batches += 1;
        match &Sale::apply(&mut sale, due, std::slice::from_ref(&ask_much)).outcomes[0] {
            Outcome::Pending => {}
            Outcome::Reservation(_) => break,
            other => panic!("{other:?} after {batches} batches"),
        }
    }
    assert!(batches <= 50_000 / 64 + 2, "{batches} batches");
}

#[test]
fn a_pass_is_required_where_the_sale_says_so() {
    let mut by_pass = rules(5, None, None);
    by_pass.requires_pass = vec![RoomId::parse("main").unwrap()];
    let mut sale = None;
    let now = UnixMs(1_000_000);
    Sale::apply(&mut sale, now, &[Command::Configure { version: 1, born: 1, rules: by_pass, make: true }]);
    let with = |caller: Caller| {
        let Command::Reserve(ask) = reserve(1, 0, 1) else { unreachable!() };
        Command::Reserve(Reserve { caller, ..ask })
    };
    let room = RoomId::parse("main").unwrap();
    let late = Caller::Pass { room: room.clone(), deadline: now };
    let other = Caller::Pass { room: RoomId::parse("other").unwrap(), deadline: now.plus_ms(1) };
    for caller in [Caller::Anyone, late, other] {
        let refused = Sale::apply(&mut sale, now, &[with(caller)]).outcomes.remove(0);
        assert_eq!(refused, Outcome::Refused(Refusal::PassRequired));
    }
    let live = Caller::Pass { room, deadline: now.plus_ms(1) };
    assert!(matches!(Sale::apply(&mut sale, now, &[with(live)]).outcomes[0], Outcome::Reservation(_)));
}
