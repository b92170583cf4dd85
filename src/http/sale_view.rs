//! What a sale shows of itself: to everyone out of memory, asked of the store at most once a second; to whoever has a
//! key fresh and whole, with the document that was put.

use std::{collections::HashMap, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Context, Cors, Shared,
    auth::OptionalKey,
    documents::respond,
    endpoint,
    openapi::SaleDocument,
    precompressed::{Effort, Precompressed},
    problem::{Code, Problem},
    sales::document_of,
};
use crate::{
    id::{RoomId, SaleId},
    instance::LiveSale,
    room::settings::Timestamp,
    sale::{Sku, View, view},
    store::StoreError,
    time::UnixMs,
};

/// The addresses of this file, where operators have a listener of their own.
pub fn configure(config: &mut web::ServiceConfig) {
    endpoint("/v1/sales/{sale}").get(get).cors(Cors::Public).register(config);
}

/// A sale as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SaleView {
    #[schema(value_type = String)]
    pub sale: SaleId,
    pub name: String,
    /// `scheduled`, `open` or `closed`; `needs_operator` where the store has lost what was sold and held: then nothing is
    /// sold, and items are shown only for a key, as far as any are known.
    #[schema(value_type = String, example = "open")]
    pub state: SaleState,
    /// The count of recoveries after the store had lost something; 0 where it can lose nothing.
    pub term: u64,
    /// In the order of the document.
    pub items: Vec<ItemView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<Timestamp>,
    /// How long a hold lives that asks for nothing else.
    pub hold_seconds: u64,
    /// The rooms of whose passes one is needed to reserve; none is where there are none.
    #[schema(value_type = Vec<String>)]
    pub requires_pass: Vec<RoomId>,
    /// The version of the document in force.
    pub version: u64,
    /// When any of this last changed, as far as it was looked at.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Whether a sale sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleState {
    Scheduled,
    Open,
    Closed,
    /// The store has lost it.
    NeedsOperator,
}

/// One item of a sale as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemView {
    #[schema(value_type = String)]
    pub sku: Sku,
    pub name: String,
    /// `all_held`: none available, but what is in somebody's basket may come back.
    #[schema(value_type = String, example = "in_stock")]
    pub stock: Stock,
    /// The most units of it for one buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_buyer: Option<u64>,
    /// Left out, with the others, where the sale does not show numbers and there is no key.
    #[serde(flatten)]
    pub numbers: Option<Numbers>,
}

/// An item's books: `available + held + sold = total`. `total` has what was restocked and withdrawn; the document's is
/// what it was told to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Numbers {
    pub total: u64,
    pub available: u64,
    pub held: u64,
    pub sold: u64,
}

/// How plentiful an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    InStock,
    AllHeld,
    SoldOut,
}

/// The view for a key: with the document that was put.
#[derive(Serialize, ToSchema)]
pub struct SaleWithDocument {
    #[serde(flatten)]
    pub view: SaleView,
    /// As it was put, defaults written out, and its version, which is the `ETag` as well. Only for a key.
    #[schema(value_type = Option<SaleDocument>)]
    pub document: serde_json::Value,
}

/// The view made ready to send.
struct Rendered {
    view: SaleView,
    body: Precompressed,
}

#[utoipa::path(get, path = "/v1/sales/{sale}", tag = "stock", operation_id = "getSale", security((), ("api_key" = [])),
    params(("sale" = String, Path, description = "The sale's id")),
    responses((status = 200, description = "Without a key the same for everyone, at most a second old, cacheable for a \
            second, and without numbers where `show_numbers` is false. With a key as it is now, with `document`, which \
            alone is what can be put back; the `ETag` then is the document's version, for `If-Match`", body = SaleWithDocument),
        (status = 304, description = "Nothing changed since the ETag sent along"),
        (status = 401, description = "`unauthorized`: a key that is none"),
        (status = 403, description = "`forbidden`: a key that is not good for this sale"),
        (status = 404, description = "`unknown_sale`")))]
pub(crate) async fn get(
    OptionalKey(key): OptionalKey,
    request: HttpRequest,
    id: web::Path<String>,
    context: Shared,
) -> Result<HttpResponse, Problem> {
    let sale = context.instance.sale(&id).ok_or_else(Problem::unknown_sale)?;
    match key {
        Some(_) => fresh(&sale, &context).await,
        None => shared(&sale, &request, &context).await,
    }
}

/// The answer for a key.
async fn fresh(sale: &LiveSale, context: &Context) -> Result<HttpResponse, Problem> {
    let view = match sale.items().await {
        Ok(items) => {
            let view = SaleView::of(sale, &items.ok_or_else(being_set_up)?, Shown::Numbers);
            // What is left of a lost one is for its operator to see.
            if sale.needs_operator() { SaleView { state: SaleState::NeedsOperator, ..view } } else { view }
        }
        Err(StoreError::NeedsOperator) => SaleView::lost(sale, context.instance.clock.now()),
        Err(error) => return Err(error.into()),
    };
    let body = SaleWithDocument { view, document: document_of(sale)? };
    let body = serde_json::to_value(&body).map_err(|error| {
        tracing::error!(sale = %sale.id, %error, "a view can't be written");
        Problem::new(Code::Internal, "the fault is ours, and logged")
    })?;
    Ok(respond(HttpResponse::Ok(), body, sale.version))
}

