//! What the hot paths cost, held against the budget: `scripts/bench` runs it.
//!
//! Every path is measured against its own yardstick in the same run: a bare actix-web handler in a process of its own
//! that answers the same bytes. Rounds are interleaved, so that what the machine does meanwhile hits both alike, and
//! what is shown is the median with its spread. [`load`] drives with wrk, [`sender`] at a fixed rate, [`server`] and
//! [`site`] start what is measured; [`paths`] and [`claims`] are the rows of the budget, [`redis`] has those on Redis,
//! [`latency`] sends at a fixed rate, from [`cores`] of its own, [`soak`] does so for minutes, [`growth`] and [`memory`] ask what grows.

mod bare;
mod claims;
mod cores;
mod growth;
mod latency;
mod load;
mod memory;
mod paths;
mod redis;
mod report;
mod sender;
mod server;
mod site;
mod soak;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, builder::PossibleValuesParser};

use self::{report::Report, site::Site};

// As Dropgate has it: the yardstick, which is this program, is to have what helps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The parts, in the order in which they are measured.
const PARTS: [&str; 12] = [
    "paths",
    "claims",
    "durable",
    "latency",
    "growth",
    "memory",
    "redis",
    "redis-claims",
    "redis-latency",
    "redis-growth",
    "redis-memory",
    "soak",
];

/// How many wait, point by point.
const LINES: [u64; 4] = [1, 1_000, 100_000, 1_000_000];

/// Measures the budget. Needs wrk, two free cores and a few minutes.
#[derive(Parser)]
struct Arguments {
    /// Where the table (Markdown) and the figures (JSON) go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Interleaved rounds of each row.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Seconds of each measurement: short ones, so that both of a pair meet the machine in the same mood.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Seconds of the soak.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    soak_seconds: u64,
    /// Only these parts; what the report has of the others is kept.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(PARTS))]
    only: Vec<String>,
    /// Three rounds of a second, a hundred thousand waiting, and no soak unless it is asked for: for a first look.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Answers every request with the bytes of a file: the yardstick, started by the benchmark itself.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
    /// Reserves in this Redis, one call a request, instead of answering at once.
    #[arg(long, hide = true, requires = "bare")]
    unbatched: Option<String>,
    /// By the call in this file, rather than by the least that does it.
    #[arg(long, hide = true, requires = "unbatched")]
    overheard: Option<PathBuf>,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How a row is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: u32,
    pub each: Duration,
    /// The longest line.
    pub line_most: u64,
}

impl Arguments {
    fn effort(&self) -> Effort {
        if self.quick {
            return Effort { rounds: 3, each: Duration::from_secs(1), line_most: LINES[2] };
        }
        Effort { rounds: self.rounds, each: Duration::from_secs(self.seconds), line_most: LINES[3] }
    }

    fn wants(&self, part: &str) -> bool {
        if self.only.is_empty() {
            return !(self.quick && part == "soak");
        }
        self.only.iter().any(|wanted| wanted == part)
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    if let Some(answer) = &arguments.bare {
        return match &arguments.unbatched {
            Some(url) => redis::unbatched::serve(url, arguments.overheard.as_deref(), answer).await,
            None => bare::serve(answer).await,
        };
    }
    let effort = arguments.effort();
    let mut report = if arguments.only.is_empty() { Report::new(&arguments.out) } else { Report::open(&arguments.out) };
    for part in PARTS.into_iter().filter(|part| arguments.wants(part)) {
        report.begin(part, effort);
        measure(part, effort, Duration::from_secs(arguments.soak_seconds), &mut report).await;
        // Part by part, so that what is measured is kept whatever comes.
        report.write()?;
    }
    println!("\nwritten to {}", arguments.out.display());
    Ok(())
}

async fn measure(part: &str, effort: Effort, soak: Duration, report: &mut Report) {
    match part {
        "paths" => paths::against_bare(effort, report).await,
        "claims" => claims::of(&Site::in_memory(), effort, report).await,
        "durable" => paths::durable(effort, report).await,
        "latency" => latency::in_memory(effort, report).await,
        "growth" => {
            growth::of_the_line(&Site::in_memory(), &LINES, effort, report).await;
            growth::of_the_rooms(&Site::in_memory(), effort, report).await;
            for skus in [1, 1_000] {
                growth::of_the_stock(&Site::in_memory(), skus, effort, report).await;
            }
        }
        "memory" => memory::of(&Site::in_memory(), effort.line_most, report).await,
        "redis" => redis::on_redis(effort, report).await,
        "redis-claims" => claims::of(&Site::on_redis(), effort, report).await,
        "redis-latency" => latency::on_redis(effort, report).await,
        "redis-growth" => {
            growth::of_the_line(&Site::on_redis(), &[LINES[1], effort.line_most], effort, report).await;
            growth::of_the_stock(&Site::on_redis(), 1, effort, report).await;
        }
        "redis-memory" => memory::of(&Site::on_redis(), effort.line_most, report).await,
        _ => soak::of(soak, effort, report).await,
    }
}
