//! An ADS1115 or ADS1015 register by register (TI SBAS444D, SBAS473E, "Register Map"): conversion,
//! configuration and threshold registers, multiplexer, gain, single shots and continuous conversion.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};

const CONVERSION: u8 = 0;
const CONFIG: u8 = 1;

const OS: u16 = 0x8000;
const SINGLE_SHOT: u16 = 0x0100;

/// Configuration after power-up.
const POWER_UP: u16 = 0x8583;

/// Which of the two chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// 12 bits, 128 to 3300 conversions a second.
    Ads1015,
    /// 16 bits, 8 to 860 conversions a second.
    Ads1115,
}

impl Model {
    /// Conversions a second for the three data rate bits.
    fn rate(self, bits: u16) -> f64 {
        const ADS1015: [f64; 8] = [128.0, 250.0, 490.0, 920.0, 1600.0, 2400.0, 3300.0, 3300.0];
        const ADS1115: [f64; 8] = [8.0, 16.0, 32.0, 64.0, 128.0, 250.0, 475.0, 860.0];
        let rates = match self {
            Model::Ads1015 => ADS1015,
            Model::Ads1115 => ADS1115,
        };
        rates[usize::from(bits & 0b111)]
    }

    /// The conversion register for a voltage and a full-scale voltage; beyond them it clips.
    fn register(self, volts: f64, full_scale: f64) -> u16 {
        let part = volts / full_scale;
        // The cast saturates, which is what the chip does.
        match self {
            Model::Ads1115 => (part * 32768.0).round() as i16 as u16,
            // Twelve bits, left-justified.
            Model::Ads1015 => (((part * 2048.0).round().clamp(-2048.0, 2047.0) as i16) << 4) as u16,
        }
    }
}

/// An ADS1x15 with a voltage at each of its four inputs.
#[derive(Debug, Clone)]
pub struct Ads1x15 {
    model: Model,
    /// V against ground.
    inputs: [Scenario; 4],
    pointer: u8,
    config: u16,
    thresholds: [u16; 2],
    conversion: u16,
    /// When the running single shot ends, and what it will have found.
    running: Option<(Duration, u16)>,
}

impl Ads1x15 {
    /// A chip just powered up, with these voltages (V against ground) at AIN0…AIN3.
    pub fn new(model: Model, inputs: [Scenario; 4]) -> Self {
        let thresholds = [0x8000, 0x7FFF];
        Self { model, inputs, pointer: 0, config: POWER_UP, thresholds, conversion: 0, running: None }
    }

    fn convert(&mut self, now: Duration) -> u16 {
        let [a0, a1, a2, a3] = self.inputs.each_mut().map(|input| input.at(now));
        let volts = match self.config >> 12 & 0b111 {
            0 => a0 - a1,
            1 => a0 - a3,
            2 => a1 - a3,
            3 => a2 - a3,
            4 => a0,
            5 => a1,
            6 => a2,
            _ => a3,
        };
        let full_scale = match self.config >> 9 & 0b111 {
            0 => 6.144,
            1 => 4.096,
            2 => 2.048,
            3 => 1.024,
            4 => 0.512,
            _ => 0.256,
        };
        self.model.register(volts, full_scale)
    }

    fn configure(&mut self, value: u16, now: Duration) {
        let start = value & OS != 0 && self.running.is_none();
        self.config = value & !OS;
        if self.config & SINGLE_SHOT != 0 && start {
            let time = Duration::from_secs_f64(1.0 / self.model.rate(value >> 5));
            let result = self.convert(now);
            self.running = Some((now + time, result));
        }
    }

    fn finish(&mut self, now: Duration) {
        if self.config & SINGLE_SHOT == 0 {
            self.conversion = self.convert(now);
        } else if let Some((end, result)) = self.running
            && now >= end
        {
            self.conversion = result;
            self.running = None;
        }
    }

    fn register(&self) -> u16 {
        match self.pointer & 0b11 {
            CONVERSION => self.conversion,
            // The OS bit reads as 1 while nothing is being converted.
            CONFIG if self.running.is_none() && self.config & SINGLE_SHOT != 0 => self.config | OS,
            CONFIG => self.config & !OS,
            threshold => self.thresholds[usize::from(threshold - 2)],
        }
    }
}

impl Simulated for Ads1x15 {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.finish(now);
        match *bytes {
            [pointer] => self.pointer = pointer,
            [pointer, high, low] => {
                self.pointer = pointer;
                let value = u16::from_be_bytes([high, low]);
                match pointer & 0b11 {
                    CONVERSION => {}
                    CONFIG => self.configure(value, now),
                    threshold => self.thresholds[usize::from(threshold - 2)] = value,
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

    #[test]
    fn voltages_count_as_in_the_data_sheet() {
        // SBAS444D, "Data Format": full scale is 7FFF, one LSB is 1, minus full scale is 8000.
        for (volts, register) in
            [(2.048, 0x7FFF), (0.0000625, 1), (0.0, 0), (-0.0000625, 0xFFFF), (-2.048, 0x8000)]
        {
            assert_eq!(Model::Ads1115.register(volts, 2.048), register, "{volts}");
        }
        // SBAS473E, "Data Format": 7FF0, 0010, 0, FFF0, 8000.
        for (volts, register) in [(2.048, 0x7FF0), (0.001, 0x10), (0.0, 0), (-0.001, 0xFFF0), (-3.0, 0x8000)]
        {
            assert_eq!(Model::Ads1015.register(volts, 2.048), register, "{volts}");
        }
    }

    #[test]
    fn a_single_shot_is_ready_after_its_time() {
        let inputs = [0.5, 1.0, 1.5, 2.0].map(Scenario::Constant);
        let mut chip = Ads1x15::new(Model::Ads1115, inputs);
        // AIN2 against ground, ±4.096 V, single shot, 128 a second.
        chip.write(&[CONFIG, 0b1110_0011, 0b1000_0011], Duration::ZERO).unwrap();
        let read = |chip: &mut Ads1x15, register, milliseconds| {
            let mut bytes = [0; 2];
            let now = Duration::from_millis(milliseconds);
            chip.write(&[register], now).unwrap();
            chip.read(&mut bytes, now).unwrap();
            u16::from_be_bytes(bytes)
        };
        assert_eq!(read(&mut chip, CONFIG, 7) & OS, 0);
        assert_eq!(read(&mut chip, CONVERSION, 7), 0);
        assert_eq!(read(&mut chip, CONFIG, 8), 0xE383);
        assert_eq!(read(&mut chip, CONVERSION, 8), 12_000, "1.5 V in steps of 125 µV");
    }
}
