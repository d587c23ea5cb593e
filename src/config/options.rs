//! From keys of the configuration to the options of a driver or a platform, with every problem at once.
//!
//! Whoever has options declares a struct of them; serde reads it and schemars describes it. Fields that must be
//! given are `Option`s marked `#[schemars(required)]`, so that each key can be tried by itself.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Something wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// Path of the option within its section, for example `simulate.temperature`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl OptionProblem {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// The JSON Schema of an options struct: one object, nothing referred to.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    let object = schema.ensure_object();
    object.remove("title");
    object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    object.entry("required").or_insert_with(|| Value::Array(Vec::new()));
    schema.into()
}

/// Reads options; `prefix` is where they stand in the sensor (empty, or `simulate.`).
///
/// Answers what could be read, as if the rest were not there, so that the checks of meaning can go on and
/// a person sees every problem at once. Nobody may use it while there are problems.
pub(crate) fn parse<T: DeserializeOwned + JsonSchema + Default>(
    prefix: &str,
    given: &Map<String, Value>,
) -> (T, Vec<OptionProblem>) {
    let schema = schema::<T>();
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let mut problems = Vec::new();
    let mut good = Map::new();
    for (key, value) in given {
        let path = format!("{prefix}{key}");
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        if !known.contains(&key.as_str()) {
            problems.push(OptionProblem::new(path, unknown(key, &known)));
        } else if let Err(error) = T::deserialize(Value::Object(alone)) {
            problems.push(OptionProblem::new(path, error.to_string()));
        } else {
            good.insert(key.clone(), value.clone());
        }
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if given.get(key).is_none_or(Value::is_null) {
            let description = schema["properties"][key]["description"].as_str().unwrap_or_default();
            problems.push(OptionProblem::new(format!("{prefix}{key}"), format!("is missing: {description}")));
        }
    }
    let options = T::deserialize(Value::Object(good)).unwrap_or_else(|error| {
        problems.push(OptionProblem::new(prefix.trim_end_matches('.'), error.to_string()));
        T::default()
    });
    (options, problems)
}

/// What to say of a key that nobody knows.
fn unknown(key: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(key, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => {
            format!("unknown option \"{key}\"; did you mean \"{name}\"?")
        }
        _ => format!("unknown option \"{key}\"; there are: {}", known.join(", ")),
    }
}

/// The value if its check found nothing wrong; else the problem goes to the others, unless the key has one.
pub(crate) fn note<T>(problems: &mut Vec<OptionProblem>, key: &str, result: Result<T, String>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(message) => {
            if !has_problem(problems, key) {
                problems.push(OptionProblem::new(key, message));
            }
            None
        }
    }
}

/// Whether something is wrong with this key already.
pub(crate) fn has_problem(problems: &[OptionProblem], key: &str) -> bool {
    problems.iter().any(|problem| problem.key == key)
}
