//! What a person sees at a glance: the last message of every topic, which pictures there are. Each answer is
//! bounded and found by an index, however large the log is. The readings are in `latest` and `series`.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, Row};

use super::channel;
use super::error::{LogError, at};
use super::reader::Reader;
use crate::reading::Timestamp;

/// A topic of which there are new messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Topic name.
    pub topic: String,
    /// New messages, as far as they were looked at.
    pub count: u64,
    /// Row id of the last one.
    pub last: i64,
    /// When it was received.
    pub received: Timestamp,
    /// Whether the broker had kept it.
    pub retained: bool,
    /// Length of its payload, bytes.
    pub size: u64,
    /// The beginning of its payload; of what is not UTF-8 nothing.
    pub beginning: String,
}

/// A picture without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// Row of its reading.
    pub row: i64,
    /// When it was taken.
    pub at: Timestamp,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes.
    pub size: u64,
}

impl Reader {
    /// The topics of messages with `after < id`, most recent first, at most `topics`; of more than `messages`
    /// new ones only the last are looked at. And the highest id there is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn heard(&self, after: i64, messages: u32, topics: u32) -> Result<(Vec<Heard>, i64), LogError> {
        let read = || -> rusqlite::Result<(Vec<Heard>, i64)> {
            let last: i64 = self
                .connection
                .prepare_cached("SELECT coalesce(max(id), 0) FROM message")?
                .query_row([], |row| row.get(0))?;
            // Payloads may be large: only the last of each topic is touched, after the grouping.
            let mut statement = self.connection.prepare_cached(
                "WITH new (topic, last, count) AS (
                   SELECT topic, max(id), count(*) FROM message WHERE id > ?1 GROUP BY topic
                   ORDER BY 2 DESC LIMIT ?2)
                 SELECT name, count, last, time, flags & 4, octet_length(payload),
                   CASE typeof(payload) WHEN 'text' THEN substr(payload, 1, 200) ELSE '' END
                 FROM new JOIN message ON message.id = last JOIN topic ON topic.id = new.topic
                 ORDER BY last DESC",
            )?;
            let from = after.max(last - i64::from(messages));
            let heard = statement.query_map([from, i64::from(topics)], heard)?.collect::<Result<_, _>>()?;
            Ok((heard, last))
        };
        read().map_err(at(&self.path))
    }

    /// The pictures of a channel of this name that are still there, with `row < before` and taken up to `until`,
    /// newest first; and when the oldest of all was taken.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shots(
        &mut self,
        sensor: &str,
        quantity: &str,
        (before, until): (i64, Timestamp),
        limit: u32,
    ) -> Result<(Vec<Shot>, Option<Timestamp>), LogError> {
        self.channels = channel::load(&self.connection).map_err(at(&self.path))?;
        let named = self.channels.iter().filter(|(_, channel)| {
            channel.sensor.as_str() == sensor && channel.quantity.as_str() == quantity
        });
        let ids: Vec<String> = named.map(|(id, _)| id.to_string()).collect();
        // Pictures are few beside readings, and their rows rise: the newest are at the end of their table.
        let ours = format!(
            "FROM image JOIN reading ON reading.id = image.row WHERE reading.channel IN ({})",
            ids.join(",")
        );
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.connection.prepare(&format!(
                "SELECT image.row, time, width, height, octet_length(data) {ours}
                   AND image.row < ?1 AND time <= ?2 ORDER BY image.row DESC LIMIT ?3"
            ))?;
            let shots = statement.query_map([before, until.0, i64::from(limit)], shot)?;
            let oldest = self
                .connection
                .query_row(&format!("SELECT time {ours} ORDER BY image.row LIMIT 1"), [], |row| row.get(0))
                .optional()?;
            Ok((shots.collect::<Result<_, _>>()?, oldest.map(Timestamp)))
        };
        read().map_err(at(&self.path))
    }
}

