//! The public keys of passes, for whoever verifies them without asking us.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::ServiceConfig,
};

use super::{
    Cors, Shared, endpoint,
    precompressed::{Effort, Precompressed},
};
use crate::token::KeyRing;

/// The addresses of this file.
pub fn configure(config: &mut ServiceConfig) {
    endpoint("/.well-known/jwks.json").get(jwks).cors(Cors::Public).register(config);
}

#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "machines", operation_id = "getJwks",
    responses((status = 200, description = "The public keys of passes and entry passes (RFC 7517)", body = Object),
        (status = 304, description = "Nothing changed since the ETag sent along")))]
pub(crate) async fn jwks(context: Shared, request: HttpRequest) -> HttpResponse {
    let keys = context.instance.keys();
    let make = |keys: &KeyRing, _: Option<&Precompressed>| {
        // A list of plain fields always has a JSON form.
        let json = serde_json::to_vec(keys.jwks()).unwrap_or_default();
        Precompressed::new("application/json", json, Effort::Best)
    };
    // Five minutes: a new key is published ten minutes before it signs.
    let caching = [(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))];
    context.jwks.with(&keys, make, |body| body.respond(&request, caching))
}
