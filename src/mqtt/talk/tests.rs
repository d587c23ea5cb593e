//! A platform's dialogue on the publisher's connection, against a real mosquitto and a real log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::Conversation;
use crate::config::{ClockPolicy, Mqtt};
use crate::log::{DeliveryState, DeliveryUpdate, LogError, Urgency};
use crate::mqtt::outbox::{LogOutbox, Outbox};
use crate::mqtt::publisher::{Publisher, Tuning};
use crate::mqtt::testing::*;
use crate::platform::{Act, Dialogue, Heard, Order, Outcome, Say, Wish};
use crate::reading::{Image, Logged, Moment, Qos};

/// What a test sees of a dialogue and of those who carry out its orders.
#[derive(Default)]
struct Seen {
    connected: usize,
    heard: Vec<String>,
    done: Vec<u64>,
    ordered: Vec<Order>,
    links: Vec<bool>,
    /// How often it was asked when it wants to be asked.
    asked: usize,
}

/// Says `born` first on each connection, orders what it hears on `test/do`, repeats what it hears on `test/say`.
struct Parrot {
    seen: Arc<Mutex<Seen>>,
    tag: u64,
    due: Option<i64>,
    sealed: u64,
    mute: bool,
}

fn say(topic: &str, payload: &str) -> Act {
    Act::Say(Say { topic: topic.to_owned(), payload: payload.into(), qos: Qos::AtLeastOnce, retain: false })
}

impl Dialogue for Parrot {
    fn filters(&self) -> Vec<String> {
        vec!["test/do".to_owned(), "test/say".to_owned()]
    }

    fn will(&mut self) -> Option<Say> {
        let Act::Say(will) = say("test/will", "gone") else { return None };
        Some(will)
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.seen.lock().unwrap().connected += 1;
        self.due = Some(now.since_boot);
        self.sealed = 0;
        vec![say("test/born", "1"), say("test/born", "2")]
    }

    fn heard(&mut self, message: Heard<'_>, _: Moment) -> Vec<Act> {
        let text = String::from_utf8_lossy(message.payload).into_owned();
        self.seen.lock().unwrap().heard.push(text.clone());
        if text == "renew" {
            return vec![Act::Renew];
        }
        if text == "due" {
            self.due = Some(0);
            return Vec::new();
        }
        if message.topic == "test/say" {
            self.mute = text.starts_with("mute") || (self.mute && text != "speak");
            return vec![say("test/said", &text), Act::Note(format!("heard {text}"))];
        }
        self.tag += 1;
        vec![Act::Do(Order { tag: self.tag, id: Some(text), wish: Wish::Run(Vec::new()) })]
    }

    fn done(&mut self, tag: u64, outcome: &Outcome, _: Moment) -> Vec<Act> {
        self.seen.lock().unwrap().done.push(tag);
        vec![say("test/done", &format!("{tag} {}", outcome.rc))]
    }

    fn due(&self) -> Option<i64> {
        self.seen.lock().unwrap().asked += 1;
        self.due
    }

    fn tick(&mut self, _: Moment) -> Vec<Act> {
        self.due = None;
        vec![say("test/tick", "x")]
    }

    fn seal(&mut self, _: &str, payload: &mut Vec<u8>, _: Moment) -> Vec<Say> {
        self.sealed += 1;
        payload.pop();
        payload.extend_from_slice(format!(",\"seq\":{}}}", self.sealed).as_bytes());
        let Act::Say(first) = say("test/before", "x") else { return Vec::new() };
        if self.sealed == 1 { vec![first] } else { Vec::new() }
    }

    fn holds(&self) -> bool {
        self.mute
    }

    fn leaving(&mut self, _: Moment) -> Vec<Say> {
        let Act::Say(last) = say("test/last", "word") else { return Vec::new() };
        vec![last]
    }
}

/// A bench whose publisher talks; outcomes are the test's to send.
fn talking() -> (Bench, Arc<Mutex<Seen>>, mpsc::Sender<(u64, Outcome)>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (done, outcomes) = mpsc::channel(64);
    let outcomes = Mutex::new(Some(outcomes));
    let watched = seen.clone();
    let mut bench = Bench::new();
    bench.beside.talk = Some(Arc::new(move || {
        let (orders, links) = (watched.clone(), watched.clone());
        Ok(Conversation {
            dialogue: Box::new(Parrot { seen: watched.clone(), tag: 0, due: None, sealed: 0, mute: false }),
            orders: Box::new(move |order| {
                let mut seen = orders.lock().unwrap();
                if seen.ordered.len() >= 2 {
                    return Err(order);
                }
                seen.ordered.push(order);
                Ok(())
            }),
            outcomes: outcomes.lock().unwrap().take().unwrap(),
            link: Box::new(move |up| links.lock().unwrap().links.push(up)),
        })
    }));
    (bench, seen, done)
}

