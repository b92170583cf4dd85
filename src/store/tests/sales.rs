//! The part of the suite about sales.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::Time;
use crate::{
    clock::Clock,
    id::SaleId,
    sale::{
        Buyer, Caller, Command, Confirm, IfExpired, Line, OrderRef, Outcome, Refusal, ReservationId, Reserve, Rules,
        Sale, Sku, State, command::Fingerprint, settings::ItemRules,
    },
    store::{SaleReply, Store, audit::audit_sale, sale_lane::SaleLane},
    telemetry::Metrics,
};

/// All of it, on one store whose sales nobody has used.
pub async fn suite<S: Store>(store: &S, time: &Time) {
    nobody_sells(store).await;
    a_batch_is_in_order_and_at_one_time(store).await;
    time_does_not_run_backwards(store, time).await;
    a_sale_can_go_and_come_again(store).await;
    a_batch_does_what_the_sale_does(store, time).await;
    a_unit_is_sold_once(store).await;
    an_audit_counts_while_the_sale_goes_on(store, time).await;
}

async fn nobody_sells<S: Store>(store: &S) {
    let reply = store.sale(id("nobody"), vec![Command::Tick, reserve(1, "red", 1)]).await.unwrap();
    assert_eq!(reply.outcomes, vec![Outcome::Refused(Refusal::UnknownSale); 2]);
    assert_eq!(reply.header, None);
    assert_eq!(store.sale(id("nobody"), vec![]).await.unwrap().outcomes, []);
    assert_eq!(audit_sale(store, id("nobody")).await, Ok(None));
}

async fn a_batch_is_in_order_and_at_one_time<S: Store>(store: &S) {
    let order = OrderRef::parse("order").unwrap();
    let batch = vec![
        sale_rules(1, &[("red", 3)]),
        reserve(1, "red", 2),
        reserve(2, "red", 2),
        Command::Release { id: ReservationId(1) },
        reserve(2, "red", 2),
        confirm(2, &order),
        Command::Items,
    ];
    let SaleReply { now, header, outcomes } = store.sale(id("in-order"), batch).await.unwrap();
    let state = |n: usize| match &outcomes[n] {
        Outcome::Reservation(reservation) => reservation.state.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(outcomes[0], Outcome::Done);
    assert_eq!(state(1), State::Held { deadline: now.plus_ms(1_000), paying: false });
    assert!(matches!(&outcomes[2], Outcome::Refused(Refusal::SoldOut { lines }) if lines[0].available == 1));
    assert_eq!((state(3), state(5)), (State::Released { at: now }, State::Confirmed { order, at: now }));
    assert!(matches!(state(4), State::Held { .. }));
    let Outcome::Items(view) = &outcomes[6] else { panic!("{outcomes:?}") };
    assert_eq!((view.items[0].available, view.items[0].sold), (1, 2));
    let header = header.unwrap();
    assert_eq!((header.now, header.available, header.held, header.seq), (now, 1, 0, view.seq));
}

async fn time_does_not_run_backwards<S: Store>(store: &S, time: &Time) {
    store.sale(id("time"), vec![sale_rules(1, &[("red", 3)])]).await.unwrap();
    time.advance(50_000);
    let tick = || vec![Command::Tick];
    let late = store.sale(id("time"), tick()).await.unwrap().now;
    time.set_back(40_000);
    for batch in [tick(), vec![reserve(1, "red", 1)], tick()] {
        let reply = store.sale(id("time"), batch).await.unwrap();
        assert_eq!((reply.now, reply.header.unwrap().now), (late, late));
    }
    time.advance(40_999);
    assert_eq!(store.sale(id("time"), tick()).await.unwrap().header.unwrap().held, 1);
    time.advance(1);
    assert_eq!(store.sale(id("time"), tick()).await.unwrap().header.unwrap().held, 0, "due on the dot");
}

async fn a_sale_can_go_and_come_again<S: Store>(store: &S) {
    store.sale(id("phoenix"), vec![sale_rules(1, &[("red", 3)]), reserve(1, "red", 1)]).await.unwrap();
    let reply = store.sale(id("phoenix"), vec![Command::Delete { born: 1 }]).await.unwrap();
    assert_eq!((reply.outcomes, reply.header), (vec![Outcome::Done], None));
    let again = vec![sale_rules(2, &[("blue", 3)]), reserve(1, "blue", 2)];
    let reply = store.sale(id("phoenix"), again).await.unwrap();
    assert!(matches!(&reply.outcomes[1], Outcome::Reservation(_)), "{reply:?}");
    let report = audit_sale(store, id("phoenix")).await.unwrap().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.walk.held, report.first_seq), (1, 1));
}

/// The sale run by itself is the specification: the store must give its outcomes and its headers.
async fn a_batch_does_what_the_sale_does<S: Store>(store: &S, time: &Time) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut alone = None;
    for _ in 0..400 {
        time.advance(rng.random_range(0..700));
        let batch: Vec<Command> = (0..rng.random_range(1..6)).map(|_| random_command(&mut rng)).collect();
        let reply = store.sale(id("alone"), batch.clone()).await.unwrap();
        let applied = Sale::apply(&mut alone, reply.now, &batch);
        assert_eq!(reply.outcomes, applied.outcomes, "{batch:?}");
        assert_eq!(reply.header, alone.as_ref().map(|sale| sale.header(reply.now)));
    }
}

