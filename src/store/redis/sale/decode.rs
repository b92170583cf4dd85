//! What a sale's script answers.

use std::collections::BTreeMap;

use crate::{
    id::RoomId,
    sale::{
        Buyer, Event, EventKind, Limit, OrderRef, Outcome, Refusal, Reservation, ReservationId, Rules, Share, Shortage,
        Sku, State, Units,
        audit::{Column, Difference},
        books::Walk,
        settings::ItemRules,
        view::{Figures, Item},
    },
    store::{
        SaleReply,
        redis::{
            scripted::Answer,
            wire::{Misread, Words},
        },
    },
    time::UnixMs,
};

/// Reads the whole answer to a batch.
pub fn reply(answer: &Answer<'_>) -> Result<SaleReply, Misread> {
    let now = answer.now;
    let header = match answer.head {
        "-" => None,
        head => {
            let mut header = figures(&mut Words::of(head))?.header(now);
            header.term = answer.term;
            Some(header)
        }
    };
    let outcomes = answer.outcomes.iter().map(|line| outcome(answer, line)).collect::<Result<_, _>>()?;
    Ok(SaleReply { now, header, outcomes })
}

fn outcome(answer: &Answer<'_>, line: &str) -> Result<Outcome, Misread> {
    let (first, rest) = line.split_once('\t').map_or((line, None), |(first, rest)| (first, Some(rest)));
    let mut words = Words::of(first);
    Ok(match words.word()? {
        "done" => Outcome::Done,
        "pending" => Outcome::Pending,
        "r" => {
            let id = id(&mut words)?;
            Outcome::Reservation(reservation(id, &mut words)?)
        }
        "f" => Outcome::Reservation(remembered(answer, &mut words)?),
        "x" => Outcome::Refused(refusal(&mut words)?),
        "u" => Outcome::Rules(rules(&mut words)?),
        "i" => {
            let figures = figures(&mut words)?;
            let items = list(&mut words, stock_item)?;
            let mut view = figures.view(answer.now, items);
            view.term = answer.term;
            Outcome::Items(view)
        }
        "e" => {
            let first: u64 = words.parse()?;
            let told = rest.into_iter().flat_map(|rest| rest.split('\t'));
            Outcome::Events((first..).zip(told).map(|(seq, text)| event(seq, text)).collect::<Result<_, _>>()?)
        }
        "w" => {
            let (held, confirmed, ended) = (words.parse()?, words.parse()?, words.parse()?);
            let told = rest.into_iter().flat_map(|rest| rest.split('\t'));
            Outcome::Walked(Walk {
                held,
                confirmed,
                ended,
                differences: told.map(difference).collect::<Result<_, _>>()?,
            })
        }
        _ => return Err(words.misread()),
    })
}

fn figures(words: &mut Words<'_>) -> Result<Figures, Misread> {
    Ok(Figures {
        version: words.parse()?,
        born: words.parse()?,
        last: UnixMs(words.parse()?),
        available: words.parse()?,
        held: words.parse()?,
        seq: words.parse()?,
        next_due: none_or(words)?.map(UnixMs),
        opens_at: none_or(words)?.map(UnixMs),
        closes_at: none_or(words)?.map(UnixMs),
    })
}

/// Reads rules as [`super::encode::rules_text`] writes them.
pub fn rules(words: &mut Words<'_>) -> Result<Rules, Misread> {
    let (opens_at, closes_at) = (none_or(words)?.map(UnixMs), none_or(words)?.map(UnixMs));
    let (hold_ms, hold_max_ms, payment_grace_ms) = (words.parse()?, words.parse()?, words.parse()?);
    let max_units_per_buyer = none_or(words)?;
    let requires_pass = list(words, |words| RoomId::parse(words.word()?).map_err(|_| words.misread()))?;
    let item =
        |words: &mut Words<'_>| Ok((sku(words)?, ItemRules { total: words.parse()?, per_buyer: none_or(words)? }));
    let items: BTreeMap<_, _> = list(words, item)?.into_iter().collect();
    Ok(Rules { items, hold_ms, hold_max_ms, payment_grace_ms, max_units_per_buyer, requires_pass, opens_at, closes_at })
}

