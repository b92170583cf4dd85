//! The operators' calls on sales.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Cors, JsonBody, Shared,
    auth::{Admin, ReadSome},
    documents::{DocumentBody, Precondition, forget_version, private, read_put, respond},
    endpoint,
    idempotency::{IdempotencyKey, Names},
    openapi::{SaleDocument, SaleList},
    problem::{Code, Problem},
    sale_view::{self, Numbers},
};
use crate::{
    instance::{LiveHolds, LiveSale, OperateError},
    sale::{Document, Refusal, Sku},
};

/// The addresses of this file, and with them the view: it has the address of the document.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/sales").get(list).register(config);
    let sale = endpoint("/v1/sales/{sale}").get(sale_view::get).cors(Cors::Public);
    sale.put(put).patch(patch).delete(delete).register(config);
    endpoint("/v1/sales/{sale}/items/{sku}/restock").post(restock).register(config);
}

/// What to add to an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Units to add; below zero, units to withdraw from those available.
    pub delta: i64,
}

/// An item after a restock.
#[derive(Debug, Serialize, ToSchema)]
pub struct Restocked {
    pub sale: String,
    #[schema(value_type = String)]
    pub sku: Sku,
    #[serde(flatten)]
    pub numbers: Numbers,
}

#[utoipa::path(get, path = "/v1/sales", tag = "operators", operation_id = "listSales", security(("api_key" = ["read"])),
    responses((status = 200, description = "The documents of the sales that the key covers, ordered by id", body = SaleList),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`")))]
pub(crate) async fn list(ReadSome(key): ReadSome, context: Shared) -> Result<HttpResponse, Problem> {
    let sales = context.instance.sales();
    let covered = sales.iter().filter(|sale| key.covers_sale(sale.id.as_str()));
    let sales = covered.map(|sale| document_of(sale)).collect::<Result<Vec<_>, _>>()?;
    Ok(private(HttpResponse::Ok()).json(json!({ "sales": sales })))
}

#[utoipa::path(put, path = "/v1/sales/{sale}", tag = "operators", operation_id = "putSale", security(("api_key" = ["admin"])),
    params(("sale" = String, Path, description = "The sale's id: `[a-z0-9][a-z0-9-]{0,62}`"),
        ("If-Match" = Option<String>, Header, description = "The version that is replaced, or `*`; needed where there is a sale")),
    request_body(content = SaleDocument, content_type = "application/json"),
    responses((status = 200, description = "The document stands; the same again changes nothing. A changed `total` adds or \
            withdraws the difference to the former document's, so that what was restocked meanwhile stays", body = SaleDocument),
        (status = 201, description = "The sale is made", body = SaleDocument),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 409, description = "`conflict`: units that are held or sold would vanish; `limit_exceeded`: as many sales as there may be"),
        (status = 412, description = "`stale_version` with the `version` that stands there"),
        (status = 428, description = "`version_required`: there is such a sale, and no If-Match was sent"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn put(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
    DocumentBody(body): DocumentBody,
) -> Result<HttpResponse, Problem> {
    let document: Document = read_put(&id, body)?;
    let precondition = Precondition::of(&request)?;
    let expect = precondition.for_write(context.instance.sale(&id).is_some())?;
    let put = context.instance.put_sale(&document, expect).await.map_err(|error| precondition.problem(error))?;
    if put.created {
        let mut response = HttpResponse::Created();
        response.insert_header((header::LOCATION, format!("/v1/sales/{id}")));
        return answer(response, &put.sale);
    }
    answer(HttpResponse::Ok(), &put.sale)
}

#[utoipa::path(patch, path = "/v1/sales/{sale}", tag = "operators", operation_id = "patchSale", security(("api_key" = ["admin"])),
    params(("sale" = String, Path, description = "The sale's id"),
        ("If-Match" = Option<String>, Header, description = "The version that is changed; whichever if left out")),
    request_body(content = Object, content_type = "application/merge-patch+json",
        description = "A merge patch (RFC 7396) of the document; null takes the default, `items` is replaced whole"),
    responses((status = 200, description = "The document as it now stands", body = SaleDocument),
        (status = 400, description = "`invalid_request` with `field`; nothing changed"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`"),
        (status = 409, description = "`conflict`: units that are held or sold would vanish"),
        (status = 412, description = "`stale_version` with the `version` that stands there"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn patch(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
    DocumentBody(mut body): DocumentBody,
) -> Result<HttpResponse, Problem> {
    forget_version(&mut body);
    let expect = Precondition::of(&request)?.for_change()?;
    let patched = context.instance.patch_sale(&id, &body, expect).await.map_err(of_sale)?;
    answer(HttpResponse::Ok(), &patched.sale)
}

#[utoipa::path(delete, path = "/v1/sales/{sale}", tag = "operators", operation_id = "deleteSale", security(("api_key" = ["admin"])),
    params(("sale" = String, Path, description = "The sale's id"),
        ("If-Match" = Option<String>, Header, description = "The version that is deleted, or `*`; needed while units are held")),
    responses((status = 204, description = "The sale is gone with everything held and sold in it, also if the id is used again"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale`"),
        (status = 409, description = "`conflict`: units are held, their buyers may be paying, and no If-Match was sent"),
        (status = 412, description = "`stale_version` with the `version` that stands there"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn delete(
    _key: Admin,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
) -> Result<HttpResponse, Problem> {
    let precondition = Precondition::of(&request)?;
    // Whoever names what is to go has looked at it; a bare DELETE may be a script that cleans up.
    let holds = if precondition == Precondition::None { LiveHolds::Respect } else { LiveHolds::Drop };
    context.instance.delete_sale(&id, precondition.for_change()?, holds).await.map_err(of_sale)?;
    Ok(private(HttpResponse::NoContent()).finish())
}

#[utoipa::path(post, path = "/v1/sales/{sale}/items/{sku}/restock", tag = "operators", operation_id = "restockItem",
    security(("api_key" = ["admin"])),
    params(("sale" = String, Path, description = "The sale's id"),
        ("sku" = String, Path, description = "The item, percent-encoded"),
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters: sent again, the call changes nothing")),
    request_body(content = Delta, content_type = "application/json"),
    responses((status = 200, description = "The item after it. The document keeps its `total`", body = Restocked),
        (status = 400, description = "`invalid_request` with `field`"),
        (status = 401, description = "`unauthorized`"), (status = 403, description = "`forbidden`"),
        (status = 404, description = "`unknown_sale` or `unknown_sku`"),
        (status = 409, description = "`conflict`: fewer units are available than are to be withdrawn"),
        (status = 422, description = "`key_reused`: the key was used for another restock"),
        (status = 503, description = "`overloaded` or `store_unavailable`")))]
pub(crate) async fn restock(
    Admin(caller): Admin,
    path: web::Path<(String, String)>,
    key: IdempotencyKey,
    context: Shared,
    JsonBody(Delta { delta }): JsonBody<Delta>,
) -> Result<HttpResponse, Problem> {
    let (id, sku) = path.into_inner();
    let sale = context.instance.sale(&id).ok_or_else(Problem::unknown_sale)?;
    let sku = Sku::parse(&sku).map_err(|_| Problem::new(Code::UnknownSku, "no item can have that name"))?;
    let restock = key.names(Names::Restock, &sale.id, &format!("key:{}", caller.id));
    let item = context.instance.restock_sale(&id, restock, &sku, delta).await.map_err(of_sale)?;
    let restocked = Restocked { sale: id, numbers: Numbers::of(&item), sku: item.sku };
    Ok(private(HttpResponse::Ok()).json(restocked))
}

fn answer(response: actix_web::HttpResponseBuilder, sale: &LiveSale) -> Result<HttpResponse, Problem> {
    Ok(respond(response, document_of(sale)?, sale.version))
}

/// What operators see of a sale's settings: the document as it was put, defaults written out, and its version.
pub(super) fn document_of(sale: &LiveSale) -> Result<Value, Problem> {
    let unwritable = |error: serde_json::Error| {
        tracing::error!(sale = %sale.id, %error, "a document can't be written");
        Problem::new(Code::Internal, "the fault is ours, and logged")
    };
    let mut document = serde_json::to_value(&*sale.document).map_err(unwritable)?;
    document["version"] = sale.version.into();
    Ok(document)
}

/// An unknown document here is an unknown sale.
fn of_sale(error: OperateError) -> Problem {
    match error {
        OperateError::Unknown | OperateError::Refused(Refusal::UnknownSale) => Problem::unknown_sale(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
