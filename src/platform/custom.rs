//! Payloads by a template of one's own, for whoever subscribes and cannot be changed. The topic is `mqtt.topic`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::template::{Field, Part, Template};
use super::{Platform, PlatformKind, Rules};
use crate::config::options::{self, OptionProblem};
use crate::payload;
use crate::reading::{self, Channel, Clock, Format, Logged, Place, Timestamp};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "custom",
    summary: "payloads by a template of your own, on topics of your choice",
    options: options::schema::<Options>,
    configure,
    format: Some(write),
};

const COMMA: &str = ",";

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The payload. `{value}`, `{sensor}` and so on are written as JSON, `{sensor:text}` for the inside of a JSON string,
    /// `{sensor:raw}` as it is; other braces stand for themselves. All placeholders: docs/platforms.md.
    #[schemars(required, extend("examples" = ["{\"t\":{value},\"ts\":{ts_ms}}"]))]
    payload: Option<String>,
    /// How one reading is written where the payload says `{readings}`.
    #[schemars(extend("examples" = ["{\"n\":{quantity},\"v\":{value}}"]))]
    reading: Option<String>,
    /// What stands between them.
    #[schemars(extend("default" = COMMA, "examples" = ["; "]))]
    separator: Option<String>,
}

fn configure(given: &Map<String, Value>, _: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let payload = options.payload.as_deref().unwrap_or_default();
    let whole = options::note(&mut problems, "payload", Template::among_braces(payload));
    let each = options.reading.as_deref().map(|text| options::note(&mut problems, "reading", each(text)));
    if let Some(whole) = whole.filter(|_| problems.is_empty()) {
        if payload.trim().is_empty() {
            problems.push(OptionProblem::new("payload", "is empty"));
        }
        let given = [("reading", each.is_some()), ("separator", options.separator.is_some())];
        match whole.has(Field::Readings) {
            true if each.is_none() => problems.push(OptionProblem::new(
                "reading",
                "is missing: how one of the {readings} is written, for example '{\"n\":{quantity},\"v\":{value}}'",
            )),
            true if whole.is_of_one() => problems.push(OptionProblem::new(
                "payload",
                "has {value}, {quantity} or {unit} beside {readings}: of which one? They belong into `reading`",
            )),
            false => {
                for (key, _) in given.iter().filter(|(_, given)| *given) {
                    problems.push(OptionProblem::new(*key, "means nothing: the payload has no {readings}"));
                }
            }
            true => {}
        }
        if problems.is_empty() {
            options::note(&mut problems, "payload", trial(&options, &whole));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let parameter = Value::Object(given.clone()).to_string();
    Ok(Arc::new(Custom { format: Format::new(KIND.name, &parameter) }))
}

fn each(text: &str) -> Result<(), String> {
    let template = Template::among_braces(text)?;
    for (field, name) in [(Field::Readings, "readings"), (Field::Values, "values"), (Field::Units, "units")] {
        if template.has(field) {
            return Err(format!("is one reading and cannot have all of them: {{{name}}}"));
        }
    }
    Ok(())
}

/// A payload that begins as a JSON object must be one, whatever is filled in: a forgotten comma is found here, and not
/// by whoever subscribes.
fn trial(options: &Options, whole: &Template<'_>) -> Result<(), String> {
    if !matches!(whole.0.first(), Some(Part::Text(text)) if text.trim_start().starts_with('{')) {
        return Ok(());
    }
    let mut channel = Channel {
        device: "a \"pi\"".to_owned(),
        sensor: "air".into(),
        quantity: "temperature".into(),
        unit: "°C".to_owned(),
        kind: reading::ValueKind::Float,
        publish: None,
        place: None,
    };
    for (number, value) in
        [reading::Value::Float(21.5), reading::Value::Text("\"up\"".into())].into_iter().enumerate()
    {
        if number > 0 {
            channel.place = Some(Place { latitude: Some(47.59), ..Place::default() });
        }
        let reading = Logged {
            row: 1,
            epoch: "3f9c2a1b".into(),
            channel: Arc::new(channel.clone()),
            at: Timestamp(1_795_158_000_123_456),
            clock: Clock::Synced,
            value,
            continues: false,
            since_boot: None,
        };
        let text = written(options, &[reading], false);
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            return Err(format!("begins like JSON and is none when filled in ({error}): {text}"));
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Custom {
    format: Format,
}

impl Platform for Custom {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        Rules { format: Some(self.format.clone()), ..Rules::default() }
    }
}

fn write(buffer: &mut Vec<u8>, parameter: &str, sample: &[Logged], late: bool) {
    let text = match serde_json::from_str::<Options>(parameter) {
        Ok(options) => written(&options, sample, late),
        Err(_) => String::new(),
    };
    if text.is_empty() {
        // A log that somebody has edited is no reason to lose the reading.
        payload::write_json(buffer, sample, late);
    } else {
        buffer.extend_from_slice(text.as_bytes());
    }
}

fn written(options: &Options, sample: &[Logged], late: bool) -> String {
    let mut text = String::with_capacity(128);
    let Ok(whole) = Template::among_braces(options.payload.as_deref().unwrap_or_default()) else {
        return text;
    };
    if whole.is_of_one() {
        // What speaks of one reading is said of each, one to a line.
        for (index, reading) in sample.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            whole.fill(&mut text, std::slice::from_ref(reading), late, |_| {});
        }
        return text;
    }
    whole.fill(&mut text, sample, late, |text| {
        let Ok(each) = Template::among_braces(options.reading.as_deref().unwrap_or_default()) else { return };
        for (index, reading) in sample.iter().enumerate() {
            if index > 0 {
                text.push_str(options.separator.as_deref().unwrap_or(COMMA));
            }
            each.fill(text, std::slice::from_ref(reading), late, |_| {});
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::contract::sample;
    use super::*;

    fn text(options: Value, readings: usize) -> String {
        let rules = configure(options.as_object().unwrap(), "pi").unwrap().rules();
        let mut buffer = Vec::new();
        super::super::write(&mut buffer, &sample(&rules)[..readings], true);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn every_placeholder() {
        for (placeholder, expected) in [
            ("{id}", "\"3f9c2a1b-7\""),
            ("{epoch} {row}", "\"3f9c2a1b\" 7"),
            ("{device} {device:text} {device:raw}", "\"greenhouse-pi\" greenhouse-pi greenhouse-pi"),
            ("{sensor}", "\"air\""),
            ("{quantity}", "\"temperature\""),
            ("{value} {value:raw}", "21.4 21.4"),
            ("{unit}", "\"°C\""),
            ("{time:raw}", "2026-11-20T07:00:00.123456Z"),
            ("{ts} {ts_s} {ts_ms}", "1795158000.123456 1795158000 1795158000123"),
            ("{ts_us} {ts_ns}", "1795158000123456 1795158000123456000"),
            ("{clock}", "\"synced\""),
            ("{late}", "true"),
            ("{latitude} {longitude}", "47.59 0.91"),
            ("{altitude}|{altitude:raw}|{location}|{location:text}", "null||null|"),
            ("{values} {units}", "{\"temperature\":21.4} {\"temperature\":\"°C\"}"),
            ("{values.temperature} {values.humidity}", "21.4 null"),
        ] {
            assert_eq!(text(json!({"payload": placeholder}), 1), expected, "{placeholder}");
        }
    }

    #[test]
    fn texts_are_escaped_as_their_place_wants() {
        let payload = "{values.state}|{values.state:text}|{values.state:raw}";
        assert_eq!(
            text(json!({"payload": payload}), 4),
            "\"failed: \\\"i2c-1\\\"\\n0x76, é=1\"|failed: \\\"i2c-1\\\"\\n0x76, é=1|failed: \"i2c-1\"\n0x76, é=1"
        );
    }

    #[test]
    fn what_speaks_of_one_reading_is_said_of_each() {
        assert_eq!(
            text(json!({"payload": "{\"t\":{value},\"ts\":{ts_ms}}"}), 2),
            "{\"t\":21.4,\"ts\":1795158000123}\n{\"t\":9223372036854775807,\"ts\":1795158000123}"
        );
        let options = json!({
            "payload": "{\"device\":{device},\"readings\":[{readings}]}",
            "reading": "{\"n\":{quantity},\"v\":{value}}",
        });
        assert_eq!(
            text(options, 3),
            "{\"device\":\"greenhouse-pi\",\"readings\":[{\"n\":\"temperature\",\"v\":21.4},\
             {\"n\":\"count\",\"v\":9223372036854775807},{\"n\":\"dark\",\"v\":true}]}"
        );
        let options = json!({"payload": "{readings}", "reading": "{time:raw};{quantity:raw};{value:raw}", "separator": "\n"});
        assert_eq!(text(options, 2).lines().count(), 2);
    }

    #[test]
    fn an_edited_log_loses_nothing() {
        let rules = Rules { format: Some(Format::new("custom", "{oops")), ..Rules::default() };
        let mut buffer = Vec::new();
        super::super::write(&mut buffer, &sample(&rules)[..1], false);
        assert!(String::from_utf8(buffer).unwrap().starts_with("{\"id\":\"3f9c2a1b-7\""));
    }

    #[test]
    fn what_cannot_be_is_an_error_of_the_configuration() {
        for (options, key, words) in [
            (json!({}), "payload", "is missing"),
            (json!({"payload": " "}), "payload", "is empty"),
            (json!({"payload": "{vlaue}"}), "payload", "did you mean \"{value}\"?"),
            (json!({"payload": "{readings}"}), "reading", "is missing"),
            (json!({"payload": "{value}", "reading": "{value}"}), "reading", "means nothing"),
            (json!({"payload": "{value}", "separator": ","}), "separator", "means nothing"),
            (json!({"payload": "{value}{readings}", "reading": "{value}"}), "payload", "of which one?"),
            (json!({"payload": "{readings}", "reading": "{values}"}), "reading", "cannot have all"),
            (json!({"payload": "{\"v\":{value}\"u\":{unit}}"}), "payload", "begins like JSON and is none"),
            (json!({"payload": "{\"d\":\"{device:raw}\"}"}), "payload", "begins like JSON and is none"),
            (json!({"payload": "{\"l\":{latitude:raw}}"}), "payload", "begins like JSON and is none"),
        ] {
            let problems = configure(options.as_object().unwrap(), "pi").unwrap_err();
            let found = problems.iter().any(|problem| problem.key == key && problem.message.contains(words));
            assert!(found, "{options}: {problems:?}");
        }
        configure(json!({"payload": "{sensor:raw}={value:raw}"}).as_object().unwrap(), "pi").unwrap();
    }
}
