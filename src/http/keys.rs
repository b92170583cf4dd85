//! The operators' calls on API keys and signing keys.

use actix_web::{HttpResponse, http::header, web};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    Context, JsonBody,
    auth::Admin,
    documents::private,
    endpoint,
    problem::{Code, Problem},
};
use crate::{
    instance::{NewKey, OperateError, api_key::ApiKey},
    room::settings::Timestamp,
    time::UnixMs,
    token::SigningKey,
};

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/keys").get(list).post(create).register(config);
    endpoint("/v1/keys/{key}").get(get).delete(delete).register(config);
    endpoint("/v1/signing-keys").get(list_signing).register(config);
    endpoint("/v1/signing-keys/rotate").post(rotate).register(config);
}

async fn list(_key: Admin, context: web::Data<Context>) -> HttpResponse {
    let keys: Vec<Value> = context.instance.api_keys().iter().map(|key| describe(key)).collect();
    private(HttpResponse::Ok()).json(json!({ "keys": keys }))
}

async fn get(_key: Admin, id: web::Path<String>, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let key = context.instance.api_key_by_id(&id).ok_or_else(unknown_key)?;
    Ok(private(HttpResponse::Ok()).json(describe(&key)))
}

/// The one answer that carries the secret.
async fn create(
    _key: Admin,
    context: web::Data<Context>,
    JsonBody(wanted): JsonBody<NewKey>,
) -> Result<HttpResponse, Problem> {
    let created = context.instance.create_api_key(wanted).await?;
    let mut body = describe(&created.key);
    body["secret"] = created.secret.expose_secret().into();
    let mut response = private(HttpResponse::Created());
    Ok(response.insert_header((header::LOCATION, format!("/v1/keys/{}", created.key.id))).json(body))
}

async fn delete(
    Admin(caller): Admin,
    id: web::Path<String>,
    context: web::Data<Context>,
) -> Result<HttpResponse, Problem> {
    context.instance.delete_api_key(&id, &caller.id).await.map_err(|error| match error {
        OperateError::Unknown => unknown_key(),
        error => error.into(),
    })?;
    Ok(private(HttpResponse::NoContent()).finish())
}

async fn list_signing(_key: Admin, context: web::Data<Context>) -> HttpResponse {
    signing_keys(&context, &context.instance.signing_keys())
}

async fn rotate(_key: Admin, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let keys = context.instance.rotate_signing_keys().await?;
    Ok(signing_keys(&context, &keys))
}

/// What may be told of signing keys: everything but what they sign with.
fn signing_keys(context: &Context, keys: &[SigningKey]) -> HttpResponse {
    let now = context.instance.clock.now();
    let describe = |key: &SigningKey| {
        json!({
            "kid": key.kid,
            "purpose": key.purpose,
            "generation": key.generation,
            "published_at": time(key.published),
            "signs_from": time(key.signs_from),
            "signs": key.signs_from <= now && !keys.iter().any(|other| follows(other, key) && other.signs_from <= now),
        })
    };
    let keys: Vec<Value> = keys.iter().map(describe).collect();
    private(HttpResponse::Ok()).json(json!({ "signing_keys": keys }))
}

fn follows(other: &SigningKey, key: &SigningKey) -> bool {
    other.purpose == key.purpose && other.generation > key.generation
}

/// What may be told of a key: everything but its hash.
fn describe(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "rooms": key.rooms,
        "origin": key.origin,
        "created_at": key.created.map(time),
    })
}

fn time(at: UnixMs) -> String {
    Timestamp(at).into()
}

fn unknown_key() -> Problem {
    Problem::new(Code::NotFound, "there is no key of that id")
}

#[cfg(test)]
mod tests;
