//! The way to one sale.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{runtime::Handle, sync::watch};

use super::{Store, StoreError, batcher::Lane};
use crate::{
    clock::Clock,
    id::SaleId,
    sale::{Command, Outcome, Refusal, Sale, view::Header},
    telemetry::Metrics,
    time::UnixMs,
};

/// The way to one sale: its queue, and the latest header that any batch brought back. Commands share batches as
/// those of a room do. `Pending` never comes back from here: the lane sends again while the store expires what is due.
pub struct SaleLane<S> {
    sale: SaleId,
    lane: Arc<Lane<S, Sale>>,
    /// The number of the last event that an answer here told of.
    seq: watch::Sender<u64>,
    /// The store has lost the sale, and its operator has to decide.
    is_lost: AtomicBool,
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
    /// A lane to `sale`. Batches are driven on `runtime`, so that they outlive the caller that started them; `clock`
    /// tells how old is what the lane has learnt of the sale.
    pub fn new(store: S, sale: SaleId, clock: Clock, runtime: Handle, metrics: Arc<Metrics>) -> Arc<Self> {
        let seq = watch::channel(0).0;
        let name = sale.clone();
        let lane = Lane::to_sale(store, sale, clock, runtime, metrics);
        Arc::new(Self { sale: name, lane, seq, is_lost: AtomicBool::new(false) })
    }

    /// Queues a command and waits for what came of it. Dropping the future gives up the answer, not the
    /// command: it may still be applied.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] at once when the queue is full, and after three seconds in which holds that were due
    /// stood in the way; otherwise what the store says.
    pub async fn submit(&self, command: Command) -> Result<SaleAnswer, StoreError> {
        // What is left of a lost sale may be looked at.
        let proves_life = !matches!(
            command,
            Command::Look { .. } | Command::Rules | Command::Items | Command::Walk | Command::Events { .. }
        );
        let answer = self.lane.submit(command).await;
        let answer = match answer {
            Ok(answer) if answer.outcome != Outcome::Refused(Refusal::NeedsOperator) => answer,
            Ok(_) | Err(StoreError::NeedsOperator) => {
                self.lose();
                return Err(StoreError::NeedsOperator);
            }
            Err(error) => return Err(error),
        };
        let header = answer.view.as_deref().copied();
        if let Some(header) = header {
            self.tell(header.seq);
            if proves_life && self.is_lost() {
                self.is_lost.store(false, Ordering::Relaxed);
                tracing::info!(sale = %self.sale, "the sale is there again");
            }
        }
        Ok(SaleAnswer { now: answer.now, header, outcome: answer.outcome })
    }

    /// Whether the store has lost the sale, and does nothing with it before its operator has decided.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Says once that the sale is lost.
    fn lose(&self) {
        if !self.is_lost.swap(true, Ordering::Relaxed) {
            tracing::error!(
                sale = %self.sale,
                "the store has lost this sale, which sells nothing before its operator has decided: see needs_operator"
            );
        }
    }

    /// Changes whenever answers show that something has happened to the sale: for whoever follows its events. No more than
    /// a hint to look: what was asked of another lane, or by a caller who went away, may go untold.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    fn tell(&self, seq: u64) {
        // Most answers bring no news: they only read here. A sale made anew counts from the beginning again.
        if *self.seq.borrow() != seq {
            self.seq.send_replace(seq);
        }
    }

    /// The latest header any batch brought back: no store call, no lock. None before the first answer and where the
    /// sale does not exist.
    pub fn header(&self) -> Option<Header> {
        self.lane.view().as_deref().copied()
    }
}
