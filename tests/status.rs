//! `status` and `why` asked of the real daemon, its facts on a real broker, and its metrics read by Prometheus' own
//! parser where that is installed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sensor_bridge::facts::Snapshot;
use sensor_bridge::facts::prometheus::METRICS;
use support::{Bridge, Mosquitto, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// A sensor whose values hardly change, and one that is not there.
fn config(folder: &Path, rest: &str) -> String {
    format!(
        "device: {{ id: bench }}
log: {{ path: {folder}/bridge.db }}
sensors:
  - {{ id: calm, driver: sim, scenario: sine, min: 20, max: 20.01, interval: 100ms,
       quantities: {{ value: {{ change: 0.1, heartbeat: 1h }} }} }}
{rest}",
        folder = folder.display()
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn snapshot(output: &Output) -> Snapshot {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {}", text(&output.stderr)))
}

/// Waits until the daemon says so of itself.
#[track_caller]
fn wait_for(bridge: &Bridge, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let mut last = None;
    wait_until(SOON, what, || {
        let output = bridge.run(&["status", "--json"]);
        last = serde_json::from_slice(&output.stdout).ok();
        last.as_ref().is_some_and(&holds)
    });
    last.unwrap()
}

#[test]
fn a_bridge_that_is_well_says_so_and_why_nothing_is_sent() {
    let mut bridge = Bridge::start(|folder| config(folder, ""));
    let facts = wait_for(&bridge, "a value that has not changed", |facts| facts.sensors[0].suppressed > 0);
    assert!(facts.health.healthy, "{:?}", facts.health);
    assert_eq!((facts.device.as_str(), facts.broker), ("bench", None));
    let quantity = &facts.sensors[0].quantities[0];
    assert_eq!((quantity.verdict.as_deref(), facts.sensors[0].passed), (Some("unchanged"), 1));
    let page = bridge.run(&["status"]);
    let said = text(&page.stdout);
    assert_eq!(page.status.code(), Some(0), "{said}");
    assert!(
        said.starts_with("sensor-bridge ") && said.contains(" on bench, up ") && said.contains(": healthy\n")
    );
    assert!(!said.contains('\x1b') && said.lines().all(|line| line == line.trim_end()), "{said}");
    let why = text(&bridge.run(&["why", "calm.value"]).stdout);
    assert!(why.contains(" is under the 0.1 deadband; heartbeat in 59 m "), "{why}");
    assert!(why.contains("only logged: the configuration names no broker"), "{why}");
    let unknown = bridge.run(&["why", "wind"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(text(&unknown.stderr), "sensor-bridge: there is no sensor \"wind\"; there are calm\n");
    // Opened anew, the sensor has something to say, and the counters go on.
    let written = facts.log.written;
    bridge.configure(&config(bridge.folder(), "").replace("max: 20.01", "max: 20.011"));
    bridge.signal("HUP");
    let again = wait_for(&bridge, "a second beginning", |facts| facts.log.written > written);
    assert!(again.uptime_seconds > facts.uptime_seconds && again.log.commits > facts.log.commits);
    assert!(bridge.terminate().success());
    let gone = bridge.run(&["status"]);
    assert_eq!(gone.status.code(), Some(1));
    let said = text(&gone.stderr);
    assert!(said.starts_with("sensor-bridge: no sensor-bridge is running: nothing answers at "), "{said}");
    assert!(!bridge.folder().join("bridge.db.sock").exists());
}

#[test]
fn a_sensor_that_is_away_makes_it_unhealthy() {
    let broken = "  - { id: hole, driver: bme280, bus: i2c-99, address: 0x76, interval: 100ms }\n";
    let socket = "status: { socket: SOCKET }\n";
    let bridge = Bridge::start(|folder| {
        let socket = socket.replace("SOCKET", &folder.join("s").to_string_lossy());
        config(folder, &format!("{broken}{socket}"))
    });
    wait_for(&bridge, "a failure", |facts| !facts.health.healthy);
    let page = bridge.run(&["status"]);
    let said = text(&page.stdout);
    assert_eq!(page.status.code(), Some(1), "{said}");
    assert!(said.contains(": NOT HEALTHY\n") && said.contains("  fault   sensor hole: "), "{said}");
    // By its socket alone, with no configuration to read.
    let socket = bridge.folder().join("s");
    let mut alone = Command::new(env!("CARGO_BIN_EXE_sensor-bridge"));
    alone.args(["status", "--json", "--config", "/nonexistent", "--socket"]).arg(&socket);
    assert_eq!(snapshot(&alone.output().unwrap()).sensors.len(), 2);
}

#[test]
fn facts_are_retained_on_the_broker_beside_online() {
    let broker = Mosquitto::start();
    let url =
        format!("mqtt: {{ url: \"{}\", topic: \"t/{{device}}/{{sensor}}/{{quantity}}\" }}\n", broker.url());
    let mirror = "mirror:\n  - { id: back, topics: [\"t/bench/+/+\"], to: sqlite }\n";
    let mut bridge =
        Bridge::start(|folder| config(folder, &format!("{url}{mirror}status: {{ interval: 1s }}\n")));
    let subscriber = Subscriber::start(broker.port(), &["t/bench/status/#"], 1);
    let message = subscriber.wait_for_one(SOON, |message| message.topic == "t/bench/status/facts");
    let facts: Snapshot = serde_json::from_str(&message.payload).unwrap();
    assert_eq!(facts.device, "bench");
    let online =
        subscriber.messages().iter().any(|one| one.topic == "t/bench/status" && one.payload == "online");
    assert!(online, "the status itself stays plain text");
    let facts = wait_for(&bridge, "an acknowledged reading and its way back", |facts| {
        facts.broker.as_ref().is_some_and(|broker| broker.published > 0) && facts.mirrors[0].stored > 0
    });
    let link = facts.broker.as_ref().unwrap();
    assert!(link.round_trip_seconds.is_some() && link.latency.count > 0, "{link:?}");
    wait_until(SOON, "nothing waits", || text(&bridge.run(&["why", "calm"]).stdout).contains("is delivered"));
    read_by_prometheus(&text(&bridge.run(&["status", "--prometheus"]).stdout));
    assert!(bridge.terminate().success());
    subscriber.wait_for_one(SOON, |message| message.payload == "offline");
}

/// Prometheus' own parser for Python; skipped, and said so, where it is not installed.
fn read_by_prometheus(metrics: &str) {
    assert!(metrics.contains("\nsensor_bridge_published_total "), "{metrics}");
    const SCRIPT: &str = "
import sys
try:
    from prometheus_client.parser import text_string_to_metric_families as parse
except ImportError:
    print('skipped: python3 has no prometheus_client'); sys.exit(0)
families = list(parse(sys.stdin.read()))
print(sum(len(family.samples) for family in families), 'samples')
assert any(family.name == 'sensor_bridge_publish_latency_seconds' and family.type == 'histogram' for family in families)
";
    let python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        println!("skipped: python3 cannot be run");
        return;
    };
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), metrics.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    println!("{}", text(&output.stdout).trim());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_client_need_not_be_ours() {
    use std::io::{Read as _, Write as _};
    let bridge = Bridge::start(|folder| config(folder, ""));
    wait_for(&bridge, "an answer", |_| true);
    let mut stream = std::os::unix::net::UnixStream::connect(bridge.folder().join("bridge.db.sock")).unwrap();
    stream.write_all(b"status").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["status"]["device"], "bench");
    assert_eq!(answer["database"], bridge.database_path().to_str().unwrap());
}

/// After a change of a metric: `UPDATE_DOCS=1 cargo test --test status` writes the table anew.
#[test]
fn the_table_of_metrics_is_that_of_the_program() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md");
    let page = fs::read_to_string(&file).unwrap();
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (metric.kind.as_str(), labels.join(", "));
        table += &format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help);
    }
    let (begin, end) = ("<!-- metrics -->\n", "<!-- end of metrics -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let fresh = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &fresh).unwrap();
        return;
    }
    assert!(fresh == page, "docs/status.md is old: UPDATE_DOCS=1 cargo test --test status");
}
