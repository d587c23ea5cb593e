//! What every sink must do, run over all of them. A new sink gets a fixture here and nothing else.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fake::{Memory, message};
use super::*;
use crate::config::{CsvColumn, PayloadKind, ToldColumn::Unread};
use crate::integrity::{Integrity, Key};
use crate::log::Machine;
use crate::status::Board;

/// A sink's storage, which outlives the sink.
trait Fixture {
    /// A sink over the storage, as after a restart.
    fn sink(&self) -> Box<dyn Sink>;
    /// Topic and payload of what is stored, in order.
    fn rows(&self) -> Vec<(String, Vec<u8>)>;
    /// The log beside it, as the last sink has it.
    fn ledger(&self) -> Box<dyn Ledger>;
    /// Topic and reason of what was refused, in order.
    fn refused(&self) -> Vec<(String, String)>;
    /// Makes the storage fail, or work again. False when that cannot be done.
    fn fail(&self, fails: bool) -> bool;
}

/// The shape, if messages are looked into: nothing of what follows may depend on that.
struct OverSqlite(Memory, Option<PayloadKind>);

fn shape(kind: Option<PayloadKind>) -> Option<shape::Shape> {
    kind.map(|kind| shape::Shape::new(&config::Payload { kind, zone: None }))
}

impl Fixture for OverSqlite {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(sqlite::Sqlite::new("m", None, Box::new(self.0.clone())).shaped(shape(self.1)))
    }

    fn rows(&self) -> Vec<(String, Vec<u8>)> {
        let kept = self.0.0.lock().unwrap();
        kept.messages.iter().map(|message| (message.topic.clone(), message.payload.clone())).collect()
    }

    fn ledger(&self) -> Box<dyn Ledger> {
        Box::new(self.0.clone())
    }

    fn refused(&self) -> Vec<(String, String)> {
        refused_of(&self.0)
    }

    fn fail(&self, fails: bool) -> bool {
        self.0.0.lock().unwrap().works = fails.then_some(0);
        true
    }
}

/// Over the real log, closed and opened again with each sink. It cannot be made to fail from here.
struct OverLog {
    folder: tempfile::TempDir,
    log: RefCell<Option<Log>>,
}

impl Fixture for OverLog {
    fn sink(&self) -> Box<dyn Sink> {
        let mut log = self.log.borrow_mut();
        if let Some(old) = log.take() {
            old.close().unwrap();
        }
        let config = config::Log {
            path: self.folder.path().join("bridge.db"),
            sync: config::Sync::Full,
            commit_interval: std::time::Duration::ZERO,
            key: None,
            retention: config::Retention::default(),
        };
        let machine = Machine { boot_id: "boot".into(), now: crate::enrich::clock::now };
        let new = Log::open(&config, &machine, &Board::new()).unwrap();
        *log = Some(new.clone());
        Box::new(sqlite::Sqlite::new("m", None, Box::new(new)))
    }

