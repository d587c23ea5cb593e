//! The shipped examples are what they claim to be: good configurations, valid by the schema, and together complete.

// The helpers are tests, too; clippy's exception covers only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    files
}

fn tree(file: &Path) -> Value {
    let source = config::File::from(file).format(config::FileFormat::Yaml);
    config::Config::builder().add_source(source).build().unwrap().try_deserialize().unwrap()
}

#[test]
fn every_example_loads_without_a_warning() {
    for file in examples() {
        let checked = sensor_bridge::config::examine(&file, std::iter::empty());
        let checked = checked.unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(checked.warnings, [], "{}", file.display());
    }
}

#[test]
fn every_example_is_valid_by_the_schema() {
    let schema = sensor_bridge::config::schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for file in examples() {
        let problems: Vec<String> = validator
            .iter_errors(&tree(&file))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, Vec::<String>::new(), "{}", file.display());
    }
}

/// Keys of a schema, those of lists and maps below included.
fn keys(schema: &Value, found: &mut Vec<String>) {
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        found.push(key.clone());
        keys(below, found);
        keys(&below["items"], found);
        keys(&below["additionalProperties"], found);
    }
}

#[test]
fn the_annotated_example_shows_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/config.example.yaml");
    let text = fs::read_to_string(file).unwrap();
    let mut wanted = Vec::new();
    keys(&sensor_bridge::config::schema(), &mut wanted);
    assert!(wanted.len() > 50, "{wanted:?}");
    let shown = |key: &str| {
        text.lines().any(|line| {
            let line = line.trim_start_matches([' ', '#', '-']);
            line.starts_with(&format!("{key}:"))
        })
    };
    let missing: Vec<_> = wanted.into_iter().filter(|key| !shown(key)).collect();
    assert_eq!(missing, Vec::<String>::new());
}
