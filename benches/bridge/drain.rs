//! How fast a backlog gets out after an outage, beside `mosquitto_pub -l` with the same payloads.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::figure::{Figure, Target};
use crate::support::wire::{Packet, Wire};
use crate::support::{Bridge, Mosquitto, Port, find, wait_until};

const BACKLOG: usize = 50_000;
/// mosquitto_pub takes the acknowledgement of an early packet id for that of its last line when its ids
/// (16 bits) have come round, and leaves: it gets no more lines than that.
const LINES: usize = 60_000;
pub const SENSORS: usize = 100;

pub fn config(url: &str, folder: &Path, interval: &str) -> String {
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

pub fn rows(bridge: &Bridge) -> usize {
    if !bridge.database_path().exists() {
        return 0;
    }
    let newest = bridge
        .database()
        .query_row("SELECT coalesce(max(id), 0) FROM reading", [], |row| row.get::<_, u32>(0));
    newest.unwrap_or(0) as usize
}

pub fn run() -> Vec<Figure> {
    let nobody = Port::reserve();
    let away = format!("mqtt://127.0.0.1:{}", nobody.number());
    let mut bridge = Bridge::start(|folder| config(&away, folder, "10ms"));
    wait_until(Duration::from_secs(60), "the backlog is there", || rows(&bridge) >= BACKLOG);
    bridge.terminate();

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
