//! A Sensirion SHT4x or SHT3x command by command (data sheets "SHT4x" and "SHT3x-DIS", section 4 of each):
//! single measurements of three precisions, serial number, status, heater and reset.

use std::time::Duration;

use super::Simulated;
use super::commands::{Commanded, Commands, Reply};
use super::scenario::Scenario;

/// Where Sensirion's checksums start.
const START: u8 = 0xFF;

/// °C to 16 bits, both generations: −45 + 175 · count / 65535.
fn temperature_count(celsius: f64) -> u16 {
    ((celsius + 45.0) / 175.0 * 65535.0).round() as u16
}

fn milliseconds(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds / 1000.0)
}

#[derive(Debug, Clone)]
struct Sht4x {
    temperature: Scenario,
    humidity: Scenario,
}

/// An SHT4x in air of this temperature (°C) and relative humidity (%).
pub fn sht4x(temperature: Scenario, humidity: Scenario) -> Box<dyn Simulated> {
    Box::new(Commanded::new(Sht4x { temperature, humidity }))
}

impl Commands for Sht4x {
    fn command(&mut self, bytes: &[u8], now: Duration) -> Reply {
        // Longest durations ("Timing Specifications").
        let time = match bytes {
            [0xFD] => 8.3,
            [0xF6] => 4.5,
            [0xE0] => 1.6,
            [0x39 | 0x2F | 0x1E] => 1100.0,
            [0x32 | 0x24 | 0x15] => 110.0,
            [0x89] => return Reply::words(START, &[0x0F4A, 0x1234], milliseconds(0.01)),
            [0x94] => return Reply::Taken,
            _ => return Reply::Refused,
        };
        let humidity = (self.humidity.at(now) + 6.0) / 125.0 * 65535.0;
        let words = [temperature_count(self.temperature.at(now)), humidity.round() as u16];
        Reply::words(START, &words, milliseconds(time))
    }
}

#[derive(Debug, Clone)]
struct Sht3x {
    temperature: Scenario,
    humidity: Scenario,
    heater: bool,
    /// Measuring by itself, as another program may have left it: then it takes no single measurements.
    periodic: bool,
}

/// An SHT3x in air of this temperature (°C) and relative humidity (%).
pub fn sht3x(temperature: Scenario, humidity: Scenario) -> Box<dyn Simulated> {
    Box::new(Commanded::new(Sht3x { temperature, humidity, heater: false, periodic: false }))
}

impl Commands for Sht3x {
    fn command(&mut self, bytes: &[u8], now: Duration) -> Reply {
        let [high, low] = *bytes else { return Reply::Refused };
        let time = match u16::from_be_bytes([high, low]) {
            // Longest durations ("Timing Specifications").
            0x2400 if !self.periodic => 15.5,
            0x240B if !self.periodic => 6.5,
            0x2416 if !self.periodic => 4.5,
            0x2130 => {
                self.periodic = true;
                return Reply::Taken;
            }
            // Break, soft reset.
            0x3093 | 0x30A2 => {
                self.periodic = false;
                return Reply::Taken;
            }
            heater @ (0x306D | 0x3066) => {
                self.heater = heater == 0x306D;
                return Reply::Taken;
            }
            0xF32D => {
                return Reply::words(START, &[0x8010 | u16::from(self.heater) << 13], Duration::ZERO);
            }
            _ => return Reply::Refused,
        };
        // What the heater does to the reading is a guess ("a few degrees", section on the heater).
        let warmer = if self.heater { 3.0 } else { 0.0 };
        let humidity = self.humidity.at(now) / 100.0 * 65535.0;
        let words = [temperature_count(self.temperature.at(now) + warmer), humidity.round() as u16];
        Reply::words(START, &words, milliseconds(time))
    }
}
