//! Values out of JSON payloads, by path. Pure; knows neither tables nor files.

use std::borrow::Cow;

use rusqlite::types::Value as Sql;
use serde_json::Value;

use crate::config::{ColumnKind, JsonPath};

/// Longest piece of a payload that a message for a person repeats, characters.
const SHOWN: usize = 40;

/// What JSON payloads did not give, and the last reason in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Fields that were not there, or null. Not a fault: one filter often covers several kinds of messages.
    pub missing: usize,
    /// Fields of a type that the column cannot take.
    pub refused: usize,
    /// Payloads that are no JSON.
    pub bad_json: usize,
    /// The last field or payload refused: topic, field, why.
    pub last: Option<String>,
}

impl Tally {
    /// The payload as JSON. When it is none, that is counted.
    pub(super) fn parse(&mut self, topic: &str, payload: &[u8]) -> Option<Value> {
        match serde_json::from_slice(payload) {
            Ok(document) => Some(document),
            Err(why) => {
                self.bad_json += 1;
                self.last = Some(format!("payload of {} is no JSON: {why}", shown(topic)));
                None
            }
        }
    }

    /// The field at `path`. When it is missing or null, that is counted.
    pub(super) fn field<'a>(&mut self, document: &'a Value, path: &JsonPath) -> Option<&'a Value> {
        let found = document.pointer(&path.0).filter(|value| !value.is_null());
        self.missing += usize::from(found.is_none());
        found
    }

    /// The field at `path` as a value of a typed column; NULL, and counted, when it is missing or not of
    /// that type.
    pub(super) fn typed(&mut self, topic: &str, document: &Value, path: &JsonPath, kind: ColumnKind) -> Sql {
        let Some(value) = self.field(document, path) else { return Sql::Null };
        typed(value, kind).unwrap_or_else(|| {
            self.refused += 1;
            let (value, wanted) = (text(value), name(kind));
            self.last = Some(format!("{} of {} is no {wanted}: {}", path.0, shown(topic), shown(&value)));
            Sql::Null
        })
    }

    /// A message that is not what its mirror expects, or not as a whole.
    pub(super) fn refuse(&mut self, topic: &str, what: &str, why: &str) {
        self.refused += 1;
        self.last = Some(format!("payload of {} is no message of {what}: {why}", shown(topic)));
    }

    /// Adds another's counts; its last reason, being later, wins.
    pub(super) fn add(&mut self, other: Tally) {
        self.missing += other.missing;
        self.refused += other.refused;
        self.bad_json += other.bad_json;
        self.last = other.last.or(self.last.take());
    }
}

fn name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Integer => "integer",
        ColumnKind::Real => "number",
        ColumnKind::Text => "text",
    }
}

/// A JSON value as a column's type, if nothing is lost on the way: `21.0` is an integer, `21.5` is none;
/// `"21.5"` is a number; `true` is 1; a list is text as it is written.
fn typed(value: &Value, kind: ColumnKind) -> Option<Sql> {
    match kind {
        ColumnKind::Text => Some(Sql::Text(text(value).into_owned())),
        ColumnKind::Integer => match value {
            Value::Bool(state) => Some(i64::from(*state)),
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| whole(text.parse().ok()?))
            }
            _ => None,
        }
        .map(Sql::Integer),
        ColumnKind::Real => match value {
            Value::Bool(state) => Some(f64::from(u8::from(*state))),
            Value::Number(number) => number.as_f64(),
            // Rust also parses `inf` and `NaN`, which no JSON number can be.
            Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
        .map(Sql::Real),
    }
}

