//! One quantity over a stretch of time, in few enough points to draw, with nothing hidden: every bucket keeps its
//! smallest and its largest value, and where there was nothing, a gap says so. Reads only.
//!
//! For the rows themselves, and for several quantities at once, there is `query`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::{LogError, at};
use super::pieces::Pieces;
use super::reader::Reader;
use super::rollup::{LEVELS, Number, Sum};
use super::{channel, look, silence};
use crate::reading::{Channel, ValueKind};

/// Most buckets that are answered, whatever is asked for.
pub const MOST_BUCKETS: usize = 10_000;

/// Times beyond these (in the year 38,505, or as far back) are taken for them, so that lengths can be counted.
const TIMES: (i64, i64) = (-(1 << 60), 1 << 60);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Sensor id, literally.
    pub sensor: String,
    /// Name of the quantity, literally.
    pub quantity: String,
    /// Only readings of this unit; `None`: of the unit that the newest channel of the name has. What was logged
    /// in another unit before a change of the configuration is another series.
    pub unit: Option<String>,
    /// Not before, µs since the Unix epoch.
    pub from: i64,
    /// Before, µs since the Unix epoch. Not later than now, or the time to come counts as one without readings.
    pub to: i64,
    /// At most so many buckets; at least 1, at most [`MOST_BUCKETS`].
    pub buckets: usize,
    /// What is known of how often readings come.
    pub rhythm: Rhythm,
}

impl Ask {
    /// Asks for a quantity over `[from, to)` (µs) in at most `buckets`, knowing nothing else of it.
    pub fn new(sensor: &str, quantity: &str, (from, to): (i64, i64), buckets: usize) -> Self {
        let (sensor, quantity) = (sensor.to_owned(), quantity.to_owned());
        Self { sensor, quantity, unit: None, from, to, buckets, rhythm: Rhythm::Unknown }
    }
}

/// How often readings of a quantity come. The log does not know the configuration; who does can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rhythm {
    /// Judged by the readings: when they come regularly, a silence much longer than usual is a gap, unless the
    /// sensor's other quantities were heard meanwhile.
    #[default]
    Unknown,
    /// At least so often: the heartbeat, or the interval of a quantity with `change: always`.
    AtLeastEvery(Duration),
    /// Only when the value changes: silence alone means nothing.
    OnChange,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Unit of every value; empty for none.
    pub unit: String,
    /// What the values were; a truth is 0 or 1 here, a picture its size in bytes.
    pub kind: ValueKind,
    /// Length of a bucket, µs; 0 when there were so few readings that each is a bucket by itself.
    pub width: i64,
    /// The last reading before `from` (its time in µs, its value): what a quantity that is only logged when it
    /// changes had then.
    pub before: Option<(i64, f64)>,
    /// In the order of time, not overlapping. Where there were no readings there is no bucket.
    pub buckets: Vec<Bucket>,
    /// Stretches within `[from, to)` of which nothing is known, in the order of time, not overlapping. A quantity
    /// that did not change has none. Those shorter than a bucket are left out.
    pub gaps: Vec<Gap>,
}

/// The readings of a stretch of time, or a single one (`count` 1, `begin` = `end`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Where it begins, µs; the first and the last are cut at `from` and `to`.
    pub begin: i64,
    /// Where it ends, µs, exclusive; of a single reading its time.
    pub end: i64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// How many readings; at least 1.
    pub count: u64,
    /// Oldest value, and its time in µs.
    pub first: f64,
    /// When `first` was taken, µs.
    pub first_at: i64,
    /// Newest value.
    pub last: f64,
    /// When `last` was taken, µs.
    pub last_at: i64,
}

/// A stretch without readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last moment of which something is known, µs.
    pub begin: i64,
    /// The first one again, µs.
    pub end: i64,
    /// Why.
    pub why: Why,
}

