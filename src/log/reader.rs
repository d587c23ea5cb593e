//! Committed readings on their way to the broker, in order and in whole samples, and how many wait.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::error::{LogError, at};
use super::file::LogFile;
use super::store::{CONTINUES, CORRECTED, UNSYNCED};
use super::{channel, open, stretch};
use crate::reading::{Channel, Clock, Logged, Timestamp, Value, ValueKind};

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    pub(super) path: std::path::PathBuf,
    /// Boot whose uncorrected readings still know their time since boot.
    boot: Option<String>,
    pub(super) channels: HashMap<i64, Arc<Channel>>,
    epochs: Vec<Epoch>,
    /// The row id of the newest epoch that `epochs` knows.
    newest_epoch: i64,
    counted: Option<Counted>,
}

#[derive(Debug)]
struct Epoch {
    first_row: i64,
    epoch: Arc<str>,
    boot: String,
}

/// The last count, so that the next one only looks at what changed.
#[derive(Debug, Clone, Copy)]
struct Counted {
    after: i64,
    until: i64,
    count: u64,
}

/// So many rows are looked through in a fraction of a second.
const NEWEST: i64 = 200_000;

/// A row of `reading` as it stands there.
struct Raw {
    row: i64,
    channel: i64,
    time: i64,
    flags: i64,
}

impl Reader {
    /// Opens a log for reading only, as `query`, `tail` and `export` do; the daemon may be running.
    pub fn open(file: impl Into<LogFile>) -> Result<Reader, LogError> {
        Self::of_boot(&file.into(), None)
    }

    /// As [`Reader::open`], for a caller who can make use of the time since this boot.
    pub(super) fn of_boot(file: &LogFile, boot: Option<String>) -> Result<Reader, LogError> {
        Ok(Reader {
            connection: open::read_only(file)?,
            path: file.path.clone(),
            boot,
            channels: HashMap::new(),
            epochs: Vec::new(),
            newest_epoch: 0,
            counted: None,
        })
    }

    /// Committed readings with `after < row ≤ until`, oldest first, at most `limit` rows, of channels
    /// that are published. A sample is never torn apart: `limit` may be passed to finish it.
    pub fn outgoing(&mut self, after: i64, until: i64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let path = self.path.clone();
        self.read_outgoing(after, until, limit).map_err(at(&path))
    }

    fn read_outgoing(&mut self, after: i64, until: i64, limit: usize) -> rusqlite::Result<Vec<Logged>> {
        let Self { connection, boot, channels, epochs, newest_epoch, .. } = self;
        refresh_epochs(connection, epochs, newest_epoch)?;
        let boot_first_row = first_row_of(epochs, boot.as_deref());
        let mut statement = connection.prepare_cached(
            "SELECT id, channel, time, flags, value FROM reading WHERE id > ?1 AND id <= ?2 ORDER BY id",
        )?;
        let mut rows = statement.query([after, until])?;
        let mut found: Vec<Logged> = Vec::with_capacity(limit.min(1024));
        // Whether a row of the current sample is in `found`. A row that follows one which is not
        // published, or was delivered before, begins the message by itself.
        let mut begun = false;
        while let Some(row) = rows.next()? {
            let raw = Raw::read(row)?;
            if raw.flags & CONTINUES == 0 {
                if found.len() >= limit {
                    break;
                }
                begun = false;
            }
            let channel = channel_of(connection, channels, raw.channel)?;
            if channel.publish.is_none() || (!begun && found.len() >= limit) {
                continue;
            }
            let since_boot = match raw.flags & UNSYNCED != 0 && raw.row >= boot_first_row {
                true => stretch::since_boot(connection, raw.row, raw.time)?,
                false => None,
            };
            found.push(Logged {
                row: raw.row,
                epoch: epoch_of(epochs, raw.row),
                at: Timestamp(raw.time),
                clock: clock_of(raw.flags),
                value: value_of(row.get_ref(4)?, channel.kind)?,
                continues: begun,
                since_boot,
                channel,
            });
            begun = true;
        }
        Ok(found)
    }

