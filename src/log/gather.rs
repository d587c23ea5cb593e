//! Readings gathered into intervals: mean, minimum, maximum and the like. Roll-ups are used where they fit; what
//! comes out is what the rows alone come to. Reads only, and prints nothing.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Zoned;
use rusqlite::{Connection, params};

use super::error::{LogError, at};
use super::pieces::Pieces;
use super::query::Selection;
use super::reader::{Reader, value_of};
use super::rollup::Sum;
use super::times::Every;
use crate::reading::{Channel, Timestamp, Value, ValueKind};

/// What is told of the readings of one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Arithmetic mean.
    Mean,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Oldest.
    First,
    /// Newest.
    Last,
    /// How many.
    Count,
    /// Sum.
    Sum,
}

/// One quantity's interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Its beginning; without intervals, the time of the first reading.
    pub begin: Timestamp,
    /// What was measured.
    pub channel: Arc<Channel>,
    /// What came out.
    pub value: Value,
    /// Number of readings in it.
    pub count: u64,
}

/// Intervals that are gathered at a time: so many are in memory, of each quantity.
const AT_ONCE: usize = 500;

impl Reader {
    /// The readings selected, gathered into intervals of length `every`, or one for everything, in the order of
    /// time and by quantity. `aggregate` `None`: the mean of numbers and the last of texts. Intervals are aligned
    /// to midnight in the time zone of `origin`; one without readings is left out. `progress` hears which part is
    /// done, and how many readings that were.
    ///
    /// # Errors
    /// As [`Reader::select`].
    pub fn intervals(
        &mut self,
        selection: &Selection,
        every: Option<Every>,
        aggregate: Option<Aggregate>,
        origin: &Zoned,
        mut progress: impl FnMut(f64, u64),
        mut each: impl FnMut(Interval) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let channels = self.selected(selection)?;
        let bounds = self.bounds(selection)?.map_or((0, 0), |(first, last)| (first.0, last.0));
        // One snapshot for everything that is read.
        let transaction = self.connection.unchecked_transaction().map_err(at(&self.path))?;
        let gather = Gather { connection: &transaction, channels, every, origin };
        gather.run(selection.range(), aggregate, bounds, &mut progress, &mut each).map_err(at(&self.path))
    }
}

/// What is gathered, and how.
struct Gather<'a> {
    connection: &'a Connection,
    channels: Vec<(i64, Arc<Channel>)>,
    every: Option<Every>,
    origin: &'a Zoned,
}

/// Beginning of the interval (µs), and the series: channels of earlier configurations are the same as long as
/// device, sensor, quantity and unit agree.
type Key = (i64, String, String, String, String);

