//! A clock that begins in 1970, as a Pi's does without a network, and is set later.

use std::time::Duration;

use serde_json::Value;

use crate::card::Card;
use crate::pi::Pi;
use crate::support::{Mosquitto, Subscriber};
use crate::{SOON, json, now};

/// How far a corrected time may be off, in seconds: from the temperature being set to its being read, on a busy
/// machine, and from the clock being read here to its being set there.
const TOLERANCE: f64 = 3.0;

fn config(broker: &Mosquitto, unsynced: &str) -> String {
    format!(
        "device: {{ id: pi }}
log: {{ path: /card/data/bridge.db }}
clock: {{ unsynced: {unsynced} }}
mqtt:
  url: mqtt://10.0.2.2:{}
  topic: \"t/{{device}}/{{sensor}}/{{quantity}}\"
  qos: 1
sensors:
  - {{ id: air, driver: tmp105, bus: i2c-1, address: 0x48, interval: 200ms }}
",
        broker.port()
    )
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn readings_taken_before_the_clock_is_set_get_their_true_time() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/pi/air/temperature"], 1);
    let mut pi = Pi::boot(&Card::new(&[("config.yaml", &config(&broker, "mark"))]));
    pi.start("config.yaml");
    subscriber.wait_for(1, SOON);
    // When each temperature was set, by the clock of this machine.
    let mut set = Vec::new();
    let mut read = |pi: &mut Pi, celsius: f64| {
        set.push((celsius, now()));
        pi.set_temperature(celsius);
        subscriber.wait_for_one(SOON, |message| json(message)["value"] == celsius)
    };
    for celsius in [21.0, 22.0] {
        let payload = json(&read(&mut pi, celsius));
        assert_eq!(payload["clock"], "unsynced");
        assert!(payload["time"].as_str().unwrap().starts_with("1970-01-01T"), "{payload}");
        std::thread::sleep(Duration::from_secs(1));
    }
    // The boot is the same over a restart of the daemon.
    pi.stop();
    let seen = subscriber.count();
    pi.start("config.yaml");
    subscriber.wait_for(seen + 1, SOON);
    assert_eq!(json(&read(&mut pi, 23.0))["clock"], "unsynced");

    pi.set_clock();
    pi.wait_until("the clock is corrected in the log", |pi| {
        pi.one("SELECT count(*) AS one FROM readings WHERE clock = 'unsynced'")
            .is_some_and(|count| count == 0)
    });
    assert_eq!(json(&read(&mut pi, 24.0))["clock"], "synced");

    let rows = pi.query("SELECT value, ts, clock FROM readings WHERE quantity = 'temperature' ORDER BY id");
    for (celsius, when) in set {
        let row = rows.iter().find(|row| row["value"] == celsius).unwrap();
        let late = row["ts"].as_f64().unwrap() - when;
        let expected = if celsius < 24.0 { "corrected" } else { "synced" };
        assert_eq!(row["clock"], expected, "{row}");
        assert!((-0.5..TOLERANCE).contains(&late), "{row} was to be read at {when}, and is {late} s off");
        println!("{celsius} °C: {expected}, {:.0} ms after it was set", late * 1000.0);
    }
    let times: Vec<f64> = rows.iter().map(|row| row["ts"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    pi.stop();
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn readings_can_be_held_until_the_clock_is_set() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/pi/air/temperature"], 1);
    let mut pi = Pi::boot(&Card::new(&[("config.yaml", &config(&broker, "hold"))]));
    pi.start("config.yaml");
    let logged = |pi: &mut Pi, celsius: f64| {
        let count = pi.one(&format!("SELECT count(*) AS one FROM readings WHERE value = {celsius:?}"));
        count.is_some_and(|count| count == 1)
    };
    pi.wait_until("the first reading is in the log", |pi| logged(pi, 20.0));
    let set = now();
    pi.set_temperature(21.0);
    pi.wait_until("the reading is in the log", |pi| logged(pi, 21.0));
    assert_eq!(subscriber.count(), 0, "published before the clock was set");
    pi.set_clock();
    let message = subscriber.wait_for_one(SOON, |message| json(message)["value"] == 21.0);
    let payload = json(&message);
    assert_eq!(payload["clock"], "corrected", "{payload}");
    let time: jiff::Timestamp = payload["time"].as_str().unwrap().parse().unwrap();
    let late = time.as_microsecond() as f64 / 1e6 - set;
    assert!((-0.5..TOLERANCE).contains(&late), "{payload} is {late} s off");
    let all: Vec<Value> = subscriber.messages().iter().map(json).collect();
    assert!(all.iter().all(|payload| payload["clock"] != "unsynced"), "{all:?}");
    pi.stop();
}
