//! Payloads that can be checked, and a device that is known by another name: through the real binary, a real mosquitto,
//! and the Python of the documentation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Message, Mosquitto, Publisher, Subscriber, find, holds_within, wait_until};

const SOON: Duration = Duration::from_secs(30);
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Told by nothing else than the configuration.
const ID: &str = "annas-bedroom-4711";

/// A key file, and the rest of a configuration whose log is in `folder`.
fn config(folder: &Path, broker: &Mosquitto, mqtt: &str, rest: &str) -> String {
    for name in ["payload.key", "pseudonym.key"] {
        fs::write(folder.join(name), format!("{KEY}\n")).unwrap();
    }
    format!(
        "log: {{ path: {}/bridge.db }}\nmqtt: {{ url: \"{}\", topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", {mqtt} }}\n{rest}",
        folder.display(),
        broker.url()
    )
}

/// What `docs/privacy.md` shows of Python.
fn documented() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/privacy.md")).unwrap();
    page.split_once("```python\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// Whether the documented Python thinks that each message is right; the last member of `changed` lines is of bytes.
fn judged_by_python(messages: &[(String, String)], key: Option<&str>) -> Vec<bool> {
    let script = format!(
        "{}\nimport json, sys\nkey = {}\nfor line in sys.stdin:\n    topic, payload = json.loads(line)\n    print(is_right(topic, payload.encode(), key))\n",
        documented(),
        key.map_or("None".to_owned(), |key| format!("b\"{key}\""))
    );
    let mut python = Command::new(find("python3"))
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    for message in messages {
        writeln!(input, "{}", serde_json::to_string(message).unwrap()).unwrap();
    }
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "True").collect()
}

const SENSORS: &str = "device: { id: pi, location: { name: \"Gew\\u00e4chshaus, \\\"hmac\\\":\\\"2\\\"\" } }
status: { interval: 1s }
sensors:
  - { id: air, driver: bme280, bus: sim-1, interval: 100ms, quantities: { temperature: { change: always } } }
  - { id: all, driver: bme280, bus: sim-1, address: 0x77, interval: 200ms, topic: \"t/{device}/{sensor}\" }
  - { id: sky, driver: camera, command: [CAT, PICTURE], interval: 1s, topic: \"t/{device}/{sensor}/image\" }
";

#[test]
fn the_python_of_the_documentation_knows_what_we_publish_and_what_was_changed() {
    for (integrity, key, member) in [
        ("integrity: crc32", None, "crc32"),
        ("integrity: { hmac_key_file: payload.key }, version: 5", Some(KEY), "hmac"),
    ] {
        let broker = Mosquitto::start();
        let witness = Subscriber::start(broker.port(), &["t/#"], 1);
        let mut bridge = Bridge::start(|folder| {
            let picture = folder.join("sky.png");
            image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, 7]))
                .save(&picture)
                .unwrap();
            let sensors =
                SENSORS.replace("CAT", "/bin/cat").replace("PICTURE", &picture.display().to_string());
            config(folder, &broker, integrity, &sensors)
        });
        for topic in ["t/pi/air/temperature", "t/pi/all", "t/pi/sky/image", "t/pi/status/facts"] {
            witness.wait_for_one(SOON, |message| message.topic == topic);
        }
        assert!(bridge.terminate().success(), "{}", bridge.last_words());
        let sealed = |message: &Message| message.payload.starts_with('{');
        let mut messages: Vec<(String, String)> = Vec::new();
        for message in witness.finish().into_iter().filter(sealed) {
            let parsed: Value = serde_json::from_str(&message.payload).unwrap();
            assert_eq!(parsed.as_object().unwrap().iter().filter(|(name, _)| *name == member).count(), 1);
            let end = message.payload.rsplit_once(',').unwrap().1;
            assert!(end.starts_with(&format!("\"{member}\":\"")), "{end}");
            messages.push((message.topic, message.payload));
        }
        let verdicts = judged_by_python(&messages, key);
        assert!(verdicts.len() >= 4 && verdicts.iter().all(|right| *right), "{messages:?} {verdicts:?}");
        let changed: Vec<(String, String)> = messages
            .iter()
            .map(|(topic, payload)| (topic.clone(), payload.replacen("\"pi\"", "\"pj\"", 1)))
            .collect();
        assert_eq!(judged_by_python(&changed, key), vec![false; changed.len()]);
        let played: Vec<(String, String)> =
            messages.iter().map(|(topic, payload)| (format!("{topic}/x"), payload.clone())).collect();
        assert_eq!(judged_by_python(&played, key), vec![key.is_none(); played.len()]);
        // Neither key nor signature is in the log, nor in what was said.
        let database = fs::read(bridge.database_path()).unwrap();
        let said = bridge.stderr();
        let value = messages[0].1.rsplit_once(",\"").unwrap().1;
        for secret in [KEY, value] {
            assert!(!database.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
        }
        assert!(!said.contains(KEY));
    }
}

/// What a query counts; 0 as long as the daemon has not made the table.
fn count(bridge: &Bridge, sql: &str) -> i64 {
    let counted = || bridge.database().query_row(sql, [], |row| row.get(0));
    if bridge.database_path().exists() { counted().unwrap_or(0) } else { 0 }
}

