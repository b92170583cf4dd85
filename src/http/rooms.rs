//! The operators' calls on rooms.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    JsonBody, Shared,
    auth::{Admin, Read, ReadSome},
    documents::{Precondition, forget_version, private, read_put, respond},
    endpoint,
    openapi::{RoomDocument, RoomList},
    problem::{Code, Problem},
};
use crate::{
    instance::{LiveRoom, OperateError},
    room::{Document, Epoch},
};

/// A room after a reset.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reset {
    pub room: String,
    /// The count of resets: tickets of a lower one are void.
    pub epoch: Epoch,
}

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/rooms").get(list).register(config);
    endpoint("/v1/rooms/{room}").get(get).put(put).patch(patch).delete(delete).register(config);
    endpoint("/v1/rooms/{room}/reset").post(reset).register(config);
}

#[utoipa::path(get, path = "/v1/rooms", tag = "operators", operation_id = "listRooms", security(("api_key" = ["read"])),
    responses((status = 200, description = "The documents of the rooms that the key covers, ordered by id", body = RoomList),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`")))]
pub(crate) async fn list(ReadSome(key): ReadSome, context: Shared) -> Result<HttpResponse, Problem> {
    let rooms = context.instance.rooms();
    let covered = rooms.iter().filter(|(id, _)| key.covers_room(id.as_str()));
    let rooms = covered.map(|(_, room)| document_of(room)).collect::<Result<Vec<_>, _>>()?;
    Ok(private(HttpResponse::Ok()).json(json!({ "rooms": rooms })))
}

#[utoipa::path(get, path = "/v1/rooms/{room}", tag = "operators", operation_id = "getRoom", security(("api_key" = ["read"])),
    params(("room" = String, Path, description = "The room's id")),
    responses((status = 200, description = "The document as it was put, with its version", body = RoomDocument),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_room`")))]
pub(crate) async fn get(_key: Read, room: web::Path<String>, context: Shared) -> Result<HttpResponse, Problem> {
    let room = context.instance.room(&room).ok_or_else(Problem::unknown_room)?;
    answer(HttpResponse::Ok(), &room)
}

#[utoipa::path(put, path = "/v1/rooms/{room}", tag = "operators", operation_id = "putRoom", security(("api_key" = ["admin"])),
    params(("room" = String, Path, description = "The room's id: `[a-z0-9][a-z0-9-]{0,62}`"),
        ("If-Match" = Option<String>, Header, description = "The version that is replaced, or `*`; needed where there is a room")),
    request_body(content = RoomDocument, content_type = "application/json"),
    responses((status = 200, description = "The document stands; the same again changes nothing", body = RoomDocument),
        (status = 201, description = "The room is made", body = RoomDocument),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 409, description = "`limit_exceeded`: as many rooms as there may be"),
        (status = 412, description = "`stale_version` with the `version` that stands there"),
        (status = 428, description = "`version_required`: there is such a room, and no If-Match was sent"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn put(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, Problem> {
    let document: Document = read_put(&id, body)?;
    let precondition = Precondition::of(&request)?;
    let expect = precondition.for_write(context.instance.room(&id).is_some())?;
    let put = context.instance.put_room(&document, expect).await.map_err(|error| precondition.problem(error))?;
    if put.created {
        let mut response = HttpResponse::Created();
        response.insert_header((header::LOCATION, format!("/v1/rooms/{id}")));
        return answer(response, &put.room);
    }
    answer(HttpResponse::Ok(), &put.room)
}

#[utoipa::path(patch, path = "/v1/rooms/{room}", tag = "operators", operation_id = "patchRoom", security(("api_key" = ["admin"])),
    params(("room" = String, Path, description = "The room's id"),
        ("If-Match" = Option<String>, Header, description = "The version that is changed; whichever if left out")),
    request_body(content = Object, content_type = "application/merge-patch+json",
        description = "A merge patch (RFC 7396) of the document; null takes the default"),
    responses((status = 200, description = "The document as it now stands", body = RoomDocument),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_room`"),
        (status = 412, description = "`stale_version` with the `version` that stands there"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn patch(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
    JsonBody(mut body): JsonBody<Value>,
) -> Result<HttpResponse, Problem> {
    forget_version(&mut body);
    let expect = Precondition::of(&request)?.for_change()?;
    let patched = context.instance.patch_room(&id, &body, expect).await.map_err(of_room)?;
    answer(HttpResponse::Ok(), &patched.room)
}

#[utoipa::path(delete, path = "/v1/rooms/{room}", tag = "operators", operation_id = "deleteRoom", security(("api_key" = ["admin"])),
    params(("room" = String, Path, description = "The room's id"),
        ("If-Match" = Option<String>, Header, description = "The version that is deleted; whichever if left out")),
    responses((status = 204, description = "The room is gone; its tickets and passes are void, also if the id is used again"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_room`"),
        (status = 412, description = "`stale_version` with the `version` that stands there"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn delete(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
) -> Result<HttpResponse, Problem> {
    let expect = Precondition::of(&request)?.for_change()?;
    context.instance.delete_room(&id, expect).await.map_err(of_room)?;
    Ok(private(HttpResponse::NoContent()).finish())
}

#[utoipa::path(post, path = "/v1/rooms/{room}/reset", tag = "operators", operation_id = "resetRoom", security(("api_key" = ["admin"])),
    params(("room" = String, Path, description = "The room's id")),
    responses((status = 200, description = "The line is empty and its sessions ended; older tickets are void", body = Reset),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_room`"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn reset(_key: Admin, id: web::Path<String>, context: Shared) -> Result<HttpResponse, Problem> {
    let view = context.instance.reset_room(&id).await.map_err(of_room)?;
    Ok(private(HttpResponse::Ok()).json(Reset { room: id.into_inner(), epoch: view.epoch }))
}

fn answer(response: actix_web::HttpResponseBuilder, room: &LiveRoom) -> Result<HttpResponse, Problem> {
    Ok(respond(response, document_of(room)?, room.version))
}

/// What operators see of a room: the document as it was put, defaults written out, and its version.
fn document_of(room: &LiveRoom) -> Result<Value, Problem> {
    let unwritable = |error: serde_json::Error| {
        tracing::error!(room = %room.id, %error, "a document can't be written");
        Problem::new(Code::Internal, "the fault is ours, and logged")
    };
    let mut document = serde_json::to_value(&*room.document).map_err(unwritable)?;
    document["version"] = room.version.into();
    Ok(document)
}

/// An unknown document here is an unknown room.
fn of_room(error: OperateError) -> Problem {
    match error {
        OperateError::Unknown => Problem::unknown_room(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
