//! Messages of other programs as readings: device, sensor, quantity, value, unit, time. One file a program, one line in
//! [`Shape::new`], one suite of tests over all of them. Pure.
//!
//! Nothing is invented: what a message does not say is NULL, its local time without a zone among it. A message without
//! readings has no rows; it is kept as it came all the same.

mod chirpstack;
mod tasmota;
#[cfg(test)]
mod tests;
mod zigbee2mqtt;

use std::borrow::Cow;

use jiff::tz::TimeZone;
use rusqlite::types::Value as Sql;
use serde_json::{Map, Value};

use super::field::Tally;
use super::{Incoming, identity};
use crate::config::{Payload, PayloadKind};
use crate::log::Told;
use crate::reading::Timestamp;

/// Most readings of one message.
const MOST: usize = 1_000;

/// How deep a payload is looked into.
const DEEPEST: usize = 16;

/// How messages of one program are read.
#[derive(Debug)]
pub(super) struct Shape {
    name: &'static str,
    read: Read,
    zone: Option<TimeZone>,
}

/// Takes the readings out of a message; the error says what it lacks to be one of this program.
type Read = fn(&Message<'_>, &mut Rows) -> Result<(), &'static str>;

/// A message, as far as it is a JSON object.
#[derive(Debug)]
struct Message<'a> {
    topic: &'a str,
    body: &'a Map<String, Value>,
    /// Where local times are from, if that is known.
    zone: Option<&'a TimeZone>,
}

/// What a message says.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By which a repeat of it is known.
    pub(super) id: Option<(String, i64)>,
    /// Its readings.
    pub(super) rows: Vec<Told>,
}

/// Readings as they are found.
#[derive(Debug, Default)]
struct Rows {
    /// Of all of them.
    device: Option<String>,
    /// Of all of them.
    taken: Option<Timestamp>,
    /// The message's own id.
    id: Option<String>,
    rows: Vec<Told>,
    /// Fields that are null, or not there.
    missing: usize,
    /// There was more than is looked at.
    cut: bool,
}

impl Seen {
    /// Of a message that is not looked into: only whether it is one of ours.
    pub(super) fn of_ours(message: &Incoming) -> Self {
        let id = identity(&message.payload).map(|(epoch, row)| (epoch.to_owned(), row));
        Self { id, rows: Vec::new() }
    }

    /// The id as text.
    pub(super) fn id(&self) -> Option<String> {
        self.id.as_ref().map(|(id, row)| if *row == 0 { id.clone() } else { format!("{id}-{row}") })
    }
}

impl Shape {
    pub(super) fn new(payload: &Payload) -> Self {
        let (name, read): (_, Read) = match payload.kind {
            PayloadKind::ChirpStack => ("ChirpStack", chirpstack::read),
            PayloadKind::Tasmota => ("Tasmota", tasmota::read),
            PayloadKind::Zigbee2Mqtt => ("Zigbee2MQTT", zigbee2mqtt::read),
        };
        Self { name, read, zone: payload.zone.clone() }
    }

    /// What a message says. What could not be read is counted.
    pub(super) fn read(&self, message: &Incoming, tally: &mut Tally) -> Seen {
        let nothing = Seen::of_ours(message);
        let Some(document) = tally.parse(&message.topic, &message.payload) else { return nothing };
        let Some(body) = document.as_object() else {
            tally.refuse(&message.topic, self.name, "it is no JSON object");
            return nothing;
        };
        let mut rows = Rows::default();
        let source = Message { topic: &message.topic, body, zone: self.zone.as_ref() };
        if let Err(why) = (self.read)(&source, &mut rows) {
            tally.refuse(&message.topic, self.name, why);
            return nothing;
        }
        // Not one of our own numbers: those begin at 1.
        let id = nothing.id.or_else(|| Some((rows.id.take()?, 0)));
        if rows.cut {
            tally.refuse(&message.topic, self.name, "it has more fields than are looked at");
            // Not some of them: what has rows is not kept as it came in a CSV file.
            return Seen { id, rows: Vec::new() };
        }
        tally.missing += rows.missing;
        for row in &mut rows.rows {
            row.device.clone_from(&rows.device);
            row.taken = rows.taken;
        }
        Seen { id, rows: rows.rows }
    }
}

impl Rows {
    fn push(&mut self, sensor: Option<String>, quantity: &str, value: &Value, unit: Option<Cow<'_, str>>) {
        if self.rows.len() >= MOST {
            self.cut = true;
            return;
        }
        let value = match value {
            Value::Bool(state) => Sql::Integer(i64::from(*state)),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Sql::Integer(number),
                (None, Some(number)) => Sql::Real(number),
                (None, None) => Sql::Null,
            },
            Value::String(text) => Sql::Text(text.clone()),
            // Only single values come here.
            Value::Null | Value::Array(_) | Value::Object(_) => Sql::Null,
        };
        self.missing += usize::from(value == Sql::Null);
        self.rows.push(Told {
            device: None,
            sensor,
            quantity: quantity.to_owned(),
            value,
            unit: unit.map(Cow::into_owned),
            taken: None,
        });
    }

    /// Every single value below `value`, which stands at `path`; `unit` is asked with sensor and quantity.
    fn walk<'a>(
        &mut self,
        path: &mut Vec<Cow<'a, str>>,
        value: &'a Value,
        unit: &dyn Fn(&str, &str) -> Option<Cow<'static, str>>,
    ) {
        let children: Box<dyn Iterator<Item = (Cow<'a, str>, &'a Value)> + 'a> = match value {
            Value::Object(fields) => Box::new(fields.iter().map(|(name, value)| (name.into(), value))),
            Value::Array(list) => {
                Box::new(list.iter().enumerate().map(|(at, value)| (at.to_string().into(), value)))
            }
            single => {
                let Some((sensor, quantity)) = names(path) else { return };
                let unit = unit(sensor.as_deref().unwrap_or_default(), &quantity);
                self.push(sensor, &quantity, single, unit);
                return;
            }
        };
        if path.len() >= DEEPEST {
            self.cut = true;
            return;
        }
        for (name, value) in children {
            if self.cut {
                return;
            }
            path.push(name);
            self.walk(path, value, unit);
            path.pop();
        }
    }
}

/// Sensor and quantity of a path: the last name is the quantity, what is before it the sensor. A number at the end, such as
/// the channel in `{"temperatureSensor": {"1": 25}}`, tells sensors apart and is no quantity.
fn names(path: &[Cow<'_, str>]) -> Option<(Option<String>, String)> {
    let (last, before) = path.split_last()?;
    let number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let (quantity, sensor) = match before.split_last() {
        Some((quantity, before)) if number => {
            let sensor: Vec<&str> = before.iter().map(|name| &**name).chain([&**last]).collect();
            (quantity, sensor.join("."))
        }
        _ => (last, before.join(".")),
    };
    Some(((!sensor.is_empty()).then_some(sensor), quantity.to_string()))
}

/// A time with its distance from UTC, RFC 3339.
fn instant(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(time.as_microsecond()))
}

/// A local time, if its zone is known and it was then only once: not in the hour that a clock is put back over.
fn local(text: &str, zone: Option<&TimeZone>) -> Option<Timestamp> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    let time = zone?.to_ambiguous_timestamp(time).unambiguous().ok()?;
    Some(Timestamp(time.as_microsecond()))
}
