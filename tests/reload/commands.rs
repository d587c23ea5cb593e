//! A reload by command, and what it does to the connection that the command came by.

use std::path::Path;

use serde_json::Value;

use crate::house::{FAN, ask, command, house};
use crate::support::{Bridge, Mosquitto, Publisher, Subscriber, wait_until};
use crate::{SOON, assert_goes_on, reload};

#[test]
fn a_reload_can_be_commanded_and_is_answered_whatever_it_changes() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    let bridge_of = |folder: &Path, keep_alive: &str, allow: &str, rest: &str| {
        house(folder, &broker, keep_alive, FAN, allow, rest)
    };
    let mut bridge = Bridge::start(|folder| bridge_of(folder, "30s", "fan", ""));
    let mut number = 0;
    let mut command = |topic: &str| {
        number += 1;
        let said = ask(&broker, &witness, topic, &format!("n{number}"), "\"action\":\"reload\"");
        (said["rc"].as_u64().unwrap(), said["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(command("c/pi"), (403, "not allowed here: reload".to_owned()), "nothing may by itself");
    reload(&bridge, &bridge_of(bridge.folder(), "30s", "fan, reload", ""));
    assert_eq!(command("c/pi"), (200, "reloaded: nothing changed".to_owned()));

    bridge.configure(
        &bridge_of(bridge.folder(), "30s", "fan, reload", "").replace("driver: sim", "driver: simm"),
    );
    let (rc, why) = command("c/pi");
    assert!(
        rc == 422 && why.contains("nothing was changed") && why.contains("unknown driver \"simm\""),
        "{rc} {why}"
    );

    // The very connection that the command came by is made anew, and goes by another name.
    bridge.configure(&bridge_of(bridge.folder(), "20s", "fan, reload", ""));
    assert_eq!(command("c/pi"), (200, "reloaded: publisher restarted; commands restarted".to_owned()));
    // Until then a command would be told to come again.
    let ended = |bridge: &Bridge| bridge.stderr().matches("commands: stopped").count();
    wait_until(SOON, "the old connection has gone", || ended(&bridge) == 1);
    bridge.configure(
        &bridge_of(bridge.folder(), "20s", "fan, reload", "").replace("topic: c/pi", "topic: d/pi"),
    );
    assert_eq!(command("c/pi"), (200, "reloaded: commands adjusted".to_owned()));
    assert_eq!(command("d/pi"), (200, "reloaded: nothing changed".to_owned()));
    // Nobody listens any more, and the last one to be heard hears so.
    let without = bridge_of(bridge.folder(), "20s", "fan, reload", "");
    let without = without.split("commands:").next().unwrap().to_owned();
    bridge.configure(&without);
    assert_eq!(command("d/pi"), (200, "reloaded: commands removed".to_owned()));
    wait_until(SOON, "its subscriber has gone", || ended(&bridge) == 2);
    bridge.configure(&bridge_of(bridge.folder(), "20s", "fan, reload", ""));
    bridge.signal("HUP");
    assert_eq!(command("c/pi"), (200, "reloaded: nothing changed".to_owned()));
    // Everything starts afresh: who asked is told before.
    let moved = bridge_of(bridge.folder(), "20s", "fan, reload", "").replace("bridge.db", "other.db");
    bridge.configure(&moved);
    assert_eq!(
        command("c/pi"),
        (200, "reloaded: everything starts afresh, because log.path changed".to_owned())
    );
    wait_until(SOON, "the other log is filled", || bridge.folder().join("other.db").exists());
    assert_eq!(command("c/pi"), (200, "reloaded: nothing changed".to_owned()));
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}

#[test]
fn a_command_to_reload_is_answered_though_a_signal_ends_what_brought_it() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#"], 1);
    let config = |folder: &Path, keep_alive: &str| house(folder, &broker, keep_alive, FAN, "reload", "");
    let mut bridge = Bridge::start(|folder| config(folder, "30s"));
    ask(&broker, &witness, "c/pi", "first", "\"action\":\"reload\"");
    for round in 0..10 {
        // Each makes the connection of the commands anew, while a command waits for the same.
        bridge.configure(&config(bridge.folder(), if round % 2 == 0 { "20s" } else { "30s" }));
        let payload = command(&format!("n{round}"), "\"action\":\"reload\"");
        if round % 3 == 0 {
            bridge.signal("HUP");
        }
        Publisher::once(broker.port(), "c/pi", &["-q", "1", "-m", &payload]);
        bridge.signal("HUP");
    }
    for round in 0..10 {
        let id = format!("\"id\":\"n{round}\"");
        let said = witness.wait_for_one(SOON, |message| message.payload.contains(&id));
        let said: Value = serde_json::from_str(&said.payload).unwrap();
        assert!(said["rc"] == 200 || said["rc"] == 503, "{said}");
    }
    assert!(!bridge.stderr().contains("left behind"), "{}", bridge.stderr());
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}
