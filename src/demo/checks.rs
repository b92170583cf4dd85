//! The promises a run is held to, as plain functions over what was seen of it.
//!
//! From outside: the answers the crowd got, on the crowd's clock, where an entry happened some time between its
//! question and its answer. From inside: the room's own counters, on the room's clock.

use std::collections::{BTreeSet, HashMap};

/// How far the long-run rate may be off, in thousandths.
pub const RATE_TOLERANCE_PER_MILLE: u64 = 20;

/// From the opening to where the rate is measured: the burst is spent and the first calls have lapsed.
pub const SETTLING_MS: u64 = 10_000;

/// A stretch shorter than this says nothing about the rate: one call more or less would be more than the tolerance.
pub const SHORTEST_STRETCH_MS: u64 = 5_000;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds(String),
    Broken(String),
    /// The run gave nothing to measure, and why.
    NotMeasured(String),
}

/// The bounds the room promises, its settings being constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub rate_per_minute: u64,
    /// L of the room, in whole permits: what may enter beyond the rate over any window.
    pub surge: u64,
    pub opened_ms: u64,
}

/// One look at the room's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// On the room's clock.
    pub at_ms: u64,
    pub tail: u64,
    pub head: u64,
    pub entered: u64,
    pub lapsed: u64,
    pub waiting: u64,
    /// Whether there are so few units that the stock bounds the calls, and not the rate.
    pub is_short: bool,
}

/// One entry as a visitor saw it, in ms on the crowd's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub asked_ms: u64,
    pub answered_ms: u64,
}

/// Units of 1/60 000 permit: a rate a minute gains itself a millisecond.
const UNITS: i128 = 60_000;

/// No position twice, and none left out: what neither the crowd got nor the shop saw, others did, and no more than they.
/// `crowd` are the answers to its joins, `shop` the places of whoever it let in, `tail` the highest position issued
/// and `others` the joins that were answered and that the crowd did not hear: by hand, or too late.
pub fn positions(crowd: &[u64], shop: &BTreeSet<u64>, tail: u64, others: u64) -> Verdict {
    let mut known = BTreeSet::new();
    if let Some(twice) = crowd.iter().find(|position| !known.insert(**position)) {
        return Verdict::Broken(format!("position {twice} was issued twice"));
    }
    known.extend(shop);
    if let Some(outside) = known.iter().find(|position| !(1..=tail).contains(*position)) {
        return Verdict::Broken(format!("position {outside} was issued, beyond 1 to {tail}"));
    }
    match tail - known.len() as u64 {
        0 => Verdict::Holds(format!("1 to {tail}, each once")),
        gaps if gaps <= others => {
            Verdict::Holds(format!("1 to {tail}, each once, {gaps} of them by hand or never answered"))
        }
        gaps => Verdict::Broken(format!(
            "of 1 to {tail}, {gaps} went to nobody, and no more than {others} joins went unheard"
        )),
    }
}

/// One session a ticket and one ticket a session: `(position, session's name)` of every entry, both tabs' too.
pub fn sessions(entries: &[(u64, String)]) -> Verdict {
    let (mut by_position, mut by_name) = (HashMap::new(), HashMap::new());
    for (position, name) in entries {
        if *by_position.entry(position).or_insert(name) != name {
            return Verdict::Broken(format!("position {position} got two sessions"));
        }
        if *by_name.entry(name).or_insert(position) != position {
            return Verdict::Broken(format!("session {name} was given to two positions"));
        }
    }
    Verdict::Holds(format!("{} sessions, one a ticket", by_name.len()))
}

/// Over any window no more entries than the rate gives and L, by the room's own counters.
pub fn entries_inside(samples: &[Sample], bounds: Bounds) -> Verdict {
    let rate = i128::from(bounds.rate_per_minute);
    let mut lowest: Option<i128> = None;
    let mut worst = 0;
    for sample in samples {
        // Entries above the rate so far; the most that any window ending here gained is its rise above the lowest.
        let above = i128::from(sample.entered) * UNITS - rate * i128::from(sample.at_ms);
        let floor = *lowest.insert(lowest.map_or(above, |lowest| lowest.min(above)));
        worst = worst.max(above - floor);
    }
    within_surge(worst, bounds)
}

/// The same by the answers the crowd got: an entry counts for a window only if it was asked and answered in it.
pub fn entries_outside(entries: &[Entry], bounds: Bounds) -> Verdict {
    let rate = i128::from(bounds.rate_per_minute);
    let mut starts: Vec<u64> = entries.iter().map(|entry| entry.asked_ms).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut windows = Windows::new(starts.len());
    let mut by_end = entries.to_vec();
    by_end.sort_unstable_by_key(|entry| entry.answered_ms);
    let (mut worst, mut opened) = (0, 0);
    for entry in by_end {
        while let Some(start) = starts.get(opened).filter(|start| **start <= entry.answered_ms) {
            windows.open(opened, rate * i128::from(*start));
            opened += 1;
        }
        let started_by = starts.partition_point(|start| *start <= entry.asked_ms);
        windows.add_to_first(started_by, UNITS);
        worst = worst.max(windows.most() - rate * i128::from(entry.answered_ms));
    }
    within_surge(worst, bounds)
}

