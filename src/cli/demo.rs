//! `sensor-bridge demo`: the whole way on one machine, without hardware.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::{Global, terminal};
use crate::demo;

/// Show it work, without hardware or a broker
///
/// The whole way: sensors, filter, database, broker, and back. Two simulated I2C sensors are read by their real drivers, and this machine's own by the host driver.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge demo
  sensor-bridge demo --seconds 15
  sensor-bridge demo --broker mqtt://127.0.0.1:1883

Exit code: 0 nothing was lost, 1 something was.")]
pub struct Args {
    /// End after this many seconds instead of at Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Use this broker instead of starting one
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Keep configuration and database here instead of a new folder for temporary files
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Runs the demo until its time is over or a signal ends it.
pub fn run(args: &Args, _global: &Global) -> Result<ExitCode> {
    let options = demo::Options {
        duration: args.seconds.map(Duration::from_secs),
        broker: args.broker.clone(),
        dir: args.dir.clone(),
    };
    let whole = demo::run(&options, &mut terminal::out(false))?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
