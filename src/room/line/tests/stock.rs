//! A line that knows the stock.

use super::{Bench, START, rules};
use crate::{
    id::SaleId,
    room::{
        HeldBack,
        command::{Command, Outcome, Refusal, SessionRef, Tag},
        estimate::{self, Chance},
        settings::{Rules, StockGate},
        stock::{Grant, Level, SalePhase, StockNews},
    },
    time::UnixMs,
};

fn holding() -> Rules {
    Rules { stock_gate: StockGate::Hold, sale: SaleId::parse("drop").ok(), ..rules(6000, 100) }
}

fn news(seq: u64, available: u64, held: u64) -> StockNews {
    let sale = SaleId::parse("drop").unwrap();
    StockNews { sale, born: 1, term: 0, seq, available, held, phase: SalePhase::Open, grants: Vec::new() }
}

impl Bench {
    fn hear(&mut self, seq: u64, available: u64, held: u64) {
        self.send(Command::SetStock(news(seq, available, held)));
    }

    fn hear_of(&mut self, seq: u64, available: u64, held: u64, session: Option<SessionRef>) {
        self.send(Command::SetStock(StockNews { grants: vec![Grant { seq, session }], ..news(seq, available, held) }));
    }
}

#[test]
fn a_line_that_holds_calls_one_visitor_a_unit() {
    let mut bench = Bench::new(holding());
    bench.send(Command::Join { count: 10 });
    assert_eq!(bench.view().head, 0, "nothing is known of the stock");
    bench.hear(1, 3, 0);
    assert_eq!((bench.view().head, bench.view().held_back), (3, Some(HeldBack::Stock)));
    let names = [1, 2, 3].map(|position| bench.enter(position).name);
    bench.after(500).hear(1, 3, 0);
    assert_eq!(bench.view().head, 3, "those inside have not reserved yet");
    for (seq, name) in (2..).zip(names) {
        bench.hear_of(seq, 4 - seq, seq - 1, Some(name));
    }
    assert_eq!((bench.view().head, bench.view().undecided), (3, 0));
    bench.hear(5, 1, 2);
    assert_eq!(bench.view().head, 4, "one returned unit calls one");
    let session = bench.enter(4).name;
    bench.hear(6, 1, 2);
    bench.send(Command::Finish { session });
    assert_eq!(bench.view().head, 5, "who goes without reserving leaves its unit to the next");
}

#[test]
fn a_unit_is_not_kept_for_ever_for_who_only_looks() {
    let mut bench = Bench::new(Rules { session_ms: 5_000, ..holding() });
    bench.send(Command::Join { count: 2 });
    bench.hear(1, 1, 0);
    let session = bench.enter(1).name;
    for _ in 0..4 {
        bench.after(1_000).hear(1, 1, 0);
        bench.send(Command::Renew { session });
    }
    assert_eq!((bench.view().head, bench.view().undecided), (1, 1));
    bench.after(1_000).hear(1, 1, 0);
    assert_eq!((bench.view().head, bench.view().undecided, bench.view().inside), (2, 0, 1));
}

#[test]
fn a_buyer_of_another_name_is_taken_for_whoever_is_inside_longest() {
    let mut bench = Bench::new(holding());
    bench.send(Command::Join { count: 9 });
    bench.hear(1, 2, 0);
    bench.enter(1);
    bench.enter(2);
    bench.hear_of(2, 1, 1, None);
    assert_eq!((bench.view().head, bench.view().undecided), (2, 1));
    let stranger = SessionRef { epoch: 1, position: 2, tag: Tag(0) };
    bench.hear_of(3, 1, 1, Some(stranger));
    assert_eq!(bench.view().undecided, 1, "a session of another room is nobody here");
    bench.hear_of(3, 1, 1, None);
    assert_eq!(bench.view().undecided, 1, "what was heard of before counts once");
}

#[test]
fn news_two_seconds_old_call_nobody() {
    let mut bench = Bench::new(Rules { overcall: 100, ..rules(60, 1) });
    bench.send(Command::Configure {
        version: 2,
        first_epoch: 1,
        rules: Rules { rate_per_minute: 60, burst: 1, ..holding() },
    });
    bench.hear(1, 100, 0);
    bench.send(Command::Join { count: 9 });
    bench.tick_for(1_999, 1);
    assert_eq!((bench.view().head, bench.view().held_back), (2, None));
    bench.after(1).send(Command::Tick);
    assert_eq!((bench.view().head, bench.view().held_back), (2, Some(HeldBack::Stock)));
    bench.after(5_000).hear(1, 100, 0);
    assert_eq!(bench.view().head, 4, "the same again is as good as news");
}

#[test]
fn the_same_news_are_written_down_once_a_second_at_most() {
    let mut bench = Bench::new(holding());
    let changes = |bench: &mut Bench, news: StockNews| {
        crate::room::Room::apply(&mut bench.room, UnixMs(bench.now), &Command::SetStock(news)).changed
    };
    assert!(changes(&mut bench, news(5, 3, 0)));
    let written = (1..=30).filter(|_| changes(bench.after(100), news(5, 3, 0))).count();
    assert_eq!(written, 3);
    assert!(!changes(&mut bench, news(4, 9, 0)), "older");
    assert!(changes(&mut bench, StockNews { term: 1, ..news(1, 2, 0) }), "a later term is newer whatever its numbers");
    let informed = Rules { stock_gate: StockGate::Inform, ..holding() };
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: informed });
    assert!(!changes(bench.after(60_000), StockNews { term: 1, ..news(1, 2, 0) }), "nobody waits for it there");
}

