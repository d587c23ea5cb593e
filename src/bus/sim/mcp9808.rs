//! A Microchip MCP9808 register by register (data sheet DS25095A, section 5): ambient temperature,
//! configuration, resolution, ids. Limits and the alert pin are not simulated.

use std::time::Duration;

use super::pointed::{Pointed, Registers};
use super::scenario::Scenario;
use super::{Answer, Simulated};

#[derive(Debug, Clone)]
struct Mcp9808 {
    temperature: Scenario,
    config: [u8; 2],
    resolution: u8,
    /// What the last conversion found: a chip that is shut down keeps it.
    last: [u8; 2],
}

/// A chip just powered up, at this temperature (°C).
pub fn mcp9808(temperature: Scenario) -> Box<dyn Simulated> {
    Box::new(Pointed::new(Mcp9808 { temperature, config: [0, 0], resolution: 3, last: [0, 0] }))
}

/// Sixteenths of a degree in 13 bits of two's complement; above them the flags of the limits, of which
/// "above the upper limit" is set while the limit stands at 0 °C as after power-up (section 5.1.3).
fn register(celsius: f64, resolution: u8) -> [u8; 2] {
    let step = f64::from(8 >> resolution.min(3));
    let count = ((celsius * 16.0 / step).round() * step) as i16;
    let flags = if count > 0 { 0xC000 } else { 0x2000 };
    (count as u16 & 0x1FFF | flags).to_be_bytes()
}

impl Registers for Mcp9808 {
    fn get(&mut self, pointer: u8, now: Duration) -> [u8; 2] {
        match pointer & 0xF {
            1 => self.config,
            5 => {
                if self.config[0] & 1 == 0 {
                    self.last = register(self.temperature.at(now), self.resolution);
                }
                self.last
            }
            6 => [0x00, 0x54],
            7 => [0x04, 0x00],
            8 => [self.resolution; 2],
            _ => [0, 0],
        }
    }

    fn set(&mut self, pointer: u8, bytes: &[u8], _: Duration) -> Answer {
        match (pointer & 0xF, bytes) {
            (1, [high, low]) => self.config = [high & 0x07, *low],
            (8, [resolution]) => self.resolution = resolution & 0b11,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_count_as_in_the_data_sheet() {
        // Section 5.1.3.1: upper byte × 16 + lower byte / 16, of a negative one 256 less.
        for (celsius, bytes) in
            [(25.25, [0xC1, 0x94]), (0.0, [0x20, 0x00]), (-10.25, [0x3F, 0x5C]), (-40.0, [0x3D, 0x80])]
        {
            assert_eq!(register(celsius, 3), bytes, "{celsius}");
        }
        assert_eq!(register(25.3, 0), [0xC1, 0x98], "25.5 °C in steps of half a degree");
    }
}
