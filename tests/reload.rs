//! A configuration that changes under the real binary: what changed is applied, what did not never notices, and no
//! reading is lost or repeated on the way.
//!
//! The sensors count: a recording of 1, 2, 3 … is read from its beginning whenever the sensor is opened. So a gap or a
//! second beginning is seen in the values, however slow the machine is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{AckedPublisher, Bridge, Message, Mosquitto, Publisher, Seed, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// What stands at the top of a configuration.
fn head(folder: &Path, mqtt: &str) -> String {
    let numbers = folder.join("numbers.csv");
    if !numbers.exists() {
        let mut text = String::new();
        (1..=100_000).for_each(|number| writeln!(text, "{number}").unwrap());
        std::fs::write(&numbers, text).unwrap();
    }
    format!("device: {{ id: pi }}\nlog: {{ path: {}/bridge.db }}\n{mqtt}", folder.display())
}

fn mqtt(broker: &Mosquitto) -> String {
    format!(
        "mqtt: {{ url: \"{}\", topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}\n",
        broker.url()
    )
}

/// A sensor that counts its readings and logs each.
fn counter(id: &str, interval: &str, more: &str) -> String {
    format!(
        "  - {{ id: {id}, driver: sim, scenario: replay, file: numbers.csv, interval: {interval}{more}, \
         quantities: {{ value: {{ change: always }} }} }}\n"
    )
}

/// Replaces the file, and waits until the bridge says what it did; answers that.
#[track_caller]
fn reload(bridge: &Bridge, config: &str) -> String {
    bridge.configure(config);
    let said = |bridge: &Bridge| -> Vec<String> {
        let all = bridge.stderr();
        let lines = all.lines().filter_map(|line| Some(line.split_once(" reload: ")?.1.trim().to_owned()));
        lines.collect()
    };
    let before = said(bridge).len();
    bridge.signal("HUP");
    wait_until(SOON, "the bridge says what it did", || said(bridge).len() > before);
    said(bridge).pop().unwrap()
}

