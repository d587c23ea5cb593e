//! Units of measurement and the conversions between those of one dimension.
//!
//! One table: a new unit is a new line. Drivers name their units by the symbols of this table, the user
//! may write one of the other names too.

use super::problem::did_you_mean;

/// One unit: `base = (x − zero) × num ÷ den`.
///
/// Kept as a fraction, because 9 ÷ 5 is exact where 1 ÷ 0.5555555555555556 is not.
struct Unit {
    symbol: &'static str,
    names: &'static [&'static str],
    num: f64,
    den: f64,
    /// This unit's reading where the dimension's base unit reads 0.
    zero: f64,
}

const fn unit(symbol: &'static str, num: f64, den: f64, names: &'static [&'static str]) -> Unit {
    Unit { symbol, names, num, den, zero: 0.0 }
}

const fn shifted(
    symbol: &'static str,
    num: f64,
    den: f64,
    zero: f64,
    names: &'static [&'static str],
) -> Unit {
    Unit { symbol, names, num, den, zero }
}

/// Units by dimension; the first of each is the base.
const DIMENSIONS: &[&[Unit]] = &[
    // Temperature
    &[
        unit("°C", 1.0, 1.0, &["C", "degC", "celsius", "℃"]),
        shifted("°F", 5.0, 9.0, 32.0, &["F", "degF", "fahrenheit", "℉"]),
        shifted("K", 1.0, 1.0, 273.15, &["kelvin"]),
    ],
    // Pressure
    &[
        unit("Pa", 1.0, 1.0, &["pascal"]),
        unit("hPa", 100.0, 1.0, &[]),
        unit("kPa", 1e3, 1.0, &[]),
        unit("MPa", 1e6, 1.0, &[]),
        unit("mbar", 100.0, 1.0, &["millibar"]),
        unit("bar", 1e5, 1.0, &[]),
        unit("mmHg", 133.322_387_415, 1.0, &["Torr"]),
        unit("inHg", 3_386.388_640_341, 1.0, &[]),
        unit("psi", 6_894.757_293_168, 1.0, &[]),
        unit("atm", 101_325.0, 1.0, &[]),
    ],
    // Voltage
    &[
        unit("V", 1.0, 1.0, &["volt"]),
        unit("mV", 1.0, 1e3, &[]),
        unit("µV", 1.0, 1e6, &["uV", "μV"]),
        unit("kV", 1e3, 1.0, &[]),
    ],
    // Current
    &[
        unit("A", 1.0, 1.0, &["ampere", "amp"]),
        unit("mA", 1.0, 1e3, &[]),
        unit("µA", 1.0, 1e6, &["uA", "μA"]),
        unit("kA", 1e3, 1.0, &[]),
    ],
    // Power
    &[
        unit("W", 1.0, 1.0, &["watt"]),
        unit("mW", 1.0, 1e3, &[]),
        unit("kW", 1e3, 1.0, &[]),
        unit("MW", 1e6, 1.0, &[]),
    ],
    // Energy
    &[
        unit("J", 1.0, 1.0, &["joule", "Ws"]),
        unit("kJ", 1e3, 1.0, &[]),
        unit("MJ", 1e6, 1.0, &[]),
        unit("Wh", 3.6e3, 1.0, &[]),
        unit("kWh", 3.6e6, 1.0, &[]),
        unit("MWh", 3.6e9, 1.0, &[]),
    ],
    // Resistance
    &[
        unit("Ω", 1.0, 1.0, &["ohm", "Ohm", "Ω"]),
        unit("mΩ", 1.0, 1e3, &["mohm"]),
        unit("kΩ", 1e3, 1.0, &["kohm"]),
        unit("MΩ", 1e6, 1.0, &["Mohm"]),
    ],
    // Length
    &[
        unit("m", 1.0, 1.0, &["metre", "meter"]),
        unit("µm", 1.0, 1e6, &["um", "μm"]),
        unit("mm", 1.0, 1e3, &[]),
        unit("cm", 1.0, 1e2, &[]),
        unit("km", 1e3, 1.0, &[]),
        unit("in", 0.0254, 1.0, &["inch"]),
        unit("ft", 0.3048, 1.0, &["foot", "feet"]),
        unit("yd", 0.9144, 1.0, &["yard"]),
        unit("mi", 1_609.344, 1.0, &["mile"]),
    ],
    // Mass
    &[
        unit("kg", 1.0, 1.0, &[]),
        unit("g", 1.0, 1e3, &["gram"]),
        unit("mg", 1.0, 1e6, &[]),
        unit("t", 1e3, 1.0, &["tonne"]),
        unit("oz", 0.028_349_523_125, 1.0, &["ounce"]),
        unit("lb", 0.453_592_37, 1.0, &["pound"]),
    ],
    // Volume
    &[
        unit("l", 1.0, 1.0, &["L", "litre", "liter"]),
        unit("ml", 1.0, 1e3, &["mL"]),
        unit("m³", 1e3, 1.0, &["m3"]),
        unit("gal", 3.785_411_784, 1.0, &["gallon"]),
    ],
    // Speed
    &[
        unit("m/s", 1.0, 1.0, &["mps"]),
        unit("km/h", 1e3, 3.6e3, &["kmh", "kph"]),
        unit("mph", 0.447_04, 1.0, &[]),
        unit("kn", 1_852.0, 3.6e3, &["kt", "knot", "knots"]),
        unit("ft/s", 0.3048, 1.0, &[]),
    ],
    // Acceleration
    &[unit("m/s²", 1.0, 1.0, &["m/s2"]), unit("gₙ", 9.806_65, 1.0, &["g0"])],
    // Angle
    &[unit("°", 1.0, 1.0, &["deg", "degree", "degrees"]), unit("rad", 180.0, std::f64::consts::PI, &[])],
    // Data
    &[
        unit("B", 1.0, 1.0, &["byte", "bytes"]),
        unit("bit", 1.0, 8.0, &["bits"]),
        unit("kB", 1e3, 1.0, &["KB"]),
        unit("MB", 1e6, 1.0, &[]),
        unit("GB", 1e9, 1.0, &[]),
        unit("TB", 1e12, 1.0, &[]),
        unit("KiB", 1_024.0, 1.0, &["kiB"]),
        unit("MiB", 1_048_576.0, 1.0, &[]),
        unit("GiB", 1_073_741_824.0, 1.0, &[]),
        unit("TiB", 1_099_511_627_776.0, 1.0, &[]),
    ],
    // Data rate
    &[
        unit("B/s", 1.0, 1.0, &[]),
        unit("bit/s", 1.0, 8.0, &["bps"]),
        unit("kB/s", 1e3, 1.0, &[]),
        unit("MB/s", 1e6, 1.0, &[]),
        unit("kbit/s", 1e3, 8.0, &["kbps"]),
        unit("Mbit/s", 1e6, 8.0, &["Mbps"]),
    ],
    // Ratio
    &[
        unit("%", 1.0, 1.0, &["percent", "%RH"]),
        unit("1", 100.0, 1.0, &["ratio"]),
        unit("‰", 1.0, 10.0, &[]),
        unit("ppm", 1.0, 1e4, &[]),
        unit("ppb", 1.0, 1e7, &[]),
    ],
    // Mass concentration
    &[
        unit("µg/m³", 1.0, 1.0, &["ug/m3", "μg/m³", "µg/m3"]),
        unit("mg/m³", 1e3, 1.0, &["mg/m3"]),
        unit("g/m³", 1e6, 1.0, &["g/m3"]),
    ],
    // Time
    &[
        unit("s", 1.0, 1.0, &["second", "seconds", "sec"]),
        unit("µs", 1.0, 1e6, &["us", "μs"]),
        unit("ms", 1.0, 1e3, &[]),
        unit("min", 60.0, 1.0, &["minute", "minutes"]),
        unit("h", 3.6e3, 1.0, &["hour", "hours"]),
        unit("d", 86.4e3, 1.0, &["day", "days"]),
    ],
    // Frequency
    &[
        unit("Hz", 1.0, 1.0, &["hertz"]),
        unit("kHz", 1e3, 1.0, &[]),
        unit("MHz", 1e6, 1.0, &[]),
        unit("GHz", 1e9, 1.0, &[]),
        unit("rpm", 1.0, 60.0, &["1/min"]),
    ],
    // Illuminance
    &[unit("lx", 1.0, 1.0, &["lux"]), unit("klx", 1e3, 1.0, &[]), unit("fc", 10.763_910_417, 1.0, &[])],
    // Magnetic flux density
    &[
        unit("T", 1.0, 1.0, &["tesla"]),
        unit("mT", 1.0, 1e3, &[]),
        unit("µT", 1.0, 1e6, &["uT", "μT"]),
        unit("G", 1.0, 1e4, &["gauss"]),
    ],
];

