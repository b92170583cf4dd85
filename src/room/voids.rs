//! The void: ranges of positions that nobody alive is known to have been given.
//!
//! After a loss of which not everybody was heard the tail jumps, so that no position is issued twice. The head passes over
//! what it jumped, without permits; whoever comes with a ticket from there after all is let in by a permit of the moment.

use serde::{Deserialize, Serialize};

use super::{bounds::VOIDS_MAX, command::Position};

/// Positions `first ..= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    pub first: Position,
    pub last: Position,
}

/// All that is remembered, in order, none touching what another holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voids(Vec<Void>);

impl FromIterator<Void> for Voids {
    fn from_iter<I: IntoIterator<Item = Void>>(voids: I) -> Self {
        Self(voids.into_iter().collect())
    }
}

impl Voids {
    /// The one that holds `position`.
    pub fn of(&self, position: Position) -> Option<Void> {
        self.0.iter().copied().find(|void| (void.first..=void.last).contains(&position))
    }

    /// The first that begins after `position`.
    pub fn after(&self, position: Position) -> Option<Void> {
        self.0.iter().copied().find(|void| void.first > position)
    }

    /// Adds one, unless part of it is known. Of too many the oldest is forgotten.
    pub fn add(&mut self, void: Void) {
        let at = self.0.partition_point(|known| known.last < void.first);
        let is_apart = self.0.get(at).is_none_or(|next| next.first > void.last);
        if is_apart && void.first <= void.last {
            self.0.insert(at, void);
        }
        if self.0.len() > VOIDS_MAX {
            self.0.remove(0);
        }
    }

    /// Forgets what lies at or before `position`.
    pub fn cut(&mut self, position: Position) {
        self.0.retain(|void| void.last > position);
        if let Some(first) = self.0.first_mut() {
            first.first = first.first.max(position + 1);
        }
    }

    /// Those that reach beyond `position`, without what lies at or before it.
    pub fn beyond(&self, position: Position) -> Self {
        let mut beyond = self.clone();
        beyond.cut(position);
        beyond
    }

    /// How many places there are from beyond `after` to `last`: a void has none.
    pub fn places(&self, after: Position, last: Position) -> u64 {
        last.saturating_sub(after + self.count(after + 1, last))
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Void> {
        self.0.iter()
    }

    /// How many positions of `first ..= last` lie in one.
    pub fn count(&self, first: Position, last: Position) -> u64 {
        let within = |void: &Void| (void.last.min(last) + 1).saturating_sub(void.first.max(first));
        self.0.iter().map(within).sum()
    }
}
