//! The room as its callers see it: a real file, the real writer thread.

mod damage;
mod pictures;
mod retention;
mod rollups;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::testing::*;
use super::*;
use crate::config::{ColumnKind, JsonPath, Table, TableColumn};
use crate::reading::{Clock, Timestamp, Value, ValueKind};
use crate::status::State;
use rusqlite::types::Value as Sql;

#[test]
fn a_reading_comes_back_as_it_went_in() {
    let folder = Folder::new();
    let log = folder.open();
    let kinds = [ValueKind::Float, ValueKind::Integer, ValueKind::Bool, ValueKind::Text];
    let channels: Vec<Channel> =
        kinds.iter().map(|kind| Channel { kind: *kind, ..channel(&format!("{kind:?}")) }).collect();
    let ids = log.register(&channels).unwrap();
    let values = [
        Value::Float(21.0),
        Value::Integer(i64::MIN),
        Value::Bool(true),
        Value::Text("failed: no answer".into()),
    ];
    let sample: Vec<Reading> = ids
        .iter()
        .zip(&values)
        .map(|(id, value)| Reading { channel: *id, at: moment(NOON + 1), value: value.clone() })
        .collect();
    log.append(sample).unwrap();
    until_committed(&log, 4);
    let rows = log.reader().unwrap().outgoing(0, 4, 100).unwrap();
    assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(rows.iter().map(|row| row.continues).collect::<Vec<_>>(), [false, true, true, true]);
    for ((row, channel), value) in rows.iter().zip(&channels).zip(&values) {
        assert_eq!((&*row.channel, &row.value, row.at), (channel, value, Timestamp(NOON + 1)));
        assert_eq!((row.clock, row.since_boot), (Clock::Synced, None));
    }
    log.close().unwrap();
    assert!(matches!(log.close(), Err(LogError::Closed)));
    assert!(matches!(log.register(&channels), Err(LogError::Closed)));
    assert_eq!(log.append(Vec::new()), Err(Busy));
    assert_eq!(folder.board.part("log").state().0, State::Stopped);
}

#[test]
fn outgoing_keeps_samples_whole_and_leaves_out_what_is_not_published() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a"), silent("b"), channel("c")]).unwrap();
    let sample = |time| ids.iter().map(|id| reading(*id, time, 1.0)).collect::<Vec<_>>();
    for turn in 0..10 {
        log.append(sample(NOON + turn)).unwrap();
    }
    log.append(vec![reading(ids[1], NOON, 0.0), reading(ids[2], NOON, 0.0)]).unwrap();
    until_committed(&log, 32);
    let mut reader = log.reader().unwrap();
    let summary = |rows: Vec<crate::reading::Logged>| -> Vec<(i64, bool)> {
        rows.iter().map(|row| (row.row, row.continues)).collect()
    };
    assert_eq!(summary(reader.outgoing(0, 32, 1).unwrap()), [(1, false), (3, true)]);
    assert_eq!(summary(reader.outgoing(3, 32, 3).unwrap()), [(4, false), (6, true), (7, false), (9, true)]);
    // The rest of a sample whose beginning is delivered, or not published, is a message of its own.
    assert_eq!(summary(reader.outgoing(1, 3, 9).unwrap()), [(3, false)]);
    assert_eq!(summary(reader.outgoing(28, 32, 9).unwrap()), [(30, false), (32, false)]);
    assert_eq!(reader.outgoing(32, 32, 9).unwrap(), []);

    assert_eq!(reader.waiting(0, 32).unwrap(), (21, Some(Timestamp(NOON))));
    assert_eq!(reader.waiting(3, 32).unwrap(), (19, Some(Timestamp(NOON + 1))));
    assert_eq!(reader.waiting(30, 32).unwrap(), (1, Some(Timestamp(NOON))));
    assert_eq!(reader.waiting(32, 32).unwrap(), (0, None));
    assert_eq!(reader.waiting(0, 6).unwrap().0, 4);
}

