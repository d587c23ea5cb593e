//! Retention through the real writer.

use std::time::Duration;

use super::*;
use crate::config::Retention;

pub(super) const DAY: i64 = 24 * 3_600_000_000;

fn limited(max_age: Option<Duration>, max_size: Option<u64>) -> Folder {
    let mut folder = Folder::new();
    folder.config.retention = Retention { max_age, max_size, ..Retention::default() };
    folder
}

pub(super) fn ids_left(log: &Log, sql: &str) -> Vec<i64> {
    let reader = log.reader().unwrap();
    let mut statement = reader.connection.prepare(sql).unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

fn size_of(folder: &Folder) -> u64 {
    ["", "-wal"]
        .iter()
        .filter_map(|suffix| std::fs::metadata(crate::log::open::beside(&folder.path(), suffix)).ok())
        .map(|file| file.len())
        .sum()
}

#[test]
fn old_rows_go_once_they_are_delivered() {
    let folder = limited(Some(Duration::from_secs(10 * 24 * 3600)), None);
    let log = folder.open();
    let ids = log.register(&[channel("a"), silent("b")]).unwrap();
    let days = [30, 29, 28, 27, 26, 5, 30, 1];
    for (place, days) in days.iter().enumerate() {
        log.append(vec![reading(ids[usize::from(place == 6)], NOON - days * DAY, 1.0)]).unwrap();
    }
    let messages = [40, 3].map(|days| NewMessage {
        received: moment(NOON - days * DAY),
        ..message(&format!("t/{days}"), b"x", None)
    });
    log.store(MirrorBatch { mirror: "m".into(), messages: messages.into(), ..Default::default() }).unwrap();
    until_committed(&log, 8);
    // Delivered up to 4, of which 2 follows late; 5 waits; 7 is old and was never to be published.
    let update = DeliveryUpdate {
        cursor: Some(4),
        late: Some(vec![RowRange { next: 2, end: 2 }]),
        ..Default::default()
    };
    log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
    // A sweep comes once a minute, and at the start.
    log.close().unwrap();
    let log = folder.open();
    until("retention", || ids_left(&log, "SELECT id FROM reading ORDER BY id") == [2, 5, 6, 8]);
    until("messages", || ids_left(&log, "SELECT id FROM message") == [2]);
    assert_eq!(ids_left(&log, "SELECT count(*) FROM gap"), [0]);
    assert_eq!(folder.figure("lost"), 0);
}

/// The clock of the machine is what jumps, not the rows.
#[test]
fn a_clock_that_jumps_deletes_nothing() {
    let folder = limited(Some(Duration::from_secs(10 * 24 * 3600)), None);
    let log = folder.open();
    let ids = log.register(&[silent("a")]).unwrap();
    for place in 0..100 {
        log.append(vec![reading(ids[0], NOON + place, 1.0)]).unwrap();
    }
    log.close().unwrap();
    let clocks: [fn() -> Moment; 3] =
        [|| moment(77), || moment(NOON * 2), || Moment { clock: Clock::Unsynced, ..moment(NOON + 20 * DAY) }];
    for now in clocks {
        let log = Log::open(&folder.config, &Machine { now, ..machine() }, &folder.board).unwrap();
        let commits = || folder.figure("deleted");
        // The sweep at the start comes before the first request is answered.
        for _ in 0..3 {
            log.register(&[silent("a")]).unwrap();
        }
        assert_eq!(commits(), 0);
        assert_eq!(ids_left(&log, "SELECT count(*) FROM reading"), [100]);
        log.close().unwrap();
    }
}

#[test]
fn the_file_stays_within_its_size_and_delivered_rows_go_first() {
    let limit = 2_000_000;
    let folder = limited(None, Some(limit));
    let log = folder.open();
    let ids = log.register(&[channel("a"), channel("b")]).unwrap();
    let mut largest = 0;
    let total = 80_000;
    for turn in 0..total / 2 {
        let sample = vec![reading(ids[0], NOON + turn, turn as f64 / 3.0), reading(ids[1], NOON + turn, 0.5)];
        while log.append(sample.clone()).is_err() {
            std::thread::yield_now();
        }
        if turn % 100 == 99 {
            let last = (turn + 1) * 2;
            until_committed(&log, last);
            log.save_delivery(DeliveryUpdate { cursor: Some(last - 50), ..Default::default() }, Urgency::Due)
                .unwrap();
            largest = largest.max(size_of(&folder));
        }
    }
    until("the end of it", || size_of(&folder) <= limit);
    println!("largest {largest} bytes for a limit of {limit}");
    assert!(largest <= limit + limit / 10, "{largest}");
    assert_eq!((folder.figure("lost"), ids_left(&log, "SELECT count(*) FROM gap")), (0, vec![0]));
    let left = ids_left(&log, "SELECT count(*) FROM reading")[0];
    assert!(left > 20_000, "{left}: no more than needed goes");
    assert_eq!(ids_left(&log, "SELECT max(id) FROM reading"), [total]);
    log.close().unwrap();
    assert!(size_of(&folder) <= limit);
}

#[test]
fn undelivered_rows_go_last_oldest_first_and_are_told_of() {
    let limit = 1_000_000;
    let folder = limited(None, Some(limit));
    let log = folder.open();
    let gap = Channel { kind: ValueKind::Integer, ..channel("lost") };
    let ids = log.register(&[channel("a"), silent("b"), gap]).unwrap();
    log.set_gap_channel(ids[2]);
    // A QoS 2 hand-shake under way stays whatever happens.
    let in_flight = vec![InFlight { row: 1, packet_id: 1, stage: Stage::Sent }];
    log.save_delivery(DeliveryUpdate { in_flight, ..Default::default() }, Urgency::Now).unwrap();
    let total = 60_000;
    for turn in 0..total {
        // Two thirds are never to be published: they go before any that waits.
        let sample = vec![reading(ids[usize::from(turn % 3 > 0)], NOON + turn, turn as f64 / 3.0)];
        while log.append(sample.clone()).is_err() {
            std::thread::yield_now();
        }
        if turn % 500 == 499 {
            until_committed(&log, turn + 1);
        }
    }
    until("the size", || size_of(&folder) <= limit + limit / 10);
    log.close().unwrap();
    let lost = folder.figure("lost");
    assert!(lost > 0, "60,000 rows do not fit");
    let reader = Reader::open(&folder.path()).unwrap();
    let number = |sql: &str| -> i64 { reader.connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(number("SELECT sum(lost) FROM gaps WHERE reason = 'retention'"), lost);
    let left = number("SELECT count(*) FROM reading WHERE channel = 1");
    assert_eq!(left + lost, total / 3, "every published row is there or told of");
    assert_eq!(
        number("SELECT min(id) > (SELECT max(last_row) FROM gap) FROM reading WHERE channel = 1 AND id > 1"),
        1
    );
    assert_eq!(number("SELECT count(*) FROM reading WHERE id = 1"), 1);
    assert_eq!(number("SELECT sum(value) FROM reading WHERE channel = 3"), lost);
    assert_eq!(number("SELECT count(*) FROM epoch WHERE first_row > (SELECT min(id) FROM reading)"), 0);
}

#[test]
fn large_messages_count_by_their_size() {
    let limit = 4_000_000;
    let folder = limited(None, Some(limit));
    let log = folder.open();
    for _ in 0..60 {
        let messages = vec![message("t", &[0xfe; 200_000], None)];
        log.store(MirrorBatch { mirror: "m".into(), messages, ..Default::default() }).unwrap();
    }
    until("the size", || size_of(&folder) <= limit + limit / 10);
    let left = ids_left(&log, "SELECT count(*) FROM message")[0];
    assert!((8..=19).contains(&left), "{left}");
    log.close().unwrap();
    let log = folder.open();
    log.store(MirrorBatch {
        mirror: "m".into(),
        messages: vec![message("t", b"x", None)],
        ..Default::default()
    })
    .unwrap();
    assert_eq!(ids_left(&log, "SELECT max(id) FROM message"), [61]);
}

#[test]
fn imported_rows_grow_old_as_any_other_and_go_first() {
    use crate::log::intake::{Foreign, Intake, Series};
    use crate::reading::{Clock, Timestamp, Value};
    let folder = limited(Some(Duration::from_secs(10 * 24 * 3600)), None);
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON - DAY, 1.0)]).unwrap();
    until_committed(&log, 1);
    let rows: Vec<Foreign> = [30, 5, 20, 1]
        .map(|days| Foreign {
            series: 0,
            at: Timestamp(NOON - days * DAY),
            clock: Clock::Synced,
            value: Value::Float(2.0),
            nth: 1,
        })
        .into();
    Intake::open(&folder.path()).unwrap().add(&[Series::of(&channel("a"))], &rows, 4).unwrap();
    log.close().unwrap();
    let log = folder.open();
    until("retention", || ids_left(&log, "SELECT id FROM reading ORDER BY id") == [-2, 0, 1]);
    assert_eq!(folder.figure("lost"), 0);
    // And by size: the imported ones, though what is published still waits.
    log.close().unwrap();
    let folder = Folder {
        config: crate::config::Log {
            retention: Retention { max_size: Some(400_000), ..Retention::default() },
            ..folder.config.clone()
        },
        ..folder
    };
    let rows: Vec<Foreign> = (0..20_000)
        .map(|row| Foreign {
            series: 0,
            at: Timestamp(NOON - row),
            clock: Clock::Synced,
            value: Value::Float(3.0),
            nth: 1,
        })
        .collect();
    Intake::open(&folder.path()).unwrap().add(&[Series::of(&channel("a"))], &rows, 20_000).unwrap();
    let log = folder.open();
    until("retention by size", || {
        let left = ids_left(&log, "SELECT count(*) FROM reading WHERE id < 1")[0];
        (1..10_000).contains(&left)
    });
    assert_eq!(ids_left(&log, "SELECT id FROM reading WHERE id > 0"), [1]);
    assert_eq!(folder.figure("lost"), 0);
}

