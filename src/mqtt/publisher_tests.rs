//! The publisher against a real mosquitto and a real log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::outbox::LogOutbox;
use super::publisher::{Beside, Publisher, Tuning};
use super::report::Report;
use super::test_broker::{PATIENCE, Received, Subscriber, TestBroker};
use crate::config::{self, Backlog, ClockPolicy, Mqtt, MqttVersion};
use crate::log::{Log, Machine};
use crate::reading::{
    Channel, ChannelId, Clock, Moment, Publish, Qos, Reading, Shape, Timestamp, Value, ValueKind,
};
use crate::status::{Board, State};

pub(super) const BOTH: [MqttVersion; 2] = [MqttVersion::V311, MqttVersion::V5];

/// A log in a folder of its own, and readings for it.
pub(super) struct Bench {
    _folder: TempDir,
    pub log: Log,
    pub board: Board,
    pub beside: Beside,
}

fn moment() -> Moment {
    Moment { wall: Timestamp(1_795_158_000_000_000), since_boot: 60_000_000, clock: Clock::Synced }
}

pub(super) fn publish(topic: &str, qos: Qos) -> Publish {
    Publish {
        topic: topic.to_owned(),
        late_topic: None,
        qos,
        retain: false,
        shape: Shape::Quantity,
        format: None,
        buffer: true,
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config::Log {
            path: folder.path().join("bridge.db"),
            sync: config::Sync::Normal,
            commit_interval: Duration::ZERO,
            key: None,
            retention: config::Retention::default(),
        };
        let board = Board::new();
        let machine = Machine { boot_id: "boot-1".to_owned(), now: moment };
        let log = Log::open(&config, &machine, &board).unwrap();
        Self { _folder: folder, log, board, beside: Beside::default() }
    }

    pub(super) fn channel(&self, publish: Publish) -> ChannelId {
        let channel = Channel {
            device: "pi".to_owned(),
            sensor: "air".into(),
            quantity: publish.topic.rsplit('/').next().unwrap().into(),
            unit: String::new(),
            kind: ValueKind::Integer,
            publish: Some(publish),
            place: None,
        };
        self.log.register(&[channel]).unwrap()[0]
    }

    pub(super) fn append(&self, channel: ChannelId, numbers: std::ops::RangeInclusive<i64>) {
        for number in numbers {
            let reading = Reading { channel, at: moment(), value: Value::Integer(number) };
            while self.log.append(vec![reading.clone()]).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub(super) fn start(&self, config: &Mqtt) -> Publisher {
        let tuning = Tuning { backoff: (Duration::from_millis(20), Duration::from_millis(100)) };
        let log = self.log.clone();
        let open = move || LogOutbox::open(log.clone(), None);
        Publisher::start_with(
            config.clone(),
            ClockPolicy::Mark,
            tuning,
            open,
            &self.board,
            self.beside.clone(),
        )
        .unwrap()
    }

    pub(super) fn figure(&self, name: &'static str) -> i64 {
        self.board.part("publisher").figure(name).get()
    }

    pub(super) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not come about:\n{}", self.board);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn state(&self) -> State {
        self.board.part("publisher").state().0
    }

    /// Everything committed is delivered and nothing is remembered in flight.
    pub(super) fn assert_delivered(&self) {
        let state = self.log.delivery().unwrap();
        assert_eq!(state.cursor, *self.log.committed().borrow(), "{state:?}");
        assert!(state.in_flight.is_empty() && state.late.is_empty(), "{state:?}");
    }
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn numbers(received: &[Received], topic: &str) -> Vec<i64> {
    received.iter().filter(|one| one.topic == topic).map(Received::number).collect()
}

/// The first arrival of each number, in the order of arrival.
pub(super) fn firsts(received: &[Received], topic: &str) -> Vec<i64> {
    let mut seen = BTreeMap::new();
    numbers(received, topic).into_iter().filter(|number| seen.insert(*number, ()).is_none()).collect()
}

/// Each number once and in order; says where it is otherwise, not all of it.
#[track_caller]
pub(super) fn assert_counts(actual: &[i64], expected: std::ops::RangeInclusive<i64>) {
    let expected: Vec<_> = expected.collect();
    let differs = actual.iter().zip(&expected).position(|(one, other)| one != other);
    let at = differs.unwrap_or(actual.len().min(expected.len()));
    let around = &actual[at.saturating_sub(5)..actual.len().min(at + 15)];
    assert!(actual == expected, "{} of {}; from the {at}th on: {around:?}", actual.len(), expected.len());
}

/// Everything that has come, once it has `count` numbers of the topic; names those that do not come.
pub(super) fn has_all(subscriber: &Subscriber, topic: &str, count: i64) -> Vec<Received> {
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        subscriber.until(|seen| seen.last().is_some() && firsts(seen, topic).len() as i64 >= count)
    }));
    waited.unwrap_or_else(|_| {
        let arrived = firsts(&subscriber.seen(), topic);
        let missing: Vec<i64> = (1..=count).filter(|number| !arrived.contains(number)).collect();
        panic!("{topic}: did not come: {missing:?}")
    })
}

