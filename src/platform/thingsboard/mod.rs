//! ThingsBoard: readings as telemetry with their own time, what the bridge is as client attributes, server-side RPC and
//! shared attributes as commands.
//!
//! After its "MQTT Device API Reference". As one device: its gateway API, claiming, provisioning and firmware are not used.

mod talk;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::reported::json_value;
use super::{About, Dialogue, Platform, PlatformKind, Rules};
use crate::config::options;
use crate::config::options::{OptionProblem, note};
use crate::reading::{self, Clock, Format, Logged, Qos};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "thingsboard",
    summary: "ThingsBoard: telemetry, attributes, RPC",
    options: options::schema::<Options>,
    configure,
    format: Some(write),
};

/// "maxPayloadSize" of a server as it comes.
const LARGEST_PAYLOAD: usize = 65_536;

const KEYS: &str = "{sensor}.{quantity}";

/// Longest template of keys, bytes.
const LONGEST_KEYS: usize = 200;

/// "Get session limits RPC": 3,000 telemetry messages in 60 s is what the example allows.
const RATE: u32 = 50;

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Client id. Only for basic MQTT credentials that ask for one. Default: the device id.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    client_id: Option<String>,
    /// How the keys of telemetry and of shared attributes are made.
    #[schemars(extend("default" = KEYS, "examples" = ["{quantity}_{sensor}"]))]
    keys: Option<String>,
    /// Largest message that the server takes (its `NETTY_MAX_PAYLOAD_SIZE`), bytes.
    #[schemars(range(min = 1024, max = 16_777_216), extend("default" = LARGEST_PAYLOAD, "examples" = [1_000_000]))]
    max_payload: Option<usize>,
    /// Messages of readings a second, at most; what is more waits. The server ends the connection of whoever sends more than its tenant profile allows.
    #[schemars(range(min = 1, max = 10_000), extend("default" = RATE, "examples" = [100], "x-unit" = "messages/s"))]
    rate: Option<u32>,
    /// After a start, set the outputs again to what their shared attributes say though they were before. Otherwise they stay
    /// at their safe level until an attribute is set anew.
    #[schemars(extend("default" = false, "examples" = [true]))]
    restore: Option<bool>,
}

#[derive(Debug)]
struct ThingsBoard {
    client_id: String,
    keys: String,
    max_payload: usize,
    restore: bool,
    rate: u32,
}

fn configure(given: &Map<String, Value>, device: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems): (Options, _) = options::parse("", given);
    let keys = options.keys.unwrap_or_else(|| KEYS.to_owned());
    note(&mut problems, "keys", check_keys(&keys));
    let client_id = options.client_id.unwrap_or_else(|| device.to_owned());
    if client_id.is_empty() || client_id.len() > 255 || client_id.chars().any(char::is_control) {
        note::<()>(
            &mut problems,
            "client_id",
            Err("must be 1 to 255 bytes without control characters".into()),
        );
    }
    let max_payload = options.max_payload.unwrap_or(LARGEST_PAYLOAD);
    if !(1024..=16_777_216).contains(&max_payload) {
        note::<()>(&mut problems, "max_payload", Err("must be 1024 to 16777216".into()));
    }
    let rate = note(&mut problems, "rate", super::pace(options.rate, RATE)).unwrap_or(RATE);
    let restore = options.restore.unwrap_or(false);
    let platform = ThingsBoard { client_id, keys, max_payload, restore, rate };
    if problems.is_empty() { Ok(Arc::new(platform)) } else { Err(problems) }
}

fn check_keys(keys: &str) -> Result<(), String> {
    let rest = keys.replacen("{sensor}", "", 1).replacen("{quantity}", "", 1);
    if rest.len() + "{sensor}{quantity}".len() != keys.len() || rest.contains(['{', '}']) {
        return Err(format!("must contain {{sensor}} and {{quantity}}, once each, such as {KEYS:?}"));
    }
    if keys.len() > LONGEST_KEYS || keys.chars().any(char::is_control) {
        return Err(format!("must be {LONGEST_KEYS} bytes at most, without control characters"));
    }
    Ok(())
}

/// The key of a quantity.
fn key(keys: &str, sensor: &str, quantity: &str) -> String {
    // In two parts, so that a sensor called `{quantity}` is one.
    let filled = |part: &str| part.replace("{quantity}", quantity);
    match keys.split_once("{sensor}") {
        Some((before, after)) => format!("{}{sensor}{}", filled(before), filled(after)),
        None => filled(keys),
    }
}

