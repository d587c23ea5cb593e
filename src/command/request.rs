//! What a command says. Pure: text in, a request or what is wrong with the text out.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::amount::{format_duration, parse_duration};
use crate::config::{Action, Change};
use crate::output::Level;
use crate::reading::{Quantity, Timestamp};

/// Longest id, bytes.
const LONGEST_ID: usize = 64;

/// Longest name of a sensor, an output or a quantity, bytes.
const LONGEST_NAME: usize = 128;

/// Intervals that a sensor can have, as in the configuration.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(86_400));

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Set an output, for so long if not for good.
    Set {
        /// Output.
        output: String,
        /// To this.
        level: Level,
        /// Then back to its safe level.
        hold: Option<Duration>,
    },
    /// Read a sensor now.
    Read {
        /// Sensor.
        sensor: String,
    },
    /// Read it at another interval from now on.
    Interval {
        /// Sensor.
        sensor: String,
        /// Interval.
        interval: Duration,
    },
    /// Let a quantity pass when it has changed by so much.
    Change {
        /// Sensor.
        sensor: String,
        /// Quantity.
        quantity: Quantity,
        /// How much.
        change: Change,
    },
    /// Read a sensor no more.
    Pause {
        /// Sensor.
        sensor: String,
    },
    /// Read it again.
    Resume {
        /// Sensor.
        sensor: String,
    },
    /// Read a sensor now and publish whatever it says.
    Republish {
        /// Sensor.
        sensor: String,
    },
    /// Say how everything is.
    Status,
}

impl Request {
    /// The action it needs a permission for; `None` for setting an output.
    pub fn action(&self) -> Option<Action> {
        Some(match self {
            Request::Set { .. } => return None,
            Request::Read { .. } => Action::Read,
            Request::Interval { .. } => Action::Interval,
            Request::Change { .. } => Action::Change,
            Request::Pause { .. } => Action::Pause,
            Request::Resume { .. } => Action::Resume,
            Request::Republish { .. } => Action::Republish,
            Request::Status => Action::Status,
        })
    }

    /// The output or sensor that it is about; empty for all.
    pub fn target(&self) -> &str {
        match self {
            Request::Set { output, .. } => output,
            Request::Read { sensor }
            | Request::Interval { sensor, .. }
            | Request::Change { sensor, .. }
            | Request::Pause { sensor }
            | Request::Resume { sensor }
            | Request::Republish { sensor } => sensor,
            Request::Status => "",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Set { output, level, hold } => {
                match level {
                    Level::Off => write!(f, "set {output} off")?,
                    Level::On => write!(f, "set {output} on")?,
                    Level::Percent(percent) => write!(f, "set {output} to {percent} %")?,
                }
                hold.map_or(Ok(()), |hold| write!(f, " for {}", format_duration(hold)))
            }
            Request::Interval { sensor, interval } => {
                write!(f, "interval {sensor} {}", format_duration(*interval))
            }
            Request::Change { sensor, quantity, change } => {
                write!(f, "change {sensor}/{quantity} {}", Changed(*change))
            }
            Request::Status => f.write_str("status"),
            other => write!(f, "{} {}", other.action().map_or("set", Action::name), other.target()),
        }
    }
}

/// A measure of change as it is written.
pub(super) struct Changed(pub(super) Change);

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::Any => f.write_str("any"),
            Change::Always => f.write_str("always"),
            Change::Absolute(size) => write!(f, "{size}"),
            Change::Relative(fraction) => write!(f, "{}%", (fraction * 1e8).round() / 1e6),
        }
    }
}

/// A command, as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    /// The sender's id.
    pub(super) id: Option<String>,
    /// Until when it is good.
    pub(super) expires: Option<Timestamp>,
    /// What it says, or what is wrong with it.
    pub(super) request: Result<Request, String>,
}

/// Reads a command.
pub(super) fn parse(text: &str) -> Parsed {
    let nothing = |why: String| Parsed { id: None, expires: None, request: Err(why) };
    let mut map = match serde_json::from_str(text) {
        Ok(Value::Object(map)) => map,
        Ok(_) => {
            return nothing("a command is a JSON object: {\"id\": …, \"expires\": …, \"action\": …}".into());
        }
        Err(error) => return nothing(format!("not JSON: {error}")),
    };
    let id = match id(map.remove("id")) {
        Ok(id) => id,
        Err(why) => return nothing(why),
    };
    let expires = match expires(map.remove("expires")) {
        Ok(expires) => expires,
        Err(why) => return Parsed { id: Some(id), expires: None, request: Err(why) },
    };
    map.remove("hmac");
    Parsed { id: Some(id), expires: Some(expires), request: request(map) }
}

