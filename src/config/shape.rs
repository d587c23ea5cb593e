//! Compares a configuration with the schema: unknown keys, missing keys, wrong types, values not listed.
//!
//! Everything is reported in one pass, and what cannot be used is taken out of the tree, so that the checks
//! of meaning can look at the rest in the same run.

use serde_json::Value;

use super::amount::parse_duration;
use super::problem::{KeyPath, Report, did_you_mean, did_you_mean_or_list, quoted};
use super::schema;

/// Checks `tree` against `schema` and leaves in it only what fits.
pub(super) fn check(schema: &Value, tree: &mut Value, report: &mut Report) {
    if !value(schema, tree, &KeyPath::default(), report) {
        *tree = Value::Object(serde_json::Map::new());
    }
}

/// Answers whether the value can stay.
fn value(schema: &Value, value: &mut Value, path: &KeyPath, report: &mut Report) -> bool {
    let whole = schema;
    let schema = match choose(schema, value).as_slice() {
        [] => {
            wrong_type(schema, value, path, report);
            return false;
        }
        [only] => *only,
        // Maps of several forms: whoever reads them knows which is meant, and complains better.
        _ => return true,
    };
    if let Some(choices) = schema::choices(schema) {
        let all: Vec<&Value> =
            schema::alternatives(whole).into_iter().filter_map(schema::choices).flatten().collect();
        let percent =
            value.as_str().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
        if let Some(percent) = percent.filter(|_| schema::types(whole).contains(&"number")) {
            let message = format!("unknown value {}", quoted(&plain(value)));
            report.suggest(path, message, format!("percent are written without their sign: {percent}"));
            return false;
        }
        return one_of(schema, &choices, &all, value, path, report);
    }
    match value {
        Value::Object(_) => {
            object(schema, value, path, report);
            true
        }
        Value::Array(items) => list(schema, items, path, report),
        Value::Number(number) => within_range(schema, number, path, report),
        _ => true,
    }
}

/// The alternatives that are meant, by type. Of lists of values the one that has the value, else the first.
fn choose<'s>(schema: &'s Value, value: &Value) -> Vec<&'s Value> {
    let fitting = schema::alternatives(schema).into_iter().filter(|schema| schema::admits(schema, value));
    let (listed, open): (Vec<_>, Vec<_>) = fitting.partition(|schema| schema::choices(schema).is_some());
    let exact = listed.iter().find(|schema| schema::choices(schema).is_some_and(|c| c.contains(&value)));
    match (exact, open.is_empty()) {
        (Some(exact), _) => vec![*exact],
        (None, true) => listed.into_iter().take(1).collect(),
        (None, false) => open,
    }
}

fn object(schema: &Value, object: &mut Value, path: &KeyPath, report: &mut Report) {
    // A key without a value (`location:` with everything below commented out) counts as left out.
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    missing_keys(schema, object, path, report);
    let properties = schema::properties(schema, Some(object));
    let known: Vec<&str> = properties.iter().map(|(key, _)| *key).collect();
    let decided = schema::is_decided(schema, object);
    let free = schema::values_of_map(schema);
    let Some(map) = object.as_object_mut() else { return };
    map.retain(|key, item| {
        let below = path.key(key);
        match properties.iter().find(|(name, _)| name == key).map(|(_, schema)| *schema).or(free) {
            Some(schema) => value(schema, item, &below, report),
            // The keys of a sensor whose driver is not known cannot be judged, unless no driver has them.
            None if schema::is_closed(schema)
                && (decided || schema::conditional_properties(schema).all(|name| name != key)) =>
            {
                unknown_key(key, &known, decided, &below, report)
            }
            None => !schema::is_closed(schema),
        }
    });
}

fn missing_keys(schema: &Value, object: &Value, path: &KeyPath, report: &mut Report) {
    for key in schema::required(schema, object) {
        if object.get(key).is_some() {
            continue;
        }
        let wanted = schema::properties(schema, Some(object)).into_iter().find(|(name, _)| *name == key);
        let hint = wanted.and_then(|(_, schema)| match example(schema) {
            Some(example) => Some(format!("write, for example, `{key}: {example}`")),
            None => Some(schema.get("description")?.as_str()?.to_owned()),
        });
        report.suggest(&path.key(key), "is missing", hint);
    }
}

fn unknown_key(key: &str, known: &[&str], decided: bool, path: &KeyPath, report: &mut Report) -> bool {
    let hint = match key {
        "<<" => Some("YAML merge keys are not supported: write the keys out".to_owned()),
        _ if decided => did_you_mean_or_list(key, known),
        _ => did_you_mean(key, known.iter().copied()),
    };
    report.suggest(path, format!("unknown key {}", quoted(key)), hint);
    false
}

fn list(schema: &Value, items: &mut [Value], path: &KeyPath, report: &mut Report) -> bool {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(usize::MAX));
    if items.len() < least || items.len() > most {
        let wanted = match (least, most) {
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) if least == most => format!("{least}"),
            (least, most) => format!("{least} to {most}"),
        };
        report.problem(path, format!("needs {wanted} item(s), has {}", items.len()));
        return false;
    }
    let Some(item_schema) = schema.get("items") else { return true };
    let mut usable = true;
    for (index, item) in items.iter_mut().enumerate() {
        if value(item_schema, item, &path.index(index), report) {
            continue;
        }
        // Positions must stay what they are in the file. An empty object does: it lacks required keys, which
        // nobody reports a second time.
        if schema::types(item_schema) == ["object"] {
            *item = Value::Object(serde_json::Map::new());
        } else {
            usable = false;
        }
    }
    usable
}

