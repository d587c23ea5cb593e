//! Channels of the kernel's Industrial I/O: what `in_temp` or `in_concentration_co2` counts, and where its raw
//! value, scale and offset stand.
//!
//! Source: Documentation/ABI/testing/sysfs-bus-iio of the kernel. Its units are thousandths for temperature,
//! humidity, voltage, current and power, kilopascal for pressure and percent for concentrations.

use std::fs;
use std::path::Path;

use crate::sensor::SensorError;
use crate::sensor::sysfs::{ask, text};

/// What a type of channel counts: how its name begins, the quantity, our unit, and how many of it are in one
/// of the kernel's.
struct Type {
    prefix: &'static str,
    quantity: &'static str,
    unit: &'static str,
    factor: f64,
}

const fn kind(prefix: &'static str, quantity: &'static str, unit: &'static str, factor: f64) -> Type {
    Type { prefix, quantity, unit, factor }
}

/// The longer of two names that begin alike stands first.
const TYPES: [Type; 24] = [
    kind("accel", "acceleration", "m/s²", 1.0),
    kind("anglvel", "angular_velocity", "rad/s", 1.0),
    kind("angl", "angle", "rad", 1.0),
    kind("capacitance", "capacitance", "nF", 1.0),
    kind("concentration_co2", "co2", "ppm", 1e4),
    kind("concentration_voc", "voc", "ppm", 1e4),
    kind("concentration", "concentration", "%", 1.0),
    kind("current", "current", "A", 1e-3),
    kind("distance", "distance", "m", 1.0),
    kind("electricalconductivity", "conductivity", "S/m", 1.0),
    kind("energy", "energy", "J", 1.0),
    kind("humidityrelative", "humidity", "%", 1e-3),
    kind("illuminance", "illuminance", "lx", 1.0),
    kind("intensity", "intensity", "", 1.0),
    kind("magn", "magnetic_field", "G", 1.0),
    kind("massconcentration", "mass_concentration", "µg/m³", 1.0),
    kind("ph", "ph", "", 1.0),
    kind("power", "power", "W", 1e-3),
    kind("pressure", "pressure", "hPa", 10.0),
    kind("proximity", "proximity", "", 1.0),
    kind("resistance", "resistance", "Ω", 1.0),
    kind("temp", "temperature", "°C", 1e-3),
    kind("uvindex", "uv_index", "", 1.0),
    kind("voltage", "voltage", "V", 1e-3),
];

/// A channel by its name without `in_` and `_raw`: `temp`, `voltage0`, `voltage0-voltage1`, `accel_x`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Channel {
    pub(super) name: String,
    /// Name of the quantity: `temperature`, `voltage0`, `voltage0_voltage1`, `acceleration_x`.
    pub(super) quantity: String,
    pub(super) unit: &'static str,
    factor: f64,
    /// Name without number and modifier, under which channels of a type share a scale (`in_voltage_scale`).
    shared: String,
}

impl Channel {
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let found = TYPES.iter().filter(|_| name.chars().all(good)).find_map(|kind| {
            let rest = name.strip_prefix(kind.prefix)?;
            rest.chars().next().is_none_or(|c| c.is_ascii_digit() || c == '_').then_some((kind, rest))
        });
        let Some((Type { prefix, quantity, unit, factor }, rest)) = found else {
            return Err(format!(
                "\"{name}\" is no channel that can be read: write it as in /sys/bus/iio/devices without in_ and \
                 _raw or _input, for example temp, humidityrelative, voltage0, voltage0-voltage1"
            ));
        };
        let shared = match rest.split_once('-') {
            Some(_) => format!("{prefix}-{prefix}"),
            None => (*prefix).to_owned(),
        };
        let quantity = format!("{quantity}{}", rest.replace('-', "_"));
        Ok(Self { name: name.to_owned(), quantity, unit, factor: *factor, shared })
    }

    /// Whether the device in this directory has it.
    pub(super) fn is_in(&self, directory: &Path) -> bool {
        ["input", "raw"].iter().any(|ending| directory.join(format!("in_{}_{ending}", self.name)).exists())
    }

    /// Its value in our unit; `part` names the device in an error.
    pub(super) fn read(&self, directory: &Path, part: &str) -> Result<f64, SensorError> {
        let number = |text: &str| {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
                SensorError::WrongAnswer(format!("{part}: {} reads {text:?}, which is no number", self.name))
            })
        };
        let part_channel = format!("{part}, channel {}", self.name);
        let file = |ending: &str| directory.join(format!("in_{}_{ending}", self.name));
        let input = file("input");
        let value = if input.exists() {
            number(&ask(&input, &part_channel)?)?
        } else {
            let raw = number(&ask(&file("raw"), &part_channel)?)?;
            let offset = self.setting(directory, "offset").map_or(Ok(0.0), |text| number(&text))?;
            let scale = self.setting(directory, "scale").map_or(Ok(1.0), |text| number(&text))?;
            (raw + offset) * scale
        };
        // Nine digits: no converter has more, and binary noise after them would count as change.
        let value = value * self.factor;
        let digits = 9 - value.abs().max(1e-9).log10().ceil() as i32;
        let power = 10f64.powi(digits);
        Ok((value * power).round() / power)
    }

    /// Its own scale or offset, or the one that its type shares.
    fn setting(&self, directory: &Path, ending: &str) -> Option<String> {
        let names = [&self.name, &self.shared];
        names.iter().find_map(|name| text(&directory.join(format!("in_{name}_{ending}"))))
    }
}

/// Channels of the device in this directory that can be read.
pub(super) fn channels(directory: &Path) -> Vec<String> {
    let Ok(files) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = files
        .flatten()
        .filter_map(|file| {
            let file = file.file_name().into_string().ok()?;
            let name = file.strip_prefix("in_")?;
            let name = name.strip_suffix("_raw").or_else(|| name.strip_suffix("_input"))?;
            Channel::of(name).is_ok().then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
