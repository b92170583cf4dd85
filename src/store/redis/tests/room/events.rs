//! What happens to a room in a test: batches of events, which become commands by what the room is just then.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    id::SaleId,
    room::{
        Command, Grant, Holder, Mode, Outcome, Place, Position, Room, Rules, SalePhase, SessionRef, StockGate,
        StockNews, Tag, View, bounds,
    },
    time::UnixMs,
};

pub const START: u64 = 1_700_000_000_000;

/// Some time passes, then several things happen at once.
#[derive(Clone, Debug)]
pub struct Batch {
    gap: Gap,
    events: Vec<Event>,
}

#[derive(Clone, Copy, Debug)]
enum Gap {
    Ms(u64),
    /// The server's clock was set back.
    Back(u64),
    /// Until the next deadline of anything, or that many milliseconds before it.
    ToDeadline(u64),
    Rare(u64),
}

/// A position, by what it is for the room just then.
#[derive(Clone, Copy, Debug)]
enum Spot {
    /// Around the head.
    Head(i64),
    /// Around the tail, or above it.
    Tail(i64),
    /// In thousandths of the tail.
    Share(u64),
    /// Far above anything issued.
    Wild(u64),
}

#[derive(Clone, Debug)]
enum Event {
    Tick,
    Join(u32),
    Claim(Spot),
    /// Those called last come, so many.
    ClaimSome(u64),
    Admit,
    Look(Spot),
    Leave(Spot),
    /// A place of another epoch.
    Stray(u64, Spot),
    Session(Spot, Act, Lie),
    Stock {
        newer: u64,
        term: u64,
        available: u64,
        held: u64,
        phase: SalePhase,
        grants: Vec<(u64, Option<Spot>)>,
    },
    OtherSale,
    ForgetStock,
    Configure(Box<Change>),
    Reset,
    /// So many epochs above the last but one.
    Delete(u64),
    Anew,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Finish,
    Renew,
    CheckApp,
    CheckBrowser(u64),
    Exchange(u64),
}

/// What is wrong with a session's name.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Nothing,
    Tag,
    Epoch,
}

#[derive(Clone, Debug)]
struct Change {
    mode: Option<Mode>,
    rate: Option<u64>,
    burst: Option<u64>,
    max_active: Option<Option<u64>>,
    window_ms: Option<u64>,
    overcall: Option<u64>,
    session: Option<(u64, bool, Option<u64>)>,
    opens_in: Option<Option<u64>>,
    closes_in: Option<Option<u64>>,
    gate: Option<StockGate>,
    sale: Option<bool>,
    is_old: bool,
}

fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![
        6 => (0..300u64).prop_map(Gap::Ms),
        4 => (300..5000u64).prop_map(Gap::Ms),
        2 => (5000..90_000u64).prop_map(Gap::Ms),
        4 => (0..2u64).prop_map(Gap::ToDeadline),
        1 => (1..5000u64).prop_map(Gap::Back),
        1 => (90_000..4_000_000u64).prop_map(Gap::Rare),
    ]
}

