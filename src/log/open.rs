//! From a path to a connection that can be trusted: whose file it is, that nobody else writes it, its
//! version, its settings, a new epoch. A damaged file is set aside, never overwritten.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use rustix::fs::Access;
use rustix::io::Errno;

use super::error::{LogError, at, classify, is_corrupt};
use super::file::LogFile;
use super::look::{self, Look};
use super::store::Ids;
use super::{Machine, schema};
use crate::config;

/// Bytes of a database page. SQLite's default, and what flash and file systems like.
pub(super) const PAGE: u64 = 4096;

/// How long a lock of another program's (an `sqlite3` shell, a backup) is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// Suffixes of the files that belong to one database.
const SIDE_FILES: [&str; 3] = ["", "-wal", "-shm"];

/// An open log, ready for the writer.
#[derive(Debug)]
pub(super) struct Opened {
    pub connection: Connection,
    /// Held as long as we write; the kernel lets go of it when we die.
    pub lock: File,
    pub ids: Ids,
    /// First row of the first epoch of this boot.
    pub boot_first_row: i64,
    /// Highest row there is, or ever was.
    pub last_row: i64,
    /// Last row that is in the roll-ups.
    pub rolled: i64,
    /// Where a damaged file was put.
    pub set_aside: Option<PathBuf>,
}

/// Opens or creates the log for writing.
pub(super) fn open(config: &config::Log, machine: &Machine) -> Result<Opened, LogError> {
    let path = &config.path;
    let lock = lock(path)?;
    let mut set_aside = None;
    let mut opened = prepare(config, machine).and_then(|opened| {
        look_through(&LogFile::from(config))?;
        Ok(opened)
    });
    if let Err(LogError::Corrupt { .. }) = opened {
        set_aside = Some(put_aside(path, machine)?);
        opened = prepare(config, machine);
    }
    let (connection, ids, boot_first_row) = opened?;
    forget_damage(path)?;
    let rolled =
        connection.query_row("SELECT rolled FROM progress", [], |row| row.get(0)).map_err(at(path))?;
    Ok(Opened { connection, lock, ids, boot_first_row, last_row: ids.next_row - 1, rolled, set_aside })
}

/// Beside a database that an earlier run met damage in, where an open does not come to.
const DAMAGED: &str = ".damaged";

/// Longest look for damage: systemd gives a start 90 s.
const LOOK: Duration = Duration::from_secs(60);

/// Leaves word for the next open that the database seems to be damaged.
pub(super) fn note_damage(path: &Path) -> io::Result<()> {
    File::create(beside(path, DAMAGED)).map(drop)
}

fn forget_damage(path: &Path) -> Result<(), LogError> {
    match std::fs::remove_file(beside(path, DAMAGED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(path, &error)),
        _ => Ok(()),
    }
}

/// Looks through the pages, if an earlier run has met damage: some of that is of memory or a cable, and not on the disk.
fn look_through(file: &LogFile) -> Result<(), LogError> {
    let path = file.path.clone();
    if !beside(&path, DAMAGED).exists() {
        return Ok(());
    }
    tracing::warn!("{}: looking through it, because it seemed to be damaged", path.display());
    let detail = match look::whole(file, LOOK)? {
        Look::Whole => return Ok(()),
        Look::Damaged(detail) => detail,
        Look::Unfinished => format!("damage was met in it, and {} s were too few to find it", LOOK.as_secs()),
    };
    Err(LogError::Corrupt { path, detail })
}

/// A path with something appended to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes sure that no other sensor-bridge writes this log. SQLite itself would let two write in turns, and
/// each would publish the other's rows.
fn lock(path: &Path) -> Result<File, LogError> {
    let lock_path = beside(path, ".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let file = file.map_err(|error| unusable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(&lock_path, &error)),
    }
}

/// What an I/O error means for the person who chose the path.
pub(super) fn unusable(path: &Path, error: &io::Error) -> LogError {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.display();
    let reason = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("the folder {folder} does not exist; make it, or choose another log.path")
        }
        io::ErrorKind::NotADirectory => format!("{folder} is not a folder; choose another log.path"),
        io::ErrorKind::IsADirectory => "is a folder; log.path must name a file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!(
                "permission denied; the user that runs sensor-bridge must own {folder} and the file, \
                 and anybody else needs sudo"
            )
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; mount it writable".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full; make room".to_owned(),
        _ => error.to_string(),
    };
    LogError::Unusable { path: path.to_owned(), reason }
}

