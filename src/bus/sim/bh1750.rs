//! A ROHM BH1750FVI instruction by instruction (data sheet 10046EDT01): power, reset, measurement time, the
//! three resolutions, once or continuously.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};

/// Measurement time register after power-up.
const DEFAULT_TIME: u8 = 69;

/// A BH1750.
#[derive(Debug, Clone)]
pub struct Bh1750 {
    /// lx.
    light: Scenario,
    on: bool,
    time: u8,
    data: u16,
    /// The instruction that runs, and when its measurement ends.
    running: Option<(u8, Duration)>,
}

impl Bh1750 {
    /// A chip just powered up, in light of this illuminance (lx).
    pub fn new(light: Scenario) -> Self {
        Self { light, on: false, time: DEFAULT_TIME, data: 0, running: None }
    }

    fn finish(&mut self, now: Duration) {
        let Some((instruction, end)) = self.running else { return };
        if now < end {
            return;
        }
        // 1.2 counts a lx at the default time; mode 2 counts twice as many ("Measurement Mode").
        let counts = self.light.at(now) * 1.2 * f64::from(self.time) / f64::from(DEFAULT_TIME);
        let counts = if instruction & 0b11 == 0b01 { counts * 2.0 } else { counts };
        // The cast saturates, as the chip does.
        self.data = counts.round() as u16;
        // Low resolution leaves out the last bits: 4 lx.
        if instruction & 0b11 == 0b11 {
            self.data &= !0b11;
        }
        if instruction & 0x20 != 0 {
            (self.running, self.on) = (None, false);
        }
    }
}

impl Simulated for Bh1750 {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.finish(now);
        let [instruction] = *bytes else { return Err(Refusal::Nack) };
        match instruction {
            0x00 => (self.on, self.running) = (false, None),
            0x01 => self.on = true,
            // Not accepted in power-down ("Reset").
            0x07 if self.on => self.data = 0,
            0x07 => {}
            0x10 | 0x11 | 0x13 | 0x20 | 0x21 | 0x23 => {
                // Longest times ("Electrical Characteristics"), in proportion to the register.
                let milliseconds = if instruction & 0b11 == 0b11 { 24.0 } else { 180.0 };
                let time = milliseconds / 1000.0 * f64::from(self.time) / f64::from(DEFAULT_TIME);
                self.on = true;
                self.running = Some((instruction, now + Duration::from_secs_f64(time)));
            }
            0x40..=0x47 => self.time = self.time & 0x1F | instruction << 5,
            0x60..=0x7F => self.time = self.time & 0xE0 | instruction & 0x1F,
            _ => return Err(Refusal::Nack),
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.finish(now);
        let bytes = self.data.to_be_bytes();
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = bytes[index % 2];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_counts_as_in_the_data_sheet() {
        // "Ex) High Byte = 1000_0011, Low Byte = 1001_0000: 28067 lx" (rounded there).
        let mut chip = Bh1750::new(Scenario::Constant(28_066.67));
        let read = |chip: &mut Bh1750, milliseconds| {
            let mut bytes = [0; 2];
            chip.read(&mut bytes, Duration::from_millis(milliseconds)).unwrap();
            bytes
        };
        chip.write(&[0x20], Duration::ZERO).unwrap();
        assert_eq!(read(&mut chip, 179), [0, 0], "not ready");
        assert_eq!(read(&mut chip, 180), [0b1000_0011, 0b1001_0000]);
        // Measurement time 138 (0b100_01010): twice as many counts in twice the time.
        let mut chip = Bh1750::new(Scenario::Constant(100.0));
        for instruction in [0x44, 0x6A, 0x20] {
            chip.write(&[instruction], Duration::ZERO).unwrap();
        }
        assert_eq!(read(&mut chip, 359), [0, 0]);
        assert_eq!(read(&mut chip, 360), [0, 240]);
    }
}
