//! The checked configuration: ready to use, nothing left to validate, default or guess.
//!
//! Only [`super::load`] makes one. Every number has its unit in its type or its comment.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::bus::BusName;
use crate::bus::gpio::Pins;
use crate::integrity::{Integrity, Key};
use crate::platform::Platform;
use crate::reading::{Channel, Place, Qos, SensorId};
use crate::sensor::{Attachment, Driver, QuantityInfo};

pub use super::pseudonym::Pseudonym;

/// Everything the daemon needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who we are and where we stand.
    pub device: Device,
    /// The broker; without one, readings are only logged.
    pub mqtt: Option<Mqtt>,
    /// The SQLite log.
    pub log: Log,
    /// What happens to readings taken before the clock is right.
    pub clock: ClockPolicy,
    /// Where the daemon says how it is.
    pub status: Status,
    /// Sensors in the order of the file; ids are unique.
    pub sensors: Vec<Sensor>,
    /// Mirrors in the order of the file; ids are unique.
    pub mirrors: Vec<Mirror>,
    /// Outputs in the order of the file; ids are unique, those of sensors included.
    pub outputs: Vec<Output>,
    /// Where commands come from, and what each source may do.
    pub commands: Vec<CommandSource>,
    /// What the platform may command, if anything.
    pub platform_commands: Option<CommandSource>,
    /// How the bridge publishes what it says of itself: the gap record (`bridge/lost`).
    pub gap_channel: Channel,
    /// The web page, if there is to be one.
    pub web: Option<Web>,
}

/// The web page.
#[derive(Debug, Clone, PartialEq)]
pub struct Web {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// What visitors must know; always there when `listen` is not on the loopback.
    pub password: Option<Secret>,
    /// Outputs that can be set from there; each is one of ours. Only with a password.
    pub allow: Vec<String>,
    /// Host names, in small letters, under which it may be asked for beside those of the loopback.
    pub hosts: Vec<String>,
}

/// Identity and place of this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Device id; fills `{device}` in topics. The pseudonym, if there is to be one.
    pub id: String,
    /// The pseudonym, if there is one, with the id that it stands for.
    pub pseudonym: Option<Pseudonym>,
    /// Fixed place, already rounded to `location.precision`.
    pub place: Option<Place>,
}

/// MQTT connection and publishing.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    /// Where the broker is.
    pub broker: Broker,
    /// User name and password.
    pub credentials: Option<Credentials>,
    /// Client id of the publishing connection; a mirror's is this with `-<mirror id>` appended.
    pub client_id: String,
    /// Protocol version.
    pub version: MqttVersion,
    /// Keep-alive; at least 5 s.
    pub keep_alive: Duration,
    /// Order of backlog and fresh readings.
    pub backlog: Backlog,
    /// Largest QoS 1 window (messages in flight).
    pub window: u16,
    /// Largest packet that we send or take, bytes.
    pub max_packet_size: u32,
    /// Largest content of a message that the platform takes, bytes.
    pub max_payload: Option<usize>,
    /// Messages of readings per second that the platform takes.
    pub rate: Option<f64>,
    /// Messages of readings per second that go out; what is more waits.
    pub pace: Option<u32>,
    /// The session of the publishing connection ends with it.
    pub clean: bool,
    /// Topic of the retained `online`/`offline` message and last will; `None` where the platform has no place for them.
    pub status_topic: Option<String>,
    /// The IoT platform whose ways are kept.
    pub platform: Option<Chosen>,
    /// What our JSON carries so that it can be checked.
    pub integrity: Option<Integrity>,
    /// What was logged under the device id goes out under the pseudonym.
    pub pseudonym: Option<Pseudonym>,
}

impl Mqtt {
    /// Topic of the facts, retained, as JSON.
    pub fn facts_topic(&self) -> Option<String> {
        self.status_topic.as_deref().map(facts_topic)
    }
}

/// An IoT platform with what the configuration says of it.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// The keys that it was made from: two of the same name with the same keys are the same.
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.platform.name() == other.platform.name() && self.options == other.options
    }
}

/// Topic of the facts beside this status topic.
pub(super) fn facts_topic(status: &str) -> String {
    format!("{status}/facts")
}

