//! YAML and environment → one checked [`Config`], once. Opens no device and touches no network.
//!
//! The way of a configuration: `lines` walks the text for syntax and positions; the `config` crate reads
//! it and merges the overrides that `env` resolved; `shape` compares the tree with the `schema` and
//! prunes what does not fit; `check` turns the rest into checked types. All of them put what they find
//! into one report, so that a person sees everything at once.

mod about;
pub mod amount;
pub mod changes;
mod check;
pub mod duration;
mod env;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lines;
mod model;
pub mod options;
mod problem;
mod pseudonym;
mod raw;
mod schema;
mod shape;
pub mod size;
#[cfg(test)]
mod tests;
pub mod topic;
pub mod units;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sensor::registry::{self, DriverKind};

#[cfg(any(test, fuzzing))]
pub(crate) use check::json_pointer;
pub use check::log::log_key;
pub use model::*;
pub(crate) use problem::write_located;
pub use problem::{NamedFile, Problem, Problems};
pub use topic::topic_matches;

use lines::Lines;
use problem::Report;

/// Where the configuration is unless `--config` or `SENSOR_BRIDGE_CONFIG` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/sensor-bridge/config.yaml";

/// Larger files are no configuration.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// A configuration with what a person should know beside it.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What will run.
    pub config: Config,
    /// Allowed, but doubtful.
    pub warnings: Vec<Problem>,
    /// Ids of the sensors that are switched off.
    pub disabled: Vec<String>,
    /// Passwords, keys and certificates that it names.
    pub files: Vec<NamedFile>,
}

/// Reads the configuration at `path` with the overrides in `env` (normally [`environment`]).
///
/// # Errors
/// Everything that is wrong, each with key path and line.
pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    examine(path, env).map(|checked| checked.config)
}

/// As [`load`], with warnings.
///
/// # Errors
/// As [`load`].
pub fn examine(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Checked, Problems> {
    let yaml = read_file(path)?;
    read_with(&yaml, Some(path), env, registry::registry())
}

/// What can be understood of a configuration that is wrong: its log, and those of its sensors that are right; nothing of
/// broker and mirrors. For looking around, never to be run.
pub fn outline(path: &Path, env: impl Iterator<Item = (String, String)>) -> Option<Config> {
    let env: Vec<(String, String)> = env.collect();
    let (drivers, mut report) = (registry::registry(), Report::default());
    let yaml = read_file(path).unwrap_or_default();
    let yaml = yaml.strip_prefix('\u{feff}').unwrap_or(&yaml);
    let mut lines = lines::scan(yaml, &mut report);
    let schema = schema::of(drivers);
    let places = SecretPlaces::new(Some(path), &env);
    let mut tree = merge(yaml, env.into_iter(), &schema, &mut lines, &mut report).unwrap_or_default();
    match tree.as_object_mut() {
        Some(keys) => keys.retain(|key, _| key != "mqtt" && key != "mirror"),
        None => tree = Value::Object(serde_json::Map::new()),
    }
    shape::check(&schema, &mut tree, &mut report);
    let raw = serde_json::from_value(tree).ok()?;
    check::configuration(raw, drivers, &places, &mut report).map(|outcome| outcome.config)
}

/// Reads a configuration from text, for tests and the demo.
///
/// # Errors
/// Everything that is wrong, each with key path and line.
pub fn parse(yaml: &str, env: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    read_with(yaml, None, env, registry::registry()).map(|checked| checked.config)
}

/// The process's environment for [`load`]. Unlike [`std::env::vars`] it does not panic on what is not
/// Unicode: bad bytes become U+FFFD, which an override is refused for.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, text)| (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned()))
}

/// JSON Schema (2020-12) of the whole file, the drivers' keys included.
pub fn schema() -> Value {
    schema::of(registry::registry())
}

/// Where a password file that is not named absolutely may be.
#[derive(Debug, Default)]
struct SecretPlaces {
    /// systemd's `CREDENTIALS_DIRECTORY`.
    credentials: Option<PathBuf>,
    /// The folder of the configuration.
    beside: Option<PathBuf>,
}

impl SecretPlaces {
    fn new(file: Option<&Path>, env: &[(String, String)]) -> Self {
        let credentials = env.iter().find(|(name, _)| name == "CREDENTIALS_DIRECTORY");
        Self {
            credentials: credentials
                .map(|(_, folder)| PathBuf::from(folder))
                .filter(|path| path.is_absolute()),
            beside: file.and_then(Path::parent).map(Path::to_owned),
        }
    }
}

