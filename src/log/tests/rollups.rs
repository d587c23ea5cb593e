//! What is read with the help of roll-ups is what the rows alone come to, whatever happened to the rows.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::pieces::Pieces;
use super::super::rollup::{self, Sum};
use super::super::series::Ask;
use super::super::testing::*;
use super::super::{Machine, Reader, schema};
use crate::config::Retention;
use crate::reading::{Clock, Moment, Reading, Timestamp, Value};

const MINUTE: i64 = 60_000_000;

/// What may happen to the table of readings.
#[derive(Debug, Clone)]
enum Event {
    /// So many readings of a channel, from a minute on, so many ms apart (backwards too), whole numbers or not.
    Take { channel: i64, minute: i64, count: i64, spacing: i64, whole: bool },
    /// A step of so many rows.
    Roll(i64),
    /// Retention: the oldest rows.
    DeleteOldest(i64),
    /// Rows by number, from so far back.
    Delete { back: i64, count: i64 },
    /// The clock was wrong by so many seconds.
    Correct { back: i64, count: i64, seconds: i64 },
    /// A person edits a value.
    Change { back: i64 },
}

fn event() -> impl Strategy<Value = Event> {
    let take = (1..3_i64, -130..130_i64, 1..260_i64, -400..1500_i64, any::<bool>()).prop_map(
        |(channel, minute, count, spacing, whole)| Event::Take { channel, minute, count, spacing, whole },
    );
    prop_oneof![
        6 => take,
        4 => (1..600_i64).prop_map(Event::Roll),
        1 => (1..300_i64).prop_map(Event::DeleteOldest),
        1 => (1..600_i64, 1..50_i64).prop_map(|(back, count)| Event::Delete { back, count }),
        1 => (1..600_i64, 1..300_i64, -9000..9000_i64)
            .prop_map(|(back, count, seconds)| Event::Correct { back, count, seconds }),
        1 => (1..600_i64).prop_map(|back| Event::Change { back }),
    ]
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, 0, schema::STEPS).unwrap();
    connection
        .execute_batch(
            "INSERT INTO channel (id, device, sensor, quantity, unit, kind)
             VALUES (1, 'd', 's', 'q', '', 'float'), (2, 'd', 's', 'r', '', 'float')",
        )
        .unwrap();
    connection
}

fn happen(connection: &Connection, next: &mut i64, event: &Event) {
    match *event {
        Event::Take { channel, minute, count, spacing, whole } => {
            let mut insert =
                connection.prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4, 0)").unwrap();
            for turn in 0..count {
                let time = minute * MINUTE + turn * spacing * 1000;
                // Quarters: their sums are exact in whatever order.
                let value = (*next * 7919 % 997) as f64 / 4.0;
                match whole {
                    true => insert.execute((*next, channel, time, value as i64)).unwrap(),
                    false => insert.execute((*next, channel, time, value)).unwrap(),
                };
                *next += 1;
            }
        }
        Event::Roll(rows) => {
            rollup::step(connection, rows).unwrap();
        }
        Event::DeleteOldest(count) => {
            let sql = "DELETE FROM reading WHERE id IN (SELECT id FROM reading ORDER BY id LIMIT ?1)";
            connection.execute(sql, [count]).unwrap();
        }
        Event::Delete { back, count } => {
            let first = *next - back;
            connection
                .execute("DELETE FROM reading WHERE id >= ?1 AND id < ?2", [first, first + count])
                .unwrap();
        }
        Event::Correct { back, count, seconds } => {
            let first = *next - back;
            let sql = "UPDATE reading SET time = time + ?3 WHERE id >= ?1 AND id < ?2";
            connection.execute(sql, [first, first + count, seconds * 1_000_000]).unwrap();
        }
        Event::Change { back } => {
            connection.execute("UPDATE reading SET value = 1000.5 WHERE id = ?1", [*next - back]).unwrap();
        }
    }
}