#[test]
fn every_quality_of_service_on_both_versions() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe("test/#");
    for (version, name) in BOTH.into_iter().zip(["v311", "v5"]) {
        let bench = Bench::new();
        let config = Mqtt { client_id: format!("bridge-{name}"), ..broker.config(version) };
        let publisher = bench.start(&config);
        for (level, qos) in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().enumerate() {
            let topic = format!("test/{name}/{level}");
            let channel = bench.channel(publish(&topic, qos));
            bench.append(channel, 1..=200);
            let received = has_all(&subscriber, &topic, 200);
            let received: Vec<_> = received.into_iter().filter(|one| one.topic == topic).collect();
            assert_counts(&numbers(&received, &topic), 1..=200);
            assert!(received.iter().all(|one| usize::from(one.qos) == level));
        }
        publisher.stop(soon());
        bench.assert_delivered();
        assert_eq!(bench.figure("published"), 600);
    }
}

#[test]
fn mixed_qualities_keep_their_order_per_topic() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe_in_order("test/#");
    for (version, name) in BOTH.into_iter().zip(["v311", "v5"]) {
        let bench = Bench::new();
        let topics: Vec<_> = (0..3).map(|level| format!("test/mixed-{name}/{level}")).collect();
        let channels: Vec<_> = topics
            .iter()
            .zip([Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
            .map(|(topic, qos)| bench.channel(publish(topic, qos)))
            .collect();
        for number in 1..=300 {
            for channel in &channels {
                bench.append(*channel, number..=number);
            }
        }
        let config = Mqtt { client_id: format!("mixed-{name}"), ..broker.config(version) };
        let publisher = bench.start(&config);
        for topic in &topics {
            assert_counts(&numbers(&has_all(&subscriber, topic, 300), topic), 1..=300);
        }
        publisher.stop(soon());
        bench.assert_delivered();
    }
}

#[test]
fn nothing_is_lost_when_the_broker_goes_and_comes() {
    for version in BOTH {
        let mut broker = TestBroker::start("log_type all");
        let subscriber = broker.subscribe("test/#");
        let bench = Bench::new();
        let once = bench.channel(publish("test/exactly-once", Qos::ExactlyOnce));
        let least = bench.channel(publish("test/at-least-once", Qos::AtLeastOnce));
        let publisher = bench.start(&broker.config(version));
        let rounds = 3;
        for round in 0..rounds {
            for number in round * 200 + 1..=(round + 1) * 200 {
                bench.append(once, number..=number);
                bench.append(least, number..=number);
            }
            // In the middle of it, at a different point each time.
            bench.until("progress", || bench.figure("published") >= round * 400 + 50 * (round + 1));
            broker.restart();
        }
        let sent = rounds * 200;
        for topic in ["test/exactly-once", "test/at-least-once"] {
            let mut arrived = firsts(&has_all(&subscriber, topic, sent), topic);
            arrived.sort_unstable();
            assert_counts(&arrived, 1..=sent);
        }
        let mut ids = BTreeMap::new();
        for one in subscriber.count(0).iter().filter(|one| one.topic == "test/at-least-once") {
            let id = one.field("id");
            assert_eq!(
                ids.entry(one.number()).or_insert_with(|| id.clone()),
                &id,
                "a repeat has the same id"
            );
        }
        publisher.stop(soon());
        bench.assert_delivered();
        assert!(bench.figure("reconnects") >= 2);
        // Seen from the broker, because between it and mosquitto_sub a restart makes repeats of its own:
        // no QoS 2 message was ever sent twice as a new one.
        let log = broker.log();
        let as_new =
            log.lines().filter(|line| line.contains("Received PUBLISH from bridge-under-test (d0, q2"));
        let as_new = as_new.count() as i64;
        assert!((sent - 200..=sent).contains(&as_new), "{as_new} of {sent}");
        assert!(log.contains("Received PUBLISH from bridge-under-test (d1, q2"), "none was resumed");
    }
}

#[test]
fn cuts_repeat_nothing_at_qos_2_and_keep_the_order() {
    for version in BOTH {
        let broker = TestBroker::start("");
        let subscriber = broker.subscribe_in_order("test/#");
        let bench = Bench::new();
        let once = bench.channel(publish("test/exactly-once", Qos::ExactlyOnce));
        let least = bench.channel(publish("test/at-least-once", Qos::AtLeastOnce));
        let config = broker.config(version);
        let publisher = bench.start(&config);
        for number in 1..=3000 {
            bench.append(once, number..=number);
            bench.append(least, number..=number);
        }
        for cut in 1..=5 {
            bench.until("progress", || bench.figure("published") >= 800 * cut);
            broker.cut(&config.client_id, version);
        }
        let received = has_all(&subscriber, "test/exactly-once", 3000);
        assert_counts(&numbers(&received, "test/exactly-once"), 1..=3000);
        let received = has_all(&subscriber, "test/at-least-once", 3000);
        assert_counts(&firsts(&received, "test/at-least-once"), 1..=3000);
        publisher.stop(soon());
        bench.assert_delivered();
        assert!(bench.figure("reconnects") >= 1);
    }
}

#[test]
fn a_session_that_the_broker_has_forgotten_is_begun_anew() {
    for version in BOTH {
        let mut broker = TestBroker::start("");
        let bench = Bench::new();
        let channel = bench.channel(publish("test/n", Qos::ExactlyOnce));
        let publisher = bench.start(&broker.config(version));
        bench.append(channel, 1..=50);
        bench.until("delivery", || bench.figure("published") == 50);
        broker.forget();
        bench.append(channel, 51..=100);
        broker.restart();
        bench.until("delivery", || bench.figure("published") == 100);
        publisher.stop(soon());
        bench.assert_delivered();
    }
}

#[test]
fn readings_of_an_outage_follow_and_unbuffered_ones_do_not() {
    // The subscriber, too, has to come back; until then the broker keeps QoS 0 messages for it.
    let mut broker = TestBroker::start("queue_qos0_messages true");
    let subscriber = broker.subscribe("test/#");
    let bench = Bench::new();
    let kept = bench.channel(publish("test/kept", Qos::AtMostOnce));
    let lost = bench.channel(Publish { buffer: false, ..publish("test/lost", Qos::AtMostOnce) });
    let publisher = bench.start(&broker.config(MqttVersion::V311));
    bench.until("connection", || bench.state() == State::Ok);
    broker.stop();
    bench.until("outage", || matches!(bench.state(), State::Failed(_)));
    bench.append(kept, 1..=10);
    bench.append(lost, 1..=10);
    bench.until("commit", || *bench.log.committed().borrow() == 20);
    broker.restart();
    has_all(&subscriber, "test/kept", 10);
    bench.append(lost, 11..=20);
    let received = has_all(&subscriber, "test/lost", 10);
    assert_counts(&numbers(&received, "test/lost"), 11..=20);
    assert_eq!(bench.figure("discarded"), 10);
    publisher.stop(soon());
    bench.assert_delivered();
}

#[test]
fn the_status_is_retained_and_told_truly() {
    for version in BOTH {
        let broker = TestBroker::start("");
        let bench = Bench::new();
        let config = broker.config(version);
        let publisher = bench.start(&config);
        bench.until("connection", || bench.state() == State::Ok);
        let subscriber = broker.subscribe("test/+/status");
        let first = &subscriber.count(1)[0];
        assert_eq!((first.payload.as_str(), first.retain), ("online", true));
        publisher.stop(soon());
        assert_eq!(subscriber.count(2)[1].payload, "offline");
        // Retained, too.
        drop(subscriber);
        let late = broker.subscribe("test/+/status");
        assert_eq!(late.count(1)[0].payload, "offline");
    }
}

/// Reports far more often than anybody wants them, among readings of every quality: packets must not be taken for
/// one another.
#[test]
fn reports_are_retained_and_disturb_nothing() {
    for version in BOTH {
        let broker = TestBroker::start("");
        let subscriber = broker.subscribe_in_order("test/#");
        let mut bench = Bench::new();
        let made = Arc::new(AtomicU32::new(0));
        let count = made.clone();
        let make = Arc::new(move || format!("report {}", count.fetch_add(1, Ordering::Relaxed)).into_bytes());
        bench.beside.report = Some(Report { every: Duration::from_millis(1), make });
        let channels = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]
            .map(|qos| bench.channel(publish(&format!("test/{}", qos as u8), qos)));
        let publisher = bench.start(&broker.config(version));
        for number in 1..=300 {
            channels.iter().for_each(|channel| bench.append(*channel, number..=number));
        }
        for topic in ["test/0", "test/1", "test/2"] {
            assert_counts(&firsts(&has_all(&subscriber, topic, 300), topic), 1..=300);
        }
        let many = made.load(Ordering::Relaxed) + 3;
        bench.until("more reports", || made.load(Ordering::Relaxed) > many);
        publisher.stop(soon());
        bench.assert_delivered();
        assert_eq!(bench.figure("reconnects"), 0);
        let received = subscriber.until(|seen| seen.last().is_some_and(|last| last.payload == "offline"));
        let reports: Vec<_> = received.iter().filter(|one| one.topic == "test/pi/status/facts").collect();
        assert!(
            reports.len() > 3 && reports.iter().all(|one| one.retain || one.payload.starts_with("report "))
        );
        drop(subscriber);
        let late = broker.subscribe("test/pi/status/facts");
        assert!(late.count(1)[0].payload.starts_with("report "));
    }
}

