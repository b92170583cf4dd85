//! Load from wrk, and what it cost the server.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::{Effort, server::Server};

/// What is asked again and again. The body and the headers may be a script's, see [`Ask::script`].
pub struct Ask {
    pub path: String,
    pub connections: u32,
    /// A wrk script in Lua, where the requests differ from each other or are no GET.
    pub script: Option<String>,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub per_second: f64,
    pub seconds: f64,
    /// Processor time of the server a request, in microseconds.
    pub cpu_us: f64,
    /// The same of Redis; 0 where there is none.
    pub redis_us: f64,
    /// Calls of scripts a request.
    pub redis_calls: f64,
}

impl Ask {
    /// A GET of `path` with these header lines.
    pub fn get(path: &str, headers: &[(&str, &str)]) -> Self {
        let lines: String =
            headers.iter().map(|(name, value)| format!("wrk.headers[{name:?}] = {value:?}\n")).collect();
        Self { path: path.to_owned(), connections: 64, script: Some(lines) }
    }

    /// A POST of `path` with this body.
    pub fn post(path: &str, body: &str) -> Self {
        let script =
            format!("wrk.method = 'POST'\nwrk.body = {body:?}\nwrk.headers['Content-Type'] = 'application/json'\n");
        Self { path: path.to_owned(), connections: 64, script: Some(script) }
    }

    /// The same over so many connections.
    pub fn over(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Asks for `each`, and counts what it cost.
    ///
    /// # Panics
    /// wrk is missing, or an answer was an error: a figure of errors is none.
    pub fn measure(&self, server: &Server, each: Duration) -> Sample {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{}", self.connections), &format!("-d{}s", each.as_secs())]);
        if let Some(script) = &self.script {
            command.arg("-s").arg(write(folder.path(), script));
        }
        let cpu = server.cpu();
        let started = Instant::now();
        let output =
            command.arg(format!("http://{}{}", server.address(), self.path)).output().expect("wrk is installed");
        let elapsed = started.elapsed();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "wrk: {said}{}", String::from_utf8_lossy(&output.stderr));
        let failed = said.contains("Non-2xx") || said.contains("Socket errors");
        assert!(!failed, "errors under load on {}: {said}", self.path);
        let requests: f64 = said
            .lines()
            .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
            .unwrap_or_else(|| panic!("wrk said no count: {said}"));
        let spent = server.cpu().saturating_sub(cpu);
        let seconds = elapsed.as_secs_f64();
        let cpu_us = spent.as_secs_f64() * 1e6 / requests;
        Sample { per_second: requests / seconds, seconds, cpu_us, ..Sample::default() }
    }
}

fn write(folder: &Path, script: &str) -> std::path::PathBuf {
    let file = folder.join("ask.lua");
    fs::write(&file, script).expect("a temporary file");
    file
}

/// Both measured in turn, round by round, after a first round that warms up and does not count.
pub fn interleaved(
    effort: Effort,
    mut one: impl FnMut() -> Sample,
    mut other: impl FnMut() -> Sample,
) -> [Vec<Sample>; 2] {
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..=effort.rounds {
        for (kept, sample) in samples.iter_mut().zip([one(), other()]) {
            if round > 0 {
                kept.push(sample);
            }
        }
    }
    samples
}

/// The median of some figures, and how far they spread: half the distance of the quartiles, relative to the median.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Median {
    pub value: f64,
    /// None of a figure measured once.
    pub spread: Option<f64>,
}

impl From<f64> for Median {
    /// A figure measured once.
    fn from(value: f64) -> Self {
        Self { value, spread: None }
    }
}

impl Median {
    pub fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let value = quantile(&sorted, 0.5);
        let spread = (quantile(&sorted, 0.75) - quantile(&sorted, 0.25)) / 2.0;
        Self { value, spread: (sorted.len() > 1 && value != 0.0).then_some(spread / value) }
    }

    /// This as a multiple of another.
    pub fn over(self, other: Self) -> Self {
        let spread = self.spread.zip(other.spread).map(|(own, other)| own + other);
        Self { value: self.value / other.value, spread }
    }
}

/// Between the two that are nearest, where none stands there.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * share;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

impl std::fmt::Display for Median {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}", self.value)?;
        self.spread.map_or(Ok(()), |spread| write!(f, " ± {:.0} %", spread * 100.0))
    }
}
