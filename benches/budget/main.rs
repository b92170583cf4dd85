//! What the hot paths cost, held against the budget: `scripts/bench` runs it.
//!
//! Every path is measured against its own yardstick in the same run: a bare actix-web handler in a process of its own
//! that answers the same bytes. Rounds are interleaved, so that what the machine does meanwhile hits both alike, and
//! what is shown is the median with its spread. [`load`] drives with wrk, [`server`] starts what is measured,
//! [`paths`] are the rows of the budget, [`latency`] sends at a fixed rate, [`soak`] does so for minutes, [`growth`] asks
//! what grows, [`redis`] has the rows on Redis.

mod arrivals;
mod bare;
mod growth;
mod latency;
mod load;
mod paths;
mod redis;
mod report;
mod server;
mod soak;

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Measures the budget. Needs wrk, two free cores and a few minutes.
#[derive(Parser)]
struct Arguments {
    /// Where the table (Markdown) and the figures (JSON) go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Interleaved rounds of each row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Seconds of the soak.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    soak_seconds: u64,
    /// Only the parts whose name contains this: paths, durable, redis, latency, soak, growth, memory.
    #[arg(long, default_value = "")]
    only: String,
    /// Answers every request with the bytes of a file: the yardstick, started by the benchmark itself.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
    /// Reserves in this Redis, one call a request, instead of answering at once.
    #[arg(long, hide = true, requires = "bare")]
    unbatched: Option<String>,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How a row is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: u32,
    pub each: Duration,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    if let Some(answer) = arguments.bare {
        return match arguments.unbatched {
            Some(url) => redis::unbatched::serve(&url, &answer).await,
            None => bare::serve(&answer).await,
        };
    }
    let effort = Effort { rounds: arguments.rounds, each: Duration::from_secs(arguments.seconds) };
    let wanted = |name: &str| name.contains(&arguments.only);
    let mut report = report::Report::new();
    if wanted("paths") {
        paths::against_bare(effort, &mut report).await;
    }
    if wanted("durable") {
        paths::durable(effort, &mut report).await;
    }
    if wanted("redis") {
        redis::on_redis(effort, &mut report).await;
    }
    if wanted("latency") {
        latency::at_fixed_rates(effort, &mut report).await;
    }
    if wanted("soak") {
        soak::of(Duration::from_secs(arguments.soak_seconds), effort, &mut report).await;
    }
    if wanted("growth") {
        growth::of_the_line(effort, &mut report).await;
        growth::of_the_rooms(effort, &mut report).await;
        growth::of_the_stock(effort, &mut report).await;
    }
    if wanted("memory") {
        growth::of_memory(&mut report).await;
    }
    report.write(&arguments.out)
}
