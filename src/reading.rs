//! The shared vocabulary: what a sensor is called, what it measures, in which unit, when, and what came out.
//!
//! Plain values only. Nothing here does I/O, reads a clock or knows where a reading goes.

pub mod picture;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

pub use picture::Image;

/// A sensor's name, unique in one configuration, for example `air`.
///
/// Cheap to clone. Checked by `config`: one MQTT topic level, so neither empty nor with `/`, `+`, `#`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SensorId(Arc<str>);

/// What is measured, for example `temperature`; unique within one sensor.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity(Arc<str>);

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(name: T) -> Self {
                Self(name.into())
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}
name_type!(SensorId);
name_type!(Quantity);

/// The quantity under which a sensor's own state is logged and published: `ok`, or `failed: <reason>`.
pub const STATE: &str = "state";

/// The sensor id under which the bridge speaks of itself (gap records); no configured sensor may take it.
pub const BRIDGE: &str = "bridge";

/// One value that a sensor answered with, in the unit its driver declares.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A measured number; always finite (drivers answer an error instead of NaN or infinity).
    Float(f64),
    /// A count, or a number that is whole by nature.
    Integer(i64),
    /// A two-state input.
    Bool(bool),
    /// A state or another short text.
    Text(Arc<str>),
    /// A picture, on its way into the log. What comes out of the log in its place is its size in bytes as a
    /// [`Value::Integer`]; the picture itself is fetched by its row, one at a time.
    Image(Arc<Image>),
}

/// What kind of [`Value`] a quantity yields; fixed per quantity, so that what comes back from the
/// database can be told apart (SQLite has no booleans).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// [`Value::Float`]
    Float,
    /// [`Value::Integer`]
    Integer,
    /// [`Value::Bool`]
    Bool,
    /// [`Value::Text`]
    Text,
    /// [`Value::Image`]
    Image,
}

impl Value {
    /// The value as a number (booleans as 0 and 1), or `None` for a text or a picture.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            Value::Bool(state) => Some(f64::from(u8::from(*state))),
            Value::Text(_) | Value::Image(_) => None,
        }
    }

    /// The kind of this value.
    pub fn kind(&self) -> ValueKind {
        match self {
            Value::Float(_) => ValueKind::Float,
            Value::Integer(_) => ValueKind::Integer,
            Value::Bool(_) => ValueKind::Bool,
            Value::Text(_) => ValueKind::Text,
            Value::Image(_) => ValueKind::Image,
        }
    }

    /// The value as far as a later one is compared with it: a picture without its bytes.
    pub fn remembered(self) -> Self {
        match self {
            Value::Image(image) => Value::Image(image.remembered()),
            other => other,
        }
    }

    /// Bytes that it takes in memory beside itself, if they are worth counting.
    pub fn bulk(&self) -> usize {
        match self {
            Value::Image(image) => image.bytes.len(),
            _ => 0,
        }
    }
}

impl fmt::Display for Value {
    /// The shortest text that reads back as the same value; of a picture, what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Float(number) => fmt::Display::fmt(number, f),
            Value::Integer(number) => fmt::Display::fmt(number, f),
            Value::Bool(state) => fmt::Display::fmt(state, f),
            Value::Text(text) => f.pad(text),
            Value::Image(image) => fmt::Display::fmt(image, f),
        }
    }
}

/// Microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with six decimals: `2026-11-20T07:00:00.123456Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time:.6}"),
            // Outside the years -9999…9999: no calendar date exists, so say the number.
            Err(_) => write!(f, "{}µs", self.0),
        }
    }
}

/// Whether the wall clock could be trusted when a reading was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// The kernel said that its clock was synchronised.
    Synced,
    /// Not synchronised: the time is what the machine believed.
    Unsynced,
    /// Taken unsynchronised, and put right afterwards from the time since boot.
    Corrected,
}

impl Clock {
    /// The word that payloads and the `clock` column carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Clock::Synced => "synced",
            Clock::Unsynced => "unsynced",
            Clock::Corrected => "corrected",
        }
    }
}

/// The moment at which a sample was taken, by both clocks that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What the wall clock said.
    pub wall: Timestamp,
    /// Microseconds since boot (`CLOCK_BOOTTIME`): never steps, so `wall` can be corrected from it.
    pub since_boot: i64,
    /// Whether `wall` was synchronised.
    pub clock: Clock,
}

/// One quantity's value out of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Position in the list of quantities that the sensor's driver declares.
    pub quantity: usize,
    /// The value, in the driver's unit.
    pub value: Value,
}

