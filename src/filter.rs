//! filter (being written)

use crate::config;
use crate::reading::Value;

/// A driver's value as the user wants to see it: unit, polynomial and rounding applied.
pub fn calibrate(quantity: &config::Quantity, value: &Value) -> Value {
    let Value::Float(number) = value else { return value.clone() };
    let calibration = &quantity.calibration;
    let converted = number * calibration.factor + calibration.shift;
    let curved = calibration.polynomial.iter().rev().fold(0.0, |sum, c| sum * converted + c);
    Value::Float(calibration.round.map_or(curved, |decimals| {
        let scale = 10f64.powi(i32::from(decimals));
        (curved * scale).round() / scale
    }))
}
