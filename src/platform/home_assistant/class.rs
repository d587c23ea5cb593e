//! What a quantity is in Home Assistant's words: `device_class`, `state_class`, unit. One table; a new unit is a new line.
//!
//! A class is given only with a unit that Home Assistant allows for it (developers.home-assistant.io, "Sensor entity",
//! "Available device classes"; core, `DEVICE_CLASS_UNITS`): it refuses an entity whose unit does not fit. What has no
//! line is plain: shown with its own unit.

use std::borrow::Cow;

use crate::reading::ValueKind;

/// In Home Assistant's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    /// `device_class`
    pub(super) device: Option<&'static str>,
    /// `state_class`: without it there are no statistics.
    pub(super) state: Option<&'static str>,
    /// `unit_of_measurement`
    pub(super) unit: Option<Cow<'static, str>>,
}

const MEASUREMENT: Option<&str> = Some("measurement");
const INCREASING: Option<&str> = Some("total_increasing");

/// Of a number.
pub(super) fn number(quantity: &str, unit: &str, kind: ValueKind) -> Class {
    let device = device(quantity, unit);
    let state = match device {
        // The only ones that Home Assistant takes for these (core, `DEVICE_CLASS_STATE_CLASSES`).
        Some("energy" | "volume") => INCREASING,
        Some("wind_direction") => None,
        Some("precipitation") => INCREASING,
        None | Some("distance" | "duration" | "data_size" | "weight")
            if is_total(quantity) || quantity == "uptime" =>
        {
            INCREASING
        }
        // A whole number without a unit may be bits or a code, which no mean makes sense of.
        None if kind == ValueKind::Integer && unit.is_empty() => None,
        _ => MEASUREMENT,
    };
    // What has no unit is `null` there, not an empty text.
    Class { device, state, unit: (!unit.is_empty() && unit != "1").then(|| spelled(unit)) }
}

/// Of something that is on or off (home-assistant.io, "Binary sensor", "Device class").
pub(super) fn switch(quantity: &str) -> Option<&'static str> {
    matches!(quantity, "under_voltage").then_some("problem")
}

fn is_total(quantity: &str) -> bool {
    quantity == "total" || quantity.ends_with("_total")
}

fn device(quantity: &str, unit: &str) -> Option<&'static str> {
    let has = |word: &str| quantity.contains(word);
    Some(match unit {
        "°C" | "°F" | "K" => "temperature",
        "Pa" | "hPa" | "kPa" | "mbar" | "bar" | "mmHg" | "inHg" | "psi" => "pressure",
        "%" if has("humidity") => "humidity",
        "%" if has("moisture") => "moisture",
        "%" if has("battery") => "battery",
        "V" | "mV" => "voltage",
        "A" | "mA" => "current",
        "W" | "kW" | "MW" => "power",
        "Wh" | "kWh" | "MWh" | "MJ" => "energy",
        "VA" => "apparent_power",
        "mm" | "cm" | "in" if is_total(quantity) => "precipitation",
        "mm/h" | "in/h" => "precipitation_intensity",
        "mm" | "cm" | "m" | "km" | "in" | "ft" | "yd" | "mi" => "distance",
        "mg" | "g" | "kg" | "oz" | "lb" => "weight",
        "l" | "ml" | "m³" | "gal" if is_total(quantity) => "volume",
        "l" | "ml" | "m³" | "gal" => "volume_storage",
        "l/min" | "m³/h" => "volume_flow_rate",
        "m/s" | "km/h" | "mph" | "kn" | "ft/s" if has("wind") => "wind_speed",
        "m/s" | "km/h" | "mph" | "kn" | "ft/s" => "speed",
        "°" if has("wind") => "wind_direction",
        "ppm" if has("co2") => "carbon_dioxide",
        "ppm" if quantity == "co" => "carbon_monoxide",
        "ppm" | "ppb" if has("voc") => "volatile_organic_compounds_parts",
        "µg/m³" => dust(quantity)?,
        "lx" => "illuminance",
        "W/m²" => "irradiance",
        "s" | "ms" | "min" | "h" | "d" => "duration",
        "Hz" | "kHz" | "MHz" | "GHz" => "frequency",
        "bit" | "B" | "kB" | "MB" | "GB" | "TB" | "KiB" | "MiB" | "GiB" | "TiB" => "data_size",
        "bit/s" | "kbit/s" | "Mbit/s" | "B/s" | "kB/s" | "MB/s" => "data_rate",
        "dBm" => "signal_strength",
        "" | "1" if quantity == "ph" => "ph",
        "" | "1" if quantity == "aqi" => "aqi",
        _ => return None,
    })
}

fn dust(quantity: &str) -> Option<&'static str> {
    Some(match quantity {
        "pm1" => "pm1",
        "pm2_5" | "pm25" => "pm25",
        "pm10" => "pm10",
        "no2" => "nitrogen_dioxide",
        "o3" | "ozone" => "ozone",
        "so2" => "sulphur_dioxide",
        "voc" => "volatile_organic_compounds",
        _ => return None,
    })
}

/// The unit as Home Assistant writes it (core, `const.py`, `UnitOf…`): a litre has a capital letter there.
fn spelled(unit: &str) -> Cow<'static, str> {
    match unit {
        "l" => Cow::Borrowed("L"),
        "ml" => Cow::Borrowed("mL"),
        "l/h" => Cow::Borrowed("L/h"),
        "l/min" => Cow::Borrowed("L/min"),
        "l/s" => Cow::Borrowed("L/s"),
        other => Cow::Owned(other.to_owned()),
    }
}
