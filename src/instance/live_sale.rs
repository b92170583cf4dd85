//! One sale as this instance serves it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::Memo;
use crate::{
    clock::Clock,
    id::SaleId,
    sale::{Command, Document, Outcome, Rules, View},
    store::{Backend, StoreError, sale_lane::SaleLane},
    time::UnixMs,
};

/// How old the items may be that a crowd is shown: so often, and no more often, the store is asked for them.
const RECENT_MS: u64 = 1_000;
/// How old they may be while somebody else asks the store, or it does not answer: what a cache is allowed as well.
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
        version: u64,
        born: u64,
        before: Option<&LiveSale>,
        lane: Arc<SaleLane<Backend>>,
    ) -> Self {
        let id = document.id.clone();
        let obeyed = before
            .filter(|sale| sale.born == born)
            .and_then(|sale| if sale.lags() { sale.obeyed.clone() } else { Some(Arc::clone(&sale.document)) });
        Self {
            id,
            document: Arc::new(document),
            version,
            born,
            lane,
            view: Memo::default(),
            obeyed,
            recent: ArcSwapOption::empty(),
            asking: Mutex::default(),
        }
    }

    /// The command that makes the stock obey this document; a sale that already does ignores it.
    pub(super) fn configure(&self) -> Command {
        Command::Configure { version: self.version, born: self.born, rules: self.document.rules(), make: true }
    }

    /// Whether the stock may not obey this document yet: the process that wrote it may have died before it said so.
    pub(super) fn lags(&self) -> bool {
        self.lane.header().is_none_or(|header| header.version < self.version || header.born < self.born)
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
    /// store is asked once a second. Where it does not answer, what was known stays good for a minute.
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
            Err(error) => known(STALE_MS).map(Some).ok_or(error),
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