/// By intervals of so many µs.
fn gathered(pieces: &Pieces<'_>, channel: i64, range: (i64, i64), width: i64) -> Vec<(i64, Sum)> {
    let mut found = std::collections::BTreeMap::<i64, Sum>::new();
    let fits = |begin: i64, end: i64| begin.div_euclid(width) == (end - 1).div_euclid(width);
    pieces
        .each(channel, range, width, &fits, &mut |sum| {
            let slot = sum.first_at.div_euclid(width);
            assert_eq!(slot, sum.last_at.div_euclid(width));
            found.entry(slot).and_modify(|all| all.add(sum)).or_insert(*sum);
        })
        .unwrap();
    found.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn roll_ups_say_what_the_rows_say(
        events in prop::collection::vec(event(), 1..40),
        asked in prop::collection::vec(
            (-200..200_i64, 0..60_000_000_i64, 1..400_i64, prop_oneof![Just(1_i64), 2..7_i64, Just(60), Just(90), Just(1440)]),
            6,
        ),
    ) {
        let connection = database();
        let mut next = 1;
        for event in &events {
            happen(&connection, &mut next, event);
        }
        for (minute, odd, length, width) in asked {
            let range = (minute * MINUTE + odd, (minute + length) * MINUTE - odd / 3);
            for channel in [1, 2] {
                let quick = gathered(&Pieces::new(&connection, width * MINUTE, |_| true).unwrap(), channel, range, width * MINUTE);
                let slow = gathered(&Pieces::of_rows(&connection), channel, range, width * MINUTE);
                prop_assert_eq!(quick, slow);
            }
        }
    }
}

#[test]
fn a_log_of_an_earlier_version_is_read_without_them() {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, 0, &schema::STEPS[..3]).unwrap();
    connection
        .execute_batch(
            "INSERT INTO channel (id, device, sensor, quantity, unit, kind) VALUES (1, 'd', 's', 'q', '', 'float');
             INSERT INTO reading VALUES (1, 1, 5, 1.5, 0)",
        )
        .unwrap();
    let pieces = Pieces::new(&connection, i64::MAX, |_| true).unwrap();
    assert_eq!(gathered(&pieces, 1, (0, 9), MINUTE)[0].1.count, 1);
}

