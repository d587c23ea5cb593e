//! InfluxDB line protocol: no platform of its own, but a format that Telegraf (`mqtt_consumer`), InfluxDB and their kin
//! take as it is. One line a sample with a field for each quantity; a reading sent twice is the same point to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::template::{Field, OF_NAMES, Template};
use super::{Platform, PlatformKind, Rules};
use crate::config::options::{self, OptionProblem};
use crate::payload::line_protocol::{self, Precision};
use crate::reading::{Format, Logged};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "influx",
    summary: "payloads as InfluxDB line protocol, on topics of your choice",
    options: options::schema::<Options>,
    configure,
    format: Some(write),
};

/// When a measurement comes out empty: `{location}` of a device that has none.
const NAMELESS: &str = "sensor-bridge";

#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Measurement, with `{device}`, `{sensor}`, `{quantity}`, `{location}`. With `{quantity}` or `{unit}` here or in a tag
    /// each reading is a line of its own with the field `value`; else a sample is one line, its quantities the fields.
    #[schemars(extend("default" = "{sensor}", "examples" = ["weather"]))]
    measurement: String,
    /// Tags and what they say: `{device}`, `{sensor}`, `{quantity}`, `{unit}`, `{clock}`, `{location}`, `{latitude}`,
    /// `{longitude}`, `{altitude}`, or a fixed text. What comes out empty is left out.
    #[schemars(extend("default" = {"device": "{device}"}, "examples" = [{"device": "{device}", "site": "{location}"}]))]
    tags: BTreeMap<String, String>,
    /// Unit of the time at the end of each line: `ns`, `us`, `ms` or `s`. Telegraf takes `ns` unless told otherwise.
    #[schemars(with = "Unit", extend("default" = "ns"))]
    precision: Precision,
}

/// The schema of [`Precision`], whose room knows none.
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes only")]
enum Unit {
    Ns,
    Us,
    Ms,
    S,
}

impl Default for Options {
    fn default() -> Self {
        let tags = BTreeMap::from([("device".to_owned(), "{device}".to_owned())]);
        Self { measurement: "{sensor}".to_owned(), tags, precision: Precision::Ns }
    }
}

fn configure(given: &Map<String, Value>, _: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let mut note = |key: &str, result: Result<(), String>| {
        options::note(&mut problems, key, result);
    };
    note("measurement", measurement(&options.measurement));
    for (key, text) in &options.tags {
        note(&format!("tags.{key}"), tag(key, text));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    #[expect(clippy::expect_used, reason = "cannot fail: texts and a map of texts")]
    let parameter = serde_json::to_string(&options).expect("JSON into memory");
    Ok(Arc::new(Influx { format: Format::new(KIND.name, &parameter) }))
}

fn measurement(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('#') {
        return Err("must not be empty, nor begin with \"#\": such a line is a comment".to_owned());
    }
    sayable(text)
}

fn tag(key: &str, text: &str) -> Result<(), String> {
    if key.is_empty() || key.starts_with('_') || key == "time" {
        return Err(
            "cannot be the key of a tag: those are not empty, not \"time\", and do not begin with \"_\""
                .to_owned(),
        );
    }
    if text.is_empty() {
        return Err("says nothing; leave it out".to_owned());
    }
    sayable(key).and_then(|()| sayable(text))
}

fn sayable(text: &str) -> Result<(), String> {
    if !line_protocol::can_say(text) {
        return Err("line protocol cannot say a backslash or a line break in a name".to_owned());
    }
    Template::of_names(text, OF_NAMES).map(|_| ())
}

#[derive(Debug)]
struct Influx {
    format: Format,
}

impl Platform for Influx {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        Rules { format: Some(self.format.clone()), ..Rules::default() }
    }
}

fn write(buffer: &mut Vec<u8>, parameter: &str, sample: &[Logged], _: bool) {
    // As configure wrote it; a log that somebody has edited is no reason to send nothing.
    let options: Options = serde_json::from_str(parameter).unwrap_or_default();
    let names = Names::of(&options);
    let mut text = String::with_capacity(128);
    if names.of_one {
        sample.iter().for_each(|reading| line(&mut text, &names, std::slice::from_ref(reading), &options));
    } else {
        line(&mut text, &names, sample, &options);
    }
    buffer.extend_from_slice(text.as_bytes());
}

/// The templates of a line.
struct Names<'a> {
    measurement: Template<'a>,
    tags: Vec<(&'a str, Template<'a>)>,
    /// Each reading is a line of its own.
    of_one: bool,
}

