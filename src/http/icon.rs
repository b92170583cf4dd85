//! The icon of a browser's tab. Browsers ask for one whether a page names it or not, and note its absence as a fault.

use actix_web::{HttpResponse, http::header, web::ServiceConfig};

use super::endpoint;

/// The gate and who stands before it, in a colour that is to be seen on light tabs and on dark ones.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="#1f9d76"><circle cx="5" cy="8" r="3.5"/><rect x="11" y="1" width="3" height="14" rx="1.5"/></svg>"##;

/// On every listener.
pub(super) fn configure(config: &mut ServiceConfig) {
    endpoint("/favicon.ico").get(icon).register(config);
}

#[utoipa::path(get, path = "/favicon.ico", tag = "page", operation_id = "icon",
    responses((status = 200, description = "The icon of a browser's tab", body = String, content_type = "image/svg+xml")))]
pub(super) async fn icon() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .insert_header((header::CONTENT_TYPE, "image/svg+xml"))
        .body(ICON)
}
