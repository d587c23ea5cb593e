//! A configuration that changes under the real binary: what changed is applied, what did not never notices, and no
//! reading is lost or repeated on the way.
//!
//! The sensors count: a recording of 1, 2, 3 … is read from its beginning whenever the sensor is opened. So a gap or a
//! second beginning is seen in the values, however slow the machine is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod arrival;
mod commands;
mod house;
mod mirrors;
mod outputs;
mod sensors;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
mod web;
mod wrong_file;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use support::{Bridge, Mosquitto, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// A sensor that has nothing to say. In place of all others, reading comes to an end.
const QUIET: &str = "  - { id: quiet, driver: sim, scenario: constant, interval: 1h }\n";

/// What stands at the top of a configuration.
fn head(folder: &Path, mqtt: &str) -> String {
    let numbers = folder.join("numbers.csv");
    if !numbers.exists() {
        let mut text = String::new();
        (1..=100_000).for_each(|number| writeln!(text, "{number}").unwrap());
        std::fs::write(&numbers, text).unwrap();
    }
    format!("device: {{ id: pi }}\nlog: {{ path: {}/bridge.db }}\n{mqtt}", folder.display())
}

fn mqtt(broker: &Mosquitto) -> String {
    format!(
        "mqtt: {{ url: \"{}\", topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}\n",
        broker.url()
    )
}

/// A sensor that counts its readings and logs each.
fn counter(id: &str, interval: &str, more: &str) -> String {
    format!(
        "  - {{ id: {id}, driver: sim, scenario: replay, file: numbers.csv, interval: {interval}{more}, \
         quantities: {{ value: {{ change: always }} }} }}\n"
    )
}

/// Replaces the file, and waits until the bridge says what it did; answers that.
#[track_caller]
fn reload(bridge: &Bridge, config: &str) -> String {
    bridge.configure(config);
    let said = |bridge: &Bridge| -> Vec<String> {
        let all = bridge.stderr();
        let lines = all.lines().filter_map(|line| Some(line.split_once(" reload: ")?.1.trim().to_owned()));
        lines.collect()
    };
    let before = said(bridge).len();
    bridge.signal("HUP");
    wait_until(SOON, "the bridge says what it did", || said(bridge).len() > before);
    said(bridge).pop().unwrap()
}

/// The values of a quantity in the order logged.
fn values(bridge: &Bridge, sensor: &str, quantity: &str) -> Vec<f64> {
    if !bridge.database_path().exists() {
        return Vec::new();
    }
    let database = bridge.database();
    let sql = "SELECT CAST(value AS REAL) FROM readings WHERE sensor = ?1 AND quantity = ?2 ORDER BY id";
    // The tables come a moment after the file.
    let Ok(mut rows) = database.prepare(sql) else { return Vec::new() };
    rows.query_map([sensor, quantity], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The states that a sensor or output has had.
fn states(bridge: &Bridge, sensor: &str) -> Vec<String> {
    let database = bridge.database();
    let sql = "SELECT value FROM readings WHERE sensor = ?1 AND quantity = 'state' ORDER BY id";
    let mut rows = database.prepare(sql).unwrap();
    rows.query_map([sensor], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Nothing is missing, and it has not begun anew.
#[track_caller]
fn assert_goes_on(bridge: &Bridge, sensor: &str) {
    let values = values(bridge, sensor, "value");
    let wrong = values.windows(2).find(|pair| pair[1] != pair[0] + 1.0);
    assert_eq!((values.first(), wrong), (Some(&1.0), None), "{sensor}");
    assert_eq!(states(bridge, sensor), ["ok"], "{sensor}");
}
