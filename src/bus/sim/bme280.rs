//! A BME280 register by register (Bosch BST-BME280-DS001, section 5): calibration block, control, status
//! and data registers. Its raw counts are what the compensation of section 8.1, turned round, gives for
//! the wanted temperature, humidity and pressure.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Simulated};

/// Chip id of a BME280; a BMP280 answers 0x58.
pub const CHIP_ID: u8 = 0x60;

const ID: u8 = 0xD0;
const RESET: u8 = 0xE0;
const CTRL_HUM: u8 = 0xF2;
const STATUS: u8 = 0xF3;
const CTRL_MEAS: u8 = 0xF4;
const CONFIG: u8 = 0xF5;
const DATA: u8 = 0xF7;

const MEASURING: u8 = 0b1000;

/// Raw counts of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// 20 bits.
    pub temperature: u32,
    /// 20 bits.
    pub pressure: u32,
    /// 16 bits.
    pub humidity: u32,
}

/// What the data registers hold after reset and for a measurement that is switched off (section 5.4.7).
const SKIPPED: Counts = Counts { temperature: 0x80000, pressure: 0x80000, humidity: 0x8000 };

/// Where a chip's counts come from.
#[derive(Debug, Clone)]
enum Air {
    Counts(Counts),
    Scenarios { temperature: Scenario, humidity: Scenario, pressure: Scenario },
}

/// A BME280.
#[derive(Debug, Clone)]
pub struct Bme280 {
    id: u8,
    air: Air,
    pointer: u8,
    ctrl_hum: u8,
    /// Takes effect with the next write to `ctrl_meas` (section 5.4.3).
    humidity_oversampling: u8,
    ctrl_meas: u8,
    config: u8,
    data: Counts,
    /// When the running measurement ends, and what it will have found.
    running: Option<(Duration, Counts)>,
}

impl Bme280 {
    /// A chip in air of this temperature (°C), relative humidity (%) and pressure (Pa).
    pub fn new(temperature: Scenario, humidity: Scenario, pressure: Scenario) -> Self {
        Self::with(Air::Scenarios { temperature, humidity, pressure })
    }

    /// A chip that always counts this, with the calibration of the data sheet's example.
    pub fn with_counts(counts: Counts) -> Self {
        Self::with(Air::Counts(counts))
    }

    /// The same chip with another id.
    pub fn with_id(self, id: u8) -> Self {
        Self { id, ..self }
    }

    fn with(air: Air) -> Self {
        Self {
            id: CHIP_ID,
            air,
            pointer: 0,
            ctrl_hum: 0,
            humidity_oversampling: 0,
            ctrl_meas: 0,
            config: 0,
            data: SKIPPED,
            running: None,
        }
    }

    fn reset(&mut self) {
        *self = Self { pointer: self.pointer, ..Self::with(self.air.clone()).with_id(self.id) };
    }

    fn set(&mut self, register: u8, value: u8, now: Duration) {
        match register {
            RESET if value == 0xB6 => self.reset(),
            CTRL_HUM => self.ctrl_hum = value & 0b111,
            CONFIG => self.config = value,
            CTRL_MEAS => {
                self.ctrl_meas = value;
                self.humidity_oversampling = self.ctrl_hum;
                if value & 0b11 != 0 {
                    let counts = self.measure(now);
                    self.running = Some((now + self.measuring_time(), counts));
                }
            }
            _ => {}
        }
    }

    fn measure(&mut self, now: Duration) -> Counts {
        let counts = match &mut self.air {
            Air::Counts(counts) => *counts,
            Air::Scenarios { temperature, humidity, pressure } => {
                counts_for(temperature.at(now), humidity.at(now), pressure.at(now))
            }
        };
        let unless_off = |oversampling: u8, count, skipped| if oversampling == 0 { skipped } else { count };
        Counts {
            temperature: unless_off(self.ctrl_meas >> 5, counts.temperature, SKIPPED.temperature),
            pressure: unless_off(self.ctrl_meas >> 2 & 0b111, counts.pressure, SKIPPED.pressure),
            humidity: unless_off(self.humidity_oversampling, counts.humidity, SKIPPED.humidity),
        }
    }

    /// Longest time of one measurement (section 9.1).
    fn measuring_time(&self) -> Duration {
        let samples = |bits: u8| if bits == 0 { 0.0 } else { f64::from(1u8 << (bits.min(5) - 1)) };
        let part = |samples: f64, extra| if samples == 0.0 { 0.0 } else { 2.3 * samples + extra };
        let milliseconds = 1.25
            + part(samples(self.ctrl_meas >> 5), 0.0)
            + part(samples(self.ctrl_meas >> 2 & 0b111), 0.575)
            + part(samples(self.humidity_oversampling), 0.575);
        Duration::from_secs_f64(milliseconds / 1000.0)
    }

