//! The operators' calls on API keys and signing keys.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::header, web};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    JsonBody, Shared,
    auth::Admin,
    documents::private,
    endpoint,
    problem::{Code, Problem},
};
use crate::{
    id::{RoomId, SaleId},
    instance::{
        NewKey, OperateError,
        api_key::{ApiKey, Origin, Scope},
    },
    room::settings::Timestamp,
    time::UnixMs,
    token::{SigningKey, keys::Purpose},
};

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/keys").get(list).post(create).register(config);
    endpoint("/v1/keys/{key}").get(get).delete(delete).register(config);
    endpoint("/v1/signing-keys").get(list_signing).register(config);
    endpoint("/v1/signing-keys/rotate").post(rotate).register(config);
}

/// An API key, as far as it may be told: everything but its secret and hash.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    pub id: String,
    pub name: String,
    #[schema(value_type = Vec<String>, example = json!(["read", "shop"]))]
    pub scopes: BTreeSet<Scope>,
    /// The rooms it is good for; if null, all, or none where it names sales.
    #[schema(value_type = Option<Vec<String>>)]
    pub rooms: Option<BTreeSet<RoomId>>,
    /// The sales it is good for; if null, all, or none where it names rooms.
    #[schema(value_type = Option<Vec<String>>)]
    pub sales: Option<BTreeSet<SaleId>>,
    /// `environment`, `configuration` or `created`.
    #[schema(value_type = String, example = "created")]
    pub origin: Origin,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
}

/// A key just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyWithSecret {
    #[serde(flatten)]
    pub key: Key,
    /// Told here and never again.
    pub secret: String,
}

/// Every API key.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyList {
    pub keys: Vec<Key>,
}

/// A signing key, as far as it may be told: everything but what it signs with.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningKeyShown {
    pub kid: String,
    #[schema(value_type = String, example = "pass")]
    pub purpose: Purpose,
    /// 1 for the first key of its purpose, one more for each that follows.
    pub generation: u64,
    #[schema(value_type = String, format = DateTime)]
    pub published_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub signs_from: Timestamp,
    /// Whether it signs now; a key that does not is announced, or retiring and verifies still.
    pub signs: bool,
}

/// The signing keys of the store; those of the configuration are not told of.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningKeyList {
    pub signing_keys: Vec<SigningKeyShown>,
}

