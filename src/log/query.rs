//! What people ask the log: rows by sensor, quantity and time, in the order of time; the newest; any SELECT.
//! Reads only, and prints nothing.

mod buffer;
mod selection;
mod sql;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, Statement};

pub use self::buffer::Buffer;
pub use self::selection::{Selection, fits};
pub use self::sql::Sql;
use super::channel;
use super::error::{LogError, at};
use super::reader::{Reader, clock_of, value_of};
use crate::reading::{Channel, Clock, Timestamp, Value};

/// One reading for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Row id.
    pub row: i64,
    /// What was measured.
    pub channel: Arc<Channel>,
    /// When.
    pub at: Timestamp,
    /// How far `at` can be trusted.
    pub clock: Clock,
    /// Value in the channel's unit.
    pub value: Value,
}

impl Reader {
    /// Every reading selected, in the order of time, one after another: the log may be larger than memory.
    ///
    /// # Errors
    /// What SQLite says; [`LogError::Query`] with the names there are, when none fits.
    pub fn select(
        &mut self,
        selection: &Selection,
        mut each: impl FnMut(Line) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let channels = self.selected(selection)?;
        let path = self.path.clone();
        merge(&self.connection, &channels, selection.range(), false, &mut each).map_err(at(&path))
    }

    /// The newest `limit` readings selected, oldest of them first.
    ///
    /// # Errors
    /// As [`Reader::select`].
    pub fn newest(&mut self, selection: &Selection, limit: usize) -> Result<Vec<Line>, LogError> {
        let channels = self.selected(selection)?;
        let mut lines = Vec::new();
        let path = self.path.clone();
        if limit > 0 {
            let mut each = |line| {
                lines.push(line);
                if lines.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            merge(&self.connection, &channels, selection.range(), true, &mut each).map_err(at(&path))?;
        }
        lines.reverse();
        Ok(lines)
    }

    /// The readings selected with `after < row`, in the order of rows, at most `limit`; and the last row
    /// looked at. For `tail`: times may jump, rows never do.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn after(
        &mut self,
        selection: &Selection,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Line>, i64), LogError> {
        let path = self.path.clone();
        self.read_after(selection, after, limit).map_err(at(&path))
    }

    fn read_after(
        &mut self,
        selection: &Selection,
        after: i64,
        limit: usize,
    ) -> rusqlite::Result<(Vec<Line>, i64)> {
        let (mut lines, mut last) = (Vec::new(), after);
        let mut statement = self.connection.prepare_cached(
            "SELECT id, time, flags, value, channel FROM reading WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let mut rows = statement.query([after, limit as i64])?;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let id: i64 = row.get(4)?;
            if !self.channels.contains_key(&id) {
                self.channels = channel::load(&self.connection)?;
            }
            if let Some(channel) = self.channels.get(&id).filter(|channel| selection.takes(channel)) {
                lines.push(line(row, channel)?);
            }
        }
        Ok((lines, last))
    }

    /// The highest row there is; 0 for none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_row(&self) -> Result<i64, LogError> {
        self.connection
            .query_row("SELECT coalesce(max(id), 0) FROM reading", [], |row| row.get(0))
            .map_err(at(&self.path))
    }

    /// A number that changes whenever somebody else has committed: cheaper to ask than for rows.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn version(&self) -> Result<i64, LogError> {
        self.connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(at(&self.path))
    }

    /// How many readings there are to go through, roughly and at once: for a progress bar.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn span(&self) -> Result<u64, LogError> {
        self.connection
            .query_row("SELECT coalesce(max(id) - min(id) + 1, 0) FROM reading", [], |row| {
                row.get::<_, i64>(0)
            })
            .map(i64::unsigned_abs)
            .map_err(at(&self.path))
    }

    /// When the first and the last reading selected were taken; `None` when there is none. Fast: for a progress bar.
    ///
    /// # Errors
    /// As [`Reader::select`].
    pub fn bounds(&mut self, selection: &Selection) -> Result<Option<(Timestamp, Timestamp)>, LogError> {
        let channels = self.selected(selection)?;
        let (since, until) = selection.range();
        let mut bounds: Option<(i64, i64)> = None;
        for (id, _) in channels {
            let of_channel: (Option<i64>, Option<i64>) = self
                .connection
                .prepare_cached(
                    "SELECT (SELECT min(time) FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3),
                            (SELECT max(time) FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3)",
                )
                .and_then(|mut statement| {
                    statement.query_row([id, since, until], |row| Ok((row.get(0)?, row.get(1)?)))
                })
                .map_err(at(&self.path))?;
            if let (Some(first), Some(last)) = of_channel {
                bounds = Some(bounds.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
            }
        }
        Ok(bounds.map(|(first, last)| (Timestamp(first), Timestamp(last))))
    }

    /// The channels selected, by row id.
    pub(super) fn selected(&mut self, selection: &Selection) -> Result<Vec<(i64, Arc<Channel>)>, LogError> {
        self.channels = channel::load(&self.connection).map_err(at(&self.path))?;
        let mut channels: Vec<_> = self
            .channels
            .iter()
            .filter(|(_, channel)| selection.takes(channel))
            .map(|(id, channel)| (*id, channel.clone()))
            .collect();
        channels.sort_by_key(|(id, _)| *id);
        if channels.is_empty() && !self.channels.is_empty() {
            return Err(no_such(self.channels.values()));
        }
        Ok(channels)
    }
}

