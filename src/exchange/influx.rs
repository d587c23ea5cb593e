//! InfluxDB line protocol: `temperature,device=pi,sensor=air,unit=°C value=21.4 1795158000123456000`.
//!
//! One line a reading: the quantity is the measurement, because one measurement has one type of value there, and
//! the value is the field `value`. Read back, and lines of others as well: whatever fields they have.
//! <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::columns::{Mapping, Role, clock_of};
use super::when::Unit;
use super::{Fault, Raw, Row, shown};
use crate::log::intake::Series;
use crate::log::query::Line;
use crate::payload::line_protocol::{self, Precision};
use crate::reading::{Clock, Timestamp, Value};

/// Writes one reading.
///
/// # Errors
/// The output cannot be written, or the format cannot say it: a backslash or a line break in a name, a time
/// beyond 2262.
pub fn write(out: &mut impl Write, line: &Line) -> io::Result<()> {
    let channel = &line.channel;
    let clock = if line.clock == Clock::Synced { "" } else { line.clock.as_str() };
    let quantity = channel.quantity.as_str();
    let tags = [
        ("device", channel.device.as_str()),
        ("sensor", channel.sensor.as_str()),
        ("unit", channel.unit.as_str()),
        ("clock", clock),
    ];
    let names = tags.iter().map(|(_, tag)| *tag).chain([quantity]);
    if let Some(name) = names.into_iter().find(|name| !line_protocol::can_say(name)) {
        return Err(refused(&format!("line protocol cannot say the name \"{}\"", shown(name))));
    }
    let mut text = String::with_capacity(96);
    line_protocol::measurement(&mut text, quantity);
    tags.iter().for_each(|(key, tag)| line_protocol::tag(&mut text, key, tag));
    line_protocol::field(&mut text, true, "value", &line.value);
    line_protocol::end(&mut text, line.at, Precision::Ns).ok_or_else(|| {
        refused(&format!(
            "the time {} is beyond what line protocol can say (nanoseconds in 64 bits)",
            line.at
        ))
    })?;
    out.write_all(text.as_bytes())
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}; export as CSV or JSON lines"))
}

/// Whether a line goes on after its end: a text is open. Comments have no texts.
pub(super) fn is_open(line: &str) -> bool {
    if line.trim_start().starts_with('#') {
        return false;
    }
    let (mut open, mut escaped) = (false, false);
    for letter in line.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => open = !open,
            _ => {}
        }
    }
    open
}

/// The readings of a line, one a field.
pub(super) fn rows(
    text: &str,
    line: u64,
    mapping: &Mapping,
    rows: &mut Vec<Row>,
    unused: &mut impl FnMut(&str),
) -> Result<(), Fault> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(());
    }
    let wrong = |what: String| Fault::line(line, what);
    let point = Point::parse(text).map_err(wrong)?;
    let at = point.at(mapping).map_err(wrong)?;
    let tag = |role: Role, usual: &[&'static str]| point.tag(mapping, role, usual);
    let device = tag(Role::Device, &["device", "host"]);
    let sensor = tag(Role::Sensor, &["sensor"]);
    let unit = tag(Role::Unit, &["unit"]);
    let clock = tag(Role::Clock, &["clock"]);
    let used = [&device, &sensor, &unit, &clock];
    let is_used = |key: &str| used.iter().any(|tag| tag.as_ref().is_some_and(|(used, _)| *used == key));
    for key in point.tags.keys().filter(|key| !is_used(key)) {
        unused(key);
    }
    let fixed = &mapping.fixed;
    let said =
        |fixed: &Option<String>, tag: Option<(&str, String)>| fixed.clone().or(tag.map(|(_, tag)| tag));
    let clock = clock_of(clock.as_ref().map(|(_, word)| word.as_str())).map_err(wrong)?;
    let device = said(&fixed.device, device)
        .or_else(|| mapping.device.clone())
        .ok_or_else(|| wrong("there is no device; say --device ID for all".to_owned()))?;
    let sensor = said(&fixed.sensor, sensor);
    let unit = said(&fixed.unit, unit).unwrap_or_default();
    for (key, value) in point.fields {
        // As we write it the measurement is the quantity; as others do it is what they measure with.
        let quantity = match (&fixed.quantity, key.as_str(), &sensor) {
            (Some(quantity), ..) => quantity.clone(),
            (None, "value", Some(_)) => point.measurement.clone(),
            _ => key,
        };
        let series = Series {
            device: device.clone(),
            sensor: sensor.clone().unwrap_or_else(|| point.measurement.clone()),
            quantity,
            unit: unit.clone(),
        };
        rows.push(Row { line, series, at, clock, value: Raw::Is(value) });
    }
    Ok(())
}