fn spot() -> impl Strategy<Value = Spot> {
    prop_oneof![
        6 => (-30..6i64).prop_map(Spot::Head),
        2 => (-5..4i64).prop_map(Spot::Tail),
        4 => (0..1003u64).prop_map(Spot::Share),
        1 => prop_oneof![Just(10_000_000), Just(10_000_001), Just(u64::MAX), 0..(1u64 << 52)].prop_map(Spot::Wild),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let lie = prop_oneof![8 => Just(Lie::Nothing), 1 => Just(Lie::Tag), 1 => Just(Lie::Epoch)];
    let act = prop_oneof![
        Just(Act::Finish),
        Just(Act::Renew),
        Just(Act::CheckApp),
        (0..2u64).prop_map(Act::CheckBrowser),
        prop_oneof![5 => 0..3000u64, 1 => Just(1 << 53)].prop_map(Act::Exchange),
    ];
    let phase = prop_oneof![1 => Just(SalePhase::Scheduled), 8 => Just(SalePhase::Open), 1 => Just(SalePhase::Closed)];
    let grants = prop::collection::vec((0..3u64, prop::option::weighted(0.7, spot())), 0..4);
    let units = || prop_oneof![9 => 0..60u64, 1 => Just(u64::MAX)];
    let stock = (prop_oneof![4 => 0..3u64, 1 => Just(u64::MAX)], 0..20u64, units(), units(), phase, grants);
    prop_oneof![
        4 => Just(Event::Tick),
        6 => prop_oneof![6 => 0..30u32, 3 => 0..400u32, 1 => 0..100_000u32].prop_map(Event::Join),
        6 => spot().prop_map(Event::Claim),
        4 => (1..30u64).prop_map(Event::ClaimSome),
        2 => Just(Event::Admit),
        3 => spot().prop_map(Event::Look),
        6 => spot().prop_map(Event::Leave),
        1 => (0..3u64, spot()).prop_map(|(epoch, spot)| Event::Stray(epoch, spot)),
        8 => (spot(), act, lie).prop_map(|(spot, act, lie)| Event::Session(spot, act, lie)),
        6 => stock.prop_map(|(newer, term, available, held, phase, grants)| Event::Stock {
            newer, term: term / 19, available, held, phase, grants
        }),
        1 => Just(Event::OtherSale),
        1 => Just(Event::ForgetStock),
        4 => change().prop_map(|change| Event::Configure(Box::new(change))),
        1 => prop_oneof![Just(Event::Reset), (0..3_u64).prop_map(Event::Delete), Just(Event::Anew)],
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let mode =
        prop_oneof![8 => Just(Mode::Queue), 2 => Just(Mode::Open), 2 => Just(Mode::Hold), 1 => Just(Mode::Closed)];
    let gate = prop_oneof![2 => Just(StockGate::Off), 1 => Just(StockGate::Inform), 3 => Just(StockGate::Hold)];
    let rate = prop_oneof![1 => Just(1), 3 => 2..60u64, 6 => 60..60_000u64, 1 => Just(bounds::RATE_MAX)];
    let window = prop_oneof![4 => 1000..40_000u64, 1 => Just(86_400_000)];
    let overcall = prop_oneof![6 => 0..4u64, 1 => Just(100)];
    let session = (1000..120_000u64, any::<bool>(), prop::option::of(1000..200_000u64));
    (
        (
            prop::option::of(mode),
            prop::option::of(rate),
            prop::option::of(prop_oneof![8 => 1..40u64, 1 => Just(bounds::BURST_MAX)]),
        ),
        (
            prop::option::weighted(0.3, prop::option::of(1..200u64)),
            prop::option::weighted(0.3, window),
            prop::option::weighted(0.3, overcall),
            prop::option::weighted(0.3, session),
        ),
        prop::option::weighted(0.1, prop::option::of(1..20_000u64)),
        prop::option::weighted(0.1, prop::option::of(1..60_000u64)),
        prop::option::weighted(0.4, gate),
        (prop::option::weighted(0.1, any::<bool>()), prop::bool::weighted(0.1)),
    )
        .prop_map(
            |(
                (mode, rate, burst),
                (max_active, window_ms, overcall, session),
                opens_in,
                closes_in,
                gate,
                (sale, is_old),
            )| {
                Change {
                    mode,
                    rate,
                    burst,
                    max_active,
                    window_ms,
                    overcall,
                    session,
                    opens_in,
                    closes_in,
                    gate,
                    sale,
                    is_old,
                }
            },
        )
}

pub fn batch() -> impl Strategy<Value = Batch> {
    let size = prop_oneof![3 => 1..2usize, 3 => 2..6usize, 1 => 6..40usize];
    let events = size.prop_flat_map(|size| prop::collection::vec(event(), size));
    (gap(), events).prop_map(|(gap, events)| Batch { gap, events })
}

/// An ordinary room with a sale behind it.
pub fn ordinary_rules() -> Rules {
    Rules {
        mode: Mode::Queue,
        rate_per_minute: 600,
        burst: 10,
        max_active: None,
        claim_window_ms: 10_000,
        overcall: 1,
        session_ms: 60_000,
        session_renewal: true,
        session_max_ms: None,
        opens_at: None,
        closes_at: None,
        sale: SaleId::parse("drop").ok(),
        stock_gate: StockGate::Off,
    }
}

/// The room itself, and what a test remembers to say something sensible about it.
pub struct World {
    pub room: Option<Room>,
    pub now: u64,
    /// Whether the last batch changed anything.
    pub changed: bool,
    version: u64,
    epoch: u64,
    rules: Rules,
    tags: BTreeMap<(u64, Position), Tag>,
    stock_seq: u64,
    drawn: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            room: None,
            now: START,
            changed: false,
            version: 0,
            epoch: 1,
            rules: ordinary_rules(),
            tags: BTreeMap::new(),
            stock_seq: 0,
            drawn: 0,
        }
    }

    /// The room's time.
    pub fn time(&mut self) -> UnixMs {
        self.changed = false;
        let now = UnixMs(self.now);
        self.room.as_ref().map_or(now, |room| room.view(now).now)
    }

    pub fn send(&mut self, now: UnixMs, command: &Command) -> Outcome {
        let applied = Room::apply(&mut self.room, now, command);
        self.changed |= applied.changed;
        if let Outcome::Live(session) = &applied.outcome {
            self.tags.insert((session.name.epoch, session.name.position), session.name.tag);
        }
        applied.outcome
    }

    /// What the batch comes to: the time, the commands, the outcomes.
    pub fn apply(&mut self, batch: &Batch) -> (UnixMs, Vec<Command>, Vec<Outcome>) {
        match batch.gap {
            Gap::Ms(ms) | Gap::Rare(ms) => self.now += ms,
            Gap::Back(ms) => self.now -= ms,
            Gap::ToDeadline(before) => self.now = self.next_deadline().map_or(self.now, |at| at - before).max(self.now),
        }
        let now = self.time();
        let (mut commands, mut outcomes) = (Vec::new(), Vec::new());
        if self.version == 0 {
            self.version = 1;
            let rules = self.rules.clone();
            commands.push(Command::Configure { version: 1, first_epoch: 1, rules });
            outcomes.push(self.send(now, &commands[0]));
        }
        for event in &batch.events {
            for command in self.commands(event) {
                outcomes.push(self.send(now, &command));
                commands.push(command);
            }
        }
        (now, commands, outcomes)
    }

    fn view(&self) -> Option<View> {
        self.room.as_ref().map(|room| room.view(UnixMs(self.now)))
    }

    /// The first deadline after the room's last change.
    fn next_deadline(&self) -> Option<u64> {
        let state = serde_json::to_value(self.room.as_ref()?).unwrap();
        let firsts =
            [&state["calls"]["by_deadline"], &state["sessions"]["by_deadline"], &state["sessions"]["undecided"]];
        let firsts = firsts.into_iter().filter_map(|order| order[0][0].as_u64());
        let times = [&self.rules.opens_at, &self.rules.closes_at].into_iter().flatten().map(|at| at.0);
        let stale = state["stock"]["at"].as_u64().map(|at| at + bounds::STOCK_STALE_MS);
        firsts.chain(times).chain(stale).filter(|at| *at > self.now).min()
    }

    fn position(&self, spot: Spot) -> Position {
        let (head, tail) = self.view().map_or((0, 0), |view| (view.head, view.tail));
        match spot {
            Spot::Head(off) => head.saturating_add_signed(off),
            Spot::Tail(off) => tail.saturating_add_signed(off),
            Spot::Share(share) => (u128::from(tail) * u128::from(share)).div_ceil(1000) as u64,
            Spot::Wild(above) => tail.saturating_add(above),
        }
    }

    fn place(&self, spot: Spot) -> Place {
        Place { epoch: self.view().map_or(self.epoch, |view| view.epoch), position: self.position(spot) }
    }

    fn name(&self, spot: Spot) -> SessionRef {
        let place = self.place(spot);
        // Whoever is nearest below, so that most names are of somebody.
        let known = self.tags.range(..=(place.epoch, place.position)).next_back();
        let ((epoch, position), tag) =
            known.map_or(((place.epoch, place.position), Tag(1)), |(place, tag)| (*place, *tag));
        SessionRef { epoch, position, tag }
    }

    fn draw(&mut self) -> Tag {
        self.drawn += 1;
        Tag(self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn commands(&mut self, event: &Event) -> Vec<Command> {
        let one = match event {
            Event::Tick => Command::Tick,
            Event::Join(count) => Command::Join { count: *count },
            Event::Claim(spot) => Command::Claim { place: self.place(*spot), tag: self.draw() },
            Event::ClaimSome(count) => {
                let place = self.place(Spot::Head(0));
                let first = place.position.saturating_sub(*count) + 1;
                let claim = |position| Command::Claim { place: Place { position, ..place }, tag: self.draw() };
                return (first..=place.position).map(claim).collect();
            }
            Event::Admit => Command::Admit { tag: self.draw() },
            Event::Look(spot) => Command::Look { place: self.place(*spot) },
            Event::Leave(spot) => Command::Leave { place: self.place(*spot) },
            Event::Stray(epoch, spot) => {
                let place = Place { epoch: *epoch, ..self.place(*spot) };
                return vec![Command::Look { place }, Command::Claim { place, tag: self.draw() }];
            }
            Event::Session(spot, act, lie) => self.act(*spot, *act, *lie),
            Event::Stock { newer, term, available, held, phase, grants } => {
                self.stock_seq =
                    if *newer == u64::MAX { self.stock_seq.saturating_sub(1) } else { self.stock_seq + newer };
                let seq = self.stock_seq;
                let grant = |(back, spot): &(u64, Option<Spot>)| Grant {
                    seq: seq.saturating_sub(*back),
                    session: spot.map(|spot| self.name(spot)),
                };
                let (grants, sale) = (grants.iter().map(grant).collect(), SaleId::parse("drop").unwrap());
                let (available, held, phase) = (*available, *held, *phase);
                Command::SetStock(StockNews { sale, born: 7, term: *term, seq, available, held, phase, grants })
            }
            Event::OtherSale => {
                let (sale, phase) = (SaleId::parse("other").unwrap(), SalePhase::Open);
                let (born, term, seq, available, held) = (9, 0, 1, 5, 0);
                Command::SetStock(StockNews { sale, born, term, seq, available, held, phase, grants: Vec::new() })
            }
            Event::ForgetStock => Command::ForgetStock,
            Event::Configure(change) => self.configure(change),
            Event::Reset => Command::Reset,
            Event::Delete(epochs) => {
                let epoch = self.view().map_or(0, |view| view.epoch);
                Command::Delete { last_epoch: (epoch + epochs).saturating_sub(1) }
            }
            Event::Anew => {
                self.version += 1;
                self.epoch = self.view().map_or(self.epoch, |view| view.epoch) + 1;
                Command::Configure { version: self.version, first_epoch: self.epoch, rules: self.rules.clone() }
            }
        };
        vec![one]
    }

    fn act(&self, spot: Spot, act: Act, lie: Lie) -> Command {
        let mut session = self.name(spot);
        match lie {
            Lie::Nothing => {}
            Lie::Tag => session.tag = Tag(session.tag.0 ^ 1),
            Lie::Epoch => session.epoch += 1,
        }
        match act {
            Act::Finish => Command::Finish { session },
            Act::Renew => Command::Renew { session },
            Act::CheckApp => Command::Check { session, holder: Holder::App },
            Act::CheckBrowser(at) => {
                Command::Check { session, holder: Holder::Browser { exchanged: UnixMs(at * self.now) } }
            }
            Act::Exchange(ago) => Command::Exchange { session, issued: UnixMs(self.now.wrapping_sub(ago) % (1 << 60)) },
        }
    }

    fn configure(&mut self, change: &Change) -> Command {
        self.version += u64::from(!change.is_old);
        let was = self.rules.clone();
        let at = |ms: Option<u64>| ms.map(|ms| UnixMs(self.now + ms));
        let (session_ms, session_renewal, session_max_ms) =
            change.session.unwrap_or((was.session_ms, was.session_renewal, was.session_max_ms));
        let sale = |is_own: bool| SaleId::parse(if is_own { "drop" } else { "other" }).ok();
        let rules = Rules {
            mode: change.mode.unwrap_or(was.mode),
            rate_per_minute: change.rate.unwrap_or(was.rate_per_minute),
            burst: change.burst.unwrap_or(was.burst),
            max_active: change.max_active.unwrap_or(was.max_active),
            claim_window_ms: change.window_ms.unwrap_or(was.claim_window_ms),
            overcall: change.overcall.unwrap_or(was.overcall),
            session_ms,
            session_renewal,
            session_max_ms,
            opens_at: change.opens_in.map_or(was.opens_at, at),
            closes_at: change.closes_in.map_or(was.closes_at, at),
            sale: change.sale.map_or(was.sale, sale),
            stock_gate: change.gate.unwrap_or(was.stock_gate),
        };
        self.rules = rules.clone();
        Command::Configure { version: self.version, first_epoch: self.epoch, rules }
    }
}