/// A reservation that stands among the rows to be remembered, at the place named, counted from 1.
fn remembered(answer: &Answer<'_>, words: &mut Words<'_>) -> Result<Reservation, Misread> {
    let place: usize = words.parse()?;
    let (key, value) = place.checked_sub(1).and_then(|place| answer.facts.get(place)).ok_or_else(|| words.misread())?;
    let (kind, id) = key.split_at_checked(1).ok_or_else(|| words.misread())?;
    if kind != "r" {
        return Err(words.misread());
    }
    let (id, mut words) = (self::id(&mut Words::of(id))?, Words::of(value));
    // The birth of its sale.
    words.word()?;
    reservation(id, &mut words)
}

/// A record; what only the store needs of it is passed over.
fn reservation(id: ReservationId, words: &mut Words<'_>) -> Result<Reservation, Misread> {
    words.word()?;
    let (buyer, created) = (buyer(words)?, UnixMs(words.parse()?));
    words.word()?;
    let (letter, at) = (words.word()?, UnixMs(words.parse()?));
    let state = match (letter, words.word()?) {
        ("H", mark) => State::Held { deadline: at, paying: mark == "1" },
        ("C", order) => State::Confirmed { order: OrderRef::parse(order).map_err(|_| words.misread())?, at },
        ("R", _) => State::Released { at },
        ("E", _) => State::Expired { at },
        _ => return Err(words.misread()),
    };
    Ok(Reservation { id, buyer, lines: units(words)?, created, state })
}

fn refusal(words: &mut Words<'_>) -> Result<Refusal, Misread> {
    Ok(match words.word()? {
        "unknown_sale" => Refusal::UnknownSale,
        "needs_operator" => Refusal::NeedsOperator,
        "invalid" => Refusal::Invalid { field: words.word()?.to_owned(), detail: words.rest().to_owned() },
        "unknown_sku" => Refusal::UnknownSku { sku: sku(words)? },
        "key_reused" => Refusal::KeyReused,
        "closed" => Refusal::Closed,
        "pass_required" => Refusal::PassRequired,
        "sold_out" => Refusal::SoldOut { lines: list(words, shortage)? },
        "limit" => {
            let (limit, used) = (words.parse()?, words.parse()?);
            let what = match words.word()? {
                "sku" => Limit::UnitsOf { sku: sku(words)? },
                "units" => Limit::Units,
                "grants" => Limit::Grants,
                "extensions" => Limit::Extensions,
                _ => return Err(words.misread()),
            };
            Refusal::LimitExceeded { what, limit, used }
        }
        "unknown_reservation" => Refusal::UnknownReservation,
        "expired" => Refusal::Expired,
        "released" => Refusal::Released,
        "conflict" => Refusal::Conflict { detail: words.rest().to_owned() },
        _ => return Err(words.misread()),
    })
}

fn shortage(words: &mut Words<'_>) -> Result<Shortage, Misread> {
    Ok(Shortage { sku: sku(words)?, wanted: words.parse()?, available: words.parse()?, held: words.parse()? })
}

