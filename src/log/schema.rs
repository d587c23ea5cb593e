//! The tables, their versions, and how an older file becomes a newer one. Knows no rows.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{LogError, at};

/// `PRAGMA application_id` of our files ("SBlg"), so that `file` and we can tell them from others.
pub(super) const APPLICATION_ID: i64 = 0x5342_6C67;

/// Step n leads from version n to n + 1. A released step is never edited: what is out there has run it.
pub(super) const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("pictures.sql"),
    include_str!("unsynced.sql"),
    include_str!("rollup.sql"),
    include_str!("commands.sql"),
    include_str!("formats.sql"),
];

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing in it yet.
    Empty,
    /// Ours, of this version.
    Ours(i64),
    /// Somebody else's.
    Foreign,
}

/// Whose file this is. Reads the header and the schema, which is also the cheap check for damage.
pub(super) fn kind(connection: &Connection) -> rusqlite::Result<Kind> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (APPLICATION_ID, version, _) => Kind::Ours(version),
        (0, 0, 0) => Kind::Empty,
        _ => Kind::Foreign,
    })
}

/// Refuses what is not ours or too new; answers the version (0 for an empty file).
pub(super) fn version(connection: &Connection, path: &Path, known: i64) -> Result<i64, LogError> {
    match kind(connection).map_err(at(path))? {
        Kind::Empty => Ok(0),
        Kind::Ours(found) if found > known => Err(LogError::Newer { path: path.to_owned(), found, known }),
        Kind::Ours(found) => Ok(found),
        Kind::Foreign => Err(LogError::NotOurs { path: path.to_owned() }),
    }
}

/// Brings the file to the newest version, each step in a transaction of its own.
///
/// Foreign keys are off meanwhile, which they can only be outside of a transaction: a step may make a table
/// anew that others refer to (sqlite.org/lang_altertable.html, section 7).
pub(super) fn migrate(connection: &mut Connection, from: i64, steps: &[&str]) -> rusqlite::Result<()> {
    let enforced: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    connection.pragma_update(None, "foreign_keys", false)?;
    let done = run(connection, from, steps);
    connection.pragma_update(None, "foreign_keys", enforced)?;
    done
}

