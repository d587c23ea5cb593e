//! A Vishay VEML7700 register by register (data sheet 84286, rev. 1.7): configuration and the two channels.
//! So is its error in bright light, which drivers correct; thresholds and power saving are not.

use std::time::Duration;

use super::pointed::{Pointed, Registers};
use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};

#[derive(Debug, Clone)]
struct Veml7700 {
    /// lx.
    light: Scenario,
    config: u16,
}

/// A chip just powered up (and thereby shut down), in light of this illuminance (lx).
pub fn veml7700(light: Scenario) -> Box<dyn Simulated> {
    Box::new(Pointed::new(Veml7700 { light, config: 1 }))
}

impl Veml7700 {
    /// Counts a lx: 0.0042 lx a count at gain 2 and 800 ms ("Resolution", table 2 of the application note).
    fn counts_per_lux(&self) -> f64 {
        let gain = self.gain();
        let milliseconds = match self.config >> 6 & 0xF {
            0b1100 => 25.0,
            0b1000 => 50.0,
            0b0001 => 200.0,
            0b0010 => 400.0,
            0b0011 => 800.0,
            _ => 100.0,
        };
        gain / 2.0 * milliseconds / 800.0 / 0.0042
    }

    fn gain(&self) -> f64 {
        [1.0, 2.0, 0.125, 0.25][usize::from(self.config >> 11 & 0b11)]
    }

    fn count(&mut self, now: Duration) -> u16 {
        let lux = self.light.at(now);
        let seen = if self.gain() < 1.0 { seen(lux) } else { lux };
        // The cast saturates, as the chip does.
        (seen * self.counts_per_lux()).round() as u16
    }
}

/// What the chip takes this illuminance for: the correction of application note 84323, turned round by
/// halving, since it has no handy inverse.
fn seen(lux: f64) -> f64 {
    let corrected =
        |x: f64| 6.0135e-13 * x.powi(4) - 9.3924e-9 * x.powi(3) + 8.1488e-5 * x.powi(2) + 1.0023 * x;
    let (mut low, mut high) = (0.0, lux.max(0.0));
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if corrected(middle) < lux {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

impl Registers for Veml7700 {
    fn get(&mut self, register: u8, now: Duration) -> [u8; 2] {
        let value = match register {
            0 => self.config,
            4 | 5 if self.config & 1 == 0 => self.count(now),
            7 => 0xC481,
            _ => 0,
        };
        value.to_le_bytes()
    }

    fn set(&mut self, register: u8, bytes: &[u8], _: Duration) -> Answer {
        let [low, high] = *bytes else { return Err(Refusal::Nack) };
        if register == 0 {
            self.config = u16::from_le_bytes([low, high]);
        }
        Ok(())
    }
}
