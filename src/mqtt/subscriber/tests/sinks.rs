//! Where it goes: typed columns, CSV files, and sinks that hang or panic.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use super::*;
use crate::config::{ColumnKind, CsvColumn, JsonPath, Table, TableColumn};
use crate::mqtt::testing::BOTH;

#[test]
fn json_goes_into_typed_columns_and_what_is_none_is_kept() {
    let house = House::new(MqttVersion::V5, "");
    let column = |path: &str, kind| TableColumn { path: JsonPath(path.into()), kind };
    let columns = [
        ("value", column("/value", ColumnKind::Real)),
        ("where", column("/location/name", ColumnKind::Text)),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    let sink = config::Sink::Sqlite { table: Some(Table { name: "climate".into(), columns }) };
    let subscriber = house.start(&["t/#"], Qos::AtLeastOnce, sink);
    house.subscribed(&["t/#"]);
    let payloads = [
        r#"{"value":21.5,"location":{"name":"Greenhouse \"2\""}}"#,
        "no JSON",
        r#"{"value":"warm"}"#,
        r#"{"value":true}"#,
    ];
    house.broker.lines("t/x", 1, payloads.map(str::to_owned));
    until("all is stored", || house.count() == 4);
    until("it is shown", || matches!(house.state(), State::Degraded(_)));
    subscriber.stop();
    assert_eq!(house.payloads("t/x"), payloads);
    let values = house.query::<Option<f64>>("SELECT value FROM climate ORDER BY id");
    assert_eq!(values, [Some(21.5), None, Some(1.0)]);
    assert_eq!(
        house.query::<Option<String>>("SELECT \"where\" FROM climate ORDER BY id")[0].as_deref(),
        Some("Greenhouse \"2\"")
    );
    let counts = ["bad_json", "refused_fields", "missing_fields"].map(|name| house.figure(name));
    assert_eq!(counts, [1, 1, 2]);
}

#[test]
fn csv_is_acknowledged_only_when_it_is_on_disk() {
    for version in BOTH {
        let mut house = House::new(version, WIDE_WINDOW);
        let folder = house.path().join("csv");
        // A file where the folder should be: the sink cannot open.
        fs::write(&folder, "in the way").unwrap();
        let path = folder.join("{mirror}.csv").display().to_string();
        let sink = || config::Sink::Csv {
            path: path.clone(),
            columns: vec![CsvColumn::Topic, CsvColumn::Qos, CsvColumn::Payload],
            max_size: None,
        };
        let subscriber = house.start(&["t/#"], Qos::ExactlyOnce, sink());
        until("it is shown", || matches!(house.state(), State::Failed(why) if why.contains("csv")));
        fs::remove_file(&folder).unwrap();
        house.subscribed(&["t/#"]);
        house.broker.lines("t/2", 2, numbers(0..300));
        house.broker.stop();
        house.broker.restart();
        house.broker.lines("t/2", 2, numbers(300..600));
        until("all is stored", || house.figure("stored") >= 600);
        subscriber.stop();
        house.broker.lines("t/2", 2, numbers(600..700));
        let subscriber = house.start(&["t/#"], Qos::ExactlyOnce, sink());
        until("all is stored", || house.figure("stored") >= 700);
        subscriber.stop();
        let text = fs::read_to_string(folder.join("m.csv")).unwrap();
        let expected: String = numbers(0..700).iter().map(|number| format!("t/2,2,{number}\r\n")).collect();
        assert_eq!(text, format!("topic,qos,payload\r\n{expected}"), "{version:?}");
    }
}

/// A sink that stores nothing until it is let.
#[derive(Clone)]
struct Gate {
    open: Arc<AtomicBool>,
    stored: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Sink for Gate {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        Ok(mirror::Session::default())
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        until("the gate opens", || self.open.load(SeqCst));
        let payloads = batch.messages.iter().map(|message| message.payload.clone());
        self.stored.lock().unwrap().extend(payloads);
        Ok(mirror::Stored::default())
    }
}

#[test]
fn a_sink_that_hangs_bounds_what_is_read_and_loses_nothing() {
    for version in BOTH {
        // Without a limit of the broker's on what is in flight, so that only ours is left.
        let house = House::new(version, "max_inflight_messages 0");
        let (open, stored) = (Arc::default(), Arc::default());
        let gate = Gate { open: Arc::clone(&open), stored: Arc::clone(&stored) };
        let gate = Box::new(move || Box::new(gate.clone()) as Box<dyn Sink>);
        let mqtt = Mqtt { keep_alive: Duration::from_secs(5), ..house.mqtt() };
        let mirror = house.mirror(&["t/#"], Qos::ExactlyOnce, SQLITE);
        let subscriber = start_with(&mqtt, &mirror, gate, &house.board).unwrap();
        // The first batch, which forgets the session that never was, must pass before it subscribes.
        open.store(true, SeqCst);
        until("it is subscribed", || {
            house.broker.publish("t/first", "first");
            stored.lock().unwrap().iter().any(|payload| payload == b"first")
        });
        open.store(false, SeqCst);
        house.broker.lines("t/2", 2, numbers(0..5000));
        until(
            "it is given up",
            || matches!(house.state(), State::Degraded(why) if why.contains("until the sink stores again")),
        );
        let received = house.figure("received");
        assert!(received < 2200, "{received} messages were read");
        open.store(true, SeqCst);
        until("all is stored", || {
            stored.lock().unwrap().iter().filter(|payload| *payload != b"first").count() >= 5000
        });
        subscriber.stop();
        let stored = stored.lock().unwrap();
        let rest: Vec<_> = stored
            .iter()
            .filter(|payload| *payload != b"first")
            .map(|payload| String::from_utf8_lossy(payload))
            .collect();
        assert_eq!(rest, numbers(0..5000), "{version:?}");
    }
}

/// A sink that does not come to an end with this payload until it is let.
struct Stuck {
    payload: &'static [u8],
    open: Arc<AtomicBool>,
}

impl Sink for Stuck {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        Ok(mirror::Session::default())
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        if batch.messages.iter().any(|message| message.payload == self.payload) {
            until("the sink goes on", || self.open.load(SeqCst));
        }
        Ok(mirror::Stored::default())
    }
}