impl<'a> Names<'a> {
    fn of(options: &'a Options) -> Self {
        let template = |text: &'a str| Template::of_names(text, OF_NAMES).unwrap_or(Template(Vec::new()));
        let measurement = template(&options.measurement);
        let tags: Vec<_> = options.tags.iter().map(|(key, text)| (&**key, template(text))).collect();
        let of_one = |template: &Template<'_>| template.has(Field::Quantity) || template.has(Field::Unit);
        let of_one = of_one(&measurement) || tags.iter().any(|(_, text)| of_one(text));
        Self { measurement, tags, of_one }
    }
}

fn line(text: &mut String, names: &Names<'_>, sample: &[Logged], options: &Options) {
    let Some(first) = sample.first() else { return };
    let mut measurement = said(names.measurement.filled(sample));
    if measurement.starts_with('#') {
        // Such a line is a comment, and the reading would be lost.
        measurement.replace_range(..1, "_");
    }
    line_protocol::measurement(text, if measurement.is_empty() { NAMELESS } else { &measurement });
    for (key, template) in &names.tags {
        line_protocol::tag(text, key, &said(template.filled(sample)));
    }
    for (index, reading) in sample.iter().enumerate() {
        let key = if names.of_one { "value" } else { reading.channel.quantity.as_str() };
        line_protocol::field(text, index == 0, &said(key.to_owned()), &reading.value);
    }
    if line_protocol::end(text, first.at, options.precision).is_none() {
        // Nanoseconds end in 2262: whoever receives it takes the time of arrival.
        text.push('\n');
    }
}

