//! A recording of values, from the configuration to what a simulated part says of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;

use serde_json::Value;
use support::Bridge;

const COLUMNS: &str = "time,temperature,hPa\n0,-7.25,990\n3600,4,991\n";

/// A bridge whose part replays `day.csv`, which lies beside its configuration.
fn with_recording(text: &str) -> Bridge {
    let bridge = Bridge::prepare(|folder| {
        format!(
            "device: {{ id: bench }}\nlog: {{ path: {}/bridge.db }}\n\
             sensors:\n  - id: air\n    driver: bme280\n    bus: sim-1\n    simulate:\n\
             \x20     temperature: {{ replay: {{ file: day.csv, column: temperature }} }}\n\
             \x20     pressure: {{ replay: {{ file: day.csv, column: hPa, scale: 100 }} }}\n",
            folder.display()
        )
    });
    fs::write(bridge.folder().join("day.csv"), text).unwrap();
    bridge
}

#[test]
fn a_part_shows_what_was_recorded_wherever_the_program_is_started() {
    let bridge = with_recording(COLUMNS);
    let output = bridge.command(&["read", "air", "--json"]).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reading: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (quantity, wanted) in [("temperature", -7.25), ("pressure", 990.0)] {
        let value = reading["quantities"][quantity]["raw"].as_f64().unwrap();
        assert!((value - wanted).abs() < 0.05, "{quantity} {value}");
    }
}

#[test]
fn a_recording_that_is_wrong_or_absent_is_found_by_check() {
    let bridge = with_recording(&COLUMNS.replace("4,991", "four,991"));
    let said = |bridge: &Bridge| {
        let output = bridge.run(&["check"]);
        assert_eq!(output.status.code(), Some(78));
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
    };
    let text = said(&bridge);
    // Which key, where in the configuration, and where in the recording.
    for part in
        ["sensors[0].simulate.temperature", "config.yaml:8", "day.csv, line 3: \"four\" is not a number"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("simulate.pressure"), "{text}");
    fs::remove_file(bridge.folder().join("day.csv")).unwrap();
    let text = said(&bridge);
    assert!(text.contains("simulate.pressure") && text.contains("day.csv cannot be read"), "{text}");
}
