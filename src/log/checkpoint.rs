//! Copies the WAL back into the database before it grows long, in a thread of its own: the copying and its
//! two fsyncs take 10 ms here and far longer on an SD card, and in the writer every commit would wait for it.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tracing::warn;

/// The writer copies by itself when the WAL has grown to this many times its usual length: the thread
/// cannot finish while rows keep coming faster than it copies.
const GUARD: i64 = 4;

/// Rounds in a row; each finds what was committed during the one before.
const ROUNDS: usize = 4;

/// When and how the WAL is copied.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Pages of WAL after which it is copied.
    pages: i64,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Checkpointer {
    /// Starts the thread. Where that fails the writer goes on copying by itself.
    pub fn new(writer: &Connection, path: &Path, pages: i64) -> Self {
        let thread = match start(path) {
            Ok(thread) => Some(thread),
            Err(error) => {
                warn!("log: no thread for checkpoints: {error}");
                None
            }
        };
        let guard = if thread.is_some() { pages * GUARD } else { pages };
        if let Err(error) = writer.pragma_update_and_check(None, "wal_autocheckpoint", guard, |_| Ok(())) {
            warn!("log: wal_autocheckpoint: {error}");
        }
        Self { pages, thread }
    }

    /// Wakes the thread when there is enough to copy.
    pub fn after_commit(&mut self, connection: &Connection) {
        let Some((wake, _)) = &self.thread else { return };
        // NOOP only looks: no lock, no I/O. An error here is one that the next commit will meet as well.
        if uncopied(connection, "NOOP").is_ok_and(|pages| pages >= self.pages) {
            // Full means that it is awake already.
            wake.try_send(()).ok();
        }
    }

    /// At the end: the whole WAL, and an empty file left of it.
    pub fn last(&mut self, connection: &Connection) {
        self.stop();
        if let Err(error) = uncopied(connection, "TRUNCATE") {
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

fn start(path: &Path) -> Result<(SyncSender<()>, JoinHandle<()>), Box<dyn std::error::Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Checkpoints pass by the page cache.
    connection.pragma_update(None, "cache_size", 10)?;
    let (wake, woken) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("log checkpoint".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || run(&connection, &woken))?;
    Ok((wake, thread))
}

fn run(connection: &Connection, woken: &Receiver<()>) {
    let mut trouble = None;
    while woken.recv().is_ok() {
        for _ in 0..ROUNDS {
            match uncopied(connection, "PASSIVE") {
                Ok(0) => break,
                Ok(_) => trouble = None,
                Err(error) => {
                    // A full disk says the same at every turn: once is enough.
                    let text = error.to_string();
                    if trouble.as_ref() != Some(&text) {
                        warn!("log: checkpoint: {text}");
                        trouble = Some(text);
                    }
                    break;
                }
            }
        }
    }
}

/// Runs a checkpoint; answers how many pages of the WAL are still to be copied.
fn uncopied(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| Ok((row.get::<_, i64>(1)? - row.get::<_, i64>(2)?).max(0)))
}
