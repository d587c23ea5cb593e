//! The driver over simulated chips, with the numbers of the data sheet.

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::bus::sim::commands::{Commanded, Commands, Reply};
use crate::bus::sim::fault::Fault as Failure;
use crate::bus::sim::scenario::Scenario;
use crate::sensor::testing::{driver, problems, read, switchable, with_part};

/// A chip that measures these two counts, taking that long.
struct Counts(u16, u16, Duration);

impl Commands for Counts {
    fn command(&mut self, bytes: &[u8], _: Duration) -> Reply {
        match bytes {
            [0x30, _] => Reply::Taken,
            [0xF3, 0x2D] => Reply::words(SUM_START, &[0], Duration::ZERO),
            _ => Reply::words(SUM_START, &[self.0, self.1], self.2),
        }
    }
}

#[test]
fn counts_are_converted_as_in_the_data_sheet() {
    for (temperature, humidity, wanted) in
        [(0x6666, 0x8000, [25.0, 50.0]), (0x1F72, 0x0000, [-23.5, 0.0]), (0x41D4, 0xFFFF, [0.0, 100.0])]
    {
        let part = Box::new(Commanded::new(Counts(temperature, humidity, Duration::ZERO)));
        let values = read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(0x44, part)).unwrap();
        assert!((values[0] - wanted[0]).abs() <= 0.01 && (values[1] - wanted[1]).abs() <= 0.01, "{values:?}");
    }
}

#[test]
fn configured_air_is_what_is_read_at_any_precision() {
    for precision in ["high", "medium", "low"] {
        let simulate = json!({"temperature": {"constant": -12.34}, "humidity": {"constant": 81.5}});
        let options =
            json!({"bus": "sim-1", "address": "0x45", "precision": precision, "simulate": simulate});
        assert_eq!(read(&driver(&KIND, options), &Buses::new()).unwrap(), [-12.34, 81.5], "{precision}");
    }
}

#[test]
fn what_another_program_left_running_is_stopped() {
    let buses = with_part(0x44, sht3x(Scenario::Constant(21.5), Scenario::Constant(50.0)));
    let mut link = Link::for_test("sht3x", buses.i2c("sim-1").unwrap(), 0x44);
    // Heater on, one measurement a second by itself.
    link.write(&[0x30, 0x6D]).unwrap();
    link.write(&[0x21, 0x30]).unwrap();
    assert_eq!(read(&driver(&KIND, json!({"bus": "sim-1"})), &buses).unwrap(), [21.5, 50.0]);
}

#[test]
fn a_wrong_checksum_is_an_error_and_never_a_value() {
    let (part, fault) = switchable(sht3x(Scenario::Constant(21.5), Scenario::Constant(50.0)));
    let buses = with_part(0x44, part);
    let driver = driver(&KIND, json!({"bus": "sim-1"}));
    let mut device = driver.open(&buses).unwrap();
    *fault.lock().unwrap() = Some(Failure::BitError);
    for _ in 0..20 {
        let error = device.read().unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }
    assert!(driver.open(&buses).is_err(), "the status has a checksum, too");
}

#[test]
fn a_chip_that_stays_busy_is_given_up() {
    let part = Box::new(Commanded::new(Counts(0, 0, Duration::from_secs(3600))));
    let error = read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(0x44, part)).unwrap_err();
    assert!(error.to_string().contains("took a command and does not answer"), "{error}");
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(problems(&KIND, json!({"bus": "sim-1", "address": 0x46})), ["address"]);
    assert_eq!(problems(&KIND, json!({"precision": 3})), ["precision", "bus"]);
}
