//! Catalogs of two memories made one, without anybody to decide between them: a store that has lost its last moments is
//! told by whoever remembers, and all who do so come to the same.
//!
//! Of every document the higher version wins, be it a document or its deletion. Two writers may have given one version
//! to different documents, each where the other was not heard: then the document beats the deletion and the greater
//! text the lesser, and the winner gets a version of its own, so that rooms and sales that obey the loser obey it too.
//!
//! Of signing keys nobody loses: what was signed with either is to be good. The second key under a name gets another.

use super::{Catalog, Entry, Kind, Name};

/// What one memory holds under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held<'a> {
    Document(&'a Entry),
    Deletion(u64),
}

impl Catalog {
    /// What both together know. The same whichever asks the other; and one that knows all the other does is itself.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut merged = Self {
            revision: self.revision.max(other.revision),
            retired_epoch: self.retired_epoch.max(other.retired_epoch),
            ..Self::default()
        };
        let fresh = merged.revision + 1;
        let names = [self, other].into_iter().flat_map(|one| one.entries.keys().chain(one.tombstones.keys()));
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            match (self.held(name), other.held(name)) {
                (Some(one), Some(two)) => merged.take_better(name, one, two, fresh),
                (Some(held), None) | (None, Some(held)) => merged.take(name, held),
                (None, None) => {}
            }
        }
        for (name, entry) in self.second_keys(other) {
            merged.keep_key(name, entry);
        }
        merged.drop_old_tombstones();
        // Whoever knew more, and all of it, keeps its revision. Of one revision there are never two catalogs.
        let knows_all = |one: &Self, two: &Self| one.revision > two.revision && one.holds_the_same(&merged);
        let are_alike = self.revision == other.revision && self.holds_the_same(other);
        if !(are_alike || knows_all(self, other) || knows_all(other, self)) {
            merged.revision = fresh;
        }
        merged
    }

    fn held(&self, name: &Name) -> Option<Held<'_>> {
        let document = self.entries.get(name).map(Held::Document);
        document.or_else(|| self.tombstones.get(name).copied().map(Held::Deletion))
    }

    fn take(&mut self, name: &Name, held: Held<'_>) {
        match held {
            Held::Document(entry) => drop(self.entries.insert(name.clone(), entry.clone())),
            Held::Deletion(version) => drop(self.tombstones.insert(name.clone(), version)),
        }
    }

    fn take_better(&mut self, name: &Name, one: Held<'_>, two: Held<'_>, fresh: u64) {
        let better = if one.rank() >= two.rank() { one } else { two };
        let Held::Document(entry) = better else { return self.take(name, better) };
        let mut entry = entry.clone();
        if let (Held::Document(one), Held::Document(two)) = (one, two) {
            // Where either saw the sale made it was: but only this one, not one of another birth.
            entry.made = [one, two].into_iter().any(|it| it.made && it.first_epoch == entry.first_epoch);
            let is_rivalled =
                one.version == two.version && (&one.body, one.first_epoch) != (&two.body, two.first_epoch);
            if is_rivalled {
                entry.version = fresh;
            }
        }
        self.entries.insert(name.clone(), entry);
    }

    /// The keys that other keys of the same name win against, under names of their own.
    fn second_keys(&self, other: &Self) -> Vec<(Name, Entry)> {
        let mut keys = Vec::new();
        for (name, one) in self.entries.iter().filter(|((kind, _), _)| *kind == Kind::SigningKey) {
            if let Some(two) = other.entries.get(name).filter(|two| two.body != one.body) {
                let loses = if Held::Document(one).rank() < Held::Document(two).rank() { one } else { two };
                let id = format!("{}+{:016x}", loses.id, fingerprint(&loses.body));
                keys.push(((Kind::SigningKey, id.clone()), Entry { id, ..loses.clone() }));
            }
        }
        keys
    }

    /// Keeps a key unless it was removed since.
    fn keep_key(&mut self, name: Name, entry: Entry) {
        if self.held(&name).is_none_or(|held| held.rank() < Held::Document(&entry).rank()) {
            self.tombstones.remove(&name);
            self.entries.insert(name, entry);
        }
    }

    fn holds_the_same(&self, other: &Self) -> bool {
        let shelves = (&self.entries, &self.tombstones) == (&other.entries, &other.tombstones);
        shelves && self.retired_epoch == other.retired_epoch
    }
}

impl<'a> Held<'a> {
    /// The greater wins.
    fn rank(self) -> (u64, bool, &'a str, u64) {
        match self {
            Self::Document(entry) => (entry.version, true, &entry.body, entry.first_epoch),
            Self::Deletion(version) => (version, false, "", 0),
        }
    }
}

/// FNV-1a: the same in every program that merges, and no more than that is asked of it.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
