//! The connection to the broker, and how readings are published. The way to the broker stands in [`super::broker`].

use std::sync::Arc;
use std::time::Duration;

use super::broker::Broker;
use super::credentials::Credentials;
use crate::config::pseudonym::Pseudonym;
use crate::integrity::Integrity;
use crate::platform::Platform;

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

/// Topic of the facts beside this status topic.
pub(in crate::config) fn facts_topic(status: &str) -> String {
    format!("{status}/facts")
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
