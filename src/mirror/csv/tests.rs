//! What only files can suffer: torn lines, moved files, crashes between two steps.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::config::JsonPath;
use crate::log::MirrorState;
use crate::mirror::Incoming;
use crate::mirror::fake::{Memory, message};
use crate::reading::Qos;

const COLUMNS: [CsvColumn; 3] = [CsvColumn::Topic, CsvColumn::Id, CsvColumn::Payload];

struct Place {
    folder: tempfile::TempDir,
    ledger: Memory,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), ledger: Memory::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sink(&self, name: &str, columns: &[CsvColumn], max_size: Option<u64>) -> Csv {
        let path = self.path(name).display().to_string();
        let mut sink = Csv::new("m", &path, columns, max_size, Box::new(self.ledger.clone()));
        sink.open().unwrap();
        sink
    }

    fn rows(&self, name: &str) -> Vec<String> {
        rows(&self.path(name))
    }
}

fn rows(path: &Path) -> Vec<String> {
    read_back(path, 0, 2).into_iter().map(|(topic, _)| topic).collect()
}

fn batch(messages: impl IntoIterator<Item = Incoming>) -> Batch {
    Batch { messages: messages.into_iter().collect(), ..Batch::default() }
}

fn qos1(topic: &str) -> Incoming {
    message(topic, b"two\n\"lines\"", Qos::AtLeastOnce)
}

fn qos2(id: u16, topic: &str) -> Incoming {
    Incoming { packet_id: id, ..message(topic, b"two\n\"lines\"", Qos::ExactlyOnce) }
}

#[test]
fn a_torn_line_is_cut_off_wherever_it_is_torn() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    sink.store(&batch([qos1("a")])).unwrap();
    let whole = fs::metadata(place.path("x.csv")).unwrap().len();
    sink.store(&batch([qos1("b")])).unwrap();
    drop(sink);
    let bytes = fs::read(place.path("x.csv")).unwrap();
    for torn in 0..bytes.len() {
        // With and without a length noted in the log.
        for ledger in [place.ledger.after_a_crash(), Memory::default()] {
            let again = Place { folder: tempfile::tempdir().unwrap(), ledger };
            fs::write(again.path("x.csv"), &bytes[..torn]).unwrap();
            again.sink("x.csv", &COLUMNS, None).store(&batch([qos1("c")])).unwrap();
            let expected: &[&str] = if torn as u64 >= whole { &["a", "c"] } else { &["c"] };
            assert_eq!(again.rows("x.csv"), expected, "torn after {torn} bytes");
        }
    }
}

#[test]
fn a_page_that_was_never_written_is_cut_off() {
    let place = Place::new();
    place.sink("x.csv", &COLUMNS, None).store(&batch([qos1("a")])).unwrap();
    let mut bytes = fs::read(place.path("x.csv")).unwrap();
    bytes.extend([0; 4096]);
    bytes.extend(b"tail of a line,,x\r\n");
    fs::write(place.path("x.csv"), bytes).unwrap();
    place.sink("x.csv", &COLUMNS, None).store(&batch([qos1("b")])).unwrap();
    assert_eq!(place.rows("x.csv"), ["a", "b"]);
}

