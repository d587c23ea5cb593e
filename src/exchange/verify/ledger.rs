//! The account: every row of the log with how often it arrived.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use serde_json::{Map, Value as Json};

use super::report::{ChannelReport, Gap, Report};
use super::{Failure, Window};
use crate::exchange::value::{Rule, settle};
use crate::exchange::{Row, jsonl};
use crate::log::intake::Series;
use crate::log::{DeliveryState, LogError, Reader, Stage};
use crate::reading::{Channel, Clock, Logged, Shape, Value};

/// Topics whose order is watched; beyond it, no further ones.
const TOPICS: usize = 100_000;

/// Gaps of a channel that are kept one by one; all are counted.
const GAPS: usize = 1_000;

/// Rows of the log looked through at once.
const ROWS: usize = 5_000;

/// A message of ours as it arrived.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub topic: Option<String>,
    pub epoch: String,
    pub row: i64,
    /// The payload, if it is JSON and was kept.
    pub body: Option<Map<String, Json>>,
    /// The value, where the payload was not kept.
    pub value: Option<String>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    reader: Reader,
    state: DeliveryState,
    window: Window,
    /// First row of `seen`.
    base: i64,
    /// How often each row arrived, 255 for more.
    seen: Vec<u8>,
    channels: BTreeMap<Key, ChannelReport>,
    /// The last row that arrived under a topic.
    topics: HashMap<String, i64>,
    /// Messages with an identity, whether in the window or not.
    identified: u64,
    report: Report,
}

/// By what channels are told apart for a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    series: Series,
    topic: String,
}

impl Key {
    fn of(channel: &Channel) -> Self {
        let topic = channel.publish.as_ref().map(|publish| publish.topic.clone()).unwrap_or_default();
        Self { series: Series::of(channel), topic }
    }
}

impl Ledger {
    /// An account of the log as it is now: what it delivers from now on does not count.
    pub fn open(reader: Reader, window: Window) -> Result<Self, Failure> {
        let state = reader.delivery()?;
        let base = reader.first_row()?.unwrap_or(1);
        let rows = (state.cursor - base + 1).max(0).unsigned_abs();
        let length = usize::try_from(rows).map_err(|_| Failure::TooMany(rows))?;
        let mut seen = Vec::new();
        seen.try_reserve_exact(length).map_err(|_| Failure::TooMany(rows))?;
        seen.resize(length, 0);
        let (channels, topics) = (BTreeMap::new(), HashMap::new());
        let report = Report::default();
        Ok(Self { reader, state, window, base, seen, channels, topics, identified: 0, report })
    }

    /// How often a row has arrived; `None` when the log does not say that it was delivered.
    fn times(&mut self, row: i64) -> Option<&mut u8> {
        let waits = self.state.late.iter().any(|range| (range.next..=range.end).contains(&row))
            || self.state.in_flight.iter().any(|entry| entry.row == row && entry.stage != Stage::Done);
        let place = usize::try_from(row - self.base).ok().filter(|_| !waits)?;
        self.seen.get_mut(place)
    }

    /// Enters a message with an identity.
    pub fn message(&mut self, message: Message) -> Result<(), LogError> {
        self.identified += 1;
        if message.row < self.base {
            self.report.gone += 1;
            return Ok(());
        }
        let sample = self.reader.sample_at(message.row)?;
        let Some(first) = sample.first() else {
            let beyond = message.row > self.state.cursor;
            *(if beyond { &mut self.report.unknown } else { &mut self.report.gone }) += 1;
            return Ok(());
        };
        if *first.epoch != *message.epoch {
            self.report.unknown += 1;
            return Ok(());
        }
        let body = message.body.as_ref();
        let late = body.and_then(|body| body.get("late")) == Some(&Json::Bool(true));
        let topic = message.topic.as_deref().filter(|_| !late);
        let ours = |logged: &&Logged| topic_of(&logged.channel) == topic_of(&first.channel);
        let values = body.and_then(|body| body.get("values")).and_then(Json::as_object);
        let Some(values) = values else {
            let value = body.and_then(|body| body.get("value").or_else(|| body.get("size")));
            let same_value = match (value, &message.value) {
                (Some(json), _) => jsonl::value(json).is_some_and(|value| equal(&value, &first.value)),
                (None, Some(word)) => *word == first.value.to_string() || same_number(word, &first.value),
                (None, None) => true,
            };
            let same = same_value && same_time(body, first);
            self.arrived(first, topic, !same)?;
            // By the id alone, the others that were in this message have come as well.
            let mut others = sample.iter().skip(1).filter(|_| body.is_none()).filter(ours);
            return others.try_for_each(|logged| self.arrived(logged, None, false));
        };
        for logged in sample.iter().filter(ours) {
            let Some(json) = values.get(logged.channel.quantity.as_str()) else { continue };
            let same = jsonl::value(json).is_some_and(|value| equal(&value, &logged.value));
            // One message: its order is looked at once.
            let topic = topic.filter(|_| logged.row == first.row);
            self.arrived(logged, topic, !(same && same_time(body, first)))?;
        }
        Ok(())
    }

    /// How many messages had an identity, of this log or another.
    pub fn identified(&self) -> u64 {
        self.identified
    }

