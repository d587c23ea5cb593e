//! SenML (RFC 8428) in JSON: no platform of its own, but a format that many take. One pack a message.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Platform, PlatformKind, Rules};
use crate::config::options;
use crate::config::options::OptionProblem;
use crate::reading::{self, Format, Logged};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "senml",
    summary: "payloads as SenML packs (RFC 8428, JSON), on topics of your choice",
    options: options::schema::<Options>,
    configure,
    format: Some(write),
};

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {}

fn configure(given: &Map<String, Value>, _: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (Options {}, problems) = options::parse("", given);
    if problems.is_empty() { Ok(Arc::new(SenMl)) } else { Err(problems) }
}

#[derive(Debug)]
struct SenMl;

impl Platform for SenMl {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        Rules { format: Some(Format::new(KIND.name, "")), ..Rules::default() }
    }
}

/// One record for each reading; what they share stands as base values in the first (RFC 8428, 4.1).
fn write(buffer: &mut Vec<u8>, _: &str, sample: &[Logged], _: bool) {
    let records: Vec<Record<'_>> =
        sample.iter().enumerate().map(|(index, reading)| record(reading, index == 0)).collect();
    #[expect(clippy::expect_used, reason = "cannot fail: see payload::write_json")]
    serde_json::to_writer(&mut *buffer, &records).expect("JSON into memory");
}

/// Labels of RFC 8428, table 4.
#[derive(Serialize)]
struct Record<'a> {
    /// Base name.
    #[serde(skip_serializing_if = "Option::is_none")]
    bn: Option<String>,
    /// Base time, s since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    bt: Option<f64>,
    /// Name.
    n: &'a str,
    /// Unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<&'a str>,
    /// Value: a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<serde_json::Number>,
    /// A truth value.
    #[serde(skip_serializing_if = "Option::is_none")]
    vb: Option<bool>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    vs: Option<&'a str>,
}

fn record(reading: &Logged, first: bool) -> Record<'_> {
    let channel = &*reading.channel;
    let (mut v, mut vb, mut vs) = (None, None, None);
    match &reading.value {
        reading::Value::Float(number) => v = serde_json::Number::from_f64(*number),
        reading::Value::Integer(number) => v = Some((*number).into()),
        reading::Value::Bool(state) => vb = Some(*state),
        reading::Value::Text(text) => vs = Some(&**text),
        reading::Value::Image(image) => v = Some(image.bytes.len().into()),
    }
    Record {
        bn: first.then(|| base_name(channel)),
        bt: first.then_some(reading.at.0 as f64 / 1e6),
        n: channel.quantity.as_str(),
        u: unit(&channel.unit),
        v,
        vb,
        vs,
    }
}

/// `device/sensor/`, of the characters that a name may have (RFC 8428, 4.5.1), beginning with a letter or digit.
fn base_name(channel: &reading::Channel) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || "-:./_".contains(c) { c } else { '_' };
    let name: String = format!("{}/{}/", channel.device, channel.sensor).chars().map(good).collect();
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) { name } else { format!("d{name}") }
}

/// The registered symbol of a unit (RFC 8428, 12.1; RFC 8798 for secondary units); others are left out, because an
/// unregistered one would be taken for something else.
fn unit(ours: &str) -> Option<&'static str> {
    Some(match ours {
        "°C" => "Cel",
        "K" => "K",
        "%" => "%",
        "Pa" => "Pa",
        "hPa" => "hPa",
        "lx" => "lx",
        "V" => "V",
        "mV" => "mV",
        "A" => "A",
        "mA" => "mA",
        "W" => "W",
        "kW" => "kW",
        "Wh" => "Wh",
        "kWh" => "kWh",
        "m" => "m",
        "mm" => "mm",
        "s" => "s",
        "min" => "min",
        "h" => "h",
        "Hz" => "Hz",
        "ppm" => "ppm",
        "µg/m³" => "ug/m3",
        "l" => "l",
        "l/min" => "l/min",
        "m³" => "m3",
        "m/s" => "m/s",
        "B" => "B",
        "dB" => "dB",
        _ => return None,
    })
}
