//! Orders: what the payment provider tells of them, and the page that tells their buyer.
//!
//! An order's address is its secret: it is drawn, long, and nobody else has it. The gate is not asked for it, since the
//! session of whoever has bought is over.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, http::header, web};
use askama::Template;
use secrecy::ExposeSecret;

use super::{
    Shop,
    books::{Order, OrderState},
    pages::{Notice, price_of, refuse, show, words_of_units},
    till::{Refusal, Units},
};
use crate::demo::provider::{PROVIDER, Told};

/// Where an order page says how it stands, for those who read headers: a word, and the units bought.
pub const ORDER_HEADER: &str = "x-demo-order";

/// How much of a reference a page shows: eleven characters tell orders apart, and the whole is the order's key.
const SHOWN_CHARS: usize = 11;

#[derive(Template)]
#[template(path = "demo_order.html")]
struct OrderPage {
    /// As much of it as people can compare.
    reference: String,
    payment: String,
    state: OrderState,
    ordered: String,
    bought: String,
    price: u64,
    refund: u64,
}

pub fn configure(config: &mut web::ServiceConfig) {
    config.route("/orders/callback", web::post().to(called_back)).route("/orders/{reference}", web::get().to(page));
}

async fn page(reference: web::Path<String>, shop: web::Data<Shop>) -> HttpResponse {
    let Some(order) = shop.books.order(&reference) else {
        return refuse(StatusCode::NOT_FOUND, Notice::plain("There is no such order."));
    };
    let said = format!("{} {}", order.state.word(), order.state.bought().values().sum::<u64>());
    let page = OrderPage::of(order);
    let mut response = show(&page, StatusCode::OK);
    if let Ok(said) = header::HeaderValue::from_str(&said) {
        response.headers_mut().insert(header::HeaderName::from_static(ORDER_HEADER), said);
    }
    response
}

impl OrderPage {
    fn of(order: Order) -> Self {
        let bought = order.state.bought();
        Self {
            reference: order.reference.chars().take(SHOWN_CHARS).collect(),
            payment: format!("{PROVIDER}/{}", order.reference),
            ordered: words_of_units(&order.units),
            bought: words_of_units(&bought),
            price: price_of(&bought),
            refund: price_of(&order.units),
            state: order.state,
        }
    }
}

/// The provider calls: money came, or did not. Answered with 200 once the buyer has an answer, and only then: the
/// provider asks again until it has been.
async fn called_back(request: HttpRequest, told: web::Json<Told>, shop: web::Data<Shop>) -> HttpResponse {
    let secret = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if secret.and_then(|value| value.strip_prefix("Bearer ")) != Some(shop.provider_secret.expose_secret()) {
        return HttpResponse::Unauthorized().finish();
    }
    let Some(order) = shop.books.order(&told.order) else { return HttpResponse::NotFound().finish() };
    if told.units == 0 {
        shop.books.set(&order.reference, OrderState::Declined);
        return HttpResponse::Ok().finish();
    }
    if shop.settle(&order, told.units).await { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }.finish()
}

impl Shop {
    /// Has the sale confirm an order that is paid for so many units; whether its buyer has an answer now.
    async fn settle(&self, order: &Order, units: u64) -> bool {
        let paid = covered(&order.units, units);
        if !order.state.is_final() {
            self.books.set(&order.reference, OrderState::Paid(paid.clone()));
        }
        let part = Some(&paid).filter(|paid| **paid != order.units);
        match self.till.confirm(&order.reservation, &order.reference, part).await {
            Ok(()) => self.books.set(&order.reference, OrderState::Confirmed(paid)),
            Err(Refusal::Expired | Refusal::Released) => self.books.set(&order.reference, OrderState::TooLate),
            Err(refusal) => {
                tracing::warn!(
                    order = order.reference,
                    ?refusal,
                    "a paid order got no answer that a buyer can be told"
                );
                self.books.set(&order.reference, OrderState::Unanswered(paid));
                return false;
            }
        }
        true
    }
}

/// The first of the ordered units, as many as are covered.
fn covered(ordered: &Units, mut units: u64) -> Units {
    let mut paid = Units::new();
    for (sku, quantity) in ordered {
        let of_this = units.min(*quantity);
        units -= of_this;
        if of_this > 0 {
            paid.insert(sku.clone(), of_this);
        }
    }
    paid
}

impl OrderState {
    /// The units that are the buyer's.
    fn bought(&self) -> Units {
        match self {
            Self::Confirmed(units) => units.clone(),
            _ => Units::new(),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::AtTheProvider => "open",
            Self::Declined => "declined",
            Self::Paid(_) | Self::Unanswered(_) => "paid",
            Self::Confirmed(_) => "confirmed",
            Self::TooLate => "too-late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(state: OrderState) -> String {
        let units = Units::from([("kite-7-m".to_owned(), 2)]);
        let (reference, reservation) = (format!("W7-{:032x}", 7), "r".to_owned());
        OrderPage::of(Order { reference, buyer: "me".to_owned(), reservation, units, state }).render().unwrap()
    }

    #[test]
    fn every_order_page_says_how_it_stands_and_refreshes_until_it_is_settled() {
        let units = |quantity| Units::from([("kite-7-m".to_owned(), quantity)]);
        for (state, says, refreshes) in [
            (OrderState::AtTheProvider, "Waiting for your payment.", true),
            (OrderState::Paid(units(2)), "One moment.", true),
            (OrderState::Unanswered(units(2)), "One moment.", true),
            (OrderState::Declined, "Your card was declined and nothing was charged. 2 × Medium are still", false),
            (OrderState::TooLate, "<b>€ 178 go back to your card today.</b>", false),
            (OrderState::Confirmed(units(2)), "has already passed to the next in line", false),
            (OrderState::Confirmed(units(1)), "Your card covered a part of 2 × Medium", false),
        ] {
            let page = page(state.clone());
            assert!(page.contains(says), "{state:?}: {page}");
            assert_eq!(page.contains("http-equiv=\"refresh\""), refreshes, "{state:?}");
        }
    }

    #[test]
    fn money_covers_the_first_units_of_an_order() {
        let ordered = Units::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(covered(&ordered, 3), ordered);
        assert_eq!(covered(&ordered, 2), Units::from([("a".to_owned(), 2)]));
        assert_eq!(covered(&ordered, 1), Units::from([("a".to_owned(), 1)]));
    }
}
