//! Roll-ups: what the readings of a channel in an hour or some minutes come to, kept so that a month is drawn from
//! some hundred rows instead of a million. Written by the writer along with what it commits anyway, many readings at a
//! time, so that they cost no fsync; a roll-up that is missing is never wrong. Whoever asks reads them by `pieces`.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::store::Store;

/// µs in a minute.
pub(super) const MINUTE: i64 = 60_000_000;

/// One length of interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub minutes: i64,
    /// Fewer readings in an interval than this are not worth a row: it takes some 75 bytes, and reading them one
    /// by one is no slower than people can see.
    pub fewest: i64,
}

impl Level {
    /// Length, µs.
    pub fn length(self) -> i64 {
        self.minutes * MINUTE
    }
}

/// Longest first. Months are drawn from hours, a day from five minutes, and the hours of a sensor that is read many
/// times a second from minutes. At the fewest, the three cost 5, 5 and 1 bytes a reading.
pub(super) const LEVELS: [Level; 3] =
    [Level { minutes: 60, fewest: 16 }, Level { minutes: 5, fewest: 16 }, Level { minutes: 1, fewest: 120 }];

/// Rows that wait before a step is worth it: whoever asks reads them all, in some milliseconds.
const WAITING: i64 = 32_768;

/// Rows rolled up in one transaction. Fewer would write the same roll-ups, and their pages, more often.
const ROWS: i64 = 8_192;

/// More rows wait than commits can take along: an older log was taken over. Then steps are committed by themselves.
const FAR_BEHIND: i64 = 2 * WAITING;

/// More rows than this are not read besides: then roll-ups are not used at all until they have caught up, which
/// they must only after an older log was taken over.
pub(super) const MOST_WAITING: i64 = 4 * WAITING;

/// Intervals made anew in one transaction.
const STALE: i64 = 64;

/// Between two steps, along with a commit or not: so long at least, and so many times as long as a step takes.
const PAUSE: Duration = Duration::from_millis(20);
const REST: u32 = 4;

/// After a step that failed.
const RETRY: Duration = Duration::from_secs(60);

/// A number as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Real(f64),
}

impl Number {
    /// `None` for a text.
    pub fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Integer(number) => Some(Self::Integer(number)),
            ValueRef::Real(number) => Some(Self::Real(number)),
            _ => None,
        }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Real(number) => number,
        }
    }

    /// As SQLite gives it.
    pub fn stored(&self) -> ValueRef<'_> {
        match self {
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
        }
    }
}

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.stored()))
    }
}

/// What some readings come to: one, or those of an interval. Times in µs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sum {
    pub count: i64,
    pub least: f64,
    pub most: f64,
    pub sum: f64,
    pub first: Number,
    pub first_at: i64,
    pub last: Number,
    pub last_at: i64,
}

impl Sum {
    /// One reading.
    pub fn of(time: i64, number: Number) -> Self {
        let value = number.as_f64();
        Self {
            count: 1,
            least: value,
            most: value,
            sum: value,
            first: number,
            first_at: time,
            last: number,
            last_at: time,
        }
    }

    /// Adds readings that were logged later. Of two readings of the same time the one logged later is the last.
    pub fn add(&mut self, other: &Sum) {
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.sum += other.sum;
        if other.first_at < self.first_at {
            (self.first, self.first_at) = (other.first, other.first_at);
        }
        if other.last_at >= self.last_at {
            (self.last, self.last_at) = (other.last, other.last_at);
        }
    }

    /// From the columns after `slot`.
    pub fn read(row: &Row<'_>, begin: i64) -> rusqlite::Result<Self> {
        let number = |column| {
            let value = row.get_ref(column)?;
            Number::of(value).ok_or_else(|| {
                rusqlite::Error::InvalidColumnType(column, "number".to_owned(), value.data_type())
            })
        };
        Ok(Self {
            count: row.get(1)?,
            least: row.get(2)?,
            most: row.get(3)?,
            sum: row.get(4)?,
            first: number(5)?,
            first_at: begin + row.get::<_, i64>(6)?,
            last: number(7)?,
            last_at: begin + row.get::<_, i64>(8)?,
        })
    }
}

/// One interval of one channel; in the order in which they lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    channel: i64,
    minutes: i64,
    slot: i64,
}

impl Place {
    fn begin(self) -> i64 {
        self.slot.saturating_mul(self.minutes * MINUTE)
    }

