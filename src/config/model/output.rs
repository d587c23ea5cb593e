//! What can be switched or set, and within which limits.

use std::time::Duration;

use crate::bus::BusName;
use crate::bus::gpio::Pins;
use crate::reading::{Channel, SensorId};
use crate::sensor::Attachment;

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
