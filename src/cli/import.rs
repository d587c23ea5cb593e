//! `sensor-bridge import`: a history from a file into the log.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value as Json, json};

use super::interrupt::Interrupt;
use super::layout::{Layout, days};
use super::progress::Progress;
use super::source::{Source, now};
use super::{Global, terminal};
use crate::config::Config;
use crate::enrich::clock;
use crate::exchange::columns::Fixed;
use crate::exchange::import::{self, Account};
use crate::exchange::publish;
use crate::exchange::survey::{Manner, Survey, survey};
use crate::log::intake::Intake;
use crate::log::{Log, LogError, LogFile, Machine, Reader};
use crate::reading::{Channel, Timestamp};
use crate::status::Board;

/// Put readings of a CSV, JSON or line protocol file into the log
///
/// The daemon may be running. The whole file is looked through first: if one line is wrong, nothing goes in. What
/// the log has already is left out, so the same file can be imported again. Nothing of it is published.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge import export.csv                       what export wrote
  sensor-bridge import --dry-run history.csv            what would go in
  sensor-bridge import --sensor air --quantity temperature --unit degC \\
      --zone Europe/Paris history.csv
  sensor-bridge import --sensor air --time-column Datum --decimal-comma \\
      --value-column Temp=temperature --value-column Hum=humidity logger.csv
  sensor-bridge import --time-unit s dump.lp

Ctrl-C stops it after the last thousands of readings; the same command goes on
where it was. --publish needs the daemon to be stopped: its next start
publishes what was imported, as the configuration says, after what waits.

Exit code: 0 it is in the log, 1 it is not, or not all of it.")]
pub struct Args {
    /// Files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only say what would go in, or what is wrong
    #[arg(long)]
    dry_run: bool,
    /// A quantity may have both numbers and texts
    #[arg(long)]
    mixed: bool,
    /// Publish it, too, as the configuration says; the daemon must not run
    #[arg(long, conflicts_with_all = ["dry_run", "database"])]
    publish: bool,
    /// The device of all readings; else the file's, else device.id
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// The sensor of all readings
    #[arg(long, value_name = "ID")]
    sensor: Option<String>,
    /// The quantity of all readings
    #[arg(long, value_name = "NAME")]
    quantity: Option<String>,
    /// The unit of all readings
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    layout: Layout,
}

/// A file that was looked through.
struct Seen<'a> {
    path: &'a Path,
    manner: Manner,
    survey: Survey,
}

/// Imports.
///
/// # Errors
/// A bad configuration, no log, a file with wrong lines.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let config = match &args.source.database {
        Some(_) => global.load().ok(),
        None => Some(global.load()?),
    };
    let log = args.source.log(global)?;
    let interrupt = Interrupt::watch()?;
    let device = config.as_ref().map(|config| config.device.id.clone());
    let known = known(&log, args.dry_run)?;
    let mut seen = Vec::new();
    for path in &args.files {
        let Some(one) = look(args, path, device.clone(), &known, &interrupt)? else {
            bail!("stopped; nothing was imported");
        };
        seen.push(one);
    }
    if refused(&seen) {
        terminal::say("nothing was imported");
        return Ok(ExitCode::FAILURE);
    }
    for one in &seen {
        notes(one, config.as_ref().filter(|config| config.log.path == log.path));
    }
    if args.dry_run {
        return dry(&seen, global);
    }
    let mut accounts = Vec::new();
    let mut done = Ok(());
    for one in &seen {
        let mut account = Account::default();
        done = match (args.publish, &config) {
            (true, Some(config)) => publish_one(one, config, &mut account, &interrupt),
            _ => import_one(one, &log, &mut account, &interrupt),
        };
        let stopped = account.stopped || done.is_err();
        accounts.push((one, account));
        if stopped {
            break;
        }
    }
    tell(&accounts, global)?;
    done?;
    if accounts.iter().any(|(_, account)| account.stopped) {
        bail!("stopped; the same command goes on where it was");
    }
    Ok(ExitCode::SUCCESS)
}

/// The channels of the log, by which a file's values are understood.
fn known(log: &LogFile, dry: bool) -> anyhow::Result<Vec<Arc<Channel>>> {
    match Reader::open(log).and_then(|reader| reader.known()) {
        Err(LogError::Missing { .. }) if dry => Ok(Vec::new()),
        known => Ok(known?),
    }
}

fn look<'a>(
    args: &Args,
    path: &'a Path,
    device: Option<String>,
    known: &[Arc<Channel>],
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Seen<'a>>> {
    let fixed = Fixed {
        device: args.device.clone(),
        sensor: args.sensor.clone(),
        quantity: args.quantity.clone(),
        unit: args.unit.clone(),
    };
    let mut manner = args.layout.manner(path, fixed, device)?;
    manner.mixed = args.mixed;
    let mut bar = Progress::bytes("checking");
    let found = survey(path, &manner, known, &mut watched(&mut bar, interrupt));
    let found = found.with_context(|| path.display().to_string())?;
    Ok(found.map(|survey| Seen { path, manner, survey }))
}

