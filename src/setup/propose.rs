//! A configuration as text, with a word on everything in it. The result is for `config` to check.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};

use super::found::{Chip, Found, placed};
use crate::reading::ValueKind;
use crate::sensor::{KernelSensor, find};

/// What somebody chose.
#[derive(Debug, Clone)]
pub struct Choices {
    /// Device id; the host's name unless given.
    pub device: Option<String>,
    /// The broker; without one readings are only logged.
    pub broker: Option<Broker>,
    /// Where the log is.
    pub log: PathBuf,
}

/// A broker and who we are to it.
#[derive(Debug, Clone)]
pub struct Broker {
    /// `mqtt://…`
    pub url: String,
    /// User name.
    pub username: Option<String>,
    /// File with the password.
    pub password_file: Option<String>,
    /// Topic template.
    pub topic: Option<String>,
}

/// The configuration for what was found and chosen.
pub fn propose(choices: &Choices, found: &Found) -> String {
    let mut text = "\
# Made by sensor-bridge init. Change what you like, then:
#
#   sensor-bridge check                what would run, or everything that is wrong
#   sudo systemctl restart sensor-bridge
#   sensor-bridge doctor               what is wrong with buses, clock, disk, broker, and what to do
#
# Every key: docs/configuration.md, installed in /usr/share/doc/sensor-bridge/docs.

device:
"
    .to_owned();
    match &choices.device {
        Some(id) => line(&mut text, &format!("  id: {}", quoted(id))),
        None => line(&mut text, "  # id: greenhouse-pi              # the host's name unless given"),
    }
    line(&mut text, "  # location: { name: Greenhouse 2, latitude: 47.59, longitude: 0.91 }\n");
    line(&mut text, "log:");
    line(&mut text, &format!("  path: {}", quoted(&choices.log.to_string_lossy())));
    line(&mut text, "  retention: { max_age: 365d, max_size: 1GB }    # what is older, or too much, goes\n");
    broker(&mut text, choices.broker.as_ref());
    line(
        &mut text,
        "# change: how much a value must differ from the last one that was kept; heartbeat: kept all the same after",
    );
    line(&mut text, "# so long. Without them every value that differs at all is kept.\nsensors:");
    text.push_str(HOST);
    Sensors::default().write(&mut text, found);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A text as YAML takes it, whatever is in it: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    match text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(plain)
    {
        // "yes" and "null" are words of YAML.
        true if !["yes", "no", "on", "off", "true", "false", "null", "y", "n"]
            .contains(&text.to_lowercase().as_str()) =>
        {
            text.to_owned()
        }
        _ => Json::from(text).to_string(),
    }
}

fn broker(text: &mut String, broker: Option<&Broker>) {
    let Some(Broker { url, username, password_file, topic }) = broker else {
        text.push_str(
            "# No broker: readings are only logged. To publish them:\n\
             # mqtt:\n\
             #   url: mqtts://broker.example    # mqtt:// without encryption\n\
             #   username: greenhouse\n\
             #   password_file: mqtt.password   # beside this file; chmod 600\n\
             #   topic: \"sensors/{device}/{sensor}/{quantity}\"\n\n",
        );
        return;
    };
    line(text, "mqtt:");
    line(text, &format!("  url: {}", quoted(url)));
    if let Some(username) = username {
        line(text, &format!("  username: {}", quoted(username)));
    }
    if let Some(file) = password_file {
        line(text, &format!("  password_file: {}", quoted(file)));
    }
    match topic {
        Some(topic) => line(text, &format!("  topic: {}", quoted(topic))),
        None => line(text, "  topic: \"sensors/{device}/{sensor}/{quantity}\""),
    }
    line(text, "  qos: 1                           # nothing is lost; see docs/delivery.md\n");
}

/// The machine itself; the same as in the package's first configuration.
const HOST: &str = "  - id: host                       # this machine: load, memory, disk
    driver: host
    interval: 30s
    quantities:
      load_1m: { round: 2, change: 0.1, heartbeat: 10m }
      load_5m: { enabled: false }
      load_15m: { enabled: false }
      memory_used: { round: 1, change: 1, heartbeat: 10m }
      memory_available: { enabled: false }
      disk_used: { round: 1, change: 0.5, heartbeat: 1h }
      disk_free: { enabled: false }
      uptime: { unit: d, round: 2, change: 0.25 }
";

/// What a sensor is called until somebody finds a better name.
const NAMES: &[(&str, &[&str])] = &[
    ("air", &["aht20", "bme280", "bmp280", "htu21d", "sht3x", "sht4x", "si7021"]),
    ("pressure", &["bmp390"]),
    ("co2", &["scd4x"]),
    ("light", &["bh1750", "veml7700"]),
    ("inputs", &["ads1015", "ads1115", "mcp3008"]),
    ("power", &["ina219"]),
    ("distance", &["vl53l0x"]),
    ("board", &["lm75", "mcp9808", "tmp102", "tmp105"]),
    ("probe", &["ds18b20"]),
];

