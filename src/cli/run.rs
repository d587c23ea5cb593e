//! `sensor-bridge run`: the daemon in the foreground.

use std::process::ExitCode;

use anyhow::Result;

use super::Global;
use crate::{config, daemon};

/// Run the bridge (what the systemd unit does)
///
/// Signals: TERM and INT store and publish what is there and leave within 10 s; HUP reads the
/// configuration again; USR1 writes the state of every part to the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sensor-bridge run --config /etc/sensor-bridge/config.yaml")]
pub struct Args {}

/// Runs until a signal ends it.
pub fn run(_args: &Args, global: &Global) -> Result<ExitCode> {
    let path = global.config.clone();
    daemon::run(move || config::load(&path, config::environment()))?;
    Ok(ExitCode::SUCCESS)
}
