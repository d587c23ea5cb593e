//! The clock is set while it runs: what was taken before is put right.

use super::super::*;
use crate::log::query::Selection;
use crate::reading::{Clock, Reading, Timestamp, Value};

fn moment(wall: i64, since_boot: i64, clock: Clock) -> Moment {
    Moment { wall: Timestamp(wall), since_boot, clock }
}

#[test]
fn whatever_was_taken_before_the_clock_was_right_is_put_right_whenever_it_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "device: {{ id: pi }}\nlog: {{ path: {}/bridge.db }}\nsensors: [{{ id: wave, driver: sim, scenario: sine }}]",
        folder.path().display()
    );
    let config = crate::config::parse(&text, std::iter::empty()).unwrap();
    let machine =
        Machine { boot_id: "boot-1".to_owned(), now: || moment(9_000_000, 5_000_000, Clock::Synced) };
    let open = || Log::open(&config.log, &machine, &Board::new()).unwrap();
    let log = open();
    let channel = log.register(&[config.sensors[0].quantities[0].channel.clone()]).unwrap()[0];
    let logged = |log: &Log, at| {
        log.append(vec![Reading { channel, at, value: Value::Float(1.5) }]).unwrap();
        log.flush().unwrap();
    };
    let times = |log: &Log| -> Vec<(i64, Clock)> {
        let (rows, _) = log.reader().unwrap().after(&Selection::default(), 0, 99).unwrap();
        rows.iter().map(|row| (row.at.0, row.clock)).collect()
    };
    let right = moment(9_000_000, 5_000_000, Clock::Synced);
    let mut watch = SyncWatch::new();
    logged(&log, moment(100, 1_000_000, Clock::Unsynced));
    put_right(&mut watch, &log, right).unwrap();
    // Taken before it as well, and held back until now.
    logged(&log, moment(200, 2_000_000, Clock::Unsynced));
    put_right(&mut watch, &log, right).unwrap();
    let corrected = [(5_000_000, Clock::Corrected), (6_000_000, Clock::Corrected)];
    assert_eq!(times(&log), corrected);
    assert!(!log.has_unsynced());

    // What the log cannot do now it is asked for again.
    let mut watch = SyncWatch::new();
    logged(&log, moment(300, 3_000_000, Clock::Unsynced));
    log.close().unwrap();
    assert!(put_right(&mut watch, &log, right).is_err());
    drop(log);
    let log = open();
    put_right(&mut watch, &log, right).unwrap();
    assert_eq!(times(&log)[2..], [(7_000_000, Clock::Corrected)]);
}
