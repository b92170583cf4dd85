//! What runs by itself: following the catalog, ticking rooms and sales, telling rooms of their sales, renewing signing
//! keys.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use super::{Instance, OperateError, stock};
use crate::{room::Command, sale};

/// How often the catalog is asked what changed: a change shall reach every instance within a second, unevenness and the
/// trip included.
const REFRESH_EVERY: Duration = Duration::from_millis(750);

/// How often a room or sale with something to do is ticked: a called visitor, or who waits for units, sees it at most
/// this much later.
const TICK_EVERY: Duration = Duration::from_millis(250);

/// The most ticks of one sale in a row: each expires some holds, so that tens of thousands due at one instant are back
/// within seconds though nobody asks, and yet leave room for others in between.
const TICKS_OF_A_SALE: usize = 64;

/// How many rooms, or sales, are ticked at a time: an installation of a thousand shall not flood its own store.
const TICKS_AT_ONCE: usize = 32;

/// How often signing keys are looked at; they live for days and are published minutes ahead.
const SIGNING_EVERY: Duration = Duration::from_secs(60);

/// Starts all of them. They hold the instance weakly, so one that is dropped without a stop ends them too.
pub(super) fn spawn(instance: &Arc<Instance>) -> Vec<JoinHandle<()>> {
    let start = |every: Duration, beat: Beat| {
        let stop = instance.stop.subscribe();
        instance.options.runtime.spawn(repeat(Arc::downgrade(instance), stop, every, beat))
    };
    vec![
        start(REFRESH_EVERY, Beat::Refresh),
        start(TICK_EVERY, Beat::Tick),
        start(stock::LOOK_EVERY, Beat::Stock),
        start(SIGNING_EVERY, Beat::Signing),
    ]
}

#[derive(Clone, Copy)]
enum Beat {
    Refresh,
    Tick,
    Stock,
    Signing,
}

/// One beat after the other, never two at once: a slow store makes beats rarer, not more.
async fn repeat(instance: Weak<Instance>, mut stop: watch::Receiver<bool>, every: Duration, beat: Beat) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(unevenly(every)) => {}
        }
        let Some(instance) = instance.upgrade() else { return };
        instance.beat(beat).await;
    }
}

/// Somewhat more or less than `every`: instances that start at once, or find the store back at once, soon beat apart.
fn unevenly(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.9..1.1))
}

impl Instance {
    async fn beat(&self, beat: Beat) {
        match beat {
            Beat::Refresh => {
                let done = self.refresh().await;
                self.note_health(&done);
                complain(done.map(drop));
                complain(self.announce().await.map_err(OperateError::from));
            }
            Beat::Signing => complain(self.keep_signing_keys().await),
            Beat::Stock => self.follow_sales().await,
            Beat::Tick => _ = tokio::join!(self.tick_rooms(), self.tick_sales()),
        }
    }

    /// Ticks every room where a tick would do something, or another instance may have done something. A tick that fails is not made up for: the next one is soon,
    /// and every command ticks its room first.
    pub(super) async fn tick_rooms(&self) {
        let now = self.clock.now();
        let due = self.directory.load_full();
        let due = due.rooms.values().filter(|room| room.is_due(now)).cloned().collect::<Vec<_>>();
        stream::iter(due)
            .for_each_concurrent(TICKS_AT_ONCE, async |room| {
                room.note_tick(now);
                if let Err(error) = room.lane.submit(Command::Tick).await {
                    tracing::debug!(room = %room.id, %error, "a room could not be ticked");
                }
            })
            .await;
    }

    /// Ticks every sale that has holds due, or had something done to it by another instance. Buyers do not need it, because every batch expires what is due; the line, the
    /// shop's stock page and the figures do, while nobody buys.
    pub(super) async fn tick_sales(&self) {
        let now = self.clock.now();
        let directory = self.directory.load_full();
        let due = directory.sales.values().filter(|sale| sale.is_due(now)).cloned().collect::<Vec<_>>();
        stream::iter(due)
            .for_each_concurrent(TICKS_AT_ONCE, async |sale| {
                sale.note_tick(now);
                for _ in 0..TICKS_OF_A_SALE {
                    if let Err(error) = sale.lane.submit(sale::Command::Tick).await {
                        tracing::debug!(sale = %sale.id, %error, "a sale could not be ticked");
                        return;
                    }
                    if !sale.wants_tick(now) {
                        return;
                    }
                }
            })
            .await;
    }
}

/// Logs why something will be tried again. That the store is gone is said once, elsewhere.
fn complain(done: Result<(), OperateError>) {
    match done {
        Ok(()) => {}
        Err(OperateError::Store(error)) => tracing::debug!(%error, "the store could not be followed"),
        Err(error) => tracing::warn!(%error, "the instance could not do what was due, and will try again"),
    }
}