/// Every position at which a QoS 2 batch can be interrupted: before the intent, after it, and after each
/// byte of the append. Whatever it is, sending again what was not acknowledged ends in one line each.
#[test]
fn qos_2_is_exactly_once_wherever_it_is_interrupted() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    let earlier = qos2(7, "earlier");
    sink.store(&batch([earlier.clone()])).unwrap();
    let before = place.ledger.after_a_crash();
    let from = fs::read(place.path("x.csv")).unwrap().len();
    let messages = [qos2(1, "a"), message("b", b"x", Qos::AtLeastOnce), qos2(2, "c")];
    sink.store(&batch(messages.clone())).unwrap();
    drop(sink);
    let bytes = fs::read(place.path("x.csv")).unwrap();

    let interrupted = (from..=bytes.len()).map(|end| (place.ledger.after_a_crash(), end));
    for (ledger, end) in [(before, from)].into_iter().chain(interrupted) {
        let again = Place { folder: tempfile::tempdir().unwrap(), ledger };
        let path = again.path("x.csv");
        fs::write(&path, &bytes[..end]).unwrap();
        // The intent names the file by its path, which is another here.
        if let Some(intent) = &mut again.ledger.0.lock().unwrap().state.intent {
            intent.file = path.display().to_string();
        }
        for restart in 0..2 {
            let mut sink = again.sink("x.csv", &COLUMNS, None);
            let session = sink.open().unwrap();
            let held = |message: &Incoming| session.held.contains(&(message.packet_id, message.hash));
            assert!(held(&earlier), "interrupted at {end}");
            // The broker sends again; what is held is not stored again.
            let new = messages.iter().filter(|message| message.qos == Qos::ExactlyOnce && !held(message));
            sink.store(&batch(new.cloned())).unwrap();
            // Later appends must not make the settled intent look torn at the next start.
            sink.store(&batch([qos1("later")])).unwrap();
            let rows = again.rows("x.csv");
            for topic in ["earlier", "a", "c"] {
                let count = rows.iter().filter(|row| *row == topic).count();
                assert_eq!(count, 1, "{topic}, interrupted at {end}, restart {restart}: {rows:?}");
            }
            assert_eq!(rows.iter().filter(|row| *row == "later").count(), restart + 1);
        }
    }
}

