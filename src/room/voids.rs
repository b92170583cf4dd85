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

    /// Adds what is not known of one; those that touch become one. Of too many the oldest are forgotten.
    pub fn add(&mut self, void: Void) {
        let mut first = void.first;
        let mut all = Self::default();
        for known in self.0.drain(..) {
            all.append(Void { first, last: void.last.min(known.first - 1) });
            all.append(known);
            first = first.max(known.last + 1);
        }
        all.append(Void { first, last: void.last });
        all.0.drain(..all.0.len().saturating_sub(VOIDS_MAX));
        *self = all;
    }

    /// Adds one behind all others, unless it is empty.
    fn append(&mut self, void: Void) {
        match self.0.last_mut() {
            _ if void.first > void.last => {}
            Some(before) if before.last + 1 == void.first => before.last = void.last,
            _ => self.0.push(void),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn voids(ranges: &[(Position, Position)]) -> Voids {
        let mut voids = Voids::default();
        ranges.iter().for_each(|&(first, last)| voids.add(Void { first, last }));
        voids
    }

    #[test]
    fn what_is_known_of_a_void_stays_and_the_rest_is_added() {
        let expect = |added: &[_], all: &[(Position, Position)]| {
            let all: Vec<_> = all.iter().map(|&(first, last)| Void { first, last }).collect();
            assert_eq!(voids(added).0, all, "{added:?}");
        };
        expect(&[(31, 40), (11, 20)], &[(11, 20), (31, 40)]);
        expect(&[(11, 20), (9, 8)], &[(11, 20)]);
        expect(&[(11, 20), (5, 8)], &[(5, 8), (11, 20)]);
        expect(&[(11, 20), (21, 30)], &[(11, 30)]);
        expect(&[(11, 20), (15, 18)], &[(11, 20)]);
        expect(&[(11, 20), (31, 40), (15, 35)], &[(11, 40)]);
        expect(&[(11, 20), (31, 40), (1, 50)], &[(1, 50)]);
    }

    #[test]
    fn of_too_many_the_oldest_is_forgotten() {
        let many: Vec<_> = (1..=VOIDS_MAX as u64 + 1).map(|n| (10 * n, 10 * n + 1)).collect();
        assert_eq!(voids(&many), voids(&many[1..]));
        assert_ne!(voids(&many[1..]), voids(&many[2..]));
    }
}
