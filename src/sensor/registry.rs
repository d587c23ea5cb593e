//! The one table of drivers. A new driver is a file in this room and a line here.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Driver, ads1x15, bme280, camera, host, sim};

/// A kind of sensor that can be configured.
#[derive(Debug, Clone, Copy)]
pub struct DriverKind {
    /// What `driver:` says.
    pub name: &'static str,
    /// One line for people: what it is and what it measures.
    pub summary: &'static str,
    /// JSON Schema of its options (an object schema without `$defs`; the keys common to all sensors are not in it).
    pub options: fn() -> Value,
    /// Checks the options (the sensor's keys less the common ones) and answers a driver, or every problem at once.
    pub configure: Configure,
}

/// From options to a driver, or every problem at once.
pub type Configure = fn(&Map<String, Value>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>>;

/// Something wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// Path of the option within the sensor, for example `simulate.temperature`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl OptionProblem {
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

static REGISTRY: [DriverKind; 6] =
    [bme280::KIND, ads1x15::ADS1115, ads1x15::ADS1015, camera::KIND, host::KIND, sim::KIND];

/// Every driver.
pub fn registry() -> &'static [DriverKind] {
    &REGISTRY
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
            ("bme280", json!({"bus": "sim-1"})),
            ("ads1115", json!({"bus": "sim-1"})),
            ("ads1015", json!({"bus": "i2c-1", "address": 0x49})),
            ("camera", json!({"width": 640, "height": 480})),
            ("host", json!({})),
            ("sim", json!({})),
        ];
        assert_eq!(cases.len(), registry().len(), "a driver is missing here");
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
