//! The tables: one row a figure, as Markdown for people and JSON for machines, part by part, so that a part can be measured
//! anew without the others.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Effort,
    load::{Median, Sample},
};

/// Everything measured, kept in a folder.
pub struct Report {
    folder: PathBuf,
    parts: Vec<Part>,
    /// Which part is being measured.
    current: usize,
}

/// What was measured together.
#[derive(Default, Serialize, Deserialize)]
struct Part {
    name: String,
    /// When it began.
    at: String,
    /// How often and how long it was measured.
    effort: String,
    machine: String,
    rows: Vec<Row>,
    latencies: Vec<Latency>,
    growth: Vec<Growth>,
    pauses: Vec<Pauses>,
}

/// A path against its budget.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    /// What is held against the budget, in words.
    pub measure: String,
    pub figure: Median,
    /// The least, or with `at_most` the most, that the budget allows; none where it says nothing.
    pub budget: Option<f64>,
    pub at_most: bool,
    pub note: String,
}

/// How long answers took at a fixed rate, in milliseconds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Latency {
    pub what: String,
    pub per_second: f64,
    pub p50: Median,
    pub p99: Median,
    pub p999: Median,
    /// The p99 of how late the sender itself was.
    pub late: Median,
    /// How many requests were refused for being too much, in all rounds.
    pub refused: u64,
    /// How much of its cores the server used.
    pub busy: f64,
}

/// The same path while something grows.
#[derive(Serialize, Deserialize)]
pub struct Growth {
    pub what: String,
    pub grows: String,
    pub unit: String,
    pub points: Vec<(u64, Median)>,
    /// The most that the last may be, as a multiple of the first.
    pub flat_most: f64,
}

/// How many answers took how long.
#[derive(Serialize, Deserialize)]
pub struct Pauses {
    pub what: String,
    /// By the milliseconds that they took at most; the last is what took longer than all others.
    pub counts: Vec<(u64, u64)>,
}

impl Report {
    /// An empty report in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), parts: Vec::new(), current: 0 }
    }

    /// The report in `folder`, to go on with; an empty one if there is none, or none of this layout.
    pub fn open(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("bench.json")).unwrap_or_default();
        Self { parts: serde_json::from_str(&text).unwrap_or_default(), ..Self::new(folder) }
    }

    /// Begins a part; what was measured of it before is gone.
    pub fn begin(&mut self, name: &str, effort: Effort) {
        let at = jiff::Timestamp::now().strftime("%F %R UTC").to_string();
        println!("\n# {name}, {at}\n");
        let place = self.parts.iter().position(|part| part.name == name);
        self.current = place.unwrap_or_else(|| {
            self.parts.push(Part::default());
            self.parts.len() - 1
        });
        let effort = format!("{} rounds of {} s", effort.rounds, effort.each.as_secs());
        *self.part() = Part { name: name.to_owned(), at, effort, machine: machine(), ..Part::default() };
    }

    fn part(&mut self) -> &mut Part {
        &mut self.parts[self.current]
    }

    /// A path's throughput and cost against its yardstick's. The share of the processor time is what the budget is
    /// held against: the throughput of a machine shared with the load has the load's share in it.
    pub fn ratio(&mut self, what: &str, ours: &[Sample], yardstick: &[Sample], budget: Option<f64>) {
        let figure = Median::of(ours.iter().zip(yardstick).map(|(ours, bare)| bare.cpu_us / ours.cpu_us));
        let of = |samples: &[Sample], get: fn(&Sample) -> f64| Median::of(samples.iter().map(get)).value;
        let throughput = Median::of(ours.iter().zip(yardstick).map(|(ours, bare)| ours.per_second / bare.per_second));
        let note = format!(
            "{:.2} of its throughput: {:.0} against {:.0} a second, {:.1} against {:.1} µs of processor a request",
            throughput.value,
            of(ours, |s| s.per_second),
            of(yardstick, |s| s.per_second),
            of(ours, |s| s.cpu_us),
            of(yardstick, |s| s.cpu_us),
        );
        let measure = "share of the yardstick".to_owned();
        self.row(Row { what: what.to_owned(), measure, figure, budget, at_most: false, note });
    }

    /// A path that has Redis on the same cores, by its rate against its yardstick's, and by the processor time of both
    /// servers against the yardstick's alone.
    pub fn rates(&mut self, what: &str, ours: &[Sample], yardstick: &[Sample], budget: f64) {
        let pairs = || ours.iter().zip(yardstick);
        let of = |samples: &[Sample], get: fn(&Sample) -> f64| Median::of(samples.iter().map(get)).value;
        let note = format!(
            "{:.0} against {:.0} a second, {:.1} against {:.1} µs of processor a request, and {:.1} in Redis",
            of(ours, |s| s.per_second),
            of(yardstick, |s| s.per_second),
            of(ours, |s| s.cpu_us),
            of(yardstick, |s| s.cpu_us),
            of(ours, |s| s.redis_us),
        );
        let rate = Median::of(pairs().map(|(ours, bare)| ours.per_second / bare.per_second));
        let cpu = Median::of(pairs().map(|(ours, bare)| bare.cpu_us / (ours.cpu_us + ours.redis_us)));
        for (measure, figure, budget, note) in [
            ("share of the yardstick's rate", rate, Some(budget), note),
            ("share of its processor time", cpu, None, String::new()),
        ] {
            let (what, measure) = (what.to_owned(), measure.to_owned());
            self.row(Row { what, measure, figure, budget, at_most: false, note });
        }
    }

    pub fn row(&mut self, row: Row) {
        println!("{}", row.line());
        self.part().rows.push(row);
    }

    /// What was told 503 while a row was measured: nothing may be, and then the row says nothing.
    pub fn refusals(&mut self, what: &str, refused: u64) {
        self.row(Row {
            what: what.to_owned(),
            measure: "requests refused".to_owned(),
            figure: (refused as f64).into(),
            budget: Some(0.0),
            at_most: true,
            note: String::new(),
        });
    }

    pub fn latency(&mut self, latency: Latency) {
        println!("{}", latency.line());
        self.part().latencies.push(latency);
    }

    pub fn growth(&mut self, growth: Growth) {
        println!("{}", growth.line());
        self.part().growth.push(growth);
    }

    pub fn pauses(&mut self, pauses: Pauses) {
        println!("{}", pauses.line());
        self.part().pauses.push(pauses);
    }

    /// Writes `bench.md` and `bench.json`, and a data file a row of growth and a histogram for the plots.
    pub fn write(&self) -> io::Result<()> {
        let write = |name: &str, text: String| fs::write(self.folder.join(name), text);
        fs::create_dir_all(&self.folder)?;
        // Of rows that have other names now.
        for old in fs::read_dir(&self.folder)? {
            let path = old?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("growth-") || name.starts_with("pauses-") {
                fs::remove_file(&path)?;
            }
        }
        write("bench.json", serde_json::to_string_pretty(&self.parts)?)?;
        write("bench.md", "# Measured\n".to_owned() + &self.parts.iter().map(Part::markdown).collect::<String>())?;
        for growth in self.parts.iter().flat_map(|part| &part.growth) {
            let title = format!("{}: {}, by {}", growth.what, growth.unit, growth.grows);
            let points = growth.points.iter();
            let points = points.map(|(x, y)| format!("{x} {:.3} {:.3}\n", y.value, y.spread.unwrap_or_default()));
            write(&format!("growth-{}.dat", slug(&title)), format!("# {title}\n{}", points.collect::<String>()))?;
        }
        for pauses in self.parts.iter().flat_map(|part| &part.pauses) {
            let bars = pauses.bars().map(|(bound, count)| format!("\"{bound}\" {count}\n"));
            let (name, title) = (format!("pauses-{}.dat", slug(&pauses.what)), &pauses.what);
            write(&name, format!("# {title}\n{}", bars.collect::<String>()))?;
        }
        Ok(())
    }
}

