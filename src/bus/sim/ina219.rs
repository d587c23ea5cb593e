//! An INA219 register by register (TI SBOS448G, section 8.6): configuration, both voltages, power, current and
//! calibration, with the conversion times of table 5.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};

const CONFIG: u8 = 0;
const SHUNT: u8 = 1;
const BUS: u8 = 2;
const POWER: u8 = 3;
const CURRENT: u8 = 4;
const CALIBRATION: u8 = 5;

/// Configuration after power-up: 32 V, ± 320 mV, 12 bits, both continuously.
const POWER_UP: u16 = 0x399F;
const RESET: u16 = 0x8000;

const CONVERSION_READY: u16 = 0b10;

/// An INA219 beside a shunt.
#[derive(Debug, Clone)]
pub struct Ina219 {
    /// V at IN− against ground.
    voltage: Scenario,
    /// A through the shunt.
    current: Scenario,
    /// Ω
    shunt: f64,
    pointer: u8,
    config: u16,
    calibration: u16,
    /// Shunt and bus voltage as the registers count them: steps of 10 µV, of 4 mV.
    result: (i16, u16),
    ready: bool,
    /// When the running conversion ends, and what it will have found.
    running: Option<(Duration, (i16, u16))>,
}

impl Ina219 {
    /// A chip just powered up, that sees this voltage (V) and this current (A) through a shunt (Ω).
    pub fn new(voltage: Scenario, current: Scenario, shunt: f64) -> Self {
        Self {
            voltage,
            current,
            shunt,
            pointer: 0,
            config: POWER_UP,
            calibration: 0,
            result: (0, 0),
            ready: false,
            running: None,
        }
    }

    /// What a conversion begun now finds. Beyond the gain's range the shunt voltage clips.
    fn convert(&mut self, now: Duration) -> (i16, u16) {
        let full_scale = f64::from(4000u16 << (self.config >> 11 & 0b11));
        let shunt = (self.current.at(now) * self.shunt / 10e-6).round().clamp(-full_scale, full_scale);
        let most = if self.config & 0x2000 == 0 { 4000.0 } else { 8000.0 };
        let bus = (self.voltage.at(now) / 4e-3).round().clamp(0.0, most);
        (shunt as i16, bus as u16)
    }

    /// Time of one conversion by four bits of the configuration (table 5).
    fn conversion_time(bits: u16) -> Duration {
        Duration::from_micros(match bits & 0b1111 {
            0b1000..=0b1111 => 532 << (bits & 0b111),
            0b0000 | 0b0100 => 84,
            0b0001 | 0b0101 => 148,
            0b0010 | 0b0110 => 276,
            _ => 532,
        })
    }

    fn configure(&mut self, value: u16, now: Duration) {
        if value & RESET != 0 {
            *self = Self::new(self.voltage.clone(), self.current.clone(), self.shunt);
            return;
        }
        self.config = value;
        // "CNVR clears when writing a new mode into the operating mode bits."
        self.ready = false;
        self.running = None;
        // Modes 1 to 3 convert once; 5 to 7 for ever; 0 and 4 rest.
        let (shunt, bus) = (value & 0b01 != 0, value & 0b10 != 0);
        if shunt || bus {
            let mut time = Duration::ZERO;
            time += if shunt { Self::conversion_time(value >> 3) } else { Duration::ZERO };
            time += if bus { Self::conversion_time(value >> 7) } else { Duration::ZERO };
            let found = self.convert(now);
            self.running = Some((now + time, found));
        }
    }

    fn finish(&mut self, now: Duration) {
        if let Some((end, found)) = self.running
            && now >= end
        {
            self.result = found;
            self.ready = true;
            self.running = None;
        } else if self.running.is_none() && self.config & 0b100 != 0 && self.config & 0b11 != 0 {
            // Continuous: as if a conversion ended at this very moment.
            self.result = self.convert(now);
            self.ready = true;
        }
    }

    /// Section 8.5.1: current = shunt × calibration ÷ 4096, power = current × bus ÷ 5000.
    fn current(&self) -> i64 {
        i64::from(self.result.0) * i64::from(self.calibration) / 4096
    }

    fn register(&mut self) -> u16 {
        match self.pointer {
            CONFIG => self.config,
            SHUNT => self.result.0 as u16,
            BUS => self.result.1 << 3 | if self.ready { CONVERSION_READY } else { 0 },
            POWER => {
                self.ready = false;
                (self.current() * i64::from(self.result.1) / 5000).clamp(0, i64::from(u16::MAX)) as u16
            }
            CURRENT => self.current().clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16 as u16,
            CALIBRATION => self.calibration,
            _ => 0,
        }
    }
}

impl Simulated for Ina219 {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.finish(now);
        match *bytes {
            [pointer] => self.pointer = pointer,
            [pointer, high, low] => {
                self.pointer = pointer;
                let value = u16::from_be_bytes([high, low]);
                match pointer {
                    CONFIG => self.configure(value, now),
                    // Bit 0 is always 0.
                    CALIBRATION => self.calibration = value & !1,
                    _ => {}
                }
            }
            _ => return Err(Refusal::Nack),
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.finish(now);
        let bytes = self.register().to_be_bytes();
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = bytes[index % 2];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chip: &mut Ina219, register: u8, now: Duration) -> u16 {
        let mut bytes = [0; 2];
        chip.write(&[register], now).unwrap();
        chip.read(&mut bytes, now).unwrap();
        u16::from_be_bytes(bytes)
    }

    #[test]
    fn registers_count_as_in_the_data_sheets_example() {
        // Section 8.5.2, figure 28 and table 8: 10 A through 2 mΩ at 11.98 V, calibration 0x5000.
        let mut chip = Ina219::new(Scenario::Constant(11.98), Scenario::Constant(10.0), 0.002);
        let now = Duration::ZERO;
        assert_eq!(read(&mut chip, CONFIG, now), 0x399F);
        chip.write(&[CALIBRATION, 0x50, 0x00], now).unwrap();
        assert_eq!(read(&mut chip, SHUNT, now), 0x07D0);
        assert_eq!(read(&mut chip, BUS, now), 0x5D98 | CONVERSION_READY);
        assert_eq!(read(&mut chip, CURRENT, now), 0x2710);
        assert_eq!(read(&mut chip, POWER, now), 0x1766);
    }

    #[test]
    fn a_triggered_conversion_is_ready_after_its_time() {
        let mut chip = Ina219::new(Scenario::Constant(5.0), Scenario::Constant(-0.5), 0.1);
        // 32 V, ± 320 mV, bus 12 bits (532 µs), shunt two samples (1.06 ms), both once.
        chip.write(&[CONFIG, 0b0011_1001, 0b1100_1011], Duration::ZERO).unwrap();
        assert_eq!(read(&mut chip, BUS, Duration::from_micros(1595)) & CONVERSION_READY, 0);
        assert_eq!(read(&mut chip, BUS, Duration::from_micros(1597)), 1250 << 3 | CONVERSION_READY);
        assert_eq!(read(&mut chip, SHUNT, Duration::from_micros(1597)) as i16, -5000);
    }
}
