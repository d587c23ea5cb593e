//! `sensor-bridge run`: the daemon in the foreground.

use std::process::ExitCode;

use anyhow::Result;

use super::{BAD_CONFIG, Global, terminal};
use crate::log::LogError;
use crate::{config, daemon};

/// Run the bridge (what the systemd unit does)
///
/// Signals: TERM and INT store and publish what is there and leave within 10 s; HUP reads the
/// configuration again and takes over what changed; USR1 writes the state of every part to the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge run
  sensor-bridge run --config ./config.yaml --log-level debug")]
pub struct Args {}

/// Runs until a signal ends it.
///
/// # Errors
/// A bad configuration, or a log that cannot be used.
pub fn run(_args: &Args, global: &Global) -> Result<ExitCode> {
    let path = global.config.clone();
    let load = move || {
        let checked = config::examine(&path, config::environment())?;
        // At each start and reload: a warning that is told once, at `check`, is forgotten.
        for warning in &checked.warnings {
            tracing::warn!("{warning}");
        }
        Ok(checked.config)
    };
    match daemon::run(load) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A database that is not for us is as wrong tomorrow: systemd shall not try again every two seconds.
        Err(error) if is_not_for_us(&error) => {
            terminal::say(format_args!("sensor-bridge: {error:#}"));
            Ok(ExitCode::from(BAD_CONFIG))
        }
        Err(error) => Err(error),
    }
}

fn is_not_for_us(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LogError::Newer { .. } | LogError::NotOurs { .. }))
}
