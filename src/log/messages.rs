//! Mirrored messages on their way to a person.

use rusqlite::types::ValueRef;

use super::error::{LogError, at};
use super::reader::Reader;
use crate::reading::Timestamp;

/// A message as a mirror stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Row id: rises by the order stored.
    pub id: i64,
    /// Topic name.
    pub topic: String,
    /// When it was received.
    pub received: Timestamp,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Reader {
    /// Messages with `after < id`, oldest first, at most `limit`.
    pub fn messages(&mut self, after: i64, limit: usize) -> Result<Vec<Message>, LogError> {
        let read = || -> rusqlite::Result<Vec<Message>> {
            self.connection
                .prepare_cached(
                    "SELECT message.id, topic.name, message.time, message.payload
                     FROM message JOIN topic ON topic.id = message.topic
                     WHERE message.id > ?1 ORDER BY message.id LIMIT ?2",
                )?
                .query_map([after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                    let payload = match row.get_ref(3)? {
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                        _ => Vec::new(),
                    };
                    Ok(Message {
                        id: row.get(0)?,
                        topic: row.get(1)?,
                        received: Timestamp(row.get(2)?),
                        payload,
                    })
                })?
                .collect()
        };
        read().map_err(at(&self.path))
    }

    /// The highest row of a reading, and of a message; 0 when there is none.
    pub fn last_ids(&mut self) -> Result<(i64, i64), LogError> {
        let sql =
            "SELECT (SELECT coalesce(max(id), 0) FROM reading), (SELECT coalesce(max(id), 0) FROM message)";
        self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(at(&self.path))
    }
}