/// The copy is taken in the middle of the work: whatever it shows must be whole samples, and all that was
/// said to be durable must be in it.
#[test]
fn after_a_crash_everything_committed_is_there_and_numbers_go_on() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a"), channel("b")]).unwrap();
    for turn in 0..500 {
        log.append(vec![reading(ids[0], NOON + turn, 0.0), reading(ids[1], NOON + turn, 1.0)]).unwrap();
    }
    let update = DeliveryUpdate {
        cursor: Some(7),
        late: Some(vec![RowRange { next: 2, end: 3 }]),
        in_flight: vec![InFlight { row: 8, packet_id: 3, stage: Stage::Released }],
        ..Default::default()
    };
    log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
    let committed = *log.committed().borrow();
    let crashed = folder.as_after_a_crash();
    let epoch = log.reader().unwrap().outgoing(0, 1, 1).unwrap()[0].epoch.clone();

    let again = crashed.open();
    let last = *again.committed().borrow();
    assert!(last >= committed && last % 2 == 0, "{last} of {committed}");
    let state = again.delivery().unwrap();
    assert_eq!(state.cursor, 7);
    assert_eq!(state.late, [RowRange { next: 2, end: 3 }]);
    assert_eq!(state.in_flight, [InFlight { row: 8, packet_id: 3, stage: Stage::Released }]);
    assert_eq!(again.register(&[channel("a"), channel("b")]).unwrap(), ids);
    again.append(vec![reading(ids[0], NOON, 2.0)]).unwrap();
    until_committed(&again, last + 1);
    let rows = again.reader().unwrap().outgoing(last - 1, last + 1, 9).unwrap();
    assert_eq!(rows[0].epoch, epoch);
    assert_ne!(rows[1].epoch, epoch);
    assert_eq!(rows[1].epoch.len(), 8);
}

#[test]
fn numbers_are_not_given_out_twice_even_when_every_row_is_gone() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 0.0)]).unwrap();
    until_committed(&log, 1);
    log.save_delivery(DeliveryUpdate { cursor: Some(41), ..Default::default() }, Urgency::Due).unwrap();
    log.close().unwrap();
    rusqlite::Connection::open(folder.path()).unwrap().execute_batch("DELETE FROM reading").unwrap();
    let log = folder.open();
    log.append(vec![reading(ids[0], NOON, 0.0)]).unwrap();
    until_committed(&log, 42);
}

#[test]
fn two_threads_append_and_readers_see_whole_samples_in_order() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = Arc::new(log.register(&[channel("a"), channel("b"), channel("c")]).unwrap());
    let append = |value: f64| {
        let (log, ids) = (log.clone(), ids.clone());
        std::thread::spawn(move || {
            for turn in 0..2_000 {
                let sample: Vec<Reading> = ids.iter().map(|id| reading(*id, NOON + turn, value)).collect();
                while log.append(sample.clone()).is_err() {
                    std::thread::yield_now();
                }
            }
        })
    };
    let threads = [append(1.0), append(2.0)];
    let (mut reader, mut after, mut seen) = (log.reader().unwrap(), 0, 0);
    let mut newest = BTreeMap::new();
    until("12000 rows", || {
        let until = *log.committed().borrow();
        for row in reader.outgoing(after, until, 1000).unwrap() {
            assert_eq!(row.row, after + 1);
            assert_eq!(row.continues, (row.row - 1) % 3 != 0, "row {}", row.row);
            let key = (format!("{}", row.value), row.channel.quantity.clone());
            assert!(newest.insert(key, row.at).is_none_or(|before| before < row.at), "order of {row:?}");
            after = row.row;
            seen += 1;
        }
        seen == 12_000
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(folder.figure("commits") < 4_000, "group commit");
}

#[test]
fn one_bad_request_does_not_take_the_others_with_it() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    let nan = Reading { value: Value::Float(f64::NAN), ..reading(ids[0], NOON, 0.0) };
    log.append(vec![reading(ids[0], NOON, 1.0), reading(ChannelId(99), NOON, 2.0)]).unwrap();
    log.append(vec![reading(ids[0], NOON, 3.0)]).unwrap();
    log.append(vec![reading(ids[0], NOON, 4.0), nan]).unwrap();
    log.append(vec![reading(ids[0], NOON, 5.0)]).unwrap();
    until_committed(&log, 2);
    let rows = log.reader().unwrap().outgoing(0, 9, 9).unwrap();
    assert_eq!(
        rows.iter().map(|row| row.value.clone()).collect::<Vec<_>>(),
        [Value::Float(3.0), Value::Float(5.0)]
    );
    until("the count", || folder.figure("rejected") == 2);
}

