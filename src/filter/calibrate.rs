//! From the driver's number to the user's. Judges nothing.

use crate::config::Calibration;
use crate::reading::{Value, ValueKind};

impl Calibration {
    /// Whether it changes no number; rounding does not count, since it leaves a whole number as it is.
    pub fn is_identity(&self) -> bool {
        self.factor == 1.0 && self.shift == 0.0 && is_straight_through(&self.polynomial)
    }

    /// The kind of value that comes out for a driver's kind.
    pub fn kind(&self, kind: ValueKind) -> ValueKind {
        if kind == ValueKind::Integer && !self.is_identity() { ValueKind::Float } else { kind }
    }

    /// The calibrated value. An integer stays one when there is nothing to calibrate, and becomes a
    /// float otherwise; what is no number (text, two-state) is untouched.
    pub fn apply(&self, value: &Value) -> Value {
        match value {
            Value::Float(number) => Value::Float(self.number(*number)),
            Value::Integer(number) if !self.is_identity() => Value::Float(self.number(*number as f64)),
            Value::Integer(_) | Value::Bool(_) | Value::Text(_) | Value::Image(_) => value.clone(),
        }
    }

    /// The driver's number that a calibrated one came from, but for what rounding has taken; nothing when the
    /// calibration is no straight line.
    pub fn invert(&self, number: f64) -> Option<f64> {
        let (offset, scale) = match self.polynomial.as_slice() {
            [] => (0.0, 1.0),
            [offset, scale, bent @ ..] if bent.iter().all(|coefficient| *coefficient == 0.0) => {
                (*offset, *scale)
            }
            _ => return None,
        };
        let raw = ((number - offset) / scale - self.shift) / self.factor;
        raw.is_finite().then_some(raw)
    }

    fn number(&self, number: f64) -> f64 {
        let converted = number * self.factor + self.shift;
        let curved = if is_straight_through(&self.polynomial) {
            converted
        } else {
            // Horner's rule: one multiplication per coefficient, and no power overflows on its own.
            self.polynomial.iter().rev().fold(0.0, |sum, coefficient| sum * converted + coefficient)
        };
        self.round.map_or(curved, |decimals| round(curved, decimals))
    }
}

/// 0 + 1·x + 0·x² …, or no polynomial at all.
fn is_straight_through(polynomial: &[f64]) -> bool {
    polynomial.is_empty()
        || (polynomial.len() > 1
            && polynomial.iter().enumerate().all(|(power, c)| *c == if power == 1 { 1.0 } else { 0.0 }))
}

/// Rounds to decimals, halves away from zero.
fn round(number: f64, decimals: u8) -> f64 {
    let scale = 10f64.powi(i32::from(decimals));
    let rounded = (number * scale).round() / scale;
    // So many decimals that the scaled number leaves the range of a float: it has no such digits.
    if !rounded.is_finite() {
        return number;
    }
    // Adding zero turns -0 into 0: nobody wants to read "-0 °C".
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(factor: f64, shift: f64, polynomial: &[f64], round: Option<u8>) -> Calibration {
        Calibration { factor, shift, polynomial: polynomial.to_vec(), round }
    }

    #[test]
    fn numbers_are_converted_bent_and_rounded_in_this_order() {
        let plain = [0.0, 1.0];
        let table = [
            (calibration(1.0, 0.0, &plain, None), 21.437, 21.437),
            (calibration(1.8, 32.0, &plain, None), 100.0, 212.0),
            (calibration(1.8, 32.0, &[-0.5, 1.0], None), 100.0, 211.5),
            (calibration(1.0, 0.0, &[1.0, 2.0, 3.0], None), 2.0, 17.0),
            (calibration(1.0, 0.0, &[7.0], None), 2.0, 7.0),
            (calibration(1.0, 0.0, &[], None), 2.0, 2.0),
            (calibration(1.0, 0.0, &[0.0, 1.0, 0.0], None), 2.5, 2.5),
            (calibration(1.0, 0.0, &plain, Some(1)), 21.4499, 21.4),
            (calibration(1.0, 0.0, &plain, Some(1)), 21.45, 21.5),
            (calibration(1.0, 0.0, &plain, Some(1)), -21.45, -21.5),
            (calibration(1.0, 0.0, &plain, Some(0)), 0.4, 0.0),
            (calibration(1.0, 0.0, &plain, Some(255)), 1.5, 1.5),
            (calibration(0.001, 0.0, &plain, Some(2)), 101_325.0, 101.33),
        ];
        for (calibration, raw, expected) in table {
            assert_eq!(
                calibration.apply(&Value::Float(raw)),
                Value::Float(expected),
                "{calibration:?} of {raw}"
            );
        }
    }

    #[test]
    fn a_straight_line_can_be_gone_back() {
        let table = [
            (calibration(1.0, 0.0, &[0.0, 1.0], None), Some(12.5)),
            (calibration(0.001, 0.0, &[], None), Some(12.5)),
            (calibration(1.8, 32.0, &[-0.5, 2.0, 0.0], None), Some(12.5)),
            (calibration(1.0, 0.0, &[0.0, 1.0, 0.1], None), None),
            (calibration(1.0, 0.0, &[7.0], None), None),
            (calibration(1.0, 0.0, &[7.0, 0.0], None), None),
        ];
        for (calibration, expected) in table {
            let there = calibration.number(12.5);
            let back = calibration.invert(there);
            assert_eq!(back.map(|number| (number * 1e9).round() / 1e9), expected, "{calibration:?}");
        }
    }

    #[test]
    fn no_minus_zero() {
        let rounded = calibration(1.0, 0.0, &[0.0, 1.0], Some(1)).apply(&Value::Float(-0.04));
        assert_eq!(rounded.to_string(), "0");
    }

    #[test]
    fn an_integer_stays_one_unless_something_is_calibrated() {
        let exact = (1 << 53) + 1; // a float cannot hold it
        let table = [
            (Calibration::default(), Value::Integer(exact), Value::Integer(exact)),
            (
                Calibration { round: Some(2), ..Calibration::default() },
                Value::Integer(exact),
                Value::Integer(exact),
            ),
            (Calibration { factor: 0.5, ..Calibration::default() }, Value::Integer(3), Value::Float(1.5)),
            (Calibration { factor: 2.0, ..Calibration::default() }, Value::Bool(true), Value::Bool(true)),
            (
                Calibration { shift: 2.0, ..Calibration::default() },
                Value::Text("open".into()),
                Value::Text("open".into()),
            ),
        ];
        for (calibration, raw, expected) in table {
            let value = calibration.apply(&raw);
            assert_eq!(value, expected, "{calibration:?}");
            assert_eq!(value.kind(), calibration.kind(raw.kind()), "{calibration:?}");
        }
    }
}
