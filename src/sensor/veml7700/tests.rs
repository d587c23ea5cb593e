//! The driver over simulated chips, with the numbers of the data sheet and the application note.

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::sensor::testing::{driver, problems, read, with_part};

fn chip(gain: f64, milliseconds: u16) -> Veml7700 {
    let gain = GAINS.into_iter().find(|(times, _)| *times == gain).unwrap();
    let time = TIMES.into_iter().find(|(time, _)| *time == milliseconds).unwrap();
    Veml7700 { gain, time, illuminance: None }
}

#[test]
fn resolutions_are_those_of_the_data_sheet() {
    // lx a count, where no correction is applied.
    for (gain, time, step) in [(2.0, 800, 0.0042), (2.0, 100, 0.0336), (1.0, 800, 0.0084), (1.0, 25, 0.2688)]
    {
        assert!((chip(gain, time).lux(10_000) - 10_000.0 * step).abs() < 0.01, "{gain} {time}");
    }
    // Gain 1/8 and 100 ms: 0.5376 lx a count, 1000 lx of which are 1074.6 by the polynomial.
    assert!((chip(0.125, 100).lux(1860) - 1075.0).abs() < 1.0);
    assert!((chip(0.125, 100).lux(10) - 5.4).abs() < 0.02);
    // Monotonic: the polynomial must not bend back.
    let chip = chip(0.125, 25);
    assert!((0..u16::MAX).all(|count| chip.lux(count) <= chip.lux(count + 1)));
}

#[test]
fn configured_light_is_what_is_read() {
    for (lux, gain, time, tolerance) in [
        (0.0, 0.125, "25ms", 0.0),
        (42.0, 1.0, "50ms", 0.08),
        (42.0, 0.125, "100ms", 0.3),
        (5_000.0, 0.125, "100ms", 1.0),
        (100_000.0, 0.25, "25ms", 10.0),
    ] {
        let simulate = json!({"illuminance": {"constant": lux}});
        let options = json!({"bus": "sim-1", "gain": gain, "integration_time": time, "simulate": simulate});
        let values = read(&driver(&KIND, options), &Buses::new()).unwrap();
        assert!((values[0] - lux).abs() <= tolerance, "{values:?} at {lux} lx");
    }
}

#[test]
fn glare_is_an_error_that_says_what_to_do() {
    let options = json!({"bus": "sim-1", "gain": 2, "integration_time": "50ms"});
    let part = || veml7700(Scenario::Constant(100_000.0));
    let error = read(&driver(&KIND, options), &with_part(ADDRESS, part())).unwrap_err().to_string();
    assert!(error.contains("choose a smaller gain"), "{error}");
    // Not full, and yet more than can be.
    let options = json!({"bus": "sim-1", "integration_time": "25ms"});
    let part = veml7700(Scenario::Constant(150_000.0));
    let error = read(&driver(&KIND, options), &with_part(ADDRESS, part)).unwrap_err().to_string();
    assert!(error.contains("outside 0…140000 lx"), "{error}");
}

#[test]
fn a_chip_that_lost_its_settings_is_not_believed() {
    let part = || veml7700(Scenario::Constant(42.0));
    let buses = with_part(ADDRESS, part());
    let driver = driver(&KIND, json!({"bus": "sim-1", "integration_time": "25ms"}));
    let mut device = driver.open(&buses).unwrap();
    device.read().unwrap();
    buses.attach("sim-1", ADDRESS, Some(part())).unwrap();
    assert!(device.read().unwrap_err().to_string().contains("does not keep its settings"));
    assert!(read(&driver, &buses).is_ok());
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(
        problems(&KIND, json!({"bus": "i2c-1", "address": 0x10, "gain": 4, "integration_time": "10ms"})),
        ["address", "gain", "integration_time"]
    );
}
