//! Overrides from the environment: `SENSOR_BRIDGE__MQTT__URL=mqtt://…` sets `mqtt.url`.
//!
//! The `config` crate's own environment source lowers every key, cannot address items of a list and guesses
//! types. Here each name is resolved against the schema and the file instead, so that a misspelt one is an
//! error, a password of digits stays text, and sensors can be named by id. The crate does the merging.

use std::collections::BTreeMap;

use serde_json::Value;

use super::problem::{KeyPath, Report, did_you_mean, quoted};
use super::schema;

/// What the names of overrides begin with. (`SENSOR_BRIDGE_CONFIG`, one underscore, is none.)
pub(super) const PREFIX: &str = "SENSOR_BRIDGE__";

/// One override, resolved.
#[derive(Debug, PartialEq)]
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) path: KeyPath,
    /// The path in the language of the `config` crate.
    pub(super) expression: String,
    pub(super) value: Value,
}

/// The overrides among the environment's variables; those that mean nothing are reported.
///
/// An empty variable counts as not set, as with most programs.
pub(super) fn overrides(
    env: impl Iterator<Item = (String, String)>,
    schema: &Value,
    file: &Value,
    report: &mut Report,
) -> Vec<Override> {
    // Sorted, so that the outcome does not hang on the order of the environment.
    let wanted: BTreeMap<String, String> =
        env.filter(|(name, text)| name.starts_with(PREFIX) && !text.is_empty()).collect();
    let mut found = Vec::new();
    for (variable, text) in wanted {
        match resolve(&variable, &text, schema, file) {
            Ok(Resolved { path, expression, value }) => {
                found.push(Override { variable, path, expression, value });
            }
            Err(Unusable { message, hint }) => report.at_variable(&variable, message, hint),
        }
    }
    found
}

struct Resolved {
    path: KeyPath,
    expression: String,
    value: Value,
}

struct Unusable {
    message: String,
    hint: Option<String>,
}

fn resolve(variable: &str, text: &str, schema: &Value, file: &Value) -> Result<Resolved, Unusable> {
    if text.contains('\u{fffd}') {
        return Err(Unusable { message: "is not Unicode text".into(), hint: None });
    }
    let mut at = Cursor { path: KeyPath::default(), schema, value: Some(file) };
    for word in variable.trim_start_matches(PREFIX).split("__") {
        at = at.step(word)?;
    }
    let value = convert(text, at.schema).map_err(|message| Unusable { message, hint: None })?;
    let expression = at.path.expression().ok_or_else(|| Unusable {
        message: format!("{} cannot be set from the environment", at.path),
        hint: Some("set it in the file".into()),
    })?;
    Ok(Resolved { path: at.path, expression, value })
}

/// Where in schema and file the words of a name have led so far.
struct Cursor<'a> {
    path: KeyPath,
    schema: &'a Value,
    value: Option<&'a Value>,
}

impl<'a> Cursor<'a> {
    fn step(self, word: &str) -> Result<Self, Unusable> {
        let alternatives = schema::alternatives(self.schema);
        // A list when the file has one there, else whichever the schema offers first.
        let fits = |schema: &&&Value| self.value.is_some_and(|value| schema::admits(schema, value));
        let inner = alternatives.iter().find(fits).or(alternatives.first()).copied().unwrap_or(self.schema);
        match schema::types(inner).as_slice() {
            ["array"] => self.item(inner, word),
            ["object"] => self.key(inner, word),
            _ => Err(Unusable { message: format!("{} has no keys below it", self.path), hint: None }),
        }
    }

    fn key(self, schema: &'a Value, word: &str) -> Result<Self, Unusable> {
        let properties = schema::properties(schema, self.value);
        let below = |key: &str, schema| Cursor {
            path: self.path.key(key),
            schema,
            value: self.value.and_then(|value| value.get(key)),
        };
        if let Some((key, schema)) = properties.iter().find(|(key, _)| env_word(key) == env_word(word)) {
            return Ok(below(key, schema));
        }
        if let Some(values) = schema::values_of_map(schema) {
            // Free keys keep the case they have in the file; a new one is written small.
            let existing = self.value.and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
            let key = existing.into_iter().find(|key| env_word(key) == env_word(word)).cloned();
            return Ok(below(&key.unwrap_or_else(|| word.to_lowercase()), values));
        }
        let place =
            if self.path.to_string().is_empty() { "at the top".into() } else { format!("in {}", self.path) };
        let hint = did_you_mean(&word.to_lowercase(), properties.iter().map(|(key, _)| *key));
        Err(Unusable { message: format!("there is no key {} {place}", quoted(&word.to_lowercase())), hint })
    }

    /// An item of a list: by position, or by its `id`.
    fn item(self, schema: &'a Value, word: &str) -> Result<Self, Unusable> {
        let items = self.value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let named = |item: &Value| {
            item.get("id").and_then(Value::as_str).is_some_and(|id| env_word(id) == env_word(word))
        };
        let index = match word.parse::<usize>() {
            Ok(index) => Some(index).filter(|index| *index < items.len()),
            Err(_) => items.iter().position(named),
        };
        let item_schema = schema.get("items").filter(|_| index.is_some());
        let (Some(index), Some(item_schema)) = (index, item_schema) else {
            return Err(Unusable {
                message: format!("{} has no item {}", self.path, quoted(word)),
                hint: Some("name it by its id or by its position, counted from 0".into()),
            });
        };
        Ok(Cursor { path: self.path.index(index), schema: item_schema, value: items.get(index) })
    }
}

/// Names of variables have no case, and neither `-` nor `.`.
fn env_word(key: &str) -> String {
    key.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// The text as the type that the schema wants; text when it wants that, or when nothing else fits (the shape
/// check then says what would).
fn convert(text: &str, schema: &Value) -> Result<Value, String> {
    let types = schema::types(schema);
    let wants = |name: &str| types.contains(&name);
    let trimmed = text.trim();
    if wants("integer") || wants("number") {
        let whole = match trimmed.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => trimmed.parse::<i64>().ok(),
        };
        if let Some(whole) = whole {
            return Ok(whole.into());
        }
        let number = trimmed.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
        if let Some(number) = number.filter(|_| wants("number") || !wants("string")) {
            return Ok(Value::Number(number));
        }
    }
    if wants("boolean") {
        match trimmed {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
    }
    if (wants("array") && trimmed.starts_with('[')) || (wants("object") && trimmed.starts_with('{')) {
        return serde_json::from_str(trimmed).map_err(|error| format!("is not valid JSON: {error}"));
    }
    if (wants("array") || wants("object")) && !wants("string") {
        return Err("wants a list or map, written as JSON".to_owned());
    }
    Ok(Value::String(text.to_owned()))
}
