//! Where a log is and what opens it: its path, and its key when it is encrypted.
//!
//! Encryption is SQLCipher's (AES-256 and HMAC-SHA-512 by page, the WAL included), in programs built with the feature
//! `sqlcipher`. The key is 32 random bytes and no pass phrase: to make a key of a phrase costs a Pi seconds for each
//! connection. A file of ours begins with [`MARK`], so that a program without a key, or without SQLCipher, does not
//! take it for a damaged one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{LogError, at};
use crate::config::{self, Secret};

/// Whether this program can encrypt.
pub const ENCRYPTS: bool = cfg!(feature = "sqlcipher");

/// What an encrypted log begins with: half of the salt, which needs no secrecy, and with a random key no randomness.
const MARK: [u8; 8] = *b"SBlogENC";

/// What an SQLite database begins with (sqlite.org/fileformat.html, 1.3.1).
const PLAIN: [u8; 16] = *b"SQLite format 3\0";

/// A log on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Database file.
    pub path: PathBuf,
    /// 64 hexadecimal digits, when it is encrypted.
    pub key: Option<Secret>,
}

impl LogFile {
    /// A file that may be encrypted with `key` or not at all, as one sees when it is looked at. Not for a file that
    /// this process has open: see `open::accessible`.
    pub fn found(path: &Path, key: Option<Secret>) -> Self {
        Self { path: path.to_owned(), key: key.filter(|_| beginning(path) != Beginning::Plain) }
    }

    /// Whether a file begins as a database does, encrypted or not.
    pub fn is_one(path: &Path) -> bool {
        beginning(path) != Beginning::Other
    }

    /// Gives the key to a connection; the first thing it is told.
    pub(super) fn unlock(&self, connection: &Connection) -> Result<(), LogError> {
        let Some(key) = &self.key else { return Ok(()) };
        let fresh = std::fs::metadata(&self.path).is_ok_and(|file| file.len() == 0);
        let salt = if fresh { new_salt().map_err(at(&self.path))? } else { String::new() };
        use_key(connection, &format!("x'{}{salt}'", key.0)).map_err(at(&self.path))
    }

    /// The key as ATTACH takes it, for a new file when `fresh`; empty for none.
    pub(super) fn attached(&self, fresh: bool) -> rusqlite::Result<String> {
        let Some(key) = &self.key else { return Ok(String::new()) };
        let salt = if fresh { new_salt()? } else { String::new() };
        Ok(format!("x'{}{salt}'", key.0))
    }

    /// Reads the first page. What cannot be read is told apart by how the file begins.
    pub(super) fn first_page(&self, connection: &Connection) -> Result<(), LogError> {
        let read = connection.query_row("PRAGMA schema_version", [], |_| Ok(()));
        read.map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: rusqlite::Error) -> LogError {
        use rusqlite::ErrorCode::NotADatabase;
        let path = self.path.clone();
        if error.sqlite_error_code() != Some(NotADatabase) {
            return at(&self.path)(error);
        }
        // Nobody in this process has it open: with this key, or without one, it does not open.
        match (&self.key, beginning(&path)) {
            (Some(_), Beginning::Plain) => LogError::NotEncrypted { path },
            (Some(_), _) => LogError::WrongKey { path },
            (None, Beginning::Encrypted) => LogError::Encrypted { path },
            (None, _) => at(&self.path)(error),
        }
    }
}

impl From<&Path> for LogFile {
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned(), key: None }
    }
}

impl From<&PathBuf> for LogFile {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<&LogFile> for LogFile {
    fn from(file: &LogFile) -> Self {
        file.clone()
    }
}

impl From<&config::Log> for LogFile {
    fn from(log: &config::Log) -> Self {
        Self { path: log.path.clone(), key: log.key.clone() }
    }
}

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// As a database that is not encrypted.
    Plain,
    /// As an encrypted log.
    Encrypted,
    /// Otherwise, or it cannot be read.
    Other,
}

fn beginning(path: &Path) -> Beginning {
    let mut bytes = [0; PLAIN.len()];
    match File::open(path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) if bytes == PLAIN => Beginning::Plain,
        Ok(()) if bytes.starts_with(&MARK) => Beginning::Encrypted,
        _ => Beginning::Other,
    }
}

/// The salt of a new file, 32 hexadecimal digits.
fn new_salt() -> rusqlite::Result<String> {
    let mark: String = MARK.iter().map(|byte| format!("{byte:02x}")).collect();
    // SQLite's randomness is that of the system, seeded once.
    let random: String =
        Connection::open_in_memory()?.query_row("SELECT lower(hex(randomblob(8)))", [], |row| row.get(0))?;
    Ok(mark + &random)
}

fn use_key(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    if !ENCRYPTS {
        // The configuration refuses it before; SQLite alone would take the key and write in the clear.
        let why = "this program cannot encrypt: it was built without SQLCipher".to_owned();
        return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(1), Some(why)));
    }
    // It would write what it thinks of a wrong key to standard error, past the journal's levels.
    connection.pragma_update_and_check(None, "cipher_log_level", "NONE", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "key", key, |_| Ok(()))
}
