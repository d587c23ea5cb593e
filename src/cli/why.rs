//! `sensor-bridge why`: why a sensor's last values were not published. Shows what the daemon answers.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;

use super::status::DoorArgs;
use super::{Global, terminal};
use crate::facts::Why;
use crate::facts::socket::Answer;

/// Say why a sensor's last values were not published
///
/// Unchanged, too soon, impossible, lost, or still waiting.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge why air
  sensor-bridge why air.temperature

An answer: 21.43 -> 21.47 is under the 0.1 deadband; heartbeat in 4 m 12 s")]
pub struct Args {
    /// Sensor, and one of its quantities if only that is meant
    #[arg(value_name = "SENSOR[.QUANTITY]")]
    what: String,
    #[command(flatten)]
    door: DoorArgs,
}

/// Asks and shows.
///
/// # Errors
/// No daemon answers, there is no such sensor, or standard output cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let answer = args.door.door(global)?.ask(&format!("why {}", args.what))?;
    let Answer::Why(why) = answer else { bail!("the daemon answered something else") };
    let text = match global.json {
        true => serde_json::to_string_pretty(&why)?,
        false => terminal::page(&plain(&why)).into_owned(),
    };
    writeln!(terminal::out(global.json), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn plain(why: &Why) -> String {
    let mut text = format!("{}: {}\n", why.sensor, why.lines.join("; "));
    for quantity in &why.quantities {
        text += &format!("\n{}\n", quantity.quantity);
        for line in &quantity.lines {
            text += &format!("  {line}\n");
        }
    }
    text
}
