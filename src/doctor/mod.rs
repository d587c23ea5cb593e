//! The usual trouble, found and said with its remedy. Looks at everything, changes nothing; whether a
//! sensor answers is for `read` and `scan` to say.
//!
//! Each check is a function of what it is given: a root folder, a user, a configuration. Only [`examine`]
//! asks this machine.

mod broker;
mod devices;
mod files;
mod machine;
mod pins;
mod storage;
mod user;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, json};

use crate::bus::Buses;
use crate::config::{self, Config, Problem, Problems};
use crate::enrich::clock;
use crate::reading::Value;
use crate::{log, sensor};

pub use user::User;

/// The log is looked through for so long at most.
const LOOK: Duration = Duration::from_secs(10);

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was looked at, in a word or two: `clock`, `i2c-1`.
    pub about: String,
    /// What was found.
    pub what: String,
    /// How that is.
    pub state: State,
}

/// How what was found is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Well,
    /// Not so.
    Trouble {
        /// What to do.
        remedy: String,
    },
    /// Could not be found out; `what` says why.
    Unknown,
}

impl Verdict {
    fn well(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { about: about.into(), what: what.into(), state: State::Well }
    }

    fn unknown(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { about: about.into(), what: what.into(), state: State::Unknown }
    }

    fn trouble(about: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about: about.into(), what: what.into(), state: State::Trouble { remedy: remedy.into() } }
    }

    /// Whether something has to be done.
    pub fn is_trouble(&self) -> bool {
        matches!(self.state, State::Trouble { .. })
    }
}

/// Looks at this machine with the configuration at `path`, for the bridge that runs as `user`.
///
/// With a configuration that is wrong it looks at what could be understood of it, at the buses that this machine has
/// besides, and at everything that needs none.
pub fn examine(path: &Path, env: impl Iterator<Item = (String, String)>, user: &User) -> Vec<Verdict> {
    let root = Path::new("/");
    let env: Vec<(String, String)> = env.collect();
    let checked = config::examine(path, env.iter().cloned());
    let mut verdicts = configuration(path, checked.as_ref().map(|checked| checked.warnings.as_slice()));
    let (config, workers) = match &checked {
        Ok(checked) => (Some(checked.config.clone()), devices::workers(&checked.config)),
        Err(_) => {
            let outline = config::outline(path, env.into_iter());
            let mut workers = devices::present(root);
            workers.extend(outline.iter().flat_map(devices::workers));
            (outline, workers)
        }
    };

    if let Ok(checked) = &checked {
        verdicts.extend(files::look(root, &checked.files, user));
    }
    verdicts.extend(devices::look(root, &workers, user));
    if let Some(config) = &config {
        verdicts.extend(pins::look(root, &pins::wanted(config)));
    }
    verdicts.push(machine::clock(clock::now().clock, clock::since_boot(), root));
    verdicts.push(supply());
    verdicts.extend(machine::wear(root));
    if let Some(config) = &config {
        let database = &config.log.path;
        verdicts.push(storage::space(database, rustix::fs::statvfs(storage::folder(database)), user));
        verdicts.extend(storage::rights(database, user));
        verdicts.push(storage::log(log::look::whole(&config.log, LOOK)));
    }
    verdicts.push(match &checked {
        Ok(checked) => broker(&checked.config),
        Err(_) => Verdict::unknown("broker", "not asked: the configuration has to be right first"),
    });
    verdicts
}

/// The warnings, or everything that is wrong.
fn configuration(path: &Path, checked: Result<&[Problem], &Problems>) -> Vec<Verdict> {
    let about = "configuration";
    let (list, edit) = match checked {
        Ok([]) => return vec![Verdict::well(about, format!("{} is good", path.display()))],
        Ok(warnings) => (warnings, "better to change it"),
        Err(problems) => (problems.list.as_slice(), "correct it; until then the bridge does not start"),
    };
    let verdict = |problem: &Problem| {
        let place = match problem.line {
            Some(line) => format!("{}:{line}: ", path.display()),
            None => format!("{}: ", path.display()),
        };
        let key = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        let remedy = match &problem.suggestion {
            _ if problem.message.contains("Permission denied") => "ask with sudo, as root may read it",
            Some(suggestion) => suggestion,
            None => edit,
        };
        Verdict::trouble(about, format!("{place}{key}{}", problem.message), remedy)
    };
    list.iter().map(verdict).collect()
}

