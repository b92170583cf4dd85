//! The catalog: the documents all instances share (rooms, sales, API keys, signing keys), each with a version,
//! pure like the room: it runs in the embedded store's thread, and in every instance where the store is shared. What
//! two of them remember of it is brought together by [`Catalog::merge`].

mod merge;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Room,
    Sale,
    ApiKey,
    SigningKey,
}

/// One document as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub kind: Kind,
    pub id: String,
    /// The catalog's revision at which this document was last written: rises with every change, never returns.
    pub version: u64,
    /// For a room: the epoch its line starts with, above that of any room deleted before. For everything else: the
    /// version that its first document had, so that a deleted one of the same id is told from it.
    pub first_epoch: u64,
    /// Whether the store has made what the document describes: it makes a sale once, and one that it has lost never
    /// again by itself.
    pub made: bool,
    /// The document as JSON text.
    pub body: String,
}

/// What must be so for a write to take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// No such document yet.
    Absent,
    /// A document of this version.
    Version(u64),
    /// Anything.
    Any,
}

/// One command to the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Writes a document. The same body again changes nothing.
    Put { kind: Kind, id: String, body: String, expect: Expect },
    /// Removes a document; `last_epoch` is that of the deleted room (0 for other kinds).
    Delete { kind: Kind, id: String, expect: Expect, last_epoch: u64 },
    /// All documents, if anything changed after revision `known`.
    List { known: u64 },
    /// The store has made what this document describes, of the documents of that id the one first written as `born`.
    /// Its version stays.
    Made { kind: Kind, id: String, born: u64 },
    /// Gives a document a version above `above`, if it has none: what it describes obeys a later one, of which the
    /// catalog lost the document.
    Lift { kind: Kind, id: String, above: u64 },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The document as it now stands, and whether this made it.
    Put {
        entry: Entry,
        created: bool,
    },
    Deleted,
    Done,
    /// `entries` is none where nothing changed since the revision the caller knows.
    Listed {
        revision: u64,
        entries: Option<Vec<Entry>>,
    },
    /// `expect` does not hold; `found` is the version that stands there, if any.
    Conflict {
        found: Option<u64>,
    },
    /// The bound of this kind is reached.
    Full {
        limit: usize,
    },
}

/// The most documents of a kind.
pub const fn limit(kind: Kind) -> usize {
    match kind {
        Kind::Room | Kind::Sale | Kind::ApiKey => 1_000,
        Kind::SigningKey => 100,
    }
}

/// The most deletions that are remembered: more than operators make in the time that a store may have forgotten.
pub const TOMBSTONES_MAX: usize = 1_000;

/// What a document is found by.
pub type Name = (Kind, String);

/// A document or a deletion, as another memory of the catalog tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Document(Entry),
    Deletion(Name, u64),
}

/// All documents, and the revision that counts their changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    revision: u64,
    /// The highest epoch of any deleted room: a new one starts above it, so that old tickets are void there.
    retired_epoch: u64,
    entries: BTreeMap<Name, Entry>,
    /// The latest deletions, each with the revision it made: so that a deletion is told from a document never heard of.
    tombstones: BTreeMap<Name, u64>,
}

impl Catalog {
    /// Counts the changes: the same revision, the same documents.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The highest epoch of any deleted room.
    pub fn retired_epoch(&self) -> u64 {
        self.retired_epoch
    }

    /// All documents by their names.
    pub fn entries(&self) -> &BTreeMap<Name, Entry> {
        &self.entries
    }

    /// The deletions that are remembered, each with the revision it made.
    pub fn tombstones(&self) -> &BTreeMap<Name, u64> {
        &self.tombstones
    }

    /// Becomes a later state of itself, by what has changed until then.
    pub fn learn(&mut self, changes: Vec<Change>, revision: u64, retired_epoch: u64) {
        for change in changes {
            match change {
                Change::Document(entry) => {
                    let name = (entry.kind, entry.id.clone());
                    self.tombstones.remove(&name);
                    self.entries.insert(name, entry);
                }
                Change::Deletion(name, version) => {
                    self.entries.remove(&name);
                    self.tombstones.insert(name, version);
                }
            }
        }
        self.drop_old_tombstones();
        (self.revision, self.retired_epoch) = (revision, retired_epoch);
    }

