//! The driver over simulated chips, with the numbers of the data sheet.

use serde_json::json;

use super::*;
use crate::bus::crc::crc8;
use crate::bus::sim::commands::{Commanded, Commands, Reply};
use crate::bus::sim::fault::Fault as Failure;
use crate::sensor::testing::{driver, problems, read, switchable, with_part};

/// A chip that measures these two counts, taking that long.
struct Counts(u16, u16, Duration);

impl Commands for Counts {
    fn command(&mut self, bytes: &[u8], _: Duration) -> Reply {
        match bytes {
            [SERIAL_NUMBER] => Reply::words(SUM_START, &[1, 2], Duration::ZERO),
            _ => Reply::words(SUM_START, &[self.0, self.1], self.2),
        }
    }
}

fn read_counts(temperature: u16, humidity: u16) -> Result<Vec<f64>, SensorError> {
    let part = Commanded::new(Counts(temperature, humidity, Duration::ZERO));
    read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(0x44, Box::new(part)))
}

#[test]
fn counts_are_converted_as_in_the_data_sheet() {
    // −45 + 175 · c/65535 and −6 + 125 · c/65535, the latter cut to 0…100 %.
    for (temperature, humidity, wanted) in [
        (0x6666, 0x8000, [25.0, 56.5]),
        (0x1F72, 0x0000, [-23.5, 0.0]),
        (0x41D4, 0xFFFF, [0.0, 100.0]),
        (0xFFFF - 0x0751, 0x0C49, [125.0, 0.0]),
    ] {
        let values = read_counts(temperature, humidity).unwrap();
        assert!((values[0] - wanted[0]).abs() <= 0.01 && (values[1] - wanted[1]).abs() <= 0.01, "{values:?}");
    }
}

#[test]
fn counts_at_the_ends_are_no_temperature() {
    for count in [0x0000, 0xFFFF] {
        let error = read_counts(count, 0x8000).unwrap_err().to_string();
        assert!(error.contains("sht4x at address 0x44 on sim-1: its temperature of"), "{error}");
    }
}

#[test]
fn configured_air_is_what_is_read_at_any_precision() {
    for precision in ["high", "medium", "low"] {
        let simulate = json!({"temperature": {"constant": -12.34}, "humidity": {"constant": 81.5}});
        let options =
            json!({"bus": "sim-1", "address": "0x46", "precision": precision, "simulate": simulate});
        let values = read(&driver(&KIND, options), &crate::bus::Buses::new()).unwrap();
        assert_eq!(values, [-12.34, 81.5], "{precision}");
    }
}

#[test]
fn a_wrong_checksum_is_an_error_and_never_a_value() {
    let (part, fault) = switchable(sht4x(Scenario::Constant(21.5), Scenario::Constant(50.0)));
    let buses = with_part(0x44, part);
    let driver = driver(&KIND, json!({"bus": "sim-1"}));
    let mut device = driver.open(&buses).unwrap();
    *fault.lock().unwrap() = Some(Failure::BitError);
    for _ in 0..50 {
        let error = device.read().unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }
    assert!(driver.open(&buses).is_err(), "the serial number has a checksum, too");
    *fault.lock().unwrap() = None;
    assert!(device.read().is_ok());
}

#[test]
fn a_chip_that_stays_busy_is_given_up() {
    let part = Commanded::new(Counts(0x6666, 0x8000, Duration::from_secs(3600)));
    let begin = Instant::now();
    let error = read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(0x44, Box::new(part))).unwrap_err();
    assert!(error.to_string().contains("took a command and does not answer"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[test]
fn the_sums_of_the_tests_are_real() {
    assert_eq!(crc8(SUM_START, &[0xBE, 0xEF]), 0x92, "the example of the data sheet");
}

#[test]
fn the_heater_runs_after_a_reading_and_is_waited_for() {
    let part = sht4x(Scenario::Constant(21.5), Scenario::Constant(50.0));
    let buses = with_part(0x44, part);
    let link = || Link::for_test("sht4x", buses.i2c("sim-1").unwrap(), 0x44);
    let heater = Heater { every: Duration::from_secs(10), next: Mutex::new(Some(Instant::now())) };
    let heater = Some(Arc::new(heater));
    let mut opened = Opened { link: link(), precision: Precision::High, heater, until: None };
    opened.read().unwrap();
    let begin = Instant::now();
    assert!(link().write(&[0xFD]).is_err(), "it heats");
    opened.read().unwrap();
    assert!(begin.elapsed() > Duration::from_secs(1));
    assert!(link().write(&[0xFD]).is_ok(), "and not again");
}

/// A wire that fails once an hour must not keep a chip from being heated every six.
#[test]
fn failures_do_not_put_the_heating_off() {
    let buses = with_part(0x44, sht4x(Scenario::Constant(21.5), Scenario::Constant(50.0)));
    let link = || Link::for_test("sht4x", buses.i2c("sim-1").unwrap(), 0x44);
    let every = Duration::from_millis(200);
    let heater = Some(Arc::new(Heater::new(every)));
    let chip = Sht4x { precision: Precision::Low, heater, simulate: Simulate::default() };
    chip.open(link()).unwrap().read().unwrap();
    let described = format!("{chip:?}");
    sleep(every);
    // It had failed, and is opened again.
    chip.open(link()).unwrap().read().unwrap();
    assert!(link().write(&[0xFD]).is_err(), "it heats");
    assert_eq!(format!("{chip:?}"), described, "a simulated one stays the same");
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(problems(&KIND, json!({"adress": 1})), ["adress", "bus"]);
    assert_eq!(
        problems(
            &KIND,
            json!({"bus": "i2c-1", "address": 0x47, "precision": "best", "heater_every": "5s", "simulate": {}})
        ),
        ["precision", "address", "heater_every", "simulate"]
    );
}
