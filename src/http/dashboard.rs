//! The operator's dashboard: signing in with an API key for a cookie of twelve hours, and the page itself.
//!
//! The cookie authorises the operators' calls under `/v1` as the key would that was shown; what changes something
//! counts only from our own page.

use std::{sync::Arc, time::Duration};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder,
    cookie::{Cookie, SameSite, time},
    dev::Payload,
    http::{Method, header},
    web::{self, Bytes},
};
use futures_util::future::LocalBoxFuture;

use super::{
    Caller, Context, Shared, Surface,
    cookies::{self, Transport},
    endpoint,
    extract::read_body,
    problem::{Code, Problem},
};
use crate::{
    instance::api_key::{ApiKey, Scope},
    page::{
        Rendered,
        dashboard::{self as page, SignIn},
    },
    token::{DashboardCookie, dashboard::DASHBOARD_COOKIE_MS},
};

/// The cookie's name, before the prefix that HTTPS adds.
const COOKIE: &str = "dropgate_dashboard";

/// The addresses of this file.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/dashboard").get(show).register(config);
    endpoint("/dashboard/session").post(sign_in).register(config);
    endpoint("/dashboard/session/end").post(sign_out).register(config);
}

/// The key of whoever is signed in and makes this request from our own page.
///
/// # Errors
/// 403 for a change that another site's page may have asked for.
pub(super) fn signed_in(request: &HttpRequest, context: &Context) -> Result<Option<Arc<ApiKey>>, Problem> {
    let Some(key) = key_of_cookie(request, context) else { return Ok(None) };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        require_own_page(request, context)?;
    }
    Ok(Some(key))
}

#[utoipa::path(get, path = "/dashboard", tag = "operators", operation_id = "dashboard",
    responses((status = 200, description = "The dashboard, or the form to sign in", body = String, content_type = "text/html")))]
pub(crate) async fn show(request: HttpRequest, context: Shared) -> HttpResponse {
    let page = match key_of_cookie(&request, &context) {
        Some(_) => page::dashboard(context.public_url.as_str()),
        None => page::sign_in(SignIn::Fresh),
    };
    html(HttpResponse::Ok(), page)
}

#[utoipa::path(post, path = "/dashboard/session", tag = "operators", operation_id = "signIn",
    request_body(content = Object, content_type = "application/x-www-form-urlencoded", description = "`key`: an API key with `admin`"),
    responses((status = 303, description = "Signed in: a cookie of twelve hours, and on to the dashboard"),
        (status = 401, description = "No such key: the form again", body = String, content_type = "text/html"),
        (status = 403, description = "`forbidden`: the form of another site"),
        (status = 429, description = "Five failures a minute from this address: the form again", body = String, content_type = "text/html")))]
pub(crate) async fn sign_in(
    request: HttpRequest,
    Caller(caller): Caller,
    context: Shared,
    SecretField(secret): SecretField,
) -> Result<HttpResponse, Problem> {
    // No cookie of ours is needed here, but another site shall not sign anybody in either.
    if request.headers().contains_key("sec-fetch-site") || request.headers().contains_key(header::ORIGIN) {
        require_own_page(&request, &context)?;
    }
    let now = context.instance.clock.now();
    let known = || context.instance.api_key(&secret).filter(|key| key.allows(Scope::Admin));
    match context.sign_in_limit.attempt(caller, now, known) {
        Ok(Some(key)) => {
            tracing::info!(key = key.name, "somebody signed in to the dashboard");
            let cookie = DashboardCookie { key: key.sign_in_name(), expires: now.plus_ms(DASHBOARD_COOKIE_MS) };
            let token = context.instance.keys().sign_dashboard_cookie(&cookie, now);
            Ok(to_dashboard(cookie_of(&request, &context, token, Duration::from_millis(DASHBOARD_COOKIE_MS))))
        }
        Ok(None) => {
            tracing::warn!("somebody failed to sign in to the dashboard");
            Ok(html(HttpResponse::Unauthorized(), page::sign_in(SignIn::Refused)))
        }
        Err(problem) => {
            let mut response = HttpResponse::TooManyRequests();
            response.insert_header((header::RETRY_AFTER, problem.retry_after_seconds.unwrap_or(1).to_string()));
            Ok(html(response, page::sign_in(SignIn::TooMany)))
        }
    }
}

