//! `sensor-bridge export`: readings into a file for other programs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};

use super::Global;
use super::interrupt::Interrupt;
use super::progress::{Beside, Progress};
use super::rows::{Format, Rows, reading_cells, reading_columns};
use super::source::{Source, Span, Which, now};
use super::terminal;
use crate::exchange::{self, influx};
use crate::log::query::Line;
use crate::log::{LogFile, Reader};
use crate::reading::ValueKind;

/// Write readings to a file: CSV, JSON lines or line protocol
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge export --output all.csv
  sensor-bridge export air.temperature --since 30d --output air.jsonl
  sensor-bridge export --since yesterday | gzip > yesterday.csv.gz
  sensor-bridge export --since 1d --output day.lp          for influx write
  sensor-bridge export sky --output sky.csv --images pictures/

The value of a picture is its size in bytes; --images writes the pictures
themselves, each to a file named by sensor, time and row. `sensor-bridge
import` reads what is written here back. Parquet: DuckDB makes it of any of
these in one line, see docs/exchange.md.

The file gets its name when it is whole and on the disk; Ctrl-C leaves nothing
of it.")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    span: Span,
    /// csv, jsonl or influx; by the name of the file unless given
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
    /// Where to; standard output unless given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Write the pictures among the readings into this folder, which is made
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    /// Comma-separated values (RFC 4180)
    Csv,
    /// One JSON object per line
    Jsonl,
    /// InfluxDB line protocol
    Influx,
}

/// What writes the readings.
enum Out<W: Write> {
    Rows(Rows<W>, Format),
    Influx(W),
}

impl<W: Write> Out<W> {
    fn new(out: W, format: ExportFormat) -> Self {
        let format = match format {
            ExportFormat::Influx => return Out::Influx(out),
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Jsonl => Format::Jsonl,
        };
        let zone = now().time_zone().clone();
        Out::Rows(Rows::new(out, format, reading_columns(format), zone, false), format)
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        match self {
            Out::Rows(rows, format) => rows.row(&reading_cells(line, *format)),
            Out::Influx(out) => influx::write(out, line),
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Out::Rows(rows, _) => rows.finish(),
            Out::Influx(mut out) => {
                out.flush()?;
                Ok(out)
            }
        }
    }
}

/// Exports.
///
/// # Errors
/// A bad configuration, no log, a file that exists or cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut reader = Reader::open(args.source.log(global)?)?;
    let format = format(args, global)?;
    let interrupt = Interrupt::watch()?;
    let Some(path) = &args.output else {
        let out = BufWriter::new(io::stdout().lock());
        write(&mut reader, args, global, format, out, &interrupt)?;
        return Ok(ExitCode::SUCCESS);
    };
    if path.exists() && !args.force {
        bail!("{}: exists already; give another name, or --force to replace it", path.display());
    }
    // A device or a pipe is written to, never replaced by a file of its name.
    if path.exists() && !path.is_file() && !path.is_dir() {
        let out = File::options().write(true).open(path);
        let out = BufWriter::new(out.with_context(|| format!("{}: cannot be written", path.display()))?);
        let (count, mut out) = write(&mut reader, args, global, format, out, &interrupt)?;
        out.flush()?;
        written_to(path, count);
        return Ok(ExitCode::SUCCESS);
    }
    // Under another name until it is whole: half an export looks just like one.
    let part = part_of(path);
    let file = File::create(&part).with_context(|| format!("{}: cannot be written", part.display()))?;
    let written = write(&mut reader, args, global, format, BufWriter::new(file), &interrupt).and_then(
        |(count, out)| {
            out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
            fs::rename(&part, path)?;
            // The name is safe when the folder is.
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()?;
            Ok(count)
        },
    );
    if written.is_err() {
        // What went wrong is told below; that a half file could not be removed as well adds nothing.
        fs::remove_file(&part).ok();
    }
    let count = written.with_context(|| format!("{}: not written", path.display()))?;
    written_to(path, count);
    Ok(ExitCode::SUCCESS)
}

fn written_to(path: &Path, count: u64) {
    let many = if count == 1 { "reading" } else { "readings" };
    terminal::say(format_args!("{count} {many} written to {}", path.display()));
}

fn format(args: &Args, global: &Global) -> anyhow::Result<ExportFormat> {
    let by_name = args.output.as_ref().map(|path| (exchange::Format::of(path), path.extension()));
    Ok(match (args.format, by_name) {
        (Some(format), _) => format,
        (None, Some((_, Some(ending)))) if ending.eq_ignore_ascii_case("parquet") => bail!(
            "Parquet is not written here: what writes it is larger than this whole program. DuckDB makes it of an \
             export: sensor-bridge export --output x.csv, then duckdb -c \"COPY (FROM read_csv('x.csv', sample_size = -1)) TO 'x.parquet'\""
        ),
        (None, Some((Some(exchange::Format::Jsonl), _))) => ExportFormat::Jsonl,
        (None, Some((Some(exchange::Format::Influx), _))) => ExportFormat::Influx,
        (None, None) if global.json => ExportFormat::Jsonl,
        (None, _) => ExportFormat::Csv,
    })
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Where pictures go.
struct Album {
    /// A second one: the first is busy with the readings.
    reader: Reader,
    folder: PathBuf,
}

impl Album {
    fn new(log: LogFile, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        Ok(Self { reader: Reader::open(log)?, folder: folder.to_owned() })
    }

    /// Writes the picture of a reading, if it is one and still there. Rows are never used again, so a file of
    /// this name is this picture.
    fn keep(&self, line: &Line) -> anyhow::Result<()> {
        if line.channel.kind != ValueKind::Image {
            return Ok(());
        }
        let Some(image) = self.reader.image(line.row)? else { return Ok(()) };
        // Colons are not for every file system.
        let time = line.at.to_string().replace(':', "");
        let ending = image.content_type.extension();
        let path = self.folder.join(format!("{}-{time}-{}.{ending}", line.channel.sensor, line.row));
        fs::write(&path, &image.bytes).with_context(|| format!("{}: cannot be written", path.display()))
    }
}

fn write<W: Write>(
    reader: &mut Reader,
    args: &Args,
    global: &Global,
    format: ExportFormat,
    out: W,
    interrupt: &Interrupt,
) -> anyhow::Result<(u64, W)> {
    let selection = args.span.of(args.which.selection(reader)?)?;
    // Rows are not counted, which would take as long as to write them: how far we are, their times tell.
    let (first, last) = reader.bounds(&selection)?.map_or((0, 0), |(first, last)| (first.0, last.0));
    let length = last.saturating_sub(first).max(1) as f64;
    let (out, bar) = Beside::new(out, Progress::new("exporting", "readings"), args.output.is_none());
    let mut out = Out::new(out, format);
    let album =
        args.images.as_ref().map(|folder| Album::new(args.source.log(global)?, folder)).transpose()?;
    let (mut count, mut written) = (0, Ok(()));
    reader.select(&selection, |line| {
        written = out.write(&line).map_err(anyhow::Error::from);
        if let Some(album) = album.as_ref().filter(|_| written.is_ok()) {
            written = album.keep(&line);
        }
        count += 1;
        if count % 1_000 == 0 {
            bar.borrow_mut().update_part(line.at.0.saturating_sub(first) as f64 / length, count);
            if interrupt.asked() {
                written = Err(anyhow!("stopped"));
            }
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    Ok((count, out.finish()?.into_inner()))
}
