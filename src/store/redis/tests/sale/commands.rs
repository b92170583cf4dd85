//! Lives of sales: every command, with ids and names so few that they meet again.

use proptest::prelude::*;

use crate::{
    id::RoomId,
    sale::{
        Buyer, Caller, Command, Confirm, IfExpired, Line, OrderRef, ReservationId, Reserve, Rules, Sku,
        command::Fingerprint,
        settings::{ItemRules, TOTAL_MAX},
    },
    time::UnixMs,
};

/// One of them is what empty rows are called, and one has a name that a careless order would put elsewhere.
const SKUS: [&str; 4] = ["red", "~", "Red|1", "-"];

pub fn sku(index: usize) -> Sku {
    Sku::parse(SKUS[index % SKUS.len()]).unwrap()
}

/// Batches, each so much later than the one before.
#[derive(Clone, Debug)]
pub struct Life {
    pub born: u64,
    pub steps: Vec<(i64, Vec<Command>)>,
}

pub fn life() -> impl Strategy<Value = Life> {
    let dt = prop_oneof![
        10 => 0..900i64,
        6 => Just(0i64),
        6 => Just(500i64),
        3 => Just(1_000i64),
        1 => -2_000..0i64,
        1 => Just(23 * 3_600_000i64),
        1 => Just(25 * 3_600_000i64),
    ];
    let batch = prop_oneof![
        30 => prop::collection::vec(command(), 1..8),
        3 => flood(),
        1 => (0..4u64).prop_map(|born| vec![Command::Delete { born }]),
        1 => (1..5u64, 0..5u64)
            .prop_map(|(born, n)| vec![Command::Delete { born: n }, configure(born, born, 9), Command::Items]),
    ];
    (1..3u64, prop::collection::vec((dt, batch), 1..40)).prop_map(|(born, steps)| Life { born, steps })
}

/// Many grants at once: by one buyer, so that it reaches its bound, or by nobody.
fn flood() -> impl Strategy<Value = Vec<Command>> {
    (100..2_000u128, 1..90u128, prop::option::of(buyer()), 0..4u64).prop_map(|(first, count, buyer, release)| {
        let grants = (first..first + count).flat_map(|id| {
            let ask = Reserve {
                id: ReservationId(id),
                fingerprint: Fingerprint(0),
                caller: Caller::Shop,
                buyer: buyer.clone(),
                lines: vec![Line { sku: sku(1), quantity: 1 }],
                hold_seconds: None,
                replaces: None,
            };
            let back = (release > 0).then_some(Command::Release { id: ReservationId(id) });
            std::iter::once(Command::Reserve(ask)).chain(back)
        });
        grants.collect()
    })
}

pub fn configure(version: u64, born: u64, total: u64) -> Command {
    Command::Configure { version, born, rules: rules(total), make: true }
}

fn rules(total: u64) -> Rules {
    Rules {
        items: (0..SKUS.len()).map(|index| (sku(index), ItemRules { total, per_buyer: None })).collect(),
        hold_ms: 1_000,
        hold_max_ms: 3_000,
        payment_grace_ms: 1_500,
        max_units_per_buyer: None,
        requires_pass: Vec::new(),
        opens_at: None,
        closes_at: None,
    }
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let item =
        prop::option::weighted(0.9, (prop_oneof![8 => 0..12u64, 1 => Just(TOTAL_MAX)], prop::option::of(1..6u64)));
    let items = prop::collection::vec(item, SKUS.len());
    let times =
        (prop::option::weighted(0.2, 999_000..1_010_000u64), prop::option::weighted(0.2, 1_001_000..1_030_000u64));
    let rooms = prop::collection::vec(0..2usize, 0..2);
    (items, 1..4u64, 0..3u64, 0..3_000u64, prop::option::of(1..9u64), times, rooms).prop_map(
        |(items, hold, longer, payment_grace_ms, max_units_per_buyer, (opens, closes), rooms)| Rules {
            items: (0..)
                .zip(items)
                .filter_map(|(index, item)| item.map(|(total, per_buyer)| (sku(index), ItemRules { total, per_buyer })))
                .collect(),
            hold_ms: hold * 1_000,
            hold_max_ms: (hold + longer) * 1_000,
            payment_grace_ms,
            max_units_per_buyer,
            requires_pass: rooms.into_iter().map(room).collect(),
            opens_at: opens.map(UnixMs),
            closes_at: closes.map(UnixMs),
        },
    )
}

