//! The journal of the embedded store: what was done since the last snapshots, so that a restart can do it again.
//!
//! A record is a batch that changed something: its number, what it was for, the time, the commands. A
//! snapshot is one room, or the catalog, as of a record's number; records up to it no longer count for it.
//! Snapshots are taken one by one, of whatever has waited longest, in the same transaction as the next
//! records: nobody waits for all rooms, and the journal stays short.
//!
//! A sale is kept as rows, and its snapshot is the rows that changed since the last one, see [`super::rows`]. It is due
//! as soon as there are enough of them, so that no commit has to write many.
//!
//! Whether a commit that failed is on disk is not known. The engine gives the journal up then and opens the
//! file anew, see [`super::engine`].

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use redb::{Database, ReadableDatabase, Table, TableDefinition, WriteTransaction};

use super::{
    error::{JournalError, RulesVersion},
    record::{self, Entry, Key, Snapshot},
    rows::{ROWS, Shelves},
    state::State,
};
use crate::{room, sale, telemetry::Metrics};

/// The shape of what is stored: the tables, the encoding of records and snapshots, and with it the fields of
/// a room and the rows of a sale. To be raised with every change to them; a file of another layout is refused.
pub(super) const LAYOUT: u64 = 6;

/// The most records a restart replays, and the most bytes of them: together about a second. A snapshot is
/// due past either.
const REPLAY_MAX_RECORDS: u64 = 20_000;
const REPLAY_MAX_BYTES: usize = 16 << 20;

/// The snapshots taken in one commit: at least one room, more while they are smaller than this. It keeps the
/// pause short with many small rooms and lets the snapshots keep pace with any load.
const SNAPSHOT_STEP_BYTES: usize = 256 << 10;

/// The changed rows of a sale past which it is due for a snapshot. They lie all over their table, so that nearly each is a page
/// of its own, and many cost as much in one commit as in several: these a millisecond or two, which everybody waits.
const CHANGED_ROWS_MAX: usize = 250;

/// What is in no use any more, records and rows of sales, goes step by step: in each commit this much, a millisecond or so,
/// or twice as much as it adds, so that what is left does not grow.
const REMOVED_LEAST: usize = 500;

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("dropgate");
pub(super) const JOURNAL: TableDefinition<u64, &[u8]> = TableDefinition::new("journal");
pub(super) const SNAPSHOTS: TableDefinition<&str, &[u8]> = TableDefinition::new("snapshots");
pub(super) const META_LAYOUT: &str = "layout";
pub(super) const META_RULES: &str = "rules_version";
pub(super) const META_SALE_RULES: &str = "sale_rules_version";

/// The rules that this version of ours plays by.
const RULES: RulesVersion = RulesVersion { line: room::RULES_VERSION, stock: sale::RULES_VERSION };

/// The open journal of a store.
pub(super) struct Journal {
    database: Database,
    metrics: Arc<Metrics>,
    /// The lowest number that may still be on disk.
    first: u64,
    /// The number of the next record.
    next: u64,
    /// What changed since its snapshot.
    dirty: BTreeMap<Key, Dirty>,
    /// Where the rows of the sales are.
    shelves: Shelves,
}

/// The records of a room, or of the catalog, that are in no snapshot.
struct Dirty {
    /// The first one's number.
    first: u64,
    /// Their size together.
    bytes: usize,
}

/// Which snapshots to take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// None: not everything in memory is to be trusted.
    Nothing,
    /// Those that keep the journal from being cut.
    Overdue,
    /// All there are to take.
    All,
}

/// Makes an empty store of a new database.
pub(super) fn initialise(database: &Database) -> Result<(), JournalError> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        meta.insert(META_LAYOUT, LAYOUT)?;
        write_rules(&mut meta)?;
        write.open_table(JOURNAL)?;
        write.open_table(SNAPSHOTS)?;
        write.open_table(ROWS)?;
    }
    Ok(write.commit()?)
}