/// How to get from one unit to another: `x × factor + shift`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// The wanted unit by its symbol, however the user wrote it.
    pub unit: String,
    /// Factor.
    pub factor: f64,
    /// Shift, in the wanted unit.
    pub shift: f64,
}

/// Why there is no conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoConversion {
    /// What is wrong.
    pub message: String,
    /// A near unit, or all that would do.
    pub suggestion: Option<String>,
}

/// The way from `from` (a driver's unit) to `to` (what the user wrote).
///
/// # Errors
/// The wanted unit is unknown or of another dimension; names those that are possible.
pub fn convert(from: &str, to: &str) -> Result<Conversion, NoConversion> {
    if from == to {
        return Ok(Conversion { unit: to.to_owned(), factor: 1.0, shift: 0.0 });
    }
    let Some((units, source)) = find(from) else {
        let unit = if from.is_empty() { "has no unit".to_owned() } else { format!("is in \"{from}\"") };
        return Err(NoConversion {
            message: format!("the value {unit}, which cannot be converted to \"{to}\""),
            suggestion: Some("leave `unit` out".into()),
        });
    };
    let Some(target) = units.iter().find(|unit| unit.is_called(to)) else {
        let all = units.iter().map(|unit| unit.symbol);
        let message = match find(to) {
            Some(_) => format!("\"{from}\" cannot be converted to \"{to}\""),
            None => format!("unknown unit \"{to}\" for a value in \"{from}\""),
        };
        let possible = || format!("possible: {}", all.clone().collect::<Vec<_>>().join(", "));
        let near =
            find(to).is_none().then(|| did_you_mean(to, all.clone().filter(|s| s.len() > 1))).flatten();
        return Err(NoConversion { message, suggestion: Some(near.unwrap_or_else(possible)) });
    };
    let factor = (source.num * target.den) / (source.den * target.num);
    Ok(Conversion { unit: target.symbol.to_owned(), factor, shift: target.zero - source.zero * factor })
}