impl Part {
    fn markdown(&self) -> String {
        fn table<T>(head: &str, rows: &[T], line: impl Fn(&T) -> String) -> String {
            if rows.is_empty() {
                return String::new();
            }
            let rule = "| --- ".repeat(head.matches('|').count() - 1);
            let lines: String = rows.iter().map(|row| line(row) + "\n").collect();
            format!("\n{head}\n{rule}|\n{lines}")
        }
        format!("\n## {}\n\n{}; {}; {}.\n", self.name, self.at, self.effort, self.machine)
            + &table("| what | measure | median | budget | |", &self.rows, Row::line)
            + &table("| at a fixed rate | a second | p50, ms | p99, ms | p99.9, ms | |", &self.latencies, Latency::line)
            + &table("| what | as this grows | figures | last to first |", &self.growth, Growth::line)
            + &table("| soak | answers by the time they took at most |", &self.pauses, Pauses::line)
    }
}

impl Row {
    fn line(&self) -> String {
        let met = match self.budget {
            None => String::new(),
            Some(budget) => {
                let holds = if self.at_most { self.figure.value <= budget } else { self.figure.value >= budget };
                let sign = if self.at_most { "≤" } else { "≥" };
                format!("{sign} {budget}{}", if holds { "" } else { " **missed**" })
            }
        };
        format!("| {} | {} | {} | {met} | {} |", self.what, self.measure, self.figure, self.note)
    }
}

impl Latency {
    fn line(&self) -> String {
        let late = format!(
            "{:.0} % of the server's cores; p99 of the sender's own delay: {:.2} ms; {} refused",
            self.busy * 100.0,
            self.late.value,
            self.refused
        );
        let Self { what, per_second, p50, p99, p999, .. } = self;
        format!("| {what} | {per_second:.0} | {p50} | {p99} | {p999} | {late} |")
    }
}

impl Growth {
    fn line(&self) -> String {
        let points: Vec<String> = self.points.iter().map(|(size, median)| format!("{size}: {median}")).collect();
        let multiple = match (self.points.first(), self.points.last()) {
            (Some((_, first)), Some((_, last))) => last.value / first.value,
            _ => f64::NAN,
        };
        let met = if multiple <= self.flat_most { "" } else { " **grows**" };
        let figures = points.join(" · ");
        format!("| {} ({}) | {} | {figures} | {multiple:.2}{met} |", self.what, self.unit, self.grows)
    }
}

impl Pauses {
    /// Each bound in words, with its count.
    fn bars(&self) -> impl Iterator<Item = (String, u64)> {
        let last = self.counts.len().saturating_sub(1);
        self.counts.iter().enumerate().map(move |(n, (bound, count))| {
            let words = if n == last { "longer".to_owned() } else { format!("{bound} ms") };
            (words, *count)
        })
    }

    fn line(&self) -> String {
        let bars: Vec<String> = self.bars().map(|(bound, count)| format!("{bound}: {count}")).collect();
        format!("| {} | {} |", self.what, bars.join(" · "))
    }
}

/// A title as the name of a file.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!(
        "{cores} cores, {}; load, server and yardstick share them where no row says otherwise",
        model.trim_start_matches([' ', '\t', ':'])
    )
}
