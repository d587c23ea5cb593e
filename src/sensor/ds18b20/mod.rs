//! Maxim DS18B20: temperatures on a 1-Wire bus, through the kernel's `w1_therm` driver (data sheet
//! 19-7487 rev 6; Documentation/w1/slaves/w1_therm.rst of the kernel).
//!
//! The kernel converts, reads the scratchpad and checks its CRC. What it passes on all the same is refused
//! here: the value of a part that has just powered up, and the zeros of a wire shorted to ground.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, note};
use super::sysfs::{Each, ask, check_name, entries};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::reading::{Measured, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "ds18b20",
    summary: "Maxim DS18B20 on the kernel's 1-Wire: temperature, of one part or several on a wire",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Where the kernel shows the parts on the wires.
pub(super) const DEVICES: &str = "sys/bus/w1/devices";

/// Parts that `w1_therm` converts in the same way, by family code: DS18S20, DS1822, DS18B20, DS28EA00.
pub(super) const FAMILIES: [&str; 4] = ["10", "22", "28", "42"];

/// Longest conversion at 12 bits ("AC Electrical Characteristics", t_CONV), and the transfer after it.
const READ_TIME: Duration = Duration::from_millis(800);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The part's name under /sys/bus/w1/devices, for example 28-0316a2795bff; may be left out if there is
    /// only one on the wire.
    #[schemars(extend("examples" = ["28-0316a2795bff"], "pattern" = "^(10|22|28|42)-[0-9a-f]{12}$"))]
    device: Option<String>,
    /// Several parts, each a quantity: its name, and the part's name.
    #[schemars(extend("examples" = [{"flow": "28-0316a2795bff", "return": "28-0416b3551cff"}]))]
    devices: Option<BTreeMap<String, String>>,
}

#[derive(Debug)]
struct Ds18b20 {
    /// `/`; a made-up tree in tests.
    root: PathBuf,
    parts: Parts,
    quantities: Vec<QuantityInfo>,
}

/// Which parts to read, in the order of the quantities.
#[derive(Debug)]
enum Parts {
    TheOnlyOne,
    Named(Vec<String>),
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure_at(Path::new("/"), given)
}

fn configure_at(root: &Path, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let (names, parts) = match (options.device, options.devices) {
        (Some(_), Some(_)) => {
            let message = "names several parts, and `device` names one: leave one of the two out";
            problems.push(OptionProblem::new("devices", message));
            (Vec::new(), Parts::TheOnlyOne)
        }
        (None, None) => (vec!["temperature".to_owned()], Parts::TheOnlyOne),
        (Some(part), None) => {
            note(&mut problems, "device", check_part(&part));
            (vec!["temperature".to_owned()], Parts::Named(vec![part]))
        }
        (None, Some(devices)) => {
            check_devices(&devices, &mut problems);
            let (names, parts) = devices.into_iter().unzip();
            (names, Parts::Named(parts))
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let quantities = names.into_iter().map(quantity).collect();
    Ok(Arc::new(Ds18b20 { root: root.to_owned(), parts, quantities }))
}

fn check_devices(devices: &BTreeMap<String, String>, problems: &mut Vec<OptionProblem>) {
    if devices.is_empty() {
        let message = "names no part: write for example { flow: 28-0316a2795bff }";
        problems.push(OptionProblem::new("devices", message));
    }
    for (name, part) in devices {
        note(problems, &format!("devices.{name}"), check_name(name).and_then(|()| check_part(part)));
    }
}

/// Family code and 48-bit serial number, as the kernel writes them.
fn check_part(part: &str) -> Result<(), String> {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    match part.split_once('-') {
        Some((family, serial))
            if FAMILIES.contains(&family) && serial.len() == 12 && serial.chars().all(hexadecimal) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "\"{part}\" is no name of a part: write it as in /sys/bus/w1/devices, for example 28-0316a2795bff"
        )),
    }
}

/// Range of the data sheet ("Features").
fn quantity(name: String) -> QuantityInfo {
    QuantityInfo { name: name.into(), unit: "°C", kind: ValueKind::Float, range: Some((-55.0, 125.0)) }
}

