//! `sensor-bridge schema`: the JSON Schema of the configuration, for editors and checkers.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Global;

/// Print the JSON Schema of the configuration file
///
/// Editors that know JSON Schema then complete keys and show what each is for.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge schema > config.schema.json
  # then, as the first line of config.yaml, for the YAML language server:
  # yaml-language-server: $schema=./config.schema.json")]
pub struct Args {}

/// Prints the schema.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let text = serde_json::to_string_pretty(&crate::config::schema())?;
    writeln!(std::io::stdout(), "{text}").context("cannot write the schema")?;
    Ok(ExitCode::SUCCESS)
}
