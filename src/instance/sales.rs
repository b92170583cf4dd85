//! What operators do with sales.

use std::sync::Arc;

use super::{Instance, LiveSale, OperateError};
use crate::{
    sale::{Command, Document, Outcome, Refusal},
    store::catalog::{Expect, Kind},
};

/// A sale after a write.
pub struct PutSale {
    pub sale: Arc<LiveSale>,
    /// Whether this made the sale.
    pub created: bool,
}

impl Instance {
    /// Creates a sale or replaces its document; in force here when this returns, everywhere within a second.
    /// A changed total restocks or withdraws the difference to the former document's.
    ///
    /// # Errors
    /// Nothing changed, except where the store was lost underway.
    pub async fn put_sale(&self, document: &Document, expect: Expect) -> Result<PutSale, OperateError> {
        let _operating = self.operating.lock().await;
        document.validate()?;
        if let Some(sale) = self.sale(document.id.as_str()) {
            let answer = sale.lane.submit(Command::Consider { rules: document.rules() }).await?;
            if let Outcome::Refused(Refusal::Conflict { detail }) = answer.outcome {
                return Err(OperateError::Conflict(detail));
            }
        }
        let created = self.documents.put(Kind::Sale, document.id.to_string(), document, expect).await?;
        self.refresh().await?;
        let sale = self.sale(document.id.as_str()).ok_or(OperateError::Unknown)?;
        Ok(PutSale { sale, created })
    }
}
