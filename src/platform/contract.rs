//! What every platform keeps to, whatever its protocol: one suite over the whole table.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::reading::{Clock, Publish, Timestamp, Value, ValueKind};

/// Options with which a platform can be configured: the least, and as much as there is.
fn cases() -> Vec<(&'static str, Json)> {
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

fn configured() -> impl Iterator<Item = (&'static PlatformKind, Arc<dyn Platform>)> {
    cases().into_iter().map(|(name, options)| {
        let kind = find(name).unwrap();
        (kind, (kind.configure)(options.as_object().unwrap(), "greenhouse-pi").unwrap())
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

#[test]
fn every_platform_stands_in_the_suite_and_describes_its_options() {
    for kind in registry() {
        assert!(cases().iter().any(|(name, _)| *name == kind.name), "{} is missing in cases()", kind.name);
        let schema = (kind.options)();
        let text = schema.to_string();
        assert!(!text.contains("$ref") && !text.contains("$defs"), "{text}");
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{}.{key} is not described", kind.name);
        }
        let unknown = Map::from_iter([("colour".to_owned(), json!("red"))]);
        let problems = (kind.configure)(&unknown, "d").unwrap_err();
        assert!(problems.iter().any(|problem| problem.key == "colour"), "{}: {problems:?}", kind.name);
    }
    let mut names: Vec<_> = registry().iter().map(|kind| kind.name).collect();
    names.dedup();
    assert_eq!(names.len(), registry().len());
    assert!(names.is_sorted(), "by name: {names:?}");
}

#[test]
fn what_is_configured_keeps_its_own_rules() {
    for (kind, platform) in configured() {
        assert_eq!(platform.name(), kind.name);
        let rules = platform.rules();
        if let Some(format) = &rules.format {
            assert!(find(format.name()).is_some_and(|kind| kind.format.is_some()), "{format:?}");
        }
        let sample = sample(&rules);
        let (mut buffer, mut again) = (b"left over".to_vec(), Vec::new());
        let message = match sample[0].channel.publish.as_ref().unwrap().shape {
            Shape::Sample => &sample[..],
            _ => &sample[..1],
        };
        write(&mut buffer, message, false);
        write(&mut again, message, false);
        assert!(!buffer.is_empty() && buffer == again, "{}", kind.name);
        assert!(rules.max_payload.is_none_or(|most| buffer.len() < most));
        if rules.alone {
            assert!(rules.client_id.is_some(), "{}: which identity?", kind.name);
        }
    }
}

#[test]
fn dialogues_begin_anew_on_each_connection_and_say_nothing_above_qos_1() {
    for (kind, platform) in configured() {
        let Some(mut dialogue) = platform.dialogue(&about(&platform.rules())) else { continue };
        let says = |acts: &[Act]| acts.iter().filter(|act| matches!(act, Act::Say(_))).count();
        dialogue.will();
        let first = dialogue.connected(moment(0));
        dialogue.will();
        let second = dialogue.connected(moment(1_000_000));
        assert_eq!(says(&first), says(&second), "{}", kind.name);
        for act in first.iter().chain(&second) {
            if let Act::Say(say) = act {
                assert!(
                    say.qos <= Qos::AtLeastOnce && !say.topic.is_empty() && !say.topic.contains(['+', '#'])
                );
                assert!(!platform.rules().no_retain || !say.retain, "{}: {say:?}", kind.name);
            }
        }
        for filter in dialogue.filters() {
            assert!(!filter.is_empty() && !filter.contains('\0'));
        }
    }
}

/// A topic that one of these filters lets through, or any.
fn topic(filters: Vec<String>) -> impl Strategy<Value = String> {
    let filters = if filters.is_empty() { vec!["a/#".to_owned()] } else { filters };
    (prop::sample::select(filters), "[a-z0-9+/$?=&]{0,12}", any::<bool>())
        .prop_map(|(filter, text, fits)| if fits { filter.replace(['+', '#'], &text) } else { text })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        ".{0,64}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "{}",
            "[]",
            "null",
            "{\"d\":null}",
            "{\"d\":{\"fields\":[{\"field\":7}]},\"reqId\":[]}",
            "{\"method\":\"set\",\"params\":[]}",
            "{\"desired\":{\"fan\":{\"on\":1e999}}}",
            "{\"state\":{\"fan\":[]}}",
            "online",
            "ON",
            "-1",
            "1e999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        // Sparkplug: a rebirth, and a metric that is on.
        Just(b"\x08\x01\x12\x18\x0a\x14Node Control/Rebirth\x70\x01".to_vec()),
        Just(b"\x08\x01\x12\x06\x0a\x02on\x70\x01".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever comes in, a dialogue neither panics, nor answers with a flood, nor orders what our commands do not know.
    #[test]
    fn nonsense_is_borne(seed: prop::sample::Index, rounds in prop::collection::vec((any::<prop::sample::Index>(), payload(), any::<bool>()), 1..12)) {
        let all: Vec<_> = configured().collect();
        let (kind, platform) = &all[seed.index(all.len())];
        if let Some(mut dialogue) = platform.dialogue(&about(&platform.rules())) {
            let most = 100 + dialogue.connected(moment(0)).len();
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            for (time, (_, payload, retained)) in (1..).zip(&rounds) {
                let topic = topic(dialogue.filters()).new_tree(&mut runner).unwrap().current();
                let now = moment(time * 1_000_000);
                let mut acts = dialogue.heard(Heard { topic: &topic, payload, retained: *retained }, now);
                if dialogue.due().is_some_and(|due| due <= now.since_boot) {
                    acts.extend(dialogue.tick(now));
                }
                prop_assert!(acts.len() <= most, "{}: {} acts", kind.name, acts.len());
                for act in acts {
                    if let Act::Do(order) = act {
                        let outcome = Outcome { rc: 200, message: "done".to_owned(), data: None };
                        dialogue.done(order.tag, &outcome, now);
                    }
                }
            }
        }
    }
}