/// Address of a broker, and the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// Transport.
    pub transport: Transport,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path of a WebSocket listener, beginning with `/`; `/mqtt` unless given.
    pub path: String,
    /// Headers of a WebSocket's request; values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// HTTP proxy that opens the connection.
    pub proxy: Option<Proxy>,
    /// Whom to trust and who we are, for `mqtts` and `wss`.
    pub tls: Tls,
}

/// An HTTP proxy that is asked to CONNECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name and password (basic authentication).
    pub credentials: Option<(String, Secret)>,
}

/// How the broker's certificate is judged, and what we show of our own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tls {
    /// Whom to trust.
    pub trust: Trust,
    /// Our certificate chain and its key, both PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name that must stand in the certificate instead of the host's.
    pub server_name: Option<String>,
    /// TLS 1.3 only.
    pub only_1_3: bool,
    /// The application's protocol as it is said in the hand-shake (RFC 7301).
    pub alpn: Option<&'static str>,
}

/// Which certificates of a broker are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that the system knows.
    #[default]
    System,
    /// Those of the authorities in this file (PEM).
    Authorities(PathBuf),
    /// Those with these SHA-256 fingerprints.
    Certificates(Vec<[u8; 32]>),
    /// All. The configuration says so in so many words.
    Anybody,
}

impl fmt::Display for Broker {
    /// The URL without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tcp => "mqtt",
            Transport::Tls => "mqtts",
            Transport::WebSocket => "ws",
            Transport::SecureWebSocket => "wss",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// How bytes reach the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `mqtt://`, 1883.
    Tcp,
    /// `mqtts://`, 8883.
    Tls,
    /// `ws://`, 80.
    WebSocket,
    /// `wss://`, 443.
    SecureWebSocket,
}

/// User name and password.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    /// User name. Empty: what is said as user name is the password, an access token, and no password beside it.
    pub username: String,
    /// Where the password comes from.
    pub password: Password,
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// It is this; never printed.
    Fixed(Secret),
    /// The output of a program with its arguments, fetched for each connection, and anew after the given time.
    Command(Vec<String>, Option<Duration>),
    /// What a file holds when a connection is made, and anew after the given time.
    File(PathBuf, Option<Duration>),
    /// A JSON Web Token signed by us.
    Jwt {
        /// RSA or P-256 key, PEM in PKCS #8.
        key_file: PathBuf,
        /// `aud`.
        audience: String,
        /// From `iat` to `exp`.
        lifetime: Duration,
    },
    /// A shared access signature.
    Sas {
        /// The shared key.
        key: Secret,
        /// `sr`, not yet percent-encoded.
        resource: String,
        /// `skn`.
        policy: Option<String>,
        /// From now to `se`.
        lifetime: Duration,
    },
}

/// A text that must not reach a log line: its `Debug` prints stars.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// MQTT protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttVersion {
    /// 3.1.1
    V311,
    /// 5.0
    V5,
}

/// What is sent first after an outage.
#[derive(Debug, Clone, PartialEq)]
pub enum Backlog {
    /// Everything in the order taken.
    InOrder,
    /// Fresh readings at once; the backlog beside them, marked late.
    LiveFirst {
        /// Most backlog messages per second.
        rate: u32,
    },
}

/// The SQLite log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Database file.
    pub path: PathBuf,
    /// Key with which it is encrypted, 64 hexadecimal digits.
    pub key: Option<Secret>,
    /// What a commit survives.
    pub sync: Sync,
    /// Least time between two commits; zero commits as soon as the writer is free.
    pub commit_interval: Duration,
    /// What may be deleted.
    pub retention: Retention,
}

/// How much a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Survives power cuts: fsync per commit.
    Full,
    /// Survives `kill -9`; a power cut may cost the last seconds.
    Normal,
}

/// When old rows are deleted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retention {
    /// Older delivered rows go.
    pub max_age: Option<Duration>,
    /// Largest size of the database in bytes; the oldest rows go first, undelivered ones last and counted.
    pub max_size: Option<u64>,
    /// Limits of pictures alone, which go before their readings do.
    pub images: ImageRetention,
}

