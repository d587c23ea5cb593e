//! IoT platforms: what each demands of the configuration, how its messages look, and what it wants to hear and to say.
//! One file each, and one line in the table. Pure: no I/O, no clock; time and events are arguments. Sends nothing itself.
//!
//! A platform has up to three parts:
//!
//! - [`Rules`]: client id, topics, limits. The configuration is checked against them, and takes its defaults from them.
//! - A format: the bytes of a message of readings. The log keeps its name with the channel, so that a backlog goes out
//!   as it was meant when it was taken; [`write()`] finds it again.
//! - A [`Dialogue`]: what is said beside readings, and what is done about what is heard. It runs on the publisher's
//!   connection, because most platforms allow a device no other.

mod aws_iot;
mod azure_iot_hub;
mod calls;
#[cfg(test)]
mod contract;
mod custom;
mod desired;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod home_assistant;
mod influx;
mod percent;
mod reported;
mod senml;
mod sparkplug;
mod template;
#[cfg(any(test, fuzzing))]
mod testing;
mod thingsboard;
mod watson_iot;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::options::OptionProblem;
use crate::payload;
use crate::reading::{Channel, Format, Logged, Moment, Place, Qos, SensorId, Shape};

pub use percent::percent_encoded;

/// A platform that can be configured.
#[derive(Debug, Clone, Copy)]
pub struct PlatformKind {
    /// What `mqtt.platform.name` says.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// JSON Schema of its options (an object schema without `$defs`; `name` is not in it).
    pub options: fn() -> Value,
    /// Checks the options (the keys of `mqtt.platform` less `name`); the text is the device id.
    pub configure: Configure,
    /// Its way to write a message of readings, if it has one.
    pub format: Option<Write>,
}

/// From options and device id to a platform, or every problem at once.
pub type Configure = fn(&Map<String, Value>, &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>>;

/// Writes a message of readings (never none, never pictures) into a buffer that is empty. The text is what followed the
/// name in the channel's [`Format`]; `late` marks what follows an outage in the late lane.
pub type Write = fn(buffer: &mut Vec<u8>, parameter: &str, sample: &[Logged], late: bool);

/// Judges a topic; an error is what is wrong, for a person.
pub type TopicCheck = fn(&str) -> Result<(), String>;

/// By name.
static REGISTRY: &[PlatformKind] = &[
    aws_iot::KIND,
    azure_iot_hub::KIND,
    custom::KIND,
    home_assistant::KIND,
    influx::KIND,
    senml::KIND,
    sparkplug::KIND,
    thingsboard::KIND,
    watson_iot::KIND,
];

/// Every platform.
pub fn registry() -> &'static [PlatformKind] {
    REGISTRY
}

/// The platform of this name.
pub fn find(name: &str) -> Option<&'static PlatformKind> {
    REGISTRY.iter().find(|kind| kind.name == name)
}

/// The bytes of a message of readings, into a buffer that is emptied first: in the format of their channel, else our own
/// JSON.
pub fn write(buffer: &mut Vec<u8>, sample: &[Logged], late: bool) {
    let format = sample.first().and_then(|first| first.channel.publish.as_ref()?.format.as_ref());
    match format.and_then(|format| Some((find(format.name())?.format?, format.parameter()))) {
        Some((write, parameter)) => {
            buffer.clear();
            write(buffer, parameter, sample, late);
        }
        None => payload::write_json(buffer, sample, late),
    }
}

/// A platform with its options.
pub trait Platform: fmt::Debug + Send + Sync {
    /// As in the table.
    fn name(&self) -> &'static str;

    /// What it demands.
    fn rules(&self) -> Rules {
        Rules::default()
    }

    /// What is said beside readings; `None`: nothing. Made once, and kept over connections.
    fn dialogue(&self, _about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        None
    }
}

