//! The SQLite log: readings, mirrored messages, and how far each has been delivered.
//!
//! One writer thread owns the only write connection and commits whatever is waiting in one transaction
//! (group commit). The log *is* the outbox: delivery is a cursor over row ids, never a second copy.
//! This room does not know MQTT: a "destination" is somebody who keeps a cursor.
//!
//! | file | its job |
//! |---|---|
//! | `file`, `open` | from a path and a key to a connection that can be trusted |
//! | `schema` | tables, versions, migrations |
//! | `inbox` | the bounded queue to the writer |
//! | `writer` | when to commit; what to do when that fails |
//! | `store` | one transaction |
//! | `channel`, `command`, `delivery`, `mirror`, `refused_message`, `gap`, `picture` | their tables |
//! | `checkpoint`, `retention`, `age`, `album` | the writer's chores |
//! | `reader` | rows for the publisher |
//! | `query`, `glance`, `times`, `backup`, `look`, `extent`, `newest` | what people ask for |
//! | `rollup`, `pieces` | what many readings come to, kept and read |
//! | `series`, `silence`, `latest` | what is drawn: few points, gaps, newest values |
//! | `intake`, `delivered` | readings from elsewhere, and what has left |

mod age;
mod album;
pub mod backup;
mod channel;
mod checkpoint;
mod command;
mod delivered;
mod delivery;
mod error;
mod extent;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gap;
pub mod gather;
pub mod glance;
mod inbox;
pub mod intake;
pub mod latest;
pub mod look;
mod messages;
mod mirror;
mod newest;
mod open;
mod picture;
mod pieces;
pub mod query;
mod reader;
mod refused_message;
mod retention;
mod rollup;
mod schema;
pub mod series;
mod silence;
mod store;
mod stretch;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod times;
mod writer;

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use crate::config;
use crate::reading::{Channel, ChannelId, Moment, Qos, Reading, Timestamp};
use crate::status::Board;

pub use command::{
    CommandAnswer, CommandLogged, CommandStep, CommandsLeft, Interrupted, NewCommand, PendingReply, ReplyTo,
};
pub use error::{Busy, LogError};
pub use extent::Extent;
pub use file::{ENCRYPTS, LogFile};
pub use messages::Message;
pub use newest::{Newest, Refusal};
pub use reader::Reader;

use inbox::{Inbox, Job};

/// What the log needs to know of the machine, passed in so that tests can play a reboot.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Random id of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// The clock.
    pub now: fn() -> Moment,
}

/// Handle on the open log. Cheap to clone; all clones share the writer thread. When the last one is
/// dropped, what is waiting is committed and the writer ends.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: LogFile,
    boot_id: String,
    inbox: Arc<Inbox>,
    gap_channel: Arc<AtomicI64>,
    unsynced: Arc<AtomicBool>,
    committed: watch::Receiver<i64>,
    writer: Mutex<Option<JoinHandle<Result<(), LogError>>>>,
    /// Nobody else may write as long as this is open.
    lock: Mutex<Option<File>>,
}

