//! The drivers over simulated chips, with the numbers of the data sheets.

use serde_json::json;

use super::*;
use crate::bus::Buses;
use crate::bus::sim::pointed::{Pointed, Registers};
use crate::bus::sim::{Answer, Simulated};

const MODELS: [(DriverKind, Model); 3] =
    [(LM75, Model::Lm75), (TMP102, Model::Tmp102), (TMP105, Model::Tmp105)];

fn driver(kind: &DriverKind, options: Json) -> Arc<dyn Driver> {
    (kind.configure)(options.as_object().unwrap()).unwrap()
}

fn read(kind: &DriverKind, chip: Box<dyn Simulated>) -> Result<f64, SensorError> {
    let buses = Buses::new();
    buses.attach("sim-1", 0x48, Some(chip)).unwrap();
    let measured = driver(kind, json!({"bus": "sim-1"})).open(&buses)?.read()?;
    Ok(measured[0].value.as_f64().unwrap())
}

#[test]
fn every_chip_reads_to_its_resolution_below_zero_and_above() {
    for (kind, model) in MODELS {
        for (celsius, half, sixteenth) in
            [(21.3, 21.5, 21.3125), (-10.25, -10.5, -10.25), (-0.0625, 0.0, -0.0625), (-55.0, -55.0, -55.0)]
        {
            let wanted = if model == Model::Lm75 { half } else { sixteenth };
            let value = read(&kind, lm75(model, Scenario::Constant(celsius))).unwrap();
            assert_eq!(value, wanted, "{} at {celsius} °C", kind.name);
        }
    }
}

#[test]
fn an_lm75b_has_eleven_bits_if_told() {
    let buses = Buses::new();
    let simulate = json!({"temperature": {"constant": -10.13}});
    let options = json!({"bus": "sim-1", "address": "0x4f", "bits": 11, "simulate": simulate});
    let measured = driver(&LM75, options).open(&buses).unwrap().read().unwrap();
    assert_eq!(measured[0].value.as_f64(), Some(-10.125));
}

/// A chip whose registers all hold this and take nothing.
struct Stubborn([u8; 2]);

impl Registers for Stubborn {
    fn get(&mut self, _: u8, _: Duration) -> [u8; 2] {
        self.0
    }

    fn set(&mut self, _: u8, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }
}

#[test]
fn another_part_is_not_believed() {
    for (kind, _) in MODELS {
        let error = read(&kind, Box::new(Pointed::new(Stubborn([0xFF, 0xFF])))).unwrap_err();
        assert!(error.to_string().contains("does not keep its settings"), "{error}");
    }
    // Set up as a TMP105 should be, and yet its temperature cannot be one.
    let error = read(&TMP105, Box::new(Pointed::new(Stubborn([0x60, 0x61])))).unwrap_err();
    assert!(error.to_string().contains("last four bits"), "{error}");
}

#[test]
fn a_tmp105_that_lost_its_settings_gets_them_again() {
    let buses = Buses::new();
    buses.attach("sim-1", 0x48, Some(lm75(Model::Tmp105, Scenario::Constant(21.3)))).unwrap();
    let driver = driver(&TMP105, json!({"bus": "sim-1"}));
    let mut device = driver.open(&buses).unwrap();
    device.read().unwrap();
    buses.attach("sim-1", 0x48, Some(lm75(Model::Tmp105, Scenario::Constant(21.3)))).unwrap();
    assert!(matches!(device.read(), Err(SensorError::WrongAnswer(_))));
    let measured = driver.open(&buses).unwrap().read().unwrap();
    assert_eq!(measured[0].value.as_f64(), Some(21.3125));
}

#[test]
fn settings_of_the_alert_pin_stay() {
    for (kind, model, expected) in [(TMP105, Model::Tmp105, 0b0111_0100), (LM75, Model::Lm75, 0b0001_0100)] {
        let buses = Buses::new();
        buses.attach("sim-1", 0x48, Some(lm75(model, Scenario::Constant(21.3)))).unwrap();
        let mut link = {
            use embedded_hal::i2c::I2c;
            let mut bus = buses.i2c("sim-1").unwrap();
            bus.write(0x48, &[CONFIG, 0b0001_0101]).unwrap();
            bus
        };
        driver(&kind, json!({"bus": "sim-1"})).open(&buses).unwrap();
        let mut config = [0];
        embedded_hal::i2c::I2c::write_read(&mut link, 0x48, &[CONFIG], &mut config).unwrap();
        assert_eq!(config, [expected], "{}: running, fault queue and polarity as before", kind.name);
    }
}

#[test]
fn bad_options_are_all_named() {
    let keys = |kind: &DriverKind, options: Json| -> Vec<String> {
        let problems = (kind.configure)(options.as_object().unwrap()).expect_err("should be refused");
        problems.into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(&TMP105, json!({})), ["bus"]);
    assert_eq!(
        keys(&TMP102, json!({"bus": "i2c-1", "address": 0x4C, "simulate": {}})),
        ["address", "simulate"]
    );
    assert_eq!(
        keys(&LM75, json!({"bus": "i2c1", "bits": 10, "simulate": {"temp": {}}})),
        ["bus", "bits", "simulate.temp"]
    );
}
