//! A channel of a PCA9685: 16 outputs with pulses of 12 bit, on I2C (NXP data sheet, rev. 4).
//!
//! The chip is set up by whichever of its channels comes first, and again when it has lost its power: then it
//! sleeps, which each write looks for.

use std::time::Duration;

use embedded_hal::i2c::I2c;

use super::{Device, DriveError};
use crate::bus::{BusName, Buses, I2cBus, I2cError};

/// Registers (table 5).
const MODE1: u8 = 0x00;
const FIRST_CHANNEL: u8 = 0x06;
const PRESCALE: u8 = 0xFE;

/// MODE1: registers follow each other in one transfer; the oscillator is off.
const AUTO_INCREMENT: u8 = 0x20;
const SLEEP: u8 = 0x10;

/// Bit 4 of the high byte of a register: on, or off, for good.
const FULL: u8 = 0x10;

/// The internal oscillator, Hz, and the steps of one pulse (section 7.3.5).
const OSCILLATOR: f64 = 25e6;
const STEPS: f64 = 4096.0;

/// What the oscillator needs to come up (section 7.3.1.1).
const WAKE: Duration = Duration::from_micros(500);

/// A chip whose power failed for a moment is found within this time.
const REFRESH: Duration = Duration::from_secs(10);

/// Where the channel is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) bus: BusName,
    pub(super) address: u8,
    pub(super) channel: u8,
    pub(super) active_low: bool,
}

struct Channel {
    bus: I2cBus,
    place: Place,
    prescale: u8,
}

pub(super) fn open(
    buses: &Buses,
    place: Place,
    frequency: f64,
    level: f64,
) -> Result<Box<dyn Device>, DriveError> {
    let name = place.bus.to_string();
    let failed = |error: crate::bus::BusError| DriveError(error.to_string());
    if place.bus.is_simulated() {
        let make = |_| Box::new(crate::bus::sim::pca9685::Pca9685::new()) as _;
        buses.simulate(&name, place.address, "PCA9685", make).map_err(failed)?;
    }
    let bus = buses.i2c(&name).map_err(failed)?;
    let mut channel = Channel { bus, place, prescale: prescale(frequency) };
    channel.set(level)?;
    Ok(Box::new(channel))
}

/// The divider of the frequency (section 7.3.5, equation 1).
fn prescale(frequency: f64) -> u8 {
    ((OSCILLATOR / (STEPS * frequency)).round() - 1.0).clamp(3.0, 255.0) as u8
}

/// The four registers of a channel at this level: when in a period it goes on, and when off.
fn registers(level: f64, active_low: bool) -> [u8; 4] {
    let share = (if active_low { 100.0 - level } else { level }) / 100.0;
    match (share * STEPS).round() as u16 {
        0 => [0, 0, 0, FULL],
        4096.. => [0, FULL, 0, 0],
        off => {
            let [low, high] = off.to_le_bytes();
            [0, 0, low, high]
        }
    }
}

impl Channel {
    fn register(&mut self, register: u8) -> Result<u8, DriveError> {
        let mut value = [0];
        let read = self.bus.write_read(self.place.address, &[register], &mut value);
        read.map_err(|error| self.failure(&error))?;
        Ok(value[0])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DriveError> {
        self.bus.write(self.place.address, bytes).map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &I2cError) -> DriveError {
        let Place { bus, address, .. } = self.place;
        DriveError(format!("PCA9685 at {address:#04x} on {bus}: {error}; check wiring, power and address"))
    }

    /// Sets the chip up unless another channel has done so.
    fn wake(&mut self) -> Result<(), DriveError> {
        let awake = self.register(MODE1)? & (SLEEP | AUTO_INCREMENT) == AUTO_INCREMENT;
        if awake && self.register(PRESCALE)? == self.prescale {
            return Ok(());
        }
        // The frequency can be set only while it sleeps. Its other channels are off for that moment, and after a
        // loss of power until their own next write.
        self.write(&[MODE1, SLEEP | AUTO_INCREMENT])?;
        self.write(&[PRESCALE, self.prescale])?;
        self.write(&[MODE1, AUTO_INCREMENT])?;
        std::thread::sleep(WAKE);
        Ok(())
    }
}

impl Device for Channel {
    fn set(&mut self, level: f64) -> Result<(), DriveError> {
        self.wake()?;
        let [a, b, c, d] = registers(level, self.place.active_low);
        self.write(&[FIRST_CHANNEL + 4 * self.place.channel, a, b, c, d])
    }

    fn refresh(&self) -> Option<Duration> {
        Some(REFRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::sim::pca9685::Pca9685;

    #[test]
    fn frequencies_and_levels() {
        for (frequency, expected) in [(200.0, 30), (50.0, 121), (1526.0, 3), (24.0, 253)] {
            assert_eq!(prescale(frequency), expected, "{frequency} Hz");
        }
        for (level, active_low, expected) in [
            (0.0, false, [0, 0, 0, 0x10]),
            (100.0, false, [0, 0x10, 0, 0]),
            (50.0, false, [0, 0, 0, 8]),
            (25.0, true, [0, 0, 0, 12]),
            (0.0, true, [0, 0x10, 0, 0]),
            (0.01, false, [0, 0, 0, 0x10]),
        ] {
            assert_eq!(registers(level, active_low), expected, "{level} %");
        }
    }

    #[test]
    fn channels_share_a_chip_and_survive_its_loss_of_power() {
        let buses = Buses::new();
        let chip = Pca9685::new();
        let registers = chip.registers();
        buses.attach("sim-1", 0x41, Some(Box::new(chip))).unwrap();
        let bus = "sim-1".parse().unwrap();
        let place = |channel| Place { bus, address: 0x41, channel, active_low: false };
        let mut first = open(&buses, place(0), 50.0, 0.0).unwrap();
        let mut last = open(&buses, place(15), 50.0, 100.0).unwrap();
        first.set(50.0).unwrap();
        assert_eq!([0, 1, 15].map(|channel| registers.ticks(channel)), [2048, 0, 4096]);
        assert_eq!(registers.prescale(), 121);
        registers.reset();
        assert_eq!(registers.ticks(0), 0);
        first.set(50.0).unwrap();
        last.set(100.0).unwrap();
        assert_eq!([0, 15].map(|channel| registers.ticks(channel)), [2048, 4096]);
        buses.attach("sim-1", 0x41, None).unwrap();
        let error = first.set(0.0).unwrap_err().to_string();
        assert!(error.contains("PCA9685 at 0x41 on sim-1") && error.contains("check wiring"), "{error}");
    }
}
