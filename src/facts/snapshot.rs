//! The snapshot: plain values, the same in memory, over the socket, on the page and on MQTT.
//!
//! Durations are seconds, sizes are bytes, times are RFC 3339 in UTC. Counters count from the start of the
//! program and never go back while it runs. Fields may be added; what is there keeps its name and meaning.

use serde::{Deserialize, Serialize};

use super::Health;
use crate::reading::{Timestamp, Value};

/// Everything worth knowing about the running daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When this was gathered.
    pub time: String,
    /// Version of the program.
    pub version: String,
    /// Device id.
    pub device: String,
    /// Path of the SQLite log: tells one daemon from another on the same machine.
    pub database: String,
    /// Since the program began.
    pub uptime_seconds: f64,
    /// Whether all is well, and if not, why.
    pub health: Health,
    /// The wall clock.
    pub clock: Clock,
    /// The link to the broker; none when the configuration names no broker.
    pub broker: Option<Broker>,
    /// Every configured sensor, in the order of the configuration.
    pub sensors: Vec<Sensor>,
    /// Every configured mirror, in the order of the configuration.
    pub mirrors: Vec<Mirror>,
    /// Every configured output, in the order of the configuration.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// The SQLite log.
    pub log: LogFacts,
    /// Memory and disk.
    pub machine: Machine,
    /// Every other part of the daemon, by name.
    pub parts: Vec<Part>,
    /// Warnings and states to be looked at since the program began.
    pub warnings: u64,
    /// The last things that happened, oldest first, at most 64.
    pub events: Vec<Event>,
}

/// What state something is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Not heard from yet.
    Starting,
    /// As it should be.
    Ok,
    /// Works, but something should be looked at.
    Degraded,
    /// Does not work; tried again and again.
    Failed,
    /// Ended in order.
    Stopped,
}

impl Word {
    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Word::Starting => "starting",
            Word::Ok => "ok",
            Word::Degraded => "degraded",
            Word::Failed => "failed",
            Word::Stopped => "stopped",
        }
    }
}

/// A state, its reason and how long it has lasted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The state.
    pub state: Word,
    /// Why, when it is degraded or failed.
    pub reason: Option<String>,
    /// How long it has been in this state, whatever the reason was meanwhile.
    pub state_seconds: f64,
}

/// The wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// `synced` or `unsynced`, as the kernel says.
    pub quality: String,
}

/// The publishing link to the broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broker {
    /// URL without credentials.
    pub url: String,
    /// State of the link.
    #[serde(flatten)]
    pub condition: Condition,
    /// From handing the last message over to its acknowledgement; none before the first one, and at QoS 0.
    pub round_trip_seconds: Option<f64>,
    /// Until the next attempt to connect, as it was when that was planned; none while connected.
    pub retry_seconds: Option<f64>,
    /// Messages handed over and not acknowledged.
    pub in_flight: u64,
    /// Rows committed and not delivered; those that are not published at all among them.
    pub backlog_rows: u64,
    /// Of these, what follows late (`backlog: live-first`).
    pub late_rows: u64,
    /// How fast the backlog shrinks, rows per second; 0 when it does not.
    pub drain_per_second: f64,
    /// Until the backlog is gone, at this rate.
    pub drain_seconds_left: Option<f64>,
    /// Messages acknowledged (QoS 0: written).
    pub published: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// QoS 0 readings given up because there was no connection and `buffer: false`.
    pub discarded: u64,
    /// Messages that gave way to newer ones because the platform takes only so many a second; in the log all the same.
    pub thinned: u64,
    /// Connections made.
    pub connections: u64,
    /// From handing a message over to its acknowledgement (QoS 1 and 2).
    pub latency: Latency,
}

/// A histogram of durations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Upper bound in seconds, and how many took no longer: cumulated, ascending.
    pub buckets: Vec<(f64, u64)>,
    /// How many in all.
    pub count: u64,
    /// All of them together.
    pub sum_seconds: f64,
}

/// A sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Name.
    pub sensor: String,
    /// Driver.
    pub driver: String,
    /// Its state.
    #[serde(flatten)]
    pub condition: Condition,
    /// Time between two readings.
    pub interval_seconds: f64,
    /// Until the next reading; 0 when it is due or under way, none before the first.
    pub next_read_seconds: Option<f64>,
    /// Reads that were answered.
    pub samples: u64,
    /// Values that went into the log.
    pub passed: u64,
    /// Values that had not changed enough.
    pub suppressed: u64,
    /// Values that cannot be true.
    pub rejected: u64,
    /// Values that the log did not take.
    pub dropped: u64,
    /// Reads that failed.
    pub errors: u64,
    /// Reads that were left out because the one before took too long.
    pub skipped: u64,
    /// Events (edges of a pin) that came faster than they could be taken.
    pub lost: u64,
    /// Values kept back by `min_interval` at the moment.
    pub held: u64,
    /// Its quantities, in the order of the driver.
    pub quantities: Vec<Quantity>,
}

/// A quantity of a sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// Name.
    pub quantity: String,
    /// Unit of the values.
    pub unit: String,
    /// The last value that was read and can be true.
    pub value: Option<Shown>,
    /// When that was taken.
    pub time: Option<String>,
    /// How long ago.
    pub age_seconds: Option<f64>,
    /// Whether the clock was right then: `synced` or `unsynced`.
    pub clock: Option<String>,
    /// What became of the last value read, plausible or not: `passed`, `unchanged`, `held`, `refused` or `dropped`.
    pub verdict: Option<String>,
    /// The last value that went into the log.
    pub logged: Option<Shown>,
    /// How long ago that was taken.
    pub logged_age_seconds: Option<f64>,
}