fn heard(row: &Row<'_>) -> rusqlite::Result<Heard> {
    let beginning = match row.get_ref(6)? {
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    Ok(Heard {
        topic: row.get(0)?,
        count: row.get::<_, i64>(1)?.unsigned_abs(),
        last: row.get(2)?,
        received: Timestamp(row.get(3)?),
        retained: row.get::<_, i64>(4)? != 0,
        size: row.get::<_, i64>(5)?.unsigned_abs(),
        beginning,
    })
}

fn shot(row: &Row<'_>) -> rusqlite::Result<Shot> {
    Ok(Shot {
        row: row.get(0)?,
        at: Timestamp(row.get(1)?),
        width: row.get(2)?,
        height: row.get(3)?,
        size: row.get::<_, i64>(4)?.unsigned_abs(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::*;
    use super::super::{MirrorBatch, NewMessage};
    use crate::reading::picture::{ContentType, Sha256};
    use crate::reading::{Channel, Image, Qos, Reading, Timestamp, Value, ValueKind};

    fn message(topic: &str, payload: &[u8]) -> NewMessage {
        NewMessage {
            topic: topic.to_owned(),
            qos: Qos::AtLeastOnce,
            retained: topic == "kept",
            payload: payload.to_vec(),
            received: moment(NOON),
            id: None,
            fields: None,
            told: Vec::new(),
        }
    }

    #[test]
    fn the_last_message_of_every_topic_that_is_new() {
        let folder = Folder::new();
        let log = folder.open();
        let mut messages: Vec<NewMessage> =
            (0..10).map(|number| message("often", number.to_string().as_bytes())).collect();
        messages.push(message("kept", "ä".repeat(300).as_bytes()));
        messages.push(message("binary", &[0xff, 0, 1]));
        messages.push(message("often", b"last"));
        log.store(batch(messages)).unwrap();
        let reader = log.reader().unwrap();
        let (heard, last) = reader.heard(0, 1_000, 10).unwrap();
        assert_eq!(last, 13);
        let names: Vec<_> = heard.iter().map(|heard| (heard.topic.as_str(), heard.count)).collect();
        assert_eq!(names, [("often", 11), ("binary", 1), ("kept", 1)]);
        assert_eq!((heard[0].beginning.as_str(), heard[0].retained), ("last", false));
        assert_eq!((heard[1].beginning.as_str(), heard[1].size), ("", 3));
        assert_eq!(
            (heard[2].beginning.clone(), heard[2].size, heard[2].retained),
            ("ä".repeat(200), 600, true)
        );
        assert_eq!(reader.heard(0, 1_000, 1).unwrap().0.len(), 1);
        assert_eq!(reader.heard(0, 2, 10).unwrap().0.len(), 2, "the last two messages only");
        assert_eq!(reader.heard(13, 1_000, 10).unwrap(), (Vec::new(), 13));
    }

    fn batch(messages: Vec<NewMessage>) -> MirrorBatch {
        MirrorBatch { mirror: "m".to_owned(), messages, ..MirrorBatch::default() }
    }

    #[test]
    fn pictures_are_listed_without_their_bytes_newest_first() {
        let folder = Folder::new();
        let log = folder.open();
        let sky = Channel { kind: ValueKind::Image, unit: String::new(), ..channel("image") };
        let id = log.register(std::slice::from_ref(&sky)).unwrap()[0];
        for number in 1..=5u8 {
            let image = Image {
                content_type: ContentType::Jpeg,
                width: 4,
                height: 3,
                sha256: Sha256([number; 32]),
                bytes: vec![number; 100 * usize::from(number)],
                thumbnail: None,
            };
            let value = Value::Image(Arc::new(image));
            log.append(vec![Reading { channel: id, at: moment(NOON + i64::from(number)), value }]).unwrap();
        }
        until_committed(&log, 5);
        let mut reader = log.reader().unwrap();
        let sensor = sky.sensor.as_str();
        let always = Timestamp(i64::MAX);
        let (shots, oldest) = reader.shots(sensor, "image", (i64::MAX, always), 2).unwrap();
        assert_eq!(oldest, Some(Timestamp(NOON + 1)));
        let found: Vec<_> = shots.iter().map(|shot| (shot.row, shot.size, shot.at.0 - NOON)).collect();
        assert_eq!(found, [(5, 500, 5), (4, 400, 4)]);
        let mut rows = |before, until| -> Vec<i64> {
            let shots = reader.shots(sensor, "image", (before, until), 9).unwrap().0;
            shots.iter().map(|shot| shot.row).collect()
        };
        assert_eq!(rows(4, always), [3, 2, 1]);
        assert_eq!(rows(i64::MAX, Timestamp(NOON + 2)), [2, 1]);
        assert_eq!(reader.shots("nobody", "image", (9, always), 9).unwrap(), (Vec::new(), None));
    }
}