/// That a name is not among these, and what is.
pub(super) fn no_such<'a>(channels: impl Iterator<Item = &'a Arc<Channel>>) -> LogError {
    let mut names: Vec<String> =
        channels.map(|channel| format!("{} {}", channel.sensor, channel.quantity)).collect();
    names.sort();
    names.dedup();
    names.truncate(20);
    LogError::Query(match names.is_empty() {
        true => "no such sensor and quantity; the log has none yet".to_owned(),
        false => format!("no such sensor and quantity; the log has: {}", names.join(", ")),
    })
}

/// One range scan per channel, merged by time: each is in order by itself, so nothing is sorted or kept.
fn merge(
    connection: &Connection,
    channels: &[(i64, Arc<Channel>)],
    (since, until): (i64, i64),
    newest_first: bool,
    each: &mut dyn FnMut(Line) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let order = if newest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT id, time, flags, value FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3
         ORDER BY time {order}, id {order}"
    );
    let mut statements: Vec<Statement<'_>> =
        channels.iter().map(|_| connection.prepare(&sql)).collect::<rusqlite::Result<_>>()?;
    let mut cursors: Vec<Rows<'_>> = statements
        .iter_mut()
        .zip(channels)
        .map(|(statement, (id, _))| statement.query([*id, since, until]))
        .collect::<rusqlite::Result<_>>()?;
    // Negated for the newest first: the heap then always yields its smallest.
    let key = |line: &Line| if newest_first { (-line.at.0, -line.row) } else { (line.at.0, line.row) };
    let mut heap = BinaryHeap::new();
    let mut heads: Vec<Option<Line>> = Vec::with_capacity(cursors.len());
    for (place, cursor) in cursors.iter_mut().enumerate() {
        let head = cursor.next()?.map(|row| line(row, &channels[place].1)).transpose()?;
        heap.extend(head.as_ref().map(|head| Reverse((key(head), place))));
        heads.push(head);
    }
    while let Some(Reverse((_, place))) = heap.pop() {
        let next = cursors[place].next()?.map(|row| line(row, &channels[place].1)).transpose()?;
        heap.extend(next.as_ref().map(|next| Reverse((key(next), place))));
        let current = std::mem::replace(&mut heads[place], next);
        if current.is_some_and(|current| each(current).is_break()) {
            break;
        }
    }
    Ok(())
}

/// From a row of `id, time, flags, value`.
fn line(row: &Row<'_>, channel: &Arc<Channel>) -> rusqlite::Result<Line> {
    let value: ValueRef<'_> = row.get_ref(3)?;
    Ok(Line {
        row: row.get(0)?,
        at: Timestamp(row.get(1)?),
        clock: clock_of(row.get(2)?),
        value: value_of(value, channel.kind)?,
        channel: channel.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::*;

    /// A log of six readings of three channels.
    pub(super) fn filled() -> (Folder, Reader) {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("a"), silent("b"), silent("a")]).unwrap();
        // The third channel is the first after a change of configuration; times do not rise with rows.
        for (place, time) in [5, 1, 4, 2, 3, 9].into_iter().enumerate() {
            log.append(vec![reading(ids[place % 3], NOON + time, time as f64)]).unwrap();
        }
        log.close().unwrap();
        let reader = Reader::open(&folder.path()).unwrap();
        (folder, reader)
    }

    fn times(lines: &[Line]) -> Vec<i64> {
        lines.iter().map(|line| line.at.0 - NOON).collect()
    }

    #[test]
    fn rows_come_in_the_order_of_time() {
        let (_folder, mut reader) = filled();
        let all = |reader: &mut Reader, selection: &Selection| {
            let mut lines = Vec::new();
            reader
                .select(selection, |line| {
                    lines.push(line);
                    ControlFlow::Continue(())
                })
                .unwrap();
            times(&lines)
        };
        let mut selection = Selection::default();
        assert_eq!(all(&mut reader, &selection), [1, 2, 3, 4, 5, 9]);
        assert_eq!(times(&reader.newest(&selection, 2).unwrap()), [5, 9]);
        assert_eq!(times(&reader.newest(&selection, 0).unwrap()), [] as [i64; 0]);
        selection.quantity = Some("a".into());
        selection.sensor = Some("a?r".into());
        assert_eq!(all(&mut reader, &selection), [2, 4, 5, 9]);
        selection.since = Some(Timestamp(NOON + 4));
        selection.until = Some(Timestamp(NOON + 9));
        assert_eq!(all(&mut reader, &selection), [4, 5]);
        assert_eq!(times(&reader.newest(&selection, 1).unwrap()), [5]);
        selection.sensor = Some("water".into());
        let error = reader.newest(&selection, 1).unwrap_err().to_string();
        assert!(error.contains("air a, air b"), "{error}");
    }

    #[test]
    fn after_goes_by_rows() {
        let (_folder, mut reader) = filled();
        let selection = Selection { quantity: Some("b".into()), ..Default::default() };
        let (lines, last) = reader.after(&selection, 0, 4).unwrap();
        assert_eq!((times(&lines), last), (vec![1], 4));
        let (lines, last) = reader.after(&selection, last, 4).unwrap();
        assert_eq!((times(&lines), last), (vec![3], 6));
        assert_eq!(reader.last_row().unwrap(), 6);
    }
}