#[utoipa::path(get, path = "/v1/keys", tag = "operators", operation_id = "listKeys", security(("api_key" = ["admin"])),
    responses((status = 200, description = "Every API key, without secrets", body = KeyList),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`")))]
pub(crate) async fn list(_key: Admin, context: Shared) -> HttpResponse {
    let keys = context.instance.api_keys().iter().map(|key| Key::of(key)).collect();
    private(HttpResponse::Ok()).json(KeyList { keys })
}

#[utoipa::path(get, path = "/v1/keys/{key}", tag = "operators", operation_id = "getKey", security(("api_key" = ["admin"])),
    params(("key" = String, Path, description = "The key's id")),
    responses((status = 200, description = "The key, without its secret", body = Key),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`not_found`")))]
pub(crate) async fn get(_key: Admin, id: web::Path<String>, context: Shared) -> Result<HttpResponse, Problem> {
    let key = context.instance.api_key_by_id(&id).ok_or_else(unknown_key)?;
    Ok(private(HttpResponse::Ok()).json(Key::of(&key)))
}

#[utoipa::path(post, path = "/v1/keys", tag = "operators", operation_id = "createKey", security(("api_key" = ["admin"])),
    request_body(content = NewKeyBody, content_type = "application/json"),
    responses((status = 201, description = "The key with its secret, which is told here and never again", body = KeyWithSecret),
        (status = 400, description = "`invalid_request` with `field`"), (status = 401, description = "`unauthorized`"),
        (status = 403, description = "`forbidden`"), (status = 409, description = "`limit_exceeded`"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn create(
    _key: Admin,
    context: Shared,
    JsonBody(wanted): JsonBody<NewKey>,
) -> Result<HttpResponse, Problem> {
    let created = context.instance.create_api_key(wanted).await?;
    let body = KeyWithSecret { key: Key::of(&created.key), secret: created.secret.expose_secret().to_owned() };
    let mut response = private(HttpResponse::Created());
    Ok(response.insert_header((header::LOCATION, format!("/v1/keys/{}", created.key.id))).json(body))
}

/// What a new key is to be.
#[derive(ToSchema)]
#[schema(as = NewKey)]
#[expect(dead_code, reason = "describes `instance::NewKey`, which knows nothing of HTTP")]
pub(crate) struct NewKeyBody {
    /// What it is for, in the operator's words: 1 to 80 characters.
    name: String,
    /// At least one of `read`, `shop`, `admin`; the last includes the others.
    #[schema(example = json!(["read", "shop"]))]
    scopes: Vec<String>,
    /// The rooms it is good for; all if left out, none if only sales are named.
    rooms: Option<Vec<String>>,
    /// The sales it is good for; all if left out, none if only rooms are named.
    sales: Option<Vec<String>>,
}

#[utoipa::path(delete, path = "/v1/keys/{key}", tag = "operators", operation_id = "deleteKey", security(("api_key" = ["admin"])),
    params(("key" = String, Path, description = "The key's id")),
    responses((status = 204, description = "The key is void"), (status = 401, description = "`unauthorized`"),
        (status = 403, description = "`forbidden`"), (status = 404, description = "`not_found`"),
        (status = 409, description = "`conflict`: the caller's own key, or one that the configuration declares"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn delete(
    Admin(caller): Admin,
    id: web::Path<String>,
    context: Shared,
) -> Result<HttpResponse, Problem> {
    context.instance.delete_api_key(&id, &caller.id).await.map_err(|error| match error {
        OperateError::Unknown => unknown_key(),
        error => error.into(),
    })?;
    Ok(private(HttpResponse::NoContent()).finish())
}

#[utoipa::path(get, path = "/v1/signing-keys", tag = "operators", operation_id = "listSigningKeys",
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "The signing keys of the store, without what they sign with", body = SigningKeyList),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`")))]
pub(crate) async fn list_signing(_key: Admin, context: Shared) -> HttpResponse {
    let now = context.instance.clock.now();
    private(HttpResponse::Ok()).json(SigningKeyList::of(&context.instance.signing_keys(), now))
}

#[utoipa::path(post, path = "/v1/signing-keys/rotate", tag = "operators", operation_id = "rotateSigningKeys",
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "A successor of every key is announced and signs in ten minutes", body = SigningKeyList),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 409, description = "`conflict`: successors are announced already"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn rotate(_key: Admin, context: Shared) -> Result<HttpResponse, Problem> {
    let keys = context.instance.rotate_signing_keys().await?;
    Ok(private(HttpResponse::Ok()).json(SigningKeyList::of(&keys, context.instance.clock.now())))
}

impl Key {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            rooms: key.rooms.clone(),
            sales: key.sales.clone(),
            origin: key.origin,
            created_at: key.created.map(Timestamp),
        }
    }
}

impl SigningKeyList {
    fn of(keys: &[SigningKey], now: UnixMs) -> Self {
        let follows = |other: &SigningKey, key: &SigningKey| {
            other.purpose == key.purpose && other.generation > key.generation && other.signs_from <= now
        };
        let shown = |key: &SigningKey| SigningKeyShown {
            kid: key.kid.clone(),
            purpose: key.purpose,
            generation: key.generation,
            published_at: Timestamp(key.published),
            signs_from: Timestamp(key.signs_from),
            signs: key.signs_from <= now && !keys.iter().any(|other| follows(other, key)),
        };
        Self { signing_keys: keys.iter().map(shown).collect() }
    }
}

fn unknown_key() -> Problem {
    Problem::new(Code::NotFound, "there is no key of that id")
}

#[cfg(test)]
mod tests;
