//! The real binary between real things: simulated chips read by their real drivers, a SQLite file, a mosquitto.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Message, Mosquitto, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// One simulated sensor that yields a new value 20 times a second, and whatever else a test wants.
fn config(folder: &Path, url: &str, mqtt: &str, rest: &str) -> String {
    format!(
        "device: {{ id: bench }}
log: {{ path: {folder}/bridge.db }}
mqtt:
  url: {url}
  topic: \"t/{{device}}/{{sensor}}/{{quantity}}\"
  {mqtt}
sensors:
  - {{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 50ms }}
{rest}",
        folder = folder.display()
    )
}

fn log_is_open(bridge: &Bridge) -> bool {
    bridge.stderr().contains("log: ok")
}

/// Every reading of the log by its identity, with topic and value as JSON would show it.
fn logged(bridge: &Bridge) -> BTreeMap<String, (i64, String)> {
    let database = bridge.database();
    let mut rows = database
        .prepare(
            "SELECT (SELECT epoch FROM epoch WHERE first_row <= readings.id ORDER BY first_row DESC LIMIT 1),
                    id, sensor, quantity FROM readings",
        )
        .unwrap();
    rows.query_map([], |row| {
        let (epoch, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let (sensor, quantity): (String, String) = (row.get(2)?, row.get(3)?);
        Ok((format!("{epoch}-{id}"), (id, format!("t/bench/{sensor}/{quantity}"))))
    })
    .unwrap()
    .collect::<Result<_, _>>()
    .unwrap()
}

/// The readings among messages, parsed.
fn readings(messages: &[Message]) -> Vec<(String, Value)> {
    messages
        .iter()
        .filter(|message| !message.topic.starts_with("t/bench/status"))
        .map(|message| (message.topic.clone(), serde_json::from_str(&message.payload).unwrap()))
        .collect()
}

fn id(payload: &Value) -> String {
    payload["id"].as_str().unwrap().to_owned()
}

/// What the log has and the subscriber has not.
fn missing(bridge: &Bridge, subscriber: &Subscriber) -> Vec<String> {
    let seen: Vec<String> = readings(&subscriber.messages()).iter().map(|(_, payload)| id(payload)).collect();
    logged(bridge).into_keys().filter(|id| !seen.contains(id)).collect()
}

/// Per topic, the rows of the messages must rise.
fn assert_in_order(messages: &[Message]) {
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (topic, payload) in readings(messages) {
        let row: i64 = id(&payload).rsplit_once('-').unwrap().1.parse().unwrap();
        if let Some(before) = last.insert(topic.clone(), row) {
            assert!(before < row, "{topic}: row {row} came after row {before}");
        }
    }
}

const CHIPS: &str = "  - { id: air, driver: bme280, bus: sim-1, address: 0x76, interval: 200ms,
      quantities: { temperature: { round: 2 } } }
  - { id: power, driver: ads1115, bus: sim-1, address: 0x48, interval: 200ms }
  - { id: machine, driver: host, interval: 1s }
";

#[test]
fn real_drivers_reach_log_and_subscriber_at_every_qos_and_version() {
    for (version, qos) in [("3.1.1", 0), ("3.1.1", 1), ("3.1.1", 2), ("5", 1), ("5", 2)] {
        let broker = Mosquitto::start();
        let subscriber = Subscriber::start(broker.port(), &["t/#"], 2);
        let options = format!("qos: {qos}\n  version: \"{version}\"");
        let mut bridge = Bridge::start(|folder| config(folder, &broker.url(), &options, CHIPS));
        for topic in
            ["t/bench/air/temperature", "t/bench/air/pressure", "t/bench/power/a0", "t/bench/machine/uptime"]
        {
            let message = subscriber.wait_for_one(SOON, |message| message.topic == topic);
            assert_eq!(message.qos, qos, "MQTT {version}: {message:?}");
            let payload: Value = serde_json::from_str(&message.payload).unwrap();
            assert_eq!(payload["device"], "bench");
            assert!(payload["value"].is_number(), "{payload}");
        }
        assert!(bridge.terminate().success());
        wait_until(SOON, "everything in the log reaches the subscriber", || {
            missing(&bridge, &subscriber).is_empty()
        });
        let messages = subscriber.finish();
        assert_in_order(&messages);
        let logged = logged(&bridge);
        for (topic, payload) in readings(&messages) {
            let (_, expected) = logged.get(&id(&payload)).expect("what a subscriber has seen is in the log");
            assert_eq!(*expected, topic);
        }
    }
}

