//! One bit a position: resolved by its visitor, who claimed it or gave it back.
//!
//! Kept in small chunks that exist only where a bit is set, so that a huge number costs one chunk and no more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Position;

// A chunk is a small page of memory: the bits of two thousand positions.
const WORDS: usize = 32;
const CHUNK_BITS: u64 = WORDS as u64 * 64;

type Chunk = [u64; WORDS];

/// The positions resolved by their visitors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    chunks: BTreeMap<u64, Chunk>,
}

impl Claimed {
    /// Whether the position is resolved.
    pub fn contains(&self, position: Position) -> bool {
        let (index, word, mask) = locate(position);
        self.chunks.get(&index).is_some_and(|chunk| chunk[word] & mask != 0)
    }

    /// Marks the position as resolved.
    pub fn insert(&mut self, position: Position) {
        let (index, word, mask) = locate(position);
        self.chunks.entry(index).or_insert([0; WORDS])[word] |= mask;
    }

    /// How many of `first..=last` are not resolved. Costs the chunks that exist between them.
    pub fn count_unset(&self, first: Position, last: Position) -> u64 {
        let set: u64 = self
            .chunks
            .range(first / CHUNK_BITS..=last / CHUNK_BITS)
            .map(|(index, chunk)| count_set(chunk, index * CHUNK_BITS, first, last))
            .sum();
        last - first + 1 - set
    }

    /// The first resolved position in `from..=to`.
    pub fn next_set(&self, from: Position, to: Position) -> Option<Position> {
        if from > to {
            return None;
        }
        self.chunks
            .range(from / CHUNK_BITS..=to / CHUNK_BITS)
            .find_map(|(index, chunk)| {
                let start = index * CHUNK_BITS;
                scan(chunk, from.saturating_sub(start), |word| word).map(|bit| start + bit)
            })
            .filter(|position| *position <= to)
    }

    /// The first position in `from..=to` that is not resolved.
    pub fn next_unset(&self, from: Position, to: Position) -> Option<Position> {
        let mut at = from;
        while at <= to {
            let index = at / CHUNK_BITS;
            let Some(chunk) = self.chunks.get(&index) else { return Some(at) };
            match scan(chunk, at % CHUNK_BITS, |word| !word) {
                Some(bit) => return Some(index * CHUNK_BITS + bit).filter(|position| *position <= to),
                None => at = (index + 1) * CHUNK_BITS,
            }
        }
        None
    }
}

fn locate(position: Position) -> (u64, usize, u64) {
    let bit = position % CHUNK_BITS;
    (position / CHUNK_BITS, (bit / 64) as usize, 1 << (bit % 64))
}

fn count_set(chunk: &Chunk, start: Position, first: Position, last: Position) -> u64 {
    let mut count = 0;
    for (at, word) in chunk.iter().enumerate() {
        let word_first = start + at as u64 * 64;
        let word_last = word_first + 63;
        if word_last < first || word_first > last {
            continue;
        }
        let below = first.saturating_sub(word_first);
        let above = word_last.saturating_sub(last);
        let mask = (u64::MAX << below) & (u64::MAX >> above);
        count += u64::from((word & mask).count_ones());
    }
    count
}

/// The first bit at or after `from` that `see` shows as set.
fn scan(chunk: &Chunk, from: u64, see: impl Fn(u64) -> u64) -> Option<u64> {
    let first = (from / 64) as usize;
    (first..WORDS).find_map(|at| {
        let hidden = if at == first { u64::MAX << (from % 64) } else { u64::MAX };
        let word = see(chunk[at]) & hidden;
        (word != 0).then(|| at as u64 * 64 + u64::from(word.trailing_zeros()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn filled(positions: &BTreeSet<u64>) -> Claimed {
        let mut claimed = Claimed::default();
        positions.iter().for_each(|p| claimed.insert(*p));
        claimed
    }

    proptest! {
        #[test]
        fn answers_as_a_set_does(
            positions in prop::collection::btree_set(1u64..9000, 0..300),
            run in (1u64..9000, 0u64..5000),
            first in 1u64..9000,
            length in 0u64..6000,
        ) {
            let mut positions = positions;
            positions.extend(run.0..run.0 + run.1);
            let (claimed, last) = (filled(&positions), first + length);
            let range = || first..=last;
            prop_assert_eq!(claimed.contains(first), positions.contains(&first));
            prop_assert_eq!(claimed.count_unset(first, last), range().filter(|p| !positions.contains(p)).count() as u64);
            prop_assert_eq!(claimed.next_set(first, last), range().find(|p| positions.contains(p)));
            prop_assert_eq!(claimed.next_unset(first, last), range().find(|p| !positions.contains(p)));
        }
    }

    #[test]
    fn a_huge_number_costs_one_chunk() {
        let mut claimed = Claimed::default();
        claimed.insert(u64::MAX / 4);
        assert_eq!(claimed.chunks.len(), 1);
        assert_eq!(claimed.count_unset(1, u64::MAX / 2), u64::MAX / 2 - 1);
        assert_eq!(claimed.next_set(1, u64::MAX / 2), Some(u64::MAX / 4));
    }
}
