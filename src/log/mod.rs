//! The SQLite log: readings, mirrored messages, and how far each has been delivered.
//!
//! One writer thread owns the only write connection and commits whatever is waiting in one transaction
//! (group commit). The log *is* the outbox: delivery is a cursor over row ids, never a second copy.
//! This room does not know MQTT: a "destination" is somebody who keeps a cursor.

use std::path::{Path, PathBuf};

use tokio::sync::{oneshot, watch};

use crate::config;
use crate::reading::{Channel, ChannelId, Logged, Moment, Qos, Reading, Timestamp};
use crate::status::Board;

/// What the log needs to know of the machine, passed in so that tests can play a reboot.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Random id of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// The clock.
    pub now: fn() -> Moment,
}

/// Handle on the open log. Cheap to clone; all clones share the writer thread.
#[derive(Debug, Clone)]
pub struct Log {}

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
    // … corrupt, locked by another sensor-bridge, read-only, full, not ours …
    /// The writer has ended.
    #[error("the log is closed")]
    Closed,
}

/// The queue to the writer is full: the disk does not keep up. The sample was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log's queue is full")]
pub struct Busy;

impl Log {
    /// Opens or creates the database, migrates it, begins a new epoch and starts the writer.
    pub fn open(_config: &config::Log, _machine: &Machine, _board: &Board) -> Result<Log, LogError> {
        todo!()
    }

    /// Row ids of channels, inserting those not seen before. Durable when it returns.
    pub fn register(&self, _channels: &[Channel]) -> Result<Vec<ChannelId>, LogError> {
        todo!()
    }

    /// Names the channel under which lost readings are recorded.
    pub fn set_gap_channel(&self, _channel: ChannelId) {
        todo!()
    }

    /// Hands over one sample: its readings get consecutive rows and are committed together. Never blocks.
    pub fn append(&self, _sample: Vec<Reading>) -> Result<(), Busy> {
        todo!()
    }

    /// The highest committed row; changes after each commit that added rows.
    pub fn committed(&self) -> watch::Receiver<i64> {
        todo!()
    }

    /// A read-only connection of the caller's own; never waits for the writer.
    pub fn reader(&self) -> Result<Reader, LogError> {
        todo!()
    }

    /// Gives every uncorrected reading of this boot its true time: time since boot + `offset`, both µs.
    pub fn correct_clock(&self, _offset: i64) -> Result<(), LogError> {
        todo!()
    }

    /// How far delivery had come when the log was opened or last saved.
    pub fn delivery(&self) -> Result<DeliveryState, LogError> {
        todo!()
    }

    /// Saves progress of delivery. With `Urgency::Now` in the next transaction, at once; with
    /// `Urgency::Due` in whatever transaction comes next, or by itself within a second.
    /// The receiver answers when it is durable.
    pub fn save_delivery(
        &self,
        _update: DeliveryUpdate,
        _urgency: Urgency,
    ) -> Result<oneshot::Receiver<()>, LogError> {
        todo!()
    }

    /// What is kept for a mirror of this id.
    pub fn mirror_state(&self, _mirror: &str) -> Result<MirrorState, LogError> {
        todo!()
    }

    /// Stores what a mirror received. Blocks until it is durable.
    pub fn store(&self, _batch: MirrorBatch) -> Result<Stored, LogError> {
        todo!()
    }

    /// Commits what is waiting, checkpoints, and ends the writer; later calls answer [`LogError::Closed`].
    pub fn close(&self) -> Result<(), LogError> {
        todo!()
    }
}

/// A range of rows that still wait to be delivered, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRange {
    /// Oldest row not acknowledged.
    pub next: i64,
    /// Last row.
    pub end: i64,
}

/// How far a QoS 2 hand-shake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The PUBLISH may have been sent.
    Sent,
    /// The PUBREC was seen: the PUBREL may have been sent, the PUBLISH must not be sent again.
    Released,
    /// Finished, but the cursor has not passed it yet.
    Done,
}

/// One QoS 2 reading in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// First row of the message.
    pub row: i64,
    /// MQTT packet id; meaningless once done.
    pub packet_id: u16,
    /// How far.
    pub stage: Stage,
}