/// When old pictures are deleted; their readings (time and size) stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageRetention {
    /// Older delivered pictures go.
    pub max_age: Option<Duration>,
    /// Most bytes of all pictures; the oldest go first, undelivered ones last, with their readings, and
    /// counted. The newest stays.
    pub max_size: Option<u64>,
}

/// What happens to readings taken before the clock is synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockPolicy {
    /// Publish at once, marked `unsynced`.
    Mark,
    /// Hold until corrected, at most this long.
    Hold(Duration),
}

/// Where the daemon says how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The socket on which `sensor-bridge status` asks.
    pub socket: Socket,
    /// How often the facts are published, retained, beside the status topic; never if not given.
    pub interval: Option<Duration>,
}

/// Where the status socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// In systemd's runtime directory if there is one, else beside the database.
    Usual,
    /// Here.
    At(PathBuf),
    /// Nowhere.
    Off,
}

/// One sensor.
#[derive(Debug, Clone)]
pub struct Sensor {
    /// Name.
    pub id: SensorId,
    /// The driver with its options checked.
    pub driver: Arc<dyn Driver>,
    /// What the driver was made of: its keys, files named in full.
    pub options: Arc<Map<String, Value>>,
    /// Time between readings.
    pub interval: Duration,
    /// A read that takes longer is reported as hung.
    pub timeout: Duration,
    /// How the quantities are treated; those not wanted (`enabled: false`) are missing.
    pub quantities: Vec<Quantity>,
    /// The channel of the sensor's own state.
    pub state: Channel,
}

impl Sensor {
    /// The channels of its quantities, then that of its own state.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.quantities.iter().map(|quantity| &quantity.channel).chain([&self.state])
    }

    /// Whether both are the same device, opened and read in the same way. Decided by what was written: a driver
    /// itself may have moved on.
    pub fn is_same_device(&self, other: &Sensor) -> bool {
        self.driver.name() == other.driver.name()
            && self.options == other.options
            // Some find out what there is when they are configured.
            && self.driver.quantities() == other.driver.quantities()
    }
}

impl PartialEq for Sensor {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, driver: _, options: _, interval, timeout, quantities, state } = self;
        (id, interval, timeout) == (&other.id, &other.interval, &other.timeout)
            && (quantities, state) == (&other.quantities, &other.state)
            && self.is_same_device(other)
    }
}

/// How one quantity of one sensor is treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// Position in the driver's list.
    pub index: usize,
    /// What the driver declares.
    pub info: QuantityInfo,
    /// From the driver's value to the user's.
    pub calibration: Calibration,
    /// What passes.
    pub filter: Filter,
    /// Where it goes.
    pub channel: Channel,
}

/// From the driver's number to the user's: unit, then polynomial, then rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Factor of the unit conversion, applied first: `x × factor + shift`.
    pub factor: f64,
    /// Shift of the unit conversion, in the user's unit.
    pub shift: f64,
    /// Coefficients c0 + c1·x + c2·x² …, in the user's unit (`offset` and `scale` are c0 and c1).
    pub polynomial: Vec<f64>,
    /// Decimals to round to.
    pub round: Option<u8>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { factor: 1.0, shift: 0.0, polynomial: vec![0.0, 1.0], round: None }
    }
}

/// Which values pass; all in the user's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// How much must have changed.
    pub change: Change,
    /// Send after this long though unchanged.
    pub heartbeat: Option<Duration>,
    /// Never more often than this; the newest value is kept and sent when its time has come.
    pub min_interval: Option<Duration>,
    /// Smallest and largest believable value, both inclusive.
    pub valid: Option<(f64, f64)>,
}

/// How much a value must differ from the last one sent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Change {
    /// At all.
    #[default]
    Any,
    /// Not at all: every sample passes.
    Always,
    /// By at least this much, in the user's unit.
    Absolute(f64),
    /// By at least this fraction of the last value sent (1 % is 0.01).
    Relative(f64),
}

impl Change {
    /// Reads `any`, `always`, `0.1` or `1%`; how large it is, is not judged.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        match (text, text.strip_suffix('%')) {
            ("any", _) => Some(Change::Any),
            ("always", _) => Some(Change::Always),
            (_, Some(percent)) => percent.trim().parse().ok().map(|p: f64| Change::Relative(p / 100.0)),
            (number, None) => number.parse().ok().map(Change::Absolute),
        }
    }
}

