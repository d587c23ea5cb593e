//! Records of lost readings: kept as rows for the operator, told once as a reading of the gap channel.

use rusqlite::Connection;

use crate::reading::Timestamp;

/// Notes readings that were never taken because the queue was full.
pub(super) fn record_busy(connection: &Connection, lost: u64, now: Timestamp) -> rusqlite::Result<()> {
    let lost = i64::try_from(lost).unwrap_or(i64::MAX);
    connection
        .prepare_cached("INSERT INTO gap (time, reason, lost) VALUES (?1, 'busy', ?2)")?
        .execute([now.0, lost])?;
    Ok(())
}

/// Notes rows deleted before they were delivered. Steps that follow one another grow one record, until it
/// has been told of: deleting a million rows must not write a thousand records.
pub(super) fn record_deleted(
    connection: &Connection,
    (first, last): (i64, i64),
    lost: i64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let grown = connection
        .prepare_cached(
            "UPDATE gap SET last_row = max(last_row, ?2), first_row = min(first_row, ?1), lost = lost + ?3
             WHERE id = (SELECT max(id) FROM gap WHERE reason = 'retention') AND NOT reported",
        )?
        .execute([first, last, lost])?;
    if grown == 0 {
        connection
            .prepare_cached(
                "INSERT INTO gap (time, reason, first_row, last_row, lost) VALUES (?1, 'retention', ?2, ?3, ?4)",
            )?
            .execute([now.0, first, last, lost])?;
    }
    Ok(())
}

/// How many readings each record that nobody was told of stands for, oldest first.
pub(super) fn unreported(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT lost FROM gap WHERE NOT reported ORDER BY id")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// All of them have been told of.
pub(super) fn mark_reported(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE gap SET reported = 1 WHERE NOT reported")?.execute([])?;
    Ok(())
}

/// Per reason: how many readings were lost, and when last.
pub(super) fn summary(connection: &Connection) -> rusqlite::Result<Vec<(String, i64, Timestamp)>> {
    connection
        .prepare("SELECT reason, sum(lost), max(time) FROM gap GROUP BY reason ORDER BY reason")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, Timestamp(row.get(2)?))))?
        .collect()
}
