//! `sensor-bridge query`: readings out of the log, by sensor, quantity and time, or by SQL.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::Global;
use super::progress::{Beside, Progress};
use super::rows::{Cell, Format, Rows, reading_cells, reading_columns};
use super::source::{Source, Span, Which, now};
use super::terminal;
use crate::log::Reader;
use crate::log::gather::{Aggregate, Interval};
use crate::log::query::{Line, Selection, Sql};
use crate::log::times::Every;
use crate::reading::Value;

/// Show readings of the log
///
/// The daemon may be running. Times are words or dates: 2h, "3 days ago", yesterday, "monday 08:00", 07:30,
/// "2026-11-20 07:00"; without a zone they are local. A table shows local time, CSV and JSON UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge query
  sensor-bridge query air temperature --since 2h
  sensor-bridge query 'green*' --since yesterday --until today --every 1h
  sensor-bridge query air.temperature --since 7d --every 1d --aggregate max
  sensor-bridge query air.temperature -n 1 --json | jq '.[0].value'
  sensor-bridge query --sql 'SELECT sensor, count(*) FROM readings GROUP BY 1'

The views for --sql and other tools: readings, images, messages, commands,
gaps, refused, refused_messages; see docs/log.md.
A range of time is fast in the table reading (channel, time in microseconds),
not in the views, whose time is computed.")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    span: Span,
    /// Gather into intervals: 5m, 1h, 1d
    #[arg(long, value_name = "INTERVAL", value_parser = Every::parse)]
    every: Option<Every>,
    /// What to tell of an interval (or of everything); the mean unless given, and of texts the last
    #[arg(long, value_enum, value_name = "WHAT")]
    aggregate: Option<What>,
    /// How to write it; a table unless given, JSON with --json
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only the newest so many
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Run this SELECT instead
    #[arg(long, value_name = "SELECT", conflicts_with_all = ["sensor", "only_sensor", "only_quantity", "since", "until", "every", "aggregate", "limit"])]
    sql: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// What is told of an interval.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    Mean,
    Min,
    Max,
    First,
    Last,
    Count,
    Sum,
}

impl From<What> for Aggregate {
    fn from(what: What) -> Self {
        match what {
            What::Mean => Aggregate::Mean,
            What::Min => Aggregate::Min,
            What::Max => Aggregate::Max,
            What::First => Aggregate::First,
            What::Last => Aggregate::Last,
            What::Count => Aggregate::Count,
            What::Sum => Aggregate::Sum,
        }
    }
}

/// Asks and prints.
///
/// # Errors
/// A bad configuration, no log, a sensor that the log does not know, SQL that does not only read.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let reader = Reader::open(args.source.log(global)?)?;
    let format = args.format.unwrap_or(if global.json { Format::Json } else { Format::Table });
    let (out, bar) = Beside::new(io::stdout().lock(), Progress::new("reading", "readings"), true);
    let out = BufWriter::new(out);
    match &args.sql {
        Some(sql) => run_sql(reader, sql, format, out)?,
        None if args.every.is_some() || args.aggregate.is_some() => {
            intervals(reader, args, format, out, &bar)?;
        }
        None => readings(reader, args, format, out, &bar)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn selection(args: &Args, reader: &Reader) -> anyhow::Result<Selection> {
    args.span.of(args.which.selection(reader)?)
}

/// How far a walk through the selection is, by the time of what it met.
struct Watch<'a> {
    bar: &'a RefCell<Progress>,
    first: i64,
    length: f64,
    seen: u64,
}

impl<'a> Watch<'a> {
    fn new(reader: &mut Reader, selection: &Selection, bar: &'a RefCell<Progress>) -> anyhow::Result<Self> {
        let bounds = reader.bounds(selection)?;
        let (first, last) = bounds.map_or((0, 0), |(first, last)| (first.0, last.0));
        let length = (last.saturating_sub(first)).max(1) as f64;
        Ok(Self { bar, first, length, seen: 0 })
    }

    fn saw(&mut self, line: &Line) {
        self.seen += 1;
        if self.seen.is_multiple_of(1_000) {
            let part = line.at.0.saturating_sub(self.first) as f64 / self.length;
            self.bar.borrow_mut().update_part(part, self.seen);
        }
    }
}

