//! A simulated DHT11 or DHT22: the edges of its answer, timed as in the data sheets (Aosong DHT11 section 5,
//! AM2302 section 7).

use std::time::Duration;

use super::scenario::Scenario;
use crate::bus::gpio::Edge;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole degrees and per cent.
    Dht11,
    /// Tenths.
    Dht22,
}

/// A part and the air around it.
#[derive(Debug)]
pub struct Dht {
    kind: Kind,
    temperature: Scenario,
    humidity: Scenario,
}

impl Dht {
    /// In air of this temperature (°C) and relative humidity (%).
    pub fn new(kind: Kind, temperature: Scenario, humidity: Scenario) -> Self {
        Self { kind, temperature, humidity }
    }

    /// Its answer when it is asked at `now`, a time that never goes back.
    pub fn answer(&mut self, now: Duration) -> Vec<Edge> {
        let (temperature, humidity) = (self.temperature.at(now), self.humidity.at(now));
        let [a, b] = self.number(humidity);
        let [c, d] = self.number(temperature);
        let sum = a.wrapping_add(b).wrapping_add(c).wrapping_add(d);
        edges([a, b, c, d, sum])
    }

    /// A number as it sends it: tenths with a sign bit, or a byte of whole ones and one of tenths.
    fn number(&self, number: f64) -> [u8; 2] {
        let tenths = (number.abs() * 10.0).round().clamp(0.0, 2_000.0) as u16;
        let [high, low] = match self.kind {
            Kind::Dht22 => tenths.to_be_bytes(),
            Kind::Dht11 => return [(tenths / 10) as u8, (tenths % 10) as u8 | sign(number)],
        };
        [high | sign(number), low]
    }
}

fn sign(number: f64) -> u8 {
    if number < 0.0 { 0x80 } else { 0 }
}

/// The edges of these bytes, counted from when the host lets go of the wire.
pub fn edges(bytes: [u8; 5]) -> Vec<Edge> {
    // The wire rises, and 30 µs later the part takes it: 80 µs low, 80 µs high, the bits, 50 µs low.
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let pulses = bits.flat_map(|bit| [50, if bit == 1 { 70 } else { 26 }]);
    let stretches = [2, 30, 80, 80].into_iter().chain(pulses).chain([50]);
    let (mut at, mut high) = (Duration::ZERO, false);
    let edge = |(index, micros): (usize, u64)| {
        at += Duration::from_micros(micros);
        high = !high;
        Edge { high, at, sequence: u32::try_from(index + 1).unwrap_or(u32::MAX) }
    };
    stretches.enumerate().map(edge).collect()
}
