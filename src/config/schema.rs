//! The JSON Schema (2020-12) of the whole configuration, and how its parts are looked up.
//!
//! It is generated from [`super::raw`] and from what the drivers and platforms say of their keys. The shape check, the
//! environment overrides and the documentation read this same value, so they cannot disagree.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::raw::Raw;
use crate::platform;
use crate::sensor::registry::DriverKind;

/// Schema of the configuration with the keys of these drivers.
pub(super) fn of(drivers: &[DriverKind]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>().to_value();
    tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("sensor-bridge configuration"));
    }
    if let Some(sensor) = schema.pointer_mut("/properties/sensors/items").and_then(Value::as_object_mut) {
        let drivers = drivers.iter().map(|kind| (kind.name, kind.summary, (kind.options)()));
        add_choices(sensor, "driver", drivers.collect());
    }
    if let Some(mqtt) = schema.pointer_mut("/properties/mqtt").and_then(Value::as_object_mut) {
        // Some platforms have an address for all; whether this one has is a matter of meaning.
        mqtt.insert("if".into(), json!({"not": {"required": ["platform"]}}));
        mqtt.insert("then".into(), json!({"required": ["url"]}));
    }
    let platform = schema.pointer_mut("/properties/mqtt/properties/platform");
    if let Some(platform) = platform.and_then(Value::as_object_mut) {
        let platforms = platform::registry().iter().map(|kind| (kind.name, kind.summary, (kind.options)()));
        add_choices(platform, "name", platforms.collect());
    }
    schema
}

/// What stands under `key` decides which further keys the section has: the choices, each with what it is and the schema
/// of its keys.
fn add_choices(section: &mut Map<String, Value>, key: &str, choices: Vec<(&str, &str, Value)>) {
    section.remove("additionalProperties");
    section.insert("unevaluatedProperties".into(), json!(false));
    // Neither `oneOf` nor `allOf` may be empty.
    if choices.is_empty() {
        return;
    }
    if let Some(Value::Object(choice)) = section.get_mut("properties").and_then(|keys| keys.get_mut(key)) {
        // Each name with what it is: editors show it beside the choice.
        let names = choices.iter().map(|(name, summary, _)| json!({"const": name, "description": summary}));
        choice.insert("oneOf".into(), names.collect());
    }
    let choices = choices.into_iter().map(|(name, _, keys)| {
        let condition = json!({"properties": {key: {"const": name}}, "required": [key]});
        json!({"if": condition, "then": options(keys)})
    });
    section.insert("allOf".into(), choices.collect());
}

/// Schema of a choice's keys, to stand beside the common ones: so it cannot forbid others itself.
fn options(mut options: Value) -> Value {
    tidy(&mut options);
    if let Some(map) = options.as_object_mut() {
        for key in ["$schema", "title", "description", "additionalProperties"] {
            map.remove(key);
        }
    }
    options
}

/// Takes out what the generator adds for `Option` and for Rust's number types: a key is present or absent,
/// and a person needs neither `null` nor `uint8`.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            tidy_object(map);
            for (key, value) in map.iter_mut() {
                // What stands under these is data, not schema.
                if !matches!(key.as_str(), "examples" | "default" | "const" | "enum") {
                    tidy(value);
                }
            }
        }
        _ => {}
    }
}

fn tidy_object(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if map
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint") || format == "double")
    {
        map.remove("format");
    }
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
}

/// The keys that an object may have, given what stands in it (a sensor's depend on its driver).
pub(super) fn properties<'s>(schema: &'s Value, object: Option<&Value>) -> Vec<(&'s str, &'s Value)> {
    parts(schema, object)
        .into_iter()
        .filter_map(|part| part.get("properties")?.as_object())
        .flatten()
        .map(|(key, schema)| (key.as_str(), schema))
        .collect()
}

/// The keys that an object must have.
pub(super) fn required<'s>(schema: &'s Value, object: &Value) -> Vec<&'s str> {
    parts(schema, Some(object))
        .into_iter()
        .filter_map(|part| part.get("required")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Every key that some choice of `allOf` allows, whether or not it applies.
pub(super) fn conditional_properties(schema: &Value) -> impl Iterator<Item = &str> {
    let choices = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    choices
        .filter_map(|choice| choice.pointer("/then/properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
}

/// Whether keys that are not listed are errors.
pub(super) fn is_closed(schema: &Value) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|key| schema.get(key) == Some(&Value::Bool(false)))
}

/// Whether some condition of the object applies (the driver is a known one), or there is none.
pub(super) fn is_decided(schema: &Value, object: &Value) -> bool {
    schema.get("allOf").is_none() || parts(schema, Some(object)).len() > 1
}

/// Schema of the values of a map with free keys.
pub(super) fn values_of_map(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|values| values.is_object())
}

fn parts<'s>(schema: &'s Value, object: Option<&Value>) -> Vec<&'s Value> {
    let choices = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let applies = |choice: &&Value| {
        let conditions = choice.pointer("/if/properties").and_then(Value::as_object);
        conditions.is_some_and(|conditions| {
            conditions.iter().all(|(key, condition)| {
                let value = object.and_then(|object| object.get(key));
                value.is_some() && value == condition.get("const")
            })
        })
    };
    std::iter::once(schema).chain(choices.filter(applies).filter_map(|choice| choice.get("then"))).collect()
}

/// The values that are allowed, if they are listed.
pub(super) fn choices(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().collect());
    }
    if let Some(only) = schema.get("const") {
        return Some(vec![only]);
    }
    let alternatives = schema.get("oneOf")?.as_array()?;
    let values: Option<Vec<Vec<&Value>>> = alternatives.iter().map(choices).collect();
    values.map(|values| values.concat())
}

/// The alternatives of `anyOf` (or of a `oneOf` that is no list of values), or the schema itself.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    let listed = schema.get("anyOf").or_else(|| schema.get("oneOf").filter(|_| choices(schema).is_none()));
    match listed.and_then(Value::as_array) {
        Some(list) => list.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}

/// JSON types that the schema admits; empty when it says nothing of types.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => return vec![name],
        Some(Value::Array(names)) => return names.iter().filter_map(Value::as_str).collect(),
        _ => {}
    }
    if let Some(values) = choices(schema) {
        return values.into_iter().map(type_of).collect();
    }
    let alternatives = alternatives(schema);
    if let [only] = alternatives.as_slice()
        && std::ptr::eq(*only, schema)
    {
        return Vec::new();
    }
    alternatives.into_iter().flat_map(types).collect()
}

/// JSON type of a value by the schema's words.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether the type of `value` is one that the schema admits.
pub(super) fn admits(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    let own = type_of(value);
    types.is_empty() || types.contains(&own) || (own == "integer" && types.contains(&"number"))
}