    fn rows(&self) -> Vec<(String, Vec<u8>)> {
        let connection = rusqlite::Connection::open(self.folder.path().join("bridge.db")).unwrap();
        let sql = "SELECT topic, CAST(payload AS BLOB) FROM messages ORDER BY id";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn ledger(&self) -> Box<dyn Ledger> {
        Box::new(self.log.borrow().clone().unwrap())
    }

    fn refused(&self) -> Vec<(String, String)> {
        let connection = rusqlite::Connection::open(self.folder.path().join("bridge.db")).unwrap();
        let mut statement =
            connection.prepare("SELECT topic, reason FROM refused_messages ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn fail(&self, _: bool) -> bool {
        false
    }
}

struct OverCsv {
    folder: tempfile::TempDir,
    ledger: Memory,
    fails: Arc<AtomicBool>,
    shape: Option<PayloadKind>,
}

impl Fixture for OverCsv {
    fn sink(&self) -> Box<dyn Sink> {
        let path = self.folder.path().join("x.csv").display().to_string();
        let payload = if self.shape.is_some() { CsvColumn::Told(Unread) } else { CsvColumn::Payload };
        let columns = [CsvColumn::Topic, CsvColumn::Id, payload];
        let sink = csv::Csv::new("m", &path, &columns, None, Box::new(self.ledger.clone()));
        let mut sink = sink.shaped(shape(self.shape));
        sink.append_half_while(self.fails.clone());
        Box::new(sink)
    }

    fn rows(&self) -> Vec<(String, Vec<u8>)> {
        csv::read_back(&self.folder.path().join("x.csv"), 0, 2)
    }

    fn ledger(&self) -> Box<dyn Ledger> {
        Box::new(self.ledger.clone())
    }

    fn refused(&self) -> Vec<(String, String)> {
        refused_of(&self.ledger)
    }

    fn fail(&self, fails: bool) -> bool {
        self.fails.store(fails, Ordering::SeqCst);
        true
    }
}

fn refused_of(ledger: &Memory) -> Vec<(String, String)> {
    let kept = ledger.0.lock().unwrap();
    kept.refused.iter().map(|one| (one.message.topic.clone(), one.reason.clone())).collect()
}

fn fixtures() -> Vec<Box<dyn Fixture>> {
    let csv = |shape| OverCsv {
        folder: tempfile::tempdir().unwrap(),
        ledger: Memory::default(),
        fails: Arc::default(),
        shape,
    };
    vec![
        Box::new(OverSqlite(Memory::default(), None)),
        Box::new(OverSqlite(Memory::default(), Some(PayloadKind::ChirpStack))),
        Box::new(OverLog { folder: tempfile::tempdir().unwrap(), log: RefCell::default() }),
        Box::new(csv(None)),
        Box::new(csv(Some(PayloadKind::ChirpStack))),
    ]
}

fn batch(messages: impl IntoIterator<Item = Incoming>) -> Batch {
    Batch { messages: messages.into_iter().collect(), ..Batch::default() }
}

fn qos2(id: u16, topic: &str, payload: &[u8]) -> Incoming {
    Incoming { packet_id: id, ..message(topic, payload, Qos::ExactlyOnce) }
}

fn ours(row: usize) -> Vec<u8> {
    format!("{{\"id\":\"3f9c2a1b-{row}\",\"value\":{row}}}").into_bytes()
}

fn topics(fixture: &dyn Fixture) -> Vec<String> {
    fixture.rows().into_iter().map(|(topic, _)| topic).collect()
}

#[test]
fn everything_is_kept_in_order_and_survives_the_sink() {
    for fixture in fixtures() {
        let mut expected = Vec::new();
        for part in 0..3 {
            let mut sink = fixture.sink();
            sink.open().unwrap();
            for piece in 0..3 {
                let rows: Vec<_> = (0..50).map(|row| format!("{part}/{piece}/{row}")).collect();
                sink.store(&batch(rows.iter().map(|row| message(row, b"x", Qos::AtLeastOnce)))).unwrap();
                expected.extend(rows);
            }
            // No `close`: durable means durable.
        }
        assert_eq!(topics(&*fixture), expected);
    }
}

#[test]
fn whatever_bytes_there_are_come_back_the_same() {
    let big: Vec<u8> =
        (0..20 << 20).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases = [
        ("plain", b"21.4".to_vec()),
        ("empty", Vec::new()),
        ("binary", vec![0, 255, 254, 10, 13, 34]),
        ("line\nend", b"two\r\nlines\n".to_vec()),
        ("comma, \"quote\"", b"a,\"b\",c\"".to_vec()),
        ("../../etc/passwd", b"no path".to_vec()),
        ("{date}", b"base64:AAAA".to_vec()),
        ("grün/°C", "grün".as_bytes().to_vec()),
        ("json", br#"{"a":"x\ny"}"#.to_vec()),
        ("big", big),
        ("last", b"after the big one".to_vec()),
    ];
    for fixture in fixtures() {
        let mut sink = fixture.sink();
        sink.open().unwrap();
        let messages = cases.iter().map(|(topic, payload)| message(topic, payload, Qos::AtLeastOnce));
        sink.store(&batch(messages)).unwrap();
        for ((topic, payload), (expected, bytes)) in fixture.rows().iter().zip(&cases) {
            assert_eq!(topic, expected);
            assert!(payload == bytes, "{topic}: {} bytes instead of {}", payload.len(), bytes.len());
        }
        assert_eq!(fixture.rows().len(), cases.len());
    }
}

#[test]
fn a_repeat_of_ours_is_dropped_wherever_the_first_is() {
    for fixture in fixtures() {
        let own = |topic, row| message(topic, &ours(row), Qos::AtLeastOnce);
        let mut sink = fixture.sink();
        sink.open().unwrap();
        let stored = sink.store(&batch([own("a", 1), own("a", 1), own("b", 1), own("a", 2)])).unwrap();
        assert_eq!(stored.repeats, 1, "in the same batch");
        assert_eq!(sink.store(&batch([own("a", 2), own("a", 3)])).unwrap().repeats, 1, "in the batch before");
        drop(sink);
        let mut sink = fixture.sink();
        sink.open().unwrap();
        let stored = sink.store(&batch([own("a", 3), own("a", 1), own("a", 4)])).unwrap();
        assert_eq!(stored.repeats, 2, "before a restart");
        let foreign = || message("a", b"21.4", Qos::AtLeastOnce);
        assert_eq!(sink.store(&batch([foreign(), foreign()])).unwrap().repeats, 0, "who knows of others");
        assert_eq!(topics(&*fixture), ["a", "b", "a", "a", "a", "a", "a"]);
    }
}

#[test]
fn a_batch_that_failed_is_stored_once_when_it_is_given_again() {
    for fixture in fixtures() {
        let mut sink = fixture.sink();
        sink.open().unwrap();
        sink.store(&batch([message("first", b"x", Qos::AtLeastOnce)])).unwrap();
        let again = batch([
            qos2(1, "qos2", b"x"),
            message("own", &ours(1), Qos::AtLeastOnce),
            message("other", b"x", Qos::AtMostOnce),
        ]);
        if !fixture.fail(true) {
            continue;
        }
        for _ in 0..3 {
            sink.store(&again).unwrap_err();
        }
        assert_eq!(topics(&*fixture), ["first"], "nothing half-way");
        fixture.fail(false);
        assert_eq!(sink.store(&again).unwrap().repeats, 0);
        assert_eq!(topics(&*fixture), ["first", "qos2", "own", "other"]);
        assert_eq!(sink.open().unwrap().held.len(), 1);
    }
}

#[test]
fn a_crash_after_a_failure_leaves_nothing_half_way() {
    for fixture in fixtures() {
        let mut sink = fixture.sink();
        sink.open().unwrap();
        sink.store(&batch([message("first", b"x", Qos::AtLeastOnce)])).unwrap();
        if !fixture.fail(true) {
            continue;
        }
        sink.store(&batch([qos2(1, "second", b"x")])).unwrap_err();
        drop(sink);
        fixture.fail(false);
        let mut sink = fixture.sink();
        assert_eq!(sink.open().unwrap().held, [], "not stored, so not held");
        sink.store(&batch([qos2(1, "second", b"x")])).unwrap();
        assert_eq!(topics(&*fixture), ["first", "second"]);
    }
}

/// Restarts the sink; answers what it remembers.
fn again(sink: &mut Box<dyn Sink>, fixture: &dyn Fixture) -> Result<Session, SinkError> {
    // The old one first: it has its file locked.
    *sink = Box::new(sqlite::Sqlite::new("none", None, Box::new(Memory::default())));
    *sink = fixture.sink();
    sink.open()
}

#[test]
fn the_session_is_remembered() {
    for fixture in fixtures() {
        let mut sink = fixture.sink();
        assert_eq!(sink.open().unwrap(), Session::default());
        let subscribed = vec![("a/#".to_owned(), Qos::ExactlyOnce)];
        sink.store(&Batch { subscribed: Some(subscribed.clone()), ..Batch::default() }).unwrap();
        let (one, two) = (qos2(1, "a", b"x"), qos2(2, "a", b"y"));
        sink.store(&batch([one.clone(), two.clone(), message("b", b"z", Qos::AtLeastOnce)])).unwrap();
        let session = again(&mut sink, &*fixture).unwrap();
        assert_eq!(session.held, [(1, one.hash), (2, two.hash)]);
        assert_eq!(session.subscribed, subscribed);

        // Released and taken again with another message, in one batch.
        let other = qos2(1, "a", b"other");
        sink.store(&Batch { released: vec![1, 2], ..batch([other.clone()]) }).unwrap();
        assert_eq!(again(&mut sink, &*fixture).unwrap().held, [(1, other.hash)]);
        sink.store(&Batch { released: vec![1], ..Batch::default() }).unwrap();
        assert_eq!(again(&mut sink, &*fixture).unwrap().held, []);

        sink.store(&batch([one.clone(), two.clone()])).unwrap();
        sink.store(&Batch { forget_all: true, ..batch([two.clone()]) }).unwrap();
        assert_eq!(again(&mut sink, &*fixture).unwrap().held, [(2, two.hash)]);
        assert_eq!(again(&mut sink, &*fixture).unwrap().subscribed, subscribed);
    }
}

/// A sink that asks for the HMAC by `KEY`.
fn checked(fixture: &dyn Fixture) -> checked::Checked {
    let sink = fixture.sink();
    checked::Checked::new("m", Integrity::Hmac(vec![Key::new(KEY)]), sink, fixture.ledger())
}

const KEY: &[u8] = b"0123456789abcdef";

/// A message of ours with the HMAC by `key` for `topic`.
fn signed(key: &[u8], topic: &str, row: usize) -> Vec<u8> {
    let mut payload = ours(row);
    Integrity::Hmac(vec![Key::new(key)]).seal(topic, &mut payload);
    payload
}

#[test]
fn only_what_shows_that_it_is_as_sent_is_stored_and_the_rest_is_kept_apart() {
    let changed = || String::from_utf8(signed(KEY, "a", 2)).unwrap().replace("\"value\":2", "\"value\":99");
    for fixture in fixtures() {
        let mut sink = checked(&*fixture);
        sink.open().unwrap();
        let good = qos2(1, "a", &signed(KEY, "a", 1));
        let messages = [
            good.clone(),
            qos2(2, "a", changed().as_bytes()),
            message("a", &ours(3), Qos::AtLeastOnce),
            message("b", &signed(KEY, "a", 4), Qos::AtLeastOnce),
            message("a", &signed(b"a key of nobody's", "a", 5), Qos::AtLeastOnce),
            message("a/status", b"online", Qos::AtLeastOnce),
            // The identity of the changed one is not taken.
            message("a", &signed(KEY, "a", 2), Qos::AtLeastOnce),
        ];
        let stored = sink.store(&batch(messages)).unwrap();
        assert_eq!((stored.repeats, stored.refused), (0, 5));
        let refusal = stored.refusal.unwrap();
        assert!(refusal.starts_with("refused: \"a/status\" carries no HMAC"), "{refusal}");
        assert_eq!(topics(&*fixture), ["a", "a"]);
        assert_eq!(fixture.rows()[1].1, signed(KEY, "a", 2));
        let (missing, wrong) = ("carries no HMAC", "carries a wrong HMAC");
        let expected = [("a", wrong), ("a", missing), ("b", wrong), ("a", wrong), ("a/status", missing)];
        let refused = fixture.refused();
        assert_eq!(refused.len(), expected.len());
        for ((topic, why), (of, begin)) in refused.iter().zip(expected) {
            assert!(topic == of && why.starts_with(begin), "{topic}: {why}");
        }
        // A good message again, by whomever, is a repeat; nothing more is refused.
        let again = sink.store(&batch([message("a", &good.payload, Qos::AtLeastOnce)])).unwrap();
        assert_eq!((again.repeats, again.refused), (1, 0));
        drop(sink);
        let held = fixture.sink().open().unwrap().held;
        assert_eq!(
            held.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            [1, 2],
            "what is refused is held as well"
        );
    }
}

#[test]
fn refusals_that_could_not_be_kept_are_tried_again_and_the_rest_is_not_stored_twice() {
    for fixture in fixtures() {
        let mut sink = checked(&*fixture);
        sink.open().unwrap();
        let mixed = || {
            batch([
                message("a", &signed(KEY, "a", 1), Qos::AtLeastOnce),
                message("x", b"forged", Qos::AtLeastOnce),
            ])
        };
        if !fixture.fail(true) {
            continue;
        }
        sink.store(&mixed()).unwrap_err();
        fixture.fail(false);
        assert_eq!(sink.store(&mixed()).unwrap().refused, 1);
        // A foreign message has no identity: stored twice it would stand there twice.
        let foreign = |payload: &[u8]| {
            let mut payload = payload.to_vec();
            Integrity::Hmac(vec![Key::new(KEY)]).seal("f", &mut payload);
            message("f", &payload, Qos::AtLeastOnce)
        };
        let ledger = Memory::default();
        drop(sink);
        let sink = fixture.sink();
        let mut sink =
            checked::Checked::new("m", Integrity::Hmac(vec![Key::new(KEY)]), sink, Box::new(ledger.clone()));
        sink.open().unwrap();
        ledger.0.lock().unwrap().works = Some(0);
        let again = batch([foreign(br#"{"value":1}"#), message("x", b"forged", Qos::AtLeastOnce)]);
        sink.store(&again).unwrap_err();
        sink.store(&again).unwrap_err();
        ledger.0.lock().unwrap().works = None;
        assert_eq!(sink.store(&again).unwrap().refused, 1);
        assert_eq!(topics(&*fixture), ["a", "f"]);
        assert_eq!((fixture.refused().len(), refused_of(&ledger).len()), (1, 1));
    }
}
