//! Outputs: those that did not change keep their level, the others begin and end at their safe one.

use std::path::Path;

use crate::house::{FAN, LAMP, ask, house};
use crate::support::{Bridge, Mosquitto, Subscriber, wait_until};
use crate::{SOON, assert_goes_on, reload, values};

#[test]
fn an_output_that_did_not_change_keeps_its_level() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["r/#", "t/#", "u/#"], 1);
    let config =
        |folder: &Path, outputs: &str, rest: &str| house(folder, &broker, "30s", outputs, "fan, lamp", rest);
    let mut bridge = Bridge::start(|folder| config(folder, &format!("{FAN}{LAMP}"), ""));
    let set = |id: &str, output: &str, value: &str| {
        let said = ask(
            &broker,
            &witness,
            "c/pi",
            id,
            &format!("\"action\":\"set\",\"output\":\"{output}\",\"value\":{value}"),
        );
        assert_eq!(said["rc"], 200, "{said}");
    };
    set("a", "fan", "true");
    set("b", "lamp", "40");
    let fan = || values(&bridge, "fan", "on");
    wait_until(SOON, "its level is logged", || fan() == [0.0, 1.0]);

    // Others come and change; the web page is asked for.
    let pump = "  - { id: pump, driver: digital-output, bus: gpio-sim, pin: 23 }\n";
    let dimmed = LAMP.replace("channel: 3", "channel: 3, max: 90");
    let said = reload(&bridge, &config(bridge.folder(), &format!("{pump}{FAN}{dimmed}"), ""));
    assert_eq!(said, "output pump added; output lamp restarted");
    wait_until(SOON, "the lamp is at its safe level", || {
        values(&bridge, "lamp", "level") == [0.0, 40.0, 0.0, 0.0]
    });
    wait_until(SOON, "the pump as well", || values(&bridge, "pump", "on") == [0.0]);
    assert_eq!(fan(), [0.0, 1.0], "nobody touched it");
    // Told elsewhere, it is where it was.
    let elsewhere = FAN.replace("pin: 22", "pin: 22, topic: \"u/{sensor}/{quantity}\"");
    let said = reload(&bridge, &config(bridge.folder(), &format!("{elsewhere}{pump}{dimmed}"), ""));
    assert_eq!(said, "output fan adjusted");
    let on = witness.wait_for_one(SOON, |message| message.topic == "u/fan/on");
    assert!(on.payload.contains("\"value\":true"), "{on:?}");
    witness.wait_for_one(SOON, |message| message.topic == "u/fan/state");
    assert_eq!(fan(), [0.0, 1.0, 1.0]);
    // It can be switched as before; with other limits it begins at its safe level, and taken away it goes there.
    set("c", "fan", "false");
    set("d", "fan", "true");
    let limited = elsewhere.replace("pin: 22", "pin: 22, max_on: 1h");
    assert_eq!(
        reload(&bridge, &config(bridge.folder(), &format!("{limited}{pump}{dimmed}"), "")),
        "output fan restarted"
    );
    wait_until(SOON, "it is safe", || fan() == [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    set("e", "fan", "true");
    let without = house(bridge.folder(), &broker, "30s", &format!("{pump}{dimmed}"), "lamp", "");
    assert_eq!(reload(&bridge, &without), "output fan removed; commands adjusted");
    wait_until(SOON, "it is safe at its end", || fan().last() == Some(&0.0));
    let status = String::from_utf8(bridge.run(&["status"]).stdout).unwrap();
    assert!(!status.lines().any(|line| line.starts_with("output fan")), "{status}");
    // A pin that is let go of can be another's at once.
    let other = pump.replace("id: pump", "id: fan");
    let swapped = house(bridge.folder(), &broker, "30s", &format!("{other}{dimmed}"), "fan, lamp", "");
    assert_eq!(reload(&bridge, &swapped), "output fan added; output pump removed; commands adjusted");
    set("f", "fan", "true");
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}
