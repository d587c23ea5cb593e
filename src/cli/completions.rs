//! `sensor-bridge completions`: what a shell needs to complete commands, options and file names.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::{Shell as Known, generate};

use super::{Global, terminal, whole};

/// Print completions for a shell
///
/// The Debian package brings them along; a shell that was open before has to be opened again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge completions bash | \\
    sudo tee /usr/share/bash-completion/completions/sensor-bridge
  sensor-bridge completions zsh > ~/.zfunc/_sensor-bridge
  sensor-bridge completions fish > ~/.config/fish/completions/sensor-bridge.fish")]
pub struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that are known here.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let shell = match args.shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    // Into memory first: the generator does not expect that writing fails.
    let mut text = Vec::new();
    generate(shell, &mut whole(), "sensor-bridge", &mut text);
    terminal::out(true).write_all(&text).context("cannot write the completions")?;
    Ok(ExitCode::SUCCESS)
}
