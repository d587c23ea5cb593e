//! The one table of drivers. A new driver is a file in this room and a line here.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    Driver, ads1x15, aht20, bh1750, bme280, bmp390, camera, dht, digital_input, ds18b20, host, hwmon, iio,
    ina219, lm75, mcp3008, mcp9808, pms5003, pulse_counter, scd4x, sht3x, sht4x, si7021, sim, veml7700,
    vl53l0x,
};
use crate::config::options::OptionProblem;

/// A kind of sensor that can be configured.
#[derive(Debug, Clone, Copy)]
pub struct DriverKind {
    /// What `driver:` says.
    pub name: &'static str,
    /// One line for people: what it is and what it measures.
    pub summary: &'static str,
    /// 7-bit I2C addresses that the part can have; empty when it is not on I2C.
    pub addresses: &'static [u8],
    /// JSON Schema of its options (an object schema without `$defs`; the keys common to all sensors are not in it).
    pub options: fn() -> Value,
    /// Checks the options (the sensor's keys less the common ones) and answers a driver, or every problem at once.
    pub configure: Configure,
}

/// From options to a driver, or every problem at once.
pub type Configure = fn(&Map<String, Value>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>>;

/// By name.
#[rustfmt::skip] // one line each, whatever the width
static REGISTRY: &[DriverKind] = &[
    ads1x15::ADS1015,
    ads1x15::ADS1115,
    aht20::KIND,
    bh1750::KIND,
    bme280::KIND,
    bme280::BMP280,
    bmp390::KIND,
    camera::KIND,
    dht::DHT11,
    dht::DHT22,
    digital_input::KIND,
    ds18b20::KIND,
    host::KIND,
    hwmon::KIND,
    si7021::HTU21D,
    iio::KIND,
    ina219::KIND,
    lm75::LM75,
    lm75::TMP102,
    lm75::TMP105,
    mcp3008::KIND,
    mcp9808::KIND,
    pms5003::KIND,
    pulse_counter::KIND,
    scd4x::KIND,
    sht3x::KIND,
    sht4x::KIND,
    si7021::SI7021,
    sim::KIND,
    veml7700::KIND,
    vl53l0x::KIND,
];

/// Every driver.
pub fn registry() -> &'static [DriverKind] {
    REGISTRY
}

/// The driver of this name.
pub fn find(name: &str) -> Option<&'static DriverKind> {
    REGISTRY.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_driver_has_a_schema_that_stands_alone() {
        for kind in registry() {
            let schema = (kind.options)();
            assert_eq!(schema["type"], "object", "{}", kind.name);
            assert!(schema["properties"].is_object(), "{}", kind.name);
            assert!(schema["required"].is_array(), "{}", kind.name);
            let text = schema.to_string();
            assert!(!text.contains("$ref") && !text.contains("$defs"), "{text}");
            for (key, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}.{key} is not described", kind.name);
            }
            assert_eq!(find(kind.name).map(|found| found.name), Some(kind.name));
        }
        assert!(find("bme208").is_none());
    }

    #[test]
    fn every_driver_that_a_schema_accepts_can_be_configured_and_names_good_topic_levels() {
        let cases = [
            ("ads1015", json!({"bus": "i2c-1", "address": 0x49})),
            ("ds18b20", json!({})),
            ("ds18b20", json!({"devices": {"flow": "28-0316a2795bff"}})),
            ("ina219", json!({"bus": "sim-1"})),
            ("scd4x", json!({"bus": "sim-1"})),
            ("vl53l0x", json!({"bus": "sim-1"})),
            ("mcp3008", json!({"bus": "sim-0.0", "channels": ["ch0", "ch3-ch2"]})),
            ("pms5003", json!({"port": "/dev/serial0"})),
            ("hwmon", json!({"chip": "nvme", "inputs": ["temp:Composite"]})),
            ("iio", json!({"device": "bmp280", "channels": ["temp"]})),
            ("ads1115", json!({"bus": "sim-1"})),
            ("aht20", json!({"bus": "i2c-1"})),
            (
                "bh1750",
                json!({"bus": "i2c-1", "address": "0x5c", "resolution": "high2", "measurement_time": 254}),
            ),
            ("bme280", json!({"bus": "sim-1"})),
            ("bmp280", json!({"bus": "i2c-1", "address": "0x77", "oversampling": 16})),
            ("bmp390", json!({"bus": "i2c-1", "address": "0x76", "oversampling": 32, "filter": 3})),
            ("camera", json!({"width": 640, "height": 480})),
            ("dht11", json!({"pin": 4})),
            ("dht22", json!({"pin": 4, "bus": "gpio-sim", "simulate": {}})),
            ("digital-input", json!({"pin": 17, "pull": "none", "active_low": true, "debounce": "5ms"})),
            ("host", json!({})),
            ("htu21d", json!({"bus": "i2c-1"})),
            ("lm75", json!({"bus": "i2c-1", "address": "0x4f", "bits": 11})),
            ("mcp9808", json!({"bus": "i2c-1", "address": "0x1f", "resolution": 0.25})),
            ("pulse-counter", json!({"pin": 6, "per_pulse": 0.2794, "unit": "mm", "edge": "rising"})),
            ("sht3x", json!({"bus": "i2c-1", "address": "0x45", "precision": "low"})),
            ("sht4x", json!({"bus": "i2c-1", "precision": "medium", "heater_every": "1h"})),
            ("si7021", json!({"bus": "i2c-1"})),
            ("sim", json!({})),
            ("tmp102", json!({"bus": "i2c-1", "address": "0x4b"})),
            ("tmp105", json!({"bus": "sim-1"})),
            ("veml7700", json!({"bus": "i2c-1", "gain": 0.25, "integration_time": "400ms"})),
        ];
        for kind in registry() {
            assert!(cases.iter().any(|(name, _)| *name == kind.name), "{} is missing here", kind.name);
        }
        for (name, options) in cases {
            let kind = find(name).unwrap();
            assert!(jsonschema::is_valid(&(kind.options)(), &options), "{name}");
            let driver = (kind.configure)(options.as_object().unwrap()).unwrap();
            assert_eq!(driver.name(), name);
            let mut names: Vec<_> = driver.quantities().iter().map(|info| info.name.as_str()).collect();
            assert!(!names.is_empty());
            for name in &names {
                assert!(
                    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                    "{name}"
                );
            }
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "two quantities of one name");
        }
    }
}
