//! How fast a backlog gets out after an outage, beside `mosquitto_pub -l` with the same payloads, and how
//! much room it took, beside the same table in SQLite alone.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::figure::{Figure, Target};
use crate::support::wire::{Packet, Wire};
use crate::support::{Bridge, Mosquitto, Port, find, wait_until};

const BACKLOG: usize = 50_000;
/// mosquitto_pub takes the acknowledgement of an early packet id for that of its last line when its ids
/// (16 bits) have come round, and leaves: it gets no more lines than that.
const LINES: usize = 60_000;
const SENSORS: usize = 100;

fn config(url: &str, folder: &Path, interval: &str) -> String {
    let mut text = format!(
        "device: {{ id: bench }}\nmqtt: {{ url: \"{url}\", topic: \"bench/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}\n\
         log: {{ path: {}/bridge.db, sync: full }}\nsensors:\n",
        folder.display()
    );
    for number in 0..SENSORS {
        text.push_str(&format!(
            "  - {{ id: s{number:03}, driver: sim, interval: {interval}, scenario: random-walk, \
             quantities: {{ value: {{ change: always }} }} }}\n"
        ));
    }
    text
}

fn rows(bridge: &Bridge) -> usize {
    if !bridge.database_path().exists() {
        return 0;
    }
    let newest = bridge
        .database()
        .query_row("SELECT coalesce(max(id), 0) FROM reading", [], |row| row.get::<_, u32>(0));
    newest.unwrap_or(0) as usize
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map(|metadata| metadata.len()).unwrap_or(0)
}

pub fn run() -> Vec<Figure> {
    let nobody = Port::reserve();
    let away = format!("mqtt://127.0.0.1:{}", nobody.number());
    // Started once with sensors that rest: what an empty log weighs.
    let mut bridge = Bridge::start(|folder| config(&away, folder, "1h"));
    wait_until(Duration::from_secs(20), "every sensor has been read once", || rows(&bridge) >= 2 * SENSORS);
    bridge.terminate();
    let (empty, before) = (size(&bridge.database_path()), rows(&bridge));
    bridge.configure(&config(&away, bridge.folder(), "10ms"));
    bridge.resume();
    wait_until(Duration::from_secs(60), "the backlog is there", || rows(&bridge) >= BACKLOG);
    bridge.terminate();
    let taken = rows(&bridge) - before;
    let grown = size(&bridge.database_path()) - empty;
    let alone = sqlite_alone(&bridge);

    let broker = Mosquitto::with("persistence false\nmax_inflight_messages 1000");
    bridge.configure(&config(&broker.url(), bridge.folder(), "1h"));
    let total: usize = bridge
        .database()
        .query_row(
            "SELECT count(*) FROM reading JOIN channel ON channel.id = channel WHERE topic IS NOT NULL",
            [],
            |row| row.get::<_, u32>(0),
        )
        .unwrap() as usize;
    let mut witness = Witness::subscribe(broker.port(), "bench/+/+/+");
    bridge.resume();
    let (ours, payloads) = witness.rate(total);
    bridge.terminate();

    let lines = bridge.folder().join("lines");
    let mut file = File::create(&lines).unwrap();
    for payload in payloads.iter().take(LINES) {
        file.write_all(payload).unwrap();
        file.write_all(b"\n").unwrap();
    }
    let mut witness = Witness::subscribe(broker.port(), "plain/#");
    let mut publisher = mosquitto_pub(broker.port(), &lines);
    let (theirs, _) = witness.rate(payloads.len().min(LINES));
    assert!(publisher.wait().unwrap().success());
    vec![
        Figure::new("sent and acknowledged", ours, "msg/s", Target::ShareAtLeast(0.6))
            .beside("mosquitto_pub -l", theirs),
        Figure::new("database, per reading", grown as f64 / taken as f64, "bytes", Target::AtMost(60.0))
            .beside("the same table in SQLite alone", alone),
    ]
}

fn mosquitto_pub(port: u16, lines: &Path) -> Child {
    Command::new(find("mosquitto_pub"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "plain/x", "-l"])
        .stdin(File::open(lines).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Counts what arrives, at QoS 0 so that its own acknowledgements cost nobody anything.
struct Witness(Wire);

impl Witness {
    fn subscribe(port: u16, filter: &str) -> Self {
        let (mut wire, _) = Wire::connect(port, &format!("witness {filter}"), true).unwrap();
        wire.subscribe(filter, 0).unwrap();
        Self(wire)
    }

    /// Messages per second from the first to the last of `count`, and their payloads.
    fn rate(&mut self, count: usize) -> (f64, Vec<Vec<u8>>) {
        let mut payloads = Vec::with_capacity(count);
        let mut begun = Instant::now();
        while payloads.len() < count {
            match self.0.receive(Duration::from_secs(30)).unwrap() {
                Some(Packet::Publish { payload, .. }) => {
                    if payloads.is_empty() {
                        begun = Instant::now();
                    }
                    payloads.push(payload);
                }
                Some(_) => {}
                None => panic!("only {} of {count} messages came", payloads.len()),
            }
        }
        (count as f64 / begun.elapsed().as_secs_f64(), payloads)
    }
}

/// Bytes per row of the same rows in the same table with the same indexes, written in one go.
fn sqlite_alone(bridge: &Bridge) -> f64 {
    let file = bridge.folder().join("alone.db");
    let alone = Connection::open(&file).unwrap();
    alone.execute("ATTACH ?1 AS log", [bridge.database_path().to_str().unwrap()]).unwrap();
    let mut query = alone
        .prepare("SELECT sql FROM log.sqlite_schema WHERE tbl_name = 'reading' AND sql IS NOT NULL ORDER BY type DESC")
        .unwrap();
    let schema: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(query);
    for statement in schema.iter().filter(|statement| !statement.starts_with("CREATE TRIGGER")) {
        alone.execute_batch(statement).unwrap();
    }
    let copied = alone.execute("INSERT INTO main.reading SELECT * FROM log.reading", []).unwrap();
    alone.close().unwrap();
    size(&file) as f64 / copied as f64
}
