//! The tools of the other tests, tested against the real mosquitto.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::collections::HashSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::wire::{Packet, Wire};
use support::{
    AckedPublisher, Message, Mosquitto, Port, Proxy, Publisher, Seed, Subscriber, WIDE_WINDOW, wait_until,
};

const SOON: Duration = Duration::from_secs(20);

fn numbered(number: u64) -> (String, String) {
    ("out/numbers".to_owned(), number.to_string())
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.payload.parse().unwrap()).collect()
}

#[test]
fn reserved_ports_differ() {
    let ports: Vec<Port> = (0..500).map(|_| Port::reserve()).collect();
    let distinct: HashSet<u16> = ports.iter().map(Port::number).collect();
    assert_eq!(distinct.len(), ports.len());
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let events = |seed| {
        let mut seed = Seed::fixed(seed);
        (0..100).map(|_| seed.below(10)).collect::<Vec<_>>()
    };
    assert_eq!(events(7), events(7));
    assert_ne!(events(7), events(8));
    assert_eq!(events(7).into_iter().collect::<HashSet<_>>().len(), 10, "every event comes up");
}

#[test]
fn a_publisher_reaches_a_subscriber() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["a/#", "b"], 2);
    let mut publisher = Publisher::start(broker.port(), "a/b", 2);
    publisher.publish("first\twith a tab");
    publisher.publish("second");
    publisher.finish(SOON);
    let expected =
        |payload: &str| Message { topic: "a/b".into(), qos: 2, retained: false, payload: payload.into() };
    subscriber.wait_for(2, SOON);
    assert_eq!(subscriber.finish(), [expected("first\twith a tab"), expected("second")]);
}

#[test]
fn a_retained_message_is_seen_as_such() {
    let broker = Mosquitto::start();
    Publisher::once(broker.port(), "state", &["-r", "-q", "1", "-m", "on"]);
    let subscriber = Subscriber::start(broker.port(), &["state"], 1);
    let message = subscriber.wait_for_one(SOON, |message| message.topic == "state");
    assert!(message.retained);
    assert_eq!(message.payload, "on");
}

#[test]
fn options_of_the_test_win() {
    let broker = Mosquitto::with("max_queued_messages 5\nmax_inflight_messages 3");
    let config = std::fs::read_to_string(broker.folder().join("mosquitto.conf")).unwrap();
    assert_eq!(config.matches("max_queued_messages").count(), 1, "{config}");
}

#[test]
fn a_killed_broker_comes_back_with_what_it_acknowledged() {
    let mut broker = Mosquitto::start();
    Subscriber::persistent(broker.port(), "absent", &["out/#"], 1).finish();
    let publisher = AckedPublisher::start(broker.port(), "outside", 1, Duration::ZERO, numbered);
    wait_until(SOON, "a hundred acknowledged", || publisher.count() >= 100);
    assert!(publisher.pause(SOON));
    let acknowledged = publisher.count() as u64;
    // The last change reaches its disk in the next turn of mosquitto's loop.
    std::thread::sleep(Duration::from_millis(300));
    broker.kill();
    assert!(TcpStream::connect(("127.0.0.1", broker.port())).is_err());
    broker.resume();
    let subscriber = Subscriber::persistent(broker.port(), "absent", &["out/#"], 1);
    let messages = subscriber.wait_for(acknowledged as usize, SOON);
    assert_eq!(numbers(&messages), (0..acknowledged).collect::<Vec<_>>());
}

/// The mirror's chaos test rests on this: a broker that is stopped, or killed after it has saved, knows of every
/// hand-shake with a subscriber how far it has come. (With its own window of 20, mosquitto 2.0.11 does not.)
#[test]
fn hand_shakes_outlive_the_broker() {
    const COUNT: usize = 60;
    for kill in [false, true] {
        let mut broker = Mosquitto::with(WIDE_WINDOW);
        let (mut wire, _) = Wire::connect(broker.port(), "half-way", false).unwrap();
        wire.subscribe("out/#", 2).unwrap();
        let publisher = AckedPublisher::start(broker.port(), "outside", 2, Duration::ZERO, numbered);
        let mut ids = Vec::new();
        while ids.len() < COUNT {
            match wire.receive(SOON).unwrap() {
                Some(Packet::Publish { id, .. }) => ids.push(id),
                other => panic!("instead of a PUBLISH: {other:?}"),
            }
        }
        assert!(publisher.pause(SOON));
        // All at once: the broker takes its time with them, and is told to save before it is through.
        ids.iter().for_each(|id| wire.pubrec(*id));
        wire.flush().unwrap();
        broker.save();
        if kill {
            broker.kill();
            broker.resume();
        } else {
            broker.restart();
        }
        let (mut wire, session_present) = Wire::connect(broker.port(), "half-way", false).unwrap();
        assert!(session_present);
        let mut again = Vec::new();
        while again.len() < COUNT {
            match wire.receive(SOON).unwrap() {
                Some(Packet::PubRel(id)) => again.push(id),
                Some(Packet::Publish { id, .. }) => {
                    assert!(!ids.contains(&id), "{id} sent again (kill: {kill})");
                }
                other => panic!("instead of a PUBREL: {other:?} (kill: {kill})"),
            }
        }
        assert_eq!(again, ids);
    }
}

