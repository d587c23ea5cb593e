//! SenML (RFC 8428) in JSON: no platform of its own, but a format that many take. One pack a message.
//!
//! Version 10, without features (RFC 9100): what is not in a primary unit of the registry is converted into one, because
//! a pack with secondary units is of a version that a reader of RFC 8428 alone must refuse.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::template::{Field, Template};
use super::{Platform, PlatformKind, Rules};
use crate::config::options;
use crate::config::options::OptionProblem;
use crate::config::units;
use crate::reading::{self, Channel, Format, Logged};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "senml",
    summary: "payloads as SenML packs (RFC 8428, JSON), on topics of your choice",
    options: options::schema::<Options>,
    configure,
    format: Some(write),
};

const BASE_NAME: &str = "{device}/{sensor}/";

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// What the names of all records begin with (`bn`), with `{device}` and `{sensor}`. Best unique in the world, as a
    /// URN is. Characters that SenML does not allow in names become `_`.
    #[schemars(extend("default" = BASE_NAME, "examples" = ["urn:dev:mac:0024befffe804ff1:{sensor}:"]))]
    base_name: Option<String>,
}

fn configure(given: &Map<String, Value>, _: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let text = options.base_name.as_deref().unwrap_or(BASE_NAME);
    options::note(&mut problems, "base_name", base_name(text));
    if problems.is_empty() {
        Ok(Arc::new(SenMl { format: Format::new(KIND.name, if text == BASE_NAME { "" } else { text }) }))
    } else {
        Err(problems)
    }
}

fn base_name(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !is_of_a_name(*c) && !"{}".contains(*c)) {
        Some(bad) => {
            Err(format!("cannot contain {bad:?}: names have A-Z, a-z, 0-9 and - : . / _ (RFC 8428, 4.5.1)"))
        }
        None => Template::of_names(text, &[Field::Device, Field::Sensor]).map(|_| ()),
    }
}

#[derive(Debug)]
struct SenMl {
    format: Format,
}

impl Platform for SenMl {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        Rules { format: Some(self.format.clone()), ..Rules::default() }
    }
}

/// One record for each reading; what they share stands as base values in the first (RFC 8428, 4.1).
fn write(buffer: &mut Vec<u8>, parameter: &str, sample: &[Logged], _: bool) {
    let template = if parameter.is_empty() { BASE_NAME } else { parameter };
    let template = Template::of_names(template, &[Field::Device, Field::Sensor]);
    let base = named(&template.map(|template| template.filled(sample)).unwrap_or_default(), true);
    let records: Vec<Record<'_>> = sample
        .iter()
        .enumerate()
        .map(|(index, reading)| record(reading, (index == 0).then_some(&*base)))
        .collect();
    #[expect(clippy::expect_used, reason = "cannot fail: see payload::write_json")]
    serde_json::to_writer(&mut *buffer, &records).expect("JSON into memory");
}

/// Labels of RFC 8428, table 4.
#[derive(Serialize)]
struct Record<'a> {
    /// Base name.
    #[serde(skip_serializing_if = "Option::is_none")]
    bn: Option<&'a str>,
    /// Base time, s since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    bt: Option<f64>,
    /// Name.
    n: String,
    /// Unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<&'static str>,
    /// Value: a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<Number>,
    /// A truth value.
    #[serde(skip_serializing_if = "Option::is_none")]
    vb: Option<bool>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    vs: Option<&'a str>,
}

fn record<'a>(reading: &'a Logged, base: Option<&'a str>) -> Record<'a> {
    let channel = &*reading.channel;
    let unit = unit(channel);
    let (mut u, mut v, mut vb, mut vs) = (None, None, None, None);
    match &reading.value {
        reading::Value::Float(number) => {
            (u, v) = (unit.symbol, Number::from_f64(unit.of(*number)));
            // A record without a value is none. Does not happen: readings are finite.
            vs = v.is_none().then_some("");
        }
        reading::Value::Integer(number) if unit.factor == 1.0 && unit.shift == 0.0 => {
            (u, v) = (unit.symbol, Some((*number).into()));
        }
        reading::Value::Integer(number) => (u, v) = (unit.symbol, Number::from_f64(unit.of(*number as f64))),
        reading::Value::Bool(state) => vb = Some(*state),
        reading::Value::Text(text) => vs = Some(&**text),
        reading::Value::Image(image) => v = Some(image.bytes.len().into()),
    }
    Record {
        bn: base,
        bt: base.map(|_| reading.at.0 as f64 / 1e6),
        n: named(channel.quantity.as_str(), false),
        u,
        v,
        vb,
        vs,
    }
}

