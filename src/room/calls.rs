//! The calls whose visitors may still claim: ranges of positions, each with the deadline of its claims.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    bounds::{CALLS_GAP_MAX, CALLS_MAX, CALLS_PER_WINDOW},
    claimed::Claimed,
    command::Position,
};
use crate::time::UnixMs;

/// What a call has cost, and so what it gives back when it lapses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cost {
    /// One permit a position.
    Permit,
    /// Nothing: called in mode `open`.
    Free,
}

/// One checkpoint: the positions from `first` to its key, all with one deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub first: Position,
    pub last: Position,
    pub deadline: UnixMs,
    pub cost: Cost,
}

/// Positions just called.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub first: Position,
    pub last: Position,
    pub cost: Cost,
}

/// All open calls. Deadlines need not rise with the positions: a shorter claim window keeps older promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    by_last: BTreeMap<Position, Call>,
    by_deadline: BTreeSet<(UnixMs, Position)>,
}

impl Calls {
    /// Adds a call made at `now`, of positions after all that were called before.
    ///
    /// Its deadline is rounded up to a 240th of the window: calls of one such slot share a checkpoint, and a
    /// promised deadline never moves. They do so only where all between them is `resolved`: positions that have lapsed
    /// meanwhile must not be called again.
    pub fn add(&mut self, made: Made, now: UnixMs, window_ms: u64, resolved: &Claimed) {
        let slot_ms = (window_ms / CALLS_PER_WINDOW).max(1);
        let deadline = UnixMs(now.plus_ms(window_ms).0.div_ceil(slot_ms) * slot_ms);
        let mut call = Call { first: made.first, last: made.last, deadline, cost: made.cost };
        let full = self.by_last.len() >= CALLS_MAX;
        let is_like = |before: &Call| full || (before.deadline == deadline && before.cost == made.cost);
        if let Some(before) = self.latest().filter(|b| is_like(b) && are_neighbours(b.last, made.first, resolved)) {
            self.remove(before);
            call = merged(before, call);
        }
        self.put(call);
    }

    /// Adds a call as it is, of positions after all that were called before.
    pub fn put(&mut self, call: Call) {
        self.by_last.insert(call.last, call);
        self.by_deadline.insert((call.deadline, call.last));
    }

    /// None of them gives anything back any more.
    pub fn make_free(&mut self) {
        self.by_last.values_mut().for_each(|call| call.cost = Cost::Free);
    }

    /// All of them, in the order of the line.
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.by_last.values()
    }

    /// The call that `position` belongs to, if it is still open.
    pub fn of(&self, position: Position) -> Option<&Call> {
        let (_, call) = self.by_last.range(position..).next()?;
        (call.first <= position).then_some(call)
    }

    /// Whether a call's deadline has come.
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.by_deadline.first().is_some_and(|(deadline, _)| *deadline <= now)
    }

    /// Takes out a call whose deadline has come.
    pub fn pop_due(&mut self, now: UnixMs) -> Option<Call> {
        let (_, last) = *self.by_deadline.first().filter(|(deadline, _)| *deadline <= now)?;
        let call = *self.by_last.get(&last)?;
        self.remove(call);
        Some(call)
    }

    fn latest(&self) -> Option<Call> {
        self.by_last.last_key_value().map(|(_, call)| *call)
    }

    fn remove(&mut self, call: Call) {
        self.by_last.remove(&call.last);
        self.by_deadline.remove(&(call.deadline, call.last));
    }
}

/// Whether nobody who stands between could be called again by mistake.
fn are_neighbours(last: Position, first: Position, resolved: &Claimed) -> bool {
    first - last - 1 <= CALLS_GAP_MAX && resolved.next_unset(last + 1, first - 1).is_none()
}

/// One call of two neighbours. Nobody's deadline gets shorter, and no permit comes back that was not spent.
fn merged(before: Call, after: Call) -> Call {
    let cost = if before.cost == Cost::Permit { after.cost } else { Cost::Free };
    Call { first: before.first, last: after.last, deadline: before.deadline.max(after.deadline), cost }
}
