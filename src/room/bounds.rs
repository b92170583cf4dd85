//! Every bound of a room, in one place, each with its reason.

/// Credit is counted in 1/60 000 permit, so that a room of `r` a minute gains `r` units a millisecond: no fractions.
pub const PERMIT: u64 = 60_000;

/// The latest time a room can live through, some 140 000 years: with any window added it stays below 2^53.
pub const TIME_MAX_MS: u64 = 1 << 52;

/// The highest position: all integers stay below 2^53, so that Lua computes the same.
pub const POSITION_MAX: u64 = 1 << 52;

/// How far above the tail a signed number may stand: the largest line we plan for, forgotten whole.
pub const TAIL_RAISE_MAX: u64 = 10_000_000;

/// A rate of one a minute is a small shop or a staging site.
pub const RATE_MIN: u64 = 1;
/// Ten million a minute is more than any shop takes, and keeps the products below 2^53.
pub const RATE_MAX: u64 = 10_000_000;

/// Without one permit to stand ready nobody would ever be called.
pub const BURST_MIN: u64 = 1;
/// A whole minute at the highest rate.
pub const BURST_MAX: u64 = RATE_MAX;

/// Nobody can be served inside none: that is mode `hold`.
pub const ACTIVE_MIN: u64 = 1;
/// As many visitors as there are people on the net at any one shop, and then some.
pub const ACTIVE_MAX: u64 = 1_000_000_000;

/// Shorter than a round trip and a poll nobody could claim at all.
pub const CLAIM_WINDOW_MIN_SECONDS: u64 = 1;
/// A turn kept longer than a day is a place kept for nobody.
pub const CLAIM_WINDOW_MAX_SECONDS: u64 = 86_400;

/// A hundred called for one who comes: beyond that the line is ghosts.
pub const OVERCALL_MAX: u64 = 100;

/// `overcall × rate × claim window + burst`, in units: all sums with it stay below 2^53.
pub const CEILING_MAX: u64 = 1 << 50;

/// A session ends when its deadline comes; one of no length would never begin.
pub const SESSION_MIN_SECONDS: u64 = 1;
/// A week: longer visits are not what a waiting room counts.
pub const SESSION_MAX_SECONDS: u64 = 7 * 86_400;
/// Thirty days, renewals included.
pub const SESSION_TOTAL_MAX_SECONDS: u64 = 30 * 86_400;

/// Joins a minute and address: a university or a phone operator behind one address, and no more than the limiter counts.
pub const JOIN_PER_ADDRESS_MAX: u64 = 1_000_000;

/// A name is a heading on the dashboard.
pub const NAME_MAX_CHARS: usize = 80;
/// A title is one line on a phone held sideways.
pub const TITLE_MAX_CHARS: usize = 80;
/// A message is a short paragraph: the page has a budget of bytes.
pub const MESSAGE_MAX_CHARS: usize = 300;
/// Languages of one text: more than the page itself speaks; the page ships them all to everyone.
pub const LANGUAGES_MAX: usize = 20;
/// The longest language tag that standards tell readers to expect.
pub const LANGUAGE_TAG_MAX_BYTES: usize = 35;

/// A logo, decoded: it is served from memory to a crowd.
pub const LOGO_MAX_BYTES: usize = 16 * 1024;

/// The longest address that every browser, proxy and CDN takes.
pub const URL_MAX_BYTES: usize = 2048;
/// The longest host name in DNS.
pub const HOST_MAX_BYTES: usize = 253;
/// The longest label in DNS.
pub const LABEL_MAX_BYTES: usize = 63;
/// Hosts of one shop: looked through one by one, and named in the page's headers.
pub const ALLOWED_HOSTS_MAX: usize = 50;

/// Checkpoints a claim window: each rounds its calls' deadlines up to a 240th of the window, unseen by any visitor.
pub const CALLS_PER_WINDOW: u64 = 240;
/// Checkpoints in all, when windows and modes keep changing: beyond it calls merge whatever their kind.
pub const CALLS_MAX: usize = 2048;
/// Calls are one checkpoint only if all between them is resolved, admitted past the line or given back: so much is looked at.
pub const CALLS_GAP_MAX: u64 = 64;

/// With a stock gate that holds, stock that nobody has confirmed for so long is not relied on.
pub const STOCK_STALE_MS: u64 = 2000;
/// Stock confirmed more often is not written down: half of the above, so that one that comes late is still in time.
pub const STOCK_REFRESH_MS: u64 = STOCK_STALE_MS / 2;
/// Units of stock are bounded only so that all integers stay below 2^53.
pub const UNITS_MAX: u64 = 1 << 52;

/// The room's growth of credit in one step, beyond what stands ready: a room nobody ticked for longer does not pour out the gap.
pub const GROWTH_MS: u64 = 1000;

/// How far apart the positions are that are issued in two terms, where not everybody was heard of what was lost between them.
/// More than a loss takes: five seconds of forty thousand joins a second. It costs nobody time, because what is jumped is
/// neither waited for nor shown as people in line.
pub const JUMP: u64 = 200_000;
/// Jumps that are remembered: so many losses within the life of one line are a broken store.
pub const VOIDS_MAX: usize = 16;
/// How long a permit is kept for a visitor of whose place the store knew nothing: longer than it takes to ask again.
pub const OWED_MS: u64 = 10_000;
/// What is owed is not written down anew before this much of it has passed.
pub const OWED_REFRESH_MS: u64 = OWED_MS / 2;
