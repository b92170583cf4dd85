//! One room as this instance serves it.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;

use crate::{
    id::RoomId,
    room::{Command, Document, Epoch, Rules},
    store::{Backend, batcher::Lane},
    time::UnixMs,
    token::ReturnPolicy,
};

/// A room this instance serves. A change of settings makes a new one around the same lane, so what is computed from
/// the settings is computed once a change and not once a request.
pub struct LiveRoom {
    pub id: RoomId,
    pub document: Arc<Document>,
    /// The document's version in the catalog.
    pub version: u64,
    /// What the line obeys of the document.
    pub rules: Rules,
    /// The epoch the line started with, above that of any room deleted before.
    pub first_epoch: Epoch,
    pub lane: Arc<Lane<Backend>>,
    /// Where its visitors may be sent.
    pub return_policy: ReturnPolicy,
    /// What HTTP made of the latest view: the status in each encoding.
    pub status: Memo,
    /// What HTTP made of the document: the page in each encoding.
    pub page: Memo,
    /// Whether everyone may be told how many units are held.
    stock_numbers: AtomicBool,
    freshness: Freshness,
}

impl LiveRoom {
    /// A room of this document, which must be a validated one.
    pub(super) fn new(
        document: Document,
        public_url: &str,
        version: u64,
        first_epoch: Epoch,
        lane: Arc<Lane<Backend>>,
    ) -> Self {
        Self {
            id: document.id.clone(),
            rules: document.rules(),
            return_policy: ReturnPolicy::new(&document, public_url),
            document: Arc::new(document),
            version,
            first_epoch,
            lane,
            status: Memo::default(),
            page: Memo::default(),
            stock_numbers: AtomicBool::new(false),
            freshness: Freshness::default(),
        }
    }

    /// Says whether everyone may be told how many units are held: the sale's document has it.
    pub(super) fn show_stock_numbers(&self, shown: bool) {
        self.stock_numbers.store(shown, Ordering::Relaxed);
    }

    /// Whether everyone may be told how many units are held.
    pub fn shows_stock_numbers(&self) -> bool {
        self.stock_numbers.load(Ordering::Relaxed)
    }

    /// The command that makes the line obey this document; a line that already does ignores it.
    pub(super) fn configure(&self) -> Command {
        Command::Configure { version: self.version, first_epoch: self.first_epoch, rules: self.rules.clone() }
    }

    /// Whether the line may not obey this document yet: the process that wrote it may have died before it said so.
    pub(super) fn lags(&self) -> bool {
        self.lane.view().is_none_or(|view| view.version < self.version || view.epoch < self.first_epoch)
    }

    /// Whether a tick at `now` would do something.
    pub(super) fn wants_tick(&self, now: UnixMs) -> bool {
        self.lane.view().is_some_and(|view| view.wants_tick(now))
    }

    /// Whether it is to be ticked at `now`: where a tick would do something, and where others may have, as far as
    /// anybody looks.
    pub(super) fn is_due(&self, now: UnixMs) -> bool {
        self.wants_tick(now) || self.freshness.is_stale(now)
    }

    /// Says that it is being ticked.
    pub(super) fn note_tick(&self, now: UnixMs) {
        self.freshness.renew(now);
    }

    /// Says that somebody looked at the view: then it is kept fresh.
    pub fn note_look(&self) {
        self.freshness.note_look();
    }
}

/// How long something may be unlooked at before it is asked for again all the same, so that a line that begins at
/// another instance is soon known here.
const UNSEEN_MS: u64 = 5_000;

/// The same while somebody looks.
const SEEN_MS: u64 = 1_000;

/// Whether what is known of a room or sale may be out of date, since other instances serve it too.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// When it was last asked for.
    asked: AtomicU64,
    /// Somebody has looked since then.
    seen: AtomicBool,
}

impl Freshness {
    pub fn is_stale(&self, now: UnixMs) -> bool {
        let most = if self.seen.load(Ordering::Relaxed) { SEEN_MS } else { UNSEEN_MS };
        // A clock that was set back makes it stale as well.
        now.0.abs_diff(self.asked.load(Ordering::Relaxed)) >= most
    }

    pub fn renew(&self, now: UnixMs) {
        self.asked.store(now.0, Ordering::Relaxed);
        self.seen.store(false, Ordering::Relaxed);
    }

    pub fn note_look(&self) {
        // Read first: a crowd looks, and a line of memory that all of them write would be handed about.
        if !self.seen.load(Ordering::Relaxed) {
            self.seen.store(true, Ordering::Relaxed);
        }
    }
}

/// The last value made from a source that is always replaced as a whole: made again only when another source is
/// shown. Untyped, because what HTTP makes of a room is no business of the instance.
#[derive(Default)]
pub struct Memo {
    made: ArcSwapOption<Made>,
}

struct Made {
    // Held on to, so that no other source can come to live at the same address.
    source: Arc<dyn Any + Send + Sync>,
    value: Arc<dyn Any + Send + Sync>,
}

impl Memo {
    /// Shows the value made from `source` to `look`. `make` is also shown the last value, if it is of the same type. Threads
    /// that meet a new source at once may each make one; one stays.
    ///
    /// Lent and not shared: a count of owners is a line of memory that every thread of a crowd would write.
    pub fn with<S, T, R>(
        &self,
        source: &Arc<S>,
        make: impl FnOnce(&S, Option<&T>) -> T,
        look: impl FnOnce(&T) -> R,
    ) -> R
    where
        S: Any + Send + Sync,
        T: Any + Send + Sync,
    {
        let made = self.made.load();
        let last = made.as_ref().and_then(|made| {
            let value = made.value.downcast_ref::<T>()?;
            Some((std::ptr::addr_eq(Arc::as_ptr(&made.source), Arc::as_ptr(source)), value))
        });
        if let Some((true, value)) = last {
            return look(value);
        }
        let value = Arc::new(make(source, last.map(|(_, value)| value)));
        let (source, kept) = (Arc::clone(source), Arc::clone(&value));
        self.made.store(Some(Arc::new(Made { source, value: kept })));
        look(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a memo has or makes of a source, by adding to it.
    fn made(memo: &Memo, source: &Arc<u64>, more: u64) -> u64 {
        memo.with(source, |n, _| n + more, |value: &u64| *value)
    }

    #[test]
    fn a_memo_makes_a_value_once_a_source() {
        let memo = Memo::default();
        let first = Arc::new(1_u64);
        assert_eq!(made(&memo, &first, 1), 2);
        assert_eq!(made(&memo, &first, 99), 2, "the same source is not made again");
        // Equal, but another source: it may have been replaced for a reason.
        assert_eq!(made(&memo, &Arc::new(1_u64), 5), 6);
    }

    #[test]
    fn a_renewed_value_sees_the_last_one() {
        let memo = Memo::default();
        let sum =
            |source: u64| memo.with(&Arc::new(source), |n, last: Option<&u64>| n + last.unwrap_or(&0), |value| *value);
        assert_eq!(sum(1), 1);
        assert_eq!(sum(10), 11);
    }

    #[test]
    fn a_memo_asked_for_another_type_makes_that() {
        let memo = Memo::default();
        let source = Arc::new(7_u64);
        made(&memo, &source, 0);
        memo.with(&source, |n, _| n.to_string(), |text: &String| assert_eq!(text, "7"));
    }
}
