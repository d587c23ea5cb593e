//! How single values may be written that are no plain JSON type: durations, sizes, and what is a number or a word. What
//! they mean is read by the check.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// What may be written as a number or in words.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum NumberOrText {
    Number(f64),
    Text(String),
}

/// A level as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum LevelGiven {
    Switch(bool),
    Percent(f64),
    Text(String),
}

/// One text or a list of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

/// A duration as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct DurationText(pub(in crate::config) String);

/// A size as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct SizeText(pub(in crate::config) String);

/// Schemas of the types that are no plain JSON type.
macro_rules! written_as {
    ($name:ident, $title:literal, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

pub(super) struct VersionText;
pub(super) struct TlsVersionText;
pub(super) struct ChangeText;
pub(super) struct RateNumber;
pub(super) struct AddressText;
pub(super) struct LevelText;
pub(super) struct IntervalText;

written_as!(DurationText, "duration", {
    "type": "string",
    "title": "duration",
    "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*)+$"
});
written_as!(SizeText, "size", {
    "type": "string",
    "title": "size",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kMGT]B|[KMGT]iB|B)\s*$"
});
written_as!(IntervalText, "interval", {
    "anyOf": [
        {"type": "string", "title": "duration", "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*)+$"},
        {"type": "string", "enum": ["off"]}
    ]
});
written_as!(VersionText, "version", {
    "anyOf": [{"type": "string", "enum": ["3.1.1", "4", "5", "5.0"]}, {"type": "number", "enum": [4, 5]}]
});
written_as!(TlsVersionText, "TLS version", {
    "anyOf": [{"type": "string", "enum": ["1.2", "1.3"]}, {"type": "number", "enum": [1.2, 1.3]}]
});
written_as!(ChangeText, "change", {
    "anyOf": [
        {"type": "string", "pattern": r"^(any|always|\s*[0-9.eE+-]+\s*%?\s*)$"},
        {"type": "number", "exclusiveMinimum": 0}
    ]
});
written_as!(RateNumber, "rate", {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": 100000}, {"type": "string", "pattern": r"^\s*[0-9]+\s*/\s*s\s*$"}]
});
written_as!(AddressText, "address", {
    "anyOf": [{"type": "string", "pattern": "^(0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3})$"}, {"type": "integer", "minimum": 3, "maximum": 127}]
});
written_as!(LevelText, "level", {
    "anyOf": [{"type": "string", "enum": ["off", "on"]}, {"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 100}]
});
