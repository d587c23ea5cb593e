//! One attempt to connect, for whoever wants to know what is in the way. Publishes and subscribes nothing,
//! and tries once.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::access;
use super::connection::{Connection, Dead, Event, Parameters, Requests};
use super::failure::Failure;
use super::v4::V4;
use super::v5::V5;
use crate::config::{Mqtt, MqttVersion};

/// Name look-up, TCP, TLS and CONNACK together. The library's own limit is for the connection alone.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a connection under our own id is kept, to see whether another client with that id takes it:
/// most clients come back within a second.
const STAY: Duration = Duration::from_secs(3);

/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Under which client id to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// That of the publisher. Throws out whoever is connected under it, so only while no bridge runs. The
    /// broker's session is left as it is.
    Ours,
    /// One of its own, which the broker forgets.
    Visitor,
}

/// What was in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// No connection.
    NotIn(Failure),
    /// The broker let us in, and the connection ended within seconds.
    ThrownOut(Failure),
}

/// Connects once and leaves.
pub(crate) fn probe(config: &Mqtt, identity: Identity) -> Result<(), Obstacle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Obstacle::NotIn(Failure::Lost(error.to_string())))?;
    match config.version {
        MqttVersion::V311 => runtime.block_on(visit::<V4>(config, identity)),
        MqttVersion::V5 => runtime.block_on(visit::<V5>(config, identity)),
    }
}

async fn visit<C: Connection>(config: &Mqtt, identity: Identity) -> Result<(), Obstacle> {
    let ours = identity == Identity::Ours;
    let parameters = Parameters {
        client_id: if ours { config.client_id.clone() } else { format!("{}-doctor", config.client_id) },
        clean: !ours,
        will: None,
        manual_acks: false,
        capacity: 8,
        slots: 1,
    };
    let access = access::fetch(config).await.map_err(Obstacle::NotIn)?;
    let mut connection = C::open(config, &parameters, access.as_ref()).map_err(Obstacle::NotIn)?;
    match timeout(LIMIT, until_connected(&mut connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(dead)) => return Err(Obstacle::NotIn(dead.why)),
        Err(_) => return Err(Obstacle::NotIn(Failure::TimedOut)),
    }
    if ours {
        let end = Instant::now() + STAY;
        while let Ok(polled) = timeout_at(end, connection.poll()).await {
            match polled {
                Ok(Event::Disconnected(why)) => return Err(Obstacle::ThrownOut(why)),
                Ok(_) => {}
                Err(dead) => return Err(Obstacle::ThrownOut(reason(dead))),
            }
        }
    }
    // An end without DISCONNECT is as good, there is no will; it only stands in the broker's log as an error.
    if connection.requests().try_disconnect().is_ok() {
        let end = Instant::now() + FAREWELL;
        while let Ok(Ok(_)) = timeout_at(end, connection.poll()).await {}
    }
    Ok(())
}

async fn until_connected<C: Connection>(connection: &mut C) -> Result<(), Dead> {
    loop {
        if let Event::Connected(_) = connection.poll().await? {
            return Ok(());
        }
    }
}

/// What the broker said before it closed tells more than that it closed.
fn reason(dead: Dead) -> Failure {
    let said = dead.last.into_iter().find_map(|event| match event {
        Event::Disconnected(why) => Some(why),
        _ => None,
    });
    said.unwrap_or(dead.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;
    use crate::mqtt::testing::TestBroker;

    fn in_both(config: &Mqtt, mut test: impl FnMut(&Mqtt)) {
        for version in [MqttVersion::V311, MqttVersion::V5] {
            test(&Mqtt { version, ..config.clone() });
        }
    }

    #[test]
    fn a_broker_that_is_there_lets_us_in() {
        let broker = TestBroker::start("");
        in_both(&broker.config(MqttVersion::V5), |config| {
            assert_eq!(probe(config, Identity::Visitor), Ok(()));
        });
        assert!(!broker.log().contains("error"), "{}", broker.log());
    }

    #[test]
    fn nobody_there_and_credentials_refused() {
        let mut broker = TestBroker::start_with(
            "allow_anonymous false\npassword_file {dir}/passwords",
            &[("passwords", "")],
        );
        in_both(&broker.config(MqttVersion::V5), |config| {
            let refused = probe(config, Identity::Visitor);
            assert!(
                matches!(refused, Err(Obstacle::NotIn(Failure::NotAuthorised | Failure::Credentials))),
                "{refused:?}"
            );
        });
        broker.stop();
        let config = broker.config(MqttVersion::V5);
        assert_eq!(probe(&config, Identity::Visitor), Err(Obstacle::NotIn(Failure::Refused)));
    }

    #[test]
    fn a_certificate_for_another_name_is_named() {
        let (broker, ca) = TestBroker::start_encrypted();
        let mut config = broker.config(MqttVersion::V5);
        config.broker.transport = Transport::Tls;
        config.broker.tls.trust = crate::config::Trust::Authorities(ca);
        // The system takes this for 127.0.0.1 (inet_aton(3)), TLS for a name, which the certificate has not.
        config.broker.host = "127.0.0.0x1".to_owned();
        let Err(Obstacle::NotIn(Failure::Tls(why))) = probe(&config, Identity::Visitor) else { panic!() };
        assert!(why.contains("not valid for name"), "{why}");
        assert!(why.contains("mqtt.url"), "{why}");
    }

    #[test]
    fn another_client_with_our_id_is_noticed() {
        let broker = TestBroker::start("");
        in_both(&broker.config(MqttVersion::V5), |config| {
            let rival = Parameters {
                client_id: config.client_id.clone(),
                clean: true,
                will: None,
                manual_acks: false,
                capacity: 8,
                slots: 1,
            };
            let done = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                // Comes back whenever it is thrown out, as clients do.
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        while !done.load(std::sync::atomic::Ordering::Relaxed) {
                            let mut connection = V4::open(config, &rival, None).unwrap();
                            let tick = Duration::from_millis(300);
                            while let Ok(Ok(_)) = timeout(tick, connection.poll()).await {}
                        }
                    });
                });
                let thrown_out = probe(config, Identity::Ours);
                done.store(true, std::sync::atomic::Ordering::Relaxed);
                // On 5.0 with a reason, unless the end of the connection overtakes it.
                assert!(matches!(thrown_out, Err(Obstacle::ThrownOut(_))), "{thrown_out:?}");
            });
        });
    }
}
