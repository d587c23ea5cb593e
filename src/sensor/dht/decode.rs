//! From the edges of an answer to temperature and humidity. Pure.
//!
//! Sources: Aosong DHT11 and AM2302 (DHT22) data sheets. A bit is 50 µs low, then high for 26 to 28 µs (0) or
//! 70 µs (1); 40 bits, the last 8 the sum of the four bytes before.

use std::fmt;

use crate::bus::gpio::Edge;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Air {
    /// °C.
    pub(super) temperature: f64,
    /// % relative humidity.
    pub(super) humidity: f64,
}

/// An answer that cannot be read; follows the name of the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Garbled {
    /// Nobody took the wire.
    Silent,
    /// So many bits of 40.
    Cut(usize),
    /// A pulse of this many µs.
    Pulse(u128),
    /// The sum as it was sent, and as it should be.
    Sum(u8, u8),
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Garbled::Silent => f.write_str("does not answer: check wiring, power and pin number"),
            Garbled::Cut(bits) => write!(
                f,
                "answers with {bits} bits of 40: the program was interrupted while it listened, or the wire is \
                 too long; the kernel's driver is more reliable (dtoverlay=dht11,gpiopin=N)"
            ),
            Garbled::Pulse(micros) => write!(
                f,
                "answers with a pulse of {micros} µs: the program was interrupted while it listened; the kernel's \
                 driver is more reliable (dtoverlay=dht11,gpiopin=N)"
            ),
            Garbled::Sum(sent, right) => {
                write!(f, "answers with check sum {sent:#04x} in place of {right:#04x}: a bit was misread")
            }
        }
    }
}

/// High pulses before the bits: the wire let go, and the part's own sign that it is there. The first is gone
/// when listening begins late.
const PREFACE: std::ops::RangeInclusive<usize> = 1..=2;

const BITS: usize = 40;

/// Longest believable pulses of a bit, µs: what was cut short or stretched by an interruption is longer.
const LONGEST_LOW: u128 = 90;
const LONGEST_HIGH: u128 = 110;

/// The five bytes of an answer, if it is whole.
pub(super) fn bytes(edges: &[Edge]) -> Result<[u8; 5], Garbled> {
    // (low before, high) of every high pulse that ended, µs.
    let pulses: Vec<(u128, u128)> = edges
        .windows(3)
        .filter(|three| !three[0].high && three[1].high && !three[2].high)
        .map(|three| {
            let micros = |from: usize| three[from + 1].at.saturating_sub(three[from].at).as_micros();
            (micros(0), micros(1))
        })
        .collect();
    // The first high pulse has no falling edge before it: it is the wire that was let go.
    let let_go = usize::from(edges.len() > 1 && edges[0].high);
    let all = pulses.len() + let_go;
    if all == 0 || pulses.is_empty() {
        return Err(Garbled::Silent);
    }
    if !all.checked_sub(BITS).is_some_and(|preface| PREFACE.contains(&preface)) || pulses.len() < BITS {
        return Err(Garbled::Cut(pulses.len().saturating_sub(1).min(BITS - 1)));
    }
    let mut bytes = [0u8; 5];
    for (index, (low, high)) in pulses[pulses.len() - BITS..].iter().enumerate() {
        if *low > LONGEST_LOW || *high > LONGEST_HIGH {
            return Err(Garbled::Pulse(*low.max(high)));
        }
        // Against its own low: parts differ in speed, but all of a part's pulses alike.
        let byte = &mut bytes[index / 8];
        *byte = *byte << 1 | u8::from(high > low);
    }
    let [a, b, c, d, sent] = bytes;
    let right = a.wrapping_add(b).wrapping_add(c).wrapping_add(d);
    if sent == right { Ok(bytes) } else { Err(Garbled::Sum(sent, right)) }
}

/// DHT22: tenths, 16 bits each; temperature with a sign bit.
pub(super) fn dht22([a, b, c, d, _]: [u8; 5]) -> Air {
    let raw = u16::from_be_bytes([c, d]);
    // Some newer parts send two's complement, against the data sheet. By sign and magnitude, the second bit
    // would mean −1638 °C, so it tells them apart.
    let tenths = match raw & 0xC000 {
        0xC000 => i32::from(raw.cast_signed()),
        0x8000 => -i32::from(raw & 0x7FFF),
        _ => i32::from(raw),
    };
    Air { temperature: f64::from(tenths) / 10.0, humidity: f64::from(u16::from_be_bytes([a, b])) / 10.0 }
}

