//! How fast the head moved of late, kept in the room so that every instance says the same.
//!
//! Only the time in which a line stood counts: a head that follows arrivals says nothing of the wait. Where little
//! was observed, the room's rate fills the gap, by weight of the time that is missing, so that a figure glides from
//! what is configured to what is seen and never jumps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// A bucket is long enough to hold several ticks and short enough that leaving the past is no jump.
pub const BUCKET_MS: u64 = 10_000;
/// The recent past: five minutes.
pub const BUCKETS: u64 = 30;
/// Entries a minute are counted over the last whole minute of buckets.
const MINUTE_BUCKETS: u64 = 60_000 / BUCKET_MS;
/// What is observed counts whole once it covers a minute …
const TRUSTED_MS: u64 = 60_000;
/// … and this many positions at the room's rate: a slow room moves by single places.
const TRUSTED_POSITIONS: u64 = 10;
/// The interval's least width each way, in thousandths of the speed.
const UNSURE_LEAST: u64 = 100;
/// What is taken from the slow end while nothing was observed …
const UNSEEN_SLOWER: u64 = 200;
/// … and added to the fast end: no-shows, whose places pass on, make a line faster than its rate.
const UNSEEN_FASTER: u64 = 400;
/// The slowest speed ever said: 1 / 50 of the rate. A line that stands still has a cause, and the page names it.
const SLOWEST: u64 = 50;

/// Speed of the head in thousandths of a position a minute: an interval, because a line is not a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// The slowest the head moved over any of the recent stretches, and somewhat less.
    pub low_milli: u64,
    /// Its speed over the whole recent past.
    pub likely_milli: u64,
    /// The fastest, and somewhat more.
    pub high_milli: u64,
}

/// What was observed in one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// How long a line stood and was to move.
    pub stood_ms: u64,
    /// Positions the head moved by in that time.
    pub moved: u64,
    /// Positions claimed.
    pub entered: u64,
}

impl Bucket {
    fn plus(self, other: Self) -> Self {
        Self {
            stood_ms: self.stood_ms + other.stood_ms,
            moved: self.moved + other.moved,
            entered: self.entered + other.entered,
        }
    }
}

/// The recent past of a room, by buckets of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    buckets: BTreeMap<u64, Bucket>,
}

impl FromIterator<(u64, Bucket)> for Observed {
    /// The recent past as another store keeps it: buckets by their number, counted from 1970.
    fn from_iter<I: IntoIterator<Item = (u64, Bucket)>>(buckets: I) -> Self {
        Self { buckets: buckets.into_iter().collect() }
    }
}

impl Observed {
    /// A line stood for `stood_ms` up to `now`.
    pub fn stood(&mut self, now: UnixMs, stood_ms: u64) {
        // A stretch longer than the recent past says no more than one as long.
        let stood_ms = stood_ms.min(BUCKETS * BUCKET_MS);
        if stood_ms > 0 {
            self.at(now).stood_ms += stood_ms;
        }
    }

    /// The head of a standing line moved by so many positions.
    pub fn moved(&mut self, now: UnixMs, positions: u64) {
        if positions > 0 {
            self.at(now).moved += positions;
        }
    }

    /// A visitor entered.
    pub fn entered(&mut self, now: UnixMs) {
        self.at(now).entered += 1;
    }

    /// Forgets how the line moved: the room's rate has changed.
    pub fn forget_moves(&mut self) {
        for bucket in self.buckets.values_mut() {
            *bucket = Bucket { entered: bucket.entered, ..Bucket::default() };
        }
    }

    /// Entries in the last whole minute of buckets.
    pub fn entering_per_minute(&self, now: UnixMs) -> u64 {
        let current = index(now);
        self.buckets.range(current.saturating_sub(MINUTE_BUCKETS)..current).map(|(_, bucket)| bucket.entered).sum()
    }

    /// Whether the figures will still change as time passes, though nothing happens.
    pub fn is_decaying(&self, now: UnixMs) -> bool {
        self.buckets.range(oldest(now)..).next().is_some()
    }

    /// The speed of the head; `standing_ms` is how long a line has stood since the last thing observed.
    pub fn pace(&self, now: UnixMs, standing_ms: u64, rate_per_minute: u64) -> Pace {
        // In whole buckets: a room in which nothing happens shows the same figures for ten seconds.
        let unseen =
            Bucket { stood_ms: (standing_ms / BUCKET_MS * BUCKET_MS).min(BUCKETS * BUCKET_MS), ..Bucket::default() };
        let stretches: Vec<Bucket> =
            self.buckets.range(oldest(now)..).map(|(_, bucket)| *bucket).chain([unseen]).collect();
        let trusted_ms = TRUSTED_MS.max(TRUSTED_POSITIONS * 60_000 / rate_per_minute.max(1));
        let all = stretches.iter().fold(Bucket::default(), |sum, bucket| sum.plus(*bucket));
        let likely = speed(all, trusted_ms, rate_per_minute);
        let (slowest, fastest) = extremes(&stretches, trusted_ms, rate_per_minute, likely);
        let missing_ms = trusted_ms.saturating_sub(all.stood_ms);
        let slower = UNSURE_LEAST + UNSEEN_SLOWER * missing_ms / trusted_ms;
        let faster = UNSURE_LEAST + UNSEEN_FASTER * missing_ms / trusted_ms;
        let floor = (rate_per_minute * 1000 / SLOWEST).max(1);
        Pace {
            low_milli: (slowest * (1000 - slower) / 1000).max(floor),
            likely_milli: likely.max(floor),
            high_milli: (fastest * (1000 + faster) / 1000).max(floor),
        }
    }

    fn at(&mut self, now: UnixMs) -> &mut Bucket {
        let oldest = oldest(now);
        while let Some(first) = self.buckets.first_entry()
            && *first.key() < oldest
        {
            first.remove();
        }
        self.buckets.entry(index(now)).or_default()
    }
}

fn index(now: UnixMs) -> u64 {
    now.0 / BUCKET_MS
}

fn oldest(now: UnixMs) -> u64 {
    (index(now) + 1).saturating_sub(BUCKETS)
}

/// Thousandths of a position a minute: what was seen, and the room's rate for the time that is missing.
fn speed(seen: Bucket, trusted_ms: u64, rate_per_minute: u64) -> u64 {
    let missing_ms = trusted_ms.saturating_sub(seen.stood_ms);
    let moved = u128::from(seen.moved) * 60_000 + u128::from(rate_per_minute) * u128::from(missing_ms);
    let speed = moved * 1000 / u128::from(seen.stood_ms + missing_ms);
    u64::try_from(speed).unwrap_or(u64::MAX).min(SPEED_MAX_MILLI)
}

/// Keeps the products with a speed in range: a hundred times the highest rate with the highest overcall.
const SPEED_MAX_MILLI: u64 = 1 << 50;

/// The slowest and the fastest stretch long enough to be trusted.
fn extremes(stretches: &[Bucket], trusted_ms: u64, rate_per_minute: u64, likely: u64) -> (u64, u64) {
    let (mut slowest, mut fastest) = (likely, likely);
    let mut stretch = Bucket::default();
    for bucket in stretches {
        stretch = stretch.plus(*bucket);
        if stretch.stood_ms >= trusted_ms {
            let speed = speed(stretch, trusted_ms, rate_per_minute);
            slowest = slowest.min(speed);
            fastest = fastest.max(speed);
            stretch = Bucket::default();
        }
    }
    (slowest, fastest)
}
