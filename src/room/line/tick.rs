//! The tick: sessions end, calls lapse, credit grows, the head moves.

use super::Room;
use crate::{
    room::{
        bounds::{GROWTH_MS, PERMIT},
        calls::{Cost, Made},
        command::Position,
        view::Phase,
    },
    time::UnixMs,
};

impl Room {
    /// Brings the room to `now`, if anything but credit would change; says whether it did.
    pub(super) fn tick(&mut self, now: UnixMs) -> bool {
        let due = self.sessions.is_due(now) || self.calls.is_due(now) || self.would_call(now);
        if due {
            self.settle(now);
        }
        due
    }

    /// Ticks whole, changes the room, and lets the head move on what the change has made free.
    pub(super) fn change<T>(&mut self, now: UnixMs, act: impl FnOnce(&mut Self) -> T) -> T {
        self.settle(now);
        let before = self.mark();
        let result = act(self);
        self.advance(now);
        self.observe(now, before);
        result
    }

    /// The tick, credit and clock included. Twice at the same `now` is once.
    pub(super) fn settle(&mut self, now: UnixMs) {
        self.settle_with(now, |_| ());
    }

    /// The tick, with something learned before anybody is called: nobody shall be called for what is no longer so.
    pub(super) fn settle_with(&mut self, now: UnixMs, learn: impl FnOnce(&mut Self)) {
        if self.head < self.tail {
            self.observed.stood(now, self.figures().moving_ms(now));
        }
        let before = self.mark();
        self.sessions.end_due(now);
        self.lapse_due(now);
        self.credit = self.credit_at(now);
        self.last = now;
        learn(self);
        self.advance(now);
        self.observe(now, before);
    }

    /// Where the head stands, if a line stands behind it and has been moving.
    fn mark(&self) -> Option<Position> {
        let moving = self.phase(self.last) == Phase::Running && self.last < self.figures().stocked_until();
        (self.head < self.tail && moving).then_some(self.head)
    }

    /// Notes how far the head of a standing line moved. One that merely follows arrivals, or pours out what stood
    /// ready at an opening, says nothing of the wait.
    fn observe(&mut self, now: UnixMs, before: Option<Position>) {
        if let Some(head) = before {
            self.observed.moved(now, self.head.saturating_sub(head));
        }
    }

    /// Moves the head as far as permits, cap and mode allow, and cuts the credit nobody waited for.
    pub(super) fn advance(&mut self, now: UnixMs) {
        match self.phase(now) {
            Phase::Running => {
                let called = self.pass_over(now, self.callable(now, self.credit), Cost::Permit);
                self.credit -= called * PERMIT;
            }
            Phase::Free => {
                self.pass_over(now, u64::MAX, Cost::Free);
            }
            Phase::Scheduled | Phase::Paused | Phase::Closed => {}
        }
        self.credit = self.credit.min(self.rules.ready_units());
    }

    fn would_call(&self, now: UnixMs) -> bool {
        let next_left = || self.claimed.contains(self.head + 1) || self.voids.of(self.head + 1).is_some();
        match self.phase(now) {
            Phase::Running => {
                self.head < self.tail && (next_left() || self.figures().callable(now, self.credit_at(now)) > 0)
            }
            Phase::Free => self.head < self.tail,
            Phase::Scheduled | Phase::Paused | Phase::Closed => false,
        }
    }

    /// Counts what nobody claimed in calls whose deadline has come; their permits go to the next in line.
    fn lapse_due(&mut self, now: UnixMs) {
        while let Some(call) = self.calls.pop_due(now) {
            let unclaimed = self.claimed.count_unset(call.first, call.last);
            self.lapse(unclaimed, call.cost);
        }
    }

    /// Counts `count` outstanding positions as lapsed and takes their permits back.
    ///
    /// Never above the ceiling: after a lowered rate the permits of the old one must not go round for ever.
    pub(super) fn lapse(&mut self, count: u64, cost: Cost) {
        self.lapsed += count;
        if cost == Cost::Permit {
            let returned = self.credit.saturating_add(count.saturating_mul(PERMIT));
            self.credit = self.credit.max(returned.min(self.figures().units_to_ceiling_of(0)));
        }
    }

    /// The credit at `now`, grown since the last change. Before the opening nobody is called and only what may
    /// stand ready is kept, so growth across it is split there.
    pub(super) fn credit_at(&self, now: UnixMs) -> u64 {
        match self.rules.opens_at.filter(|opens| self.last < *opens && *opens <= now) {
            None => self.grown(self.credit, now.since(self.last)),
            Some(opens) => {
                let held = self.grown(self.credit, opens.since(self.last)).min(self.rules.ready_units());
                self.grown(held, now.since(opens))
            }
        }
    }

    /// Credit after `ms` of growth: not above the ceiling less what is outstanding, and not above what may stand
    /// ready plus a second's growth (or as much again), so that a room nobody ticked does not pour out the gap.
    /// The sum is bounded and not the growth alone: a slow room's credit is left untouched for many ticks, and
    /// the time its last tick came late must not be lost.
    fn grown(&self, credit: u64, ms: u64) -> u64 {
        let ready = self.rules.ready_units();
        let gap = ready + ready.max(self.rules.rate_per_minute * GROWTH_MS);
        let growth = self.rules.rate_per_minute.saturating_mul(ms);
        let grown = credit.saturating_add(growth).min(gap).min(self.figures().units_to_ceiling_of(0));
        credit.max(grown)
    }

    /// How many of those in line may be called with this much credit: one less while a permit is owed.
    pub(super) fn callable(&self, now: UnixMs, credit: u64) -> u64 {
        self.figures().callable(now, credit).saturating_sub(u64::from(now < self.owed_until))
    }

    /// Moves the head over up to `limit` positions that wait, and over any given back among and right after them and
    /// over what the tail has jumped, which take no permit. Returns how many were called.
    fn pass_over(&mut self, now: UnixMs, limit: u64, cost: Cost) -> u64 {
        let mut called = 0;
        while self.head < self.tail {
            if let Some(void) = self.voids.of(self.head + 1) {
                let last = void.last.min(self.tail);
                self.lapsed += last - self.head;
                self.head = last;
                continue;
            }
            let end = self.voids.after(self.head).map_or(self.tail, |void| self.tail.min(void.first - 1));
            called += self.pass_to(end, now, limit - called, cost);
            if self.head < end {
                break;
            }
        }
        called
    }

    /// The same as far as `end`, with no jump before it.
    fn pass_to(&mut self, end: Position, now: UnixMs, limit: u64, cost: Cost) -> u64 {
        let (start, mut called) = (self.head, 0);
        while self.head < end {
            let next = self.head + 1;
            let Some(waits) = self.claimed.next_unset(next, end) else {
                self.lapsed += end - self.head;
                self.head = end;
                break;
            };
            self.lapsed += waits - next;
            self.head = waits - 1;
            if called == limit {
                break;
            }
            let run_end = self.claimed.next_set(waits, end).map_or(end, |left| left - 1);
            let taken = (run_end - self.head).min(limit - called);
            self.head += taken;
            called += taken;
        }
        if called > 0 {
            let made = Made { first: start + 1, last: self.head, cost };
            self.calls.add(made, now, self.rules.claim_window_ms, &self.claimed);
        }
        called
    }
}
