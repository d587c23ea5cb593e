//! The machine itself: temperatures, fans and voltages that the kernel shows under /sys, load, memory,
//! disk and uptime, and on a Raspberry Pi what its firmware says of its supply.
//!
//! What the machine has is looked up when the configuration is read, and again when the sensor is opened
//! (hwmon numbers its chips anew whenever a module is loaded). This file is the driver and what every
//! Linux has; [`sys`] finds the rest.

mod sys;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options;
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "host",
    summary: "this machine: temperatures, load, memory, disk, uptime; on a Pi, under-voltage and throttling",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// A directory on the disk to watch.
    #[schemars(extend("default" = "/"))]
    disk: Option<PathBuf>,
}

#[derive(Debug)]
struct Host {
    /// `/`; a made-up tree in tests.
    root: PathBuf,
    disk: PathBuf,
    quantities: Vec<QuantityInfo>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure_at(Path::new("/"), given)
}

fn configure_at(root: &Path, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let disk = options.disk.unwrap_or_else(|| PathBuf::from("/"));
    if !disk.is_absolute() {
        problems.push(OptionProblem::new("disk", format!("\"{}\" does not begin with /", disk.display())));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let quantities = sources(root).into_iter().map(|(info, _)| info).collect();
    Ok(Arc::new(Host { root: root.to_owned(), disk, quantities }))
}

/// Where a quantity comes from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// 0, 1, 2: mean number of runnable tasks over 1, 5, 15 minutes (proc(5), /proc/loadavg).
    Load(usize),
    MemoryUsed,
    MemoryAvailable,
    DiskUsed,
    DiskFree,
    Uptime,
    /// A file with a number.
    File(sys::File),
}

/// What this machine has, in a fixed order, each name once.
fn sources(root: &Path) -> Vec<(QuantityInfo, Source)> {
    let quantity =
        |name: &'static str, unit, kind, range| QuantityInfo { name: name.into(), unit, kind, range };
    let percent = Some((0.0, 100.0));
    let mut all = vec![
        (quantity("load_1m", "", ValueKind::Float, None), Source::Load(0)),
        (quantity("load_5m", "", ValueKind::Float, None), Source::Load(1)),
        (quantity("load_15m", "", ValueKind::Float, None), Source::Load(2)),
        (quantity("memory_used", "%", ValueKind::Float, percent), Source::MemoryUsed),
        (quantity("memory_available", "B", ValueKind::Integer, None), Source::MemoryAvailable),
        (quantity("disk_used", "%", ValueKind::Float, percent), Source::DiskUsed),
        (quantity("disk_free", "B", ValueKind::Integer, None), Source::DiskFree),
        (quantity("uptime", "s", ValueKind::Integer, None), Source::Uptime),
    ];
    for found in sys::find(root) {
        let mut name = found.name.clone();
        let mut number = 1;
        while all.iter().any(|(info, _)| info.name.as_str() == name) {
            number += 1;
            name = format!("{}_{number}", found.name);
        }
        let info = QuantityInfo { name: name.into(), unit: found.unit, kind: found.file.kind(), range: None };
        all.push((info, Source::File(found.file)));
    }
    all
}

impl Driver for Host {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Worker("host")
    }

    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        let position = |name: &str| self.quantities.iter().position(|info| info.name.as_str() == name);
        let sources = sources(&self.root)
            .into_iter()
            .filter_map(|(info, source)| position(info.name.as_str()).map(|quantity| (quantity, source)))
            .collect();
        Ok(Box::new(Opened { root: self.root.clone(), disk: self.disk.clone(), sources }))
    }
}

struct Opened {
    root: PathBuf,
    disk: PathBuf,
    sources: Vec<(usize, Source)>,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let proc =
            |name: &str| std::fs::read_to_string(self.root.join("proc").join(name)).unwrap_or_default();
        let load = numbers(&proc("loadavg"));
        let uptime = numbers(&proc("uptime"));
        let memory = Memory::parse(&proc("meminfo"));
        let disk = Disk::of(&self.disk);
        let mut measured = Vec::with_capacity(self.sources.len());
        for (quantity, source) in &self.sources {
            let value = match source {
                Source::Load(index) => load.get(*index).copied().map(Value::Float),
                Source::MemoryUsed => memory.as_ref().and_then(|memory| percent(memory.used(), memory.total)),
                Source::MemoryAvailable => memory.as_ref().map(|memory| integer(memory.available)),
                Source::DiskUsed => disk.as_ref().and_then(|disk| percent(disk.used, disk.used + disk.free)),
                Source::DiskFree => disk.as_ref().map(|disk| integer(disk.free)),
                Source::Uptime => uptime.first().map(|seconds| Value::Integer(*seconds as i64)),
                Source::File(file) => file.read(),
            };
            measured.extend(value.map(|value| Measured { quantity: *quantity, value }));
        }
        if measured.is_empty() {
            return Err(SensorError::WrongAnswer(format!(
                "nothing to be read under {}: are /proc and /sys mounted?",
                self.root.display()
            )));
        }
        Ok(measured)
    }
}

/// The numbers at the beginning of a line.
fn numbers(line: &str) -> Vec<f64> {
    let finite = |word: &str| word.parse().ok().filter(|number: &f64| number.is_finite());
    line.split_whitespace().map_while(finite).collect()
}

/// One decimal: what is used changes by less than that all the time.
fn percent(part: u64, whole: u64) -> Option<Value> {
    (whole > 0).then(|| Value::Float((part as f64 / whole as f64 * 1000.0).round() / 10.0))
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Bytes, out of /proc/meminfo (proc(5)).
#[derive(Debug, PartialEq)]
struct Memory {
    total: u64,
    available: u64,
}

impl Memory {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        Some(Self { total: field("MemTotal")?, available: field("MemAvailable")? })
    }

    fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }
}

/// Bytes of a file system, as df(1) counts them: what is kept for root is neither used nor free.
struct Disk {
    used: u64,
    free: u64,
}

impl Disk {
    fn of(path: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(Self {
            used: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

#[cfg(test)]
mod tests;