#[test]
fn a_line_that_only_informs_or_is_open_is_not_held_up() {
    for rules in
        [Rules { stock_gate: StockGate::Inform, ..holding() }, Rules { mode: crate::room::Mode::Open, ..holding() }]
    {
        let mut bench = Bench::new(rules);
        bench.hear(1, 0, 0);
        bench.send(Command::Join { count: 50 });
        assert_eq!((bench.view().head, bench.view().held_back), (50, None));
        assert_eq!(bench.view().stock.unwrap().level(), Level::SoldOut);
    }
}

#[test]
fn an_idle_room_without_units_admits_nobody() {
    let mut bench = Bench::new(holding());
    bench.hear(1, 1, 0);
    assert!(matches!(bench.send(Command::Admit { tag: Tag(1) }), Outcome::Live(_)));
    assert_eq!(
        bench.send(Command::Admit { tag: Tag(2) }),
        Outcome::Refused(Refusal::LineAhead),
        "the unit is meant for the first"
    );
    assert_eq!((bench.view().tail, bench.view().undecided), (1, 1));
}

#[test]
fn another_sale_is_another_stock() {
    let mut bench = Bench::new(holding());
    bench.hear(9, 5, 0);
    bench.send(Command::Reset);
    assert_eq!(bench.view().stock.unwrap().available, 5, "a reset of the line leaves the sale alone");
    let other = Rules { sale: SaleId::parse("other").ok(), ..holding() };
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules: other });
    assert_eq!(bench.view().stock, None);
    bench.send(Command::Configure { version: 3, first_epoch: 1, rules: holding() });
    bench.hear(9, 5, 0);
    bench.send(Command::SetStock(StockNews { born: 2, ..news(1, 2, 0) }));
    assert_eq!(bench.view().stock.unwrap().available, 2, "made anew under its id");
    bench.hear(10, 5, 0);
    assert_eq!(bench.view().stock.unwrap().available, 2);
    bench.send(Command::ForgetStock);
    assert_eq!(bench.view().stock, None);
}

#[test]
fn a_late_word_of_the_former_sale_stops_nobody() {
    let mut bench = Bench::new(holding());
    bench.send(Command::Join { count: 9 });
    let former = StockNews { born: 7, ..news(9, 0, 3) };
    bench.send(Command::SetStock(former.clone()));
    let other = SaleId::parse("other").unwrap();
    let rules = Rules { sale: Some(other.clone()), ..holding() };
    bench.send(Command::Configure { version: 2, first_epoch: 1, rules });
    bench.send(Command::SetStock(former.clone()));
    assert_eq!(bench.view().stock, None, "it was under way while the room got another sale");
    let own = StockNews { sale: other, ..news(1, 4, 0) };
    bench.send(Command::SetStock(own));
    assert_eq!(
        (bench.view().head, bench.view().stock.unwrap().available),
        (4, 4),
        "though this one was born before it"
    );
    bench.send(Command::SetStock(former));
    assert_eq!(bench.view().stock.unwrap().available, 4);
}

#[test]
fn nobody_is_called_before_the_sale_opens_or_after_it_closes() {
    let mut bench = Bench::new(holding());
    bench.send(Command::Join { count: 9 });
    let mut hear = |phase, available, held| {
        bench.send(Command::SetStock(StockNews { phase, ..news(1, available, held) }));
        let view = bench.view();
        (view.head, view.held_back, view.stock.unwrap().level(), estimate::chance(&view, 0))
    };
    let (stock, likely, unlikely) = (Some(HeldBack::Stock), Some(Chance::Likely), Some(Chance::Unlikely));
    assert_eq!(hear(SalePhase::Scheduled, 5, 0), (0, stock, Level::InStock, likely));
    assert_eq!(hear(SalePhase::Open, 2, 3), (2, stock, Level::InStock, unlikely));
    assert_eq!(hear(SalePhase::Closed, 5, 3), (2, stock, Level::SoldOut, unlikely));
    assert_eq!(hear(SalePhase::Closed, 0, 90), (2, stock, Level::SoldOut, unlikely), "what comes back nobody can have");
    assert_eq!(hear(SalePhase::Open, 0, 3), (2, stock, Level::AllHeld, unlikely));
}

#[test]
fn places_given_back_at_the_front_do_not_wait_for_units() {
    let mut bench = Bench::new(holding());
    bench.send(Command::Join { count: 9 });
    bench.hear(1, 0, 0);
    for position in [3, 2, 1] {
        bench.send(Command::Leave { place: crate::room::Place { epoch: 1, position } });
    }
    let view = bench.view();
    assert_eq!((view.waiting(), view.lapsed, view.outstanding()), (6, 3, 0));
}

#[test]
fn the_chance_counts_everyone_before() {
    let mut bench = Bench::new(Rules { rate_per_minute: 60, burst: 2, ..holding() });
    assert_eq!(estimate::chance(&bench.view(), 0), None, "nothing is known");
    bench.hear(1, 10, 9);
    bench.send(Command::Join { count: 30 });
    bench.enter(1);
    let view = bench.view();
    assert_eq!((view.outstanding(), view.undecided, view.now), (1, 1, UnixMs(START)));
    assert_eq!(estimate::chance(&view, 9), Some(Chance::Likely), "11 before, 10 there and 2 that may come back");
    assert_eq!(estimate::chance(&view, 10), Some(Chance::Unlikely));
    bench.hear(2, 0, 0);
    assert_eq!(estimate::chance(&bench.view(), 0), Some(Chance::Unlikely));
    assert_eq!(estimate::wait(&bench.view(), 0), None, "nobody can say how long");
}
