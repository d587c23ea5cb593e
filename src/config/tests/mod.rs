//! Whole configurations, good and bad, against drivers made for the purpose.

mod bad;
mod cloud;
mod environment;
mod garbage;
mod good;
mod platform;
mod watson;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::{Checked, Password, Problems, Secret, read_with, schema};
use crate::bus::Buses;
use crate::config::options::OptionProblem;
use crate::reading::ValueKind;
use crate::sensor::registry::DriverKind;
use crate::sensor::{Attachment, Device, Driver, QuantityInfo, SensorError};

/// A driver that declares what a test needs and opens nothing.
#[derive(Debug)]
struct Paper {
    name: &'static str,
    quantities: Vec<QuantityInfo>,
    attachment: Attachment,
}

impl Driver for Paper {
    fn name(&self) -> &'static str {
        self.name
    }
    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }
    fn attachment(&self) -> Attachment {
        self.attachment.clone()
    }
    fn longest_read(&self) -> Duration {
        if self.name == "camera" { Duration::from_secs(25) } else { Duration::ZERO }
    }
    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        Err(SensorError::WrongAnswer("a paper driver".into()))
    }
}

fn fixed(password: &str) -> Password {
    Password::Fixed(Secret(password.to_owned()))
}

fn info(name: &'static str, unit: &'static str, kind: ValueKind) -> QuantityInfo {
    QuantityInfo { name: name.into(), unit, kind, range: None }
}

/// Like a BME280: a bus, an address, three numbers.
fn bme280(options: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let problem = |key: &str, message: &str| OptionProblem { key: key.into(), message: message.into() };
    let Some(bus) = options.get("bus").and_then(Json::as_str) else {
        return Err(vec![problem("bus", "is missing")]);
    };
    let address = match options.get("address") {
        None => 0x76,
        Some(Json::Number(number)) => number.as_u64().unwrap_or(0),
        Some(_) => 0x77,
    };
    if !(0x76..=0x77).contains(&address) {
        return Err(vec![problem("address", "is no address of a BME280")]);
    }
    if options.get("simulate").is_some_and(|simulate| simulate.get("fault").is_some()) {
        return Err(vec![problem("simulate.fault", "is no fault")]);
    }
    Ok(Arc::new(Paper {
        name: "bme280",
        quantities: vec![
            info("temperature", "°C", ValueKind::Float),
            info("humidity", "%", ValueKind::Float),
            info("pressure", "hPa", ValueKind::Float),
        ],
        attachment: Attachment::I2c { bus: bus.to_owned(), address: address as u8 },
    }))
}

