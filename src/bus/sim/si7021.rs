//! A Silicon Labs Si7021 or a TE HTU21D command by command (data sheets "Si7021-A20" and HPC199): single
//! measurements, user register, reset, and the Si7021's electronic id.

use std::time::Duration;

use super::Simulated;
use super::commands::{Commanded, Commands, Reply};
use super::scenario::Scenario;
use crate::bus::crc::crc8;

/// Which of the two chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Silicon Labs Si7021.
    Si7021,
    /// TE (Measurement Specialties) HTU21D; SHT21 and SHT20 speak the same.
    Htu21d,
}

#[derive(Debug, Clone)]
struct Si7021 {
    model: Model,
    temperature: Scenario,
    humidity: Scenario,
    user: u8,
}

/// A chip just powered up, in air of this temperature (°C) and relative humidity (%).
pub fn si7021(model: Model, temperature: Scenario, humidity: Scenario) -> Box<dyn Simulated> {
    let user = power_up(model);
    Box::new(Commanded::new(Si7021 { model, temperature, humidity, user }))
}

fn power_up(model: Model) -> u8 {
    match model {
        Model::Si7021 => 0x3A,
        Model::Htu21d => 0x02,
    }
}

impl Si7021 {
    /// A measurement: the last two bits are the HTU21D's status, humidity (0b10) or temperature (0b00).
    fn answer(&self, part: f64, status: u16, milliseconds: [u64; 2]) -> Reply {
        let count = (part * 65536.0).round().clamp(0.0, 65535.0) as u16 & !0b11;
        let (status, milliseconds) = match self.model {
            Model::Si7021 => (0, milliseconds[0]),
            Model::Htu21d => (status, milliseconds[1]),
        };
        Reply::words(0, &[count | status], Duration::from_millis(milliseconds))
    }
}

impl Commands for Si7021 {
    fn command(&mut self, bytes: &[u8], now: Duration) -> Reply {
        match *bytes {
            // Longest times at the finest resolution; a humidity measurement of the Si7021 includes one of
            // the temperature.
            [0xF5] => {
                let humidity = self.humidity.at(now);
                self.answer((humidity + 6.0) / 125.0, 0b10, [23, 16])
            }
            [0xF3] => {
                let temperature = self.temperature.at(now);
                self.answer((temperature + 46.85) / 175.72, 0b00, [11, 50])
            }
            [0xE7] => Reply::Bytes(vec![self.user], Duration::ZERO),
            [0xE6, user] => {
                self.user = user;
                Reply::Taken
            }
            [0xFE] => {
                // HPC199, "Soft Reset": all but the heater bit.
                let kept = if self.model == Model::Htu21d { self.user & 0x04 } else { 0 };
                self.user = power_up(self.model) | kept;
                Reply::Taken
            }
            [0xFC, 0xC9] if self.model == Model::Si7021 => {
                let id = [0x15, 0xFF, 0xB5, 0xFF];
                let sums = [crc8(0, &id[..2]), crc8(0, &id)];
                Reply::Bytes(vec![id[0], id[1], sums[0], id[2], id[3], sums[1]], Duration::ZERO)
            }
            // Another maker's id, and other checksums behind it.
            [0xFC, 0xC9] => Reply::Bytes(vec![0x32, 0x00, 0x00, 0x48, 0x54, 0x00], Duration::ZERO),
            _ => Reply::Refused,
        }
    }
}
