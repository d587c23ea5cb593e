//! What can go wrong with the log, worded for a person, and what an SQLite error means for the writer.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the log could not do something, worded for a person.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Written by a later version of this program.
    #[error(
        "{path}: written by a newer sensor-bridge (schema {found}, this program knows {known}); install that version or choose another log.path"
    )]
    Newer {
        /// Database file.
        path: PathBuf,
        /// Its `PRAGMA user_version`.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Written by an earlier version of this program, and only to be read now.
    #[error(
        "{path}: written by an earlier sensor-bridge (schema {found}, this program reads {known}); start `sensor-bridge run` on it once, or on a copy, which brings it up to date"
    )]
    Older {
        /// Database file.
        path: PathBuf,
        /// Its `PRAGMA user_version`.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another process writes this log.
    #[error(
        "{path}: another sensor-bridge is writing this log (it holds {path}.lock); stop it or choose another log.path"
    )]
    Locked {
        /// Database file.
        path: PathBuf,
    },
    /// An SQLite database of somebody else.
    #[error(
        "{path}: an SQLite database, but not one of sensor-bridge; it is left as it is: choose another log.path"
    )]
    NotOurs {
        /// Database file.
        path: PathBuf,
    },
    /// Not an SQLite database at all, or a damaged one.
    #[error(
        "{path}: {detail}; `sensor-bridge run` sets it aside and begins a new one, `sqlite3 {path} .recover` may save its rows"
    )]
    Corrupt {
        /// Database file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// Encrypted, and opened without a key.
    #[error(
        "{path}: encrypted; {remedy}",
        remedy = match super::file::ENCRYPTS {
            true => "name the file with its key as log.key_file",
            false => "open it with a sensor-bridge that was built with SQLCipher (docs/privacy.md), and its key as log.key_file",
        }
    )]
    Encrypted {
        /// Database file.
        path: PathBuf,
    },
    /// Not encrypted, though there is a key for it.
    #[error(
        "{path}: not encrypted, and log.key_file names a key for it; encrypt it with `sensor-bridge backup --encrypt` (docs/privacy.md), or choose another log.path"
    )]
    NotEncrypted {
        /// Database file.
        path: PathBuf,
    },
    /// The key does not open it.
    #[error(
        "{path}: the key in log.key_file does not open it: it was encrypted with another key, or is damaged; it is left as it is: give the right key, or choose another log.path"
    )]
    WrongKey {
        /// Database file.
        path: PathBuf,
    },
    /// There is no log at this path.
    #[error("{path}: no such log; check log.path, or start `sensor-bridge run`, which makes it")]
    Missing {
        /// Database file.
        path: PathBuf,
    },
    /// The file system does not let us.
    #[error("{path}: {reason}")]
    Unusable {
        /// File or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The disk is full, read-only or broken at the moment; nothing of the request was stored.
    #[error("the log cannot be written: {0}")]
    Disk(String),
    /// This one request cannot be stored, now or later.
    #[error("the log refused it: {0}")]
    Refused(String),
    /// A query that SQLite or we do not accept.
    #[error("{0}")]
    Query(String),
    /// Any other answer of SQLite.
    #[error("{path}: {source}")]
    Sqlite {
        /// Database file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The writer has ended.
    #[error("the log is closed")]
    Closed,
}

/// The queue to the writer is full: the disk does not keep up. The sample was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log's queue is full")]
pub struct Busy;

/// What an SQLite error means for the transaction that met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Full, read-only or unreadable for now: keep everything and try again.
    Disk(String),
    /// One request is wrong by itself; the others are not to blame.
    Request(String),
}

/// Sorts an SQLite error.
///
/// How a full disk arrives: ENOSPC from `write` is SQLITE_FULL, from `ftruncate`, `fallocate` or `fsync`
/// one of the SQLITE_IOERR family (so is EDQUOT); EROFS is SQLITE_READONLY or, when the WAL must be made
/// anew, SQLITE_CANTOPEN. All of these pass when there is room again. SQLITE_BUSY is here too: somebody's
/// `sqlite3` shell holds the write lock. A damaged file does not heal by itself, but to keep what is in
/// memory and to say so is still the best that the writer can do; the next start sets the file aside.
pub(super) fn classify(error: &rusqlite::Error) -> Fault {
    use ErrorCode::*;
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(DiskFull) => Fault::Disk("disk full; make room, or set log.retention.max_size".to_owned()),
        Some(ReadOnly) => Fault::Disk(format!("the disk is read-only ({text})")),
        Some(SystemIoFailure) => Fault::Disk(format!("disk error ({text})")),
        Some(CannotOpen | PermissionDenied) => {
            Fault::Disk(format!("files beside the database cannot be opened ({text})"))
        }
        Some(DatabaseBusy | DatabaseLocked | FileLockingProtocolFailed) => {
            Fault::Disk(format!("another program holds the database ({text})"))
        }
        Some(OutOfMemory) => Fault::Disk("out of memory".to_owned()),
        Some(DatabaseCorrupt | NotADatabase) => Fault::Disk(format!(
            "the database is damaged ({text}); restart to set it aside and begin a new one"
        )),
        _ => Fault::Request(text),
    }
}

/// Whether SQLite says that the file itself is damaged or no database.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Names the file that an error is about.
pub(super) fn at(path: &Path) -> impl Fn(rusqlite::Error) -> LogError + '_ {
    move |source| match is_corrupt(&source) {
        true => LogError::Corrupt { path: path.to_owned(), detail: source.to_string() },
        false => LogError::Sqlite { path: path.to_owned(), source },
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        classify(&error)
    }
}

impl From<Fault> for LogError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Disk(reason) => LogError::Disk(reason),
            Fault::Request(reason) => LogError::Refused(reason),
        }
    }
}
