//! Somebody who may publish what they like, and a mirror that takes everything: nothing is written outside of the
//! configured paths, no payload and no topic is ever SQL or a second row, every message is kept as it came, and memory
//! stays bounded.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use support::wire::{Packet, Wire};
use support::{Bridge, Mosquitto, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Most memory that the daemon ever had, KiB. It rests at some 15 MiB; of the flood below, 40 MB, it may hold what three
/// mirrors read before they stop, 8 MiB each, and what is made of that.
const MOST_MEMORY: u64 = 160 * 1024;

/// A word that is in no name of a file but by escape.
const CANARY: &str = "kanarienvogel";

/// Topics, each below one that is mirrored. What mosquitto itself refuses (wildcards, control characters) a broker of
/// another make may hand on: `tests/hostile_broker` does.
fn topics() -> Vec<String> {
    let path = std::env::temp_dir().join(CANARY).display().to_string();
    vec![
        format!("../{CANARY}"),
        format!("../../../../../../../../../../../../{path}"),
        format!("..\\..\\{CANARY}"),
        format!("{path}.csv"),
        format!("/{CANARY}"),
        format!("//{CANARY}//"),
        format!("./{CANARY}/."),
        format!("%2e%2e%2f{CANARY}"),
        format!("{{date}}/{{mirror}}/{{topic}}/{CANARY}"),
        format!("~/{CANARY}"),
        format!("x$(touch {CANARY})"),
        format!("`touch {CANARY}`; | & > {CANARY}"),
        format!("{CANARY}\u{202e}vsc.\u{feff}\u{2028}\u{e000}"),
        "'); DROP TABLE message; --".to_owned(),
        "\"; ATTACH DATABASE 'x' AS y; --".to_owned(),
        "=1+1,\"a\",b".to_owned(),
        "base64:AAAA".to_owned(),
        "x".repeat(60_000),
        "a/".repeat(90),
    ]
}

fn payloads() -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let mut payloads = vec![
        text(""),
        text("'); DROP TABLE message; DELETE FROM reading; --"),
        text("{\"v\":\"'); DROP TABLE typed; --\",\"n\":\"1); DROP TABLE typed; --\"}"),
        text("=cmd|' /C calc'!A0"),
        text("@SUM(1+1)*cmd|' /C calc'!A0\r\n\"second\",\"row\"\r\n"),
        text("\"\r\n\"\"\n,,,\"\"\"\r"),
        text("base64:not so"),
        text("nul\0in the middle"),
        vec![0xff, 0xfe, 0x00, 0x80],
        text("\x1b[2J\x1b]0;owned\x07\r\n<0>kernel: on fire"),
        text("{\"v\":1e999,\"n\":99999999999999999999999999}"),
        text("{\"v\":\"\\ud800\",\"n\":\"\\u0000\"}"),
        text("{\"v\":{\"v\":[1,\"\\r\\n\\\"=1\"]},\"n\":true,\"n\":2}"),
        text("{\"id\":\"00000000-9223372036854775807\",\"v\":1}"),
        "[".repeat(200_000).into_bytes(),
        format!("{}1{}", "{\"v\":".repeat(50_000), "}".repeat(50_000)).into_bytes(),
        format!("[{}]", "1,".repeat(100_000)).into_bytes(),
        format!("{{{}\"n\":7}}", (0..20_000).map(|n| format!("\"k{n}\":{n},")).collect::<String>())
            .into_bytes(),
    ];
    payloads.push(format!("{{\"v\":\"{}\",\"n\":7}}", "x".repeat(1_000_000)).into_bytes());
    payloads
}