/// One mirror: topic filters into one sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Name, unique; part of the client id, so its session survives a reordered file.
    pub id: String,
    /// Topic filters; none covers another, so that no message arrives twice.
    pub topics: Vec<String>,
    /// Quality of service asked for.
    pub qos: Qos,
    /// What messages must carry; the others are refused.
    pub integrity: Option<Integrity>,
    /// Whose messages they are, if they are looked into.
    pub payload: Option<Payload>,
    /// Where messages go.
    pub sink: Sink,
}

/// How messages of another program are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// Whose they are.
    pub kind: PayloadKind,
    /// Where local times are from.
    pub zone: Option<TimeZone>,
}

/// A program whose messages are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// ChirpStack v4, JSON.
    ChirpStack,
    /// Tasmota.
    Tasmota,
    /// Zigbee2MQTT.
    Zigbee2Mqtt,
}

impl PayloadKind {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChirpStack => "chirpstack",
            Self::Tasmota => "tasmota",
            Self::Zigbee2Mqtt => "zigbee2mqtt",
        }
    }
}

/// Where a mirror writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Sink {
    /// The `messages` view of the log, and a table of typed columns if one is named.
    Sqlite {
        /// The user's table.
        table: Option<Table>,
    },
    /// CSV files.
    Csv {
        /// Path with `{date}` (UTC, `2026-11-20`) and `{mirror}` filled in per file.
        path: String,
        /// Columns in order.
        columns: Vec<CsvColumn>,
        /// A file larger than this is closed and numbered, bytes.
        max_size: Option<u64>,
    },
}

/// A table of the user's naming, filled from JSON payloads.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// SQL name: letters, digits and `_`, none of the log's own.
    pub name: String,
    /// Columns by name; none for the table of readings of a mirror with a [`Payload`].
    pub columns: BTreeMap<String, TableColumn>,
}

/// One column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct TableColumn {
    /// Where the value stands in the payload.
    pub path: JsonPath,
    /// Declared type.
    pub kind: ColumnKind,
}

/// SQL type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// `INTEGER`
    Integer,
    /// `REAL`
    Real,
    /// `TEXT`
    Text,
}

/// A path into a JSON document as a JSON Pointer (RFC 6901): written `location.latitude` or
/// `list[0]` in the configuration, `/location/latitude` here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(pub String);

/// One column of a CSV mirror.
#[derive(Debug, Clone, PartialEq)]
pub enum CsvColumn {
    /// Time received, RFC 3339 in UTC.
    Time,
    /// Topic.
    Topic,
    /// Payload as it came; base64 when it is not UTF-8.
    Payload,
    /// 0, 1 or 2.
    Qos,
    /// `true` or `false`.
    Retained,
    /// The `id` of a message of ours.
    Id,
    /// A field of a JSON payload, under a heading of the user's naming.
    Field {
        /// Heading.
        name: String,
        /// Where it stands.
        path: JsonPath,
    },
    /// Of a mirror with a [`Payload`]: what one reading says.
    Told(ToldColumn),
}

/// What a message of another program says of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldColumn {
    /// Name of the device.
    Device,
    /// Part of the device.
    Sensor,
    /// What was measured.
    Quantity,
    /// Its value.
    Value,
    /// Its unit.
    Unit,
    /// When, by the message.
    Taken,
    /// The payload, where no reading was found in it.
    Unread,
}

/// One output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name.
    pub id: SensorId,
    /// What it is made of.
    pub driver: OutputDriver,
    /// What it may be set to, and when it returns to its safe level.
    pub limits: Limits,
    /// The channel of its level: `on` for two levels, else `level` in percent.
    pub level: Channel,
    /// The channel of its own state.
    pub state: Channel,
}