#[test]
fn the_clock_is_corrected_for_this_boot_only() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    let unsynced = |wall, since_boot| Reading {
        at: Moment { wall: Timestamp(wall), since_boot, clock: Clock::Unsynced },
        ..reading(ids[0], 0, 1.0)
    };
    log.append(vec![unsynced(100, 5)]).unwrap();
    log.close().unwrap();

    let next = Machine { boot_id: "boot-2".into(), ..machine() };
    let log = Log::open(&folder.config, &next, &folder.board).unwrap();
    // More than one lot.
    for row in 0..6_000 {
        log.append(vec![unsynced(200 + row, row)]).unwrap();
    }
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    until_committed(&log, 6_002);
    let mut reader = log.reader().unwrap();
    let before = reader.outgoing(0, 2, 9).unwrap();
    assert_eq!(before[0].since_boot, None, "of an earlier boot");
    assert_eq!((before[1].since_boot, before[1].clock), (Some(0), Clock::Unsynced));

    log.correct_clock(NOON).unwrap();
    let rows = reader.outgoing(0, 7_000, 7_000).unwrap();
    assert_eq!((rows[0].at, rows[0].clock), (Timestamp(100), Clock::Unsynced));
    for (row, since_boot) in rows[1..6_001].iter().zip(0..) {
        assert_eq!(
            (row.at, row.clock, row.since_boot),
            (Timestamp(NOON + since_boot), Clock::Corrected, None)
        );
    }
    assert_eq!((rows[6_001].at, rows[6_001].clock), (Timestamp(NOON), Clock::Synced));
    let words: Vec<(String, i64)> = reader
        .connection
        .prepare("SELECT clock, count(*) FROM readings GROUP BY clock ORDER BY clock")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(words, [("corrected".into(), 6_000), ("synced".into(), 1), ("unsynced".into(), 1)]);
}

fn message(topic: &str, payload: &[u8], id: Option<(&str, i64)>) -> NewMessage {
    NewMessage {
        topic: topic.into(),
        received: moment(NOON),
        qos: Qos::AtLeastOnce,
        retained: true,
        payload: payload.into(),
        id: id.map(|(epoch, row)| (epoch.into(), row)),
        fields: None,
        told: Vec::new(),
    }
}