/// Why there are no readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The bridge was not running.
    Stopped,
    /// The sensor did not answer; its `state` says more.
    Failed,
    /// Not known: none came, for much longer than usual.
    Silent,
}

impl Why {
    /// In one word: `stopped`, `failed` or `silent`.
    pub fn word(self) -> &'static str {
        match self {
            Why::Stopped => "stopped",
            Why::Failed => "failed",
            Why::Silent => "silent",
        }
    }
}

impl Reader {
    /// One quantity over a stretch of time, by buckets or, if they are few, reading by reading.
    ///
    /// # Errors
    /// What SQLite says; [`LogError::Query`] for a name that the log does not have, with those it has, and for
    /// texts.
    pub fn series(&self, ask: &Ask) -> Result<Series, LogError> {
        self.several(std::slice::from_ref(ask))?.remove(0)
    }

    /// Several quantities, each as [`Reader::series`] answers it, of one moment; what all of them need is read once.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn several(&self, asks: &[Ask]) -> Result<Vec<Result<Series, LogError>>, LogError> {
        let running = look::is_written(&self.path) != Some(false);
        // One snapshot for everything that is read.
        let transaction = self.connection.unchecked_transaction().map_err(at(&self.path))?;
        let all = channel::load(&self.connection).map_err(at(&self.path))?;
        let asked: Vec<Result<Asked<'_>, LogError>> = asks
            .iter()
            .map(|ask| {
                let (newest, channels) = named(&all, ask)?;
                Asked::new(&transaction, ask, newest, channels).map_err(at(&self.path))
            })
            .collect();
        let found = || asked.iter().flatten();
        let longest = found().map(|asked| asked.width).max().unwrap_or(0);
        let wanted: HashSet<i64> = found().flat_map(|asked| asked.channels.iter().copied()).collect();
        let pieces = Pieces::new(&transaction, longest, |channel| wanted.contains(&channel))
            .map_err(at(&self.path))?;
        let answer = |asked: Asked<'_>| asked.answer(&transaction, &pieces, running).map_err(at(&self.path));
        Ok(asked.into_iter().map(|asked| asked.and_then(answer)).collect())
    }
}

/// The newest channel of the name, and the row ids of all that are the same series.
fn named<'a>(all: &'a HashMap<i64, Arc<Channel>>, ask: &Ask) -> Result<(&'a Channel, Vec<i64>), LogError> {
    let mut same: Vec<_> = all
        .iter()
        .filter(|(_, channel)| {
            channel.sensor.as_str() == ask.sensor
                && channel.quantity.as_str() == ask.quantity
                && ask.unit.as_ref().is_none_or(|unit| *unit == channel.unit)
        })
        .collect();
    same.sort_by_key(|(id, _)| **id);
    let Some((_, newest)) = same.last().copied() else {
        return Err(super::query::no_such(all.values()));
    };
    if newest.kind == ValueKind::Text {
        let Ask { sensor, quantity, .. } = ask;
        let reason = format!("{sensor} {quantity} is text, and no number; see it with `query`");
        return Err(LogError::Query(reason));
    }
    same.retain(|(_, channel)| channel.unit == newest.unit && channel.kind != ValueKind::Text);
    Ok((newest, same.into_iter().map(|(id, _)| *id).collect()))
}

/// A question, and what must be known before it is answered.
struct Asked<'a> {
    ask: &'a Ask,
    newest: &'a Channel,
    channels: Vec<i64>,
    range: (i64, i64),
    most: usize,
    /// Of a bucket, µs; 0 where there can be none.
    width: i64,
}

impl<'a> Asked<'a> {
    fn new(
        connection: &Connection,
        ask: &'a Ask,
        newest: &'a Channel,
        channels: Vec<i64>,
    ) -> rusqlite::Result<Self> {
        let range = (ask.from.max(TIMES.0), ask.to.min(TIMES.1));
        let most = ask.buckets.clamp(1, MOST_BUCKETS);
        let width = match range.0 < range.1 {
            true => width(range.1 - range.0, most, covered(connection, &channels, range)?),
            false => 0,
        };
        Ok(Self { ask, newest, channels, range, most, width })
    }

