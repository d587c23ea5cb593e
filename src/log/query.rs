//! What people ask the log: rows by sensor, quantity and time, in the order of time; the newest; any SELECT.
//! Reads only, and prints nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, Statement};

/// A value of an SQL result: null, integer, real, text or blob.
pub use rusqlite::types::Value as Sql;

use super::error::{LogError, at};
use super::reader::{Reader, clock_of, value_of};
use super::{channel, delivery, gap};
use crate::reading::{Channel, Clock, Timestamp, Value};

/// Which readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Name of the sensor; `*` and `?` stand for any letters and any letter.
    pub sensor: Option<String>,
    /// Name of the quantity, as for the sensor.
    pub quantity: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

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

/// Whether a name fits a pattern in which `*` stands for any letters and `?` for any one.
///
/// Only the last `*` is ever gone back to: an earlier one could take no more than that one can. So it takes no longer
/// than name times pattern, whatever somebody types.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                at = place + 1;
                in_name = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

impl Selection {
    /// Whether a channel is among them, whatever the time.
    pub fn takes(&self, channel: &Channel) -> bool {
        let fit =
            |pattern: &Option<String>, name: &str| pattern.as_ref().is_none_or(|pattern| fits(pattern, name));
        fit(&self.sensor, channel.sensor.as_str()) && fit(&self.quantity, channel.quantity.as_str())
    }

    /// Whether a time is.
    pub fn covers(&self, time: Timestamp) -> bool {
        let (since, until) = self.range();
        (since..until).contains(&time.0)
    }

    pub(super) fn range(&self) -> (i64, i64) {
        (self.since.map_or(i64::MIN, |since| since.0), self.until.map_or(i64::MAX, |until| until.0))
    }
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