/// The answer for everyone else.
async fn shared(sale: &LiveSale, request: &HttpRequest, context: &Context) -> Result<HttpResponse, Problem> {
    const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=1, s-maxage=1, stale-if-error=60");
    let clock = &context.instance.clock;
    let known = if sale.needs_operator() { Err(StoreError::NeedsOperator) } else { sale.recent_items(clock).await };
    let respond = |rendered: &Rendered| {
        let mut response = rendered.body.respond(request, [(header::CACHE_CONTROL, CACHING)]);
        // Whoever has a key is answered otherwise.
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"));
        response
    };
    match known {
        Ok(items) => Ok(with_rendered(sale, &items.ok_or_else(being_set_up)?, respond)),
        Err(StoreError::NeedsOperator) => {
            let lost = || Rendered::new(SaleView::lost(sale, clock.now()));
            Ok(sale.lost_view.with(&sale.document, |_, _| lost(), respond))
        }
        Err(error) => Err(error.into()),
    }
}

fn being_set_up() -> Problem {
    Problem::new(Code::Recovering, "this sale is being set up")
}

/// Shows the sale's view to `look`: made again only when the items are others, and sent again as it was where nothing that
/// it shows has changed.
fn with_rendered<R>(sale: &LiveSale, items: &Arc<View>, look: impl FnOnce(&Rendered) -> R) -> R {
    let make = |items: &View, last: Option<&Arc<Rendered>>| {
        let shown = if sale.document.show_numbers { Shown::Numbers } else { Shown::Words };
        let mut view = SaleView::of(sale, items, shown);
        if let Some(last) = last {
            let updated_at = std::mem::replace(&mut view.updated_at, last.view.updated_at);
            if view == last.view {
                return Arc::clone(last);
            }
            view.updated_at = updated_at;
        }
        Arc::new(Rendered::new(view))
    };
    sale.view.with(items, make, |rendered| look(rendered))
}

impl Rendered {
    fn new(view: SaleView) -> Self {
        // A struct of plain fields always has a JSON form.
        let json = serde_json::to_vec(&view).unwrap_or_default();
        Self { view, body: Precompressed::new("application/json", json, Effort::Quick) }
    }
}

/// How much of an item is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Numbers,
    Words,
}

impl SaleView {
    fn of(sale: &LiveSale, view: &View, shown: Shown) -> Self {
        let document = &sale.document;
        let books: HashMap<&Sku, &view::Item> = view.items.iter().map(|item| (&item.sku, item)).collect();
        // In the moment of a change the stock may not have an item of the document yet.
        let items = document.items.iter().filter_map(|item| {
            let found = books.get(&item.sku)?;
            Some(ItemView {
                sku: item.sku.clone(),
                name: item.name.clone(),
                stock: Stock::of(found),
                per_buyer: item.per_buyer,
                numbers: (shown == Shown::Numbers).then(|| Numbers::of(found)),
            })
        });
        Self {
            sale: sale.id.clone(),
            name: document.name.clone(),
            state: view.phase.into(),
            term: view.term,
            items: items.collect(),
            opens_at: document.opens_at,
            closes_at: document.closes_at,
            hold_seconds: document.hold_seconds,
            requires_pass: document.requires_pass.clone(),
            version: sale.version,
            updated_at: Timestamp(view.now),
        }
    }
}

impl SaleView {
    /// What is left to say of a sale that its store has lost.
    fn lost(sale: &LiveSale, now: UnixMs) -> Self {
        let document = &sale.document;
        Self {
            sale: sale.id.clone(),
            name: document.name.clone(),
            state: SaleState::NeedsOperator,
            term: sale.lane.header().map_or(0, |header| header.term),
            items: Vec::new(),
            opens_at: document.opens_at,
            closes_at: document.closes_at,
            hold_seconds: document.hold_seconds,
            requires_pass: document.requires_pass.clone(),
            version: sale.version,
            updated_at: Timestamp(now),
        }
    }
}

impl From<view::Phase> for SaleState {
    fn from(phase: view::Phase) -> Self {
        match phase {
            view::Phase::Scheduled => Self::Scheduled,
            view::Phase::Open => Self::Open,
            view::Phase::Closed => Self::Closed,
        }
    }
}

impl Numbers {
    /// Those of an item.
    pub fn of(item: &view::Item) -> Self {
        Self { total: item.total, available: item.available, held: item.held, sold: item.sold }
    }
}

impl Stock {
    fn of(item: &view::Item) -> Self {
        match (item.available, item.held) {
            (0, 0) => Self::SoldOut,
            (0, _) => Self::AllHeld,
            _ => Self::InStock,
        }
    }
}

#[cfg(test)]
mod tests;