#[test]
fn the_last_will_speaks_when_the_bridge_vanishes() {
    let mut broker = TestBroker::start("");
    for version in BOTH {
        let config = Mqtt { client_id: format!("will-{version:?}"), ..broker.config(version) };
        let subscriber = broker.subscribe("test/+/status");
        super::session::tests::vanish(&config);
        assert_eq!(subscriber.until(|seen| !seen.is_empty())[0].payload, "offline");
        drop(subscriber);
        broker.forget();
        broker.restart();
    }
}

#[test]
fn an_oversize_message_is_refused_and_the_next_goes_out() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe("test/#");
    let bench = Bench::new();
    let long = "x".repeat(1500);
    let channel = Channel {
        device: long,
        sensor: "air".into(),
        quantity: "big".into(),
        unit: String::new(),
        kind: ValueKind::Integer,
        publish: Some(publish("test/big", Qos::AtLeastOnce)),
        place: None,
    };
    let big = bench.log.register(&[channel]).unwrap()[0];
    let small = bench.channel(publish("test/small", Qos::AtLeastOnce));
    let config = Mqtt { max_packet_size: 1024, ..broker.config(MqttVersion::V311) };
    let publisher = bench.start(&config);
    bench.append(big, 1..=3);
    bench.append(small, 1..=1);
    has_all(&subscriber, "test/small", 1);
    assert_eq!(bench.figure("refused"), 3);
    assert!(matches!(bench.state(), State::Degraded(why) if why.contains("test/big: a message of 16")));
    publisher.stop(soon());
    bench.assert_delivered();
    assert_eq!(bench.figure("reconnects"), 0);
}

