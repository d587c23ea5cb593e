//! Sparkplug B, end to end: sequence numbers, births and deaths over broken connections, rebirth, commands, history.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::SOON;
use crate::sparkplug_host::{Host, Says};
use crate::support::{Bridge, Mosquitto, Proxy, Publisher, wait_until};

/// What an edge node may say and hear, and nothing else. Who has no name is the host.
const ACL: &str = "\
topic readwrite #
user bridge
topic write spBv1.0/G/NBIRTH/pi
topic write spBv1.0/G/NDEATH/pi
topic write spBv1.0/G/DBIRTH/pi/#
topic write spBv1.0/G/DDATA/pi/#
topic write spBv1.0/G/DDEATH/pi/#
topic read spBv1.0/G/NCMD/pi
topic read spBv1.0/G/DCMD/pi/#
topic read spBv1.0/STATE/scada
";

fn broker() -> (Mosquitto, NamedTempFile) {
    let mut acl = NamedTempFile::new().unwrap();
    acl.write_all(ACL.as_bytes()).unwrap();
    (Mosquitto::with(&format!("acl_file {}", acl.path().display())), acl)
}

/// A sensor that says something new twenty times a second, one that hardly ever does, and a fan.
fn config(folder: &Path, url: &str, more: &str) -> String {
    format!(
        "device: {{ id: pi, location: {{ name: Greenhouse 2 }} }}
log: {{ path: {}/bridge.db }}
mqtt:
  url: \"{url}\"
  username: bridge
  password: none
  keep_alive: 5s
  platform: {{ name: sparkplug-b, group: G{more} }}
sensors:
  - {{ id: clock, driver: sim, interval: 50ms, scenario: clock, quantities: {{ value: {{ change: always }} }} }}
  - {{ id: air, driver: bme280, bus: sim-1, interval: 1h, simulate: {{ temperature: {{ constant: 21 }} }} }}
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
commands:
  - {{ from: platform, allow: [fan] }}
",
        folder.display()
    )
}

