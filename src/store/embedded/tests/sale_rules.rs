//! The same for sales: the number of the stock's rules is held to the rules.

use aws_lc_rs::digest::{SHA256, digest};

use crate::{
    id::RoomId,
    sale::{
        Buyer, Caller, Command, Confirm, Document, IfExpired, Line, OrderRef, RULES_VERSION, ReservationId, Reserve,
        Sale, Sku, command::Fingerprint,
    },
    time::UnixMs,
};

/// What the script below left behind when [`RULES_VERSION`] was last set, as the journal would keep it.
const KNOWN: (u64, &str) = (4, "31e6d61885d96ece");

fn reserve(id: u128, buyer: Option<&str>, lines: &[(&str, u64)]) -> Reserve {
    let line = |(sku, quantity): &(&str, u64)| Line { sku: Sku::parse(sku).unwrap(), quantity: *quantity };
    Reserve {
        id: ReservationId(id),
        fingerprint: Fingerprint(id),
        caller: Caller::Shop,
        buyer: buyer.map(|buyer| Buyer::parse(buyer).unwrap()),
        lines: lines.iter().map(line).collect(),
        hold_seconds: None,
        replaces: None,
    }
}

fn confirm(id: u128, order: &str, if_expired: IfExpired) -> Command {
    let order = OrderRef::parse(order).unwrap();
    Command::Confirm(Confirm { id: ReservationId(id), order, lines: None, if_expired })
}

/// Every kind of command, with times at which holds are due, and a day after which all is forgotten.
fn script() -> Vec<(u64, Command)> {
    let document = |red: u64, blue: u64| {
        let text = format!(
            r#"{{"id": "s", "name": "S", "items": [{{"sku": "red", "name": "Red", "total": {red}, "per_buyer": 3}},
                {{"sku": "blue", "name": "Blue", "total": {blue}}}], "hold_seconds": 5, "hold_max_seconds": 20,
                "payment_grace_seconds": 8, "max_units_per_buyer": 6, "requires_pass": ["main"]}}"#
        );
        serde_json::from_str::<Document>(&text).unwrap().rules()
    };
    let id = ReservationId;
    let pass = |room: &str| Caller::Pass { room: RoomId::parse(room).unwrap(), deadline: UnixMs(1_060_000) };
    let restock = |n, delta| Command::Restock { id: id(n), sku: Sku::parse("blue").unwrap(), delta };
    let part = Some(reserve(0, None, &[("blue", 1)]).lines);
    let order = OrderRef::parse("order-2").unwrap();
    vec![
        (0, Command::Configure { version: 1, born: 1, rules: document(4, 5), make: true }),
        (10, Command::Reserve(reserve(1, Some("ann"), &[("red", 1), ("blue", 1), ("red", 1)]))),
        (20, Command::Reserve(reserve(1, Some("ann"), &[("red", 2), ("blue", 1)]))),
        (30, Command::Reserve(reserve(2, Some("ben"), &[("blue", 3)]))),
        (40, Command::Reserve(reserve(3, Some("ann"), &[("red", 2)]))),
        (50, Command::Reserve(Reserve { caller: pass("main"), ..reserve(4, Some("cid"), &[("red", 2)]) })),
        (60, Command::Reserve(Reserve { caller: pass("other"), ..reserve(5, Some("cid"), &[("red", 1)]) })),
        (70, Command::Reserve(Reserve { replaces: Some(id(4)), ..reserve(6, Some("cid"), &[("red", 1)]) })),
        (80, Command::Lookup(reserve(7, None, &[("blue", 2)]))),
        (90, Command::Paying { id: id(1) }),
        (100, Command::Extend { id: id(6), seconds: 12, key: None }),
        (110, Command::Extend { id: id(6), seconds: 13, key: Some(Fingerprint(1)) }),
        (200, Command::Confirm(Confirm { id: id(2), order, lines: part, if_expired: IfExpired::Reject })),
        (300, restock(100, 6)),
        (310, restock(100, 6)),
        (320, restock(101, -4)),
        (400, Command::Reserve(Reserve { hold_seconds: Some(2), ..reserve(8, None, &[("blue", 1)]) })),
        (500, Command::Release { id: id(1) }),
        (600, Command::Consider { rules: document(1, 5) }),
        (700, Command::Configure { version: 2, born: 1, rules: document(6, 5), make: true }),
        (800, Command::Extend { id: id(6), seconds: 13, key: Some(Fingerprint(1)) }),
        (2_500, confirm(8, "order-8", IfExpired::Reject)),
        (2_600, confirm(8, "order-8", IfExpired::Retake)),
        (13_000, Command::Tick),
        (13_100, confirm(6, "order-6", IfExpired::Reject)),
        (13_200, Command::Items),
        (13_300, Command::Events { after: 3, term: 0, limit: 100 }),
        (13_400, Command::Walk),
        (13_500, Command::Rules),
        (86_500_000, Command::Tick),
        (86_500_001, Command::Look { id: id(1) }),
        (86_500_002, Command::Delete { born: 0 }),
        (86_500_003, Command::Configure { version: 3, born: 3, rules: document(1, 1), make: true }),
        (86_500_004, Command::Delete { born: 3 }),
    ]
}

#[test]
fn a_change_of_the_rules_takes_a_new_number() {
    let mut sale = None;
    let mut told = Vec::new();
    for (ms, command) in script() {
        let applied = Sale::apply(&mut sale, UnixMs(1_000_000).plus_ms(ms), &[command]);
        let rows = sale.as_mut().map(|sale| {
            sale.note_changes();
            sale.take_changes().rows.into_iter().map(|(key, row)| (format!("{key:?}"), row)).collect::<Vec<_>>()
        });
        told.extend(postcard::to_stdvec(&(applied.outcomes, rows)).unwrap());
    }
    let hash: String = digest(&SHA256, &told).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (RULES_VERSION, hash.as_str()),
        KNOWN,
        "the stock behaves or is kept differently: raise RULES_VERSION, then set KNOWN to what is found here"
    );
}