#[test]
fn messages_are_kept_once_and_as_text_when_they_are() {
    let folder = Folder::new();
    let log = folder.open();
    let batch = MirrorBatch {
        mirror: "all".into(),
        messages: vec![
            message("a/b", "21.5 °C".as_bytes(), None),
            message("a/b", &[0xff, 0], None),
            message("a/b", b"nul\0inside", None),
            message("a/b", b"x", Some(("0badcafe", 7))),
            message("a/b", b"x", Some(("0badcafe", 7))),
            message("a/c", b"x", Some(("0badcafe", 7))),
            message("a/b", b"", None),
        ],
        held: vec![(5, -77), (6, 1)],
        subscribed: Some(vec![("a/#".into(), Qos::ExactlyOnce)]),
        ..Default::default()
    };
    assert_eq!(log.store(batch.clone()).unwrap().repeats, 1);
    assert_eq!(log.store(MirrorBatch { mirror: "other".into(), ..batch }).unwrap().repeats, 1);
    let again = MirrorBatch {
        mirror: "all".into(),
        messages: vec![message("a/c", b"x", Some(("0badcafe", 7)))],
        released: vec![5],
        held: vec![(9, 2)],
        intent: Some(Intent {
            file: "f".into(),
            from: 1,
            to: 3,
            sha256: "00".into(),
            packet_ids: vec![9, 6],
        }),
        ..Default::default()
    };
    assert_eq!(log.store(again.clone()).unwrap().repeats, 1);
    let reader = log.reader().unwrap();
    let types: Vec<(String, String, i64, i64)> = reader
        .connection
        .prepare(
            "SELECT topic, typeof(payload), qos, retained FROM messages WHERE mirror = 'all' ORDER BY id",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let kinds: Vec<(&str, &str)> = types.iter().map(|row| (row.0.as_str(), row.1.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("a/b", "text"),
            ("a/b", "blob"),
            ("a/b", "blob"),
            ("a/b", "text"),
            ("a/c", "text"),
            ("a/b", "text")
        ]
    );
    assert!(types.iter().all(|row| (row.2, row.3) == (1, 1)));

    let state = log.mirror_state("all").unwrap();
    assert_eq!(state.held, [(6, 1), (9, 2)]);
    assert_eq!(state.intent, again.intent);
    assert_eq!(state.subscribed, [("a/#".to_owned(), Qos::ExactlyOnce)]);
    assert_eq!(log.mirror_state("other").unwrap().held, [(5, -77), (6, 1)]);
    log.store(MirrorBatch { mirror: "all".into(), forget_all: true, ..Default::default() }).unwrap();
    assert_eq!(log.mirror_state("all").unwrap().held, []);
    assert_eq!((folder.figure("repeats"), folder.figure("messages")), (3, 12));
}

fn table(name: &str, columns: &[(&str, ColumnKind)]) -> Table {
    let columns = columns.iter().map(|(name, kind)| {
        ((*name).to_owned(), TableColumn { path: JsonPath(format!("/{name}")), kind: *kind })
    });
    Table { name: name.into(), columns: columns.collect() }
}

#[test]
fn a_table_of_readings_has_a_row_for_each_and_is_never_one_of_columns() {
    let folder = Folder::new();
    let log = folder.open();
    let told = |quantity: &str, value: Sql| Told {
        device: Some("shed".into()),
        sensor: None,
        quantity: quantity.into(),
        value,
        unit: Some("°C".into()),
        taken: Some(Timestamp(0)),
    };
    let store = |name: &str| {
        let told = vec![told("t", Sql::Real(21.4)), told("n", Sql::Null), told("s", Sql::Text("ON".into()))];
        let one = NewMessage { told, ..message("t", b"{}", Some(("uuid", 0))) };
        let readings = Some(name.to_owned());
        log.store(MirrorBatch {
            mirror: "m".into(),
            messages: vec![one.clone(), one],
            readings,
            ..Default::default()
        })
    };
    assert_eq!(store("plugs").unwrap().repeats, 1, "by its id");
    let columns =
        MirrorBatch { table: Some(table("rooms", &[("value", ColumnKind::Real)])), ..Default::default() };
    log.store(MirrorBatch { mirror: "m".into(), ..columns }).unwrap();
    assert!(matches!(store("Rooms"), Err(LogError::Refused(why)) if why.contains("holds columns")));
    assert!(matches!(store("reading"), Err(LogError::Refused(why)) if why.contains("choose another name")));
    let columns =
        MirrorBatch { table: Some(table("PLUGS", &[("value", ColumnKind::Real)])), ..Default::default() };
    let refused = log.store(MirrorBatch { mirror: "m".into(), ..columns });
    assert!(matches!(refused, Err(LogError::Refused(why)) if why.contains("holds readings")));
    log.close().unwrap();
    let connection = rusqlite::Connection::open(folder.path()).unwrap();
    let rows: String = connection
        .query_row(
            "SELECT group_concat(device || quantity || ifnull(value, '-') || typeof(value) || unit || taken, ' ') FROM plugs",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let taken = "°C1970-01-01T00:00:00.000000Z";
    assert_eq!(rows, format!("shedt21.4real{taken} shedn-null{taken} shedsONtext{taken}"));
    let mut plan = connection
        .prepare(
            "EXPLAIN QUERY PLAN SELECT value FROM plugs WHERE device = 'a' AND quantity = 't' AND time > 'x'",
        )
        .unwrap();
    let plan: String = plan.query_row([], |row| row.get(3)).unwrap();
    assert!(plan.contains("device=? AND quantity=? AND time>?"), "{plan}");
}

#[test]
fn a_table_of_typed_columns_is_made_widened_and_never_taken_from_others() {
    let folder = Folder::new();
    let log = folder.open();
    let store = |table: Table, fields: Vec<Sql>| {
        log.store(MirrorBatch {
            mirror: "m".into(),
            messages: vec![NewMessage { fields: Some(fields), ..message("t", b"{}", None) }],
            table: Some(table),
            ..Default::default()
        })
    };
    store(table("rooms", &[("value", ColumnKind::Real)]), vec![Sql::Real(1.5)]).unwrap();
    let wide = table("rooms", &[("unit", ColumnKind::Text), ("value", ColumnKind::Real)]);
    store(wide.clone(), vec![Sql::Text("°C".into()), Sql::Null]).unwrap();

    let retyped = table("rooms", &[("value", ColumnKind::Text)]);
    assert!(
        matches!(store(retyped, vec![Sql::Null]), Err(LogError::Refused(why)) if why.contains("REAL already"))
    );
    let other = table("Reading", &[("value", ColumnKind::Text)]);
    assert!(
        matches!(store(other, vec![Sql::Null]), Err(LogError::Refused(why)) if why.contains("choose another name"))
    );
    let own = table("fresh", &[("Topic", ColumnKind::Text)]);
    assert!(matches!(store(own, vec![Sql::Null]), Err(LogError::Refused(_))));
    assert!(matches!(store(wide.clone(), vec![Sql::Null]), Err(LogError::Refused(_))), "number of fields");
    store(wide, vec![Sql::Null, Sql::Integer(2)]).unwrap();

    let reader = log.reader().unwrap();
    type Row = (i64, String, String, Option<f64>, Option<String>);
    let rows: Vec<Row> = reader
        .connection
        .prepare("SELECT id, time, topic, value, unit FROM rooms ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let time = "2026-11-20T07:00:00.000000Z".to_owned();
    assert_eq!(
        rows,
        [
            (1, time.clone(), "t".into(), Some(1.5), None),
            (2, time.clone(), "t".into(), None, Some("°C".into())),
            (3, time, "t".into(), Some(2.0), None)
        ]
    );
    let messages: i64 =
        reader.connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(messages, 3, "a refused batch leaves nothing");
    let fresh: i64 = reader
        .connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'fresh'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(fresh, 0);
}

#[test]
fn lazy_progress_is_written_within_a_second_and_refusals_are_kept() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 1.5)]).unwrap();
    until_committed(&log, 1);
    let update =
        DeliveryUpdate { cursor: Some(1), refused: vec![(1, "not authorised".into())], ..Default::default() };
    let commits = folder.figure("commits");
    for _ in 0..1000 {
        log.save_delivery(update.clone(), Urgency::Due).unwrap();
    }
    log.save_delivery(update, Urgency::Due).unwrap().blocking_recv().unwrap();
    assert_eq!(log.delivery().unwrap().cursor, 1);
    until("the count", || folder.figure("commits") == commits + 1);
    let refused: (i64, String, String, f64) = log
        .reader()
        .unwrap()
        .connection
        .query_row("SELECT id, reason, topic, value FROM refused", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(refused, (1, "not authorised".into(), "castel/greenhouse-pi/air/a".into(), 1.5));
}

