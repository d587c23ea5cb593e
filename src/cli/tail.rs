//! `sensor-bridge tail`: the newest readings, and those that come.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use super::Global;
use super::interrupt::Interrupt;
use super::rows::{Format, Rows, reading_cells, reading_columns};
use super::source::{Source, Which, now};
use super::terminal;
use crate::log::Reader;

/// Between two looks whether something was committed; a look costs a few µs.
const PAUSE: Duration = Duration::from_millis(200);

/// Rows read at a time.
const CHUNK: usize = 1_000;

/// Show the newest readings, and follow
///
/// On a terminal each sensor has a colour of its own. Following goes on over restarts of the bridge.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge tail
  sensor-bridge tail -f
  sensor-bridge tail -f -n 0 air
  sensor-bridge tail -f '*.temperature'
  sensor-bridge tail -f --json | jq .value")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// How many to begin with
    #[arg(short = 'n', long = "lines", alias = "limit", value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Go on with those that come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    source: Source,
}

/// Prints and follows.
///
/// # Errors
/// A bad configuration, no log, or standard output is closed.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut reader = Reader::open(args.source.log(global)?)?;
    let format = if global.json { Format::Jsonl } else { Format::Table };
    let colours = terminal::colours(&io::stdout());
    let columns = reading_columns(format);
    // Sensor, quantity and value.
    let coloured = if colours { 1..4 } else { 0..0 };
    let mut rows = Rows::new(io::stdout().lock(), format, columns, now().time_zone().clone(), colours)
        .spelled(terminal::letters())
        .coloured_by(coloured);
    let selection = args.which.selection(&reader)?;

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
