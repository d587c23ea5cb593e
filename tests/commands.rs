//! Commands and outputs through the real binary and a real mosquitto: switched, answered, refused, made safe.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::{Bridge, Message, Mosquitto, Publisher, Subscriber, find, wait_until};

const SOON: Duration = Duration::from_secs(30);
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A fan that is safe when the broker is away for a second, a lamp, a sensor read once an hour.
fn config(folder: &Path, broker: &Mosquitto, version: &str) -> String {
    fs::write(folder.join("command.key"), format!("{KEY}\n")).unwrap();
    format!(
        "device: {{ id: pi }}
log: {{ path: {}/bridge.db }}
mqtt: {{ url: \"{}\", version: \"{version}\", keep_alive: 5s, topic: \"t/{{device}}/{{sensor}}/{{quantity}}\" }}
sensors:
  - {{ id: air, driver: bme280, bus: sim-1, interval: 1h, simulate: {{ temperature: {{ constant: 21 }} }} }}
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22, active_low: true, link_lost: 1s }}
  - {{ id: lamp, driver: pca9685, bus: sim-1, channel: 3, max: 80 }}
commands:
  - {{ topic: \"c/{{device}}\", allow: [fan, lamp, \"read:air\", interval, pause, resume], reply: \"r/{{device}}\", unsynced: obey }}
  - {{ topic: \"s/{{device}}\", allow: [fan], hmac_key_file: command.key, reply: \"r/{{device}}\", unsynced: obey }}
",
        folder.display(),
        broker.url()
    )
}

/// Seconds since 1970, so much later.
fn in_seconds(seconds: i64) -> i64 {
    sensor_bridge::enrich::clock::now().wall.0 / 1_000_000 + seconds
}

fn command(id: &str, seconds: i64, rest: &str) -> String {
    format!("{{\"id\":\"{id}\",\"expires\":{},{rest}}}", in_seconds(seconds))
}

fn set(id: &str, output: &str, value: &str) -> String {
    command(id, 60, &format!("\"action\":\"set\",\"output\":\"{output}\",\"value\":{value}"))
}

fn send(broker: &Mosquitto, topic: &str, payload: &str) {
    Publisher::once(broker.port(), topic, &["-q", "1", "-m", payload]);
}

fn body(message: &Message) -> Value {
    serde_json::from_str(&message.payload).unwrap_or_else(|error| panic!("{error}: {}", message.payload))
}

/// Waits for the answer to a command; answers it.
#[track_caller]
fn answer(replies: &Subscriber, id: &str) -> Value {
    body(&replies.wait_for_one(SOON, |message| message.topic == "r/pi" && body(message)["id"] == id))
}

/// Waits until commands can come in.
#[track_caller]
fn listening(broker: &Mosquitto, replies: &Subscriber, probe: &str) {
    // What is sent before the subscription is nobody's.
    wait_until(SOON, "commands are answered", || {
        send(broker, "c/pi", &set(probe, "lamp", "0"));
        std::thread::sleep(Duration::from_millis(50));
        replies.messages().iter().any(|message| message.topic == "r/pi" && body(message)["id"] == probe)
    });
}

fn column(bridge: &Bridge, sql: &str) -> Vec<String> {
    let database = bridge.database();
    let mut rows = database.prepare(sql).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

const SWITCHED: &str =
    "SELECT CAST(value AS TEXT) FROM readings WHERE sensor = 'fan' AND quantity = 'on' ORDER BY id";

fn sign(topic: &str, payload: &str, key: &str) -> String {
    let script =
        format!("printf '%s\\n%s' \"$1\" \"$2\" | openssl dgst -sha256 -hmac \"{key}\" | sed 's/.* //'");
    let output = Command::new("sh").args(["-c", &script, "sh", topic, payload]).output().unwrap();
    let digits = String::from_utf8(output.stdout).unwrap();
    format!("{},\"hmac\":\"{}\"}}", payload.strip_suffix('}').unwrap(), digits.trim())
}

#[test]
fn switched_answered_published_logged_and_safe_at_the_end() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#", "t/#"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "3.1.1"));
    listening(&broker, &witness, "p");

    send(&broker, "c/pi", &set("a", "fan", "true"));
    let said = answer(&witness, "a");
    assert_eq!((&said["rc"], said["message"].as_str().unwrap()), (&Value::from(200), "fan is on"));
    let on = witness
        .wait_for_one(SOON, |message| message.topic == "t/pi/fan/on" && body(message)["value"] == true);
    assert_eq!(body(&on)["sensor"], "fan");
    send(&broker, "c/pi", &set("b", "lamp", "40"));
    assert_eq!(answer(&witness, "b")["data"]["level"], 40.0);
    witness.wait_for_one(SOON, |message| {
        message.topic == "t/pi/lamp/level" && body(message)["value"] == 40.0 && body(message)["unit"] == "%"
    });
    send(&broker, "c/pi", &set("c", "lamp", "90"));
    assert_eq!(answer(&witness, "c")["rc"], 422);
    // Again: answered and not done again.
    send(&broker, "c/pi", &set("d", "fan", "false"));
    answer(&witness, "d");
    send(&broker, "c/pi", &set("a", "fan", "true"));
    let again = witness.wait_for_one(SOON, |message| {
        message.topic == "r/pi" && body(message)["id"] == "a" && body(message)["repeated"] == true
    });
    assert_eq!(body(&again)["rc"], 200);
    send(&broker, "c/pi", &set("e", "fan", "true"));
    answer(&witness, "e");

    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    assert_eq!(column(&bridge, SWITCHED), ["0", "1", "0", "1", "0"], "safe at the start and at the end");
    let rows = column(
        &bridge,
        "SELECT command || ' ' || rc || ' ' || outcome FROM commands WHERE command <> 'p' ORDER BY id",
    );
    let expected = ["a 200 done", "b 200 done", "c 422 failed", "d 200 done", "a 200 repeat", "e 200 done"];
    assert_eq!(rows, expected);
    let database = bridge.database();
    let pending: i64 =
        database.query_row("SELECT count(*) FROM command WHERE pending = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(pending, 0, "every answer was acknowledged");
}

#[test]
fn what_must_not_be_done_is_refused_and_said_so() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    Publisher::once(broker.port(), "c/pi", &["-q", "1", "-r", "-m", &set("retained", "fan", "true")]);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "5"));
    assert_eq!(answer(&witness, "retained")["rc"], 410);

    let on = "\"action\":\"set\",\"output\":\"fan\",\"value\":true";
    send(&broker, "c/pi", &command("expired", -1, on));
    send(&broker, "c/pi", &command("status", 60, "\"action\":\"status\""));
    send(&broker, "c/pi", &command("unknown", 60, "\"action\":\"boil\""));
    send(&broker, "s/pi", &command("unsigned", 60, on));
    send(&broker, "s/pi", &sign("s/pi", &command("forged", 60, on), "another key, another key"));
    send(
        &broker,
        "s/pi",
        &sign("s/pi", &command("elsewhere", 60, "\"action\":\"set\",\"output\":\"lamp\",\"value\":1"), KEY),
    );
    let codes = [
        ("expired", 408),
        ("status", 403),
        ("unknown", 400),
        ("unsigned", 401),
        ("forged", 401),
        ("elsewhere", 403),
    ];
    for (id, rc) in codes {
        let said = answer(&witness, id);
        assert_eq!(said["rc"], rc, "{said}");
    }
    assert_eq!(column(&bridge, SWITCHED), ["0"], "nothing was switched");
    send(&broker, "s/pi", &sign("s/pi", &command("signed", 60, on), KEY));
    assert_eq!(answer(&witness, "signed")["rc"], 200);
    let refused = column(&bridge, "SELECT command FROM commands WHERE outcome = 'refused' ORDER BY command");
    assert_eq!(refused, ["elsewhere", "expired", "forged", "retained", "status", "unknown", "unsigned"]);
    assert!(bridge.terminate().success());
    assert!(!bridge.stderr().contains(KEY), "the key is nowhere");
}

#[test]
fn without_the_broker_it_becomes_safe_and_with_it_it_is_switched_again() {
    let mut broker = Mosquitto::start();
    let witness = Subscriber::persistent(broker.port(), "witness", &["r/#"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "3.1.1"));
    listening(&broker, &witness, "p");
    send(&broker, "c/pi", &set("a", "fan", "true"));
    answer(&witness, "a");
    broker.kill();
    wait_until(SOON, "the fan is off", || column(&bridge, SWITCHED) == ["0", "1", "0"]);
    let why = "SELECT value FROM readings WHERE sensor = 'fan' AND quantity = 'state' ORDER BY id";
    wait_until(SOON, "the reason is logged", || {
        column(&bridge, why) == ["ok", "safe: the broker was away for 1s"]
    });
    broker.resume();
    send(&broker, "c/pi", &set("b", "fan", "true"));
    assert_eq!(answer(&witness, "b")["rc"], 200);
    assert!(bridge.terminate().success());
    assert_eq!(column(&bridge, SWITCHED), ["0", "1", "0", "1", "0"]);
}

#[test]
fn commands_wait_for_a_bridge_that_is_away_and_are_done_once() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "3.1.1"));
    listening(&broker, &witness, "p");
    bridge.kill();
    send(&broker, "c/pi", &set("waits", "fan", "true"));
    let expires = in_seconds(1);
    send(&broker, "c/pi", &command("late", 1, "\"action\":\"set\",\"output\":\"lamp\",\"value\":50"));
    wait_until(SOON, "it has expired", || in_seconds(0) > expires);
    bridge.resume();
    assert_eq!(answer(&witness, "waits")["rc"], 200);
    assert_eq!(answer(&witness, "late")["rc"], 408);
    // Killed at once: the answer is known, the command is not done again.
    bridge.kill();
    send(&broker, "c/pi", &set("waits", "fan", "true"));
    bridge.resume();
    witness.wait_for_one(SOON, |message| body(message)["id"] == "waits" && body(message)["repeated"] == true);
    assert!(bridge.terminate().success());
    assert_eq!(column(&bridge, SWITCHED).iter().filter(|value| *value == "1").count(), 1);
}

