//! Overrides from the environment.

use std::time::Duration;

use super::*;
use crate::config::MqttVersion;
use crate::reading::Qos;

const YAML: &str = "
device: {id: pi}
mqtt: {url: \"mqtt://file\", qos: 0}
sensors:
  - {id: air, driver: bme280, bus: i2c-1}
  - {id: Pa-Nel, driver: panel, quantities: {Door: {change: any}}}
mirror:
  - {topics: [a], to: sqlite}
";

#[test]
fn overrides_take_the_type_that_is_wanted() {
    let config = read_env(
        YAML,
        &[
            ("SENSOR_BRIDGE__MQTT__URL", "mqtts://env:1"),
            ("SENSOR_BRIDGE__MQTT__USERNAME", "007"),
            ("SENSOR_BRIDGE__MQTT__PASSWORD", "12345"),
            ("SENSOR_BRIDGE__MQTT__QOS", "2"),
            ("SENSOR_BRIDGE__MQTT__RETAIN", "true"),
            ("SENSOR_BRIDGE__MQTT__VERSION", "5"),
            ("SENSOR_BRIDGE__MQTT__KEEP_ALIVE", "1m"),
            ("SENSOR_BRIDGE__DEVICE__LOCATION__LATITUDE", "47"),
            ("SENSOR_BRIDGE__DEVICE__LOCATION__LONGITUDE", "0.5"),
            ("SENSOR_BRIDGE__SENSORS__AIR__ADDRESS", "0x77"),
            ("SENSOR_BRIDGE__SENSORS__0__INTERVAL", "1s"),
            ("SENSOR_BRIDGE__SENSORS__PA_NEL__QUANTITIES__DOOR__CHANGE", "always"),
            ("SENSOR_BRIDGE__SENSORS__PA_NEL__QUANTITIES__COUNT", "{\"change\": 5}"),
            ("SENSOR_BRIDGE__MIRROR__0__TOPICS", "[\"b/#\"]"),
            ("SENSOR_BRIDGE__LOG__PATH", ""),
            ("SENSOR_BRIDGE_CONFIG", "/else"),
            ("HOME", "/root"),
        ],
    )
    .unwrap()
    .config;
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!(mqtt.broker.to_string(), "mqtts://env:1");
    let credentials = mqtt.credentials.as_ref().unwrap();
    assert_eq!((credentials.username.as_str(), &credentials.password), ("007", &fixed("12345")));
    assert_eq!((mqtt.version, mqtt.keep_alive), (MqttVersion::V5, Duration::from_secs(60)));
    let publish = config.sensors[0].state.publish.as_ref().unwrap();
    assert_eq!((publish.qos, publish.retain), (Qos::ExactlyOnce, true));
    assert_eq!(config.device.place.as_ref().unwrap().latitude, Some(47.0));
    assert_eq!(config.sensors[0].interval, Duration::from_secs(1));
    assert_eq!(config.sensors[0].driver.attachment(), Attachment::I2c { bus: "i2c-1".into(), address: 0x77 });
    let panel = &config.sensors[1];
    assert_eq!(panel.quantities[0].filter.change, crate::config::Change::Always);
    assert_eq!(panel.quantities[1].filter.change, crate::config::Change::Absolute(5.0));
    assert_eq!(config.mirrors[0].topics, ["b/#"]);
    assert_eq!(config.log.path.to_str(), Some("/var/lib/sensor-bridge/bridge.db"));
}

#[test]
fn what_means_nothing_names_its_variable() {
    for (name, text, expected) in [
        (
            "SENSOR_BRIDGE__MQTT__ULR",
            "x",
            "SENSOR_BRIDGE__MQTT__ULR: there is no key \"ulr\" in mqtt; did you mean \"url\"?",
        ),
        (
            "SENSOR_BRIDGE__MQQT__URL",
            "x",
            "SENSOR_BRIDGE__MQQT__URL: there is no key \"mqqt\" at the top; did you mean \"mqtt\"?",
        ),
        (
            "SENSOR_BRIDGE__MQTT__QOS",
            "7",
            "SENSOR_BRIDGE__MQTT__QOS: mqtt.qos: must be between 0 and 2, not 7",
        ),
        (
            "SENSOR_BRIDGE__MQTT__QOS",
            "high",
            "SENSOR_BRIDGE__MQTT__QOS: mqtt.qos: expected a whole number such as 2, found the text \"high\"",
        ),
        ("SENSOR_BRIDGE__MQTT__URL__X", "1", "SENSOR_BRIDGE__MQTT__URL__X: mqtt.url has no keys below it"),
        (
            "SENSOR_BRIDGE__SENSORS__7__INTERVAL",
            "1s",
            "sensors has no item \"7\"; name it by its id or by its position",
        ),
        ("SENSOR_BRIDGE__SENSORS__EAST__INTERVAL", "1s", "sensors has no item \"EAST\""),
        ("SENSOR_BRIDGE__SENSORS__AIR__INVERT", "true", "there is no key \"invert\" in sensors[0]"),
        (
            "SENSOR_BRIDGE__SENSORS__AIR__INTERVAL",
            "10",
            "SENSOR_BRIDGE__SENSORS__AIR__INTERVAL: sensors[0].interval: \"10\" has no unit of time; write \"10s\"",
        ),
        ("SENSOR_BRIDGE__SENSORS", "air", "wants a list or map, written as JSON"),
        ("SENSOR_BRIDGE__MIRROR__0__TOPICS", "[a", "is not valid JSON"),
        (
            "SENSOR_BRIDGE__MQTT__RETAIN",
            "yes",
            "mqtt.retain: expected true or false such as true, found the text \"yes\"; write true",
        ),
        ("SENSOR_BRIDGE__DEVICE__ID", "a\u{fffd}", "is not Unicode text"),
        ("SENSOR_BRIDGE__", "x", "there is no key"),
    ] {
        let problems = read_env(YAML, &[(name, text)]).unwrap_err();
        assert_eq!(problems.list.len(), 1, "{problems}");
        assert!(problems.to_string().contains(expected), "{name}: {problems}");
        assert!(problems.to_string().starts_with("SENSOR_BRIDGE__"), "{problems}");
    }
}

#[test]
fn a_wrong_password_is_not_repeated() {
    let problems = read_env(YAML, &[("SENSOR_BRIDGE__MQTT__PASSWORD", "geheim")]).unwrap_err().to_string();
    assert!(problems.contains("username") && !problems.contains("geheim"), "{problems}");
    for yaml in [
        "mqtt: {url: \"mqtt://b\", username: u, password: [geheim]}",
        "mqtt: {url: \"mqtt://b\", username: u, password: 4711}",
    ] {
        let problems = read(&format!("{yaml}\n{SENSOR}")).unwrap_err().to_string();
        assert!(
            problems.contains("mqtt.password") && !problems.contains("geheim") && !problems.contains("4711"),
            "{problems}"
        );
    }
}
