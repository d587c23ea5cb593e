//! An MCP3008 bit by bit (Microchip DS21295D, sections 5 and 6): start bit, mode and channel, then ten bits with
//! the most significant first, and after that again with the least significant first.
//!
//! On a simulated SPI bus a device gets what is sent by `write` and answers the same exchange by `read`.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Simulated};

/// An MCP3008 with a voltage at each input.
#[derive(Debug, Clone)]
pub struct Mcp3008 {
    /// V against ground.
    inputs: [Scenario; 8],
    /// V
    reference: f64,
    answer: Vec<u8>,
}

impl Mcp3008 {
    /// A chip with these voltages (V) at CH0…CH7 and this reference (V).
    pub fn new(inputs: [Scenario; 8], reference: f64) -> Self {
        Self { inputs, reference, answer: Vec::new() }
    }

    /// Equation 4-2: 1024 × input ÷ reference; a difference below zero is zero (section 5.2).
    fn code(&mut self, single: bool, channel: usize, now: Duration) -> u16 {
        let volts = if single {
            self.inputs[channel].at(now)
        } else {
            // Table 5-2: each pair both ways round.
            self.inputs[channel].at(now) - self.inputs[channel ^ 1].at(now)
        };
        (volts / self.reference * 1024.0).floor().clamp(0.0, 1023.0) as u16
    }
}

impl Simulated for Mcp3008 {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        let bits: Vec<bool> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
        // Until the null bit the output is in high impedance, which reads as ones.
        let mut answer = vec![true; bits.len()];
        if let Some(start) = bits.iter().position(|bit| *bit)
            && let Some(&[single, d2, d1, d0]) = bits.get(start + 1..start + 5)
        {
            let channel = usize::from(d2) << 2 | usize::from(d1) << 1 | usize::from(d0);
            let code = self.code(single, channel, now);
            // One clock to sample, the null bit, ten bits down, nine bits up again, and zeros.
            let null = start + 6;
            for (clock, bit) in answer.iter_mut().enumerate().skip(null) {
                *bit = match clock - null {
                    0 => false,
                    down @ 1..=10 => code >> (10 - down) & 1 == 1,
                    up @ 11..=19 => code >> (up - 10) & 1 == 1,
                    _ => false,
                };
            }
        }
        self.answer =
            answer.chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | u8::from(*bit))).collect();
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        for (byte, answer) in buffer.iter_mut().zip(&self.answer) {
            *byte = *answer;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_where_the_data_sheet_has_them() {
        let mut inputs = [const { Scenario::Constant(0.0) }; 8];
        inputs[5] = Scenario::Constant(3.3 * 0x2A5 as f64 / 1024.0 + 1e-6);
        let mut chip = Mcp3008::new(inputs, 3.3);
        let mut answer = [0; 5];
        // Figure 6-1, with two more bytes for what figure 5-2 shows.
        chip.write(&[0x01, 0b1101_0000, 0, 0, 0], Duration::ZERO).unwrap();
        chip.read(&mut answer, Duration::ZERO).unwrap();
        // 10 1010 0101: null bit, two bits; eight bits; the same from the right, less the one that both share.
        assert_eq!(answer, [0xFF, 0b1111_1010, 0b1010_0101, 0b0100_1010, 0b1000_0000]);
    }
}
