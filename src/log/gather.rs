//! Gathers readings into intervals: mean, minimum, maximum and the like. Pure; rows come in the order of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Zoned;

use super::query::Line;
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

/// Gathers one interval at a time.
#[derive(Debug)]
pub struct Gather {
    every: Option<Every>,
    /// `None`: the mean of numbers and the last of texts.
    aggregate: Option<Aggregate>,
    /// Time zone, and what intervals are aligned to.
    origin: Zoned,
    /// Begin and end of the interval under way, µs.
    current: Option<(i64, i64)>,
    series: BTreeMap<Key, Sums>,
}

/// Channels of earlier configurations are the same series as long as these agree.
type Key = (String, String, String, String);

#[derive(Debug)]
struct Sums {
    channel: Arc<Channel>,
    count: u64,
    first: Value,
    last: Value,
    numbers: u64,
    sum: f64,
    least: Option<f64>,
    most: Option<f64>,
}

impl Gather {
    /// Intervals of length `every`, or one for everything.
    pub fn new(every: Option<Every>, aggregate: Option<Aggregate>, origin: Zoned) -> Self {
        Self { every, aggregate, origin, current: None, series: BTreeMap::new() }
    }

    /// Takes the next reading; answers the intervals that are finished by it.
    pub fn push(&mut self, line: &Line) -> Vec<Interval> {
        let time = line.at.0;
        let mut done = Vec::new();
        if self.current.is_none_or(|(begin, end)| !(begin..end).contains(&time)) {
            done = self.finish();
            let whole = (time, i64::MAX);
            self.current = Some(self.every.map_or(whole, |every| every.interval(time, &self.origin)));
        }
        let channel = &line.channel;
        let key = (
            channel.device.clone(),
            channel.sensor.to_string(),
            channel.quantity.to_string(),
            channel.unit.clone(),
        );
        self.series.entry(key).or_insert_with(|| Sums::new(line)).add(&line.value);
        done
    }

    /// The intervals under way, which nothing more will come to.
    pub fn finish(&mut self) -> Vec<Interval> {
        let Some((begin, _)) = self.current.take() else { return Vec::new() };
        let series = std::mem::take(&mut self.series);
        series.into_values().filter_map(|sums| sums.interval(Timestamp(begin), self.aggregate)).collect()
    }
}

impl Sums {
    fn new(line: &Line) -> Self {
        Self {
            channel: line.channel.clone(),
            count: 0,
            first: line.value.clone(),
            last: line.value.clone(),
            numbers: 0,
            sum: 0.0,
            least: None,
            most: None,
        }
    }

    fn add(&mut self, value: &Value) {
        self.count += 1;
        self.last = value.clone();
        if let Some(number) = value.as_f64() {
            self.numbers += 1;
            self.sum += number;
            self.least = Some(self.least.map_or(number, |least| least.min(number)));
            self.most = Some(self.most.map_or(number, |most| most.max(number)));
        }
    }

    /// `None` for what texts have not, such as a mean.
    fn interval(self, begin: Timestamp, aggregate: Option<Aggregate>) -> Option<Interval> {
        let text = matches!(self.channel.kind, ValueKind::Text | ValueKind::Image);
        let number = |number: f64| match self.channel.kind {
            ValueKind::Integer | ValueKind::Image => Value::Integer(number as i64),
            _ => Value::Float(number),
        };
        let value = match aggregate.unwrap_or(if text { Aggregate::Last } else { Aggregate::Mean }) {
            Aggregate::Mean => (self.numbers > 0).then(|| Value::Float(self.sum / self.numbers as f64)),
            Aggregate::Sum => (self.numbers > 0).then(|| number(self.sum)),
            Aggregate::Min => self.least.map(number),
            Aggregate::Max => self.most.map(number),
            Aggregate::First => Some(self.first),
            Aggregate::Last => Some(self.last),
            Aggregate::Count => Some(Value::Integer(i64::try_from(self.count).unwrap_or(i64::MAX))),
        };
        Some(Interval { begin, channel: self.channel, value: value?, count: self.count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing;
    use crate::reading::Clock;

    fn line(quantity: &str, minutes: i64, value: Value) -> Line {
        let channel = Channel { kind: value.kind(), ..testing::channel(quantity) };
        let at = Timestamp(testing::NOON + minutes * 60_000_000);
        Line { row: 1, channel: channel.into(), at, clock: Clock::Synced, value }
    }

    fn gathered(
        every: Option<&str>,
        aggregate: Option<Aggregate>,
        lines: &[Line],
    ) -> Vec<(i64, String, String, u64)> {
        let origin = "2026-11-20T00:00:00+01:00[Europe/Paris]".parse().unwrap();
        let every = every.map(|every| Every::parse(every).unwrap());
        let mut gather = Gather::new(every, aggregate, origin);
        let mut all: Vec<Interval> = lines.iter().flat_map(|line| gather.push(line)).collect();
        all.extend(gather.finish());
        let minutes = |time: Timestamp| (time.0 - testing::NOON) / 60_000_000;
        all.into_iter()
            .map(|one| {
                (minutes(one.begin), one.channel.quantity.to_string(), one.value.to_string(), one.count)
            })
            .collect()
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
}
