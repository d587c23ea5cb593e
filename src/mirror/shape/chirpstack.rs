//! ChirpStack v4, JSON (chirpstack.io, "Integrations", "Event types"): `application/<id>/device/<DevEUI>/event/<event>`.
//! Readings are what the codec made of the payload (`object`), how well each gateway heard it (`rxInfo`), and of a
//! `status` event battery and margin. Protobuf is not read.

use std::borrow::Cow;

use serde_json::Value;

use super::{Message, Rows, instant};

/// Longest id that is taken for one, bytes; a UUID has 36.
const LONGEST_ID: usize = 64;

pub(super) fn read(message: &Message<'_>, rows: &mut Rows) -> Result<(), &'static str> {
    let body = message.body;
    let device = body.get("deviceInfo").and_then(|info| info.get("devEui")?.as_str());
    rows.device = Some(device.ok_or("deviceInfo.devEui is missing")?.to_owned());
    rows.taken = body.get("time").and_then(|time| instant(time.as_str()?));
    let id = body.get("deduplicationId").and_then(|id| id.as_str());
    let sound = |id: &&str| {
        (1..=LONGEST_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    rows.id = id.filter(sound).map(str::to_owned);

    match body.get("object") {
        Some(object) if !object.is_null() => rows.walk(&mut Vec::new(), object, &|_, _| None),
        // Without a codec in the device profile there is none.
        _ if body.contains_key("data") => rows.missing += 1,
        _ => {}
    }
    for gateway in body.get("rxInfo").and_then(|list| list.as_array()).into_iter().flatten() {
        let name = gateway.get("gatewayId").and_then(|name| name.as_str()).map(str::to_owned);
        for (field, unit) in [("rssi", "dBm"), ("snr", "dB")] {
            if let Some(value) = gateway.get(field).filter(|value| value.is_number()) {
                rows.push(name.clone(), field, value, Some(Cow::Borrowed(unit)));
            }
        }
    }
    // The network server writes a level of 0 where the device has told of none.
    let says = |field: &str| body.get(field).and_then(Value::as_bool) == Some(true);
    let no_level = says("externalPowerSource") || says("batteryLevelUnavailable");
    for (field, unit) in [("margin", "dB"), ("batteryLevel", "%")] {
        if let Some(value) = body.get(field).filter(|value| value.is_number()) {
            let value = if no_level && field == "batteryLevel" { &Value::Null } else { value };
            rows.push(None, field, value, Some(Cow::Borrowed(unit)));
        }
    }
    Ok(())
}
