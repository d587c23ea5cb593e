//! A message that cannot be sent, or that the broker does not take, does not stop the rest.

use crate::config::{Mqtt, MqttVersion};
use crate::mqtt::testing::*;
use crate::reading::{Channel, Qos, ValueKind};
use crate::status::State;

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
