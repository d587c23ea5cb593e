//! `sensor-bridge verify`: has everything arrived that was delivered?

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::interrupt::Interrupt;
use super::layout::Layout;
use super::progress::Progress;
use super::rows::{Cell, Format, Rows, local};
use super::source::{Source, Span, known, now, selection};
use super::{Global, terminal};
use crate::config::topic::check_filter;
use crate::exchange::columns::Fixed;
use crate::exchange::verify::{ChannelReport, Received, Report, Window, compare};
use crate::log::Reader;
use crate::reading::{Timestamp, Value};

/// Compare what was delivered with what somebody received
///
/// RECEIVED is the database of a sensor-bridge that mirrors the topics, a CSV file of such a mirror, payloads line
/// by line (mosquitto_sub > FILE.jsonl), or an export. Without it: what this bridge itself mirrors into its log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge verify --since 1d        against the mirror in the same log
  sensor-bridge verify /media/server/bridge.db
  sensor-bridge verify --topic 'castel/+/+/temperature' temperatures.csv
  sensor-bridge verify --since yesterday --json received.jsonl | jq .missing

missing: delivered, and not received. repeated: received again. changed: with
another value or time. disorder: received after a younger one of the same
topic. A mirror that began later than the log, or has only some topics, lacks
the rest: say --since, --sensor, --quantity or --topic.

Exit code: 0 nothing is missing, 1 something is.")]
pub struct Args {
    /// What was received
    received: Option<PathBuf>,
    #[command(flatten)]
    span: Span,
    /// Only this sensor, or SENSOR.QUANTITY; * stands for any letters
    #[arg(long)]
    sensor: Option<String>,
    /// Only this quantity; * stands for any letters
    #[arg(long)]
    quantity: Option<String>,
    /// Only topics of this filter
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    topic: Option<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    layout: Layout,
}

/// Gaps shown of all channels.
const GAPS: usize = 10;

fn filter(text: &str) -> Result<String, String> {
    check_filter(text).map(|()| text.to_owned())
}

/// Compares and shows.
///
/// # Errors
/// A bad configuration, no log, or what was received cannot be read.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let log = args.source.log(global)?;
    let device = global.load().ok().map(|config| config.device.id);
    let received = match &args.received {
        None => Received::Database(log.clone()),
        Some(path) => match Received::is_database(path).with_context(|| path.display().to_string())? {
            true => Received::Database(known(path, global)),
            false => {
                let manner = args.layout.manner(path, Fixed::default(), device)?;
                Received::File(path.clone(), Box::new(manner))
            }
        },
    };
    let window = Window {
        selection: args.span.of(selection(
            args.sensor.as_ref(),
            args.quantity.as_ref(),
            &Reader::open(&log)?,
        )?)?,
        topics: args.topic.clone(),
    };
    let interrupt = Interrupt::watch()?;
    let mut bar = Progress::bytes("comparing");
    if matches!(received, Received::Database(_)) {
        bar = Progress::new("comparing", "rows");
    }
    let report = compare(&log, &received, window, &mut |done, total| {
        bar.update(done, total);
        if interrupt.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.clear();
    let name = args.received.as_ref().unwrap_or(&log.path).display().to_string();
    let Some(report) = report.with_context(|| name.clone())? else { bail!("stopped") };
    let mut out = terminal::out(global.json);
    match global.json {
        true => writeln!(out, "{}", report.as_json())?,
        false => show(&report, &mut out)?,
    }
    Ok(ExitCode::from(u8::from(report.missing() > 0)))
}

fn show(report: &Report, out: &mut impl Write) -> anyhow::Result<()> {
    let mut columns =
        vec!["sensor", "quantity", "qos", "delivered", "received", "missing", "repeated", "changed"];
    if report.by_id {
        columns.push("disorder");
    }
    let several = report.channels.windows(2).any(|pair| pair[0].device != pair[1].device);
    if several {
        columns.insert(0, "device");
    }
    let columns = columns.into_iter().map(str::to_owned).collect();
    let zone = now().time_zone().clone();
    let bold = terminal::colours(&io::stdout());
    let rows = Rows::new(&mut *out, Format::Table, columns, zone.clone(), bold);
    let mut rows = rows.spelled(terminal::letters());
    for channel in &report.channels {
        let ChannelReport { delivered, received, missing, repeated, changed, out_of_order, .. } = channel;
        let mut cells = vec![Cell::Text(channel.sensor.clone()), Cell::Text(channel.quantity.clone())];
        if several {
            cells.insert(0, Cell::Text(channel.device.clone()));
        }
        let mut figures = vec![u64::from(channel.qos), *delivered, *received, *missing, *repeated, *changed];
        if report.by_id {
            figures.push(*out_of_order);
        }
        let number = |figure: u64| Cell::Value(Value::Integer(i64::try_from(figure).unwrap_or(i64::MAX)));
        cells.extend(figures.into_iter().map(number));
        rows.row(&cells)?;
    }
    if report.channels.is_empty() {
        drop(rows);
        writeln!(out, "Nothing was delivered in this range.")?;
    } else {
        rows.finish()?;
    }
    gaps(report, out, |time| local(time, &zone))?;
    for (count, what) in [
        (report.early, "received before the log says so: on their way while this looked"),
        (report.unknown, "received that this log never had"),
        (report.gone, "received and deleted from the log since"),
        (report.without_identity, "messages received without an id of ours"),
        (report.not_published, "received that are only logged, not published"),
        (report.not_compared, "pictures without an id, not compared"),
    ] {
        if count > 0 {
            writeln!(out, "{count} {what}")?;
        }
    }
    verdict(report, out)
}

fn gaps(report: &Report, out: &mut impl Write, local: impl Fn(Timestamp) -> String) -> io::Result<()> {
    let all: u64 = report.sum(|channel| channel.gap_count);
    if all == 0 {
        return Ok(());
    }
    writeln!(out, "\nMissing:")?;
    let each = report.channels.iter().flat_map(|channel| channel.gaps.iter().map(move |gap| (channel, gap)));
    let mut shown = 0;
    for (channel, gap) in each.take(GAPS) {
        let many = if gap.count == 1 { "reading" } else { "readings" };
        let until = if gap.from == gap.to { String::new() } else { format!(" to {}", local(gap.to)) };
        writeln!(
            out,
            "  {} {}: {} {many}, {}{until}",
            channel.sensor,
            channel.quantity,
            gap.count,
            local(gap.from)
        )?;
        shown += 1;
    }
    if all > shown {
        writeln!(out, "  and {} more gaps; --json has them all", all - shown)?;
    }
    writeln!(out)
}

fn verdict(report: &Report, out: &mut impl Write) -> anyhow::Result<()> {
    let nothing: Vec<String> = report
        .channels
        .iter()
        .filter(|channel| channel.received == 0 && channel.delivered > 0)
        .map(|channel| format!("{} {}", channel.sensor, channel.quantity))
        .collect();
    let missing = report.missing();
    if missing == 0 {
        writeln!(out, "Nothing is missing.")?;
        return Ok(());
    }
    let delivered = report.sum(|channel| channel.delivered);
    writeln!(out, "{missing} of {delivered} readings are missing.")?;
    if !nothing.is_empty() && nothing.len() < report.channels.len() {
        writeln!(out, "Nothing at all arrived of {}: are they subscribed to?", nothing.join(", "))?;
    }
    if report.channels.iter().any(|channel| channel.qos == 0 && channel.missing > 0) {
        writeln!(out, "At QoS 0 messages can be lost on the way; set mqtt.qos: 1.")?;
    }
    Ok(())
}
