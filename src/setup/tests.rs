//! What is proposed must be a configuration that `check` takes, whatever was found.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::found::{LOOK_FIRST, answers, narrowed, needs_no_more};
use super::*;
use crate::bus::Buses;
use crate::bus::sim::{Answer, Simulated};
use crate::config;
use crate::sensor::{KernelSensor, find, registry};

fn choices(broker: Option<Broker>) -> Choices {
    Choices { device: Some("shed".into()), broker, log: "/var/lib/sensor-bridge/bridge.db".into() }
}

fn sensors(text: &str) -> Vec<String> {
    let config =
        config::parse(text, std::iter::empty()).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    config.sensors.iter().map(|sensor| format!("{} {}", sensor.id, sensor.driver.name())).collect()
}

/// The text with its commented entries taken in.
fn uncommented(text: &str) -> String {
    text.lines().map(|line| line.replacen("  # - {", "  - {", 1) + "\n").collect()
}

#[test]
fn a_machine_with_nothing_gets_a_good_file() {
    let root = tempfile::tempdir().unwrap();
    let found = look(root.path(), None);
    assert_eq!(found, Found::default());
    let text = propose(&choices(None), &found);
    assert_eq!(sensors(&text), ["host host"]);
    assert!(text.contains("# No broker"), "{text}");
    let nameless = Choices { device: None, ..choices(None) };
    config::parse(&propose(&nameless, &found), std::iter::empty()).unwrap();
}

#[test]
fn every_part_found_is_a_sensor_or_a_comment() {
    let chip =
        |address, drivers: &[&'static str]| Chip { bus: "i2c-1".into(), address, drivers: drivers.to_vec() };
    let kernel = |driver, name: &str, place: Option<&str>, channels: &[&str]| KernelSensor {
        driver,
        name: name.to_owned(),
        place: place.map(str::to_owned),
        channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
    };
    let found = Found {
        buses: vec!["i2c-1".into()],
        chips: vec![
            chip(0x76, &["bme280"]),
            chip(0x77, &["bmp280"]),
            chip(0x48, &["ads1115", "ina219"]),
            chip(0x10, &[]),
        ],
        kernel: vec![
            kernel("ds18b20", "28-0316a2795bff", None, &[]),
            kernel("ds18b20", "28-0416b3551cff", None, &[]),
            kernel("iio", "bmp280", Some("iio:device0"), &["temp"]),
            kernel("iio", "bmp280", Some("iio:device1"), &["temp"]),
            kernel("hwmon", "nvme", Some("nvme0"), &["temp1"]),
        ],
        camera: true,
        troubles: vec!["i2c-2: stuck".into()],
    };
    let text = propose(&choices(None), &found);
    let expected = [
        "host host",
        "air bme280",
        "air-2 bmp280",
        "probe ds18b20",
        "probe-2 ds18b20",
        "sensor iio",
        "sensor-2 iio",
        "camera camera",
    ];
    assert_eq!(sensors(&text), expected);
    assert!(
        text.contains("device: \"iio:device1\"") && text.contains("not looked at: i2c-2: stuck"),
        "{text}"
    );
    let all = sensors(&uncommented(&text));
    assert!(all.contains(&"inputs ads1115".to_owned()) && all.contains(&"nvme hwmon".to_owned()), "{all:?}");
}

#[test]
fn every_driver_on_i2c_is_proposed_as_check_wants_it() {
    for kind in registry().iter().filter(|kind| !kind.addresses.is_empty()) {
        // It reads the pins of port expanders, which have addresses.
        let proposed = needs_no_more(kind.name, "i2c-1", kind.addresses[0]);
        assert_eq!(proposed, kind.name != "digital-input", "{}", kind.name);
        if !proposed {
            continue;
        }
        let chip = Chip { bus: "i2c-1".into(), address: kind.addresses[0], drivers: vec![kind.name] };
        let found = Found { chips: vec![chip], ..Found::default() };
        let text = propose(&choices(None), &found);
        let mut known = sensors(&text);
        assert_eq!(
            known.pop().and_then(|sensor| sensor.split(' ').nth(1).map(str::to_owned)).as_deref(),
            Some(kind.name)
        );
    }
}

#[test]
fn a_broker_with_odd_words_is_quoted() {
    let broker = Broker {
        url: "mqtts://broker.example:8883".into(),
        username: Some("yes: \"no\" # x".into()),
        password_file: None,
        topic: Some("a/{device}/{sensor}/{quantity}".into()),
    };
    let text = propose(&choices(Some(broker.clone())), &Found::default());
    // A user without a password is refused: the words themselves are what counts here.
    let password = text.replace("  topic:", "  password: x\n  topic:");
    let config =
        config::parse(&password, std::iter::empty()).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let mqtt = config.mqtt.unwrap();
    assert_eq!(mqtt.credentials.unwrap().username, "yes: \"no\" # x");
    assert_eq!(mqtt.broker.host, "broker.example");
    assert_eq!(config.device.id, "shed");
}

#[test]
fn drivers_that_can_tell_are_asked_first() {
    let possible = ["bme280", "bmp280", "bmp390"];
    assert_eq!(narrowed(&possible, &|driver| driver == "bmp280"), ["bmp280"]);
    assert_eq!(narrowed(&possible, &|_| false), [""; 0]);
    assert_eq!(narrowed(&["ads1115", "mcp9808", "lm75"], &|_| false), ["ads1115", "lm75"]);
    assert_eq!(narrowed(&["scd4x"], &|_| panic!("nothing to tell apart")), ["scd4x"]);
}

/// A part that nobody knows: it takes whatever is written, and answers zeros.
struct Stranger(Arc<Mutex<Vec<Vec<u8>>>>);

impl Simulated for Stranger {
    fn write(&mut self, bytes: &[u8], _: Duration) -> Answer {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        buffer.fill(0);
        Ok(())
    }
}

/// A PCA9685 at 0x40 was asked for an Si7021's id, 0xFC 0xC9: it set all its outputs to that.
#[test]
fn a_part_that_is_tried_out_is_written_nothing() {
    for driver in LOOK_FIRST {
        let address = find(driver).unwrap().addresses[0];
        let (buses, written) = (Buses::new(), Arc::default());
        buses.attach("sim-1", address, Some(Box::new(Stranger(Arc::clone(&written))))).unwrap();
        assert!(!answers(driver, "sim-1", address, &buses), "{driver}");
        // One byte says which register is read; a second one goes into it.
        let written = written.lock().unwrap();
        assert!(written.iter().all(|bytes| bytes.len() == 1), "{driver} wrote {written:x?}");
    }
}