#[test]
fn the_commit_interval_gathers_what_comes() {
    let mut folder = Folder::new();
    folder.config.commit_interval = std::time::Duration::from_secs(3600);
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    let commits = folder.figure("commits");
    for turn in 0..50 {
        log.append(vec![reading(ids[0], NOON + turn, 1.0)]).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(*log.committed().borrow(), 0);
    // Urgent progress does not wait for the interval, and takes along what is there.
    log.save_delivery(DeliveryUpdate::default(), Urgency::Now).unwrap().blocking_recv().unwrap();
    until_committed(&log, 50);
    assert!(folder.figure("commits") <= commits + 1);
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    log.close().unwrap();
    assert_eq!(*log.committed().borrow(), 51, "closing commits what waits");
}

fn run(log: &Log, run: fn(&rusqlite::Connection)) {
    log.shared.inbox.ask(|reply| Job::Run(run, reply)).unwrap();
}

fn no_more_room(connection: &rusqlite::Connection) {
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

fn room_again(connection: &rusqlite::Connection) {
    connection.pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(())).unwrap();
}

/// `max_page_count` makes SQLite answer SQLITE_FULL, exactly as ENOSPC from write(2) does.
#[test]
fn a_full_disk_loses_nothing_that_was_taken_and_tells_what_was_not() {
    let folder = Folder::new();
    let log = folder.open();
    let gap = Channel { kind: ValueKind::Integer, ..channel("lost") };
    let ids = log.register(&[channel("a"), channel("b"), gap]).unwrap();
    log.set_gap_channel(ids[2]);
    run(&log, no_more_room);
    let (mut taken, mut refused) = (0, 0);
    while refused < 3 {
        let sample = vec![reading(ids[0], NOON + taken, 1.0), reading(ids[1], NOON + taken, 2.0)];
        match log.append(sample) {
            Ok(()) => taken += 2,
            Err(Busy) => {
                log.record_loss(2);
                refused += 1;
            }
        }
        if taken == 2_000 {
            // Some are on disk already: the file had room in its last pages.
            until(
                "failure",
                || matches!(folder.board.part("log").state().0, State::Failed(why) if why.contains("disk full")),
            );
        }
    }
    // Those who wait for an answer get one; progress is kept with the readings.
    let new = log.register(&[channel("new")]);
    assert!(matches!(new, Err(LogError::Disk(_))), "{new:?}");
    let storing = {
        let log = log.clone();
        let messages = vec![message("t", b"x", None)];
        let batch = MirrorBatch { mirror: "m".into(), messages, ..Default::default() };
        std::thread::spawn(move || log.store(batch))
    };
    let progress =
        log.save_delivery(DeliveryUpdate { cursor: Some(5), ..Default::default() }, Urgency::Now).unwrap();
    assert_eq!(folder.figure("queue"), inbox::MAX_READINGS as i64);

    run(&log, room_again);
    progress.blocking_recv().unwrap();
    until_committed(&log, taken + 1);
    assert_eq!(log.delivery().unwrap().cursor, 5);
    storing.join().unwrap().unwrap();
    assert_eq!(folder.figure("messages"), 1);
    let rows = log.reader().unwrap().outgoing(0, i64::MAX, usize::MAX).unwrap();
    assert!(
        rows.iter().zip(1..).all(|(row, number)| row.row == number),
        "no number is skipped or used twice"
    );
    let (told, readings): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.channel.quantity.as_str() == "lost");
    assert_eq!(readings.len() as i64, taken, "each once");
    assert!(
        readings.iter().zip(0..).all(|(row, place)| row.at == Timestamp(NOON + place / 2 * 2)),
        "in order"
    );
    assert_eq!(told.iter().map(|row| row.value.clone()).collect::<Vec<_>>(), [Value::Integer(6)]);
    let record: (String, i64) = log
        .reader()
        .unwrap()
        .connection
        .query_row("SELECT reason, lost FROM gaps", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(record, ("busy".into(), 6));
    assert_eq!(folder.board.part("log").state().0, State::Ok);
    assert_eq!(folder.figure("lost"), 6);
}

#[test]
fn closing_on_a_full_disk_says_what_is_lost_and_ends() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    run(&log, no_more_room);
    for turn in 0..2_000 {
        log.append(vec![reading(ids[0], NOON + turn, 1.0)]).unwrap();
    }
    assert!(matches!(log.close(), Err(LogError::Disk(_))));
    drop(log);
    folder.open();
}

