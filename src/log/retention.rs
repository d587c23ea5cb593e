//! Deletes what is too old or too much, a few rows at a time between commits, and gives the space back.
//!
//! Rows that wait for delivery go only when `max_size` forces it, oldest first; they are counted and a gap
//! is recorded. The publisher reads rows by id, so a hole needs no word to it: the cursor stays its own,
//! and rows that are gone are simply not found. QoS 2 hand-shakes under way are never deleted.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::age::{self, Row, Trust, Walk};
use super::album::{self, Album};
use super::checkpoint::GUARD;
use super::delivery::Waiting;
use super::gap;
use super::open::{PAGE, wal_pages};
use super::store::{Store, UNSYNCED};
use super::stretch;
use crate::config::Retention;
use crate::reading::Moment;

/// Rows deleted in one transaction, unless more than half as many were added since the last.
const ROWS: usize = 1_000;
const MOST_ROWS: usize = 50_000;

/// What a row takes in the file, roughly, payload apart.
const ROW_BYTES: usize = 60;

/// Free pages given back to the file system in one transaction.
const PAGES: i64 = 256;

/// Between two steps of one sweep, and two sweeps.
const BETWEEN_STEPS: Duration = Duration::from_millis(5);
const BETWEEN_SWEEPS: Duration = Duration::from_secs(60);

/// Gap records kept for the operator.
const GAPS: i64 = 1_000;

/// `message.flags`: received while the clock was not synchronised.
const MESSAGE_UNSYNCED: i64 = 8;

/// Keeps the log within its limits.
#[derive(Debug)]
pub(super) struct Sweeper {
    limits: Retention,
    due: Option<Instant>,
    /// Rows and, roughly, bytes committed since the last step.
    added: usize,
    added_bytes: u64,
    trust: Trust,
    readings: Option<Walk>,
    messages: Option<Walk>,
    size: Shrink,
    album: Album,
}

/// A walk over the readings in search of some that nobody waits for.
#[derive(Debug, Default)]
struct Shrink {
    /// Over the limit, and not yet well below it.
    active: bool,
    /// Rows up to here wait for delivery, as of `cursor`.
    position: i64,
    cursor: i64,
}

/// What a step did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swept {
    /// Rows deleted.
    pub deleted: usize,
    /// Of these, rows that waited for delivery.
    pub forced: usize,
    /// There is more to do.
    pub more: bool,
}

impl Swept {
    /// What both did.
    pub fn add(&mut self, other: Swept) {
        self.deleted += other.deleted;
        self.forced += other.forced;
        self.more |= other.more;
    }
}

/// What the database takes.
struct Size {
    /// Bytes.
    file: u64,
    /// Pages of it that are free.
    free: i64,
}

impl Sweeper {
    pub fn new(limits: Retention) -> Self {
        let wanted = limits != Retention::default();
        Self {
            album: Album::new(limits.images.clone()),
            limits,
            due: wanted.then(Instant::now),
            added: 0,
            added_bytes: 0,
            trust: Trust::default(),
            readings: None,
            messages: None,
            size: Shrink { position: i64::MIN, ..Shrink::default() },
        }
    }

    /// When the next step is due; `None` when nothing is ever to be deleted.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// So many rows or messages were added, with so many bytes of payload and of pictures. A log that grows
    /// fast is looked at at once.
    pub fn after_commit(&mut self, rows: usize, payload: usize, pictures: usize, now: Instant) {
        self.added += rows;
        self.added_bytes += (rows * ROW_BYTES + payload + pictures) as u64;
        self.album.added(pictures as u64);
        let grown = |max_size: u64| self.size.active || self.added_bytes >= max_size / 64;
        if self.limits.max_size.is_some_and(grown) || (pictures > 0 && self.album.may_be_over()) {
            self.due = Some(self.due.map_or(now, |due| due.min(now)));
        }
    }

    /// One step, in a transaction of its own.
    pub fn step(&mut self, store: &mut Store, now: Moment) -> Result<Swept, String> {
        let rows = (self.added * 2).clamp(ROWS, MOST_ROWS);
        self.added = 0;
        self.added_bytes = 0;
        let swept = store.chore(|connection| self.sweep(connection, rows, now));
        let pause = match &swept {
            Ok(swept) if swept.more => BETWEEN_STEPS,
            _ => [self.limits.max_age, self.limits.images.max_age]
                .into_iter()
                .flatten()
                .min()
                .map_or(BETWEEN_SWEEPS, |age| (age / 10).clamp(Duration::from_secs(1), BETWEEN_SWEEPS)),
        };
        self.due = Some(Instant::now() + pause);
        swept
    }