/// A name as far as it can be said: what cannot stand in it becomes `_`.
fn said(name: String) -> String {
    if line_protocol::can_say(&name) { name } else { name.replace(['\\', '\n', '\r'], "_") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::contract::{logged, sample};
    use super::*;
    use crate::reading::{self, Timestamp};

    fn rules(options: Value) -> Rules {
        configure(options.as_object().unwrap(), "pi").unwrap().rules()
    }

    fn text(options: Value, change: impl Fn(&mut Logged)) -> String {
        let rules = rules(options);
        let mut sample = sample(&rules);
        sample.iter_mut().for_each(change);
        let mut buffer = Vec::new();
        super::super::write(&mut buffer, &sample, false);
        String::from_utf8(buffer).unwrap()
    }

    /// A line by the reference's grammar, strictly: measurement, tags, fields as written, time.
    #[derive(Debug, PartialEq)]
    struct Parsed {
        measurement: String,
        tags: Vec<(String, String)>,
        fields: Vec<(String, String)>,
        time: i64,
    }

    /// Up to an unescaped one of `ends`; a backslash before a letter that needs none is a mistake here.
    fn name(rest: &mut &str, special: &str, ends: &str) -> String {
        let mut out = String::new();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => {
                    let (_, next) = letters.next().expect("something behind a backslash");
                    assert!(special.contains(next), "\\{next} in {rest}");
                    out.push(next);
                }
                _ if ends.contains(letter) => {
                    *rest = &rest[at..];
                    assert!(!out.is_empty(), "an empty name before {rest}");
                    return out;
                }
                '\n' | '=' | ',' | ' ' => panic!("{letter:?} in {rest}"),
                other => out.push(other),
            }
        }
        panic!("no end: {rest}")
    }

    fn field_value<'a>(rest: &mut &'a str) -> &'a str {
        let end = if let Some(text) = rest.strip_prefix('"') {
            let mut escaped = false;
            let inside = text.find(|letter: char| {
                let end = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                end
            });
            inside.expect("a text that ends") + 2
        } else {
            rest.find([',', ' ']).expect("something behind a value")
        };
        let (value, after) = rest.split_at(end);
        *rest = after;
        let number =
            value.strip_suffix('i').map_or(value.parse::<f64>().is_ok(), |n| n.parse::<i64>().is_ok());
        assert!(number || value.starts_with('"') || ["true", "false"].contains(&value), "{value}");
        value
    }

    fn parse(text: &str) -> Vec<Parsed> {
        let (mut rest, mut lines) = (text, Vec::new());
        while !rest.is_empty() {
            let measurement = name(&mut rest, ", ", ", ");
            let (mut tags, mut fields) = (Vec::new(), Vec::new());
            while let Some(more) = rest.strip_prefix(',') {
                rest = more;
                let key = name(&mut rest, ",= ", "=");
                rest = &rest[1..];
                tags.push((key, name(&mut rest, ",= ", ", ")));
            }
            rest = rest.strip_prefix(' ').expect("a space before the fields");
            loop {
                let key = name(&mut rest, ",= ", "=");
                rest = &rest[1..];
                fields.push((key, field_value(&mut rest).to_owned()));
                match rest.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            let (time, more) = rest.strip_prefix(' ').unwrap().split_once('\n').expect("a line end");
            lines.push(Parsed { measurement, tags, fields, time: time.parse().unwrap() });
            rest = more;
        }
        lines
    }

    #[test]
    fn a_sample_is_one_line() {
        let options = json!({"measurement": "{sensor}", "tags": {"device": "{device}", "site": "{location}", "lat": "{latitude}"}});
        assert_eq!(
            text(options, |_| {}),
            "air,device=greenhouse-pi,lat=47.59 temperature=21.4,count=9223372036854775807i,dark=true,\
             state=\"failed: \\\"i2c-1\\\"\n0x76, é=1\" 1795158000123456000\n"
        );
    }

    #[test]
    fn a_line_for_each_reading_as_the_export_writes_them() {
        let options = json!({"measurement": "{quantity}", "tags": {"device": "{device}", "sensor": "{sensor}", "unit": "{unit}"}, "precision": "ms"});
        let lines = parse(&text(options, |_| {}));
        assert_eq!(lines.len(), 4);
        assert_eq!((&*lines[0].measurement, lines[0].time), ("temperature", 1_795_158_000_123));
        let tags: Vec<(&str, &str)> = lines[0].tags.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(tags, [("device", "greenhouse-pi"), ("sensor", "air"), ("unit", "°C")]);
        assert_eq!(lines[0].fields, [("value".to_owned(), "21.4".to_owned())]);
        assert_eq!(lines[1].tags.len(), 2, "no unit, no tag");
    }

    #[test]
    fn any_name_reads_back() {
        let options =
            json!({"measurement": "a b,{sensor}", "tags": {"the device": "{device}=x"}, "precision": "s"});
        let lines = parse(&text(options, |reading| {
            let channel = Arc::make_mut(&mut reading.channel);
            channel.device = "my pi, the=old\\one".to_owned();
            channel.sensor = "ä ,b".into();
            channel.quantity = format!("q {}=,", channel.quantity).as_str().into();
        }));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].measurement, "a b,ä ,b");
        assert_eq!(lines[0].tags, [("the device".to_owned(), "my pi, the=old_one=x".to_owned())]);
        assert_eq!(lines[0].fields[0], ("q temperature=,".to_owned(), "21.4".to_owned()));
        assert_eq!(lines[0].time, 1_795_158_000);
    }

    #[test]
    fn a_place_makes_no_comment_of_a_line() {
        let lines = parse(&text(json!({"measurement": "{location}"}), |reading| {
            let place = Arc::make_mut(&mut reading.channel).place.as_mut().unwrap();
            place.name = Some("#2 Greenhouse".to_owned());
        }));
        assert_eq!(lines[0].measurement, "_2 Greenhouse");
    }

    #[test]
    fn a_time_that_cannot_be_said_is_left_out() {
        let far = text(json!({}), |reading| reading.at = Timestamp(i64::MAX));
        assert!(far.ends_with("é=1\"\n"), "{far}");
    }

    #[test]
    fn what_an_edited_log_says_harms_nothing() {
        let rules = Rules { format: Some(Format::new("influx", "{nonsense")), ..Rules::default() };
        let one = super::super::contract::channel(&rules, "air", "t", "", reading::ValueKind::Integer);
        let mut buffer = Vec::new();
        super::super::write(&mut buffer, &[logged(1, one, reading::Value::Integer(3))], false);
        assert_eq!(String::from_utf8(buffer).unwrap(), "air,device=greenhouse-pi t=3i 1795158000123456000\n");
    }

    #[test]
    fn what_cannot_be_is_an_error_of_the_configuration() {
        for (options, key, words) in [
            (json!({"measurement": "{value}"}), "measurement", "unknown placeholder \"{value}\"; possible: "),
            (json!({"measurement": "{sensr}"}), "measurement", "did you mean \"{sensor}\"?"),
            (json!({"measurement": ""}), "measurement", "must not be empty"),
            (json!({"measurement": "#{sensor}"}), "measurement", "is a comment"),
            (json!({"tags": {"time": "{clock}"}}), "tags.time", "cannot be the key"),
            (json!({"tags": {"site": ""}}), "tags.site", "says nothing"),
            (json!({"tags": {"site": "a\\b"}}), "tags.site", "a backslash"),
            (json!({"precision": "m"}), "precision", "unknown variant `m`"),
        ] {
            let problems = configure(options.as_object().unwrap(), "pi").unwrap_err();
            let found = problems.iter().any(|problem| problem.key == key && problem.message.contains(words));
            assert!(found, "{options}: {problems:?}");
        }
    }
}
