//! Copies the WAL back into the database before it grows long.

use rusqlite::Connection;
use tracing::warn;

/// When and how the WAL is copied.
#[derive(Debug)]
pub(super) struct Checkpointer {}

impl Checkpointer {
    pub fn new() -> Self {
        Self {}
    }

    pub fn after_commit(&mut self, _connection: &Connection) {}

    /// At the end: the whole WAL, and an empty file left of it.
    pub fn last(&self, connection: &Connection) {
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            // Nothing is lost: the next open reads the WAL.
            warn!("log: checkpoint: {error}");
        }
    }
}
