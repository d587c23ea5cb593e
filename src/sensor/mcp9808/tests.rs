//! The driver over simulated chips, with the numbers of the data sheet.

use serde_json::json;

use super::*;
use crate::bus::sim::Answer;
use crate::bus::sim::pointed::{Pointed, Registers};
use crate::sensor::testing::{driver, problems, read, with_part};

#[test]
fn temperatures_read_below_zero_and_above() {
    for (celsius, wanted) in
        [(25.25, 25.25), (-10.25, -10.25), (-0.0625, -0.0625), (0.0, 0.0), (-40.0, -40.0)]
    {
        let buses = with_part(0x18, mcp9808(Scenario::Constant(celsius)));
        assert_eq!(read(&driver(&KIND, json!({"bus": "sim-1"})), &buses).unwrap(), [wanted]);
    }
    let simulate = json!({"temperature": {"constant": -10.3}});
    let options = json!({"bus": "sim-1", "address": "0x1f", "resolution": 0.5, "simulate": simulate});
    assert_eq!(read(&driver(&KIND, options), &crate::bus::Buses::new()).unwrap(), [-10.5]);
}

/// A chip of these ids and this temperature register.
struct Fixed {
    ids: [[u8; 2]; 2],
    temperature: [u8; 2],
}

impl Registers for Fixed {
    fn get(&mut self, register: u8, _: Duration) -> [u8; 2] {
        match register {
            MANUFACTURER => self.ids[0],
            DEVICE => self.ids[1],
            TEMPERATURE => self.temperature,
            RESOLUTION => [3, 3],
            _ => [0, 0],
        }
    }

    fn set(&mut self, _: u8, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }
}

fn read_fixed(ids: [[u8; 2]; 2], temperature: [u8; 2]) -> Result<Vec<f64>, SensorError> {
    let part = Box::new(Pointed::new(Fixed { ids, temperature }));
    read(&driver(&KIND, json!({"bus": "sim-1"})), &with_part(0x18, part))
}

#[test]
fn flags_of_the_alert_pin_are_no_part_of_the_value() {
    let ids = [[0x00, 0x54], [0x04, 0x01]];
    assert_eq!(read_fixed(ids, [0xE1, 0x94]).unwrap(), [25.25]);
    assert_eq!(read_fixed(ids, [0xFF, 0x5C]).unwrap(), [-10.25]);
    let error = read_fixed(ids, [0x0F, 0xFF]).unwrap_err().to_string();
    assert!(error.contains("outside -40…125 °C"), "{error}");
}

#[test]
fn another_part_is_refused_by_its_ids() {
    let error = read_fixed([[0x00, 0x54], [0x02, 0x01]], [0, 0]).unwrap_err().to_string();
    assert!(error.contains("answers as device 0x0201 of manufacturer 0x0054"), "{error}");
}

#[test]
fn a_chip_that_another_program_shut_down_is_woken() {
    let buses = with_part(0x18, mcp9808(Scenario::Constant(21.5)));
    let mut link = Link::for_test("mcp9808", buses.i2c("sim-1").unwrap(), 0x18);
    let driver = driver(&KIND, json!({"bus": "sim-1"}));
    let mut device = driver.open(&buses).unwrap();
    link.write(&[CONFIG, 0x01, 0x00]).unwrap();
    assert!(device.read().unwrap_err().to_string().contains("shut down"));
    assert_eq!(read(&driver, &buses).unwrap(), [21.5]);
}

#[test]
fn bad_options_are_all_named() {
    assert_eq!(
        problems(&KIND, json!({"bus": "i2c-1", "address": 0x20, "resolution": 0.1, "simulate": {}})),
        ["address", "resolution", "simulate"]
    );
}