#[test]
fn what_the_broker_itself_finds_too_large_is_refused_without_being_sent() {
    let broker = TestBroker::start("max_packet_size 1000");
    let bench = Bench::new();
    let channel = bench.channel(publish(&format!("test/{}", "x".repeat(1000)), Qos::AtLeastOnce));
    let publisher = bench.start(&broker.config(MqttVersion::V5));
    bench.append(channel, 1..=1);
    bench.until("refusal", || bench.figure("refused") == 1);
    publisher.stop(soon());
    assert_eq!(bench.figure("reconnects"), 0);
    bench.assert_delivered();
}

#[test]
fn a_message_that_kills_every_connection_is_given_up() {
    // On 3.1.1 the broker cannot say how much it takes; it closes the connection.
    let broker = TestBroker::start("max_packet_size 1000");
    for (qos, name) in [(Qos::AtLeastOnce, "least"), (Qos::ExactlyOnce, "once")] {
        let bench = Bench::new();
        let long = format!("test/{}", "x".repeat(1000));
        let (before, poison, after) = (
            bench.channel(publish("test/before", qos)),
            bench.channel(publish(&long, qos)),
            bench.channel(publish("test/after", qos)),
        );
        bench.append(before, 1..=10);
        bench.append(poison, 1..=1);
        bench.append(after, 1..=10);
        let config = Mqtt { client_id: format!("poison-{name}"), ..broker.config(MqttVersion::V311) };
        let publisher = bench.start(&config);
        bench.until("delivery of the rest", || bench.figure("published") >= 20);
        publisher.stop(soon());
        assert_eq!(bench.figure("refused"), 1);
        bench.assert_delivered();
    }
}

