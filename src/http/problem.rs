//! Every error of the service as `application/problem+json` (RFC 9457): one table from code to status and
//! title, and one type that handlers return.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use serde_json::{Map, Value};

use crate::{room::settings::FieldError, store::StoreError, token::TokenError};

/// Seconds after which a caller refused for lack of capacity may try again: the queues in front of the store
/// drain in far less. One of these by chance, because those who are refused together shall not come back together.
pub const RETRY_AFTER_OVERLOAD_SECONDS: RangeInclusive<u64> = 1..=3;
/// Seconds after which a caller may try again when the store was out of reach: long enough not to pile up. By chance, as
/// above: whoever was cut off with all the others meets a store that has just come back.
pub const RETRY_AFTER_UNAVAILABLE_SECONDS: RangeInclusive<u64> = 3..=6;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)+) => {
        /// What went wrong, as callers tell it apart: the last part of a problem's `type`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// Every code, for the OpenAPI document.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code as callers see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $slug,)+ }
            }

            /// The HTTP status, as a number.
            pub const fn status_number(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// What it means, in a few words that never change.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", 400, "The request cannot be taken as it is";
    Unauthorized = "unauthorized", 401, "A valid key is needed";
    InvalidTicket = "invalid_ticket", 401, "The ticket is not valid";
    InvalidPass = "invalid_pass", 401, "The pass is not valid";
    Forbidden = "forbidden", 403, "This is not allowed";
    RoomClosed = "room_closed", 403, "The room is closed";
    PassRequired = "pass_required", 403, "A live pass of one of the sale's rooms is needed";
    SaleClosed = "sale_closed", 403, "The sale is closed";
    NotFound = "not_found", 404, "There is nothing here";
    UnknownRoom = "unknown_room", 404, "There is no such room";
    UnknownSale = "unknown_sale", 404, "There is no such sale";
    UnknownSku = "unknown_sku", 404, "There is no such item in this sale";
    UnknownReservation = "unknown_reservation", 404, "There is no such reservation";
    UnknownSession = "unknown_session", 404, "There is no such session";
    MethodNotAllowed = "method_not_allowed", 405, "This address does not know the method";
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive";
    Conflict = "conflict", 409, "The request conflicts with the present state";
    LimitExceeded = "limit_exceeded", 409, "A limit is reached";
    SoldOut = "sold_out", 409, "There are not enough units";
    TicketLapsed = "ticket_lapsed", 410, "The ticket has lapsed";
    SessionOver = "session_over", 410, "The session is over";
    ReservationExpired = "reservation_expired", 410, "The reservation has expired";
    ReservationReleased = "reservation_released", 410, "The reservation was released";
    StaleVersion = "stale_version", 412, "The document has changed meanwhile";
    TooLarge = "too_large", 413, "The request is too large";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body has to be JSON";
    KeyReused = "key_reused", 422, "The key was used for another request";
    VersionRequired = "version_required", 428, "The version that is to be replaced has to be named";
    RateLimited = "rate_limited", 429, "Too many requests";
    HeadersTooLarge = "headers_too_large", 431, "The request's headers are too large";
    Internal = "internal", 500, "Something went wrong on our side";
    Overloaded = "overloaded", 503, "Too much to do at this moment";
    StoreUnavailable = "store_unavailable", 503, "The store is out of reach";
    Recovering = "recovering", 503, "The store is recovering";
}

impl Code {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Seconds for `Retry-After`, for the codes that carry one.
    fn default_retry_after(self) -> Option<RangeInclusive<u64>> {
        match self {
            Self::Overloaded | Self::RateLimited | Self::Recovering => Some(RETRY_AFTER_OVERLOAD_SECONDS),
            Self::StoreUnavailable => Some(RETRY_AFTER_UNAVAILABLE_SECONDS),
            _ => None,
        }
    }
}

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    pub detail: Cow<'static, str>,
    /// The fields of its code, beside the standard ones.
    pub fields: Map<String, Value>,
    pub retry_after_seconds: Option<u64>,
    /// Further response headers, such as `Allow` or `WWW-Authenticate`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of that code; `detail` says what the caller can do about it.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Map::new(),
            retry_after_seconds: code.default_retry_after().map(rand::random_range),
            headers: Vec::new(),
        }
    }

    /// 400 naming the field at fault.
    pub fn invalid_field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail).with("field", field.into())
    }

    /// 404 for a room nobody knows.
    pub fn unknown_room() -> Self {
        Self::new(Code::UnknownRoom, "no room of that id is served here")
    }

    /// 404 for a sale nobody knows.
    pub fn unknown_sale() -> Self {
        Self::new(Code::UnknownSale, "no sale of that id is served here")
    }

    /// 403 for a sale that the store has lost.
    pub fn needs_operator() -> Self {
        Self::new(
            Code::SaleClosed,
            "the store has lost what this sale sold and holds, so it sells nothing before its operator has decided: to \
             begin it anew, delete it with If-Match and put it again",
        )
        .with("reason", "needs_operator")
    }

    /// Adds a field of the code.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its `type`.
    pub fn kind(&self) -> String {
        format!("urn:dropgate:{}", self.code.as_str())
    }

    /// The document; `instance` is the path that was asked.
    pub fn document(&self, instance: &str) -> Value {
        let mut document = Map::new();
        document.insert("type".into(), self.kind().into());
        document.insert("title".into(), self.code.title().into());
        document.insert("status".into(), self.code.status_number().into());
        document.insert("detail".into(), self.detail.as_ref().into());
        document.insert("instance".into(), instance.into());
        for (field, value) in &self.fields {
            // The standard members win over a field of the same name.
            document.entry(field.clone()).or_insert_with(|| value.clone());
        }
        Value::Object(document)
    }

    /// The answer for programs; `instance` is the path that was asked.
    pub fn json_response(&self, instance: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        response.content_type("application/problem+json");
        self.put_headers(response.body(self.document(instance).to_string()))
    }

    /// Puts the headers every form of this error carries.
    pub(super) fn put_headers(&self, mut response: HttpResponse) -> HttpResponse {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    // The outermost layer writes every problem, with the path asked or as a page. To write it here as well would make refusals
    // dearer, of which there are most when there is no time.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.code.status())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => {
                Self::new(Code::Overloaded, "more is asked here than can be queued; nothing was done")
            }
            StoreError::Unavailable(reason) => {
                // The reason is for the operator, who is told once that the store is gone and not at each request.
                tracing::debug!(reason, "the store did not answer");
                Self::new(Code::StoreUnavailable, "whether the request was carried out is not known; try it again")
            }
            StoreError::Recovering => {
                Self::new(Code::Recovering, "the store finds out what it may have lost; nothing was done, try it again")
            }
            StoreError::NeedsOperator => Self::needs_operator(),
            StoreError::Failed(reason) => {
                tracing::error!(reason, "the store failed at a command");
                Self::new(Code::Internal, "this failed, and changed nothing; it is a bug, and was logged")
            }
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::invalid_field(error.field, error.detail)
    }
}

/// What a visitor is told of a ticket that was not accepted.
pub fn invalid_ticket(error: TokenError) -> Problem {
    Problem::new(Code::InvalidTicket, error.to_string())
}