    fn sweep(&mut self, connection: &Connection, rows: usize, now: Moment) -> rusqlite::Result<Swept> {
        // Pictures first: what they make room for, readings need not.
        let mut swept = self.album.sweep(connection, now)?;
        if let Some(max_age) = self.limits.max_age {
            swept.add(self.by_age(connection, rows, now, max_age)?);
        }
        if let Some(max_size) = self.limits.max_size {
            swept.add(self.by_size(connection, rows, now, max_size)?);
        }
        swept.more |= self.give_back(connection)?;
        if swept.deleted > 0 {
            tidy(connection)?;
        }
        Ok(swept)
    }

    /// Deletes what is older than `max_age` and delivered.
    fn by_age(
        &mut self,
        connection: &Connection,
        rows: usize,
        now: Moment,
        max_age: Duration,
    ) -> rusqlite::Result<Swept> {
        if self.readings.is_none() && self.messages.is_none() {
            if !self.trust.believes(now, newest(connection)?, max_age) {
                return Ok(Swept::default());
            }
            self.readings = Some(Walk::default());
            self.messages = Some(Walk::default());
        }
        let mut deleted = 0;
        if let Some(walk) = &mut self.readings {
            let silent = silent_channels(connection)?;
            if walk.position < 0 {
                let imported = old_imports(connection, &silent, age::believably_old(now, max_age), rows)?;
                if !imported.is_empty() {
                    deleted += delete_readings(connection, &imported)?;
                    return Ok(Swept { deleted, forced: 0, more: true });
                }
            }
            let (chunk, channels, _) = readings_after(connection, walk.position, rows)?;
            let waiting = Waiting::load(connection)?;
            match walk.judge(&chunk, now, max_age) {
                // Of what is imported, the first rows may be the newest.
                None if chunk.last().is_some_and(|row| row.id < 1) => walk.leap(0),
                None => self.readings = None,
                Some(old) => {
                    let old: HashSet<i64> = old.into_iter().collect();
                    let gone: Vec<i64> = chunk
                        .iter()
                        .zip(&channels)
                        .filter(|(row, channel)| {
                            old.contains(&row.id) && (silent.contains(channel) || !waiting.contains(row.id))
                        })
                        .map(|(row, _)| row.id)
                        .collect();
                    deleted += delete_readings(connection, &gone)?;
                }
            }
        }
        if let Some(walk) = &mut self.messages {
            let chunk = messages_after(connection, walk.position, rows)?;
            match walk.judge(&chunk, now, max_age) {
                None => self.messages = None,
                Some(old) => deleted += delete_messages(connection, &old)?,
            }
        }
        let more = self.readings.is_some() || self.messages.is_some();
        Ok(Swept { deleted, forced: 0, more })
    }

    /// Deletes the oldest rows while the log is larger than `max_size`.
    fn by_size(
        &mut self,
        connection: &Connection,
        rows: usize,
        now: Moment,
        max_size: u64,
    ) -> rusqlite::Result<Swept> {
        let size = measure(connection)?;
        let used = size.file - size.free.unsigned_abs() * PAGE;
        // Between the two marks nothing happens, so that not every commit deletes.
        let high = database_limit(max_size);
        let low = high - max_size / 32;
        self.size.active = used > if self.size.active { low } else { high };
        if !self.size.active {
            return Ok(Swept::default());
        }
        let waiting = Waiting::load(connection)?;
        if self.size.cursor != waiting.cursor {
            self.size.position = i64::MIN;
            self.size.cursor = waiting.cursor;
        }
        let found = self.unneeded(connection, rows, &waiting)?;
        let oldest_reading = found.rows.first().map(|row| row.time);
        let oldest_message = oldest_message(connection)?;
        let deleted = match (oldest_reading, oldest_message) {
            (reading, Some(message))
                if found.complete && reading.is_none_or(|reading| message <= reading) =>
            {
                // The readings just found are looked at again.
                self.size.position = found.from;
                let ids = oldest_messages(connection, rows, max_size / 64)?;
                delete_messages(connection, &ids)?
            }
            (Some(_), _) => {
                let ids: Vec<i64> = found.rows.iter().map(|row| row.id).collect();
                delete_readings(connection, &ids)?
            }
            _ if !found.complete => 0,
            _ => return force(connection, rows, &waiting, now),
        };
        Ok(Swept { deleted, forced: 0, more: true })
    }

