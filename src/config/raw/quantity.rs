//! Section `sensors.quantities`: how one quantity is converted, filtered and published.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{ChangeText, DurationText, NumberOrText};

/// How one quantity of a sensor is treated.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Quantity {
    /// Whether the quantity is wanted.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(in crate::config) enabled: Option<bool>,
    /// Unit to convert to. Default: the driver's.
    #[schemars(extend("examples" = ["°F"]))]
    pub(in crate::config) unit: Option<String>,
    /// Factor, after the conversion of the unit.
    #[schemars(extend("default" = 1, "examples" = [1.02]))]
    pub(in crate::config) scale: Option<f64>,
    /// Added after `scale`, in `unit`.
    #[schemars(extend("default" = 0, "examples" = [-0.4]))]
    pub(in crate::config) offset: Option<f64>,
    /// Coefficients c0, c1, c2 … of c0 + c1·x + c2·x² …, in `unit`; instead of `scale` and `offset`.
    #[schemars(length(min = 1, max = 10), extend("examples" = [[-0.4, 1.02, 0.001]]))]
    pub(in crate::config) polynomial: Option<Vec<f64>>,
    /// Decimals to round to. Default: no rounding.
    #[schemars(range(min = 0, max = 12), extend("examples" = [1], "x-unit" = "decimals"))]
    pub(in crate::config) round: Option<u8>,
    /// How much a value must differ from the last one sent: `any`, `always` (every sample is sent), a
    /// number in `unit`, or a percentage.
    #[schemars(with = "Option<ChangeText>", extend("default" = "any", "examples" = [0.1, "1%"]))]
    pub(in crate::config) change: Option<NumberOrText>,
    /// Sent after this long though unchanged.
    #[schemars(extend("examples" = ["10m"]))]
    pub(in crate::config) heartbeat: Option<DurationText>,
    /// Never sent more often than this; the newest value is kept and sent when its time has come.
    #[schemars(extend("examples" = ["1m"]))]
    pub(in crate::config) min_interval: Option<DurationText>,
    /// Smallest and largest believable value, in `unit`; outside, the sensor counts as faulty.
    #[schemars(length(min = 2, max = 2), extend("examples" = [[-40, 85]]))]
    pub(in crate::config) valid: Option<Vec<f64>>,
    /// Topic of this quantity.
    #[schemars(extend("examples" = ["castel/{device}/outdoor"]))]
    pub(in crate::config) topic: Option<String>,
    /// Quality of service of this quantity.
    #[schemars(range(min = 0, max = 2), extend("examples" = [2]))]
    pub(in crate::config) qos: Option<u8>,
    /// Retain flag of this quantity.
    #[schemars(extend("examples" = [true]))]
    pub(in crate::config) retain: Option<bool>,
    /// Buffering of this quantity's QoS 0 readings.
    #[schemars(extend("examples" = [false]))]
    pub(in crate::config) buffer: Option<bool>,
    /// What this quantity is published as, if it is a picture.
    #[schemars(extend("examples" = ["base64"]))]
    pub(in crate::config) format: Option<Format>,
}

/// What a picture is published as.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum Format {
    /// JSON with what is known of it, the bytes in base64.
    Json,
    /// Base64 text, nothing else.
    Base64,
    /// The bytes, nothing else.
    Binary,
}
