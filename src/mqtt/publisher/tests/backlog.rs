//! What has gathered goes out beside the live readings, or no faster than the platform takes it.

use std::time::{Duration, Instant};

use crate::config::{Backlog, Mqtt, MqttVersion};
use crate::mqtt::testing::*;
use crate::reading::{Publish, Qos};

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