fn run(connection: &mut Connection, from: i64, steps: &[&str]) -> rusqlite::Result<()> {
    for (version, step) in (0..).zip(steps).skip_while(|(version, _)| *version < from) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_from_where_the_file_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"]).unwrap();
        connection.execute("INSERT INTO a VALUES (1, 2)", []).unwrap();
        let steps = ["nonsense", "nonsense", "ALTER TABLE a ADD COLUMN z DEFAULT 3"];
        let from = version(&connection, Path::new("x"), 3).unwrap();
        assert_eq!(from, 2);
        migrate(&mut connection, from, &steps).unwrap();
        let row = connection.query_row("SELECT x, y, z FROM a", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        assert_eq!(row.unwrap(), (1, 2, 3));
        assert_eq!(kind(&connection).unwrap(), Kind::Ours(3));
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(
            migrate(&mut connection, 0, &["CREATE TABLE a (x)", "CREATE TABLE b (x); nonsense"]).is_err()
        );
        assert_eq!(kind(&connection).unwrap(), Kind::Ours(1));
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }

    /// Everything that a version 1 can hold, as version 1 wrote it, and a view of the user's own.
    #[test]
    fn version_1_becomes_version_2_with_every_row() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        migrate(&mut connection, 0, &STEPS[..1]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO channel VALUES
                   (3, 'pi', 'air', 'temperature', '°C', 'float', 't', NULL, 1, 0, 'quantity', 1, 'Shed', 47.5, 0.9, NULL),
                   (7, 'pi', 'air', 'state', '', 'text', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
                 INSERT INTO reading VALUES (5, 3, 1000000, 21.5, 1), (6, 7, 2000000, 'ok', 2);
                 INSERT INTO unsynced VALUES (5, 77);
                 INSERT INTO refusal VALUES (5, 3000000, 'quota');
                 CREATE VIEW mine AS SELECT value FROM reading JOIN channel ON channel.id = reading.channel
                   WHERE sensor = 'air';",
            )
            .unwrap();
        migrate(&mut connection, 1, &STEPS[..2]).unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Ours(2));
        let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        let rows = "SELECT group_concat(id || sensor || quantity || value || unit || clock, ' ' ORDER BY id) FROM readings";
        assert_eq!(text(rows), "5airtemperature21.5°Cunsynced 6airstateoksynced");
        assert_eq!(text("SELECT group_concat(value ORDER BY value) FROM mine"), "21.5,ok");
        assert_eq!(text("SELECT reason || sensor || topic FROM refused"), "quotaairt");
        assert_eq!(
            text("SELECT place || latitude || ifnull(altitude, '-') FROM channel WHERE id = 3"),
            "Shed47.5-"
        );
        assert_eq!(text("PRAGMA integrity_check"), "ok");
        assert!(!connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap());
        // Foreign keys are enforced again, and know the new table.
        assert!(connection.execute("INSERT INTO reading VALUES (8, 99, 0, 1, 0)", []).is_err());
        assert!(connection.execute("DELETE FROM channel WHERE id = 3", []).is_err());
        connection
            .execute_batch(
                "UPDATE channel SET kind = 'image', shape = 'binary' WHERE id = 3;
                 INSERT INTO image VALUES (5, 'image/png', 2, 1, 'ab', x'0011');",
            )
            .unwrap();
        assert_eq!(
            text("SELECT sensor || size || content_type || hex(data) FROM images"),
            "air2image/png0011"
        );
        connection.execute("DELETE FROM reading WHERE id = 5", []).unwrap();
        assert!(!connection.prepare("SELECT 1 FROM image").unwrap().exists([]).unwrap());
    }

    #[test]
    fn version_2_becomes_version_3_and_keeps_what_is_known_of_unsynchronised_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &STEPS[..2]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO channel (id, device, sensor, quantity, unit, kind) VALUES (1, 'd', 's', 'q', '', 'float');
                 INSERT INTO reading VALUES
                   (4, 1, 9000, 1.5, 1), (5, 1, 1000000, 1.5, 1), (6, 1, 2000030, 1.5, 3), (7, 1, 5000000, 1.5, 0),
                   (8, 1, 3000000, 1.5, 1), (9, 1, 500, 1.5, 1);
                 INSERT INTO unsynced VALUES (5, 400000), (6, 1400020), (8, 2400000), (9, 300);",
            )
            .unwrap();
        migrate(&mut connection, 2, &STEPS[..3]).unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Ours(3));
        let stretches: String = connection
            .query_row("SELECT group_concat(first_row || '+' || ahead, ' ') FROM stretch", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(stretches, "5+600000 9+200");
        let since_boot = crate::log::stretch::since_boot;
        assert_eq!(since_boot(&connection, 4, 9_000).unwrap(), None, "of a boot that was corrected before");
        assert_eq!(since_boot(&connection, 6, 2_000_030).unwrap(), Some(1_400_030));
        assert_eq!(since_boot(&connection, 8, 3_000_000).unwrap(), Some(2_400_000));
        assert_eq!(since_boot(&connection, 9, 500).unwrap(), Some(300));
    }

    #[test]
    fn version_3_becomes_version_4_at_once_and_is_rolled_up_afterwards() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &STEPS[..3]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO channel (id, device, sensor, quantity, unit, kind) VALUES (1, 'd', 's', 'q', '', 'float');
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                 INSERT INTO reading SELECT i, 1, i * 1000000, i / 2.0, 0 FROM n;
                 UPDATE progress SET cursor = 7",
            )
            .unwrap();
        migrate(&mut connection, 3, &STEPS[..4]).unwrap();
        let number = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(number("SELECT cursor * 10 + rolled FROM progress"), 70);
        assert_eq!(number("SELECT count(*) FROM rollup"), 0);
        crate::log::rollup::finish(&connection);
        assert_eq!(number("SELECT rolled FROM progress"), 100);
        // An hour and five minutes of a hundred readings; too few for minutes.
        let kept: String = connection
            .query_row("SELECT group_concat(minutes || ':' || count, ' ') FROM rollup", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, "5:100 60:100");
    }

    #[test]
    fn version_4_gets_commands_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &STEPS[..4]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO channel (id, device, sensor, quantity, unit, kind) VALUES (1, 'd', 's', 'q', '', 'float');
                 INSERT INTO reading VALUES (5, 1, 1000000, 21.5, 0);",
            )
            .unwrap();
        migrate(&mut connection, 4, &STEPS[..5]).unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Ours(5));
        connection
            .execute_batch(
                "INSERT INTO command (time, flags, source, command, payload, stage, rc, message, pending)
                 VALUES (1000000, 0, 't', 'a', '{}', 2, 200, 'done', 0)",
            )
            .unwrap();
        let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(
            text("SELECT time || outcome || clock FROM commands"),
            "1970-01-01T00:00:01.000000Zdonesynced"
        );
        assert_eq!(text("SELECT id || sensor || value FROM readings"), "5s21.5");
    }

    #[test]
    fn files_are_told_apart() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Empty);
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(version(&connection, Path::new("x"), 1), Err(LogError::NotOurs { .. })));
    }

    #[test]
    fn times_before_1970_and_odd_microseconds_are_right_in_the_views() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, STEPS).unwrap();
        connection
            .execute_batch(
                "INSERT INTO channel (id, device, sensor, quantity, unit, kind) VALUES (1, 'd', 's', 'q', '', 'float')",
            )
            .unwrap();
        for time in
            [0, 1, -1, -1_000_000, -1_000_001, 999_999, 1_795_158_000_123_456, -62_135_596_800_000_000]
        {
            connection
                .execute("INSERT INTO reading (channel, time, value, flags) VALUES (1, ?1, 1.5, 0)", [time])
                .unwrap();
            let text: String = connection
                .query_row("SELECT time FROM readings ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
                .unwrap();
            assert_eq!(text, crate::reading::Timestamp(time).to_string());
        }
    }

    #[test]
    fn one_quantity_is_found_by_index_through_the_view() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, STEPS).unwrap();
        let plan = |sql: &str| -> String {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let lines = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
            lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        let view = plan("SELECT time, value FROM readings WHERE sensor = 'air' AND quantity = 'temperature'");
        assert!(
            view.contains("channel_by_name") && view.contains("reading_by_channel (channel=?)"),
            "{view}"
        );
        // `ts` and `time` are computed, so a range of time is an index range on the table only.
        let table = plan("SELECT time, value FROM reading WHERE channel = 1 AND time >= 5 AND time < 9");
        assert!(table.contains("reading_by_channel (channel=? AND time>? AND time<?)"), "{table}");
        let newest = plan("SELECT * FROM readings ORDER BY id DESC LIMIT 5");
        assert!(!newest.contains("TEMP B-TREE"), "{newest}");
    }
}