/// RFC 8428, 4.5.1.
fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-:./_".contains(letter)
}

/// Of the characters that a name may have; the `first` part of a name begins with a letter or digit.
fn named(text: &str, first: bool) -> String {
    let name: String = text.chars().map(|c| if is_of_a_name(c) { c } else { '_' }).collect();
    if !first || name.starts_with(|c: char| c.is_ascii_alphanumeric()) { name } else { format!("d{name}") }
}

/// What of ours is a primary unit of the registry (RFC 8428, 12.1; RFC 8798, 2). What the registry recommends against
/// (`%`, `g`, `l`) is left to the conversion. The first of a dimension is what others are converted to.
const PRIMARY: [(&str, &str); 25] = [
    ("°C", "Cel"),
    ("K", "K"),
    ("Pa", "Pa"),
    ("V", "V"),
    ("A", "A"),
    ("W", "W"),
    ("J", "J"),
    ("Ω", "Ohm"),
    ("m", "m"),
    ("kg", "kg"),
    ("m³", "m3"),
    ("m/s", "m/s"),
    ("m/s²", "m/s2"),
    ("°", "deg"),
    ("rad", "rad"),
    ("B", "B"),
    ("bit", "bit"),
    ("bit/s", "bit/s"),
    ("1", "/"),
    ("s", "s"),
    ("Hz", "Hz"),
    ("rpm", "1/min"),
    ("lx", "lx"),
    ("T", "T"),
    ("readings", "count"),
];

/// The same of units that a sensor may be given and that our own table does not know: the symbol, and the way to it as
/// factor and shift (RFC 8798, 2 and 3).
const OTHERS: [(&str, &str, f64, f64); 11] = [
    ("mm/h", "m/s", 1.0 / 3_600_000.0, 0.0),
    ("m/h", "m/s", 1.0 / 3_600.0, 0.0),
    ("m³/s", "m3/s", 1.0, 0.0),
    ("W/m²", "W/m2", 1.0, 0.0),
    ("VA", "VA", 1.0, 0.0),
    ("kVA", "VA", 1e3, 0.0),
    ("var", "var", 1.0, 0.0),
    ("kvar", "var", 1e3, 0.0),
    ("dB", "dB", 1.0, 0.0),
    ("dBm", "dBW", 1.0, -30.0),
    ("1/s", "1/s", 1.0, 0.0),
];

/// A unit of the registry, and the way to it.
struct Registered {
    symbol: Option<&'static str>,
    factor: f64,
    shift: f64,
}

impl Registered {
    fn of(&self, number: f64) -> f64 {
        if self.factor == 1.0 && self.shift == 0.0 {
            return number;
        }
        // 3300 ÷ 1000 is 3.3; 3300 × 0.001 is not.
        let inverse = 1.0 / self.factor;
        let scaled = if inverse.fract() == 0.0 { number / inverse } else { number * self.factor };
        // No sensor has thirteen digits; what stands behind them came of the conversion.
        format!("{:.12e}", scaled + self.shift).parse().unwrap_or(number)
    }
}