/// What the firmware of a Pi says of its supply, through the driver that also logs it.
fn supply() -> Verdict {
    let readings = || {
        let driver = (sensor::find("host")?.configure)(&Map::new()).ok()?;
        let measured = driver.open(&Buses::new()).ok()?.read().ok()?;
        let value = |name: &str| {
            let index = driver.quantities().iter().position(|info| info.name.as_str() == name)?;
            measured.iter().find(|one| one.quantity == index).map(|one| one.value.clone())
        };
        let flags = match value("throttled") {
            Some(Value::Integer(flags)) => Some(flags),
            _ => None,
        };
        let low = match value("under_voltage") {
            Some(Value::Bool(low)) => Some(low),
            _ => None,
        };
        Some((flags, low))
    };
    let (flags, low) = readings().unwrap_or_default();
    machine::supply(flags, low)
}

/// Whether the broker of the configuration lets us in. Connects once, and publishes nothing.
pub fn broker(config: &Config) -> Verdict {
    use crate::mqtt::probe::{Identity, probe};
    let Some(mqtt) = &config.mqtt else {
        return Verdict::well("broker", "none configured: readings are only logged");
    };
    // Under its own id only while the bridge is certainly not running: it would be thrown out.
    let identity = match log::look::is_written(&config.log.path) {
        Some(false) => Identity::Ours,
        Some(true) | None => Identity::Visitor,
    };
    broker::verdict(mqtt, probe(mqtt, identity))
}

/// The verdicts as one JSON document.
pub fn as_json(user: &User, verdicts: &[Verdict]) -> serde_json::Value {
    let check = |verdict: &Verdict| {
        let (state, remedy) = match &verdict.state {
            State::Well => ("well", None),
            State::Trouble { remedy } => ("trouble", Some(remedy)),
            State::Unknown => ("unknown", None),
        };
        json!({"about": verdict.about, "state": state, "what": verdict.what, "remedy": remedy})
    };
    json!({
        "well": !verdicts.iter().any(Verdict::is_trouble),
        "user": user.name,
        "checks": verdicts.iter().map(check).collect::<Vec<_>>(),
    })
}

/// A path below the root that is looked at: `/` on the machine, a made-up tree in tests.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(message: &str, suggestion: Option<&str>) -> Problem {
        Problem {
            path: "sensors[0].driver".to_owned(),
            line: Some(7),
            variable: None,
            message: message.to_owned(),
            suggestion: suggestion.map(str::to_owned),
        }
    }

    #[test]
    fn a_configuration_is_good_or_each_problem_is_told() {
        let path = Path::new("/etc/sensor-bridge/config.yaml");
        assert!(!configuration(path, Ok(&[]))[0].is_trouble());
        let list = vec![
            problem("unknown driver \"bme208\"", Some("did you mean \"bme280\"?")),
            problem("cannot be read: Permission denied (os error 13)", None),
        ];
        let problems = Problems { file: None, list };
        let verdicts = configuration(path, Err(&problems));
        let shown = |index: usize| match &verdicts[index].state {
            State::Trouble { remedy } => format!("{} → {remedy}", verdicts[index].what),
            other => format!("{other:?}"),
        };
        assert_eq!(
            shown(0),
            "/etc/sensor-bridge/config.yaml:7: sensors[0].driver: unknown driver \"bme208\" → did you mean \"bme280\"?"
        );
        assert!(shown(1).ends_with("ask with sudo, as root may read it"), "{}", shown(1));
    }

    #[test]
    fn json_says_at_once_whether_all_is_well() {
        let user = User::root();
        let well = Verdict::well("clock", "synchronised");
        let trouble = Verdict::trouble("i2c-1", "no /dev/i2c-1", "enable it");
        assert_eq!(as_json(&user, std::slice::from_ref(&well))["well"], true);
        let both = as_json(&user, &[well, trouble]);
        assert_eq!(both["well"], false);
        assert_eq!(both["checks"][1]["remedy"], "enable it");
        assert_eq!(both["checks"][0]["remedy"], serde_json::Value::Null);
    }
}
