//! `/openapi.json`: every call in one OpenAPI 3.1 document. The same text stands at the top of the repository, and a
//! test holds the two together and to the addresses that are really served.

mod gates;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header, web};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, Content, OpenApi as Document, Ref, RefOr, Response,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub(super) use self::schemas::{RoomDocument, RoomList, SaleDocument, SaleList};
use super::{
    Cors, dashboard, endpoint, events, icon, instances, journey, jwks, keys, machine, passes, place, reservations,
    rooms, sale_view, sales, sessions, status, tickets, waiting_page,
};

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/openapi.json").get(serve).cors(Cors::Public).register(config);
}

/// Every call, in the order of the contract: visitors, shops, operators, machines.
#[derive(OpenApi)]
#[openapi(
    info(title = "Dropgate", description = "A virtual waiting room: a fair line in front of a shop, moving at the rate \
        the shop can take. Every error is `application/problem+json` (RFC 9457) whose `type` is `urn:dropgate:<code>`."),
    paths(
        tickets::join, status::status, place::place, passes::claim, tickets::leave,
        waiting_page::waiting_page, waiting_page::logo, journey::join, journey::place, journey::enter, journey::leave, icon::icon,
        gates::redirect, gates::nginx, gates::envoy, sessions::renew, sessions::finish,
        reservations::reserve, reservations::calls::get, reservations::calls::paying, reservations::calls::confirm,
        reservations::calls::release, reservations::calls::extend, events::list,
        rooms::list, rooms::get, rooms::put, rooms::patch, rooms::delete, rooms::reset,
        sale_view::get, sales::list, sales::put, sales::patch, sales::delete, sales::restock,
        keys::list, keys::create, keys::get, keys::delete, keys::list_signing, keys::rotate,
        instances::list, dashboard::show, dashboard::sign_in, dashboard::sign_out,
        jwks::jwks, machine::healthz, machine::readyz, machine::metrics_for_readers, serve,
    ),
    components(schemas(schemas::Problem)),
    modifiers(&ApiKeys, &Problems),
    tags(
        (name = "line", description = "What visitors do, as JSON"),
        (name = "page", description = "What visitors see: the page, and the same without script"),
        (name = "gate", description = "What gateways ask about a visitor's request"),
        (name = "stock", description = "What buyers with a pass and shops with a key do with the units of a sale"),
        (name = "shop", description = "What a shop's server does"),
        (name = "operators", description = "Documents, keys, the dashboard"),
        (name = "machines", description = "Keys to verify with, health, figures"),
    ),
)]
struct Api;

/// The scheme that `security` of the calls names.
struct ApiKeys;

impl Modify for ApiKeys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Components::new);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key; its scopes stand beside each call: `read`, `shop`, `admin`"))
            .build();
        components.add_security_scheme("api_key", SecurityScheme::Http(bearer));
    }
}

/// Gives every error the one body that all errors have, and those of every call to every call.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut Document) {
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            operations.into_iter().flatten().for_each(describe_errors);
        }
    }
}

fn describe_errors(operation: &mut Operation) {
    // Whatever the call: a fault of ours, and more asked of an instance than it can finish.
    let always = [("500", "`internal`"), ("503", "`overloaded`")];
    for (status, description) in always {
        let missing = || RefOr::T(Response::new(description));
        operation.responses.responses.entry(status.to_owned()).or_insert_with(missing);
    }
    for (status, response) in &mut operation.responses.responses {
        if let (RefOr::T(response), true) = (response, status.starts_with(['4', '5']))
            && response.content.is_empty()
        {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content.insert("application/problem+json".to_owned(), RefOr::T(problem));
        }
    }
}

/// The document as it is served, and as it stands in the repository.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        Api::openapi().to_pretty_json().map(|text| text + "\n").unwrap_or_else(|error| {
            tracing::error!(%error, "the OpenAPI document can't be written");
            "{}\n".to_owned()
        })
    });
    &TEXT
}

#[utoipa::path(get, path = "/openapi.json", tag = "machines", operation_id = "openapi",
    responses((status = 200, description = "This document", body = Object)))]
pub(crate) async fn serve() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/json")
        .body(text())
}
