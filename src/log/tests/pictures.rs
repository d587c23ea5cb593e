//! Pictures through the real writer: stored, fetched, kept within their own limits.

use super::retention::{DAY, ids_left};
use super::*;
use crate::config::{ImageRetention, Retention};
use crate::reading::picture::tests::image;
use std::time::Duration;

fn camera() -> Channel {
    Channel { kind: ValueKind::Image, unit: "B".into(), ..channel("image") }
}

fn shot(channel: ChannelId, time: i64, bytes: usize) -> Vec<Reading> {
    let value = Value::Image(image(time as u8, bytes).into());
    vec![Reading { channel, at: moment(time), value }]
}

fn limited(images: ImageRetention) -> Folder {
    let mut folder = Folder::new();
    folder.config.retention = Retention { images, ..Retention::default() };
    folder
}

#[test]
fn a_picture_comes_back_as_it_went_in_and_rows_come_without_it() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[camera(), channel("a")]).unwrap();
    log.append(shot(ids[0], NOON, 700_000)).unwrap();
    log.append(vec![reading(ids[1], NOON + 1, 1.5)]).unwrap();
    until_committed(&log, 2);
    let mut reader = log.reader().unwrap();
    let rows = reader.outgoing(0, 2, 10).unwrap();
    assert_eq!((&rows[0].value, rows[0].channel.kind), (&Value::Integer(700_000), ValueKind::Image));
    let expected = crate::reading::Image { thumbnail: None, ..image(NOON as u8, 700_000) };
    assert!(reader.image(1).unwrap() == Some(expected.clone()), "the picture is another");
    assert!(reader.image(2).unwrap().is_none());
    // For people and tools.
    let lines = reader.newest(&Default::default(), 9).unwrap();
    assert_eq!((&lines[0].value, &*lines[0].channel.unit), (&Value::Integer(700_000), "B"));
    let digest = expected.sha256;
    let row: (i64, String, i64, i64, i64, String) = reader
        .connection
        .query_row("SELECT id, content_type, width, height, size, sha256 FROM images", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .unwrap();
    assert_eq!(row, (1, "image/jpeg".into(), 1280, 720, 700_000, digest.to_string()));
    drop(reader);
    // It is in the backup, too.
    let copy = folder.folder.path().join("copy.db");
    backup::to(&folder.path(), &copy, false, |_, _| {}).unwrap();
    assert!(Reader::open(&copy).unwrap().image(1).unwrap() == Some(expected));
}

#[test]
fn old_pictures_go_once_they_are_delivered_and_their_readings_stay() {
    let age = Some(Duration::from_secs(10 * 24 * 3600));
    let folder = limited(ImageRetention { max_age: age, max_size: None });
    let log = folder.open();
    let ids = log.register(&[camera(), silent("a"), channel("b")]).unwrap();
    log.register(&[Channel { publish: None, ..camera() }]).unwrap();
    for days in [30, 29, 28, 5] {
        log.append(shot(ids[0], NOON - days * DAY, 1000)).unwrap();
    }
    log.append(vec![reading(ids[1], NOON - 30 * DAY, 1.0), reading(ids[2], NOON - 30 * DAY, 1.0)]).unwrap();
    // One that is only logged, one that is young enough for the clock to be believed.
    log.append(shot(ChannelId(4), NOON - 30 * DAY, 1000)).unwrap();
    log.append(shot(ids[0], NOON, 1000)).unwrap();
    until_committed(&log, 8);
    // 2 follows late; 8 waits.
    let late = Some(vec![RowRange { next: 2, end: 2 }]);
    let update = DeliveryUpdate { cursor: Some(6), late, ..Default::default() };
    log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
    log.close().unwrap();
    let log = folder.open();
    until("retention", || ids_left(&log, "SELECT row FROM image ORDER BY row") == [2, 4, 8]);
    assert_eq!(ids_left(&log, "SELECT count(*) FROM reading"), [8]);
    assert_eq!(folder.figure("lost"), 0);
}

#[test]
fn pictures_stay_within_their_size_and_readings_are_untouched() {
    let limit = 2_000_000;
    let folder = limited(ImageRetention { max_age: None, max_size: Some(limit) });
    let log = folder.open();
    let ids = log.register(&[camera(), channel("a")]).unwrap();
    let total = 60;
    for turn in 0..total {
        log.append(shot(ids[0], NOON + turn, 100_000)).unwrap();
        log.append(vec![reading(ids[1], NOON + turn, 1.0)]).unwrap();
        until_committed(&log, (turn + 1) * 2);
        let update = DeliveryUpdate { cursor: Some((turn + 1) * 2), ..Default::default() };
        log.save_delivery(update, Urgency::Due).unwrap();
    }
    let bytes = |log: &Log| ids_left(log, "SELECT sum(size) FROM images")[0] as u64;
    until("the size", || bytes(&log) <= limit);
    assert!(bytes(&log) > limit * 3 / 4, "{}: no more than needed goes", bytes(&log));
    let left = ids_left(&log, "SELECT row FROM image ORDER BY row");
    assert_eq!(left.last(), Some(&(2 * total - 1)), "the newest stays");
    assert!(left.windows(2).all(|pair| pair[1] == pair[0] + 2), "the oldest went: {left:?}");
    assert_eq!(ids_left(&log, "SELECT count(*) FROM reading"), [2 * total]);
    assert_eq!((folder.figure("lost"), ids_left(&log, "SELECT count(*) FROM gap")), (0, vec![0]));
    // Free pages go back.
    until("the file", || std::fs::metadata(folder.path()).unwrap().len() < 3 * limit);
}

