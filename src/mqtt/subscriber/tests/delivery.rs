//! What arrives: every filter, quality of service and size, once and in order.

use std::collections::HashMap;
use std::fs;

use super::*;
use crate::mqtt::testing::{BOTH, fleeting};

#[test]
fn every_qos_wildcard_and_version_arrives_once_and_in_order() {
    for version in BOTH {
        let house = House::new(version, "");
        house.broker.publish_by(&["-t", "a/old/t", "-r", "-m", "kept"], b"");
        let subscriber = house.sqlite(&["a/+/t", "b/#", "$share/group/c/#"], Qos::ExactlyOnce);
        for qos in 0..3 {
            house.broker.lines(&format!("a/{qos}/t"), qos, numbers(0..500));
        }
        house.broker.publish("b", "parent");
        house.broker.publish_by(&["-t", "b/x/y", "-q", "1", "-n"], b"");
        house.broker.publish_by(&["-t", "b/binary", "-q", "2", "-s"], &[0, 255, 10, 34]);
        house.broker.publish("c/shared", "shared");
        house.broker.publish("a/x/not", "not subscribed");
        house.broker.publish("b/end", "end");
        until("all is stored", || house.count() >= 1506);
        until("every hand-shake is finished", || house.log.mirror_state("m").unwrap().held.is_empty());
        subscriber.stop();
        assert_eq!(house.state(), State::Stopped);
        assert_eq!(house.count(), 1506);
        for qos in 0..3 {
            assert_eq!(house.payloads(&format!("a/{qos}/t")), numbers(0..500), "QoS {qos}, {version:?}");
            let sql = format!("SELECT DISTINCT qos FROM messages WHERE topic = 'a/{qos}/t'");
            assert_eq!(house.query::<i64>(&sql), [i64::from(qos)]);
        }
        assert_eq!(house.query::<String>("SELECT topic FROM messages WHERE retained"), ["a/old/t"]);
        assert_eq!(house.payloads("b/x/y"), [""]);
        assert_eq!(
            house.query::<Vec<u8>>("SELECT CAST(payload AS BLOB) FROM messages WHERE topic = 'b/binary'"),
            [vec![0, 255, 10, 34]]
        );
        assert_eq!((house.figure("received"), house.figure("stored")), (1506, 1506));
    }
}

#[test]
fn own_repeats_are_dropped_and_counted() {
    let house = House::new(MqttVersion::V311, "");
    let subscriber = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    let own = |row: usize| format!("{{\"id\":\"3f9c2a1b-{row}\",\"value\":{row}}}");
    house.broker.lines("t/a", 1, [1, 2, 2, 1, 3].map(own));
    house.broker.lines("t/b", 1, [1].map(own));
    until("all is received", || house.figure("stored") + house.figure("repeats") >= 6);
    subscriber.stop();
    assert_eq!(house.payloads("t/a"), [1, 2, 3].map(own));
    assert_eq!(house.payloads("t/b"), [1].map(own));
    assert_eq!(house.figure("repeats"), 2);
}

#[test]
fn twenty_megabytes_arrive_and_more_than_allowed_is_shown() {
    for version in BOTH {
        let house = House::new(version, "");
        let big: Vec<u8> =
            (0..20 << 20).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let path = house.path().join("big");
        fs::write(&path, &big).unwrap();
        let subscriber = house.sqlite(&["t/#"], Qos::ExactlyOnce);
        house.broker.publish_by(&["-t", "t/big", "-q", "2", "-f", path.to_str().unwrap()], b"");
        until("it is stored", || house.count() == 1);
        let stored = house.query::<Vec<u8>>("SELECT CAST(payload AS BLOB) FROM messages");
        assert!(stored[0] == big);
        subscriber.stop();
    }
    // On 3.1.1 only: a 5.0 broker is told the limit and drops what is larger.
    let house = House::new(MqttVersion::V311, "");
    let mqtt = Mqtt { max_packet_size: 1000, ..house.mqtt() };
    let mirror = house.mirror(&["t/#"], Qos::AtLeastOnce, SQLITE);
    let subscriber = start(&mqtt, &mirror, house.log.clone(), &house.board).unwrap();
    house.subscribed(&["t/#"]);
    house.broker.lines("t/x", 1, ["x".repeat(2000)]);
    until("it is shown", || matches!(house.state(), State::Failed(why) if why.contains("max_packet_size")));
    subscriber.stop();
    // What to do is said there; then it arrives.
    let subscriber = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    until("it is stored", || house.count() == 1);
    subscriber.stop();
}

#[test]
fn two_mirrors_do_not_throw_each_other_out() {
    let house = House::new(MqttVersion::V311, "");
    let one = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    let mut mirror = house.mirror(&["t/#"], Qos::AtLeastOnce, SQLITE);
    mirror.id = "n".into();
    let two = start(&house.mqtt(), &mirror, house.log.clone(), &house.board).unwrap();
    until("it is subscribed", || !house.log.mirror_state("n").unwrap().subscribed.is_empty());
    house.broker.lines("t/x", 1, numbers(0..10));
    until("both have all", || house.count() == 20);
    one.stop();
    two.stop();
    let counts: HashMap<String, i64> = ["m", "n"]
        .into_iter()
        .map(|id| (id.to_owned(), house.board.part(&format!("mirror {id}")).figure("reconnects").get()))
        .collect();
    assert_eq!(counts.values().sum::<i64>(), 0);
}

#[test]
fn a_token_is_renewed_without_a_message_lost_or_stored_twice() {
    for version in BOTH {
        let house = House::new(version, "");
        let (credentials, asked) = fleeting(house.path());
        let mqtt = Mqtt { credentials, ..house.mqtt() };
        let mirror = house.mirror(&["a/#"], Qos::AtLeastOnce, SQLITE);
        let subscriber = start(&mqtt, &mirror, house.log.clone(), &house.board).unwrap();
        house.subscribed(&["a/#"]);
        let mut sent = 0;
        while fs::read_to_string(&asked).unwrap().lines().count() < 5 {
            house.broker.lines("a/t", 1, numbers(sent..sent + 50));
            sent += 50;
        }
        until("all is stored", || house.count() >= sent as i64);
        subscriber.stop();
        assert_eq!(house.payloads("a/t"), numbers(0..sent));
    }
}
