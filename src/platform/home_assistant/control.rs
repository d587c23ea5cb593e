//! What can be set in Home Assistant: which command a message on a command topic is, and the states of settings that are
//! not among the readings. Pure.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::amount::format_duration;
use crate::platform::About;
use crate::reading::SensorId;

/// What a command topic controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// An output that is on or off.
    Switch(SensorId),
    /// An output in percent.
    Level(SensorId),
    /// An action on a sensor without more to say.
    Press(&'static str, SensorId),
    /// The interval of a sensor.
    Interval(SensorId),
    /// Whether a sensor is read.
    Reading(SensorId),
}

impl Control {
    /// What it is about.
    pub(super) fn target(&self) -> &SensorId {
        match self {
            Self::Switch(id)
            | Self::Level(id)
            | Self::Press(_, id)
            | Self::Interval(id)
            | Self::Reading(id) => id,
        }
    }
}

/// What a setting's state topic says.
fn interval_state(interval: Duration) -> String {
    interval.as_secs_f64().to_string()
}

/// The interval of such a state.
pub(super) fn interval(state: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(state.parse().ok()?).ok()
}

/// The command for what came on a command topic, or what is wrong with it.
pub(super) fn command(control: &Control, payload: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(payload).unwrap_or_default().trim();
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    // Without what was asked for: who sends nonsense without end must not fill the journal.
    let wrong = || "what came is no value for it".to_owned();
    let command = match control {
        Control::Switch(output) => match text {
            "ON" => json!({"action": "set", "output": output.as_str(), "value": true}),
            "OFF" => json!({"action": "set", "output": output.as_str(), "value": false}),
            _ => return Err(wrong()),
        },
        Control::Level(output) => {
            let percent = number().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(wrong)?;
            json!({"action": "set", "output": output.as_str(), "value": percent})
        }
        Control::Press(action, sensor) => match text {
            "PRESS" => json!({"action": action, "sensor": sensor.as_str()}),
            _ => return Err(wrong()),
        },
        Control::Interval(sensor) => {
            let seconds = number().filter(|seconds| (0.01..=86_400.0).contains(seconds)).ok_or_else(wrong)?;
            let interval = Duration::from_millis((seconds * 1e3).round() as u64);
            json!({"action": "interval", "sensor": sensor.as_str(), "interval": format_duration(interval)})
        }
        Control::Reading(sensor) => match text {
            "ON" => json!({"action": "resume", "sensor": sensor.as_str()}),
            "OFF" => json!({"action": "pause", "sensor": sensor.as_str()}),
            _ => return Err(wrong()),
        },
    };
    match command {
        Value::Object(command) => Ok(command),
        _ => Err(wrong()),
    }
}

/// What a setting is at the start, if it has a state of ours: as configured, or as it was ordered before a reload.
pub(super) fn first_state(control: &Control, about: &About) -> Option<String> {
    let (interval, paused) = (about.ordered)(control.target());
    let configured = |id: &SensorId| Some(about.sensors.iter().find(|sensor| sensor.id == *id)?.interval);
    match control {
        Control::Interval(id) => Some(interval_state(interval.or_else(|| configured(id))?)),
        Control::Reading(_) => Some(if paused { "OFF" } else { "ON" }.to_owned()),
        Control::Switch(_) | Control::Level(_) | Control::Press(..) => None,
    }
}

/// What it is once a command has been carried out.
pub(super) fn state_after(control: &Control, payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    match control {
        Control::Interval(_) => Some(interval_state(interval(text)?)),
        Control::Reading(_) => Some(text.to_owned()),
        Control::Switch(_) | Control::Level(_) | Control::Press(..) => None,
    }
}