/// A number that is an integer; beyond ±2⁵³ a float stands for several, so it is none.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// A JSON value as text: a string without its quotes, anything else as JSON writes it.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// The beginning of a text, fit for one line of a log.
fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHOWN).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions() {
        use ColumnKind::{Integer, Real, Text};
        let text = |text: &str| Some(Sql::Text(text.to_owned()));
        for (json, kind, expected) in [
            ("21", Integer, Some(Sql::Integer(21))),
            ("21.0", Integer, Some(Sql::Integer(21))),
            ("1e3", Integer, Some(Sql::Integer(1000))),
            ("21.5", Integer, None),
            ("-0.0", Integer, Some(Sql::Integer(0))),
            ("9223372036854775807", Integer, Some(Sql::Integer(i64::MAX))),
            ("9223372036854775808", Integer, None),
            ("1e300", Integer, None),
            ("true", Integer, Some(Sql::Integer(1))),
            ("false", Integer, Some(Sql::Integer(0))),
            (r#"" 42 ""#, Integer, Some(Sql::Integer(42))),
            (r#""42.0""#, Integer, Some(Sql::Integer(42))),
            (r#""forty""#, Integer, None),
            (r#""NaN""#, Integer, None),
            ("[1]", Integer, None),
            ("21", Real, Some(Sql::Real(21.0))),
            ("21.5", Real, Some(Sql::Real(21.5))),
            ("true", Real, Some(Sql::Real(1.0))),
            (r#""-2.5e1""#, Real, Some(Sql::Real(-25.0))),
            (r#""NaN""#, Real, None),
            (r#""inf""#, Real, None),
            (r#""""#, Real, None),
            ("{}", Real, None),
            (r#""warm""#, Text, text("warm")),
            (r#""""#, Text, text("")),
            ("21.50", Text, text("21.5")),
            ("true", Text, text("true")),
            (r#"[1, "a"]"#, Text, text(r#"[1,"a"]"#)),
            (r#""grün\n\"x\"""#, Text, text("grün\n\"x\"")),
        ] {
            let value = serde_json::from_str(json).unwrap();
            assert_eq!(typed(&value, kind), expected, "{json} as {kind:?}");
        }
    }

    #[test]
    fn paths() {
        let document = serde_json::from_str::<Value>(
            r#"{"a":{"b":[10,{"c":20}]},"x/y":1,"m~n":2,"":3,"null":null,"a.b":4}"#,
        )
        .unwrap();
        for (path, expected) in [
            ("/a/b/0", Some("10")),
            ("/a/b/1/c", Some("20")),
            ("/x~1y", Some("1")),
            ("/m~0n", Some("2")),
            ("/", Some("3")),
            ("/a.b", Some("4")),
            ("/null", None),
            ("/a/b/2", None),
            ("/a/b/-1", None),
            ("/a/b/01", None),
            ("/a/z", None),
            ("/a/b/0/c", None),
        ] {
            let mut tally = Tally::default();
            let found = tally.field(&document, &JsonPath(path.to_owned())).map(Value::to_string);
            assert_eq!(found.as_deref(), expected, "{path}");
            assert_eq!(tally.missing, usize::from(expected.is_none()), "{path}");
        }
    }

    #[test]
    fn what_is_refused_is_counted_and_named() {
        let mut tally = Tally::default();
        assert_eq!(tally.parse("t/a", b"{\"x\": 1"), None);
        assert_eq!(tally.parse("t/a", b"\xff\xfe"), None);
        assert_eq!(tally.parse("t/a", b""), None);
        let deep = "[".repeat(100_000);
        assert_eq!(tally.parse("t/a", deep.as_bytes()), None, "no stack is deep enough");
        let document = tally.parse("t/a", br#"{"x":"abc"}"#).unwrap();
        let path = JsonPath("/x".to_owned());
        assert_eq!(tally.typed("t/a", &document, &path, ColumnKind::Real), Sql::Null);
        assert_eq!((tally.bad_json, tally.refused, tally.missing), (4, 1, 0));
        assert_eq!(tally.last.as_deref(), Some("/x of t/a is no number: abc"));
    }

    #[test]
    fn a_long_value_is_not_repeated() {
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN + 1);
        assert_eq!(shown("two\nlines"), "two\\nlines");
    }
}
