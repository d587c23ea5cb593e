//! Sensors on pins through the real binary: simulated pins that toggle by themselves, a log, a broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Mosquitto, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn config(folder: &Path, mqtt: &str, sensors: &str) -> String {
    format!(
        "device: {{ id: bench }}\nlog: {{ path: {}/bridge.db }}\n{mqtt}sensors:\n{sensors}",
        folder.display()
    )
}

/// A contact that changes five times a second and bounces for 6 ms, read once an hour.
const DOOR: &str = "  - id: door
    driver: digital-input
    pin: 17
    bus: gpio-sim
    interval: 1h
    debounce: 20ms
    simulate: { toggle: 200ms, bounces: 3 }
";

/// The logged readings of a quantity: value and time, in the order logged.
fn logged(bridge: &Bridge, sensor: &str, quantity: &str) -> Vec<(f64, f64)> {
    if !bridge.database_path().exists() {
        return Vec::new();
    }
    let database = bridge.database();
    // The tables come a moment after the file.
    let Ok(mut rows) =
        database.prepare("SELECT value, ts FROM readings WHERE sensor = ?1 AND quantity = ?2 ORDER BY id")
    else {
        return Vec::new();
    };
    rows.query_map([sensor, quantity], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn edges_arrive_at_their_own_time_in_order_and_debounced() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/bench/door/active"], 1);
    let mqtt =
        format!("mqtt: {{ url: \"{}\", topic: \"t/{{device}}/{{sensor}}/{{quantity}}\" }}\n", broker.url());
    let mut bridge = Bridge::start(|folder| config(folder, &mqtt, DOOR));
    let messages = subscriber.wait_for(12, SOON);
    assert!(bridge.terminate().success());

    let rows = logged(&bridge, "door", "active");
    assert!(rows.len() >= 12, "{rows:?}");
    for pair in rows.windows(2) {
        assert_ne!(pair[0].0, pair[1].0, "each reading is a change: {rows:?}");
        assert!(pair[0].1 < pair[1].1, "in order: {rows:?}");
    }
    // The first is the state at the start. From then on the edges' own times, which lie on a grid: however late
    // the bridge heard of an edge, it does not show (but for a step of the wall clock).
    for pair in rows[1..].windows(2) {
        let apart = pair[1].1 - pair[0].1;
        assert!((apart - 0.2).abs() < 0.005, "{apart} s apart: {rows:?}");
    }
    let seen: Vec<Value> =
        messages.iter().map(|message| serde_json::from_str(&message.payload).unwrap()).collect();
    for (payload, (value, _)) in seen.iter().zip(&rows) {
        assert_eq!(payload["value"], Value::Bool(*value == 1.0), "{payload}");
    }
    assert!(seen.windows(2).all(|pair| pair[0]["time"].as_str() < pair[1]["time"].as_str()), "{seen:?}");
}

#[test]
fn min_interval_holds_for_edges_too() {
    let sensor = format!("{DOOR}    quantities: {{ active: {{ change: always, min_interval: 1s }} }}\n");
    let bridge = Bridge::start(|folder| config(folder, "", &sensor));
    wait_until(SOON, "three readings", || logged(&bridge, "door", "active").len() >= 3);
    let rows = logged(&bridge, "door", "active");
    // What was held carries the time of its edge, which may be a toggle before it passed.
    assert!(rows.windows(2).all(|pair| pair[1].1 - pair[0].1 > 0.5), "{rows:?}");
}

/// 25 pulses a second.
const METER: &str =
    "  - { id: water, driver: pulse-counter, pin: 6, bus: gpio-sim, interval: 100ms, per_pulse: 0.5,
      unit: L, per: min, start: 1000, simulate: { toggle: 20ms } }
";

