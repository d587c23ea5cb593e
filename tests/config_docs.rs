//! The tables of `docs/configuration.md` are those of the schema.
//!
//! After a change of a key: `UPDATE_DOCS=1 cargo test --test config_docs` writes them anew.

// The helpers are tests, too; clippy's exception covers only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Sections of the page and where their keys are in the schema.
const SECTIONS: [(&str, &str); 14] = [
    ("top", ""),
    ("device", "/properties/device"),
    ("device.location", "/properties/device/properties/location"),
    ("mqtt", "/properties/mqtt"),
    ("log", "/properties/log"),
    ("log.retention", "/properties/log/properties/retention"),
    ("clock", "/properties/clock"),
    ("status", "/properties/status"),
    ("sensors", "/properties/sensors/items"),
    ("quantities", "/properties/sensors/items/properties/quantities/additionalProperties"),
    ("mirror", "/properties/mirror/items"),
    ("outputs", "/properties/outputs/items"),
    ("commands", "/properties/commands/items"),
    ("web", "/properties/web"),
];

#[test]
fn the_tables_are_those_of_the_schema() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&file).unwrap();
    let schema = sensor_bridge::config::schema();
    let mut fresh = text.clone();
    for (name, pointer) in SECTIONS {
        let section = schema.pointer(pointer).unwrap();
        fresh = replaced(&fresh, name, &table(section));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &fresh).unwrap();
        return;
    }
    assert!(fresh == text, "docs/configuration.md is old: UPDATE_DOCS=1 cargo test --test config_docs");
}

/// Each platform has a section in `docs/platforms.md`, with its keys as they are.
#[test]
fn the_tables_of_the_platforms_are_those_of_their_options() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/platforms.md");
    let text = fs::read_to_string(&file).unwrap();
    let mut fresh = text.clone();
    for kind in sensor_bridge::platform::registry() {
        assert!(
            text.contains(&format!("\n## {}\n", kind.name)),
            "docs/platforms.md has no section {}",
            kind.name
        );
        assert!(
            text.contains(&format!("| `{}` | {} |", kind.name, kind.summary)),
            "{} is not in the list",
            kind.name
        );
        let options = (kind.options)();
        let none = options["properties"].as_object().is_none_or(|keys| keys.is_empty());
        let table = if none { "No keys beside `name`.\n".to_owned() } else { table(&options) };
        fresh = replaced(&fresh, kind.name, &table);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &fresh).unwrap();
        return;
    }
    assert!(fresh == text, "docs/platforms.md is old: UPDATE_DOCS=1 cargo test --test config_docs");
}

/// `page` with `table` between the marks of section `name`.
fn replaced(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- keys of {name} -->\n"), "<!-- end of keys -->");
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no mark for {name}"));
    let (_, after) = rest.split_once(end).unwrap();
    format!("{before}{begin}{table}{end}{after}")
}

fn table(section: &Value) -> String {
    let required: Vec<&str> =
        section["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text =
        "| key | type | default | unit | example | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for (key, schema) in section["properties"].as_object().unwrap() {
        let default = match schema.get("default") {
            Some(default) => code(default),
            None if required.contains(&key.as_str()) => "**required**".to_owned(),
            None => String::new(),
        };
        let example = schema["examples"].as_array().and_then(|all| all.first()).map(code).unwrap_or_default();
        let unit = schema["x-unit"].as_str().unwrap_or_default();
        let meaning = schema["description"].as_str().unwrap().to_owned() + &choices(schema);
        text += &format!(
            "| `{key}` | {} | {default} | {unit} | {example} | {} |\n",
            kind(schema),
            escaped(&meaning)
        );
    }
    text
}

fn code(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("`{}`", escaped(&text))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The type in words, with bounds.
fn kind(schema: &Value) -> String {
    if let Some(title @ ("duration" | "size")) = schema["title"].as_str() {
        return title.to_owned();
    }
    if let Some(alternatives) = schema["anyOf"].as_array() {
        let given = alternatives.iter().filter(|alternative| alternative["type"] != "null");
        let mut names: Vec<String> = given.map(kind).collect();
        names.dedup();
        return names.join(" or ");
    }
    let bounds = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(least), Value::Number(most)) => format!(" {least} … {most}"),
        _ => String::new(),
    };
    // An option that may be left out is this or null.
    let several = || schema["type"].as_array()?.iter().filter_map(Value::as_str).find(|name| *name != "null");
    match schema["type"].as_str().or_else(several) {
        Some("string") | None => "text".to_owned(),
        Some("integer") => format!("whole number{bounds}"),
        Some("number") => format!("number{bounds}"),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("object") => "map".to_owned(),
        Some(other) => other.to_owned(),
    }
}

/// What each possible value means. Of drivers there are too many: they have a page.
fn choices(schema: &Value) -> String {
    let listed = schema["oneOf"].as_array().or_else(|| schema["anyOf"][0]["oneOf"].as_array());
    let listed = listed.into_iter().flatten();
    let listed = listed.filter(|_| schema["examples"][0] != "bme280");
    let meanings: Vec<String> = listed
        .filter_map(|choice| Some((choice["const"].as_str()?, choice["description"].as_str()?)))
        .map(|(value, meaning)| format!(" `{value}`: {meaning}"))
        .collect();
    meanings.concat()
}
