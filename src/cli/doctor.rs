//! `sensor-bridge doctor`: the usual trouble and its remedies. Shows what the room `doctor` finds.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::{Global, terminal};
use crate::config;
use crate::doctor::{self, State, User, Verdict};

/// Find the usual trouble, with a remedy for each
///
/// Looks at the configuration, at buses and the rights to them, clock, supply, disk, log and broker. Changes
/// nothing. While no bridge runs it connects to the broker under the bridge's client id, to see whether
/// somebody else uses it; else under one of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo sensor-bridge doctor               as root, who may look at everything
  sensor-bridge doctor --user pi          for a bridge that pi runs
  sensor-bridge doctor --json | jq -r '.checks[].remedy // empty'

Exit code: 0 all well, 1 something found.")]
pub struct Args {
    /// Whose rights to look at; the service's user if there is one, else whoever asks
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Looks and shows.
///
/// # Errors
/// There is no such user, or standard output cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let root = Path::new("/");
    let user = match &args.user {
        None => User::of_service(root),
        Some(name) => match User::named(root, name) {
            Some(user) => user,
            None => bail!("there is no user {name:?} in /etc/passwd"),
        },
    };
    let verdicts = doctor::examine(global.path(), config::environment(), &user);
    let text = match global.json {
        true => serde_json::to_string_pretty(&doctor::as_json(&user, &verdicts))?,
        false => terminal::page(&plain(&verdicts, terminal::colours(&std::io::stdout()))).into_owned(),
    };
    writeln!(terminal::out(global.json), "{text}").context("cannot write")?;
    Ok(ExitCode::from(u8::from(verdicts.iter().any(Verdict::is_trouble))))
}

fn plain(verdicts: &[Verdict], colours: bool) -> String {
    let width = verdicts.iter().map(|verdict| verdict.about.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for Verdict { about, what, state } in verdicts {
        // Green, red, yellow (ECMA-48).
        let (mark, colour) = match state {
            State::Well => ("ok     ", 32),
            State::Trouble { .. } => ("TROUBLE", 31),
            State::Unknown => ("?      ", 33),
        };
        let mark = if colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() };
        lines.push(format!("{mark}  {about:width$}  {what}"));
        if let State::Trouble { remedy } = state {
            lines.push(format!("         {:width$}  → {remedy}", ""));
        }
    }
    let found = verdicts.iter().filter(|verdict| verdict.is_trouble()).count();
    lines.push(match found {
        0 => "\nNothing found.".to_owned(),
        1 => "\n1 trouble found.".to_owned(),
        found => format!("\n{found} troubles found."),
    });
    lines.join("\n")
}