/// The values of a quantity in the order logged.
fn values(bridge: &Bridge, sensor: &str, quantity: &str) -> Vec<f64> {
    if !bridge.database_path().exists() {
        return Vec::new();
    }
    let database = bridge.database();
    let sql = "SELECT CAST(value AS REAL) FROM readings WHERE sensor = ?1 AND quantity = ?2 ORDER BY id";
    // The tables come a moment after the file.
    let Ok(mut rows) = database.prepare(sql) else { return Vec::new() };
    rows.query_map([sensor, quantity], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// How many readings there are.
fn rows(bridge: &Bridge) -> i64 {
    if !bridge.database_path().exists() {
        return 0;
    }
    bridge.database().query_row("SELECT count(*) FROM reading", [], |row| row.get(0)).unwrap_or(0)
}

/// The states that a sensor or output has had.
fn states(bridge: &Bridge, sensor: &str) -> Vec<String> {
    let database = bridge.database();
    let sql = "SELECT value FROM readings WHERE sensor = ?1 AND quantity = 'state' ORDER BY id";
    let mut rows = database.prepare(sql).unwrap();
    rows.query_map([sensor], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Nothing is missing, and it has not begun anew.
#[track_caller]
fn assert_goes_on(bridge: &Bridge, sensor: &str) {
    let values = values(bridge, sensor, "value");
    let wrong = values.windows(2).find(|pair| pair[1] != pair[0] + 1.0);
    assert_eq!((values.first(), wrong), (Some(&1.0), None), "{sensor}");
    assert_eq!(states(bridge, sensor), ["ok"], "{sensor}");
}

fn id(message: &Message) -> Option<String> {
    let payload: Value = serde_json::from_str(&message.payload).ok()?;
    Some(payload["id"].as_str()?.to_owned())
}

/// Every reading that is to be published, by its identity.
fn logged(bridge: &Bridge) -> HashSet<String> {
    let database = bridge.database();
    let sql = "SELECT (SELECT epoch FROM epoch WHERE first_row <= reading.id ORDER BY first_row DESC LIMIT 1), reading.id
               FROM reading JOIN channel ON channel.id = channel WHERE topic IS NOT NULL";
    let mut rows = database.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok(format!("{}-{}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Waits until all that the log has, and is to be published, has arrived; however slow the machine is, as long as more
/// and more does. To be called when nothing is read any more.
#[track_caller]
fn wait_for_all(bridge: &Bridge, witness: &Subscriber) {
    let total = logged(bridge);
    loop {
        let before = witness.count();
        if before >= total.len() {
            let seen: HashSet<String> = witness.messages().iter().filter_map(id).collect();
            if total.is_subset(&seen) {
                return;
            }
        }
        wait_until(SOON * 2, "more arrives", || witness.count() > before);
    }
}

/// Each reading of the log arrived once, and per topic in order.
#[track_caller]
fn assert_once_and_in_order(bridge: &Bridge, messages: &[Message]) {
    let mut seen = HashSet::new();
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for message in messages {
        let Some(id) = id(message) else { continue };
        let row: i64 = id.rsplit_once('-').unwrap().1.parse().unwrap();
        let before = last.insert(&message.topic, row).unwrap_or(0);
        assert!(before < row, "{}: row {row} came after row {before}", message.topic);
        assert!(seen.insert(id), "row {row} came twice");
    }
    let logged = logged(bridge);
    let (lost, unknown) = (logged.difference(&seen).count(), seen.difference(&logged).count());
    assert_eq!((lost, unknown), (0, 0), "lost, and never logged; of {}", logged.len());
}

#[test]
fn what_is_buffered_survives_other_sensors_and_arrives_once_in_order() {
    let mut broker = Mosquitto::start();
    let witness = Subscriber::persistent(broker.port(), "witness", &["t/#"], 1);
    broker.stop();
    let mqtt = mqtt(&broker);
    let sensors = |ids: std::ops::Range<usize>, more: &str| -> String {
        ids.map(|number| counter(&format!("s{number}"), "10ms", more)).collect()
    };
    let config = |folder: &Path, sensors: &str| format!("{}sensors:\n{sensors}", head(folder, &mqtt));
    let mut bridge = Bridge::start(|folder| config(folder, &sensors(0..40, "")));
    wait_until(SOON, "10,000 rows", || rows(&bridge) >= 10_000);

    // Ten stay, ten are opened anew, ten go, ten only get another topic; one is new.
    let topic = ", topic: \"t/elsewhere/{sensor}/{quantity}\"";
    let changed = sensors(0..10, "")
        + &sensors(10..20, ", unit: x")
        + &sensors(30..40, topic)
        + &counter("new", "10ms", "");
    let said = reload(&bridge, &config(bridge.folder(), &changed));
    for expected in [
        "sensor new added",
        "sensors s10, ",
        "restarted",
        "sensors s30, ",
        "adjusted",
        "sensors s20, ",
        "removed",
    ] {
        assert!(said.contains(expected), "{expected} not in {said}");
    }
    assert!(!said.contains(" s1,") && !said.contains("publisher"), "{said}");
    wait_until(SOON, "the new one is read", || values(&bridge, "new", "value").len() > 50);
    // Nothing is read any more, so that it comes to an end.
    let quiet = config(bridge.folder(), "  - { id: quiet, driver: sim, scenario: constant, interval: 1h }\n");
    reload(&bridge, &quiet);
    let total = logged(&bridge).len();
    broker.resume();
    wait_for_all(&bridge, &witness);
    assert!(bridge.terminate().success());
    assert!(total > 10_000, "{total}");
    assert_once_and_in_order(&bridge, &witness.finish());
    for number in (0..10).chain(30..40) {
        let values = values(&bridge, &format!("s{number}"), "value");
        assert!(values.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "s{number} has a gap or began anew");
    }
}

#[test]
fn what_did_not_change_never_notices() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["#"], 1);
    // Besides the counters: one that has nothing to say for an hour, and a meter.
    let still = |change: &str| {
        format!(
            "  - {{ id: calm, driver: sim, scenario: constant, value: 5, interval: 10ms, \
             quantities: {{ value: {{ heartbeat: 1h }} }} }}\n  - {{ id: calmer, driver: sim, scenario: constant, \
             interval: 10ms, quantities: {{ value: {{ heartbeat: 1h{change} }} }} }}\n"
        )
    };
    let meter = |debounce: &str| {
        format!(
            "  - {{ id: water, driver: pulse-counter, pin: 6, bus: gpio-sim, interval: 20ms, unit: L, start: 1000, \
             {debounce}simulate: {{ toggle: 10ms }} }}\n"
        )
    };
    let config = |folder: &Path, rest: &str| {
        let always = counter("steady", "10ms", "");
        format!("{}sensors:\n{always}{rest}", head(folder, &mqtt(&broker)))
    };
    let first = still("") + &meter("") + &counter("other", "10ms", "") + &counter("slower", "10ms", "");
    let mut bridge = Bridge::start(|folder| config(folder, &first));
    let more = |bridge: &Bridge| {
        for sensor in ["steady", "other", "slower"] {
            let before = values(bridge, sensor, "value").len();
            wait_until(SOON, "it is read", || values(bridge, sensor, "value").len() > before + 5);
        }
    };
    more(&bridge);
    assert_eq!(reload(&bridge, &config(bridge.folder(), &first)), "nothing changed");
    let mut opened = 1;
    for round in 0..6 {
        let other = counter("other", "10ms", &format!(", unit: u{round}"));
        let slower = counter("slower", &format!("{}ms", 11 + round), ", qos: 0");
        let change = format!(", change: {}", round + 1);
        let rest = still(&change) + &meter("") + &other + &slower;
        let said = reload(&bridge, &config(bridge.folder(), &rest));
        assert_eq!(said, "sensor other restarted; sensors calmer, slower adjusted");
        opened += 1;
        more(&bridge);
    }
    for (sensor, quantity) in [("calm", "value"), ("calmer", "value")] {
        assert_eq!(
            values(&bridge, sensor, quantity).len(),
            1,
            "{sensor}: neither its deadband nor its heartbeat began anew"
        );
        assert_eq!(states(&bridge, sensor), ["ok"]);
    }
    assert_eq!(values(&bridge, "other", "value").iter().filter(|value| **value == 1.0).count(), opened);
    // The meter that stays goes on, and so does one that is opened anew.
    let total = |bridge: &Bridge| values(bridge, "water", "total");
    wait_until(SOON, "it counts", || total(&bridge).len() > 20);
    assert!(total(&bridge).windows(2).all(|pair| pair[0] <= pair[1]));
    let rest = still("") + &meter("debounce: 1ms, ");
    let said = reload(&bridge, &config(bridge.folder(), &rest));
    assert_eq!(said, "sensor water restarted; sensor calmer adjusted; sensors other, slower removed");
    let before = total(&bridge);
    wait_until(SOON, "it counts on", || total(&bridge).len() > before.len() + 10);
    assert!(total(&bridge).windows(2).all(|pair| pair[0] <= pair[1]), "it began anew: {:?}", total(&bridge));
    let quiet = "  - { id: quiet, driver: sim, scenario: constant, interval: 1h }\n";
    reload(&bridge, &format!("{}sensors:\n{quiet}", head(bridge.folder(), &mqtt(&broker))));
    wait_for_all(&bridge, &witness);
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
    // Another interval and another topic, and the same device all the time; its state is told where it is looked for.
    let slower = values(&bridge, "slower", "value");
    assert!(slower.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "it was opened again");
    assert_eq!(states(&bridge, "slower"), ["ok", "ok"]);
}

/// A command that is good for a minute.
fn command(id: &str, rest: &str) -> String {
    let expires = sensor_bridge::enrich::clock::now().wall.0 / 1_000_000 + 60;
    format!("{{\"id\":\"{id}\",\"expires\":{expires},{rest}}}")
}

/// Sends a command until it is answered; answers that.
#[track_caller]
fn ask(broker: &Mosquitto, witness: &Subscriber, topic: &str, id: &str, rest: &str) -> Value {
    let payload = command(id, rest);
    let mut said = None;
    wait_until(SOON, "the command is answered", || {
        Publisher::once(broker.port(), topic, &["-q", "1", "-m", &payload]);
        std::thread::sleep(Duration::from_millis(100));
        said =
            witness.messages().iter().filter(|message| message.topic.starts_with("r/")).find_map(|message| {
                let body: Value = serde_json::from_str(&message.payload).ok()?;
                (body["id"] == id).then_some(body)
            });
        said.is_some()
    });
    said.unwrap()
}

const FAN: &str = "  - { id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }\n";
const LAMP: &str = "  - { id: lamp, driver: pca9685, bus: sim-1, channel: 3 }\n";

fn house(
    folder: &Path,
    broker: &Mosquitto,
    keep_alive: &str,
    outputs: &str,
    allow: &str,
    rest: &str,
) -> String {
    let mqtt = format!(
        "mqtt: {{ url: \"{}\", keep_alive: {keep_alive}, topic: \"t/{{device}}/{{sensor}}/{{quantity}}\" }}\n",
        broker.url()
    );
    format!(
        "{}sensors:\n{}outputs:\n{outputs}commands:\n  - {{ topic: c/pi, allow: [{allow}], reply: r/pi, unsynced: obey }}\n{rest}",
        head(folder, &mqtt),
        counter("steady", "20ms", "")
    )
}

#[test]
fn an_output_that_did_not_change_keeps_its_level() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#", "t/#", "u/#"], 1);
    let config =
        |folder: &Path, outputs: &str, rest: &str| house(folder, &broker, "30s", outputs, "fan, lamp", rest);
    let mut bridge = Bridge::start(|folder| config(folder, &format!("{FAN}{LAMP}"), ""));
    let set = |id: &str, output: &str, value: &str| {
        let said = ask(
            &broker,
            &witness,
            "c/pi",
            id,
            &format!("\"action\":\"set\",\"output\":\"{output}\",\"value\":{value}"),
        );
        assert_eq!(said["rc"], 200, "{said}");
    };
    set("a", "fan", "true");
    set("b", "lamp", "40");
    let fan = || values(&bridge, "fan", "on");
    assert_eq!(fan(), [0.0, 1.0]);

    // Others come and change; the web page is asked for.
    let pump = "  - { id: pump, driver: digital-output, bus: gpio-sim, pin: 23 }\n";
    let dimmed = LAMP.replace("channel: 3", "channel: 3, max: 90");
    let said = reload(&bridge, &config(bridge.folder(), &format!("{pump}{FAN}{dimmed}"), ""));
    assert_eq!(said, "output pump added; output lamp restarted");
    wait_until(SOON, "the lamp is at its safe level", || {
        values(&bridge, "lamp", "level") == [0.0, 40.0, 0.0, 0.0]
    });
    wait_until(SOON, "the pump as well", || values(&bridge, "pump", "on") == [0.0]);
    assert_eq!(fan(), [0.0, 1.0], "nobody touched it");
    // Told elsewhere, it is where it was.
    let elsewhere = FAN.replace("pin: 22", "pin: 22, topic: \"u/{sensor}/{quantity}\"");
    let said = reload(&bridge, &config(bridge.folder(), &format!("{elsewhere}{pump}{dimmed}"), ""));
    assert_eq!(said, "output fan adjusted");
    let on = witness.wait_for_one(SOON, |message| message.topic == "u/fan/on");
    assert!(on.payload.contains("\"value\":true"), "{on:?}");
    witness.wait_for_one(SOON, |message| message.topic == "u/fan/state");
    assert_eq!(fan(), [0.0, 1.0, 1.0]);
    // It can be switched as before; with other limits it begins at its safe level, and taken away it goes there.
    set("c", "fan", "false");
    set("d", "fan", "true");
    let limited = elsewhere.replace("pin: 22", "pin: 22, max_on: 1h");
    assert_eq!(
        reload(&bridge, &config(bridge.folder(), &format!("{limited}{pump}{dimmed}"), "")),
        "output fan restarted"
    );
    wait_until(SOON, "it is safe", || fan() == [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    set("e", "fan", "true");
    let without = house(bridge.folder(), &broker, "30s", &format!("{pump}{dimmed}"), "lamp", "");
    assert_eq!(reload(&bridge, &without), "output fan removed; commands adjusted");
    wait_until(SOON, "it is safe at its end", || fan().last() == Some(&0.0));
    let status = String::from_utf8(bridge.run(&["status"]).stdout).unwrap();
    assert!(!status.lines().any(|line| line.starts_with("output fan")), "{status}");
    // A pin that is let go of can be another's at once.
    let other = pump.replace("id: pump", "id: fan");
    let swapped = house(bridge.folder(), &broker, "30s", &format!("{other}{dimmed}"), "fan, lamp", "");
    assert_eq!(reload(&bridge, &swapped), "output fan added; output pump removed; commands adjusted");
    set("f", "fan", "true");
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn a_reload_can_be_commanded_and_is_answered_whatever_it_changes() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    let bridge_of = |folder: &Path, keep_alive: &str, allow: &str, rest: &str| {
        house(folder, &broker, keep_alive, FAN, allow, rest)
    };
    let mut bridge = Bridge::start(|folder| bridge_of(folder, "30s", "fan", ""));
    let mut number = 0;
    let mut command = |topic: &str| {
        number += 1;
        let said = ask(&broker, &witness, topic, &format!("n{number}"), "\"action\":\"reload\"");
        (said["rc"].as_u64().unwrap(), said["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(command("c/pi"), (403, "not allowed here: reload".to_owned()), "nothing may by itself");
    reload(&bridge, &bridge_of(bridge.folder(), "30s", "fan, reload", ""));
    assert_eq!(command("c/pi"), (200, "reloaded: nothing changed".to_owned()));

    bridge.configure(
        &bridge_of(bridge.folder(), "30s", "fan, reload", "").replace("driver: sim", "driver: simm"),
    );
    let (rc, why) = command("c/pi");
    assert!(
        rc == 422 && why.contains("nothing was changed") && why.contains("unknown driver \"simm\""),
        "{rc} {why}"
    );

    // The very connection that the command came by is made anew, and goes by another name.
    bridge.configure(&bridge_of(bridge.folder(), "20s", "fan, reload", ""));
    assert_eq!(command("c/pi"), (200, "reloaded: publisher restarted; commands restarted".to_owned()));
    bridge.configure(
        &bridge_of(bridge.folder(), "20s", "fan, reload", "").replace("topic: c/pi", "topic: d/pi"),
    );
    assert_eq!(command("c/pi"), (200, "reloaded: commands adjusted".to_owned()));
    assert_eq!(command("d/pi"), (200, "reloaded: nothing changed".to_owned()));
    // Nobody listens any more, and the last one to be heard hears so.
    let without = bridge_of(bridge.folder(), "20s", "fan, reload", "");
    let without = without.split("commands:").next().unwrap().to_owned();
    bridge.configure(&without);
    assert_eq!(command("d/pi"), (200, "reloaded: commands removed".to_owned()));
    wait_until(SOON, "its subscriber has gone", || bridge.stderr().contains("commands: stopped"));
    bridge.configure(&bridge_of(bridge.folder(), "20s", "fan, reload", ""));
    bridge.signal("HUP");
    assert_eq!(command("c/pi"), (200, "reloaded: nothing changed".to_owned()));
    // Everything starts afresh: who asked is told before.
    let moved = bridge_of(bridge.folder(), "20s", "fan, reload", "").replace("bridge.db", "other.db");
    bridge.configure(&moved);
    assert_eq!(
        command("c/pi"),
        (200, "reloaded: everything starts afresh, because log.path changed".to_owned())
    );
    wait_until(SOON, "the other log is filled", || bridge.folder().join("other.db").exists());
    assert_eq!(command("c/pi"), (200, "reloaded: nothing changed".to_owned()));
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn topics_are_added_and_dropped_on_the_connection_that_there_is() {
    let broker = Mosquitto::with("log_type subscribe\nlog_type unsubscribe");
    let config = |folder: &Path, topics: &str| {
        let mirror = format!(
            "mirror:\n  - {{ id: back, topics: [{topics}], to: sqlite }}\n  - {{ id: other, topics: [\"o/#\"], to: sqlite }}\n"
        );
        let sensor = "  - { id: quiet, driver: sim, scenario: constant, interval: 1h }\n";
        format!("{}sensors:\n{sensor}{mirror}", head(folder, &mqtt(&broker)))
    };
    let mut bridge = Bridge::start(|folder| config(folder, "\"a/#\", \"b/#\""));
    let said = |what: &str| broker.log().lines().filter(|line| line.ends_with(what)).count();
    let client = {
        wait_until(SOON, "it has subscribed", || said("-back 1 a/#") == 1 && said("-back 1 b/#") == 1);
        let log = broker.log();
        let line = log.lines().find(|line| line.ends_with("-back 1 a/#")).unwrap();
        line.split_whitespace().find(|word| word.ends_with("-back")).unwrap().to_owned()
    };
    let connections = || broker.log().matches(&format!(" as {client} ")).count();
    assert_eq!(connections(), 1);
    let stored = |bridge: &Bridge, topic: &str| -> Vec<String> {
        let database = bridge.database();
        let mut rows = database.prepare("SELECT payload FROM messages WHERE topic = ?1 ORDER BY id").unwrap();
        rows.query_map([topic], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let kept = AckedPublisher::start(broker.port(), "sender", 1, Duration::from_millis(1), |number| {
        ("a/kept".to_owned(), number.to_string())
    });
    wait_until(SOON, "messages come", || stored(&bridge, "a/kept").len() > 20);
    for round in 1..=5 {
        let said_so = reload(&bridge, &config(bridge.folder(), "\"a/#\", \"c/#\""));
        assert_eq!(said_so, "mirror back subscribed to c/#, no longer to b/#");
        wait_until(SOON, "SUBSCRIBE and UNSUBSCRIBE", || {
            said("-back 1 c/#") == round && said("-back b/#") == round
        });
        Publisher::once(broker.port(), "c/new", &["-q", "1", "-m", &round.to_string()]);
        Publisher::once(broker.port(), "b/gone", &["-q", "1", "-m", "nobody listens"]);
        wait_until(SOON, "the new topic is mirrored", || stored(&bridge, "c/new").len() == round);
        reload(&bridge, &config(bridge.folder(), "\"b/#\", \"a/#\""));
        wait_until(SOON, "back again", || said("-back 1 b/#") == round + 1 && said("-back c/#") == round);
    }
    let sent = kept.finish(SOON);
    wait_until(SOON, "the last one", || stored(&bridge, "a/kept").len() >= sent.len());
    let sent: Vec<String> = sent.into_iter().map(|sent| sent.payload).collect();
    assert_eq!(stored(&bridge, "a/kept"), sent, "each once, in order");
    assert_eq!(said("-back 1 a/#"), 1, "it was subscribed to all the time");
    assert_eq!(said("-back a/#"), 0);
    assert!(stored(&bridge, "b/gone").is_empty());
    assert_eq!(connections(), 1, "{}", broker.log());
    // Taken away for good, it leaves its topics, so that the broker keeps nothing for it; the other one stays.
    let all = config(bridge.folder(), "\"a/#\"");
    let line = all.lines().find(|line| line.contains("id: back")).unwrap();
    assert_eq!(reload(&bridge, &all.replace(&format!("{line}\n"), "")), "mirror back removed");
    assert_eq!((said("-back a/#"), said("-back b/#")), (1, 6));
    assert_eq!((said("-other 1 o/#"), said("-other o/#")), (1, 0));
    assert!(bridge.terminate().success());
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why() {
    let broker = Mosquitto::start();
    let config = |folder: &Path, rest: &str| {
        format!("{}sensors:\n{}{rest}", head(folder, &mqtt(&broker)), counter("steady", "10ms", ""))
    };
    let mut bridge = Bridge::start(|folder| config(folder, ""));
    let goes_on = |bridge: &Bridge| {
        let before = values(bridge, "steady", "value").len();
        wait_until(SOON, "it is read", || values(bridge, "steady", "value").len() > before + 10);
    };
    goes_on(&bridge);
    for (wrong, why) in [
        ("  - { id: air, driver: bme208 }\n", "sensors[1].driver: unknown driver \"bme208\""),
        ("  - { id: steady, driver: host }\n", "sensors[1].id: \"steady\" is the id of sensors[0] already"),
        ("  - { id: bad, driver: host, intervall: 5s }\n", "sensors[1].intervall: unknown key"),
    ] {
        let said = reload(&bridge, &config(bridge.folder(), wrong));
        assert!(
            said.starts_with("degraded: the configuration on disk was not taken over: ")
                && said.contains(why),
            "{said}"
        );
        let all = bridge.stderr();
        assert!(all.contains("configuration not changed:"), "{all}");
        assert!(all.contains(&format!("config.yaml:6: {why}")), "{why} not in {all}");
        goes_on(&bridge);
    }
    // It is seen until there is a good one.
    let status = |bridge: &Bridge| String::from_utf8(bridge.run(&["status"]).stdout).unwrap();
    // The daemon is found though the file that names its socket is wrong.
    assert!(status(&bridge).contains("the configuration on disk was not taken over"), "{}", status(&bridge));
    assert_eq!(reload(&bridge, &config(bridge.folder(), "")), "nothing changed");
    assert!(status(&bridge).contains("reload    ok"), "{}", status(&bridge));
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn many_reloads_in_a_row_under_load_lose_nothing() {
    let mut seed = Seed::from_environment();
    let broker = Mosquitto::with("max_inflight_messages 1000");
    let witness = Subscriber::start(broker.port(), &["t/#", "u/#"], 1);
    let folder_config = |folder: &Path, seed: &mut Seed| {
        let mut sensors = counter("steady", "10ms", "");
        for number in 0..8 {
            // There or not, as it was or in one of a few other ways.
            match seed.below(5) {
                0 => {}
                1 => sensors += &counter(&format!("s{number}"), "10ms", ", unit: x"),
                2 => sensors += &counter(&format!("s{number}"), "20ms", ""),
                3 => sensors += &counter(&format!("s{number}"), "10ms", ", topic: \"u/{sensor}/{quantity}\""),
                _ => sensors += &counter(&format!("s{number}"), "10ms", ""),
            }
        }
        let backlog = if seed.below(4) == 0 { "window: 50" } else { "window: 100" };
        let mqtt = mqtt(&broker).replace("qos: 1", &format!("qos: 1, {backlog}"));
        format!("{}sensors:\n{sensors}", head(folder, &mqtt))
    };
    let mut bridge = Bridge::start(|folder| folder_config(folder, &mut seed));
    wait_until(SOON, "readings come", || witness.count() > 20);
    for _ in 0..60 {
        bridge.configure(&folder_config(bridge.folder(), &mut seed));
        // More wishes than can be granted one by one.
        for _ in 0..=seed.below(3) {
            bridge.signal("HUP");
            std::thread::sleep(seed.millis(0, 30));
        }
    }
    // All of them are over when the last one, with something of its own, is.
    let last = format!(
        "{}sensors:\n{}{}",
        head(bridge.folder(), &mqtt(&broker)),
        counter("steady", "10ms", ""),
        counter("last", "10ms", "")
    );
    bridge.configure(&last);
    bridge.signal("HUP");
    witness.wait_for_one(SOON, |message| message.topic == "t/pi/last/value");
    let quiet = "  - { id: quiet, driver: sim, scenario: constant, interval: 1h }\n";
    reload(&bridge, &format!("{}sensors:\n{quiet}", head(bridge.folder(), &mqtt(&broker))));
    wait_for_all(&bridge, &witness);
    assert!(bridge.terminate().success());
    assert_once_and_in_order(&bridge, &witness.finish());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn who_is_logged_in_stays_so_and_sees_the_new_sensors() {
    let config = |folder: &Path, rest: &str| {
        std::fs::write(folder.join("web.password"), "correct horse\n").unwrap();
        format!(
            "{}web: {{ listen: \"127.0.0.1:0\", password_file: web.password }}\nsensors:\n{}{rest}",
            head(folder, ""),
            counter("steady", "20ms", "")
        )
    };
    let mut bridge = Bridge::start(|folder| config(folder, ""));
    let port = || -> Option<u16> {
        let said = bridge.stderr();
        said.rsplit_once("web: http://127.0.0.1:")?.1.split('/').next()?.parse().ok()
    };
    wait_until(SOON, "it listens", || port().is_some());
    let port = port().unwrap();
    let send = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "{request}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let form = "password=correct+horse";
    let entered = send(&format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    let cookie =
        entered.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).unwrap();
    let get = |path: &str| {
        send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        ))
    };
    assert!(get("/api/status").starts_with("HTTP/1.1 200 "), "{entered}");
    assert!(get("/api/series?sensor=new&quantity=value&range=1h").starts_with("HTTP/1.1 404 "));
    let said = reload(&bridge, &config(bridge.folder(), &counter("new", "20ms", "")));
    assert_eq!(said, "sensor new added");
    let status = get("/api/status");
    assert!(status.starts_with("HTTP/1.1 200 ") && status.contains("\"sensor\":\"new\""), "{status}");
    assert!(status.contains("sensor new added"), "it is among the events: {status}");
    assert!(get("/api/series?sensor=new&quantity=value&range=1h").starts_with("HTTP/1.1 200 "));
    // Another password is another door.
    std::fs::write(bridge.folder().join("web.password"), "battery staple\n").unwrap();
    bridge.signal("HUP");
    wait_until(SOON, "the page starts anew", || bridge.stderr().contains("reload: web page restarted"));
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn a_command_to_reload_is_answered_though_a_signal_ends_what_brought_it() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    let config = |folder: &Path, keep_alive: &str| house(folder, &broker, keep_alive, FAN, "reload", "");
    let mut bridge = Bridge::start(|folder| config(folder, "30s"));
    ask(&broker, &witness, "c/pi", "first", "\"action\":\"reload\"");
    for round in 0..10 {
        // Each makes the connection of the commands anew, while a command waits for the same.
        bridge.configure(&config(bridge.folder(), if round % 2 == 0 { "20s" } else { "30s" }));
        let payload = command(&format!("n{round}"), "\"action\":\"reload\"");
        if round % 3 == 0 {
            bridge.signal("HUP");
        }
        Publisher::once(broker.port(), "c/pi", &["-q", "1", "-m", &payload]);
        bridge.signal("HUP");
    }
    for round in 0..10 {
        let id = format!("\"id\":\"n{round}\"");
        let said = witness.wait_for_one(SOON, |message| message.payload.contains(&id));
        let said: Value = serde_json::from_str(&said.payload).unwrap();
        assert!(said["rc"] == 200 || said["rc"] == 503, "{said}");
    }
    assert!(!bridge.stderr().contains("left behind"), "{}", bridge.stderr());
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn a_broker_that_is_away_delays_nothing_for_long() {
    let mut broker = Mosquitto::start();
    let mirror = "mirror:\n  - { id: back, topics: [\"a/#\"], to: sqlite }\n";
    let config = |folder: &Path, interval: &str, mirror: &str| {
        format!("{}sensors:\n{}{mirror}", head(folder, &mqtt(&broker)), counter("steady", interval, ""))
    };
    let [first, other, without] = [("10ms", mirror), ("11ms", &mirror.replace("a/#", "b/#")), ("10ms", "")]
        .map(|(interval, mirror)| {
            let mirror = mirror.to_owned();
            move |folder: &Path| config(folder, interval, &mirror)
        });
    let mut bridge = Bridge::start(&first);
    wait_until(SOON, "it mirrors", || bridge.stderr().contains("mirror back: ok"));
    let (other, without) = (other(bridge.folder()), without(bridge.folder()));
    broker.stop();
    wait_until(SOON, "it notices", || bridge.stderr().contains("publisher: failed"));
    let said = reload(&bridge, &other);
    assert_eq!(said, "sensor steady adjusted; mirror back subscribed to b/#, no longer to a/#");
    broker.resume();
    // It follows when there is a connection.
    wait_until(Duration::from_secs(120), "the other topic is mirrored", || {
        Publisher::once(broker.port(), "b/x", &["-q", "1", "-m", "hello"]);
        let sql = "SELECT count(*) FROM messages WHERE topic = 'b/x'";
        bridge.database().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() > 0
    });
    broker.stop();
    let said = reload(&bridge, &without);
    assert_eq!(said, "sensor steady adjusted; mirror back removed");
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn systemd_is_told_when_it_begins_and_when_it_is_done() {
    let sensors = |interval: &str| counter("steady", interval, "");
    let bridge = Bridge::prepare(|folder| format!("{}sensors:\n{}", head(folder, ""), sensors("10ms")));
    let socket = bridge.folder().join("notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(SOON)).unwrap();
    let said = || {
        let mut message = [0; 1024];
        let length = heard.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut child = bridge.command(&["run"]).env("NOTIFY_SOCKET", &socket).spawn().unwrap();
    assert!(said().contains("READY=1"));
    for config in [sensors("20ms"), "sensors: [".to_owned()] {
        let text = if config.contains('[') {
            config
        } else {
            format!("{}sensors:\n{config}", head(bridge.folder(), ""))
        };
        bridge.configure(&text);
        support::signal(&child, "HUP");
        let begins = said();
        assert!(begins.contains("RELOADING=1\nMONOTONIC_USEC="), "{begins}");
        let ends = said();
        assert!(ends.contains("READY=1"), "{ends}");
    }
    support::signal(&child, "TERM");
    assert!(said().contains("STOPPING=1"));
    assert!(support::wait_for_exit(&mut child, Duration::from_secs(20)).unwrap().success());
}