/// An event as it is kept.
pub fn event(seq: u64, text: &str) -> Result<Event, Misread> {
    let words = &mut Words::of(text);
    let time = UnixMs(words.parse()?);
    let kind = match words.word()? {
        "held" => {
            let (id, buyer, deadline) = (id(words)?, buyer(words)?, UnixMs(words.parse()?));
            EventKind::Held { id, buyer, lines: units(words)?, deadline }
        }
        "confirmed" => {
            let (id, buyer, order) = (id(words)?, buyer(words)?, order(words)?);
            let share = match words.word()? {
                "whole" => Share::Whole,
                "part" => Share::Part,
                _ => return Err(words.misread()),
            };
            EventKind::Confirmed { id, buyer, order, lines: units(words)?, returned: units(words)?, share }
        }
        "released" => EventKind::Released { id: id(words)?, lines: units(words)? },
        "expired" => EventKind::Expired { id: id(words)?, lines: units(words)? },
        "paid_too_late" => EventKind::PaidTooLate { id: id(words)?, order: order(words)?, lines: units(words)? },
        "all_held" => EventKind::AllHeld { sku: sku(words)? },
        "sold_out" => EventKind::SoldOut { sku: sku(words)? },
        "returned" => EventKind::Returned { sku: sku(words)?, available: words.parse()? },
        "restocked" => EventKind::Restocked { sku: sku(words)?, delta: words.parse()? },
        "lost" => EventKind::Lost { id: id(words)?, buyer: buyer(words)?, lines: units(words)? },
        "rewound" => EventKind::Rewound { term: words.parse()?, to_seq: words.parse()? },
        "checkpoint" => EventKind::Checkpoint { items: list(words, item)? },
        _ => return Err(words.misread()),
    };
    Ok(Event { seq, time, kind })
}

fn difference(text: &str) -> Result<Difference, Misread> {
    let words = &mut Words::of(text);
    Ok(match words.word()? {
        "item" => Difference::Unbalanced { item: stock_item(words)? },
        "reservations" => {
            let (sku, column) = (sku(words)?, column(words)?);
            Difference::Reservations { sku, column, told: words.parse()?, found: words.parse()? }
        }
        "sum" => Difference::Sum { column: column(words)?, told: words.parse()?, found: words.parse()? },
        "buyer" => {
            let buyer = buyer(words)?.ok_or_else(|| words.misread())?;
            Difference::Buyer { buyer, told: words.parse()?, found: words.parse()? }
        }
        "deadline" => Difference::Deadline { id: id(words)? },
        _ => return Err(words.misread()),
    })
}

fn column(words: &mut Words<'_>) -> Result<Column, Misread> {
    Ok(match words.word()? {
        "available" => Column::Available,
        "held" => Column::Held,
        "sold" => Column::Sold,
        _ => return Err(words.misread()),
    })
}

fn item(words: &mut Words<'_>) -> Result<Item, Misread> {
    Ok(Item {
        sku: sku(words)?,
        total: words.parse()?,
        available: words.parse()?,
        held: words.parse()?,
        sold: words.parse()?,
    })
}

/// An item as its stock is kept: with the limit by buyer after it.
fn stock_item(words: &mut Words<'_>) -> Result<Item, Misread> {
    let item = item(words)?;
    words.word()?;
    Ok(item)
}

/// How many, and then each.
fn list<'a, T>(words: &mut Words<'a>, one: impl Fn(&mut Words<'a>) -> Result<T, Misread>) -> Result<Vec<T>, Misread> {
    let count: usize = words.parse()?;
    (0..count).map(|_| one(words)).collect()
}

fn units(words: &mut Words<'_>) -> Result<Units, Misread> {
    Ok(list(words, |words| Ok((sku(words)?, words.parse()?)))?.into_iter().collect())
}

fn sku(words: &mut Words<'_>) -> Result<Sku, Misread> {
    Sku::parse(words.word()?).map_err(|_| words.misread())
}

fn order(words: &mut Words<'_>) -> Result<OrderRef, Misread> {
    OrderRef::parse(words.word()?).map_err(|_| words.misread())
}

fn buyer(words: &mut Words<'_>) -> Result<Option<Buyer>, Misread> {
    words.maybe()?.map(|name| Buyer::parse(name).map_err(|_| words.misread())).transpose()
}

fn id(words: &mut Words<'_>) -> Result<ReservationId, Misread> {
    u128::from_str_radix(words.word()?, 16).map(ReservationId).map_err(|_| words.misread())
}

/// A number, or `-` for none.
fn none_or(words: &mut Words<'_>) -> Result<Option<u64>, Misread> {
    match words.word()? {
        "-" => Ok(None),
        number => number.parse().map(Some).map_err(|_| words.misread()),
    }
}
