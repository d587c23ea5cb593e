//! The command line: one file a subcommand, no logic of its own.

pub mod read;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{Config, Problems};

/// What all subcommands take.
#[derive(Debug)]
pub struct Global {
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// JSON instead of tables.
    pub json: bool,
}

impl Global {
    /// The configuration.
    pub fn load(&self) -> Result<Config, Problems> {
        todo!()
    }
}

/// Reads the arguments, runs the subcommand, answers its exit code.
pub fn main() -> ExitCode {
    todo!()
}