/// What a platform demands of the configuration. The default demands nothing.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// `mqtt.url` if none is given.
    pub url: Option<String>,
    /// The only possible `mqtt.client_id`.
    pub client_id: Option<String>,
    /// The only possible `mqtt.username`.
    pub username: Option<String>,
    /// Whether a password or token must be given (true), must not (false), or may.
    pub password: Option<bool>,
    /// Somebody who says nothing of who he is (a password, a token, a client certificate, an access token as user name) is
    /// not let in.
    pub identified: bool,
    /// A password without a user name is the user name: an access token.
    pub secret_username: bool,
    /// `mqtt.token.sas.resource` if none is given.
    pub sas_resource: Option<String>,
    /// Template of the topics of readings, with `{sensor}` and `{quantity}` as in `mqtt.topic`; the only possible one. Not
    /// held to our own, stricter, idea of a topic. With `{quantity}` a message for each quantity, else one for each
    /// sample.
    pub topic: Option<String>,
    /// What is filled into these templates is percent-encoded.
    pub encoded: bool,
    /// Judges topics that are of the user's choice; what is wrong, for a person.
    pub topic_check: Option<TopicCheck>,
    /// Template of the topics of pictures where they are not those of readings.
    pub picture_topic: Option<String>,
    /// How pictures go out unless the sensor says otherwise.
    pub picture: Option<Shape>,
    /// There is no place for pictures: they stay in the log.
    pub no_pictures: bool,
    /// How messages of readings are written; `None`: our own JSON.
    pub format: Option<Format>,
    /// There is no place for our retained `online`/`offline`, last will and report.
    pub no_status: bool,
    /// Highest quality of service; `None`: all.
    pub max_qos: Option<Qos>,
    /// Nothing can be retained.
    pub no_retain: bool,
    /// Largest content of a message, bytes.
    pub max_payload: Option<usize>,
    /// Messages of readings per second that the platform takes: of what is too much, the newest of each topic goes out.
    pub rate: Option<f64>,
    /// Messages of readings per second that the platform takes of one connection: what is more waits for its turn.
    pub pace: Option<u32>,
    /// The session must not outlive the connection.
    pub clean: bool,
    /// Only MQTT 3.1.1 (false) or only 5 (true).
    pub v5: Option<bool>,
    /// The identity may have one connection only, and subscribe to nothing of its own choice: no mirrors, no `commands` on
    /// topics.
    pub alone: bool,
    /// Longest keep-alive that the platform keeps to.
    pub max_keep_alive: Option<Duration>,
    /// The connection must be encrypted.
    pub tls: bool,
    /// It brings no commands, whatever its dialogue hears.
    pub no_commands: bool,
    /// What is said in the TLS hand-shake on this port (RFC 7301).
    pub alpn: Option<(u16, &'static str)>,
}

/// The pace that an option `rate` asks for.
fn pace(given: Option<u32>, default: u32) -> Result<u32, String> {
    let pace = given.unwrap_or(default);
    if (1..=10_000).contains(&pace) { Ok(pace) } else { Err("must be 1 to 10000".to_owned()) }
}

/// The interval at which a sensor is read if it was ordered another than the configured one, and whether it is paused.
pub type Ordered = (Option<Duration>, bool);

/// What a platform may tell of the bridge.
pub struct About {
    /// Device id.
    pub device: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// Version of sensor-bridge.
    pub version: &'static str,
    /// Where the retained `online`/`offline` goes.
    pub status_topic: Option<String>,
    /// The sensors, in the order of the configuration.
    pub sensors: Vec<SensorAbout>,
    /// The outputs.
    pub outputs: Vec<OutputAbout>,
    /// Actions on sensors that the platform may command (`read`, `pause`, …), with the sensor if only for one.
    pub actions: Vec<(&'static str, Option<SensorId>)>,
    /// The last value of each channel that has one. Quick, and waits for nothing.
    pub latest: Box<dyn Fn() -> Vec<Logged> + Send + Sync>,
    /// What a sensor was ordered to do before the dialogue was made; that outlives a reload of the configuration.
    pub ordered: Box<dyn Fn(&SensorId) -> Ordered + Send + Sync>,
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("About").field("device", &self.device).finish_non_exhaustive()
    }
}

/// A sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorAbout {
    /// Name.
    pub id: SensorId,
    /// Name of its driver.
    pub driver: &'static str,
    /// Time between readings.
    pub interval: Duration,
    /// Its quantities with how they are published; the longest time without a message though nothing changes.
    pub quantities: Vec<(Channel, Option<Duration>)>,
    /// Channel of its own state.
    pub state: Channel,
}

