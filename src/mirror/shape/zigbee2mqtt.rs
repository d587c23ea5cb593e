//! Zigbee2MQTT (zigbee2mqtt.io, "MQTT Topics and Messages"): `<base topic>/<friendly name>`, the whole state of a device as
//! one flat object. Units are those that its documentation gives a field whatever the device.

use serde_json::Value;

use super::{Message, Rows, instant};
use crate::reading::Timestamp;

/// Last levels that say something else than a state.
const OTHERS: [&str; 3] = ["availability", "set", "get"];

/// What is not measured: when it was, and what is known of the device itself.
const NO_QUANTITY: [&str; 4] = ["last_seen", "device", "update", "elapsed"];

pub(super) fn read(message: &Message<'_>, rows: &mut Rows) -> Result<(), &'static str> {
    // A friendly name may itself have levels.
    let (_, name) = message.topic.split_once('/').ok_or("its topic has one level only")?;
    let last = name.rsplit('/').next().unwrap_or(name);
    if name == "bridge" || name.starts_with("bridge/") || (OTHERS.contains(&last) && last != name) {
        return Ok(());
    }
    rows.device = Some(name.to_owned());
    // `advanced.last_seen`: ISO_8601, ISO_8601_local with its distance from UTC, or epoch in milliseconds.
    rows.taken = match message.body.get("last_seen") {
        Some(Value::String(text)) => instant(text),
        Some(Value::Number(number)) => {
            number.as_i64().and_then(|millis| millis.checked_mul(1_000)).map(Timestamp)
        }
        _ => None,
    };
    for (field, value) in message.body.iter().filter(|(name, _)| !NO_QUANTITY.contains(&name.as_str())) {
        rows.walk(&mut vec![field.into()], value, &|_, quantity| unit(quantity).map(Into::into));
    }
    Ok(())
}

/// `voltage` is missing on purpose: it is mV of a battery and V of the mains.
fn unit(quantity: &str) -> Option<&'static str> {
    Some(match quantity {
        "temperature" | "device_temperature" | "local_temperature" => "°C",
        "humidity" | "battery" | "soil_moisture" => "%",
        "pressure" => "hPa",
        "illuminance_lux" => "lx",
        "co2" => "ppm",
        "pm25" => "µg/m³",
        "power" => "W",
        "current" => "A",
        "energy" => "kWh",
        "linkquality" => "lqi",
        _ => return None,
    })
}