fn rolled(folder: &Folder) -> (i64, i64) {
    let connection = super::super::open::read_only(&(&folder.path()).into()).unwrap();
    let sql = "SELECT rolled, (SELECT count(*) FROM rollup) FROM progress";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn both_agree(folder: &Folder, range: (i64, i64)) {
    let reader = Reader::open(&folder.path()).unwrap();
    // The writer may be at work.
    let _snapshot = reader.connection.unchecked_transaction().unwrap();
    let channels: Vec<i64> = reader
        .connection
        .prepare("SELECT id FROM channel")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for channel in channels {
        let quick = gathered(
            &Pieces::new(&reader.connection, 60 * MINUTE, |_| true).unwrap(),
            channel,
            range,
            60 * MINUTE,
        );
        let slow = gathered(&Pieces::of_rows(&reader.connection), channel, range, 60 * MINUTE);
        assert_eq!(quick, slow);
    }
}

/// Two readings a second of each of two quantities, in samples of two.
fn fill(log: &super::super::Log, first: i64, samples: i64, clock: Clock) {
    let ids = log.register(&[channel("a"), channel("b")]).unwrap();
    for turn in first..first + samples {
        let at = moment(NOON + turn * 500_000);
        let at = Moment { clock, ..at };
        let sample = ids
            .iter()
            .map(|id| Reading { channel: *id, at, value: Value::Float((turn % 100) as f64 / 4.0) })
            .collect();
        if turn % 5_000 == 0 {
            log.flush().unwrap();
        }
        log.append(sample).unwrap();
    }
    log.flush().unwrap();
}

/// A commit that changes nothing, for roll-ups to go along with.
fn commits_go_on(log: &super::super::Log) -> bool {
    log.register(&[channel("a")]).is_ok()
}

/// Commits in the WAL, which has one frame for each page written, and in those that end a transaction the size of the
/// database behind the page number (sqlite.org/fileformat2.html, section 4.1). With `sync: full` each is an fsync.
fn commits_in_wal(folder: &Folder) -> i64 {
    let mut path = folder.path().into_os_string();
    path.push("-wal");
    let wal = std::fs::read(path).unwrap();
    let number = |at: usize| u32::from_be_bytes(wal[at..at + 4].try_into().unwrap());
    let frame = 24 + number(8) as usize;
    let places = (32..).step_by(frame).take_while(|at| at + frame <= wal.len());
    let ours = places.take_while(|at| wal[at + 8..at + 16] == wal[16..24]);
    ours.filter(|at| number(at + 4) > 0).count() as i64
}

#[test]
fn rolling_up_takes_no_commit_of_its_own() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a"), channel("b")]).unwrap();
    let (mut time, mut row) = (NOON, 0);
    // Without `flush`, which commits even when there is nothing to be written.
    let mut take = |samples: i64| {
        for _ in 0..samples {
            (time, row) = (time + 500_000, row + 2);
            log.append(ids.iter().map(|id| reading(*id, time, 1.5)).collect()).unwrap();
        }
        until_committed(&log, row);
    };
    take(10);
    // As long as somebody reads what was there at first, the WAL does not begin anew.
    let early = Reader::open(&folder.path()).unwrap();
    let _snapshot = early.connection.unchecked_transaction().unwrap();
    assert_eq!(early.last_row().unwrap(), 20);
    let others = commits_in_wal(&folder) - folder.figure("commits");
    (0..4).for_each(|_| take(5_000));
    until("it is rolled up", || {
        take(1);
        rolled(&folder).0 > 40_000
    });
    assert_eq!(commits_in_wal(&folder) - folder.figure("commits"), others);
    assert!(rolled(&folder).1 > 60);
    both_agree(&folder, (0, i64::MAX));
    let reader = Reader::open(&folder.path()).unwrap();
    // Asked for at once they are what each is alone: by roll-ups of any length, by rows, not at all.
    let ask =
        |name: &str, minutes: i64, buckets| Ask::new("air", name, (time - minutes * MINUTE, time), buckets);
    let asks =
        [ask("a", 150, 100), ask("b", 30, 1_000), ask("none", 30, 60), ask("b", 60, 60), ask("a", 0, 9)];
    for (ask, found) in asks.iter().zip(reader.several(&asks).unwrap()) {
        match (found, reader.series(ask)) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
            other => panic!("{ask:?}: {other:?}"),
        }
    }
    assert_eq!(reader.several(&[]).unwrap().len(), 0);
    log.close().unwrap();
}

#[test]
fn what_did_not_go_along_waits_and_does_not_count() {
    let now = Instant::now();
    let mut roller = rollup::Roller::new(0, 40_000);
    let later = now + Duration::from_secs(3);
    assert!(roller.rows_along(10, later) >= 8_192 && roller.due().is_none());
    // No table, no roll-up.
    let nothing = Connection::open_in_memory().unwrap();
    assert!(roller.along(&nothing, 8_192, later).is_err());
    roller.after_commit(40_001, false, later);
    assert_eq!(roller.rows_along(10, later + Duration::from_secs(50)), 0);
    let much_later = later + Duration::from_secs(61);
    assert!(roller.rows_along(10, much_later) > 0);
    // It goes well, but the commit does not.
    let connection = database();
    let mut next = 1;
    let take = Event::Take { channel: 1, minute: 0, count: 20, spacing: 500, whole: false };
    happen(&connection, &mut next, &take);
    roller.along(&connection, 8_192, much_later).unwrap();
    roller.after_commit(40_001, false, much_later);
    assert_eq!(roller.rows_along(10, much_later), 0);
    // And then both do: with nothing left to roll up, it is due again when there is more.
    let at_last = much_later + Duration::from_secs(61);
    roller.along(&connection, 8_192, at_last).unwrap();
    roller.after_commit(20_000, true, at_last);
    assert_eq!(roller.rows_along(10, at_last + Duration::from_secs(600)), 0);
    roller.after_commit(90_000, false, at_last);
    assert!(roller.due().is_some(), "far behind");
}