fn bme280_options() -> Json {
    json!({
        "type": "object",
        "required": ["bus"],
        "properties": {
            "bus": {"type": "string", "description": "Bus.", "examples": ["i2c-1"]},
            "address": {"description": "Address.", "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "oversampling": {"type": ["integer", "null"], "enum": [1, 2, 4, null], "description": "How often."},
            "simulate": {"type": "object", "description": "Simulation."}
        }
    })
}

/// A switch, a count and a text.
fn panel(_: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    Ok(Arc::new(Paper {
        name: "panel",
        quantities: vec![
            info("Door", "", ValueKind::Bool),
            info("count", "", ValueKind::Integer),
            info("bytes", "B", ValueKind::Integer),
            info("mode", "", ValueKind::Text),
        ],
        attachment: Attachment::Worker("panel"),
    }))
}

fn panel_options() -> Json {
    json!({"type": "object", "properties": {"invert": {"type": "boolean", "description": "Turn round."}}, "required": []})
}

/// Pictures, slowly.
fn camera(_: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    Ok(Arc::new(Paper {
        name: "camera",
        quantities: vec![info("image", "B", ValueKind::Image)],
        attachment: Attachment::Alone("camera 0".into()),
    }))
}

const DRIVERS: [DriverKind; 3] = [
    DriverKind {
        name: "camera",
        summary: "A paper camera",
        addresses: &[],
        options: panel_options,
        configure: camera,
    },
    DriverKind {
        name: "bme280",
        summary: "A paper BME280",
        addresses: &[0x76, 0x77],
        options: bme280_options,
        configure: bme280,
    },
    DriverKind {
        name: "panel",
        summary: "A paper panel",
        addresses: &[],
        options: panel_options,
        configure: panel,
    },
];

fn read(yaml: &str) -> Result<Checked, Problems> {
    read_env(yaml, &[])
}

fn read_env(yaml: &str, env: &[(&str, &str)]) -> Result<Checked, Problems> {
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    read_with(yaml, None, env, &DRIVERS)
}

/// The problems, one a line, as a person sees them.
fn problems(yaml: &str) -> Vec<String> {
    match read(yaml) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

/// Some sensor, so that a test can be about something else.
const SENSOR: &str = "sensors: [{id: air, driver: bme280, bus: i2c-1}]\n";

#[test]
fn the_schema_is_one() {
    let schema = schema::of(&DRIVERS);
    jsonschema::meta::validate(&schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(!schema.to_string().contains("null"), "{schema:#}");
    jsonschema::meta::validate(&schema::of(&[])).unwrap();
}

#[test]
fn every_key_is_described_and_has_an_example_or_a_default() {
    fn walk(path: &str, schema: &Json, missing: &mut Vec<String>) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            if !below["description"].is_string() {
                missing.push(format!("{path}: description"));
            }
            let leaf = below.get("properties").is_none() && below.pointer("/items/properties").is_none();
            let map = below["additionalProperties"].is_object();
            if leaf && !map && below.get("examples").is_none() {
                missing.push(format!("{path}: example"));
            }
            for inner in [below, &below["items"], &below["additionalProperties"]] {
                walk(&path, inner, missing);
            }
        }
    }
    let mut missing = Vec::new();
    walk("", &schema::of(&[]), &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

/// Schema and reader agree: what an editor underlines is an error, and what it lets pass has the right shape.
fn schema_accepts(yaml: &str) -> bool {
    let value = ::config::Config::builder()
        .add_source(::config::File::from_str(yaml, ::config::FileFormat::Yaml))
        .build()
        .and_then(::config::Config::try_deserialize::<Json>)
        .unwrap();
    jsonschema::validator_for(&schema::of(&DRIVERS)).unwrap().is_valid(&value)
}

#[test]
fn the_schema_and_the_reader_agree() {
    for (yaml, good) in [
        (SENSOR.to_owned(), true),
        ("sensors: [{id: air, driver: bme280}]".to_owned(), false),
        ("sensors: [{id: air, driver: bme280, bus: i2c-1, colour: red}]".to_owned(), false),
        ("sensors: [{id: air, driver: bme280, bus: i2c-1, invert: true}]".to_owned(), false),
        ("sensors: [{id: air, driver: panel, invert: true}]".to_owned(), true),
        ("sensors: [{id: air, driver: bme208, bus: i2c-1}]".to_owned(), false),
        ("sensors: [{id: air, driver: panel, interval: 10}]".to_owned(), false),
        ("sensors: [{id: air, driver: panel, interval: 10s}]".to_owned(), true),
        ("sensors: [{id: air, driver: panel, quantities: {count: {change: 0.1}}}]".to_owned(), true),
        (
            "sensors: [{id: air, driver: panel, quantities: {count: {change: 5%, valid: [0, 1]}}}]"
                .to_owned(),
            true,
        ),
        ("sensors: [{id: air, driver: panel, quantities: {count: {valid: [0]}}}]".to_owned(), false),
        (format!("{SENSOR}mqtt: {{url: \"mqtt://b\", version: 5}}"), true),
        (
            format!(
                "{SENSOR}mqtt: {{url: \"mqtt://b\", version: 3.1.1, late_rate: 20/s, backlog: live-first}}"
            ),
            true,
        ),
        (format!("{SENSOR}mqtt: {{url: \"mqtt://b\", qos: 3}}"), false),
        (format!("{SENSOR}mqtt: {{qos: 1}}"), false),
        (format!("{SENSOR}log: {{sync: fast}}"), false),
        (
            format!(
                "{SENSOR}mqtt: {{url: \"mqtt://b\"}}\nmirror: [{{topics: [a], to: csv, path: x, columns: [time, {{v: v}}]}}]"
            ),
            true,
        ),
        (
            format!(
                "{SENSOR}mqtt: {{url: \"mqtt://b\"}}\nmirror: [{{topics: [a], to: sqlite, table: t, columns: {{v: real, w: {{path: a.b, type: text}}}}}}]"
            ),
            true,
        ),
        (format!("{SENSOR}mqtt: {{url: \"mqtt://b\"}}\nmirror: [{{topics: [], to: sqlite}}]"), false),
    ] {
        assert_eq!(schema_accepts(&yaml), good, "schema: {yaml}");
        assert_eq!(problems(&yaml).is_empty(), good, "reader: {yaml}: {:?}", problems(&yaml));
    }
}