#[test]
fn one_writer_at_a_time() {
    let folder = Folder::new();
    let log = folder.open();
    let second = Log::open(&folder.config, &machine(), &folder.board);
    assert!(matches!(second, Err(LogError::Locked { .. })), "{second:?}");
    log.close().unwrap();
    folder.open();
}

/// SQLite's POSIX locks belong to the process: opening and closing the file beside it would drop them.
#[test]
fn readers_leave_the_locks_of_the_writer_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = Folder::new();
    let log = folder.open();
    let inode = format!(":{} ", std::fs::metadata(folder.path()).unwrap().ino());
    let locked = || std::fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains(&inode));
    assert!(locked());
    drop(log.reader().unwrap());
    drop(Reader::open(&folder.path()).unwrap());
    log.delivery().unwrap();
    log.mirror_state("m").unwrap();
    // A backup reads the log as well.
    backup::to(&folder.path(), &folder.folder.path().join("copy.db"), false, |_, _| {}).unwrap();
    assert!(locked());
}

/// What cannot be opened is said clearly and not touched.
#[test]
fn files_that_are_not_ours_are_left_as_they_are() {
    let folder = Folder::new();
    let open = || Log::open(&folder.config, &machine(), &folder.board);
    let refused = |setup: &str| -> String {
        std::fs::remove_file(folder.path()).ok();
        rusqlite::Connection::open(folder.path()).unwrap().execute_batch(setup).unwrap();
        let before = std::fs::read(folder.path()).unwrap();
        let error = open().unwrap_err().to_string();
        assert_eq!(std::fs::read(folder.path()).unwrap(), before);
        assert!(Reader::open(&folder.path()).is_err());
        error
    };
    assert!(
        refused("CREATE TABLE theirs (x); PRAGMA application_id = 7").contains("not one of sensor-bridge")
    );
    assert!(
        refused("PRAGMA application_id = 1396862055; PRAGMA user_version = 99")
            .contains("newer sensor-bridge (schema 99")
    );

    std::fs::remove_file(folder.path()).unwrap();
    let mut older = rusqlite::Connection::open(folder.path()).unwrap();
    super::schema::migrate(&mut older, 0, &super::schema::STEPS[..2]).unwrap();
    drop(older);
    let error = Reader::open(&folder.path()).unwrap_err().to_string();
    assert!(error.contains("earlier sensor-bridge (schema 2"), "{error}");
    open().unwrap().close().unwrap();
    Reader::open(&folder.path()).unwrap();

    let mut config = folder.config.clone();
    config.path = folder.folder.path().join("nowhere/bridge.db");
    let error = Log::open(&config, &machine(), &folder.board).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    config.path = folder.folder.path().to_owned();
    let error = Log::open(&config, &machine(), &folder.board).unwrap_err().to_string();
    assert!(error.contains("is a folder"), "{error}");
    let missing = Reader::open(&folder.folder.path().join("none.db"));
    assert!(matches!(missing, Err(LogError::Missing { .. })));
}

