//! The time since boot of unsynchronised readings, kept once for a stretch of rows, and the correction of their
//! time. Knows no threads and no other part of a row.

use rusqlite::{Connection, OptionalExtension as _};

use super::store::{CORRECTED, UNSYNCED};
use crate::reading::Moment;

/// The two clocks of a moment are read one after the other: so far apart (µs), they still stand as they did.
/// It is what a corrected time may be off by, and no more than the network's time is.
const SAME: i64 = 1_000;

/// Rows whose time is put right in one transaction, so that a long unsynchronised run stalls nobody.
const AT_ONCE: i64 = 5_000;

/// The stretch that the next unsynchronised reading may belong to: how far its wall clock is ahead, µs.
/// `None` until there is one, and again after anything that may have taken it away.
#[derive(Debug, Default)]
pub(super) struct Stretch(Option<i64>);

impl Stretch {
    /// Makes sure that the time since boot of an unsynchronised reading can be found again.
    pub fn note(&mut self, connection: &Connection, row: i64, at: Moment) -> rusqlite::Result<()> {
        let ahead = at.wall.0.saturating_sub(at.since_boot);
        if self.0.is_some_and(|known| known.abs_diff(ahead) <= SAME.unsigned_abs()) {
            return Ok(());
        }
        connection
            .prepare_cached("INSERT INTO stretch (first_row, ahead) VALUES (?1, ?2)")?
            .execute([row, ahead])?;
        self.0 = Some(ahead);
        Ok(())
    }

    /// Puts the time of some readings right that were taken from `boot_first_row` on; `offset` is how far the
    /// right time is ahead of the time since boot, µs. Answers whether there are more.
    pub fn correct(
        &mut self,
        connection: &Connection,
        boot_first_row: i64,
        offset: i64,
    ) -> rusqlite::Result<bool> {
        self.0 = None;
        let Some((first, ahead)) = oldest(connection, boot_first_row)? else { return Ok(false) };
        let next = oldest(connection, first + 1)?;
        let end = next.map_or(i64::MAX, |(row, _)| row);
        // So many rows that there are, however far apart: in a log that was edited they can be.
        let so_far = connection
            .prepare_cached("SELECT id FROM reading WHERE id >= ?1 ORDER BY id LIMIT 1 OFFSET ?2")?
            .query_row([first, AT_ONCE], |row| row.get(0))
            .optional()?;
        let until = so_far.map_or(end, |row: i64| row.min(end));
        connection
            .prepare_cached(
                "UPDATE reading SET time = time + ?1, flags = flags & ~?2 | ?3
                 WHERE id >= ?4 AND id < ?5 AND flags & ?2",
            )?
            .execute([offset - ahead, UNSYNCED, CORRECTED, first, until])?;
        if until < end {
            connection
                .prepare_cached("UPDATE stretch SET first_row = ?1 WHERE first_row = ?2")?
                .execute([until, first])?;
            return Ok(true);
        }
        connection.prepare_cached("DELETE FROM stretch WHERE first_row = ?1")?.execute([first])?;
        Ok(next.is_some())
    }
}

/// The first stretch at or after a row.
fn oldest(connection: &Connection, row: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    connection
        .prepare_cached(
            "SELECT first_row, ahead FROM stretch WHERE first_row >= ?1 ORDER BY first_row LIMIT 1",
        )?
        .query_map([row], |row| Ok((row.get(0)?, row.get(1)?)))?
        .next()
        .transpose()
}

/// Time since boot (µs) of an unsynchronised reading, whose time by the wall clock was `time`.
pub(super) fn since_boot(connection: &Connection, row: i64, time: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT ?2 - ahead FROM stretch WHERE first_row <= ?1 ORDER BY first_row DESC LIMIT 1",
        )?
        .query_map([row, time], |row| row.get(0))?
        .next()
        .transpose()
}

