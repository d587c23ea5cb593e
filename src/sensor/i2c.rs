//! What drivers of I2C parts share: the words for a transfer that failed, and the time that drivers wait.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{Error as _, ErrorKind};

use super::SensorError;
use crate::bus::{BusName, I2cError};

/// The error of a sensor for the error of a transfer to it.
pub(super) fn failure(bus: BusName, address: u8, error: &I2cError) -> SensorError {
    match error.kind() {
        ErrorKind::NoAcknowledge(_) => SensorError::NoAnswer { bus: bus.to_string(), address },
        _ => SensorError::Bus(error.to_string()),
    }
}

/// A wait of the thread, at least as long as a conversion takes whatever the driver crate asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) at_least: Duration,
}

impl DelayNs for Wait {
    fn delay_ns(&mut self, nanoseconds: u32) {
        std::thread::sleep(Duration::from_nanos(nanoseconds.into()).max(self.at_least));
    }
}