impl Platform for ThingsBoard {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        let parameter = if self.keys == KEYS { "" } else { &self.keys };
        Rules {
            client_id: Some(self.client_id.clone()),
            identified: true,
            secret_username: true,
            topic: Some("v1/devices/me/telemetry".to_owned()),
            no_pictures: true,
            format: Some(Format::new(KIND.name, parameter)),
            no_status: true,
            max_qos: Some(Qos::AtLeastOnce),
            no_retain: true,
            max_payload: Some(self.max_payload),
            alone: true,
            pace: Some(self.rate),
            ..Rules::default()
        }
    }

    fn dialogue(&self, about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        Some(Box::new(talk::Talk::new(about.clone(), self.keys.clone(), self.restore)))
    }
}

/// "Telemetry upload API": `{"ts": …, "values": {…}}` with the time in milliseconds. A repeat overwrites itself.
fn write(buffer: &mut Vec<u8>, parameter: &str, sample: &[Logged], _: bool) {
    let keys = if parameter.is_empty() { KEYS } else { parameter };
    let Some(first) = sample.first() else { return };
    let mut values = Map::new();
    for reading in sample {
        let (sensor, quantity) = (reading.channel.sensor.as_str(), reading.channel.quantity.as_str());
        values.insert(key(keys, sensor, quantity), exact(&reading.value));
    }
    // There is no other place for it.
    if first.clock == Clock::Unsynced {
        values.insert(key(keys, first.channel.sensor.as_str(), "clock"), json!(first.clock.as_str()));
    }
    let message = json!({"ts": first.at.0.div_euclid(1_000), "values": values});
    #[expect(clippy::expect_used, reason = "cannot fail: see payload::write_json")]
    serde_json::to_writer(&mut *buffer, &message).expect("JSON into memory");
}

/// Its values are texts, booleans, doubles and longs: ours as they are.
fn exact(value: &reading::Value) -> Value {
    match value {
        reading::Value::Float(number) => json!(number),
        reading::Value::Integer(number) => json!(number),
        reading::Value::Text(text) => json!(&**text),
        other => json_value(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{channel, logged, sample};
    use super::*;
    use crate::reading::{Timestamp, ValueKind};

    fn written(parameter: &str, sample: &[Logged]) -> Value {
        let mut buffer = Vec::new();
        write(&mut buffer, parameter, sample, false);
        serde_json::from_slice(&buffer).unwrap()
    }

    /// "In case your device is able to get the client-side timestamp, you can use following format".
    #[test]
    fn telemetry_is_that_of_the_documentation() {
        let rules = Rules::default();
        let all = sample(&rules);
        assert_eq!(
            written("", &all),
            json!({"ts": 1_795_158_000_123_i64, "values": {
                "air.temperature": 21.4, "air.count": i64::MAX, "air.dark": true,
                "air.state": "failed: \"i2c-1\"\n0x76, é=1"
            }})
        );
        assert_eq!(written("{quantity}_{sensor}", &all[..1])["values"], json!({"temperature_air": 21.4}));
        let mut buffer = Vec::new();
        write(&mut buffer, "", &all[..1], true);
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            r#"{"ts":1795158000123,"values":{"air.temperature":21.4}}"#
        );
    }

    #[test]
    fn times_that_cannot_be_trusted_say_so_and_those_before_1970_are_rounded_down() {
        let temperature = channel(&Rules::default(), "air", "temperature", "°C", ValueKind::Float);
        let mut reading = logged(7, temperature, reading::Value::Float(1.0));
        reading.clock = Clock::Unsynced;
        assert_eq!(written("", &[reading.clone()])["values"]["air.clock"], "unsynced");
        reading.at = Timestamp(-1);
        reading.clock = Clock::Corrected;
        assert_eq!(written("", &[reading]), json!({"ts": -1, "values": {"air.temperature": 1.0}}));
    }

    #[test]
    fn options_that_are_wrong_are_named() {
        for (options, expected) in [
            (json!({"keys": "{quantity}"}), "keys: must contain {sensor}"),
            (json!({"keys": "{sensor}.{quantity}.{device}"}), "keys: must contain"),
            (json!({"keys": "{sensor}{sensor}{quantity}"}), "keys: must contain"),
            (json!({"client_id": ""}), "client_id: must be"),
            (json!({"max_payload": 10}), "max_payload: must be"),
            (json!({"rate": 0}), "rate: must be"),
        ] {
            let problems = configure(options.as_object().unwrap(), "pi").unwrap_err();
            let shown: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.key, p.message)).collect();
            assert!(shown.len() == 1 && shown[0].contains(expected), "{options}: {shown:?}");
        }
    }

    #[test]
    fn names_are_no_placeholders() {
        assert_eq!(key("{quantity}-{sensor}", "{quantity}", "on"), "on-{quantity}");
        assert_eq!(key("{sensor}.{quantity}", "a", "{sensor}"), "a.{sensor}");
    }
}
