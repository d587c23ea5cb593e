//! How fast a backlog that waits at the broker gets into SQLite, beside clients that store nothing.
//!
//! All take the same messages out of a persistent session of their own, filled by one publisher before the
//! first of them begins, so that no publisher competes for the processor.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figure::{Figure, Target};
use crate::support::wire::{Packet, Wire};
use crate::support::{Bridge, Mosquitto, find, wait_until};

const MESSAGES: usize = 200_000;
const PART: usize = 50_000;

pub fn run() -> Vec<Figure> {
    let broker = Mosquitto::with("persistence false\nmax_inflight_messages 1000");
    let url = broker.url();
    let mut bridge = Bridge::start(|folder| {
        format!(
            "device: {{ id: bench }}\nmqtt: {{ url: \"{url}\", topic: \"bench/{{device}}/{{sensor}}/{{quantity}}\" }}\n\
             log: {{ path: {}/bridge.db, sync: full }}\n\
             sensors:\n  - {{ id: idle, driver: sim, interval: 1h, scenario: constant }}\n\
             mirror:\n  - {{ topics: [\"load/#\"], qos: 1, to: sqlite }}\n",
            folder.display()
        )
    });
    let count = |bridge: &Bridge, table: &str| -> usize {
        if !bridge.database_path().exists() {
            return 0;
        }
        let answer =
            bridge.database().query_row(&format!("SELECT coalesce(max(rowid), 0) FROM {table}"), [], |row| {
                row.get::<_, u32>(0)
            });
        answer.unwrap_or(0) as usize
    };
    wait_until(Duration::from_secs(20), "the mirror subscribes", || {
        bridge.database_path().exists()
            && bridge.database().query_row("SELECT count(*) FROM subscription", [], |row| row.get(0)) == Ok(1)
    });
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    let (mut plain, _) = Wire::connect(broker.port(), "plain", false).unwrap();
    plain.subscribe("load/#", 1).unwrap();
    drop(plain);
    crate::support::Subscriber::persistent(broker.port(), "mosquitto-sub", &["load/#"], 1).finish();

    fill(broker.port(), &bridge.folder().join("lines"));
    let plain = plain_subscriber(broker.port());
    let theirs = mosquitto_sub(broker.port());
    bridge.resume();
    wait_until(Duration::from_secs(20), "the first messages are stored", || count(&bridge, "message") > 0);
    let (first, begun) = (count(&bridge, "message"), Instant::now());
    wait_until(Duration::from_secs(120), "all messages are stored", || count(&bridge, "message") >= MESSAGES);
    let ours = (MESSAGES - first) as f64 / begun.elapsed().as_secs_f64();
    bridge.terminate();
    let exact: usize = bridge
        .database()
        .query_row("SELECT count(DISTINCT payload) FROM messages", [], |row| row.get::<_, u32>(0))
        .unwrap() as usize;
    assert_eq!(exact, MESSAGES, "every message is stored");
    let (name, limit) = if plain > theirs { ("plain subscriber", plain) } else { ("mosquitto_sub", theirs) };
    vec![
        Figure::new("received and stored", ours, "msg/s", Target::ShareAtLeast(0.7)).beside(name, limit),
        Figure::new("mosquitto_sub > /dev/null", theirs, "msg/s", Target::None),
        Figure::new("a plain socket that acknowledges and forgets", plain, "msg/s", Target::None),
    ]
}

/// Publishes the messages. mosquitto_pub takes the acknowledgement of an early packet id for that of the last
/// line when its ids (16 bits) have come round, and leaves: a part at a time.
fn fill(port: u16, lines: &Path) {
    for part in 0..MESSAGES / PART {
        fs::write(lines, payloads(part * PART..(part + 1) * PART)).unwrap();
        let status = Command::new(find("mosquitto_pub"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "load/x", "-l"])
            .stdin(File::open(lines).unwrap())
            .status();
        assert!(status.unwrap().success());
    }
}

/// Messages as another bridge sends them.
fn payloads(numbers: Range<usize>) -> String {
    let mut text = String::new();
    for number in numbers {
        writeln!(
            text,
            r#"{{"id":"3f9c2a1b-{number}","device":"greenhouse-pi","sensor":"air","quantity":"temperature","value":{}.5,"unit":"°C","time":"2026-11-20T07:00:00.123456Z","clock":"synced"}}"#,
            number % 40
        )
        .unwrap();
    }
    text
}

/// Messages per second of a client that acknowledges and forgets, whole reads at a time.
fn plain_subscriber(port: u16) -> f64 {
    let (mut wire, present) = Wire::connect(port, "plain", false).unwrap();
    assert!(present, "the broker kept the session");
    let (mut received, mut begun) = (0, Instant::now());
    while received < MESSAGES {
        let mut next = wire.receive(Duration::from_secs(10)).unwrap();
        assert!(next.is_some(), "only {received} of {MESSAGES} messages came");
        while let Some(packet) = next {
            if let Packet::Publish { id, .. } = packet {
                if received == 0 {
                    begun = Instant::now();
                }
                received += 1;
                wire.puback(id);
            }
            next = wire.buffered().unwrap();
        }
        wire.flush().unwrap();
    }
    received as f64 / begun.elapsed().as_secs_f64()
}

/// Messages per second of mosquitto's own client, its output thrown away.
fn mosquitto_sub(port: u16) -> f64 {
    let begun = Instant::now();
    let status = Command::new(find("mosquitto_sub"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "-i", "mosquitto-sub", "-q", "1"])
        .args(["-t", "load/#", "-C", &MESSAGES.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    MESSAGES as f64 / begun.elapsed().as_secs_f64()
}
