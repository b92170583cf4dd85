//! One event of a sale, as shops are told of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::query::Cursor;
use crate::{
    http::reservations::answer::{Line, lines},
    room::settings::Timestamp,
    sale::{self, EventKind, ReservationId},
    token::reservation::reservation_name,
};

/// One event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Where it stands: to ask for what comes after it.
    pub cursor: String,
    /// Its number: one more than that of the event before.
    pub seq: u64,
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened, by `type`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type")]
pub enum Kind {
    /// Units went from available to held.
    #[serde(rename = "reservation.held")]
    Held {
        reservation: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        buyer: Option<String>,
        lines: Vec<Line>,
        #[schema(value_type = String, format = DateTime)]
        expires_at: Timestamp,
    },
    /// `lines` went from held to sold, `returned` from held to available.
    #[serde(rename = "reservation.confirmed")]
    Confirmed {
        reservation: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        buyer: Option<String>,
        order: String,
        lines: Vec<Line>,
        returned: Vec<Line>,
    },
    /// Units went from held to available, by the buyer or the shop.
    #[serde(rename = "reservation.released")]
    Released { reservation: String, lines: Vec<Line> },
    /// Units went from held to available, by the deadline.
    #[serde(rename = "reservation.expired")]
    Expired { reservation: String, lines: Vec<Line> },
    /// A payment was refused because the hold had died: to be refunded. Once an order.
    #[serde(rename = "reservation.paid_too_late")]
    PaidTooLate { reservation: String, order: String, lines: Vec<Line> },
    /// None available, but some held: they may come back.
    #[serde(rename = "item.all_held")]
    AllHeld { sku: String },
    /// None available, none held.
    #[serde(rename = "item.sold_out")]
    SoldOut { sku: String },
    /// Available again after none was.
    #[serde(rename = "item.returned")]
    Returned { sku: String, available: u64 },
    /// Total and available changed by `delta`.
    #[serde(rename = "item.restocked")]
    Restocked { sku: String, delta: i64 },
    /// The books at this point: what came before may be kept no longer.
    #[serde(rename = "sale.checkpoint")]
    Checkpoint { items: Vec<Books> },
    /// A hold that the store had lost, and could not take again because its units were taken meanwhile.
    #[serde(rename = "reservation.lost")]
    Lost {
        reservation: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        buyer: Option<String>,
        lines: Vec<Line>,
    },
    /// The store has lost its last moments. Forget the events after `to_seq` that you know of older terms: what of them
    /// is still so is told again from here on.
    #[serde(rename = "sale.rewound")]
    Rewound { term: u64, to_seq: u64 },
}

/// One SKU's books.
#[derive(Debug, Serialize, ToSchema)]
pub struct Books {
    pub sku: String,
    pub total: u64,
    pub available: u64,
    pub held: u64,
    pub sold: u64,
}

impl Event {
    /// The event of a sale whose events begin at `start`.
    pub(super) fn of(start: Cursor, event: sale::Event) -> Self {
        let cursor = Cursor { seq: event.seq, ..start }.to_string();
        Self { cursor, seq: event.seq, time: Timestamp(event.time), kind: Kind::of(event.kind) }
    }
}

impl Kind {
    fn of(kind: EventKind) -> Self {
        let name = |id: ReservationId| reservation_name(id);
        match kind {
            EventKind::Held { id, buyer, lines: units, deadline } => Self::Held {
                reservation: name(id),
                buyer: buyer.map(Into::into),
                lines: lines(&units),
                expires_at: Timestamp(deadline),
            },
            EventKind::Confirmed { id, buyer, order, lines: units, returned, share: _ } => Self::Confirmed {
                reservation: name(id),
                buyer: buyer.map(Into::into),
                order: order.into(),
                lines: lines(&units),
                returned: lines(&returned),
            },
            EventKind::Released { id, lines: units } => Self::Released { reservation: name(id), lines: lines(&units) },
            EventKind::Expired { id, lines: units } => Self::Expired { reservation: name(id), lines: lines(&units) },
            EventKind::PaidTooLate { id, order, lines: units } => {
                Self::PaidTooLate { reservation: name(id), order: order.into(), lines: lines(&units) }
            }
            EventKind::AllHeld { sku } => Self::AllHeld { sku: sku.into() },
            EventKind::SoldOut { sku } => Self::SoldOut { sku: sku.into() },
            EventKind::Returned { sku, available } => Self::Returned { sku: sku.into(), available },
            EventKind::Restocked { sku, delta } => Self::Restocked { sku: sku.into(), delta },
            EventKind::Lost { id, buyer, lines: units } => {
                Self::Lost { reservation: name(id), buyer: buyer.map(Into::into), lines: lines(&units) }
            }
            EventKind::Rewound { term, to_seq } => Self::Rewound { term, to_seq },
            EventKind::Checkpoint { items } => Self::Checkpoint { items: items.into_iter().map(Books::of).collect() },
        }
    }
}

impl Books {
    fn of(item: sale::view::Item) -> Self {
        let sale::view::Item { sku, total, available, held, sold } = item;
        Self { sku: sku.into(), total, available, held, sold }
    }
}
