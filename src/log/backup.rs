//! A copy of the log in one file, made while the daemon writes. It has the key of the log, another, or none: so a log
//! becomes an encrypted one, and one that is not.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{LogError, at};
use super::file::LogFile;
use super::open::{PAGE, beside, read_only, unusable, uri, writing_connection};
use super::schema;

/// Pages copied at a time; 4 MB.
const PAGES: i32 = 1024;

/// A lock that does not go away for so long is an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Bytes.
    pub bytes: u64,
}

/// Copies the log at `from` to a new file, with the key that it names. `progress` hears pages done and pages in all.
///
/// The copy is the log as it was at one moment: the whole of it is read under one snapshot, which costs the
/// daemon nothing but a longer WAL meanwhile. It is checked, written to disk, and only then given its name,
/// so that what bears the name is always whole.
///
/// # Errors
/// [`LogError::Unusable`] when `to` exists (unless `force`) or cannot be written; what SQLite says.
pub fn to(
    from: impl Into<LogFile>,
    to: impl Into<LogFile>,
    force: bool,
    mut progress: impl FnMut(u64, u64),
) -> Result<Copied, LogError> {
    let (from, LogFile { path: to, key }) = (&from.into(), to.into());
    let to = &to;
    let refuse = |reason: &str| LogError::Unusable { path: to.to_owned(), reason: reason.to_owned() };
    if same_file(&from.path, to) {
        return Err(refuse("is the log itself; give the backup another name"));
    }
    if to.exists() && !force {
        return Err(refuse("exists already; give another name, or --force to replace it"));
    }
    // It would lose its name to the copy, and a folder cannot.
    if to.exists() && !to.is_file() {
        return Err(refuse("is no file; give another name"));
    }
    let source = read_only(from)?;
    let part = beside(to, ".part");
    remove(&part).map_err(|error| unusable(&part, &error))?;
    let target = LogFile { path: part.clone(), key: key.clone() };
    let done = copy(&source, from, &target, &mut progress).and_then(|bytes| {
        fs::File::open(&part).and_then(|file| file.sync_all()).map_err(|error| unusable(&part, &error))?;
        fs::rename(&part, to).map_err(|error| unusable(to, &error))?;
        Ok(Copied { bytes })
    });
    if done.is_err()
        && let Err(error) = remove(&part)
    {
        tracing::warn!("{}: {error}", part.display());
    }
    done
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn copy(
    source: &Connection,
    from: &LogFile,
    to: &LogFile,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, LogError> {
    let part = &to.path;
    fs::File::create_new(part).map_err(|error| unusable(part, &error))?;
    if from.key.is_some() != to.key.is_some() {
        return export(source, from, to, progress);
    }
    let mut target = writing_connection(to)?;
    // It has another name until it is whole, so a journal would protect nothing.
    target.pragma_update(None, "synchronous", "OFF").map_err(at(part))?;
    // One read transaction around it all: without it every commit of the daemon would begin it anew.
    source.execute_batch("BEGIN").map_err(at(&from.path))?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(at(&from.path))?;
    let pages = steps(source, &mut target, progress).map_err(no_room(part))?;
    source.execute_batch("COMMIT").map_err(at(&from.path))?;
    finish(target, from, part)?;
    Ok(pages * PAGE)
}

/// What an error while writing the copy means.
fn no_room(part: &Path) -> impl Fn(rusqlite::Error) -> LogError + '_ {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => LogError::Unusable {
            path: part.to_owned(),
            reason: "no room for the backup on this disk".to_owned(),
        },
        _ => at(part)(error),
    }
}

