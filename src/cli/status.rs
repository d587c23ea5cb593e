//! `sensor-bridge status`: how the running daemon is. Shows the facts that it answers with.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use jiff::tz::TimeZone;

use super::rows::{Cell, Format, Rows};
use super::source::now;
use super::{Global, terminal};
use crate::config::{self, Config, Problems};
use crate::facts::ask::Door;
use crate::facts::socket::Answer;
use crate::facts::words::{bytes, count, duration, level};
use crate::facts::{Broker, Condition, Event, LogFacts, Machine, Snapshot, Word};

/// So many of the last events are shown; `--json` has all that the daemon remembers.
const EVENTS: usize = 5;

/// Show how the running bridge is
///
/// Broker, clock, log, every sensor, output and mirror, and what happened last. Asked over a socket that root and members of
/// the group sensor-bridge may use.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge status
  sensor-bridge status --json | jq '.sensors[] | select(.state != \"ok\")'
  sensor-bridge status --prometheus > /var/lib/node_exporter/sensor_bridge.prom

Exit code: 0 healthy, 1 not healthy (the reasons are shown) or not running.")]
pub struct Args {
    #[command(flatten)]
    door: DoorArgs,
    /// Answer with the metrics in Prometheus' text format
    #[arg(long, conflicts_with = "json")]
    prometheus: bool,
}

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub struct DoorArgs {
    /// Ask at this socket instead of the one in the configuration
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

impl DoorArgs {
    /// The daemon to ask.
    ///
    /// # Errors
    /// A bad configuration, if that has to say, or one without a socket.
    pub fn door(&self, global: &Global) -> anyhow::Result<Door> {
        match &self.socket {
            Some(path) => Ok(Door::at(path.clone())),
            None => Ok(Door::of(&running(global)?)?),
        }
    }
}

/// The configuration as far as it says where the daemon is. One that was spoiled while it runs, and not taken over, must
/// not keep anybody from asking how it is.
fn running(global: &Global) -> Result<Config, Problems> {
    global.load().or_else(|problems| {
        let outline = global.path().is_file().then(|| config::outline(global.path(), config::environment()));
        outline.flatten().ok_or(problems)
    })
}

/// Asks and shows.
///
/// # Errors
/// No daemon answers, or standard output cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let door = args.door.door(global)?;
    let mut out = terminal::out(global.json || args.prometheus);
    if args.prometheus {
        let Answer::Metrics(text) = door.ask("metrics")? else { bail!("the daemon answered something else") };
        out.write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let Answer::Status(snapshot) = door.ask("status")? else { bail!("the daemon answered something else") };
    if global.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&snapshot)?)?;
    } else {
        let colours = terminal::colours(&io::stdout());
        let text = plain(&snapshot, now().time_zone(), colours)?;
        out.write_all(terminal::page(&text).as_bytes())?;
    }
    Ok(ExitCode::from(u8::from(!snapshot.health.healthy)))
}

/// Paints for a terminal (ECMA-48), or does not.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, colour: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.with(32, text)
    }

    fn bad(self, text: &str) -> String {
        self.with(31, text)
    }

    fn doubtful(self, text: &str) -> String {
        self.with(33, text)
    }

    /// `ok for 1 h 0 m`, `failed for 12 s: connection refused`
    fn condition(self, condition: &Condition) -> String {
        let Condition { state, reason, state_seconds } = condition;
        let word = state.as_str();
        let word = match state {
            Word::Ok => self.good(word),
            Word::Failed => self.bad(word),
            Word::Degraded | Word::Starting => self.doubtful(word),
            Word::Stopped => word.to_owned(),
        };
        let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("{word} for {}{reason}", duration(*state_seconds))
    }
}