#[test]
fn what_was_read_without_a_broker_arrives_in_order_when_there_is_one() {
    let mut broker = Mosquitto::start();
    // Its session stays in the broker, so it misses nothing of what comes first.
    let subscriber = Subscriber::persistent(broker.port(), "witness", &["t/#"], 1);
    broker.stop();
    let url = broker.url();
    let mut bridge = Bridge::start(|folder| config(folder, &url, "qos: 1", ""));
    wait_until(SOON, "readings in the log while nobody listens", || {
        log_is_open(&bridge) && logged(&bridge).len() > 20
    });
    // A restart meanwhile: the backlog is the log itself.
    bridge.restart();
    broker.resume();
    wait_until(SOON, "the backlog arrives", || readings(&subscriber.messages()).len() > 30);
    assert!(bridge.terminate().success());
    wait_until(SOON, "nothing is missing", || missing(&bridge, &subscriber).is_empty());
    assert_in_order(&subscriber.finish());
}

#[test]
fn status_is_retained_and_tells_an_end_in_order_from_a_crash() {
    let broker = Mosquitto::start();
    let status = |subscriber: &Subscriber, word: &str| {
        subscriber.wait_for_one(SOON, |message| message.topic == "t/bench/status" && message.payload == word);
    };
    let live = Subscriber::start(broker.port(), &["t/bench/status"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker.url(), "qos: 1", ""));
    status(&live, "online");
    assert!(bridge.terminate().success());
    status(&live, "offline");
    bridge.resume();
    wait_until(SOON, "online again", || live.messages().last().is_some_and(|last| last.payload == "online"));
    bridge.kill();
    wait_until(SOON, "the last will", || {
        live.messages().last().is_some_and(|last| last.payload == "offline")
    });
    let late = Subscriber::start(broker.port(), &["t/bench/status"], 1);
    let retained = late.wait_for(1, SOON);
    assert!(retained[0].retained && retained[0].payload == "offline", "{retained:?}");
}

#[test]
fn one_message_per_sample_is_whole() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let _bridge = Bridge::start(|folder| {
        config(
            folder,
            &broker.url(),
            "qos: 1",
            "  - { id: air, driver: bme280, bus: sim-1, interval: 100ms, topic: \"t/{device}/{sensor}/all\" }\n",
        )
    });
    let message = subscriber.wait_for_one(SOON, |message| {
        message.topic == "t/bench/air/all" && message.payload.contains("temperature")
    });
    let payload: Value = serde_json::from_str(&message.payload).unwrap();
    for quantity in ["temperature", "humidity", "pressure"] {
        assert!(payload["values"][quantity].is_number(), "{payload}");
        assert!(payload["units"][quantity].is_string(), "{payload}");
    }
}

#[test]
fn fresh_readings_overtake_a_backlog_when_asked_to() {
    let mut broker = Mosquitto::start();
    let subscriber = Subscriber::persistent(broker.port(), "witness", &["t/#", "late/#"], 1);
    broker.stop();
    let url = broker.url();
    let options =
        "qos: 1\n  backlog: live-first\n  late_rate: 20\n  late_topic: \"late/{device}/{sensor}/{quantity}\"";
    let mut bridge = Bridge::start(|folder| config(folder, &url, options, ""));
    wait_until(SOON, "a backlog", || log_is_open(&bridge) && logged(&bridge).len() > 30);
    broker.resume();
    wait_until(SOON, "both lanes", || missing(&bridge, &subscriber).is_empty());
    assert!(bridge.terminate().success());
    let messages = subscriber.finish();
    let (late, live): (Vec<Message>, Vec<Message>) = messages
        .into_iter()
        .filter(|message| message.topic != "t/bench/status")
        .partition(|message| message.topic.starts_with("late/"));
    assert!(late.len() >= 30, "{} late", late.len());
    assert!(readings(&late).iter().all(|(_, payload)| payload["late"] == true));
    assert!(readings(&live).iter().all(|(_, payload)| payload["late"].is_null()));
    assert_in_order(&late);
    assert_in_order(&live);
}