/// A value as JSON has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// A two-state input.
    Bool(bool),
    /// A whole number; of a picture, its size in bytes.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
}

/// A mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mirror {
    /// Name.
    pub mirror: String,
    /// Topic filters.
    pub topics: Vec<String>,
    /// `sqlite` or `csv`.
    pub to: String,
    /// Its state.
    #[serde(flatten)]
    pub condition: Condition,
    /// Messages received.
    pub received: u64,
    /// Messages stored.
    pub stored: u64,
    /// Messages received again and not stored again.
    pub repeats: u64,
    /// Messages refused because they did not carry what the mirror asks for.
    #[serde(default)]
    pub refused: u64,
    /// Payloads that should be JSON and are not.
    pub bad_json: u64,
    /// Connections lost.
    pub reconnects: u64,
    /// Messages received per second, over about the last half minute.
    pub per_second: f64,
    /// Since the last message; none before the first.
    pub last_message_seconds: Option<f64>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Name.
    pub output: String,
    /// Driver.
    pub driver: String,
    /// Its state.
    #[serde(flatten)]
    pub condition: Condition,
    /// Whether it knows only on and off.
    pub digital: bool,
    /// Level, percent; the one it is on its way to while it changes slowly.
    pub level: f64,
    /// Level that it returns to by itself, percent.
    pub safe_level: f64,
    /// Times that it has come to another level.
    pub changes: u64,
    /// Commands that its rules forbade.
    pub refused: u64,
    /// Attempts to drive it that failed.
    pub errors: u64,
}

/// The SQLite log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFacts {
    /// Its state.
    #[serde(flatten)]
    pub condition: Condition,
    /// Readings in it, from the oldest row to the newest; holes that retention has left count.
    pub rows: u64,
    /// The newest row.
    pub last_row: i64,
    /// When the oldest row was taken.
    pub oldest: Option<String>,
    /// Database and write-ahead log.
    pub size_bytes: u64,
    /// Write-ahead log.
    pub wal_bytes: u64,
    /// Readings that wait for their commit.
    pub queue: u64,
    /// Readings written since the program began.
    pub written: u64,
    /// Mirrored messages written since the program began.
    pub messages: u64,
    /// Commits since the program began.
    pub commits: u64,
    /// The longest of them.
    pub commit_max_seconds: f64,
    /// Rows that retention has deleted since the program began.
    pub deleted: u64,
    /// Readings lost since the program began: the disk did not keep up, or `max_size` forced them out.
    pub lost: u64,
    /// Samples that could not be stored at all since the program began.
    pub rejected: u64,
    /// Readings that the broker has refused for good, in the whole log.
    pub refused: u64,
    /// Readings lost, in the whole log.
    pub gaps: Vec<Gap>,
    /// `log.retention.max_age`.
    pub max_age_seconds: Option<f64>,
    /// `log.retention.max_size`.
    pub max_size_bytes: Option<u64>,
}

/// Readings that were lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// `busy`: the disk did not keep up; `retention`: deleted before delivery.
    pub reason: String,
    /// How many.
    pub lost: u64,
    /// When last.
    pub last: String,
}

/// Memory and disk. A number that cannot be read is missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Memory that the daemon holds (resident set).
    pub memory_resident_bytes: Option<u64>,
    /// Memory that programs could still have.
    pub memory_available_bytes: Option<u64>,
    /// Memory of the machine.
    pub memory_total_bytes: Option<u64>,
    /// Processor time of the daemon.
    pub cpu_seconds: f64,
    /// What the daemon may still write where the log is.
    pub disk_free_bytes: Option<u64>,
    /// Size of that file system.
    pub disk_total_bytes: Option<u64>,
}

/// Any other part of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Name.
    pub part: String,
    /// Its state.
    #[serde(flatten)]
    pub condition: Condition,
    /// Its numbers.
    pub figures: std::collections::BTreeMap<String, i64>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the wall clock as it goes now.
    pub time: String,
    /// How long ago.
    pub age_seconds: f64,
    /// To which part: `sensor air`, `publisher`, `log`, `mirror back`.
    pub part: String,
    /// Whether somebody should look at it.
    pub warning: bool,
    /// What: `ok`, `failed: no answer`, `3 readings were lost`.
    pub what: String,
}

impl Snapshot {
    /// A moment so many seconds before this snapshot, RFC 3339.
    pub(super) fn before(now: Timestamp, seconds: f64) -> String {
        Timestamp(now.0.saturating_sub((seconds * 1e6) as i64)).to_string()
    }
}

impl Shown {
    /// The value as a number (booleans as 0 and 1), or `None` for a text.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Shown::Bool(state) => Some(f64::from(u8::from(*state))),
            Shown::Integer(number) => Some(*number as f64),
            Shown::Float(number) => Some(*number),
            Shown::Text(_) => None,
        }
    }
}

impl From<&Value> for Shown {
    fn from(value: &Value) -> Self {
        match value {
            Value::Float(number) => Shown::Float(*number),
            Value::Integer(number) => Shown::Integer(*number),
            Value::Bool(state) => Shown::Bool(*state),
            Value::Text(text) => Shown::Text(text.to_string()),
            Value::Image(image) => Shown::Integer(i64::try_from(image.bytes.len()).unwrap_or(i64::MAX)),
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shown::Bool(state) => std::fmt::Display::fmt(state, f),
            Shown::Integer(number) => std::fmt::Display::fmt(number, f),
            Shown::Float(number) => std::fmt::Display::fmt(number, f),
            Shown::Text(text) => f.pad(text),
        }
    }
}