    /// The oldest readings that nobody waits for; looks at a bounded number of rows.
    fn unneeded(
        &mut self,
        connection: &Connection,
        rows: usize,
        waiting: &Waiting,
    ) -> rusqlite::Result<Found> {
        let silent = silent_channels(connection)?;
        let from = self.size.position;
        // Beyond the cursor everything waits, if everything is published.
        if silent.is_empty() && from >= waiting.cursor && waiting.late.is_empty() {
            return Ok(Found { rows: Vec::new(), from, complete: true });
        }
        let (chunk, channels, complete) = readings_after(connection, from, rows)?;
        if let Some(last) = chunk.last() {
            self.size.position = last.id;
        }
        let rows: Vec<Row> = chunk
            .into_iter()
            .zip(channels)
            .filter(|(row, channel)| silent.contains(channel) || !waiting.contains(row.id))
            .map(|(row, _)| row)
            .collect();
        Ok(Found { complete: complete || !rows.is_empty(), rows, from })
    }

    /// Gives free pages back to the file system: when the file is too large, or mostly air.
    fn give_back(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let size = measure(connection)?;
        let too_large = self.limits.max_size.is_some_and(|most| size.file > database_limit(most));
        let air = size.free as u64 * PAGE > (size.file / 4).max(4 << 20);
        if size.free == 0 || !(too_large || air) {
            return Ok(false);
        }
        // Each step of this statement frees one page.
        let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut pages = statement.query([])?;
        while pages.next()?.is_some() {}
        Ok(size.free > PAGES)
    }
}

fn measure(connection: &Connection) -> rusqlite::Result<Size> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    Ok(Size { file: number("page_count")?.unsigned_abs() * PAGE, free: number("freelist_count")? })
}

/// What of `max_size` the database may take: the rest is for the WAL at its longest, and for what a step
/// adds before the next one deletes. A WAL that a long reader keeps from being emptied is not counted, or
/// it would cost us every row.
fn database_limit(max_size: u64) -> u64 {
    let wal = wal_pages(Some(max_size)).unsigned_abs() * PAGE * GUARD.unsigned_abs();
    max_size.saturating_sub(wal.min(max_size / 4) + max_size / 64)
}

/// Readings that may go.
struct Found {
    rows: Vec<Row>,
    /// Where the search began.
    from: i64,
    /// Nothing older was left unlooked at.
    complete: bool,
}

/// Deletes the oldest readings though they wait for delivery, and says so.
fn force(connection: &Connection, rows: usize, waiting: &Waiting, now: Moment) -> rusqlite::Result<Swept> {
    let (chunk, channels, _) = readings_after(connection, 0, rows)?;
    let silent = silent_channels(connection)?;
    let (mut gone, mut lost) = (Vec::new(), Vec::new());
    for (row, channel) in chunk.iter().zip(&channels) {
        if waiting.in_flight.contains(&row.id) {
            continue;
        }
        gone.push(row.id);
        if !silent.contains(channel) && waiting.contains(row.id) {
            lost.push(row.id);
        }
    }
    if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
        gap::record_deleted(connection, (*first, *last), lost.len() as i64, now.wall)?;
    }
    let deleted = delete_readings(connection, &gone)?;
    Ok(Swept { deleted, forced: lost.len(), more: deleted > 0 })
}

/// The next rows by id, their channels, and whether there are no more. Fewer than `limit` when pictures of many
/// megabytes hang on them, which would go in the same transaction.
fn readings_after(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> rusqlite::Result<(Vec<Row>, Vec<i64>, bool)> {
    let mut statement = connection.prepare_cached(
        "SELECT id, time, flags, channel, (SELECT octet_length(data) FROM image WHERE row = id)
         FROM reading WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, limit as i64])?;
    let (mut found, mut channels, mut bytes) = (Vec::new(), Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let synced = row.get::<_, i64>(2)? & UNSYNCED == 0;
        found.push(Row { id: row.get(0)?, time: row.get(1)?, synced });
        channels.push(row.get(3)?);
        bytes += row.get::<_, Option<i64>>(4)?.unwrap_or(0).unsigned_abs();
        if bytes >= album::BYTES {
            return Ok((found, channels, false));
        }
    }
    let complete = found.len() < limit;
    Ok((found, channels, complete))
}

