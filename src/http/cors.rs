//! Which other origins a browser may let read an answer. Never with credentials: apps carry their tokens in headers.

use actix_web::{
    HttpRequest, HttpResponseBuilder,
    http::header::{self, HeaderMap, HeaderValue},
};

use super::{Shared, extract};
use crate::instance::LiveRoom;

/// Headers of ours that a page of another origin may send.
const ALLOWED_HEADERS: &str =
    "content-type, idempotency-key, x-dropgate-ticket, x-dropgate-pass, x-dropgate-reservation";
/// Headers beside the safelisted ones that it may read: what to do on 429 and 503, and how old an answer is.
const EXPOSED_HEADERS: &str = "retry-after, age, date, etag, location";
/// Seconds a browser may remember a preflight's answer: ten minutes, so that a changed room is noticed soon.
const PREFLIGHT_MAX_AGE_SECONDS: &str = "600";

/// The policy of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// No other origin.
    SameOrigin,
    /// Every origin: the answer is the same for everyone.
    Public,
    /// The origins of the room's shop and allowed hosts.
    RoomHosts,
    /// The same of the rooms whose passes the sale takes.
    SaleHosts,
}

impl Cors {
    /// Answers a preflight.
    pub(super) fn preflight(self, request: &HttpRequest, methods: &HeaderValue, response: &mut HttpResponseBuilder) {
        if self.allowed_origin(request).is_none()
            || !request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return;
        }
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone()))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS));
    }

    /// Puts the headers on whatever the address answers, errors too.
    pub(super) fn put(self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if matches!(self, Self::RoomHosts | Self::SaleHosts) {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }

    /// What to allow the request's origin, if anything.
    pub(super) fn allowed_origin(self, request: &HttpRequest) -> Option<HeaderValue> {
        match self {
            Self::SameOrigin => None,
            Self::Public => Some(HeaderValue::from_static("*")),
            Self::RoomHosts => {
                let origin = request.headers().get(header::ORIGIN)?;
                let context = request.app_data::<Shared>()?;
                let room = extract::room_of(request, context)?;
                room.return_policy.admits_origin(origin.to_str().ok()?).then(|| origin.clone())
            }
            Self::SaleHosts => {
                let origin = request.headers().get(header::ORIGIN)?;
                let context = request.app_data::<Shared>()?;
                let sale = extract::sale_of(request, context)?;
                let asked = origin.to_str().ok()?;
                let admits = |room: &LiveRoom| room.return_policy.admits_origin(asked);
                context.instance.rooms_of_sale(&sale).iter().any(|room| admits(room)).then(|| origin.clone())
            }
        }
    }
}