#[test]
fn a_mirror_stores_what_is_right_and_keeps_the_rest_apart() {
    let broker = Mosquitto::start();
    let sensor = "device: { id: pi }
sensors:
  - { id: air, driver: sim, interval: 50ms, scenario: clock, quantities: { value: { change: always } } }
mirror:
  - { id: back, topics: [\"t/#\"], to: sqlite, integrity: { hmac_key_file: [old.key, payload.key] } }
  - { id: file, topics: [\"t/#\"], to: csv, path: \"FOLDER/out.csv\", integrity: { hmac_key_file: payload.key } }
  - { id: sum, topics: [\"t/#\"], to: sqlite, integrity: crc32 }
";
    let mut bridge = Bridge::start(|folder| {
        fs::write(folder.join("old.key"), "a key of last year's").unwrap();
        let rest = sensor.replace("FOLDER", &folder.display().to_string());
        config(folder, &broker, "integrity: { hmac_key_file: payload.key }", &rest)
    });
    wait_until(SOON, "messages are mirrored", || {
        count(&bridge, "SELECT count(*) FROM messages WHERE mirror = 'back'") > 5
            && count(&bridge, "SELECT count(*) FROM refused_messages WHERE mirror = 'sum'") > 5
    });
    let forged = r#"{"id":"3f9c2a1b-1","device":"pi","sensor":"air","value":99,"hmac":"00"}"#;
    Publisher::once(broker.port(), "t/pi/air/value", &["-q", "1", "-m", forged]);
    Publisher::once(broker.port(), "t/pi/air/value", &["-q", "2", "-m", "99"]);
    let refused = "SELECT count(*) FROM refused_messages WHERE reason LIKE 'carries no HMAC%' AND topic = 't/pi/air/value'";
    wait_until(SOON, "what is forged is kept apart", || count(&bridge, refused) >= 4);
    let status = bridge.run(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let mirrors = status["mirrors"].as_array().unwrap();
    for (id, refused) in [("back", 2), ("file", 2)] {
        let mirror = mirrors.iter().find(|mirror| mirror["mirror"] == id).unwrap();
        assert!(mirror["refused"].as_i64().unwrap() >= refused, "{mirror}");
    }
    let sum = mirrors.iter().find(|mirror| mirror["mirror"] == "sum").unwrap();
    assert!(sum["stored"] == 0 && sum["state"] == "degraded", "{sum}");
    assert!(sum["reason"].as_str().unwrap().contains("carries no CRC-32"), "{sum}");
    assert!(bridge.terminate().success());
    let wrong = "SELECT count(*) FROM messages WHERE payload NOT LIKE '%\"hmac\":%' OR payload LIKE '%99,\"hmac%' OR mirror <> 'back'";
    assert_eq!(count(&bridge, wrong), 0);
    let file = fs::read_to_string(bridge.folder().join("out.csv")).unwrap();
    assert!(file.lines().count() > 5 && file.lines().skip(1).all(|line| line.contains("hmac")), "{file}");
    assert!(!file.contains("\"\"value\"\":99,"), "{file}");
}

#[test]
fn the_name_of_the_device_reaches_nobody() {
    // Everything a broker can be told, and everything it says of it.
    let broker = Mosquitto::with("log_type all\nsys_interval 1");
    let witness = Subscriber::start(broker.port(), &["#", "$SYS/#"], 2);
    let rest = format!(
        "device: {{ id: {ID}, pseudonym: {{ key_file: pseudonym.key }} }}
status: {{ interval: 1s }}
web: {{ listen: \"127.0.0.1:0\" }}
sensors:
  - {{ id: air, driver: bme280, bus: sim-1, interval: 100ms }}
  - {{ id: all, driver: bme280, bus: sim-1, address: 0x77, interval: 100ms, topic: \"t/{{device}}/{{sensor}}\" }}
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
commands:
  - {{ topic: \"c/{{device}}\", allow: [fan, status], reply: \"r/{{device}}\", unsynced: obey }}
mirror:
  - {{ id: back, topics: [\"t/#\"], to: sqlite }}
"
    );
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "version: 5", &rest));
    let name = {
        let script = "printf %s \"$1\" | openssl dgst -sha256 -hmac \"$2\" | sed 's/.*= //' | cut -c 1-16";
        let output = Command::new("sh").args(["-c", script, "sh", ID, KEY]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let facts = witness.wait_for_one(SOON, |message| message.topic == format!("t/{name}/status/facts"));
    assert!(facts.payload.contains(&name));
    witness.wait_for_one(SOON, |message| {
        message.topic == format!("t/{name}/all") && message.payload.contains(&name)
    });
    let expires = sensor_bridge::enrich::clock::now().wall.0 / 1_000_000 + 600;
    let mut turn = 0;
    wait_until(SOON, "a command for its status is answered", || {
        turn += 1;
        let command = format!("{{\"id\":\"{turn}\",\"expires\":{expires},\"action\":\"status\"}}");
        Publisher::once(broker.port(), &format!("c/{name}"), &["-q", "1", "-m", &command]);
        holds_within(Duration::from_millis(50), || {
            witness.messages().iter().any(|message| message.topic == format!("r/{name}"))
        })
    });
    let local = bridge.run(&["status", "--json"]);
    assert!(local.status.success() && String::from_utf8_lossy(&local.stdout).contains(&name));
    // Once without a farewell: the last will speaks.
    bridge.kill();
    witness.wait_for_one(SOON, |message| message.topic.ends_with("/status") && message.payload == "offline");
    bridge.resume();
    wait_until(SOON, "it is back", || {
        witness.messages().iter().filter(|message| message.payload == "online").count() >= 2
    });
    assert!(bridge.terminate().success(), "{}", bridge.last_words());

    let heard = witness.finish();
    assert!(heard.iter().any(|message| message.topic.starts_with("$SYS/")));
    let mut told: Vec<(String, String)> = heard
        .into_iter()
        .map(|message| (message.topic.clone(), format!("{} {}", message.topic, message.payload)))
        .collect();
    told.push(("log of the broker".into(), broker.log()));
    assert!(broker.log().contains(&format!("sensor-bridge-{name}")), "its client id");
    for file in ["mosquitto.db", "output"] {
        let bytes = fs::read(broker.folder().join(file)).unwrap_or_default();
        told.push((file.into(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    told.push(("status".into(), String::from_utf8_lossy(&local.stdout).into_owned()));
    told.push(("journal".into(), bridge.stderr()));
    for file in ["bridge.db", "bridge.db-wal"] {
        let bytes = fs::read(bridge.folder().join(file)).unwrap_or_default();
        told.push((file.into(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    for (where_to, text) in told {
        assert!(!text.contains(ID), "{where_to}: {text}");
    }
    let check = bridge.run(&["check"]);
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.contains(&format!("{name}, which stands for {ID}")), "{check}");
}

#[test]
fn what_was_taken_under_the_name_goes_out_under_the_pseudonym() {
    let broker = Mosquitto::with("log_type all");
    let witness = Subscriber::start(broker.port(), &["#"], 1);
    let rest = |device: &str| {
        format!(
            "device: {{ {device} }}
sensors: [{{ id: air, driver: bme280, bus: sim-1, interval: 20ms, topic: \"t/{{device}}/of-{{device}}\" }}]"
        )
    };
    let mut bridge = Bridge::start(|folder| {
        // A port of nobody's.
        config(folder, &broker, "", &rest(&format!("id: {ID}"))).replace(&broker.url(), "mqtt://127.0.0.1:9")
    });
    wait_until(SOON, "readings wait", || count(&bridge, "SELECT count(*) FROM readings") > 20);
    assert!(bridge.terminate().success());
    let waiting = count(&bridge, "SELECT count(DISTINCT time) FROM readings WHERE quantity = 'temperature'");
    let hidden = rest(&format!("id: {ID}, pseudonym: {{ key_file: pseudonym.key }}"));
    bridge.configure(&config(bridge.folder(), &broker, "qos: 2", &hidden));
    bridge.resume();
    let arrived =
        |messages: &[Message]| messages.iter().filter(|message| message.topic.contains("/of-")).count();
    wait_until(SOON, "all is delivered", || arrived(&witness.messages()) as i64 > waiting);
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    for message in witness.finish() {
        assert!(!format!("{message:?}").contains(ID), "{message:?}");
    }
    assert!(!broker.log().contains(ID));
}

#[cfg(not(feature = "sqlcipher"))]
#[test]
fn a_program_that_cannot_encrypt_says_so_and_touches_nothing() {
    let key = "00".repeat(32);
    let bridge = Bridge::prepare(|folder| {
        fs::write(folder.join("log.key"), &key).unwrap();
        format!(
            "log: {{ path: {}/bridge.db, key_file: log.key }}\nsensors: [{{ id: host, driver: host, interval: 1s }}]",
            folder.display()
        )
    });
    for arguments in [&["check"][..], &["run"], &["query"]] {
        let output = bridge.run(arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("log.key_file: this program cannot encrypt its log"), "{said}");
        assert!(said.contains("--features sqlcipher"), "{said}");
    }
    assert!(!bridge.database_path().exists());
    // An encrypted log of another program's is not taken for a damaged one.
    bridge.configure(&format!(
        "log: {{ path: {}/bridge.db }}\nsensors: [{{ id: host, driver: host, interval: 1s }}]",
        bridge.folder().display()
    ));
    let mut bytes = b"SBlogENC".to_vec();
    bytes.extend((0..8184_u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8));
    fs::write(bridge.database_path(), &bytes).unwrap();
    for arguments in [&["run"][..], &["query"], &["backup", "copy.db"]] {
        let output = bridge.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("encrypted") && said.contains("built with SQLCipher"), "{said}");
    }
    assert_eq!(fs::read(bridge.database_path()).unwrap(), bytes);
    let refused = bridge.run(&["backup", "--encrypt", "log.key", "copy.db"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("built without SQLCipher"));
}