#[utoipa::path(post, path = "/dashboard/session/end", tag = "operators", operation_id = "signOut",
    responses((status = 303, description = "Signed out"), (status = 403, description = "`forbidden`: the form of another site")))]
pub(crate) async fn sign_out(request: HttpRequest, context: Shared) -> Result<HttpResponse, Problem> {
    require_own_page(&request, &context)?;
    Ok(to_dashboard(cookie_of(&request, &context, String::new(), Duration::ZERO)))
}

fn to_dashboard(cookie: Cookie<'_>) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/dashboard"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .cookie(cookie)
        .finish()
}

fn html(mut response: HttpResponseBuilder, page: Rendered) -> HttpResponse {
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, page.csp))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header(("X-Robots-Tag", "noindex"))
        .body(page.html)
}

/// What the cookie says, if its key still stands and may still operate.
fn key_of_cookie(request: &HttpRequest, context: &Context) -> Option<Arc<ApiKey>> {
    let name = cookie_name(transport(request, context));
    let (ring, now) = (context.instance.keys(), context.instance.clock.now());
    let cookie =
        cookies::values(request.headers(), &name).find_map(|token| ring.verify_dashboard_cookie(token, now).ok())?;
    let id = ApiKey::id_of_sign_in(&cookie.key)?;
    let key = context.instance.api_key_by_id(id)?;
    (key.sign_in_name() == cookie.key && key.allows(Scope::Admin)).then_some(key)
}

fn cookie_of(request: &HttpRequest, context: &Context, value: String, life: Duration) -> Cookie<'static> {
    let transport = transport(request, context);
    Cookie::build(cookie_name(transport), value)
        .path("/")
        .http_only(true)
        .secure(transport == Transport::Https)
        // Strict: nobody comes to the dashboard by a link of another site.
        .same_site(SameSite::Strict)
        .max_age(time::Duration::seconds(i64::try_from(life.as_secs()).unwrap_or(0)))
        .finish()
}

fn cookie_name(transport: Transport) -> String {
    match transport {
        Transport::Https => format!("__Host-{COOKIE}"),
        Transport::Http => COOKIE.to_owned(),
    }
}

/// How the operator's browser reaches this listener. The public one is reached by `public_url`; the operators' own is
/// not, and only its connection tells.
fn transport(request: &HttpRequest, context: &Context) -> Transport {
    let is_own_listener = request.app_data::<Surface>() == Some(&Surface::Admin);
    match (is_own_listener, request.app_config().secure()) {
        (_, true) => Transport::Https,
        (true, false) => Transport::Http,
        (false, false) => Transport::of(&context.public_url),
    }
}

/// As [`cookies::require_same_origin`], and one way more: the operators' own listener is not at `public_url`, and over
/// plain HTTP a browser does not send `Sec-Fetch-Site`; there the page's origin must be the host that was asked.
fn require_own_page(request: &HttpRequest, context: &Context) -> Result<(), Problem> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let origin_host = header("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let is_own_host = header("sec-fetch-site").is_none() && origin_host.is_some() && origin_host == header("host");
    if is_own_host { Ok(()) } else { cookies::require_same_origin(request, &context.public_url) }
}

/// The field `key` of the sign-in form.
pub(crate) struct SecretField(String);

impl FromRequest for SecretField {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = content_type
            .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        let body = read_body(request, payload);
        Box::pin(async move {
            if !is_form {
                return Err(Problem::new(Code::UnsupportedMediaType, "send the form as the sign-in page does"));
            }
            key_field(&body.await?).map(Self).ok_or_else(|| Problem::invalid_field("key", "is missing"))
        })
    }
}

fn key_field(body: &Bytes) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(name, _)| name == "key").map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests;