#[test]
fn refusals_of_the_broker_are_kept_and_do_not_stop_the_rest() {
    // With QoS 2 each refusal costs rumqttc a slot, of the 20 that mosquitto grants.
    let broker = TestBroker::start_with("acl_file {dir}/acl", &[("acl", "topic readwrite test/#\n")]);
    let subscriber = broker.subscribe("test/#");
    for (qos, name) in [(Qos::AtLeastOnce, "least"), (Qos::ExactlyOnce, "once")] {
        let bench = Bench::new();
        let denied = bench.channel(publish("secret/n", qos));
        let topic = format!("test/{name}");
        let granted = bench.channel(publish(&topic, qos));
        for number in 1..=100 {
            bench.append(denied, number..=number);
            bench.append(granted, number..=number);
        }
        let config = Mqtt { client_id: format!("refused-{name}"), ..broker.config(MqttVersion::V5) };
        let publisher = bench.start(&config);
        assert_counts(&numbers(&has_all(&subscriber, &topic, 100), &topic), 1..=100);
        bench.until("refusals", || bench.figure("refused") == 100);
        assert!(
            matches!(bench.state(), State::Degraded(why) if why == "secret/n: refused by the broker: not authorised")
        );
        publisher.stop(soon());
        bench.assert_delivered();
    }
}

#[test]
fn live_first_lets_fresh_readings_overtake() {
    for version in BOTH {
        let broker = TestBroker::start("");
        let subscriber = broker.subscribe("test/#");
        let bench = Bench::new();
        let channel = bench.channel(Publish {
            late_topic: Some("test/late".to_owned()),
            retain: true,
            ..publish("test/n", Qos::AtLeastOnce)
        });
        bench.append(channel, 1..=40);
        bench.until("commit", || *bench.log.committed().borrow() == 40);
        let config = Mqtt { backlog: Backlog::LiveFirst { rate: 40 }, ..broker.config(version) };
        let publisher = bench.start(&config);
        bench.append(channel, 41..=50);
        has_all(&subscriber, "test/n", 10);
        let received = has_all(&subscriber, "test/late", 40);
        assert_counts(&numbers(&received, "test/n"), 41..=50);
        assert_counts(&numbers(&received, "test/late"), 1..=40);
        let at =
            |number| received.iter().position(|one| one.topic != "test/pi/status" && one.number() == number);
        assert!(at(50) < at(40), "the live ones came before the backlog was through");
        for one in received.iter().filter(|one| one.topic != "test/pi/status") {
            assert_eq!(one.field("late").as_bool(), (one.topic == "test/late").then_some(true));
        }
        bench.until("delivery", || bench.figure("published") == 50);
        publisher.stop(soon());
        bench.assert_delivered();
        drop(subscriber);
        let later = broker.subscribe("test/#");
        let kept = later.until(|seen| seen.iter().any(|one| one.retain && one.topic == "test/n"));
        assert!(kept.iter().all(|one| !one.retain || one.topic != "test/late"), "late ones are not retained");
    }
}

