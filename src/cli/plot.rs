//! `sensor-bridge plot`: readings as a picture, in the terminal or in a file. The room `plot` draws.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value as Json, json};

use super::Global;
use super::rows::local;
use super::source::{Source, in_order, now, time};
use super::terminal::{self, Letters, spelled};
use crate::log::Reader;
use crate::log::latest::Name;
use crate::log::series::{self, Ask};
use crate::plot::text::{LOWEST, Look, NARROWEST};
use crate::plot::{Marks, Plot, SIZES, Series, choose, png, svg, text};
use crate::reading::{Timestamp, ValueKind};

/// What is shown unless --since says more or less, µs.
const DAY: i64 = 86_400_000_000;

/// A terminal plot is not higher than this unless asked for: it shall leave room for the next.
const ROWS: usize = 22;

/// And not wider, whatever a terminal says of itself.
const WIDEST: usize = 1_000;

/// And one of switches only not higher than this.
const STATES: usize = 10;

/// Draw readings of the log, in the terminal or as a picture
///
/// Each column shows the lowest and the highest value of its time, so that no spike is lost; where readings are
/// missing the line is interrupted. Two units are drawn with an axis each. Times are written as for query.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge plot air.temperature
  sensor-bridge plot air.temperature air.humidity --since 7d
  sensor-bridge plot '*.temperature' --since yesterday --until today
  sensor-bridge plot air.temperature --since 30d --png air.png --size 1200x600
  sensor-bridge plot air.temperature --json | jq '.[0].buckets[].max'")]
pub struct Args {
    /// Quantities, up to six; * stands for any letters; a sensor alone for all of its quantities
    #[arg(required = true, value_name = "SENSOR.QUANTITY")]
    quantities: Vec<String>,
    /// Not before this time; 24 hours before the end unless given
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before this time; now unless given
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Write a picture as SVG instead
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,
    /// Write a picture as PNG instead
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    png: Option<PathBuf>,
    /// Pixels of the picture
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "960x480", value_parser = size)]
    size: (u32, u32),
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Columns in the terminal; all of them unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(NARROWEST as i64..=WIDEST as i64))]
    width: Option<u16>,
    /// Rows in the terminal
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(LOWEST as i64..=500))]
    height: Option<u16>,
    /// What lines are made of in the terminal; what it can show unless given
    #[arg(long, value_enum)]
    style: Option<Style>,
    #[command(flatten)]
    source: Source,
}

/// What lines are made of.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Style {
    /// Fine dots
    Braille,
    /// Half blocks, for fonts without braille
    Block,
    /// Points and colons
    Ascii,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| text.parse().ok().filter(|side| SIZES.contains(side));
    let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    sides.ok_or_else(|| {
        format!("width x height in pixels, each {} to {}, such as 960x480", SIZES.start, SIZES.end - 1)
    })
}

