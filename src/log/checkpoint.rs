//! Copies the WAL back into the database before it grows long, in a thread of its own: the copying and its
//! two fsyncs take 10 ms here and far longer on an SD card, and in the writer every commit would wait for it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tracing::warn;

use super::file::LogFile;
use super::open::{self, PAGE, beside};

/// The writer copies by itself when the WAL has grown to this many times its usual length: the thread
/// cannot finish while rows keep coming faster than it copies, and only a WAL copied to its end begins anew.
pub(super) const GUARD: i64 = 4;

/// Rounds in a row; each finds what was committed during the one before.
const ROUNDS: usize = 4;

/// When and how the WAL is copied.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Pages of WAL after which it is copied.
    pages: i64,
    /// Pages at which the writer does it.
    guard: i64,
    /// Held while copying: SQLite would let a second one go away empty-handed.
    copying: Arc<Mutex<()>>,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

/// Pages in the WAL, and how many of them are not in the database yet.
struct Wal {
    pages: i64,
    uncopied: i64,
}

impl Checkpointer {
    /// Starts the thread. Where that fails the writer goes on copying by itself.
    pub fn new(writer: &Connection, file: &LogFile, pages: i64) -> Self {
        let copying = Arc::new(Mutex::new(()));
        let thread = match start(file, pages, copying.clone()) {
            Ok(thread) => Some(thread),
            Err(error) => {
                warn!("log: no thread for checkpoints: {error}");
                None
            }
        };
        if let Err(error) = writer.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(())) {
            warn!("log: wal_autocheckpoint: {error}");
        }
        Self { pages, guard: pages * GUARD, copying, thread }
    }

    /// Wakes the thread when there is enough to copy; copies by itself when that was not enough.
    ///
    /// Errors are left alone here: the next commit meets them as well, and says so.
    pub fn after_commit(&mut self, connection: &Connection) {
        // NOOP only looks: no lock, no I/O.
        let Ok(wal) = checkpoint(connection, "NOOP") else { return };
        let own = if self.thread.is_some() { self.guard } else { self.pages };
        if wal.pages < own {
            self.guard = self.pages * GUARD;
            if wal.uncopied >= self.pages {
                self.wake();
            }
            return;
        }
        let _copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoint(connection, "PASSIVE").ok();
        // Somebody who reads for long keeps the WAL from beginning anew: then not again at every commit.
        self.guard = wal.pages + self.pages * GUARD;
    }

    /// Wakes the thread, which also cuts a WAL that has grown too long.
    pub fn wake(&self) {
        if let Some((wake, _)) = &self.thread {
            // Full means that it is awake already.
            wake.try_send(()).ok();
        }
    }

    /// At the end: the whole WAL, and an empty file left of it.
    pub fn last(&mut self, connection: &Connection) {
        self.stop();
        if let Err(error) = checkpoint(connection, "TRUNCATE") {
            // Nothing is lost: the next open reads the WAL.
            warn!("log: checkpoint: {error}");
        }
    }

    fn stop(&mut self) {
        if let Some((wake, thread)) = self.thread.take() {
            drop(wake);
            // A panic of the thread has been printed; there is nothing to add.
            thread.join().ok();
        }
    }
}

impl Drop for Checkpointer {
    /// Its connection must be closed before the lock on the log is let go.
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(
    file: &LogFile,
    pages: i64,
    copying: Arc<Mutex<()>>,
) -> Result<(SyncSender<()>, JoinHandle<()>), Box<dyn std::error::Error>> {
    let connection = open::writing_connection(file)?;
    // Checkpoints pass by the page cache.
    connection.pragma_update(None, "cache_size", 10)?;
    // Waiting for a reader while holding up the writer is what this must never do.
    connection.busy_timeout(Duration::ZERO)?;
    let (wake, woken) = sync_channel(1);
    let wal = beside(&file.path, "-wal");
    let thread = std::thread::Builder::new()
        .name("log checkpoint".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || run(&connection, &woken, &copying, &wal, pages))?;
    Ok((wake, thread))
}

fn run(connection: &Connection, woken: &Receiver<()>, copying: &Mutex<()>, wal: &PathBuf, pages: i64) {
    let mut trouble = None;
    while woken.recv().is_ok() {
        let copied = {
            let _copying = copying.lock().unwrap_or_else(PoisonError::into_inner);
            copy(connection, wal, pages)
        };
        match copied {
            Ok(()) => trouble = None,
            Err(error) => {
                // A full disk says the same at every turn: once is enough.
                let text = error.to_string();
                if trouble.as_ref() != Some(&text) {
                    warn!("log: checkpoint: {text}");
                    trouble = Some(text);
                }
            }
        }
    }
}

fn copy(connection: &Connection, wal: &PathBuf, pages: i64) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS {
        if checkpoint(connection, "PASSIVE")?.uncopied == 0 {
            break;
        }
    }
    // The file keeps its greatest length until somebody cuts it; the writer does so only with new rows.
    let length = std::fs::metadata(wal).map_or(0, |file| file.len());
    if length > pages.unsigned_abs() * PAGE * 3 / 2 {
        checkpoint(connection, "TRUNCATE")?;
    }
    Ok(())
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Wal> {
    connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?.query_row([], |row| {
        let (pages, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(Wal { pages, uncopied: (pages - copied).max(0) })
    })
}