fn room(index: usize) -> RoomId {
    RoomId::parse(["main", "vip"][index]).unwrap()
}

fn buyer() -> impl Strategy<Value = Buyer> {
    prop::sample::select(vec!["~", "ada", "-", "bob=", "Eve"]).prop_map(|name| Buyer::parse(name).unwrap())
}

fn id() -> impl Strategy<Value = ReservationId> {
    prop_oneof![24 => 0..24u128, 1 => Just(u128::MAX)].prop_map(ReservationId)
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let quantity = prop_oneof![30 => 1..4u64, 1 => Just(0), 1 => Just(TOTAL_MAX), 1 => Just(u64::MAX)];
    let sku = prop_oneof![20 => (0..SKUS.len()).prop_map(sku), 1 => Just(Sku::parse("nowhere").unwrap())];
    let line = (sku, quantity).prop_map(|(sku, quantity)| Line { sku, quantity });
    prop_oneof![12 => prop::collection::vec(line.clone(), 1..4), 1 => prop::collection::vec(line, 0..23)]
}

fn caller() -> impl Strategy<Value = Caller> {
    let pass = (0..2usize, prop_oneof![1_000_000..1_020_000u64, Just(u64::MAX)])
        .prop_map(|(index, deadline)| Caller::Pass { room: room(index), deadline: UnixMs(deadline) });
    prop_oneof![2 => Just(Caller::Shop), 1 => Just(Caller::Anyone), 2 => pass]
}

fn ask() -> impl Strategy<Value = Reserve> {
    let hold = prop_oneof![8 => Just(None), 4 => (0..7u64).prop_map(Some), 1 => Just(Some(u64::MAX))];
    let replaces = prop::option::weighted(0.2, id());
    (id(), 0..2u128, caller(), prop::option::weighted(0.8, buyer()), lines(), hold, replaces).prop_map(
        |(id, print, caller, buyer, lines, hold_seconds, replaces)| Reserve {
            id,
            fingerprint: Fingerprint(print << 127),
            caller,
            buyer,
            lines,
            hold_seconds,
            replaces,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let order = (0..11usize).prop_map(|n| OrderRef::parse(&format!("order-{n}")).unwrap());
    let if_expired = prop_oneof![Just(IfExpired::Reject), Just(IfExpired::Retake)];
    let confirm = (id(), order, prop::option::weighted(0.4, lines()), if_expired)
        .prop_map(|(id, order, lines, if_expired)| Command::Confirm(Confirm { id, order, lines, if_expired }));
    let seconds = prop_oneof![10 => 0..7u64, 1 => Just(u64::MAX)];
    let extend = (id(), seconds, prop::option::of((0..3u128).prop_map(Fingerprint)))
        .prop_map(|(id, seconds, key)| Command::Extend { id, seconds, key });
    let delta = prop_oneof![8 => -6..6i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => Just(999_999_999)];
    let restock = (1000..1008u128, 0..SKUS.len(), delta).prop_map(|(id, index, delta)| Command::Restock {
        id: ReservationId(id << 64),
        sku: sku(index),
        delta,
    });
    let configure =
        (1..9u64, prop_oneof![9 => Just(1u64), 3 => Just(2), 1 => Just(3)], any_rules(), prop::bool::weighted(0.8))
            .prop_map(|(version, born, rules, make)| Command::Configure { version, born, rules, make });
    let events = (prop_oneof![0..60u64, Just(u64::MAX)], prop_oneof![0..200usize, Just(usize::MAX)])
        .prop_map(|(after, limit)| Command::Events { after, term: 1, limit });
    prop_oneof![
        16 => ask().prop_map(Command::Reserve),
        3 => ask().prop_map(Command::Lookup),
        10 => confirm,
        3 => id().prop_map(|id| Command::Release { id }),
        3 => id().prop_map(|id| Command::Paying { id }),
        6 => extend,
        1 => id().prop_map(|id| Command::Look { id }),
        2 => restock,
        2 => configure,
        1 => any_rules().prop_map(|rules| Command::Consider { rules }),
        1 => Just(Command::Tick),
        1 => Just(Command::Rules),
        1 => Just(Command::Items),
        1 => Just(Command::Walk),
        1 => events,
    ]
}