    fn finish(&mut self, now: Duration) {
        let Some((end, counts)) = self.running else { return };
        if now < end {
            return;
        }
        self.data = counts;
        if self.ctrl_meas & 0b11 == 0b11 {
            // Normal mode: as if a measurement ended at this very moment; stand-by times are not simulated.
            self.data = self.measure(now);
        } else {
            self.running = None;
            self.ctrl_meas &= !0b11;
        }
    }

    fn register(&self, register: u8) -> u8 {
        let in_block = |start: u8, block: &[u8]| {
            register.checked_sub(start).and_then(|offset| block.get(usize::from(offset)).copied())
        };
        match register {
            ID => self.id,
            CTRL_HUM => self.ctrl_hum,
            STATUS => u8::from(self.running.is_some()) * MEASURING,
            CTRL_MEAS => self.ctrl_meas,
            CONFIG => self.config,
            _ => in_block(0x88, &CALIBRATION_T_P)
                .or_else(|| in_block(0xE1, &CALIBRATION_H))
                .or_else(|| in_block(DATA, &data_block(self.data)))
                .unwrap_or(0),
        }
    }
}

impl Simulated for Bme280 {
    /// Pairs of register and value; a single byte sets the register to read from (section 6.2.1).
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.finish(now);
        for pair in bytes.chunks(2) {
            match *pair {
                [register, value] => self.set(register, value, now),
                [register] => self.pointer = register,
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.finish(now);
        for byte in buffer {
            *byte = self.register(self.pointer);
            self.pointer = self.pointer.wrapping_add(1);
        }
        Ok(())
    }
}

fn data_block(counts: Counts) -> [u8; 8] {
    let [_, p0, p1, p2] = (counts.pressure << 4).to_be_bytes();
    let [_, t0, t1, t2] = (counts.temperature << 4).to_be_bytes();
    let [_, _, h0, h1] = counts.humidity.to_be_bytes();
    [p0, p1, p2, t0, t1, t2, h0, h1]
}

// Temperature and pressure calibration: the worked example of Bosch BST-BMP280-DS001, section 3.12 (the
// compensation is the same). Humidity: a typical chip's; neither data sheet gives an example.
const T1: u16 = 27504;
const T2: i16 = 26435;
const T3: i16 = -1000;
const P1: u16 = 36477;
const P: [i16; 8] = [-10685, 3024, 2855, 140, -7, 15500, -14600, 6000];
const H1: u8 = 75;
const H2: i16 = 362;
const H3: u8 = 0;
const H4: i16 = 313;
const H5: i16 = 50;
const H6: i8 = 30;

/// Registers 0x88…0xA1 (table 16 of the data sheet), little-endian.
const CALIBRATION_T_P: [u8; 26] = {
    let words = [
        T1,
        T2 as u16,
        T3 as u16,
        P1,
        P[0] as u16,
        P[1] as u16,
        P[2] as u16,
        P[3] as u16,
        P[4] as u16,
        P[5] as u16,
        P[6] as u16,
        P[7] as u16,
    ];
    let mut block = [0; 26];
    let mut word = 0;
    while word < words.len() {
        [block[2 * word], block[2 * word + 1]] = words[word].to_le_bytes();
        word += 1;
    }
    block[25] = H1;
    block
};

/// Registers 0xE1…0xE7: H4 and H5 share a byte for their lower four bits.
const CALIBRATION_H: [u8; 7] = [
    H2.to_le_bytes()[0],
    H2.to_le_bytes()[1],
    H3,
    (H4 >> 4) as u8,
    (H5 as u8 & 0xF) << 4 | H4 as u8 & 0xF,
    (H5 >> 4) as u8,
    H6 as u8,
];

/// Fine temperature: °C × 5120 (section 8.1, double precision).
fn fine(raw: u32) -> f64 {
    let (raw, t1) = (f64::from(raw), f64::from(T1));
    let linear = (raw / 16384.0 - t1 / 1024.0) * f64::from(T2);
    let square = raw / 131_072.0 - t1 / 8192.0;
    linear + square * square * f64::from(T3)
}

/// Pa (section 8.1, double precision).
fn pascals(raw: u32, fine: f64) -> f64 {
    let p = P.map(f64::from);
    let v1 = fine / 2.0 - 64000.0;
    let v2 = v1 * v1 * p[4] / 32768.0 + v1 * p[3] * 2.0;
    let v2 = v2 / 4.0 + p[2] * 65536.0;
    let v1 = (p[1] * v1 * v1 / 524_288.0 + p[0] * v1) / 524_288.0;
    let v1 = (1.0 + v1 / 32768.0) * f64::from(P1);
    let pressure = (1_048_576.0 - f64::from(raw) - v2 / 4096.0) * 6250.0 / v1;
    let v1 = p[7] * pressure * pressure / 2_147_483_648.0;
    let v2 = pressure * p[6] / 32768.0;
    pressure + (v1 + v2 + p[5]) / 16.0
}

/// % relative humidity, not limited to 0…100 (section 8.1, double precision).
fn percent(raw: u32, fine: f64) -> f64 {
    let h = fine - 76800.0;
    let h = (f64::from(raw) - (f64::from(H4) * 64.0 + f64::from(H5) / 16384.0 * h))
        * (f64::from(H2) / 65536.0
            * (1.0 + f64::from(H6) / 67_108_864.0 * h * (1.0 + f64::from(H3) / 67_108_864.0 * h)));
    h * (1.0 - f64::from(H1) * h / 524_288.0)
}

/// The counts that a chip in this air would come nearest to.
fn counts_for(temperature: f64, humidity: f64, pressure: f64) -> Counts {
    let raw_temperature = first(0xF_FFFF, |raw| fine(raw) / 5120.0 >= temperature);
    let fine = fine(raw_temperature);
    Counts {
        temperature: raw_temperature,
        // More counts mean less pressure.
        pressure: first(0xF_FFFF, |raw| pascals(raw, fine) <= pressure),
        humidity: first(0xFFFF, |raw| percent(raw, fine) >= humidity),
    }
}

/// The first count of 0…`last` for which a condition holds that stays true once it is; else `last`.
fn first(last: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut from, mut to) = (0, last);
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compensation_gives_the_data_sheets_example() {
        // BST-BMP280-DS001, section 3.12: 519888 and 415148 counts are 25.08 °C and 100,653.27 Pa.
        let fine = fine(519_888);
        assert!((fine / 5120.0 - 25.08).abs() < 0.005);
        assert!((pascals(415_148, fine) - 100_653.27).abs() < 0.05);
    }