    fn answer(self, connection: &Connection, pieces: &Pieces<'_>, running: bool) -> rusqlite::Result<Series> {
        let Self { ask, newest, channels, range, .. } = &self;
        let before = last_before(connection, channels, range.0)?;
        let (width, buckets) = match self.width {
            0 => (0, Vec::new()),
            _ => self.buckets(connection, pieces)?,
        };
        let subject = silence::Subject { sensor: &ask.sensor, channels, rhythm: ask.rhythm, running };
        let gaps = silence::gaps(connection, &subject, *range, width, &buckets)?;
        Ok(Series { unit: newest.unit.clone(), kind: newest.kind, width, before, buckets, gaps })
    }

    /// Or reading by reading, with the width 0, if they are few.
    fn buckets(&self, connection: &Connection, pieces: &Pieces<'_>) -> rusqlite::Result<(i64, Vec<Bucket>)> {
        let Self { range, width, .. } = *self;
        let mut buckets = Buckets::new(range, width);
        for channel in &self.channels {
            let fits = |begin: i64, end: i64| begin.div_euclid(width) == (end - 1).div_euclid(width);
            pieces.each(*channel, range, width, &fits, &mut |sum| buckets.add(sum))?;
        }
        let buckets = buckets.finish();
        let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
        if count > self.most as u64 {
            return Ok((width, buckets));
        }
        let mut points = Vec::new();
        let rows = Pieces::of_rows(connection);
        for channel in &self.channels {
            rows.each(*channel, range, 0, &|_, _| false, &mut |sum| points.push(Bucket::of(sum)))?;
        }
        points.sort_by_key(|point| point.begin);
        Ok((0, points))
    }
}

fn last_before(connection: &Connection, channels: &[i64], time: i64) -> rusqlite::Result<Option<(i64, f64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT time, value FROM reading WHERE channel = ?1 AND time < ?2 ORDER BY time DESC, id DESC LIMIT 1",
    )?;
    let mut newest: Option<(i64, f64)> = None;
    for channel in channels {
        let mut rows = statement.query([*channel, time])?;
        let Some(row) = rows.next()? else { continue };
        let at: i64 = row.get(0)?;
        if let Some(number) = Number::of(row.get_ref(1)?)
            && newest.is_none_or(|(known, _)| known < at)
        {
            newest = Some((at, number.as_f64()));
        }
    }
    Ok(newest)
}

/// So many rows are read one by one without anybody noticing.
const FEW: i64 = 20_000;

/// Buckets that are too few to see anything in.
const COARSE: i64 = 60;

const SECOND: i64 = 1_000_000;
const SHORTEST: i64 = 60 * SECOND;

/// How much of a range its first [`FEW`] readings cover, µs; `None` when there are not so many. Looks at the index
/// only.
fn covered(
    connection: &Connection,
    channels: &[i64],
    (from, to): (i64, i64),
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT time FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 ORDER BY time LIMIT 1 OFFSET ?4",
    )?;
    let mut shortest: Option<i64> = None;
    for channel in channels {
        let rows = statement.query_map(params![channel, from, to, FEW], |row| row.get::<_, i64>(0));
        let time = rows?.next().transpose()?;
        shortest = [shortest, time.map(|time| time - from)].into_iter().flatten().min();
    }
    Ok(shortest)
}