#[test]
fn a_mirror_fills_database_and_csv() {
    let broker = Mosquitto::start();
    let mirrors = |folder: &Path| {
        format!(
            "mirror:
  - {{ topics: [\"t/+/wave/value\"], to: sqlite, table: waves, columns: {{ value: real, device: text }} }}
  - {{ topics: [\"t/#\"], to: csv, path: \"{}/{{date}}.csv\" }}
",
            folder.display()
        )
    };
    let mut bridge = Bridge::start(|folder| config(folder, &broker.url(), "qos: 1", &mirrors(folder)));
    let file = |folder: &Path| {
        let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|extension| extension == "csv"))
    };
    wait_until(SOON, "mirrored rows", || {
        bridge.database_path().exists()
            && count(&bridge, "SELECT count(*) FROM waves WHERE value IS NOT NULL") > 10
    });
    // The two have connections of their own, and one may have been made later.
    wait_until(SOON, "mirrored lines", || {
        let text = file(bridge.folder()).map(|file| std::fs::read_to_string(file).unwrap());
        text.is_some_and(|text| text.matches("/wave/value").count() > 10)
    });
    assert!(bridge.terminate().success());
    // Each message was kept once: by the log's own account, and in the file.
    let messages = count(&bridge, "SELECT count(*) FROM messages");
    assert_eq!(messages, count(&bridge, "SELECT count(DISTINCT payload) FROM messages"));
    assert_eq!(messages, count(&bridge, "SELECT count(*) FROM waves"));
    let mut lines = csv::Reader::from_path(file(bridge.folder()).expect("a CSV file")).unwrap();
    let records: Vec<csv::StringRecord> = lines.records().collect::<Result<_, _>>().unwrap();
    assert!(
        records.iter().filter(|record| record.iter().any(|field| field.ends_with("/value"))).count() > 10
    );
}

fn count(bridge: &Bridge, sql: &str) -> i64 {
    // The user's table comes with the first message.
    bridge.database().query_row(sql, [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn a_bad_configuration_says_everything_at_once_and_touches_nothing() {
    let bridge = Bridge::prepare(|folder| {
        config(folder, "mqtt://127.0.0.1:1", "qos: 7", "  - { id: wave, driver: bme208, intervall: 5 }\n")
    });
    let output = bridge.run(&["run"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    for expected in
        ["mqtt.qos", "sensors[1].driver", "bme280", "sensors[1].intervall", "interval", "config.yaml:"]
    {
        assert!(said.contains(expected), "{expected} not in:\n{said}");
    }
    assert!(!bridge.database_path().exists());
}

#[test]
fn hup_applies_a_good_configuration_and_refuses_a_bad_one() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["#"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker.url(), "qos: 1", ""));
    subscriber.wait_for_one(SOON, |message| message.topic == "t/bench/wave/value");

    let good = config(bridge.folder(), &broker.url(), "qos: 1", "").replace("\"t/", "\"changed/");
    bridge.configure("sensors: [");
    bridge.signal("HUP");
    wait_until(SOON, "the refusal", || bridge.stderr().contains("configuration not changed"));
    let seen = subscriber.count();
    subscriber.wait_for(seen + 5, SOON);

    bridge.configure(&good);
    bridge.signal("HUP");
    subscriber.wait_for_one(SOON, |message| message.topic == "changed/bench/wave/value");
    assert!(bridge.terminate().success());
    let seen = subscriber.messages();
    let ids: Vec<String> = seen
        .iter()
        .filter(|message| !message.topic.ends_with("/status"))
        .map(|message| id(&serde_json::from_str(&message.payload).unwrap()))
        .collect();
    let lost: Vec<String> = logged(&bridge).into_keys().filter(|id| !ids.contains(id)).collect();
    assert!(lost.is_empty(), "lost over the reload: {lost:?}");
}

#[test]
fn usr1_shows_the_board() {
    let broker = Mosquitto::start();
    let bridge = Bridge::start(|folder| config(folder, &broker.url(), "qos: 1", ""));
    wait_until(SOON, "the publisher is up", || bridge.stderr().contains("publisher: ok"));
    bridge.signal("USR1");
    wait_until(SOON, "the board", || bridge.stderr().contains("sensor wave: ok (for"));
}

#[test]
fn a_second_daemon_on_the_same_log_is_refused() {
    let broker = Mosquitto::start();
    let bridge = Bridge::start(|folder| config(folder, &broker.url(), "qos: 1", ""));
    wait_until(SOON, "the first is up", || bridge.stderr().contains("publisher: ok"));
    let second = bridge.run(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another sensor-bridge"), "{said}");
}

#[test]
fn an_absent_sensor_is_a_state_and_the_others_go_on() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let _bridge = Bridge::start(|folder| {
        // No machine that runs this test has a bus of this number.
        config(
            folder,
            &broker.url(),
            "qos: 1",
            "  - { id: gone, driver: bme280, bus: i2c-99, interval: 100ms }\n",
        )
    });
    let state = subscriber.wait_for_one(SOON, |message| message.topic == "t/bench/gone/state");
    let payload: Value = serde_json::from_str(&state.payload).unwrap();
    assert!(payload["value"].as_str().unwrap().starts_with("failed: "), "{payload}");
    subscriber.wait_for_one(SOON, |message| message.topic == "t/bench/wave/value");
}

#[test]
fn the_demo_ends_by_itself_and_has_lost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::prepare(|folder| config(folder, "mqtt://127.0.0.1:1", "", ""));
    let path = folder.path().to_str().unwrap();
    let output = bridge.run(&["demo", "--seconds", "3", "--dir", path]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("nothing lost"), "{said}");
    assert!(said.contains("demo/demo-pi/air/temperature"), "{said}");
    let config = folder.path().join("config.yaml");
    let mut query = std::process::Command::new(env!("CARGO_BIN_EXE_sensor-bridge"));
    let answer = query
        .args(["query", "air", "temperature", "--format", "csv", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let table = String::from_utf8(answer.stdout).unwrap();
    assert!(table.lines().count() >= 2, "{table}");
}