/// Draws.
///
/// # Errors
/// A bad configuration, no log, a quantity that it does not have, three units, a file that exists.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let taken = [&args.svg, &args.png].into_iter().flatten().find(|path| path.exists());
    if let Some(path) = taken.filter(|_| !args.force) {
        bail!("{}: exists already; give another name, or --force to replace it", path.display());
    }
    let present = now();
    let known = Timestamp(present.timestamp().as_microsecond());
    let until = args.until.unwrap_or(known);
    let since = args.since.unwrap_or(Timestamp(until.0.saturating_sub(DAY)));
    in_order(Some(since), args.until)?;
    if since >= known {
        bail!("--since is in the future, of which nothing is known");
    }
    let reader = Reader::open(args.source.log(global)?)?;
    let names = reader.names()?;
    let names = choose(&names, &args.quantities)?;
    let mut look = look(args);
    // As many buckets as the drawing has columns of dots.
    let pictures = args.svg.is_some() || args.png.is_some();
    let columns = if pictures { args.size.0 as usize } else { look.width * 2 };
    let end = until.0.min(known.0);
    let mut found = Vec::new();
    for name in &names {
        let ask = Ask {
            rhythm: args.source.rhythm(global, &name.sensor, &name.quantity),
            ..Ask::new(&name.sensor, &name.quantity, (since.0, end), columns)
        };
        found.push((format!("{}.{}", name.sensor, name.quantity), reader.series(&ask)?));
    }
    if global.json {
        let all: Vec<Json> = found.iter().map(|(name, series)| as_json(name, series)).collect();
        writeln!(terminal::out(true), "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.iter().all(|(_, series)| series.buckets.is_empty() && series.before.is_none()) {
        bail!("{}", nothing(&reader, &names, present.time_zone())?);
    }
    // On and off need no height.
    if args.height.is_none() && found.iter().all(|(_, series)| series.kind == ValueKind::Bool) {
        look.height = look.height.min(STATES);
    }
    let letters = if pictures { Letters::Unicode } else { terminal::letters() };
    let series = found.iter().map(|(name, series)| {
        let drawn = Series::of(spelled(name, letters), series);
        Series { unit: spelled(&drawn.unit, letters).into_owned(), ..drawn }
    });
    let plot = Plot { series: series.collect(), since, until, known, zone: present.time_zone().clone() };
    let (width, height) = args.size;
    if let Some(path) = &args.svg {
        write(path, svg::draw(&plot, width, height)?.as_bytes())?;
    }
    if let Some(path) = &args.png {
        write(path, &png::draw(&plot, width, height)?)?;
    }
    if !pictures {
        terminal::out(false).write_all(text::draw(&plot, &look)?.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn look(args: &Args) -> Look {
    let (columns, rows) = terminal::size();
    let marks = match args.style {
        Some(Style::Braille) => Marks::Braille,
        Some(Style::Block) => Marks::Block,
        Some(Style::Ascii) => Marks::Ascii,
        None if terminal::letters() == Letters::Ascii => Marks::Ascii,
        None if terminal::is_console() => Marks::Block,
        None => Marks::Braille,
    };
    // Two rows are left for the prompt before and after.
    let height = rows.map_or(ROWS, |rows| rows.saturating_sub(2).min(ROWS));
    Look {
        width: args.width.map_or(columns, usize::from).clamp(NARROWEST, WIDEST),
        height: args.height.map_or(height, usize::from).max(LOWEST),
        marks,
        colour: terminal::colours(&std::io::stdout()),
    }
}

/// That there is nothing, and when there was something.
fn nothing(reader: &Reader, names: &[&Name], zone: &jiff::tz::TimeZone) -> anyhow::Result<String> {
    let latest = reader.latest()?;
    let ours = latest.iter().filter(|latest| {
        names.iter().any(|name| name.sensor == latest.name.sensor && name.quantity == latest.name.quantity)
    });
    Ok(match ours.map(|latest| latest.at).max() {
        Some(at) => {
            format!(
                "no readings in this time; the newest is of {}: ask with --since or --until",
                local(at, zone)
            )
        }
        None => "no readings in this time, and none before: the log has kept none of it".to_owned(),
    })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?;
    terminal::say(format_args!("written to {}", path.display()));
    Ok(())
}

fn as_json(name: &str, series: &series::Series) -> Json {
    let text = |time: i64| Timestamp(time).to_string();
    json!({
        "name": name,
        "unit": series.unit,
        "buckets": series.buckets.iter().map(|bucket| json!({
            "begin": text(bucket.begin),
            "end": text(bucket.end),
            "count": bucket.count,
            "min": bucket.min,
            "mean": bucket.mean,
            "max": bucket.max,
            "first": bucket.first,
            "last": bucket.last,
        })).collect::<Vec<_>>(),
        "gaps": series.gaps.iter().map(|gap| json!({
            "begin": text(gap.begin),
            "end": text(gap.end),
            "why": gap.why.word(),
        })).collect::<Vec<_>>(),
    })
}