/// Hundredths of a second of processor time that threads of this name have had.
fn processor_time(name: &str) -> u64 {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let Some((before, after)) = stat.rsplit_once(") ") else { continue };
        let times = after.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        sum += if before.ends_with(&format!("({name}")) { times.sum() } else { 0 };
    }
    sum
}

/// The first message is stored and released by the broker while the others are with a sink that hangs: what was
/// released waits with them.
#[test]
fn nobody_is_busy_while_the_sink_hangs() {
    let house = House::new(MqttVersion::V311, "");
    let open = Arc::<AtomicBool>::default();
    let is_open = open.clone();
    let sink = Box::new(move || Box::new(Stuck { payload: b"5", open: is_open.clone() }) as Box<dyn Sink>);
    let mirror = config::Mirror { id: "idle".into(), ..house.mirror(&["t/#"], Qos::ExactlyOnce, SQLITE) };
    let subscriber = start_with(&house.mqtt(), &mirror, sink, &house.board).unwrap();
    until("it is subscribed", || house.board.part("mirror idle").state().0 == State::Ok);
    house.broker.lines("t/2", 2, numbers(0..10));
    until("all have come", || house.board.part("mirror idle").figure("received").get() == 10);
    std::thread::sleep(Duration::from_millis(300));
    let before = processor_time("mirror idle");
    std::thread::sleep(Duration::from_secs(1));
    let took = processor_time("mirror idle") - before;
    assert!(took < 20, "{took} % of a processor");
    open.store(true, SeqCst);
    subscriber.stop();
}

/// A sink that answers every message with this many bytes.
struct Talker {
    bytes: usize,
    answered: Arc<Mutex<Vec<i64>>>,
}