/// Everything mirrored threefold: as it comes, into a table with types, into files with fields and dates.
fn config(folder: &Path, broker: &Mosquitto) -> String {
    let folder = folder.display();
    format!(
        "device: {{ id: pi }}
log: {{ path: {folder}/bridge.db }}
mqtt: {{ url: \"{}\", max_packet_size: 4MB }}
mirror:
  - {{ id: all, topics: [\"#\"], qos: 2, to: sqlite }}
  - {{ id: typed, topics: [\"#\"], qos: 2, to: sqlite, table: typed, columns: {{ v: text, n: integer }} }}
  - {{ id: files, topics: [\"#\"], qos: 2, to: csv, path: \"{folder}/csv/{{date}}-{{mirror}}.csv\", columns: [topic, payload, {{ v: v }}, qos] }}
",
        broker.url(),
    )
}

/// Publishes and waits for the acknowledgement; whether the broker took it.
fn publish(wire: &mut Wire, topic: &str, payload: &[u8]) -> bool {
    wire.publish(topic, payload, 1, 1, false);
    wire.flush().is_ok() && matches!(wire.receive(SOON), Ok(Some(Packet::PubAck(1))))
}

/// Every name below a folder.
fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(tree(&path));
        }
        names.insert(path);
    }
    names
}

fn counted(bridge: &Bridge, table: &str) -> usize {
    // The table is made with the first message.
    let sql = format!("SELECT count(*) FROM {table}");
    bridge.database().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0) as usize
}

fn schema(bridge: &Bridge) -> Vec<String> {
    let database = bridge.database();
    let mut statement =
        database.prepare("SELECT name || ifnull(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What the files say: topic and payload of every record.
fn records(bridge: &Bridge) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decoded = |text: &str| match text.strip_prefix("base64:") {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => text.as_bytes().to_vec(),
    };
    let mut records = Vec::new();
    for file in tree(&bridge.folder().join("csv")) {
        let mut reader = csv::Reader::from_path(file).unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            assert_eq!(record.len(), 4, "{record:?}");
            records.push((decoded(&record[0]), decoded(&record[1])));
        }
    }
    records
}

fn peak(bridge: &Bridge) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", bridge.pid().unwrap())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_is_published_stays_what_it_is_and_where_it_belongs() {
    let broker = Mosquitto::start();
    let mut bridge = Bridge::start(|folder| config(folder, &broker));
    let (mut wire, _) = Wire::connect(broker.port(), "attacker", true).unwrap();
    let mirrored = |bridge: &Bridge| {
        if !bridge.database_path().exists() || !bridge.stderr().contains("log: ok") {
            return false;
        }
        counted(bridge, "message") > 0 && counted(bridge, "typed") > 0 && !records(bridge).is_empty()
    };
    wait_until(SOON, "three mirrors are there", || {
        assert!(publish(&mut wire, "first", b"{\"v\":\"x\",\"n\":1}"));
        mirrored(&bridge)
    });
    // Those that were sent before all three had subscribed are in some only.
    let before: BTreeMap<&str, usize> = ["messages WHERE mirror = 'all'", "messages WHERE mirror = 'typed'"]
        .map(|table| (table, counted(&bridge, table)))
        .into();
    let before_files = records(&bridge).len();
    let tables = schema(&bridge);
    let names = tree(bridge.folder());

    let mut taken: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, topic) in topics().into_iter().enumerate() {
        let payload = format!("{{\"v\":{number}}}").into_bytes();
        if publish(&mut wire, &topic, &payload) {
            taken.push((topic, payload));
        } else {
            // mosquitto has hung up on it.
            wire = Wire::connect(broker.port(), "attacker", true).unwrap().0;
        }
    }
    assert!(taken.len() > 14, "mosquitto took {} topics only", taken.len());
    for (number, payload) in payloads().into_iter().enumerate() {
        let topic = format!("payload/{number}");
        assert!(publish(&mut wire, &topic, &payload), "{topic}");
        taken.push((topic, payload));
    }
    wait_until(SOON, "all are mirrored", || {
        before.iter().all(|(table, count)| counted(&bridge, table) >= count + taken.len())
            && records(&bridge).len() >= before_files + taken.len()
    });

    assert_eq!(schema(&bridge), tables, "nothing was made or dropped");
    assert_eq!(tree(bridge.folder()), names, "no other file");
    for folder in
        [bridge.folder().parent().unwrap(), &std::env::temp_dir(), Path::new("/"), Path::new("/etc")]
    {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            assert!(!entry.file_name().to_string_lossy().contains(CANARY), "{}", entry.path().display());
        }
    }
    let database = bridge.database();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let records = records(&bridge);
    for (topic, payload) in &taken {
        let stored: i64 = database
            .query_row(
                "SELECT count(*) FROM messages WHERE mirror = 'all' AND topic = ?1 AND CAST(payload AS BLOB) = ?2",
                rusqlite::params![topic, payload],
                |row| row.get(0),
            )
            .unwrap();
        let shown: String = topic.chars().take(80).collect();
        assert_eq!(stored, 1, "{shown:?} in the log");
        let written = records.iter().filter(|(t, p)| t == topic.as_bytes() && p == payload).count();
        assert_eq!(written, 1, "{shown:?} in the files");
    }
    let said = bridge.stderr();
    let line =
        said.lines().find(|line| line.len() > 2_000 || line.contains('\x1b') || line.starts_with("<0>"));
    assert_eq!(line, None, "what came is not what the journal says");

    // Killed, it looks at the next start where the last whole record ends: nothing that was sent looks like a torn one.
    let written = |bridge: &Bridge| -> Vec<(PathBuf, Vec<u8>)> {
        let files = tree(&bridge.folder().join("csv")).into_iter();
        files.map(|file| (file.clone(), fs::read(file).unwrap())).collect()
    };
    bridge.kill();
    let before = written(&bridge);
    bridge.resume();
    wait_until(SOON, "it runs again", || bridge.stderr().matches("mirror files: ok").count() >= 2);
    for ((file, before), (_, after)) in before.iter().zip(written(&bridge)) {
        assert!(after.starts_with(before), "{} was cut", file.display());
    }
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
}

#[test]
fn a_flood_takes_bounded_memory_and_loses_nothing_of_qos_1() {
    const MESSAGES: usize = 4_000;
    let broker = Mosquitto::start();
    let mut bridge = Bridge::start(|folder| config(folder, &broker));
    let (mut wire, _) = Wire::connect(broker.port(), "attacker", true).unwrap();
    let all = "messages WHERE mirror = 'all' AND topic LIKE 'flood/%'";
    wait_until(SOON, "the mirrors are there", || {
        assert!(publish(&mut wire, "first", b"{}"));
        bridge.stderr().contains("log: ok")
            && counted(&bridge, "message") > 0
            && counted(&bridge, "typed") > 0
            && !records(&bridge).is_empty()
    });
    let payload = format!("{{\"v\":\"{}\",\"n\":7}}", "=\\r\\n".repeat(2_000));
    for number in 0..MESSAGES {
        // As many topics as messages.
        wire.publish(&format!("flood/{number}"), payload.as_bytes(), 1, 1 + number as u16, false);
        wire.publish("lost/at/will", &[b'x'; 2_000], 0, 0, false);
        if number % 50 == 49 {
            wire.flush().unwrap();
            for _ in 0..50 {
                assert!(matches!(wire.receive(SOON), Ok(Some(Packet::PubAck(_)))));
            }
        }
    }
    wait_until(3 * SOON, "all are mirrored", || counted(&bridge, all) >= MESSAGES);
    let peak = peak(&bridge);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
}
