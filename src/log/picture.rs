//! Pictures as rows: stored beside their readings, fetched one at a time, counted, deleted before them.

use rusqlite::{Connection, OptionalExtension, params};

use super::age::Row;
use super::error::{LogError, at};
use super::reader::Reader;
use super::store::UNSYNCED;
use crate::reading::Image;
use crate::reading::picture::{ContentType, Sha256};

impl Reader {
    /// The picture of a reading; `None` when there is none, or none any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn image(&self, row: i64) -> Result<Option<Image>, LogError> {
        load(&self.connection, row).map_err(at(&self.path))
    }
}

/// Stores the picture of a reading that is in the same transaction.
pub(super) fn insert(connection: &Connection, row: i64, image: &Image) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO image (row, content_type, width, height, sha256, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            row,
            image.content_type.as_str(),
            image.width,
            image.height,
            image.sha256.to_string(),
            image.bytes
        ])?;
    Ok(())
}

fn load(connection: &Connection, row: i64) -> rusqlite::Result<Option<Image>> {
    let mut statement = connection
        .prepare_cached("SELECT content_type, width, height, sha256, data FROM image WHERE row = ?1")?;
    let loaded = statement.query_row([row], |row| {
        // Only we write these columns; somebody's own UPDATE must not end the publisher.
        let content_type = ContentType::of(row.get_ref(0)?.as_str()?).unwrap_or(ContentType::Jpeg);
        let sha256 = Sha256::parse(row.get_ref(3)?.as_str()?).unwrap_or(Sha256([0; 32]));
        let (width, height) = (row.get(1)?, row.get(2)?);
        Ok(Image { content_type, width, height, sha256, bytes: row.get(4)?, thumbnail: None })
    });
    loaded.optional()
}

/// A stored picture as retention sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Its reading.
    pub row: Row,
    /// Channel of the reading.
    pub channel: i64,
    /// Bytes.
    pub size: u64,
}

/// The next pictures by row: at most `limit`, and not many more than `most_bytes` of them.
pub(super) fn after(
    connection: &Connection,
    after: i64,
    limit: usize,
    most_bytes: u64,
) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT reading.id, time, flags, channel, octet_length(data) FROM image JOIN reading ON reading.id = image.row
         WHERE image.row > ?1 ORDER BY image.row LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, limit as i64])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let synced = row.get::<_, i64>(2)? & UNSYNCED == 0;
        let size = row.get::<_, i64>(4)?.unsigned_abs();
        let of = Row { id: row.get(0)?, time: row.get(1)?, synced };
        found.push(Stored { row: of, channel: row.get(3)?, size });
        bytes += size;
        if bytes >= most_bytes {
            break;
        }
    }
    Ok(found)
}

/// Bytes of all pictures. Looks at a page of each, not at the pictures.
pub(super) fn total(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(sum(octet_length(data)), 0) FROM image")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Deletes pictures; their readings stay.
pub(super) fn delete(connection: &Connection, rows: &[i64]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM image WHERE row = ?1")?;
    for row in rows {
        delete.execute([row])?;
    }
    Ok(())
}