impl Journal {
    /// Reads a store's state back from its database.
    pub fn load(database: Database, metrics: Arc<Metrics>) -> Result<(Self, State), JournalError> {
        let rules = check_meta(&database)?;
        let mut journal =
            Self { database, metrics, first: 0, next: 1, dirty: BTreeMap::new(), shelves: Shelves::default() };
        let state = journal.replay(rules)?;
        if rules != RULES {
            let write = journal.database.begin_write()?;
            write_rules(&mut write.open_table(META)?)?;
            write.commit()?;
        }
        journal.report();
        Ok((journal, state))
    }

    /// The snapshots, and on top of them the records they don't cover.
    fn replay(&mut self, rules: RulesVersion) -> Result<State, JournalError> {
        let read = self.database.begin_read()?;
        let mut state = State::journalled();
        let rows = read.open_table(ROWS)?;
        let mut covered = BTreeMap::new();
        for row in read.open_table(SNAPSHOTS)?.range::<&str>(..)? {
            let (name, bytes) = row?;
            let key = Key::parse(name.value())?;
            let seq = record::read_snapshot(&key, bytes.value(), &mut state, &mut self.shelves, &rows)?;
            covered.insert(key, seq);
            self.next = self.next.max(seq + 1);
        }
        self.shelves.find_leftovers(&rows)?;
        let mut foreign = 0;
        let mut last = None;
        for row in read.open_table(JOURNAL)?.range::<u64>(..)? {
            let (seq, bytes) = row?;
            let seq = seq.value();
            if last.is_some_and(|last| seq != last + 1) {
                return Err(JournalError::Record(format!("record {seq} does not follow the one before it")));
            }
            self.first = if last.is_none() { seq } else { self.first };
            last = Some(seq);
            let (key, body) = record::read_key(seq, bytes.value())?;
            if covered.get(&key).is_some_and(|covered| seq <= *covered) {
                continue;
            }
            if !is_ours(&key, rules) {
                foreign += 1;
                continue;
            }
            record::replay(seq, &key, body, &mut state)?;
            self.mark(key, seq, bytes.value().len());
        }
        if foreign > 0 {
            return Err(JournalError::OtherRules { found: rules, known: RULES, records: foreign });
        }
        self.next = self.next.max(last.map_or(1, |last| last + 1));
        self.first = if last.is_none() { self.next } else { self.first };
        Ok(state)
    }

    /// Writes records down, with the snapshots that are due, and waits until they are on disk. `state` is that
    /// after the records.
    pub fn commit(&mut self, state: &mut State, entries: Vec<Entry>, due: Due) -> Result<(), JournalError> {
        let started = Instant::now();
        self.write(state, entries, due)?;
        self.metrics.store.journal_commit_seconds.observe(started.elapsed().as_secs_f64());
        self.report();
        Ok(())
    }

    /// Takes a snapshot of all that changed, so that no record is left, and closes the file.
    pub fn close(mut self, state: &mut State) -> Result<(), JournalError> {
        while !self.dirty.is_empty() || self.first < self.next {
            self.write(state, Vec::new(), Due::All)?;
        }
        self.report();
        Ok(self.database.close()?)
    }

    fn write(&mut self, state: &mut State, entries: Vec<Entry>, due: Due) -> Result<(), JournalError> {
        let from = self.next;
        for (seq, entry) in (from..).zip(&entries) {
            self.mark(entry.key.clone(), seq, entry.bytes.len());
            self.next = seq + 1;
        }
        let snapshots = self.take_snapshots(state, due)?;
        let needed = self.dirty.values().map(|dirty| dirty.first).min().unwrap_or(self.next);
        let trim = self.first..needed.min(self.first + removed_with(entries.len()) as u64);
        let write = self.database.begin_write()?;
        {
            let mut journal = write.open_table(JOURNAL)?;
            for (seq, entry) in (from..).zip(&entries) {
                journal.insert(seq, entry.bytes.as_slice())?;
            }
            if !trim.is_empty() {
                journal.retain_in(trim.clone(), |_, _| false)?;
            }
        }
        write_snapshots(&write, &snapshots)?;
        if self.shelves.has_leftovers() {
            let rows = snapshots.iter().map(|snapshot| snapshot.rows.len()).sum();
            self.shelves.sweep(&mut write.open_table(ROWS)?, removed_with(rows))?;
        }
        write.commit()?;
        self.first = trim.end;
        Ok(())
    }

