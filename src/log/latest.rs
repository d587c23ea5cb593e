//! What there is in the log: the names of the series, and the newest reading of each. Reads only.

use std::collections::{HashMap, HashSet};

use rusqlite::Row;

use super::channel;
use super::error::{LogError, at};
use super::reader::{Reader, clock_of, value_of};
use crate::reading::{Channel, Clock, Timestamp, Value, ValueKind};

/// Newest rows that are looked through before the rest is found by time.
const NEWEST: i64 = 10_000;

/// One series: all channels of this name and unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Sensor id.
    pub sensor: String,
    /// Quantity.
    pub quantity: String,
    /// Unit; empty for none.
    pub unit: String,
}

impl Name {
    fn of(channel: &Channel) -> Self {
        let (sensor, quantity) = (channel.sensor.to_string(), channel.quantity.to_string());
        Self { sensor, quantity, unit: channel.unit.clone() }
    }
}

/// The newest reading of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// Which.
    pub name: Name,
    /// Row id.
    pub row: i64,
    /// Value; of a picture, its size in bytes.
    pub value: Value,
    /// When it was taken.
    pub at: Timestamp,
    /// How far `at` can be trusted.
    pub clock: Clock,
}

impl Reader {
    /// Every series there is, by sensor, quantity and unit, with what its values are. Looks at no reading, so
    /// all of its readings may be gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn names(&self) -> Result<Vec<(Name, ValueKind)>, LogError> {
        let channels = channel::load(&self.connection).map_err(at(&self.path))?;
        let mut channels: Vec<_> = channels.into_iter().collect();
        channels.sort_by_key(|(id, _)| *id);
        // The newest of each name says what its values are.
        let kinds: HashMap<Name, ValueKind> =
            channels.into_iter().map(|(_, channel)| (Name::of(&channel), channel.kind)).collect();
        let mut names: Vec<_> = kinds.into_iter().collect();
        names.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(names)
    }

    /// The newest reading of every series that has one, by sensor, quantity and unit.
    ///
    /// Newest is what was logged last, whatever the clock said, for what was logged lately; what lies far back is
    /// found by its time.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn latest(&self) -> Result<Vec<Latest>, LogError> {
        let transaction = self.connection.unchecked_transaction().map_err(at(&self.path))?;
        let found = self.read_latest().map_err(at(&self.path));
        drop(transaction);
        found
    }

    fn read_latest(&self) -> rusqlite::Result<Vec<Latest>> {
        let channels = channel::load(&self.connection)?;
        let mut found: HashMap<Name, Latest> = HashMap::new();
        let wanted = channels.values().map(|channel| Name::of(channel)).collect::<HashSet<_>>();
        let mut statement = self.connection.prepare_cached(
            "SELECT id, time, flags, value, channel FROM reading ORDER BY id DESC LIMIT ?1",
        )?;
        let mut seen = HashSet::new();
        let mut rows = statement.query([NEWEST])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(4)?;
            if seen.insert(id)
                && let Some(channel) = channels.get(&id)
            {
                let latest = latest(row, channel)?;
                found.entry(latest.name.clone()).or_insert(latest);
                if found.len() == wanted.len() {
                    break;
                }
            }
        }
        let near: HashSet<Name> = found.keys().cloned().collect();
        let mut statement = self.connection.prepare_cached(
            "SELECT id, time, flags, value FROM reading WHERE channel = ?1 ORDER BY time DESC, id DESC LIMIT 1",
        )?;
        for (id, channel) in channels.iter().filter(|(_, channel)| !near.contains(&Name::of(channel))) {
            let mut rows = statement.query([id])?;
            let Some(row) = rows.next()? else { continue };
            let latest = latest(row, channel)?;
            let known = found.get(&latest.name).map(|known| (known.at, known.row));
            if known.is_none_or(|known| known < (latest.at, latest.row)) {
                found.insert(latest.name.clone(), latest);
            }
        }
        let mut all: Vec<Latest> = found.into_values().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }
}

/// From a row of `id, time, flags, value`.
fn latest(row: &Row<'_>, channel: &Channel) -> rusqlite::Result<Latest> {
    Ok(Latest {
        name: Name::of(channel),
        row: row.get(0)?,
        value: value_of(row.get_ref(3)?, channel.kind)?,
        at: Timestamp(row.get(1)?),
        clock: clock_of(row.get(2)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn the_newest_of_every_series() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("b"), channel("a"), silent("a"), channel("never")]).unwrap();
        for (id, time) in [(0, 5), (1, 7), (2, 6), (0, 3)] {
            log.append(vec![reading(ids[id], NOON + time, time as f64)]).unwrap();
        }
        until_committed(&log, 4);
        let reader = log.reader().unwrap();
        let found = reader.latest().unwrap();
        let found: Vec<_> =
            found.iter().map(|one| (one.name.quantity.as_str(), one.at.0 - NOON, one.row)).collect();
        // What was logged last, though its time is earlier.
        assert_eq!(found, [("a", 6, 3), ("b", 3, 4)]);
        let names = reader.names().unwrap();
        let names: Vec<_> = names.iter().map(|(name, kind)| (name.quantity.as_str(), *kind)).collect();
        assert_eq!(names, ["a", "b", "never"].map(|name| (name, ValueKind::Float)));
    }
}
