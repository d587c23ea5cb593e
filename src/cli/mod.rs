//! The command line: one file a subcommand, no logic of its own.

use std::process::ExitCode;

/// Reads the arguments, runs the subcommand, answers its exit code.
pub fn main() -> ExitCode {
    todo!()
}
