//! How it connects: TLS, tokens that expire, and words for what is wrong.

use std::time::{Duration, Instant};

use crate::config::{self, Mqtt};
use crate::mqtt::testing::*;
use crate::reading::Qos;
use crate::status::State;

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
    let (broker, authority) = TestBroker::start_encrypted();
    for version in BOTH {
        let mut config = broker.config(version);
        config.broker.transport = config::Transport::Tls;
        config.broker.tls.trust = config::Trust::Authorities(authority.clone());
        let bench = Bench::new();
        let channel = bench.channel(publish("test/n", Qos::ExactlyOnce));
        let publisher = bench.start(&config);
        bench.append(channel, 1..=50);
        bench.until("delivery", || bench.figure("published") == 50);
        publisher.stop(soon());
        bench.assert_delivered();

        // The system's authorities do not know this one.
        config.broker.tls.trust = config::Trust::System;
        let bench = Bench::new();
        let publisher = bench.start(&config);
        bench.until("failure", || matches!(bench.state(), State::Failed(_)));
        let failure = bench.state().to_string();
        assert!(failure.contains("TLS: ") && failure.contains("mqtt.tls.ca_file"), "{failure}");
        publisher.stop(Instant::now());
    }
}

#[test]
fn a_token_is_renewed_without_a_message_lost_or_repeated() {
    let broker = TestBroker::start("");
    let subscriber = broker.subscribe_in_order("test/#");
    for version in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let mut config = broker.config(version);
        let (credentials, asked) = fleeting(folder.path());
        config.credentials = credentials;
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
        let asked = std::fs::read_to_string(asked).unwrap().lines().count();
        assert!(asked >= 5, "{asked}");
    }
}
