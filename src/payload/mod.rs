//! From readings to the bytes of a message: the JSON that subscribers see, and pictures.
//!
//! Does no I/O and chooses no topic: that stands in the channel.

pub mod line_protocol;
mod picture;

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::reading::{Logged, Place, Shape, Value};

pub use picture::{picture, picture_size};

/// The default payload of a message: UTF-8 JSON in one line, keys in a fixed order, `id` first.
///
/// `sample` is one reading for [`Shape::Quantity`], or all readings of a sample that go out together for
/// [`Shape::Sample`]; what they share (device, sensor, time) is taken from the first. `late` marks what
/// follows an outage in the late lane. An empty sample gives no bytes.
pub fn json(sample: &[Logged], late: bool) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(256);
    write_json(&mut buffer, sample, late);
    buffer
}

/// As [`json`], into a buffer that is emptied first: one for many messages.
pub fn write_json(buffer: &mut Vec<u8>, sample: &[Logged], late: bool) {
    buffer.clear();
    let Some(first) = sample.first() else { return };
    let channel = &*first.channel;
    let shape = channel.publish.as_ref().map_or(Shape::Quantity, |publish| publish.shape);
    let single = shape == Shape::Quantity;
    let message = Message {
        id: Id(first),
        device: &channel.device,
        sensor: channel.sensor.as_str(),
        quantity: single.then(|| channel.quantity.as_str()),
        value: single.then_some(Number(&first.value)),
        unit: (single && !channel.unit.is_empty()).then_some(&*channel.unit),
        values: (!single).then_some(Values(sample)),
        units: (!single && sample.iter().any(|reading| !reading.channel.unit.is_empty()))
            .then_some(Units(sample)),
        time: Time(first),
        clock: first.clock.as_str(),
        location: channel.place.as_ref().and_then(Location::of),
        late,
    };
    #[expect(clippy::expect_used, reason = "cannot fail, see below")]
    // serde_json fails when the writer fails (a Vec does not), on map keys that are no strings (ours are)
    // and when a Serialize of ours answers an error (none does); NaN is written as null.
    serde_json::to_writer(&mut *buffer, &message).expect("JSON into memory");
}

/// A value as it stands in the JSON: `21.4`, `true`, `"ok"`.
pub fn value_json(value: &Value) -> String {
    text_of(&Number(value))
}

/// Quantity → value of a sample, as it stands in the JSON.
pub fn values_json(sample: &[Logged]) -> String {
    text_of(&Values(sample))
}

/// Quantity → unit of a sample, of those that have one, as it stands in the JSON.
pub fn units_json(sample: &[Logged]) -> String {
    text_of(&Units(sample))
}

fn text_of(part: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "cannot fail: see write_json")]
    serde_json::to_string(part).expect("JSON into memory")
}

/// Fields in the order in which they are written.
#[derive(serde::Serialize)]
struct Message<'a> {
    id: Id<'a>,
    device: &'a str,
    sensor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Number<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Values<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<Units<'a>>,
    time: Time<'a>,
    clock: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// Only what was given.
#[derive(serde::Serialize)]
struct Location<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    altitude: Option<f64>,
}

impl<'a> Location<'a> {
    /// `None` when nothing at all is given.
    fn of(place: &'a Place) -> Option<Self> {
        (*place != Place::default()).then_some(Self {
            name: place.name.as_deref(),
            latitude: place.latitude,
            longitude: place.longitude,
            altitude: place.altitude,
        })
    }
}

/// `<epoch>-<row>`: the same for every repeat of a message.
struct Id<'a>(&'a Logged);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.epoch, self.0.row)
    }
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// RFC 3339 in UTC, microseconds.
struct Time<'a>(&'a Logged);

impl Serialize for Time<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.at)
    }
}

/// A value as JSON: the shortest digits that read back as the same number.
pub(crate) struct Number<'a>(pub &'a Value);

impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Bool(state) => serializer.serialize_bool(*state),
            Value::Text(text) => serializer.serialize_str(text),
            // As it comes out of the log: a picture has a message of its own.
            Value::Image(image) => serializer.serialize_u64(image.bytes.len() as u64),
        }
    }
}

/// Quantity → value, in the order of the sample.
struct Values<'a>(&'a [Logged]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for reading in self.0 {
            map.serialize_entry(reading.channel.quantity.as_str(), &Number(&reading.value))?;
        }
        map.end()
    }
}

/// Quantity → unit, of those that have one.
struct Units<'a>(&'a [Logged]);

impl Serialize for Units<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for reading in self.0.iter().filter(|reading| !reading.channel.unit.is_empty()) {
            map.serialize_entry(reading.channel.quantity.as_str(), &reading.channel.unit)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::reading::{Channel, Clock, Publish, Qos, Timestamp};

    fn reading(row: i64, quantity: &str, unit: &str, value: Value, shape: Shape) -> Logged {
        let publish = Publish {
            topic: "castel/greenhouse-pi/air".to_owned(),
            late_topic: None,
            qos: Qos::AtLeastOnce,
            retain: false,
            shape,
            format: None,
            buffer: true,
        };
        let channel = Channel {
            device: "greenhouse-pi".to_owned(),
            sensor: "air".into(),
            quantity: quantity.into(),
            unit: unit.to_owned(),
            kind: value.kind(),
            publish: Some(publish),
            place: None,
        };
        Logged {
            row,
            epoch: "3f9c2a1b".into(),
            channel: Arc::new(channel),
            at: Timestamp(1_795_158_000_123_456),
            clock: Clock::Synced,
            value,
            continues: false,
            since_boot: None,
        }
    }

