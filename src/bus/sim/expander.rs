//! Simulated port expanders, MCP23017 and PCF8574. Their inputs count in binary: pin n changes every 2ⁿ
//! seconds, unless they are driven by hand.

use std::time::Duration;

use super::{Answer, Refusal, Simulated};

/// What drives the inputs: 1 is high.
#[derive(Debug, Clone, Copy)]
enum Inputs {
    Counting,
    Driven(u16),
}

impl Inputs {
    fn at(self, now: Duration) -> u16 {
        match self {
            // The lowest bits of the seconds; the others are not there on purpose.
            Inputs::Counting => (now.as_secs() & 0xFFFF) as u16,
            Inputs::Driven(levels) => levels,
        }
    }
}

/// Registers with IOCON.BANK = 0 (data sheet DS20001952C, table 3-5).
const REGISTERS: usize = 0x16;
const GPIO_A: u8 = 0x12;

/// An MCP23017 with nothing but inputs around it.
#[derive(Debug)]
pub struct Mcp23017 {
    inputs: Inputs,
    registers: [u8; REGISTERS],
    pointer: u8,
}

impl Mcp23017 {
    /// As after power-on: all pins inputs, no pulls. The inputs count.
    pub fn new() -> Self {
        let mut registers = [0; REGISTERS];
        registers[..2].fill(0xFF);
        Self { inputs: Inputs::Counting, registers, pointer: 0 }
    }

    /// As [`Mcp23017::new`], with these levels at GPA (low byte) and GPB.
    pub fn driven(levels: u16) -> Self {
        Self { inputs: Inputs::Driven(levels), ..Self::new() }
    }
}

impl Default for Mcp23017 {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulated for Mcp23017 {
    fn write(&mut self, bytes: &[u8], _now: Duration) -> Answer {
        let (pointer, values) = bytes.split_first().ok_or(Refusal::Nack)?;
        self.pointer = *pointer;
        for value in values {
            let register = self.registers.get_mut(usize::from(self.pointer)).ok_or(Refusal::Nack)?;
            *register = *value;
            self.pointer += 1;
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        for byte in buffer {
            let levels = self.inputs.at(now).to_le_bytes();
            *byte = match self.pointer {
                GPIO_A => levels[0],
                pointer if pointer == GPIO_A + 1 => levels[1],
                pointer => *self.registers.get(usize::from(pointer)).ok_or(Refusal::Nack)?,
            };
            self.pointer += 1;
        }
        Ok(())
    }
}

/// A PCF8574 with nothing but inputs around it.
#[derive(Debug)]
pub struct Pcf8574 {
    inputs: Inputs,
    written: u8,
}

impl Pcf8574 {
    /// As after power-on: all pins high, so inputs. They count.
    pub fn new() -> Self {
        Self { inputs: Inputs::Counting, written: 0xFF }
    }

    /// As left by somebody who wrote `written`, with these levels outside.
    pub fn driven(levels: u8, written: u8) -> Self {
        Self { inputs: Inputs::Driven(levels.into()), written }
    }
}

impl Default for Pcf8574 {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulated for Pcf8574 {
    fn write(&mut self, bytes: &[u8], _now: Duration) -> Answer {
        self.written = *bytes.last().ok_or(Refusal::Nack)?;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        // A pin that is written low holds itself low.
        buffer.fill(self.inputs.at(now).to_le_bytes()[0] & self.written);
        Ok(())
    }
}