/// Where the device stands; fixed in the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// A name for people, for example `Greenhouse 2`.
    pub name: Option<String>,
    /// Degrees north, WGS 84.
    pub latitude: Option<f64>,
    /// Degrees east, WGS 84.
    pub longitude: Option<f64>,
    /// Metres above mean sea level.
    pub altitude: Option<f64>,
}

/// MQTT quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Qos {
    /// 0: sent once to whoever is there.
    AtMostOnce = 0,
    /// 1: sent until acknowledged; may arrive twice, then with the same `id`.
    AtLeastOnce = 1,
    /// 2: sent with a hand-shake; arrives once.
    ExactlyOnce = 2,
}

impl TryFrom<i64> for Qos {
    type Error = i64;

    fn try_from(level: i64) -> Result<Self, i64> {
        match level {
            0 => Ok(Qos::AtMostOnce),
            1 => Ok(Qos::AtLeastOnce),
            2 => Ok(Qos::ExactlyOnce),
            other => Err(other),
        }
    }
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One quantity as JSON: `"quantity": …, "value": …, "unit": …`; of a picture, what it is and its bytes
    /// in base64.
    Quantity,
    /// A whole sample as JSON: `"values": {…}, "units": {…}`. Never pictures.
    Sample,
    /// A picture as base64 text (RFC 4648 section 4), nothing else.
    Base64,
    /// A picture's bytes, nothing else.
    Binary,
}

/// How the bytes of a channel's messages are made if not as our own JSON, as the log keeps it: the name of a format, and
/// after a space what the format needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Arc<str>);

impl Format {
    /// `name` has no space; `parameter` may be empty.
    pub fn new(name: &str, parameter: &str) -> Self {
        if parameter.is_empty() { Self(name.into()) } else { Self(format!("{name} {parameter}").into()) }
    }

    /// Name of the format.
    pub fn name(&self) -> &str {
        self.0.split_once(' ').map_or(&self.0, |(name, _)| name)
    }

    /// What it needs to know.
    pub fn parameter(&self) -> &str {
        self.0.split_once(' ').map_or("", |(_, parameter)| parameter)
    }

    /// As the log keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Format {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Everything that repeats from reading to reading of one quantity: stored once in the log, referred to by id.
///
/// Two equal channels are one row. A changed configuration makes a new channel, so that a backlog is
/// published as it was meant when it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Device id.
    pub device: String,
    /// Sensor.
    pub sensor: SensorId,
    /// Quantity.
    pub quantity: Quantity,
    /// Unit after conversion, for example `°C`; empty for none.
    pub unit: String,
    /// What the values are.
    pub kind: ValueKind,
    /// How it is published, or `None` when it is only logged.
    pub publish: Option<Publish>,
    /// Where the device stood.
    pub place: Option<Place>,
}

/// How a channel's readings go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Full topic name, all placeholders filled.
    pub topic: String,
    /// Topic for readings that follow late (`backlog: live-first` with `late_topic`).
    pub late_topic: Option<String>,
    /// Quality of service.
    pub qos: Qos,
    /// Retain flag.
    pub retain: bool,
    /// What a message carries.
    pub shape: Shape,
    /// How its bytes are made; `None`: our own JSON. Does not concern pictures.
    pub format: Option<Format>,
    /// Whether QoS 0 readings taken while the broker is away are kept for later.
    pub buffer: bool,
}

/// Row id of a channel in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub i64);

/// One reading on its way into the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which quantity of which sensor, and how it is published.
    pub channel: ChannelId,
    /// When it was taken.
    pub at: Moment,
    /// Value in the channel's unit.
    pub value: Value,
}

/// One reading as it comes back out of the log, on its way to the broker or to a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Row id: rises by the order taken, never reused.
    pub row: i64,
    /// Epoch of the row; with `row` it makes the message's identity `<epoch>-<row>`.
    pub epoch: Arc<str>,
    /// What was measured and how it is published.
    pub channel: Arc<Channel>,
    /// When, UTC.
    pub at: Timestamp,
    /// How far `at` can be trusted.
    pub clock: Clock,
    /// Value in the channel's unit; of a picture, its size in bytes.
    pub value: Value,
    /// Belongs to the same sample as the row before it.
    pub continues: bool,
    /// Microseconds since boot, for a reading of this boot whose time was not yet corrected.
    pub since_boot: Option<i64>,
}