/// `choices` are those of the value's own type, `all` also what may be written otherwise (`5` for `"5"`).
fn one_of(
    schema: &Value,
    choices: &[&Value],
    all: &[&Value],
    value: &Value,
    path: &KeyPath,
    report: &mut Report,
) -> bool {
    let same =
        |choice: &&Value| *choice == value || (choice.is_number() && choice.as_f64() == value.as_f64());
    if choices.iter().any(same) {
        return true;
    }
    let mut names: Vec<String> = Vec::new();
    for name in all.iter().map(|choice| plain(choice)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wrong = plain(value);
    let message = match (is_secret(schema), path.last_key()) {
        (true, _) => "is not one of the possible values".to_owned(),
        // Keys that read well as the name of what they hold.
        (false, key @ ("driver" | "version" | "type")) => format!("unknown {key} {}", quoted(&wrong)),
        (false, _) => format!("unknown value {}", quoted(&wrong)),
    };
    report.suggest(path, message, did_you_mean_or_list(&wrong, &names));
    false
}

fn within_range(schema: &Value, number: &serde_json::Number, path: &KeyPath, report: &mut Report) -> bool {
    let Some(value) = number.as_f64() else { return true };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let unit =
        schema.get("x-unit").and_then(Value::as_str).map(|unit| format!(" {unit}")).unwrap_or_default();
    let wanted = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) if value < least || value > most => {
            format!("between {least} and {most}{unit}")
        }
        (Some(least), None) if value < least => format!("at least {least}{unit}"),
        (None, Some(most)) if value > most => format!("at most {most}{unit}"),
        _ => return true,
    };
    report.problem(path, format!("must be {wanted}, not {number}"));
    false
}

fn wrong_type(schema: &Value, value: &Value, path: &KeyPath, report: &mut Report) {
    let found = if is_secret(schema) { kind_of(value).to_owned() } else { describe(value) };
    let expected = expected(schema);
    report.suggest(path, format!("expected {expected}, found {found}"), remedy(schema, value));
}

/// What the person most likely meant.
fn remedy(schema: &Value, value: &Value) -> Option<String> {
    if is_secret(schema) {
        return value.is_number().then(|| "write it in quotes".to_owned());
    }
    let wants = |name: &str| schema::types(schema).contains(&name);
    let title = schema.get("title").and_then(Value::as_str).unwrap_or_default();
    match value {
        // A driver's duration has no title of ours, but an example that says it.
        Value::Number(number)
            if title == "duration" || example(schema).is_some_and(|e| parse_duration(&e).is_ok()) =>
        {
            // Who leaves the unit of an age out does not mean seconds: they would delete the log.
            let age = schema.get("default").is_none() && example(schema).is_some_and(|e| e.ends_with('d'));
            let unit = if age { "d" } else { "s" };
            Some(format!("write \"{number}{unit}\""))
        }
        Value::Number(number) if title == "size" => Some(format!("write \"{number}MB\"")),
        Value::Number(_) | Value::Bool(_) if wants("string") => {
            Some(format!("write \"{}\" in quotes", plain(value)))
        }
        Value::String(text) if wants("boolean") => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write true".into()),
            "no" | "off" | "n" | "false" => Some("write false".into()),
            _ => None,
        },
        Value::String(text) if wants("number") && text.parse::<f64>().is_ok_and(f64::is_finite) => {
            Some(format!("write {text} without quotes"))
        }
        Value::Number(number) if wants("integer") => {
            number.as_f64().filter(|n| n.fract() == 0.0).map(|n| format!("write {n:.0}"))
        }
        Value::Object(_) if wants("array") => Some("begin each item with \"- \"".into()),
        Value::String(_) | Value::Number(_) if wants("array") => {
            let fits = schema.get("items").is_some_and(|items| schema::admits(items, value));
            fits.then(|| format!("write [{value}]"))
        }
        _ => None,
    }
}

fn expected(schema: &Value) -> String {
    let name = match schema.get("title").and_then(Value::as_str) {
        Some(title @ ("duration" | "size")) => format!("a {title}"),
        _ => {
            let mut names: Vec<&str> = Vec::new();
            for name in schema::types(schema) {
                let words = match name {
                    "boolean" => "true or false",
                    "integer" => "a whole number",
                    "number" => "a number",
                    "array" => "a list",
                    "object" => "a map",
                    _ => "text",
                };
                if !names.contains(&words) {
                    names.push(words);
                }
            }
            names.join(" or ")
        }
    };
    match example(schema).filter(|_| !is_secret(schema)) {
        Some(example) => format!("{name} such as {example}"),
        None => name,
    }
}

fn example(schema: &Value) -> Option<String> {
    schema.get("examples")?.as_array()?.first().map(plain)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", quoted(text)),
        Value::Bool(state) => state.to_string(),
        other => kind_of(other).to_owned(),
    }
}

/// As it would stand in the file.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true))
}