fn rows<W: Write>(out: W, format: Format, columns: Vec<String>) -> Rows<W> {
    let bold = terminal::colours(&io::stdout());
    Rows::new(out, format, columns, now().time_zone().clone(), bold).spelled(terminal::letters())
}

fn readings(
    mut reader: Reader,
    args: &Args,
    format: Format,
    out: impl Write,
    bar: &RefCell<Progress>,
) -> anyhow::Result<()> {
    let mut rows = rows(out, format, reading_columns(format));
    match args.limit {
        Some(limit) => {
            let selection = selection(args, &reader)?;
            for line in reader.newest(&selection, limit)? {
                rows.row(&reading_cells(&line, format))?;
            }
        }
        None => {
            let mut written = Ok(());
            let selection = selection(args, &reader)?;
            let mut watch = Watch::new(&mut reader, &selection, bar)?;
            reader.select(&selection, |line| {
                watch.saw(&line);
                written = rows.row(&reading_cells(&line, format));
                if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            written?;
        }
    }
    rows.finish()?;
    Ok(())
}

fn intervals(
    mut reader: Reader,
    args: &Args,
    format: Format,
    out: impl Write,
    bar: &RefCell<Progress>,
) -> anyhow::Result<()> {
    let mut columns = vec!["time", "sensor", "quantity", "value", "unit", "count"];
    if format != Format::Table {
        columns.insert(1, "device");
    }
    let mut rows = rows(out, format, columns.into_iter().map(str::to_owned).collect());
    let aggregate = args.aggregate.map(Aggregate::from);
    let counts = matches!(args.aggregate, Some(What::Count));
    let mut newest = VecDeque::new();
    let mut written: io::Result<()> = Ok(());
    let selection = selection(args, &reader)?;
    let progress = |part, readings| bar.borrow_mut().update_part(part, readings);
    reader.intervals(&selection, args.every, aggregate, &now(), progress, |interval| {
        match args.limit {
            None => written = rows.row(&interval_cells(interval, counts, format)),
            Some(limit) => {
                newest.push_back(interval);
                if newest.len() > limit {
                    newest.pop_front();
                }
            }
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    for interval in newest {
        rows.row(&interval_cells(interval, counts, format))?;
    }
    rows.finish()?;
    Ok(())
}

fn interval_cells(interval: Interval, counts: bool, format: Format) -> Vec<Cell> {
    let channel = &interval.channel;
    let mut cells = vec![Cell::Time(interval.begin)];
    if format != Format::Table {
        cells.push(Cell::Text(channel.device.clone()));
    }
    cells.extend([
        Cell::Text(channel.sensor.to_string()),
        Cell::Text(channel.quantity.to_string()),
        Cell::Value(interval.value),
        // How many there are of something has not the unit of that.
        Cell::Text(if counts { String::new() } else { channel.unit.clone() }),
        Cell::Value(Value::Integer(i64::try_from(interval.count).unwrap_or(i64::MAX))),
    ]);
    cells
}

fn run_sql(mut reader: Reader, sql: &str, format: Format, out: impl Write) -> anyhow::Result<()> {
    let mut out = Some(out);
    let mut table = None;
    let mut written = Ok(());
    // Set by the names, which come once and before any row.
    let shared = std::cell::RefCell::new(&mut table);
    reader.sql(
        sql,
        |names| **shared.borrow_mut() = out.take().map(|out| rows(out, format, names)),
        |values| {
            let cells: Vec<Cell> = values.into_iter().map(cell).collect();
            written = shared.borrow_mut().as_mut().map_or(Ok(()), |rows| rows.row(&cells));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    )?;
    written?;
    if let Some(rows) = table {
        rows.finish()?;
    }
    Ok(())
}

fn cell(value: Sql) -> Cell {
    match value {
        Sql::Null => Cell::None,
        Sql::Integer(number) => Cell::Value(Value::Integer(number)),
        Sql::Real(number) => Cell::Value(Value::Float(number)),
        Sql::Text(text) => Cell::Text(text),
        Sql::Blob(bytes) => Cell::Text(format!("({} bytes)", bytes.len())),
    }
}
