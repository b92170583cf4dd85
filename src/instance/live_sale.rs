//! One sale as this instance serves it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::{Memo, live::Freshness};
use crate::{
    clock::Clock,
    id::SaleId,
    sale::{Command, Document, Outcome, Rules, View, view::Header},
    store::{Backend, StoreError, catalog::Entry, sale_lane::SaleLane},
    time::UnixMs,
};

/// How old the items may be that a crowd is shown: so often, and no more often, the store is asked for them.
const RECENT_MS: u64 = 1_000;
/// How old they may be while somebody else asks the store: what a cache is allowed as well.
const STALE_MS: u64 = 60_000;

/// A sale this instance serves. A change of settings makes a new one around the same lane.
pub struct LiveSale {
    pub id: SaleId,
    pub document: Arc<Document>,
    /// The document's version in the catalog.
    pub version: u64,
    /// The version its first document had.
    pub born: u64,
    pub lane: Arc<SaleLane<Backend>>,
    /// What HTTP made of the recent items: the view in each encoding.
    pub view: Memo,
    /// What HTTP makes of the document while the sale waits for its operator.
    pub lost_view: Memo,
    /// Whether the store has made the sale: it is not to be made again by itself.
    made: AtomicBool,
    /// Whether the catalog says so too.
    made_is_noted: AtomicBool,
    freshness: Freshness,
    /// The last document that the stock is known to have obeyed, before this one.
    obeyed: Option<Arc<Document>>,
    recent: ArcSwapOption<Recent>,
    /// Held while the store is asked for the recent items: one asks, whatever the crowd.
    asking: Mutex<()>,
}

struct Recent {
    asked: UnixMs,
    items: Arc<View>,
}

impl LiveSale {
    /// A sale of this document, which must be a validated one; `before` is what was served under its id until now.
    pub(super) fn new(
        document: Document,
        entry: &Entry,
        before: Option<&LiveSale>,
        lane: Arc<SaleLane<Backend>>,
    ) -> Self {
        let (id, version, born) = (document.id.clone(), entry.version, entry.first_epoch);
        let before = before.filter(|sale| sale.born == born);
        let made = entry.made || before.is_some_and(LiveSale::is_made);
        let obeyed =
            before.and_then(|sale| if sale.lags() { sale.obeyed.clone() } else { Some(Arc::clone(&sale.document)) });
        Self {
            id,
            document: Arc::new(document),
            version,
            born,
            lane,
            view: Memo::default(),
            lost_view: Memo::default(),
            made: AtomicBool::new(made),
            made_is_noted: AtomicBool::new(entry.made),
            freshness: Freshness::default(),
            obeyed,
            recent: ArcSwapOption::empty(),
            asking: Mutex::default(),
        }
    }

    /// The command that makes the stock obey this document; a sale that already does ignores it.
    pub(super) fn configure(&self) -> Command {
        Command::Configure { version: self.version, born: self.born, rules: self.document.rules(), make: true }
    }

    /// Whether the stock may not obey this document yet: the process that wrote it may have died before it said so. Of a
    /// lost one it is asked again and again, until its operator has decided.
    pub(super) fn lags(&self) -> bool {
        let is_behind = |header: Header| header.version < self.version || header.born < self.born;
        self.lane.header().is_none_or(is_behind) || self.lane.is_lost()
    }

    /// Whether the store has lost the sale, and its operator has to decide.
    pub fn needs_operator(&self) -> bool {
        self.lane.is_lost()
    }

    /// Whether the store is known to have made it.
    pub(super) fn is_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    /// Says that the store has made it.
    pub(super) fn note_made(&self) {
        self.made.store(true, Ordering::Relaxed);
    }

    /// Whether the catalog is still to be told that the store has made it.
    pub(super) fn made_is_news(&self) -> bool {
        !self.made_is_noted.load(Ordering::Relaxed)
    }

    /// Says that the catalog has it that the store has made it.
    pub(super) fn made_was_noted(&self) {
        self.note_made();
        self.made_is_noted.store(true, Ordering::Relaxed);
    }

    /// Whether the store has it, as of the latest answer.
    pub(super) fn is_there(&self) -> bool {
        !self.lane.is_lost() && self.lane.header().is_some_and(|header| header.born == self.born)
    }

    /// Whether it is to be ticked at `now`: where a tick would do something, and where others may have.
    pub(super) fn is_due(&self, now: UnixMs) -> bool {
        self.wants_tick(now) || self.freshness.is_stale(now)
    }

    /// Says that it is being ticked.
    pub(super) fn note_tick(&self, now: UnixMs) {
        self.freshness.renew(now);
    }

    /// The document that says of everything the stock obeys what `rules` say: the former one where it is known.
    pub(super) fn document_obeying(&self, rules: &Rules) -> Document {
        match &self.obeyed {
            Some(document) if document.rules() == *rules => Document::clone(document),
            _ => self.document.obeying(rules),
        }
    }

    /// Whether holds are due at `now`, so that a tick would give their units back.
    pub(super) fn wants_tick(&self, now: UnixMs) -> bool {
        self.lane.header().and_then(|header| header.next_due).is_some_and(|due| due <= now)
    }

    /// The items as they are now. None in the moment between a sale's making and its first command.
    ///
    /// # Errors
    /// What the store says.
    pub async fn items(&self) -> Result<Option<View>, StoreError> {
        match self.lane.submit(Command::Items).await?.outcome {
            Outcome::Items(view) => Ok(Some(view)),
            _ => Ok(None),
        }
    }

    /// The items as they were at most a second ago; the same value for as long as nothing changed. However many ask, the
    /// store is asked once a second. Where it does not answer, what was last known stays good: it says itself of when.
    ///
    /// # Errors
    /// What the store says, where nothing is known.
    pub async fn recent_items(&self, clock: &Clock) -> Result<Option<Arc<View>>, StoreError> {
        let known = |most_ms: u64| {
            let now = clock.now();
            let recent = self.recent.load_full()?;
            (recent.asked <= now && now.since(recent.asked) < most_ms).then(|| Arc::clone(&recent.items))
        };
        if let Some(items) = known(RECENT_MS) {
            return Ok(Some(items));
        }
        let _asking = match (self.asking.try_lock(), known(STALE_MS)) {
            (Ok(asking), _) => asking,
            (Err(_), Some(items)) => return Ok(Some(items)),
            (Err(_), None) => self.asking.lock().await,
        };
        // Whoever held the lock may have learned them meanwhile.
        if let Some(items) = known(RECENT_MS) {
            return Ok(Some(items));
        }
        let asked = clock.now();
        match self.items().await {
            Ok(Some(view)) => Ok(Some(self.remember(asked, view))),
            Ok(None) => Ok(None),
            Err(StoreError::NeedsOperator) => Err(StoreError::NeedsOperator),
            Err(error) => self.recent.load_full().map(|recent| Some(Arc::clone(&recent.items))).ok_or(error),
        }
    }

    fn remember(&self, asked: UnixMs, view: View) -> Arc<View> {
        let last = self.recent.load_full().map(|recent| Arc::clone(&recent.items));
        let items = match last {
            Some(last) if View { now: last.now, ..view.clone() } == *last => last,
            _ => Arc::new(view),
        };
        self.recent.store(Some(Arc::new(Recent { asked, items: Arc::clone(&items) })));
        items
    }
}