    fn end(self) -> i64 {
        self.begin().saturating_add(self.minutes * MINUTE)
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stepped {
    /// The last row that is rolled up.
    rolled: i64,
    /// There is more.
    pub more: bool,
}

/// Rolls up the next rows, and makes some stale intervals anew.
pub(super) fn step(connection: &Connection, rows: i64) -> rusqlite::Result<Stepped> {
    let from: i64 =
        connection.prepare_cached("SELECT rolled FROM progress")?.query_row([], |row| row.get(0))?;
    let (minutes, until, looked) = by_minute(connection, from, rows)?;
    for one in minutes.chunk_by(|before, after| before.channel == after.channel) {
        roll_up(connection, &LEVELS, one, until)?;
    }
    connection.prepare_cached("UPDATE progress SET rolled = ?1 WHERE rolled < ?1")?.execute([until])?;
    let stale = renew(connection, until)?;
    Ok(Stepped { rolled: until, more: looked == rows || stale == STALE })
}

/// What rows come to in one minute of one channel.
#[derive(Debug, Clone, Copy)]
struct Minute {
    channel: i64,
    minute: i64,
    sum: Sum,
}

/// The next rows by channel and minute, the last of them, and how many there were.
fn by_minute(connection: &Connection, from: i64, rows: i64) -> rusqlite::Result<(Vec<Minute>, i64, i64)> {
    let mut statement = connection
        .prepare_cached("SELECT id, channel, time, value FROM reading WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut found = statement.query([from, rows])?;
    let (mut minutes, mut until, mut looked) = (HashMap::<(i64, i64), Sum>::new(), from, 0);
    while let Some(row) = found.next()? {
        (until, looked) = (row.get(0)?, looked + 1);
        let Some(number) = Number::of(row.get_ref(3)?) else { continue };
        let time: i64 = row.get(2)?;
        let one = Sum::of(time, number);
        minutes.entry((row.get(1)?, time.div_euclid(MINUTE))).and_modify(|sum| sum.add(&one)).or_insert(one);
    }
    let mut minutes: Vec<Minute> =
        minutes.into_iter().map(|((channel, minute), sum)| Minute { channel, minute, sum }).collect();
    minutes.sort_unstable_by_key(|one| (one.channel, one.minute));
    Ok((minutes, until, looked))
}

/// Adds minutes of one channel, in the order of time, to the intervals of the first of these levels, and then of
/// the others: but not within an interval that has fewer readings altogether than a shorter one would need.
fn roll_up(
    connection: &Connection,
    levels: &[Level],
    minutes: &[Minute],
    until: i64,
) -> rusqlite::Result<()> {
    let Some((level, shorter)) = levels.split_first() else { return Ok(()) };
    let slot = |one: &Minute| one.minute.div_euclid(level.minutes);
    for within in minutes.chunk_by(|before, after| slot(before) == slot(after)) {
        let Some((first, others)) = within.split_first() else { continue };
        let mut sum = first.sum;
        others.iter().for_each(|one| sum.add(&one.sum));
        let place = Place { channel: first.channel, minutes: level.minutes, slot: slot(first) };
        let count = merge(connection, place, &sum, until)?;
        if shorter.iter().any(|level| count >= level.fewest) {
            roll_up(connection, shorter, within, until)?;
        }
    }
    Ok(())
}

/// Adds to what is kept of an interval the readings up to row `until` that are not in it yet. Answers how many
/// readings it has altogether.
fn merge(connection: &Connection, place: Place, new: &Sum, until: i64) -> rusqlite::Result<i64> {
    let kept = connection
        .prepare_cached(
            "SELECT slot, count, least, most, sum, first, first_after, last, last_after
             FROM rollup WHERE channel = ?1 AND minutes = ?2 AND slot = ?3",
        )?
        .query_row([place.channel, place.minutes, place.slot], |row| Sum::read(row, place.begin()))
        .optional()?;
    match kept {
        Some(mut sum) => {
            sum.add(new);
            write(connection, place, &sum)?;
            Ok(sum.count)
        }
        None => make(connection, place, Some(new), until),
    }
}

/// Makes what is not kept of an interval, if it is worth it. `new` are the last of its readings up to `until`,
/// perhaps all. Answers how many it has.
fn make(connection: &Connection, place: Place, new: Option<&Sum>, until: i64) -> rusqlite::Result<i64> {
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 AND id <= ?4",
        )?
        .query_row([place.channel, place.begin(), place.end(), until], |row| row.get(0))?;
    if LEVELS.iter().any(|level| level.minutes == place.minutes && count < level.fewest) {
        return Ok(count);
    }
    if let Some(all) = new.filter(|new| new.count == count) {
        write(connection, place, all)?;
        return Ok(count);
    }
    let mut statement = connection.prepare_cached(
        "SELECT time, value FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 AND id <= ?4
         ORDER BY time, id",
    )?;
    let mut rows = statement.query([place.channel, place.begin(), place.end(), until])?;
    let mut sum: Option<Sum> = None;
    while let Some(row) = rows.next()? {
        let Some(number) = Number::of(row.get_ref(1)?) else { continue };
        let one = Sum::of(row.get(0)?, number);
        match &mut sum {
            Some(sum) => sum.add(&one),
            none => *none = Some(one),
        }
    }
    if let Some(sum) = sum {
        write(connection, place, &sum)?;
    }
    Ok(count)
}

fn write(connection: &Connection, place: Place, sum: &Sum) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO rollup VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            place.channel,
            place.minutes,
            place.slot,
            sum.count,
            sum.least,
            sum.most,
            sum.sum,
            sum.first,
            sum.first_at - place.begin(),
            sum.last,
            sum.last_at - place.begin(),
        ])?;
    Ok(())
}

