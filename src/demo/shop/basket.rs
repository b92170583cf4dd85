//! The basket: a hold with a deadline that the buyer sees, may change, lengthen, give back or take to the till.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;

use super::{
    PRODUCT, Shop,
    books::{Basket, Order, OrderState, Visit},
    gate::Guest,
    is_once, new_once,
    pages::{Notice, Row, mark, price_of, rows, see, show_to, status_of, time_of_day, words_of_units},
    till::{Ask, Refusal, Reservation, State, Units},
};
use crate::{
    demo::{
        goods::{HOLD_SECONDS, PER_SIZE, SIZES},
        provider::{PROVIDER, Payment, Provider, State as PaymentState},
    },
    time::UnixMs,
};

#[derive(Template)]
#[template(path = "demo_basket.html")]
struct BasketPage {
    /// None where it is empty.
    held: Option<HeldBasket>,
    once: String,
    most: u64,
    notice: Option<Notice>,
}

struct HeldBasket {
    words: String,
    price: u64,
    rows: Vec<Row>,
    seconds_left: u64,
    until: String,
    /// The payment that waits for this basket, if its buyer went to pay already.
    order: Option<String>,
}

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/basket", web::get().to(look))
        .route("/basket/change", web::post().to(change))
        .route("/basket/more", web::post().to(more_time))
        .route("/basket/empty", web::post().to(empty))
        .route("/checkout", web::post().to(check_out));
}

/// Makes a granted reservation the basket, unless it has ended meanwhile: a form sent again may bring an old one.
pub fn adopt(visit: &mut Visit, once: &str, granted: &Reservation) {
    if let (State::Held, Some(basket)) = (granted.state, Basket::of(granted)) {
        visit.granted(once, basket);
    }
}

async fn look(request: HttpRequest, shop: web::Data<Shop>) -> HttpResponse {
    let guest = match shop.guest(&request).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    let visit = shop.books.visit(&guest.buyer);
    let mut visit = visit.lock_owned().await;
    let ended = shop.refresh(&mut visit).await.err();
    let basket = visit.basket.clone();
    drop(visit);
    shop.basket_page(&guest, basket.as_ref(), ended.as_ref()).await
}

async fn change(request: HttpRequest, shop: web::Data<Shop>, form: web::Form<HashMap<String, String>>) -> HttpResponse {
    let guest = match shop.guest_with_form(&request).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    let visit = shop.books.visit(&guest.buyer);
    let mut visit = visit.lock_owned().await;
    let changed = match read_change(&form) {
        Ok((_, units)) if units.is_empty() => shop.put_back(&mut visit).await,
        Ok((once, units)) => {
            let ask = |_: &Visit, replaces| Ask::new(&units, &guest.buyer, replaces);
            shop.fill(&mut visit, &guest, &once, ask).await
        }
        Err(refusal) => Err(refusal),
    };
    shop.after(&guest, &visit, changed).await
}

async fn more_time(request: HttpRequest, shop: web::Data<Shop>) -> HttpResponse {
    let guest = match shop.guest_with_form(&request).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    let visit = shop.books.visit(&guest.buyer);
    let mut visit = visit.lock_owned().await;
    let extended = match &mut visit.basket {
        None => Err(Refusal::Released),
        Some(basket) => shop.till.extend(&basket.reservation, HOLD_SECONDS).await.map(|deadline| {
            basket.deadline = as_ms(deadline);
        }),
    };
    shop.after(&guest, &visit, extended).await
}

async fn empty(request: HttpRequest, shop: web::Data<Shop>) -> HttpResponse {
    let guest = match shop.guest_with_form(&request).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    let visit = shop.books.visit(&guest.buyer);
    let mut visit = visit.lock_owned().await;
    let emptied = shop.put_back(&mut visit).await;
    match emptied {
        Ok(()) => see(PRODUCT),
        refused => shop.after(&guest, &visit, refused).await,
    }
}

/// Off to the payment provider: the sale is told first, so that the hold lives while the buyer types.
async fn check_out(request: HttpRequest, shop: web::Data<Shop>, provider: web::Data<Provider>) -> HttpResponse {
    let guest = match shop.guest_with_form(&request).await {
        Ok(guest) => guest,
        Err(refusal) => return refusal,
    };
    let visit = shop.books.visit(&guest.buyer);
    let mut visit = visit.lock_owned().await;
    let Some(basket) = &mut visit.basket else {
        return shop.after(&guest, &visit, Err(Refusal::Released)).await;
    };
    let basket_until = basket.deadline;
    match shop.till.paying(&basket.reservation).await {
        Err(refusal) => shop.after(&guest, &visit, Err(refusal)).await,
        Ok(deadline) => {
            basket.deadline = as_ms(deadline);
            let order = shop.books.order_for(Order {
                reference: format!("W7-{:032x}", rand::random::<u128>()),
                buyer: guest.buyer.clone(),
                reservation: basket.reservation.clone(),
                units: basket.units.clone(),
                state: OrderState::AtTheProvider,
            });
            if order.state == OrderState::Declined {
                shop.books.set(&order.reference, OrderState::AtTheProvider);
            }
            provider.payments.open(Payment {
                order: order.reference.clone(),
                units: basket.units.values().sum(),
                amount: price_of(&basket.units),
                basket_until,
                held_until: basket.deadline,
                state: PaymentState::Open,
            });
            see(&format!("{PROVIDER}/{}", order.reference))
        }
    }
}