#[test]
fn mqtt_5_says_where_the_answer_goes_and_what_it_belongs_to() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "5"));
    listening(&broker, &witness, "p");
    let asked = Command::new(find("mosquitto_rr"))
        .args(["-h", "127.0.0.1", "-p", &broker.port().to_string(), "-V", "5", "-q", "1", "-W", "20"])
        .args(["-t", "c/pi", "-e", "me/answers", "-D", "publish", "correlation-data", "right one"])
        .args(["-F", "%t|%D|%p", "-m", &set("a", "fan", "true")])
        .output()
        .unwrap();
    let text = String::from_utf8(asked.stdout).unwrap();
    let mut parts = text.trim().splitn(3, '|');
    assert_eq!((parts.next(), parts.next()), (Some("me/answers"), Some("right one")), "{text}");
    let said: Value = serde_json::from_str(parts.next().unwrap()).unwrap();
    assert_eq!((&said["rc"], &said["id"]), (&Value::from(200), &Value::from("a")));
    assert!(!witness.messages().iter().any(|message| body(message)["id"] == "a"), "there and nowhere else");
    assert!(bridge.terminate().success());
}

#[test]
fn sensors_are_read_paused_and_given_another_interval() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#", "t/#"], 1);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, "3.1.1"));
    listening(&broker, &witness, "p");
    let of_air = |id: &str, action: &str| {
        send(&broker, "c/pi", &command(id, 60, &format!("\"sensor\":\"air\",\"action\":{action}")));
        answer(&witness, id)
    };
    let read = of_air("read", "\"read\"");
    assert!(read["message"].as_str().unwrap().starts_with("air was read: temperature 2"), "{read}");
    assert!(read["data"]["temperature"].is_number(), "{read}");
    assert_eq!(of_air("often", "\"interval\",\"interval\":\"20ms\"")["rc"], 200);
    // Asks for the board and waits for the answer.
    let samples = || {
        let lines = || {
            let said = bridge.stderr();
            let ours = said.lines().filter(|line| line.contains("sensor air:") && line.contains("samples="));
            ours.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = lines().len();
        bridge.signal("USR1");
        wait_until(SOON, "the board is shown", || lines().len() > before);
        let line = lines().pop().unwrap();
        let count = line.split("samples=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        count.parse::<u64>().unwrap()
    };
    wait_until(SOON, "it is read often", || samples() > 10);
    assert_eq!(of_air("pause", "\"pause\"")["rc"], 200);
    let paused = samples();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(samples(), paused, "it is read no more");
    assert_eq!(of_air("again", "\"resume\"")["rc"], 200);
    assert!(bridge.terminate().success());
}

#[test]
fn check_shows_outputs_and_refuses_a_pin_taken_twice() {
    let broker = Mosquitto::start();
    let bridge = Bridge::prepare(|folder| config(folder, &broker, "5"));
    let good = String::from_utf8(bridge.run(&["check"]).stdout).unwrap();
    assert!(good.contains("output fan: digital-output on pin 22 of gpio-sim"), "{good}");
    assert!(good.contains("commands on s/pi: qos 1, signed, may: fan; answers on r/pi"), "{good}");
    assert!(!good.contains(KEY), "{good}");
    let json: Value = serde_json::from_slice(&bridge.run(&["check", "--json"]).stdout).unwrap();
    assert_eq!(json["outputs"][1]["limits"]["max"], 80.0, "{json}");
    assert_eq!(json["commands"][0]["allow"][2], "read:air");
    assert_eq!(json["platform_commands"], Value::Null);
    let text = fs::read_to_string(bridge.folder().join("config.yaml")).unwrap();
    let clash = "  - { id: door, driver: digital-input, bus: gpio-sim, pin: 22 }\noutputs:";
    let by_platform = text.replace("mqtt: {", "mqtt: { platform: { name: home-assistant },");
    bridge.configure(
        &by_platform.replace("commands:", "commands:\n  - { from: platform, allow: [lamp, status] }"),
    );
    let good = String::from_utf8(bridge.run(&["check"]).stdout).unwrap();
    assert!(good.contains("commands from home-assistant: may: lamp, status"), "{good}");
    bridge.configure(&text.replace("outputs:", clash));
    let bad = bridge.run(&["check"]);
    assert_eq!(bad.status.code(), Some(78));
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(said.contains("outputs[0].pin: pin 22 of gpio-sim is taken by sensor \"door\""), "{said}");
}