fn within_surge(worst: i128, bounds: Bounds) -> Verdict {
    // Rounded up: a part of a permit above the bound is above the bound.
    let most = (worst + UNITS - 1) / UNITS;
    let said = format!("at most {most} more than the rate in any window, {} allowed", bounds.surge);
    if most <= i128::from(bounds.surge) { Verdict::Holds(said) } else { Verdict::Broken(said) }
}

/// While a line stands, calls less returned permits follow the rate.
pub fn steady_rate(samples: &[Sample], bounds: Bounds) -> Verdict {
    let Some((first, last)) = standing_stretch(samples, bounds.opened_ms + SETTLING_MS) else {
        return Verdict::NotMeasured("no line stood for long enough after the opening".to_owned());
    };
    let length_ms = last.at_ms - first.at_ms;
    let called = (last.head - last.lapsed).saturating_sub(first.head - first.lapsed);
    let wanted = bounds.rate_per_minute * length_ms;
    let off = (called * 60_000).abs_diff(wanted);
    let per_minute = called * 60_000 / length_ms;
    let said = format!("{per_minute} a minute over {} s, the rate is {}", length_ms / 1_000, bounds.rate_per_minute);
    // One permit of grace: both ends of the stretch cut one short.
    if off * 1_000 <= wanted * RATE_TOLERANCE_PER_MILLE + 60_000_000 {
        Verdict::Holds(said)
    } else {
        Verdict::Broken(said)
    }
}

/// The first unbroken stretch from `from_ms` on in which somebody waits and nothing but the rate bounds the calls, if
/// it is long enough to measure.
pub fn standing_stretch(samples: &[Sample], from_ms: u64) -> Option<(Sample, Sample)> {
    let stands = |sample: &Sample| sample.waiting > 0 && !sample.is_short;
    let mut standing = samples.iter().skip_while(|sample| sample.at_ms < from_ms || !stands(sample));
    let first = *standing.next()?;
    let last = *standing.take_while(|sample| stands(sample)).last()?;
    (last.at_ms - first.at_ms >= SHORTEST_STRETCH_MS).then_some((first, last))
}

/// For each start of a window the value of that window so far: adds to all up to a start and finds the most, in
/// logarithmic time (a segment tree whose nodes hold what was added to all below them).
struct Windows {
    leaves: usize,
    most: Vec<i128>,
    added: Vec<i128>,
}

/// What a window that is not open yet is below any other: far beyond all rates and times, and far from overflowing.
const NOT_OPEN: i128 = 1 << 100;

impl Windows {
    /// None open yet.
    fn new(starts: usize) -> Self {
        let leaves = starts.next_power_of_two();
        Self { leaves, most: vec![-NOT_OPEN; 2 * leaves], added: vec![0; 2 * leaves] }
    }

    /// Opens the window of that start, the starts before it being open.
    fn open(&mut self, index: usize, value: i128) {
        self.add_to_first(index + 1, NOT_OPEN + value);
        self.add_to_first(index, -NOT_OPEN - value);
    }

    fn add_to_first(&mut self, count: usize, amount: i128) {
        self.add(1, self.leaves, count, amount);
    }

    fn add(&mut self, node: usize, width: usize, count: usize, amount: i128) {
        if count == 0 {
            return;
        }
        if count >= width {
            self.most[node] += amount;
            self.added[node] += amount;
            return;
        }
        let half = width / 2;
        self.add(2 * node, half, count.min(half), amount);
        self.add(2 * node + 1, half, count.saturating_sub(half), amount);
        self.most[node] = self.most[2 * node].max(self.most[2 * node + 1]) + self.added[node];
    }

