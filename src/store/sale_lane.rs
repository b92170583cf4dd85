//! The way to one sale.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Store, StoreError};
use crate::{
    id::SaleId,
    sale::{Command, Outcome, view::Header},
    time::UnixMs,
};

/// The way to one sale, and the latest header that any batch brought back.
pub struct SaleLane<S> {
    store: S,
    sale: SaleId,
    header: ArcSwapOption<Header>,
}

/// The answer to one command.
#[derive(Clone, Debug)]
pub struct SaleAnswer {
    /// The sale's time at which the command was applied.
    pub now: UnixMs,
    /// The sale after the batch; none if it does not exist.
    pub header: Option<Header>,
    pub outcome: Outcome,
}

impl<S: Store> SaleLane<S> {
    /// A lane to `sale`.
    pub fn new(store: S, sale: SaleId) -> Arc<Self> {
        Arc::new(Self { store, sale, header: ArcSwapOption::empty() })
    }

    /// Sends a command and waits for what came of it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn submit(self: &Arc<Self>, command: Command) -> Result<SaleAnswer, StoreError> {
        let mut reply = self.store.sale(self.sale.clone(), vec![command]).await?;
        self.header.store(reply.header.map(Arc::new));
        match reply.outcomes.pop() {
            Some(outcome) => Ok(SaleAnswer { now: reply.now, header: reply.header, outcome }),
            None => Err(StoreError::Unavailable("the answer does not fit".to_owned())),
        }
    }

    /// The latest header any batch brought back: no store call. None before the first answer and where the sale
    /// does not exist.
    pub fn header(&self) -> Option<Header> {
        self.header.load().as_deref().copied()
    }
}