impl Gather<'_> {
    fn run(
        &self,
        (since, until): (i64, i64),
        aggregate: Option<Aggregate>,
        (first, last): (i64, i64),
        progress: &mut dyn FnMut(f64, u64),
        each: &mut dyn FnMut(Interval) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let length = last.saturating_sub(first).max(1) as f64;
        let part = |time: i64| time.clamp(first, last).saturating_sub(first) as f64 / length;
        let mut readings = 0;

        let longest = self.every.map_or(i64::MAX, |every| match every {
            Every::Micros(micros) => micros,
            Every::Days(_) => 24 * 3_600_000_000,
        });
        let wanted: HashSet<i64> = self.channels.iter().map(|(id, _)| *id).collect();
        let pieces = Pieces::new(self.connection, longest, |channel| wanted.contains(&channel))?;
        let mut position = since;
        // What lies between readings far apart is skipped.
        while let Some(next) = self.next(position, until)? {
            let (begin, end) = self.some_intervals(next, until);
            let range = (begin.max(position), end.min(until));
            let mut found = BTreeMap::new();
            for (place, (id, channel)) in self.channels.iter().enumerate() {
                readings += self.gather(&pieces, (*id, channel), (next, range), longest, &mut found)?;
                let share = (place + 1) as f64 / self.channels.len() as f64;
                progress(part(range.0) + (part(range.1) - part(range.0)) * share, readings);
            }
            for ((begin, ..), sums) in found {
                let interval = sums.interval(Timestamp(begin), aggregate);
                if interval.is_some_and(|interval| each(interval).is_break()) {
                    return Ok(());
                }
            }
            if range.1 >= until {
                break;
            }
            position = range.1;
        }
        Ok(())
    }

    /// Time of the first reading at or after `from`.
    fn next(&self, from: i64, until: i64) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT time FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 ORDER BY time LIMIT 1",
        )?;
        let mut next: Option<i64> = None;
        for (channel, _) in &self.channels {
            let time = statement.query_map([*channel, from, until], |row| row.get(0))?.next().transpose()?;
            next = [next, time].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// Beginning of the interval that `time` is in, and the end of one some intervals later.
    fn some_intervals(&self, time: i64, until: i64) -> (i64, i64) {
        let Some(every) = self.every else { return (time, until) };
        let (begin, mut end) = every.interval(time, self.origin);
        for _ in 1..AT_ONCE {
            if end < until {
                end = every.interval(end, self.origin).1.max(end + 1);
            }
        }
        (begin, end)
    }

    /// One channel's readings of some intervals; answers how many they are.
    fn gather(
        &self,
        pieces: &Pieces<'_>,
        (id, channel): (i64, &Arc<Channel>),
        (next, range): (i64, (i64, i64)),
        longest: i64,
        found: &mut BTreeMap<Key, Sums>,
    ) -> rusqlite::Result<u64> {
        let mut count = 0;
        let begin = |time| self.every.map_or(next, |every| every.interval(time, self.origin).0);
        let mut sums = |time: i64, add: &dyn Fn(&mut Sums)| {
            let (sensor, quantity) = (channel.sensor.to_string(), channel.quantity.to_string());
            let key = (begin(time), channel.device.clone(), sensor, quantity, channel.unit.clone());
            add(found.entry(key).or_insert_with(|| Sums::new(channel)));
        };
        if channel.kind == ValueKind::Text {
            let mut statement = self.connection.prepare_cached(
                "SELECT time, value FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 ORDER BY time, id",
            )?;
            let mut rows = statement.query(params![id, range.0, range.1])?;
            while let Some(row) = rows.next()? {
                let (time, value) = (row.get(0)?, value_of(row.get_ref(1)?, channel.kind)?);
                sums(time, &|sums| sums.add_text(time, &value));
                count += 1;
            }
            return Ok(count);
        }
        let fits = |from: i64, to: i64| self.every.is_none() || begin(from) == begin(to - 1);
        pieces.each(id, range, longest, &fits, &mut |sum| {
            sums(sum.first_at, &|sums| sums.add(sum));
            count += sum.count.unsigned_abs();
        })?;
        Ok(count)
    }
}

/// One series in one interval.
#[derive(Debug)]
struct Sums {
    channel: Arc<Channel>,
    /// Times and values of the oldest and the newest text.
    texts: Option<[(i64, Value); 2]>,
    count: i64,
    numbers: Option<Sum>,
}

impl Sums {
    fn new(channel: &Arc<Channel>) -> Self {
        Self { channel: channel.clone(), texts: None, count: 0, numbers: None }
    }

    fn add(&mut self, sum: &Sum) {
        self.count += sum.count;
        match &mut self.numbers {
            Some(all) => all.add(sum),
            none => *none = Some(*sum),
        }
    }

    fn add_text(&mut self, time: i64, value: &Value) {
        self.count += 1;
        match &mut self.texts {
            None => self.texts = Some([(time, value.clone()), (time, value.clone())]),
            Some([first, _]) if time < first.0 => *first = (time, value.clone()),
            Some([_, last]) if time >= last.0 => *last = (time, value.clone()),
            Some(_) => {}
        }
    }

