//! The operators' calls on rooms.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::{Value, json};

use super::{
    Context, JsonBody,
    auth::{Admin, Read, ReadSome},
    documents::{Precondition, private, respond},
    endpoint,
    problem::{Code, Problem},
};
use crate::{
    instance::{LiveRoom, OperateError, read_document},
    room::Document,
};

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/rooms").get(list).register(config);
    endpoint("/v1/rooms/{room}").get(get).put(put).patch(patch).delete(delete).register(config);
    endpoint("/v1/rooms/{room}/reset").post(reset).register(config);
}

async fn list(ReadSome(key): ReadSome, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let rooms = context.instance.rooms();
    let covered = rooms.iter().filter(|(id, _)| key.covers(id.as_str()));
    let rooms = covered.map(|(_, room)| document_of(room)).collect::<Result<Vec<_>, _>>()?;
    Ok(private(HttpResponse::Ok()).json(json!({ "rooms": rooms })))
}

async fn get(_key: Read, room: web::Path<String>, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let room = context.instance.room(&room).ok_or_else(Problem::unknown_room)?;
    answer(HttpResponse::Ok(), &room)
}

async fn put(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: web::Data<Context>,
    JsonBody(body): JsonBody<Value>,
) -> Result<HttpResponse, Problem> {
    let document = read_put(&id, body)?;
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

async fn patch(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: web::Data<Context>,
    JsonBody(mut body): JsonBody<Value>,
) -> Result<HttpResponse, Problem> {
    forget_version(&mut body);
    let expect = Precondition::of(&request)?.for_change()?;
    let patched = context.instance.patch_room(&id, &body, expect).await.map_err(of_room)?;
    answer(HttpResponse::Ok(), &patched.room)
}

async fn delete(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: web::Data<Context>,
) -> Result<HttpResponse, Problem> {
    let expect = Precondition::of(&request)?.for_change()?;
    context.instance.delete_room(&id, expect).await.map_err(of_room)?;
    Ok(private(HttpResponse::NoContent()).finish())
}

async fn reset(_key: Admin, id: web::Path<String>, context: web::Data<Context>) -> Result<HttpResponse, Problem> {
    let view = context.instance.reset_room(&id).await.map_err(of_room)?;
    Ok(private(HttpResponse::Ok()).json(json!({ "room": id.as_str(), "epoch": view.epoch })))
}

/// The document of a PUT. The path names the room, so the body need not; and what GET showed can be put back, version
/// and all: which version it replaces is for `If-Match` to say.
fn read_put(id: &str, mut body: Value) -> Result<Document, Problem> {
    forget_version(&mut body);
    let Value::Object(members) = &mut body else {
        return Err(Problem::new(Code::InvalidRequest, "the body must be an object: the room's document"));
    };
    match members.get("id") {
        None => _ = members.insert("id".to_owned(), id.into()),
        Some(named) if named == id => {}
        Some(_) => return Err(Problem::invalid_field("id", format!("must be `{id}`, as in the address, or left out"))),
    }
    Ok(read_document(body)?)
}

fn forget_version(body: &mut Value) {
    if let Value::Object(members) = body {
        members.remove("version");
    }
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
