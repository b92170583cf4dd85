//! The waiting page and a shop's logo: the same bytes for everyone, so that a CDN can serve them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web::{Path, ServiceConfig},
};

use super::{
    Endpoint, PAGES, RoomPath, endpoint_within,
    extract::with_room,
    precompressed::{Effort, Precompressed},
    problem::{Code, Problem},
};
use crate::{
    page::{self, Rendered, logo},
    room::Document,
};

const CACHING: &str = "public, max-age=5, s-maxage=30, stale-while-revalidate=60, stale-if-error=600, no-transform";
/// A logo's address changes with the logo.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The addresses of this file; the page's own address is also where a browser without script joins.
pub fn configure(config: &mut ServiceConfig) {
    asked_most().register(config);
    endpoint_within(PAGES, "/w/{room}/logo/{hash}").get(logo).register(config);
}

/// The address that is asked most.
pub(super) fn asked_most() -> Endpoint {
    endpoint_within(PAGES, "/w/{room}").get(waiting_page).post(super::journey::join)
}

/// The page of one version of a room's document, ready to send.
struct Ready {
    body: Precompressed,
    csp: HeaderValue,
}

impl Ready {
    fn new(document: &Document) -> Self {
        let Rendered { html, csp } = page::waiting(document);
        Self { body: Precompressed::new("text/html; charset=utf-8", html, Effort::Best), csp: policy(&csp) }
    }
}

/// A policy as a header; one that is no header would be our fault, and then nothing may run.
pub fn policy(csp: &str) -> HeaderValue {
    HeaderValue::from_str(csp).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

#[utoipa::path(get, path = "/w/{room}", tag = "page", operation_id = "waitingPage",
    params(("room" = String, Path, description = "The room's id"),
        ("t" = Option<String>, Query, description = "Where in the shop the visitor wants to go"),
        ("rd" = Option<String>, Query, description = "The same, as some gateways call it")),
    responses((status = 200, description = "The waiting page, the same bytes for everyone", content_type = "text/html"),
        (status = 304, description = "Nothing changed since the ETag sent along"),
        (status = 404, description = "`unknown_room`")))]
pub(crate) async fn waiting_page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    const HEADERS: [(HeaderName, HeaderValue); 3] = [
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHING)),
        (HeaderName::from_static("no-vary-search"), HeaderValue::from_static(r#"params=("t" "rd")"#)),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ];
    with_room(&request, |room| {
        // A change of settings makes another room around the same line, so a page is made once a change.
        room.page.with(
            &room.document,
            |document, _| Ready::new(document),
            |page: &Ready| {
                let policy = (header::CONTENT_SECURITY_POLICY, page.csp.clone());
                page.body.respond(&request, HEADERS.into_iter().chain([policy]))
            },
        )
    })
}

#[utoipa::path(get, path = "/w/{room}/logo/{hash}", tag = "page", operation_id = "logo",
    params(("room" = String, Path, description = "The room's id"), ("hash" = String, Path, description = "The logo's hash")),
    responses((status = 200, description = "The room's logo", content_type = "image/*"),
        (status = 404, description = "`unknown_room`, or `not_found` for another logo than the room's")))]
pub(crate) async fn logo(RoomPath(room): RoomPath, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let hash = &path.1;
    let logo = room.document.page.logo.as_deref().and_then(logo::logo).filter(|logo| logo.hash == *hash);
    let logo = logo.ok_or_else(|| Problem::new(Code::NotFound, "the room has no such logo"))?;
    Ok(HttpResponse::Ok()
        .content_type(logo.content_type)
        .insert_header((header::CACHE_CONTROL, FOR_EVER))
        .insert_header((header::CONTENT_SECURITY_POLICY, logo::CSP))
        .body(logo.bytes))
}
