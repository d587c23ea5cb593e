//! Tasmota (tasmota.github.io/docs, "MQTT", "JSON Status Responses"): `tele/<topic>/SENSOR` and `tele/<topic>/STATE`.
//! Times are the device's local time without a zone, unless `SetOption52` adds it.

use std::borrow::Cow;

use serde_json::Value;

use super::{Message, Rows, instant, local};

/// Prefixes of topics (`%prefix%` of `FullTopic`).
const PREFIXES: [&str; 3] = ["cmnd", "stat", "tele"];

/// What is not measured.
const NO_QUANTITY: [&str; 6] = ["Time", "TempUnit", "PressureUnit", "SpeedUnit", "Id", "TotalStartTime"];

pub(super) fn read(message: &Message<'_>, rows: &mut Rows) -> Result<(), &'static str> {
    // The answer to `Status 8` and `Status 11` has the same within.
    let within = ["StatusSNS", "StatusSTS"].iter().find_map(|name| message.body.get(*name)?.as_object());
    let body = within.unwrap_or(message.body);
    let time = body.get("Time").and_then(Value::as_str).ok_or("Time is missing")?;
    rows.taken = instant(time).or_else(|| local(time, message.zone));
    rows.device = device(message.topic);
    let given = |name: &str| body.get(name).and_then(Value::as_str);
    let unit = |sensor: &str, quantity: &str| -> Option<Cow<'static, str>> {
        let text = match quantity {
            "Temperature" | "DewPoint" => match given("TempUnit")? {
                "C" => "°C",
                "F" => "°F",
                _ => return None,
            },
            "Pressure" | "SeaPressure" => return given("PressureUnit").map(|unit| unit.to_owned().into()),
            "Speed" => return given("SpeedUnit").map(|unit| unit.to_owned().into()),
            _ => fixed(sensor, quantity)?,
        };
        Some(text.into())
    };
    for (name, value) in body.iter().filter(|(name, _)| !NO_QUANTITY.contains(&name.as_str())) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields.iter().filter(|(name, _)| !NO_QUANTITY.contains(&name.as_str()))
                {
                    rows.walk(&mut vec![name.into(), field.into()], value, &unit);
                }
            }
            value => rows.walk(&mut vec![name.into()], value, &unit),
        }
    }
    Ok(())
}

/// Units that Tasmota does not say, because they are always the same.
fn fixed(sensor: &str, quantity: &str) -> Option<&'static str> {
    // `ENERGY.0` is the first phase.
    let sensor = sensor.split('.').next().unwrap_or(sensor);
    Some(match (sensor, quantity) {
        (_, "Humidity") => "%",
        (_, "Illuminance") => "lx",
        (_, "CarbonDioxide" | "eCO2") => "ppm",
        (_, "PM1" | "PM2.5" | "PM10") => "µg/m³",
        ("ENERGY", "Total" | "Yesterday" | "Today") => "kWh",
        ("ENERGY", "Period") => "Wh",
        ("ENERGY", "Power") => "W",
        ("ENERGY", "ApparentPower") => "VA",
        ("ENERGY", "ReactivePower") => "var",
        ("ENERGY", "Voltage") => "V",
        ("ENERGY", "Current") => "A",
        ("ENERGY", "Frequency") => "Hz",
        ("Wifi", "RSSI") => "%",
        ("Wifi", "Signal") => "dBm",
        (_, "UptimeSec") => "s",
        _ => return None,
    })
}

/// `tele/plug/SENSOR` and `home/plug/tele/SENSOR`: what is neither a prefix nor the last level.
fn device(topic: &str) -> Option<String> {
    let (before, _) = topic.rsplit_once('/')?;
    let mut levels: Vec<&str> = before.split('/').collect();
    if let Some(at) = levels.iter().position(|level| PREFIXES.contains(level)) {
        levels.remove(at);
    }
    (!levels.is_empty()).then(|| levels.join("/"))
}