/// Length of a bucket (µs) so that there are at most `most` of them, wherever they are cut. Whole seconds, minutes or
/// hours when they can be, which people can read and roll-ups are kept of; and where there are very many readings as
/// long as a roll-up, if that leaves enough buckets.
fn width(length: i64, most: usize, covered: Option<i64>) -> i64 {
    // Aligned buckets can be one more than fit.
    let most = (most as i64 - 1).max(1);
    let exact = (length.saturating_add(most - 1) / most).max(1);
    // From the longest; the last fits everything.
    let whole = [60 * SHORTEST, 5 * SHORTEST, SHORTEST, SECOND, 1].into_iter().find(|whole| exact >= *whole);
    let whole = match covered {
        _ if exact >= 60 * SHORTEST => 60 * SHORTEST,
        None => whole.unwrap_or(1),
        Some(covered) => {
            let minute = covered / SHORTEST < FEW / LEVELS[2].fewest;
            let unit = if minute { SHORTEST } else { 5 * SHORTEST };
            if length / unit.max(exact) >= COARSE.min(most / 2) { unit } else { whole.unwrap_or(1) }
        }
    };
    exact.saturating_add(whole - 1) / whole * whole
}

/// Buckets being filled, in any order.
struct Buckets {
    range: (i64, i64),
    width: i64,
    /// From the one that `from` is in.
    filled: Vec<Option<Sum>>,
}

impl Buckets {
    fn new(range: (i64, i64), width: i64) -> Self {
        Self { range, width, filled: Vec::new() }
    }

    fn add(&mut self, sum: &Sum) {
        let place = sum.first_at.div_euclid(self.width) - self.range.0.div_euclid(self.width);
        let place = usize::try_from(place).unwrap_or(0);
        if self.filled.len() <= place {
            self.filled.resize(place + 1, None);
        }
        match &mut self.filled[place] {
            Some(all) => all.add(sum),
            empty => *empty = Some(*sum),
        }
    }

    fn finish(self) -> Vec<Bucket> {
        let (from, to) = self.range;
        let first = from.div_euclid(self.width);
        (first..)
            .zip(self.filled)
            .filter_map(|(place, sum)| {
                let (begin, end) = (place * self.width, (place + 1) * self.width);
                Some(Bucket { begin: begin.max(from), end: end.min(to), ..Bucket::of(&sum?) })
            })
            .collect()
    }
}

