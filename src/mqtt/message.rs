//! Cuts rows of the log into messages. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::reading::{Logged, Publish, Shape, Value, ValueKind};

/// One message to be published.
#[derive(Debug, Clone)]
pub(super) struct Message {
    readings: Readings,
    /// Once this message and all before it are acknowledged, delivery has come to this row. Only the last
    /// message of a sample has one: a cursor inside a sample would tear the sample's message apart when it
    /// is read again.
    pub covers: Option<i64>,
}

#[derive(Debug, Clone)]
enum Readings {
    /// By far the most frequent; spares an allocation for each.
    One(Logged),
    Many(Vec<Logged>),
}

impl Message {
    /// The readings, never none.
    pub(super) fn readings(&self) -> &[Logged] {
        match &self.readings {
            Readings::One(reading) => std::slice::from_ref(reading),
            Readings::Many(readings) => readings,
        }
    }

    /// The first reading; its row is the message's.
    pub(super) fn first(&self) -> &Logged {
        match &self.readings {
            Readings::One(reading) => reading,
            Readings::Many(readings) => &readings[0],
        }
    }

    /// The message's row: with the epoch, its identity.
    pub(super) fn row(&self) -> i64 {
        self.first().row
    }

    /// Bytes of the picture that it is, which are still in the log; 0 for anything else.
    pub(super) fn picture_bytes(&self) -> usize {
        let first = self.first();
        match (first.channel.kind, &first.value) {
            (ValueKind::Image, Value::Integer(bytes)) => usize::try_from(*bytes).unwrap_or(0).max(1),
            _ => 0,
        }
    }

    /// How it goes out; `None` never comes out of [`cut`].
    pub(super) fn publish(&self) -> Option<&Publish> {
        self.first().channel.publish.as_ref()
    }

    /// Whether it goes out on the same topic as the other.
    pub(super) fn shares_topic(&self, other: &Self) -> bool {
        match (self.publish(), other.publish()) {
            (Some(ours), Some(theirs)) => ours.topic == theirs.topic,
            _ => false,
        }
    }

    /// Whether all that the other says, an older one, is said anew: the same topic, and each quantity.
    pub(super) fn replaces(&self, older: &Self) -> bool {
        let says = |told: &Logged| {
            self.readings().iter().any(|reading| {
                let (ours, theirs) = (&reading.channel, &told.channel);
                Arc::ptr_eq(ours, theirs) || ours.sensor == theirs.sensor && ours.quantity == theirs.quantity
            })
        };
        self.shares_topic(older) && older.readings().iter().all(says)
    }

    fn add(&mut self, reading: Logged) {
        match &mut self.readings {
            Readings::Many(readings) => readings.push(reading),
            Readings::One(first) => {
                self.readings = Readings::Many(vec![first.clone(), reading]);
            }
        }
    }
}

/// Appends the messages that these rows make: of each sample, readings that share a channel's publishing
/// with [`Shape::Sample`] make one, every other reading makes its own. Messages stand in the order of their
/// first rows.
pub(super) fn cut(rows: Vec<Logged>, messages: &mut VecDeque<Message>) {
    // The sample being cut: what its rows have in common, and where its messages begin in the queue.
    let mut sample: Option<(Logged, usize)> = None;
    for row in rows {
        if row.channel.publish.is_none() {
            continue;
        }
        let begin = match &sample {
            Some((first, begin)) if is_same_sample(first, &row) => *begin,
            _ => {
                sample = Some((row.clone(), messages.len()));
                messages.len()
            }
        };
        // However this row is published, the sample reaches to it.
        let covers = Some(row.row);
        if let Some(last) = messages.range_mut(begin..).next_back() {
            last.covers = None;
        }
        let joined = messages.range_mut(begin..).find(|message| joins(message, &row));
        match joined {
            Some(message) => message.add(row),
            None => messages.push_back(Message { readings: Readings::One(row), covers: None }),
        }
        if let Some(last) = messages.range_mut(begin..).next_back() {
            last.covers = covers;
        }
    }
}

/// `continues` speaks of the row before in the log, which may be one that is not published and therefore
/// missing here; so what all rows of a sample have in common must be the same, too.
fn is_same_sample(first: &Logged, row: &Logged) -> bool {
    row.continues
        && row.at == first.at
        && row.epoch == first.epoch
        && row.channel.sensor == first.channel.sensor
        && row.channel.device == first.channel.device
}

