//! Section `outputs`: what can be switched or set, and within which limits.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{AddressText, DurationText, LevelGiven, LevelText, NumberOrText};

/// Something that can be switched or set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Output {
    /// Name of the output, unique, those of sensors included; fills `{sensor}` in topics.
    #[schemars(required, extend("examples" = ["fan"]))]
    pub(in crate::config) id: Option<String>,
    /// What it is made of.
    #[schemars(required, extend("examples" = ["digital-output"]))]
    pub(in crate::config) driver: Option<OutputKind>,
    /// BCM number of the pin (22 for GPIO22). With `pwm` one that has the hardware: 12, 13, 18 or 19. Not with
    /// `pca9685`.
    #[schemars(range(min = 0, max = 45), extend("examples" = [22]))]
    pub(in crate::config) pin: Option<u8>,
    /// Whose pin: `gpio` (default) for this machine's, `gpio-sim` for simulated ones. With `pca9685` the I2C bus:
    /// `i2c-1`, or `sim-1` for a simulated one.
    #[schemars(extend("examples" = ["i2c-1"]))]
    pub(in crate::config) bus: Option<String>,
    /// I2C address, `0x40` to `0x77`. Only with `pca9685`; default `0x40`.
    #[schemars(with = "Option<AddressText>", extend("examples" = ["0x41"]))]
    pub(in crate::config) address: Option<NumberOrText>,
    /// Channel of the PCA9685.
    #[schemars(range(min = 0, max = 15), extend("examples" = [3]))]
    pub(in crate::config) channel: Option<u8>,
    /// Whether low means on, as with most relay boards.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(in crate::config) active_low: Option<bool>,
    /// Pulses per second: 1 to 50,000 with `pwm` (default 1,000), 24 to 1,526 with `pca9685` (default 200), where all
    /// channels of a chip share one.
    #[schemars(range(min = 1, max = 50000), extend("examples" = [50], "x-unit" = "Hz"))]
    pub(in crate::config) frequency: Option<f64>,
    /// The safe level: at the start, at the end, and when the bridge decides by itself. `off`, `on`, or percent.
    #[schemars(with = "Option<LevelText>", extend("default" = "off", "examples" = ["on", 20], "x-unit" = "%"))]
    pub(in crate::config) safe: Option<LevelGiven>,
    /// Smallest level that can be set; 0 (off) always can. Not with `digital-output`.
    #[schemars(range(min = 0, max = 100), extend("default" = 0, "examples" = [30], "x-unit" = "%"))]
    pub(in crate::config) min: Option<f64>,
    /// Largest level that can be set. Not with `digital-output`.
    #[schemars(range(min = 0, max = 100), extend("default" = 100, "examples" = [80], "x-unit" = "%"))]
    pub(in crate::config) max: Option<f64>,
    /// Least time between two changes; an earlier command is refused. Going to the safe level is always allowed.
    #[schemars(extend("examples" = ["5s"]))]
    pub(in crate::config) min_interval: Option<DurationText>,
    /// Fastest change. Not with `digital-output`; what the bridge makes safe by itself goes at once.
    #[schemars(range(min = 0.1, max = 10000), extend("examples" = [20], "x-unit" = "%/s"))]
    pub(in crate::config) slew: Option<f64>,
    /// Longest time on without a break; then it goes to the safe level.
    #[schemars(extend("examples" = ["1h"]))]
    pub(in crate::config) max_on: Option<DurationText>,
    /// When the connection over which it is commanded is lost for so long, it goes to the safe level.
    #[schemars(extend("examples" = ["5m"]))]
    pub(in crate::config) link_lost: Option<DurationText>,
    /// Topic of its level instead of `mqtt.topic`.
    #[schemars(extend("examples" = ["castel/{device}/{sensor}"]))]
    pub(in crate::config) topic: Option<String>,
    /// Quality of service instead of `mqtt.qos`.
    #[schemars(range(min = 0, max = 2), extend("examples" = [2]))]
    pub(in crate::config) qos: Option<u8>,
    /// Retain flag instead of `mqtt.retain`.
    #[schemars(extend("examples" = [true]))]
    pub(in crate::config) retain: Option<bool>,
    /// Buffering of its QoS 0 readings instead of `mqtt.buffer`.
    #[schemars(extend("examples" = [false]))]
    pub(in crate::config) buffer: Option<bool>,
}

/// What an output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum OutputKind {
    /// A pin that is high or low: a relay, a transistor.
    DigitalOutput,
    /// A pin with pulses by the Pi's hardware: a fan's speed, a lamp's brightness.
    Pwm,
    /// A channel of a PCA9685 on I2C: 16 outputs with pulses.
    Pca9685,
}
