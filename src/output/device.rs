//! What can be driven: one file a kind, opened from what the configuration says. A device sets one level; it
//! knows no limits.

mod digital;
mod pca9685;
mod pwm;

use std::time::Duration;

use crate::bus::Buses;
use crate::config::OutputDriver;

/// Why an output could not be driven, worded for the person who wired it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DriveError(pub String);

/// An opened output.
pub(super) trait Device: Send {
    /// Sets the level, percent.
    fn set(&mut self, level: f64) -> Result<(), DriveError>;

    /// How often the level is to be written again, for a part that forgets when its power fails.
    fn refresh(&self) -> Option<Duration> {
        None
    }
}

/// Opens an output, from the start at this level (percent). A new kind is one file and one line here.
pub(super) fn open(driver: &OutputDriver, buses: &Buses, level: f64) -> Result<Box<dyn Device>, DriveError> {
    match *driver {
        OutputDriver::Digital { pins, pin, active_low } => digital::open(buses, pins, pin, active_low, level),
        OutputDriver::Pwm { pins, pin, frequency, active_low } => {
            pwm::open(buses, pins, pin, frequency, active_low, level)
        }
        OutputDriver::Pca9685 { bus, address, channel, frequency, active_low } => {
            let place = pca9685::Place { bus, address, channel, active_low };
            pca9685::open(buses, place, frequency, level)
        }
    }
}
