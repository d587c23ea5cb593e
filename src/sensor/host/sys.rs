//! What the kernel shows of this machine's own sensors under /sys: thermal zones, hwmon chips, and the
//! flags of a Raspberry Pi's firmware. Finds files and gives them names that survive a reboot.
//!
//! Sources: Documentation/ABI/testing/sysfs-class-thermal, Documentation/hwmon/sysfs-interface.rst,
//! drivers/firmware/raspberrypi.c and drivers/hwmon/raspberrypi-hwmon.c of the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use crate::reading::{Value, ValueKind};
use crate::sensor::hwmon::{INPUTS, numbered};
use crate::sensor::sysfs::{entries, identifier, text};

/// A quantity that the machine has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) file: File,
}

/// A file with one number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    path: PathBuf,
    reads: Reads,
}

/// What the number means.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reads {
    /// This many to a unit.
    Parts(f64),
    /// A count.
    Whole,
    /// Something other than 0.
    Flag,
    /// Hexadecimal flags.
    Bits,
    /// One bit of hexadecimal flags.
    Bit(u32),
}

impl File {
    /// The kind of its values.
    pub(super) fn kind(&self) -> ValueKind {
        match self.reads {
            Reads::Parts(_) => ValueKind::Float,
            Reads::Whole | Reads::Bits => ValueKind::Integer,
            Reads::Flag | Reads::Bit(_) => ValueKind::Bool,
        }
    }

    /// Its value, unless the file cannot be read just now.
    pub(super) fn read(&self) -> Option<Value> {
        let text = text(&self.path)?;
        let bits = || i64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        match self.reads {
            Reads::Parts(parts) => text.parse::<i64>().ok().map(|number| Value::Float(number as f64 / parts)),
            Reads::Whole => text.parse().ok().map(Value::Integer),
            Reads::Flag => text.parse::<i64>().ok().map(|number| Value::Bool(number != 0)),
            Reads::Bits => bits().map(Value::Integer),
            Reads::Bit(bit) => bits().map(|bits| Value::Bool(bits >> bit & 1 == 1)),
        }
    }
}

/// Everything found under this root, the processor's temperature first.
pub(super) fn find(root: &Path) -> Vec<Found> {
    let (mut found, zones) = thermal_zones(&root.join("sys/class/thermal"));
    found.extend(hwmon(&root.join("sys/class/hwmon"), &zones));
    found.extend(firmware(root));
    found
}

/// Names under which vendors list the processor, the most telling first.
const PROCESSORS: [&str; 5] = ["cpu_thermal", "x86_pkg_temp", "soc_thermal", "cpu0_thermal", "acpitz"];

/// The zones' temperatures, and the names of their types.
fn thermal_zones(class: &Path) -> (Vec<Found>, Vec<String>) {
    let mut zones: Vec<(u32, String, PathBuf)> = entries(class)
        .into_iter()
        .filter_map(|(name, path)| {
            let number = name.strip_prefix("thermal_zone")?.parse().ok()?;
            Some((number, identifier(&text(&path.join("type"))?), path.join("temp")))
        })
        .collect();
    zones.sort();
    let kinds: Vec<String> = zones.iter().map(|(_, kind, _)| kind.clone()).collect();
    let processor = PROCESSORS
        .iter()
        .find_map(|name| kinds.iter().position(|kind| kind == name))
        .or_else(|| kinds.iter().position(|kind| kind.contains("cpu")))
        .unwrap_or(0);
    let mut found: Vec<Found> = zones
        .into_iter()
        .enumerate()
        .map(|(index, (_, kind, path))| {
            let name =
                if index == processor { "cpu_temperature".to_owned() } else { format!("{kind}_temperature") };
            Found { name, unit: "°C", file: File { path, reads: Reads::Parts(1000.0) } }
        })
        .collect();
    if processor < found.len() {
        found[..=processor].rotate_right(1);
    }
    (found, kinds)
}

fn hwmon(class: &Path, zones: &[String]) -> Vec<Found> {
    let mut chips: Vec<(String, PathBuf, PathBuf)> = entries(class)
        .into_iter()
        .filter_map(|(_, path)| {
            let name = identifier(&text(&path.join("name"))?);
            // Chips of one name keep their order by where they are plugged in; hwmon's own numbers change.
            let place = fs::canonicalize(path.join("device")).unwrap_or_else(|_| path.clone());
            Some((name, place, path))
        })
        .collect();
    chips.sort();
    let mut found = Vec::new();
    for (chip, _, path) in chips {
        let mut inputs: Vec<(usize, u32)> =
            entries(&path).iter().filter_map(|(file, _)| input(file)).collect();
        inputs.sort();
        for (kind, number) in inputs {
            let (prefix, unit, parts) = INPUTS[kind];
            let reads = if parts == 1.0 { Reads::Whole } else { Reads::Parts(parts) };
            // The kernel shows a thermal zone once more as the first temperature of a chip of its name.
            if prefix == "temp" && number == 1 && zones.contains(&chip) {
                continue;
            }
            let label = text(&path.join(format!("{prefix}{number}_label")));
            let label = label.map(|label| identifier(&label)).filter(|label| !label.is_empty());
            let label = label.unwrap_or_else(|| format!("{prefix}{number}"));
            let file = File { path: path.join(format!("{prefix}{number}_input")), reads };
            found.push(Found { name: format!("{chip}_{label}"), unit, file });
        }
    }
    found
}

/// `temp1_input` → which of [`INPUTS`], and its number.
fn input(file: &str) -> Option<(usize, u32)> {
    numbered(file.strip_suffix("_input")?)
}

/// What a Raspberry Pi says of its supply: all flags as a number (bits as `vcgencmd get_throttled`: 0
/// under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit; 16 to 19 the same since boot),
/// and the one that explains most trouble by itself.
fn firmware(root: &Path) -> Vec<Found> {
    let found = |name: &str, path: PathBuf, reads| Found {
        name: name.to_owned(),
        unit: "",
        file: File { path, reads },
    };
    // The device tree node was called soc:firmware under different parents over the years.
    let path = [
        "sys/devices/platform/soc/soc:firmware",
        "sys/devices/platform/soc@107c000000/soc@107c000000:firmware",
    ]
    .iter()
    .map(|directory| root.join(directory).join("get_throttled"))
    .find(|path| path.exists());
    if let Some(path) = path {
        return vec![
            found("throttled", path.clone(), Reads::Bits),
            found("under_voltage", path, Reads::Bit(0)),
        ];
    }
    let alarm = entries(&root.join("sys/class/hwmon")).into_iter().find_map(|(_, chip)| {
        let alarm = chip.join("in0_lcrit_alarm");
        (text(&chip.join("name"))? == "rpi_volt" && alarm.exists()).then_some(alarm)
    });
    alarm.map(|path| found("under_voltage", path, Reads::Flag)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inputs_are_inputs() {
        assert_eq!(input("temp12_input"), Some((0, 12)));
        assert_eq!(input("in0_input"), Some((2, 0)));
        for file in
            ["temp1_max", "temp_input", "in0_lcrit_alarm", "freq1_input", "intrusion0_input", "temp1x_input"]
        {
            assert_eq!(input(file), None, "{file}");
        }
    }
}
