//! What operators do with sales.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Instance, LiveSale, OperateError,
    reading::patched,
    rooms::{PATCH_TRIES, contradicts},
};
use crate::{
    room::settings::FieldError,
    sale::{Command, Document, Outcome, Refusal, ReservationId, Sku, view::Item},
    store::{
        StoreError,
        catalog::{Expect, Kind},
    },
};

/// A sale after a write.
pub struct PutSale {
    pub sale: Arc<LiveSale>,
    /// Whether this made the sale.
    pub created: bool,
}

/// What a deletion does about units that buyers hold at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveHolds {
    /// The sale stays: somebody may be paying.
    Respect,
    /// They go with the sale.
    Drop,
}

impl Instance {
    /// Creates a sale or replaces its document; in force here when this returns, everywhere within a second. The same
    /// document again changes nothing. A changed total restocks or withdraws the difference to the former document's.
    ///
    /// # Errors
    /// Nothing changed, except where the store was lost underway. `Conflict` where units that are held or sold would
    /// vanish.
    pub async fn put_sale(&self, document: &Document, expect: Expect) -> Result<PutSale, OperateError> {
        let _operating = self.operating.lock().await;
        self.write_sale(document, expect).await
    }

    /// The same for who holds the lock of operators.
    async fn write_sale(&self, document: &Document, expect: Expect) -> Result<PutSale, OperateError> {
        document.validate()?;
        let id = document.id.as_str();
        if self.sale(id).is_some_and(|sale| contradicts(expect, sale.version)) {
            // Another instance may have written what is expected, and this one not seen it yet.
            self.refresh().await?;
        }
        if let Some(sale) = self.sale(id) {
            // Whoever does not know what stands there is told that first; the catalog has the last word on it.
            if contradicts(expect, sale.version) {
                return Err(OperateError::Stale { found: Some(sale.version) });
            }
            consider(&sale, document).await?;
        }
        let created = self.documents.put(Kind::Sale, document.id.to_string(), document, expect).await?;
        self.refresh().await?.of_sale(id)?;
        let sale = self.sale(document.id.as_str()).ok_or(OperateError::Unknown)?;
        if *sale.document == *document {
            return Ok(PutSale { sale, created });
        }
        // Units were taken after the question and before the document: it was taken back, or another has come since.
        consider(&sale, document).await?;
        Err(OperateError::Conflict("the stock, or the document, changed in the meantime: look again".to_owned()))
    }

    /// Changes single settings of a sale by a merge patch (RFC 7396): a `null` takes the default, a list is replaced.
    ///
    /// # Errors
    /// As for [`Instance::put_sale`].
    pub async fn patch_sale(&self, id: &str, patch: &Value, expect: Expect) -> Result<PutSale, OperateError> {
        // From before the sale is looked at: patches here come one after the other, and none undoes another.
        let _operating = self.operating.lock().await;
        for _ in 0..PATCH_TRIES {
            let sale = self.latest_sale(id, expect).await?;
            if contradicts(expect, sale.version) {
                return Err(OperateError::Stale { found: Some(sale.version) });
            }
            let document = patched(&*sale.document, patch)?;
            match self.write_sale(&document, Expect::Version(sale.version)).await {
                // Another instance wrote in between: see what, and patch that.
                Err(OperateError::Stale { .. }) => drop(self.refresh().await?),
                other => return other,
            }
        }
        Err(OperateError::Conflict("the sale is being changed by others all the time".to_owned()))
    }