/// One line.
struct Point<'a> {
    measurement: String,
    tags: BTreeMap<String, String>,
    fields: Vec<(String, Value)>,
    time: Option<&'a str>,
}

impl<'a> Point<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (measurement, mut rest) = word(text, &[',', ' ']);
        if measurement.is_empty() {
            return Err("there is no measurement".to_owned());
        }
        let mut tags = BTreeMap::new();
        while let Some(more) = rest.strip_prefix(',') {
            let (key, after) = word(more, &['=', ',', ' ']);
            let Some(after) = after.strip_prefix('=') else {
                return Err(format!("the tag \"{}\" has no value", shown(&key)));
            };
            let (tag, after) = word(after, &[',', ' ', '=']);
            tags.insert(key, tag);
            rest = after;
        }
        let mut fields = Vec::new();
        let Some(mut rest) = rest.strip_prefix(' ').map(str::trim_start) else {
            return Err("there are no fields".to_owned());
        };
        loop {
            let (key, after) = word(rest, &['=', ',', ' ']);
            let Some(after) = after.strip_prefix('=') else {
                return Err(format!("the field \"{}\" has no value", shown(&key)));
            };
            let (value, after) = field_value(after)?;
            fields.push((key, value));
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    let time = Some(after.trim()).filter(|time| !time.is_empty());
                    return Ok(Self { measurement, tags, fields, time });
                }
            }
        }
    }

    /// The tag that means this, with its key.
    fn tag<'m>(&self, mapping: &'m Mapping, role: Role, usual: &[&'static str]) -> Option<(&'m str, String)> {
        let value = |key: &'m str| self.tags.get(key).map(|tag| (key, tag.clone()));
        match mapping.columns.get(&role) {
            Some(key) => value(key),
            None => usual.iter().find_map(|key| value(key)),
        }
    }

    fn at(&self, mapping: &Mapping) -> Result<Timestamp, String> {
        let Some(text) = self.time else {
            return Err("there is no time".to_owned());
        };
        let unit = mapping.times.unit.unwrap_or(Unit::Nanoseconds);
        let time = text.parse().ok().and_then(|number| unit.micros(number));
        time.map(Timestamp).ok_or_else(|| format!("\"{}\" is not a time: a whole number", shown(text)))
    }
}

/// Up to one of `ends` that no backslash stands before; and the rest from there.
fn word<'a>(text: &'a str, ends: &[char]) -> (String, &'a str) {
    let mut word = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        if letter == '\\'
            && let Some((_, next)) = letters.next_if(|(_, next)| [',', ' ', '='].contains(next))
        {
            word.push(next);
            continue;
        }
        if ends.contains(&letter) {
            return (word, &text[place..]);
        }
        word.push(letter);
    }
    (word, "")
}