#[test]
fn a_roll_up_that_cannot_be_written_keeps_no_reading_out() {
    let folder = Folder::new();
    let log = folder.open();
    let other = Connection::open(folder.path()).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER broken BEFORE INSERT ON rollup BEGIN SELECT RAISE(ABORT, 'broken'); END",
        )
        .unwrap();
    drop(other);
    fill(&log, 0, 20_000, Clock::Synced);
    assert!(commits_go_on(&log) && commits_go_on(&log), "the writer is at work");
    assert_eq!(Reader::open(&folder.path()).unwrap().last_row().unwrap(), 40_000);
    assert_eq!((rolled(&folder).0, folder.figure("rejected")), (0, 0));
    log.close().unwrap();
}

#[test]
fn the_writer_rolls_up_and_a_corrected_clock_moves_what_was() {
    let folder = Folder::new();
    let log = folder.open();
    fill(&log, 0, 20_000, Clock::Unsynced);
    until("it is rolled up", || commits_go_on(&log) && rolled(&folder).0 == 40_000);
    assert!(rolled(&folder).1 > 60);
    both_agree(&folder, (0, i64::MAX));
    let before = Reader::open(&folder.path()).unwrap();
    let ask = Ask::new("air", "a", (NOON, NOON + 10_000_000_000), 500);
    assert_eq!(before.series(&ask).unwrap().buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 20_000);
    // By a year and 17 minutes.
    let right = NOON - 60_000_000 + 365 * 24 * 60 * MINUTE + 17 * MINUTE;
    log.correct_clock(right).unwrap();
    assert_eq!(rolled(&folder).1, 0);
    both_agree(&folder, (0, i64::MAX));
    assert_eq!(before.series(&ask).unwrap().buckets, []);
    // What was changed is rolled up again with the next rows.
    fill(&log, 0, 20_000, Clock::Synced);
    until("it is rolled up again", || commits_go_on(&log) && rolled(&folder).1 > 120);
    both_agree(&folder, (0, i64::MAX));
    log.close().unwrap();
}

#[test]
fn retention_takes_roll_ups_along() {
    let mut folder = Folder::new();
    let log = folder.open();
    fill(&log, 0, 20_000, Clock::Synced);
    until("it is rolled up", || commits_go_on(&log) && rolled(&folder).0 == 40_000);
    let before = rolled(&folder).1;
    log.save_delivery(
        super::super::DeliveryUpdate { cursor: Some(40_000), ..Default::default() },
        super::super::Urgency::Now,
    )
    .unwrap();
    log.close().unwrap();
    // Half of it is older than an hour and a half.
    folder.config.retention =
        Retention { max_age: Some(std::time::Duration::from_secs(5_400)), ..Retention::default() };
    let late = Machine { boot_id: "boot-1".to_owned(), now: || moment(NOON + 10_400_000_000) };
    let log = super::super::Log::open(&folder.config, &late, &folder.board).unwrap();
    until("the old is deleted", || folder.figure("deleted") == 20_000);
    let after = rolled(&folder).1;
    assert!(after < before * 6 / 10 && after > before * 4 / 10, "{after} of {before}");
    both_agree(&folder, (0, i64::MAX));
    let latest = log.reader().unwrap().latest().unwrap();
    assert_eq!(latest[0].at, Timestamp(NOON + 19_999 * 500_000));
    log.close().unwrap();
}
