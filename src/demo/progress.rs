//! How the run is going, live: a bar and a line in a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{checks::Sample, tally::Counts};

/// Between two looks in a terminal: smooth to the eye.
const REDRAW: Duration = Duration::from_millis(200);

/// Between two lines elsewhere: a log to read, not a film.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how it goes.
pub enum Progress {
    Bar(ProgressBar),
    Lines,
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub elapsed: Duration,
    pub counts: Counts,
    pub room: Sample,
    pub inside: u64,
    pub entering_per_minute: u64,
    pub shelf: Shelf,
}

/// Units as they stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shelf {
    pub left: u64,
    pub in_baskets: u64,
}

impl Progress {
    /// A bar over the crowd in a terminal, else lines. Both go to stderr: stdout is for the summary.
    pub fn new(crowd: u64) -> Self {
        // Two lines, each within eighty columns.
        let style = ProgressStyle::with_template("  {bar:16.green/dim} {prefix}\n  {msg}");
        match style {
            Ok(style) if stderr().is_terminal() => {
                let bar = ProgressBar::new(crowd).with_style(style.progress_chars("━━─"));
                bar.tick();
                Self::Bar(bar)
            }
            _ => Self::Lines,
        }
    }

    /// How long to wait before the next look.
    pub fn interval(&self) -> Duration {
        match self {
            Self::Bar(_) => REDRAW,
            Self::Lines => LINE_EVERY,
        }
    }

    /// Shows a moment.
    pub fn show(&self, moment: &Moment) {
        match self {
            Self::Bar(bar) => {
                let counts = moment.counts;
                bar.set_length(bar.length().unwrap_or(0).max(counts.arrived));
                bar.set_position(counts.entered + counts.lapsed + counts.left + counts.told_sold_out + counts.vanished);
                bar.set_prefix(moment.line());
                bar.set_message(moment.shop());
            }
            Self::Lines => eprintln!("  {:>4} s  {} · {}", moment.elapsed.as_secs(), moment.line(), moment.shop()),
        }
    }

    /// Clears the bar away.
    pub fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Moment {
    /// The line.
    fn line(&self) -> String {
        format!(
            "waiting {} · entered {} ({} in the last minute)",
            self.room.waiting, self.counts.entered, self.entering_per_minute
        )
    }

    /// Those inside, and what there is for them.
    fn shop(&self) -> String {
        let Shelf { left, in_baskets } = self.shelf;
        format!(
            "inside {} · passed on {} · left {left} · in baskets {in_baskets} · orders {}",
            self.inside, self.room.lapsed, self.counts.bought
        )
    }
}
