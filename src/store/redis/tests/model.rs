//! A model of what happens when a server loses acknowledged writes.
//!
//! The gate and the sender are here once more, in a few hundred lines without Redis, clock or network, over a line and
//! a stock that keep no more than a loss can hurt. Random schedules let everything befall them that may: replicas that
//! lag, promotions, primaries that go on answering, flushes, lost and late answers, instances that die and join. What
//! was acknowledged is kept in books outside, and held against the store in the end.
//!
//! The model is only worth as much as it notices: so the protocol is broken in every way it might be, one by one, and
//! each breach has to be found.

mod books;
mod gate;
mod line;
mod schedule;
mod sender;
mod servers;
mod stock;
mod world;

use self::{
    books::Books,
    gate::Aggregate,
    line::{LOST_MOST, Line, Visitors},
    schedule::{Schedule, WEATHERS, Weather},
    stock::{Buyers, Stock},
    world::{Passage, Step},
};

/// A way to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// A server's change is not noticed.
    LooksAtNoStamp,
    /// A server of an older term is spoken to as if it were the right one.
    LooksAtNoTerm,
    /// Two terms of the same number are the same.
    TermsHaveNoNames,
    /// Who was not there at a recovery goes on without telling.
    LetsInWhoIsBehind,
    /// A batch sent again is a new one.
    CountsNoBatches,
    /// The numbers of who was quiet for long are forgotten with his next batch.
    PrunesItself,
    /// A recovery ends with the first who is done.
    EndsBeforeAllAreDone,
    /// A recovery ends before anybody said who is to be heard.
    AsksNobody,
    /// Only those are waited for whom the server knows.
    ForgetsPeers,
    /// Who leaves is not waited for.
    LeavesUnheard,
    /// An instance serves before the others know it.
    ServesUnlisted,
    /// How long ago somebody was seen is reckoned by clocks that differ.
    CountsByTheServersClock,
    /// A replay goes on in another recovery than it began in.
    TellsAnyRecovery,
    /// An answer of an older term takes the sender back.
    SeesBackwards,
    /// A second loss during a recovery hides how much the first one lost.
    MovesTheFork,
    /// Nobody says what he no longer remembers.
    ForgetsWhatItForgot,
    /// Nobody says what he no longer remembers of terms before the last.
    ForgetsOfOlderTerms,
    /// Who comes late and no longer remembers all is not heeded.
    HeedsNoLateLoss,
    /// Who is told of what is there already has nothing to remember.
    TellsWhatIsThereAndNoFact,
    /// What is gone can't be made again by who saw it.
    LeavesTheGoneGone,
    /// The tail is forgotten where nobody joined for long.
    ForgetsTheTail,
    /// Who entered is forgotten.
    ForgetsClaims,
    /// The tail does not jump where not everybody was heard.
    JumpsNot,
    /// The tail jumps from where it stands, however many terms went by.
    JumpsFromTheTail,
    /// A newer row wins over an order.
    LetsTheNewerWin,
    /// What takes goes before what gives back.
    TakesInAnyOrder,
    /// What does not fit is taken all the same.
    TakesWhatIsNotThere,
}

fn joins(line: &Line) -> u64 {
    line.joins
}

fn nothing(_: &Stock) -> u64 {
    0
}

const COUNTED_LINE: (fn(&Line) -> u64, u64) = (joins, LOST_MOST);
const COUNTED_STOCK: (fn(&Stock) -> u64, u64) = (nothing, 0);

/// Runs the schedule of a seed; what goes wrong, and the least that makes it.
fn try_one<A: Aggregate + 'static, B: Books<A> + 'static>(
    seed: u64,
    weather: Weather,
    counted: (fn(&A) -> u64, u64),
    broken: Option<Broken>,
) -> Result<(), Box<dyn FnOnce() -> String>> {
    let schedule = Schedule::draw(seed, weather, A::CAN_BE_LOST);
    let Err(_) = schedule.run::<A, B>(counted, broken) else { return Ok(()) };
    Err(Box::new(move || {
        let least = schedule.shrink(|less| less.run::<A, B>(counted, broken).is_err());
        let error = least.run::<A, B>(counted, broken).err().unwrap_or_default();
        format!("seed {seed}, {weather:?}: {error}\n{}", least.tell())
    }))
}

fn try_both(seed: u64, weather: Weather, broken: Option<Broken>) -> Result<(), Box<dyn FnOnce() -> String>> {
    if seed.is_multiple_of(2) {
        try_one::<Line, Visitors>(seed, weather, COUNTED_LINE, broken)
    } else {
        try_one::<Stock, Buyers>(seed, weather, COUNTED_STOCK, broken)
    }
}