/// Whether a file may be read or written, without opening it: to close a file gives up every POSIX lock that
/// this process has on it, those of SQLite's connections in other threads included, and then another
/// program's last close would delete the WAL under the daemon (sqlite.org/howtocorrupt.html, 2.2).
pub(super) fn accessible(path: &Path, access: Access) -> Result<(), LogError> {
    let is_folder = std::fs::metadata(path).is_ok_and(|file| file.is_dir());
    let allowed = if is_folder { Err(Errno::ISDIR) } else { rustix::fs::access(path, access) };
    allowed.map_err(|errno| unusable(path, &errno.into()))
}

fn prepare(config: &config::Log, machine: &Machine) -> Result<(Connection, Ids, i64), LogError> {
    let path = &config.path;
    // By hand first: SQLite would only say "unable to open database file".
    match OpenOptions::new().create_new(true).write(true).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            accessible(path, Access::READ_OK | Access::WRITE_OK)?
        }
        Err(error) => return Err(unusable(path, &error)),
    }
    let file = LogFile::from(config);
    let mut connection = writing_connection(&file)?;
    connection.busy_timeout(BUSY).map_err(at(path))?;
    // Until it is known to be ours nothing in it may change, not even by the checkpoint of a close.
    no_checkpoint_on_close(&connection, true).map_err(at(path))?;
    file.first_page(&connection)?;
    let known = schema::STEPS.len() as i64;
    let version = schema::version(&connection, path, known)?;
    no_checkpoint_on_close(&connection, false).map_err(at(path))?;

    let failed = |error: rusqlite::Error| match is_corrupt(&error) {
        true => at(path)(error),
        false => match classify(&error) {
            super::error::Fault::Disk(reason) => LogError::Unusable { path: path.to_owned(), reason },
            super::error::Fault::Request(_) => at(path)(error),
        },
    };
    settings(&connection, config, version == 0).map_err(failed)?;
    let mode: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let reason =
            "this file system has no shared memory for SQLite's WAL (a network drive?); choose a local one";
        return Err(LogError::Unusable { path: path.to_owned(), reason: reason.to_owned() });
    }
    schema::migrate(&mut connection, version, schema::STEPS).map_err(failed)?;
    let (ids, boot_first_row) = begin_epoch(&mut connection, machine).map_err(failed)?;
    // The epoch is on disk before any row of it can leave the house, whatever `log.sync` says.
    synchronous(&connection, config.sync).map_err(failed)?;
    Ok((connection, ids, boot_first_row))
}

/// A connection that may write, with the key given and nothing read.
pub(super) fn writing_connection(file: &LogFile) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file.path, flags).map_err(at(&file.path))?;
    file.unlock(&connection)?;
    Ok(connection)
}

fn no_checkpoint_on_close(connection: &Connection, on: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on).map(|_| ())
}

