//! What runs by itself: following the catalog, ticking rooms and sales, telling rooms of their sales, renewing signing
//! keys.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{Instance, stock};
use crate::{room::Command, sale};

/// How often the catalog is asked what changed: a change shall reach every instance within a second, the trip included.
const REFRESH_EVERY: Duration = Duration::from_millis(900);

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
    let mut beats = interval(every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is due at once, and all was done at the start just now.
    beats.reset();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = beats.tick() => {}
        }
        let Some(instance) = instance.upgrade() else { return };
        instance.beat(beat).await;
    }
}

impl Instance {
    async fn beat(&self, beat: Beat) {
        let done = match beat {
            Beat::Refresh => self.refresh().await,
            Beat::Signing => self.keep_signing_keys().await,
            Beat::Stock => {
                self.follow_sales().await;
                Ok(())
            }
            Beat::Tick => {
                tokio::join!(self.tick_rooms(), self.tick_sales());
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the instance could not follow the store, and will try again");
        }
    }

    /// Ticks every room where a tick would do something. A tick that fails is not made up for: the next one is soon,
    /// and every command ticks its room first.
    pub(super) async fn tick_rooms(&self) {
        let now = self.clock.now();
        let due = self.directory.load_full();
        let due = due.rooms.values().filter(|room| room.wants_tick(now)).cloned().collect::<Vec<_>>();
        stream::iter(due)
            .for_each_concurrent(TICKS_AT_ONCE, async |room| {
                if let Err(error) = room.lane.submit(Command::Tick).await {
                    tracing::debug!(room = %room.id, %error, "a room could not be ticked");
                }
            })
            .await;
    }

    /// Ticks every sale that has holds due. Buyers do not need it, because every batch expires what is due; the line, the
    /// shop's stock page and the figures do, while nobody buys.
    pub(super) async fn tick_sales(&self) {
        let now = self.clock.now();
        let directory = self.directory.load_full();
        let due = directory.sales.values().filter(|sale| sale.wants_tick(now)).cloned().collect::<Vec<_>>();
        stream::iter(due)
            .for_each_concurrent(TICKS_AT_ONCE, async |sale| {
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
