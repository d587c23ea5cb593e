//! `sensor-bridge buffer status`: what waits to be delivered, and what was refused or lost.

use std::io::Write;
use std::process::ExitCode;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::rows::local;
use super::source::{Source, now};
use super::{Global, terminal};
use crate::log::query::Buffer;
use crate::log::{Reader, Stage};
use crate::reading::Timestamp;

/// Look at what waits for the broker
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge buffer status")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(Status),
}

/// Show what waits for delivery, what was refused and what was lost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge buffer status
  sensor-bridge buffer status --json | jq .waiting")]
struct Status {
    #[command(flatten)]
    source: Source,
}

/// Shows.
///
/// # Errors
/// A bad configuration, or no log.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let Command::Status(status) = &args.command;
    let buffer = Reader::open(status.source.log(global)?)?.buffer()?;
    let text = match global.json {
        true => serde_json::to_string_pretty(&as_json(&buffer))?,
        false => terminal::page(&plain(&buffer, &now())).into_owned(),
    };
    writeln!(terminal::out(global.json), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(buffer: &Buffer) -> Json {
    let text = |time: Timestamp| time.to_string();
    json!({
        "rows": buffer.rows,
        "last_row": buffer.last_row,
        "cursor": buffer.cursor,
        "waiting": buffer.waiting,
        "oldest": buffer.oldest.map(text),
        "late": buffer.late.iter().map(|(range, count)| {
            json!({ "next": range.next, "end": range.end, "waiting": count })
        }).collect::<Vec<_>>(),
        "in_flight": buffer.in_flight.iter().map(|entry| {
            json!({ "row": entry.row, "packet_id": entry.packet_id, "stage": stage(entry.stage) })
        }).collect::<Vec<_>>(),
        "refused": buffer.refused,
        "refusals": buffer.refusals.iter().map(|(reason, count)| {
            json!({ "reason": reason, "count": count })
        }).collect::<Vec<_>>(),
        "gaps": buffer.gaps.iter().map(|(reason, lost, last)| {
            json!({ "reason": reason, "lost": lost, "last": text(*last) })
        }).collect::<Vec<_>>(),
    })
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Sent => "sent",
        Stage::Released => "released",
        Stage::Done => "done",
    }
}

fn readings(count: impl Into<i128>) -> String {
    match count.into() {
        1 => "1 reading".to_owned(),
        count => format!("{count} readings"),
    }
}

fn plain(buffer: &Buffer, now: &Zoned) -> String {
    let zone = now.time_zone();
    let mut lines = vec![
        format!("log        {}, the newest is row {}", readings(buffer.rows), buffer.last_row),
        format!("delivered  up to row {}", buffer.cursor),
        match buffer.oldest {
            None => "waiting    nothing".to_owned(),
            Some(oldest) => {
                format!("waiting    {}, the oldest of {}", readings(buffer.waiting), age(oldest, now, zone))
            }
        },
    ];
    for (range, count) in &buffer.late {
        lines.push(format!("late       rows {} to {}, {}", range.next, range.end, readings(*count)));
    }
    if !buffer.in_flight.is_empty() {
        let count = buffer.in_flight.len();
        lines.push(format!("in flight  {count} QoS 2 hand-shake{}", if count == 1 { "" } else { "s" }));
    }
    for (reason, count) in &buffer.refusals {
        lines.push(format!("refused    {}: {reason}", readings(*count)));
    }
    for (reason, lost, last) in &buffer.gaps {
        let why = match reason.as_str() {
            "retention" => "deleted before delivery (log.retention.max_size)",
            _ => "not taken because the disk did not keep up",
        };
        lines.push(format!("lost       {}, {why}; last {}", readings(*lost), local(*last, zone)));
    }
    lines.join("\n")
}

/// `2026-11-20 08:00:00.000+01:00 (2h 5m ago)`
fn age(time: Timestamp, now: &Zoned, zone: &TimeZone) -> String {
    let minutes = (now.timestamp().as_microsecond() - time.0) / 60_000_000;
    let ago = match minutes {
        ..0 => "in the future".to_owned(),
        0 => "less than a minute ago".to_owned(),
        1..60 => format!("{minutes}m ago"),
        60..1440 => format!("{}h {}m ago", minutes / 60, minutes % 60),
        _ => format!("{}d {}h ago", minutes / 1440, minutes % 1440 / 60),
    };
    format!("{} ({ago})", local(time, zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{InFlight, RowRange};

    fn buffer() -> Buffer {
        Buffer {
            rows: 90,
            last_row: 100,
            cursor: 60,
            waiting: 45,
            oldest: Some(Timestamp(0)),
            late: vec![(RowRange { next: 11, end: 20 }, 1)],
            in_flight: vec![InFlight { row: 61, packet_id: 1, stage: Stage::Released }],
            refused: 2,
            refusals: vec![("quota exceeded".into(), 2)],
            gaps: vec![("retention".into(), 10, Timestamp(0))],
        }
    }

    #[test]
    fn plain_words() {
        let now = "1970-01-01T03:05:00+01:00[+01:00]".parse().unwrap();
        assert_eq!(
            plain(&buffer(), &now),
            "log        90 readings, the newest is row 100\n\
             delivered  up to row 60\n\
             waiting    45 readings, the oldest of 1970-01-01 01:00:00.000+01:00 (2h 5m ago)\n\
             late       rows 11 to 20, 1 reading\n\
             in flight  1 QoS 2 hand-shake\n\
             refused    2 readings: quota exceeded\n\
             lost       10 readings, deleted before delivery (log.retention.max_size); last 1970-01-01 01:00:00.000+01:00"
        );
    }

    #[test]
    fn json_has_the_same() {
        let json = as_json(&buffer());
        assert_eq!(json["waiting"], 45);
        assert_eq!(json["oldest"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(json["in_flight"][0]["stage"], "released");
        assert_eq!(json["gaps"][0]["lost"], 10);
    }
}