fn plain(snapshot: &Snapshot, zone: &TimeZone, colours: bool) -> io::Result<String> {
    let paint = Paint(colours);
    let mut page = heading(snapshot, paint);
    let mut section = |name: &str, lines: Vec<String>| {
        for (number, line) in lines.iter().enumerate() {
            page.push(format!("{:<9}{line}", if number == 0 { name } else { "" }));
        }
    };
    section("broker", broker(snapshot.broker.as_ref(), paint));
    let clock = snapshot.clock.quality.as_str();
    section("clock", vec![if clock == "synced" { paint.good(clock) } else { paint.doubtful(clock) }]);
    section("log", log(&snapshot.log, &snapshot.database, paint));
    section("machine", vec![machine(&snapshot.machine)]);
    for part in &snapshot.parts {
        section(&part.part, vec![format!(" {}", paint.condition(&part.condition))]);
    }
    let mut text = page.join("\n") + "\n";
    if !snapshot.sensors.is_empty() {
        text += &format!("\n{}", sensors(snapshot, zone, colours)?);
    }
    if !snapshot.outputs.is_empty() {
        text += &format!("\n{}", outputs(snapshot, zone, colours)?);
    }
    if !snapshot.mirrors.is_empty() {
        text += &format!("\n{}", mirrors(snapshot, zone, colours)?);
    }
    let skipped = snapshot.events.len().saturating_sub(EVENTS);
    if skipped < snapshot.events.len() {
        text += &format!("\nlast events, {} since the start\n", many(snapshot.warnings, "warning"));
    }
    for Event { age_seconds, part, what, warning, .. } in &snapshot.events[skipped..] {
        let what = if *warning { paint.doubtful(what) } else { what.clone() };
        text += &format!("{:>9} ago  {part}: {what}\n", duration(*age_seconds));
    }
    Ok(text)
}