fn field_value(text: &str) -> Result<(Value, &str), String> {
    if let Some(rest) = text.strip_prefix('"') {
        let mut words = String::new();
        let mut letters = rest.char_indices().peekable();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '"' => return Ok((Value::Text(words.into()), &rest[place + 1..])),
                '\\' => match letters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                    Some((_, next)) => words.push(next),
                    None => words.push('\\'),
                },
                other => words.push(other),
            }
        }
        return Err("a text is not closed".to_owned());
    }
    let end = text.find([',', ' ']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let whole =
        word.strip_suffix('i').or_else(|| word.strip_suffix('u')).and_then(|digits| digits.parse().ok());
    let value = match (whole, word) {
        (Some(whole), _) => Some(Value::Integer(whole)),
        (None, "t" | "T" | "true" | "True" | "TRUE") => Some(Value::Bool(true)),
        (None, "f" | "F" | "false" | "False" | "FALSE") => Some(Value::Bool(false)),
        (None, number) => number.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
    };
    let value = value.ok_or_else(|| {
        format!("\"{}\" is no value: a number, 5i, true, or a text in quotation marks", shown(word))
    })?;
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Channel, ValueKind};

    fn read(text: &str, mapping: &Mapping) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        rows(text, 7, mapping, &mut found, &mut |_| {}).map_err(|fault| fault.to_string())?;
        let shown = |row: &Row| {
            let Series { device, sensor, quantity, unit } = &row.series;
            format!("{device} {sensor} {quantity} [{unit}] {:?} {}", row.value, row.at.0)
        };
        Ok(found.iter().map(shown).collect())
    }

    #[test]
    fn what_we_write_is_read_back() {
        let values = [
            Value::Float(21.0),
            Value::Float(-0.0),
            Value::Float(1e300),
            Value::Integer(i64::MIN),
            Value::Bool(false),
            Value::Text("a \"b\" \\ c\n, d=e \\".into()),
            Value::Text("".into()),
        ];
        for value in values {
            let line = Line {
                row: 1,
                channel: std::sync::Arc::new(Channel {
                    device: "my pi, the=old".into(),
                    sensor: "air".into(),
                    quantity: "rel humidity".into(),
                    unit: "l/100 km".into(),
                    kind: ValueKind::Float,
                    publish: None,
                    place: None,
                }),
                at: Timestamp(-1_795_158_000_123_456),
                clock: Clock::Unsynced,
                value: value.clone(),
            };
            let mut out = Vec::new();
            write(&mut out, &line).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!is_open(&text), "{text}");
            let mut found = Vec::new();
            rows(&text, 1, &Mapping::default(), &mut found, &mut |tag| panic!("{tag}")).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].series, Series::of(&line.channel));
            assert_eq!(
                (found[0].at, found[0].clock, &found[0].value),
                (line.at, line.clock, &Raw::Is(value))
            );
        }
    }

    #[test]
    fn lines_of_others() {
        let mapping = Mapping { device: Some("pi".into()), ..Mapping::default() };
        assert_eq!(
            read(
                "weather,location=us-midwest temperature=82,humidity=71i,note=\"a, b\" 1465839830100400200",
                &mapping
            )
            .unwrap(),
            [
                "pi weather temperature [] Is(Float(82.0)) 1465839830100400",
                "pi weather humidity [] Is(Integer(71)) 1465839830100400",
                "pi weather note [] Is(Text(\"a, b\")) 1465839830100400",
            ]
        );
        assert_eq!(read("# a comment", &mapping).unwrap(), [""; 0]);
        let placed = Mapping { columns: [(Role::Sensor, "location".to_owned())].into(), ..mapping.clone() };
        assert_eq!(
            read("weather,location=us value=1 5000", &placed).unwrap(),
            ["pi us weather [] Is(Float(1.0)) 5"]
        );
        let seconds = Mapping {
            times: crate::exchange::when::Times { unit: Some(Unit::Seconds), ..mapping.times.clone() },
            ..mapping.clone()
        };
        assert_eq!(read("m f=T 3", &seconds).unwrap(), ["pi m f [] Is(Bool(true)) 3000000"]);
        for (text, what) in [
            ("m", "no fields"),
            ("m f=1", "no time"),
            ("m,tag f=1 5", "the tag \"tag\" has no value"),
            ("m f=one 5", "\"one\" is no value"),
            ("m f=1 5.5", "\"5.5\" is not a time"),
            ("m f=\"x 5", "a text is not closed"),
            ("m f=NaN 5", "is no value"),
        ] {
            let error = read(text, &mapping).unwrap_err();
            assert!(error.contains(what) && error.starts_with("line 7: "), "{text}: {error}");
        }
    }
}
