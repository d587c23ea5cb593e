//! Against Home Assistant's tables of device classes, state classes and units.

use std::collections::BTreeSet;

use serde_json::json;

use super::class;
use crate::reading::ValueKind;
use crate::sensor::registry;

/// developers.home-assistant.io, "Sensor entity", "Available device classes", as far as we use them: units that each
/// allows, and whether its state class is a measurement (m), a total (t), or none (-).
const CLASSES: &[(&str, &[&str], &str)] = &[
    ("apparent_power", &["VA"], "m"),
    ("aqi", &[""], "m"),
    ("battery", &["%"], "m"),
    ("carbon_dioxide", &["ppm"], "m"),
    ("carbon_monoxide", &["ppm"], "m"),
    ("current", &["A", "mA"], "m"),
    ("data_rate", &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B/s", "kB/s", "MB/s", "GB/s"], "m"),
    ("data_size", &["bit", "B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"], "mt"),
    ("distance", &["km", "m", "cm", "mm", "mi", "yd", "ft", "in"], "mt"),
    ("duration", &["d", "h", "min", "s", "ms"], "mt"),
    ("energy", &["Wh", "kWh", "MWh", "MJ", "GJ"], "t"),
    ("frequency", &["Hz", "kHz", "MHz", "GHz"], "m"),
    ("humidity", &["%"], "m"),
    ("illuminance", &["lx"], "m"),
    ("irradiance", &["W/m²", "BTU/(h⋅ft²)"], "m"),
    ("moisture", &["%"], "m"),
    ("nitrogen_dioxide", &["µg/m³"], "m"),
    ("ozone", &["µg/m³"], "m"),
    ("ph", &[""], "m"),
    ("pm1", &["µg/m³"], "m"),
    ("pm10", &["µg/m³"], "m"),
    ("pm25", &["µg/m³"], "m"),
    ("power", &["W", "kW", "MW", "GW", "TW"], "m"),
    ("precipitation", &["cm", "mm", "in"], "mt"),
    ("precipitation_intensity", &["mm/d", "mm/h", "in/d", "in/h"], "m"),
    ("pressure", &["Pa", "hPa", "kPa", "bar", "cbar", "mbar", "mmHg", "inHg", "psi"], "m"),
    ("signal_strength", &["dB", "dBm"], "m"),
    ("speed", &["ft/s", "in/d", "in/h", "km/h", "kn", "m/s", "mph", "mm/d"], "m"),
    ("sulphur_dioxide", &["µg/m³"], "m"),
    ("temperature", &["°C", "°F", "K"], "m"),
    ("volatile_organic_compounds", &["µg/m³"], "m"),
    ("volatile_organic_compounds_parts", &["ppm", "ppb"], "m"),
    ("voltage", &["V", "mV"], "m"),
    ("volume", &["L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF"], "t"),
    ("volume_flow_rate", &["m³/h", "ft³/min", "L/min", "gal/min"], "m"),
    ("volume_storage", &["L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF"], "m"),
    ("weight", &["kg", "g", "mg", "µg", "oz", "lb", "st"], "mt"),
    ("wind_direction", &["°"], "-"),
    ("wind_speed", &["ft/s", "km/h", "kn", "m/s", "mph"], "m"),
];

/// Quantities of our drivers that have no class there, and rightly so.
const PLAIN: &[(&str, &str)] = &[
    ("load_1m", ""),
    ("load_5m", ""),
    ("load_15m", ""),
    ("memory_used", "%"),
    ("disk_used", "%"),
    ("particles_0_3um", "1/l"),
    ("particles_0_5um", "1/l"),
    ("particles_1um", "1/l"),
    ("particles_2_5um", "1/l"),
    ("particles_5um", "1/l"),
    ("particles_10um", "1/l"),
    ("throttled", ""),
    ("value", ""),
];

#[track_caller]
fn fits(quantity: &str, unit: &str, kind: ValueKind) -> class::Class {
    let class = class::number(quantity, unit, kind);
    if let Some(device) = class.device {
        let row = CLASSES.iter().find(|(name, ..)| *name == device);
        let (_, units, states) = row.unwrap_or_else(|| panic!("{quantity}: no such class: {device}"));
        let unit = class.unit.as_deref().unwrap_or_default();
        assert!(units.contains(&unit), "{quantity}: {device} does not allow {unit:?}");
        let letter = match class.state {
            Some("measurement") => 'm',
            Some("total_increasing") => 't',
            None => '-',
            Some(other) => panic!("{other}"),
        };
        assert!(states.contains(letter), "{quantity}: {device} does not allow {:?}", class.state);
    }
    class
}

#[test]
fn every_quantity_of_every_driver_has_a_class_or_is_plain_on_purpose() {
    let options = [
        json!({}),
        json!({"bus": "sim-1"}),
        json!({"bus": "sim-0.0"}),
        json!({"pin": 4}),
        json!({"pin": 4, "unit": "l", "per_pulse": 0.5}),
        json!({"pin": 4, "unit": "kWh", "rate_unit": "kW", "pulses_per_unit": 1000}),
    ];
    let mut walked = BTreeSet::new();
    for kind in registry() {
        for options in &options {
            let Ok(driver) = (kind.configure)(options.as_object().unwrap()) else { continue };
            walked.insert(kind.name);
            for info in driver.quantities() {
                if !matches!(info.kind, ValueKind::Float | ValueKind::Integer) {
                    continue;
                }
                let (name, unit) = (info.name.as_str(), info.unit);
                let class = fits(name, unit, info.kind);
                let plain = PLAIN.contains(&(name, unit)) || kind.name == "pulse-counter" && name == "rate";
                let free = kind.name == "pulse-counter" && unit.is_empty();
                assert!(
                    class.device.is_some() != plain || free,
                    "{}: {name} in {unit:?} is {class:?}: a line in class.rs, or one in PLAIN",
                    kind.name
                );
            }
        }
    }
    // Those whose quantities are named by the user; their units are of the table of units.
    let open: BTreeSet<_> =
        registry().iter().map(|kind| kind.name).filter(|name| !walked.contains(name)).collect();
    assert!(open.is_subset(&BTreeSet::from(["hwmon", "iio", "pulse-counter"])), "{open:?}");
}

#[test]
fn every_unit_that_can_be_chosen_fits_its_class() {
    // config/units.rs; whatever the quantity is called.
    let units = "°C °F K Pa hPa kPa MPa mbar bar mmHg inHg psi atm V mV µV kV A mA µA kA W mW kW MW J kJ MJ Wh kWh MWh Ω mΩ kΩ \
                 MΩ m µm mm cm km in ft yd mi kg g mg t oz lb l ml m³ gal m/s km/h mph kn ft/s m/s² gₙ ° rad B bit kB MB GB TB \
                 KiB MiB GiB TiB B/s bit/s kB/s MB/s kbit/s Mbit/s % 1 ‰ ppm ppb µg/m³ mg/m³ g/m³ s µs ms min h d Hz kHz MHz \
                 GHz rpm lx klx fc T mT µT G dB dBm VA W/m² l/min l/h m³/h mm/h widgets";
    for unit in units.split_whitespace().chain([""]) {
        for quantity in [
            "total",
            "rate",
            "x",
            "humidity",
            "soil_moisture",
            "battery",
            "wind",
            "co2",
            "co",
            "tvoc",
            "pm2_5",
            "ph",
            "aqi",
            "no2",
        ] {
            fits(quantity, unit, ValueKind::Float);
        }
    }
    let shown = |quantity, unit| {
        let class = fits(quantity, unit, ValueKind::Float);
        (class.device, class.state, class.unit.map(|unit| unit.into_owned()))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(shown("temperature", "°F"), (Some("temperature"), Some("measurement"), text("°F")));
    assert_eq!(shown("total", "l"), (Some("volume"), Some("total_increasing"), text("L")));
    assert_eq!(shown("total", "mm"), (Some("precipitation"), Some("total_increasing"), text("mm")));
    assert_eq!(shown("total", "kWh"), (Some("energy"), Some("total_increasing"), text("kWh")));
    assert_eq!(shown("level", "l"), (Some("volume_storage"), Some("measurement"), text("L")));
    assert_eq!(shown("ratio", "1"), (None, Some("measurement"), None));
    assert_eq!(shown("resistance", "kΩ"), (None, Some("measurement"), text("kΩ")));
    assert_eq!(class::number("throttled", "", ValueKind::Integer).state, None, "bits have no mean");
}