    fn placed(mut reading: Logged, place: Place) -> Logged {
        Arc::make_mut(&mut reading.channel).place = Some(place);
        reading
    }

    fn text(sample: &[Logged], late: bool) -> String {
        String::from_utf8(json(sample, late)).unwrap()
    }

    #[test]
    fn the_message_of_the_design() {
        let place = Place {
            name: Some("Greenhouse 2".to_owned()),
            latitude: Some(47.59),
            longitude: Some(0.91),
            altitude: None,
        };
        let one = reading(1042, "temperature", "°C", Value::Float(21.4), Shape::Quantity);
        assert_eq!(
            text(&[placed(one, place)], false),
            r#"{"id":"3f9c2a1b-1042","device":"greenhouse-pi","sensor":"air","quantity":"temperature","value":21.4,"unit":"°C","time":"2026-11-20T07:00:00.123456Z","clock":"synced","location":{"name":"Greenhouse 2","latitude":47.59,"longitude":0.91}}"#
        );
    }

    #[test]
    fn one_message_per_sample() {
        let sample = [
            reading(7, "temperature", "°C", Value::Float(21.4), Shape::Sample),
            reading(8, "count", "", Value::Integer(3), Shape::Sample),
            reading(9, "humidity", "%", Value::Float(55.0), Shape::Sample),
        ];
        assert_eq!(
            text(&sample, true),
            r#"{"id":"3f9c2a1b-7","device":"greenhouse-pi","sensor":"air","values":{"temperature":21.4,"count":3,"humidity":55.0},"units":{"temperature":"°C","humidity":"%"},"time":"2026-11-20T07:00:00.123456Z","clock":"synced","late":true}"#
        );
        assert!(!text(&sample[1..2], false).contains("units"));
    }

    #[test]
    fn values_as_json() {
        for (value, expected) in [
            (Value::Float(0.1 + 0.2), "0.30000000000000004"),
            (Value::Float(-40.0), "-40.0"),
            (Value::Float(1e300), "1e+300"),
            (Value::Float(5e-324), "5e-324"),
            (Value::Integer(27_993_600_000_123), "27993600000123"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::Bool(true), "true"),
            (
                Value::Text("failed: \"i2c-1\" 0x76\n\u{1}\\ é".into()),
                r#""failed: \"i2c-1\" 0x76\n\u0001\\ é""#,
            ),
        ] {
            let message = text(&[reading(1, "state", "", value, Shape::Quantity)], false);
            assert!(
                message.contains(&format!(r#""quantity":"state","value":{expected},"time""#)),
                "{message}"
            );
        }
    }

    #[test]
    fn the_clock_says_how_far_to_trust_the_time() {
        for (clock, expected) in
            [(Clock::Synced, "synced"), (Clock::Unsynced, "unsynced"), (Clock::Corrected, "corrected")]
        {
            let mut one = reading(1, "temperature", "", Value::Float(1.5), Shape::Quantity);
            one.clock = clock;
            assert!(text(&[one], false).contains(&format!(r#""clock":"{expected}""#)));
        }
    }

    #[test]
    fn a_place_without_anything_given_is_left_out() {
        let one = reading(1, "temperature", "", Value::Float(1.5), Shape::Quantity);
        assert!(!text(&[placed(one.clone(), Place::default())], false).contains("location"));
        let high = Place { altitude: Some(0.0), ..Place::default() };
        assert!(text(&[placed(one, high)], false).ends_with(r#""location":{"altitude":0.0}}"#));
    }

    #[test]
    fn a_reused_buffer_is_emptied() {
        let one = reading(1, "temperature", "", Value::Float(1.5), Shape::Quantity);
        let mut buffer = b"left over".to_vec();
        write_json(&mut buffer, std::slice::from_ref(&one), false);
        assert_eq!(buffer, json(&[one], false));
        write_json(&mut buffer, &[], false);
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn any_names_and_numbers_read_back(
            device in ".*", quantity in ".*", unit in ".*", number in proptest::num::f64::NORMAL, whole: i64,
        ) {
            for value in [Value::Float(number), Value::Integer(whole)] {
                let mut one = reading(whole, &quantity, &unit, value.clone(), Shape::Quantity);
                Arc::make_mut(&mut one.channel).device = device.clone();
                let text = String::from_utf8(json(&[one], false)).unwrap();
                let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(parsed["device"].as_str(), Some(&*device));
                prop_assert_eq!(parsed["quantity"].as_str(), Some(&*quantity));
                prop_assert_eq!(parsed["unit"].as_str().unwrap_or(""), &*unit);
                // std's parser: serde_json's may be off by one in the last place. Inside a string the
                // quotes would be escaped, so this finds the key.
                let digits = text.split_once(r#""value":"#).unwrap().1.split(',').next().unwrap();
                match value {
                    Value::Float(number) => prop_assert_eq!(digits.parse(), Ok(number)),
                    _ => prop_assert_eq!(digits.parse(), Ok(whole)),
                }
            }
        }
    }
}