    /// Runs one statement that only reads, and hands over its column names and then each row.
    ///
    /// # Errors
    /// [`LogError::Query`] for what SQLite does not understand, and for anything that would write.
    pub fn sql(
        &mut self,
        sql: &str,
        names: impl FnOnce(Vec<String>),
        mut each: impl FnMut(Vec<Sql>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let wrong = |error: rusqlite::Error| LogError::Query(plain(&error));
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        if !statement.readonly() {
            return Err(LogError::Query(
                "only statements that read are run here, such as SELECT; the log was not changed".to_owned(),
            ));
        }
        let columns = statement.column_count();
        names(statement.column_names().map(str::to_owned).collect());
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let values: rusqlite::Result<Vec<Sql>> = (0..columns).map(|column| row.get(column)).collect();
            // Text that is not UTF-8 cannot come from us, but from a cast in the statement.
            if each(values.map_err(wrong)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// What waits for delivery, and what went wrong with it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn buffer(&mut self) -> Result<Buffer, LogError> {
        let path = self.path.clone();
        let state = delivery::load(&self.connection).map_err(at(&path))?;
        let last = self.last_row()?;
        let (mut waiting, mut oldest) = self.waiting(state.cursor, last)?;
        let mut late = Vec::new();
        for range in &state.late {
            let (count, since) = self.waiting(range.next - 1, range.end)?;
            waiting += count;
            oldest = [since, oldest].into_iter().flatten().min();
            late.push((*range, count));
        }
        let number =
            |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(at(&path));
        Ok(Buffer {
            rows: number("SELECT count(*) FROM reading")?,
            last_row: last,
            cursor: state.cursor,
            waiting,
            oldest,
            late,
            in_flight: state.in_flight,
            refused: number("SELECT count(*) FROM refusal")?,
            refusals: reasons(&self.connection).map_err(at(&path))?,
            gaps: gap::summary(&self.connection).map_err(at(&path))?,
        })
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

/// State of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// Readings in the log.
    pub rows: i64,
    /// The newest row.
    pub last_row: i64,
    /// Everything up to here is delivered, or stands in `late`.
    pub cursor: i64,
    /// Readings that wait for delivery.
    pub waiting: u64,
    /// When the oldest of them was taken.
    pub oldest: Option<Timestamp>,
    /// Ranges that follow late, each with its number of readings.
    pub late: Vec<(super::RowRange, u64)>,
    /// QoS 2 hand-shakes remembered.
    pub in_flight: Vec<super::InFlight>,
    /// Readings that the broker refused for good.
    pub refused: i64,
    /// Why, with how often, most frequent first; at most five.
    pub refusals: Vec<(String, i64)>,
    /// Readings lost, per reason (`retention`, `busy`): how many, and when last.
    pub gaps: Vec<(String, i64, Timestamp)>,
}

fn reasons(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    connection
        .prepare("SELECT reason, count(*) FROM refusal GROUP BY 1 ORDER BY 2 DESC LIMIT 5")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// SQLite's own words, without those of the library around it.
fn plain(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::MultipleStatement => "one statement at a time, please".to_owned(),
        other => other.to_string(),
    }
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
    use proptest::prelude::*;

    use super::*;
    use crate::log::testing::*;

    /// What a pattern means, letter by letter.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            (['*', rest @ ..], name) => (0..=name.len()).any(|at| means(rest, &name[at..])),
            ([letter, rest @ ..], [other, name @ ..]) => {
                (*letter == '?' || letter == other) && means(rest, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_it_means(pattern in "[abé?*]{0,8}", name in "[abé]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&pattern, &name), means(&letters(&pattern), &letters(&name)));
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_than_others() {
        // By going back to every star this would take longer than there is time.
        assert!(!fits(&("a*".repeat(60) + "b"), &"a".repeat(120)));
    }

    #[test]
    fn patterns() {
        let table = [
            ("air", "air", true),
            ("air", "airy", false),
            ("*", "", true),
            ("a*r", "air", true),
            ("a*", "b", false),
            ("?ir", "äir", true),
            ("*e*e*", "greenhouse", true),
            ("*e*e", "greenhousx", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn filled() -> (Folder, Reader) {
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

    #[test]
    fn sql_reads_and_never_writes() {
        let (_folder, mut reader) = filled();
        let mut names = Vec::new();
        let mut rows = Vec::new();
        reader
            .sql(
                "SELECT quantity, count(*) AS n, max(value) FROM readings GROUP BY 1",
                |columns| names = columns,
                |row| {
                    rows.push(row);
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
        assert_eq!(names, ["quantity", "n", "max(value)"]);
        assert_eq!(rows[0], [Sql::Text("a".into()), Sql::Integer(4), Sql::Real(9.0)]);
        for (sql, complaint) in [
            ("DELETE FROM reading", "only statements that read"),
            ("SELEC 1", "syntax error"),
            ("SELECT 1; SELECT 2", "one statement"),
            ("SELECT nonsense FROM readings", "no such column"),
            ("PRAGMA user_version = 7", ""),
            ("ATTACH '/nowhere/x.db' AS x", ""),
        ] {
            let error = reader.sql(sql, |_| {}, |_| ControlFlow::Continue(())).unwrap_err().to_string();
            assert!(error.contains(complaint), "{sql}: {error}");
        }
        assert_eq!(reader.last_row().unwrap(), 6);
    }

    #[test]
    fn the_buffer_is_told_as_it_is() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("a")]).unwrap();
        for time in 1..=10 {
            log.append(vec![reading(ids[0], NOON + time, 0.0)]).unwrap();
        }
        log.record_loss(3);
        let update = super::super::DeliveryUpdate {
            cursor: Some(7),
            late: Some(vec![super::super::RowRange { next: 3, end: 4 }]),
            refused: vec![(2, "quota".into())],
            ..Default::default()
        };
        log.save_delivery(update, super::super::Urgency::Now).unwrap();
        log.close().unwrap();
        let buffer = Reader::open(&folder.path()).unwrap().buffer().unwrap();
        assert_eq!((buffer.rows, buffer.last_row, buffer.cursor), (10, 10, 7));
        assert_eq!((buffer.waiting, buffer.oldest), (5, Some(Timestamp(NOON + 3))));
        assert_eq!(buffer.late[0].1, 2);
        assert_eq!((buffer.refused, buffer.refusals), (1, vec![("quota".to_owned(), 1)]));
        assert_eq!(buffer.gaps, [("busy".to_owned(), 3, Timestamp(NOON))]);
    }
}
