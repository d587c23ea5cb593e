//! Readings from elsewhere into the log, beside the daemon that writes it. Knows no files and no formats.
//!
//! The daemon gives out the ids of its rows from memory, upwards from 1, so what comes from elsewhere counts below
//! 1, where it never looks: the two cannot meet, and the delivery cursor, which begins at 0, lies above every
//! imported row. Nothing of it is published, and what waits for delivery goes on waiting. SQLite itself sees to it
//! that only one of us writes at a time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::{LogError, at, classify};
use super::file::LogFile;
use super::rollup::{self, MINUTE};
use super::store::{CORRECTED, UNSYNCED};
use super::{channel, open};
use crate::reading::{Channel, ChannelId, Clock, Timestamp, Value, ValueKind};

/// How long the daemon's commits are waited for.
const BUSY: Duration = Duration::from_secs(20);

/// What a reading is of: what a file names of its channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// Device id.
    pub device: String,
    /// Sensor.
    pub sensor: String,
    /// Quantity.
    pub quantity: String,
    /// Unit; empty for none.
    pub unit: String,
}

impl Series {
    /// Of a channel.
    pub fn of(channel: &Channel) -> Self {
        Self {
            device: channel.device.clone(),
            sensor: channel.sensor.as_str().to_owned(),
            quantity: channel.quantity.as_str().to_owned(),
            unit: channel.unit.clone(),
        }
    }
}

/// One reading from elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// Which of the series given.
    pub series: usize,
    /// When it was taken.
    pub at: Timestamp,
    /// How far that can be trusted.
    pub clock: Clock,
    /// Value; no picture.
    pub value: Value,
    /// The how-manieth of its file with this series, time and value: 1 for the first.
    pub nth: u32,
}

/// A connection that adds readings below row 1.
#[derive(Debug)]
pub struct Intake {
    connection: Connection,
    path: std::path::PathBuf,
    /// Rows that are ours and free; none until the first is added, so that it can be seen that they are taken.
    free: Range<i64>,
}

impl Intake {
    /// Opens a log that is there and of this program's version.
    ///
    /// # Errors
    /// It is missing, not ours, of another version, or cannot be written.
    pub fn open(file: impl Into<LogFile>) -> Result<Self, LogError> {
        let file = file.into();
        let path = &file.path;
        // Says what is wrong with it in words, and looks at the version.
        drop(open::read_only(&file)?);
        open::accessible(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)?;
        let connection = open::writing_connection(&file)?;
        let set_up = || {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "temp_store", "MEMORY")
        };
        set_up().map_err(at(path))?;
        Ok(Self { connection, path: file.path, free: 0..0 })
    }

    /// Adds the readings that are not there yet, in one transaction: all of them or, on an error, none. `left` is
    /// how many readings may still come, these included; answers how many were added.
    ///
    /// A reading is there when the log has as many of its series, time and value as the file up to and including
    /// this one; so a file imported twice adds nothing, and two equal readings in it stay two.
    ///
    /// # Errors
    /// [`LogError::Disk`] and [`LogError::Refused`].
    pub fn add(&mut self, series: &[Series], readings: &[Foreign], left: u64) -> Result<usize, LogError> {
        let before = self.free.clone();
        let added = self.run(series, readings, left);
        added.map_err(|error| {
            self.free = before;
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::warn!("{}: rolling back: {error}", self.path.display());
            }
            classify(&error).into()
        })
    }

    fn run(&mut self, series: &[Series], readings: &[Foreign], left: u64) -> rusqlite::Result<usize> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        // Found anew each time: the daemon may have made one in between.
        let mut known = Known::default();
        let mut minutes = BTreeSet::new();
        let mut added = 0;
        for reading in readings {
            let named = &series[reading.series];
            let class = Class::of(reading.value.kind());
            let alike = known.alike(&self.connection, reading.series, named, class)?;
            if count(&self.connection, alike, reading.at, &reading.value)? >= i64::from(reading.nth) {
                continue;
            }
            let channel = known.channel(&self.connection, reading, named)?;
            // What is not in the range could be the daemon's.
            if self.free.is_empty() {
                self.free = below_all(&self.connection, left)?;
            }
            insert(&self.connection, self.free.start, channel, reading)?;
            self.free.start += 1;
            minutes.insert((channel, reading.at.0.div_euclid(MINUTE)));
            added += 1;
        }
        rollup::forget(&self.connection, minutes)?;
        self.connection.execute_batch("COMMIT")?;
        Ok(added)
    }
}