    /// The last number that was logged of a quantity, in this unit, however else it was published then.
    pub fn last_number(&self, channel: &Channel) -> Result<Option<f64>, LogError> {
        self.read_last_number(channel, NEWEST).map_err(at(&self.path))
    }

    /// The last row is the last value whatever the clock said, so the newest rows are looked through; if it
    /// lies farther back, it is found by its time, which takes no longer in a log of millions.
    fn read_last_number(&self, channel: &Channel, newest: i64) -> rusqlite::Result<Option<f64>> {
        const CHANNELS: &str =
            "SELECT id FROM channel WHERE sensor = ?1 AND quantity = ?2 AND device = ?3 AND unit = ?4";
        let name = (channel.sensor.as_str(), channel.quantity.as_str(), &channel.device, &channel.unit);
        let number = |row: &Row<'_>| {
            Ok(match row.get_ref(0)? {
                ValueRef::Integer(number) => Some(number as f64),
                ValueRef::Real(number) => Some(number),
                _ => None,
            })
        };
        for query in [
            format!(
                "SELECT value FROM reading WHERE id > (SELECT max(id) FROM reading) - {newest}
                   AND +channel IN ({CHANNELS}) ORDER BY id DESC LIMIT 1"
            ),
            format!("SELECT value FROM reading WHERE channel IN ({CHANNELS}) ORDER BY time DESC LIMIT 1"),
        ] {
            let mut statement = self.connection.prepare(&query)?;
            let mut rows = statement.query(name)?;
            if let Some(row) = rows.next()? {
                return number(row);
            }
        }
        Ok(None)
    }

    /// Published rows with `after < row ≤ until`: how many, and when the oldest was taken.
    pub fn waiting(&mut self, after: i64, until: i64) -> Result<(u64, Option<Timestamp>), LogError> {
        let path = self.path.clone();
        self.count_waiting(after, until).map_err(at(&path))
    }

    /// Counting a backlog of millions anew for every look at the board would cost seconds, so a range that
    /// has moved on is counted by its two ends. Rows that retention forced out meanwhile are noticed when
    /// the range is empty or a new one begins.
    fn count_waiting(&mut self, after: i64, until: i64) -> rusqlite::Result<(u64, Option<Timestamp>)> {
        let oldest: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT time FROM reading JOIN channel ON channel.id = reading.channel
                 WHERE reading.id > ?1 AND reading.id <= ?2 AND topic IS NOT NULL
                 ORDER BY reading.id LIMIT 1",
            )?
            .query_map([after, until], |row| row.get(0))?
            .next()
            .transpose()?;
        let Some(oldest) = oldest else {
            self.counted = None;
            return Ok((0, None));
        };
        let count = match self.counted {
            Some(last) if last.after <= after && after <= last.until && last.until <= until => {
                let gone = self.count(last.after, after)?;
                (last.count + self.count(last.until, until)?).saturating_sub(gone).max(1)
            }
            _ => self.count(after, until)?,
        };
        self.counted = Some(Counted { after, until, count });
        Ok((count, Some(Timestamp(oldest))))
    }

    fn count(&self, after: i64, until: i64) -> rusqlite::Result<u64> {
        if after >= until {
            return Ok(0);
        }
        let count: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM reading WHERE id > ?1 AND id <= ?2
                   AND channel NOT IN (SELECT id FROM channel WHERE topic IS NULL)",
            )?
            .query_row([after, until], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

impl Raw {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { row: row.get(0)?, channel: row.get(1)?, time: row.get(2)?, flags: row.get(3)? })
    }
}

