//! Formats that are no platforms: what is published, and what `check` says of a slip.

use std::path::Path;

use serde_json::Value;

use crate::SOON;
use crate::support::{Bridge, Mosquitto, Subscriber};

fn config(folder: &Path, url: &str, topic: &str, platform: &str) -> String {
    format!(
        "device: {{ id: pi, location: {{ name: Greenhouse 2 }} }}
log: {{ path: {}/bridge.db }}
mqtt: {{ url: \"{url}\", topic: \"{topic}\", platform: {platform} }}
sensors:
  - {{ id: air, driver: bme280, bus: sim-1, interval: 1h, simulate: {{ temperature: {{ constant: 21.5 }} }} }}
",
        folder.display()
    )
}

/// The message of the sensor's first sample in this format.
fn first(topic: &str, platform: &str) -> String {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["t/#"], 1);
    let _bridge = Bridge::start(|folder| config(folder, &broker.url(), topic, platform));
    let message = witness.wait_for_one(SOON, |message| message.payload.contains("21.5"));
    assert!(message.topic.starts_with("t/air"), "{message:?}");
    message.payload
}

#[test]
fn line_protocol() {
    let line = first(
        "t/{sensor}",
        "{ name: influx, tags: { device: \"{device}\", site: \"{location}\" }, precision: ms }",
    );
    let (head, rest) = line.trim_end().split_once(" temperature=21.5,").unwrap();
    assert_eq!(head, r"air,device=pi,site=Greenhouse\ 2");
    let (_, time) = rest.rsplit_once(' ').unwrap();
    assert_eq!((time.len(), time.parse::<u64>().is_ok()), (13, true), "{line}");
}

#[test]
fn senml() {
    let pack: Value = serde_json::from_str(&first("t/{sensor}", "{ name: senml }")).unwrap();
    assert_eq!(
        (&pack[0]["bn"], &pack[0]["n"], &pack[0]["u"]),
        (&"pi/air/".into(), &"temperature".into(), &"Cel".into())
    );
    let units: Vec<&Value> = pack.as_array().unwrap().iter().map(|record| &record["u"]).collect();
    assert_eq!(units, ["Cel", "%RH", "Pa"]);
}

#[test]
fn a_template_of_ones_own_and_a_slip_in_it() {
    let payload =
        r#"{ name: custom, payload: '{"from":"{device:text}/{sensor:text}","t":{value},"ts":{ts_ms}}' }"#;
    let message: Value = serde_json::from_str(&first("t/{sensor}/{quantity}", payload)).unwrap();
    assert_eq!((&message["from"], &message["t"]), (&"pi/air".into(), &21.5.into()));

    let slip = "{ name: custom, payload: '{\"t\":{vlaue}}' }";
    let bridge = Bridge::prepare(|folder| config(folder, "mqtt://127.0.0.1", "t/{sensor}", slip));
    let output = bridge.run(&["check"]);
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{said}");
    let expected = "mqtt.platform.payload: unknown placeholder \"{vlaue}\"; did you mean \"{value}\"?";
    assert!(said.contains(expected), "{said}");
}
