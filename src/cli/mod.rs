//! The command line: one file a subcommand, no logic of its own.

pub mod check;
pub mod schema;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config;

/// What every subcommand may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Configuration file
    #[arg(long, global = true, env = "SENSOR_BRIDGE_CONFIG", value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// The configuration file: as told, or the usual one.
    pub fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH))
    }

    /// The checked configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it; the program then exits with 78.
    pub fn load(&self) -> Result<config::Config, config::Problems> {
        config::load(self.path(), config::environment())
    }
}

/// Exit code for a configuration that is wrong (`EX_CONFIG` of sysexits.h).
pub const BAD_CONFIG: u8 = 78;

#[derive(Debug, Parser)]
#[command(name = "sensor-bridge", version, about)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Schema(schema::Args),
}

/// Reads the arguments, runs the subcommand, answers its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Check(args) => check::run(args, &cli.global),
        Command::Schema(args) => schema::run(args, &cli.global),
    };
    done.unwrap_or_else(|error| {
        if let Some(problems) = error.downcast_ref::<config::Problems>() {
            eprintln!("{problems}");
            return ExitCode::from(BAD_CONFIG);
        }
        eprintln!("sensor-bridge: {error:#}");
        ExitCode::FAILURE
    })
}
