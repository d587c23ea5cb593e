//! What a comparison found, channel by channel, and as JSON.

use serde_json::{Value as Json, json};

use crate::reading::{Channel, Timestamp};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By device, sensor, quantity, unit and topic.
    pub channels: Vec<ChannelReport>,
    /// Arrived, though the log does not say yet that it was delivered: on its way while we looked.
    pub early: u64,
    /// Arrived with an id, or of a time, that this log never had: of another device, or from before it was begun.
    pub unknown: u64,
    /// Arrived, and deleted from the log since.
    pub gone: u64,
    /// Arrived without an id: messages of others, bare pictures.
    pub without_identity: u64,
    /// Readings that are only logged.
    pub not_published: u64,
    /// Bare pictures delivered, which cannot be found again.
    pub not_compared: u64,
    /// Messages were told apart by their ids, so that their order could be seen.
    pub by_id: bool,
}

/// What was found of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelReport {
    /// Device id.
    pub device: String,
    /// Sensor.
    pub sensor: String,
    /// Quantity.
    pub quantity: String,
    /// Unit; empty for none.
    pub unit: String,
    /// Topic.
    pub topic: String,
    /// Quality of service: 0, 1 or 2.
    pub qos: u8,
    /// Readings that the log says were delivered.
    pub delivered: u64,
    /// Of these, those that arrived.
    pub received: u64,
    /// Of these, those that did not.
    pub missing: u64,
    /// Arrivals of what had arrived before.
    pub repeated: u64,
    /// Arrived with another value or time.
    pub changed: u64,
    /// Arrived after a younger one of the same topic.
    pub out_of_order: u64,
    /// Runs of readings that did not arrive; the first thousand.
    pub gaps: Vec<Gap>,
    /// All of them.
    pub gap_count: u64,
    pub(super) gap_open: bool,
}

/// Readings, one after another, that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first row.
    pub first_row: i64,
    /// The last.
    pub last_row: i64,
    /// When the first was taken.
    pub from: Timestamp,
    /// When the last was taken.
    pub to: Timestamp,
    /// How many.
    pub count: u64,
}

impl ChannelReport {
    pub(super) fn of(channel: &Channel) -> Self {
        let publish = channel.publish.as_ref();
        Self {
            device: channel.device.clone(),
            sensor: channel.sensor.to_string(),
            quantity: channel.quantity.to_string(),
            unit: channel.unit.clone(),
            topic: publish.map(|publish| publish.topic.clone()).unwrap_or_default(),
            qos: publish.map_or(0, |publish| publish.qos as u8),
            delivered: 0,
            received: 0,
            missing: 0,
            repeated: 0,
            changed: 0,
            out_of_order: 0,
            gaps: Vec::new(),
            gap_count: 0,
            gap_open: false,
        }
    }

    fn as_json(&self, by_id: bool) -> Json {
        let gap = |gap: &Gap| {
            json!({
                "from": gap.from.to_string(), "to": gap.to.to_string(), "count": gap.count,
                "first_row": gap.first_row, "last_row": gap.last_row,
            })
        };
        json!({
            "device": self.device, "sensor": self.sensor, "quantity": self.quantity, "unit": self.unit,
            "topic": self.topic, "qos": self.qos,
            "delivered": self.delivered, "received": self.received, "missing": self.missing,
            "repeated": self.repeated, "changed": self.changed,
            "out_of_order": by_id.then_some(self.out_of_order),
            "gap_count": self.gap_count, "gaps": self.gaps.iter().map(gap).collect::<Vec<_>>(),
        })
    }
}

impl Report {
    /// The sum of a figure over all channels.
    pub fn sum(&self, figure: impl Fn(&ChannelReport) -> u64) -> u64 {
        self.channels.iter().map(figure).sum()
    }

    /// Readings that were delivered and did not arrive.
    pub fn missing(&self) -> u64 {
        self.sum(|channel| channel.missing)
    }

    /// Everything as one JSON document.
    pub fn as_json(&self) -> Json {
        json!({
            "complete": self.missing() == 0,
            "delivered": self.sum(|channel| channel.delivered),
            "received": self.sum(|channel| channel.received),
            "missing": self.missing(),
            "repeated": self.sum(|channel| channel.repeated),
            "changed": self.sum(|channel| channel.changed),
            "out_of_order": self.by_id.then(|| self.sum(|channel| channel.out_of_order)),
            "early": self.early,
            "unknown": self.unknown,
            "gone": self.gone,
            "without_identity": self.without_identity,
            "not_published": self.not_published,
            "not_compared": self.not_compared,
            "channels": self.channels.iter().map(|channel| channel.as_json(self.by_id)).collect::<Vec<_>>(),
        })
    }
}