/// Delivery as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryState {
    /// Every row up to and including this one is delivered, or stands in `late`.
    pub cursor: i64,
    /// Older rows that follow late (`backlog: live-first`), oldest first, not overlapping.
    pub late: Vec<RowRange>,
    /// QoS 2 hand-shakes not finished, and those finished beyond the cursor, by row.
    pub in_flight: Vec<InFlight>,
}

/// A change of [`DeliveryState`].
#[derive(Debug, Clone, Default)]
pub struct DeliveryUpdate {
    /// New cursor.
    pub cursor: Option<i64>,
    /// New list of late ranges.
    pub late: Option<Vec<RowRange>>,
    /// Forget every hand-shake first (the broker has no session any more).
    pub forget_all: bool,
    /// Hand-shakes begun or advanced.
    pub in_flight: Vec<InFlight>,
    /// Rows whose hand-shake need not be remembered any more.
    pub forget: Vec<i64>,
    /// Rows that the broker refused for good, with the reason: kept for the operator, never sent again.
    pub refused: Vec<(i64, String)>,
}

/// How soon an update must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// With whatever is committed next.
    Due,
    /// At once.
    Now,
}

/// One message received for a mirror.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Topic name.
    pub topic: String,
    /// When it was received.
    pub received: Moment,
    /// Quality of service it came with.
    pub qos: Qos,
    /// Retain flag it came with.
    pub retained: bool,
    /// Payload.
    pub payload: Vec<u8>,
    /// Identity (`epoch`, `row`) when it is a message of ours: a second one on the same topic is dropped.
    pub id: Option<(String, i64)>,
    /// Values for the user's table, in the order of its columns.
    pub fields: Option<Vec<rusqlite::types::Value>>,
}

/// What a mirror stores in one transaction.
#[derive(Debug, Clone, Default)]
pub struct MirrorBatch {
    /// The mirror's id.
    pub mirror: String,
    /// Messages for the `messages` view (none for a CSV mirror).
    pub messages: Vec<NewMessage>,
    /// The user's table that `NewMessage::fields` go to; created or widened when missing.
    pub table: Option<config::Table>,
    /// Forget all held packet ids first (the broker has no session any more).
    pub forget_all: bool,
    /// QoS 2 packet ids taken but not released yet, with a hash of topic and payload.
    pub held: Vec<(u16, i64)>,
    /// QoS 2 packet ids released by the broker.
    pub released: Vec<u16>,
    /// What is about to be written to a CSV file.
    pub intent: Option<Intent>,
    /// The topic filters now subscribed.
    pub subscribed: Option<Vec<(String, Qos)>>,
}

/// Bytes about to be appended to a file, written down first: after a crash the file either ends with
/// exactly these bytes (keep them) or is cut back to `from` (they were never acknowledged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// File.
    pub file: String,
    /// Its length before, bytes.
    pub from: u64,
    /// Its length after, bytes.
    pub to: u64,
    /// SHA-256 of the bytes between, hexadecimal.
    pub sha256: String,
    /// QoS 2 packet ids whose messages are among them.
    pub packet_ids: Vec<u16>,
}

/// What came of a [`MirrorBatch`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Messages dropped because one of the same topic and `id` was there already.
    pub repeats: usize,
}

/// What the log keeps for a mirror.
#[derive(Debug, Clone, Default)]
pub struct MirrorState {
    /// QoS 2 packet ids held, with hash.
    pub held: Vec<(u16, i64)>,
    /// The last intent.
    pub intent: Option<Intent>,
    /// Topic filters subscribed in the broker's session.
    pub subscribed: Vec<(String, Qos)>,
}

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// Opens a log for reading only, as `query`, `tail` and `export` do; the daemon may be running.
    pub fn open(_path: &Path) -> Result<Reader, LogError> {
        todo!()
    }

    /// Committed readings with `after < row ≤ until`, oldest first, at most `limit` rows, of channels
    /// that are published. A sample is never torn apart: `limit` may be passed to finish it.
    pub fn outgoing(&mut self, _after: i64, _until: i64, _limit: usize) -> Result<Vec<Logged>, LogError> {
        todo!()
    }

    /// Published rows with `after < row ≤ until`: how many, and when the oldest was taken.
    pub fn waiting(&mut self, _after: i64, _until: i64) -> Result<(u64, Option<Timestamp>), LogError> {
        todo!()
    }
}
