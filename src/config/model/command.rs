//! Where commands come from, and what may be commanded.

use std::fmt;

use crate::integrity::Key;
use crate::reading::{Qos, SensorId};

/// A topic on which commands come in, and what they may do.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandSource {
    /// Topic name, without wildcards.
    pub topic: String,
    /// Quality of service asked for.
    pub qos: Qos,
    /// What may be commanded; nothing else may.
    pub allow: Vec<Permission>,
    /// Key of the HMAC-SHA-256 that each command must carry.
    pub key: Option<Key>,
    /// Where answers go unless the command says where.
    pub reply: Option<String>,
    /// Whether commands are obeyed while the clock is not synchronised, when nobody knows whether they expired.
    pub obey_unsynced: bool,
}

/// Something that may be commanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Setting this output.
    Output(SensorId),
    /// This action, on one sensor or on all.
    Action {
        /// What.
        action: Action,
        /// On which; `None` for all.
        sensor: Option<SensorId>,
    },
}

impl fmt::Display for Permission {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Permission::Output(output) => fmt::Display::fmt(output, f),
            Permission::Action { action, sensor: None } => f.write_str(action.name()),
            Permission::Action { action, sensor: Some(sensor) } => write!(f, "{}:{sensor}", action.name()),
        }
    }
}

/// What can be commanded besides setting an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read a sensor now.
    Read,
    /// Change a sensor's interval.
    Interval,
    /// Change how much a quantity must change.
    Change,
    /// Read a sensor no more.
    Pause,
    /// Read it again.
    Resume,
    /// Read a sensor now and publish whatever it says.
    Republish,
    /// Say how everything is.
    Status,
    /// Read the configuration again.
    Reload,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 8] = [
        Action::Read,
        Action::Interval,
        Action::Change,
        Action::Pause,
        Action::Resume,
        Action::Republish,
        Action::Status,
        Action::Reload,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Interval => "interval",
            Action::Change => "change",
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Republish => "republish",
            Action::Status => "status",
            Action::Reload => "reload",
        }
    }

    /// Whether it is done to one sensor.
    pub fn is_of_a_sensor(self) -> bool {
        !matches!(self, Action::Status | Action::Reload)
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
