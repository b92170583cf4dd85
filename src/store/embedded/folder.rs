//! The folder of a file store: `lock`, which says whose it is, and `store.redb`, the database.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Builder, Database, DatabaseError};

use super::{
    error::{JournalError, OpenError},
    journal::{self, Journal},
    state::State,
};
use crate::telemetry::Metrics;

/// The database's name in the folder.
pub(super) const DATABASE: &str = "store.redb";

/// The keys that sign tickets and passes are in it: for our own user alone, whatever the process's mask would allow.
const FOLDER_MODE: u32 = 0o700;
const DATABASE_MODE: u32 = 0o600;

/// What the database may keep of its pages in memory. A journal is written once and read at a restart only,
/// so a cache for its upper pages will do.
const CACHE_BYTES: usize = 32 << 20;

type OpenDatabase = dyn Fn(&Path) -> Result<Database, DatabaseError> + Send;

/// Whether a store was made in the folder `path`; makes none.
pub fn is_store(path: &Path) -> bool {
    path.join(DATABASE).is_file()
}

/// A folder that is ours until dropped.
pub(super) struct Folder {
    path: PathBuf,
    // Freed by the system however the process ends, kill -9 included.
    _lock: File,
    open: Box<OpenDatabase>,
}

impl Folder {
    /// Makes the folder if there is none, and takes it for this process.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        // The check of every page at each opening: a damaged file is found now and not in the middle of a sale.
        Self::take_with(path, Box::new(|file| builder().open(file)))
    }

    /// The same, with the database opened as told.
    pub fn take_with(path: &Path, open: Box<OpenDatabase>) -> Result<Self, OpenError> {
        if path.exists() && !path.is_dir() {
            return Err(OpenError::NotAStore { path: path.to_owned(), detail: "not a folder".to_owned() });
        }
        let unusable = |source| OpenError::Folder { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock, open }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Opens the database, or makes it, and brings back the state it holds.
    pub fn load(&self, metrics: &Arc<Metrics>) -> Result<(Journal, State), OpenError> {
        // The database and the rooms are ours to trust, the bytes are not: whatever they make panic is a
        // file that can't be read, which the operator has to be told in words.
        let loaded = catch_unwind(AssertUnwindSafe(|| self.try_load(metrics)));
        loaded.unwrap_or(Err(JournalError::Panicked)).map_err(|error| error.at(&self.path))
    }

    fn try_load(&self, metrics: &Arc<Metrics>) -> Result<(Journal, State), JournalError> {
        let file = self.path.join(DATABASE);
        if !file.try_exists()? {
            self.create(&file)?;
        }
        Journal::load((self.open)(&file)?, Arc::clone(metrics))
    }

    /// Makes an empty database beside and moves it into its place: a crash in between leaves none, not half a one.
    fn create(&self, file: &Path) -> Result<(), JournalError> {
        let beside = file.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(DATABASE_MODE).open(&beside)?;
        let database = builder().create(&beside)?;
        journal::initialise(&database)?;
        database.close()?;
        fs::rename(&beside, file)?;
        // The names are on disk only when their folders are.
        File::open(&self.path)?.sync_all()?;
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }
}

/// How every database of ours is opened.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}
