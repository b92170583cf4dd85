//! What is gone, as far as the lane has just learnt: who comes for it is told so by a look-up, which costs the store
//! little. When ten thousand come for a hundred units, nearly all of them are told so.
//!
//! Nothing rests on this being right. A look-up asks the store, and where it finds what is wanted the full question
//! follows: to remember wrongly costs one call more, never a unit and never a false refusal.

use std::collections::BTreeMap;

use super::batch::Way;
use crate::{
    sale::{Command, Sku, settings::ITEMS_MAX, view::Header},
    time::UnixMs,
};

/// How long something is believed to be gone without the store having said so again: other instances may have
/// given it back meanwhile.
const BELIEVED_MS: u64 = 250;

/// What is believed to be gone, and until when by the lane's own clock.
#[derive(Default)]
pub(super) struct Gone {
    /// The latest version of the sale, and the units available.
    last: Option<(u64, u64)>,
    /// All of it is.
    all_until: Option<UnixMs>,
    skus: BTreeMap<Sku, UnixMs>,
}

impl Gone {
    /// How to put a command to the store.
    pub fn way(&self, now: UnixMs, command: &Command) -> Way {
        let is_late = match command {
            // With `replaces` the buyer brings units along.
            Command::Reserve(reserve) if reserve.replaces.is_none() => {
                self.all_until.is_some_and(|until| now < until)
                    || reserve.lines.iter().any(|line| self.skus.get(&line.sku).is_some_and(|until| now < *until))
            }
            _ => false,
        };
        if is_late { Way::Cheap } else { Way::Full }
    }

    /// Learns from a reply: the sale's header after it, and the SKUs of which somebody was told that none is left.
    pub fn learn(&mut self, now: UnixMs, header: Option<&Header>, none_left: Vec<Sku>) {
        let Some(header) = header else {
            *self = Self::default();
            return;
        };
        // More available than before: something came back, and it may be any of these.
        if self.last.is_none_or(|(version, available)| header.version != version || header.available > available) {
            self.skus.clear();
        }
        self.last = Some((header.version, header.available));
        // A hold that is due may come back any moment.
        let until_due = header.next_due.map_or(BELIEVED_MS, |due| due.since(header.now));
        let until = (until_due > 0).then(|| now.plus_ms(until_due.min(BELIEVED_MS)));
        self.all_until = until.filter(|_| header.available == 0);
        let Some(until) = until else {
            self.skus.clear();
            return;
        };
        for sku in none_left {
            if self.skus.len() >= ITEMS_MAX {
                self.skus.retain(|_, until| now < *until);
            }
            // Only while a document is being replaced can there be more than a sale has.
            if self.skus.len() < ITEMS_MAX {
                self.skus.insert(sku, until);
            }
        }
    }

    /// Somebody found these not to be gone.
    pub fn forget<'a>(&mut self, skus: impl Iterator<Item = &'a Sku>) {
        self.all_until = None;
        for sku in skus {
            self.skus.remove(sku);
        }
    }
}