/// How many schedules are run.
fn schedules() -> u64 {
    std::env::var("DROPGATE_MODEL_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_500)
}

#[test]
fn nothing_acknowledged_is_lost_unsaid_and_nothing_is_given_twice() {
    let first: u64 = std::env::var("DROPGATE_MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + schedules() {
        let weather = WEATHERS[usize::try_from(seed / 2 % 3).unwrap()];
        if let Err(tell) = try_both(seed, weather, None) {
            panic!("{}", tell());
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    OfLine,
    OfStock,
}

/// The breaches, where it shows, and a seed that shows it: from there on it is looked for.
const BREACHES: [(Broken, Kind, Weather, u64); 25] = [
    (Broken::LooksAtNoStamp, Kind::OfLine, Weather::Calm, 0),
    (Broken::LooksAtNoTerm, Kind::OfLine, Weather::Split, 13),
    (Broken::TermsHaveNoNames, Kind::OfStock, Weather::Calm, 137),
    (Broken::LetsInWhoIsBehind, Kind::OfStock, Weather::Calm, 60),
    (Broken::CountsNoBatches, Kind::OfLine, Weather::Calm, 4),
    (Broken::PrunesItself, Kind::OfLine, Weather::Calm, 848),
    (Broken::EndsBeforeAllAreDone, Kind::OfLine, Weather::Calm, 3438),
    (Broken::AsksNobody, Kind::OfLine, Weather::Calm, 142),
    (Broken::ForgetsPeers, Kind::OfLine, Weather::Calm, 1),
    (Broken::LeavesUnheard, Kind::OfLine, Weather::Deaths, 3462),
    (Broken::ServesUnlisted, Kind::OfLine, Weather::Deaths, 804),
    (Broken::TellsAnyRecovery, Kind::OfStock, Weather::Calm, 6049),
    (Broken::MovesTheFork, Kind::OfStock, Weather::Calm, 4719),
    (Broken::ForgetsWhatItForgot, Kind::OfStock, Weather::Calm, 40),
    (Broken::ForgetsOfOlderTerms, Kind::OfStock, Weather::Calm, 19007),
    (Broken::HeedsNoLateLoss, Kind::OfStock, Weather::Calm, 1420),
    (Broken::TellsWhatIsThereAndNoFact, Kind::OfStock, Weather::Deaths, 77),
    (Broken::LeavesTheGoneGone, Kind::OfStock, Weather::Calm, 26),
    (Broken::ForgetsTheTail, Kind::OfLine, Weather::Calm, 1145),
    (Broken::ForgetsClaims, Kind::OfLine, Weather::Calm, 1),
    (Broken::JumpsNot, Kind::OfLine, Weather::Deaths, 12),
    (Broken::JumpsFromTheTail, Kind::OfLine, Weather::Split, 1557),
    (Broken::LetsTheNewerWin, Kind::OfStock, Weather::Split, 460),
    (Broken::TakesInAnyOrder, Kind::OfStock, Weather::Calm, 189),
    (Broken::TakesWhatIsNotThere, Kind::OfStock, Weather::Split, 1),
];

/// How many schedules a breach may pass unnoticed.
const UNNOTICED: u64 = 20_000;

#[test]
fn every_breach_is_noticed() {
    let mut unnoticed = vec![];
    for (broken, kind, weather, first) in BREACHES {
        let fails = |seed: &u64, broken| match kind {
            Kind::OfLine => try_one::<Line, Visitors>(*seed, weather, COUNTED_LINE, broken).is_err(),
            Kind::OfStock => try_one::<Stock, Buyers>(*seed, weather, COUNTED_STOCK, broken).is_err(),
        };
        let is_noticed = |seed: &u64| fails(seed, Some(broken)) && !fails(seed, None);
        match (first..first + UNNOTICED).find(is_noticed) {
            Some(seed) => println!("{broken:?}, {kind:?}, {weather:?}: seed {seed}"),
            None => unnoticed.push(broken),
        }
    }
    assert_eq!(unnoticed, []);
}

/// Schedules that are too rare to wait for: what shows a breach, and goes well without it.
#[test]
fn a_breach_is_noticed_where_it_rarely_shows() {
    let call = |instance, passage| Step::Call { instance, passage };
    let answered = |instance| call(instance, Passage::Answered);
    let want = |instance, kind| Step::Want { instance, kind, pick: 0 };
    let calls = |instance| Step::Calls { instance };
    // One is done, but does not hear of it, and is led back to the server of before.
    let led_back = vec![
        calls(0),
        calls(1),
        want(0, 0),
        calls(0),
        Step::Replicate { server: 1, share: 4 },
        Step::Split { to: 1 },
        Step::Look { instance: 0 },
        Step::Look { instance: 1 },
        answered(0),
        answered(0),
        call(0, Passage::Unanswered),
        calls(1),
        Step::Stray { instance: 0, server: 0 },
        want(0, 0),
        calls(0),
        want(1, 0),
        calls(1),
        calls(1),
    ];
    let schedule = Schedule::of(2, vec![0, 0], 30_000, led_back);
    let broken = Some(Broken::SeesBackwards);
    assert!(schedule.run::<Line, Visitors>(COUNTED_LINE, None).is_ok());
    assert!(schedule.run::<Line, Visitors>(COUNTED_LINE, broken).is_err());
    // A server whose clock is ahead takes for long gone who has yet to hear whether his batch was applied.
    let ahead = vec![
        calls(0),
        calls(1),
        want(1, 0),
        call(1, Passage::Unanswered),
        Step::Replicate { server: 1, share: 4 },
        Step::Fail { to: 1 },
        Step::Look { instance: 0 },
        answered(0),
        answered(0),
        answered(0),
        Step::Pass { ms: 5_100 },
        want(0, 0),
        calls(0),
        want(0, 0),
        calls(0),
        Step::Look { instance: 1 },
        calls(1),
    ];
    let schedule = Schedule::of(2, vec![0, 700_000], 30_000, ahead);
    let broken = Some(Broken::CountsByTheServersClock);
    assert!(schedule.run::<Line, Visitors>(COUNTED_LINE, None).is_ok());
    assert!(schedule.run::<Line, Visitors>(COUNTED_LINE, broken).is_err());
}
