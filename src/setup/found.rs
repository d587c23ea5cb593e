//! What is connected: parts on the I2C buses, 1-Wire, what the kernel drives, a camera.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::bus::{Buses, Presence, i2c_buses};
use crate::sensor::{KernelSensor, drivers_at, find, kernel_sensors};

/// Drivers that look at the part's id before they write anything to it: these may be tried on a part that is
/// another one. Not those whose question is a command of two bytes (Si7021): to a part with registers the second
/// byte is a value, and a PCA9685 at the same address would drive it.
pub(super) const LOOK_FIRST: &[&str] = &["bme280", "bmp280", "bmp390", "mcp9808"];

/// A part that answers on an I2C bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// Bus: `i2c-1`.
    pub bus: String,
    /// 7 bits.
    pub address: u8,
    /// The driver, or those that are possible; none for a part that we do not know.
    pub drivers: Vec<&'static str>,
}

/// Everything found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// I2C buses of the machine.
    pub buses: Vec<String>,
    /// Parts on them that nobody else drives.
    pub chips: Vec<Chip>,
    /// What the kernel drives.
    pub kernel: Vec<KernelSensor>,
    /// Whether there is `rpicam-still`.
    pub camera: bool,
    /// What could not be looked at, and why.
    pub troubles: Vec<String>,
}

/// Looks for sensors under this root (`/`), and for programs in these folders (`PATH`).
///
/// Every I2C address is asked by reading a byte. Where several drivers are possible, those that look at the part's
/// id first are tried.
pub fn look(root: &Path, programs: Option<&OsStr>) -> Found {
    let mut found = Found { kernel: kernel_sensors(root), camera: has_camera(programs), ..Found::default() };
    let buses = Buses::new();
    for name in i2c_buses(root) {
        let name = name.to_string();
        let scanned = match buses.i2c(&name) {
            Ok(bus) => bus.scan(),
            Err(error) => {
                found.troubles.push(error.to_string());
                continue;
            }
        };
        found.troubles.extend(scanned.trouble.map(|trouble| format!("{name}: {trouble}")));
        let free = scanned.devices.iter().filter(|(_, presence)| *presence == Presence::Answers);
        for (address, _) in free {
            let try_out = |driver: &str| answers(driver, &name, *address, &buses);
            let mut possible = drivers_at(*address);
            possible.retain(|driver| needs_no_more(driver, &name, *address));
            let drivers = narrowed(&possible, &try_out);
            found.chips.push(Chip { bus: name.clone(), address: *address, drivers });
        }
        found.buses.push(name);
    }
    found
}

fn has_camera(programs: Option<&OsStr>) -> bool {
    programs.is_some_and(|programs| {
        std::env::split_paths(programs).any(|folder| folder.join("rpicam-still").is_file())
    })
}

/// The drivers that are still possible when those that can tell have said so.
pub(super) fn narrowed(possible: &[&'static str], is_right: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    if possible.len() < 2 {
        return possible.to_vec();
    }
    let (tell, cannot): (Vec<&'static str>, Vec<&'static str>) =
        possible.iter().copied().partition(|driver| LOOK_FIRST.contains(driver));
    match tell.into_iter().find(|driver| is_right(driver)) {
        Some(driver) => vec![driver],
        None => cannot,
    }
}

/// The options that say where the part is. One that has only one address is not told it.
pub(super) fn placed(driver: &str, bus: &str, address: u8) -> Map<String, Json> {
    let mut options = Map::new();
    options.insert("bus".to_owned(), json!(bus));
    let can_say = |kind: &crate::sensor::DriverKind| !(kind.options)()["properties"]["address"].is_null();
    if find(driver).is_some_and(can_say) {
        options.insert("address".to_owned(), json!(address));
    }
    options
}

/// Whether where the part is says everything: a port expander, say, has pins that nobody can guess.
pub(super) fn needs_no_more(driver: &str, bus: &str, address: u8) -> bool {
    find(driver).is_some_and(|kind| (kind.configure)(&placed(driver, bus, address)).is_ok())
}

/// Whether the part opens as one of this driver's.
pub(super) fn answers(driver: &str, bus: &str, address: u8, buses: &Buses) -> bool {
    let options = placed(driver, bus, address);
    let open = || (find(driver)?.configure)(&options).ok()?.open(buses).ok();
    open().is_some()
}
