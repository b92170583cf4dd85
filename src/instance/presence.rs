//! What this instance tells the others of itself, and hears of them.

use std::time::Duration;

use super::{Instance, OperateError};
use crate::store::{
    StoreError,
    instances::{Announcement, InstanceRow},
};

/// Whoever has said something in this time may be running: others ended without a word.
const NEAR_MS: u64 = 90_000;

/// In this time every other instance asks who is there.
const HEARD_WITHIN: Duration = Duration::from_millis(1_000);

impl Instance {
    /// All running instances that share the store, this one as of now.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn instances(&self) -> Result<Vec<InstanceRow>, StoreError> {
        self.announce().await?;
        self.store().instances().await
    }

    /// Says that this instance is there, and waits until the others have heard it: whoever acknowledges something that the
    /// store may lose is to be asked for it, and only who is known is asked.
    pub(super) async fn introduce(&self) -> Result<(), StoreError> {
        let rows = self.instances().await?;
        let now = rows.iter().find(|row| row.announcement.id == self.id).map(|row| row.last_seen);
        let is_other = |row: &InstanceRow| row.announcement.id != self.id;
        let is_near = |row: &InstanceRow| now.is_some_and(|now| now.since(row.last_seen) < NEAR_MS);
        if self.store().is_shared() && rows.iter().any(|row| is_other(row) && is_near(row)) {
            tokio::time::sleep(HEARD_WITHIN).await;
        }
        Ok(())
    }

    /// Says that this instance is there, and which settings it obeys.
    pub(super) async fn announce(&self) -> Result<(), StoreError> {
        let rooms = self.rooms().into_iter().map(|(id, room)| (id, room.version)).collect();
        let sales = self.sales().into_iter().map(|sale| (sale.id.clone(), sale.version)).collect();
        let build = self.build().to_owned();
        self.store().announce(Announcement { id: self.id, build, started: self.started, rooms, sales }).await
    }

    /// Says that this instance ends. Where nobody hears it the others learn it by its silence.
    pub(super) async fn leave(&self) {
        if let Err(error) = self.store().leave(self.id).await {
            tracing::debug!(%error, "the others could not be told that this instance ends");
        }
    }

    /// Logs that the store is gone, or back: once each, however often it is met.
    pub(super) fn note_health<T>(&self, met: &Result<T, OperateError>) {
        use std::sync::atomic::Ordering::Relaxed;
        match met {
            Err(OperateError::Store(error @ (StoreError::Unavailable(_) | StoreError::Recovering))) => {
                if !self.store_is_away.swap(true, Relaxed) {
                    tracing::error!(%error, "the store does not answer: page and status are served as last known");
                }
            }
            Ok(_) if self.store_is_away.swap(false, Relaxed) => tracing::info!("the store answers again"),
            // Busy is neither.
            _ => {}
        }
    }
}
