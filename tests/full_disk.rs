//! A file system that is really full: the daemon on a small one of its own, in a mount namespace of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Mosquitto, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Runs the bridge on a file system of 4 MB at `disk`. When it sees the file `fill` it takes all the room, at `free` it
/// gives it back, and when the bridge has left it copies the disk, which nobody else can see, to `saved`.
const SCRIPT: &str = r#"
set -eu
mount -t tmpfs -o size=4m tmpfs disk
touch mounted
"$0" run --config config.yaml &
echo $! >pid
until [ -e fill ]; do sleep 0.05; done
cat /dev/zero >disk/filler 2>/dev/null || true
touch filled
until [ -e free ]; do sleep 0.05; done
rm disk/filler
until [ -e leave ]; do sleep 0.05; done
kill $!
wait $!
cp -r disk saved
"#;

fn config(folder: &Path, url: &str) -> String {
    format!(
        "device: {{ id: bench }}
log: {{ path: {folder}/disk/bridge.db }}
mqtt: {{ url: \"{url}\", topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}
sensors:
  - {{ id: clock, driver: sim, scenario: clock, every: 1, interval: 20ms, quantities: {{ value: {{ change: always }} }} }}
",
        folder = folder.display()
    )
}

/// `None` where a namespace cannot be made: in a container without rights, say.
fn start(bridge: &Bridge) -> Option<Child> {
    let folder = bridge.folder();
    fs::create_dir(folder.join("disk")).unwrap();
    let said = File::create(folder.join("stderr")).unwrap();
    let mut child = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            SCRIPT,
            env!("CARGO_BIN_EXE_sensor-bridge"),
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .ok()?;
    wait_until(SOON, "a file system of its own, or a refusal", || {
        folder.join("mounted").exists() || child.try_wait().unwrap().is_some()
    });
    folder.join("mounted").exists().then_some(child)
}

/// A bridge whose disk is full, after it has published some readings.
struct Full {
    broker: Mosquitto,
    subscriber: Subscriber,
    bridge: Bridge,
    child: Child,
}

impl Full {
    fn start() -> Option<Self> {
        let broker = Mosquitto::start();
        let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
        let bridge = Bridge::prepare(|folder| config(folder, &broker.url()));
        let Some(child) = start(&bridge) else {
            eprintln!("not tried: no mount namespace may be made here: {}", bridge.stderr());
            return None;
        };
        let full = Self { broker, subscriber, bridge, child };
        full.subscriber.wait_for(20, SOON);
        full.mark("fill");
        wait_until(SOON, "the disk is full", || full.bridge.folder().join("filled").exists());
        wait_until(SOON, "it says so", || full.bridge.stderr().contains("disk full; make room"));
        Some(full)
    }

    fn mark(&self, name: &str) {
        File::create(self.bridge.folder().join(name)).unwrap();
    }

    fn leave(&mut self) {
        self.mark("leave");
        assert!(self.child.wait().unwrap().success(), "{}", self.bridge.last_words());
    }
}

#[test]
fn what_is_read_while_the_disk_is_full_is_kept_and_delivered_when_there_is_room() {
    let Some(mut full) = Full::start() else { return };
    let Full { subscriber, bridge, .. } = &full;
    let before = subscriber.count();
    // Long enough for readings to be taken meanwhile: a hundred at this interval.
    std::thread::sleep(Duration::from_secs(2));
    let after = subscriber.count();
    assert!(after < before + 20, "what is not in the log is not published: {before} messages, then {after}");

    full.mark("free");
    subscriber.wait_for(before + 120, SOON);
    assert!(bridge.stderr().contains("log: ok"), "{}", bridge.last_words());
    full.leave();

    let Full { subscriber, bridge, .. } = &full;
    let logged = logged(&bridge.folder().join("saved/bridge.db"));
    let mut seen: Vec<i64> = Vec::new();
    for message in subscriber.messages().iter().filter(|message| message.topic == "t/bench/clock/value") {
        let payload: Value = serde_json::from_str(&message.payload).unwrap();
        seen.push(payload["value"].as_i64().unwrap());
    }
    seen.dedup();
    assert_eq!(seen, logged, "what arrived is what is in the log, in its order");
    // The values are the time in µs: no two seconds without readings, the full ones included.
    let longest = logged.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest < 2_000_000, "nothing was logged for {longest} µs");
}

#[test]
fn a_full_disk_can_be_left_for_another_without_an_end_of_the_bridge() {
    let Some(mut full) = Full::start() else { return };
    let Full { broker, subscriber, bridge, .. } = &full;
    let elsewhere = config(bridge.folder(), &broker.url()).replace("/disk/bridge.db", "/elsewhere.db");
    bridge.configure(&elsewhere);
    let pid = fs::read_to_string(bridge.folder().join("pid")).unwrap();
    assert!(Command::new("kill").args(["-HUP", pid.trim()]).status().unwrap().success());
    wait_until(SOON, "it goes on elsewhere", || {
        bridge.stderr().contains("reload: everything starts afresh, because log.path changed")
    });
    let before = subscriber.count();
    subscriber.wait_for(before + 50, SOON);
    full.mark("free");
    full.leave();
    assert!(logged(&full.bridge.folder().join("elsewhere.db")).len() > 30);
}

/// The values of the log, which must be whole and know of no loss.
fn logged(file: &Path) -> Vec<i64> {
    let database = rusqlite::Connection::open(file).unwrap();
    let text = |sql: &str| -> String { database.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("SELECT CAST(count(*) AS TEXT) FROM gaps"), "0");
    let mut rows = database
        .prepare("SELECT value FROM readings WHERE sensor = 'clock' AND quantity = 'value' ORDER BY id")
        .unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}
