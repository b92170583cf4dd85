//! Settings, numbers and times from the very ends: nothing overflows, nothing is allocated for a number alone, and
//! every integer stays below 2^53, so that another store's script computes the same.

use dropgate::{
    id::SaleId,
    room::{
        Command, Grant, Holder, Mode, Outcome, Place, Refusal, Room, Rules, SalePhase, SessionRef, StockGate,
        StockNews, Tag, bounds, estimate,
    },
    time::UnixMs,
};
use proptest::prelude::*;

/// Anything a u64 can be, its ends and the neighbourhoods of powers of two more often.
fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..100u64,
        (0..64u32, 0..3u64).prop_map(|(power, off)| (1u64 << power).wrapping_add(off).wrapping_sub(1)),
        Just(u64::MAX),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let mode =
        prop_oneof![3 => Just(Mode::Queue), 1 => Just(Mode::Open), 1 => Just(Mode::Hold), 1 => Just(Mode::Closed)];
    let optional = || prop::option::weighted(0.3, any_number());
    let gate = prop_oneof![Just(StockGate::Off), Just(StockGate::Inform), Just(StockGate::Hold)];
    (
        (mode, any_number(), any_number(), optional(), any_number()),
        (any_number(), any_number(), any::<bool>(), optional(), optional(), optional(), gate),
    )
        .prop_map(
            |((mode, rate, burst, cap, window), (overcall, session, renewal, total, opens, closes, gate))| Rules {
                mode,
                rate_per_minute: rate,
                burst,
                max_active: cap,
                claim_window_ms: window,
                overcall,
                session_ms: session,
                session_renewal: renewal,
                session_max_ms: total,
                opens_at: opens.map(UnixMs),
                closes_at: closes.map(UnixMs),
                sale: SaleId::parse("drop").ok(),
                stock_gate: gate,
            },
        )
}

fn command() -> impl Strategy<Value = Command> {
    let epoch = || prop_oneof![4 => Just(1u64), 1 => any_number()];
    let place = || (epoch(), any_number()).prop_map(|(epoch, position)| Place { epoch, position });
    let name = || {
        (epoch(), any_number(), 0..2u64).prop_map(|(epoch, position, tag)| SessionRef {
            epoch,
            position,
            tag: Tag(tag),
        })
    };
    let holder = prop_oneof![
        Just(Holder::App),
        any_number().prop_map(|exchanged| Holder::Browser { exchanged: UnixMs(exchanged) })
    ];
    let grant = (any_number(), prop::option::of(name())).prop_map(|(seq, session)| Grant { seq, session });
    let sale = prop_oneof![9 => Just("drop"), 1 => Just("former")].prop_map(|id| SaleId::parse(id).unwrap());
    let phase = prop_oneof![1 => Just(SalePhase::Scheduled), 4 => Just(SalePhase::Open), 1 => Just(SalePhase::Closed)];
    let age = (0..3u64, any_number(), any_number());
    let news = (sale, age, any_number(), any_number(), phase, prop::collection::vec(grant, 0..4)).prop_map(
        |(sale, (born, term, seq), available, held, phase, grants)| StockNews {
            sale,
            born,
            term,
            seq,
            available,
            held,
            phase,
            grants,
        },
    );
    prop_oneof![
        2 => (any_number(), epoch(), rules())
            .prop_map(|(version, first_epoch, rules)| Command::Configure { version, first_epoch, rules }),
        4 => any::<u32>().prop_map(|count| Command::Join { count }),
        6 => place().prop_map(|place| Command::Claim { place, tag: Tag(1) }),
        2 => Just(Command::Admit { tag: Tag(1) }),
        2 => place().prop_map(|place| Command::Look { place }),
        3 => place().prop_map(|place| Command::Leave { place }),
        2 => (name(), any_number()).prop_map(|(session, issued)| Command::Exchange { session, issued: UnixMs(issued) }),
        1 => (name(), holder).prop_map(|(session, holder)| Command::Check { session, holder }),
        1 => name().prop_map(|session| Command::Renew { session }),
        1 => name().prop_map(|session| Command::Finish { session }),
        3 => news.prop_map(Command::SetStock),
        1 => Just(Command::ForgetStock),
        2 => Just(Command::Tick),
        1 => Just(Command::Reset),
        1 => Just(Command::Delete { last_epoch: u64::MAX }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_ends_of_every_range_are_survived(
        first in rules(),
        steps in prop::collection::vec((any_number(), command()), 1..60),
        ahead in any_number(),
    ) {
        const MAX: u64 = 1 << 53;
        let mut room = None;
        Room::apply(&mut room, UnixMs(0), &Command::Configure { version: 0, first_epoch: 1, rules: first });
        for (now, command) in &steps {
            let kept = room.clone();
            let applied = Room::apply(&mut room, UnixMs(*now), command);
            prop_assert!(applied.changed || room == kept, "{:?} changed what it called unchanged", command);
            if let Outcome::Live(session) = &applied.outcome {
                prop_assert!(session.deadline.0 < MAX && session.start <= session.deadline);
            }
            let Some(room) = &room else { continue };
            let view = room.view(UnixMs(*now));
            prop_assert!(view.head <= view.tail && view.tail < MAX && view.now.0 < MAX);
            prop_assert_eq!(view.outstanding() + view.entered + view.lapsed, view.head);
            prop_assert!(view.pace.low_milli <= view.pace.likely_milli && view.pace.likely_milli <= view.pace.high_milli);
            if let Some(wait) = estimate::wait(&view, ahead) {
                prop_assert!(wait.low <= wait.likely && wait.likely <= wait.high);
            }
            let _ = estimate::chance(&view, ahead);
            prop_assert!(view.undecided <= view.inside);
            prop_assert!(view.stock.is_none_or(|stock| stock.available < MAX && stock.held < MAX && stock.at.0 < MAX));
        }
        let bytes = postcard::to_stdvec(&room).unwrap();
        // Sixty commands cannot have left more than sixty chunks, sessions and calls behind.
        prop_assert!(bytes.len() < 60 * 1024, "{} bytes", bytes.len());
        prop_assert_eq!(postcard::from_bytes::<Option<Room>>(&bytes).unwrap(), room);
    }

    /// A signed number above the tail was issued and forgotten, so nobody else gets it; one that no loss explains is
    /// not ours.
    #[test]
    fn a_forgotten_number_raises_the_tail(joined in 0..1000u32, above in any_number(), rules in rules()) {
        let rules = Rules { mode: Mode::Hold, opens_at: None, closes_at: None, ..rules };
        let mut room = None;
        let mut send = |command: &Command| Room::apply(&mut room, UnixMs(1000), command).outcome;
        send(&Command::Configure { version: 1, first_epoch: 1, rules });
        send(&Command::Join { count: joined });
        let position = u64::from(joined).saturating_add(above).max(1);
        let place = Place { epoch: 1, position };
        let claimed = send(&Command::Claim { place, tag: Tag(1) });
        let tail = if above <= bounds::TAIL_RAISE_MAX {
            prop_assert_eq!(claimed, Outcome::Waiting { ahead: position - 1 });
            position.max(u64::from(joined))
        } else {
            prop_assert_eq!(claimed, Outcome::Refused(Refusal::NotIssued));
            u64::from(joined)
        };
        prop_assert_eq!(send(&Command::Join { count: 1 }), Outcome::Joined { epoch: 1, first: tail + 1, count: 1 });
    }
}
