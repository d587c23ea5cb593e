//! Pins that are driven: at one of two levels, or with pulses. Which level means what is for others to say.
//!
//! Whoever lets go of a driven pin leaves it as it was set last: an output that was made safe stays so.

use super::super::{BusError, Buses};
use super::{Pins, pi};

/// What a driven pin is made of, real or not.
pub(super) trait Drive: Send {
    /// Sets the share of time for which the pin is high, 0 to 1.
    fn set(&mut self, high: f64) -> Result<(), BusError>;
}

/// A pin at one of two levels.
pub struct LevelOutput(Box<dyn Drive>);

impl LevelOutput {
    /// Sets the level.
    ///
    /// # Errors
    /// The pin cannot be set any more.
    pub fn set(&mut self, high: bool) -> Result<(), BusError> {
        self.0.set(if high { 1.0 } else { 0.0 })
    }
}

/// A pin with pulses of a fixed frequency.
pub struct PulseOutput(Box<dyn Drive>);

impl PulseOutput {
    /// Sets the share of time for which the pin is high, 0 to 1.
    ///
    /// # Errors
    /// The hardware does not take it.
    pub fn set(&mut self, high: f64) -> Result<(), BusError> {
        self.0.set(high.clamp(0.0, 1.0))
    }
}

impl Buses {
    /// Drives a pin (BCM number), from the start at the level given.
    ///
    /// # Errors
    /// There are no pins here, not this one, or somebody else has it.
    pub fn drive(&self, pins: Pins, pin: u8, high: bool) -> Result<LevelOutput, BusError> {
        Ok(LevelOutput(match pins {
            Pins::Header => Box::new(pi::drive(pin, high)?),
            Pins::Simulated => Box::new(self.pins.drive(pin, if high { 1.0 } else { 0.0 })?),
        }))
    }

    /// Sends pulses on a pin (BCM number) by the hardware made for it: `frequency` in Hz, `high` the share of
    /// time, 0 to 1, from the start.
    ///
    /// # Errors
    /// As [`Buses::drive`], or the pin has no such hardware, or it is not switched on.
    pub fn pulses(&self, pins: Pins, pin: u8, frequency: f64, high: f64) -> Result<PulseOutput, BusError> {
        Ok(PulseOutput(match pins {
            Pins::Header => Box::new(pi::pwm::pulses(pin, frequency, high)?),
            Pins::Simulated => Box::new(self.pins.drive(pin, high)?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_pin_is_driven_by_one_and_stays_as_it_was_left() {
        let buses = Buses::new();
        let pins = buses.simulated_pins();
        assert_eq!(pins.driven(22), None);
        let mut pin = buses.drive(Pins::Simulated, 22, true).unwrap();
        assert_eq!(pins.driven(22), Some(1.0));
        let again = buses.drive(Pins::Simulated, 22, true).err().unwrap();
        assert!(again.to_string().contains("in use already"), "{again}");
        pin.set(false).unwrap();
        assert_eq!(pins.driven(22), Some(0.0));
        drop(pin);
        assert_eq!(pins.driven(22), Some(0.0));
        let mut pulses = buses.pulses(Pins::Simulated, 22, 100.0, 0.25).unwrap();
        assert_eq!(pins.driven(22), Some(0.25));
        pulses.set(7.0).unwrap();
        assert_eq!(pins.driven(22), Some(1.0));
    }
}
