//! What arrives, in every quality of service and shape, and in which order.

use std::time::Duration;

use crate::config::{Mqtt, MqttVersion};
use crate::mqtt::testing::*;
use crate::reading::{Channel, Publish, Qos, Reading, Shape, Value, ValueKind};
use crate::status::State;

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
    has_all(&subscriber, "test/n", 2000);
    assert_eq!(bench.state(), State::Stopped);
}
