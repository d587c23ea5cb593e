//! `sensor-bridge doctor` as a person runs it, with a real mosquitto.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Mosquitto, wait_until};

fn prepare(url: &str, rest: &str) -> Bridge {
    Bridge::prepare(|folder| {
        format!(
            "device: {{ id: bench }}\nlog: {{ path: {}/bridge.db }}\nmqtt: {{ url: \"{url}\" }}\n\
             sensors:\n  - {{ id: wave, driver: sim, scenario: sine, interval: 100ms }}\n{rest}",
            folder.display()
        )
    })
}

fn examine(bridge: &Bridge) -> (Output, Value) {
    let output = bridge.run(&["doctor", "--json"]);
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output, json)
}

fn about<'a>(json: &'a Value, name: &str) -> &'a Value {
    let checks = json["checks"].as_array().unwrap();
    checks.iter().find(|check| check["about"] == name).unwrap_or_else(|| panic!("no {name} in {json:#}"))
}

#[test]
fn a_bridge_that_runs_well_is_well_and_is_not_disturbed() {
    let broker = Mosquitto::start();
    let mut bridge = prepare(&broker.url(), "");
    bridge.resume();
    wait_until(Duration::from_secs(20), "connected", || bridge.stderr().contains("publisher: ok"));
    let (_, json) = examine(&bridge);
    for name in ["configuration", "broker", "log"] {
        assert_eq!(about(&json, name)["state"], "well", "{json:#}");
    }
    // Under the bridge's own client id it would have been thrown out.
    assert!(!bridge.stderr().contains("connection lost"), "{}", bridge.stderr());
}

#[test]
fn what_is_wrong_is_found_with_remedies_and_an_exit_code() {
    let broker = Mosquitto::start();
    let url = broker.url();
    drop(broker);
    let bridge = prepare(&url, "  - { id: air, driver: bme280, bus: i2c-251 }\n");
    let (output, json) = examine(&bridge);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json["well"], false);
    for (name, what) in
        [("broker", "connection refused"), ("i2c-251", "no /dev/i2c-251 (for air)"), ("log", "no such log")]
    {
        let check = about(&json, name);
        assert_eq!(check["state"], "trouble", "{check}");
        assert!(check["what"].as_str().unwrap().contains(what), "{check}");
        assert!(!check["remedy"].as_str().unwrap().is_empty());
    }
    let plain = bridge.run(&["doctor"]);
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(text.contains("TROUBLE") && text.contains("→") && text.contains("troubles found"), "{text}");
}

#[test]
fn a_wrong_configuration_does_not_end_the_search() {
    let air = "  - { id: air, driver: bme280, bus: i2c-251 }\n  - { id: light, driver: bh1750, buss: i2c-1 }\nsensrs: []\n";
    let bridge = prepare("mqtt://127.0.0.1", air);
    let (output, json) = examine(&bridge);
    assert_eq!(output.status.code(), Some(1));
    let checks = json["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["what"].as_str().unwrap().contains("sensrs")).unwrap();
    assert_eq!(check["about"], "configuration");
    assert!(check["remedy"].as_str().unwrap().contains("did you mean"), "{check}");
    // What could be understood is looked at: the sensors that are right, the clock, the log and its disk.
    assert!(about(&json, "i2c-251")["what"].as_str().unwrap().contains("for air"), "{json:#}");
    for name in ["clock", "disk", "log"] {
        about(&json, name);
    }
    assert!(about(&json, "log")["what"].as_str().unwrap().contains("no such log"), "{json:#}");
    let broker = about(&json, "broker");
    assert_eq!(broker["state"], "unknown");
    assert!(broker["what"].as_str().unwrap().contains("the configuration has to be right first"), "{broker}");
}

#[test]
fn what_is_no_yaml_at_all_leaves_the_machine_to_look_at() {
    let bridge = prepare("mqtt://127.0.0.1", "");
    bridge.configure("sensors:\n\t- {");
    let (output, json) = examine(&bridge);
    assert_eq!(output.status.code(), Some(1));
    for name in ["configuration", "clock", "supply", "disk", "broker"] {
        about(&json, name);
    }
}

#[test]
fn credentials_that_the_broker_refuses() {
    let broker = Mosquitto::with("allow_anonymous false");
    let bridge = prepare(&broker.url(), "");
    let (_, json) = examine(&bridge);
    let check = about(&json, "broker");
    assert!(check["what"].as_str().unwrap().contains("not authorised"), "{check}");
    assert!(check["remedy"].as_str().unwrap().contains("mqtt.username"), "{check}");
}
