//! The file as a whole: what is no configuration, keys of the wrong kind, and everything that is wrong said at once.

use super::*;

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let none = || std::iter::empty();
    let missing = folder.path().join("none.yaml");
    let problems = crate::config::load(&missing, none()).unwrap_err().to_string();
    assert!(
        problems.contains("none.yaml: cannot be read: No such file") && problems.contains("--config"),
        "{problems}"
    );
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"a: 1\nb: Gr\xfcn\n").unwrap();
    let problems = crate::config::load(&latin, none()).unwrap_err().to_string();
    assert!(problems.contains("is not UTF-8 text (line 2)"), "{problems}");
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, "mqtt: {url: x\nlog:\n").unwrap();
    let problems = crate::config::load(&broken, none()).unwrap_err().to_string();
    assert!(problems.contains("broken.yaml:") && problems.contains("not valid YAML"), "{problems}");
    assert!(crate::config::load(folder.path(), none()).is_err());
}

#[test]
fn shapes() {
    expect(&[
        (
            "",
            "there is nothing to do; name at least one sensor under `sensors:` or topics to store under `mirror:`",
        ),
        (
            "sensor: []\nsensors: [{id: a, driver: panel}]",
            "line 1: sensor: unknown key \"sensor\"; did you mean \"sensors\"?",
        ),
        (
            "colour: red\nsensors: [{id: a, driver: panel}]",
            "line 1: colour: unknown key \"colour\"; possible: clock, commands, device, log, mirror, mqtt, outputs, sensors, status, web",
        ),
        (
            "sensors:\n  a: {driver: panel}",
            "line 1: sensors: expected a list, found a map; begin each item with \"- \"",
        ),
        ("sensors:\n  - air", "line 2: sensors[0]: expected a map, found the text \"air\""),
        ("sensors:\n  - {driver: panel}", "line 2: sensors[0].id: is missing; write, for example, `id: air`"),
        (
            "sensors:\n  - {id: a}",
            "line 2: sensors[0].driver: is missing; write, for example, `driver: bme280`",
        ),
        (
            "sensors:\n  - id: a\n    driver: bme208",
            "line 3: sensors[0].driver: unknown driver \"bme208\"; did you mean \"bme280\"?",
        ),
        (
            "sensors:\n  - {id: a, driver: bme280, bus: i2c-1, adress: 0x76}",
            "line 2: sensors[0].adress: unknown key \"adress\"; did you mean \"address\"?",
        ),
        (
            "sensors: [{id: 12, driver: panel}]",
            "line 1: sensors[0].id: expected text such as air, found the number 12; write \"12\" in quotes",
        ),
        (
            "sensors: [{id: a, driver: panel, invert: yes}]",
            "line 1: sensors[0].invert: expected true or false, found the text \"yes\"; write true",
        ),
        (
            "sensors: [{id: a, driver: panel, interval: 10}]",
            "line 1: sensors[0].interval: expected a duration such as 1m, found the number 10; write \"10s\"",
        ),
        (
            "sensors: [{id: a, driver: panel, quantities: {count: {round: 1.5}}}]",
            "line 1: sensors[0].quantities.count.round: expected a whole number such as 1, found the number 1.5",
        ),
        (
            "sensors: [{id: a, driver: panel, quantities: {count: {valid: [1]}}}]",
            "line 1: sensors[0].quantities.count.valid: needs 2 item(s), has 1",
        ),
        (
            "x: &x {driver: panel}\nsensors: [{id: a, driver: panel}]",
            "line 1: x: unknown key \"x\"; possible: clock, commands, device, log, mirror, mqtt, outputs, sensors, status, web",
        ),
        (
            "sensors: [{id: a, <<: 1, driver: panel}]",
            "line 1: sensors[0].<<: unknown key \"<<\"; YAML merge keys are not supported: write the keys out",
        ),
    ]);
}

#[test]
fn all_at_once_in_the_order_of_the_file() {
    let yaml = "\
device:
  id: green/house
mqtt:
  url: mqqt://broker
  qos: 3
  retian: true
log:
  retention: { max_age: 90 }
sensors:
  - id: air
    driver: bme280
    bus: i2c-1
    interval: 10sec
    quantities:
      temprature: { change: 0.1 }
      humidity: { change: 0 }
  - id: air
    driver: bme208
mirror:
  - topics: [\"a/#/b\"]
    to: csv
";
    assert_eq!(
        problems(yaml),
        [
            "line 2: device.id: cannot contain '/': it is a level of MQTT topics",
            "line 4: mqtt.url: unknown scheme \"mqqt\"; did you mean \"mqtt\"?",
            "line 5: mqtt.qos: must be between 0 and 2, not 3",
            "line 6: mqtt.retian: unknown key \"retian\"; did you mean \"retain\"?",
            "line 8: log.retention.max_age: expected a duration such as 90d, found the number 90; write \"90d\"",
            "line 13: sensors[0].interval: \"10sec\": unknown unit of time \"sec\"; write \"10s\"",
            "line 15: sensors[0].quantities.temprature: the driver bme280 has no quantity \"temprature\"; did you mean \"temperature\"?",
            "line 16: sensors[0].quantities.humidity.change: must be greater than 0; for every sample write always, for every change any",
            "line 17: sensors[1].id: \"air\" is the id of sensors[0] already",
            "line 18: sensors[1].driver: unknown driver \"bme208\"; did you mean \"bme280\"?",
            "line 20: mirror[0].topics[0]: \"#\" must be the last level",
            "line 20: mirror[0].path: is missing: the CSV file to write; write for example `path: \"/var/lib/sensor-bridge/{date}.csv\"`",
        ]
    );
}
