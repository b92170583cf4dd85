//! What operators do with rooms.

use std::sync::Arc;

use serde_json::Value;

use super::{Instance, LiveRoom, OperateError};
use crate::{
    room::{Command, Document, Outcome, Refusal, View, settings::FieldError},
    store::{
        StoreError,
        catalog::{Expect, Kind},
    },
};

/// How often a patch without a stated version is tried again because somebody else wrote in between.
const PATCH_TRIES: usize = 5;

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
        let created = self.documents.put_room(document, expect).await?;
        self.refresh().await?;
        let room = self.room(document.id.as_str()).ok_or(OperateError::Unknown)?;
        Ok(PutRoom { room, created })
    }

    /// Changes single settings of a room by a merge patch (RFC 7396): a `null` takes the default.
    ///
    /// # Errors
    /// As for [`Instance::put_room`].
    pub async fn patch_room(&self, id: &str, patch: &Value, expect: Expect) -> Result<PutRoom, OperateError> {
        for _ in 0..PATCH_TRIES {
            let room = self.room(id).ok_or(OperateError::Unknown)?;
            if let Expect::Version(version) = expect
                && version != room.version
            {
                return Err(OperateError::Stale { found: Some(room.version) });
            }
            let document = patched(&room.document, patch)?;
            match self.put_room(&document, Expect::Version(room.version)).await {
                // Somebody wrote in between, perhaps through another instance: see what, and patch that.
                Err(OperateError::Stale { .. }) => self.refresh().await?,
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
        let room = self.room(id).ok_or(OperateError::Unknown)?;
        let instance = Arc::clone(self);
        // In a task of its own: a caller that goes away in the middle leaves no half.
        let deleting = self.options.runtime.spawn(async move { instance.delete(&room, expect).await });
        deleting.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    async fn delete(&self, room: &LiveRoom, expect: Expect) -> Result<(), OperateError> {
        let _operating = self.operating.lock().await;
        // The epoch is asked of the room itself, because another instance may have reset it just now.
        let answer = room.lane.submit(Command::Tick).await?;
        let last_epoch = answer.view.map_or(room.first_epoch, |view| view.epoch);
        // The catalog first: nobody configures the room again after that, and what a crash leaves behind in the room
        // is never seen, because its id starts above this epoch when it is used again.
        self.documents.delete(Kind::Room, room.id.to_string(), expect, last_epoch).await?;
        // Out of the directory before out of the store: whoever follows the catalog here would take a room that is
        // missing for one that was not told its settings yet.
        let refreshed = self.refresh().await;
        room.lane.submit(Command::Delete).await?;
        refreshed
    }

    /// Empties a room's line and ends its sessions: the epoch rises. Answers the room as it is after.
    ///
    /// # Errors
    /// There is no such room, or the store does not answer.
    pub async fn reset_room(&self, id: &str) -> Result<Arc<View>, OperateError> {
        let _operating = self.operating.lock().await;
        let room = self.room(id).ok_or(OperateError::Unknown)?;
        let answer = room.lane.submit(Command::Reset).await?;
        match (answer.outcome, answer.view) {
            (Outcome::Refused(Refusal::UnknownRoom), _) | (_, None) => Err(OperateError::Unknown),
            (_, Some(view)) => Ok(view),
        }
    }
}

/// Reads a room's document, naming the field where it can't be one.
///
/// # Errors
/// The first field that can't be read; whether its value is allowed is for `Document::validate` to say.
pub fn read_document(value: Value) -> Result<Document, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let detail = error.inner().to_string();
        let path = error.path().to_string();
        FieldError { field: named_field(&path, &detail), detail }
    })
}

/// The field an error is about. Serde tells an unknown or missing one in its words and not in its path.
fn named_field(path: &str, detail: &str) -> String {
    let quoted = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|words| detail.strip_prefix(words)?.split_once('`').map(|(field, _)| field));
    match (path, quoted) {
        ("." | "", Some(field)) => field.to_owned(),
        // Newer versions of the library name the unknown field in the path already.
        (path, Some(field)) if path == field || path.ends_with(&format!(".{field}")) => path.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
        ("." | "", None) => String::new(),
        (path, None) => path.to_owned(),
    }
}

fn patched(document: &Document, patch: &Value) -> Result<Document, OperateError> {
    let refuse = |detail: String| FieldError { field: String::new(), detail };
    let mut value = serde_json::to_value(document).map_err(|error| refuse(error.to_string()))?;
    if !patch.is_object() {
        return Err(refuse("must be an object".to_owned()).into());
    }
    json_patch::merge(&mut value, patch);
    let patched = read_document(value)?;
    if patched.id != document.id {
        return Err(FieldError { field: "id".to_owned(), detail: "can't be changed".to_owned() }.into());
    }
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_that_cannot_be_read_names_the_field() {
        let field = |value| read_document(value).expect_err("a bad document").field;
        let good = json!({"id": "main", "name": "Main", "shop_url": "https://shop.example"});
        assert!(read_document(good.clone()).is_ok());
        let with = |name: &str, value: Value| {
            let mut document = good.clone();
            document[name] = value;
            document
        };
        assert_eq!(field(with("rate", json!(5))), "rate");
        assert_eq!(field(with("rate_per_minute", json!("fast"))), "rate_per_minute");
        assert_eq!(field(with("rate_per_minute", json!(-1))), "rate_per_minute");
        assert_eq!(field(with("mode", json!("shut"))), "mode");
        assert_eq!(field(with("page", json!({"titel": "x"}))), "page.titel");
        assert_eq!(field(with("allowed_hosts", json!(["a", 5]))), "allowed_hosts[1]");
        assert_eq!(field(with("id", json!("No Id"))), "id");
        assert_eq!(field(json!({"id": "main", "shop_url": "https://shop.example"})), "name");
        assert_eq!(field(json!([])), "");
    }
}
