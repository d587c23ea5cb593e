//! What the log says was delivered beside what somebody received. Reads both, changes neither.
//!
//! A message of ours is known by its `id`, `<epoch>-<row>`; a file without ids by sensor, quantity, time and value.
//! Memory: one byte a row of the log, and the channels.

mod ledger;
mod received;
mod report;
#[cfg(test)]
mod tests;

use crate::log::LogError;
use crate::log::query::Selection;
use crate::reading::{Logged, Publish};

use super::Fault;

pub use received::{Received, compare};
pub use report::{ChannelReport, Gap, Report};

/// Which part of the log is compared.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Sensor, quantity and time.
    pub selection: Selection,
    /// A topic filter.
    pub topics: Option<String>,
}

impl Window {
    fn takes(&self, logged: &Logged) -> bool {
        let topic = |publish: &Publish| {
            self.topics.as_ref().is_none_or(|filter| crate::config::topic_matches(filter, &publish.topic))
        };
        self.selection.takes(&logged.channel)
            && self.selection.covers(logged.at)
            && logged.channel.publish.as_ref().is_some_and(topic)
    }
}

/// Why a comparison did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was received cannot be read.
    #[error(transparent)]
    Received(#[from] Fault),
    /// One of the logs.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log was to be compared with what it mirrors, and that is nothing.
    #[error("this bridge mirrors nothing of its own; name what was received: see --help")]
    NoMirror,
    /// Too many rows for the memory there is.
    #[error("the log has {0} rows, which are more than fit into memory; verify a backup of a part of it")]
    TooMany(u64),
}