/// DHT11: whole ones and tenths, a byte each; newer parts have a sign in the tenths of the temperature.
pub(super) fn dht11([a, b, c, d, _]: [u8; 5]) -> Air {
    let number = |whole: u8, tenths: u8| (f64::from(whole) * 10.0 + f64::from(tenths)) / 10.0;
    let temperature = number(c, d & 0x7F);
    Air { temperature: if d & 0x80 == 0 { temperature } else { -temperature }, humidity: number(a, b) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bus::sim::dht::edges;

    #[test]
    fn numbers_are_those_of_the_data_sheets() {
        let air = |temperature, humidity| Air { temperature, humidity };
        // AM2302 section 7: 65.2 %, 35.1 °C, and −10.1 °C; DHT11 section 5: 53 %, 24.4 °C.
        assert_eq!(dht22([0x02, 0x8C, 0x01, 0x5F, 0xEE]), air(35.1, 65.2));
        assert_eq!(dht22([0x02, 0x8C, 0x80, 0x65, 0x73]), air(-10.1, 65.2));
        assert_eq!(dht22([0x03, 0xE8, 0x00, 0x00, 0xEB]), air(0.0, 100.0));
        assert_eq!(dht22([0x00, 0x00, 0x81, 0x90, 0x11]), air(-40.0, 0.0));
        assert_eq!(dht22([0x02, 0x8C, 0xFF, 0x9B, 0x28]), air(-10.1, 65.2), "two's complement");
        assert_eq!(dht11([0x35, 0x00, 0x18, 0x04, 0x51]), air(24.4, 53.0));
        assert_eq!(dht11([0x35, 0x00, 0x05, 0x82, 0xBC]), air(-5.2, 53.0));
    }

    #[test]
    fn an_answer_gives_its_bytes_whatever_they_are() {
        for bytes in
            [[0x02, 0x8C, 0x01, 0x5F, 0xEE], [0; 5], [0xFF, 0xFF, 0xFF, 0xFF, 0xFC], [1, 2, 4, 8, 15]]
        {
            let all = edges(bytes);
            assert_eq!(super::bytes(&all), Ok(bytes));
            // Listening began after the wire had risen.
            assert_eq!(super::bytes(&all[1..]), Ok(bytes));
            // The last rise came after we stopped.
            assert_eq!(super::bytes(&all[..all.len() - 1]), Ok(bytes));
        }
    }

    #[test]
    fn a_slow_part_is_read_by_its_own_measure() {
        let bytes = [0x02, 0x8C, 0x01, 0x5F, 0xEE];
        for percent in [75, 100, 130] {
            let scaled: Vec<Edge> =
                edges(bytes).into_iter().map(|edge| Edge { at: edge.at * percent / 100, ..edge }).collect();
            assert_eq!(super::bytes(&scaled), Ok(bytes), "{percent} %");
        }
    }

    #[test]
    fn what_was_cut_or_misread_is_no_answer() {
        let good = edges([0x02, 0x8C, 0x01, 0x5F, 0xEE]);
        assert_eq!(super::bytes(&[]), Err(Garbled::Silent));
        assert_eq!(super::bytes(&good[..1]), Err(Garbled::Silent), "let go, and nobody took it");
        for missing in 1..40 {
            let until = good.len() - 1 - 2 * missing;
            let answer = super::bytes(&good[..until]);
            assert!(matches!(answer, Err(Garbled::Cut(_) | Garbled::Sum(..))), "{missing}: {answer:?}");
        }
        assert_eq!(super::bytes(&edges([1, 2, 3, 4, 11])), Err(Garbled::Sum(11, 10)));
        let mut stretched = good.clone();
        for edge in &mut stretched[40..] {
            edge.at += Duration::from_micros(300);
        }
        assert!(matches!(super::bytes(&stretched), Err(Garbled::Pulse(300..=400))));
        for words in [Garbled::Silent, Garbled::Cut(3), Garbled::Pulse(300), Garbled::Sum(1, 2)] {
            assert!(!words.to_string().is_empty());
        }
    }
}