/// Forgets stretches that no reading is left of: another begins at or before the oldest reading.
pub(super) fn tidy(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM stretch WHERE first_row < (SELECT max(first_row) FROM stretch
               WHERE first_row <= coalesce((SELECT min(id) FROM reading WHERE id > 0), 0))",
        )?
        .execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::schema;
    use crate::reading::{Clock, Timestamp};

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0, schema::STEPS).unwrap();
        connection
            .execute_batch(
                "INSERT INTO channel (id, device, sensor, quantity, unit, kind) VALUES (1, 'd', 's', 'q', '', 'float')",
            )
            .unwrap();
        connection
    }

    /// Adds a reading as the store does.
    fn add(connection: &Connection, stretch: &mut Stretch, row: i64, time: i64, since_boot: Option<i64>) {
        let flags = if since_boot.is_some() { UNSYNCED } else { 0 };
        connection.execute("INSERT INTO reading VALUES (?1, 1, ?2, 1.5, ?3)", [row, time, flags]).unwrap();
        if let Some(since_boot) = since_boot {
            let at = Moment { wall: Timestamp(time), since_boot, clock: Clock::Unsynced };
            stretch.note(connection, row, at).unwrap();
        }
    }

    fn stretches(connection: &Connection) -> Vec<(i64, i64)> {
        let mut statement = connection.prepare("SELECT * FROM stretch ORDER BY first_row").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    fn times(connection: &Connection) -> Vec<(i64, i64)> {
        let mut statement = connection.prepare("SELECT time, flags FROM reading ORDER BY id").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_clock_that_is_let_alone_makes_one_stretch_and_one_that_is_set_another() {
        let connection = database();
        let mut stretch = Stretch::default();
        add(&connection, &mut stretch, 1, 5_000_010, Some(10));
        add(&connection, &mut stretch, 2, 6_000_013, Some(1_000_010));
        // Set forward by a minute, back by two; then synchronised.
        add(&connection, &mut stretch, 3, 67_000_010, Some(2_000_010));
        add(&connection, &mut stretch, 4, -52_000_000, Some(3_000_010));
        add(&connection, &mut stretch, 5, 900_000_000, None);
        assert_eq!(stretches(&connection), [(1, 5_000_000), (3, 65_000_000), (4, -55_000_010)]);
        assert_eq!(since_boot(&connection, 2, 6_000_013).unwrap(), Some(1_000_013));
        assert_eq!(since_boot(&connection, 4, -52_000_000).unwrap(), Some(3_000_010));

        while stretch.correct(&connection, 0, 800_000_000).unwrap() {}
        assert_eq!(
            times(&connection),
            [
                (800_000_010, CORRECTED),
                (801_000_013, CORRECTED),
                (802_000_010, CORRECTED),
                (803_000_010, CORRECTED),
                (900_000_000, 0),
            ]
        );
        assert_eq!(stretches(&connection), []);
        // The clock lost its source again: what comes now can be found again too.
        add(&connection, &mut stretch, 6, 901_000_000, Some(101_000_000));
        assert_eq!(stretches(&connection), [(6, 800_000_000)]);
    }

    /// In steps of so many ids it would take for ever.
    #[test]
    fn a_row_that_somebody_has_put_far_away_is_no_long_way_off() {
        let connection = database();
        let mut stretch = Stretch::default();
        add(&connection, &mut stretch, 1, 5_000_010, Some(10));
        connection.execute("UPDATE reading SET id = ?1", [i64::MAX - 1]).unwrap();
        add(&connection, &mut stretch, 2, 5_000_011, Some(11));
        let steps = (0..9).take_while(|_| stretch.correct(&connection, 0, 800_000_000).unwrap()).count();
        assert_eq!(steps, 0);
        assert_eq!(times(&connection), [(800_000_011, CORRECTED), (800_000_010, CORRECTED)]);
        assert_eq!(stretches(&connection), []);
    }

    #[test]
    fn readings_of_an_earlier_boot_keep_what_is_known_of_them() {
        let connection = database();
        add(&connection, &mut Stretch::default(), 1, 100, Some(5));
        // The next process knows no stretch, even should its clocks be as far apart.
        let mut stretch = Stretch::default();
        add(&connection, &mut stretch, 2, 100, Some(5));
        assert!(!stretch.correct(&connection, 2, 1_000).unwrap());
        assert_eq!(times(&connection), [(100, UNSYNCED), (1_005, CORRECTED)]);
        assert_eq!(stretches(&connection), [(1, 95)]);
    }

    #[test]
    fn a_long_stretch_is_corrected_in_lots_and_a_gap_in_the_rows_does_not_end_it() {
        let connection = database();
        let mut stretch = Stretch::default();
        for row in (1..=100).chain(3 * AT_ONCE..5 * AT_ONCE) {
            add(&connection, &mut stretch, row, row, Some(row));
        }
        let mut lots = 1;
        while stretch.correct(&connection, 0, 1_000_000).unwrap() {
            lots += 1;
        }
        assert_eq!(lots, 3);
        assert!(times(&connection).iter().all(|(time, flags)| *time > 1_000_000 && *flags == CORRECTED));
    }

    #[test]
    fn stretches_without_readings_are_forgotten() {
        let connection = database();
        let mut stretch = Stretch::default();
        for (row, ahead) in [(1, 0), (5, 1_000_000), (9, 2_000_000)] {
            add(&connection, &mut stretch, row, ahead, Some(0));
        }
        // What was imported has rows below 1 and no part in this.
        add(&connection, &mut stretch, -7, 1, None);
        connection.execute("DELETE FROM reading WHERE id IN (1)", []).unwrap();
        tidy(&connection).unwrap();
        assert_eq!(stretches(&connection), [(5, 1_000_000), (9, 2_000_000)]);
        connection.execute("DELETE FROM reading", []).unwrap();
        tidy(&connection).unwrap();
        assert_eq!(stretches(&connection).last(), Some(&(9, 2_000_000)));
    }
}
