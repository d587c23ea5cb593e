//! The broker goes and comes, the connection is cut: nothing is lost, and QoS 2 repeats nothing.

use std::collections::BTreeMap;

use crate::config::MqttVersion;
use crate::mqtt::testing::*;
use crate::reading::{Publish, Qos};
use crate::status::State;

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
