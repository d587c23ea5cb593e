//! Section `sensors`: what is read, and how often. How its quantities are treated stands in [`super::quantity`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::notation::DurationText;
use super::quantity::{Format, Quantity};

/// One sensor. The keys of its driver stand beside these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(in crate::config) struct Sensor {
    /// Name of the sensor, unique; fills `{sensor}` in topics. Not `bridge`.
    #[schemars(required, extend("examples" = ["air"]))]
    pub(in crate::config) id: Option<String>,
    /// What kind of sensor it is.
    #[schemars(required, extend("examples" = ["bme280"]))]
    pub(in crate::config) driver: Option<String>,
    /// Whether the sensor is read at all.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(in crate::config) enabled: Option<bool>,
    /// Time between two readings, 10 ms to one day.
    #[schemars(extend("default" = "10s", "examples" = ["1m"]))]
    pub(in crate::config) interval: Option<DurationText>,
    /// A read that takes longer is reported as hung. Left out, a part that needs seconds has them on top.
    #[schemars(extend("default" = "5s", "examples" = ["20s"]))]
    pub(in crate::config) timeout: Option<DurationText>,
    /// Topic of this sensor's readings instead of `mqtt.topic`.
    #[schemars(extend("examples" = ["castel/{device}/{sensor}"]))]
    pub(in crate::config) topic: Option<String>,
    /// Quality of service instead of `mqtt.qos`.
    #[schemars(range(min = 0, max = 2), extend("examples" = [2]))]
    pub(in crate::config) qos: Option<u8>,
    /// Retain flag instead of `mqtt.retain`.
    #[schemars(extend("examples" = [true]))]
    pub(in crate::config) retain: Option<bool>,
    /// Buffering of QoS 0 readings instead of `mqtt.buffer`.
    #[schemars(extend("examples" = [false]))]
    pub(in crate::config) buffer: Option<bool>,
    /// What the sensor's pictures are published as.
    #[schemars(extend("default" = "json", "examples" = ["binary"]))]
    pub(in crate::config) format: Option<Format>,
    /// How single quantities are treated, by the driver's names. What is not named is logged and published
    /// whenever it changes.
    pub(in crate::config) quantities: Option<BTreeMap<String, Quantity>>,
    /// The driver's own keys; their schema is the driver's.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(in crate::config) options: Map<String, Value>,
}
