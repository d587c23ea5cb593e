//! Keeps the pictures within limits of their own: a camera would otherwise push years of readings out. A
//! picture that goes leaves its reading behind, unless it still waited for delivery.

use std::time::Duration;

use rusqlite::Connection;

use super::age::{Row, Trust, Walk};
use super::delivery::Waiting;
use super::gap;
use super::picture::{self, Stored};
use super::retention::{Swept, delete_readings, newest, silent_channels};
use crate::config::ImageRetention;
use crate::reading::Moment;

/// Pictures looked at in one transaction.
const ROWS: usize = 200;

/// Bytes of pictures deleted in one transaction, and then the rest of the one that reaches it.
pub(super) const BYTES: u64 = 8 << 20;

/// The pictures and their limits.
#[derive(Debug)]
pub(super) struct Album {
    limits: ImageRetention,
    trust: Trust,
    walk: Option<Walk>,
    /// Bytes of all pictures, or more; `None` until they have been counted.
    at_most: Option<u64>,
    /// Over the limit, and not yet well below it.
    active: bool,
    /// Pictures up to here wait for delivery, as of `cursor`.
    position: i64,
    cursor: i64,
}

impl Album {
    pub fn new(limits: ImageRetention) -> Self {
        let (trust, walk) = (Trust::default(), None);
        Self { limits, trust, walk, at_most: None, active: false, position: 0, cursor: 0 }
    }

    /// So many bytes were added.
    pub fn added(&mut self, bytes: u64) {
        self.at_most = self.at_most.map(|known| known + bytes);
    }

    /// Whether there may be too much.
    pub fn may_be_over(&self) -> bool {
        self.limits.max_size.is_some_and(|most| self.at_most.is_none_or(|bytes| bytes > most))
    }

    /// One step, inside the caller's transaction.
    pub fn sweep(&mut self, connection: &Connection, now: Moment) -> rusqlite::Result<Swept> {
        let mut swept = Swept::default();
        if let Some(max_age) = self.limits.max_age {
            swept.add(self.by_age(connection, now, max_age)?);
        }
        if let Some(max_size) = self.limits.max_size.filter(|_| self.may_be_over()) {
            swept.add(self.by_size(connection, now, max_size)?);
        }
        Ok(swept)
    }

    fn by_age(&mut self, connection: &Connection, now: Moment, max_age: Duration) -> rusqlite::Result<Swept> {
        if self.walk.is_none() && !self.trust.believes(now, newest(connection)?, max_age) {
            return Ok(Swept::default());
        }
        let walk = self.walk.get_or_insert_default();
        let chunk = picture::after(connection, walk.position, ROWS, BYTES)?;
        let rows: Vec<Row> = chunk.iter().map(|stored| stored.row).collect();
        let Some(old) = walk.judge(&rows, now, max_age) else {
            self.walk = None;
            return Ok(Swept::default());
        };
        let needed = Needed::load(connection)?;
        let is_old = |stored: &&Stored| old.contains(&stored.row.id) && !needed.contains(stored);
        let gone: Vec<i64> = chunk.iter().filter(is_old).map(|stored| stored.row.id).collect();
        picture::delete(connection, &gone)?;
        Ok(Swept { deleted: gone.len(), forced: 0, more: true })
    }

    /// Deletes the oldest pictures while they take more than `max_size`: first those that nobody waits for.
    /// The newest always stays.
    fn by_size(&mut self, connection: &Connection, now: Moment, max_size: u64) -> rusqlite::Result<Swept> {
        let total = picture::total(connection)?;
        self.at_most = Some(total);
        // Between the two marks nothing happens, so that not every picture makes another go.
        let goal = if self.active { max_size - max_size / 32 } else { max_size };
        self.active = total > goal;
        if !self.active {
            return Ok(Swept::default());
        }
        let needed = Needed::load(connection)?;
        if self.cursor != needed.waiting.cursor {
            (self.cursor, self.position) = (needed.waiting.cursor, 0);
        }
        let wanted = (total - goal).min(BYTES);
        let chunk = picture::after(connection, self.position, ROWS, u64::MAX)?;
        let gone =
            oldest(&chunk, wanted, |stored| !needed.contains(stored) && stored.row.id != needed.newest);
        if !gone.is_empty() {
            picture::delete(connection, &gone)?;
            return Ok(Swept { deleted: gone.len(), forced: 0, more: true });
        }
        if let Some(last) = chunk.last().filter(|_| chunk.len() >= ROWS) {
            self.position = last.row.id;
            return Ok(Swept { more: true, ..Swept::default() });
        }
        self.force(connection, &needed, wanted, now)
    }

    /// Deletes the oldest though they wait for delivery, readings and all, and says so.
    fn force(
        &mut self,
        connection: &Connection,
        needed: &Needed,
        wanted: u64,
        now: Moment,
    ) -> rusqlite::Result<Swept> {
        let chunk = picture::after(connection, 0, ROWS, u64::MAX)?;
        let may = |stored: &Stored| {
            stored.row.id != needed.newest && !needed.waiting.in_flight.contains(&stored.row.id)
        };
        let gone = oldest(&chunk, wanted, may);
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else {
            self.active = false;
            return Ok(Swept::default());
        };
        gap::record_deleted(connection, (*first, *last), gone.len() as i64, now.wall)?;
        delete_readings(connection, &gone)?;
        Ok(Swept { deleted: gone.len(), forced: gone.len(), more: true })
    }
}

/// The oldest that may go, until they make `wanted` bytes.
fn oldest(chunk: &[Stored], wanted: u64, may_go: impl Fn(&Stored) -> bool) -> Vec<i64> {
    let mut bytes = 0;
    let may_go = chunk.iter().filter(|stored| may_go(stored));
    may_go
        .take_while(|stored| {
            let before = bytes;
            bytes += stored.size;
            before < wanted
        })
        .map(|stored| stored.row.id)
        .collect()
}

/// Which pictures are still needed.
struct Needed {
    waiting: Waiting,
    silent: std::collections::HashSet<i64>,
    newest: i64,
}

impl Needed {
    fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = connection
            .prepare_cached("SELECT coalesce(max(row), 0) FROM image")?
            .query_row([], |row| row.get(0))?;
        Ok(Self { waiting: Waiting::load(connection)?, silent: silent_channels(connection)?, newest })
    }

    /// Whether it waits for delivery.
    fn contains(&self, stored: &Stored) -> bool {
        !self.silent.contains(&stored.channel) && self.waiting.contains(stored.row.id)
    }
}