fn settings(connection: &Connection, config: &config::Log, new: bool) -> rusqlite::Result<()> {
    if new {
        schema::new_file(connection)?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Sub-journals and sorts of a few pages have no business on flash.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -2000)?;
    let most = wal_pages(config.retention.max_size) * PAGE as i64;
    connection.pragma_update_and_check(None, "journal_size_limit", most, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Pages of WAL after which it is copied into the database: SQLite's 1000 (4 MB), less when the whole log
/// may take little more than that.
pub(super) fn wal_pages(max_size: Option<u64>) -> i64 {
    let most = max_size.map_or(1000, |size| size / PAGE / 32);
    most.clamp(16, 1000) as i64
}

fn synchronous(connection: &Connection, sync: config::Sync) -> rusqlite::Result<()> {
    let word = match sync {
        config::Sync::Full => "FULL",
        config::Sync::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", word)
}

/// Writes down a new epoch and where it begins; answers the next ids and where this boot begins.
///
/// The epoch is new at every open, not only at every boot: after a crash with `sync: normal` the last rows
/// may be gone though they were published, and their numbers are given out again under the new epoch.
fn begin_epoch(connection: &mut Connection, machine: &Machine) -> rusqlite::Result<(Ids, i64)> {
    let transaction = connection.transaction()?;
    let next_row: i64 = transaction.query_row(
        "SELECT 1 + max(0, cursor, deleted_reading,
           coalesce((SELECT max(id) FROM reading), 0),
           coalesce((SELECT max(first_row) - 1 FROM epoch), 0),
           coalesce((SELECT max(\"end\") FROM late), 0),
           coalesce((SELECT max(row) FROM in_flight), 0),
           coalesce((SELECT max(row) FROM refusal), 0)) FROM progress",
        [],
        |row| row.get(0),
    )?;
    let next_message = transaction.query_row(
        "SELECT 1 + max(deleted_message, coalesce((SELECT max(id) FROM message), 0)) FROM progress",
        [],
        |row| row.get(0),
    )?;
    // Epochs in which no row was ever committed name nothing.
    transaction.execute("DELETE FROM epoch WHERE first_row >= ?1", [next_row])?;
    transaction.execute(
        "INSERT INTO epoch (first_row, epoch, boot) VALUES (?1, lower(hex(randomblob(4))), ?2)",
        params![next_row, machine.boot_id],
    )?;
    let boot_first_row = transaction.query_row(
        "SELECT min(first_row) FROM epoch
         WHERE id > coalesce((SELECT max(id) FROM epoch WHERE boot <> ?1), 0)",
        [&machine.boot_id],
        |row| row.get(0),
    )?;
    transaction.commit()?;
    Ok((Ids { next_row, next_message }, boot_first_row))
}

/// Renames a damaged database and its WAL, so that a new one can begin and the old one can be examined.
fn put_aside(path: &Path, machine: &Machine) -> Result<PathBuf, LogError> {
    let time = jiff::Timestamp::from_microsecond((machine.now)().wall.0).unwrap_or_default();
    let stamp = time.strftime("%Y%m%dT%H%M%SZ").to_string();
    // The clock may stand still at 1970 from boot to boot: never overwrite an earlier one.
    let names: BTreeSet<PathBuf> = (0..1000)
        .map(|turn| if turn == 0 { String::new() } else { format!("-{turn:03}") })
        .map(|turn| beside(path, &format!(".corrupt-{stamp}{turn}")))
        .collect();
    let Some(target) = names.into_iter().find(|name| !name.exists()) else {
        let reason = "damaged, and there are a thousand damaged ones beside it already".to_owned();
        return Err(LogError::Unusable { path: path.to_owned(), reason });
    };
    // The WAL first: were we to stop halfway, a database without its WAL is again found damaged or whole,
    // but a new database beside an old WAL would be a mixture.
    for suffix in SIDE_FILES.iter().rev() {
        match std::fs::rename(beside(path, suffix), beside(&target, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(path, &error)),
            _ => {}
        }
    }
    Ok(target)
}

/// Opens a log for reading. Never changes it, needs no lock, and works beside the running daemon.
pub(super) fn read_only(file: &LogFile) -> Result<Connection, LogError> {
    let path = &file.path;
    if matches!(path.try_exists(), Ok(false)) {
        return Err(LogError::Missing { path: path.to_owned() });
    }
    accessible(path, Access::READ_OK)?;
    let connection = match reading_connection(file, false) {
        Err(LogError::Sqlite { source, .. }) if needs_immutable(&source) && !has_wal(path) => {
            reading_connection(file, true)?
        }
        other => other?,
    };
    let known = schema::STEPS.len() as i64;
    match schema::version(&connection, path, known)? {
        0 => Err(LogError::Missing { path: path.to_owned() }),
        found if found < known => Err(LogError::Older { path: path.to_owned(), found, known }),
        _ => Ok(connection),
    }
}

/// SQLite needs to make the `-shm` file even to read a WAL database; where we may not write, and no WAL is
/// left over, the file by itself is complete and may be read as one that nobody changes.
fn needs_immutable(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

fn has_wal(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

fn reading_connection(file: &LogFile, immutable: bool) -> Result<Connection, LogError> {
    let path = &file.path;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match immutable {
        false => Connection::open_with_flags(path, flags),
        true => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri(path, "immutable=1"), flags)
        }
    };
    let connection = connection.map_err(at(path))?;
    file.unlock(&connection)?;
    // The first statement that touches the file: opening alone reads nothing.
    file.first_page(&connection)?;
    to_read(&connection).map_err(at(path))?;
    Ok(connection)
}

/// A path as SQLite takes it with something to say about it (sqlite.org/uri.html).
pub(super) fn uri(path: &Path, query: &str) -> String {
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{name}?{query}")
}

fn to_read(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}
