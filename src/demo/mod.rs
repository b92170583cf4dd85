//! The demo: an instance on an embedded store, a shop behind its gate, and a crowd of real HTTP clients over loopback.
//!
//! [`plan`] draws who comes and what they are like, [`visitor`] lives one visitor's day with a [`browser`], [`tally`]
//! counts what they saw, [`checks`] are the promises of the line a run is held to, [`proof`] those of the sale, by the
//! [`ledger`] that follows its event [`feed`]; [`summary`] says what came of it. [`stage`] sets everything up and takes
//! it down, [`shop`] is the demo shop with its [`goods`], [`provider`] takes the payments, and [`progress`] is what one
//! sees meanwhile.

mod browser;
mod checks;
mod feed;
pub mod goods;
mod ledger;
mod plan;
mod progress;
mod proof;
mod provider;
mod shop;
mod stage;
mod summary;
mod tally;
mod visitor;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use self::{
    plan::{Plan, Planner, UNTIL_OPENING},
    progress::{Moment, Progress},
    stage::{Stage, StageError},
    summary::{Evidence, Summary},
    tally::Tally,
    visitor::{World, visit},
};
use crate::config::listener_address;

/// Between two looks at the room's own counters: a tenth of the claim window's shortest poll.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// How long the end waits for visitors who are just asking something.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Who keeps coming when the crowd has come: a line worth watching, a tenth of the crowd and at least so many.
const LINE_TO_WATCH: u64 = 20;

/// The seed of the crowd: the same crowd each time, so that two runs can be compared.
const SEED: u64 = 7;

#[derive(Args)]
pub struct Arguments {
    /// Address and port of the waiting room; the shop takes a free port beside it.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listener_address, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How many visitors come at once. Without `--for`, more keep coming while it runs.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    crowd: u32,
    /// How many may enter a minute.
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// How many units the demo shop has to sell.
    #[arg(long, value_name = "N", default_value_t = 500)]
    stock: u32,
    /// End by itself after so long, like 60s or 2m, with a summary; else at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    duration: Option<Duration>,
}

/// What a run showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    /// A promise was broken, and the summary says which.
    Broken,
}

/// Runs the demo to its end and prints the summary.
///
/// # Errors
/// The stage can't be set: an address in use, most of all.
pub async fn run(arguments: &Arguments) -> Result<Outcome, StageError> {
    let (stop, stopped) = watch::channel(false);
    let stage = Stage::set(arguments, stopped.clone()).await?;
    announce(arguments, &stage);
    let start = Instant::now();
    let world = stage.world(Tally::new(start).map_err(StageError::Tally)?, stopped)?;
    let mut crowd = Crowd { world: Arc::clone(&world), visitors: JoinSet::new(), planner: Planner::new(SEED) };
    let progress = Progress::new(u64::from(arguments.crowd));
    tokio::select! {
        () = crowd.come(arguments, &stage) => {}
        () = watch_over(&world, &stage, &progress) => {}
        () = over(arguments.duration) => {}
        () = interrupted() => {}
    }
    progress.end();
    let seconds = start.elapsed().as_secs();
    let _ = stop.send(true);
    let _ = timeout(LAST_WORDS, async { while crowd.visitors.join_next().await.is_some() {} }).await;
    stage.last_payments(LAST_WORDS).await;
    stage.sample(&world.tally);
    let summary = Summary::of(Evidence {
        seen: world.tally.snapshot(),
        bounds: stage.bounds,
        seconds,
        stock: u64::from(arguments.stock),
        ledger: stage.books().await,
        orders: stage.shop.books.orders(),
        repeats: stage.shop.books.repeats(),
        reserve_us: stage.shop.till.reserve_times(),
        let_in: stage.shop.books.let_in(),
        unheard_joins: stage.unheard_joins(&world.tally),
        changed: stage.changed(),
    });
    stage.strike().await;
    println!("{summary}");
    Ok(if summary.is_broken() { Outcome::Broken } else { Outcome::Held })
}

/// Where to look, and how to get in.
fn announce(arguments: &Arguments, stage: &Stage) {
    println!("  join the line   {}/w/{}", stage.public_url, stage::ROOM);
    println!("  the shop        {}", stage.product);
    println!("  the dashboard   {}/dashboard", stage.public_url);
    println!("  its key         {}", stage.admin_key());
    println!();
    println!(
        "  {} visitors gather; the line opens in {} s and lets {} a minute into a shop of {} kites{}",
        arguments.crowd,
        UNTIL_OPENING.as_secs(),
        arguments.rate,
        arguments.stock,
        if arguments.duration.is_some() { "." } else { ". Ctrl-C ends it." }
    );
    println!();
}

/// The visitors, those who are here and those to come.
struct Crowd {
    world: Arc<World>,
    visitors: JoinSet<()>,
    planner: Planner,
}

impl Crowd {
    /// Lets the crowd come, and then, unless the run ends by itself, a few more as long as it lasts.
    async fn come(&mut self, arguments: &Arguments, stage: &Stage) {
        let start = tokio::time::Instant::now();
        let size = usize::try_from(arguments.crowd).unwrap_or(usize::MAX);
        for plan in self.planner.crowd(size) {
            sleep_until(start + plan.arrival).await;
            self.admit(plan);
        }
        if arguments.duration.is_none() {
            self.trickle(arguments, stage).await;
        }
        std::future::pending().await
    }

    /// Keeps a line standing that is long enough to watch and short enough to get through.
    async fn trickle(&mut self, arguments: &Arguments, stage: &Stage) {
        let watched = u64::from(arguments.crowd / 10).max(LINE_TO_WATCH);
        let permit = Duration::from_secs(60) / arguments.rate;
        loop {
            // A little faster than the line moves while it is short, a little slower while it is long.
            let is_short = stage.look().is_none_or(|look| look.sample.waiting < watched);
            sleep(if is_short { permit * 3 / 4 } else { permit * 3 / 2 }).await;
            let plan = self.planner.visitor(Duration::ZERO);
            self.admit(plan);
        }
    }

    fn admit(&mut self, plan: Plan) {
        while self.visitors.try_join_next().is_some() {}
        self.visitors.spawn(visit(Arc::clone(&self.world), plan));
    }
}

/// Samples the room and shows how it goes, without end.
async fn watch_over(world: &World, stage: &Stage, progress: &Progress) {
    let mut shown: Option<Instant> = None;
    let start = Instant::now();
    loop {
        stage.sample(&world.tally);
        if shown.is_none_or(|shown| shown.elapsed() >= progress.interval())
            && let Some(look) = stage.look()
        {
            progress.show(&Moment {
                elapsed: start.elapsed(),
                counts: world.tally.counts(),
                room: look.sample,
                inside: look.inside,
                entering_per_minute: look.entering_per_minute,
                shelf: look.shelf,
            });
            shown = Some(Instant::now());
        }
        sleep(SAMPLE_EVERY).await;
    }
}

/// The end that was asked for, if any.
async fn over(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C, or a polite kill.
async fn interrupted() {
    use tokio::signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    };
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(ctrl_c().await),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration = text.parse().map_err(|error| format!("must be like 60s or 2m: {error}"))?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero()).ok_or_else(|| "must be more than nothing".to_owned())
}
