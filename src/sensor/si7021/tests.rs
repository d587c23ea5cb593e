//! The drivers over simulated chips, with the numbers of the data sheets.

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::bus::sim::commands::{Commanded, Commands, Reply};
use crate::bus::sim::fault::Fault as Failure;
use crate::bus::sim::scenario::Scenario;
use crate::sensor::testing::{driver, problems, read, switchable, with_part};

const BOTH: [(DriverKind, Model); 2] = [(SI7021, Model::Si7021), (HTU21D, Model::Htu21d)];

/// A chip that measures these two counts, taking that long.
struct Counts(u16, u16, Duration);

impl Commands for Counts {
    fn command(&mut self, bytes: &[u8], _: Duration) -> Reply {
        match bytes {
            [0xF3] => Reply::words(SUM_START, &[self.0], self.2),
            [0xF5] => Reply::words(SUM_START, &[self.1], self.2),
            [0xE7] => Reply::Bytes(vec![0x02], Duration::ZERO),
            [0xFC, _] => Reply::words(SUM_START, &[0x15FF], Duration::ZERO),
            _ => Reply::Taken,
        }
    }
}

#[test]
fn counts_are_converted_as_in_the_data_sheets() {
    for (kind, _) in BOTH {
        // HPC199's example: 0x683A is 24.69 °C and 0x4E85 (status bits left out: 0x4E84) 32.34 %.
        for (temperature, humidity, wanted) in [
            (0x683A, 0x4E85, [24.69, 32.34]),
            (0x4440, 0x7C80, [0.0, 54.79]),
            (0x35AF, 0x0000, [-10.01, 0.0]),
            (0x09FC, 0xFFFE, [-40.0, 100.0]),
        ] {
            let part = Box::new(Commanded::new(Counts(temperature, humidity, Duration::ZERO)));
            let values = read(&driver(&kind, json!({"bus": "sim-1"})), &with_part(ADDRESS, part)).unwrap();
            let near = |a: f64, b: f64| (a - b).abs() <= 0.011;
            assert!(near(values[0], wanted[0]) && near(values[1], wanted[1]), "{values:?} {wanted:?}");
        }
    }
}

#[test]
fn configured_air_is_what_is_read() {
    for (kind, _) in BOTH {
        let simulate = json!({"temperature": {"constant": -10.0}, "humidity": {"constant": 81.5}});
        let values =
            read(&driver(&kind, json!({"bus": "sim-1", "simulate": simulate})), &Buses::new()).unwrap();
        assert!((values[0] + 10.0).abs() <= 0.01 && (values[1] - 81.5).abs() <= 0.02, "{values:?}");
    }
}

#[test]
fn an_htu21d_sold_as_si7021_is_called_by_its_name() {
    let part = si7021(Model::Htu21d, Scenario::Constant(20.0), Scenario::Constant(50.0));
    let error = read(&driver(&SI7021, json!({"bus": "sim-1"})), &with_part(ADDRESS, part)).unwrap_err();
    assert!(error.to_string().contains("device 0x32, not as an Si7021 (0x15)"), "{error}");
}

#[test]
fn the_heater_and_a_coarse_resolution_are_switched_off() {
    for (kind, model) in BOTH {
        let part = si7021(model, Scenario::Constant(20.0), Scenario::Constant(50.0));
        let buses = with_part(ADDRESS, part);
        let mut link = Link::for_test("test", buses.i2c("sim-1").unwrap(), ADDRESS);
        let [before] = link.ask(&READ_USER).unwrap();
        link.write(&[WRITE_USER, before | RESOLUTION_AND_HEATER]).unwrap();
        read(&driver(&kind, json!({"bus": "sim-1"})), &buses).unwrap();
        assert_eq!(link.ask(&READ_USER).unwrap(), [before], "reserved bits stay");
    }
}

#[test]
fn a_wrong_checksum_is_an_error_and_never_a_value() {
    for (kind, model) in BOTH {
        let (part, fault) = switchable(si7021(model, Scenario::Constant(20.0), Scenario::Constant(50.0)));
        let buses = with_part(ADDRESS, part);
        let mut device = driver(&kind, json!({"bus": "sim-1"})).open(&buses).unwrap();
        *fault.lock().unwrap() = Some(Failure::BitError);
        for _ in 0..10 {
            let error = device.read().unwrap_err().to_string();
            assert!(error.contains("checksum"), "{error}");
        }
    }
}

#[test]
fn a_chip_that_stays_busy_is_given_up() {
    for (kind, _) in BOTH {
        let part = Box::new(Commanded::new(Counts(0, 0, Duration::from_secs(3600))));
        let error = read(&driver(&kind, json!({"bus": "sim-1"})), &with_part(ADDRESS, part)).unwrap_err();
        assert!(error.to_string().contains("took a command and does not answer"), "{error}");
    }
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(problems(&SI7021, json!({"address": 0x40})), ["address", "bus"]);
    assert_eq!(problems(&HTU21D, json!({"bus": "i2c-1", "simulate": {}})), ["simulate"]);
}