/// The unit of a channel; none for what the registry does not know, because another one would be taken for something
/// else.
fn unit(channel: &Channel) -> Registered {
    let same = |symbol| Registered { symbol: Some(symbol), factor: 1.0, shift: 0.0 };
    let ours = &*channel.unit;
    if let Some((_, symbol)) = PRIMARY.iter().find(|(known, _)| *known == ours) {
        return same(symbol);
    }
    if ours == "%" && channel.quantity.as_str().contains("humidity") {
        return same("%RH");
    }
    let to = |known: &str| units::convert(ours, known).ok();
    if let Some((symbol, way)) = PRIMARY.iter().find_map(|(known, symbol)| Some((*symbol, to(known)?))) {
        return Registered { symbol: Some(symbol), factor: way.factor, shift: way.shift };
    }
    if let Some(way) = to("µg/m³") {
        return Registered { symbol: Some("kg/m3"), factor: way.factor / 1e9, shift: 0.0 };
    }
    let other = OTHERS.iter().find(|(known, ..)| *known == ours);
    let (symbol, factor, shift) =
        other.map_or((None, 1.0, 0.0), |(_, symbol, factor, shift)| (Some(*symbol), *factor, *shift));
    Registered { symbol, factor, shift }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::contract::{channel, logged, sample};
    use super::*;
    use crate::reading::{Timestamp, ValueKind};

    fn rules(options: Value) -> Rules {
        configure(options.as_object().unwrap(), "pi").unwrap().rules()
    }

    fn pack(sample: &[Logged]) -> Value {
        let mut buffer = Vec::new();
        super::super::write(&mut buffer, sample, false);
        let pack = serde_json::from_slice(&buffer).unwrap();
        valid(&pack);
        pack
    }

    /// The CDDL of RFC 8428, section 11, and what sections 4.2 to 4.5 say beside it.
    fn valid(pack: &Value) {
        let records = pack.as_array().unwrap();
        assert!(!records.is_empty());
        let mut base = String::new();
        for record in records.iter().map(|record| record.as_object().unwrap()) {
            for (label, value) in record {
                let good = match label.as_str() {
                    "bn" | "bu" | "n" | "u" | "vs" | "vd" => value.is_string(),
                    "bt" | "bv" | "bs" | "t" | "ut" | "v" | "s" => value.is_number(),
                    "vb" => value.is_boolean(),
                    other => panic!("no label of RFC 8428: {other}"),
                };
                assert!(good, "{label}: {value}");
            }
            let values = ["v", "vs", "vb", "vd"].iter().filter(|label| record.contains_key(**label)).count();
            assert_eq!(values, 1, "{record:?}");
            if let Some(new) = record.get("bn") {
                base = new.as_str().unwrap().to_owned();
            }
            let name = format!("{base}{}", record["n"].as_str().unwrap());
            assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-:./_".contains(c)), "{name}");
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // 5.1.1, with the name split in two, as 5.1.2 has it, and a time.
        let rules = rules(json!({"base_name": "urn:dev:ow:10e2073a01080063:"}));
        let one = channel(&rules, "air", "temperature", "°C", ValueKind::Float);
        let mut one = logged(1, one, reading::Value::Float(23.1));
        one.at = Timestamp(1_276_020_076_305_000);
        assert_eq!(
            pack(&[one]),
            json!([{"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1.276020076305e+09, "n": "temperature", "u": "Cel", "v": 23.1}])
        );
        // 5.1.2
        let sample = [("voltage", "V", 120.1), ("current", "A", 1.2)].map(|(quantity, unit, value)| {
            logged(
                1,
                channel(&rules, "power", quantity, unit, ValueKind::Float),
                reading::Value::Float(value),
            )
        });
        let pack = pack(&sample);
        assert_eq!(
            (&pack[0]["n"], &pack[0]["u"], &pack[0]["v"]),
            (&json!("voltage"), &json!("V"), &json!(120.1))
        );
        assert_eq!(pack[1], json!({"n": "current", "u": "A", "v": 1.2}));
    }

    #[test]
    fn all_kinds_of_values() {
        let pack = pack(&sample(&rules(json!({}))));
        assert_eq!(
            pack,
            json!([
                {"bn": "greenhouse-pi/air/", "bt": 1_795_158_000.123_456, "n": "temperature", "u": "Cel", "v": 21.4},
                {"n": "count", "v": i64::MAX},
                {"n": "dark", "vb": true},
                {"n": "state", "vs": "failed: \"i2c-1\"\n0x76, é=1"},
            ])
        );
    }

    #[test]
    fn units_as_registered() {
        let rules = rules(json!({}));
        for (quantity, unit, value, symbol, expected) in [
            ("temperature", "°F", 70.0, Some("Cel"), 21.111_111_111_11),
            ("temperature", "K", 300.0, Some("K"), 300.0),
            ("humidity", "%", 45.5, Some("%RH"), 45.5),
            ("battery", "%", 45.5, Some("/"), 0.455),
            ("pressure", "hPa", 1_013.25, Some("Pa"), 101_325.0),
            ("voltage", "mV", 3_300.0, Some("V"), 3.3),
            ("energy", "kWh", 1.5, Some("J"), 5_400_000.0),
            ("flow", "l", 12.0, Some("m3"), 0.012),
            ("co2", "ppm", 415.0, Some("/"), 0.000_415),
            ("pm25", "µg/m³", 12.5, Some("kg/m3"), 1.25e-8),
            ("speed", "km/h", 36.0, Some("m/s"), 10.0),
            ("uptime", "h", 2.0, Some("s"), 7_200.0),
            ("rate", "B/s", 10.0, Some("bit/s"), 80.0),
            ("size", "KiB", 2.0, Some("B"), 2_048.0),
            ("tilt", "°", 5.0, Some("deg"), 5.0),
            ("rate", "mm/h", 9.0, Some("m/s"), 0.000_002_5),
            ("signal", "dBm", -67.0, Some("dBW"), -97.0),
            ("irradiance", "W/m²", 412.5, Some("W/m2"), 412.5),
            ("apparent", "kVA", 1.5, Some("VA"), 1_500.0),
            ("flow", "l/min", 5.0, None, 5.0),
            ("odd", "widgets", 5.0, None, 5.0),
            ("odd", "", 5.0, None, 5.0),
        ] {
            let one = logged(
                1,
                channel(&rules, "s", quantity, unit, ValueKind::Float),
                reading::Value::Float(value),
            );
            let pack = pack(&[one]);
            assert_eq!(pack[0].get("u").and_then(Value::as_str), symbol, "{quantity} {unit}");
            assert_eq!(pack[0]["v"].as_f64(), Some(expected), "{quantity} {unit}");
        }
        let whole = channel(&rules, "s", "memory", "B", ValueKind::Integer);
        assert_eq!(pack(&[logged(1, whole, reading::Value::Integer(i64::MAX))])[0]["v"], json!(i64::MAX));
        let whole = channel(&rules, "s", "uptime", "min", ValueKind::Integer);
        assert_eq!(pack(&[logged(1, whole, reading::Value::Integer(2))])[0]["v"], json!(120.0));
    }

    #[test]
    fn every_unit_is_one_of_the_registry() {
        // RFC 8428, 12.1, and RFC 8798, table 1, without those that are recommended against.
        const REGISTRY: &str = "m kg s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 m/s \
                                m/s2 m3/s W/m2 cd/m2 bit bit/s lat lon pH dB dBW count / %RH %EL EL 1/s 1/min beat/min \
                                beats S/m B VA VAs var vars J/m kg/m3 deg NTU";
        for symbol in
            PRIMARY.map(|(_, symbol)| symbol).into_iter().chain(OTHERS.map(|(_, symbol, ..)| symbol))
        {
            assert!(REGISTRY.split_whitespace().any(|known| known == symbol), "{symbol}");
        }
    }

    #[test]
    fn any_name_becomes_one() {
        let rules = rules(json!({}));
        let mut odd = channel(&rules, "süd", "pm 2.5", "", ValueKind::Float);
        odd.device = "-my pi".to_owned();
        let pack = pack(&[logged(1, odd, reading::Value::Float(1.0))]);
        assert_eq!((&pack[0]["bn"], &pack[0]["n"]), (&json!("d-my_pi/s_d/"), &json!("pm_2.5")));
    }

    #[test]
    fn what_cannot_be_is_an_error_of_the_configuration() {
        for (text, words) in
            [("a b", "cannot contain ' '"), ("{quantity}", "possible: {device}, {sensor}"), ("{", "brace")]
        {
            let problems = configure(json!({"base_name": text}).as_object().unwrap(), "pi").unwrap_err();
            assert!(problems[0].message.contains(words), "{problems:?}");
        }
    }
}
