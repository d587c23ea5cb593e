//! The driver over simulated chips. That the compensation is right is tested beside it.

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::sensor::testing::{driver, problems, read, with_part};

fn chip(celsius: f64, pascal: f64) -> SimulatedBmp390 {
    SimulatedBmp390::new(Scenario::Constant(celsius), Scenario::Constant(pascal))
}

#[test]
fn settings_are_those_of_the_register_map() {
    // Registers OSR and CONFIG.
    for (oversampling, filter, osr, config) in [
        (1, 0, 0b000_000, 0),
        (8, 1, 0b000_011, 0b0010),
        (16, 15, 0b000_100, 0b1000),
        (32, 127, 0b001_101, 0b1110),
    ] {
        assert_eq!(Settings::of(oversampling, filter), Settings { osr, config });
    }
    // Section 3.9.2: 234 + 392 + 32 · 2020 + 163 + 2 · 2020 µs, and a fifth.
    assert_eq!(Settings::of(32, 0).measuring_time(), Duration::from_micros(69_469 * 12 / 10));
}

#[test]
fn configured_air_is_what_is_read() {
    for (oversampling, celsius, pascal) in [(1, -12.34, 95_000), (32, 25.0, 101_325), (4, 60.0, 31_000)] {
        let simulate = json!({"temperature": {"constant": celsius}, "pressure": {"constant": pascal}});
        let options =
            json!({"bus": "sim-1", "address": "0x76", "oversampling": oversampling, "simulate": simulate});
        let values = read(&driver(&KIND, options), &Buses::new()).unwrap();
        let wanted = f64::from(pascal) / 100.0;
        assert!((values[0] - celsius).abs() <= 0.011 && (values[1] - wanted).abs() <= 0.011, "{values:?}");
    }
}

#[test]
fn a_bmp388_is_as_good_and_another_chip_is_refused() {
    let open = |id| {
        let buses = with_part(0x77, Box::new(chip(20.0, 100_000.0).with_id(id)));
        read(&driver(&KIND, json!({"bus": "sim-1"})), &buses)
    };
    assert!(open(0x50).is_ok());
    let error = open(0x58).unwrap_err().to_string();
    assert!(error.contains("bmp390 at address 0x77 on sim-1: it answers as chip 0x58"), "{error}");
}

#[test]
fn a_measurement_that_never_ends_is_given_up() {
    let buses = with_part(0x77, Box::new(chip(20.0, 100_000.0).stuck()));
    let error = read(&driver(&KIND, json!({"bus": "sim-1"})), &buses).unwrap_err().to_string();
    assert!(error.contains("does not finish its measurement"), "{error}");
}

#[test]
fn a_chip_that_lost_its_settings_is_not_believed() {
    let buses = with_part(0x77, Box::new(chip(20.0, 100_000.0)));
    let driver = driver(&KIND, json!({"bus": "sim-1"}));
    let mut device = driver.open(&buses).unwrap();
    device.read().unwrap();
    let mut link = Link::for_test("bmp390", buses.i2c("sim-1").unwrap(), 0x77);
    link.write(&[CMD, SOFT_RESET]).unwrap();
    assert!(device.read().unwrap_err().to_string().contains("lost its settings"));
    assert!(read(&driver, &buses).is_ok());
}

#[test]
fn impossible_counts_are_errors() {
    for (temperature, pressure, words) in [
        (0x80_0000, 0x80_0000, "measured nothing"),
        (0, 0, "is outside -40…85 °C"),
        (8_400_000, 0, "is outside 300…1250 hPa"),
    ] {
        let buses = with_part(0x77, Box::new(SimulatedBmp390::with_counts(temperature, pressure)));
        let error = read(&driver(&KIND, json!({"bus": "sim-1"})), &buses).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(
        problems(
            &KIND,
            json!({"bus": "i2c-1", "address": 0x40, "oversampling": 64, "filter": 2, "simulate": {}})
        ),
        ["address", "oversampling", "filter", "simulate"]
    );
}
