//! The one place a clock is read: everything else is given a [`Clock`], and tests give their own.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::time::UnixMs;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixMs + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            UnixMs(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// A clock of the caller's making.
    pub fn new(tell: impl Fn() -> UnixMs + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The time now.
    pub fn now(&self) -> UnixMs {
        (self.0)()
    }
}
