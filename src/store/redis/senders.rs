//! The senders of all rooms, or of all sales.

use std::{
    collections::HashMap,
    fmt::Display,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Shared, link::Script, scripted::Scripted, sender::Sender};

/// How many of those that remember nothing are looked at all the same: each server that lost something is noticed soon, and
/// a thousand rooms where nothing happens cost little.
const FEW: usize = 32;

/// The senders of all rooms, or of all sales, made as they are asked for.
pub(super) struct Senders<I, A: Scripted> {
    script: &'static Script,
    // A std mutex: held for a look-up, never across an await. There are as many as there are rooms, or sales, and those
    // that were deleted since the start.
    by_id: Mutex<HashMap<I, Arc<Sender<A>>>>,
}

impl<I: Clone + Eq + Hash + Display, A: Scripted> Senders<I, A> {
    pub fn new(script: &'static Script) -> Self {
        Self { script, by_id: Mutex::default() }
    }

    /// The sender to `id`.
    pub fn of(&self, shared: &Shared, id: &I) -> Arc<Sender<A>> {
        let mut by_id = self.lock();
        if let Some(sender) = by_id.get(id) {
            return Arc::clone(sender);
        }
        let sender = Arc::new(Sender::new(shared, self.script, &id.to_string()));
        by_id.insert(id.clone(), Arc::clone(&sender));
        sender
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Sender<A>>> {
        self.lock().values().cloned().collect()
    }

    /// Those that have not spoken with the store just now: all of them `after_loss`, otherwise those that remember
    /// something, and a few of the others.
    pub fn to_watch(&self, after_loss: bool) -> Vec<Arc<Sender<A>>> {
        let all = self.all();
        let some = rand::random_range(0..all.len().max(1));
        let is_one_of_few = |n: usize| (n + all.len() - some) % all.len() < FEW;
        let is_to_watch = |(n, sender): &(usize, &Arc<Sender<A>>)| sender.is_to_watch(after_loss || is_one_of_few(*n));
        all.iter().enumerate().filter(is_to_watch).map(|(_, sender)| Arc::clone(sender)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<I, Arc<Sender<A>>>> {
        // Nothing panics while the lock is held; if it ever did, the map would still be whole.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
