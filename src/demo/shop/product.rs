//! The product's page, and putting kites into the basket.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    PRODUCT, Shop,
    basket::adopt,
    books::Visit,
    gate::Guest,
    is_once, new_once,
    pages::{Notice, Row, mark, rows, see, show_to, status_of},
    till::{Ask, Refusal},
};
use crate::demo::goods::{PER_SIZE, size_of};

#[derive(Template)]
#[template(path = "demo_product.html")]
struct ProductPage {
    total: u64,
    rows: Vec<Row>,
    is_gone: bool,
    /// Units in the basket.
    basket: u64,
    once: String,
    most: u64,
    notice: Option<Notice>,
    session: String,
}

/// What the visitor picked.
#[derive(Deserialize)]
struct Pick {
    once: String,
    size: String,
    /// As it was typed: what is no number is told so, and not swallowed.
    quantity: String,
}

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(async || see(PRODUCT)))
        .route(PRODUCT, web::get().to(product))
        .route("/basket", web::post().to(put_in));
}

async fn product(request: HttpRequest, shop: web::Data<Shop>) -> HttpResponse {
    match shop.guest(&request).await {
        Ok(guest) => shop.product_page(&guest, None).await,
        Err(refusal) => refusal,
    }
}

async fn put_in(request: HttpRequest, shop: web::Data<Shop>, pick: web::Form<Pick>) -> HttpResponse {
    let guest = match shop.guest_with_form(&request).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    let visit = shop.books.visit(&guest.buyer);
    let mut visit = visit.lock_owned().await;
    let put = match quantity(&pick) {
        Ok((sku, quantity)) => {
            let add = |visit: &Visit, replaces: Option<String>| {
                let mut units =
                    visit.live_basket(shop.clock.now()).map(|basket| basket.units.clone()).unwrap_or_default();
                *units.entry(sku.clone()).or_default() += quantity;
                Ask::new(&units, &guest.buyer, replaces)
            };
            shop.fill(&mut visit, &guest, &pick.once, add).await
        }
        Err(refusal) => Err(refusal),
    };
    drop(visit);
    match put {
        Ok(()) => see("/basket"),
        Err(refusal) => shop.product_page(&guest, Some(&refusal)).await,
    }
}

/// What was picked, as far as the shop itself can tell; the sale judges the rest.
fn quantity(pick: &Pick) -> Result<(String, u64), Refusal> {
    let invalid = |detail: &str| Refusal::Invalid { field: "quantity".to_owned(), detail: detail.to_owned() };
    if !is_once(&pick.once) {
        return Err(invalid("came without the form it was typed into"));
    }
    let quantity = pick.quantity.trim().parse().map_err(|_| invalid("must be a whole number"))?;
    match size_of(&pick.size) {
        Some(size) => Ok((size.sku.to_owned(), quantity)),
        None => Err(invalid("is of no size we make")),
    }
}

impl Shop {
    /// Fills the basket by a form: asks what the form asked when it came first, so that pressing twice is once.
    pub(super) async fn fill(
        &self,
        visit: &mut Visit,
        guest: &Guest,
        once: &str,
        ask: impl FnOnce(&Visit, Option<String>) -> Ask,
    ) -> Result<(), Refusal> {
        let key = format!("{}/{once}", guest.buyer);
        if let Some((ask, granted)) = visit.asked(once) {
            let (ask, granted) = (ask.clone(), granted.map(str::to_owned));
            let again = self.till.reserve(&key, &ask).await?;
            match granted {
                Some(granted) => self.books.repeated(granted == again.id),
                // It was refused then and is granted now: that is what trying again is for.
                None => adopt(visit, once, &again),
            }
            return Ok(());
        }
        let replaces = visit.live_basket(self.clock.now()).map(|basket| basket.reservation.clone());
        if replaces.as_deref().is_some_and(|basket| self.is_being_paid(basket)) {
            return Err(Refusal::Conflict);
        }
        let ask = ask(visit, replaces);
        visit.asks(once, ask.clone());
        let granted = self.till.reserve(&key, &ask).await?;
        adopt(visit, once, &granted);
        Ok(())
    }

    /// The product's page, with the reason why the last try failed if it did.
    pub(super) async fn product_page(&self, guest: &Guest, refusal: Option<&Refusal>) -> HttpResponse {
        let shelf = match self.till.shelf().await {
            Ok(shelf) => shelf,
            Err(refusal) => return super::refuse(status_of(&refusal), Notice::of(&refusal)),
        };
        let visit = self.books.visit(&guest.buyer);
        let has = visit.lock().await.live_basket(self.clock.now()).map(|b| b.units.clone()).unwrap_or_default();
        let rows = rows(&shelf, &has);
        let page = ProductPage {
            total: shelf.total(),
            is_gone: rows.iter().all(|row| row.is_gone),
            rows,
            basket: has.values().sum(),
            once: new_once(),
            most: PER_SIZE,
            notice: refusal.map(Notice::of),
            session: guest.session.clone(),
        };
        match (refusal, &page.notice) {
            (Some(refusal), Some(notice)) => {
                let notice = notice.clone();
                mark(show_to(guest, &page, status_of(refusal)), &notice)
            }
            _ => show_to(guest, &page, StatusCode::OK),
        }
    }
}