/// Table by table, because pages with a key and pages without have different room in them: what is encrypted in one
/// of the two is not in the other.
fn export(
    source: &Connection,
    from: &LogFile,
    to: &LogFile,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, LogError> {
    let part = &to.path;
    let numbers = ["user_version", "application_id", "page_count"]
        .map(|name| source.pragma_query_value(None, name, |row| row.get::<_, i64>(0)));
    let [version, application, pages] = numbers;
    let pages = pages.map_err(at(&from.path))?.unsigned_abs();
    progress(0, pages);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
    let target = Connection::open_with_flags(uri(part, "mode=rw"), flags).map_err(at(part))?;
    to.unlock(&target)?;
    let set_up = || {
        schema::new_file(&target)?;
        target.pragma_update(None, "synchronous", "OFF")?;
        target.pragma_update(None, "temp_store", "MEMORY")?;
        // Tables come before what they refer to.
        target.pragma_update(None, "foreign_keys", false)?;
        target.execute("ATTACH ?1 AS log KEY ?2", [uri(&from.path, "mode=ro"), from.attached(false)?])
    };
    set_up().map_err(at(part))?;
    let copied = || {
        // Two names: to where, from where. One snapshot, as above.
        target.execute_batch("BEGIN")?;
        target.query_row("SELECT sqlcipher_export('main', 'log')", [], |_| Ok(()))?;
        target.pragma_update(None, "application_id", application?)?;
        target.pragma_update(None, "user_version", version?)?;
        target.execute_batch("COMMIT; DETACH log")
    };
    copied().map_err(no_room(part))?;
    finish(target, from, part)?;
    progress(pages, pages);
    fs::metadata(part).map(|file| file.len()).map_err(|error| unusable(part, &error))
}

/// Checks the copy and closes it.
fn finish(target: Connection, from: &LogFile, part: &Path) -> Result<(), LogError> {
    // Fewer files to carry about, and readable where nothing can be written.
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(at(part))?;
    let verdict: String =
        target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(at(part))?;
    if verdict != "ok" {
        return Err(LogError::Corrupt {
            path: from.path.clone(),
            detail: format!("the copy is damaged: {verdict}"),
        });
    }
    target.close().map_err(|(_, error)| at(part)(error))
}

fn steps(
    source: &Connection,
    target: &mut Connection,
    progress: &mut dyn FnMut(u64, u64),
) -> rusqlite::Result<u64> {
    let backup = Backup::new(source, target)?;
    let mut waited = Duration::ZERO;
    loop {
        let step = backup.step(PAGES)?;
        let state = backup.progress();
        let total = u64::from(state.pagecount.unsigned_abs());
        progress(total - u64::from(state.remaining.unsigned_abs()), total);
        match step {
            StepResult::Done => return Ok(total),
            StepResult::More => waited = Duration::ZERO,
            _ if waited < PATIENCE => {
                std::thread::sleep(Duration::from_millis(100));
                waited += Duration::from_millis(100);
            }
            _ => {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(5),
                    Some("locked".to_owned()),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Reader;
    use crate::log::testing::*;

    #[test]
    fn a_backup_of_a_log_being_written_is_whole() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("a"), channel("b")]).unwrap();
        let sample = |time| vec![reading(ids[0], time, 1.5), reading(ids[1], time, 2.5)];
        for turn in 0..5_000 {
            log.append(sample(NOON + turn)).unwrap();
        }
        until_committed(&log, 10_000);
        let target = folder.folder.path().join("copy.db");
        let mut heard = Vec::new();
        let copied = to(&folder.path(), &target, false, |done, total| {
            // The daemon goes on meanwhile.
            log.append(sample(NOON)).unwrap();
            heard.push((done, total));
        });
        let copied = copied.unwrap();
        assert_eq!(copied.bytes, fs::metadata(&target).unwrap().len());
        assert_eq!(heard.last().map(|(done, total)| done == total), Some(true));
        let reader = Reader::open(&target).unwrap();
        assert_eq!(reader.last_row().unwrap(), 10_000);
        drop(reader);

        let again = to(&folder.path(), &target, false, |_, _| {}).unwrap_err().to_string();
        assert!(again.contains("--force"), "{again}");
        to(&folder.path(), &target, true, |_, _| {}).unwrap();
        let itself = to(&folder.path(), &folder.path(), true, |_, _| {}).unwrap_err().to_string();
        assert!(itself.contains("the log itself"), "{itself}");
        let nowhere = to(&folder.path(), &folder.folder.path().join("no/copy.db"), true, |_, _| {});
        assert!(nowhere.unwrap_err().to_string().contains("does not exist"));
        // The copy can be gone on with.
        drop(log);
        let restored = crate::config::Log { path: target, ..folder.config.clone() };
        crate::log::Log::open(&restored, &machine(), &folder.board).unwrap();
    }
}