/// Connections whose first words have come.
fn born(seen: &[Received]) -> usize {
    seen.iter().filter(|one| one.topic == "test/born" && one.payload == "2").count()
}

fn outcome(rc: u16) -> Outcome {
    Outcome { rc, message: String::new(), data: None }
}

/// Packet ids of SUBSCRIBEs and of what is said are in one row with those of readings: a mistake there ends the connection
/// or loses readings.
#[test]
fn talk_and_readings_share_a_connection_and_nothing_is_lost_over_its_cuts() {
    for (version, name) in BOTH.into_iter().zip(["v311", "v5"]) {
        let mut broker = TestBroker::start("");
        let (bench, seen, _done) = talking();
        let config = Mqtt { client_id: format!("talk-{name}"), ..broker.config(version) };
        let subscriber = broker.subscribe("test/#");
        let channels = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]
            .map(|qos| bench.channel(publish(&format!("test/talk/{}", qos as u8), qos)));
        let publisher = bench.start(&config);
        for round in 0..4_i64 {
            for channel in channels {
                bench.append(channel, round * 100 + 1..=round * 100 + 100);
            }
            // In the middle of it.
            bench.until("a connection", || seen.lock().unwrap().connected > round as usize);
            subscriber.until(|seen| born(seen) > round as usize);
            match round {
                0 | 2 => broker.cut(&config.client_id, version),
                1 => broker.restart(),
                _ => {}
            }
            broker.publish("test/say", &format!("round {round}"));
        }
        for level in [1, 2] {
            let topic = format!("test/talk/{level}");
            let received = has_all(&subscriber, &topic, 400);
            // mosquitto does not keep the order towards a subscriber above QoS 0.
            let mut arrived = firsts(&received, &topic);
            arrived.sort_unstable();
            assert_counts(&arrived, 1..=400);
        }
        publisher.stop(soon());
        bench.assert_delivered();
        subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/last"));
        let links = &seen.lock().unwrap().links;
        assert!(links.starts_with(&[true, false, true]) && links.last() == Some(&false), "{links:?}");
    }
}

#[test]
fn what_is_said_first_goes_before_readings_and_readings_are_sealed_in_order() {
    let broker = TestBroker::start("");
    let (bench, _seen, _done) = talking();
    let subscriber = broker.subscribe_in_order("test/#");
    let channel = bench.channel(publish("test/x", Qos::AtLeastOnce));
    bench.append(channel, 1..=50);
    let publisher = bench.start(&broker.config(BOTH[0]));
    let received = has_all(&subscriber, "test/x", 50);
    let topics: Vec<&str> = received
        .iter()
        .map(|one| &*one.topic)
        .filter(|topic| ["test/born", "test/before", "test/x"].contains(topic))
        .collect();
    assert_eq!(&topics[..4], ["test/born", "test/born", "test/before", "test/x"], "{topics:?}");
    let sequence: Vec<_> =
        received.iter().filter(|one| one.topic == "test/x").map(|one| one.field("seq")).collect();
    assert_eq!(sequence, (1..=50).map(serde_json::Value::from).collect::<Vec<_>>());
    subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/tick"));
    publisher.stop(soon());
}

/// As our own commands: acknowledged when it is done, so that one that was on its way at a cut comes again.
#[test]
fn an_order_is_acknowledged_when_it_is_done() {
    for (version, name) in BOTH.into_iter().zip(["v311", "v5"]) {
        let mut broker = TestBroker::start("");
        let (bench, seen, done) = talking();
        let config = Mqtt { client_id: format!("order-{name}"), ..broker.config(version) };
        let subscriber = broker.subscribe("test/#");
        let publisher = bench.start(&config);
        subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/born"));
        broker.publish("test/do", "first");
        bench.until("the order", || seen.lock().unwrap().ordered.len() == 1);
        // Not by a rival, who would take it.
        broker.restart();
        bench.until("the order again", || seen.lock().unwrap().ordered.len() == 2);
        let (one, again) = {
            let seen = seen.lock().unwrap();
            (seen.ordered[0].clone(), seen.ordered[1].clone())
        };
        assert_eq!((one.id.as_deref(), again.id.as_deref()), (Some("first"), Some("first")));
        done.blocking_send((one.tag, outcome(200))).unwrap();
        done.blocking_send((again.tag, outcome(200))).unwrap();
        subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/done" && one.payload == "2 200"));
        // Now it is acknowledged; a third is one too many for whoever carries out.
        broker.publish("test/do", "third");
        subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/done" && one.payload == "3 503"));
        broker.restart();
        bench.until("another connection", || seen.lock().unwrap().connected == 3);
        broker.publish("test/say", "end");
        subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/said" && one.payload == "end"));
        assert_eq!(seen.lock().unwrap().heard, ["first", "first", "third", "end"]);
        publisher.stop(soon());
    }
}

