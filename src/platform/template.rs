//! Texts with placeholders for what a reading has: read once to find mistakes, and again for each message from what the
//! log kept. What a text is used for is the business of the formats.

use std::borrow::Cow;

use crate::config::topic::{TemplateError, split_placeholders, unknown_placeholder};
use crate::payload;
use crate::reading::{Logged, Place};

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// `<epoch>-<row>`
    Id,
    Epoch,
    Row,
    Device,
    Sensor,
    Quantity,
    Value,
    Unit,
    /// RFC 3339, UTC, microseconds.
    Time,
    /// Seconds since 1970 with six decimals.
    Ts,
    TsS,
    TsMs,
    TsUs,
    TsNs,
    Clock,
    Late,
    Location,
    Latitude,
    Longitude,
    Altitude,
    /// An object of all values of the sample, by quantity.
    Values,
    /// The same of the units.
    Units,
    /// Every reading of the sample by a template of its own.
    Readings,
    /// The value of this quantity in the sample.
    Of(&'a str),
}

const NAMES: [(&str, Field<'static>); 23] = [
    ("id", Field::Id),
    ("epoch", Field::Epoch),
    ("row", Field::Row),
    ("device", Field::Device),
    ("sensor", Field::Sensor),
    ("quantity", Field::Quantity),
    ("value", Field::Value),
    ("unit", Field::Unit),
    ("time", Field::Time),
    ("ts", Field::Ts),
    ("ts_s", Field::TsS),
    ("ts_ms", Field::TsMs),
    ("ts_us", Field::TsUs),
    ("ts_ns", Field::TsNs),
    ("clock", Field::Clock),
    ("late", Field::Late),
    ("location", Field::Location),
    ("latitude", Field::Latitude),
    ("longitude", Field::Longitude),
    ("altitude", Field::Altitude),
    ("values", Field::Values),
    ("units", Field::Units),
    ("readings", Field::Readings),
];

/// What `{values.temperature}` begins with.
const ONE_OF: &str = "values.";

/// What names do: the same in every message of a device's sensor.
pub(super) const OF_NAMES: &[Field<'static>] = &[
    Field::Device,
    Field::Sensor,
    Field::Quantity,
    Field::Unit,
    Field::Clock,
    Field::Location,
    Field::Latitude,
    Field::Longitude,
    Field::Altitude,
];

/// How a placeholder is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// `{x}`: as JSON, texts with their quotation marks, what is missing as `null`.
    Json,
    /// `{x:text}`: for the inside of a JSON string.
    Text,
    /// `{x:raw}`: as it is.
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Field(Field<'a>, Mode),
}

/// A text taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template<'a>(pub(super) Vec<Part<'a>>);

impl<'a> Template<'a> {
    /// A text whose braces are all placeholders, of these fields, written out as they are.
    pub(super) fn of_names(text: &'a str, allowed: &[Field<'static>]) -> Result<Self, String> {
        let parts = split_placeholders(text)?.into_iter().map(|piece| match piece {
            Ok(text) => Ok(Part::Text(text)),
            Err(name) => match field(name).filter(|field| allowed.iter().any(|known| known == field)) {
                Some(field) => Ok(Part::Field(field, Mode::Raw)),
                None => Err(unknown(name, |field| allowed.contains(field))),
            },
        });
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    /// A text in which braces also stand for themselves, as in JSON: a placeholder is what looks like one.
    pub(super) fn among_braces(text: &'a str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let (mut rest, mut from) = (text, 0);
        while let Some(brace) = rest.get(from..).and_then(|tail| tail.find('{')).map(|at| at + from) {
            let after = rest.get(brace + 1..).unwrap_or_default();
            let Some(inside) =
                after.split_once('}').map(|(inside, _)| inside).filter(|inside| is_one(inside))
            else {
                from = brace + 1;
                continue;
            };
            let before = rest.get(..brace).unwrap_or_default();
            if !before.is_empty() {
                parts.push(Part::Text(before));
            }
            parts.push(placeholder(inside.trim())?);
            (rest, from) = (after.get(inside.len() + 1..).unwrap_or_default(), 0);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        Ok(Self(parts))
    }

    pub(super) fn has(&self, wanted: Field<'_>) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Field(field, _) if *field == wanted))
    }

    /// Whether it speaks of one reading, not of a sample as a whole.
    pub(super) fn is_of_one(&self) -> bool {
        [Field::Quantity, Field::Value, Field::Unit].into_iter().any(|field| self.has(field))
    }

    /// Writes it out for a sample, of which the fields of one reading are the first's. `readings` writes those.
    pub(super) fn fill(
        &self,
        out: &mut String,
        sample: &[Logged],
        late: bool,
        readings: impl Fn(&mut String),
    ) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(Field::Readings, _) => readings(out),
                Part::Field(field, mode) => word(*field, sample, late).write(out, *mode),
            }
        }
    }

    /// As [`Template::fill`], of names only.
    pub(super) fn filled(&self, sample: &[Logged]) -> String {
        let mut text = String::new();
        self.fill(&mut text, sample, false, |_| {});
        text
    }
}

