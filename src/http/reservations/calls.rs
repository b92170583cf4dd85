//! What becomes of a hold: look, paying, confirm, release, extend. Each may be sent again: the same call on a
//! reservation that it already brought about gets the same answer.

use actix_web::{HttpRequest, HttpResponse, http::header::HeaderName, web::Path};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Shared,
    answer::Reservation,
    ask::{WantedLine, read_lines},
    submit,
};
use crate::{
    http::{
        Context, JsonBody, OptionalJsonBody, SalePath,
        auth::{self, Shop},
        extract::objects_or_none,
        idempotency::{IDEMPOTENCY_KEY, IdempotencyKey},
        problem::{Code, Problem},
        tickets::private,
    },
    instance::{LiveSale, api_key::Scope},
    sale::{Command, Confirm, IfExpired, OrderRef, ReservationId},
    telemetry::SaleCall,
    token::reservation::read_reservation_name,
};

/// Where the holder of a reservation brings its token.
pub const RESERVATION_HEADER: HeaderName = HeaderName::from_static("x-dropgate-reservation");

/// Sale and reservation, as the path names them.
type Named = Path<(String, String)>;

/// A body that may be empty or `{}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A payment that arrived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// The shop's order reference: the same again gets the same answer, another one 409.
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$")]
    order: OrderRef,
    /// Confirms a part of the units; the rest returns.
    #[serde(default, deserialize_with = "objects_or_none")]
    lines: Option<Vec<WantedLine>>,
    /// What to do about a hold that has expired: refuse, or take the units again if they can be had.
    #[serde(default)]
    #[schema(value_type = String, default = "reject", example = "retake", pattern = "^(reject|retake)$")]
    if_expired: IfExpired,
}

/// How long a hold shall live.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Longer {
    /// At least so many seconds from now, never past the sale's `hold_max_seconds` from the start.
    #[schema(minimum = 1)]
    seconds: u64,
}