impl Log {
    /// Opens or creates the database, migrates it, begins a new epoch and starts the writer.
    ///
    /// A damaged file is renamed to `<path>.corrupt-<time>` and a new one begun: the machine goes on
    /// logging, and the part `log` says so. Everything else that is wrong with the file is an error, and
    /// the file is left as it is.
    pub fn open(config: &config::Log, machine: &Machine, board: &Board) -> Result<Log, LogError> {
        let part = board.part("log");
        let opened = open::open(config, machine)?;
        let notice = opened.set_aside.map(|aside| {
            format!("the database was damaged; it is kept as {} and a new one was begun", aside.display())
        });
        let gap_channel = Arc::new(AtomicI64::new(0));
        let inbox = Arc::new(Inbox::default());
        let (sender, committed) = watch::channel(opened.last_row);
        let file = LogFile::from(config);
        let pages = open::wal_pages(config.retention.max_size);
        let checkpointer = checkpoint::Checkpointer::new(&opened.connection, &file, pages);
        let store =
            store::Store::new(opened.connection, opened.ids, opened.boot_first_row, gap_channel.clone());
        let unsynced = store.unsynced();
        let writer = writer::Writer::new(writer::Parts {
            store,
            inbox: inbox.clone(),
            machine: machine.clone(),
            path: config.path.clone(),
            commit_interval: config.commit_interval,
            committed: sender,
            part,
            notice,
            sweeper: retention::Sweeper::new(config.retention.clone()),
            roller: rollup::Roller::new(opened.rolled, opened.last_row),
            checkpointer,
        });
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| open::unusable(&config.path, &error))?;
        Ok(Log {
            shared: Arc::new(Shared {
                file,
                boot_id: machine.boot_id.clone(),
                inbox,
                gap_channel,
                unsynced,
                committed,
                writer: Mutex::new(Some(thread)),
                lock: Mutex::new(Some(opened.lock)),
            }),
        })
    }

    /// Row ids of channels, inserting those not seen before. Durable when it returns.
    pub fn register(&self, channels: &[Channel]) -> Result<Vec<ChannelId>, LogError> {
        self.shared.inbox.ask(|reply| Job::Register(channels.to_vec(), reply))
    }

    /// Returns when everything handed over before is durable.
    pub fn flush(&self) -> Result<(), LogError> {
        // Whoever registers waits for a commit, and a commit takes everything that waits.
        self.register(&[]).map(drop)
    }

    /// Names the channel under which lost readings are recorded.
    pub fn set_gap_channel(&self, channel: ChannelId) {
        self.shared.gap_channel.store(channel.0, Ordering::Relaxed);
        // Losses of the last run may wait to be told of.
        self.shared.inbox.nudge();
    }

    /// Hands over one sample: its readings get consecutive rows and are committed together. Never blocks.
    ///
    /// Answers [`Busy`] when the queue is full, or the log closed; the caller counts the sample with
    /// [`Log::record_loss`]. A reading of a channel that was never registered is dropped with its sample,
    /// counted (`rejected`) and logged.
    pub fn append(&self, sample: Vec<Reading>) -> Result<(), Busy> {
        self.shared.inbox.append(sample)
    }

    /// Notes `count` readings that are lost because [`Log::append`] was [`Busy`]. They become a gap record
    /// and a reading of the gap channel as soon as the disk takes them. Never blocks.
    pub fn record_loss(&self, count: u64) {
        self.shared.inbox.record_loss(count);
    }

    /// Goes on with the retention and commit interval of this configuration. Its path, what a commit
    /// survives and how long the write-ahead log may get stay those that it was opened with.
    pub fn limit(&self, config: &config::Log) {
        self.shared.inbox.limit(config.retention.clone(), config.commit_interval);
    }

    /// The highest committed row; changes after each commit that added rows.
    pub fn committed(&self) -> watch::Receiver<i64> {
        self.shared.committed.clone()
    }

    /// A read-only connection of the caller's own; never waits for the writer.
    pub fn reader(&self) -> Result<Reader, LogError> {
        Reader::of_boot(&self.shared.file, Some(self.shared.boot_id.clone()))
    }

    /// Gives every uncorrected reading of this boot its true time: time since boot + `offset`, both µs.
    ///
    /// Samples appended later are not corrected by themselves, though one may have been taken before the clock was
    /// right: call it again when [`Log::has_unsynced`].
    pub fn correct_clock(&self, offset: i64) -> Result<(), LogError> {
        self.shared.inbox.ask(|reply| Job::Correct(offset, reply))
    }

    /// Whether readings came with a time that is not synchronised, since this log was opened and since the last correction.
    pub fn has_unsynced(&self) -> bool {
        self.shared.unsynced.load(Ordering::Relaxed)
    }

    /// How far delivery had come when the log was opened or last saved.
    pub fn delivery(&self) -> Result<DeliveryState, LogError> {
        delivery::load(&open::read_only(&self.shared.file)?).map_err(error::at(&self.shared.file.path))
    }

    /// Saves progress of delivery. With `Urgency::Now` in the next transaction, at once; with
    /// `Urgency::Due` in whatever transaction comes next, or by itself within a second, but not sooner after the
    /// last commit than `log.commit_interval`. Never blocks, and any number of updates cost one write: they are folded together in memory.
    /// The receiver answers when it is durable.
    pub fn save_delivery(
        &self,
        update: DeliveryUpdate,
        urgency: Urgency,
    ) -> Result<oneshot::Receiver<()>, LogError> {
        self.shared.inbox.deliver(update, urgency)
    }

    /// What is kept for a mirror of this id.
    pub fn mirror_state(&self, mirror: &str) -> Result<MirrorState, LogError> {
        mirror::load(&open::read_only(&self.shared.file)?, mirror).map_err(error::at(&self.shared.file.path))
    }

    /// Stores what a mirror received. Blocks until it is durable: do not call it on an async thread.
    ///
    /// On a failing disk it waits ten seconds and then answers [`LogError::Disk`]; after that, and after
    /// [`LogError::Refused`] (a table that cannot be used, wrong number of fields), nothing of the batch is
    /// stored and the same batch may be handed over again.
    pub fn store(&self, batch: MirrorBatch) -> Result<Stored, LogError> {
        self.shared.inbox.ask(|reply| Job::Store(Box::new(batch), Instant::now(), reply))
    }

    /// Notes steps in the life of commands, in one transaction; one answer each. Blocks until it is durable: do
    /// not call it on an async thread.
    ///
    /// On a failing disk it waits as [`Log::store`] does; nothing is noted then.
    pub fn note_commands(&self, steps: Vec<CommandStep>) -> Result<Vec<CommandLogged>, LogError> {
        self.shared.inbox.ask(|reply| Job::Command(steps, Instant::now(), reply))
    }

    /// What an earlier run left of commands; to be asked before any is noted.
    pub fn commands_left(&self, now: Timestamp) -> Result<CommandsLeft, LogError> {
        command::left(&open::read_only(&self.shared.file)?, now).map_err(error::at(&self.shared.file.path))
    }

    /// Whether anything is logged: false once the log is closed, or its writer has ended by a fault of the program.
    pub fn is_running(&self) -> bool {
        self.shared.inbox.has_writer()
    }

    /// Commits what is waiting, checkpoints, and ends the writer; later calls answer [`LogError::Closed`].
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.close().unwrap_or(Err(LogError::Closed))
    }
}

