//! Reservations: what visitors with a pass and shops with a key do with the units of a sale.
//!
//! [`ask`] reads what a buyer asks for, [`buyer`] who that is and by what right, [`calls`] what becomes of a hold,
//! [`answer`] shows a reservation. The sale decides; here is only what HTTP adds.

pub mod answer;
pub mod ask;
pub mod buyer;
pub mod calls;
#[cfg(test)]
mod tests;

use actix_web::{HttpRequest, HttpResponse, http::header, web::ServiceConfig};

use self::{answer::Reservation, ask::Wanted};
use super::{
    Context, Cors, Endpoint, JsonBody, SalePath, Shared, endpoint,
    idempotency::{IdempotencyKey, Names},
    lag,
    problem::Problem,
    sale_refusals,
    tickets::private,
};
use crate::{
    instance::LiveSale,
    sale::{self, Command, Outcome},
    store::sale_lane::SaleAnswer,
    telemetry::SaleCall,
};

const RESERVATIONS: &str = "/v1/sales/{sale}/reservations";

/// The address that is asked most.
pub(super) fn asked_most() -> Endpoint {
    endpoint(RESERVATIONS).post(reserve).cors(Cors::SaleHosts)
}

/// The addresses of these files.
pub fn configure(config: &mut ServiceConfig) {
    asked_most().register(config);
    let one = format!("{RESERVATIONS}/{{reservation}}");
    endpoint(one.clone()).get(calls::get).cors(Cors::SaleHosts).register(config);
    endpoint(format!("{one}/paying")).post(calls::paying).cors(Cors::SaleHosts).register(config);
    endpoint(format!("{one}/release")).post(calls::release).cors(Cors::SaleHosts).register(config);
    endpoint(format!("{one}/extend")).post(calls::extend).cors(Cors::SaleHosts).register(config);
    endpoint(format!("{one}/confirm")).post(calls::confirm).register(config);
}

#[utoipa::path(post, path = "/v1/sales/{sale}/reservations", tag = "stock", operation_id = "reserve",
    security((), ("api_key" = ["shop"])),
    params(("sale" = String, Path, description = "The sale's id"),
        ("Idempotency-Key" = String, Header, description = "The caller's name for this call, 1 to 255 visible ASCII characters: the \
            same key and body get the same reservation, however often they are sent"),
        ("X-Dropgate-Pass" = Option<String>, Header, description = "The pass of one of the sale's rooms: its subject is the buyer")),
    request_body(content = Wanted, content_type = "application/json"),
    responses((status = 201, description = "The units are held; again the reservation as it now is", body = Reservation,
            headers(("Location" = String, description = "The reservation's address"))),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`: neither pass nor key; or `invalid_pass`: not ours, or of a session that is over \
            where the sale requires no pass"),
        (status = 403, description = "`pass_required`, `sale_closed`, or `forbidden`: the key is not good for this"),
        (status = 404, description = "`unknown_sale` or `unknown_sku`; `unknown_reservation` for what `replaces` names"),
        (status = 409, description = "`sold_out` with `lines: [{sku, wanted, available, held}]` (to a visitor, where `show_numbers` \
            is false, `available` and `held` are 0 for none and 1 for some), `limit_exceeded` with `sku`, `limit` and \
            `used`; `conflict`: what `replaces` names is confirmed"),
        (status = 422, description = "`key_reused`: the key was used with another body, or for another buyer"),
        (status = 503, description = "`overloaded`, `store_unavailable` or `recovering`; the same key may be tried again")))]
pub(crate) async fn reserve(
    SalePath(sale): SalePath,
    context: Shared,
    request: HttpRequest,
    key: IdempotencyKey,
    JsonBody(wanted): JsonBody<Wanted>,
) -> Result<HttpResponse, Problem> {
    lag::in_time(&context)?;
    let wanted = wanted.read()?;
    let buyer = buyer::of(&request, &context, &sale, wanted.buyer.clone()).await?;
    let id = key.names(Names::Reservation, &sale.id, &buyer.scope);
    let command = Command::Reserve(sale::Reserve {
        id,
        fingerprint: wanted.fingerprint(buyer.name.as_ref()),
        caller: buyer.caller,
        buyer: buyer.name,
        lines: wanted.lines,
        hold_seconds: wanted.hold_seconds,
        replaces: wanted.replaces,
    });
    let (reservation, answer) = submit(&context, &sale, SaleCall::Reserve, command).await?;
    let shown = Reservation::with_token(&context, &sale, &reservation, &answer);
    let mut response = private(HttpResponse::Created());
    response.insert_header((header::LOCATION, format!("/v1/sales/{}/reservations/{}", sale.id, shown.id)));
    Ok(response.json(shown))
}

/// Sends a command about one reservation, and counts what came of it.
async fn submit(
    context: &Context,
    sale: &LiveSale,
    call: SaleCall,
    command: Command,
) -> Result<(sale::Reservation, SaleAnswer), Problem> {
    let by_visitor = matches!(&command, Command::Reserve(ask) if matches!(ask.caller, sale::Caller::Pass { .. }));
    let veiled = by_visitor && !sale.document.show_numbers;
    let answered = sale.lane.submit(command).await.map_err(Problem::from).and_then(|answer| match &answer.outcome {
        Outcome::Reservation(reservation) => Ok((reservation.clone(), answer)),
        Outcome::Refused(refusal) => {
            let refusal = refusal.clone();
            Err(sale_refusals::problem(if veiled { sale_refusals::without_numbers(refusal) } else { refusal }))
        }
        other => Err(sale_refusals::unexpected(other)),
    });
    let outcome = answered.as_ref().map_or_else(|problem| problem.code.as_str(), |_| "done");
    context.instance.metrics.sales.count(call, outcome);
    answered
}