fn id(given: Option<Value>) -> Result<String, String> {
    let id = match given {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err("\"id\" is a text or a number".into()),
        None => return Err("\"id\" is missing: a text of your choice, another for each command".into()),
    };
    if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return Err(format!("\"id\" has 1 to {LONGEST_ID} bytes and no control characters"));
    }
    Ok(id)
}

/// RFC 3339, or seconds since the Unix epoch.
fn expires(given: Option<Value>) -> Result<Timestamp, String> {
    let micros = match &given {
        Some(Value::String(text)) => {
            text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
        }
        Some(Value::Number(number)) => number
            .as_f64()
            .map(|seconds| seconds * 1e6)
            .filter(|micros| micros.abs() < 1e18)
            .map(|m| m as i64),
        None => return Err("\"expires\" is missing: until when the command is good".into()),
        Some(_) => None,
    };
    micros.map(Timestamp).ok_or_else(|| {
        "\"expires\" is a time such as \"2026-11-20T07:00:00Z\", or seconds since 1970".to_owned()
    })
}

/// What is left of a command: each key is taken out by whom it is for, and none may remain.
pub(super) fn request(mut map: Map<String, Value>) -> Result<Request, String> {
    let action = text(&mut map, "action", "what is to be done")?;
    let request = match (action.as_str(), Action::named(&action)) {
        ("set", _) => {
            let output = text(&mut map, "output", "the id of an output")?;
            let level = level(map.remove("value"))?;
            let hold = match map.contains_key("for") {
                true => Some(time(&mut map, "for")?),
                false => None,
            };
            Request::Set { output, level, hold }
        }
        (_, Some(Action::Status)) => Request::Status,
        (_, Some(action)) => {
            let sensor = text(&mut map, "sensor", "the id of a sensor")?;
            of_sensor(action, sensor, &mut map)?
        }
        (other, None) => {
            let known: Vec<&str> = Action::ALL.into_iter().map(Action::name).collect();
            return Err(format!("unknown action {other:?}; there are set, {}", known.join(", ")));
        }
    };
    match map.keys().next() {
        Some(key) => Err(format!("unknown key {key:?} beside \"action\": {action:?}")),
        None => Ok(request),
    }
}

fn of_sensor(action: Action, sensor: String, map: &mut Map<String, Value>) -> Result<Request, String> {
    Ok(match action {
        Action::Read => Request::Read { sensor },
        Action::Pause => Request::Pause { sensor },
        Action::Resume => Request::Resume { sensor },
        Action::Republish => Request::Republish { sensor },
        Action::Status => Request::Status,
        Action::Interval => {
            let interval = time(map, "interval")?;
            if !(INTERVALS.0..=INTERVALS.1).contains(&interval) {
                return Err("\"interval\" is 10ms to 1d".into());
            }
            Request::Interval { sensor, interval }
        }
        Action::Change => {
            let quantity = text(map, "quantity", "a quantity of the sensor")?;
            Request::Change {
                sensor,
                quantity: quantity.as_str().into(),
                change: change(map.remove("change"))?,
            }
        }
    })
}

fn text(map: &mut Map<String, Value>, key: &str, what: &str) -> Result<String, String> {
    match map.remove(key) {
        // They are said again in answers and in the journal.
        Some(Value::String(text)) if text.len() > LONGEST_NAME || text.chars().any(char::is_control) => {
            Err(format!("{key:?} has at most {LONGEST_NAME} bytes and no control characters"))
        }
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("{key:?} is a text: {what}")),
        None => Err(format!("{key:?} is missing: {what}")),
    }
}

fn time(map: &mut Map<String, Value>, key: &str) -> Result<Duration, String> {
    let text = text(map, key, "a time such as \"10s\" or \"5m\"")?;
    let time = parse_duration(&text).map_err(|error| format!("{key:?}: {error}"))?;
    if time.is_zero() { Err(format!("{key:?} cannot be nothing")) } else { Ok(time) }
}

fn level(given: Option<Value>) -> Result<Level, String> {
    let wrong = || "\"value\" is true or false, \"on\" or \"off\", or percent, 0 to 100".to_owned();
    Ok(match given {
        Some(Value::Bool(true)) => Level::On,
        Some(Value::Bool(false)) => Level::Off,
        Some(Value::Number(number)) => Level::Percent(number.as_f64().ok_or_else(wrong)?),
        Some(Value::String(text)) if text == "on" => Level::On,
        Some(Value::String(text)) if text == "off" => Level::Off,
        _ => return Err(wrong()),
    })
}

