//! What was acknowledged, kept outside of the store to be held against it.

use std::collections::BTreeSet;

use super::gate::{Aggregate, Id, Ms};

/// What befell a world: where a guarantee ends depends on it.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// Instances that died, or ended.
    pub dead: BTreeSet<Id>,
    /// Two servers took themselves for the primary at once.
    pub is_split: bool,
    /// So long that what one side acknowledged at first may be forgotten before the other hears of it.
    pub is_split_for_long: bool,
    /// A recovery ended before everybody was heard.
    pub is_unheard: bool,
    /// A server lost more joins than the tail jumps, or all of them and not everybody was heard. Or who died was
    /// long forgotten when the loss was noticed. Or two sides jumped at once, and equally far.
    pub is_beyond_the_void: bool,
    /// A server lost everything.
    pub is_flushed: bool,
    /// The answer to a batch was lost that may have given something back.
    pub is_unanswered: bool,
    /// The operator took on himself what nobody remembered.
    pub is_given_up: bool,
}

impl Fate {
    /// Every instance lives and was heard, and there was one primary at a time.
    pub fn is_kind(&self) -> bool {
        self.dead.is_empty() && !self.is_split && !self.is_unheard
    }
}

/// The books of those who use an aggregate.
pub trait Books<A: Aggregate>: Default {
    /// What makes the aggregate at first.
    fn first() -> A::Command;
    /// What an instance says when it joins.
    fn joining() -> A::Command;
    /// What the operator says where it is lost.
    fn operator() -> Option<A::Command>;
    /// What somebody may want now.
    fn command(&mut self, kind: u8, pick: usize) -> A::Command;
    fn sent(&mut self, commands: &[A::Command]);
    fn acknowledged(&mut self, by: Id, command: &A::Command, outcome: &A::Outcome, now: Ms);
    /// Holds the books against the store, after everybody found it again.
    fn end(&self, body: &A, now: Ms, fate: &Fate) -> Result<(), String>;
}
