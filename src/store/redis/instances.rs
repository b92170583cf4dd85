//! The instances that share this Redis: each says every second that it is there, and so learns who else is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::wire::{Args, Misread, Parts};
use crate::{
    store::{
        StoreError,
        instances::{Announcement, InstanceRow},
    },
    time::UnixMs,
};

/// The script.
pub(super) const SOURCE: &str = include_str!("lua/instances.lua");

/// Its keys: in the catalog's slot.
pub(super) const KEYS: [&str; 2] = ["{c}:seen", "{c}:instances"];

/// Whoever was there in this time may remember what the store has lost; the script has the same bound.
const PEER_FOR: Duration = Duration::from_secs(90);

/// What this process knows of all of them.
#[derive(Default)]
pub(super) struct Instances(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// What the store was last told of this instance.
    told: Option<Announcement>,
    /// Who is there, and when each was last seen. Kept here, since the store may lose what it was told.
    peers: BTreeMap<Uuid, Instant>,
}

impl Instances {
    /// Says that this instance is there. `call` sends the script its arguments.
    pub async fn announce<F>(&self, me: Announcement, call: impl Fn(Args) -> F + Send + Sync) -> Result<(), StoreError>
    where
        F: Future<Output = Result<Vec<u8>, StoreError>> + Send,
    {
        // What is known there is not sent again: it has a line for every room and sale.
        let is_news = self.known().told.as_ref() != Some(&me);
        let row = if is_news { row(&me) } else { "-".to_owned() };
        let mut is_there = self.hear(&call(args("announce", me.id, &row)).await?)?;
        if !is_there {
            is_there = self.hear(&call(args("announce", me.id, &self::row(&me))).await?)?;
        }
        self.known().told = is_there.then_some(me);
        Ok(())
    }

    /// Takes in an answer: whether the store has what this instance says of itself.
    fn hear(&self, answer: &[u8]) -> Result<bool, StoreError> {
        let (is_there, seen) = read_seen(answer)?;
        let now = Instant::now();
        let mut known = self.known();
        for (id, age) in seen {
            let seen = now.checked_sub(age).unwrap_or(now);
            let last = known.peers.entry(id).or_insert(seen);
            *last = seen.max(*last);
        }
        known.peers.retain(|_, seen| now.saturating_duration_since(*seen) < PEER_FOR);
        Ok(is_there)
    }

    /// Who may remember what the store has lost, this instance among them.
    pub fn peers(&self) -> Vec<Uuid> {
        let now = Instant::now();
        let is_near = |seen: &Instant| now.saturating_duration_since(*seen) < PEER_FOR;
        self.known().peers.iter().filter(|(_, seen)| is_near(seen)).map(|(id, _)| *id).collect()
    }

    /// All that have announced themselves in the last ten minutes and not left.
    pub async fn list<F>(&self, call: impl Fn(Args) -> F + Send + Sync) -> Result<Vec<InstanceRow>, StoreError>
    where
        F: Future<Output = Result<Vec<u8>, StoreError>> + Send,
    {
        let answer = call(args("list", Uuid::nil(), "-")).await?;
        Ok(read_rows(&answer)?)
    }

    /// Says that this instance ends. It stays a peer for as long as what it acknowledged may get lost.
    pub async fn leave<F>(&self, id: Uuid, call: impl Fn(Args) -> F + Send + Sync) -> Result<(), StoreError>
    where
        F: Future<Output = Result<Vec<u8>, StoreError>> + Send,
    {
        call(args("leave", id, "-")).await.map(drop)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while the lock is held; if it ever did, the lists would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(me: &Announcement) -> String {
    // A struct of plain fields always has a JSON form.
    serde_json::to_string(me).unwrap_or_default()
}

fn args(op: &str, id: Uuid, row: &str) -> Args {
    let mut args = Args::default();
    args.word(op).word("").word(id).word(row);
    args
}

type Seen = (bool, Vec<(Uuid, Duration)>);

fn read_seen(answer: &[u8]) -> Result<Seen, Misread> {
    let mut parts = Parts::of(answer);
    let is_there = parts.next()? == "known";
    let mut seen = Vec::new();
    while !parts.is_empty() {
        let id = parts.parse()?;
        seen.push((id, Duration::from_millis(parts.parse()?)));
    }
    Ok((is_there, seen))
}

/// The rows; one that another version has written in a way of its own is left out.
fn read_rows(answer: &[u8]) -> Result<Vec<InstanceRow>, Misread> {
    let mut parts = Parts::of(answer);
    let mut rows = Vec::new();
    while !parts.is_empty() {
        let last_seen = UnixMs(parts.parse()?);
        let announcement = serde_json::from_str(parts.next()?);
        rows.extend(announcement.ok().map(|announcement| InstanceRow { announcement, last_seen }));
    }
    rows.sort_by_key(|row| row.announcement.id);
    Ok(rows)
}
