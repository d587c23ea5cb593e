//! What drivers' options have in common: units, names of buses, addresses. How options are read at all is in
//! `config::options`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use crate::bus::{BusName, SpiName};
pub(super) use crate::config::options::{has_problem, note, parse, schema};

/// A unit for good: drivers declare units as constants, and a few let the user name one. Each
/// different text is kept once, however often the configuration is read again.
pub(super) fn interned(unit: &str) -> &'static str {
    static UNITS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut units = UNITS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = units.get(unit) {
        return known;
    }
    let kept: &'static str = Box::leak(unit.to_owned().into_boxed_str());
    units.insert(kept);
    kept
}

/// The name of a bus, written `i2c-1`, `sim-1` or `replay:FILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OnBus(pub BusName);

impl TryFrom<String> for OnBus {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(OnBus)
    }
}

impl JsonSchema for OnBus {
    fn schema_name() -> Cow<'static, str> {
        "Bus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^((i2c|sim)-(0|[1-9][0-9]{0,2})|replay:.+)$",
            "examples": ["i2c-1", "sim-1"]
        })
    }
}

/// The name of a chip select, written `spi-0.0` or `sim-0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OnSpi(pub SpiName);

impl TryFrom<String> for OnSpi {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(OnSpi)
    }
}

impl JsonSchema for OnSpi {
    fn schema_name() -> Cow<'static, str> {
        "Spi".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(spi|sim)-[0-9]\.[0-9]$",
            "examples": ["spi-0.0", "sim-0.0"]
        })
    }
}

/// A time, written `10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        crate::config::duration::parse(&text).map(Span)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9]+(\.[0-9]+)? *(ms|s|m|h|d) *)+$",
            "examples": ["10s", "5m"]
        })
    }
}

/// A number of bytes, written `500kB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        crate::config::size::parse(&text).map(Size)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kMGT]B|[KMGT]iB|B)\s*$",
            "examples": ["500kB", "2MB"]
        })
    }
}

/// A 7-bit I2C address, written `0x76` or `118`, as a number or as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Address(pub u8);

impl TryFrom<Value> for Address {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            },
            _ => None,
        };
        // 0x00…0x02 and 0x78…0x7F are reserved (UM10204 section 3.1.12).
        match number.and_then(|number| u8::try_from(number).ok()) {
            Some(address @ 0x03..=0x77) => Ok(Address(address)),
            _ => Err(format!("{value} is not an I2C address: write for example 0x76")),
        }
    }
}

impl Address {
    /// The address, if the part can be set to it.
    pub(super) fn one_of(self, part: &str, possible: &[u8]) -> Result<u8, String> {
        if possible.contains(&self.0) {
            return Ok(self.0);
        }
        let possible: Vec<_> = possible.iter().map(|address| format!("{address:#04x}")).collect();
        Err(format!("{:#04x} is no address of {part}: it can have {}", self.0, possible.join(", ")))
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 3, "maximum": 119 },
                { "type": "string", "pattern": "^(0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3})$" }
            ],
            "examples": ["0x76"]
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::options::OptionProblem;

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    struct Sample {
        /// Name of the bus.
        #[schemars(required)]
        bus: Option<String>,
        /// Address.
        address: Option<Address>,
        /// Period.
        period: Option<Span>,
    }

    fn parse_sample(value: Value) -> (Sample, Vec<OptionProblem>) {
        parse("", value.as_object().unwrap())
    }

    #[test]
    fn good_options_are_read() {
        let (sample, problems) = parse_sample(json!({"bus": "sim-1", "address": "0x77", "period": "10m"}));
        assert_eq!(problems, []);
        assert_eq!(sample.bus.as_deref(), Some("sim-1"));
        assert_eq!(sample.address, Some(Address(0x77)));
        assert_eq!(sample.period, Some(Span(Duration::from_secs(600))));
        assert_eq!(parse_sample(json!({"bus": "b", "address": 118})).0.address, Some(Address(0x76)));
    }

    #[test]
    fn every_problem_is_reported_with_its_key() {
        let given = json!({"adress": 1, "address": 300, "period": "ten", "colour": 1});
        let (sample, problems) = parse_sample(given);
        assert_eq!((sample.bus, sample.address, sample.period), (None, None, None));
        let message = |key: &str| {
            problems
                .iter()
                .find(|problem| problem.key == key)
                .map(|problem| problem.message.as_str())
                .unwrap_or_default()
        };
        assert_eq!(message("adress"), "unknown option \"adress\"; did you mean \"address\"?");
        assert!(message("colour").contains("there are: "));
        assert!(message("address").contains("300 is not an I2C address"));
        assert!(message("period").contains("is not a duration"));
        assert_eq!(message("bus"), "is missing: Name of the bus.");
        assert_eq!(problems.len(), 5);
    }
}