/// An output.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputAbout {
    /// Name.
    pub id: SensorId,
    /// Percent from–to; `None` when it is on or off.
    pub percent: Option<(f64, f64)>,
    /// The channel of its level: `on` or `level`.
    pub level: Channel,
    /// The channel of its own state.
    pub state: Channel,
    /// The platform may command it.
    pub commandable: bool,
}

/// A message to be published. QoS 2 is not for these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// At most [`Qos::AtLeastOnce`].
    pub qos: Qos,
    /// Retain flag.
    pub retain: bool,
}

/// A message that came in.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// It is from before the subscription.
    pub retained: bool,
}

/// What a dialogue wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Publish this, after what was said before it and before readings that are not handed over yet.
    Say(Say),
    /// Carry this out; [`Dialogue::done`] is told what came of it.
    Do(Order),
    /// Something for the log and the board, once for each different text.
    Note(String),
    /// End the connection without a word, so that the broker says the last will, and make a new one. For platforms with
    /// [`Rules::clean`] only: in a session that goes on, the message that led to this would come again.
    Renew,
}

/// Something to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// By which [`Dialogue::done`] knows it.
    pub tag: u64,
    /// The platform's id of it, if it is the same when it is sent again: then it is not carried out twice.
    pub id: Option<String>,
    /// What is to be done.
    pub wish: Wish,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A command as on our own command topics (docs/commands.md), without `id`, `expires` and `hmac`:
    /// `{"action":"set","output":"fan","value":true}`. Carried out only if `commands` with `from: platform` allows it.
    Command(Map<String, Value>),
    /// A program of the configuration. Its end within 30 s with 0 is success.
    Run(Vec<String>),
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Return code, after HTTP, as in docs/commands.md.
    pub rc: u16,
    /// In words.
    pub message: String,
    /// What was asked for, if anything was.
    pub data: Option<Value>,
}

/// What is said beside readings, and what is done about what is heard: a state machine. Times are [`Moment`]s; wait by
/// `since_boot`, which never steps.
pub trait Dialogue: Send {
    /// Topic filters, subscribed to at QoS 1 on each connection before anything is said.
    fn filters(&self) -> Vec<String> {
        Vec::new()
    }

    /// The last will of the next connection, in place of ours.
    fn will(&mut self) -> Option<Say> {
        None
    }

    /// A connection has been made and the filters are subscribed. Called on each; what was said on an earlier one may not
    /// have arrived.
    fn connected(&mut self, now: Moment) -> Vec<Act>;

    /// A message came. From whomever: nothing in it can be trusted.
    fn heard(&mut self, _message: Heard<'_>, _now: Moment) -> Vec<Act> {
        Vec::new()
    }

    /// What came of an [`Order`]. Also after the connection on which it came.
    fn done(&mut self, _tag: u64, _outcome: &Outcome, _now: Moment) -> Vec<Act> {
        Vec::new()
    }

    /// When [`Dialogue::tick`] is to be called while there is a connection, microseconds since boot.
    fn due(&self) -> Option<i64> {
        None
    }

    /// Its time has come.
    fn tick(&mut self, _now: Moment) -> Vec<Act> {
        Vec::new()
    }

    /// Whether readings wait in the log for now, because nobody is there to take them.
    fn holds(&self) -> bool {
        false
    }

    /// A message of readings is about to be handed over on this connection, in this order: the last chance to add what
    /// depends on that, such as a sequence number. What is answered is said before it, at QoS 0.
    fn seal(&mut self, _topic: &str, _payload: &mut Vec<u8>, _now: Moment) -> Vec<Say> {
        Vec::new()
    }

    /// Rows of readings whose messages it has not seen, because they went out before it was made, and may have to say
    /// again. Asked before [`Dialogue::connected`].
    fn forgotten(&self) -> Vec<i64> {
        Vec::new()
    }

    /// A message with such a row, as it went out.
    fn recall(&mut self, _topic: &str, _payload: &[u8]) {}

    /// The bridge leaves in order: said last, after the readings.
    fn leaving(&mut self, _now: Moment) -> Vec<Say> {
        Vec::new()
    }
}
