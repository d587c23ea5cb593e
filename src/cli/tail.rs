//! `sensor-bridge tail`: the newest readings, and those that come.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use super::Global;
use super::interrupt::Interrupt;
use super::rows::{Format, Rows, reading_cells, reading_columns};
use super::source::{Source, now};
use crate::log::Reader;
use crate::log::query::Selection;

/// Between two looks whether something was committed; a look costs a few µs.
const PAUSE: Duration = Duration::from_millis(200);

/// Rows read at a time.
const CHUNK: usize = 1_000;

/// Show the newest readings, and follow
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge tail
  sensor-bridge tail -f
  sensor-bridge tail -n 0 -f --sensor air
  sensor-bridge tail -f --json | jq .value")]
pub struct Args {
    /// How many to begin with
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Go on with those that come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only this sensor; * stands for any letters
    #[arg(long)]
    sensor: Option<String>,
    /// Only this quantity; * stands for any letters
    #[arg(long)]
    quantity: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// Prints and follows.
///
/// # Errors
/// A bad configuration, no log, or standard output is closed.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut reader = Reader::open(&args.source.path(global)?)?;
    let format = if global.json { Format::Jsonl } else { Format::Table };
    let bold = io::stdout().is_terminal();
    let mut rows =
        Rows::new(io::stdout().lock(), format, reading_columns(format), now().time_zone().clone(), bold);
    let selection =
        Selection { sensor: args.sensor.clone(), quantity: args.quantity.clone(), ..Selection::default() };

    // Asked before the first rows are read, so that none is missed between the two.
    let mut last = reader.last_row()?;
    for line in reader.newest(&selection, args.lines)?.iter().filter(|line| line.row <= last) {
        rows.row(&reading_cells(line, format))?;
    }
    if !args.follow {
        drop(rows.finish()?);
        return Ok(ExitCode::SUCCESS);
    }
    rows.flush()?;
    let stop = Interrupt::watch()?;
    let mut version = None;
    while !stop.asked() {
        let seen = reader.version()?;
        if version != Some(seen) {
            version = Some(seen);
            loop {
                let (lines, upto) = reader.after(&selection, last, CHUNK)?;
                for line in &lines {
                    rows.row(&reading_cells(line, format))?;
                }
                if upto == last {
                    break;
                }
                last = upto;
            }
            rows.flush()?;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(ExitCode::SUCCESS)
}
