//! Whether a value differs enough from the last one that passed.
//!
//! A deadband must hold for the decimals that people write: from 0.3 to 0.1 + 0.2 + 0.1 is a change of
//! 0.1, though as binary floats it comes out a hair smaller. So a difference counts as reaching the
//! deadband when it falls short by no more than a few units in the last place of the largest number
//! involved ([`SLACK`]). That is about 1e-15 of the value, far below what any sensor resolves.

use crate::config::Change;
use crate::reading::Value;

/// By how much of the largest number involved a difference may fall short of a deadband.
pub(super) const SLACK: f64 = 4.0 * f64::EPSILON;

/// Whether `value` is change enough after `last`.
///
/// Text and two-state values know no distance: for them any difference reaches any deadband. A
/// relative deadband around a last value of 0 is 0 wide, so that any change passes. Pictures differ by a
/// part of full contrast ([`crate::reading::Image::difference`]), which is what a percentage means for them.
pub(super) fn is_change(change: Change, last: &Value, value: &Value) -> bool {
    if let (Change::Relative(fraction), Value::Image(last), Value::Image(value)) = (change, last, value) {
        return last.sha256 != value.sha256 && last.difference(value) >= fraction - SLACK;
    }
    match change {
        Change::Always => true,
        Change::Any => differs(last, value),
        Change::Absolute(deadband) => differs(last, value) && reaches(deadband, last, value),
        Change::Relative(fraction) => {
            let deadband = last.as_f64().map_or(0.0, |last| fraction * last.abs());
            differs(last, value) && reaches(deadband, last, value)
        }
    }
}

/// Exact: the same raw answer calibrates to the very same bits, so "any change" needs no slack.
fn differs(last: &Value, value: &Value) -> bool {
    match (last, value) {
        (Value::Float(_), Value::Integer(_)) | (Value::Integer(_), Value::Float(_)) => {
            last.as_f64() != value.as_f64()
        }
        (Value::Image(last), Value::Image(value)) => last.sha256 != value.sha256,
        _ => last != value,
    }
}

fn reaches(deadband: f64, last: &Value, value: &Value) -> bool {
    match (last, value) {
        // Not by way of floats, which cannot tell large integers apart.
        (Value::Integer(last), Value::Integer(value)) => value.abs_diff(*last) as f64 >= deadband,
        (Value::Float(_) | Value::Integer(_), Value::Float(_) | Value::Integer(_)) => {
            let (Some(last), Some(value)) = (last.as_f64(), value.as_f64()) else { return true };
            let slack = SLACK * last.abs().max(value.abs()).max(deadband);
            (value - last).abs() >= deadband - slack
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(number: f64) -> Value {
        Value::Float(number)
    }

    #[test]
    fn pictures_change_by_what_they_look_like() {
        use Change::{Always, Any, Relative};
        let picture = |fill| Value::Image(crate::reading::picture::tests::image(fill, 9).into());
        let table = [
            (Any, 100, 100, false),
            (Any, 100, 101, true),
            (Always, 100, 100, true),
            (Relative(0.02), 100, 104, false),
            (Relative(0.02), 100, 106, true),
            (Relative(0.02), 106, 100, true),
            (Relative(0.2), 0, 51, true),
            (Relative(0.2), 0, 50, false),
            (Relative(1.0), 0, 255, true),
        ];
        for (change, last, value, expected) in table {
            let last = picture(last).remembered();
            assert_eq!(is_change(change, &last, &picture(value)), expected, "{change:?}: {last:?} → {value}");
        }
    }

    #[test]
    fn change_table() {
        use Change::{Absolute, Always, Any, Relative};
        let big = 1_i64 << 60;
        let table = [
            (Any, float(20.0), float(20.0), false),
            (Any, float(20.0), float(20.000_000_001), true),
            (Any, float(0.0), float(-0.0), false),
            (Any, Value::Integer(big), Value::Integer(big + 1), true),
            (Any, Value::Bool(false), Value::Bool(true), true),
            (Any, Value::Bool(true), Value::Bool(true), false),
            (Any, Value::Text("a".into()), Value::Text("a".into()), false),
            (Any, Value::Text("a".into()), Value::Text("b".into()), true),
            (Any, Value::Integer(3), float(3.0), false),
            (Always, float(20.0), float(20.0), true),
            (Absolute(0.1), float(20.0), float(20.05), false),
            (Absolute(0.1), float(20.0), float(20.1), true),
            (Absolute(0.1), float(20.1), float(20.0), true),
            (Absolute(0.1), float(0.2), float(0.1), true),
            (Absolute(0.1), float(0.3), float(0.1 + 0.2 + 0.1), true),
            (Absolute(0.1), float(0.1 + 0.2), float(0.4), true),
            (Absolute(0.1), float(0.3), float(0.399_999), false),
            (Absolute(0.1), float(-0.05), float(0.05), true),
            (Absolute(0.0), float(20.0), float(20.0), false),
            (Absolute(0.0), float(20.0), float(20.5), true),
            (Absolute(1e-30), float(20.0), float(20.0), false),
            (Absolute(5.0), Value::Integer(10), Value::Integer(14), false),
            (Absolute(5.0), Value::Integer(10), Value::Integer(15), true),
            (Absolute(2.0), Value::Integer(big), Value::Integer(big + 1), false),
            (Absolute(2.0), Value::Integer(i64::MIN), Value::Integer(i64::MAX), true),
            (Absolute(5.0), Value::Bool(false), Value::Bool(true), true),
            (Absolute(5.0), Value::Text("a".into()), Value::Text("b".into()), true),
            (Relative(0.01), float(100.0), float(100.9), false),
            (Relative(0.01), float(100.0), float(101.0), true),
            (Relative(0.01), float(-100.0), float(-101.0), true),
            (Relative(0.01), float(-100.0), float(-100.9), false),
            (Relative(0.1), float(3.0), float(3.3), true),
            (Relative(0.1), float(0.0), float(1e-9), true),
            (Relative(0.1), float(0.0), float(0.0), false),
            (Relative(0.1), Value::Text("a".into()), Value::Text("b".into()), true),
        ];
        for (change, last, value, expected) in table {
            assert_eq!(is_change(change, &last, &value), expected, "{change:?}: {last:?} → {value:?}");
        }
    }
}