#[test]
fn the_backlog_is_late_though_the_daemon_stops_in_between() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe("test/#");
    let bench = Bench::new();
    let channel = bench.channel(publish("test/n", Qos::ExactlyOnce));
    bench.append(channel, 1..=100);
    bench.until("commit", || *bench.log.committed().borrow() == 100);
    let config = Mqtt { backlog: Backlog::LiveFirst { rate: 50 }, ..broker.config(MqttVersion::V311) };
    let publisher = bench.start(&config);
    bench.append(channel, 101..=101);
    subscriber.until(|seen| numbers(seen, "test/n").len() >= 10);
    publisher.stop(soon());
    let state = bench.log.delivery().unwrap();
    assert_eq!(state.cursor, 101);
    assert!(state.late.len() == 1 && state.late[0].next > 5 && state.late[0].end == 100, "{state:?}");
    // Now in order: what is left over from before goes first.
    let publisher = bench.start(&broker.config(MqttVersion::V311));
    bench.append(channel, 102..=102);
    let received = has_all(&subscriber, "test/n", 102);
    let mut all = numbers(&received, "test/n");
    assert_eq!(all.last(), Some(&102));
    all.sort_unstable();
    assert_counts(&all, 1..=102);
    publisher.stop(soon());
    bench.assert_delivered();
}

#[test]
fn samples_are_one_message() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe("test/#");
    let bench = Bench::new();
    let channels: Vec<_> = ["a", "b"]
        .map(|quantity| Channel {
            device: "pi".to_owned(),
            sensor: "air".into(),
            quantity: quantity.into(),
            unit: String::new(),
            kind: ValueKind::Integer,
            publish: Some(Publish { shape: Shape::Sample, ..publish("test/air", Qos::AtLeastOnce) }),
            place: None,
        })
        .into();
    let ids = bench.log.register(&channels).unwrap();
    let publisher = bench.start(&broker.config(MqttVersion::V5));
    for number in 1..=20 {
        let sample =
            ids.iter().map(|id| Reading { channel: *id, at: moment(), value: Value::Integer(number) });
        bench.log.append(sample.collect()).unwrap();
    }
    let received = subscriber.until(|seen| seen.iter().filter(|one| one.topic == "test/air").count() == 20);
    let last = received.iter().rfind(|one| one.topic == "test/air").unwrap();
    assert_eq!(last.field("values"), serde_json::json!({"a": 20, "b": 20}));
    publisher.stop(soon());
    bench.assert_delivered();
}

#[test]
fn pictures_go_out_in_every_shape_one_by_one_and_in_order() {
    for (version, qos) in [(MqttVersion::V311, Qos::ExactlyOnce), (MqttVersion::V5, Qos::AtMostOnce)] {
        let broker = TestBroker::start("");
        let subscriber = broker.subscribe("test/sky/#");
        let bench = Bench::new();
        let shapes = [Shape::Quantity, Shape::Base64, Shape::Binary];
        let channels = shapes.map(|shape| {
            let topic = format!("test/sky/{shape:?}");
            let publish = Publish { shape, ..publish(&topic, qos) };
            let channel = Channel {
                device: "pi".to_owned(),
                sensor: "sky".into(),
                quantity: "image".into(),
                unit: "B".to_owned(),
                kind: ValueKind::Image,
                publish: Some(publish),
                place: None,
            };
            bench.log.register(&[channel]).unwrap()[0]
        });
        // A dozen of 1 MB: more than may be on their way at once.
        for number in 0..12 {
            let mut image = crate::reading::picture::tests::image(b'x', 1_000_000);
            image.bytes[0] = b'a' + number;
            let value = Value::Image(image.into());
            let sample = vec![Reading { channel: channels[usize::from(number % 3)], at: moment(), value }];
            while bench.log.append(sample.clone()).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let mut config = broker.config(version);
        config.max_packet_size = 32_000_000;
        let publisher = bench.start(&config);
        let received = subscriber.count(12);
        publisher.stop(soon());
        bench.assert_delivered();
        let of = |shape: &str| {
            let topic = format!("test/sky/{shape}");
            let payloads =
                received.iter().filter(move |one| one.topic == topic).map(|one| one.payload.clone());
            payloads.collect::<Vec<_>>()
        };
        let first = |bytes: &[u8]| (bytes[0] - b'a', bytes.len());
        let decode =
            |text: &str| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
        let json: Vec<_> = of("Quantity")
            .iter()
            .map(|payload| {
                let message: serde_json::Value = serde_json::from_str(payload).unwrap();
                assert_eq!((&message["size"], &message["sensor"]), (&1_000_000.into(), &"sky".into()));
                first(&decode(message["data"].as_str().unwrap()))
            })
            .collect();
        let base64: Vec<_> = of("Base64").iter().map(|payload| first(&decode(payload))).collect();
        let binary: Vec<_> = of("Binary").iter().map(|payload| first(payload.as_bytes())).collect();
        let expected = |from: u8| (0..4).map(|turn| (from + 3 * turn, 1_000_000)).collect::<Vec<_>>();
        assert_eq!((json, base64, binary), (expected(0), expected(1), expected(2)));
    }
}

#[test]
fn stopping_publishes_what_is_committed() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe("test/#");
    let bench = Bench::new();
    let channel = bench.channel(publish("test/n", Qos::AtLeastOnce));
    let publisher = bench.start(&broker.config(MqttVersion::V5));
    bench.until("connection", || bench.state() == State::Ok);
    bench.append(channel, 1..=2000);
    bench.until("commit", || *bench.log.committed().borrow() == 2000);
    publisher.stop(soon());
    bench.assert_delivered();
    let received = has_all(&subscriber, "test/n", 2000);
    assert_eq!(
        received.last().map(|one| one.payload.as_str()),
        received.last().map(|one| one.payload.as_str())
    );
    assert_eq!(bench.state(), State::Stopped);
}

