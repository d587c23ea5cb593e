//! The readings of a channel in a stretch of time in as few pieces as possible: roll-ups where they are kept, single
//! rows where not, and at the edges. Exactly what the rows alone would come to. Reads only.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::rollup::{LEVELS, MOST_WAITING, Number, Sum};

/// The first version of the tables that has them.
const SINCE: i64 = 4;

/// The snapshot's roll-ups. Hold a read transaction as long as this is used.
pub(super) struct Pieces<'a> {
    connection: &'a Connection,
    /// Rows up to here are in the roll-ups; `None`: they are not to be used.
    rolled: Option<i64>,
    /// The rows after, by channel: time and number, as they were logged.
    tail: HashMap<i64, Vec<(i64, Number)>>,
}

impl<'a> Pieces<'a> {
    /// Rows only: for stretches so short that no roll-up would fit, or for comparison.
    pub fn of_rows(connection: &'a Connection) -> Self {
        Self { connection, rolled: None, tail: HashMap::new() }
    }

    /// With roll-ups, unless too many rows wait for theirs, or what will be gathered is shorter than all of them
    /// (`longest`, µs). `wanted` says of which channels pieces will be asked.
    pub fn new(
        connection: &'a Connection,
        longest: i64,
        wanted: impl Fn(i64) -> bool,
    ) -> rusqlite::Result<Self> {
        // A copy of an earlier version may be asked, too; it is not ours to change.
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < SINCE || LEVELS.iter().all(|level| level.length() > longest) {
            return Ok(Self::of_rows(connection));
        }
        let (rolled, last): (i64, i64) = connection
            .prepare_cached("SELECT rolled, (SELECT coalesce(max(id), 0) FROM reading) FROM progress")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if last - rolled > MOST_WAITING {
            return Ok(Self::of_rows(connection));
        }
        let mut statement = connection
            .prepare_cached("SELECT channel, time, value FROM reading WHERE id > ?1 ORDER BY id")?;
        let mut rows = statement.query([rolled])?;
        let mut tail: HashMap<i64, Vec<_>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let channel = row.get(0)?;
            if wanted(channel)
                && let Some(number) = Number::of(row.get_ref(2)?)
            {
                tail.entry(channel).or_default().push((row.get(1)?, number));
            }
        }
        Ok(Self { connection, rolled: Some(rolled), tail })
    }

    /// Hands over pieces of a channel that together are its numbers in `[from, to)`, not in the order of time.
    /// `longest` is the length (µs) of what is gathered: longer roll-ups are not looked at; of the others those
    /// are taken that `fits` takes by beginning and end.
    pub fn each(
        &self,
        channel: i64,
        range: (i64, i64),
        longest: i64,
        fits: &dyn Fn(i64, i64) -> bool,
        each: &mut dyn FnMut(&Sum),
    ) -> rusqlite::Result<()> {
        let level = match self.rolled {
            None => LEVELS.len(),
            Some(_) => LEVELS.iter().position(|level| level.length() <= longest).unwrap_or(LEVELS.len()),
        };
        self.walk(channel, range, level, fits, each)?;
        let tail = self.tail.get(&channel).into_iter().flatten();
        for (time, number) in tail.filter(|(time, _)| (range.0..range.1).contains(time)) {
            each(&Sum::of(*time, *number));
        }
        Ok(())
    }

    /// What is kept at this level, and what lies between by the next.
    fn walk(
        &self,
        channel: i64,
        (from, to): (i64, i64),
        level: usize,
        fits: &dyn Fn(i64, i64) -> bool,
        each: &mut dyn FnMut(&Sum),
    ) -> rusqlite::Result<()> {
        let Some(kept) = LEVELS.get(level) else { return self.rows(channel, (from, to), each) };
        let length = kept.length();
        let (first, end) =
            (from.div_euclid(length) + i64::from(from.rem_euclid(length) > 0), to.div_euclid(length));
        let mut holes = Vec::new();
        let mut done = from;
        if first < end {
            let mut statement = self.connection.prepare_cached(
                "SELECT slot, count, least, most, sum, first, first_after, last, last_after
                 FROM rollup WHERE channel = ?1 AND minutes = ?2 AND slot >= ?3 AND slot < ?4 ORDER BY slot",
            )?;
            let mut rows = statement.query([channel, kept.minutes, first, end])?;
            while let Some(row) = rows.next()? {
                let begin = row.get::<_, i64>(0)? * length;
                if !fits(begin, begin + length) {
                    continue;
                }
                if done < begin {
                    holes.push((done, begin));
                }
                each(&Sum::read(row, begin)?);
                done = begin + length;
            }
        }
        if done < to {
            holes.push((done, to));
        }
        for hole in holes {
            self.walk(channel, hole, level + 1, fits, each)?;
        }
        Ok(())
    }

    /// Row by row, those after the roll-ups left out.
    fn rows(&self, channel: i64, (from, to): (i64, i64), each: &mut dyn FnMut(&Sum)) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT time, value FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 AND id <= ?4
             ORDER BY time, id",
        )?;
        let mut rows = statement.query(params![channel, from, to, self.rolled.unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            if let Some(number) = Number::of(row.get_ref(1)?) {
                each(&Sum::of(row.get(0)?, number));
            }
        }
        Ok(())
    }
}
