//! A journal replays only under the rules it was written by. This holds the number of the rules to the rules.

use aws_lc_rs::digest::{SHA256, digest};

use crate::{
    id::SaleId,
    room::{
        Command, Document, Grant, Place, RULES_VERSION, Room, Rules, SalePhase, SessionRef, StockGate, StockNews, Tag,
    },
    time::UnixMs,
};

/// What the script below left behind when [`RULES_VERSION`] was last set, as the journal would keep it.
const KNOWN: (u64, &str) = (5, "c06c951122d78e5e");

/// Every kind of command, with times at which sessions end, calls lapse and the head moves.
fn script() -> Vec<(u64, Command)> {
    let document = |rate: u64, cap: u64| {
        let text = format!(
            r#"{{"id": "r", "name": "R", "shop_url": "https://shop.example/", "rate_per_minute": {rate}, "burst": 2,
                "max_active": {cap}, "claim_window_seconds": 3, "session_seconds": 8, "session_max_seconds": 12}}"#
        );
        serde_json::from_str::<Document>(&text).unwrap().rules()
    };
    let holding = |rules| Rules { sale: SaleId::parse("s").ok(), stock_gate: StockGate::Hold, ..rules };
    let of = |sale: &str, phase, seq, available, grants| {
        let sale = SaleId::parse(sale).unwrap();
        Command::SetStock(StockNews { sale, born: 1, term: 0, seq, available, held: 1, phase, grants })
    };
    let news = |seq, available, grants| of("s", SalePhase::Open, seq, available, grants);
    let place = |position| Place { epoch: 1, position };
    let session = |position| SessionRef { epoch: 1, position, tag: Tag(position) };
    let claim = |position| Command::Claim { place: place(position), tag: Tag(position) };
    vec![
        (0, Command::Configure { version: 1, first_epoch: 1, rules: document(60, 5) }),
        (10, Command::Join { count: 20 }),
        (500, claim(1)),
        (600, Command::Exchange { session: session(1), issued: UnixMs(1_000_550) }),
        (1_700, Command::Leave { place: place(9) }),
        (2_900, claim(3)),
        (3_400, Command::Tick),
        (6_100, Command::Renew { session: session(1) }),
        (6_200, Command::Finish { session: session(3) }),
        (7_000, Command::Configure { version: 2, first_epoch: 1, rules: document(600, 7) }),
        (8_050, Command::Tick),
        (9_000, Command::Look { place: place(40) }),
        (13_000, Command::Tick),
        (20_000, Command::Join { count: 3 }),
        (30_000, Command::Tick),
        (41_000, Command::Admit { tag: Tag(99) }),
        (42_000, Command::Join { count: 5 }),
        (43_000, Command::Configure { version: 3, first_epoch: 1, rules: holding(document(600, 90)) }),
        (43_100, Command::Join { count: 9 }),
        (43_200, news(7, 3, Vec::new())),
        (43_300, claim(46)),
        (43_400, claim(47)),
        (43_500, news(8, 2, vec![Grant { seq: 8, session: Some(session(46)) }])),
        (44_600, news(8, 2, Vec::new())),
        (45_000, news(7, 90, Vec::new())),
        (47_000, Command::Tick),
        (47_100, news(9, 4, vec![Grant { seq: 9, session: None }])),
        (47_200, Command::ForgetStock),
        (47_300, of("another", SalePhase::Open, 20, 3, Vec::new())),
        (47_400, of("s", SalePhase::Scheduled, 9, 5, Vec::new())),
        (47_500, of("s", SalePhase::Open, 9, 5, Vec::new())),
        (47_600, of("s", SalePhase::Closed, 9, 9, Vec::new())),
    ]
}

#[test]
fn a_change_of_the_rules_takes_a_new_number() {
    let mut room = None;
    let mut told = Vec::new();
    for (ms, command) in script() {
        let now = UnixMs(1_000_000).plus_ms(ms);
        let applied = Room::apply(&mut room, now, &command);
        told.extend(postcard::to_stdvec(&(applied.outcome, room.as_ref())).unwrap());
    }
    let hash: String = digest(&SHA256, &told).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (RULES_VERSION, hash.as_str()),
        KNOWN,
        "the line behaves or is kept differently: raise RULES_VERSION, then set KNOWN to what is found here"
    );
}