/// A thousand at once for a hundred units, over two lanes: a hundred get one, and each of the others is told so.
async fn a_unit_is_sold_once<S: Store>(store: &S) {
    store.sale(id("rush"), vec![sale_rules(1, &[("red", 100)])]).await.unwrap();
    let metrics = std::sync::Arc::new(Metrics::new());
    let lane = || {
        let runtime = tokio::runtime::Handle::current();
        SaleLane::new(store.clone(), id("rush"), Clock::system(), runtime, std::sync::Arc::clone(&metrics))
    };
    let lanes = [lane(), lane()];
    let asks = (0..1_000).map(|n| lanes[n % 2].submit(reserve(n as u128, "red", 1)));
    let mut told = BTreeMap::new();
    for answer in join_all(asks).await {
        let what = match answer.unwrap().outcome {
            Outcome::Reservation(_) => "held",
            Outcome::Refused(Refusal::SoldOut { .. }) => "sold out",
            other => panic!("{other:?}"),
        };
        *told.entry(what).or_insert(0) += 1;
    }
    assert_eq!(told, BTreeMap::from([("held", 100), ("sold out", 900)]));
    assert_eq!(metrics.store.queue_depth.get(), 0);
}

async fn an_audit_counts_while_the_sale_goes_on<S: Store>(store: &S, time: &Time) {
    store.sale(id("audit"), vec![sale_rules(1, &[("red", 10_000), ("green", 500), ("blue", 500)])]).await.unwrap();
    let mut rng = StdRng::seed_from_u64(2);
    let mut life = async |store: &S, batches: usize| {
        for _ in 0..batches {
            time.advance(rng.random_range(0..700));
            let mut batch: Vec<Command> = (0..20).map(|_| random_command(&mut rng)).collect();
            batch.retain(|command| !matches!(command, Command::Delete { .. } | Command::Configure { .. }));
            batch.extend((0..10).map(|_| reserve(rng.random(), "red", 1)));
            store.sale(id("audit"), batch).await.unwrap();
        }
    };
    life(store, 200).await;
    let (report, ()) = tokio::join!(audit_sale(store, id("audit")), life(store, 50));
    let report = report.unwrap().unwrap();
    assert!(report.is_clean(), "{:?}", report.differences().collect::<Vec<_>>());
    assert_eq!((report.first_seq, report.events), (1, report.view.seq));
    assert!(report.events > 2_000 && report.walk.ended > 100, "{} events", report.events);
}

pub fn id(text: &str) -> SaleId {
    SaleId::parse(text).unwrap()
}

/// A sale of these units by SKU. A hold lives a second, at most three.
pub fn sale_rules(version: u64, items: &[(&str, u64)]) -> Command {
    let item = |(sku, total): &(&str, u64)| (Sku::parse(sku).unwrap(), ItemRules { total: *total, per_buyer: None });
    let rules = Rules {
        items: items.iter().map(item).collect(),
        hold_ms: 1_000,
        hold_max_ms: 3_000,
        payment_grace_ms: 1_500,
        max_units_per_buyer: None,
        requires_pass: Vec::new(),
        opens_at: None,
        closes_at: None,
    };
    Command::Configure { version, born: 1, rules, make: true }
}

pub fn reserve_of(id: u128, lines: &[(&str, u64)]) -> Reserve {
    let line = |(sku, quantity): &(&str, u64)| Line { sku: Sku::parse(sku).unwrap(), quantity: *quantity };
    Reserve {
        id: ReservationId(id),
        fingerprint: Fingerprint(id),
        caller: Caller::Shop,
        buyer: None,
        lines: lines.iter().map(line).collect(),
        hold_seconds: None,
        replaces: None,
    }
}

pub fn reserve(id: u128, sku: &str, quantity: u64) -> Command {
    Command::Reserve(reserve_of(id, &[(sku, quantity)]))
}

pub fn confirm(id: u128, order: &OrderRef) -> Command {
    let confirm = Confirm { id: ReservationId(id), order: order.clone(), lines: None, if_expired: IfExpired::Retake };
    Command::Confirm(confirm)
}

/// Any command, mostly of those that buyers cause, about reservations that mostly exist.
pub fn random_command(rng: &mut StdRng) -> Command {
    let n = rng.random_range(0..80);
    let id = ReservationId(n);
    let sku = ["red", "green", "blue"][rng.random_range(0..3)];
    let quantity = rng.random_range(1..4);
    match rng.random_range(0..100) {
        0..4 => {
            let version = rng.random_range(1..1_000);
            sale_rules(version, &[("red", rng.random_range(0..40)), ("green", 20), ("blue", 20)])
        }
        4 => Command::Delete { born: rng.random_range(0..2) },
        5..10 => Command::Tick,
        10..13 => {
            let sku = Sku::parse(sku).unwrap();
            Command::Restock { id: ReservationId(1_000 + n), sku, delta: rng.random_range(-3..6) }
        }
        13..55 => {
            let buyer = Some(Buyer::parse(&format!("buyer-{}", n % 7)).unwrap());
            let replaces = (rng.random_range(0..10) == 0).then(|| ReservationId(rng.random_range(0..80)));
            let lines = reserve_of(n, &[(sku, quantity), ("red", 1)]).lines;
            Command::Reserve(Reserve { buyer, replaces, lines, ..reserve_of(n, &[]) })
        }
        55..60 => Command::Lookup(reserve_of(n, &[(sku, quantity)])),
        60..75 => confirm(n, &OrderRef::parse(&format!("order-{}", rng.random_range(0..3))).unwrap()),
        75..82 => Command::Release { id },
        82..88 => Command::Paying { id },
        88..93 => {
            let key = [None, Some(Fingerprint(n % 3))][rng.random_range(0..2)];
            Command::Extend { id, seconds: rng.random_range(0..4), key }
        }
        93..96 => Command::Look { id },
        96..98 => Command::Items,
        _ => Command::Events { after: rng.random_range(0..500), term: 0, limit: 50 },
    }
}
