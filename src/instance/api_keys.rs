//! What operators do with API keys.

use std::{collections::BTreeSet, sync::Arc};

use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Instance, OperateError,
    api_key::{ApiKey, NAME_MAX_CHARS, Origin, Scope, SecretHash, new_secret},
};
use crate::{
    id::{RoomId, SaleId},
    room::settings::FieldError,
    store::{
        StoreError,
        catalog::{self, Expect, Kind},
    },
};

/// What is asked for when a key is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for, in the operator's words.
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// The rooms it is good for; all if left out, none if only sales are named.
    #[serde(default)]
    pub rooms: Option<BTreeSet<RoomId>>,
    /// The sales it is good for; all if left out, none if only rooms are named.
    #[serde(default)]
    pub sales: Option<BTreeSet<SaleId>>,
}

/// A key just made. Its secret is here and nowhere else, and never told again.
pub struct CreatedKey {
    pub key: Arc<ApiKey>,
    pub secret: SecretString,
}

impl Instance {
    /// All API keys, ordered by id.
    pub fn api_keys(&self) -> Vec<Arc<ApiKey>> {
        self.directory.load().api_keys.all()
    }

    /// Makes a key; good here when this returns, everywhere within a second.
    ///
    /// # Errors
    /// The request can't be taken, there are too many keys, or the store does not answer.
    pub async fn create_api_key(&self, wanted: NewKey) -> Result<CreatedKey, OperateError> {
        wanted.validate()?;
        let secret = new_secret().map_err(|_| StoreError::Unavailable("no random bytes".to_owned()))?;
        let key = ApiKey {
            id: Uuid::now_v7().to_string(),
            name: wanted.name,
            scopes: wanted.scopes,
            rooms: wanted.rooms,
            sales: wanted.sales,
            origin: Origin::Created,
            created: Some(self.clock.now()),
            sha256: SecretHash::of(&secret),
        };
        self.documents.put(Kind::ApiKey, key.id.clone(), &key, Expect::Absent).await?;
        self.refresh().await?;
        Ok(CreatedKey { key: Arc::new(key), secret: secret.into() })
    }

    /// Makes a first key of scope `admin` if there is none at all, so that somebody can begin.
    ///
    /// # Errors
    /// As for [`Instance::create_api_key`].
    pub async fn create_first_api_key(&self) -> Result<Option<CreatedKey>, OperateError> {
        if self.has_api_keys() {
            return Ok(None);
        }
        let scopes = [Scope::Admin].into();
        let wanted = NewKey { name: "first-admin".to_owned(), scopes, rooms: None, sales: None };
        self.create_api_key(wanted).await.map(Some)
    }

    /// Whether there is any API key: without one nobody can operate this installation.
    pub fn has_api_keys(&self) -> bool {
        !self.api_keys().is_empty()
    }

    /// Removes a key that a call made; void here when this returns, everywhere within a second. `caller` is the key
    /// that asks, which can't remove itself: so whoever operates here always leaves one that can.
    ///
    /// # Errors
    /// There is no such key, it is the caller's own, or the configuration declares it.
    pub async fn delete_api_key(&self, id: &str, caller: &str) -> Result<(), OperateError> {
        let key = self.api_key_by_id(id).ok_or(OperateError::Unknown)?;
        let conflict = |detail: &str| Err(OperateError::Conflict(detail.to_owned()));
        match key.origin {
            Origin::Environment => return conflict("this key is set by DROPGATE_ADMIN_KEY: remove it there"),
            Origin::Configuration => return conflict("this key is declared in the configuration: remove it there"),
            Origin::Created if id == caller => return conflict("a key can't remove itself: use another"),
            Origin::Created => {}
        }
        let deleted = self.documents.delete(Kind::ApiKey, id.to_owned(), Expect::Any, 0).await;
        self.refresh().await?;
        deleted
    }
}

impl NewKey {
    fn validate(&self) -> Result<(), FieldError> {
        let refuse = |field: &str, detail: String| Err(FieldError { field: field.to_owned(), detail });
        let chars = self.name.chars().count();
        if self.name.trim().is_empty() || chars > NAME_MAX_CHARS || self.name.chars().any(char::is_control) {
            return refuse("name", format!("must be 1 to {NAME_MAX_CHARS} printable characters"));
        }
        if self.scopes.is_empty() {
            return refuse("scopes", "must be at least one of read, shop, admin".to_owned());
        }
        let named = |count: Option<usize>, field: &str, kind: Kind| match count {
            Some(0) => refuse(field, "must name one, or be left out".to_owned()),
            Some(count) if count > catalog::limit(kind) => {
                refuse(field, format!("must be at most {}", catalog::limit(kind)))
            }
            _ => Ok(()),
        };
        named(self.rooms.as_ref().map(BTreeSet::len), "rooms", Kind::Room)?;
        named(self.sales.as_ref().map(BTreeSet::len), "sales", Kind::Sale)
    }
}