#[utoipa::path(get, path = "/v1/sales/{sale}/reservations/{reservation}", tag = "stock", operation_id = "getReservation",
    security((), ("api_key" = ["shop"]), ("api_key" = ["read"])),
    params(("sale" = String, Path, description = "The sale's id"), ("reservation" = String, Path, description = "The reservation's id"),
        ("X-Dropgate-Reservation" = Option<String>, Header, description = "The reservation's token, for who has no key")),
    responses((status = 200, description = "The reservation as it is", body = Reservation),
        (status = 401, description = "`unauthorized`: neither token nor key"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`, or `unknown_reservation`: also for a token of another"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn get(
    SalePath(sale): SalePath,
    context: Shared,
    request: HttpRequest,
    named: Named,
) -> Result<HttpResponse, Problem> {
    let id = owned(&request, &context, &sale, &named, &[Scope::Shop, Scope::Read])?;
    let (reservation, _) = submit(&context, &sale, SaleCall::Look, Command::Look { id }).await?;
    Ok(private(HttpResponse::Ok()).json(Reservation::of(&reservation)))
}

#[utoipa::path(post, path = "/v1/sales/{sale}/reservations/{reservation}/paying", tag = "stock", operation_id = "paying",
    security((), ("api_key" = ["shop"])),
    params(("sale" = String, Path, description = "The sale's id"), ("reservation" = String, Path, description = "The reservation's id"),
        ("X-Dropgate-Reservation" = Option<String>, Header, description = "The reservation's token, for who has no key")),
    responses((status = 200, description = "The buyer is at the payment provider: the hold lives at least the sale's \
            `payment_grace_seconds` from the first such call", body = Reservation),
        (status = 401, description = "`unauthorized`: neither token nor key"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`, or `unknown_reservation`: also for a token of another"),
        (status = 409, description = "`conflict`: it is confirmed"),
        (status = 410, description = "`reservation_expired` or `reservation_released`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn paying(
    SalePath(sale): SalePath,
    context: Shared,
    request: HttpRequest,
    named: Named,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<HttpResponse, Problem> {
    let id = owned(&request, &context, &sale, &named, &[Scope::Shop])?;
    let (reservation, answer) = submit(&context, &sale, SaleCall::Paying, Command::Paying { id }).await?;
    Ok(private(HttpResponse::Ok()).json(Reservation::with_token(&context, &sale, &reservation, &answer)))
}

#[utoipa::path(post, path = "/v1/sales/{sale}/reservations/{reservation}/confirm", tag = "stock", operation_id = "confirm",
    security(("api_key" = ["shop"])),
    params(("sale" = String, Path, description = "The sale's id"), ("reservation" = String, Path, description = "The reservation's id")),
    request_body(content = Payment, content_type = "application/json"),
    responses((status = 200, description = "Sold; again the same", body = Reservation),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale` or `unknown_reservation`"),
        (status = 409, description = "`conflict`: it is confirmed under another order"),
        (status = 410, description = "`reservation_expired` or `reservation_released`: the event feed tells of \
            `reservation.paid_too_late` once an order, so that it is refunded"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`; to be sent again")))]
pub(crate) async fn confirm(
    _key: Shop,
    SalePath(sale): SalePath,
    context: Shared,
    named: Named,
    JsonBody(payment): JsonBody<Payment>,
) -> Result<HttpResponse, Problem> {
    let id = read_reservation_name(&named.1).ok_or_else(unknown_reservation)?;
    let Payment { order, lines, if_expired } = payment;
    let lines = lines.map(read_lines).transpose()?;
    let command = Command::Confirm(Confirm { id, order, lines, if_expired });
    let (reservation, _) = submit(&context, &sale, SaleCall::Confirm, command).await?;
    Ok(private(HttpResponse::Ok()).json(Reservation::of(&reservation)))
}

#[utoipa::path(post, path = "/v1/sales/{sale}/reservations/{reservation}/release", tag = "stock", operation_id = "release",
    security((), ("api_key" = ["shop"])),
    params(("sale" = String, Path, description = "The sale's id"), ("reservation" = String, Path, description = "The reservation's id"),
        ("X-Dropgate-Reservation" = Option<String>, Header, description = "The reservation's token, for who has no key")),
    responses((status = 200, description = "The units are back, now or since before", body = Reservation),
        (status = 401, description = "`unauthorized`: neither token nor key"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`, or `unknown_reservation`: also for a token of another"),
        (status = 409, description = "`conflict`: it is confirmed"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn release(
    SalePath(sale): SalePath,
    context: Shared,
    request: HttpRequest,
    named: Named,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<HttpResponse, Problem> {
    let id = owned(&request, &context, &sale, &named, &[Scope::Shop])?;
    let (reservation, _) = submit(&context, &sale, SaleCall::Release, Command::Release { id }).await?;
    Ok(private(HttpResponse::Ok()).json(Reservation::of(&reservation)))
}

#[utoipa::path(post, path = "/v1/sales/{sale}/reservations/{reservation}/extend", tag = "stock", operation_id = "extend",
    security((), ("api_key" = ["shop"])),
    params(("sale" = String, Path, description = "The sale's id"), ("reservation" = String, Path, description = "The reservation's id"),
        ("X-Dropgate-Reservation" = Option<String>, Header, description = "The reservation's token, for who has no key"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and seconds again extend nothing more")),
    request_body(content = Longer, content_type = "application/json"),
    responses((status = 200, description = "The hold lives at least so long, or as long as it may", body = Reservation),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`: neither token nor key"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`, or `unknown_reservation`: also for a token of another"),
        (status = 409, description = "`limit_exceeded`: extended too often; `conflict`: it is confirmed"),
        (status = 410, description = "`reservation_expired` or `reservation_released`"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`")))]
pub(crate) async fn extend(
    SalePath(sale): SalePath,
    context: Shared,
    request: HttpRequest,
    named: Named,
    JsonBody(Longer { seconds }): JsonBody<Longer>,
) -> Result<HttpResponse, Problem> {
    let id = owned(&request, &context, &sale, &named, &[Scope::Shop])?;
    let key = match request.headers().contains_key(&IDEMPOTENCY_KEY) {
        true => Some(IdempotencyKey::of(&request)?.of_extension(&sale.id, id, seconds)),
        false => None,
    };
    let command = Command::Extend { id, seconds, key };
    let (reservation, answer) = submit(&context, &sale, SaleCall::Extend, command).await?;
    Ok(private(HttpResponse::Ok()).json(Reservation::with_token(&context, &sale, &reservation, &answer)))
}

/// The reservation that the path names, if the caller may act on it: by its token, or by a key with one of `scopes`. A
/// key sees the reservations of its sale, whoever made them.
fn owned(
    request: &HttpRequest,
    context: &Context,
    sale: &LiveSale,
    named: &Named,
    scopes: &[Scope],
) -> Result<ReservationId, Problem> {
    let id = read_reservation_name(&named.1);
    let token = request.headers().get(RESERVATION_HEADER);
    match token.filter(|_| !auth::brings_key(request)) {
        Some(token) => {
            let id = id.ok_or_else(unknown_reservation)?;
            // Of another, forged or garbled: all the same to who asks, lest it tell what exists.
            let keys = context.instance.keys();
            let proven = keys.verify_reservation((&sale.id, sale.born), id, token.to_str().unwrap_or(""));
            proven.map_err(|_| unknown_reservation())?;
            Ok(id)
        }
        None => {
            auth::authorize_any(request, scopes)?;
            id.ok_or_else(unknown_reservation)
        }
    }
}

fn unknown_reservation() -> Problem {
    Problem::new(Code::UnknownReservation, "this sale has no such reservation, or the token is not its")
}