/// Somebody's `sqlite3` shell holds the database while a sweep is due, and no reading comes for long.
#[test]
fn a_sweep_that_could_not_be_is_tried_again_though_nothing_comes() {
    let folder = limited(Some(Duration::from_secs(10)), None);
    let log = folder.open();
    let ids = log.register(&[silent("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON - 11_000_000, 1.0)]).unwrap();
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    until_committed(&log, 2);
    let shell = rusqlite::Connection::open(folder.path()).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let part = folder.board.part("log");
    until("the sweep", || matches!(part.state().0, State::Failed(_)));
    let why = part.state().0.to_string();
    assert!(why.contains("another program holds the database"), "{why}");
    shell.execute_batch("COMMIT").unwrap();
    until("the state", || part.state().0 == State::Ok);
    until("retention", || ids_left(&log, "SELECT id FROM reading") == [2]);
}

/// What is imported stands before everything else, and its times need not rise.
#[test]
fn a_recent_import_does_not_keep_what_is_old() {
    use crate::log::intake::{Foreign, Intake, Series};
    use crate::reading::{Clock, Timestamp, Value};
    let folder = limited(Some(Duration::from_secs(10 * 24 * 3600)), None);
    let log = folder.open();
    let ids = log.register(&[silent("a")]).unwrap();
    for days in [30, 1] {
        log.append(vec![reading(ids[0], NOON - days * DAY, 1.0)]).unwrap();
    }
    until_committed(&log, 2);
    let import = |rows: std::ops::Range<i64>, days: i64| {
        let foreign = |row| Foreign {
            series: 0,
            at: Timestamp(NOON - days * DAY + row),
            clock: Clock::Synced,
            value: Value::Float(2.0),
            nth: 1,
        };
        let rows: Vec<Foreign> = rows.map(foreign).collect();
        let mut intake = Intake::open(&folder.path()).unwrap();
        intake.add(&[Series::of(&channel("a"))], &rows, rows.len() as u64).unwrap();
    };
    import(0..1, 2);
    import(0..10, 20);
    // With the first of all as many as one step looks at.
    import(1..1_000, 2);
    log.close().unwrap();
    let log = folder.open();
    until("retention", || ids_left(&log, "SELECT count(*) FROM reading") == [1_001]);
    assert_eq!(ids_left(&log, "SELECT id FROM reading WHERE id > -11"), [0, 2]);
}