    #[test]
    fn the_counts_for_any_air_give_that_air_back() {
        for temperature in [-39.0, -10.0, 0.0, 21.4, 50.0, 84.0] {
            for pressure in [30_500.0, 70_000.0, 101_325.0, 109_000.0] {
                for humidity in [1.0, 45.0, 99.0] {
                    let counts = counts_for(temperature, humidity, pressure);
                    let fine = fine(counts.temperature);
                    assert!((fine / 5120.0 - temperature).abs() < 0.005, "{counts:?}");
                    assert!((pascals(counts.pressure, fine) - pressure).abs() < 0.3, "{counts:?}");
                    assert!((percent(counts.humidity, fine) - humidity).abs() < 0.01, "{counts:?}");
                }
            }
        }
    }

    #[test]
    fn a_forced_measurement_takes_its_time_and_then_sleeps() {
        let counts = Counts { temperature: 519_888, pressure: 415_148, humidity: 30_000 };
        let mut chip = Bme280::with_counts(counts);
        let at = Duration::from_millis;
        let read = |chip: &mut Bme280, register, now| {
            let mut byte = [0];
            chip.write(&[register], now).unwrap();
            chip.read(&mut byte, now).unwrap();
            byte[0]
        };
        chip.write(&[CTRL_HUM, 1, CTRL_MEAS, 0b0010_0101], at(0)).unwrap();
        assert_eq!(read(&mut chip, STATUS, at(1)), MEASURING);
        assert_eq!(chip.data, SKIPPED);
        // 1.25 + 2.3 + 2.3 + 0.575 + 2.3 + 0.575 ms = 9.3 ms (section 9.1).
        assert_eq!(read(&mut chip, STATUS, at(10)), 0);
        assert_eq!(read(&mut chip, CTRL_MEAS, at(10)), 0b0010_0100);
        assert_eq!(chip.data, counts);
        chip.write(&[RESET, 0xB6], at(11)).unwrap();
        assert_eq!((chip.data, chip.ctrl_meas), (SKIPPED, 0));
    }

    #[test]
    fn what_is_switched_off_is_not_measured() {
        let mut chip = Bme280::with_counts(Counts { temperature: 1, pressure: 2, humidity: 3 });
        chip.write(&[CTRL_MEAS, 0b0010_0001], Duration::ZERO).unwrap();
        chip.finish(Duration::from_secs(1));
        assert_eq!(chip.data, Counts { temperature: 1, ..SKIPPED });
    }
}