#[test]
fn a_rival_with_the_same_client_id_is_named() {
    for version in BOTH {
        let broker = TestBroker::start("");
        let (one, other) = (Bench::new(), Bench::new());
        let config = broker.config(version);
        let (first, second) = (one.start(&config), other.start(&config));
        let named = |bench: &Bench| matches!(bench.state(), State::Failed(why) if why.contains("client id"));
        one.until("a word about it", || named(&one) || named(&other));
        first.stop(Instant::now());
        second.stop(Instant::now());
    }
}

#[test]
fn what_is_wrong_with_the_connection_is_said_in_words() {
    let broker =
        TestBroker::start_with("allow_anonymous false\npassword_file {dir}/passwords", &[("passwords", "")]);
    let unreachable = |config: Mqtt| -> String {
        let bench = Bench::new();
        let publisher = bench.start(&config);
        bench.until("failure", || matches!(bench.state(), State::Failed(_)));
        let state = bench.state().to_string();
        publisher.stop(Instant::now());
        state
    };
    for version in BOTH {
        let config = broker.config(version);
        let failure = unreachable(config.clone());
        assert!(failure.contains("not authorised"), "{failure}");
        let mut nobody = config.clone();
        nobody.broker.port = 1;
        let failure = unreachable(nobody);
        assert!(failure.contains("connection refused"), "{failure}");
        let mut plain = config.clone();
        plain.broker.transport = config::Transport::Tls;
        let failure = unreachable(plain);
        assert!(failure.contains("TLS") || failure.contains("closed"), "{failure}");
        let mut nowhere = config;
        nowhere.broker.host = "no-such-host.invalid".to_owned();
        let failure = unreachable(nowhere);
        assert!(failure.contains("name was not found"), "{failure}");
    }
}

#[test]
fn tls_is_verified() {
    let ca = include_str!("../../tests/data/tls/ca.pem");
    let files = [
        ("ca.pem", ca),
        ("server.pem", include_str!("../../tests/data/tls/server.pem")),
        ("server.key", include_str!("../../tests/data/tls/server.key")),
    ];
    let broker = TestBroker::start_with("certfile {dir}/server.pem\nkeyfile {dir}/server.key", &files);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
    for version in BOTH {
        let mut config = broker.config(version);
        config.broker.transport = config::Transport::Tls;
        config.broker.tls.trust = crate::config::Trust::Authorities(folder.path().join("ca.pem"));
        let bench = Bench::new();
        let channel = bench.channel(publish("test/n", Qos::ExactlyOnce));
        let publisher = bench.start(&config);
        bench.append(channel, 1..=50);
        bench.until("delivery", || bench.figure("published") == 50);
        publisher.stop(soon());
        bench.assert_delivered();

        // The system's authorities do not know this one.
        config.broker.tls.trust = crate::config::Trust::System;
        let bench = Bench::new();
        let publisher = bench.start(&config);
        bench.until("failure", || matches!(bench.state(), State::Failed(_)));
        let failure = bench.state().to_string();
        assert!(failure.contains("TLS: ") && failure.contains("mqtt.tls.ca_file"), "{failure}");
        publisher.stop(Instant::now());
    }
}

