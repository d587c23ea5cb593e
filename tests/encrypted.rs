//! An encrypted log through the real binary: nothing of it can be read without the key, everything with it. Needs the
//! feature `sqlcipher` (`make test-sqlcipher`).

#![cfg(feature = "sqlcipher")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Mosquitto, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Words of which none may stand in the log: device, sensor, quantity, topics, place, a table of the user's.
const WORDS: [&str; 7] =
    ["annas-bedroom", "wardrobe", "temperature", "castel/", "Greenhouse Two", "climate", "CREATE TABLE"];

/// What can be read of the files of the log.
fn in_the_clear(folder: &Path) -> Vec<&'static str> {
    let files = ["bridge.db", "bridge.db-wal", "bridge.db-shm", "bridge.db-journal", "copy.db"];
    let bytes: Vec<u8> =
        files.iter().flat_map(|file| fs::read(folder.join(file)).unwrap_or_default()).collect();
    let held = |word: &&str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    WORDS.into_iter().filter(held).collect()
}

/// A configuration whose log has the key in `key`, or none.
fn config(folder: &Path, broker: &Mosquitto, key: Option<&str>) -> String {
    for (name, digit) in [("log.key", "1f"), ("other.key", "2e")] {
        fs::write(folder.join(name), format!("{}\n", digit.repeat(32))).unwrap();
    }
    let key = key.map_or(String::new(), |key| format!(", key_file: {key}"));
    format!(
        "device: {{ id: annas-bedroom, location: {{ name: Greenhouse Two }} }}
log: {{ path: {}/bridge.db{key} }}
mqtt: {{ url: \"{}\", topic: \"castel/{{device}}/{{sensor}}/{{quantity}}\" }}
sensors: [{{ id: wardrobe, driver: bme280, bus: sim-1, interval: 20ms, quantities: {{ temperature: {{ change: always }} }} }}]
mirror: [{{ topics: [\"castel/+/+/temperature\"], to: sqlite, table: climate, columns: {{ value: real }} }}]
",
        folder.display(),
        broker.url()
    )
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Answers of a query, as JSON lines.
#[track_caller]
fn query(bridge: &Bridge, arguments: &[&str]) -> Vec<Value> {
    let output = bridge.run(&[&["query", "--format", "jsonl"], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn number(bridge: &Bridge, sql: &str) -> i64 {
    query(bridge, &["--sql", sql])[0].as_object().unwrap().values().next().unwrap().as_i64().unwrap()
}

const ROWS: &str = "SELECT count(*) AS n FROM readings";

/// How many messages have been mirrored; 0 as long as there is no log.
fn mirrored(bridge: &Bridge) -> i64 {
    let output = bridge.run(&["query", "--format", "jsonl", "--sql", "SELECT count(*) AS n FROM climate"]);
    let row: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    row.and_then(|row| row["n"].as_i64()).unwrap_or(0)
}

/// Runs until readings have been taken and mirrored.
fn fill(bridge: &mut Bridge) {
    let before = mirrored(bridge);
    bridge.resume();
    wait_until(SOON, "readings are mirrored", || mirrored(bridge) > before + 20);
}

fn files(folder: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let names = ["bridge.db", "bridge.db-wal"];
    names.into_iter().filter_map(|name| Some((name, fs::read(folder.join(name)).ok()?))).collect()
}

#[test]
fn nothing_can_be_read_without_the_key_and_everything_with_it() {
    let broker = Mosquitto::start();
    let mut plain = Bridge::prepare(|folder| config(folder, &broker, None));
    fill(&mut plain);
    assert_eq!(in_the_clear(plain.folder()), WORDS, "else the test could not fail");
    drop(plain);

    let mut bridge = Bridge::prepare(|folder| config(folder, &broker, Some("log.key")));
    fill(&mut bridge);
    assert!(fs::metadata(bridge.folder().join("bridge.db-wal")).unwrap().len() > 0);
    assert_eq!(in_the_clear(bridge.folder()), [] as [&str; 0], "while it runs");
    // Killed, recovered, and left in order.
    bridge.kill();
    assert_eq!(in_the_clear(bridge.folder()), [] as [&str; 0], "after a crash");
    fill(&mut bridge);
    let copy = bridge.folder().join("copy.db").display().to_string();
    let copied = bridge.run(&["backup", &copy]);
    assert!(copied.status.success(), "{}", said(&copied));
    for arguments in [
        &["tail", "-n", "1"][..],
        &["export", "--sensor", "wardrobe"],
        &["buffer", "status"],
        &["plot", "wardrobe.temperature"],
        &["verify"],
    ] {
        let output = bridge.run(arguments);
        // That of `verify` is a matter of what is under way just now.
        assert!(
            output.status.success() || arguments == ["verify"] && !said(&output).contains("encrypted"),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    assert_eq!(in_the_clear(bridge.folder()), [] as [&str; 0], "at rest, and the backup");
    let all = number(&bridge, ROWS);
    assert!(all > 20);
    let in_copy = query(&bridge, &["--database", &copy, "--sql", ROWS])[0]["n"].as_i64().unwrap();
    assert!(in_copy > 20 && in_copy <= all);
    let doctor = said(&bridge.run(&["doctor"]));
    assert!(doctor.contains("log") && doctor.contains("whole"), "{doctor}");
    let key = fs::read_to_string(bridge.folder().join("log.key")).unwrap();
    assert!(!bridge.stderr().contains(key.trim()));
}

#[test]
fn a_wrong_key_or_none_changes_nothing() {
    let broker = Mosquitto::start();
    let mut bridge = Bridge::prepare(|folder| config(folder, &broker, Some("log.key")));
    fill(&mut bridge);
    // With a WAL that waits.
    bridge.kill();
    let before = files(bridge.folder());
    assert_eq!(before.len(), 2);
    for (key, words) in [
        (Some("other.key"), "the key in log.key_file does not open it"),
        (None, "encrypted; name the file with its key as log.key_file"),
    ] {
        bridge.configure(&config(bridge.folder(), &broker, key));
        for arguments in [&["run"][..], &["query"], &["backup", "no.db"], &["import", "nothing.csv"]] {
            let output = bridge.run(arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
            assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
        }
        assert!(files(bridge.folder()) == before, "{key:?}");
    }
    let names: Vec<String> = fs::read_dir(bridge.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.contains("corrupt") || name.starts_with("no.db")), "{names:?}");
    for (text, words) in
        [("short", "does not hold a key of 64"), (&"g".repeat(64), "does not hold a key of 64")]
    {
        fs::write(bridge.folder().join("bad.key"), text).unwrap();
        bridge.configure(&config(bridge.folder(), &broker, Some("bad.key")));
        let output = bridge.run(&["check"]);
        assert!(output.status.code() == Some(78) && said(&output).contains(words), "{}", said(&output));
    }
    // And with the right one it goes on.
    bridge.configure(&config(bridge.folder(), &broker, Some("log.key")));
    let rows = number(&bridge, ROWS);
    fill(&mut bridge);
    assert!(bridge.terminate().success());
    assert!(number(&bridge, ROWS) > rows);
}

#[test]
fn a_log_there_is_becomes_an_encrypted_one_and_back() {
    let broker = Mosquitto::start();
    let mut bridge = Bridge::prepare(|folder| config(folder, &broker, None));
    fill(&mut bridge);
    assert!(bridge.terminate().success());
    let state = "SELECT count(*) || ' ' || sum(id) || ' ' || (SELECT count(*) FROM messages) || ' ' || (SELECT sum(value) FROM climate)
                 || ' ' || (SELECT cursor FROM progress) || ' ' || (SELECT count(*) FROM rollup) AS n FROM readings";
    let rows = |arguments: &[&str]| query(&bridge, &[arguments, &["--sql", state]].concat());
    let (before, schema) = (
        rows(&[]),
        "SELECT group_concat(type || name || coalesce(sql, ''), ';' ORDER BY name) AS n FROM sqlite_schema",
    );
    let tables = query(&bridge, &["--sql", schema]);

    // A key for a log that is not encrypted is no licence to begin a new one.
    bridge.configure(&config(bridge.folder(), &broker, Some("log.key")));
    let bytes = files(bridge.folder());
    let refused = bridge.run(&["run"]);
    assert!(
        refused.status.code() == Some(1) && said(&refused).contains("not encrypted"),
        "{}",
        said(&refused)
    );
    assert!(files(bridge.folder()) == bytes);

    bridge.configure(&config(bridge.folder(), &broker, None));
    let run = |arguments: &[&str]| {
        let output = bridge.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    };
    run(&["backup", "--encrypt", "log.key", "copy.db"]);
    bridge.configure(&config(bridge.folder(), &broker, Some("log.key")));
    assert_eq!(rows(&["--database", "copy.db"]), before);
    assert_eq!(query(&bridge, &["--database", "copy.db", "--sql", schema]), tables);
    // The plain one can be read beside it, with the same configuration.
    assert_eq!(rows(&["--database", "bridge.db"]), before);
    for name in ["bridge.db", "bridge.db-wal", "bridge.db-shm"] {
        fs::remove_file(bridge.folder().join(name)).ok();
    }
    fs::rename(bridge.folder().join("copy.db"), bridge.folder().join("bridge.db")).unwrap();
    assert_eq!(in_the_clear(bridge.folder()), [] as [&str; 0]);
    assert_eq!(rows(&[]), before);

    // Another key, then none.
    run(&["backup", "--encrypt", "other.key", "other.db"]);
    run(&["backup", "--decrypt", "plain.db"]);
    assert_eq!(rows(&["--database", "plain.db"]), before);
    assert_eq!(&fs::read(bridge.folder().join("plain.db")).unwrap()[..15], b"SQLite format 3");
    bridge.configure(&config(bridge.folder(), &broker, Some("other.key")));
    assert_eq!(rows(&["--database", "other.db"]), before);
    bridge.configure(&config(bridge.folder(), &broker, Some("log.key")));

    // What was encrypted goes on where it was.
    let first = number(&bridge, "SELECT max(id) AS n FROM readings");
    fill(&mut bridge);
    assert!(bridge.terminate().success());
    assert!(number(&bridge, "SELECT max(id) AS n FROM readings") > first);
    assert_eq!(in_the_clear(bridge.folder()), [] as [&str; 0]);
}
