//! Fills a log with millions of readings in seconds: for measuring, and for pages that must stand them.

use std::path::Path;

use rusqlite::{Connection, ToSql};

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
    let (last, newest): (i64, i64) = connection
        .query_row("SELECT max(id), max(time) FROM reading", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let named: &[(&str, &dyn ToSql)] =
        &[(":quantity", &quantity), (":readings", &readings), (":last", &last), (":newest", &newest)];
    for sql in include_str!("fill.sql").split("\n\n").skip(1) {
        let mut statement = connection.prepare(sql).unwrap();
        for (name, value) in named {
            if let Some(place) = statement.parameter_index(name).unwrap() {
                statement.raw_bind_parameter(place, value).unwrap();
            }
        }
        statement.raw_execute().unwrap();
    }
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    newest
}
