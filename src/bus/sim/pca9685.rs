//! A simulated PCA9685, 16 channels of pulses: its registers, as far as a driver needs them. It drives nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::lock;
use super::{Answer, Refusal, Simulated};

/// Registers (data sheet rev. 4, table 5).
const MODE1: usize = 0x00;
const FIRST_CHANNEL: usize = 0x06;
const PRESCALE: usize = 0xFE;

/// MODE1: auto-increment, and asleep.
const AUTO_INCREMENT: u8 = 0x20;
const SLEEP: u8 = 0x10;

/// The registers of a chip, for a test to look at.
#[derive(Debug, Clone)]
pub struct Pca9685Registers(Arc<Mutex<[u8; 256]>>);

impl Pca9685Registers {
    /// As after power-on: asleep, every channel fully off.
    fn new() -> Self {
        let mut registers = [0; 256];
        registers[MODE1] = SLEEP | 0x01;
        registers[PRESCALE] = 0x1E;
        for channel in 0..16 {
            registers[FIRST_CHANNEL + 4 * channel + 3] = 0x10;
        }
        Self(Arc::new(Mutex::new(registers)))
    }

    /// Ticks of 4,096 for which a channel is on; 4,096 when it is on for good, 0 while the chip sleeps.
    pub fn ticks(&self, channel: u8) -> u16 {
        let registers = lock(&self.0);
        if registers[MODE1] & SLEEP != 0 {
            return 0;
        }
        let first = FIRST_CHANNEL + 4 * usize::from(channel);
        let [on_low, on_high, off_low, off_high] = [0, 1, 2, 3].map(|byte| registers[first + byte]);
        match (on_high & 0x10 != 0, off_high & 0x10 != 0) {
            (_, true) => 0,
            (true, false) => 4096,
            _ => {
                u16::from_le_bytes([off_low, off_high]).saturating_sub(u16::from_le_bytes([on_low, on_high]))
            }
        }
    }

    /// The prescaler, which makes the frequency.
    pub fn prescale(&self) -> u8 {
        lock(&self.0)[PRESCALE]
    }

    /// Loses its power for a moment.
    pub fn reset(&self) {
        let fresh = *lock(&Self::new().0);
        *lock(&self.0) = fresh;
    }
}

/// See the module.
#[derive(Debug)]
pub struct Pca9685 {
    registers: Pca9685Registers,
    pointer: usize,
}

impl Pca9685 {
    /// As after power-on.
    pub fn new() -> Self {
        Self { registers: Pca9685Registers::new(), pointer: 0 }
    }

    /// Its registers, to be looked at from outside.
    pub fn registers(&self) -> Pca9685Registers {
        self.registers.clone()
    }

    fn advance(&mut self, increments: bool) {
        if increments {
            self.pointer = (self.pointer + 1) % 256;
        }
    }
}

impl Default for Pca9685 {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulated for Pca9685 {
    fn write(&mut self, bytes: &[u8], _now: Duration) -> Answer {
        let (pointer, values) = bytes.split_first().ok_or(Refusal::Nack)?;
        self.pointer = usize::from(*pointer);
        for value in values {
            let mut registers = lock(&self.registers.0);
            let increments = registers[MODE1] & AUTO_INCREMENT != 0;
            // The prescaler can be written only while the chip sleeps.
            if self.pointer != PRESCALE || registers[MODE1] & SLEEP != 0 {
                registers[self.pointer] = *value;
            }
            drop(registers);
            self.advance(increments);
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _now: Duration) -> Answer {
        for byte in buffer {
            let registers = lock(&self.registers.0);
            *byte = registers[self.pointer];
            let increments = registers[MODE1] & AUTO_INCREMENT != 0;
            drop(registers);
            self.advance(increments);
        }
        Ok(())
    }
}
