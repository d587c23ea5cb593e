//! InfluxDB line protocol: how the words of a line are written, for messages and for files alike. Which words, is decided
//! elsewhere.
//!
//! `measurement,tag=text field=21.4,other=5i 1795158000123456000`
//! <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>

use crate::reading::{Timestamp, Value};

/// What must stand behind a backslash in a measurement.
const IN_MEASUREMENT: &[char] = &[',', ' '];

/// The same in the key and value of a tag and in the key of a field.
const IN_KEY: &[char] = &[',', ' ', '='];

/// Unit of the time at the end of a line. Nothing in the line says which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Nanoseconds, as everybody assumes who is not told otherwise.
    #[default]
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

/// Whether a measurement, tag or key can be said: the format has no way to write a line break, and a backslash means
/// different things to different readers.
pub fn can_say(name: &str) -> bool {
    !name.contains(['\\', '\n', '\r'])
}

/// Begins a line. `name` is one that [`can_say`] allows, and not empty.
pub fn measurement(line: &mut String, name: &str) {
    escape(line, name, IN_MEASUREMENT);
}

/// Adds a tag; not an empty one, which the format cannot say. Both texts are such that [`can_say`] allows.
pub fn tag(line: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        line.push(',');
        escape(line, key, IN_KEY);
        line.push('=');
        escape(line, value, IN_KEY);
    }
}

/// Adds a field; `first` of the line or a further one. The key is one that [`can_say`] allows.
pub fn field(line: &mut String, first: bool, key: &str, value: &Value) {
    line.push(if first { ' ' } else { ',' });
    escape(line, key, IN_KEY);
    line.push('=');
    match value {
        Value::Float(number) => line.push_str(&number.to_string()),
        Value::Integer(number) => line.push_str(&format!("{number}i")),
        Value::Bool(state) => line.push_str(&state.to_string()),
        Value::Text(words) => {
            line.push('"');
            escape(line, words, &['"', '\\']);
            line.push('"');
        }
        Value::Image(image) => line.push_str(&format!("{}i", image.bytes.len())),
    }
}

/// Ends a line; `None`, and nothing added, for a time that the format cannot say (nanoseconds beyond 2262).
pub fn end(line: &mut String, at: Timestamp, precision: Precision) -> Option<()> {
    let time = match precision {
        Precision::Ns => at.0.checked_mul(1_000)?,
        Precision::Us => at.0,
        Precision::Ms => at.0.div_euclid(1_000),
        Precision::S => at.0.div_euclid(1_000_000),
    };
    line.push_str(&format!(" {time}\n"));
    Some(())
}

fn escape(line: &mut String, text: &str, special: &[char]) {
    for letter in text.chars() {
        if special.contains(&letter) {
            line.push('\\');
        }
        line.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_depends_on_the_place() {
        // "Special characters" in the reference.
        let mut line = String::new();
        measurement(&mut line, "my Measure,a=b");
        tag(&mut line, "tag Key,1", "v=1");
        tag(&mut line, "empty", "");
        field(&mut line, true, "field=Key", &Value::Text("string \"value\" \\ é".into()));
        field(&mut line, false, "n", &Value::Integer(-5));
        assert_eq!(line, r#"my\ Measure\,a=b,tag\ Key\,1=v\=1 field\=Key="string \"value\" \\ é",n=-5i"#);
    }

    #[test]
    fn times_in_every_unit() {
        for (micros, precision, expected) in [
            (1_795_158_000_123_456, Precision::Ns, Some(" 1795158000123456000\n")),
            (1_795_158_000_123_456, Precision::Us, Some(" 1795158000123456\n")),
            (1_795_158_000_123_956, Precision::Ms, Some(" 1795158000123\n")),
            (-1, Precision::S, Some(" -1\n")),
            (i64::MAX, Precision::Ns, None),
        ] {
            let mut line = String::new();
            assert_eq!(end(&mut line, Timestamp(micros), precision).map(|()| &*line), expected);
        }
    }
}
