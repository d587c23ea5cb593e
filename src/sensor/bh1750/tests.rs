//! The driver over simulated chips, with the numbers of the data sheet.

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::sensor::testing::{driver, problems, read, with_part};

fn chip(resolution: Resolution, time: u8) -> Bh1750 {
    Bh1750 { resolution, time, illuminance: None }
}

#[test]
fn counts_are_converted_as_in_the_data_sheet() {
    // "Measurement Procedure": 1000_0011 1001_0000 is 28067 lx.
    assert_eq!(chip(Resolution::High, 69).lux(0b1000_0011_1001_0000), 28066.67);
    // Measurement time register: 138 halves, 254 and mode 2 make a step of 0.11 lx, 31 reaches 121,556 lx.
    assert_eq!(chip(Resolution::High, 138).lux(120), 50.0);
    assert_eq!(chip(Resolution::High2, 254).lux(1), 0.11);
    assert!((chip(Resolution::High, 31).lux(65535) - 121_556.85).abs() < 0.1);
    assert_eq!(chip(Resolution::High, 69).instruction().1, Duration::from_millis(181));
}

#[test]
fn configured_light_is_what_is_read() {
    for (resolution, time, step) in [("high", 69, 0.84), ("high2", 138, 0.21), ("low", 69, 4.0)] {
        let simulate = json!({"illuminance": {"constant": 321.5}});
        let options = json!({"bus": "sim-1", "address": "0x5c", "resolution": resolution,
            "measurement_time": time, "simulate": simulate});
        let values = read(&driver(&KIND, options), &Buses::new()).unwrap();
        assert!((values[0] - 321.5).abs() <= step, "{resolution}: {values:?}");
    }
}

#[test]
fn darkness_is_zero_and_glare_is_an_error() {
    let options = json!({"bus": "sim-1", "resolution": "low"});
    let light = |lux| with_part(0x23, Box::new(SimulatedBh1750::new(Scenario::Constant(lux))));
    assert_eq!(read(&driver(&KIND, options), &light(0.0)).unwrap(), [0.0]);
    let error = read(&driver(&KIND, json!({"bus": "sim-1"})), &light(60_000.0)).unwrap_err().to_string();
    assert!(error.contains("brighter than the 54612.5 lx"), "{error}");
}

#[test]
fn a_chip_that_lost_its_settings_reads_right_all_the_same() {
    let options = json!({"bus": "sim-1", "resolution": "low", "measurement_time": 138});
    let driver = driver(&KIND, options);
    let light = || Box::new(SimulatedBh1750::new(Scenario::Constant(100.0)));
    let buses = with_part(0x23, light());
    let mut device = driver.open(&buses).unwrap();
    let before = device.read().unwrap();
    buses.attach("sim-1", 0x23, Some(light())).unwrap();
    assert_eq!(device.read().unwrap(), before);
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(
        problems(&KIND, json!({"bus": "i2c-1", "address": 0x44, "resolution": "x", "measurement_time": 30})),
        ["resolution", "address", "measurement_time"]
    );
}