/// What can be equal to what: 21 and 21.0 can, 1 and true not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Class {
    Number,
    Bool,
    Text,
}

impl Class {
    fn of(kind: ValueKind) -> Self {
        match kind {
            // In place of a picture stands its size.
            ValueKind::Float | ValueKind::Integer | ValueKind::Image => Class::Number,
            ValueKind::Bool => Class::Bool,
            ValueKind::Text => Class::Text,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Class::Number => "('float', 'integer', 'image')",
            Class::Bool => "('bool')",
            Class::Text => "('text')",
        }
    }
}

/// Channels met in one transaction.
#[derive(Debug, Default)]
struct Known {
    alike: HashMap<(usize, Class), Vec<i64>>,
    channels: HashMap<(usize, ValueKind), i64>,
}

impl Known {
    /// Channels of this series, however they are published, wherever the device stood.
    fn alike(
        &mut self,
        connection: &Connection,
        place: usize,
        series: &Series,
        class: Class,
    ) -> rusqlite::Result<&[i64]> {
        match self.alike.entry((place, class)) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(alike(connection, series, class)?)),
        }
    }

    /// The channel under which imported readings of this kind are kept: one that is not published.
    fn channel(
        &mut self,
        connection: &Connection,
        reading: &Foreign,
        series: &Series,
    ) -> rusqlite::Result<i64> {
        let key = (reading.series, reading.value.kind());
        if let Some(id) = self.channels.get(&key) {
            return Ok(*id);
        }
        let channel = Channel {
            device: series.device.clone(),
            sensor: series.sensor.as_str().into(),
            quantity: series.quantity.as_str().into(),
            unit: series.unit.clone(),
            kind: key.1,
            publish: None,
            place: None,
        };
        let ChannelId(id) = channel::register(connection, &channel)?;
        self.channels.insert(key, id);
        let alike = self.alike.entry((reading.series, Class::of(key.1))).or_default();
        if !alike.contains(&id) {
            alike.push(id);
        }
        Ok(id)
    }
}

fn alike(connection: &Connection, series: &Series, class: Class) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT id FROM channel WHERE sensor = ?1 AND quantity = ?2 AND device = ?3 AND unit = ?4 AND kind IN {}",
        class.words()
    );
    connection
        .prepare_cached(&sql)?
        .query_map(params![series.sensor, series.quantity, series.device, series.unit], |row| row.get(0))?
        .collect()
}

/// Readings of these channels with this time and value.
fn count(connection: &Connection, channels: &[i64], at: Timestamp, value: &Value) -> rusqlite::Result<i64> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM reading WHERE channel = ?1 AND time = ?2 AND value IS ?3")?;
    let mut found = 0;
    for channel in channels {
        let number: i64 = match value {
            Value::Float(number) => statement.query_row(params![channel, at.0, number], |row| row.get(0))?,
            Value::Integer(number) => {
                statement.query_row(params![channel, at.0, number], |row| row.get(0))?
            }
            Value::Bool(state) => statement.query_row(params![channel, at.0, state], |row| row.get(0))?,
            Value::Text(text) => statement.query_row(params![channel, at.0, &**text], |row| row.get(0))?,
            Value::Image(_) => 0,
        };
        found += number;
    }
    Ok(found)
}

/// Room for so many rows below all there are, and below 1.
fn below_all(connection: &Connection, rows: u64) -> rusqlite::Result<Range<i64>> {
    let first: i64 = connection
        .prepare_cached("SELECT coalesce(min(id), 1) FROM reading")?
        .query_row([], |row| row.get(0))?;
    let end = first.min(1);
    let rows = i64::try_from(rows.max(1)).unwrap_or(i64::MAX);
    Ok(end.saturating_sub(rows)..end)
}