    /// `None` for what texts have not, such as a mean.
    fn interval(self, begin: Timestamp, aggregate: Option<Aggregate>) -> Option<Interval> {
        let kind = self.channel.kind;
        let number = |number: f64| match kind {
            ValueKind::Integer | ValueKind::Image => Value::Integer(number as i64),
            _ => Value::Float(number),
        };
        let value = match (aggregate, &self.numbers, self.texts) {
            (Some(Aggregate::Count), ..) => Some(Value::Integer(self.count)),
            (None | Some(Aggregate::Mean), Some(sum), _) => Some(Value::Float(sum.sum / sum.count as f64)),
            (Some(Aggregate::Sum), Some(sum), _) => Some(number(sum.sum)),
            (Some(Aggregate::Min), Some(sum), _) => Some(number(sum.least)),
            (Some(Aggregate::Max), Some(sum), _) => Some(number(sum.most)),
            (Some(Aggregate::First), Some(sum), _) => value_of(sum.first.stored(), kind).ok(),
            (Some(Aggregate::Last), Some(sum), _) => value_of(sum.last.stored(), kind).ok(),
            (None | Some(Aggregate::Last), None, Some([_, (_, last)])) => Some(last),
            (Some(Aggregate::First), None, Some([(_, first), _])) => Some(first),
            _ => None,
        };
        let count = self.count.unsigned_abs();
        Some(Interval { begin, channel: self.channel, value: value?, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{self, Folder, NOON, moment};
    use crate::reading::Reading;

    type Line = (&'static str, i64, Value);

    fn line(quantity: &'static str, minutes: i64, value: Value) -> Line {
        (quantity, minutes, value)
    }

    fn logged(lines: &[Line]) -> Folder {
        let folder = Folder::new();
        let log = folder.open();
        for (quantity, minutes, value) in lines {
            let channel = Channel { kind: value.kind(), ..testing::channel(quantity) };
            let channel = log.register(&[channel]).unwrap()[0];
            let at = moment(NOON + minutes * 60_000_000);
            log.append(vec![Reading { channel, at, value: value.clone() }]).unwrap();
        }
        log.close().unwrap();
        folder
    }

    fn gathered(
        every: Option<&str>,
        aggregate: Option<Aggregate>,
        lines: &[Line],
    ) -> Vec<(i64, String, String, u64)> {
        let origin = "2026-11-20T00:00:00+01:00[Europe/Paris]".parse().unwrap();
        let every = every.map(|every| Every::parse(every).unwrap());
        let folder = logged(lines);
        let mut reader = Reader::open(&folder.path()).unwrap();
        let mut found = Vec::new();
        reader
            .intervals(
                &Selection::default(),
                every,
                aggregate,
                &origin,
                |_, _| {},
                |one| {
                    let minutes = (one.begin.0 - NOON) / 60_000_000;
                    found.push((minutes, one.channel.quantity.to_string(), one.value.to_string(), one.count));
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
        found
    }

    #[test]
    fn intervals_by_quantity() {
        let lines = [
            line("a", 1, Value::Float(1.0)),
            line("b", 2, Value::Text("ok".into())),
            line("a", 4, Value::Float(2.5)),
            line("a", 5, Value::Float(7.0)),
            line("b", 6, Value::Text("bad".into())),
            line("n", 31, Value::Integer(4)),
            line("n", 32, Value::Integer(6)),
        ];
        let expect = |expected: &[(i64, &str, &str, u64)]| -> Vec<(i64, String, String, u64)> {
            expected
                .iter()
                .map(|(begin, name, value, count)| (*begin, (*name).into(), (*value).into(), *count))
                .collect()
        };
        assert_eq!(
            gathered(Some("5m"), None, &lines),
            expect(&[
                (0, "a", "1.75", 2),
                (0, "b", "ok", 1),
                (5, "a", "7", 1),
                (5, "b", "bad", 1),
                (30, "n", "5", 2)
            ])
        );
        assert_eq!(
            gathered(Some("1h"), Some(Aggregate::Max), &lines),
            expect(&[(0, "a", "7", 3), (0, "n", "6", 2)])
        );
        let whole = |aggregate| gathered(None, Some(aggregate), &lines);
        assert_eq!(whole(Aggregate::Sum), expect(&[(1, "a", "10.5", 3), (1, "n", "10", 2)]));
        assert_eq!(whole(Aggregate::First), expect(&[(1, "a", "1", 3), (1, "b", "ok", 2), (1, "n", "4", 2)]));
        assert_eq!(whole(Aggregate::Count), expect(&[(1, "a", "3", 3), (1, "b", "2", 2), (1, "n", "2", 2)]));
        assert_eq!(whole(Aggregate::Min), expect(&[(1, "a", "1", 3), (1, "n", "4", 2)]));
        assert_eq!(gathered(None, None, &[]), []);
    }
    #[test]
    fn days_and_readings_years_apart() {
        let year = 365 * 24 * 60;
        let lines: Vec<Line> = [-40 * year, 0, 1, 24 * 60, 3 * year]
            .into_iter()
            .map(|minutes| line("a", minutes, Value::Float(minutes as f64)))
            .collect();
        let days = gathered(Some("1d"), Some(Aggregate::Max), &lines);
        let begin = -8 * 60; // 08:00 in Paris: its day began eight hours before.
        let found: Vec<_> =
            days.iter().map(|(begin, _, value, count)| (*begin, value.as_str(), *count)).collect();
        let expected: [(i64, &str, u64); 4] = [
            (-40 * year + begin, "-21024000", 1),
            (begin, "1", 2),
            (24 * 60 + begin, "1440", 1),
            (3 * year + begin, "1576800", 1),
        ];
        assert_eq!(found, expected);
        assert_eq!(gathered(Some("1s"), None, &lines).len(), 5);
    }
}
