//! A payment provider as a shop meets them: a page of its own, money that comes when it comes, and a callback that is
//! repeated until it is answered, and sometimes once more. Nothing is charged, of course.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    browser::send,
    shop::{
        gate::is_own_form,
        pages::{Notice, refuse, see, show},
    },
};
use crate::{clock::Clock, time::UnixMs};

/// Where the provider lives.
pub const PROVIDER: &str = "/provider";

/// How long after the basket's own time one pays who is late, and after the grace one who is too late.
const LATE_BY_MS: u64 = 700;

/// How often a callback is made, and the pause before the next, twice as long each time: about half a minute in all.
const CALLBACKS_MAX: u32 = 7;
const CALLBACK_PAUSE: Duration = Duration::from_millis(250);

/// Every so many callbacks one is made twice: providers do.
const TWICE_EVERY: u64 = 8;

/// The provider.
pub struct Provider {
    /// The shop's callback.
    pub callback: String,
    /// What the shop knows the provider by.
    pub secret: SecretString,
    pub client: Client,
    pub clock: Clock,
    /// Turns true when the demo ends: money that has not moved by then does not move.
    pub stop: watch::Receiver<bool>,
    pub payments: Payments,
}

/// All payments, by order.
#[derive(Default)]
pub struct Payments {
    by_order: Mutex<HashMap<String, Payment>>,
    /// Callbacks being made.
    calling: AtomicU64,
    made: AtomicU64,
}

/// What the shop wants paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub order: String,
    pub units: u64,
    /// In euros.
    pub amount: u64,
    /// When the basket's own time ends, and when the hold ends with its grace.
    pub basket_until: UnixMs,
    pub held_until: UnixMs,
    pub state: State,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The buyer looks at the page.
    Open,
    /// The money will come then.
    Thinking { until: UnixMs },
    /// The money has moved; the shop is told, or has been.
    Paid,
    /// It has not, and the shop knows.
    Declined,
}

/// What the buyer chose on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    Pay,
    /// The card covers all but one.
    PayPart,
    Decline,
    /// After the basket's time, before the grace has ended.
    PayLate,
    /// After the grace has ended.
    PayTooLate,
}

#[derive(Deserialize)]
pub struct Chosen {
    choice: Choice,
}

/// What the provider tells the shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub order: String,
    /// Units the money covers; 0 where it was declined.
    pub units: u64,
}

#[derive(Template)]
#[template(path = "demo_provider.html")]
struct ProviderPage {
    payment: Payment,
    is_thinking: bool,
    late_in: u64,
    too_late_in: u64,
}

impl Payments {
    /// Opens the payment of an order; again after a decline. One that is on its way stays as it is.
    pub fn open(&self, payment: Payment) {
        let mut payments = self.lock();
        match payments.get(&payment.order) {
            Some(Payment { state: State::Thinking { .. } | State::Paid, .. }) => {}
            _ => drop(payments.insert(payment.order.clone(), payment)),
        }
    }

    /// Whether money is on its way to the shop, which has not answered yet.
    pub fn is_calling(&self) -> bool {
        self.calling.load(Ordering::SeqCst) > 0
    }

    fn of(&self, order: &str) -> Option<Payment> {
        self.lock().get(order).cloned()
    }

    /// Takes the buyer's choice for an open payment: when the shop is told, or nothing where it was taken before.
    fn choose(&self, order: &str, choice: Choice, now: UnixMs) -> Option<UnixMs> {
        let mut payments = self.lock();
        let payment = payments.get_mut(order).filter(|payment| payment.state == State::Open)?;
        let at = payment.time_of(choice, now);
        payment.state = match choice {
            Choice::Decline => State::Declined,
            _ if at > now => State::Thinking { until: at },
            _ => State::Paid,
        };
        Some(at)
    }