/// Epochs are few and only grow: one short look tells whether there is a new one.
fn refresh_epochs(
    connection: &Connection,
    epochs: &mut Vec<Epoch>,
    newest: &mut i64,
) -> rusqlite::Result<()> {
    // An epoch that was replaced before its first row leaves its id to its successor, so the list is read
    // anew when the newest text differs too.
    let (id, text): (i64, String) = connection
        .prepare_cached("SELECT id, epoch FROM epoch ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if id == *newest && epochs.last().is_some_and(|last| *last.epoch == *text) {
        return Ok(());
    }
    *epochs = connection
        .prepare_cached("SELECT first_row, epoch, boot FROM epoch ORDER BY id")?
        .query_map([], |row| {
            let epoch: String = row.get(1)?;
            Ok(Epoch { first_row: row.get(0)?, epoch: epoch.into(), boot: row.get(2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    *newest = id;
    Ok(())
}

/// Where the rows of a boot begin, if it is the last one.
fn first_row_of(epochs: &[Epoch], boot: Option<&str>) -> i64 {
    let of_boot = epochs.iter().rev().take_while(|epoch| Some(epoch.boot.as_str()) == boot);
    of_boot.last().map_or(i64::MAX, |epoch| epoch.first_row)
}

fn epoch_of(epochs: &[Epoch], row: i64) -> Arc<str> {
    let after = epochs.partition_point(|epoch| epoch.first_row <= row);
    // Every row is written under an epoch that begins at or before it.
    after
        .checked_sub(1)
        .and_then(|index| epochs.get(index))
        .map_or_else(|| "".into(), |epoch| epoch.epoch.clone())
}

fn channel_of(
    connection: &Connection,
    channels: &mut HashMap<i64, Arc<Channel>>,
    id: i64,
) -> rusqlite::Result<Arc<Channel>> {
    if let Some(channel) = channels.get(&id) {
        return Ok(channel.clone());
    }
    *channels = channel::load(connection)?;
    channels.get(&id).cloned().ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(super) fn clock_of(flags: i64) -> Clock {
    match (flags & UNSYNCED != 0, flags & CORRECTED != 0) {
        (true, _) => Clock::Unsynced,
        (false, true) => Clock::Corrected,
        (false, false) => Clock::Synced,
    }
}

/// SQLite has no booleans, and keeps a whole number as it likes: the channel knows what it was. In place of a
/// picture comes its size, an integer.
pub(super) fn value_of(stored: ValueRef<'_>, kind: ValueKind) -> rusqlite::Result<Value> {
    Ok(match (kind, stored) {
        (ValueKind::Float, ValueRef::Integer(number)) => Value::Float(number as f64),
        (ValueKind::Bool, ValueRef::Integer(number)) => Value::Bool(number != 0),
        (_, ValueRef::Integer(number)) => Value::Integer(number),
        (_, ValueRef::Real(number)) => Value::Float(number),
        (_, other) => Value::Text(other.as_str()?.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::reading::{Channel, Value};

    #[test]
    fn the_last_number_is_that_of_the_last_row_of_its_unit() {
        let folder = Folder::new();
        let log = folder.open();
        let plain = channel("total");
        let elsewhere = Channel { device: "other-pi".into(), ..plain.clone() };
        let other_unit = Channel { unit: "m³".into(), ..plain.clone() };
        let ids = log.register(&[plain.clone(), silent("total"), elsewhere, other_unit.clone()]).unwrap();
        let row = |id: usize, time: i64, value: f64| log.append(vec![reading(ids[id], time, value)]).unwrap();
        row(0, NOON + 1, 1.0);
        row(0, NOON + 5, 2.0);
        // Published differently, and by a clock that was set back.
        row(1, NOON - 9, 3.0);
        row(2, NOON + 9, 4.0);
        row(3, NOON + 9, 5.0);
        until_committed(&log, 5);
        let reader = log.reader().unwrap();
        assert_eq!(reader.last_number(&plain).unwrap(), Some(3.0));
        assert_eq!(reader.last_number(&other_unit).unwrap(), Some(5.0));
        assert_eq!(reader.last_number(&channel("rate")).unwrap(), None);
        assert_eq!(reader.read_last_number(&plain, 1).unwrap(), Some(2.0), "far back: by its time");
    }

    #[test]
    fn a_text_is_no_number() {
        let folder = Folder::new();
        let log = folder.open();
        let state = channel("state");
        let id = log.register(std::slice::from_ref(&state)).unwrap()[0];
        log.append(vec![crate::reading::Reading {
            channel: id,
            at: moment(NOON),
            value: Value::Text("ok".into()),
        }])
        .unwrap();
        until_committed(&log, 1);
        assert_eq!(log.reader().unwrap().last_number(&state).unwrap(), None);
    }
}
