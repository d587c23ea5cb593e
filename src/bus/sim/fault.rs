//! Faults of a simulated device: for tests, and for trying out what a configuration does when a part fails.

use std::time::Duration;

use super::scenario::Random;
use super::{Answer, Refusal, Simulated};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is acknowledged, as if the part were unplugged.
    Nack,
    /// Reads answer random bytes, writes are lost.
    Garbage,
    /// One bit of every read arrives wrong, as on a noisy line: parts with a checksum notice.
    BitError,
    /// Every transfer blocks the bus for this long, then fails.
    Hang(Duration),
}

/// A device with a fault at certain times.
pub struct Faulty {
    device: Box<dyn Simulated>,
    when: Box<dyn FnMut(Duration) -> Option<Fault> + Send>,
    random: Random,
}

impl Faulty {
    /// `device`, as long as `when` names no fault for the bus's time.
    pub fn new(
        device: Box<dyn Simulated>,
        when: impl FnMut(Duration) -> Option<Fault> + Send + 'static,
    ) -> Self {
        // The bytes need not differ from run to run; a failure that can be repeated is worth more.
        Self { device, when: Box::new(when), random: Random::new(0x5EED) }
    }
}

impl Simulated for Faulty {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        match (self.when)(now) {
            None => self.device.write(bytes, now),
            Some(Fault::Nack) => Err(Refusal::Nack),
            // What is written arrives: a chip that took the wrong command would be another fault.
            Some(Fault::BitError) => self.device.write(bytes, now),
            Some(Fault::Garbage) => Ok(()),
            Some(Fault::Hang(time)) => Err(Refusal::Hang(time)),
        }
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        match (self.when)(now) {
            None => self.device.read(buffer, now),
            Some(Fault::Nack) => Err(Refusal::Nack),
            Some(Fault::Garbage) => {
                buffer.fill_with(|| self.random.number() as u8);
                Ok(())
            }
            Some(Fault::BitError) => {
                self.device.read(buffer, now)?;
                let bit = self.random.number() as usize % (8 * buffer.len()).max(1);
                if let Some(byte) = buffer.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                Ok(())
            }
            Some(Fault::Hang(time)) => Err(Refusal::Hang(time)),
        }
    }
}
