//! The table: one row a figure, as Markdown for people and JSON for machines.

use std::{fs, io, path::Path};

use serde::Serialize;

use super::load::{Median, Sample};

/// Everything measured.
#[derive(Default, Serialize)]
pub struct Report {
    machine: String,
    rows: Vec<Row>,
    growth: Vec<Growth>,
    pauses: Vec<Pauses>,
}

/// A path against its budget.
#[derive(Serialize)]
pub struct Row {
    pub what: String,
    /// What is held against the budget, in words.
    pub measure: &'static str,
    pub figure: Median,
    /// The least, or with `at_most` the most, that the budget allows; none where it says nothing.
    pub budget: Option<f64>,
    pub at_most: bool,
    pub note: String,
}

/// The same path while something grows.
#[derive(Serialize)]
pub struct Growth {
    pub what: &'static str,
    pub grows: &'static str,
    pub unit: &'static str,
    pub points: Vec<(u64, Median)>,
}

/// How many answers took how long.
#[derive(Serialize)]
pub struct Pauses {
    pub what: &'static str,
    /// By the milliseconds that they took at most; the last is what took longer than all others.
    pub counts: Vec<(u64, u64)>,
}

impl Report {
    pub fn new() -> Self {
        Self { machine: machine(), ..Self::default() }
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
        self.row(Row {
            what: what.to_owned(),
            measure: "share of the yardstick",
            figure,
            budget,
            at_most: false,
            note,
        });
    }

    /// A path that has Redis on the same cores, by its rate against its yardstick's, and by the processor time of both
    /// servers against the yardstick's alone.
    pub fn rates(&mut self, what: &str, ours: &[Sample], yardstick: &[Sample], budget: f64, in_redis: Median) {
        let pairs = || ours.iter().zip(yardstick);
        let of = |samples: &[Sample], get: fn(&Sample) -> f64| Median::of(samples.iter().map(get)).value;
        let note = format!(
            "{:.0} against {:.0} a second; {:.1} µs of processor a request in the server, {:.1} in Redis",
            of(ours, |s| s.per_second),
            of(yardstick, |s| s.per_second),
            of(ours, |s| s.cpu_us),
            in_redis.value,
        );
        let rate = Median::of(pairs().map(|(ours, bare)| ours.per_second / bare.per_second));
        let cpu = Median::of(pairs().map(|(ours, bare)| bare.cpu_us / (ours.cpu_us + in_redis.value)));
        for (measure, figure, budget, note) in [
            ("share of the yardstick's rate", rate, Some(budget), note),
            ("share of its processor time", cpu, None, String::new()),
        ] {
            self.row(Row { what: what.to_owned(), measure, figure, budget, at_most: false, note });
        }
    }

    pub fn row(&mut self, row: Row) {
        println!("{}", row.line());
        self.rows.push(row);
    }

    pub fn growth(&mut self, growth: Growth) {
        println!("{}", growth.line());
        self.growth.push(growth);
    }

    pub fn pauses(&mut self, pauses: Pauses) {
        println!("{}", pauses.line());
        self.pauses.push(pauses);
    }

    /// Writes `bench.md` and `bench.json`, and a data file a row of growth for the plots.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("bench.json"), serde_json::to_string_pretty(self)?)?;
        let rows: String = self.rows.iter().map(|row| row.line() + "\n").collect();
        let growth: String = self.growth.iter().map(|row| row.line() + "\n").collect();
        let pauses: String = self.pauses.iter().map(|row| row.line() + "\n").collect();
        let markdown = format!(
            "# Measured\n\n{}\n\n| what | measure | median | budget | |\n| --- | --- | --- | --- | --- |\n{rows}\n\
             | what | as this grows | figures |\n| --- | --- | --- |\n{growth}\n\
             | soak | answers by the time they took at most |\n| --- | --- |\n{pauses}",
            self.machine
        );
        fs::write(folder.join("bench.md"), markdown)?;
        for (n, growth) in self.growth.iter().enumerate() {
            let points: String =
                growth.points.iter().map(|(x, y)| format!("{x} {:.3} {:.3}\n", y.value, y.spread)).collect();
            let head = format!("# {} ({}) by {}\n", growth.what, growth.unit, growth.grows);
            fs::write(folder.join(format!("growth-{n}.dat")), head + &points)?;
        }
        for pauses in &self.pauses {
            let bars: String = pauses.bars().map(|(bound, count)| format!("\"{bound}\" {count}\n")).collect();
            fs::write(folder.join(format!("pauses-{}.dat", pauses.what)), format!("# {}\n{bars}", pauses.what))?;
        }
        println!("\nwritten to {}", folder.display());
        Ok(())
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
        let Median { value, spread } = self.figure;
        format!("| {} | {} | {value:.2} ± {:.0} % | {met} | {} |", self.what, self.measure, spread * 100.0, self.note)
    }
}

impl Growth {
    fn line(&self) -> String {
        let point =
            |(size, median): &(u64, Median)| format!("{size}: {:.2} ± {:.0} %", median.value, median.spread * 100.0);
        let points: Vec<String> = self.points.iter().map(point).collect();
        format!("| {} ({}) | {} | {} |", self.what, self.unit, self.grows, points.join(" · "))
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

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} cores, {}; load, server and yardstick share them", model.trim_start_matches([' ', '\t', ':']))
}
