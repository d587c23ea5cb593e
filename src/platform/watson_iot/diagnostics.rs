//! What the platform is told of failures: the states of sensors and outputs as a log, and an error code for each that fails.
//! Pure; says nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::asked::What;
use crate::platform::About;
use crate::reading::{self, Logged, STATE, SensorId};

/// Longest message, characters.
const LONGEST: usize = 500;

/// Error codes told at once, at most.
const CODES: usize = 30;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) requests: Vec<(What, Option<Value>)>,
    /// There is more.
    pub(super) more: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Diagnostics {
    /// Sensors, then outputs; the first has the error code 1.
    codes: BTreeMap<SensorId, usize>,
    /// States as they were told; those that are not here are well.
    told: BTreeMap<SensorId, String>,
    failed: BTreeSet<usize>,
}

impl Diagnostics {
    pub(super) fn new(about: &About) -> Self {
        let sensors = about.sensors.iter().map(|sensor| &sensor.id);
        let outputs = about.outputs.iter().map(|output| &output.id);
        let codes = sensors.chain(outputs).cloned().zip(1..).collect();
        Self { codes, told: BTreeMap::new(), failed: BTreeSet::new() }
    }

    /// The platform is to be told everything anew.
    pub(super) fn forget(&mut self) {
        self.told.clear();
        self.failed.clear();
    }

    /// What has changed since it was told, as requests, `room` of them at most.
    pub(super) fn news(&mut self, latest: &[Logged], room: usize) -> News {
        let mut news = Vec::new();
        for one in latest.iter().filter(|one| one.channel.quantity.as_str() == STATE) {
            let sensor = &one.channel.sensor;
            let (Some(code), reading::Value::Text(state)) = (self.codes.get(sensor).copied(), &one.value)
            else {
                continue;
            };
            if self.told.get(sensor).map_or("ok", String::as_str) == &**state {
                continue;
            }
            if news.len() + self.failed.len().min(CODES) + 2 > room {
                return News { requests: news, more: true };
            }
            self.told.insert(sensor.clone(), (**state).to_owned());
            let message: String = format!("{sensor}: {state}").chars().take(LONGEST).collect();
            let log = json!({
                "message": message,
                "timestamp": one.at.to_string(),
                "severity": severity(state),
            });
            news.push((What::AddLog, Some(log)));
            if state.starts_with("failed") {
                if self.failed.insert(code) {
                    news.push((What::AddErrorCode, Some(json!({"errorCode": code}))));
                }
            } else if self.failed.remove(&code) {
                // They can only be cleared all at once.
                news.push((What::ClearErrorCodes, None));
                let left = self.failed.iter().take(CODES).map(|code| Some(json!({"errorCode": code})));
                news.extend(left.map(|d| (What::AddErrorCode, d)));
            }
        }
        News { requests: news, more: false }
    }
}

/// 0 for information, 1 for a warning, 2 for an error ("Diagnostic requests").
fn severity(state: &str) -> u8 {
    match state {
        "ok" => 0,
        failed if failed.starts_with("failed") => 2,
        _ => 1,
    }
}