/// Imported readings with a time in this range, some of them: their rows are not in the order of time, so they are
/// found by their channels, which are never published.
fn old_imports(
    connection: &Connection,
    channels: &HashSet<i64>,
    times: std::ops::Range<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let none = connection
        .prepare_cached("SELECT coalesce(min(id), 1) > 0 FROM reading")?
        .query_row([], |row| row.get(0))?;
    let mut found = Vec::new();
    if none {
        return Ok(found);
    }
    let mut statement = connection.prepare_cached(
        "SELECT id FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 AND id < 1 AND NOT flags & 1
         ORDER BY time LIMIT ?4",
    )?;
    for channel in channels {
        let left = limit - found.len();
        let ids =
            statement.query_map(params![channel, times.start, times.end, left as i64], |row| row.get(0))?;
        for id in ids {
            found.push(id?);
        }
    }
    Ok(found)
}

fn messages_after(connection: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection
        .prepare_cached("SELECT id, time, flags FROM message WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = statement.query_map(params![after, limit as i64], |row| {
        let synced = row.get::<_, i64>(2)? & MESSAGE_UNSYNCED == 0;
        Ok(Row { id: row.get(0)?, time: row.get(1)?, synced })
    })?;
    rows.collect()
}

pub(super) fn silent_channels(connection: &Connection) -> rusqlite::Result<HashSet<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM channel WHERE topic IS NULL")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Time of the newest row whose time can be believed; the last few are enough to find one.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT max(time) FROM (
               SELECT time FROM (SELECT time, flags FROM reading ORDER BY id DESC LIMIT 100) WHERE NOT flags & 1
               UNION ALL
               SELECT time FROM (SELECT time, flags FROM message ORDER BY id DESC LIMIT 100) WHERE NOT flags & 8)",
        )?
        .query_row([], |row| row.get(0))
}

fn oldest_message(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT time FROM message ORDER BY id LIMIT 1")?
        .query_map([], |row| row.get(0))?
        .next()
        .transpose()
}

/// The oldest messages: so many, and not much more than so many bytes, for one may be an image of megabytes.
fn oldest_messages(connection: &Connection, limit: usize, most_bytes: u64) -> rusqlite::Result<Vec<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT id, octet_length(payload) FROM message ORDER BY id LIMIT ?1")?;
    let mut rows = statement.query([limit as i64])?;
    let (mut ids, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        ids.push(row.get(0)?);
        bytes += row.get::<_, i64>(1)?.unsigned_abs() + 100;
        if bytes > most_bytes {
            break;
        }
    }
    Ok(ids)
}

pub(super) fn delete_readings(connection: &Connection, ids: &[i64]) -> rusqlite::Result<usize> {
    let mut delete = connection.prepare_cached("DELETE FROM reading WHERE id = ?1")?;
    // A refusal without its reading tells nobody anything.
    let mut refusal = connection.prepare_cached("DELETE FROM refusal WHERE row = ?1")?;
    for id in ids {
        delete.execute([id])?;
        refusal.execute([id])?;
    }
    if let Some(highest) = ids.iter().max() {
        connection
            .prepare_cached("UPDATE progress SET deleted_reading = max(deleted_reading, ?1)")?
            .execute([highest])?;
    }
    Ok(ids.len())
}

/// Deletes messages, and their rows in the users' tables with them. Topics stay: to know whether one is still
/// used would take an index by topic, which costs more than the names.
fn delete_messages(connection: &Connection, ids: &[i64]) -> rusqlite::Result<usize> {
    let mut delete = connection.prepare_cached("DELETE FROM message WHERE id = ?1")?;
    for id in ids {
        delete.execute([id])?;
    }
    if let Some(highest) = ids.iter().max() {
        connection
            .prepare_cached("UPDATE progress SET deleted_message = max(deleted_message, ?1)")?
            .execute([highest])?;
    }
    Ok(ids.len())
}

/// Small tables that would otherwise grow for ever: epochs and stretches without rows, and old gap records.
fn tidy(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM epoch WHERE id < (SELECT max(id) FROM epoch
               WHERE first_row <= coalesce((SELECT min(id) FROM reading WHERE id > 0), 9223372036854775807))",
        )?
        .execute([])?;
    connection
        .prepare_cached("DELETE FROM gap WHERE reported AND id <= (SELECT max(id) FROM gap) - ?1")?
        .execute([GAPS])?;
    stretch::tidy(connection)
}