/// What could be meant as a placeholder: `name`, `name:mode`, `values.name`, spaces and capitals included.
fn is_one(inside: &str) -> bool {
    let trimmed = inside.trim();
    trimmed.starts_with(|c: char| c.is_ascii_alphabetic())
        && trimmed.chars().all(|c| c.is_alphanumeric() || "_-.:".contains(c))
        && inside.chars().all(|c| !c.is_control())
}

fn placeholder(inside: &str) -> Result<Part<'_>, String> {
    let (name, mode) = match inside.split_once(':') {
        None => (inside, Mode::Json),
        Some((name, "text")) => (name, Mode::Text),
        Some((name, "raw")) => (name, Mode::Raw),
        Some((name, other)) => {
            return Err(format!(
                "unknown way to write {{{name}}}: \"{other}\"; there are {{{name}}} as JSON, {{{name}:text}} inside a \
                 JSON string, and {{{name}:raw}} as it is"
            ));
        }
    };
    field(name).map(|field| Part::Field(field, mode)).ok_or_else(|| unknown(name, |_| true))
}

fn field(name: &str) -> Option<Field<'_>> {
    if let Some(quantity) = name.strip_prefix(ONE_OF).filter(|quantity| !quantity.is_empty()) {
        return Some(Field::Of(quantity));
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

fn unknown(name: &str, allowed: impl Fn(&Field<'static>) -> bool) -> String {
    let known = NAMES.iter().filter(|(_, field)| allowed(field)).map(|(known, _)| format!("{{{known}}}"));
    let known: Vec<String> = known.collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let TemplateError { message, suggestion } = unknown_placeholder(name, &known);
    match suggestion {
        Some(suggestion) => format!("{message}; {suggestion}"),
        None => message,
    }
}

/// What a field is in a message.
enum Word<'a> {
    Missing,
    Text(Cow<'a, str>),
    /// A number, a truth value or an object, as JSON writes them.
    Literal(String),
}

impl Word<'_> {
    fn write(&self, out: &mut String, mode: Mode) {
        match (self, mode) {
            (Word::Missing, Mode::Json) => out.push_str("null"),
            (Word::Missing, _) => {}
            (Word::Text(text), Mode::Raw) => out.push_str(text),
            (Word::Text(text), Mode::Json) => out.push_str(&quoted(text)),
            (Word::Text(text), Mode::Text) => {
                let quoted = quoted(text);
                out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            }
            (Word::Literal(literal), _) => out.push_str(literal),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn word<'a>(field: Field<'_>, sample: &'a [Logged], late: bool) -> Word<'a> {
    let Some(first) = sample.first() else { return Word::Missing };
    let channel = &*first.channel;
    let place = |number: fn(&Place) -> Option<f64>| {
        channel
            .place
            .as_ref()
            .and_then(number)
            .map_or(Word::Missing, |number| Word::Literal(number.to_string()))
    };
    let text = |text: &'a str| if text.is_empty() { Word::Missing } else { Word::Text(text.into()) };
    let micros = first.at.0;
    match field {
        Field::Id => Word::Text(format!("{}-{}", first.epoch, first.row).into()),
        Field::Epoch => text(&first.epoch),
        Field::Row => Word::Literal(first.row.to_string()),
        Field::Device => text(&channel.device),
        Field::Sensor => text(channel.sensor.as_str()),
        Field::Quantity => text(channel.quantity.as_str()),
        Field::Unit => text(&channel.unit),
        Field::Value => value(first),
        Field::Of(quantity) => sample
            .iter()
            .find(|reading| reading.channel.quantity.as_str() == quantity)
            .map_or(Word::Missing, value),
        Field::Time => Word::Text(first.at.to_string().into()),
        Field::Ts => {
            let sign = if micros < 0 { "-" } else { "" };
            let size = micros.unsigned_abs();
            Word::Literal(format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000))
        }
        Field::TsS => Word::Literal(micros.div_euclid(1_000_000).to_string()),
        Field::TsMs => Word::Literal(micros.div_euclid(1_000).to_string()),
        Field::TsUs => Word::Literal(micros.to_string()),
        Field::TsNs => Word::Literal((i128::from(micros) * 1_000).to_string()),
        Field::Clock => text(first.clock.as_str()),
        Field::Late => Word::Literal(late.to_string()),
        Field::Location => {
            channel.place.as_ref().and_then(|place| place.name.as_deref()).map_or(Word::Missing, text)
        }
        Field::Latitude => place(|place| place.latitude),
        Field::Longitude => place(|place| place.longitude),
        Field::Altitude => place(|place| place.altitude),
        Field::Values => Word::Literal(payload::values_json(sample)),
        Field::Units => Word::Literal(payload::units_json(sample)),
        // Written by whoever has its template.
        Field::Readings => Word::Missing,
    }
}

fn value(reading: &Logged) -> Word<'_> {
    match &reading.value {
        crate::reading::Value::Text(text) => Word::Text((&**text).into()),
        other => Word::Literal(payload::value_json(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_json_are_no_placeholders() {
        let parts = |text| Template::among_braces(text).unwrap().0;
        assert_eq!(
            parts(r#"{"a":{"b":{value}},"c":{}}"#),
            [Part::Text(r#"{"a":{"b":"#), Part::Field(Field::Value, Mode::Json), Part::Text(r#"},"c":{}}"#)]
        );
        assert_eq!(
            parts("{sensor:raw}={values.pm2.5}{"),
            [
                Part::Field(Field::Sensor, Mode::Raw),
                Part::Text("="),
                Part::Field(Field::Of("pm2.5"), Mode::Json),
                Part::Text("{")
            ]
        );
        assert_eq!(parts("{ value }"), [Part::Field(Field::Value, Mode::Json)]);
        assert_eq!(parts("}{é}{1}{ }"), [Part::Text("}{é}{1}{ }")]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("{vlaue}", "unknown placeholder \"{vlaue}\"; did you mean \"{value}\"?"),
            ("{Value}", "unknown placeholder \"{Value}\"; did you mean \"{value}\"?"),
            ("{sensor:rwa}", "unknown way to write {sensor}: \"rwa\"; there are"),
            ("{values.}", "unknown placeholder \"{values.}\"; did you mean \"{values}\"?"),
        ] {
            let error = Template::among_braces(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let error = Template::of_names("{value}", &[Field::Device, Field::Sensor]).unwrap_err();
        assert_eq!(error, "unknown placeholder \"{value}\"; possible: {device}, {sensor}");
        assert!(Template::of_names("{device", OF_NAMES).unwrap_err().starts_with("a single brace"));
    }
}
