//! The live sessions of a room, by position and by deadline.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::{Position, Tag};
use crate::time::UnixMs;

/// One live session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub tag: Tag,
    pub start: UnixMs,
    pub deadline: UnixMs,
    /// When the entry pass was issued that the latest browser exchanged; 0 before the first.
    pub exchanged: UnixMs,
}

/// All live sessions. Ordered by deadline too: ending those that are due must not look at the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    by_position: BTreeMap<Position, Live>,
    by_deadline: BTreeSet<(UnixMs, Position)>,
}

impl Sessions {
    /// How many live.
    pub fn count(&self) -> u64 {
        self.by_position.len() as u64
    }

    /// The session of a position, while it lives.
    pub fn get(&self, position: Position) -> Option<&Live> {
        self.by_position.get(&position)
    }

    /// Starts a session, or puts it in the place of the position's earlier state.
    pub fn put(&mut self, position: Position, live: Live) {
        self.end(position);
        self.by_position.insert(position, live);
        self.by_deadline.insert((live.deadline, position));
    }

    /// Ends a session, if it lives.
    pub fn end(&mut self, position: Position) {
        if let Some(live) = self.by_position.remove(&position) {
            self.by_deadline.remove(&(live.deadline, position));
        }
    }

    /// Whether a session's deadline has come.
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.by_deadline.first().is_some_and(|(deadline, _)| *deadline <= now)
    }

    /// Ends every session whose deadline has come.
    pub fn end_due(&mut self, now: UnixMs) {
        while let Some((deadline, position)) = self.by_deadline.first().copied()
            && deadline <= now
        {
            self.end(position);
        }
    }
}
