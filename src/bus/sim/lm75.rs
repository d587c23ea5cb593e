//! An LM75 and its relatives register by register (TI SNIS153, TMP105: SLLS648, TMP102: SBOS397):
//! temperature and configuration. Thresholds and the alert pin are not simulated.

use std::time::Duration;

use super::pointed::{Pointed, Registers};
use super::scenario::Scenario;
use super::{Answer, Simulated};

const TEMPERATURE: u8 = 0;
const CONFIG: u8 = 1;

const SHUTDOWN: u8 = 0b0000_0001;

/// Which chip of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// 9 bits always.
    Lm75,
    /// 11 bits always (NXP's LM75B, PCT2075).
    Lm75B,
    /// 9 bits, up to 12 by its configuration.
    Tmp105,
    /// 12 bits, a configuration of 16.
    Tmp102,
}

/// The chip's registers.
#[derive(Debug, Clone)]
struct Lm75 {
    model: Model,
    temperature: Scenario,
    config: [u8; 2],
    /// What the last conversion found: a chip that is shut down keeps it.
    last: [u8; 2],
}

/// A chip just powered up, at this temperature (°C).
pub fn lm75(model: Model, temperature: Scenario) -> Box<dyn Simulated> {
    let config = match model {
        Model::Tmp102 => [0x60, 0xA0],
        _ => [0, 0],
    };
    Box::new(Pointed::new(Lm75 { model, temperature, config, last: [0, 0] }))
}

impl Lm75 {
    fn bits(&self) -> u32 {
        match self.model {
            Model::Lm75 => 9,
            Model::Lm75B => 11,
            Model::Tmp105 => 9 + u32::from(self.config[0] >> 5 & 0b11),
            Model::Tmp102 => 12,
        }
    }
}

/// Left-justified two's complement, 1/256 °C to the last of 16 bits; bits beyond the resolution are 0.
fn register(celsius: f64, bits: u32) -> [u8; 2] {
    let unused = 16 - bits;
    // The cast saturates: a chip at 200 °C has other worries.
    let count = (celsius * 256.0 / f64::from(1u32 << unused)).round() as i16;
    count.saturating_mul(1 << unused).to_be_bytes()
}

impl Registers for Lm75 {
    fn get(&mut self, pointer: u8, now: Duration) -> [u8; 2] {
        match pointer & 0b11 {
            TEMPERATURE => {
                if self.config[0] & SHUTDOWN == 0 {
                    self.last = register(self.temperature.at(now), self.bits());
                }
                self.last
            }
            CONFIG if self.model == Model::Tmp102 => self.config,
            CONFIG => [self.config[0]; 2],
            _ => [0, 0],
        }
    }

    fn set(&mut self, pointer: u8, bytes: &[u8], _: Duration) -> Answer {
        if pointer & 0b11 == CONFIG {
            let kept = match self.model {
                Model::Lm75 | Model::Lm75B => bytes[0] & 0x1F,
                // One-shot reads as 0.
                Model::Tmp105 => bytes[0] & 0x7F,
                Model::Tmp102 => bytes[0] & 0x7F | 0x60,
            };
            self.config[0] = kept;
            if let (Model::Tmp102, Some(second)) = (self.model, bytes.get(1)) {
                self.config[1] = second & 0xF0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_count_as_in_the_data_sheets() {
        // SLLS648, "Temperature Data Format", 12 bits.
        for (celsius, bytes) in [
            (127.9375, [0x7F, 0xF0]),
            (100.0, [0x64, 0x00]),
            (50.0, [0x32, 0x00]),
            (0.25, [0x00, 0x40]),
            (0.0, [0x00, 0x00]),
            (-0.25, [0xFF, 0xC0]),
            (-25.0, [0xE7, 0x00]),
            (-55.0, [0xC9, 0x00]),
        ] {
            assert_eq!(register(celsius, 12), bytes, "{celsius}");
        }
        // SNIS153, "Temperature Data Format", 9 bits.
        for (celsius, bytes) in
            [(125.0, [0x7D, 0]), (0.5, [0, 0x80]), (-0.5, [0xFF, 0x80]), (-55.0, [0xC9, 0])]
        {
            assert_eq!(register(celsius, 9), bytes, "{celsius}");
        }
    }

    #[test]
    fn resolution_follows_the_configuration() {
        let mut chip = lm75(Model::Tmp105, Scenario::Constant(21.3));
        let read = |chip: &mut Box<dyn Simulated>| {
            let mut bytes = [0; 2];
            chip.write(&[TEMPERATURE], Duration::ZERO).unwrap();
            chip.read(&mut bytes, Duration::ZERO).unwrap();
            f64::from(i16::from_be_bytes(bytes)) / 256.0
        };
        assert_eq!(read(&mut chip), 21.5);
        chip.write(&[CONFIG, 0x60], Duration::ZERO).unwrap();
        assert_eq!(read(&mut chip), 21.3125);
    }
}
