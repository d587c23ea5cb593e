//! A pin with pulses by the Pi's hardware: a fan's speed, a lamp's brightness.

use super::{Device, DriveError};
use crate::bus::Buses;
use crate::bus::gpio::{Pins, PulseOutput};

struct Pwm {
    pin: PulseOutput,
    active_low: bool,
}

pub(super) fn open(
    buses: &Buses,
    pins: Pins,
    pin: u8,
    frequency: f64,
    active_low: bool,
    level: f64,
) -> Result<Box<dyn Device>, DriveError> {
    let pulses = buses.pulses(pins, pin, frequency, high(level, active_low));
    let pin = pulses.map_err(|error| DriveError(error.to_string()))?;
    Ok(Box::new(Pwm { pin, active_low }))
}

/// The share of time for which the pin is high.
fn high(level: f64, active_low: bool) -> f64 {
    let share = level / 100.0;
    if active_low { 1.0 - share } else { share }
}

impl Device for Pwm {
    fn set(&mut self, level: f64) -> Result<(), DriveError> {
        self.pin.set(high(level, self.active_low)).map_err(|error| DriveError(error.to_string()))
    }
}
