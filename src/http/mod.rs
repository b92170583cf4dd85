//! The HTTP side: one file a resource, problem+json errors, extractors, caching headers.
//!
//! [`app`] is the one place that knows every address; [`problem`] the one table of errors; [`limits`]
//! every bound. A handler says in its signature what it needs: [`extract`].

pub mod auth;
pub mod client_address;
pub mod connections;
pub mod cookies;
pub mod cors;
pub mod dashboard;
pub mod documents;
pub mod endpoint;
pub mod events;
pub mod extract;
pub mod gate;
mod icon;
pub mod idempotency;
pub mod instances;
pub mod join_limit;
pub mod journey;
pub mod jwks;
pub mod keys;
mod lag;
pub mod limits;
pub mod machine;
mod metrics;
pub mod openapi;
mod outer;
pub mod passes;
pub mod place;
pub mod precompressed;
pub mod problem;
pub mod refusals;
pub mod reservations;
pub mod rooms;
mod sale_figures;
pub mod sale_refusals;
pub mod sale_view;
pub mod sales;
pub mod sessions;
mod shortcut;
mod sign_in_limit;
pub mod status;
#[cfg(test)]
mod tests;
pub mod tickets;
pub mod visitor;
pub mod waiters;
pub mod waiting_page;

use std::sync::Arc;

use actix_web::{
    App, HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse},
    web::{self, ServiceConfig},
};

use self::sign_in_limit::SignInLimit;
#[cfg(test)]
pub(crate) use self::tests::bench as testing;
pub use self::{
    client_address::{ClientAddress, TrustedProxies},
    cors::Cors,
    endpoint::{Endpoint, endpoint, endpoint_within},
    extract::{Caller, JsonBody, OptionalJsonBody, RoomPath, SalePath},
    join_limit::{Evidence, JoinLimit},
    limits::Bounds,
    problem::{Code, Problem},
    waiters::Waiters,
};
use crate::{
    address::PublicUrl,
    instance::{Instance, Memo},
};

/// What every handler shares; one an instance.
pub struct Context {
    pub instance: Arc<Instance>,
    /// The address visitors know us by.
    pub public_url: PublicUrl,
    /// Whose `X-Forwarded-…` headers count.
    pub trusted_proxies: TrustedProxies,
    pub bounds: Bounds,
    /// How many places one address may take.
    pub join_limit: JoinLimit,
    /// The JWKS document of the keys in force.
    pub(crate) jwks: Memo,
    /// How often one address may fail to sign in.
    pub(crate) sign_in_limit: SignInLimit,
    /// What the gate found out of late.
    pub(crate) verdicts: gate::Verdicts,
    pub(crate) complaints: gate::Complaints,
    /// Who waits for something to happen.
    pub waiters: Waiters,
}

impl Context {
    /// The context of an instance.
    pub fn new(
        instance: Arc<Instance>,
        public_url: PublicUrl,
        trusted_proxies: TrustedProxies,
        evidence: Evidence,
        bounds: Bounds,
    ) -> Self {
        Self {
            instance,
            public_url,
            trusted_proxies,
            bounds,
            join_limit: JoinLimit::new(evidence),
            jwks: Memo::default(),
            sign_in_limit: SignInLimit::new(),
            verdicts: gate::Verdicts::new(),
            complaints: gate::Complaints::default(),
            waiters: Waiters::new(),
        }
    }
}

/// The context as a worker has it: with a count of owners of its own, since every request is one for a while.
pub type Shared = web::Data<Arc<Context>>;

/// Which addresses a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Everything: there is no admin listener.
    All,
    /// Visitors, gates and shops; operators have a listener of their own.
    Public,
    /// Operators: their calls, the dashboard, metrics.
    Admin,
}

/// An application that answers every address of a surface. What surrounds them stands around the application itself:
/// around a scope it would cost every request a second search for its address.
pub fn app(
    context: &Arc<Context>,
    surface: Surface,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    let own = Shared::new(Arc::clone(context));
    let context = own.clone();
    App::new()
        .wrap_fn(move |request, inner| {
            let entered = outer::enter(&own, request);
            outer::finish(entered.map(|(in_flight, request)| (in_flight, inner.call(request))))
        })
        .configure(|config| configure(config, context, surface))
}

fn configure(config: &mut ServiceConfig, context: Shared, surface: Surface) {
    config.app_data(context).app_data(surface);
    if surface != Surface::Admin {
        visitors(config);
    }
    if surface == Surface::Public {
        // Where operators are served too, the view is among their calls: it has a sale's address.
        sale_view::configure(config);
    }
    if surface != Surface::Public {
        operators(config, surface);
    }
    both(config);
    config.default_service(web::to(nothing_here));
}

/// The prefix of the waiting pages and what a browser without script does on them.
const PAGES: &str = "/w";

/// The calls of visitors, gates and shops. Addresses are tried in this order, each by a regular expression but for the
/// shortcuts, so those asked most come first; what has a prefix of its own takes others no more than a comparison.
fn visitors(config: &mut ServiceConfig) {
    let most = [waiting_page::asked_most(), status::asked_most(), tickets::asked_most(), reservations::asked_most()];
    most.into_iter().for_each(|endpoint| endpoint.lead(config));
    config.service(web::scope(PAGES).configure(waiting_page::configure).configure(journey::configure));
    status::configure(config);
    tickets::configure(config);
    gate::configure(config);
    reservations::configure(config);
    passes::configure(config);
    place::configure(config);
    sessions::configure(config);
    events::configure(config);
    jwks::configure(config);
}

/// The calls of operators: documents, keys, dashboard, metrics.
fn operators(config: &mut ServiceConfig, surface: Surface) {
    rooms::configure(config);
    sales::configure(config);
    keys::configure(config);
    dashboard::configure(config);
    instances::configure(config);
    if surface == Surface::Admin {
        // The dashboard shows it, and asks the listener that it came from.
        status::configure(config);
    }
    // Whoever reaches the operators' own listener may read the figures: it is theirs to keep closed.
    let readers = if surface == Surface::Admin { machine::MetricsFor::Everyone } else { machine::MetricsFor::Readers };
    machine::configure_metrics(config, readers);
}

/// What every listener answers: health and readiness, the icon, the OpenAPI document.
fn both(config: &mut ServiceConfig) {
    machine::configure(config);
    icon::configure(config);
    openapi::configure(config);
}

async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::new(Code::NotFound, format!("{} is no address of this service", request.path())))
}