#[test]
fn a_damaged_file_is_set_aside_by_the_daemon_and_refused_to_readers() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    log.close().unwrap();
    let mut bytes = std::fs::read(folder.path()).unwrap();
    bytes[100..200].fill(0xaa);
    std::fs::write(folder.path(), &bytes).unwrap();
    assert!(matches!(Reader::open(&folder.path()), Err(LogError::Corrupt { .. })));

    let log = folder.open();
    let aside = folder.folder.path().join("bridge.db.corrupt-20261120T070000Z");
    assert_eq!(std::fs::read(&aside).unwrap(), bytes);
    let State::Degraded(why) = folder.board.part("log").state().0 else { panic!("not told") };
    assert!(why.contains("corrupt-20261120T070000Z"), "{why}");
    log.register(&[channel("a")]).unwrap();
    log.close().unwrap();
    // Not a database at all; and the name of the first is taken.
    std::fs::write(folder.path(), "hello").unwrap();
    folder.open();
    assert_eq!(
        std::fs::read(folder.folder.path().join("bridge.db.corrupt-20261120T070000Z-001")).unwrap(),
        b"hello"
    );
    assert_eq!(std::fs::read(&aside).unwrap(), bytes);
}

#[test]
fn rows_are_small_also_while_the_clock_is_not_synchronised() {
    for clock in [Clock::Synced, Clock::Unsynced] {
        let bytes = bytes_per_reading(clock);
        println!("{bytes:.1} bytes of database per reading, index and all");
        assert!(bytes <= 55.0, "{bytes} {clock:?}");
    }
}

fn bytes_per_reading(clock: Clock) -> f64 {
    let folder = Folder::new();
    let log = folder.open();
    let channels: Vec<Channel> = (0..100).map(|place| channel(&format!("q{place}"))).collect();
    let ids = log.register(&channels).unwrap();
    let rounds = 300;
    for round in 0..rounds {
        for (place, id) in ids.iter().enumerate() {
            let value = (round * 37 + place as i64) as f64 / 7.0;
            let mut reading = reading(*id, NOON + round * 100_000 + place as i64, value);
            reading.at.clock = clock;
            log.append(vec![reading]).unwrap();
        }
    }
    until_committed(&log, rounds * 100);
    log.close().unwrap();
    std::fs::metadata(folder.path()).unwrap().len() as f64 / (rounds * 100) as f64
}