/// What changes of a quantity are worth keeping, by its unit.
const CHANGES: &[(&str, &str)] = &[
    ("°C", "change: 0.1, heartbeat: 10m"),
    ("%", "change: 0.5, heartbeat: 10m"),
    ("hPa", "change: 0.2, heartbeat: 10m"),
    ("lx", "change: 2%, heartbeat: 10m"),
    ("ppm", "change: 10, heartbeat: 10m"),
    ("V", "change: 0.01, heartbeat: 10m"),
    ("A", "change: 1%, heartbeat: 10m"),
    ("W", "change: 1%, heartbeat: 10m"),
    ("mm", "change: 5, heartbeat: 10m"),
];

/// Writes sensors, each under a name of its own.
#[derive(Debug, Default)]
struct Sensors {
    taken: HashMap<&'static str, u32>,
}

impl Sensors {
    fn write(&mut self, text: &mut String, found: &Found) {
        for chip in &found.chips {
            self.chip(text, chip);
        }
        for sensor in &found.kernel {
            self.kernel(text, sensor, &found.kernel);
        }
        if found.camera {
            text.push_str("  - { id: camera, driver: camera, interval: 15m }    # rpicam-still is there\n");
        }
        for trouble in &found.troubles {
            line(text, &format!("  # not looked at: {}", trouble.replace('\n', " ")));
        }
    }

    fn name(&mut self, driver: &str) -> String {
        let known = NAMES.iter().find(|(_, drivers)| drivers.contains(&driver));
        let name = known.map_or("sensor", |(name, _)| name);
        let count = self.taken.entry(name).or_insert(0);
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}-{count}") }
    }

    fn chip(&mut self, text: &mut String, Chip { bus, address, drivers }: &Chip) {
        match drivers.as_slice() {
            [] => line(
                text,
                &format!(
                    "  # {bus} {address:#04x} answers; what it is cannot be told (a port expander? see docs/sensors.md)"
                ),
            ),
            [driver] => {
                let id = self.name(driver);
                line(text, &format!("  - id: {id}"));
                line(text, &format!("    driver: {driver}"));
                line(text, &format!("    bus: {bus}"));
                let options = placed(driver, bus, *address);
                if options.contains_key("address") {
                    line(text, &format!("    address: {address:#04x}"));
                }
                line(text, "    interval: 10s");
                quantities(text, driver, &options);
            }
            [first, ..] => {
                let all = drivers.join(", ");
                line(text, &format!("  # {bus} {address:#04x} answers: one of {all}. Choose:"));
                let known = placed(first, bus, *address).contains_key("address");
                let at = if known { format!(", address: {address:#04x}") } else { String::new() };
                let id = self.name(first);
                line(text, &format!("  # - {{ id: {id}, driver: {first}, bus: {bus}{at}, interval: 10s }}"));
            }
        }
    }

    fn kernel(&mut self, text: &mut String, sensor: &KernelSensor, all: &[KernelSensor]) {
        let twins =
            all.iter().filter(|other| other.driver == sensor.driver && other.name == sensor.name).count();
        let place = sensor.place.as_deref();
        match sensor.driver {
            "ds18b20" => {
                let id = self.name("ds18b20");
                line(text, &format!("  - id: {id}"));
                line(text, "    driver: ds18b20              # 1-Wire");
                line(text, &format!("    device: {}", quoted(&sensor.name)));
                line(text, "    interval: 30s");
                let options = Map::from_iter([("device".to_owned(), json!(sensor.name))]);
                quantities(text, "ds18b20", &options);
            }
            "iio" => {
                let device = place.filter(|_| twins > 1).unwrap_or(&sensor.name);
                let id = self.name("iio");
                line(text, &format!("  - id: {id}"));
                line(text, "    driver: iio                  # the kernel drives it");
                line(text, &format!("    device: {}", quoted(device)));
                line(text, &format!("    channels: {}", Json::from(sensor.channels.clone())));
                line(text, "    interval: 10s");
            }
            // There are many of them on most machines, and few that matter; `host` has the processor's temperature.
            _ => {
                let at =
                    place.filter(|_| twins > 1).map(|at| format!(", at: {}", quoted(at))).unwrap_or_default();
                line(
                    text,
                    &format!(
                        "  # - {{ id: {}, driver: {}, chip: {}{at}, inputs: {}, interval: 1m }}",
                        sensor.name,
                        sensor.driver,
                        quoted(&sensor.name),
                        Json::from(sensor.channels.clone())
                    ),
                );
            }
        }
    }
}

/// What is worth keeping of each quantity that the driver has.
fn quantities(text: &mut String, driver: &str, options: &Map<String, Json>) {
    let Some(Ok(driver)) = find(driver).map(|kind| (kind.configure)(options)) else { return };
    let mut lines = String::new();
    for info in driver.quantities() {
        let change = CHANGES.iter().find(|(unit, _)| *unit == info.unit);
        if let Some((_, change)) = change.filter(|_| info.kind == ValueKind::Float) {
            // Into a String nothing can go wrong.
            writeln!(lines, "      {}: {{ {change} }}", info.name).unwrap_or_default();
        }
    }
    if !lines.is_empty() {
        line(text, "    quantities:");
        text.push_str(&lines);
    }
}