    fn mark(&mut self, key: Key, seq: u64, bytes: usize) {
        self.dirty.entry(key).or_insert(Dirty { first: seq, bytes: 0 }).bytes += bytes;
    }

    /// One step of snapshots, as of the latest record.
    fn take_snapshots(&mut self, state: &mut State, due: Due) -> Result<Vec<Snapshot>, JournalError> {
        let mut step = Vec::new();
        let mut size = 0;
        while size < SNAPSHOT_STEP_BYTES
            && let Some(key) = self.next_due(state, due)
        {
            let started = Instant::now();
            let snapshot = record::snapshot(&key, self.next - 1, state, &mut self.shelves)?;
            self.metrics.store.journal_snapshot_seconds.observe(started.elapsed().as_secs_f64());
            size += snapshot.size();
            self.dirty.remove(&key);
            step.push(snapshot);
        }
        Ok(step)
    }

    /// What is to have the next snapshot, if one is due: what has waited too long, or a sale of which many rows changed.
    fn next_due(&self, state: &State, due: Due) -> Option<Key> {
        let (key, oldest) = self.dirty.iter().min_by_key(|(_, dirty)| dirty.first)?;
        match due {
            Due::Nothing => None,
            Due::All => Some(key.clone()),
            Due::Overdue => {
                let bytes: usize = self.dirty.values().map(|dirty| dirty.bytes).sum();
                let is_overdue = self.next - oldest.first > REPLAY_MAX_RECORDS || bytes > REPLAY_MAX_BYTES;
                if is_overdue {
                    return Some(key.clone());
                }
                let changed = self.dirty.keys().map(|key| (state.changed_rows(key), key)).max()?;
                (changed.0 >= CHANGED_ROWS_MAX).then(|| changed.1.clone())
            }
        }
    }

    fn report(&self) {
        self.metrics.store.journal_records.set(i64::try_from(self.next - self.first).unwrap_or(i64::MAX));
    }
}

/// How much is removed in a commit that adds so much.
fn removed_with(added: usize) -> usize {
    REMOVED_LEAST.max(2 * added)
}

/// The rules the store was last written under.
fn check_meta(database: &Database) -> Result<RulesVersion, JournalError> {
    let read = database.begin_read()?;
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Err(JournalError::NotAStore("a database of something else".to_owned())),
    };
    let number = |name| match meta.get(name)? {
        Some(number) => Ok(number.value()),
        None => Err(JournalError::NotAStore(format!("it does not say its {name}"))),
    };
    match number(META_LAYOUT)? {
        LAYOUT => Ok(RulesVersion { line: number(META_RULES)?, stock: number(META_SALE_RULES)? }),
        found => Err(JournalError::OtherLayout { found, known: LAYOUT }),
    }
}

fn write_rules(meta: &mut Table<&str, u64>) -> Result<(), JournalError> {
    meta.insert(META_RULES, RULES.line)?;
    meta.insert(META_SALE_RULES, RULES.stock)?;
    Ok(())
}

/// Whether a record of `key` written by `rules` would be replayed by the same.
fn is_ours(key: &Key, rules: RulesVersion) -> bool {
    match key {
        Key::Catalog | Key::Room(_) => rules.line == RULES.line,
        Key::Sale(_) => rules.stock == RULES.stock,
    }
}

fn write_snapshots(write: &WriteTransaction, snapshots: &[Snapshot]) -> Result<(), JournalError> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let (mut table, mut rows) = (write.open_table(SNAPSHOTS)?, write.open_table(ROWS)?);
    for snapshot in snapshots {
        let name = snapshot.name.as_str();
        match &snapshot.bytes {
            Some(bytes) => drop(table.insert(name, bytes.as_slice())?),
            None => drop(table.remove(name)?),
        }
        for (key, row) in &snapshot.rows {
            match row {
                Some(bytes) => drop(rows.insert(key.as_slice(), bytes.as_slice())?),
                None => drop(rows.remove(key.as_slice())?),
            }
        }
    }
    Ok(())
}