impl Shared {
    /// `None` when it is closed already.
    fn close(&self) -> Option<Result<(), LogError>> {
        self.inbox.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // A writer that panicked has said so; its connection is closed either way.
        let done = writer.join().unwrap_or(Err(LogError::Closed));
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        Some(done)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.close() {
            tracing::error!("log: closing: {error}");
        }
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
    /// Identity (`epoch`, `row`) when it is a message of ours, or the id that another program gave it and 0: a second one
    /// on the same topic is dropped.
    pub id: Option<(String, i64)>,
    /// Values for the user's table, in the order of its columns.
    pub fields: Option<Vec<rusqlite::types::Value>>,
    /// Readings that it tells of, for [`MirrorBatch::readings`].
    pub told: Vec<Told>,
}

/// A reading that a message of another program tells of.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// By the name that the program gives it.
    pub device: Option<String>,
    /// Part of the device, if it has several.
    pub sensor: Option<String>,
    /// As the message calls it.
    pub quantity: String,
    /// A number, 0 or 1 for a truth value, a text; or nothing.
    pub value: rusqlite::types::Value,
    /// If it is known for certain.
    pub unit: Option<String>,
    /// When it was taken, as the message says.
    pub taken: Option<Timestamp>,
}

/// A message that a mirror refused.
#[derive(Debug, Clone)]
pub struct RefusedMessage {
    /// As it came; identity and fields mean nothing here.
    pub message: NewMessage,
    /// Why, in words that follow its name.
    pub reason: String,
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
    /// Messages for the view `refused_messages`, of which the newest are kept.
    pub refused: Vec<RefusedMessage>,
    /// The user's table that `NewMessage::told` go to, one row each; created when missing.
    pub readings: Option<String>,
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