fn read_file(path: &Path) -> Result<String, Problems> {
    let failed = |message: String| {
        let hint =
            "name another with --config or SENSOR_BRIDGE_CONFIG; config.example.yaml is one to start from";
        Problems::of_file(path, message, Some(hint.to_owned()))
    };
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            let hint = "use sudo, or name another with --config or SENSOR_BRIDGE_CONFIG";
            Problems::of_file(path, format!("cannot be read: {error}"), Some(hint.to_owned()))
        }
        _ => failed(format!("cannot be read: {error}")),
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(failed(format!("is too large for a configuration ({size} bytes)")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Problems::of_file(path, format!("is not UTF-8 text (line {line})"), Some("save it as UTF-8".into()))
    })
}

fn read_with(
    yaml: &str,
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    drivers: &[DriverKind],
) -> Result<Checked, Problems> {
    let env: Vec<(String, String)> = env.collect();
    let places = SecretPlaces::new(file, &env);
    let mut report = Report::default();
    let yaml = yaml.strip_prefix('\u{feff}').unwrap_or(yaml);
    let mut lines = lines::scan(yaml, &mut report);
    let outcome = match report.has_problems() {
        true => None,
        false => check_tree(yaml, env.into_iter(), drivers, &places, &mut lines, &mut report),
    };
    let unusable = report.has_problems();
    let files = report.files().to_vec();
    let (problems, warnings) = report.finish(&lines);
    match outcome {
        Some(outcome) if !unusable => {
            Ok(Checked { config: outcome.config, warnings, disabled: outcome.disabled, files })
        }
        _ => Err(Problems { file: file.map(Path::to_owned), list: problems }),
    }
}

fn check_tree(
    yaml: &str,
    env: impl Iterator<Item = (String, String)>,
    drivers: &[DriverKind],
    places: &SecretPlaces,
    lines: &mut Lines,
    report: &mut Report,
) -> Option<check::Outcome> {
    let schema = schema::of(drivers);
    let mut tree = merge(yaml, env, &schema, lines, report)?;
    shape::check(&schema, &mut tree, report);
    match serde_json::from_value(tree) {
        Ok(raw) => check::configuration(raw, drivers, places, report),
        Err(error) => {
            // What the shape check let pass must deserialise; if not, the two disagree and we say so.
            report.problem(&problem::KeyPath::default(), format!("cannot be understood: {error}"));
            None
        }
    }
}

/// The file's tree with the overrides in it, both through the `config` crate.
fn merge(
    yaml: &str,
    env: impl Iterator<Item = (String, String)>,
    schema: &Value,
    lines: &mut Lines,
    report: &mut Report,
) -> Option<Value> {
    let source = ::config::File::from_str(yaml, ::config::FileFormat::Yaml);
    let mut builder = ::config::Config::builder().add_source(source);
    let file = build(builder.clone(), report)?;
    for set in env::overrides(env, schema, &file, report) {
        lines.set_by(&set.path, &set.variable);
        let value = to_config(&set.value);
        builder = match builder.set_override(&set.expression, value) {
            Ok(builder) => builder,
            Err(error) => {
                report.at_variable(&set.variable, error.to_string(), None);
                return None;
            }
        };
    }
    build(builder, report)
}

fn build(
    builder: ::config::ConfigBuilder<::config::builder::DefaultState>,
    report: &mut Report,
) -> Option<Value> {
    match builder.build().and_then(::config::Config::try_deserialize::<Value>) {
        Ok(tree) => Some(tree),
        Err(error) => {
            report.problem(&problem::KeyPath::default(), format!("not valid YAML: {error}"));
            None
        }
    }
}

fn to_config(value: &Value) -> ::config::Value {
    use ::config::ValueKind;
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(state) => ValueKind::Boolean(*state),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => ValueKind::I64(whole),
            None => ValueKind::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => ValueKind::Array(items.iter().map(to_config).collect()),
        Value::Object(map) => {
            ValueKind::Table(map.iter().map(|(key, value)| (key.clone(), to_config(value))).collect())
        }
    };
    ::config::Value::new(None, kind)
}
