//! Which log a subcommand reads, and the words for times that several of them take.

use std::path::PathBuf;

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::Global;
use crate::enrich::clock;
use crate::log::times::{self, NotATime};
use crate::reading::Timestamp;

/// Where the readings are.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Read this log (a backup, say) instead of the one in the configuration
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

impl Source {
    /// Path of the log.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, if that has to say.
    pub fn path(&self, global: &Global) -> anyhow::Result<PathBuf> {
        match &self.database {
            Some(path) => Ok(path.clone()),
            None => Ok(global.load()?.log.path),
        }
    }
}

/// Now, in the machine's time zone.
pub fn now() -> Zoned {
    let now = jiff::Timestamp::from_microsecond(clock::now().wall.0).unwrap_or_default();
    now.to_zoned(TimeZone::system())
}

/// Reads a time as people write it, for clap.
///
/// # Errors
/// That it is no time, with examples.
pub fn time(text: &str) -> Result<Timestamp, NotATime> {
    times::parse(text, &now()).map(|time| Timestamp(time.as_microsecond()))
}
