//! Why a store does not open, and why one that was open can't go on.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// The versions of the rules that a journal was written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesVersion {
    /// Of the line, and of the catalog.
    pub line: u64,
    pub stock: u64,
}

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.line, self.stock)
    }
}

/// Why a folder could not be opened as a store. Nothing of value was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store's thread could not be started: {0}")]
    Thread(#[source] io::Error),
    #[error("{}: cannot be used: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{}: in use by another process; a file store serves one process at a time", path.display())]
    InUse { path: PathBuf },
    #[error("{}: not a store of dropgate: {detail}", path.display())]
    NotAStore { path: PathBuf, detail: String },
    #[error(
        "{}: damaged: {detail}. Put a backup in its place, or move it away to begin with an empty store: \
         every line, session and key in it is lost then",
        path.display()
    )]
    Damaged { path: PathBuf, detail: String },
    #[error(
        "{}: written in layout {found}, and this version of dropgate knows layout {known}. \
         Start the version that wrote it",
        path.display()
    )]
    OtherLayout { path: PathBuf, found: u64, known: u64 },
    #[error(
        "{}: its journal ends with {records} records of rules {found} that are in no snapshot yet, and this version \
         of dropgate, with rules {known}, might make another line or stock of them. Start the version that wrote it, stop it \
         with SIGTERM, which takes a snapshot, and then start this one",
        path.display()
    )]
    OtherRules { path: PathBuf, found: RulesVersion, known: RulesVersion, records: u64 },
}

/// What goes wrong between the engine and its journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error(transparent)]
    Database(redb::Error),
    #[error("{0}")]
    NotAStore(String),
    #[error("{0}")]
    Record(String),
    #[error("layout {found}, not {known}")]
    OtherLayout { found: u64, known: u64 },
    #[error("{records} records of rules {found}, not {known}")]
    OtherRules { found: RulesVersion, known: RulesVersion, records: u64 },
    #[error("reading or writing it panicked")]
    Panicked,
}

// The database has an error type for every step, and one that holds them all.
impl<E: Into<redb::Error>> From<E> for JournalError {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

impl JournalError {
    /// Whether the operator can cure it while we run: by making room on the disk.
    pub fn is_full_disk(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Database(redb::Error::Io(io))
            if matches!(io.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// What it means to who tried to open the folder.
    pub fn at(self, path: &Path) -> OpenError {
        use redb::Error as E;
        let path = path.to_owned();
        match self {
            Self::Database(E::DatabaseAlreadyOpen | E::LockProtocolMismatch) => OpenError::InUse { path },
            Self::Database(E::UpgradeRequired(format)) => {
                OpenError::NotAStore { path, detail: format!("a database of the older format {format}") }
            }
            // Not our magic number, or a file cut short, which is met as a read past its end.
            Self::Database(E::Io(io))
                if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                OpenError::Damaged { path, detail: io.to_string() }
            }
            Self::Database(E::Io(source)) => OpenError::Folder { path, source },
            Self::NotAStore(detail) => OpenError::NotAStore { path, detail },
            Self::OtherLayout { found, known } => OpenError::OtherLayout { path, found, known },
            Self::OtherRules { found, known, records } => OpenError::OtherRules { path, found, known, records },
            other => OpenError::Damaged { path, detail: other.to_string() },
        }
    }
}