/// Values of the clock in rows after `after`, and the last row.
fn clock(bridge: &Bridge, after: i64) -> (Vec<i64>, i64) {
    let database = bridge.database();
    let sql = "SELECT id, CAST(value AS INTEGER) FROM readings WHERE sensor = 'clock' AND quantity = 'value' AND id > ? \
               ORDER BY id";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([after], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(i64, i64)> = rows.map(Result::unwrap).collect();
    (rows.iter().map(|(_, value)| *value).collect(), rows.last().map_or(after, |(row, _)| *row))
}

fn taken(bridge: &Bridge, more: usize) {
    let (_, from) = clock(bridge, 0);
    wait_until(SOON, "more readings", || clock(bridge, from).0.len() >= more);
}

#[test]
fn a_host_knows_everything_whatever_breaks() {
    let (mut broker, _acl) = broker();
    let proxy = Proxy::start(broker.port());
    let mut host = Host::connect(broker.port());
    let mut bridge = Bridge::start(|folder| config(folder, &proxy.url(), ""));

    host.until("births and data", |host| host.data.len() > 20);
    assert_eq!(host.births, [0]);
    assert!(host.topics[..4].iter().all(|topic| topic.contains("BIRTH")), "{:?}", host.topics);
    let names: Vec<&String> = host.devices["air"].keys().collect();
    assert_eq!(names, ["Properties/Driver", "humidity", "pressure", "state", "temperature"]);
    host.until("a value of the other sensor", |host| host.devices["air"]["temperature"] != Says::Null);

    // A command, and what became of it.
    host.write("spBv1.0/G/DCMD/pi/fan", "on", 14, 1);
    host.until("the fan is on", |host| host.devices["fan"]["on"] == Says::Truth(true));
    // Not what cannot be written.
    host.write("spBv1.0/G/DCMD/pi/fan", "state", 14, 1);

    // Everything once more: the same session, the numbers anew.
    host.write("spBv1.0/G/NCMD/pi", "Node Control/Rebirth", 14, 1);
    host.until("births again", |host| host.births.len() == 2 && host.devices.len() == 3);
    assert_eq!(host.births, [0, 0]);
    assert_eq!(host.devices["fan"]["on"], Says::Truth(true));
    assert_ne!(host.devices["air"]["temperature"], Says::Null);

    // The connection breaks: the broker tells of the death, and what was taken meanwhile comes as history.
    proxy.refuse();
    host.until("the death", |host| !host.online);
    taken(&bridge, 10);
    let (_, from) = clock(&bridge, 0);
    taken(&bridge, 40);
    let (missed, _) = clock(&bridge, from);
    let before = host.data.len();
    proxy.resume();
    host.until("births", |host| host.online);
    host.until("news", |host| host.numbers("clock", "value", before, false).len() > 10);
    let history = host.numbers("clock", "value", before, true);
    assert!(missed.iter().all(|value| history.contains(value)), "{missed:?}\n{history:?}");
    assert_eq!((host.deaths.clone(), host.births[2] > 0), (vec![0], true));

    // The broker dies: nobody tells of a death, and the births say that it is another session.
    let (last, before) = (host.births[2], host.data.len());
    broker.kill();
    taken(&bridge, 20);
    broker.resume();
    host.reconnect(broker.port());
    host.until("births", |host| host.births.len() == 4);
    assert!(host.births[3] > last, "{:?}", host.births);
    host.until("news", |host| !host.numbers("clock", "value", before, false).is_empty());

    // In order: the death is said.
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    host.until("the death", |host| !host.online);
    assert_eq!(host.deaths.last(), host.births.last());
    let (rest, _) = clock(&bridge, 0);
    let said = host.numbers("clock", "value", before, false);
    assert_eq!(said.last(), rest.last(), "nothing was left; {}", bridge.last_words());
    bridge.resume();
    host.until("births", |host| host.births.len() == 5);
    assert_eq!(host.births[4], 0, "a new start counts anew");
    let before = host.data.len();
    host.until("data", |host| !host.numbers("clock", "value", before, false).is_empty());
    assert_eq!(host.faults, [""; 0]);
    assert!(bridge.stderr().contains("the host wants to write \"state\" of fan"), "{}", bridge.stderr());
}

#[test]
fn readings_wait_for_the_primary_host() {
    let (broker, _acl) = broker();
    let mut host = Host::connect(broker.port());
    let state = |online: bool, timestamp: u32| {
        let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
        Publisher::once(broker.port(), "spBv1.0/STATE/scada", &["-q", "1", "-r", "-m", &payload]);
    };
    state(false, 100);
    let mut bridge = Bridge::start(|folder| config(folder, &broker.url(), ", primary_host: scada"));
    wait_until(SOON, "a log", || {
        bridge.database_path().exists() && fs::metadata(bridge.database_path()).unwrap().len() > 0
    });
    wait_until(SOON, "a connection", || broker.log().contains("as sensor-bridge-pi"));
    taken(&bridge, 40);
    host.listen(Duration::from_millis(50));
    assert_eq!(host.topics, [""; 0]);
    let (waited, _) = clock(&bridge, 0);

    state(true, 200);
    host.until("births and data", |host| host.numbers("clock", "value", 0, false).len() > 5);
    let history = host.numbers("clock", "value", 0, true);
    assert!(waited.iter().all(|value| history.contains(value)), "{waited:?}\n{history:?}");

    state(false, 150);
    taken(&bridge, 10);
    assert!(host.online, "an old will");
    let said = host.data.len();
    state(false, 200);
    host.until("the death", |host| !host.online);
    host.listen(Duration::from_millis(50));
    let (before, from) = (host.data.len(), clock(&bridge, 0).1);
    assert!(before >= said);
    taken(&bridge, 20);
    let (waited, _) = clock(&bridge, from);
    host.listen(Duration::from_millis(50));
    assert_eq!(host.data.len(), before, "nothing while it is away");
    state(true, 300);
    host.until("births", |host| host.online);
    host.until("news", |host| host.numbers("clock", "value", before, false).len() > 5);
    let history = host.numbers("clock", "value", before, true);
    assert!(waited.iter().all(|value| history.contains(value)), "{waited:?}\n{history:?}");
    assert_eq!(host.births, [0, 1]);
    assert_eq!(host.faults, [""; 0]);

    // Leaving while nobody is there to take anything does not wait for them.
    state(false, 300);
    host.until("the death", |host| !host.online);
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
}