#[test]
fn undelivered_pictures_go_last_with_their_readings_and_are_told_of() {
    let limit = 1_000_000;
    let folder = limited(ImageRetention { max_age: None, max_size: Some(limit) });
    let log = folder.open();
    let gap = Channel { kind: ValueKind::Integer, ..channel("lost") };
    let ids = log.register(&[camera(), Channel { publish: None, ..camera() }, gap, channel("a")]).unwrap();
    log.set_gap_channel(ids[2]);
    let in_flight = vec![InFlight { row: 1, packet_id: 1, stage: Stage::Sent }];
    log.save_delivery(DeliveryUpdate { in_flight, ..Default::default() }, Urgency::Now).unwrap();
    log.append(shot(ids[0], NOON, 100_000)).unwrap();
    log.append(vec![reading(ids[3], NOON, 1.0)]).unwrap();
    for turn in 0..20 {
        log.append(shot(ids[usize::from(turn % 2 == 0)], NOON + turn, 100_000)).unwrap();
    }
    until_committed(&log, 22);
    until("the size", || ids_left(&log, "SELECT sum(size) FROM images")[0] as u64 <= limit);
    log.flush().unwrap();
    // Nobody waits for the ten of channel 2: they go first. In flight and newest stay whatever happens.
    assert_eq!(ids_left(&log, "SELECT count(*) FROM image JOIN reading ON id = row WHERE channel = 2"), [0]);
    assert_eq!(ids_left(&log, "SELECT count(*) FROM image WHERE row = 1"), [1]);
    let lost = folder.figure("lost");
    assert!((1..=3).contains(&lost), "{lost}");
    assert_eq!(ids_left(&log, "SELECT count(*) FROM reading WHERE channel = 1"), [11 - lost]);
    assert_eq!(ids_left(&log, "SELECT count(*) FROM reading WHERE channel IN (2, 4)"), [11]);
    assert_eq!(ids_left(&log, "SELECT sum(lost) FROM gaps WHERE reason = 'retention'"), [lost]);
    until("the gap record", || ids_left(&log, "SELECT sum(value) FROM reading WHERE channel = 3") == [lost]);
}

#[test]
fn one_picture_larger_than_the_limit_is_kept_and_nothing_spins() {
    let folder = limited(ImageRetention { max_age: None, max_size: Some(1_000_000) });
    let log = folder.open();
    let ids = log.register(&[camera()]).unwrap();
    for turn in 0..3 {
        log.append(shot(ids[0], NOON + turn, 2_000_000)).unwrap();
        log.save_delivery(DeliveryUpdate { cursor: Some(turn + 1), ..Default::default() }, Urgency::Now)
            .unwrap();
    }
    until("the size", || ids_left(&log, "SELECT row FROM image") == [3]);
    // Counted just after it is done.
    until("it is counted", || folder.figure("deleted") == 2);
    assert_eq!(folder.figure("lost"), 0);
    log.flush().unwrap();
    assert_eq!(ids_left(&log, "SELECT count(*) FROM reading"), [3]);
}

#[test]
fn the_size_of_the_log_counts_pictures_and_readings_take_theirs_along() {
    let limit = 4_000_000;
    let mut folder = Folder::new();
    folder.config.retention = Retention { max_size: Some(limit), ..Retention::default() };
    let log = folder.open();
    let ids = log.register(&[Channel { publish: None, ..camera() }]).unwrap();
    for turn in 0..60 {
        log.append(shot(ids[0], NOON + turn, 200_000)).unwrap();
        until_committed(&log, turn + 1);
    }
    let size = || std::fs::metadata(folder.path()).unwrap().len();
    until("the size", || size() <= limit + limit / 10);
    until("the rows", || ids_left(&log, "SELECT count(*) FROM image")[0] <= 20);
    let (pictures, readings) =
        (ids_left(&log, "SELECT count(*) FROM image"), ids_left(&log, "SELECT count(*) FROM reading"));
    assert_eq!(pictures, readings);
    assert!(pictures[0] >= 8, "{pictures:?}");
}
