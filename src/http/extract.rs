//! What handlers ask for in their signatures: the room or sale of the path, a JSON body, the visitor's ticket, the caller.

use std::{fmt, marker::PhantomData, net::IpAddr, sync::Arc};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header,
    web::{Bytes, BytesMut},
};
use futures_util::{
    StreamExt as _,
    future::{LocalBoxFuture, Ready, ready},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    Context, Shared,
    client_address::ClientAddress,
    endpoint::Around,
    limits::{BODY_MAX_BYTES, BODY_TIMEOUT},
    problem::{Code, Problem},
};
use crate::instance::{LiveRoom, LiveSale};

/// The room that the path names; an unknown id is answered without a store call.
pub struct RoomPath(pub Arc<LiveRoom>);

impl FromRequest for RoomPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            context(request).and_then(|context| room_of(request, context).map(Self).ok_or_else(Problem::unknown_room)),
        )
    }
}

/// The sale that the path names; an unknown id is answered without a store call.
pub struct SalePath(pub Arc<LiveSale>);

impl FromRequest for SalePath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            context(request).and_then(|context| sale_of(request, context).map(Self).ok_or_else(Problem::unknown_sale)),
        )
    }
}

/// What the whole HTTP side shares.
///
/// # Errors
/// 500 where the application was not set up with [`super::app`].
pub fn context(request: &HttpRequest) -> Result<&Shared, Problem> {
    request.app_data::<Shared>().ok_or_else(|| Problem::new(Code::Internal, "the service is not set up"))
}

/// What the path has in the place of a parameter of its pattern.
pub(super) fn parameter<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let by_pattern = request.match_info().get(name);
    by_pattern.or_else(|| request.app_data::<Around>()?.parameter(name, request.path()))
}

/// The room the path names, if this instance serves it.
pub(super) fn room_of(request: &HttpRequest, context: &Context) -> Option<Arc<LiveRoom>> {
    context.instance.room(parameter(request, "room")?)
}

/// Shows the room that the path names to what is answered out of memory alone. Lent, since a crowd asks: what is shared
/// has a count of owners, a line of memory that every thread would write.
///
/// # Errors
/// 404 where this instance serves no such room.
pub(super) fn with_room<R>(request: &HttpRequest, look: impl FnOnce(&LiveRoom) -> R) -> Result<R, Problem> {
    let id = parameter(request, "room").ok_or_else(Problem::unknown_room)?;
    context(request)?.instance.with_room(id, look).ok_or_else(Problem::unknown_room)
}

/// The sale the path names, if this instance serves it.
pub(super) fn sale_of(request: &HttpRequest, context: &Context) -> Option<Arc<LiveSale>> {
    context.instance.sale(parameter(request, "sale")?)
}

/// Who is calling, as far as the limits care.
pub struct Caller(pub ClientAddress);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(client_ip(request).map(|address| Self(ClientAddress::of(address))))
    }
}

/// The caller's address: the first untrusted hop from the right.
///
/// # Errors
/// 500 where the connection has no address, which no TCP connection lacks.
pub fn client_ip(request: &HttpRequest) -> Result<IpAddr, Problem> {
    let peer = request.peer_addr().ok_or_else(|| Problem::new(Code::Internal, "the connection has no address"))?;
    Ok(context(request)?.trusted_proxies.client(peer.ip(), request.headers()))
}

/// A JSON body that has to be there.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = json_body(request, payload, BODY_MAX_BYTES);
        Box::pin(async move { body.await.map(Self) })
    }
}

/// Reads a JSON body of at most so many bytes.
pub(super) fn json_body<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: &mut Payload,
    most_bytes: usize,
) -> impl Future<Output = Result<T, Problem>> + use<T> {
    let is_json = is_json(request);
    let body = read_body_within(request, payload, most_bytes);
    async move {
        if !is_json {
            return Err(unsupported_media_type());
        }
        parse_json(&body.await?)
    }
}

/// A JSON body that may be left out.
pub struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request);
        let body = read_body(request, payload);
        Box::pin(async move {
            let body = body.await?;
            match (body.is_empty(), is_json) {
                (true, _) => Ok(Self(T::default())),
                (false, true) => parse_json(&body).map(Self),
                (false, false) => Err(unsupported_media_type()),
            }
        })
    }
}

/// Reads JSON, naming the field at fault.
///
/// # Errors
/// 400 with `field` where the document has one.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Every body of ours is an object; serde would also read one from a list of its fields' values.
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::new(Code::InvalidRequest, "the body has to be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(&mut reader).map_err(|error| fault_in::<T>(body, &error))?;
    reader.end().map_err(|error| Problem::new(Code::InvalidRequest, format!("after the document: {error}")))?;
    Ok(value)
}

/// What is wrong with a body that could not be read as a `T`, and in which field. It is read once more to find that: to know
/// all along which field is being read costs as much again as reading it, and most bodies are right.
fn fault_in<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    let reread = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body));
    // `?` is what no path leads to, such as the end of a body that was cut off.
    let leads_there = |path: &String| path.split('.').all(|part| !part.is_empty() && part != "?");
    let path = reread.err().map(|error| error.path().to_string()).filter(leads_there);
    let detail = error.to_string();
    let field = match (path, missing_field(&detail)) {
        (Some(path), Some(missing)) => Some(format!("{path}.{missing}")),
        (path, _) => path.or_else(|| quoted_field(&detail)),
    };
    match field {
        Some(field) => Problem::invalid_field(field, detail),
        None => Problem::new(Code::InvalidRequest, format!("the body is not the JSON expected here: {detail}")),
    }
}

/// A value that is read from an object alone: serde would also read a struct from a list of its fields' values.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Reads a list of objects, and of nothing else: for `deserialize_with`.
///
/// # Errors
/// An element is no object, or not one of `T`.
pub(super) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let read = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|Object(value)| value).collect())
}

/// The same where the list may be left out, or null.
///
/// # Errors
/// As for [`objects`].
pub(super) fn objects_or_none<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let read = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(read.map(|list| list.into_iter().map(|Object(value)| value).collect()))
}

/// serde tells the path to where a field is missing, and which one in its message alone.
fn missing_field(detail: &str) -> Option<&str> {
    detail.strip_prefix("missing field `")?.split('`').next()
}

/// serde names a field that is missing or unknown in its message alone: ``missing field `name` ``.
fn quoted_field(detail: &str) -> Option<String> {
    let names_one = detail.starts_with("missing field `") || detail.starts_with("unknown field `");
    names_one.then(|| detail.split('`').nth(1).map(str::to_owned)).flatten()
}

/// Reads the whole body within the bounds of size and time.
pub fn read_body(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    read_body_within(request, payload, BODY_MAX_BYTES)
}

fn read_body_within(
    request: &HttpRequest,
    payload: &mut Payload,
    most_bytes: usize,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut payload = payload.take();
    let read = async move {
        if announced.is_some_and(|length: usize| length > most_bytes) {
            return Err(too_large(most_bytes));
        }
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) = payload.next().await {
            let chunk =
                chunk.map_err(|error| Problem::new(Code::InvalidRequest, format!("the body broke off: {error}")))?;
            if body.len() + chunk.len() > most_bytes {
                return Err(too_large(most_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    async move {
        let late = |_| Problem::new(Code::RequestTimeout, "the body did not arrive in time");
        tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(late)?
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json") || essence.eq_ignore_ascii_case("application/merge-patch+json")
}

fn too_large(most_bytes: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("a body may have at most {most_bytes} bytes"))
}

fn unsupported_media_type() -> Problem {
    Problem::new(Code::UnsupportedMediaType, "send the body as application/json")
}
