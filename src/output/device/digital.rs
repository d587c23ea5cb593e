//! A pin that is high or low: a relay, a transistor.

use super::{Device, DriveError};
use crate::bus::Buses;
use crate::bus::gpio::{LevelOutput, Pins};

struct Digital {
    pin: LevelOutput,
    active_low: bool,
}

pub(super) fn open(
    buses: &Buses,
    pins: Pins,
    pin: u8,
    active_low: bool,
    level: f64,
) -> Result<Box<dyn Device>, DriveError> {
    let pin =
        buses.drive(pins, pin, is_high(level, active_low)).map_err(|error| DriveError(error.to_string()))?;
    Ok(Box::new(Digital { pin, active_low }))
}

fn is_high(level: f64, active_low: bool) -> bool {
    (level > 0.0) != active_low
}

impl Device for Digital {
    fn set(&mut self, level: f64) -> Result<(), DriveError> {
        self.pin.set(is_high(level, self.active_low)).map_err(|error| DriveError(error.to_string()))
    }
}
