//! The payload of Sparkplug B: metrics with values (specification 3.0.0, sections 6.4.5 and 6.4.6). Field numbers are
//! those of its `sparkplug_b.proto`; of what that can say, this has what sensors and outputs need.

use super::protobuf::{self, Fields, Malformed, Wire};
use crate::reading::{self, Logged, Timestamp, ValueKind};

/// Most metrics of a message that comes in: whoever sends more makes us hold a hundred times its size.
const MOST: usize = 1_000;

/// The property by which hosts know a unit.
const UNIT: &str = "engUnit";

/// A message.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Payload {
    /// When it is sent, ms since 1970.
    pub(super) timestamp: Option<u64>,
    pub(super) metrics: Vec<Metric>,
    pub(super) seq: Option<u64>,
    /// Of ours: the row of its first reading, until it is sealed.
    pub(super) uuid: Option<String>,
}

/// A value with a name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Metric {
    pub(super) name: String,
    /// When it was measured, ms since 1970.
    pub(super) timestamp: Option<u64>,
    /// Only in births.
    pub(super) datatype: Option<DataType>,
    pub(super) historical: bool,
    pub(super) value: MetricValue,
    /// In births. Of ours also in data, until it is sealed.
    pub(super) unit: Option<String>,
}

/// Section 6.4.16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataType {
    Int64 = 4,
    Double = 10,
    Boolean = 11,
    String = 12,
}

impl DataType {
    /// `None` for pictures, which are no metrics.
    pub(super) fn of(kind: ValueKind) -> Option<Self> {
        Some(match kind {
            ValueKind::Float => DataType::Double,
            ValueKind::Integer => DataType::Int64,
            ValueKind::Bool => DataType::Boolean,
            ValueKind::Text => DataType::String,
            ValueKind::Image => return None,
        })
    }
}

/// As on the wire: a signed number looks like an unsigned one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum MetricValue {
    #[default]
    Null,
    Int(u32),
    Long(u64),
    Float(f32),
    Double(f64),
    Bool(bool),
    Text(String),
    /// A data set, a template: nothing that is written to us.
    Other,
}

impl MetricValue {
    /// A picture is none: it has a message of its own.
    pub(super) fn of(value: &reading::Value) -> Self {
        match value {
            reading::Value::Float(number) => MetricValue::Double(*number),
            reading::Value::Integer(number) => MetricValue::Long(*number as u64),
            reading::Value::Bool(state) => MetricValue::Bool(*state),
            reading::Value::Text(text) => MetricValue::Text((**text).to_owned()),
            reading::Value::Image(_) => MetricValue::Null,
        }
    }

    /// The type that it has by itself; `None` for what says nothing of it.
    pub(super) fn datatype(&self) -> Option<DataType> {
        Some(match self {
            MetricValue::Double(_) => DataType::Double,
            MetricValue::Long(_) => DataType::Int64,
            MetricValue::Bool(_) => DataType::Boolean,
            MetricValue::Text(_) => DataType::String,
            _ => return None,
        })
    }
}

/// Milliseconds since 1970; what was before is no time to Sparkplug.
pub(super) fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.0 / 1_000).unwrap_or(0)
}

