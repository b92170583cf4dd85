//! The bounds of the line, over random commands, settings and gaps of time.

use dropgate::room::{Mode, Rules, StockGate, Tag};
use proptest::prelude::*;

use crate::line_world::{SessionAct, World, ordinary_rules};

/// One thing that happens in a world. Positions are shares of the tail, in thousandths, and may lie above it.
#[derive(Clone, Debug)]
enum Event {
    Pass {
        ms: u64,
    },
    Back {
        ms: u64,
    },
    Tick,
    TickEvery {
        ms: u64,
        times: u64,
    },
    Join {
        count: u32,
    },
    Claim {
        share: u64,
    },
    ClaimAll,
    Look {
        share: u64,
    },
    Leave {
        share: u64,
    },
    Admit,
    Session {
        share: u64,
        act: SessionAct,
    },
    /// Newer by so many events, or the last again; with grants to the sessions at these shares, or to nobody known.
    Stock {
        newer: u64,
        available: u64,
        held: u64,
        grants: Vec<Option<u64>>,
    },
    OldStock,
    ForgetStock,
    Configure(Change),
    Reset,
    Restore,
}

/// A change of one or more settings; what is none stays.
#[derive(Clone, Debug)]
struct Change {
    mode: Option<Mode>,
    rate: Option<u64>,
    burst: Option<u64>,
    max_active: Option<Option<u64>>,
    window_ms: Option<u64>,
    overcall: Option<u64>,
    /// From now.
    opens_in: Option<Option<u64>>,
    closes_in: Option<Option<u64>>,
    gate: Option<StockGate>,
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![6 => Just(Mode::Queue), 1 => Just(Mode::Open), 2 => Just(Mode::Hold), 1 => Just(Mode::Closed)]
}

fn gate() -> impl Strategy<Value = StockGate> {
    prop_oneof![1 => Just(StockGate::Off), 1 => Just(StockGate::Inform), 3 => Just(StockGate::Hold)]
}

fn rate() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), 2..60u64, 60..6000u64]
}

fn change() -> impl Strategy<Value = Change> {
    (
        prop::option::of(mode()),
        prop::option::of(rate()),
        prop::option::of(1..40u64),
        prop::option::weighted(0.3, prop::option::of(1..200u64)),
        prop::option::weighted(0.3, 1000..40_000u64),
        prop::option::weighted(0.3, 0..4u64),
        prop::option::weighted(0.1, prop::option::of(1..20_000u64)),
        prop::option::weighted(0.1, prop::option::of(1..60_000u64)),
        prop::option::weighted(0.3, gate()),
    )
        .prop_map(|(mode, rate, burst, max_active, window_ms, overcall, opens_in, closes_in, gate)| Change {
            mode,
            rate,
            burst,
            max_active,
            window_ms,
            overcall,
            opens_in,
            closes_in,
            gate,
        })
}

fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![5 => 0..300u64, 5 => 300..5000u64, 2 => 5000..90_000u64, 1 => Just(3_600_000u64)]
}

fn act() -> impl Strategy<Value = SessionAct> {
    prop_oneof![Just(SessionAct::Finish), Just(SessionAct::Renew), Just(SessionAct::Check), Just(SessionAct::Exchange)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => gap().prop_map(|ms| Event::Pass { ms }),
        1 => (1..5000u64).prop_map(|ms| Event::Back { ms }),
        3 => Just(Event::Tick),
        4 => (50..1000u64, 1..40u64).prop_map(|(ms, times)| Event::TickEvery { ms, times }),
        6 => (0..300u32).prop_map(|count| Event::Join { count }),
        5 => (0..1010u64).prop_map(|share| Event::Claim { share }),
        3 => Just(Event::ClaimAll),
        3 => (0..1010u64).prop_map(|share| Event::Look { share }),
        3 => (0..1000u64).prop_map(|share| Event::Leave { share }),
        2 => Just(Event::Admit),
        4 => (0..1000u64, act()).prop_map(|(share, act)| Event::Session { share, act }),
        6 => (0..3u64, 0..60u64, 0..20u64, prop::collection::vec(prop::option::of(0..1000u64), 0..5))
            .prop_map(|(newer, available, held, grants)| Event::Stock { newer, available, held, grants }),
        1 => Just(Event::OldStock),
        1 => Just(Event::ForgetStock),
        3 => change().prop_map(Event::Configure),
        1 => Just(Event::Reset),
        1 => Just(Event::Restore),
    ]
}

fn happen(world: &mut World, event: &Event) {
    let at = |world: &World, share: u64| (world.view().tail * share).div_ceil(1000).max(1);
    match event {
        Event::Pass { ms } => world.now += ms,
        Event::Back { ms } => world.now -= ms,
        Event::Tick => world.tick(),
        Event::TickEvery { ms, times } => {
            for _ in 0..*times {
                world.now += ms;
                world.tick();
            }
        }
        Event::Join { count } => world.join(*count),
        Event::Claim { share } => {
            world.claim(at(world, *share), Tag(*share));
        }
        Event::ClaimAll => world.claim_all(),
        Event::Look { share } => world.look(at(world, *share)),
        Event::Leave { share } => world.leave(at(world, *share)),
        Event::Admit => world.admit(Tag(7)),
        Event::Session { share, act } => world.with_session(at(world, *share), *act),
        Event::Stock { newer, available, held, grants } => {
            let grants = grants.iter().map(|share| share.map(|share| at(world, share))).collect();
            world.tell_stock(*newer, *available, *held, grants);
        }
        Event::OldStock => world.tell_old_stock(),
        Event::ForgetStock => world.forget_stock(),
        Event::Configure(change) => world.configure(changed(world, change)),
        Event::Reset => world.reset(),
        Event::Restore => world.restore(),
    }
}

fn changed(world: &World, change: &Change) -> Rules {
    let was = world.rules.clone();
    let at = |ms: Option<u64>| ms.map(|ms| dropgate::time::UnixMs(world.now + ms));
    Rules {
        mode: change.mode.unwrap_or(was.mode),
        rate_per_minute: change.rate.unwrap_or(was.rate_per_minute),
        burst: change.burst.unwrap_or(was.burst),
        max_active: change.max_active.unwrap_or(was.max_active),
        claim_window_ms: change.window_ms.unwrap_or(was.claim_window_ms),
        overcall: change.overcall.unwrap_or(was.overcall),
        opens_at: change.opens_in.map_or(was.opens_at, at),
        closes_at: change.closes_in.map_or(was.closes_at, at),
        stock_gate: change.gate.unwrap_or(was.stock_gate),
        ..was
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// The witness in the world checks every bound after every command.
    #[test]
    fn the_bounds_hold_whatever_happens(first in change(), events in prop::collection::vec(event(), 1..80)) {
        let mut world = World::new(ordinary_rules());
        world.configure(changed(&world, &first));
        for event in &events {
            happen(&mut world, event);
        }
        world.restore();
    }
}
