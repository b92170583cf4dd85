//! What operators do with rooms.

use std::sync::Arc;

use serde_json::Value;

use super::{Instance, LiveRoom, OperateError, reading::patched};
use crate::{
    room::{Command, Document, Outcome, Refusal, View},
    store::{
        StoreError,
        catalog::{Expect, Kind},
    },
};

/// How often a patch without a stated version is tried again because another instance wrote in between.
pub(super) const PATCH_TRIES: usize = 5;

/// Resets by other instances that may come between the question for a room's epoch and its end: the next room of the id
/// starts above them all the same.
const RESETS_UNDERWAY: u64 = 1;

/// A room after a write.
pub struct PutRoom {
    pub room: Arc<LiveRoom>,
    /// Whether this made the room.
    pub created: bool,
}

impl Instance {
    /// Creates a room or replaces its document; in force here when this returns, everywhere within a second.
    /// The same document again changes nothing.
    ///
    /// # Errors
    /// Nothing changed, except where the store was lost underway.
    pub async fn put_room(&self, document: &Document, expect: Expect) -> Result<PutRoom, OperateError> {
        let _operating = self.operating.lock().await;
        self.write_room(document, expect).await
    }

    /// The same for who holds the lock of operators.
    async fn write_room(&self, document: &Document, expect: Expect) -> Result<PutRoom, OperateError> {
        let created = self.documents.put_room(document, expect).await?;
        self.refresh().await?.of_room(document.id.as_str())?;
        let room = self.room(document.id.as_str()).ok_or(OperateError::Unknown)?;
        Ok(PutRoom { room, created })
    }

    /// Makes a room unless there is one of its id: instances that start at the same moment all want to make their first.
    ///
    /// # Errors
    /// As for [`Instance::put_room`].
    pub async fn make_room(&self, document: &Document) -> Result<(), OperateError> {
        match self.put_room(document, Expect::Absent).await {
            Err(OperateError::Stale { .. }) => self.refresh().await.map(drop),
            done => done.map(drop),
        }
    }

    /// Changes single settings of a room by a merge patch (RFC 7396): a `null` takes the default.
    ///
    /// # Errors
    /// As for [`Instance::put_room`].
    pub async fn patch_room(&self, id: &str, patch: &Value, expect: Expect) -> Result<PutRoom, OperateError> {
        // From before the room is looked at: patches here come one after the other, and none undoes another.
        let _operating = self.operating.lock().await;
        for _ in 0..PATCH_TRIES {
            let room = self.latest_room(id, expect).await?;
            if contradicts(expect, room.version) {
                return Err(OperateError::Stale { found: Some(room.version) });
            }
            let document = patched(&room.document, patch)?;
            match self.write_room(&document, Expect::Version(room.version)).await {
                // Another instance wrote in between: see what, and patch that.
                Err(OperateError::Stale { .. }) => drop(self.refresh().await?),
                other => return other,
            }
        }
        Err(OperateError::Conflict("the room is being changed by others all the time".to_owned()))
    }

    /// Deletes a room: its tickets, passes and sessions are void, also if the id is used again.
    ///
    /// # Errors
    /// As for [`Instance::put_room`].
    pub async fn delete_room(self: &Arc<Self>, id: &str, expect: Expect) -> Result<(), OperateError> {
        let room = self.latest_room(id, expect).await?;
        let instance = Arc::clone(self);
        // In a task of its own: a caller that goes away in the middle leaves no half.
        let deleting = self.options.runtime.spawn(async move { instance.delete(&room, expect).await });
        deleting.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    async fn delete(&self, room: &LiveRoom, expect: Expect) -> Result<(), OperateError> {
        let _operating = self.operating.lock().await;
        // The epoch is asked of the room itself, because another instance may have reset it just now.
        let answer = room.lane.submit(Command::Tick).await?;
        let last_epoch = answer.view.map_or(room.first_epoch, |view| view.epoch) + RESETS_UNDERWAY;
        // The catalog first: nobody configures the room again after that, and what a crash leaves behind in the room
        // is never seen, because its id starts above this epoch when it is used again.
        self.documents.delete(Kind::Room, room.id.to_string(), expect, last_epoch).await?;
        // Out of the directory before out of the store: whoever follows the catalog here would take a room that is
        // missing for one that was not told its settings yet.
        let refreshed = self.refresh().await;
        // Another instance may have made the next room of this id already, which starts above this epoch and stays.
        room.lane.submit(Command::Delete { last_epoch }).await?;
        refreshed.map(drop)
    }

    /// Empties a room's line and ends its sessions: the epoch rises. Answers the room as it is after.
    ///
    /// # Errors
    /// There is no such room, or the store does not answer.
    pub async fn reset_room(&self, id: &str) -> Result<Arc<View>, OperateError> {
        let _operating = self.operating.lock().await;
        let room = self.latest_room(id, Expect::Any).await?;
        let answer = room.lane.submit(Command::Reset).await?;
        match (answer.outcome, answer.view) {
            (Outcome::Refused(Refusal::UnknownRoom), _) | (_, None) => Err(OperateError::Unknown),
            (_, Some(view)) => Ok(view),
        }
    }

    /// The room of that id as operators mean it: another instance may have made or changed it just now.
    async fn latest_room(&self, id: &str, expect: Expect) -> Result<Arc<LiveRoom>, OperateError> {
        if self.room(id).is_none_or(|room| contradicts(expect, room.version)) {
            self.refresh().await?;
        }
        self.room(id).ok_or(OperateError::Unknown)
    }
}

/// Whether a write that expects this can't be meant for the version that stands there.
pub(super) fn contradicts(expect: Expect, found: u64) -> bool {
    match expect {
        Expect::Any => false,
        Expect::Absent => true,
        Expect::Version(version) => version != found,
    }
}
