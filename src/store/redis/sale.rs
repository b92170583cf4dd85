//! Sales on Redis.

pub(super) mod decode;
mod encode;

use std::sync::LazyLock;

use super::{
    scripted::{Answer, Scripted},
    wire::{Args, Misread},
};
use crate::{
    sale::{
        Command, Sale,
        outbox::{CHECKPOINT_EVERY, KEPT_EVENTS_MAX},
        recovery::REWINDS_MAX,
        resolve::EXTENSIONS_MAX,
        settings::TOTAL_MAX,
        stock::{EXPIRED_PER_BATCH, FORGOTTEN_PER_BATCH, GRANTS_PER_BUYER, LATE_ORDERS_MAX, TOMBSTONE_MS},
    },
    store::SaleReply,
};

/// The bounds that the machine and the script share.
static BOUNDS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "local BOUND = {{ expired = {EXPIRED_PER_BATCH}, forgotten = {FORGOTTEN_PER_BATCH}, tombstone_ms = {TOMBSTONE_MS}, \
         grants = {GRANTS_PER_BUYER}, late_orders = {LATE_ORDERS_MAX}, extensions = {EXTENSIONS_MAX}, total = {TOTAL_MAX}, \
         checkpoint_every = {CHECKPOINT_EVERY}, kept_events = {KEPT_EVENTS_MAX}, \
         rewinds = {REWINDS_MAX} }}\n"
    )
});

impl Scripted for Sale {
    type Command = Command;
    type Outcome = crate::sale::Outcome;
    type Reply = SaleReply;
    const LETTER: char = 's';
    const KEYS: &'static [&'static str] = &["stock", "buyers", "records", "restocks", "due", "fading", "events"];
    /// What was sold can't be made up from what instances happen to remember.
    const IS_REBUILT: bool = false;

    fn parts() -> Vec<&'static str> {
        vec![
            &BOUNDS,
            include_str!("lua/sale/book.lua"),
            include_str!("lua/sale/inquiry.lua"),
            include_str!("lua/sale/reserve.lua"),
            include_str!("lua/sale/resolve.lua"),
            include_str!("lua/sale/operate.lua"),
            include_str!("lua/sale/recovery.lua"),
            include_str!("lua/sale/sale.lua"),
        ]
    }

    fn outcomes(reply: &mut SaleReply) -> &mut Vec<Self::Outcome> {
        &mut reply.outcomes
    }

    fn failed() -> Self::Outcome {
        crate::sale::Outcome::Failed
    }

    fn encode(command: &Command, args: &mut Args) {
        encode::command(command, args);
    }

    fn decode(answer: &Answer<'_>) -> Result<SaleReply, Misread> {
        decode::reply(answer)
    }

    fn settings_row(command: &Command) -> Option<String> {
        encode::settings_row(command)
    }
}
