//! Frames of Plantower's particle sensors in a stream of bytes (PMS5003 manual V2.3, appendix I): two start
//! bytes, the length, words, and the sum of everything before it. Pure.

/// "BM"
const START: [u8; 2] = [0x42, 0x4D];

/// Bytes after the length: 13 words and the sum.
const DATA: u16 = 28;

/// Bytes after the length of an answer to a command: the command, its data, the sum.
const ANSWER: u16 = 4;

/// What a data frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Air {
    /// PM1, PM2.5 and PM10 in the atmosphere, µg/m³ (data 4 to 6).
    pub(super) mass: [u16; 3],
    /// Particles beyond 0.3, 0.5, 1, 2.5, 5 and 10 µm in 0.1 l (data 7 to 12).
    pub(super) counts: [u16; 6],
}

/// Finds frames in what arrives.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Begins with what may be a frame; never longer than one.
    bytes: Vec<u8>,
    /// Bytes and sums that were no good since the start.
    pub(super) garbage: usize,
    pub(super) wrong_sums: usize,
}

impl Scanner {
    /// Takes a byte; answers the data frame that it completes.
    pub(super) fn push(&mut self, byte: u8) -> Option<Air> {
        self.bytes.push(byte);
        loop {
            match self.check() {
                Found::Part => return None,
                Found::Data(air) => {
                    self.bytes.clear();
                    return Some(air);
                }
                Found::Answer => self.bytes.clear(),
                Found::Nothing => {
                    // A frame may begin within what looked like one.
                    self.bytes.remove(0);
                    self.garbage += 1;
                }
            }
        }
    }

    fn check(&mut self) -> Found {
        let bytes = &self.bytes;
        if !bytes.iter().zip(START).all(|(byte, start)| *byte == start) {
            return Found::Nothing;
        }
        let &[_, _, high, low, ..] = bytes.as_slice() else { return Found::Part };
        let length = u16::from_be_bytes([high, low]);
        if length != DATA && length != ANSWER {
            return Found::Nothing;
        }
        if bytes.len() < 4 + usize::from(length) {
            return Found::Part;
        }
        let (content, sum) = bytes.split_at(bytes.len() - 2);
        let expected = content.iter().fold(0u16, |sum, byte| sum.wrapping_add((*byte).into()));
        if sum != expected.to_be_bytes() {
            self.wrong_sums += 1;
            return Found::Nothing;
        }
        if length == ANSWER {
            return Found::Answer;
        }
        let word = |number: usize| u16::from_be_bytes([bytes[4 + 2 * number], bytes[5 + 2 * number]]);
        Found::Data(Air { mass: [3, 4, 5].map(word), counts: [6, 7, 8, 9, 10, 11].map(word) })
    }
}

enum Found {
    /// More is to come.
    Part,
    Data(Air),
    Answer,
    /// No frame begins here.
    Nothing,
}

/// A command: what, its data, and the sum (appendix II).
pub(super) fn command(what: u8, data: u16) -> [u8; 7] {
    let [high, low] = data.to_be_bytes();
    let content = [START[0], START[1], what, high, low];
    let sum = content.iter().fold(0u16, |sum, byte| sum.wrapping_add((*byte).into()));
    let [sum_high, sum_low] = sum.to_be_bytes();
    [START[0], START[1], what, high, low, sum_high, sum_low]
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A data frame as the sensor sends it.
    pub(in crate::sensor::pms5003) fn frame(air: Air) -> Vec<u8> {
        let mut bytes = vec![START[0], START[1], 0, 28];
        // Data 1 to 3 are for factories ("CF = 1"); data 13 is reserved.
        let words = air.mass.into_iter().chain(air.mass).chain(air.counts).chain([0x9700]);
        bytes.extend(words.flat_map(u16::to_be_bytes));
        let sum = bytes.iter().fold(0u16, |sum, byte| sum + u16::from(*byte));
        bytes.extend(sum.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::testing::frame;
    use super::*;

    const AIR: Air = Air { mass: [5, 9, 11], counts: [1260, 357, 67, 8, 2, 0x424D] };

    fn scan(bytes: &[u8]) -> (Vec<Air>, Scanner) {
        let mut scanner = Scanner::default();
        let found = bytes.iter().filter_map(|byte| scanner.push(*byte)).collect();
        (found, scanner)
    }

    #[test]
    fn a_recorded_frame_is_read() {
        // 32 bytes, sum 0x0207.
        let bytes = [
            0x42, 0x4D, 0x00, 0x1C, 0x00, 0x01, 0x00, 0x02, 0x00, 0x03, 0x00, 0x04, 0x00, 0x05, 0x00, 0x06,
            0x00, 0x40, 0x00, 0x20, 0x00, 0x10, 0x00, 0x08, 0x00, 0x04, 0x00, 0x02, 0x97, 0x00, 0x01, 0xD5,
        ];
        let (found, scanner) = scan(&bytes);
        assert_eq!(found, [Air { mass: [4, 5, 6], counts: [64, 32, 16, 8, 4, 2] }]);
        assert_eq!((scanner.garbage, scanner.wrong_sums), (0, 0));
    }

    #[test]
    fn frames_are_found_behind_garbage_and_halves() {
        let good = frame(AIR);
        let mut bad = good.clone();
        bad[10] ^= 1;
        let half = &good[..17];
        for before in
            [&[][..], &[0x42], &[0x42, 0x42], &[0x42, 0x4D], &[0x42, 0x4D, 0, 29], &[0xFF; 100], half, &bad]
        {
            let stream: Vec<u8> = before.iter().chain(&good).chain(&good).copied().collect();
            let (found, _) = scan(&stream);
            assert_eq!(found.last(), Some(&AIR), "{before:x?}");
            assert!(!found.is_empty() && found.iter().all(|air| *air == AIR), "{before:x?}");
        }
        assert_eq!(scan(&bad).1.wrong_sums, 1);
    }

    #[test]
    fn no_stream_makes_it_keep_more_than_a_frame() {
        let mut scanner = Scanner::default();
        let mut state = 1u32;
        for _ in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Half of it looks like a start.
            scanner.push(if state >> 31 == 0 {
                START[(state >> 30 & 1) as usize]
            } else {
                (state >> 16) as u8
            });
            assert!(scanner.bytes.len() <= 32);
        }
    }

    #[test]
    fn commands_are_those_of_the_manual() {
        // Appendix II, with the sums that go round for it.
        assert_eq!(command(0xE1, 0), [0x42, 0x4D, 0xE1, 0x00, 0x00, 0x01, 0x70]);
        assert_eq!(command(0xE2, 0), [0x42, 0x4D, 0xE2, 0x00, 0x00, 0x01, 0x71]);
        assert_eq!(command(0xE1, 1), [0x42, 0x4D, 0xE1, 0x00, 0x01, 0x01, 0x71]);
    }
}