    /// The money that was on its way has come.
    fn moved(&self, order: &str) {
        if let Some(payment) = self.lock().get_mut(order).filter(|payment| payment.state != State::Declined) {
            payment.state = State::Paid;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Payment>> {
        self.by_order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Payment {
    /// When the shop hears of a choice made now.
    fn time_of(&self, choice: Choice, now: UnixMs) -> UnixMs {
        match choice {
            Choice::Pay | Choice::PayPart | Choice::Decline => now,
            Choice::PayLate => now.max(self.basket_until.plus_ms(LATE_BY_MS)),
            Choice::PayTooLate => now.max(self.held_until.plus_ms(LATE_BY_MS)),
        }
    }

    /// How many units a choice pays for.
    fn covered_by(&self, choice: Choice) -> u64 {
        match choice {
            Choice::Pay | Choice::PayLate | Choice::PayTooLate => self.units,
            Choice::PayPart => self.units.saturating_sub(1),
            Choice::Decline => 0,
        }
    }
}

/// Puts the provider's pages into the server.
pub fn configure(config: &mut web::ServiceConfig) {
    config.route("/provider/{order}", web::get().to(page)).route("/provider/{order}", web::post().to(choose));
}

async fn page(order: web::Path<String>, provider: web::Data<Provider>) -> HttpResponse {
    let Some(payment) = provider.payments.of(&order) else {
        return refuse(StatusCode::NOT_FOUND, Notice::plain("There is no such payment."));
    };
    if matches!(payment.state, State::Paid | State::Declined) {
        return see(&format!("/orders/{order}"));
    }
    let now = provider.clock.now();
    let seconds = |at: UnixMs| at.since(now).div_ceil(1_000);
    let page = ProviderPage {
        is_thinking: payment.state != State::Open,
        late_in: seconds(payment.time_of(Choice::PayLate, now)),
        too_late_in: seconds(payment.time_of(Choice::PayTooLate, now)),
        payment,
    };
    show(&page, StatusCode::OK)
}

async fn choose(
    request: HttpRequest,
    order: web::Path<String>,
    chosen: web::Form<Chosen>,
    provider: web::Data<Provider>,
) -> HttpResponse {
    if !is_own_form(&request) {
        return refuse(StatusCode::FORBIDDEN, Notice::foreign_form());
    }
    let order = order.into_inner();
    let Some(payment) = provider.payments.of(&order) else {
        return refuse(StatusCode::NOT_FOUND, Notice::plain("There is no such payment."));
    };
    let now = provider.clock.now();
    if let Some(at) = provider.payments.choose(&order, chosen.choice, now) {
        let told = Told { units: payment.covered_by(chosen.choice), order: order.clone() };
        tokio::spawn(provider.clone().into_inner().tell_at(told, Duration::from_millis(at.since(now))));
    }
    see(&format!("{PROVIDER}/{order}"))
}

impl Provider {
    /// Moves the money after a while, unless the demo ends before, and tells the shop.
    async fn tell_at(self: Arc<Self>, told: Told, after: Duration) {
        let mut stop = self.stop.clone();
        if !after.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
        self.payments.calling.fetch_add(1, Ordering::SeqCst);
        self.payments.moved(&told.order);
        self.call_back(&told).await;
        if self.payments.made.fetch_add(1, Ordering::SeqCst) % TWICE_EVERY == TWICE_EVERY - 1 {
            self.call_back(&told).await;
        }
        self.payments.calling.fetch_sub(1, Ordering::SeqCst);
    }

    /// Tells the shop until it says that it has heard.
    async fn call_back(&self, told: &Told) {
        let mut pause = CALLBACK_PAUSE;
        for _ in 0..CALLBACKS_MAX {
            let call = self.client.post(&self.callback).bearer_auth(self.secret.expose_secret()).json(told);
            match send(call).await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "the shop did not take a callback"),
                Err(error) => tracing::warn!(%error, "the shop did not take a callback"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment() -> Payment {
        let (basket_until, held_until) = (UnixMs(12_000), UnixMs(15_000));
        Payment { order: "o".to_owned(), units: 3, amount: 9, basket_until, held_until, state: State::Open }
    }

    #[test]
    fn late_is_between_the_basket_and_the_grace_and_too_late_is_after_both() {
        let payment = payment();
        let at = |choice| payment.time_of(choice, UnixMs(1_000));
        assert_eq!(at(Choice::Pay), UnixMs(1_000));
        let late = at(Choice::PayLate);
        assert!(payment.basket_until < late && late < payment.held_until);
        assert!(payment.held_until < at(Choice::PayTooLate));
        assert_eq!(payment.time_of(Choice::PayLate, UnixMs(20_000)), UnixMs(20_000), "never in the past");
    }

    #[test]
    fn a_payment_is_chosen_once_and_opens_again_after_a_decline() {
        let payments = Payments::default();
        payments.open(payment());
        assert_eq!(payments.choose("o", Choice::Decline, UnixMs(1)), Some(UnixMs(1)));
        assert_eq!(payments.choose("o", Choice::Pay, UnixMs(2)), None, "pressed twice");
        payments.open(payment());
        assert!(payments.choose("o", Choice::PayLate, UnixMs(3)).is_some());
        payments.open(payment());
        assert_eq!(payments.choose("o", Choice::Pay, UnixMs(4)), None, "the money is on its way");
        assert_eq!(payments.choose("other", Choice::Pay, UnixMs(4)), None);
    }

    #[test]
    fn a_part_is_all_but_one() {
        assert_eq!(payment().covered_by(Choice::PayPart), 2);
        assert_eq!(payment().covered_by(Choice::Decline), 0);
        assert_eq!(payment().covered_by(Choice::PayTooLate), 3);
    }
}
