//! What the shop itself remembers: who came in, what is in whose basket, and every order until it is answered.
//! How many kites are left is none of it: the sale knows.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    place_of,
    till::{Ask, Units},
};
use crate::time::UnixMs;

/// Forms of one visitor that are remembered, to know one that is sent again: people press twice, not twenty times.
const FORMS_MAX: usize = 20;

/// All of it. One lock, held for a look or a note and never across a call.
#[derive(Default)]
pub struct Books(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// The places of everyone who was let in, as their sessions name them.
    let_in: BTreeSet<u64>,
    visits: HashMap<String, Arc<tokio::sync::Mutex<Visit>>>,
    orders: HashMap<String, Order>,
    by_reservation: HashMap<String, String>,
    repeats: Repeats,
}

/// One visitor's shopping. Locked while a form of theirs is worked on, so that two tabs take turns.
#[derive(Debug, Default)]
pub struct Visit {
    pub basket: Option<Basket>,
    /// Forms that filled a basket, with what was asked and what came of it.
    forms: VecDeque<Form>,
}

/// A basket: a reservation and what the shop last heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    pub reservation: String,
    pub units: Units,
    pub deadline: UnixMs,
}

#[derive(Debug)]
struct Form {
    once: String,
    ask: Ask,
    /// The reservation it got.
    granted: Option<String>,
}

/// How often the same form came again, and how often it got something else than the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    pub same: u64,
    /// Never anything but 0: a key's grant is sticky.
    pub other: u64,
}

/// An order: made when its buyer leaves for the payment provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub reference: String,
    pub buyer: String,
    pub reservation: String,
    pub units: Units,
    pub state: OrderState,
}

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// The buyer is at the payment provider.
    AtTheProvider,
    /// The provider turned the payment down; it may be tried again while the basket lives.
    Declined,
    /// The money for these units has come, and the sale is being asked.
    Paid(Units),
    /// Bought.
    Confirmed(Units),
    /// The money came when the units were gone: it goes back.
    TooLate,
    /// The sale gave no answer that a buyer could be told. The provider asks again.
    Unanswered(Units),
}

impl Books {
    /// Notes who was let in.
    pub fn welcome(&self, session: &str) {
        self.open().let_in.extend(place_of(session));
    }

    /// The places of everyone who was let in so far.
    pub fn let_in(&self) -> BTreeSet<u64> {
        self.open().let_in.clone()
    }

    /// A buyer's shopping, to be locked.
    pub fn visit(&self, buyer: &str) -> Arc<tokio::sync::Mutex<Visit>> {
        Arc::clone(self.open().visits.entry(buyer.to_owned()).or_default())
    }

    /// The order of a basket: a new one with this reference, or the one that was made before.
    pub fn order_for(&self, order: Order) -> Order {
        let mut pages = self.open();
        if let Some(known) = pages.by_reservation.get(&order.reservation).and_then(|known| pages.orders.get(known)) {
            return known.clone();
        }
        pages.by_reservation.insert(order.reservation.clone(), order.reference.clone());
        pages.orders.insert(order.reference.clone(), order.clone());
        order
    }

    /// An order by its reference.
    pub fn order(&self, reference: &str) -> Option<Order> {
        self.open().orders.get(reference).cloned()
    }

    /// The order of a reservation, if its buyer ever went to pay.
    pub fn order_of(&self, reservation: &str) -> Option<Order> {
        let pages = self.open();
        pages.by_reservation.get(reservation).and_then(|reference| pages.orders.get(reference)).cloned()
    }

    /// Writes where an order stands now. One that is bought or refused for good stays so.
    pub fn set(&self, reference: &str, state: OrderState) {
        let mut pages = self.open();
        if let Some(order) = pages.orders.get_mut(reference).filter(|order| !order.state.is_final()) {
            order.state = state;
        }
    }

    /// All orders.
    pub fn orders(&self) -> Vec<Order> {
        self.open().orders.values().cloned().collect()
    }

    /// Notes that a form came again, and whether it got what it got the first time.
    pub fn repeated(&self, got_the_same: bool) {
        let mut pages = self.open();
        if got_the_same {
            pages.repeats.same += 1;
        } else {
            pages.repeats.other += 1;
        }
    }

    pub fn repeats(&self) -> Repeats {
        self.open().repeats
    }

    fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// The basket, if its time has not run out.
    pub fn live_basket(&self, now: UnixMs) -> Option<&Basket> {
        self.basket.as_ref().filter(|basket| now < basket.deadline)
    }

    /// What this form asked when it came first, and the reservation it got.
    pub fn asked(&self, once: &str) -> Option<(&Ask, Option<&str>)> {
        let form = self.forms.iter().find(|form| form.once == once)?;
        Some((&form.ask, form.granted.as_deref()))
    }

    /// Remembers a form before it is worked on.
    pub fn asks(&mut self, once: &str, ask: Ask) {
        if self.forms.len() == FORMS_MAX {
            self.forms.pop_front();
        }
        self.forms.push_back(Form { once: once.to_owned(), ask, granted: None });
    }

    /// A form was granted: its reservation is the basket now.
    pub fn granted(&mut self, once: &str, basket: Basket) {
        if let Some(form) = self.forms.iter_mut().find(|form| form.once == once) {
            form.granted = Some(basket.reservation.clone());
        }
        self.basket = Some(basket);
    }
}

impl OrderState {
    /// Whether the buyer has an answer that does not change any more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Confirmed(_) | Self::TooLate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(reference: &str, reservation: &str) -> Order {
        let (buyer, units) = ("me".to_owned(), Units::from([("a".to_owned(), 1)]));
        let (reference, reservation) = (reference.to_owned(), reservation.to_owned());
        Order { reference, buyer, reservation, units, state: OrderState::AtTheProvider }
    }

    #[test]
    fn a_basket_has_one_order_however_often_its_buyer_goes_to_pay() {
        let books = Books::default();
        assert_eq!(books.order_for(order("first", "r")).reference, "first");
        assert_eq!(books.order_for(order("second", "r")).reference, "first");
        assert_eq!(books.order_for(order("third", "other")).reference, "third");
        assert_eq!(books.orders().len(), 2);
    }

    #[test]
    fn an_answer_given_to_a_buyer_is_not_taken_back() {
        let books = Books::default();
        books.order_for(order("first", "r"));
        books.set("first", OrderState::Declined);
        books.set("first", OrderState::TooLate);
        books.set("first", OrderState::AtTheProvider);
        assert_eq!(books.order("first").unwrap().state, OrderState::TooLate);
    }

    #[test]
    fn a_form_is_remembered_with_its_grant() {
        let mut visit = Visit::default();
        let ask = Ask::new(&Units::new(), "me", None);
        visit.asks("form", ask.clone());
        assert_eq!(visit.asked("form"), Some((&ask, None)));
        let basket = Basket { reservation: "r".to_owned(), units: Units::new(), deadline: UnixMs(5) };
        visit.granted("form", basket.clone());
        assert_eq!(visit.asked("form"), Some((&ask, Some("r"))));
        assert_eq!((visit.live_basket(UnixMs(4)), visit.live_basket(UnixMs(5))), (Some(&basket), None));
        (0..FORMS_MAX).for_each(|i| visit.asks(&i.to_string(), ask.clone()));
        assert_eq!(visit.asked("form"), None, "bounded");
    }
}
