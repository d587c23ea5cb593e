//! A sensor on the Pi's I2C bus: its temperature set from outside, its plug pulled.

use std::time::Duration;

use serde_json::Value;

use crate::card::Card;
use crate::json;
use crate::pi::Pi;
use crate::support::{Message, Mosquitto, Subscriber};

const TEMPERATURE: &str = "t/pi/air/temperature";
const STATE: &str = "t/pi/air/state";

/// A TMP105 whose reading is sent when it has moved by half a degree, and a mirror of the same topic.
fn config(broker: &Mosquitto) -> String {
    format!(
        "device: {{ id: pi }}
log: {{ path: /card/data/bridge.db }}
mqtt:
  url: mqtt://10.0.2.2:{}
  topic: \"t/{{device}}/{{sensor}}/{{quantity}}\"
  qos: 1
sensors:
  - {{ id: air, driver: tmp105, bus: i2c-1, address: 0x48, interval: 200ms, quantities: {{ temperature: {{ change: 0.5 }} }} }}
mirror:
  - {{ topics: [\"{TEMPERATURE}\"], qos: 1, to: sqlite, table: echo, columns: {{ value: real, identity: {{ path: id, type: text }} }} }}
",
        broker.port()
    )
}

/// A Pi that has read its sensor once, at 20 °C, and somebody who listens.
fn begin() -> (Pi, Subscriber, Mosquitto) {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let mut pi = Pi::boot(&Card::new(&[("config.yaml", &config(&broker))]));
    pi.start("config.yaml");
    wait_for(&mut pi, &subscriber, 20.0);
    (pi, subscriber, broker)
}

/// What a subscriber has got of one topic, in the order of arrival.
fn values(messages: &[Message], topic: &str) -> Vec<Value> {
    messages
        .iter()
        .filter(|message| message.topic == topic)
        .map(|message| json(message)["value"].clone())
        .collect()
}

fn wait_for(pi: &mut Pi, subscriber: &Subscriber, celsius: f64) {
    pi.wait_until(&format!("a reading of {celsius} °C arrives"), |_| {
        values(&subscriber.messages(), TEMPERATURE).last() == Some(&Value::from(celsius))
    });
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn readings_follow_the_sensor_from_its_register_to_sql() {
    let (mut pi, subscriber, _broker) = begin();
    // All of them numbers that the chip can say: its step is 1/16 °C.
    let mut expected = vec![20.0];
    for celsius in [21.5, -5.0, -55.0, 30.5625, 124.9375, 30.5] {
        pi.set_temperature(celsius);
        wait_for(&mut pi, &subscriber, celsius);
        expected.push(celsius);
    }
    // Less than half a degree is not told: ten samples' worth of silence, then a change that is.
    pi.set_temperature(30.75);
    std::thread::sleep(Duration::from_secs(2));
    pi.set_temperature(31.0);
    wait_for(&mut pi, &subscriber, 31.0);
    expected.push(31.0);
    let expected: Vec<Value> = expected.into_iter().map(Value::from).collect();

    let messages = subscriber.messages();
    assert_eq!(values(&messages, TEMPERATURE), expected, "at the subscriber");
    let column = |rows: Vec<Value>| rows.into_iter().map(|row| row["value"].clone()).collect::<Vec<_>>();
    let asked = pi.bridge("query air temperature --config config.yaml --format json");
    let rows: Vec<Value> = serde_json::from_str(&asked).unwrap();
    assert_eq!(column(rows), expected, "by query");
    pi.wait_until("the mirror has them all", |pi| {
        let mirrored = pi.query("SELECT value FROM echo ORDER BY rowid");
        column(mirrored) == expected
    });
    // The identity that went out is the one that came back.
    let sent: Vec<Value> = messages
        .iter()
        .filter(|message| message.topic == TEMPERATURE)
        .map(|message| json(message)["id"].clone())
        .collect();
    let mirrored: Vec<Value> = pi
        .query("SELECT identity FROM echo ORDER BY rowid")
        .iter()
        .map(|row| row["identity"].clone())
        .collect();
    assert_eq!(mirrored, sent);
    pi.stop();
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn a_sensor_that_is_unplugged_is_a_state_and_comes_back() {
    let (mut pi, subscriber, _broker) = begin();
    for celsius in [22.0, 23.0] {
        pi.unplug();
        let state = last_state(&mut pi, &subscriber, |state| state.starts_with("failed: "));
        assert!(state.contains("0x48"), "the state names the address: {state}");
        pi.set_temperature(celsius);
        pi.plug_in();
        last_state(&mut pi, &subscriber, |state| state == "ok");
        wait_for(&mut pi, &subscriber, celsius);
    }
    pi.stop();
}

/// Waits until the sensor's newest state fits, and answers it.
fn last_state(pi: &mut Pi, subscriber: &Subscriber, fits: impl Fn(&str) -> bool) -> String {
    let newest = || {
        let states = values(&subscriber.messages(), STATE);
        states.last().and_then(Value::as_str).unwrap_or("").to_owned()
    };
    pi.wait_until("the sensor's state", |_| fits(&newest()));
    newest()
}
