//! Readings come back as they went in: whole samples, in order, with times that are put right; and rows are small.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

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
