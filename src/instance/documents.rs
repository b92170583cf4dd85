//! The catalog as this instance talks to it: one document, one call, one answer.

use serde::{Serialize, de::DeserializeOwned};

use super::OperateError;
use crate::{
    room::{Document, settings::FieldError},
    store::{
        Backend, Store, StoreError,
        catalog::{Command, Entry, Expect, Kind, Outcome},
    },
};

/// The documents all instances share.
pub(super) struct Documents {
    pub store: Backend,
}

/// Every document, as of a revision.
pub(super) struct Listing {
    pub revision: u64,
    /// None where nothing changed since the revision that was known.
    pub entries: Option<Vec<Entry>>,
}

impl Documents {
    /// Everything, if anything changed since `known`.
    pub async fn list(&self, known: u64) -> Result<Listing, StoreError> {
        match self.send(Command::List { known }).await? {
            Outcome::Listed { revision, entries } => Ok(Listing { revision, entries }),
            other => Err(odd(&other)),
        }
    }

    /// Writes a document: whether this created it.
    pub async fn put<T: Serialize>(
        &self,
        kind: Kind,
        id: String,
        document: &T,
        expect: Expect,
    ) -> Result<bool, OperateError> {
        let body = serde_json::to_string(document)
            .map_err(|error| FieldError { field: String::new(), detail: error.to_string() })?;
        match self.send(Command::Put { kind, id, body, expect }).await? {
            Outcome::Put { created, .. } => Ok(created),
            Outcome::Full { limit } => Err(OperateError::Full { limit }),
            Outcome::Conflict { found } => Err(OperateError::Stale { found }),
            other => Err(odd(&other).into()),
        }
    }

    /// Checks a room's document and writes it: whether this created it.
    pub async fn put_room(&self, document: &Document, expect: Expect) -> Result<bool, OperateError> {
        document.validate()?;
        self.put(Kind::Room, document.id.to_string(), document, expect).await
    }

    /// Removes a document; `last_epoch` is that of a room, 0 for everything else.
    pub async fn delete(&self, kind: Kind, id: String, expect: Expect, last_epoch: u64) -> Result<(), OperateError> {
        match self.send(Command::Delete { kind, id, expect, last_epoch }).await? {
            Outcome::Deleted => Ok(()),
            Outcome::Conflict { found: None } => Err(OperateError::Unknown),
            Outcome::Conflict { found } => Err(OperateError::Stale { found }),
            other => Err(odd(&other).into()),
        }
    }

    /// Notes that the store has made what a document describes: whoever finds it missing from now on knows that it was
    /// lost.
    pub async fn note_made(&self, kind: Kind, id: String, born: u64) -> Result<(), StoreError> {
        self.send(Command::Made { kind, id, born }).await.map(drop)
    }

    /// Gives a document a version above `above`.
    pub async fn lift(&self, kind: Kind, id: String, above: u64) -> Result<(), StoreError> {
        self.send(Command::Lift { kind, id, above }).await.map(drop)
    }

    async fn send(&self, command: Command) -> Result<Outcome, StoreError> {
        let mut outcomes = self.store.catalog(vec![command]).await?;
        outcomes.pop().ok_or_else(|| StoreError::Unavailable("the catalog gave no outcome".to_owned()))
    }
}

/// A document from the catalog; none, and a line in the log, where a newer version wrote what this one can't read.
pub(super) fn read<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    serde_json::from_str(&entry.body)
        .map_err(|error| tracing::error!(kind = ?entry.kind, id = entry.id, %error, "a stored document can't be read"))
        .ok()
}

fn odd(outcome: &Outcome) -> StoreError {
    StoreError::Unavailable(format!("an odd answer from the catalog: {outcome:?}"))
}
