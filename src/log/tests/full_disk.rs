//! A disk without room: nothing that was taken is lost, and what was not taken is told.

use super::*;

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
