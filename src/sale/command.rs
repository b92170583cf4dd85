//! What can be asked of a sale, and what it answers.

use serde::{Deserialize, Serialize};

use super::{books::Walk, outbox::Event, settings::Rules, units::Units, view::View};
use crate::{
    id::{RoomId, text},
    time::UnixMs,
};

/// The longest SKU and the longest name of a buyer or an order, in bytes: they stand in every event.
pub const NAME_MAX_BYTES: usize = 128;

/// A text that can't be a SKU, buyer or order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 visible ASCII characters without spaces")]
pub struct InvalidName;

text! {
    /// A stock-keeping unit: 1 to 128 visible ASCII characters, so that it can stand in a URL, a log and a key.
    Sku, is_name, InvalidName
}

text! {
    /// Who holds units: a pass's subject, or whom a shop's server named. Limits count by buyer.
    Buyer, is_name, InvalidName
}

text! {
    /// The shop's reference of an order.
    OrderRef, is_name, InvalidName
}

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A reservation's id: derived by hash from (sale, buyer or API key, key), so that a grant repeated after any
/// loss is the same reservation, and nobody's key finds another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReservationId(pub u128);

/// A hash of a request's body, to tell a repeated request from another under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub u128);

/// Units of one SKU, at least 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: Sku,
    pub quantity: u64,
}

/// One command to a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Creates the sale or changes its settings; a `version` not above the sale's own changes nothing. A changed
    /// total restocks or withdraws the difference to the former document. `born` is the version that the sale's first
    /// document had: what is left of a sale born earlier under this id makes way whole, and one born later stays. One that
    /// has been made before is not made again unless `make` says so: its store has lost it, and what it sold is not known.
    Configure { version: u64, born: u64, rules: Rules, make: bool },
    /// Says whether `rules` could be configured now; changes nothing.
    Consider { rules: Rules },
    /// Forgets the sale with all its records, if it was not born after `born`: so a deletion that arrives late does not
    /// take the next sale of this id with it.
    Delete { born: u64 },
    /// Expires what is due, within the bound of a batch. Every batch does so first by itself; each tick in it as much
    /// again.
    Tick,
    /// Adds units to a SKU, or withdraws some that are available. `id` makes it idempotent.
    Restock { id: ReservationId, sku: Sku, delta: i64 },
    /// Takes units from available to held, all or nothing.
    Reserve(Reserve),
    /// The cheap way for late comers: what a reserve of the same would be answered, but that nothing is granted: where
    /// it could be, `Pending`.
    Lookup(Reserve),
    /// Asks for a reservation; changes nothing.
    Look { id: ReservationId },
    /// The buyer is at the payment provider: the hold lives at least the payment grace longer. Once.
    Paying { id: ReservationId },
    /// Paid: from held to sold.
    Confirm(Confirm),
    /// Gives the units back.
    Release { id: ReservationId },
    /// Lets the hold live at least `seconds` from now, within the bounds of the sale.
    /// With a `key` that has extended this hold before it is the same call again, and extends nothing.
    Extend { id: ReservationId, seconds: u64, key: Option<Fingerprint> },
    /// Asks for the rules in force; changes nothing.
    Rules,
    /// Asks for all items; changes nothing.
    Items,
    /// Counts the books anew from every reservation; changes nothing. It takes as long as there are reservations: for
    /// audits, not for a sale in service.
    Walk,
    /// Events after `after`, at most `limit`; changes nothing. `term` is the one in which the reader was told of `after`:
    /// what the store has lost since, it is to forget.
    Events { after: u64, term: u64, limit: usize },
}

/// What a buyer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    pub id: ReservationId,
    pub fingerprint: Fingerprint,
    pub caller: Caller,
    pub buyer: Option<Buyer>,
    /// 1 to 20; the same SKU on two lines is summed.
    pub lines: Vec<Line>,
    /// The sale's own if none; at most its maximum.
    pub hold_seconds: Option<u64>,
    /// A hold of the same buyer that this one takes the place of, in the same step.
    pub replaces: Option<ReservationId>,
}

/// By what right somebody reserves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// A shop's server with a key: needs no pass.
    Shop,
    /// A visitor with a pass of `room` until `deadline`, its signature checked.
    Pass { room: RoomId, deadline: UnixMs },
    /// A visitor without a pass.
    Anyone,
}

/// A payment that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    pub id: ReservationId,
    /// The shop's order reference.
    pub order: OrderRef,
    /// Confirms a part, the rest returns; the whole if none.
    pub lines: Option<Vec<Line>>,
    pub if_expired: IfExpired,
}

/// What a confirmation of an expired hold does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfExpired {
    #[default]
    Reject,
    /// Takes the units again, if they can be had, in the same step.
    Retake,
}

/// A reservation as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub id: ReservationId,
    pub buyer: Option<Buyer>,
    pub lines: Units,
    pub created: UnixMs,
    pub state: State,
}

/// Where a reservation stands. All but `Held` are terminal and never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Held { deadline: UnixMs, paying: bool },
    Confirmed { order: OrderRef, at: UnixMs },
    Released { at: UnixMs },
    Expired { at: UnixMs },
}

impl State {
    /// When it came to its end; none while it is held.
    pub(super) fn ended(&self) -> Option<UnixMs> {
        match self {
            Self::Held { .. } => None,
            Self::Confirmed { at, .. } | Self::Released { at } | Self::Expired { at } => Some(*at),
        }
    }
}

/// What stands in a line's way. `held > 0` means that some may come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub sku: Sku,
    pub wanted: u64,
    pub available: u64,
    pub held: u64,
}

/// What is limited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Units of one SKU that a buyer may hold and have bought.
    UnitsOf { sku: Sku },
    /// Units of all SKUs that a buyer may hold and have bought.
    Units,
    /// Grants of one buyer that are remembered.
    Grants,
    /// Extensions of one hold.
    Extensions,
}

/// Why a sale did not do what was asked. Nothing changed (but for a late payment's event).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    UnknownSale,
    /// The store has lost the sale, and nobody but its operator may have it made anew.
    NeedsOperator,
    /// A field that can't be taken, and why.
    Invalid {
        field: String,
        detail: String,
    },
    UnknownSku {
        sku: Sku,
    },
    /// The key was used with another body.
    KeyReused,
    /// Before `opens_at` or past `closes_at`.
    Closed,
    PassRequired,
    SoldOut {
        lines: Vec<Shortage>,
    },
    /// `used` of `limit` are used up, or what was asked for would go beyond.
    LimitExceeded {
        what: Limit,
        limit: u64,
        used: u64,
    },
    UnknownReservation,
    Expired,
    Released,
    /// Confirmed, or confirmed under another order.
    Conflict {
        detail: String,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    Reservation(Reservation),
    Items(View),
    Rules(Rules),
    Events(Vec<Event>),
    Walked(Walk),
    Refused(Refusal),
    /// Holds that are due still stand in the way, or a look-up found that it comes in time: to be sent again in full.
    Pending,
    /// The store's own program failed at this command, which is a bug; nothing changed. No machine says so: it is what a
    /// store puts in the place of an outcome, and never leaves it.
    Failed,
}
