//! The command line: one file a subcommand, no logic of its own.
//!
//! Answers of a program go to standard output, everything said beside them to standard error.
//! Exit codes: 0 ok, 1 failed, 2 wrong usage (clap's), 78 bad configuration (`EX_CONFIG` of sysexits.h).

mod ask;
mod backup;
mod buffer;
mod check;
mod completions;
mod demo;
mod doctor;
mod export;
mod import;
mod init;
mod interrupt;
mod layout;
mod logging;
mod man;
mod plot;
mod progress;
mod query;
mod read;
mod rows;
mod run;
mod scan;
mod schema;
mod source;
mod status;
mod tail;
mod terminal;
mod verify;
mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::config::{self, Config, Problems};

/// Exit code for a configuration that cannot be used; the systemd unit does not restart on it.
pub const BAD_CONFIG: u8 = 78;

const EXAMPLES: &str = "\
Examples:
  sensor-bridge demo                     see it work without any hardware
  sensor-bridge init                     a configuration with what is connected
  sensor-bridge scan                     what is connected, which drivers fit
  sensor-bridge check                    what would run, or what is wrong
  sensor-bridge run --config my.yaml     the daemon, in the foreground
  sensor-bridge tail -f                  readings as they are committed
  sensor-bridge plot air.temperature     the last 24 hours, in the terminal
  sensor-bridge query air.temperature --since 7d --every 1d
  sensor-bridge status                   how the running bridge is
  sensor-bridge why air.temperature      why its last value was not published

Each command has examples of its own: sensor-bridge COMMAND -h";

/// Where the options stand that every command has, apart from its own.
const EVERYWHERE: &str = "Options of every command";

/// Reads sensors, keeps what changed in a SQLite log, and publishes it over MQTT. Nothing is lost on the way.
#[derive(Debug, Parser)]
#[command(name = "sensor-bridge", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand understands.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Configuration file
    #[arg(long, short, global = true, help_heading = EVERYWHERE, display_order = 1001, value_name = "FILE", env = "SENSOR_BRIDGE_CONFIG", default_value = config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// Answer in JSON, for programs
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 1002)]
    pub json: bool,
    /// How much is said on standard error
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 1003, hide_short_help = true, value_name = "LEVEL", default_value = "info", env = "SENSOR_BRIDGE_LOG")]
    pub log_level: logging::Level,
    /// How it is said
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 1004, hide_short_help = true, value_name = "FORMAT", default_value = "auto")]
    pub log_format: logging::Format,
}

impl Global {
    /// Where the configuration is.
    pub fn path(&self) -> &Path {
        &self.config
    }

    /// The checked configuration, environment overrides applied.
    ///
    /// # Errors
    /// Everything that is wrong with it; the program then exits with 78.
    pub fn load(&self) -> Result<Config, Problems> {
        config::load(&self.config, config::environment())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Run(run::Args),
    Status(status::Args),
    Why(why::Args),
    Demo(demo::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Read(read::Args),
    Scan(scan::Args),
    Query(query::Args),
    Tail(tail::Args),
    Plot(plot::Args),
    Export(export::Args),
    Import(import::Args),
    Verify(verify::Args),
    Backup(backup::Args),
    Buffer(buffer::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The whole command line, for what describes it.
fn whole() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// The command line, to be read with these variables: an empty one counts as not set, as in the configuration.
fn heeding(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> clap::Command {
    let empty = |argument: &clap::Arg| {
        let name = argument.get_env().and_then(std::ffi::OsStr::to_str);
        name.and_then(&variable).is_some_and(|value| value.is_empty())
    };
    whole().mut_args(|argument| if empty(&argument) { argument.env(None) } else { argument })
}

/// Reads the arguments, runs the subcommand, answers its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::from_arg_matches_mut(&mut heeding(|name| std::env::var_os(name)).get_matches())
        .unwrap_or_else(|error| error.exit());
    let global = &cli.global;
    logging::init(global.log_level, global.log_format);
    let outcome = match &cli.command {
        Command::Init(args) => init::run(args, global),
        Command::Run(args) => run::run(args, global),
        Command::Status(args) => status::run(args, global),
        Command::Why(args) => why::run(args, global),
        Command::Demo(args) => demo::run(args, global),
        Command::Check(args) => check::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Read(args) => read::run(args, global),
        Command::Scan(args) => scan::run(args, global),
        Command::Query(args) => query::run(args, global),
        Command::Tail(args) => tail::run(args, global),
        Command::Plot(args) => plot::run(args, global),
        Command::Export(args) => export::run(args, global),
        Command::Import(args) => import::run(args, global),
        Command::Verify(args) => verify::run(args, global),
        Command::Backup(args) => backup::run(args, global),
        Command::Buffer(args) => buffer::run(args, global),
        Command::Schema(args) => schema::run(args, global),
        Command::Completions(args) => completions::run(args, global),
        Command::Man(args) => man::run(args, global),
    };
    outcome.unwrap_or_else(|error| {
        if let Some(problems) = error.downcast_ref::<Problems>() {
            terminal::say(problems);
            return ExitCode::from(BAD_CONFIG);
        }
        // Somebody closed the pipe (`… | head`): they have what they wanted.
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        terminal::say(format_args!("sensor-bridge: {error:#}"));
        ExitCode::FAILURE
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    /// Every command but those that only hold others, with its name.
    fn commands(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
        let mut found = vec![(name.to_owned(), command.clone())];
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            found.extend(commands(inner, &format!("{name} {}", inner.get_name())));
        }
        found
    }

    #[test]
    fn every_command_explains_itself_in_the_same_way() {
        let mut faults = Vec::new();
        let mut whole = super::Cli::command();
        whole.build();
        for (name, mut command) in commands(&whole, "sensor-bridge") {
            let mut fault = |what: String| faults.push(format!("{name}: {what}"));
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            if name.contains(' ') && (about.is_empty() || about.ends_with('.') || about.len() > 66) {
                fault(format!("says in one short line, without a full stop, what it does: {about:?}"));
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if !after.starts_with("Example") || !after.contains("\n  ") {
                fault("the text after the options begins with examples".to_owned());
            }
            for line in after.lines().filter(|line| line.chars().count() > 80) {
                fault(format!("wider than a terminal: {line}"));
            }
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                if help.is_empty() && !argument.is_hide_set() || help.ends_with('.') {
                    fault(format!("--{}: a short text without a full stop: {help:?}", argument.get_id()));
                }
            }
            // Read in any locale.
            let help = command.render_long_help().to_string();
            if let Some(line) = help.lines().find(|line| !line.is_ascii()) {
                fault(format!("not ASCII: {line}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