/// The heart of the mirror's chaos test rests on this: what `finish` answers, the broker has.
#[test]
fn the_publisher_that_knows_resumes_over_restarts() {
    for qos in [1, 2] {
        let mut broker = Mosquitto::start();
        let subscriber = Subscriber::persistent(broker.port(), "witness", &["out/#"], 2);
        let publisher = AckedPublisher::start(broker.port(), "outside", qos, Duration::ZERO, numbered);
        for round in 1..=3 {
            let goal = publisher.count() + 50;
            wait_until(SOON, "fifty more acknowledged", || publisher.count() >= goal);
            broker.restart();
            wait_until(SOON, "connected again", || publisher.connections() > round);
        }
        let sent = publisher.finish(SOON);
        let seen =
            || subscriber.messages().iter().map(|message| message.payload.clone()).collect::<HashSet<_>>();
        wait_until(SOON, "everything acknowledged arrives", || {
            let seen = seen();
            sent.iter().all(|message| seen.contains(&message.payload))
        });
        assert_eq!(sent.len(), sent.iter().map(|message| &message.payload).collect::<HashSet<_>>().len());
        let mut received = numbers(&subscriber.finish());
        if qos == 1 {
            // The broker resends what was in flight to the subscriber: repeats, never out of order.
            let mut known = HashSet::new();
            received.retain(|number| known.insert(*number));
        }
        assert_eq!(received, (0..sent.len() as u64).collect::<Vec<_>>(), "QoS {qos}");
    }
}

fn echo_through(wire: &mut Wire, text: &str, limit: Duration) -> std::io::Result<bool> {
    wire.publish("echo", text.as_bytes(), 0, 0, false);
    wire.flush()?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        match wire.receive(end.saturating_duration_since(Instant::now()))? {
            Some(Packet::Publish { payload, .. }) if payload == text.as_bytes() => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

fn connect_through(proxy: &Proxy, id: &str) -> Wire {
    let (mut wire, _) = Wire::connect(proxy.port(), id, true).unwrap();
    wire.subscribe("echo", 0).unwrap();
    assert!(echo_through(&mut wire, "before", SOON).unwrap());
    wire
}

#[test]
fn a_cut_resets_what_is_open_and_lets_new_connections_in() {
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let mut wire = connect_through(&proxy, "one");
    proxy.cut();
    assert!(wire.receive(SOON).is_err(), "the connection is over");
    connect_through(&proxy, "two");
    wait_until(SOON, "the broker notices", || {
        broker.log().contains("Client one closed its connection")
            || broker.log().contains("Socket error on client one")
    });
}

#[test]
fn a_stall_delays_and_loses_nothing() {
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let mut wire = connect_through(&proxy, "one");
    proxy.stall();
    let payload = "x".repeat(200_000);
    wire.publish("echo", payload.as_bytes(), 0, 0, false);
    wire.flush().unwrap();
    assert_eq!(wire.receive(Duration::from_millis(200)).unwrap(), None);
    proxy.resume();
    let arrived = wire.receive(SOON).unwrap();
    assert!(matches!(arrived, Some(Packet::Publish { payload: ref got, .. }) if got == payload.as_bytes()));
}

#[test]
fn a_half_open_connection_stays_dead_and_says_nothing() {
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let mut old = connect_through(&proxy, "old");
    proxy.half_open();
    assert!(!echo_through(&mut old, "lost", Duration::from_millis(200)).unwrap());
    proxy.resume();
    assert!(!echo_through(&mut old, "lost as well", Duration::from_millis(200)).unwrap());
    connect_through(&proxy, "new");
}

#[test]
fn a_refusing_proxy_refuses_until_it_resumes() {
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let mut wire = connect_through(&proxy, "one");
    proxy.refuse();
    assert!(wire.receive(SOON).is_err(), "the connection is over");
    wait_until(SOON, "nobody listens", || TcpStream::connect(("127.0.0.1", proxy.port())).is_err());
    proxy.resume();
    wait_until(SOON, "somebody listens", || TcpStream::connect(("127.0.0.1", proxy.port())).is_ok());
    connect_through(&proxy, "two");
}
