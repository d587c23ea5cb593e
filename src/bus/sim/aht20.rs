//! An ASAIR AHT20 command by command (data sheet "AHT20", section 5): status, initialisation, measurement.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};
use crate::bus::crc::crc8;

const BUSY: u8 = 0x80;
const CALIBRATED: u8 = 0x08;

/// An AHT20.
#[derive(Debug, Clone)]
pub struct Aht20 {
    temperature: Scenario,
    humidity: Scenario,
    status: u8,
    /// Humidity and temperature, 20 bits each.
    data: [u8; 5],
    measured_at: Option<Duration>,
    /// How long it is busy with a measurement.
    time: Duration,
}

impl Aht20 {
    /// A chip just powered up and not initialised, in air of this temperature (°C) and relative humidity (%).
    pub fn new(temperature: Scenario, humidity: Scenario) -> Self {
        // Section 5.4: 80 ms.
        let time = Duration::from_millis(80);
        Self { temperature, humidity, status: 0x10, data: [0; 5], measured_at: None, time }
    }

    /// The same chip, busy for so long with each measurement.
    pub fn busy_for(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    fn status(&self, now: Duration) -> u8 {
        let busy = self.measured_at.is_some_and(|begin| now < begin.saturating_add(self.time));
        self.status | if busy { BUSY } else { 0 }
    }

    fn measure(&mut self, now: Duration) {
        // Section 6, turned round.
        let full = f64::from(1 << 20);
        let count = |part: f64| (part * full).round().clamp(0.0, full - 1.0) as u64;
        let humidity = count(self.humidity.at(now) / 100.0);
        let temperature = count((self.temperature.at(now) + 50.0) / 200.0);
        let [_, _, _, data @ ..] = (humidity << 20 | temperature).to_be_bytes();
        self.data = data;
        self.measured_at = Some(now);
    }
}

impl Simulated for Aht20 {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        match *bytes {
            [0x71] => {}
            [0xBA] => (self.status, self.measured_at) = (0x10, None),
            [0xBE, 0x08, 0x00] => self.status |= CALIBRATED,
            // Without calibration it measures nothing that anybody would want.
            [0xAC, 0x33, 0x00] if self.status & CALIBRATED != 0 => self.measure(now),
            _ => return Err(Refusal::Nack),
        }
        Ok(())
    }

    /// Every read begins with the status.
    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        let mut answer = [0; 7];
        answer[0] = self.status(now);
        answer[1..6].copy_from_slice(&self.data);
        answer[6] = crc8(0xFF, &answer[..6]);
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = answer.get(index).copied().unwrap_or(0xFF);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn air_counts_as_in_the_data_sheet() {
        // Section 6: half of 2^20 is 50 % and 50 °C.
        let mut chip = Aht20::new(Scenario::Constant(50.0), Scenario::Constant(50.0));
        chip.write(&[0xBE, 0x08, 0x00], Duration::ZERO).unwrap();
        chip.write(&[0xAC, 0x33, 0x00], Duration::ZERO).unwrap();
        let mut answer = [0; 7];
        chip.read(&mut answer, Duration::from_millis(79)).unwrap();
        assert_eq!(answer[0] & BUSY, BUSY);
        chip.read(&mut answer, Duration::from_millis(80)).unwrap();
        assert_eq!(answer[..6], [0x18, 0x80, 0x00, 0x08, 0x00, 0x00]);
    }
}
