//! A reservation as its owner sees it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::Context,
    instance::LiveSale,
    room::settings::Timestamp,
    sale::{self, State},
    store::sale_lane::SaleAnswer,
    time::UnixMs,
    token::{ReservationToken, reservation::reservation_name},
};

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reservation {
    #[schema(format = "uuid")]
    pub id: String,
    /// Proves the reservation to the calls about it, in the header `X-Dropgate-Reservation`. Told where the hold begins
    /// and where its deadline moves; an earlier one goes on being good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub state: StateName,
    /// One a SKU, sorted. Of a confirmation in part: what was confirmed.
    pub lines: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The deadline, while it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Whether the buyer is at the payment provider, while it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paying: Option<bool>,
    /// The shop's order, once it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub released_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expired_at: Option<Timestamp>,
}

/// Where a reservation stands. All but `held` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    Held,
    Confirmed,
    Released,
    Expired,
}

/// Units of one SKU.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    pub sku: String,
    pub quantity: u64,
}

impl Reservation {
    /// The reservation, without a token.
    pub(super) fn of(reservation: &sale::Reservation) -> Self {
        let mut shown = Self {
            id: reservation_name(reservation.id),
            token: None,
            state: StateName::Held,
            lines: lines(&reservation.lines),
            buyer: reservation.buyer.as_ref().map(ToString::to_string),
            created_at: Timestamp(reservation.created),
            expires_at: None,
            paying: None,
            order: None,
            confirmed_at: None,
            released_at: None,
            expired_at: None,
        };
        match &reservation.state {
            State::Held { deadline, paying } => {
                (shown.expires_at, shown.paying) = (Some(Timestamp(*deadline)), Some(*paying));
            }
            State::Confirmed { order, at } => {
                (shown.state, shown.order) = (StateName::Confirmed, Some(order.to_string()));
                shown.confirmed_at = Some(Timestamp(*at));
            }
            State::Released { at } => {
                (shown.state, shown.released_at) = (StateName::Released, Some(Timestamp(*at)));
            }
            State::Expired { at } => (shown.state, shown.expired_at) = (StateName::Expired, Some(Timestamp(*at))),
        }
        shown
    }

    /// The reservation with its token.
    pub(super) fn with_token(
        context: &Context,
        sale: &LiveSale,
        reservation: &sale::Reservation,
        answer: &SaleAnswer,
    ) -> Self {
        let token = ReservationToken {
            sale: sale.id.clone(),
            // Of the answer: this instance may not have learnt yet that the sale was made anew.
            born: answer.header.map_or(sale.born, |header| header.born),
            id: reservation.id,
            lines: reservation.lines.clone(),
            deadline: deadline(&reservation.state),
            // No recovery ever counts one up on the embedded store.
            term: 0,
        };
        let token = context.instance.keys().sign_reservation(&token, answer.now);
        Self { token: Some(token), ..Self::of(reservation) }
    }
}

/// Units by SKU as lines.
pub fn lines(units: &sale::Units) -> Vec<Line> {
    units.iter().map(|(sku, quantity)| Line { sku: sku.to_string(), quantity: *quantity }).collect()
}

/// When a hold ends, or when it ended.
fn deadline(state: &State) -> UnixMs {
    match state {
        State::Held { deadline, .. } => *deadline,
        State::Confirmed { at, .. } | State::Released { at } | State::Expired { at } => *at,
    }
}