    fn arrived(&mut self, logged: &Logged, topic: Option<&str>, changed: bool) -> Result<(), LogError> {
        let Some(times) = self.times(logged.row) else {
            self.report.early += 1;
            return Ok(());
        };
        let first = *times == 0;
        *times = times.saturating_add(1);
        let out_of_order = first && topic.is_some_and(|topic| self.is_out_of_order(topic, logged.row));
        if self.window.takes(logged) {
            let channel = self.channel(logged);
            match first {
                true => {
                    channel.received += 1;
                    channel.changed += u64::from(changed);
                    channel.out_of_order += u64::from(out_of_order);
                }
                false => channel.repeated += 1,
            }
        }
        Ok(())
    }

    fn is_out_of_order(&mut self, topic: &str, row: i64) -> bool {
        if let Some(last) = self.topics.get_mut(topic) {
            let before = row < *last;
            *last = row.max(*last);
            return before;
        }
        if self.topics.len() < TOPICS {
            self.topics.insert(topic.to_owned(), row);
        }
        false
    }

    /// Enters a reading without an identity.
    pub fn reading(&mut self, row: &Row) -> Result<(), LogError> {
        let value = settle(&row.value, Rule::Each);
        let mut lines = self.reader.readings_at(&row.series, row.at)?;
        lines.retain(|line| line.channel.publish.is_some());
        // The first of equals that has not arrived yet; else one that has; else another of that time.
        let mut best: Option<(u8, i64)> = None;
        for line in &lines {
            let Some(times) = self.times(line.row).copied() else { continue };
            let rank = match (equal(&value, &line.value), times) {
                (true, 0) => 0,
                (true, _) => 1,
                (false, 0) => 2,
                (false, _) => continue,
            };
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, line.row));
            }
        }
        if let Some((rank, found)) = best
            && let Some(logged) = self.reader.sample_at(found)?.first()
        {
            return self.arrived(logged, None, rank == 2);
        }
        if !lines.is_empty() {
            self.report.early += 1;
        } else if self.reader.count_equal(&row.series, row.at, &value)? > 0 {
            self.report.not_published += 1;
        } else {
            self.report.unknown += 1;
        }
        Ok(())
    }

    /// Counts what arrived without anything by which it could be found again.
    pub fn without_identity(&mut self) {
        self.report.without_identity += 1;
    }

    fn channel(&mut self, logged: &Logged) -> &mut ChannelReport {
        let channel = &logged.channel;
        self.channels.entry(Key::of(channel)).or_insert_with(|| ChannelReport::of(channel))
    }

    /// Goes through everything delivered and notes what never arrived. `by_id` tells that what arrived was told
    /// apart by ids, which bare pictures do not have. `progress` hears rows done and in all.
    pub fn finish(
        mut self,
        by_id: bool,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<Report>, Failure> {
        let state = std::mem::take(&mut self.state);
        let mut after = self.base - 1;
        loop {
            let (rows, last) = self.reader.delivered(&state, after, ROWS)?;
            for logged in &rows {
                self.account(logged, by_id);
            }
            let Some(last) = last else { break };
            after = last;
            if progress((after - self.base).unsigned_abs(), self.seen.len() as u64).is_break() {
                return Ok(None);
            }
        }
        self.report.by_id = by_id;
        self.report.channels = self.channels.into_values().collect();
        Ok(Some(self.report))
    }

    fn account(&mut self, logged: &Logged, by_id: bool) {
        if !self.window.takes(logged) {
            return;
        }
        let shape = logged.channel.publish.as_ref().map(|publish| publish.shape);
        if by_id && matches!(shape, Some(Shape::Base64 | Shape::Binary)) {
            self.report.not_compared += 1;
            return;
        }
        let place = usize::try_from(logged.row - self.base).ok();
        let arrived = place.and_then(|place| self.seen.get(place)).is_some_and(|times| *times > 0);
        let channel = self.channel(logged);
        channel.delivered += 1;
        if arrived {
            channel.gap_open = false;
            return;
        }
        channel.missing += 1;
        if channel.gap_open {
            if let Some(gap) = channel.gaps.last_mut().filter(|_| channel.gap_count as usize <= GAPS) {
                gap.count += 1;
                (gap.to, gap.last_row) = (logged.at, logged.row);
            }
            return;
        }
        channel.gap_open = true;
        channel.gap_count += 1;
        if channel.gaps.len() < GAPS {
            let (row, at) = (logged.row, logged.at);
            channel.gaps.push(Gap { first_row: row, last_row: row, from: at, to: at, count: 1 });
        }
    }
}

fn topic_of(channel: &Channel) -> Option<&str> {
    channel.publish.as_ref().map(|publish| publish.topic.as_str())
}

/// Whether two values are the same, whatever the types of the format make of them.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one == other,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Bool(_), _) | (_, Value::Bool(_)) => false,
        _ => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one == other,
            (None, None) => one.to_string() == other.to_string(),
            _ => false,
        },
    }
}

fn same_number(word: &str, value: &Value) -> bool {
    word.trim().parse::<f64>().ok().is_some_and(|number| value.as_f64() == Some(number))
}

/// Whether the message tells the time that the log has. A clock that was put right afterwards changes that of the
/// log alone.
fn same_time(body: Option<&Map<String, Json>>, logged: &Logged) -> bool {
    let Some(text) = body.and_then(|body| body.get("time")).and_then(Json::as_str) else { return true };
    logged.clock == Clock::Corrected || text == logged.at.to_string()
}