fn insert(connection: &Connection, row: i64, channel: i64, reading: &Foreign) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO reading (id, channel, time, value, flags) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let flags = match reading.clock {
        Clock::Synced => 0,
        Clock::Unsynced => UNSYNCED,
        Clock::Corrected => CORRECTED,
    };
    let time = reading.at.0;
    match &reading.value {
        Value::Float(number) => insert.execute(params![row, channel, time, number, flags])?,
        Value::Integer(number) => insert.execute(params![row, channel, time, number, flags])?,
        Value::Bool(state) => insert.execute(params![row, channel, time, state, flags])?,
        Value::Text(text) => insert.execute(params![row, channel, time, &**text, flags])?,
        // A file names its size at most, which is an integer.
        Value::Image(image) => {
            insert.execute(params![row, channel, time, image.bytes.len() as i64, flags])?
        }
    };
    Ok(())
}

impl super::Reader {
    /// How many readings of a series the log has with this time and value.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn count_equal(&self, series: &Series, at_time: Timestamp, value: &Value) -> Result<i64, LogError> {
        alike(&self.connection, series, Class::of(value.kind()))
            .and_then(|channels| count(&self.connection, &channels, at_time, value))
            .map_err(at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;
    use crate::log::query::Selection;
    use crate::log::testing::*;
    use crate::log::{DeliveryUpdate, Reader, Urgency};
    use std::ops::ControlFlow;

    fn series(quantity: &str) -> Series {
        Series::of(&channel(quantity))
    }

    fn foreign(time: i64, value: f64, nth: u32) -> Foreign {
        Foreign {
            series: 0,
            at: Timestamp(NOON + time),
            clock: Clock::Synced,
            value: Value::Float(value),
            nth,
        }
    }

    fn times(folder: &Folder) -> Vec<(i64, i64)> {
        let mut rows = Vec::new();
        Reader::open(&folder.path())
            .unwrap()
            .select(&Selection::default(), |line| {
                rows.push((line.row, line.at.0 - NOON));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn a_log_being_written_takes_it_without_a_collision_and_delivers_only_its_own() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("temperature")]).unwrap();
        let mut intake = Intake::open(&folder.path()).unwrap();
        let own = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for turn in 0..3_000 {
                    while log.append(vec![reading(ids[0], NOON + turn, 1.5)]).is_err() {
                        std::thread::yield_now();
                    }
                }
                log.flush().unwrap();
                3_000
            });
            for chunk in 0..20 {
                let rows: Vec<_> = (0..100).map(|row| foreign(-(chunk * 100 + row) - 1, 2.5, 1)).collect();
                let added = intake.add(&[series("temperature")], &rows, 2_000 - chunk as u64 * 100).unwrap();
                assert_eq!(added, 100);
            }
            writer.join().unwrap()
        });
        until_committed(&log, own);
        assert_eq!(folder.figure("rejected"), 0);
        // Delivery: its own rows, all of them, in order; of the imported ones none.
        let mut reader = log.reader().unwrap();
        let cursor = log.delivery().unwrap().cursor;
        assert_eq!(reader.waiting(cursor, own).unwrap().0, 3_000);
        let rows: Vec<i64> =
            reader.outgoing(cursor, own, 10_000).unwrap().iter().map(|logged| logged.row).collect();
        assert_eq!(rows, (1..=own).collect::<Vec<_>>());
        let update = DeliveryUpdate { cursor: Some(1_000), ..DeliveryUpdate::default() };
        log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
        assert_eq!(reader.waiting(1_000, own).unwrap().0, 2_000);
        log.close().unwrap();
        // The next start goes on where this one left off.
        let log = folder.open();
        let ids = log.register(&[channel("temperature")]).unwrap();
        log.append(vec![reading(ids[0], NOON, 9.0)]).unwrap();
        until_committed(&log, own + 1);
        let all = times(&folder);
        assert_eq!(all.len(), 5_001);
        assert_eq!(all.iter().filter(|(row, _)| *row < 1).count(), 2_000);
    }

    #[test]
    fn what_is_there_is_not_added_again() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("temperature")]).unwrap();
        log.append(vec![reading(ids[0], NOON + 1, 21.0)]).unwrap();
        log.flush().unwrap();
        let names = [series("temperature")];
        // The log has the first; the second and third are equal to one another.
        let rows = [foreign(1, 21.0, 1), foreign(2, 5.0, 1), foreign(2, 5.0, 2), foreign(3, -0.0, 1)];
        let mut intake = Intake::open(&folder.path()).unwrap();
        assert_eq!(intake.add(&names, &rows, 4).unwrap(), 3);
        assert_eq!(intake.add(&names, &rows, 4).unwrap(), 0);
        assert_eq!(Intake::open(&folder.path()).unwrap().add(&names, &rows, 4).unwrap(), 0);
        assert_eq!(times(&folder), [(1, 1), (-3, 2), (-2, 2), (-1, 3)]);
        // 1 is not true, and a text is not a number.
        let other = [
            Foreign { value: Value::Bool(true), ..foreign(2, 0.0, 1) },
            Foreign { value: Value::Text("5".into()), ..foreign(2, 0.0, 1) },
            Foreign { value: Value::Integer(5), ..foreign(2, 0.0, 1) },
        ];
        assert_eq!(intake.add(&names, &other, 3).unwrap(), 2);
    }

    #[test]
    fn an_import_below_another_keeps_out_of_its_way_and_an_error_leaves_nothing() {
        let folder = Folder::new();
        drop(folder.open());
        let names = [series("temperature")];
        let mut first = Intake::open(&folder.path()).unwrap();
        let mut second = Intake::open(&folder.path()).unwrap();
        first.add(&names, &[foreign(0, 0.0, 1)], 10).unwrap();
        second.add(&names, &[foreign(1, 1.0, 1)], 2).unwrap();
        first.add(&names, &[foreign(2, 2.0, 1)], 9).unwrap();
        second.add(&names, &[foreign(3, 3.0, 1)], 1).unwrap();
        assert_eq!(times(&folder), [(-9, 0), (-11, 1), (-8, 2), (-10, 3)]);
        first.connection.execute_batch("CREATE TEMP TRIGGER no BEFORE INSERT ON reading WHEN new.value = 7 BEGIN SELECT raise(ABORT, 'seven'); END").unwrap();
        let error = first.add(&names, &[foreign(4, 4.0, 1), foreign(5, 7.0, 1)], 8).unwrap_err().to_string();
        assert!(error.contains("seven"), "{error}");
        first.add(&names, &[foreign(6, 6.0, 1)], 8).unwrap();
        assert_eq!(times(&folder).last(), Some(&(-7, 6)));
    }

    #[test]
    fn roll_ups_are_made_anew_where_readings_were_added() {
        let folder = Folder::new();
        drop(folder.open());
        let names = [series("temperature")];
        let rows: Vec<_> = (0..200).map(|row| foreign(row * 1_000_000, 2.5, 1)).collect();
        let mut intake = Intake::open(&folder.path()).unwrap();
        intake.add(&names, &rows, 200).unwrap();
        let hours = |intake: &Intake| -> Vec<i64> {
            let sql = "SELECT count FROM rollup WHERE minutes = 60";
            let mut statement = intake.connection.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        rollup::finish(&intake.connection);
        assert_eq!(hours(&intake), [200]);
        intake.add(&names, &[foreign(7, 9.0, 1)], 1).unwrap();
        // None is never wrong, until there is time for another.
        assert_eq!(hours(&intake), [0; 0]);
        rollup::finish(&intake.connection);
        assert_eq!(hours(&intake), [201]);
    }

    #[test]
    fn a_log_that_cannot_take_it_says_why() {
        let folder = Folder::new();
        let missing = Intake::open(&folder.path()).unwrap_err().to_string();
        assert!(missing.contains("no such log"), "{missing}");
        let mut connection = Connection::open(folder.path()).unwrap();
        schema::migrate(&mut connection, 0, &schema::STEPS[..1]).unwrap();
        let older = Intake::open(&folder.path()).unwrap_err().to_string();
        assert!(older.contains("earlier sensor-bridge (schema 1"), "{older}");
    }
}