fn many(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

fn heading(snapshot: &Snapshot, paint: Paint) -> Vec<String> {
    let Snapshot { version, device, uptime_seconds, health, .. } = snapshot;
    let verdict = if health.healthy { paint.good("healthy") } else { paint.bad("NOT HEALTHY") };
    let mut lines =
        vec![format!("sensor-bridge {version} on {device}, up {}: {verdict}", duration(*uptime_seconds))];
    lines.extend(health.reasons.iter().map(|reason| format!("  {} {reason}", paint.bad("fault  "))));
    lines.extend(health.warnings.iter().map(|warning| format!("  {} {warning}", paint.doubtful("warning"))));
    lines.push(String::new());
    lines
}

fn broker(broker: Option<&Broker>, paint: Paint) -> Vec<String> {
    let Some(broker) = broker else {
        return vec!["none in the configuration: readings are only logged".into()];
    };
    let mut link = format!("{}, {}", broker.url, paint.condition(&broker.condition));
    if let Some(retry) = broker.retry_seconds {
        link += &format!("; tried again within {}", duration(retry));
    }
    let mut traffic = Vec::new();
    traffic.extend(broker.round_trip_seconds.map(|took| format!("round trip {}", duration(took))));
    traffic.push(format!("{} in flight", count(broker.in_flight)));
    let late =
        if broker.late_rows > 0 { format!(" ({} late)", count(broker.late_rows)) } else { String::new() };
    traffic.push(format!("backlog {} rows{late}", count(broker.backlog_rows)));
    if let Some(left) = broker.drain_seconds_left {
        traffic.push(format!("{:.0} rows/s, gone in {}", broker.drain_per_second, duration(left)));
    }
    let mut totals = vec![format!("{} published", count(broker.published))];
    totals
        .extend((broker.refused > 0).then(|| paint.doubtful(&format!("{} refused", count(broker.refused)))));
    totals.extend((broker.discarded > 0).then(|| format!("{} given up (QoS 0)", count(broker.discarded))));
    totals.extend((broker.thinned > 0).then(|| format!("{} gave way to newer ones", count(broker.thinned))));
    totals.push(many(broker.connections, "connection"));
    vec![link, traffic.join(", "), totals.join(", ")]
}

fn log(log: &LogFacts, database: &str, paint: Paint) -> Vec<String> {
    let since = log.oldest.as_deref().map_or_else(String::new, |oldest| {
        // The date is enough.
        format!(" since {}", oldest.get(..10).unwrap_or(oldest))
    });
    let mut held = vec![format!("{} rows{since}", count(log.rows)), bytes(log.size_bytes)];
    let limits = [log.max_age_seconds.map(duration), log.max_size_bytes.map(bytes)];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    held.extend((!limits.is_empty()).then(|| format!("kept up to {}", limits.join(" and "))));
    held.push(format!("longest commit {}", duration(log.commit_max_seconds)));
    let mut lines = vec![format!("{database}, {}", paint.condition(&log.condition)), held.join(", ")];
    lines.extend(log.gaps.iter().map(|gap| {
        let why = match gap.reason.as_str() {
            "retention" => "deleted before delivery (log.retention.max_size)",
            _ => "not taken because the disk did not keep up",
        };
        let last = gap.last.get(..10).unwrap_or(&gap.last);
        paint.doubtful(&format!("{} readings lost, {why}; last {last}", count(gap.lost)))
    }));
    lines.extend((log.refused > 0).then(|| format!("{} readings refused by the broker", count(log.refused))));
    lines
}

fn machine(machine: &Machine) -> String {
    let of = |free: Option<u64>, total: Option<u64>, what: &str| {
        Some(format!("{what} {} of {} free", bytes(free?), bytes(total?)))
    };
    let parts = [
        of(machine.disk_free_bytes, machine.disk_total_bytes, "disk"),
        of(machine.memory_available_bytes, machine.memory_total_bytes, "memory"),
        machine.memory_resident_bytes.map(|resident| format!("the bridge has {}", bytes(resident))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn table(columns: &[&str], rows: &[Vec<String>], zone: &TimeZone, bold: bool) -> io::Result<String> {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    let mut table =
        Rows::new(Vec::new(), Format::Table, columns, zone.clone(), bold).spelled(terminal::letters());
    for row in rows {
        let cells: Vec<Cell> = row.iter().cloned().map(Cell::Text).collect();
        table.row(&cells)?;
    }
    Ok(String::from_utf8_lossy(&table.finish()?).into_owned())
}

fn sensors(snapshot: &Snapshot, zone: &TimeZone, bold: bool) -> io::Result<String> {
    let time = |seconds: Option<f64>| seconds.map(duration).unwrap_or_default();
    let mut rows = Vec::new();
    for sensor in &snapshot.sensors {
        // The reason stands at the top of the page, among the faults and warnings.
        let state = sensor.condition.state.as_str().to_owned();
        let mut head = (sensor.sensor.clone(), time(sensor.next_read_seconds), state);
        for quantity in &sensor.quantities {
            let value = quantity
                .value
                .as_ref()
                .map_or_else(String::new, |value| format!("{value} {}", quantity.unit).trim_end().to_owned());
            let verdict = quantity.verdict.clone().unwrap_or_default();
            let (name, next, state) = std::mem::take(&mut head);
            rows.push(vec![
                name,
                quantity.quantity.clone(),
                value,
                time(quantity.age_seconds),
                verdict,
                next,
                state,
            ]);
        }
        if !head.0.is_empty() {
            let (name, next, state) = head;
            rows.push(vec![name, String::new(), String::new(), String::new(), String::new(), next, state]);
        }
    }
    table(&["sensor", "quantity", "value", "age", "verdict", "next", "state"], &rows, zone, bold)
}

fn outputs(snapshot: &Snapshot, zone: &TimeZone, bold: bool) -> io::Result<String> {
    let rows: Vec<Vec<String>> = snapshot
        .outputs
        .iter()
        .map(|output| {
            vec![
                output.output.clone(),
                level(output.level, output.digital),
                count(output.changes),
                count(output.refused),
                output.condition.state.as_str().to_owned(),
            ]
        })
        .collect();
    table(&["output", "level", "changes", "refused", "state"], &rows, zone, bold)
}

fn mirrors(snapshot: &Snapshot, zone: &TimeZone, bold: bool) -> io::Result<String> {
    let rows: Vec<Vec<String>> = snapshot
        .mirrors
        .iter()
        .map(|mirror| {
            vec![
                mirror.mirror.clone(),
                mirror.to.clone(),
                count(mirror.stored),
                count(mirror.refused),
                format!("{:.1}/s", mirror.per_second),
                mirror.last_message_seconds.map(duration).unwrap_or_default(),
                mirror.condition.state.as_str().to_owned(),
            ]
        })
        .collect();
    table(&["mirror", "to", "stored", "refused", "rate", "last", "state"], &rows, zone, bold)
}