impl Bucket {
    /// As long as there were readings in it.
    fn of(sum: &Sum) -> Self {
        Self {
            begin: sum.first_at,
            end: sum.last_at,
            min: sum.least,
            max: sum.most,
            // Rounding must not put it beside them.
            mean: (sum.sum / sum.count as f64).clamp(sum.least, sum.most),
            count: sum.count.unsigned_abs(),
            first: sum.first.as_f64(),
            first_at: sum.first_at,
            last: sum.last.as_f64(),
            last_at: sum.last_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn lengths_of_buckets() {
        let (minute, hour) = (60 * SECOND, 3600 * SECOND);
        let day = 24 * hour;
        // Length, most buckets, µs that the first 20,000 readings cover if there are more, expected.
        for (length, most, covered, expected) in [
            (day, 1441, None, minute),
            (day, 500, None, 3 * minute),
            (30 * day, 500, None, 2 * hour),
            (30 * day, 500, Some(hour), 2 * hour),
            (hour, 101, None, 36 * SECOND),
            (1, 1, None, 1),
            (10, 4, None, 4),
            // A reading a second; ten a second, which are kept by the minute; and that where it would be too coarse.
            (day, 500, Some(20_000 * SECOND), 5 * minute),
            (day, 2000, Some(20_000 * SECOND), 5 * minute),
            (6 * hour, 500, Some(2_000 * SECOND), minute),
            (12 * hour, 500, Some(2_000 * SECOND), 2 * minute),
            (hour, 500, Some(200 * SECOND), minute),
            (hour / 4, 500, Some(20 * SECOND), 2 * SECOND),
        ] {
            assert_eq!(width(length, most, covered), expected, "{length} in {most}, {covered:?}");
        }
        for from in [-7, 0, 5, 59 * SECOND] {
            for most in [2, 3, 10, 777] {
                for covered in [None, Some(2_000 * SECOND)] {
                    let (to, width) = (from + day + 1, width(day + 1, most, covered));
                    let buckets = (to - 1).div_euclid(width) - from.div_euclid(width) + 1;
                    assert!(buckets <= most as i64, "{from} {most}: {buckets}");
                }
            }
        }
    }

    #[test]
    fn a_spike_is_in_its_bucket_and_few_readings_are_points() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("a"), silent("a")]).unwrap();
        for second in 0..600 {
            let value = if second == 333 { 99.0 } else { second as f64 / 100.0 };
            log.append(vec![reading(ids[second as usize % 2], NOON + second * SECOND, value)]).unwrap();
        }
        until_committed(&log, 600);
        let reader = log.reader().unwrap();
        let ask = |from: i64, to: i64, buckets| {
            let range = (NOON + from * SECOND, NOON + to * SECOND);
            reader.series(&Ask::new("air", "a", range, buckets)).unwrap()
        };
        let series = ask(30, 630, 11);
        assert_eq!((series.unit.as_str(), series.width), ("°C", 60 * SECOND));
        assert_eq!(series.before, Some((NOON + 29 * SECOND, 0.29)));
        let shape: Vec<_> = series
            .buckets
            .iter()
            .map(|bucket| {
                ((bucket.begin - NOON) / SECOND, (bucket.end - NOON) / SECOND, bucket.count, bucket.max)
            })
            .collect();
        let expected: Vec<_> = (0..10)
            .map(|minute| {
                let begin = (minute * 60).max(30);
                let max = if minute == 5 { 99.0 } else { (minute * 60 + 59) as f64 / 100.0 };
                (begin, minute * 60 + 60, (minute * 60 + 60 - begin) as u64, max)
            })
            .collect();
        assert_eq!(shape, expected);
        let bucket = series.buckets[1];
        assert!((bucket.mean - 0.895).abs() < 1e-9, "{bucket:?}");
        assert_eq!((bucket.min, bucket.first, bucket.last), (0.6, 0.6, 1.19));
        assert_eq!(bucket.last_at, NOON + 119 * SECOND);
        assert_eq!(series.gaps, []);
        let series = ask(330, 340, 10);
        assert_eq!((series.width, series.buckets.len()), (0, 10));
        assert_eq!(series.buckets[3], Bucket::of(&Sum::of(NOON + 333 * SECOND, Number::Real(99.0))));
        assert_eq!(ask(5, 5, 10).buckets, []);
        assert_eq!(ask(900, 5, 10).buckets, []);
        let all = reader.series(&Ask::new("air", "a", (i64::MIN, i64::MAX), 100)).unwrap();
        assert_eq!(all.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 600);
    }

    #[test]
    fn what_is_no_series_is_said_so() {
        let folder = Folder::new();
        let log = folder.open();
        let other_unit = Channel { unit: "°F".into(), ..channel("a") };
        let text = Channel { kind: ValueKind::Text, ..channel("state") };
        let ids = log.register(&[channel("a"), other_unit, text]).unwrap();
        log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
        log.append(vec![reading(ids[1], NOON + 1, 2.0)]).unwrap();
        until_committed(&log, 2);
        let reader = log.reader().unwrap();
        let mut ask = Ask::new("air", "a", (NOON, NOON + 9), 9);
        let series = reader.series(&ask).unwrap();
        assert_eq!((series.unit.as_str(), series.buckets[0].first), ("°F", 2.0));
        ask.unit = Some("°C".into());
        let series = reader.series(&ask).unwrap();
        assert_eq!((series.unit.as_str(), series.buckets[0].first), ("°C", 1.0));
        ask.unit = Some("K".into());
        assert!(reader.series(&ask).unwrap_err().to_string().contains("air a"));
        let text = Ask::new("air", "state", (NOON, NOON + 9), 9);
        assert!(reader.series(&text).unwrap_err().to_string().contains("is text"));
    }
}
