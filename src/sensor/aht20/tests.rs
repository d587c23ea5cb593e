//! The driver over simulated chips, with the numbers of the data sheet.

use std::time::Instant;

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::bus::sim::Answer;
use crate::bus::sim::fault::Fault as Failure;
use crate::bus::sim::scenario::Scenario;
use crate::sensor::testing::{driver, problems, read, switchable, with_part};

fn chip(celsius: f64, percent: f64) -> SimulatedAht20 {
    SimulatedAht20::new(Scenario::Constant(celsius), Scenario::Constant(percent))
}

/// Always answers this.
struct Canned([u8; 7]);

impl Simulated for Canned {
    fn write(&mut self, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        buffer.copy_from_slice(&self.0[..buffer.len()]);
        Ok(())
    }
}

fn canned(data: [u8; 6]) -> Result<Vec<f64>, SensorError> {
    let mut answer = [0; 7];
    answer[..6].copy_from_slice(&data);
    answer[6] = crc8(0xFF, &data);
    read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(ADDRESS, Box::new(Canned(answer))))
}

#[test]
fn counts_are_converted_as_in_section_6() {
    // Half of 2^20 is 50 % and 50 °C; a quarter 25 % and 0 °C; an eighth −25 °C.
    assert_eq!(canned([0x18, 0x80, 0x00, 0x08, 0x00, 0x00]).unwrap(), [50.0, 50.0]);
    assert_eq!(canned([0x18, 0x40, 0x00, 0x04, 0x00, 0x00]).unwrap(), [0.0, 25.0]);
    assert_eq!(canned([0x18, 0xFF, 0xFF, 0xF2, 0x00, 0x00]).unwrap(), [-25.0, 100.0]);
    let error = canned([0x18, 0, 0, 0, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("its temperature of -50 °C is outside"), "{error}");
}

#[test]
fn configured_air_is_what_is_read() {
    let simulate = json!({"temperature": {"constant": -12.34}, "humidity": {"constant": 81.5}});
    let options = json!({"bus": "sim-1", "simulate": simulate});
    assert_eq!(read(&driver(&KIND, options), &Buses::new()).unwrap(), [-12.34, 81.5]);
}

#[test]
fn a_chip_that_stays_busy_is_given_up() {
    let begin = Instant::now();
    let buses = with_part(ADDRESS, Box::new(chip(21.5, 50.0).busy_for(Duration::MAX)));
    let driver = driver(&KIND, json!({"bus": "sim-1"}));
    let error = read(&driver, &buses).unwrap_err().to_string();
    assert!(error.contains("aht20 at address 0x38 on sim-1: it stays busy"), "{error}");
    // Opened again, it is reset first, and hangs again.
    assert!(read(&driver, &buses).is_err());
    assert!(begin.elapsed() < Duration::from_secs(3));
    let buses = with_part(ADDRESS, Box::new(chip(21.5, 50.0).busy_for(Duration::from_millis(130))));
    assert_eq!(read(&driver, &buses).unwrap(), [21.5, 50.0], "a little slow is good enough");
}

#[test]
fn a_wrong_checksum_is_an_error_and_never_a_value_or_a_loop() {
    let (part, fault) = switchable(Box::new(chip(21.5, 50.0)));
    let buses = with_part(ADDRESS, part);
    let mut device = driver(&KIND, json!({"bus": "sim-1"})).open(&buses).unwrap();
    assert!(device.read().is_ok());
    *fault.lock().unwrap() = Some(Failure::BitError);
    for _ in 0..5 {
        assert!(matches!(device.read(), Err(SensorError::WrongAnswer(_))));
    }
    *fault.lock().unwrap() = None;
    assert!(device.read().is_ok());
}

#[test]
fn another_part_is_refused() {
    let part = Box::new(Canned([0; 7]));
    let error = read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(ADDRESS, part)).unwrap_err();
    assert!(error.to_string().contains("does not let itself be initialised"), "{error}");
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(
        problems(&KIND, json!({"bus": "i2c-1", "address": 0x38, "simulate": {}})),
        ["address", "simulate"]
    );
}
