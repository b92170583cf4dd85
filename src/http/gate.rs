//! The gate: gateways ask here about every request of a visitor before they pass it on to the shop.
//!
//! A gateway comes through one of three doors, which differ in how it tells of the visitor's request and in which
//! statuses it can take. [`asked`] reads what it tells, [`decide`] decides, [`answer`] says so. The gate fails
//! closed: whatever it cannot read or find out is no admission.

mod answer;
mod asked;
mod complaints;
mod decide;
mod session;

#[cfg(test)]
mod tests;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, ServiceConfig},
};

use self::{asked::Asked, decide::Decision};
use super::{
    Context, Shared,
    extract::{client_ip, parameter, room_of},
    problem::{Code, Problem},
};

pub(crate) use complaints::Complaints;
pub(crate) use session::Verdicts;

/// The header that names the visitor's session to the shop; `open` where nobody was checked.
pub const SESSION_HEADER: &str = "x-dropgate-session";
/// The header that says why a visitor was not let in, for gateways and their logs.
pub const REASON_HEADER: &str = "x-dropgate-reason";

/// How a gateway asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Reads `X-Forwarded-Proto`, `-Host`, `-Uri`, and passes on redirects: Caddy, Traefik and their like.
    Redirect,
    /// Reads `X-Original-URL`, and knows only 200, 401 and 403: the `auth_request` of nginx.
    Nginx,
    /// Reads the request's own host and path, which follow the door's own address: the `ext_authz` of Envoy.
    Envoy,
}

/// Puts the doors into the service. They answer every method: a gateway may ask with the visitor's.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/gate/{room}/redirect{rest:(/.*)?}", web::to(redirect))
        .route("/gate/{room}/nginx{rest:(/.*)?}", web::to(nginx))
        .route("/gate/{room}/envoy{rest:(/.*)?}", web::to(envoy));
}

/// Brings a problem that arose before the door was reached into a form that nginx knows.
pub(super) fn narrow_problem(request: &HttpRequest, problem: &Problem) -> Option<HttpResponse> {
    let is_nginx = request.path().strip_prefix("/gate/")?.split('/').nth(1) == Some("nginx");
    is_nginx.then(|| answer::problem(Door::Nginx, problem.clone()))
}

async fn redirect(request: HttpRequest, context: Shared) -> HttpResponse {
    ask(Door::Redirect, &request, &context).await
}

async fn nginx(request: HttpRequest, context: Shared) -> HttpResponse {
    ask(Door::Nginx, &request, &context).await
}

async fn envoy(request: HttpRequest, context: Shared) -> HttpResponse {
    ask(Door::Envoy, &request, &context).await
}

async fn ask(door: Door, request: &HttpRequest, context: &Context) -> HttpResponse {
    let answered = match decide_on(door, request, context).await {
        Ok(decision) => answer::decision(door, decision),
        Err(problem) => {
            context.complaints.tell(context.instance.clock.now(), door, request, &problem);
            answer::problem(door, problem)
        }
    };
    tracing::debug!(
        room = parameter(request, "room"),
        ?door,
        status = answered.status().as_u16(),
        reason = answered.headers().get(REASON_HEADER).and_then(|reason| reason.to_str().ok()),
        "the gate was asked"
    );
    answered
}

async fn decide_on(door: Door, request: &HttpRequest, context: &Context) -> Result<Decision, Problem> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    if !peer.is_some_and(|peer| context.trusted_proxies.contains(peer)) {
        let detail = "only gateways named in server.trusted_proxies may ask for their visitors";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let room = room_of(request, context).ok_or_else(Problem::unknown_room)?;
    let asked = Asked::read(door, request, &room)?;
    Ok(decide::decide(context, &room, &asked, client_ip(request)?).await)
}
