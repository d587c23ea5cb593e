//! Fills a log with millions of readings in seconds: for measuring, and for pages that must stand them.

use std::path::Path;

use rusqlite::{Connection, params};

/// µs of a day.
pub const DAY: i64 = 86_400_000_000;

/// Adds so many readings to a log that nobody has open, in turns to each of its channels called `quantity`: one half
/// spread over the 29 days before its newest reading's last day, the other half over that day. They count as
/// delivered, and are not rolled up: as in a log of an earlier version. Answers the time of the newest (µs).
///
/// Ten million take some twenty seconds and half a gigabyte.
pub fn fill(database: &Path, quantity: &str, readings: i64) -> i64 {
    let connection = Connection::open(database).unwrap();
    // No journal, no waiting for the disk: a log that is being made up can be made up again.
    for pragma in ["journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF"] {
        connection.execute_batch(&format!("PRAGMA {pragma}")).unwrap();
    }
    connection.pragma_update(None, "cache_size", -200_000).unwrap();
    connection
        .execute_batch("CREATE TEMP TABLE turn (place INTEGER PRIMARY KEY, channel INTEGER NOT NULL)")
        .unwrap();
    let channels = connection
        .execute(
            "INSERT INTO turn SELECT row_number() OVER (ORDER BY id) - 1, id FROM channel WHERE quantity = ?1",
            [quantity],
        )
        .unwrap() as i64;
    let (last, newest): (i64, i64) = connection
        .query_row("SELECT max(id), max(time) FROM reading", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let half = readings / 2;
    connection
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO reading (id, channel, time, value, flags)
             SELECT ?2 + i, (SELECT channel FROM turn WHERE place = i % ?3),
               CASE WHEN i <= ?4 THEN ?5 - 30 * ?6 + i * (29 * ?6 / ?4) ELSE ?5 - ?6 + (i - ?4) * (?6 / ?4) END,
               20 + i * 7919 % 997 / 101.0, 0
             FROM n",
            params![readings, last, channels, half, newest, DAY],
        )
        .unwrap();
    connection.execute("UPDATE progress SET cursor = ?1", [last + readings]).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    newest
}