impl Metric {
    /// A reading, as in DDATA.
    pub(super) fn of(reading: &Logged, historical: bool) -> Self {
        Self {
            name: reading.channel.quantity.as_str().to_owned(),
            timestamp: Some(millis(reading.at)),
            historical,
            value: MetricValue::of(&reading.value),
            unit: Some(reading.channel.unit.clone()).filter(|unit| !unit.is_empty()),
            ..Self::default()
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.name.len());
        protobuf::bytes(&mut out, 1, self.name.as_bytes());
        if let Some(timestamp) = self.timestamp {
            protobuf::number(&mut out, 3, timestamp);
        }
        if let Some(datatype) = self.datatype {
            protobuf::number(&mut out, 4, datatype as u64);
        }
        if self.historical {
            protobuf::number(&mut out, 5, 1);
        }
        if self.value == MetricValue::Null {
            protobuf::number(&mut out, 7, 1);
        }
        if let Some(unit) = &self.unit {
            protobuf::bytes(&mut out, 9, &property(UNIT, unit));
        }
        match &self.value {
            MetricValue::Null | MetricValue::Other => {}
            MetricValue::Int(number) => protobuf::number(&mut out, 10, u64::from(*number)),
            MetricValue::Long(number) => protobuf::number(&mut out, 11, *number),
            MetricValue::Float(number) => protobuf::float(&mut out, 12, *number),
            MetricValue::Double(number) => protobuf::double(&mut out, 13, *number),
            MetricValue::Bool(state) => protobuf::number(&mut out, 14, u64::from(*state)),
            MetricValue::Text(text) => protobuf::bytes(&mut out, 15, text.as_bytes()),
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut metric = Self::default();
        let mut null = false;
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Bytes(name)) => metric.name = text(name)?,
                (3, Wire::Varint(timestamp)) => metric.timestamp = Some(timestamp),
                (5, Wire::Varint(flag)) => metric.historical = flag != 0,
                (7, Wire::Varint(flag)) => null = flag != 0,
                (9, Wire::Bytes(set)) => metric.unit = unit_of(set),
                (10, Wire::Varint(number)) => metric.value = MetricValue::Int(number as u32),
                (11, Wire::Varint(number)) => metric.value = MetricValue::Long(number),
                (12, Wire::Fixed32(bits)) => metric.value = MetricValue::Float(f32::from_bits(bits)),
                (13, Wire::Fixed64(bits)) => metric.value = MetricValue::Double(f64::from_bits(bits)),
                (14, Wire::Varint(flag)) => metric.value = MetricValue::Bool(flag != 0),
                (15, Wire::Bytes(words)) => metric.value = MetricValue::Text(text(words)?),
                (16..=19, _) => metric.value = MetricValue::Other,
                _ => {}
            }
        }
        if null {
            metric.value = MetricValue::Null;
        }
        Ok(metric)
    }
}

/// A property set of one text (section 6.4.9).
fn property(key: &str, value: &str) -> Vec<u8> {
    let mut text = Vec::new();
    protobuf::number(&mut text, 1, DataType::String as u64);
    protobuf::bytes(&mut text, 8, value.as_bytes());
    let mut set = Vec::new();
    protobuf::bytes(&mut set, 1, key.as_bytes());
    protobuf::bytes(&mut set, 2, &text);
    set
}

/// The unit in a property set: keys and values are lists of their own.
fn unit_of(set: &[u8]) -> Option<String> {
    let all = |wanted: u32| {
        Fields(set).filter_map(move |field| match field {
            Ok((number, Wire::Bytes(bytes))) if number == wanted => Some(bytes),
            _ => None,
        })
    };
    let (_, value) = all(1).zip(all(2)).find(|(key, _)| *key == UNIT.as_bytes())?;
    Fields(value).find_map(|field| match field {
        Ok((8, Wire::Bytes(words))) => text(words).ok(),
        _ => None,
    })
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed)
}

impl Payload {
    /// Adds its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if let Some(timestamp) = self.timestamp {
            protobuf::number(out, 1, timestamp);
        }
        for metric in &self.metrics {
            protobuf::bytes(out, 2, &metric.encode());
        }
        if let Some(seq) = self.seq {
            protobuf::number(out, 3, seq);
        }
        if let Some(uuid) = &self.uuid {
            protobuf::bytes(out, 4, uuid.as_bytes());
        }
    }

    /// Reads what somebody sent. Of a birth, what types the metrics have is passed over.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut payload = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Varint(timestamp)) => payload.timestamp = Some(timestamp),
                (2, Wire::Bytes(_)) if payload.metrics.len() >= MOST => return Err(Malformed),
                (2, Wire::Bytes(metric)) => payload.metrics.push(Metric::decode(metric)?),
                (3, Wire::Varint(seq)) => payload.seq = Some(seq),
                (4, Wire::Bytes(uuid)) => payload.uuid = Some(text(uuid)?),
                _ => {}
            }
        }
        Ok(payload)
    }
}