    /// Deletes a sale with everything sold and held in it, also for a later sale of this id.
    ///
    /// # Errors
    /// As for [`Instance::put_sale`]; `Conflict` where units are held and that is to be respected.
    pub async fn delete_sale(self: &Arc<Self>, id: &str, expect: Expect, holds: LiveHolds) -> Result<(), OperateError> {
        let sale = self.latest_sale(id, expect).await?;
        let instance = Arc::clone(self);
        // In a task of its own: a caller that goes away in the middle leaves no half.
        let deleting = self.options.runtime.spawn(async move { instance.forget_sale(&sale, expect, holds).await });
        deleting.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    async fn forget_sale(&self, sale: &LiveSale, expect: Expect, holds: LiveHolds) -> Result<(), OperateError> {
        let _operating = self.operating.lock().await;
        if holds == LiveHolds::Respect {
            respect_holds(sale).await?;
        }
        // The catalog first: nobody configures the sale again after that, and what a crash leaves behind in the store
        // makes way for the next sale of this id, which is born later.
        self.documents.delete(Kind::Sale, sale.id.to_string(), expect, 0).await?;
        let refreshed = self.refresh().await;
        match sale.lane.submit(Command::Delete { born: sale.born }).await {
            // What the store still has of a lost one makes way like what a crash leaves.
            Ok(_) | Err(StoreError::NeedsOperator) => {}
            Err(error) => return Err(error.into()),
        }
        refreshed.map(drop)
    }

    /// The sale of that id as operators mean it: another instance may have made or changed it just now.
    async fn latest_sale(&self, id: &str, expect: Expect) -> Result<Arc<LiveSale>, OperateError> {
        if self.sale(id).is_none_or(|sale| contradicts(expect, sale.version)) {
            self.refresh().await?;
        }
        self.sale(id).ok_or(OperateError::Unknown)
    }

    /// Adds units to an item, or withdraws some that are available; `id` makes it happen once however often it is sent.
    /// The document keeps its total: that is what the sale began with, and only a change of it moves the stock. Answers
    /// the item as it is after.
    ///
    /// # Errors
    /// There is no such sale, the sale refused, or the store does not answer.
    pub async fn restock_sale(
        &self,
        sale: &str,
        id: ReservationId,
        sku: &Sku,
        delta: i64,
    ) -> Result<Item, OperateError> {
        let sale = self.latest_sale(sale, Expect::Any).await?;
        let answer = sale.lane.submit(Command::Restock { id, sku: sku.clone(), delta }).await?;
        if let Outcome::Refused(refusal) = answer.outcome {
            return Err(OperateError::Refused(refusal));
        }
        let items = sale.items().await?.map(|view| view.items).unwrap_or_default();
        let unknown = || OperateError::Refused(Refusal::UnknownSku { sku: sku.clone() });
        items.into_iter().find(|item| item.sku == *sku).ok_or_else(unknown)
    }

    /// Puts the document back that the stock obeys, because it refused the one that stands there: units were taken after
    /// the writer had asked, or the writer died in between. Documents that lie would be obeyed some day, when the units
    /// come back and nobody remembers.
    pub(super) async fn take_back(&self, sale: &LiveSale, refusal: &Refusal) -> Result<(), OperateError> {
        let Outcome::Rules(rules) = sale.lane.submit(Command::Rules).await?.outcome else { return Ok(()) };
        if rules == sale.document.rules() {
            // Another instance asked once more and was heard.
            return Ok(());
        }
        tracing::warn!(sale = %sale.id, ?refusal, "the stock can't obey its new document, which is taken back");
        let former = sale.document_obeying(&rules);
        match self.documents.put(Kind::Sale, sale.id.to_string(), &former, Expect::Version(sale.version)).await {
            Ok(_) | Err(OperateError::Stale { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Refuses to go on while buyers hold units of a sale, or may: of a lost one nobody knows.
async fn respect_holds(sale: &LiveSale) -> Result<(), OperateError> {
    let who = match sale.lane.submit(Command::Tick).await {
        Ok(answer) => match answer.header.map_or(0, |header| header.held) {
            0 => return Ok(()),
            held => format!("{held} units are held, and their buyers may be paying: set closes_at and wait for them"),
        },
        Err(StoreError::NeedsOperator) => {
            "the store has lost this sale, and nobody knows what was sold and held: settle that with your buyers"
                .to_owned()
        }
        Err(error) => return Err(error.into()),
    };
    Err(OperateError::Conflict(format!("{who}, or send If-Match to delete the sale all the same")))
}

/// Asks the stock whether it could obey a document.
async fn consider(sale: &LiveSale, document: &Document) -> Result<(), OperateError> {
    match sale.lane.submit(Command::Consider { rules: document.rules() }).await?.outcome {
        Outcome::Refused(Refusal::Conflict { detail }) => Err(OperateError::Conflict(detail)),
        Outcome::Refused(Refusal::Invalid { field, detail }) => Err(FieldError { field, detail }.into()),
        // A sale that was written and not made yet takes anything.
        _ => Ok(()),
    }
}
