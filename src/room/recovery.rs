//! What a room is told after its store has lost the last moments, and what it makes of it.
//!
//! Instances remember the rows that they were told: sessions, calls, the line's ends. They tell all of them again, in any
//! order; each takes the room forward only, so that what is told twice, or late, does no harm. At the end
//! [`Room::recover`](super::Room::recover) draws the line: what was poured out in the lost moments is not poured out again, and nobody who may
//! have entered then enters twice.

use std::collections::BTreeMap;

use super::{
    command::{Epoch, Position, Session},
    settings::Rules,
};
use crate::time::UnixMs;

/// One row that an instance remembers.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The settings, as they were last passed on.
    Settings { version: u64, first_epoch: Epoch, rules: Rules },
    /// The ends of the line, how many positions were issued, and how many have entered.
    Figures { epoch: Epoch, tail: Position, head: Position, joins: u64, entered: u64 },
    /// A range that the tail has jumped over.
    Void { epoch: Epoch, first: Position, last: Position },
    /// A session; `undecided` as long as a unit is meant for its visitor.
    Inside { session: Session, undecided: Option<UnixMs> },
    /// A position whose session is over, or that was given back.
    Over { epoch: Epoch, position: Position },
    /// An open call.
    Called { epoch: Epoch, first: Position, last: Position, deadline: UnixMs },
}

/// What was told and waits for the end of the recovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Of which line.
    pub(super) epoch: Epoch,
    pub(super) head: Position,
    pub(super) entered: u64,
    /// The tail that the store had kept, before anything was told.
    pub(super) kept: Option<Position>,
    /// First position, last position, deadline.
    pub(super) calls: BTreeMap<Position, (Position, UnixMs)>,
    /// The room was missing altogether.
    pub(super) rebuilt: bool,
}

/// Whether all who may remember something were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    All,
    /// Not all; and the number of the term that begins: above that of every other in which somebody may have issued positions.
    NotAll {
        term: u64,
    },
    /// The room is in service again: one of those who were not heard comes late.
    Late,
}

impl Fact {
    /// The line it is of.
    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Settings { first_epoch, .. } => *first_epoch,
            Self::Inside { session, .. } => session.name.epoch,
            Self::Figures { epoch, .. }
            | Self::Void { epoch, .. }
            | Self::Over { epoch, .. }
            | Self::Called { epoch, .. } => *epoch,
        }
    }
}
