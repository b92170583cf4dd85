//! File descriptors: every connection needs two, and most systems start a process with very few.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything that is no connection: listeners, the store, logs, runtimes.
const RESERVED: u64 = 256;
/// Its own, and the one by which it is closed when unused.
const PER_CONNECTION: u64 = 2;

/// Raises this process's limit as far as it may, and says how many of `wanted` connections that allows.
pub(super) fn connections(wanted: usize) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(PER_CONNECTION).saturating_add(RESERVED);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let limit = if soft >= needed {
        soft
    } else {
        let raised = needed.min(hard);
        setrlimit(Resource::RLIMIT_NOFILE, raised, hard).map_or(soft, |()| raised)
    };
    let allowed = usize::try_from(limit.saturating_sub(RESERVED) / PER_CONNECTION).unwrap_or(usize::MAX).max(1);
    if allowed < wanted {
        tracing::warn!(wanted, allowed, "the limit of open files allows fewer connections than limits.max_connections");
    }
    allowed.min(wanted)
}
