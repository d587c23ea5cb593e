//! What the bridge says of itself beside its readings: its status, its last will, its report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::config::Mqtt;
use crate::mqtt::report::Report;
use crate::mqtt::session::tests::vanish;
use crate::mqtt::testing::*;
use crate::reading::Qos;
use crate::status::State;

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
        vanish(&config);
        assert_eq!(subscriber.until(|seen| !seen.is_empty())[0].payload, "offline");
        drop(subscriber);
        broker.forget();
        broker.restart();
    }
}
