//! The broker is away, or we are: what comes meanwhile is neither lost nor stored twice.

use std::time::Instant;

use super::*;
use crate::mqtt::testing::BOTH;

#[test]
fn what_comes_while_it_is_away_waits_on_the_broker() {
    for version in BOTH {
        let house = House::new(version, "");
        house.sqlite(&["t/#"], Qos::ExactlyOnce).stop();
        house.broker.lines("t/1", 1, numbers(0..200));
        house.broker.lines("t/2", 2, numbers(0..200));
        let subscriber = house.sqlite(&["t/#"], Qos::ExactlyOnce);
        until("all is stored", || house.count() >= 400);
        subscriber.stop();
        assert_eq!(house.payloads("t/1"), numbers(0..200), "{version:?}");
        assert_eq!(house.payloads("t/2"), numbers(0..200), "{version:?}");
    }
}

#[test]
fn a_broker_that_restarts_in_the_midst_costs_nothing_and_repeats_nothing_of_qos_2() {
    for version in BOTH {
        let mut house = House::new(version, WIDE_WINDOW);
        let subscriber = house.sqlite(&["t/#"], Qos::ExactlyOnce);
        for round in 0..3 {
            let range = round * 300..(round + 1) * 300;
            house.broker.lines("t/2", 2, numbers(range.clone()));
            let own = range.map(|row| format!("{{\"id\":\"3f9c2a1b-{}\",\"value\":{row}}}", row + 1));
            house.broker.lines("t/1", 1, own);
            house.broker.stop();
            until("the loss is shown", || matches!(house.state(), State::Failed(_)));
            house.broker.restart();
            until("it is back", || house.state() == State::Ok);
        }
        until("all is stored", || house.count() >= 1800);
        subscriber.stop();
        assert_eq!(house.payloads("t/2"), numbers(0..900), "{version:?}");
        assert_eq!(house.payloads("t/1").len(), 900, "{version:?}");
        assert!(house.figure("reconnects") >= 3);
    }
}

#[test]
fn a_broker_that_has_forgotten_us_is_subscribed_to_again() {
    let mut house = House::new(MqttVersion::V311, "");
    let subscriber = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    house.broker.forget();
    house.broker.restart();
    until("it is back", || {
        house.broker.publish("t/x", "again");
        house.count() > 0
    });
    subscriber.stop();
}

#[test]
fn a_broker_that_is_away_is_shown_and_the_end_does_not_wait_for_it() {
    let mut house = House::new(MqttVersion::V311, "");
    house.broker.stop();
    let subscriber = house.start(&["t/#"], Qos::AtLeastOnce, SQLITE);
    until(
        "it is shown",
        || matches!(house.state(), State::Failed(why) if why.contains(&house.broker.port.to_string())),
    );
    let begun = Instant::now();
    subscriber.stop();
    assert!(begun.elapsed() < Duration::from_secs(2));
}
