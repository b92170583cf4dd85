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
    /// Until when a unit is meant for this visitor, who has not reserved yet.
    pub undecided: Option<UnixMs>,
}

/// All live sessions. Ordered by deadline too: ending those that are due must not look at the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    by_position: BTreeMap<Position, Live>,
    by_deadline: BTreeSet<(UnixMs, Position)>,
    /// Those who have not reserved yet, by the time until which a unit is meant for them: the longest inside first.
    undecided: BTreeSet<(UnixMs, Position)>,
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
        self.undecided.extend(live.undecided.map(|until| (until, position)));
    }

    /// Ends a session, if it lives.
    pub fn end(&mut self, position: Position) {
        if let Some(live) = self.by_position.remove(&position) {
            self.by_deadline.remove(&(live.deadline, position));
            if let Some(until) = live.undecided {
                self.undecided.remove(&(until, position));
            }
        }
    }

    /// How many have not reserved yet.
    pub fn undecided(&self) -> u64 {
        self.undecided.len() as u64
    }

    /// The session of that position and tag, if it lives, has reserved.
    pub fn decide(&mut self, position: Position, tag: Tag) {
        if let Some(live) = self.by_position.get_mut(&position).filter(|live| live.tag == tag)
            && let Some(until) = live.undecided.take()
        {
            self.undecided.remove(&(until, position));
        }
    }

    /// Somebody has reserved: whoever has been inside longest without.
    pub fn decide_oldest(&mut self) {
        if let Some((_, position)) = self.undecided.pop_first()
            && let Some(live) = self.by_position.get_mut(&position)
        {
            live.undecided = None;
        }
    }

    /// Whether something of a session has come to its end.
    pub fn is_due(&self, now: UnixMs) -> bool {
        let is_due = |set: &BTreeSet<(UnixMs, Position)>| set.first().is_some_and(|(at, _)| *at <= now);
        is_due(&self.by_deadline) || is_due(&self.undecided)
    }

    /// Ends every session whose deadline has come, and keeps no unit any longer for those who had time enough.
    pub fn end_due(&mut self, now: UnixMs) {
        while let Some((deadline, position)) = self.by_deadline.first().copied()
            && deadline <= now
        {
            self.end(position);
        }
        while self.undecided.first().is_some_and(|(until, _)| *until <= now) {
            self.decide_oldest();
        }
    }
}
