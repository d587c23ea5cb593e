//! What an attempt to reach the broker has met, with the remedy.

use super::Verdict;
use crate::config::Mqtt;
use crate::mqtt::failure::Failure;
use crate::mqtt::probe::Obstacle;

pub(super) fn verdict(mqtt: &Mqtt, probed: Result<(), Obstacle>) -> Verdict {
    let about = "broker";
    let broker = &mqtt.broker;
    match probed {
        Ok(()) => Verdict::well(about, format!("{broker} lets us in as {}", mqtt.client_id)),
        Err(Obstacle::ThrownOut(why)) => {
            let what =
                format!("{broker} let us in as {} and ended the connection: {}", mqtt.client_id, brief(&why));
            let remedy =
                "most likely another client has this id: give each its own device.id or mqtt.client_id";
            Verdict::trouble(about, what, remedy)
        }
        Err(Obstacle::NotIn(why)) => {
            Verdict::trouble(about, format!("{broker}: {}", brief(&why)), remedy(mqtt, &why))
        }
    }
}

/// A failure's words without the advice at their end, which stands in a place of its own here.
fn brief(why: &Failure) -> String {
    let text = why.to_string();
    text.split_once("; ").map_or(text.clone(), |(what, _)| what.to_owned())
}

fn remedy(mqtt: &Mqtt, why: &Failure) -> String {
    let text = why.to_string();
    if let Some((_, advice)) = text.split_once("; ") {
        return advice.to_owned();
    }
    match why {
        Failure::Unreachable => "check cable, Wi-Fi and routes: ip route get shows the way".to_owned(),
        Failure::TimedOut => {
            format!("is {} right, and no firewall between? ping {}", mqtt.broker, mqtt.broker.host)
        }
        Failure::Tls(_) => "see what it shows: openssl s_client -connect HOST:PORT".to_owned(),
        Failure::WebSocket(_) => "check the path in mqtt.url; brokers listen at /mqtt".to_owned(),
        Failure::Lost(_) => {
            "is it MQTT that listens there, and TLS if mqtt.url says so? see the broker's log".to_owned()
        }
        _ => "see the broker's log".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn mqtt() -> Mqtt {
        let yaml =
            "device: {id: pi}\nmqtt: {url: \"mqtts://broker.example\"}\nsensors: [{id: s, driver: sim}]";
        crate::config::parse(yaml, std::iter::empty()).unwrap().mqtt.unwrap()
    }

    #[test]
    fn each_obstacle_has_a_remedy() {
        let tls = |text: &str| Obstacle::NotIn(Failure::Tls(text.to_owned()));
        for (obstacle, what, remedy) in [
            (Obstacle::NotIn(Failure::Refused), "no broker listens there", "start the broker"),
            (Obstacle::NotIn(Failure::NameNotFound("x".into())), "name was not found", "check mqtt.url"),
            (Obstacle::NotIn(Failure::TimedOut), "does not answer", "ping broker.example"),
            (Obstacle::NotIn(Failure::Credentials), "bad user name", "mqtt.password_file"),
            (Obstacle::NotIn(Failure::NotAuthorised), "not authorised", "access rules"),
            (Obstacle::NotIn(Failure::Unreachable), "cannot be reached", "ip route"),
            (tls("certificate expired; check the certificate's dates"), "expired", "dates"),
            (tls("something else"), "something else", "openssl"),
            (
                Obstacle::ThrownOut(Failure::TakenOver),
                "another client uses the same client id",
                "another client",
            ),
            (
                Obstacle::ThrownOut(Failure::Lost("closed".into())),
                "let us in as sensor-bridge-pi",
                "device.id",
            ),
        ] {
            let verdict = verdict(&mqtt(), Err(obstacle));
            let State::Trouble { remedy: said } = &verdict.state else { panic!("{verdict:?}") };
            assert!(verdict.what.contains(what) && said.contains(remedy), "{verdict:?}");
            assert!(!verdict.what.contains("; "), "{verdict:?}");
        }
        assert!(!verdict(&mqtt(), Ok(())).is_trouble());
    }
}