/// The form's name and the units it wants; sizes at 0 are left out.
fn read_change(form: &HashMap<String, String>) -> Result<(String, Units), Refusal> {
    let invalid = |detail: &str| Refusal::Invalid { field: "quantity".to_owned(), detail: detail.to_owned() };
    let once = form.get("once").filter(|once| is_once(once)).ok_or_else(|| invalid("came without its form"))?;
    let mut units = Units::new();
    for size in SIZES {
        let quantity = form.get(size.sku).map_or("0", |quantity| quantity.trim());
        let quantity: u64 = quantity.parse().map_err(|_| invalid("must be a whole number"))?;
        if quantity > 0 {
            units.insert(size.sku.to_owned(), quantity);
        }
    }
    Ok((once.clone(), units))
}

impl Shop {
    /// Whether the buyer of this reservation is at the payment provider.
    pub(super) fn is_being_paid(&self, reservation: &str) -> bool {
        self.books.order_of(reservation).is_some_and(|order| order.state != OrderState::Declined)
    }

    /// Asks the sale where the basket stands; the sale's word counts, not the shop's memory.
    ///
    /// # Errors
    /// The basket has ended, and how.
    async fn refresh(&self, visit: &mut Visit) -> Result<(), Refusal> {
        let Some(basket) = &visit.basket else { return Ok(()) };
        let ended = match self.till.look(&basket.reservation).await {
            Ok(now) if now.state == State::Held => {
                visit.basket = Basket::of(&now);
                return Ok(());
            }
            Ok(now) => match now.state {
                State::Expired => Refusal::Expired,
                State::Confirmed => Refusal::Conflict,
                State::Held | State::Released => Refusal::Released,
            },
            Err(Refusal::Busy) => return Err(Refusal::Busy),
            Err(refusal) => refusal,
        };
        visit.basket = None;
        Err(ended)
    }

    /// Gives the basket back.
    async fn put_back(&self, visit: &mut Visit) -> Result<(), Refusal> {
        let Some(basket) = &visit.basket else { return Ok(()) };
        if self.is_being_paid(&basket.reservation) {
            return Err(Refusal::Conflict);
        }
        self.till.release(&basket.reservation).await?;
        visit.basket = None;
        Ok(())
    }

    /// The basket after a form: a page that can be loaded again, or the same one with the reason why not.
    async fn after(&self, guest: &Guest, visit: &Visit, done: Result<(), Refusal>) -> HttpResponse {
        match done {
            Ok(()) => see("/basket"),
            Err(refusal) => self.basket_page(guest, visit.basket.as_ref(), Some(&refusal)).await,
        }
    }

    async fn basket_page(&self, guest: &Guest, basket: Option<&Basket>, refusal: Option<&Refusal>) -> HttpResponse {
        let shelf = self.till.shelf().await.unwrap_or_default();
        let now = self.clock.now();
        let held = basket.filter(|basket| now < basket.deadline).map(|basket| HeldBasket {
            words: words_of_units(&basket.units),
            price: price_of(&basket.units),
            rows: rows(&shelf, &basket.units),
            seconds_left: basket.deadline.since(now).div_ceil(1_000),
            until: time_of_day(basket.deadline),
            order: self.books.order_of(&basket.reservation).map(|order| order.reference),
        });
        // Out of time since it was last heard of: nobody has to ask the sale to know that.
        let refusal = match (refusal, basket, &held) {
            (None, Some(_), None) => Some(&Refusal::Expired),
            (refusal, ..) => refusal,
        };
        let notice = refusal.map(Notice::of);
        let page = BasketPage { held, once: new_once(), most: PER_SIZE, notice: notice.clone() };
        let status = refusal.map_or(StatusCode::OK, status_of);
        let response = show_to(guest, &page, status);
        match &notice {
            Some(notice) => mark(response, notice),
            None => response,
        }
    }
}

impl Basket {
    /// The basket that a live reservation is.
    fn of(held: &Reservation) -> Option<Self> {
        let deadline = as_ms(held.expires_at?);
        Some(Self { reservation: held.id.clone(), units: held.units(), deadline })
    }
}

fn as_ms(time: jiff::Timestamp) -> UnixMs {
    UnixMs(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> HashMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_change_names_what_is_wanted_and_nothing_else() {
        let (once, units) = read_change(&form(&[("once", "a1"), ("kite-7-s", "0"), ("kite-7-m", " 2 ")])).unwrap();
        assert_eq!((once.as_str(), units), ("a1", Units::from([("kite-7-m".to_owned(), 2)])));
        assert!(read_change(&form(&[("once", "a1"), ("kite-7-m", "two")])).is_err());
        assert!(read_change(&form(&[("once", "a/1"), ("kite-7-m", "2")])).is_err());
        assert!(read_change(&form(&[("kite-7-m", "2")])).is_err());
    }
}