/// Shows how far it is, and breaks off when asked to.
fn watched<'a>(
    bar: &'a mut Progress,
    interrupt: &'a Interrupt,
) -> impl FnMut(u64, u64) -> ControlFlow<()> + 'a {
    move |done, total| {
        bar.update(done, total);
        if interrupt.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Whether lines are wrong; says which.
fn refused(seen: &[Seen<'_>]) -> bool {
    for Seen { path, survey, .. } in seen {
        for wrong in &survey.examples {
            terminal::say(format_args!("{}:{}: {}", path.display(), wrong.line, wrong.what));
        }
        let more = survey.wrong - survey.examples.len() as u64;
        if more > 0 {
            terminal::say(format_args!("{}: and {more} more", path.display()));
        }
    }
    seen.iter().any(|one| one.survey.wrong > 0)
}

/// What somebody would want to know before.
fn notes(Seen { path, survey, .. }: &Seen<'_>, config: Option<&Config>) {
    let path = path.display();
    if survey.missing > 0 {
        let what = if survey.missing == 1 { "value is" } else { "values are" };
        terminal::say(format_args!("{path}: {} {what} missing and left out", survey.missing));
    }
    if !survey.unused.is_empty() {
        let unused: Vec<&str> = survey.unused.iter().map(String::as_str).collect();
        terminal::say(format_args!("{path}: not imported: {}", unused.join(", ")));
    }
    if let Some(age) = config.and_then(|config| config.log.retention.max_age) {
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let cut = Timestamp(clock::now().wall.0.saturating_sub(micros));
        if survey.series.iter().any(|found| found.first < cut) {
            terminal::say(format_args!(
                "{path}: readings older than log.retention.max_age ({}) are deleted again by the daemon; raise it to keep them",
                days(age)
            ));
        }
    }
}

fn dry(seen: &[Seen<'_>], global: &Global) -> anyhow::Result<ExitCode> {
    let mut out = terminal::out(global.json);
    if global.json {
        let files: Vec<Json> = seen.iter().map(|one| as_json(one, None)).collect();
        writeln!(out, "{}", json!({ "files": files }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for Seen { path, survey, .. } in seen {
        writeln!(out, "{}: {} readings", path.display(), survey.readings)?;
        for found in &survey.series {
            let series = &found.series;
            let unit = if series.unit.is_empty() { String::new() } else { format!(" ({})", series.unit) };
            writeln!(
                out,
                "  {} {} {}{unit}: {} {}, {} to {}",
                series.device,
                series.sensor,
                series.quantity,
                found.readings,
                found.rule.word(),
                short(found.first),
                short(found.last)
            )?;
        }
    }
    writeln!(out, "Nothing was imported: --dry-run")?;
    Ok(ExitCode::SUCCESS)
}

/// A time as a person reads it.
fn short(time: Timestamp) -> String {
    let text = super::rows::local(time, now().time_zone());
    text.split_once('.').map_or(text.clone(), |(seconds, _)| seconds.to_owned())
}

fn import_one(
    one: &Seen<'_>,
    log: &LogFile,
    account: &mut Account,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut intake = Intake::open(log)?;
    let mut bar = Progress::bytes("importing");
    let mut watch = watched(&mut bar, interrupt);
    import::import(one.path, &one.manner, &one.survey, &mut intake, account, &mut watch)
        .with_context(|| one.path.display().to_string())
}

fn publish_one(
    one: &Seen<'_>,
    config: &Config,
    account: &mut Account,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let channels = publish::channels(&one.survey, config).map_err(|wrong| {
        anyhow::anyhow!("{}: cannot be published:\n  {}", one.path.display(), wrong.join("\n  "))
    })?;
    let machine = Machine { boot_id: clock::boot_id()?, now: clock::now };
    let log = match Log::open(&config.log, &machine, &Board::new()) {
        Err(LogError::Locked { .. }) => bail!(
            "--publish puts readings into the queue of the daemon, which must not run meanwhile: sudo systemctl stop \
             sensor-bridge, import, sudo systemctl start sensor-bridge"
        ),
        opened => opened?,
    };
    let mut bar = Progress::bytes("importing");
    let mut watch = watched(&mut bar, interrupt);
    let done = publish::publish(one.path, &one.manner, &one.survey, &channels, &log, account, &mut watch);
    log.close()?;
    done.with_context(|| one.path.display().to_string())
}

fn as_json(Seen { path, survey, .. }: &Seen<'_>, account: Option<&Account>) -> Json {
    let series = survey.series.iter().map(|found| {
        let series = &found.series;
        json!({
            "device": series.device, "sensor": series.sensor, "quantity": series.quantity, "unit": series.unit,
            "readings": found.readings, "kind": found.rule.word(),
            "first": found.first.to_string(), "last": found.last.to_string(),
        })
    });
    json!({
        // A name that is no UTF-8 is no JSON either.
        "file": path.display().to_string(), "readings": survey.readings, "missing": survey.missing, "unused": survey.unused,
        "added": account.map(|account| account.added), "present": account.map(|account| account.present),
        "series": series.collect::<Vec<_>>(),
    })
}

fn tell(accounts: &[(&Seen<'_>, Account)], global: &Global) -> anyhow::Result<()> {
    let mut out = terminal::out(global.json);
    if global.json {
        let files: Vec<Json> = accounts.iter().map(|(one, account)| as_json(one, Some(account))).collect();
        writeln!(out, "{}", json!({ "files": files }))?;
        return Ok(());
    }
    for (one, Account { added, present, .. }) in accounts {
        let rest = one.survey.readings.saturating_sub(added + present);
        let rest = if rest > 0 { format!(", {rest} not looked at") } else { String::new() };
        writeln!(out, "{}: {added} readings added, {present} were there already{rest}", one.path.display())?;
    }
    Ok(())
}
