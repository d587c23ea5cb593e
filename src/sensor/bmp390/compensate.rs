//! From the counts of a BMP390 to °C and Pa (data sheet BST-BMP390-DS002, section 8, floating point).

/// The calibration block, registers 0x31…0x45, in units of the formulas (section 8.4).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calibration {
    t: [f64; 3],
    p: [f64; 11],
}

impl Calibration {
    pub(super) fn of(block: &[u8; 21]) -> Self {
        let byte = |at: usize| f64::from(block[at] as i8);
        let word = |at: usize| f64::from(i16::from_le_bytes([block[at], block[at + 1]]));
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([block[at], block[at + 1]]));
        let over = |power: i32| 2f64.powi(-power);
        Self {
            t: [unsigned(0) * over(-8), unsigned(2) * over(30), byte(4) * over(48)],
            p: [
                (word(5) - 16384.0) * over(20),
                (word(7) - 16384.0) * over(29),
                byte(9) * over(32),
                byte(10) * over(37),
                unsigned(11) * over(-3),
                unsigned(13) * over(6),
                byte(15) * over(8),
                byte(16) * over(15),
                word(17) * over(48),
                byte(19) * over(48),
                byte(20) * over(65),
            ],
        }
    }

    /// °C (section 8.5).
    pub(super) fn temperature(&self, count: u32) -> f64 {
        let [t1, t2, t3] = self.t;
        let offset = f64::from(count) - t1;
        offset * t2 + offset * offset * t3
    }

    /// Pa, at this temperature in °C (section 8.6).
    pub(super) fn pressure(&self, count: u32, celsius: f64) -> f64 {
        let [p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11] = self.p;
        let (t, count) = (celsius, f64::from(count));
        let offset = p5 + (p6 + (p7 + p8 * t) * t) * t;
        let slope = p1 + (p2 + (p3 + p4 * t) * t) * t;
        offset + (slope + (p9 + p10 * t + p11 * count) * count) * count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::sim::bmp390::CALIBRATION;

    /// The maker's own integer arithmetic (BMP3 sensor API), in °C and Pa: another road to the same place,
    /// since the data sheet has no worked example.
    fn by_integers(block: &[u8; 21], temperature: i64, pressure: i64) -> (f64, f64) {
        let byte = |at: usize| i64::from(block[at] as i8);
        let word = |at: usize| i64::from(i16::from_le_bytes([block[at], block[at + 1]]));
        let unsigned = |at: usize| i64::from(u16::from_le_bytes([block[at], block[at + 1]]));
        let offset = temperature - 256 * unsigned(0);
        let t = (unsigned(2) * offset * 262_144 + offset * offset * byte(4)) / 4_294_967_296;
        let square = t * t;
        let cube = square / 64 * t / 256;
        let offset = unsigned(11) * 140_737_488_355_328
            + byte(16) * cube / 32
            + byte(15) * square * 16
            + unsigned(13) * t * 4_194_304;
        let slope = (word(5) - 16384) * 70_368_744_177_664
            + byte(10) * cube / 32
            + byte(9) * square * 4
            + (word(7) - 16384) * t * 2_097_152;
        let first = slope / 16_777_216 * pressure;
        let second = (byte(19) * t + 65_536 * word(17)) * pressure / 8192 * (pressure / 10) / 512 * 10;
        let third = byte(20) * (pressure * pressure) / 65_536 * pressure / 128;
        let pascal = (offset / 4 + first + second + third) as f64 * 25.0 / 1_099_511_627_776.0 / 100.0;
        (t as f64 / 65_536.0, pascal)
    }

    #[test]
    fn both_arithmetics_of_the_maker_agree() {
        let calibration = Calibration::of(&CALIBRATION);
        for temperature in [5_200_000, 7_108_864, 8_400_000, 11_900_000] {
            for pressure in [2_000_000, 5_000_000, 7_000_000, 9_000_000] {
                let celsius = calibration.temperature(temperature);
                let pascal = calibration.pressure(pressure, celsius);
                let (t, p) = by_integers(&CALIBRATION, temperature.into(), pressure.into());
                assert!((celsius - t).abs() < 0.001, "{celsius} {t}");
                assert!((pascal - p).abs() < 0.5, "{pascal} {p}");
            }
        }
    }
}