/// Makes some intervals anew whose readings were changed; answers how many there were.
fn renew(connection: &Connection, until: i64) -> rusqlite::Result<i64> {
    let mut statement =
        connection.prepare_cached("SELECT channel, minutes, slot FROM stale ORDER BY 1, 2, 3 LIMIT ?1")?;
    let places: Vec<Place> = statement
        .query_map([STALE], |row| {
            Ok(Place { channel: row.get(0)?, minutes: row.get(1)?, slot: row.get(2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for place in &places {
        let key = [place.channel, place.minutes, place.slot];
        let kept = connection
            .prepare_cached("SELECT 1 FROM rollup WHERE channel = ?1 AND minutes = ?2 AND slot = ?3")?
            .exists(key)?;
        // Made anew by rows that came since: those count every reading.
        if !kept {
            make(connection, *place, None, until)?;
        }
        connection
            .prepare_cached("DELETE FROM stale WHERE channel = ?1 AND minutes = ?2 AND slot = ?3")?
            .execute(key)?;
    }
    Ok(places.len() as i64)
}

/// Forgets what is kept of the intervals in which readings were added below the rows already rolled up, and has them
/// made anew when there is time. Each is a channel and a minute since 1970.
pub(super) fn forget(
    connection: &Connection,
    minutes: impl IntoIterator<Item = (i64, i64)>,
) -> rusqlite::Result<()> {
    let mut places: BTreeSet<Place> = BTreeSet::new();
    for (channel, minute) in minutes {
        let place =
            |level: Level| Place { channel, minutes: level.minutes, slot: minute.div_euclid(level.minutes) };
        places.extend(LEVELS.map(place));
    }
    let mut delete =
        connection.prepare_cached("DELETE FROM rollup WHERE channel = ?1 AND minutes = ?2 AND slot = ?3")?;
    let mut stale = connection.prepare_cached("INSERT OR IGNORE INTO stale VALUES (?1, ?2, ?3)")?;
    for Place { channel, minutes, slot } in places {
        delete.execute([channel, minutes, slot])?;
        stale.execute([channel, minutes, slot])?;
    }
    Ok(())
}

/// When the writer rolls up.
#[derive(Debug)]
pub(super) struct Roller {
    rolled: i64,
    last: i64,
    due: Option<Instant>,
    /// In the transaction that is to be committed next: what it did, and when the next step is due.
    along: Option<(Stepped, Option<Instant>)>,
}

impl Roller {
    /// For a log that is rolled up to a row, with `last` as its last.
    pub fn new(rolled: i64, last: i64) -> Self {
        let mut roller = Self { rolled, last, due: None, along: None };
        roller.after_commit(last, false, Instant::now());
        roller
    }

    /// When the next step of its own is due; `None` while commits take along what there is.
    pub fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.last - self.rolled > FAR_BEHIND)
    }

    /// How many rows are to go along with a commit of so many readings; 0 for none.
    pub fn rows_along(&self, readings: usize, now: Instant) -> i64 {
        match self.due {
            // However rare the commits are, more goes than comes.
            Some(due) if due <= now => {
                i64::try_from(readings).unwrap_or(WAITING).saturating_mul(2).clamp(ROWS, WAITING)
            }
            _ => 0,
        }
    }

    /// One step in somebody else's transaction, which was begun at `begun`. It counts when that is committed.
    pub fn along(&mut self, connection: &Connection, rows: i64, begun: Instant) -> rusqlite::Result<()> {
        // Should it fail, here or when it is committed, it must not fail with every commit.
        self.due = Some(begun + RETRY);
        let stepped = step(connection, rows)?;
        self.along = Some((stepped, next(stepped, begun)));
        Ok(())
    }

    /// Nothing was committed: not again soon, should this have been the reason.
    pub fn put_off(&mut self, now: Instant) {
        self.along = None;
        self.due = self.due.map(|due| due.max(now + RETRY));
    }

    /// The last row is this now. `is_along`: what went along was committed as well.
    pub fn after_commit(&mut self, last: i64, is_along: bool, now: Instant) {
        self.last = last;
        if let Some((stepped, due)) = self.along.take().filter(|_| is_along) {
            (self.rolled, self.due) = (stepped.rolled, due);
        }
        if self.due.is_none() && last - self.rolled >= WAITING {
            self.due = Some(now);
        }
    }

    /// One step, in a transaction of its own. Nothing depends on it: when it fails it is tried again later.
    pub fn step(&mut self, store: &mut Store) {
        let begun = Instant::now();
        match store.chore(|connection| step(connection, ROWS)) {
            Ok(stepped) => {
                self.rolled = stepped.rolled;
                self.due = next(stepped, begun);
            }
            Err(reason) => {
                tracing::debug!("log: rolling up: {reason}");
                self.due = Some(begun + RETRY);
            }
        }
    }
}

/// When the step after one that was begun at `begun` is due.
fn next(stepped: Stepped, begun: Instant) -> Option<Instant> {
    let now = Instant::now();
    stepped.more.then(|| now + PAUSE.max((now - begun) * REST))
}

/// Everything at once: for tests and for measuring.
#[cfg(test)]
pub(super) fn finish(connection: &Connection) {
    while step(connection, ROWS).unwrap().more {}
}
