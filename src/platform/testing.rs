//! Every platform as it can be configured, and a bridge for it to speak of: for its tests and the fuzzer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::*;
use crate::reading::{Clock, Publish, Timestamp, Value, ValueKind};

/// Options with which a platform can be configured: the least, and as much as there is.
pub(super) fn cases() -> Vec<(&'static str, Json)> {
    vec![
        ("aws-iot", json!({})),
        (
            "aws-iot",
            json!({"thing": "pi-2", "shadow": "climate", "shadow_interval": "1m", "shadow_content": "states", "restore": true, "rate": 100}),
        ),
        ("aws-iot", json!({"shadow": true})),
        ("azure-iot-hub", json!({"hub": "contoso"})),
        (
            "azure-iot-hub",
            json!({"hub": "contoso.azure-devices.net", "device": "pi-2", "messages": "sample", "properties": {"a": "b"}, "restore": true}),
        ),
        ("custom", json!({"payload": "{\"t\":{value},\"ts\":{ts_ms}}"})),
        ("custom", json!({"payload": "{readings}", "reading": "{id:raw} {value:raw}", "separator": "\n"})),
        ("home-assistant", json!({})),
        (
            "home-assistant",
            json!({
                "discovery_prefix": "ha/discovery", "node_id": "node-1", "device_name": "Greenhouse", "area": "Garden",
                "birth_topic": "ha/status", "birth_payload": "up", "configuration_url": "http://pi.local:8080",
            }),
        ),
        ("influx", json!({})),
        (
            "influx",
            json!({"measurement": "{quantity}", "tags": {"site": "{location}", "lat": "{latitude}"}, "precision": "ms"}),
        ),
        ("senml", json!({})),
        ("senml", json!({"base_name": "urn:dev:ow:10e2073a01080063:"})),
        ("sparkplug-b", json!({"group": "Greenhouses"})),
        ("sparkplug-b", json!({"group": "Greenhouses", "node": "Pi 4", "primary_host": "scada"})),
        ("thingsboard", json!({})),
        (
            "thingsboard",
            json!({"client_id": "pi-2", "keys": "{quantity}_{sensor}", "max_payload": 100_000, "restore": true}),
        ),
        ("watson-iot", json!({"organization": "quickstart", "device_type": "pi"})),
        ("watson-iot", json!({"organization": "x1y2z3", "device_type": "pi"})),
        (
            "watson-iot",
            json!({
                "organization": "x1y2z3",
                "device_type": "pi",
                "device_id": "greenhouse",
                "event": "{sensor}-{quantity}",
                "managed": {
                    "lifetime": "1d",
                    "device_info": {"serial_number": "7", "model": "Pi 5", "fw_version": "1"},
                    "metadata": {"room": "greenhouse"},
                    "reboot": ["/usr/bin/systemctl", "reboot"],
                    "factory_reset": ["/usr/local/bin/reset"],
                    "diagnostics": true,
                    "unmanage_on_exit": true,
                },
            }),
        ),
    ]
}

pub(super) fn configured() -> impl Iterator<Item = (&'static PlatformKind, Arc<dyn Platform>)> {
    cases().into_iter().map(|(name, options)| {
        let kind = find(name).unwrap_or_else(|| panic!("{name} is no platform"));
        let options = options.as_object().cloned().unwrap_or_default();
        let platform = (kind.configure)(&options, "greenhouse-pi");
        (kind, platform.unwrap_or_else(|problems| panic!("{name}: {problems:?}")))
    })
}

/// A channel with the topic and format that the platform lays down.
pub(super) fn channel(rules: &Rules, sensor: &str, quantity: &str, unit: &str, kind: ValueKind) -> Channel {
    let template = rules.topic.as_deref().unwrap_or("castel/{device}/{sensor}/{quantity}");
    let topic = template.replace("{device}", "greenhouse-pi").replace("{sensor}", sensor);
    let shape = if template.contains("{quantity}") { Shape::Quantity } else { Shape::Sample };
    Channel {
        device: "greenhouse-pi".to_owned(),
        sensor: sensor.into(),
        quantity: quantity.into(),
        unit: unit.to_owned(),
        kind,
        publish: Some(Publish {
            topic: topic.replace("{quantity}", quantity),
            late_topic: None,
            qos: Qos::AtLeastOnce.min(rules.max_qos.unwrap_or(Qos::ExactlyOnce)),
            retain: false,
            shape,
            format: rules.format.clone(),
            buffer: true,
        }),
        place: Some(Place { latitude: Some(47.59), longitude: Some(0.91), ..Place::default() }),
    }
}

/// A reading of that channel at 2026-11-20T07:00:00.123456Z.
pub(super) fn logged(row: i64, channel: Channel, value: Value) -> Logged {
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

/// A sample of all kinds of values.
pub(super) fn sample(rules: &Rules) -> Vec<Logged> {
    let one = |row, quantity, unit, value: Value| {
        logged(row, channel(rules, "air", quantity, unit, value.kind()), value)
    };
    vec![
        one(7, "temperature", "°C", Value::Float(21.4)),
        one(8, "count", "", Value::Integer(i64::MAX)),
        one(9, "dark", "", Value::Bool(true)),
        one(10, "state", "", Value::Text("failed: \"i2c-1\"\n0x76, é=1".into())),
    ]
}

/// What a platform may know of a bridge with a sensor, an output that is on or off and one that is not.
pub(super) fn about(rules: &Rules) -> Arc<About> {
    let latest = sample(rules);
    let output = |id: &str, percent| OutputAbout {
        id: id.into(),
        percent,
        level: match percent {
            None => channel(rules, id, "on", "", ValueKind::Bool),
            Some(_) => channel(rules, id, "level", "%", ValueKind::Float),
        },
        state: channel(rules, id, "state", "", ValueKind::Text),
        commandable: true,
    };
    Arc::new(About {
        device: "greenhouse-pi".to_owned(),
        place: Some(Place {
            name: Some("Greenhouse 2".to_owned()),
            latitude: Some(47.59),
            longitude: Some(0.91),
            altitude: None,
        }),
        version: "0.1.0",
        status_topic: (!rules.no_status).then(|| "castel/greenhouse-pi/status".to_owned()),
        sensors: vec![SensorAbout {
            id: "air".into(),
            driver: "bme280",
            interval: Duration::from_secs(10),
            quantities: vec![
                (
                    channel(rules, "air", "temperature", "°C", ValueKind::Float),
                    Some(Duration::from_secs(600)),
                ),
                (channel(rules, "air", "count", "", ValueKind::Integer), None),
                (channel(rules, "air", "dark", "", ValueKind::Bool), None),
            ],
            state: channel(rules, "air", "state", "", ValueKind::Text),
        }],
        outputs: vec![output("fan", None), output("vent", Some((10.0, 90.0)))],
        actions: vec![("read", None), ("interval", Some("air".into())), ("status", None)],
        latest: Box::new(move || latest.clone()),
        ordered: Box::new(|_| (None, false)),
    })
}

/// So long after the start, µs.
pub(super) fn moment(since_boot: i64) -> Moment {
    Moment { wall: Timestamp(1_795_158_000_000_000 + since_boot), since_boot, clock: Clock::Synced }
}
