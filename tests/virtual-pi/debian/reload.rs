//! A configuration that changes under the service: taken over without a new process if it is good, refused if it is
//! not, and said once, not tried again, if the service is to start with it.

use std::time::Duration;

use super::{CONFIG, LONG, arrives, boot, config, follows, is, journal, property};
use crate::support::{Mosquitto, Subscriber, holds_within};

#[test]
#[ignore = "needs an emulator: make virtual-pi-systemd"]
fn a_good_configuration_is_taken_over_and_a_bad_one_is_not() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let mut pi = boot();
    pi.put(CONFIG, config(&broker, "").as_bytes());
    pi.long("systemctl reload sensor-bridge", LONG);
    follows(&mut pi, &subscriber, 24.5);
    let pid = property(&mut pi, "MainPID");
    is(&mut pi, "NRestarts", "0");

    let another = "  - { id: another, driver: sim, scenario: constant, interval: 1s }\n";
    pi.put(CONFIG, config(&broker, another).as_bytes());
    pi.long("systemctl reload sensor-bridge", LONG);
    arrives(&mut pi, &subscriber, "the new sensor", |message| message.topic.starts_with("t/pi/another/"));
    is(&mut pi, "MainPID", &pid);

    // Asked to go over to a bad one, it says so and goes on.
    let bad = config(&broker, another).replace("sensors:", "sensrs:");
    pi.put(CONFIG, bad.as_bytes());
    pi.long("systemctl reload sensor-bridge", LONG);
    pi.wait_until("an error in the journal", |pi| journal(pi, "err").contains("configuration not changed"));
    follows(&mut pi, &subscriber, 25.5);
    is(&mut pi, "MainPID", &pid);

    // To start with it would be of no use, now or later.
    let started = pi.ask("systemctl restart sensor-bridge >/dev/null 2>&1; echo $?");
    assert_ne!(started, "0");
    let failed = holds_within(LONG, || property(&mut pi, "ActiveState") == "failed");
    assert!(failed, "{}", pi.last_words());
    is(&mut pi, "ExecMainStatus", "78");
    assert!(journal(&mut pi, "info").contains(r#"did you mean "sensors""#), "{}", pi.last_words());
    let starts = |pi: &mut crate::pi::Pi| journal(pi, "info").matches("did you mean").count();
    let before = starts(&mut pi);
    // Five times the pause after which anything else would be tried again.
    std::thread::sleep(Duration::from_secs(10));
    is(&mut pi, "ActiveState", "failed");
    is(&mut pi, "NRestarts", "0");
    assert_eq!(starts(&mut pi), before);

    pi.put(CONFIG, config(&broker, another).as_bytes());
    pi.long("systemctl start sensor-bridge", LONG);
    follows(&mut pi, &subscriber, 26.5);
}
