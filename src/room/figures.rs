//! The figures of a room: all that it shows of itself is made of these, whatever store keeps the rest.

use super::{
    bounds::{PERMIT, TIME_MAX_MS},
    command::{Epoch, Position},
    pace::Observed,
    settings::{Mode, Rules, StockGate},
    stock::Stock,
    view::{HeldBack, Phase, View},
    voids::Voids,
};
use crate::time::UnixMs;

/// A room's counters and settings, as of its last change.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// The count of recoveries after the store lost something; 0 on the embedded store.
    pub term: u64,
    /// The version of the settings in force.
    pub version: u64,
    pub rules: &'a Rules,
    pub epoch: Epoch,
    pub last: UnixMs,
    pub tail: Position,
    pub head: Position,
    pub entered: u64,
    pub lapsed: u64,
    /// In units of 1/60 000 permit.
    pub credit: u64,
    /// Live sessions.
    pub inside: u64,
    /// Of those, how many have not reserved yet.
    pub undecided: u64,
    pub observed: &'a Observed,
    pub stock: Option<Stock>,
    pub voids: &'a Voids,
}

impl Figures<'_> {
    /// The room's time at `now`: never before its last change, never past the end of time.
    pub(super) fn at(&self, now: UnixMs) -> UnixMs {
        UnixMs(now.0.min(TIME_MAX_MS)).max(self.last)
    }

    /// What the room shows of itself at `now`.
    pub fn view(&self, now: UnixMs) -> View {
        let now = self.at(now);
        let standing_ms = if self.head < self.tail { self.moving_ms(now) } else { 0 };
        View {
            now,
            version: self.version,
            epoch: self.epoch,
            term: self.term,
            phase: self.phase(now),
            mode: self.rules.mode,
            rate_per_minute: self.rules.rate_per_minute,
            opens_at: self.rules.opens_at,
            closes_at: self.rules.closes_at,
            tail: self.tail,
            head: self.head,
            entered: self.entered,
            lapsed: self.lapsed,
            inside: self.inside,
            pace: self.observed.pace(now, standing_ms, self.rules.rate_per_minute),
            entering_per_minute: self.observed.entering_per_minute(now),
            held_back: self.held_back(now),
            decaying: self.observed.is_decaying(now),
            stock: self.stock,
            undecided: self.undecided,
            voids: self.voids.beyond(self.head),
        }
    }

    /// What the room is doing at `now`. A closed room is closed whatever else, then the opening comes before the mode.
    pub(super) fn phase(&self, now: UnixMs) -> Phase {
        let closed = self.rules.mode == Mode::Closed || self.rules.closes_at.is_some_and(|at| at <= now);
        match self.rules.mode {
            _ if closed => Phase::Closed,
            _ if self.rules.opens_at.is_some_and(|at| now < at) => Phase::Scheduled,
            Mode::Open => Phase::Free,
            Mode::Hold => Phase::Paused,
            Mode::Queue | Mode::Closed => Phase::Running,
        }
    }

    /// Positions called whose visitors may still claim.
    pub(super) fn outstanding(&self) -> u64 {
        self.head - self.entered - self.lapsed
    }

    /// How many stand before a position beyond the head.
    pub(super) fn ahead(&self, position: Position) -> u64 {
        self.voids.places(self.head, position - 1)
    }

    fn held_back(&self, now: UnixMs) -> Option<HeldBack> {
        if self.phase(now) != Phase::Running || self.head == self.tail {
            None
        } else if self.spare_places() == 0 {
            Some(HeldBack::ShopFull)
        } else if self.spare_units(now) == 0 {
            Some(HeldBack::Stock)
        } else if self.units_to_ceiling_of(self.credit) < PERMIT {
            Some(HeldBack::NoShows)
        } else {
            None
        }
    }

    /// How many may be called with this much credit under the cap and for the units there are.
    pub(super) fn callable(&self, now: UnixMs, credit: u64) -> u64 {
        (credit / PERMIT).min(self.spare_places()).min(self.spare_units(now))
    }

    /// How many more may be called before sessions and unclaimed calls reach the cap.
    fn spare_places(&self) -> u64 {
        let taken = self.inside + self.outstanding();
        self.rules.max_active.map_or(u64::MAX, |cap| cap.saturating_sub(taken))
    }

    /// Units of credit that may still grow before this much credit and the outstanding calls reach the ceiling.
    pub(super) fn units_to_ceiling_of(&self, credit: u64) -> u64 {
        let taken = self.outstanding().saturating_mul(PERMIT).saturating_add(credit);
        self.rules.ceiling_units().saturating_sub(taken)
    }

    /// How many more may be called for the units there are.
    fn spare_units(&self, now: UnixMs) -> u64 {
        if self.rules.stock_gate != StockGate::Hold {
            return u64::MAX;
        }
        let meant_for_others = self.outstanding().saturating_add(self.undecided);
        let known = self.stock.filter(|stock| now < stock.good_until());
        known.map_or(0, |stock| stock.reservable().saturating_sub(meant_for_others))
    }

    /// Until when, after the last change, the stock let the line move.
    pub(super) fn stocked_until(&self) -> UnixMs {
        match self.stock {
            _ if self.rules.stock_gate != StockGate::Hold => UnixMs(u64::MAX),
            Some(stock) if self.spare_units(self.last) > 0 => stock.good_until(),
            _ => self.last,
        }
    }

    /// For how long since the last change, up to `now`, the line was to move.
    pub(super) fn moving_ms(&self, now: UnixMs) -> u64 {
        if self.rules.mode != Mode::Queue {
            return 0;
        }
        let from = self.rules.opens_at.map_or(self.last, |opens| opens.max(self.last));
        let to = self.rules.closes_at.map_or(now, |closes| closes.min(now)).min(self.stocked_until());
        to.since(from)
    }
}
