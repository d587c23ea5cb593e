//! Whatever the kernel's Industrial I/O drives, by name: a DHT22 or BMP280 with a device-tree overlay, a
//! converter on an add-on board. Units and scales are those of the kernel's ABI (see [`channel`]).

mod channel;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use channel::Channel;

use super::options::{self, note};
use super::sysfs::{Each, entries, plugged_at, text};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::reading::{Measured, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "iio",
    summary: "a sensor that the kernel drives (Industrial I/O), by name: for example dht22, bmp280, ads1015",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Where the kernel shows the devices.
const DEVICES: &str = "sys/bus/iio/devices";

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The device's name or label, as in /sys/bus/iio/devices/*/name; where two have the same, its place
    /// (iio:device0, or where it is plugged in: 1-0076).
    #[schemars(required, extend("examples" = ["bmp280", "1-0076"]))]
    device: Option<String>,
    /// Channels to read: file names without in_ and _raw or _input.
    #[schemars(required, extend("minItems" = 1, "uniqueItems" = true, "examples" = [["temp", "humidityrelative"]]))]
    channels: Option<Vec<String>>,
}

#[derive(Debug)]
struct Iio {
    /// `/`; a made-up tree in tests.
    root: PathBuf,
    device: String,
    channels: Vec<Channel>,
    quantities: Vec<QuantityInfo>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure_at(Path::new("/"), given)
}

fn configure_at(root: &Path, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let channels = options.channels.and_then(|names| note(&mut problems, "channels", chosen(&names)));
    match (options.device, channels) {
        (Some(device), Some(channels)) if problems.is_empty() => {
            let quantities = channels.iter().map(quantity).collect();
            Ok(Arc::new(Iio { root: root.to_owned(), device, channels, quantities }))
        }
        _ => Err(problems),
    }
}

fn chosen(names: &[String]) -> Result<Vec<Channel>, String> {
    let channels = names.iter().map(|name| Channel::of(name)).collect::<Result<Vec<_>, _>>()?;
    if channels.is_empty() {
        return Err("names no channel: write for example [temp, humidityrelative]".to_owned());
    }
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, twice)) => Err(format!("names {twice} twice")),
        None => Ok(channels),
    }
}

/// What the part behind a channel can measure, the kernel does not say.
fn quantity(channel: &Channel) -> QuantityInfo {
    QuantityInfo {
        name: channel.quantity.as_str().into(),
        unit: channel.unit,
        kind: ValueKind::Float,
        range: None,
    }
}

/// A device that the kernel drives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) name: String,
    label: Option<String>,
    /// `iio:device0`
    pub(super) entry: String,
    /// `1-0076`
    place: Option<String>,
    directory: PathBuf,
    pub(super) channels: Vec<String>,
}

/// Every device under this root.
pub(super) fn find(root: &Path) -> Vec<Found> {
    let devices = entries(&root.join(DEVICES)).into_iter();
    let devices = devices.filter(|(entry, _)| entry.starts_with("iio:device"));
    devices
        .filter_map(|(entry, directory)| {
            Some(Found {
                name: text(&directory.join("name"))?,
                label: text(&directory.join("label")),
                place: plugged_at(&directory.join("..")),
                channels: channel::channels(&directory),
                entry,
                directory,
            })
        })
        .collect()
}

impl Found {
    fn is_called(&self, name: &str) -> bool {
        let names = [Some(&self.name), self.label.as_ref(), Some(&self.entry), self.place.as_ref()];
        names.into_iter().flatten().any(|one| one == name)
    }
}

impl Driver for Iio {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Worker("iio")
    }

    /// Looks the device up by name: the kernel numbers them anew at every start.
    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        let all = find(&self.root);
        let mut called: Vec<&Found> = all.iter().filter(|found| found.is_called(&self.device)).collect();
        let list = |found: &[&Found]| {
            let name = |one: &&Found| match &one.place {
                Some(place) => format!("{} ({}, {place})", one.name, one.entry),
                None => format!("{} ({})", one.name, one.entry),
            };
            found.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let found = match (called.pop(), called.as_slice()) {
            (Some(only), []) => only,
            (Some(_), _) => {
                return Err(SensorError::WrongAnswer(format!(
                    "several devices are called {}: name one by its place; there are {}",
                    self.device,
                    list(&all.iter().collect::<Vec<_>>())
                )));
            }
            (None, _) if all.is_empty() => {
                return Err(SensorError::Bus(format!(
                    "the kernel drives no device {}: is its dtoverlay in /boot/firmware/config.txt?",
                    self.device
                )));
            }
            (None, _) => {
                return Err(SensorError::Bus(format!(
                    "the kernel drives no device {}; there are {}",
                    self.device,
                    list(&all.iter().collect::<Vec<_>>())
                )));
            }
        };
        if let Some(missing) = self.channels.iter().find(|channel| !channel.is_in(&found.directory)) {
            return Err(SensorError::WrongAnswer(format!(
                "{} has no channel {}: there are {}",
                self.device,
                missing.name,
                found.channels.join(", ")
            )));
        }
        let channels = Each::new(self.channels.iter().cloned());
        Ok(Box::new(Opened { name: self.device.clone(), directory: found.directory.clone(), channels }))
    }
}

struct Opened {
    name: String,
    directory: PathBuf,
    channels: Each<Channel>,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.channels.read(|channel| channel.read(&self.directory, &self.name))
    }
}

#[cfg(test)]
mod tests;