#[test]
fn a_total_goes_on_where_it_was_over_a_restart_and_a_crash() {
    let mut bridge = Bridge::start(|folder| config(folder, "", METER));
    let mut last = 1000.0;
    for crash in [false, true, false] {
        let before = logged(&bridge, "water", "total").len();
        wait_until(SOON, "it counts", || logged(&bridge, "water", "total").len() > before + 5);
        if crash {
            bridge.kill()
        } else {
            assert!(bridge.terminate().success())
        }
        let rows = logged(&bridge, "water", "total");
        let first = rows[before].0;
        assert!(
            (0.0..=1.0).contains(&(first - last)),
            "after {last} it went on with {first} (a pulse may fall between opening and reading)"
        );
        assert!(rows[before..].windows(2).all(|pair| pair[0].0 <= pair[1].0), "{rows:?}");
        last = rows[rows.len() - 1].0;
        assert!(last > first, "{rows:?}");
        bridge.resume();
    }
    wait_until(SOON, "a rate", || !logged(&bridge, "water", "rate").is_empty());
    let rates: Vec<f64> = logged(&bridge, "water", "rate").iter().map(|row| row.0).collect();
    // 25 pulses of half a litre a second; in 100 ms there are two or three of them, or more after a stall.
    assert!(rates.iter().any(|rate| (500.0..=1_100.0).contains(rate)), "{rates:?}");
}

#[test]
fn a_pin_that_this_machine_has_not_is_a_state_and_the_others_go_on() {
    if Path::new("/dev/gpiomem").exists() {
        return; // On a Pi there is such a pin.
    }
    let sensors = format!("  - {{ id: bell, driver: digital-input, pin: 27 }}\n{DOOR}");
    let bridge = Bridge::start(|folder| config(folder, "", &sensors));
    wait_until(SOON, "the reason", || bridge.stderr().contains("sensor bell: failed"));
    assert!(bridge.stderr().contains("To try without one, write bus: gpio-sim"), "{}", bridge.stderr());
    wait_until(SOON, "the door", || logged(&bridge, "door", "active").len() > 3);
}

#[test]
fn a_pin_is_given_once_and_one_that_a_bus_may_need_is_warned_of() {
    let sensors = "  - { id: bell, driver: digital-input, pin: 3 }
  - { id: rain, driver: pulse-counter, pin: 22 }
  - { id: air, driver: dht22, pin: 22 }
  - { id: tank, driver: digital-input, expander: { chip: mcp23017, bus: i2c-1, pin: 1 } }
  - { id: pump, driver: digital-input, expander: { chip: mcp23017, bus: i2c-1, pin: 1 } }
";
    let bridge = Bridge::prepare(|folder| config(folder, "", sensors));
    let output = bridge.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "sensors[2].pin: pin 22 is taken by sensor \"rain\"; each sensor or output has its own pin",
        "sensors[4].expander: pin 1 of the mcp23017 at address 0x20 on i2c-1 is taken by sensor \"tank\"",
    ] {
        assert!(said.contains(expected), "{expected} not in:\n{said}");
    }
    let good = "  - { id: bell, driver: digital-input, pin: 3 }
  - { id: tank, driver: digital-input, expander: { chip: mcp23017, bus: i2c-1, pin: 1 } }
  - { id: pump, driver: digital-input, expander: { chip: mcp23017, bus: i2c-1, pin: 2 } }
";
    bridge.configure(&config(bridge.folder(), "", good));
    let output = bridge.run(&["check"]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("sensors[0].pin: pin 3 belongs to i2c-1"), "{said}");
    assert_eq!(said.matches("warning").count(), 1, "{said}");
}

#[test]
fn read_shows_a_simulated_dht22() {
    let sensors = "  - { id: air, driver: dht22, pin: 4, bus: gpio-sim, simulate: { temperature: { constant: -3.5 } } }\n";
    let bridge = Bridge::prepare(|folder| config(folder, "", sensors));
    let output = bridge.run(&["read", "air"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("air: dht22, pin 4 of gpio-sim") && said.contains("-3.5 °C"), "{said}");
}
