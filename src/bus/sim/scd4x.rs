//! A Sensirion SCD40 or SCD41 command by command (data sheet SCD4x, version 1.4, section 3): 16-bit commands,
//! words with a CRC each, periodic measurement, data-ready status. What it must not be asked now, it does not
//! acknowledge.

use std::time::Duration;

use super::super::crc::crc8;
use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};

const STOP_TIME: Duration = Duration::from_millis(500);

/// What the chip is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Idle,
    /// Busy until then.
    Stopping(Duration),
    /// Measures once per period; how many of its measurements were read.
    Measuring {
        since: Duration,
        period: Duration,
        read: u128,
    },
}

/// A chip in some air.
#[derive(Debug, Clone)]
pub struct Scd4x {
    /// ppm
    co2: Scenario,
    /// °C
    temperature: Scenario,
    /// %
    humidity: Scenario,
    state: State,
    answer: Vec<u8>,
    /// What was set: altitude (m), temperature offset (raw), self-calibration (0 or 1).
    pub settings: [u16; 3],
}

impl Scd4x {
    /// A chip just powered up, in air of this CO2 concentration (ppm), temperature (°C) and humidity (%).
    pub fn new(co2: Scenario, temperature: Scenario, humidity: Scenario) -> Self {
        // Section 3.6: altitude 0 m, offset 4 °C, self-calibration on.
        let settings = [0, 1498, 1];
        Self { co2, temperature, humidity, state: State::Idle, answer: Vec::new(), settings }
    }

    /// As if it had been left measuring by a program that ended.
    pub fn left_measuring(mut self) -> Self {
        self.state = State::Measuring { since: Duration::ZERO, period: Duration::from_secs(5), read: 0 };
        self
    }

    fn command(&mut self, command: u16, argument: Option<u16>, now: Duration) -> Answer {
        if let State::Stopping(end) = self.state {
            if now < end {
                return Err(Refusal::Nack);
            }
            self.state = State::Idle;
        }
        self.answer.clear();
        match (command, self.state) {
            (0x21B1, State::Idle) => self.start(Duration::from_secs(5), now),
            (0x21AC, State::Idle) => self.start(Duration::from_secs(30), now),
            (0x3F86, _) => self.state = State::Stopping(now + STOP_TIME),
            (0x3682, State::Idle) => self.answer = words(&[0xF896, 0x9F07, 0x3BBE]),
            (0xE4B8, _) => {
                let ready = self.unread(now).is_some();
                self.answer = words(&[if ready { 0x8006 } else { 0x8000 }]);
            }
            (0xEC05, State::Measuring { since, period, .. }) => {
                // Without a measurement the chip acknowledges the command, but not the read header.
                let Some(done) = self.unread(now) else { return Ok(()) };
                self.state = State::Measuring { since, period, read: done };
                let part = |value: f64| (value.clamp(0.0, 1.0) * 65535.0).round() as u16;
                self.answer = words(&[
                    self.co2.at(now).round().clamp(0.0, 40_000.0) as u16,
                    part((self.temperature.at(now) + 45.0) / 175.0),
                    part(self.humidity.at(now) / 100.0),
                ]);
            }
            (0x2427 | 0x241D | 0x2416, State::Idle) => {
                let which = match command {
                    0x2427 => 0,
                    0x241D => 1,
                    _ => 2,
                };
                self.settings[which] = argument.ok_or(Refusal::Nack)?;
            }
            _ => return Err(Refusal::Nack),
        }
        Ok(())
    }

    fn start(&mut self, period: Duration, now: Duration) {
        self.state = State::Measuring { since: now, period, read: 0 };
    }

    /// How many measurements there were, if the last of them was not read.
    fn unread(&self, now: Duration) -> Option<u128> {
        let State::Measuring { since, period, read } = self.state else { return None };
        let done = now.saturating_sub(since).as_millis() / period.as_millis();
        (done > read).then_some(done)
    }
}

impl Simulated for Scd4x {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        match *bytes {
            [a, b] => self.command(u16::from_be_bytes([a, b]), None, now),
            [a, b, high, low, check] if crc([high, low]) == check => {
                self.command(u16::from_be_bytes([a, b]), Some(u16::from_be_bytes([high, low])), now)
            }
            _ => Err(Refusal::Nack),
        }
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        if self.answer.is_empty() {
            return Err(Refusal::Nack);
        }
        let mut bytes = self.answer.drain(..);
        buffer.fill_with(|| bytes.next().unwrap_or(0xFF));
        Ok(())
    }
}

/// Words, each with its CRC.
fn words(words: &[u16]) -> Vec<u8> {
    let with_crc = |word: &u16| {
        let [high, low] = word.to_be_bytes();
        [high, low, crc([high, low])]
    };
    words.iter().flat_map(with_crc).collect()
}

/// CRC-8 of a word (section 3.11).
fn crc(bytes: [u8; 2]) -> u8 {
    crc8(0xFF, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_in_the_data_sheets_example() {
        let [co2, temperature, humidity] = [500.0, 25.0, 37.0].map(Scenario::Constant);
        let mut chip = Scd4x::new(co2, temperature, humidity);
        let second = Duration::from_secs(1);
        chip.write(&[0x21, 0xB1], Duration::ZERO).unwrap();
        let mut answer = [0; 9];
        chip.write(&[0xEC, 0x05], 4 * second).unwrap();
        assert_eq!(chip.read(&mut answer, 4 * second), Err(Refusal::Nack));
        chip.write(&[0xEC, 0x05], 5 * second).unwrap();
        chip.read(&mut answer, 5 * second).unwrap();
        // Section 3.5.2: 500 ppm, 25 °C, 37 % are 01F4 33, 6667 A2, 5EB9 3C (37 % rounds to 5EB8).
        assert_eq!(answer[..6], [0x01, 0xF4, 0x33, 0x66, 0x66, crc([0x66, 0x66])]);
        assert_eq!(words(&[0x6667, 0x5EB9]), [0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C]);
        assert_eq!(crc([0xBE, 0xEF]), 0x92);
        // Not while it measures, and not while it stops.
        assert_eq!(chip.write(&[0x36, 0x82], 6 * second), Err(Refusal::Nack));
        chip.write(&[0x3F, 0x86], 6 * second).unwrap();
        assert_eq!(chip.write(&[0x36, 0x82], 6 * second), Err(Refusal::Nack));
        chip.write(&[0x36, 0x82], 7 * second).unwrap();
    }
}