    fn most(&self) -> i128 {
        self.most[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { rate_per_minute: 600, surge: 5, opened_ms: 0 };

    fn is_broken(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Broken(_))
    }

    /// A room at its rate of ten a second, from 0 to `seconds`, a line standing.
    fn at_rate(seconds: u64) -> Vec<Sample> {
        let sample = |i: u64| {
            let (at_ms, is_short) = (i * 100, false);
            Sample { at_ms, tail: 9_999, head: i + 10, entered: i, lapsed: 2, waiting: 50, is_short }
        };
        (0..=seconds * 10).map(sample).collect()
    }

    #[test]
    fn a_position_twice_or_left_out_is_seen() {
        let check = |crowd: &[u64], shop: &[u64], others| positions(crowd, &shop.iter().copied().collect(), 3, others);
        assert_eq!(check(&[3, 1, 2], &[2], 0), Verdict::Holds("1 to 3, each once".to_owned()));
        assert!(is_broken(&check(&[1, 2, 2], &[], 0)));
        assert!(is_broken(&check(&[1, 3], &[], 0)));
        assert!(!is_broken(&check(&[1, 3], &[2], 0)), "somebody came in by hand");
        assert!(!is_broken(&check(&[1, 3], &[], 1)), "somebody joined by hand");
        assert!(is_broken(&check(&[1, 4], &[], 9)));
        assert!(is_broken(&check(&[0, 1], &[], 9)));
    }

    #[test]
    fn two_sessions_for_one_ticket_are_seen_and_two_tabs_are_not() {
        let entry = |position, name: &str| (position, name.to_owned());
        assert!(!is_broken(&sessions(&[entry(1, "a"), entry(1, "a"), entry(2, "b")])));
        assert!(is_broken(&sessions(&[entry(1, "a"), entry(1, "b")])));
        assert!(is_broken(&sessions(&[entry(1, "a"), entry(2, "a")])));
    }

    #[test]
    fn a_surge_above_l_is_seen_from_inside() {
        let mut samples = at_rate(20);
        assert!(!is_broken(&entries_inside(&samples, BOUNDS)));
        samples[100..].iter_mut().for_each(|sample| sample.entered += 5);
        assert!(!is_broken(&entries_inside(&samples, BOUNDS)), "five at once are allowed");
        samples[100..].iter_mut().for_each(|sample| sample.entered += 1);
        assert!(is_broken(&entries_inside(&samples, BOUNDS)));
    }

    #[test]
    fn a_surge_above_l_is_seen_from_outside_and_slow_answers_are_no_surge() {
        let entry = |asked_ms, answered_ms| Entry { asked_ms, answered_ms };
        let surge = |n: usize| vec![entry(1_000, 1_001); n];
        assert!(!is_broken(&entries_outside(&surge(5), BOUNDS)));
        assert!(is_broken(&entries_outside(&surge(7), BOUNDS)));
        let slow: Vec<Entry> = (0..100).map(|i| entry(i * 100, 10_000)).collect();
        assert!(!is_broken(&entries_outside(&slow, BOUNDS)));
        assert!(!is_broken(&entries_outside(&[], BOUNDS)));
    }

    #[test]
    fn the_tree_of_windows_finds_what_trying_all_windows_finds() {
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let entries: Vec<Entry> = (0..draw(40))
                .map(|_| {
                    let asked_ms = draw(3_000);
                    Entry { asked_ms, answered_ms: asked_ms + draw(300) }
                })
                .collect();
            let in_window = |from, to| entries.iter().filter(|e| e.asked_ms >= from && e.answered_ms <= to).count();
            let above = |from: u64, to: u64| {
                if to < from {
                    return 0;
                }
                i128::try_from(in_window(from, to)).unwrap() * UNITS - 600 * (i128::from(to) - i128::from(from))
            };
            let all = entries.iter().flat_map(|a| entries.iter().map(move |b| above(a.asked_ms, b.answered_ms)));
            let most = u64::try_from((all.max().unwrap_or(0).max(0) + UNITS - 1) / UNITS).unwrap();
            let exactly = Bounds { surge: most, ..BOUNDS };
            assert!(!is_broken(&entries_outside(&entries, exactly)));
            if most > 0 {
                assert!(is_broken(&entries_outside(&entries, Bounds { surge: most - 1, ..BOUNDS })));
            }
        }
    }

    #[test]
    fn a_rate_off_by_more_than_two_per_cent_is_seen() {
        let steady = at_rate(60);
        assert!(matches!(steady_rate(&steady, BOUNDS), Verdict::Holds(_)));
        let scaled = |per_mille: u64| -> Vec<Sample> {
            steady.iter().map(|s| Sample { head: 10 + (s.head - 10) * per_mille / 1_000, ..*s }).collect()
        };
        assert!(!is_broken(&steady_rate(&scaled(985), BOUNDS)));
        assert!(is_broken(&steady_rate(&scaled(970), BOUNDS)));
        assert!(is_broken(&steady_rate(&scaled(1_030), BOUNDS)));
    }

    #[test]
    fn the_rate_is_not_measured_without_a_line() {
        assert!(matches!(steady_rate(&at_rate(12), BOUNDS), Verdict::NotMeasured(_)));
        let mut gone = at_rate(60);
        gone[120..].iter_mut().for_each(|sample| sample.waiting = 0);
        assert!(matches!(steady_rate(&gone, BOUNDS), Verdict::NotMeasured(_)));
    }

    #[test]
    fn the_rate_is_not_measured_where_there_is_nothing_to_call_for() {
        let mut short = at_rate(60);
        let head = short[300].head;
        short[300..].iter_mut().for_each(|sample| (sample.is_short, sample.head) = (true, head));
        assert!(matches!(steady_rate(&short, BOUNDS), Verdict::Holds(_)), "as long as there was something");
        short[120..].iter_mut().for_each(|sample| sample.is_short = true);
        assert!(matches!(steady_rate(&short, BOUNDS), Verdict::NotMeasured(_)));
    }
}
