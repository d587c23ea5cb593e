//! What most small chips share: a pointer byte that says which 16-bit register is read or written. A chip
//! of this kind says what its registers hold, and is a dozen lines.

use std::time::Duration;

use super::{Answer, Refusal, Simulated};

/// The registers of a chip.
pub trait Registers: Send {
    /// The bytes of a register in the order of the wire; a register of 8 bits says its byte twice.
    fn get(&mut self, register: u8, now: Duration) -> [u8; 2];

    /// Takes what was written to a register, as many bytes as were sent: one or more.
    fn set(&mut self, register: u8, bytes: &[u8], now: Duration) -> Answer;
}

/// A chip that is spoken to through a pointer byte. Reads go on with the register of the last pointer.
#[derive(Debug, Clone)]
pub struct Pointed<C> {
    chip: C,
    pointer: u8,
}

impl<C> Pointed<C> {
    /// The chip, its pointer at register 0.
    pub fn new(chip: C) -> Self {
        Self { chip, pointer: 0 }
    }
}

impl<C: Registers> Simulated for Pointed<C> {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        let [pointer, value @ ..] = bytes else { return Err(Refusal::Nack) };
        self.pointer = *pointer;
        if value.is_empty() { Ok(()) } else { self.chip.set(*pointer, value, now) }
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        let bytes = self.chip.get(self.pointer, now);
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = bytes[index % 2];
        }
        Ok(())
    }
}
