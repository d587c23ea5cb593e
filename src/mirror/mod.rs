//! Incoming messages → sinks: SQLite and CSV. One file a sink, one contract suite over all of them.
//!
//! A sink answers only when what it was given is durable; whoever feeds it acknowledges to the broker after
//! that and not before. This room knows neither `rumqttc` nor connections: it sees messages, packet ids
//! that must be remembered, and packet ids that may be forgotten.

mod checked;
mod csv;
mod field;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod health;
mod identity;
mod shape;
mod sqlite;
mod worker;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod fake;

use std::path::PathBuf;

pub use health::{Aspect, Health};
pub use identity::identity;
pub use worker::{Answer, Job, Left, Worker};

use crate::config;
use crate::log::{Log, LogError, MirrorBatch, MirrorState};
use crate::reading::{Moment, Qos};

/// One message as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service it came with.
    pub qos: Qos,
    /// Retain flag it came with.
    pub retained: bool,
    /// When it was received.
    pub received: Moment,
    /// MQTT packet id; 0 at QoS 0.
    pub packet_id: u16,
    /// The broker said that it may have sent it before.
    pub dup: bool,
    /// [`fingerprint`] of topic and payload: with the packet id it tells a QoS 2 message sent again from a
    /// new one that got the same packet id.
    pub hash: i64,
    /// Where the sender wants an answer (MQTT 5).
    pub response: Option<Response>,
}

/// Where the sender of a message wants an answer, by the properties of MQTT 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Response Topic.
    pub topic: String,
    /// Correlation Data, to be sent back as they are.
    pub correlation: Option<Vec<u8>>,
}

/// An answer to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// By which the sink knows it.
    pub number: i64,
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Correlation Data (MQTT 5).
    pub correlation: Option<Vec<u8>>,
}

/// What a sink is given to make durable, all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Messages in the order received. The packet ids of those at QoS 2 are held from now on.
    pub messages: Vec<Incoming>,
    /// Forget all held packet ids first: the broker has no session any more.
    pub forget_all: bool,
    /// QoS 2 packet ids that the broker released before these messages came.
    pub released: Vec<u16>,
    /// The topic filters now subscribed in the broker's session.
    pub subscribed: Option<Vec<(String, Qos)>>,
    /// Numbers of answers that the broker has acknowledged.
    pub answered: Vec<i64>,
}

impl Batch {
    /// Nothing to store and nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && !self.has_notes()
    }

    /// Something to remember besides messages.
    pub(crate) fn has_notes(&self) -> bool {
        self.forget_all || !self.released.is_empty() || self.subscribed.is_some() || !self.answered.is_empty()
    }

    /// What the log keeps for `mirror`, without the messages and their packet ids.
    pub(crate) fn notes(&self, mirror: &str) -> MirrorBatch {
        MirrorBatch {
            mirror: mirror.to_owned(),
            forget_all: self.forget_all,
            released: self.released.clone(),
            subscribed: self.subscribed.clone(),
            ..MirrorBatch::default()
        }
    }
}

/// The packet ids that are held once `messages` are stored, with their hashes.
pub(crate) fn held(messages: &[Incoming]) -> Vec<(u16, i64)> {
    let qos2 = messages.iter().filter(|message| message.qos == Qos::ExactlyOnce);
    qos2.map(|message| (message.packet_id, message.hash)).collect()
}

/// What came of a [`Batch`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Messages dropped because one of the same topic and `id` was there already.
    pub repeats: usize,
    /// What JSON payloads did not give.
    pub fields: field::Tally,
    /// Messages refused because they did not carry what the mirror asks for.
    pub refused: usize,
    /// The last of them and why, for a person.
    pub refusal: Option<String>,
    /// Answers to be sent, each kept by the sink until its number comes back in [`Batch::answered`].
    pub replies: Vec<Reply>,
}

/// What a sink remembers of the broker's session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// QoS 2 packet ids whose messages are durable and not yet released, with hash.
    pub held: Vec<(u16, i64)>,
    /// Topic filters that are subscribed.
    pub subscribed: Vec<(String, Qos)>,
    /// Answers that an earlier run did not see acknowledged.
    pub replies: Vec<Reply>,
}

/// Why a sink could not store.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The log could not.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file could not be written.
    #[error("{path}: {what}: {why}{hint}", hint = hint(why))]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried, for example `cannot append`.
        what: &'static str,
        /// The system's answer.
        why: std::io::Error,
    },
    /// Somebody else writes to the file.
    #[error(
        "{0}: another sensor-bridge, or another mirror of this one, writes to this file; give each mirror a path of its own"
    )]
    InUse(PathBuf),
}

/// What to do about it, where that is known.
fn hint(why: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match why.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => "; free some space, nothing is lost meanwhile",
        Kind::PermissionDenied => "; let the user of sensor-bridge write there",
        Kind::ReadOnlyFilesystem => "; mount it writable, or choose another path",
        _ => "",
    }
}

/// Where mirrored messages go.
pub trait Sink: Send {
    /// Puts right what a crash left behind, and answers what is remembered of the session. Called before
    /// anything is stored, and again after it failed.
    fn open(&mut self) -> Result<Session, SinkError>;

    /// Makes a batch durable. After an error the SAME batch is given again, as often as it takes: a sink
    /// that got half-way goes on from there.
    fn store(&mut self, batch: &Batch) -> Result<Stored, SinkError>;

    /// Called once, after the last batch. Nothing that was promised may depend on it.
    fn close(&mut self) {}
}

/// The part of the log that sinks use.
pub trait Ledger: Send + Sync {
    /// What is kept for a mirror of this id.
    fn state(&self, mirror: &str) -> Result<MirrorState, LogError>;
    /// Stores; blocks until it is durable.
    fn store(&self, batch: MirrorBatch) -> Result<crate::log::Stored, LogError>;
}

impl Ledger for Log {
    fn state(&self, mirror: &str) -> Result<MirrorState, LogError> {
        self.mirror_state(mirror)
    }

    fn store(&self, batch: MirrorBatch) -> Result<crate::log::Stored, LogError> {
        Log::store(self, batch)
    }
}

/// The sink that a mirror's configuration names. A new kind of sink is one file and one line here.
pub fn sink(mirror: &config::Mirror, log: Log) -> Box<dyn Sink> {
    let ledger = Box::new(log.clone());
    let shape = mirror.payload.as_ref().map(shape::Shape::new);
    let sink: Box<dyn Sink> = match &mirror.sink {
        config::Sink::Sqlite { table } => {
            Box::new(sqlite::Sqlite::new(&mirror.id, table.clone(), ledger).shaped(shape))
        }
        config::Sink::Csv { path, columns, max_size } => {
            Box::new(csv::Csv::new(&mirror.id, path, columns, *max_size, ledger).shaped(shape))
        }
    };
    match &mirror.integrity {
        Some(wanted) => Box::new(checked::Checked::new(&mirror.id, wanted.clone(), sink, Box::new(log))),
        None => sink,
    }
}

/// FNV-1a, 64 bit, of topic and payload. Kept on disk, so it must not change from version to version, which
/// std's hasher does not promise.
pub fn fingerprint(topic: &str, payload: &[u8]) -> i64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    // 0xff is in no UTF-8 text, so it parts topic and payload.
    let topic = topic.as_bytes().iter().chain([&0xff]);
    topic.chain(payload).fold(0xcbf2_9ce4_8422_2325, fold).cast_signed()
}