    /// Applies one command.
    pub fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Put { kind, id, body, expect } => self.put(*kind, id, body, *expect),
            Command::Delete { kind, id, expect, last_epoch } => self.delete(*kind, id, *expect, *last_epoch),
            Command::List { known } => self.list(*known),
            Command::Made { kind, id, born } => self.note_made(*kind, id, *born),
            Command::Lift { kind, id, above } => self.lift(*kind, id, *above),
        }
    }

    fn put(&mut self, kind: Kind, id: &str, body: &str, expect: Expect) -> Outcome {
        let key = (kind, id.to_owned());
        let found = self.entries.get(&key);
        if let Some(conflict) = conflict(found, expect) {
            return conflict;
        }
        match found {
            Some(entry) if entry.body == body => return Outcome::Put { entry: entry.clone(), created: false },
            None if self.count(kind) >= limit(kind) => return Outcome::Full { limit: limit(kind) },
            _ => {}
        }
        let created = found.is_none();
        self.revision += 1;
        let born = match kind {
            Kind::Room => self.retired_epoch + 1,
            Kind::Sale | Kind::ApiKey | Kind::SigningKey => self.revision,
        };
        let first_epoch = found.map_or(born, |entry| entry.first_epoch);
        let made = found.is_some_and(|entry| entry.made);
        let entry = Entry { kind, id: id.to_owned(), version: self.revision, first_epoch, made, body: body.to_owned() };
        self.tombstones.remove(&key);
        self.entries.insert(key, entry.clone());
        Outcome::Put { entry, created }
    }

    fn delete(&mut self, kind: Kind, id: &str, expect: Expect, last_epoch: u64) -> Outcome {
        let key = (kind, id.to_owned());
        let found = self.entries.get(&key);
        match (conflict(found, expect), found) {
            (Some(conflict), _) => conflict,
            (None, None) => Outcome::Conflict { found: None },
            (None, Some(_)) => {
                self.entries.remove(&key);
                self.revision += 1;
                self.retired_epoch = self.retired_epoch.max(last_epoch);
                self.tombstones.insert(key, self.revision);
                self.drop_old_tombstones();
                Outcome::Deleted
            }
        }
    }

    fn note_made(&mut self, kind: Kind, id: &str, born: u64) -> Outcome {
        let found = self.entries.get_mut(&(kind, id.to_owned()));
        if let Some(entry) = found.filter(|entry| entry.first_epoch == born && !entry.made) {
            entry.made = true;
            self.revision += 1;
        }
        Outcome::Done
    }

    fn lift(&mut self, kind: Kind, id: &str, above: u64) -> Outcome {
        let found = self.entries.get_mut(&(kind, id.to_owned()));
        if let Some(entry) = found.filter(|entry| entry.version <= above) {
            self.revision = self.revision.max(above) + 1;
            entry.version = self.revision;
        }
        Outcome::Done
    }

    /// Forgets the oldest deletions where there are too many.
    fn drop_old_tombstones(&mut self) {
        while self.tombstones.len() > TOMBSTONES_MAX {
            let oldest = self.tombstones.iter().min_by_key(|(name, version)| (**version, *name));
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return };
            self.tombstones.remove(&oldest);
        }
    }

    fn list(&self, known: u64) -> Outcome {
        let entries = (known != self.revision).then(|| self.entries.values().cloned().collect());
        Outcome::Listed { revision: self.revision, entries }
    }

    fn count(&self, kind: Kind) -> usize {
        self.entries.keys().filter(|(k, _)| *k == kind).count()
    }
}

fn conflict(found: Option<&Entry>, expect: Expect) -> Option<Outcome> {
    let holds = match (expect, found) {
        (Expect::Any, _) | (Expect::Absent, None) => true,
        (Expect::Version(version), Some(entry)) => entry.version == version,
        (Expect::Absent, Some(_)) | (Expect::Version(_), None) => false,
    };
    (!holds).then(|| Outcome::Conflict { found: found.map(|entry| entry.version) })
}
