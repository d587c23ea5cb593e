//! A look at a log from outside: is it whole, is somebody writing it. Changes nothing.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::error::{LogError, at, is_corrupt};
use super::file::LogFile;
use super::open::{beside, read_only};

/// How a log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Every page was looked at and is in order.
    Whole,
    /// In order as far as was looked in the time given.
    Unfinished,
    /// Damaged; SQLite's words for the first fault.
    Damaged(String),
}

/// Looks through the pages (`PRAGMA quick_check`) for at most `limit`.
///
/// # Errors
/// The log cannot be read: missing, newer, not ours, no right to it.
pub fn whole(file: impl Into<LogFile>, limit: Duration) -> Result<Look, LogError> {
    let file = file.into();
    let connection = match read_only(&file) {
        Err(LogError::Corrupt { detail, .. }) => return Ok(Look::Damaged(detail)),
        other => other?,
    };
    let interrupt = connection.get_interrupt_handle();
    let (done, watched) = sync_channel::<()>(1);
    let checked = std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Err(RecvTimeoutError::Timeout) = watched.recv_timeout(limit) {
                interrupt.interrupt();
            }
        });
        let checked: rusqlite::Result<String> =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        drop(done);
        checked
    });
    match checked {
        Ok(answer) if answer == "ok" => Ok(Look::Whole),
        Ok(fault) => Ok(Look::Damaged(fault)),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            Ok(Look::Unfinished)
        }
        Err(error) if is_corrupt(&error) => Ok(Look::Damaged(error.to_string())),
        Err(error) => Err(at(&file.path)(error)),
    }
}

/// Whether a bridge is writing this log; `None` when we have no right to know.
pub fn is_written(path: &Path) -> Option<bool> {
    let lock = match File::open(beside(path, ".lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    match lock.try_lock_shared() {
        // Let go of at once, with the file.
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::Folder;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_log_is_whole_and_written_or_not() {
        let folder = Folder::new();
        let path = folder.path();
        assert!(matches!(whole(&path, LONG), Err(LogError::Missing { .. })));
        assert_eq!(is_written(&path), Some(false));
        let log = folder.open();
        assert_eq!(is_written(&path), Some(true));
        assert_eq!(whole(&path, LONG).unwrap(), Look::Whole);
        log.close().unwrap();
        assert_eq!(is_written(&path), Some(false));
        assert_eq!(whole(&path, LONG).unwrap(), Look::Whole);
    }

    #[test]
    fn damage_is_seen() {
        let folder = Folder::new();
        let path = folder.path();
        folder.open().close().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 5 * 4096);
        // Not the first page, which holds the header: a fault that an open does not see.
        bytes[3 * 4096..4 * 4096].fill(0xA5);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(whole(&path, LONG).unwrap(), Look::Damaged(_)));
        std::fs::write(&path, "no database, but as long as one ".repeat(300)).unwrap();
        assert!(matches!(whole(&path, LONG).unwrap(), Look::Damaged(_)));
    }
}
