//! Which log a subcommand reads, and the words for times that several of them take.

use std::path::{Path, PathBuf};

use anyhow::bail;
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::Global;
use crate::config::{Change, Sensor};
use crate::enrich::clock;
use crate::log::query::{Selection, fits};
use crate::log::series::Rhythm;
use crate::log::times::{self, NotATime};
use crate::log::{ENCRYPTS, LogError, LogFile, Reader};
use crate::reading::Timestamp;

/// Where the readings are.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Use this log (a backup, say) instead of the one in the configuration
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

impl Source {
    /// The log. One that is named here has the key of the configuration, or none.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, if that has to say.
    pub fn log(&self, global: &Global) -> anyhow::Result<LogFile> {
        match &self.database {
            Some(path) if !path.exists() => {
                bail!("{}: there is no such file; --database names a log, or a backup of one", path.display())
            }
            Some(path) => Ok(known(path, global)),
            None => Ok(LogFile::from(&global.load()?.log)),
        }
    }

    /// How often readings of a quantity come, as far as the configuration knows. That of another log says
    /// nothing of it.
    pub fn rhythm(&self, global: &Global, sensor: &str, quantity: &str) -> Rhythm {
        if self.database.is_some() {
            return Rhythm::Unknown;
        }
        let Ok(config) = global.load() else { return Rhythm::Unknown };
        let known = config.sensors.iter().find(|known| known.id.as_str() == sensor);
        let of_it =
            |known: &&Sensor| known.quantities.iter().position(|one| one.info.name.as_str() == quantity);
        let Some((known, place)) = known.and_then(|known| Some((known, of_it(&known)?))) else {
            return Rhythm::Unknown;
        };
        let filter = &known.quantities[place].filter;
        match (filter.heartbeat, filter.change) {
            (Some(heartbeat), _) => Rhythm::AtLeastEvery(heartbeat.max(known.interval)),
            (None, Change::Always) => {
                Rhythm::AtLeastEvery(known.interval.max(filter.min_interval.unwrap_or_default()))
            }
            (None, _) => Rhythm::OnChange,
        }
    }
}

/// A log that may have the key of the configuration, if there is one, and need not.
pub fn known(path: &Path, global: &Global) -> LogFile {
    match ENCRYPTS {
        true => LogFile::found(path, global.load().ok().and_then(|config| config.log.key)),
        false => path.into(),
    }
}

/// Which readings are meant.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Sensor, or SENSOR.QUANTITY; * stands for any letters
    sensor: Option<String>,
    /// Quantity; * stands for any letters
    quantity: Option<String>,
    /// The same, named.
    #[arg(long = "sensor", hide = true, value_name = "SENSOR", conflicts_with = "sensor")]
    only_sensor: Option<String>,
    #[arg(long = "quantity", hide = true, value_name = "QUANTITY", conflicts_with = "quantity")]
    only_quantity: Option<String>,
}

impl Which {
    /// What to ask the log for.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn selection(&self, reader: &Reader) -> Result<Selection, LogError> {
        let sensor = self.sensor.as_ref().or(self.only_sensor.as_ref());
        let quantity = self.quantity.as_ref().or(self.only_quantity.as_ref());
        selection(sensor, quantity, reader)
    }
}

/// Of a sensor and a quantity as somebody named them. A name with a dot is a sensor of that name if there is one,
/// else sensor and quantity.
///
/// # Errors
/// What SQLite says.
pub fn selection(
    sensor: Option<&String>,
    quantity: Option<&String>,
    reader: &Reader,
) -> Result<Selection, LogError> {
    let (mut sensor, mut quantity) = (sensor.cloned(), quantity.cloned());
    if let (Some(text), None) = (&sensor, &quantity)
        && let Some((before, after)) = text.rsplit_once('.')
        && !reader.names()?.iter().any(|(name, _)| fits(text, &name.sensor))
    {
        (sensor, quantity) = (Some(before.to_owned()), Some(after.to_owned()));
    }
    Ok(Selection { sensor, quantity, ..Selection::default() })
}

/// Now, in the machine's time zone.
pub fn now() -> Zoned {
    let now = jiff::Timestamp::from_microsecond(clock::now().wall.0).unwrap_or_default();
    now.to_zoned(TimeZone::system())
}

/// The stretch of time that is asked for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Span {
    /// Not before this time: 1d, yesterday, 2026-11-20
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

impl Span {
    /// The selection within this stretch.
    ///
    /// # Errors
    /// It ends before it begins.
    pub fn of(self, selection: Selection) -> anyhow::Result<Selection> {
        in_order(self.since, self.until)?;
        Ok(Selection { since: self.since, until: self.until, ..selection })
    }
}

/// Somebody who has mixed them up is told so, not that there is nothing.
///
/// # Errors
/// `--until` is not after `--since`.
pub fn in_order(since: Option<Timestamp>, until: Option<Timestamp>) -> anyhow::Result<()> {
    match (since, until) {
        (Some(since), Some(until)) if since >= until => bail!("--since is not before --until"),
        _ => Ok(()),
    }
}

/// Reads a time as people write it, for clap.
///
/// # Errors
/// That it is no time, with examples.
pub fn time(text: &str) -> Result<Timestamp, NotATime> {
    times::parse(text, &now()).map(|time| Timestamp(time.as_microsecond()))
}