impl Sink for Talker {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        Ok(mirror::Session::default())
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        self.answered.lock().unwrap().extend(&batch.answered);
        let answer = |number| mirror::Reply {
            number,
            topic: "r".into(),
            payload: vec![b'x'; self.bytes],
            correlation: None,
        };
        let replies = (1..).zip(&batch.messages).map(|(number, _)| answer(number)).collect();
        Ok(mirror::Stored { replies, ..mirror::Stored::default() })
    }
}

/// The library ends the connection over a packet that is larger than it was told, on each connection anew.
#[test]
fn an_answer_that_is_larger_than_allowed_is_given_up() {
    for version in BOTH {
        let house = House::new(version, "");
        let answered = Arc::<Mutex<Vec<i64>>>::default();
        let heard = answered.clone();
        let sink =
            Box::new(move || Box::new(Talker { bytes: 5000, answered: heard.clone() }) as Box<dyn Sink>);
        let mirror = house.mirror(&["t/#"], Qos::AtLeastOnce, SQLITE);
        let mqtt = Mqtt { max_packet_size: 2000, ..house.mqtt() };
        let subscriber = start_with(&mqtt, &mirror, sink, &house.board).unwrap();
        until("it is subscribed", || house.state() == State::Ok);
        house.broker.lines("t/1", 1, ["x".to_owned()]);
        until("it is done with", || *answered.lock().unwrap() == [1] || house.figure("reconnects") > 0);
        assert_eq!(house.figure("reconnects"), 0, "{version:?}: {}", house.state());
        subscriber.stop();
    }
}

/// A mirror's sink that panics, once in all its lives, when it is to store this payload.
struct Fragile {
    sink: Box<dyn Sink>,
    payload: &'static [u8],
    broken: Arc<AtomicBool>,
}

impl Sink for Fragile {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        self.sink.open()
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        let is_it = batch.messages.iter().any(|message| message.payload == self.payload);
        if is_it && !self.broken.swap(true, SeqCst) {
            panic!("as the test wants it");
        }
        self.sink.store(batch)
    }
}

#[test]
fn a_panic_of_the_sink_or_of_the_link_is_seen_and_loses_nothing() {
    for version in BOTH {
        for of_the_sink in [true, false] {
            let house = House::new(version, "");
            let mirror = house.mirror(&["t/#"], Qos::ExactlyOnce, SQLITE);
            let (made_of, log) = (mirror.clone(), house.log.clone());
            let broken = Arc::<AtomicBool>::default();
            broken.store(!of_the_sink, SeqCst);
            let sink = move || {
                let sink = mirror::sink(&made_of, log.clone());
                Box::new(Fragile { sink, payload: b"17", broken: broken.clone() }) as Box<dyn Sink>
            };
            let ups = Mutex::new(0);
            let watcher = Box::new(move |up: bool| {
                let mut ups = ups.lock().unwrap_or_else(PoisonError::into_inner);
                *ups += i32::from(up);
                assert!(of_the_sink || !up || *ups > 1, "as the test wants it");
            });
            let subscription =
                Subscription { name: "mirror m".into(), id: "m".into(), wanted: wanted(&mirror) };
            let subscriber =
                subscribe(&house.mqtt(), subscription, Box::new(sink), &house.board, watcher).unwrap();
            let panicked = || matches!(house.state(), State::Failed(why) if why.contains("panic"));
            if of_the_sink {
                until("it is subscribed", || !house.log.mirror_state("m").unwrap().subscribed.is_empty());
                house.broker.lines("t/2", 2, numbers(0..50));
                until("it is seen", panicked);
            } else {
                until("it is seen", panicked);
                until("it is subscribed", || !house.log.mirror_state("m").unwrap().subscribed.is_empty());
                house.broker.lines("t/2", 2, numbers(0..50));
            }
            until("all is stored", || house.count() >= 50);
            subscriber.stop();
            assert_eq!(house.count(), 50, "{version:?}, of the sink: {of_the_sink}");
            assert_eq!(house.state(), State::Stopped);
        }
    }
}