impl Unit {
    fn is_called(&self, name: &str) -> bool {
        self.symbol == name || self.names.contains(&name)
    }
}

fn find(name: &str) -> Option<(&'static [Unit], &'static Unit)> {
    DIMENSIONS
        .iter()
        .find_map(|units| units.iter().find(|unit| unit.is_called(name)).map(|unit| (*units, unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn conversions_known_by_heart() {
        for (value, from, to, expected) in [
            (21.0, "°C", "°F", 69.8),
            (-40.0, "°C", "°F", -40.0),
            (212.0, "°F", "°C", 100.0),
            (25.0, "°C", "K", 298.15),
            (0.0, "K", "°F", -459.67),
            (100_653.0, "Pa", "hPa", 1_006.53),
            (101_325.0, "Pa", "mmHg", 760.0),
            (101_325.0, "Pa", "atm", 1.0),
            (3.3, "V", "mV", 3_300.0),
            (2_147_483_648.0, "B", "GiB", 2.0),
            (50.0, "%", "1", 0.5),
            (36.0, "km/h", "m/s", 10.0),
            (90.0, "s", "min", 1.5),
            (1.0, "mi", "km", 1.609344),
            (180.0, "°", "rad", std::f64::consts::PI),
        ] {
            let conversion = convert(from, to).unwrap();
            let got = value * conversion.factor + conversion.shift;
            assert!((got - expected).abs() < 1e-6 * expected.abs().max(1.0), "{value} {from} = {got} {to}");
        }
    }

    #[test]
    fn the_common_ones_are_exact() {
        let fahrenheit = convert("°C", "°F").unwrap();
        assert_eq!((fahrenheit.factor, fahrenheit.shift), (1.8, 32.0));
        assert_eq!(convert("Pa", "hPa").unwrap().factor, 0.01);
        assert_eq!(convert("°C", "degF").unwrap().unit, "°F");
    }

    #[test]
    fn what_cannot_be() {
        let error = convert("°C", "hPa").unwrap_err();
        assert_eq!(error.message, "\"°C\" cannot be converted to \"hPa\"");
        assert_eq!(error.suggestion.as_deref(), Some("possible: °C, °F, K"));
        assert_eq!(convert("Pa", "hpa").unwrap_err().suggestion.as_deref(), Some("did you mean \"hPa\"?"));
        assert!(convert("", "m").unwrap_err().message.contains("no unit"));
        assert_eq!(convert("widgets", "widgets").unwrap().factor, 1.0);
    }

    #[test]
    fn no_name_means_two_units() {
        let mut seen = HashSet::new();
        for unit in DIMENSIONS.iter().copied().flatten() {
            assert!(seen.insert(unit.symbol), "{} twice", unit.symbol);
            for name in unit.names {
                assert!(*name == unit.symbol || seen.insert(name), "{name} twice");
            }
        }
    }
}
