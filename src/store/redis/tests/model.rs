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
    line::{Line, VOID, Visitors},
    schedule::{Schedule, WEATHERS, Weather},
    stock::{Buyers, Stock},
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
    /// Who was told that the store had lost too much does not remember that.
    ForgetsThatItWasLost,
    /// A row from before the recovery takes the place of one from after it.
    LearnsBackwards,
    /// Who is told of what is there already has nothing to remember.
    TellsWhatIsThereAndNoFact,
    /// What was told again is forgotten as if it had not been.
    RemembersFromTheFirst,
    /// What is gone can't be made again by who saw it.
    LeavesTheGoneGone,
    /// Who never saw a line makes it, though others remember one.
    MakesWithoutAsking,
    /// The tail is forgotten where nobody joined for long.
    ForgetsTheTail,
    /// Who entered is forgotten.
    ForgetsClaims,
    /// The tail does not jump where not everybody was heard.
    JumpsNot,
    /// The tail jumps once, however many terms went by.
    JumpsOnce,
    /// A void is honoured anew where who entered from it is forgotten.
    HonoursTheVoidTwice,
    /// A newer row wins over an order.
    LetsTheNewerWin,
    /// What takes goes before what gives back.
    TakesInAnyOrder,
    /// What takes goes before what is overdue.
    TakesBeforeItExpires,
    /// What does not fit is taken all the same.
    TakesWhatIsNotThere,
}

fn joins(line: &Line) -> u64 {
    line.joins
}

fn nothing(_: &Stock) -> u64 {
    0
}

const COUNTED_LINE: (fn(&Line) -> u64, u64) = (joins, VOID);
const COUNTED_STOCK: (fn(&Stock) -> u64, u64) = (nothing, 0);

/// Runs the schedule of a seed; what goes wrong, and the least that makes it.
fn try_one<A: Aggregate, B: Books<A>>(
    seed: u64,
    weather: Weather,
    counted: (fn(&A) -> u64, u64),
    broken: Option<Broken>,
) -> Result<(), Box<dyn FnOnce() -> String>>
where
    A: 'static,
    B: 'static,
{
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

/// Every breach.
const BREACHES: [Broken; 33] = [
    Broken::LooksAtNoStamp,
    Broken::LooksAtNoTerm,
    Broken::TermsHaveNoNames,
    Broken::LetsInWhoIsBehind,
    Broken::CountsNoBatches,
    Broken::PrunesItself,
    Broken::EndsBeforeAllAreDone,
    Broken::AsksNobody,
    Broken::ForgetsPeers,
    Broken::LeavesUnheard,
    Broken::ServesUnlisted,
    Broken::CountsByTheServersClock,
    Broken::TellsAnyRecovery,
    Broken::SeesBackwards,
    Broken::MovesTheFork,
    Broken::ForgetsWhatItForgot,
    Broken::ForgetsOfOlderTerms,
    Broken::HeedsNoLateLoss,
    Broken::ForgetsThatItWasLost,
    Broken::LearnsBackwards,
    Broken::TellsWhatIsThereAndNoFact,
    Broken::RemembersFromTheFirst,
    Broken::LeavesTheGoneGone,
    Broken::MakesWithoutAsking,
    Broken::ForgetsTheTail,
    Broken::ForgetsClaims,
    Broken::JumpsNot,
    Broken::JumpsOnce,
    Broken::HonoursTheVoidTwice,
    Broken::LetsTheNewerWin,
    Broken::TakesInAnyOrder,
    Broken::TakesBeforeItExpires,
    Broken::TakesWhatIsNotThere,
];

/// How many schedules a breach may pass unnoticed.
const UNNOTICED: u64 = 40_000;

#[test]
fn every_breach_is_noticed() {
    let mut unnoticed = vec![];
    for broken in BREACHES {
        let found = (0..UNNOTICED).find(|seed| {
            let weather = WEATHERS[usize::try_from(seed / 2 % 3).unwrap()];
            try_both(*seed, weather, Some(broken)).is_err()
        });
        println!("{broken:?} {found:?}");
        if found.is_none() {
            unnoticed.push(broken);
        }
    }
    assert_eq!(unnoticed, []);
}