fn joins(message: &Message, row: &Logged) -> bool {
    let (Some(ours), Some(theirs)) = (message.publish(), row.channel.publish.as_ref()) else { return false };
    theirs.shape == Shape::Sample && ours == theirs
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::reading::{Channel, Clock, Qos, Timestamp};

    /// A reading of `sensor`, published per `shape` at `qos`; rows of one sample share `at`.
    pub(crate) fn logged(row: i64, sensor: &str, at: i64, shape: Shape, continues: bool) -> Logged {
        let quantity = format!("q{row}");
        let topic = match shape {
            Shape::Sample => format!("t/{sensor}"),
            _ => format!("t/{sensor}/{quantity}"),
        };
        let publish = Publish {
            topic,
            late_topic: None,
            qos: Qos::AtLeastOnce,
            retain: false,
            shape,
            format: None,
            buffer: true,
        };
        let channel = Channel {
            device: "pi".to_owned(),
            sensor: sensor.into(),
            quantity: quantity.as_str().into(),
            unit: String::new(),
            kind: ValueKind::Integer,
            publish: Some(publish),
            place: None,
        };
        Logged {
            row,
            epoch: "e".into(),
            channel: Arc::new(channel),
            at: Timestamp(at),
            clock: Clock::Synced,
            value: Value::Integer(row),
            continues,
            since_boot: None,
        }
    }

    fn cut_all(rows: Vec<Logged>) -> Vec<(Vec<i64>, Option<i64>)> {
        let mut messages = VecDeque::new();
        cut(rows, &mut messages);
        let rows = |message: &Message| message.readings().iter().map(|reading| reading.row).collect();
        messages.iter().map(|message| (rows(message), message.covers)).collect()
    }

    #[test]
    fn a_message_for_each_quantity() {
        let rows = vec![
            logged(1, "a", 10, Shape::Quantity, false),
            logged(2, "a", 10, Shape::Quantity, true),
            logged(3, "b", 11, Shape::Quantity, false),
        ];
        assert_eq!(cut_all(rows), [(vec![1], None), (vec![2], Some(2)), (vec![3], Some(3))]);
    }

    #[test]
    fn a_message_for_each_sample() {
        let rows = vec![
            logged(1, "a", 10, Shape::Sample, false),
            logged(2, "a", 10, Shape::Sample, true),
            logged(3, "a", 12, Shape::Sample, false),
        ];
        assert_eq!(cut_all(rows), [(vec![1, 2], Some(2)), (vec![3], Some(3))]);
    }

    #[test]
    fn a_mixed_sample_is_covered_by_its_last_message_only() {
        let rows = vec![
            logged(1, "a", 10, Shape::Sample, false),
            logged(2, "a", 10, Shape::Quantity, true),
            logged(3, "a", 10, Shape::Sample, true),
        ];
        assert_eq!(cut_all(rows), [(vec![1, 3], None), (vec![2], Some(3))]);
    }

    #[test]
    fn unpublished_rows_between_do_not_join_samples() {
        // Row 2 began sensor b's sample but is not published, so it is missing.
        let rows = vec![logged(1, "a", 10, Shape::Sample, false), logged(3, "b", 11, Shape::Sample, true)];
        assert_eq!(cut_all(rows), [(vec![1], Some(1)), (vec![3], Some(3))]);
        // Row 2 is in the middle of one sample: rows 1 and 3 still belong together.
        let rows = vec![logged(1, "a", 10, Shape::Sample, false), logged(3, "a", 10, Shape::Sample, true)];
        assert_eq!(cut_all(rows), [(vec![1, 3], Some(3))]);
    }

    #[test]
    fn different_publishing_makes_different_messages() {
        let mut other = logged(2, "a", 10, Shape::Sample, true);
        let channel = Arc::make_mut(&mut other.channel);
        channel.publish.as_mut().unwrap().retain = true;
        let rows = vec![logged(1, "a", 10, Shape::Sample, false), other];
        assert_eq!(cut_all(rows), [(vec![1], None), (vec![2], Some(2))]);
    }
}
