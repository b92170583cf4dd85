//! The document of a sale as an operator writes it, and the part of it that the stock obeys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Sku;
use crate::{
    id::{RoomId, SaleId},
    room::settings::{FieldError, Timestamp},
    time::UnixMs,
};

/// The most SKUs of a sale: its view and its checkpoints list them all.
pub const ITEMS_MAX: usize = 1_000;
/// The most units of a SKU: sums over all SKUs stay far below 2^53.
pub const TOTAL_MAX: u64 = 1_000_000_000;
/// The longest hold, and the longest payment grace: half a day. Longer is an order, not a basket.
pub const HOLD_MAX_SECONDS: u64 = 12 * 3600;
/// The most rooms whose passes a sale takes.
pub const ROOMS_MAX: usize = 20;
/// The longest name, in characters.
pub const NAME_MAX_CHARS: usize = 200;

/// A sale's document. What is left out takes the default; unknown fields are refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub id: SaleId,
    pub name: String,
    pub items: Vec<Item>,
    /// How long a hold lives.
    #[serde(default = "default::hold_seconds")]
    pub hold_seconds: u64,
    /// The longest it may live by wish or extension.
    #[serde(default = "default::hold_max_seconds")]
    pub hold_max_seconds: u64,
    /// How much longer it lives at least once the buyer is at the payment provider.
    #[serde(default = "default::payment_grace_seconds")]
    pub payment_grace_seconds: u64,
    /// The most units, of all SKUs, that one buyer may hold and have bought.
    #[serde(default)]
    pub max_units_per_buyer: Option<u64>,
    /// Only holders of a live pass of one of these rooms may reserve; anyone if empty.
    #[serde(default)]
    pub requires_pass: Vec<RoomId>,
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    #[serde(default)]
    pub closes_at: Option<Timestamp>,
    /// Whether those without a key see how many units are left.
    #[serde(default = "default::show_numbers")]
    pub show_numbers: bool,
    /// Whether buying the whole of a reservation ends the session of the pass it was made with, so that the next in
    /// line may come in.
    #[serde(default)]
    pub finish_session: bool,
}

/// One SKU of a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub sku: Sku,
    pub name: String,
    pub total: u64,
    /// The most units of this SKU that one buyer may hold and have bought.
    #[serde(default)]
    pub per_buyer: Option<u64>,
}

/// What the stock itself obeys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    pub items: BTreeMap<Sku, ItemRules>,
    pub hold_ms: u64,
    pub hold_max_ms: u64,
    pub payment_grace_ms: u64,
    pub max_units_per_buyer: Option<u64>,
    pub requires_pass: Vec<RoomId>,
    pub opens_at: Option<UnixMs>,
    pub closes_at: Option<UnixMs>,
}

/// What the stock obeys of one SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRules {
    pub total: u64,
    pub per_buyer: Option<u64>,
}

impl Document {
    /// Checks every field against its bounds and the others.
    ///
    /// # Errors
    /// The first field that can't be taken.
    pub fn validate(&self) -> Result<(), FieldError> {
        chars("name", &self.name, NAME_MAX_CHARS)?;
        if self.items.is_empty() || self.items.len() > ITEMS_MAX {
            return Err(refuse("items", format!("must list 1 to {ITEMS_MAX} SKUs")));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in self.items.iter().enumerate() {
            item.validate(&format!("items[{index}]"))?;
            if !seen.insert(&item.sku) {
                return Err(refuse(format!("items[{index}].sku"), "stands twice in this sale"));
            }
        }
        within("hold_max_seconds", self.hold_max_seconds, 1, HOLD_MAX_SECONDS)?;
        within("hold_seconds", self.hold_seconds, 1, self.hold_max_seconds)?;
        within("payment_grace_seconds", self.payment_grace_seconds, 0, HOLD_MAX_SECONDS)?;
        if let Some(limit) = self.max_units_per_buyer {
            within("max_units_per_buyer", limit, 1, TOTAL_MAX)?;
        }
        if self.requires_pass.len() > ROOMS_MAX {
            return Err(refuse("requires_pass", format!("must list at most {ROOMS_MAX} rooms")));
        }
        match (self.opens_at, self.closes_at) {
            (Some(opens), Some(closes)) if closes <= opens => Err(refuse("closes_at", "must be after opens_at")),
            _ => Ok(()),
        }
    }

    /// This document with everything that the stock obeys as `rules` have it.
    #[must_use]
    pub fn obeying(&self, rules: &Rules) -> Self {
        let named = |sku: &Sku| self.items.iter().find(|item| item.sku == *sku).map(|item| item.name.clone());
        let item = |(sku, item): (&Sku, &ItemRules)| Item {
            sku: sku.clone(),
            name: named(sku).unwrap_or_else(|| sku.to_string()),
            total: item.total,
            per_buyer: item.per_buyer,
        };
        Self {
            items: rules.items.iter().map(item).collect(),
            hold_seconds: rules.hold_ms / 1000,
            hold_max_seconds: rules.hold_max_ms / 1000,
            payment_grace_seconds: rules.payment_grace_ms / 1000,
            max_units_per_buyer: rules.max_units_per_buyer,
            requires_pass: rules.requires_pass.clone(),
            opens_at: rules.opens_at.map(Timestamp),
            closes_at: rules.closes_at.map(Timestamp),
            ..self.clone()
        }
    }

    /// The part the stock obeys. Call on a validated document.
    pub fn rules(&self) -> Rules {
        let item_rules = |item: &Item| (item.sku.clone(), ItemRules { total: item.total, per_buyer: item.per_buyer });
        Rules {
            items: self.items.iter().map(item_rules).collect(),
            hold_ms: self.hold_seconds * 1000,
            hold_max_ms: self.hold_max_seconds * 1000,
            payment_grace_ms: self.payment_grace_seconds * 1000,
            max_units_per_buyer: self.max_units_per_buyer,
            requires_pass: self.requires_pass.clone(),
            opens_at: self.opens_at.map(|time| time.0),
            closes_at: self.closes_at.map(|time| time.0),
        }
    }
}

impl Item {
    fn validate(&self, at: &str) -> Result<(), FieldError> {
        chars(&format!("{at}.name"), &self.name, NAME_MAX_CHARS)?;
        within(&format!("{at}.total"), self.total, 0, TOTAL_MAX)?;
        match self.per_buyer {
            Some(limit) => within(&format!("{at}.per_buyer"), limit, 1, TOTAL_MAX),
            None => Ok(()),
        }
    }
}

fn refuse(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError { field: field.into(), detail: detail.into() }
}

fn within(field: &str, value: u64, low: u64, high: u64) -> Result<(), FieldError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(refuse(field, format!("must be from {low} to {high}"))) }
}

fn chars(field: &str, text: &str, most: usize) -> Result<(), FieldError> {
    if (1..=most).contains(&text.chars().count()) {
        Ok(())
    } else {
        Err(refuse(field, format!("must be 1 to {most} characters")))
    }
}

mod default {
    pub fn hold_seconds() -> u64 {
        300
    }
    pub fn hold_max_seconds() -> u64 {
        900
    }
    pub fn payment_grace_seconds() -> u64 {
        300
    }
    pub fn show_numbers() -> bool {
        true
    }
}
