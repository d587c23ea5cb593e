//! When things are durable: what was committed survives a crash, and no number is given out twice.

use super::*;

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