/// What an output is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputDriver {
    /// A pin at one of two levels.
    Digital {
        /// Whose pins.
        pins: Pins,
        /// BCM number.
        pin: u8,
        /// Low means on.
        active_low: bool,
    },
    /// A pin with pulses by the hardware.
    Pwm {
        /// Whose pins.
        pins: Pins,
        /// BCM number.
        pin: u8,
        /// Pulses per second, Hz.
        frequency: f64,
        /// Low means on.
        active_low: bool,
    },
    /// A channel of a PCA9685 on I2C.
    Pca9685 {
        /// Bus.
        bus: BusName,
        /// 7-bit address.
        address: u8,
        /// 0 to 15.
        channel: u8,
        /// Pulses per second, Hz; the same for all channels of a chip.
        frequency: f64,
        /// Low means on.
        active_low: bool,
    },
}

impl OutputDriver {
    /// The name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            OutputDriver::Digital { .. } => "digital-output",
            OutputDriver::Pwm { .. } => "pwm",
            OutputDriver::Pca9685 { .. } => "pca9685",
        }
    }

    /// Whether it knows only on and off.
    pub fn is_digital(&self) -> bool {
        matches!(self, OutputDriver::Digital { .. })
    }

    /// Where it sits.
    pub fn attachment(&self) -> Attachment {
        match self {
            OutputDriver::Digital { pins, pin, .. } | OutputDriver::Pwm { pins, pin, .. } => {
                Attachment::Gpio { pins: *pins, pin: *pin }
            }
            OutputDriver::Pca9685 { bus, address, channel, .. } => Attachment::Expander {
                bus: bus.to_string(),
                address: *address,
                chip: "PCA9685",
                pin: *channel,
            },
        }
    }
}

/// What an output may be set to, and when it returns to its safe level. Levels are percent: 0 is off, 100 fully on.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Where it is at the start, at the end, and whenever nobody should be trusted.
    pub safe: f64,
    /// Smallest level but for 0, which is always allowed.
    pub min: f64,
    /// Largest level.
    pub max: f64,
    /// Least time between two changes; going to `safe` is always allowed.
    pub min_interval: Option<Duration>,
    /// Fastest change, percent per second; going to `safe` by itself is immediate.
    pub slew: Option<f64>,
    /// Longest time on; then it goes to `safe`.
    pub max_on: Option<Duration>,
    /// How long the link to the broker may be lost before it goes to `safe`.
    pub link_lost: Option<Duration>,
}

/// A topic on which commands come in, and what they may do.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandSource {
    /// Topic name, without wildcards.
    pub topic: String,
    /// Quality of service asked for.
    pub qos: Qos,
    /// What may be commanded; nothing else may.
    pub allow: Vec<Permission>,
    /// Key of the HMAC-SHA-256 that each command must carry.
    pub key: Option<Key>,
    /// Where answers go unless the command says where.
    pub reply: Option<String>,
    /// Whether commands are obeyed while the clock is not synchronised, when nobody knows whether they expired.
    pub obey_unsynced: bool,
}

/// Something that may be commanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Setting this output.
    Output(SensorId),
    /// This action, on one sensor or on all.
    Action {
        /// What.
        action: Action,
        /// On which; `None` for all.
        sensor: Option<SensorId>,
    },
}

impl fmt::Display for Permission {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Permission::Output(output) => fmt::Display::fmt(output, f),
            Permission::Action { action, sensor: None } => f.write_str(action.name()),
            Permission::Action { action, sensor: Some(sensor) } => write!(f, "{}:{sensor}", action.name()),
        }
    }
}

/// What can be commanded besides setting an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read a sensor now.
    Read,
    /// Change a sensor's interval.
    Interval,
    /// Change how much a quantity must change.
    Change,
    /// Read a sensor no more.
    Pause,
    /// Read it again.
    Resume,
    /// Read a sensor now and publish whatever it says.
    Republish,
    /// Say how everything is.
    Status,
    /// Read the configuration again.
    Reload,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 8] = [
        Action::Read,
        Action::Interval,
        Action::Change,
        Action::Pause,
        Action::Resume,
        Action::Republish,
        Action::Status,
        Action::Reload,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Interval => "interval",
            Action::Change => "change",
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Republish => "republish",
            Action::Status => "status",
            Action::Reload => "reload",
        }
    }

    /// Whether it is done to one sensor.
    pub fn is_of_a_sensor(self) -> bool {
        !matches!(self, Action::Status | Action::Reload)
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
