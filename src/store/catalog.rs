//! The catalog: the documents all instances share (rooms, sales, API keys, signing keys), each with a version,
//! pure like the room: it runs in the embedded store's thread, and a script does the same in Redis.

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

/// All documents, and the revision that counts their changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    revision: u64,
    /// The highest epoch of any deleted room: a new one starts above it, so that old tickets are void there.
    retired_epoch: u64,
    entries: BTreeMap<(Kind, String), Entry>,
}

impl Catalog {
    /// Counts the changes: the same revision, the same documents.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Applies one command.
    pub fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Put { kind, id, body, expect } => self.put(*kind, id, body, *expect),
            Command::Delete { kind, id, expect, last_epoch } => self.delete(*kind, id, *expect, *last_epoch),
            Command::List { known } => self.list(*known),
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
        let entry = Entry { kind, id: id.to_owned(), version: self.revision, first_epoch, body: body.to_owned() };
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
                Outcome::Deleted
            }
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