#[test]
fn the_platforms_will_is_in_place_of_ours_and_its_complaints_are_seen() {
    let broker = TestBroker::start("log_type all");
    let (bench, _seen, _done) = talking();
    let subscriber = broker.subscribe("test/#");
    let publisher = bench.start(&Mqtt { status_topic: None, ..broker.config(BOTH[0]) });
    subscriber.until(|seen| born(seen) == 1);
    broker.publish("test/say", "nonsense");
    bench.until("the complaint", || bench.board.to_string().contains("heard nonsense"));
    publisher.stop(soon());
    let log = broker.log();
    assert!(log.contains("Will message specified (4 bytes) (r0, q1)") && log.contains("test/will"), "{log}");
    assert!(subscriber.seen().iter().all(|one| !one.topic.contains("status")));
}

#[test]
fn readings_wait_while_the_platform_wants_none_and_another_connection_is_made_when_it_wants_one() {
    for (version, name) in BOTH.into_iter().zip(["v311", "v5"]) {
        let broker = TestBroker::start("");
        let (bench, seen, _done) = talking();
        let subscriber = broker.subscribe("test/#");
        let said = |words: &str| {
            broker.publish("test/say", words);
            subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/said" && one.payload == words));
        };
        let channel = bench.channel(publish("test/x", Qos::AtLeastOnce));
        let config = Mqtt { client_id: format!("wait-{name}"), clean: true, ..broker.config(version) };
        let publisher = bench.start(&config);
        subscriber.until(|seen| born(seen) == 1);
        said("mute");
        bench.append(channel, 1..=20);
        bench.until("commit", || *bench.log.committed().borrow() == 20);
        said("still");
        assert!(subscriber.seen().iter().all(|one| one.topic != "test/x"));
        said("speak");
        has_all(&subscriber, "test/x", 20);
        broker.publish("test/say", "renew");
        subscriber.until(|seen| born(seen) == 2 && seen.iter().any(|one| one.topic == "test/will"));
        assert_eq!(seen.lock().unwrap().connected, 2);
        // Leaving does not wait for what nobody takes, and it is not lost.
        said("mute again");
        bench.append(channel, 21..=25);
        bench.until("commit", || *bench.log.committed().borrow() == 25);
        publisher.stop(soon());
        assert_eq!(bench.log.delivery().unwrap().cursor, 20);
    }
}

/// The log on a disk that takes nothing while it is full.
struct Full {
    log: LogOutbox,
    full: Arc<AtomicBool>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Outbox for Full {
    fn state(&mut self) -> Result<DeliveryState, LogError> {
        self.log.state()
    }

    fn committed(&self) -> watch::Receiver<i64> {
        self.log.committed()
    }

    fn outgoing(&mut self, after: i64, until: i64, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.log.outgoing(after, until, limit)
    }

    fn image(&mut self, row: i64) -> Result<Option<Image>, LogError> {
        self.log.image(row)
    }

    fn save(&mut self, update: DeliveryUpdate, urgency: Urgency) -> Result<oneshot::Receiver<()>, LogError> {
        if !self.full.load(Ordering::Relaxed) {
            return self.log.save(update, urgency);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push(sender);
        Ok(receiver)
    }
}

#[test]
fn a_platform_that_is_due_while_the_disk_is_full_is_not_asked_over_and_over() {
    let broker = TestBroker::start("");
    let (bench, seen, _done) = talking();
    let subscriber = broker.subscribe("test/#");
    let channel = bench.channel(publish("test/x", Qos::ExactlyOnce));
    let full = Arc::new(AtomicBool::new(false));
    let (log, is_full) = (bench.log.clone(), full.clone());
    let open = move || {
        Ok(Full { log: LogOutbox::open(log.clone(), None)?, full: is_full.clone(), waiting: Vec::new() })
    };
    let (config, beside) = (broker.config(BOTH[0]), bench.beside.clone());
    let tuning = Tuning::default();
    let publisher =
        Publisher::start_with(config, ClockPolicy::Mark, tuning, open, &bench.board, beside).unwrap();
    subscriber.until(|seen| seen.iter().any(|one| one.topic == "test/tick"));
    full.store(true, Ordering::Relaxed);
    bench.append(channel, 1..=1);
    std::thread::sleep(Duration::from_millis(300));
    broker.publish("test/say", "due");
    bench.until("the word", || seen.lock().unwrap().heard.contains(&"due".to_owned()));
    let before = seen.lock().unwrap().asked;
    std::thread::sleep(Duration::from_millis(500));
    let asked = seen.lock().unwrap().asked - before;
    assert!(asked < 20, "{asked} times in half a second");
    publisher.stop(Instant::now() + Duration::from_millis(200));
}
