//! What humidity and gas sensors share: a command is written, and after its time an answer can be read,
//! usually words with a checksum behind each. A chip of this kind says how it answers, and is a dozen lines.

use std::time::Duration;

use super::{Answer, Refusal, Simulated};
use crate::bus::crc::crc8;

/// What a chip makes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Taken; there is nothing to read.
    Taken,
    /// Not acknowledged.
    Refused,
    /// These bytes can be read after that long; until then the chip acknowledges nothing.
    Bytes(Vec<u8>, Duration),
}

impl Reply {
    /// Words, most significant byte first, each with its checksum from this starting value.
    pub fn words(start: u8, words: &[u16], after: Duration) -> Self {
        let with_sum = |word: &u16| {
            let [high, low] = word.to_be_bytes();
            [high, low, crc8(start, &[high, low])]
        };
        Reply::Bytes(words.iter().flat_map(with_sum).collect(), after)
    }
}

/// The commands of a chip.
pub trait Commands: Send {
    /// Takes a command with its arguments: one or more bytes.
    fn command(&mut self, bytes: &[u8], now: Duration) -> Reply;
}

/// A chip that is spoken to in commands.
#[derive(Debug, Clone)]
pub struct Commanded<C> {
    chip: C,
    /// What can be read, and from when on.
    answer: Option<(Duration, Vec<u8>)>,
}

impl<C> Commanded<C> {
    /// The chip, asked nothing yet.
    pub fn new(chip: C) -> Self {
        Self { chip, answer: None }
    }
}

impl<C: Commands> Simulated for Commanded<C> {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        if self.answer.as_ref().is_some_and(|(ready, _)| now < *ready) {
            return Err(Refusal::Nack);
        }
        self.answer = match self.chip.command(bytes, now) {
            Reply::Taken => None,
            Reply::Refused => return Err(Refusal::Nack),
            Reply::Bytes(bytes, after) => Some((now.saturating_add(after), bytes)),
        };
        Ok(())
    }

    /// An answer can be read once; who reads on finds the lines high.
    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        let Some((_, bytes)) = self.answer.take_if(|(ready, _)| now >= *ready) else {
            return Err(Refusal::Nack);
        };
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = bytes.get(index).copied().unwrap_or(0xFF);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock;

    impl Commands for Clock {
        fn command(&mut self, bytes: &[u8], _: Duration) -> Reply {
            match bytes {
                [1] => Reply::words(0xFF, &[0xBEEF], Duration::from_millis(10)),
                [2] => Reply::Taken,
                _ => Reply::Refused,
            }
        }
    }

    #[test]
    fn an_answer_comes_after_its_time_and_once() {
        let mut chip = Commanded::new(Clock);
        let at = Duration::from_millis;
        let mut buffer = [0; 4];
        assert_eq!(chip.write(&[9], at(0)), Err(Refusal::Nack));
        assert_eq!(chip.write(&[1], at(0)), Ok(()));
        assert_eq!(chip.read(&mut buffer, at(9)), Err(Refusal::Nack));
        assert_eq!(chip.write(&[2], at(9)), Err(Refusal::Nack), "it is busy");
        assert_eq!(chip.read(&mut buffer, at(10)), Ok(()));
        assert_eq!(buffer, [0xBE, 0xEF, 0x92, 0xFF]);
        assert_eq!(chip.read(&mut buffer, at(11)), Err(Refusal::Nack));
        assert_eq!(chip.write(&[2], at(11)), Ok(()));
    }
}