#[test]
fn the_log_failing_before_the_intent_leaves_the_file_alone() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    sink.store(&batch([qos1("a")])).unwrap();
    place.ledger.0.lock().unwrap().works = Some(0);
    let again = batch([qos2(1, "b")]);
    sink.store(&again).unwrap_err();
    assert_eq!(place.rows("x.csv"), ["a"]);
    place.ledger.0.lock().unwrap().works = None;
    sink.store(&again).unwrap();
    assert_eq!(place.rows("x.csv"), ["a", "b"]);
}

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    sink.store(&batch([qos1("a")])).unwrap();
    let expected = fs::read(place.path("x.csv")).unwrap();
    let again = batch([qos1("b"), qos2(1, "c")]);
    for written in [0, 1, 10, 20] {
        sink.append = Box::new(move |file, bytes| {
            use std::io::Write;
            file.write_all(&bytes[..written])?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        let error = sink.store(&again).unwrap_err().to_string();
        assert!(error.contains("x.csv: cannot append") && error.contains("free some space"), "{error}");
        assert_eq!(fs::read(place.path("x.csv")).unwrap(), expected, "cut back after {written} bytes");
    }
    sink.append = file::append();
    sink.store(&again).unwrap();
    assert_eq!(place.rows("x.csv"), ["a", "b", "c"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_passes() {
    let place = Place::new();
    fs::write(place.path("data"), "in the way").unwrap();
    let path = place.path("data/x.csv").display().to_string();
    let mut sink = Csv::new("m", &path, &COLUMNS, None, Box::new(place.ledger.clone()));
    let error = sink.open().unwrap_err().to_string();
    assert!(error.contains("data"), "{error}");
    fs::remove_file(place.path("data")).unwrap();
    sink.open().unwrap();
    sink.store(&batch([qos1("a")])).unwrap();
    assert_eq!(place.rows("data/x.csv"), ["a"]);
}

#[test]
fn a_full_file_is_followed_by_a_numbered_one() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, Some(100));
    sink.store(&batch((0..12).map(|row| qos1(&row.to_string())))).unwrap();
    drop(sink);
    let mut sink = place.sink("x.csv", &COLUMNS, Some(100));
    sink.store(&batch((12..20).map(|row| qos2(row, &row.to_string())))).unwrap();
    let mut all = Vec::new();
    for number in 0..=name::highest(&place.path("x.csv")).unwrap().unwrap() {
        let path = name::numbered(&place.path("x.csv"), number);
        let size = fs::metadata(&path).unwrap().len();
        assert!(size < 140, "{} is {size} bytes", path.display());
        assert!(fs::read_to_string(&path).unwrap().starts_with("topic,id,payload\r\n"));
        all.extend(rows(&path));
    }
    assert_eq!(all, (0..20).map(|row: usize| row.to_string()).collect::<Vec<_>>());
}

#[test]
fn each_day_of_receipt_has_its_file() {
    let place = Place::new();
    let mut sink = place.sink("{date}.csv", &COLUMNS, None);
    let at = |topic: &str, seconds: i64| {
        let mut message = qos1(topic);
        message.received.wall.0 = seconds * 1_000_000;
        message
    };
    // Also when the clock is put back.
    sink.store(&batch([at("a", 0), at("b", 86_399), at("c", 86_400), at("d", 86_000)])).unwrap();
    assert_eq!(place.rows("1970-01-01.csv"), ["a", "b", "d"]);
    assert_eq!(place.rows("1970-01-02.csv"), ["c"]);
}

#[test]
fn files_with_other_columns_are_not_mixed() {
    let place = Place::new();
    place.sink("x.csv", &COLUMNS, None).store(&batch([qos1("a")])).unwrap();
    let field = CsvColumn::Field { name: "value".into(), path: JsonPath("/value".into()) };
    let columns = [COLUMNS.as_slice(), &[field]].concat();
    place.sink("x.csv", &columns, None).store(&batch([qos1("b")])).unwrap();
    place.sink("x.csv", &columns, None).store(&batch([qos1("c")])).unwrap();
    assert_eq!(place.rows("x.csv"), ["a"]);
    assert_eq!(place.rows("x.1.csv"), ["b", "c"]);
}

#[test]
fn a_file_that_is_moved_emptied_or_edited_does_no_harm() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    sink.store(&batch([qos1("a")])).unwrap();
    fs::rename(place.path("x.csv"), place.path("moved.csv")).unwrap();
    sink.store(&batch([qos1("b")])).unwrap();
    assert_eq!(place.rows("moved.csv"), ["a"]);
    assert_eq!(place.rows("x.csv"), ["b"]);
    fs::write(place.path("x.csv"), "").unwrap();
    sink.store(&batch([qos1("c")])).unwrap();
    assert_eq!(place.rows("x.csv"), ["c"]);
    let mut edited = fs::read(place.path("x.csv")).unwrap();
    edited.extend(b"by hand,,x\r\nunfinished");
    fs::write(place.path("x.csv"), edited).unwrap();
    sink.store(&batch([qos2(1, "d")])).unwrap();
    assert_eq!(place.rows("x.csv"), ["c", "by hand", "d"]);
}

#[test]
fn two_writers_of_one_file_are_told_apart() {
    let place = Place::new();
    let mut one = place.sink("x.csv", &COLUMNS, Some(1000));
    one.store(&batch([qos1("a")])).unwrap();
    let other = Place { folder: tempfile::tempdir().unwrap(), ledger: Memory::default() };
    let path = place.path("x.csv").display().to_string();
    let mut two = Csv::new("n", &path, &COLUMNS, None, Box::new(other.ledger.clone()));
    let error = two.open().unwrap_err();
    assert!(matches!(&error, SinkError::InUse(file) if *file == place.path("x.csv")), "{error}");
    drop(one);
    two.open().unwrap();
}

#[test]
fn a_mark_survives_a_file_that_is_gone() {
    let place = Place::new();
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    sink.store(&batch([qos2(1, "a")])).unwrap();
    sink.close();
    fs::remove_file(place.path("x.csv")).unwrap();
    let session = Csv::open(&mut place.sink("x.csv", &COLUMNS, None)).unwrap();
    assert_eq!(session.held.len(), 1, "it was stored, and then somebody removed the file");
}

#[test]
fn repeats_are_known_from_a_long_file() {
    let place = Place::new();
    let own = |row: usize| {
        let payload = format!("{{\"id\":\"3f9c2a1b-{row}\",\"text\":\"a\n{}\"}}", "x\"y\n".repeat(1000));
        message("t", payload.as_bytes(), Qos::AtLeastOnce)
    };
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    for piece in 0..20 {
        sink.store(&batch((1..=100).map(|row| own(piece * 100 + row)))).unwrap();
    }
    drop(sink);
    assert!(fs::metadata(place.path("x.csv")).unwrap().len() > 8 << 20);
    let mut sink = place.sink("x.csv", &COLUMNS, None);
    assert_eq!(sink.store(&batch([own(2000), own(1990), own(1900), own(2001)])).unwrap().repeats, 3);
}

/// The last message of the file before may be the one whose acknowledgement did not arrive.
#[test]
fn repeats_are_known_from_the_files_before_the_newest() {
    let own = |row: i64, wall: i64| {
        let payload = format!(r#"{{"id":"3f9c2a1b-{row}"}}"#);
        let mut own = message("own", payload.as_bytes(), Qos::AtLeastOnce);
        own.received.wall.0 = wall;
        own
    };
    let now = clock::now().wall.0;
    let repeats = |sink: &mut Csv, row, wall| sink.store(&batch([own(row, wall)])).unwrap().repeats;

    // Each message fills its file.
    let place = Place::new();
    let sink = || place.sink("x.csv", &COLUMNS, Some(20));
    let mut before = sink();
    assert_eq!([1, 2, 3].map(|row| repeats(&mut before, row, now)), [0; 3]);
    assert_eq!(place.rows("x.2.csv").len(), 1);
    drop(before);
    let mut after = sink();
    assert_eq!([3, 1, 2, 4].map(|row| repeats(&mut after, row, now)), [1, 1, 1, 0]);

    // Yesterday's, shortly after midnight.
    let place = Place::new();
    let sink = || place.sink("{date}.csv", &COLUMNS, None);
    assert_eq!(repeats(&mut sink(), 1, now - 86_400_000_000), 0);
    assert_eq!(repeats(&mut sink(), 1, now), 1);

    // Whose columns were others: nobody knows what was where.
    let place = Place::new();
    place.sink("x.csv", &[CsvColumn::Id, CsvColumn::Topic], None).store(&batch([own(1, now)])).unwrap();
    assert_eq!(repeats(&mut place.sink("x.csv", &COLUMNS, None), 1, now), 0);
}

#[test]
fn an_intent_of_nobody_is_no_trouble() {
    let place = Place::new();
    let state = MirrorState { held: vec![(1, 2)], ..MirrorState::default() };
    place.ledger.0.lock().unwrap().state = state;
    assert_eq!(recover("m", &place.ledger).unwrap().held, [(1, 2)]);
}

/// A message that is several records may be in the file in part; it is never known for a repeat by that part.
#[test]
fn the_last_message_of_several_records_is_taken_again() {
    use super::super::shape::Shape;
    use crate::config::{Payload, PayloadKind, ToldColumn};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv");
    let columns = [
        CsvColumn::Topic,
        CsvColumn::Told(ToldColumn::Quantity),
        CsvColumn::Told(ToldColumn::Value),
        CsvColumn::Id,
        CsvColumn::Told(ToldColumn::Unread),
    ];
    let ledger = Memory::default();
    let sink = || {
        let payload = Payload { kind: PayloadKind::ChirpStack, zone: None };
        let path = file.display().to_string();
        let sink =
            Csv::new("m", &path, &columns, None, Box::new(ledger.clone())).shaped(Some(Shape::new(&payload)));
        let mut sink: Box<dyn Sink> = Box::new(sink);
        sink.open().unwrap();
        sink
    };
    let uplink = |id: &str| {
        let body = format!(
            r#"{{"deduplicationId":"{id}","deviceInfo":{{"devEui":"01"}},"object":{{"a":1,"b":2.5,"c":"x"}}}}"#
        );
        message("up", body.as_bytes(), Qos::AtLeastOnce)
    };
    let give = |sink: &mut Box<dyn Sink>, id: &str| {
        sink.store(&Batch { messages: vec![uplink(id)], ..Batch::default() }).unwrap().repeats
    };
    let mut first = sink();
    assert_eq!((give(&mut first, "aa"), give(&mut first, "aa"), give(&mut first, "bb")), (0, 1, 0));
    drop(first);
    // A power cut between the second and the third reading of the last message.
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("topic,quantity,value,id,payload\r\nup,a,1,aa,\r\nup,b,2.5,aa,\r\nup,c,x,aa,\r\n"),
        "{text}"
    );
    std::fs::write(&file, text.strip_suffix("up,c,x,bb,\r\n").unwrap()).unwrap();
    let mut second = sink();
    assert_eq!((give(&mut second, "aa"), give(&mut second, "bb")), (1, 0));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with("up,b,2.5,bb,\r\nup,a,1,bb,\r\nup,b,2.5,bb,\r\nup,c,x,bb,\r\n"), "{text}");
}