fn change(given: Option<Value>) -> Result<Change, String> {
    let read = match &given {
        Some(Value::String(text)) => Change::read(text),
        Some(Value::Number(number)) => number.as_f64().map(Change::Absolute),
        _ => None,
    };
    let wrong = "\"change\" is \"any\", \"always\", a number above 0 or a percentage such as \"1%\"";
    match read {
        Some(Change::Absolute(size) | Change::Relative(size)) if !(size > 0.0 && size.is_finite()) => {
            Err(wrong.into())
        }
        Some(change) => Ok(change),
        None => Err(wrong.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(rest: &str) -> String {
        format!("{{\"id\": \"a\", \"expires\": 1795158000.5, {rest}}}")
    }

    #[test]
    fn commands_that_are_understood() {
        let set = |level, hold| Request::Set { output: "fan".into(), level, hold };
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        for (text, expected, shown) in [
            (r#""action":"set","output":"fan","value":true"#, set(Level::On, None), "set fan on"),
            (
                r#""action":"set","output":"fan","value":"off","hmac":"00""#,
                set(Level::Off, None),
                "set fan off",
            ),
            (
                r#""action":"set","output":"fan","value":40.5,"for":"10m""#,
                set(Level::Percent(40.5), minutes(10)),
                "set fan to 40.5 % for 10m",
            ),
            (r#""action":"read","sensor":"air""#, Request::Read { sensor: "air".into() }, "read air"),
            (
                r#""action":"interval","sensor":"air","interval":"1m30s""#,
                Request::Interval { sensor: "air".into(), interval: Duration::from_secs(90) },
                "interval air 1m30s",
            ),
            (
                r#""action":"change","sensor":"air","quantity":"t","change":"1.5%""#,
                Request::Change {
                    sensor: "air".into(),
                    quantity: "t".into(),
                    change: Change::Relative(0.015),
                },
                "change air/t 1.5%",
            ),
            (r#""action":"status""#, Request::Status, "status"),
        ] {
            let parsed = parse(&body(text));
            assert_eq!(parsed.id.as_deref(), Some("a"));
            assert_eq!(parsed.expires, Some(Timestamp(1_795_158_000_500_000)));
            let request = parsed.request.unwrap();
            assert_eq!((request.to_string().as_str(), &request), (shown, &expected));
        }
        let parsed = parse(r#"{"id": 7, "expires": "2026-11-20T07:00:00+01:00", "action": "status"}"#);
        assert_eq!(
            (parsed.id.as_deref(), parsed.expires),
            (Some("7"), Some(Timestamp(1_795_154_400_000_000)))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("", "not JSON"),
            ("[1]", "a JSON object"),
            (r#"{"expires": 1}"#, "\"id\" is missing"),
            (r#"{"id": "", "expires": 1}"#, "1 to 64 bytes"),
            (r#"{"id": "a\u0007", "expires": 1}"#, "control"),
            (r#"{"id": [], "expires": 1}"#, "text or a number"),
            (r#"{"id": "a"}"#, "\"expires\" is missing"),
            (r#"{"id": "a", "expires": "tomorrow"}"#, "2026-11-20T07:00:00Z"),
            (r#"{"id": "a", "expires": 1e300}"#, "seconds since 1970"),
            (&body(r#""output":"fan""#), "\"action\" is missing"),
            (&body(r#""action":"boil""#), "there are set, read"),
            (&body(r#""action":"set","output":"fan""#), "\"value\" is"),
            (&body(r#""action":"set","output":"fan","value":"yes""#), "\"value\" is"),
            (&body(r#""action":"set","output":"fan","value":1,"for":"0s""#), "cannot be nothing"),
            (&body(r#""action":"set","output":"fan","value":1,"until":1"#), "unknown key \"until\""),
            (&body(r#""action":"read""#), "\"sensor\" is missing"),
            (&body("\"action\":\"read\",\"sensor\":\"a\\nb\""), "no control characters"),
            (&body(r#""action":"interval","sensor":"a","interval":"1ms""#), "10ms to 1d"),
            (&body(r#""action":"interval","sensor":"a","interval":"x""#), "\"interval\""),
            (&body(r#""action":"change","sensor":"a","quantity":"t","change":-1"#), "above 0"),
            (&body(r#""action":"change","sensor":"a","quantity":"t","change":"NaN""#), "above 0"),
        ] {
            let why = parse(text).request.unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}", rest in "[\\[\\]{}\",:a-z0-9. ]{0,60}") {
            parse(&text);
            parse(&body(&rest));
        }
    }
}
