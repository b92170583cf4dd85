//! The ordered events a sale has emitted, appended in the same step as the change they tell of.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{
    command::{Buyer, OrderRef, ReservationId, Sku},
    units::Units,
    view::Item,
};
use crate::time::UnixMs;

/// Events between two checkpoints: what a reader that fell behind the trimmed past folds at most to catch up.
pub const CHECKPOINT_EVERY: u64 = 10_000;

/// The most events kept: a reader further behind starts again at the oldest checkpoint.
pub const KEPT_EVENTS_MAX: usize = 100_000;

/// One event, numbered without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub time: UnixMs,
    pub kind: EventKind,
}

/// How much of what was once reserved a confirmation sold. What it returned does not tell: of an expired hold it takes
/// only what it sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    Whole,
    Part,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// From available to held.
    Held { id: ReservationId, buyer: Option<Buyer>, lines: Units, deadline: UnixMs },
    /// `lines` from held to sold, `returned` from held to available; the buyer again, because `held` may be trimmed.
    Confirmed { id: ReservationId, buyer: Option<Buyer>, order: OrderRef, lines: Units, returned: Units, share: Share },
    /// From held to available, by the buyer or the shop.
    Released { id: ReservationId, lines: Units },
    /// From held to available, by its deadline.
    Expired { id: ReservationId, lines: Units },
    /// Paid after the hold had died, and refused: to be refunded.
    PaidTooLate { id: ReservationId, order: OrderRef, lines: Units },
    /// Nothing available, but some held.
    AllHeld { sku: Sku },
    /// Nothing available, nothing held.
    SoldOut { sku: Sku },
    /// Available again after none was.
    Returned { sku: Sku, available: u64 },
    /// Total and available changed by `delta`.
    Restocked { sku: Sku, delta: i64 },
    /// The books at this point: what came before may be trimmed.
    Checkpoint { items: Vec<Item> },
    /// Held when the store lost its last moments, and sold or held by others before it was told so: gone.
    Lost { id: ReservationId, buyer: Option<Buyer>, lines: Units },
    /// The store has lost its last moments: whatever came after `to_seq` in older terms did not happen, or is told again.
    Rewound { term: u64, to_seq: u64 },
}

/// The events kept, oldest first. What is kept starts at the sale's beginning or at a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    seq: u64,
    /// The trimmed past that has not been taken apart yet, and then the events kept.
    events: VecDeque<Event>,
    /// How many at the front are trimmed. What is trimmed at once is taken apart little by little: ten thousand events
    /// take milliseconds.
    trimmed: usize,
    /// Numbers of the checkpoints among the kept.
    checkpoints: VecDeque<u64>,
}

/// Trimmed events taken apart for each that comes, so that they are gone long before more are trimmed.
const TAKEN_APART: usize = 2;

impl PartialEq for Outbox {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq && self.kept().eq(other.kept()) && self.checkpoints == other.checkpoints
    }
}

impl Eq for Outbox {}

impl Outbox {
    /// The number of the last event; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// At most `limit` events after number `after`, oldest first; from the oldest kept if that is later.
    pub fn after(&self, after: u64, limit: usize) -> Vec<Event> {
        let skip = usize::try_from(after.saturating_add(1).saturating_sub(self.first())).unwrap_or(usize::MAX);
        self.events.range(self.trimmed + skip.min(self.len())..).take(limit).cloned().collect()
    }

    fn kept(&self) -> impl Iterator<Item = &Event> {
        self.events.range(self.trimmed..)
    }

    /// The number of the oldest event kept; of the next one if none is.
    pub(super) fn first(&self) -> u64 {
        self.events.get(self.trimmed).map_or(self.seq + 1, |event| event.seq)
    }

    /// How many events are kept.
    pub(super) fn len(&self) -> usize {
        self.events.len() - self.trimmed
    }

    /// An outbox of the events kept, without gaps up to number `seq`.
    pub(super) fn of(seq: u64, kept: VecDeque<Event>) -> Self {
        let is_checkpoint = |event: &&Event| matches!(event.kind, EventKind::Checkpoint { .. });
        let checkpoints = kept.iter().filter(is_checkpoint).map(|event| event.seq).collect();
        Self { seq, events: kept, trimmed: 0, checkpoints }
    }

    pub(super) fn append(&mut self, time: UnixMs, kind: EventKind) {
        self.seq += 1;
        if matches!(kind, EventKind::Checkpoint { .. }) {
            self.checkpoints.push_back(self.seq);
        }
        let apart = self.trimmed.min(TAKEN_APART);
        self.events.drain(..apart);
        self.trimmed -= apart;
        self.events.push_back(Event { seq: self.seq, time, kind });
    }

    /// Whether so much has happened since the last checkpoint that another is due.
    pub(super) fn checkpoint_due(&self) -> bool {
        self.seq >= self.checkpoints.back().copied().unwrap_or(0) + CHECKPOINT_EVERY
    }

    /// Drops the past up to the oldest checkpoint that brings the rest within the bound.
    pub(super) fn trim(&mut self) {
        while self.len() > KEPT_EVENTS_MAX
            && let Some(checkpoint) = self.next_checkpoint()
        {
            // Without gaps, so that numbers tell places.
            let before = usize::try_from(checkpoint - self.first()).unwrap_or(usize::MAX);
            self.trimmed += before.min(self.len());
        }
    }

    /// The oldest checkpoint that is not the very front already.
    fn next_checkpoint(&mut self) -> Option<u64> {
        let front = self.first();
        while self.checkpoints.front().is_some_and(|seq| *seq <= front) {
            self.checkpoints.pop_front();
        }
        self.checkpoints.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trimmed_is_gone_at_once_and_taken_apart_before_more_is() {
        let mut outbox = Outbox::default();
        let mut trims = 0;
        for _ in 0..KEPT_EVENTS_MAX + 3 * CHECKPOINT_EVERY as usize {
            outbox.append(UnixMs(1), EventKind::Rewound { term: 1, to_seq: 0 });
            if outbox.checkpoint_due() {
                assert_eq!(outbox.trimmed, 0, "of the last time");
                outbox.append(UnixMs(1), EventKind::Checkpoint { items: Vec::new() });
                outbox.trim();
                trims += usize::from(outbox.trimmed > 0);
            }
            assert!(outbox.len() <= KEPT_EVENTS_MAX + CHECKPOINT_EVERY as usize);
            assert_eq!(outbox.after(0, 1)[0].seq, outbox.first());
        }
        assert!(trims >= 2, "{trims} times");
        let kept = outbox.after(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].seq), (outbox.len(), outbox.first()));
        assert!(matches!(kept[0].kind, EventKind::Checkpoint { .. }));
        assert_eq!(Outbox::of(outbox.seq(), kept.into()), outbox, "whatever is still to be taken apart");
    }
}