/// Thermometers on the wires under this root.
pub(super) fn on_the_wire(root: &Path) -> Vec<String> {
    let thermometer = |name: &str| FAMILIES.iter().any(|family| name.starts_with(&format!("{family}-")));
    let names = entries(&root.join(DEVICES)).into_iter().map(|(name, _)| name);
    names.filter(|name| thermometer(name)).collect()
}

impl Ds18b20 {
    fn no_wire(&self) -> Option<SensorError> {
        let masters = entries(&self.root.join(DEVICES));
        let there = masters.iter().any(|(name, _)| name.starts_with("w1_bus_master"));
        (!there).then(|| {
            SensorError::Bus(
                "no 1-Wire bus: on a Raspberry Pi write dtoverlay=w1-gpio into /boot/firmware/config.txt and restart"
                    .to_owned(),
            )
        })
    }

    fn the_only_one(&self) -> Result<String, SensorError> {
        let mut found = on_the_wire(&self.root);
        match (found.pop(), found.as_slice()) {
            (Some(only), []) => Ok(only),
            (None, _) => Err(SensorError::WrongAnswer(format!("no thermometer on the wire: {CHECK}"))),
            (Some(last), others) => Err(SensorError::WrongAnswer(format!(
                "several thermometers are on the wire: say which with `device`; there are {}, {last}",
                others.join(", ")
            ))),
        }
    }
}

const CHECK: &str = "check wiring, power and the pull-up of 4.7 kΩ between data and 3.3 V";

impl Driver for Ds18b20 {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    /// All wires have one worker: a conversion mostly waits, and the kernel does one after another anyway.
    fn attachment(&self) -> Attachment {
        Attachment::Worker("w1")
    }

    fn longest_read(&self) -> Duration {
        READ_TIME * u32::try_from(self.quantities.len()).unwrap_or(u32::MAX)
    }

    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        if let Some(error) = self.no_wire() {
            return Err(error);
        }
        let names = match &self.parts {
            Parts::Named(names) => names.clone(),
            Parts::TheOnlyOne => vec![self.the_only_one()?],
        };
        let directory = self.root.join(DEVICES);
        let parts = names.into_iter().map(|name| Part { directory: directory.join(&name), name });
        Ok(Box::new(Opened { root: self.root.clone(), parts: Each::new(parts) }))
    }
}

struct Opened {
    root: PathBuf,
    parts: Each<Part>,
}

struct Part {
    name: String,
    directory: PathBuf,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.parts.read(|part| part.read(&self.root))
    }
}

impl Part {
    /// °C.
    fn read(&self, root: &Path) -> Result<f64, SensorError> {
        if !self.directory.exists() {
            let others = on_the_wire(root);
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            return Err(SensorError::WrongAnswer(format!(
                "{} is not on the wire (there: {others}): {CHECK}",
                self.name
            )));
        }
        let text = ask(&self.directory.join("w1_slave"), &self.name)?;
        parse(&text).map_err(|why| SensorError::WrongAnswer(format!("{}: {why}", self.name)))
    }
}

/// °C out of the two lines of `w1_slave`: the scratchpad with the verdict on its CRC, and again with the
/// temperature in thousandths of a degree.
fn parse(text: &str) -> Result<f64, String> {
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    if !first.trim_end().ends_with("YES") {
        return Err(format!("the CRC of its answer is wrong: {CHECK}"));
    }
    let milli = second.rsplit_once("t=").and_then(|(_, number)| number.trim().parse::<i32>().ok());
    let Some(milli) = milli else {
        return Err(format!("the kernel's answer has no temperature: {text:?}"));
    };
    // Eight zeros and their CRC, which is zero too; a real scratchpad has ones in its configuration ("Memory").
    if first.split_whitespace().take(9).all(|byte| byte == "00") {
        return Err(format!("it answers only zeros, as a wire shorted to ground does: {CHECK}"));
    }
    // "Memory": the power-on reset value of the temperature register is +85 °C.
    if milli == 85_000 {
        return Err(
            "it has just powered up and says 85 °C, which it did not measure: if this stays, its supply \
                    drops during conversions"
                .to_owned(),
        );
    }
    let celsius = f64::from(milli) / 1000.0;
    if !(-55.0..=125.0).contains(&celsius) {
        return Err(format!("{celsius} °C is beyond what it can measure (−55…125 °C): {CHECK}"));
    }
    Ok(celsius)
}

#[cfg(test)]
mod tests;