/// A token that is good for a quarter of a second, from a program that counts how often it is asked.
fn fleeting(config: &mut Mqtt, folder: &std::path::Path) {
    let script = format!("echo asked >>{}/asked; echo token", folder.display());
    let words = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let password = config::Password::Command(words, Some(Duration::from_millis(250)));
    config.credentials = Some(config::Credentials { username: "pi".to_owned(), password });
}

#[test]
fn a_token_is_renewed_without_a_message_lost_or_repeated() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe_in_order("test/#");
    for version in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let mut config = broker.config(version);
        fleeting(&mut config, folder.path());
        let bench = Bench::new();
        let topic = format!("test/{version:?}");
        let channel = bench.channel(publish(&topic, Qos::AtLeastOnce));
        let publisher = bench.start(&config);
        let mut sent = 0;
        while bench.figure("connections") < 5 {
            sent += 1;
            bench.append(channel, sent..=sent);
            std::thread::sleep(Duration::from_millis(1));
        }
        let received = has_all(&subscriber, &topic, sent);
        publisher.stop(soon());
        bench.assert_delivered();
        assert_counts(&numbers(&received, &topic), 1..=sent);
        let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count();
        assert!(asked >= 5, "{asked}");
    }
}

/// How fast a backlog drains, beside mosquitto_pub at the same broker. Prints; meant for a release build.
#[test]
#[ignore = "measures"]
fn drain_speed() {
    const ROWS: i64 = 200_000;
    // mosquitto_pub ends with the acknowledgement of its last packet id, and those wrap at 65,535.
    const THEIRS: i64 = 60_000;
    let broker = TestBroker::start("persistence false");
    let mut lines = String::new();
    for number in 1..=THEIRS {
        lines.push_str(&format!(
            "{{\"id\":\"9305efcd-{number}\",\"device\":\"pi\",\"sensor\":\"air\",\"quantity\":\"n\",\"value\":{number},\
             \"time\":\"2026-11-20T07:00:00.000000Z\",\"clock\":\"synced\"}}\n"
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lines"), lines).unwrap();
    let begun = Instant::now();
    std::process::Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-t", "test/n", "-l"])
        .stdin(std::fs::File::open(folder.path().join("lines")).unwrap())
        .status()
        .unwrap();
    let theirs = THEIRS as f64 / begun.elapsed().as_secs_f64();
    println!("mosquitto_pub -l -q 1: {theirs:.0}/s");
    for (version, qos) in [
        (MqttVersion::V311, Qos::AtLeastOnce),
        (MqttVersion::V5, Qos::AtLeastOnce),
        (MqttVersion::V311, Qos::AtMostOnce),
        (MqttVersion::V311, Qos::ExactlyOnce),
    ] {
        let bench = Bench::new();
        let channel = bench.channel(publish("test/n", qos));
        bench.append(channel, 1..=ROWS);
        bench.until("commit", || *bench.log.committed().borrow() == ROWS);
        let begun = Instant::now();
        let publisher = bench.start(&broker.config(version));
        bench.until("drain", || bench.figure("published") == ROWS);
        let ours = ROWS as f64 / begun.elapsed().as_secs_f64();
        println!("{version:?} {qos:?}: {ours:.0}/s, {:.0} %", 100.0 * ours / theirs);
        publisher.stop(soon());
        bench.assert_delivered();
    }
}

/// A platform that takes only so many gets all of them, later. The time is a lower bound: slower is no failure.
#[test]
fn what_is_more_than_the_platform_takes_waits_and_none_is_lost() {
    let broker = TestBroker::start("");
    let watcher = broker.subscribe_in_order("a/#");
    let bench = Bench::new();
    let channel = bench.channel(publish("a/value", Qos::AtLeastOnce));
    bench.append(channel, 1..=60);
    let begun = Instant::now();
    let publisher = bench.start(&Mqtt { pace: Some(100), ..broker.config(MqttVersion::V311) });
    let received = watcher.count(60);
    // A burst of five goes out at once.
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    bench.until("all is delivered", || bench.figure("delivered") == 60);
    publisher.stop(soon());
    assert_counts(&numbers(&received, "a/value"), 1..=60);
    bench.assert_delivered();
}
