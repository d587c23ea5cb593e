//! Sensors that come, go, change and stay: those that stay go on, and nothing that was read is lost.

use std::path::Path;

use crate::arrival::{assert_once_and_in_order, logged, wait_for_all};
use crate::support::{Bridge, Mosquitto, Seed, Subscriber, wait_until};
use crate::{QUIET, SOON, assert_goes_on, counter, head, mqtt, reload, states, values};

/// How many readings there are.
fn rows(bridge: &Bridge) -> i64 {
    if !bridge.database_path().exists() {
        return 0;
    }
    bridge.database().query_row("SELECT count(*) FROM reading", [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn what_is_buffered_survives_other_sensors_and_arrives_once_in_order() {
    let mut broker = Mosquitto::start();
    let witness = Subscriber::persistent(broker.port(), "witness", &["t/#"], 1);
    broker.stop();
    let mqtt = mqtt(&broker);
    let sensors = |ids: std::ops::Range<usize>, more: &str| -> String {
        ids.map(|number| counter(&format!("s{number}"), "10ms", more)).collect()
    };
    let config = |folder: &Path, sensors: &str| format!("{}sensors:\n{sensors}", head(folder, &mqtt));
    let mut bridge = Bridge::start(|folder| config(folder, &sensors(0..40, "")));
    wait_until(SOON, "10,000 rows", || rows(&bridge) >= 10_000);

    // Ten stay, ten are opened anew, ten go, ten only get another topic; one is new.
    let topic = ", topic: \"t/elsewhere/{sensor}/{quantity}\"";
    let changed = sensors(0..10, "")
        + &sensors(10..20, ", unit: x")
        + &sensors(30..40, topic)
        + &counter("new", "10ms", "");
    let said = reload(&bridge, &config(bridge.folder(), &changed));
    for expected in [
        "sensor new added",
        "sensors s10, ",
        "restarted",
        "sensors s30, ",
        "adjusted",
        "sensors s20, ",
        "removed",
    ] {
        assert!(said.contains(expected), "{expected} not in {said}");
    }
    assert!(!said.contains(" s1,") && !said.contains("publisher"), "{said}");
    wait_until(SOON, "the new one is read", || values(&bridge, "new", "value").len() > 50);
    // Nothing is read any more, so that it comes to an end.
    reload(&bridge, &config(bridge.folder(), QUIET));
    let total = logged(&bridge).len();
    broker.resume();
    wait_for_all(&bridge, &witness);
    assert!(bridge.terminate().success());
    assert!(total > 10_000, "{total}");
    assert_once_and_in_order(&bridge, &witness.finish());
    for number in (0..10).chain(30..40) {
        let values = values(&bridge, &format!("s{number}"), "value");
        assert!(values.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "s{number} has a gap or began anew");
    }
}

#[test]
fn what_did_not_change_never_notices() {
    let broker = Mosquitto::start();
    let witness = Subscriber::start(broker.port(), &["#"], 1);
    // Besides the counters: one that has nothing to say for an hour, and a meter.
    let still = |change: &str| {
        format!(
            "  - {{ id: calm, driver: sim, scenario: constant, value: 5, interval: 10ms, \
             quantities: {{ value: {{ heartbeat: 1h }} }} }}\n  - {{ id: calmer, driver: sim, scenario: constant, \
             interval: 10ms, quantities: {{ value: {{ heartbeat: 1h{change} }} }} }}\n"
        )
    };
    let meter = |debounce: &str| {
        format!(
            "  - {{ id: water, driver: pulse-counter, pin: 6, bus: gpio-sim, interval: 20ms, unit: L, start: 1000, \
             {debounce}simulate: {{ toggle: 10ms }} }}\n"
        )
    };
    let config = |folder: &Path, rest: &str| {
        let always = counter("steady", "10ms", "");
        format!("{}sensors:\n{always}{rest}", head(folder, &mqtt(&broker)))
    };
    let first = still("") + &meter("") + &counter("other", "10ms", "") + &counter("slower", "10ms", "");
    let mut bridge = Bridge::start(|folder| config(folder, &first));
    let more = |bridge: &Bridge| {
        for sensor in ["steady", "other", "slower"] {
            let before = values(bridge, sensor, "value").len();
            wait_until(SOON, "it is read", || values(bridge, sensor, "value").len() > before + 5);
        }
    };
    more(&bridge);
    assert_eq!(reload(&bridge, &config(bridge.folder(), &first)), "nothing changed");
    let mut opened = 1;
    for round in 0..6 {
        let other = counter("other", "10ms", &format!(", unit: u{round}"));
        let slower = counter("slower", &format!("{}ms", 11 + round), ", qos: 0");
        let change = format!(", change: {}", round + 1);
        let rest = still(&change) + &meter("") + &other + &slower;
        let said = reload(&bridge, &config(bridge.folder(), &rest));
        assert_eq!(said, "sensor other restarted; sensors calmer, slower adjusted");
        opened += 1;
        more(&bridge);
    }
    for (sensor, quantity) in [("calm", "value"), ("calmer", "value")] {
        assert_eq!(
            values(&bridge, sensor, quantity).len(),
            1,
            "{sensor}: neither its deadband nor its heartbeat began anew"
        );
        assert_eq!(states(&bridge, sensor), ["ok"]);
    }
    assert_eq!(values(&bridge, "other", "value").iter().filter(|value| **value == 1.0).count(), opened);
    // The meter that stays goes on, and so does one that is opened anew.
    let total = |bridge: &Bridge| values(bridge, "water", "total");
    wait_until(SOON, "it counts", || total(&bridge).len() > 20);
    assert!(total(&bridge).windows(2).all(|pair| pair[0] <= pair[1]));
    let rest = still("") + &meter("debounce: 1ms, ");
    let said = reload(&bridge, &config(bridge.folder(), &rest));
    assert_eq!(said, "sensor water restarted; sensor calmer adjusted; sensors other, slower removed");
    let before = total(&bridge);
    wait_until(SOON, "it counts on", || total(&bridge).len() > before.len() + 10);
    assert!(total(&bridge).windows(2).all(|pair| pair[0] <= pair[1]), "it began anew: {:?}", total(&bridge));
    reload(&bridge, &format!("{}sensors:\n{QUIET}", head(bridge.folder(), &mqtt(&broker))));
    wait_for_all(&bridge, &witness);
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
    // Another interval and another topic, and the same device all the time; its state is told where it is looked for.
    let slower = values(&bridge, "slower", "value");
    assert!(slower.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "it was opened again");
    assert_eq!(states(&bridge, "slower"), ["ok", "ok"]);
}

#[test]
fn many_reloads_in_a_row_under_load_lose_nothing() {
    let mut seed = Seed::from_environment();
    let broker = Mosquitto::with("max_inflight_messages 1000");
    let witness = Subscriber::start(broker.port(), &["t/#", "u/#"], 1);
    let folder_config = |folder: &Path, seed: &mut Seed| {
        let mut sensors = counter("steady", "10ms", "");
        for number in 0..8 {
            // There or not, as it was or in one of a few other ways.
            match seed.below(5) {
                0 => {}
                1 => sensors += &counter(&format!("s{number}"), "10ms", ", unit: x"),
                2 => sensors += &counter(&format!("s{number}"), "20ms", ""),
                3 => sensors += &counter(&format!("s{number}"), "10ms", ", topic: \"u/{sensor}/{quantity}\""),
                _ => sensors += &counter(&format!("s{number}"), "10ms", ""),
            }
        }
        let backlog = if seed.below(4) == 0 { "window: 50" } else { "window: 100" };
        let mqtt = mqtt(&broker).replace("qos: 1", &format!("qos: 1, {backlog}"));
        format!("{}sensors:\n{sensors}", head(folder, &mqtt))
    };
    let mut bridge = Bridge::start(|folder| folder_config(folder, &mut seed));
    wait_until(SOON, "readings come", || witness.count() > 20);
    for _ in 0..60 {
        bridge.configure(&folder_config(bridge.folder(), &mut seed));
        // More wishes than can be granted one by one.
        for _ in 0..=seed.below(3) {
            bridge.signal("HUP");
            std::thread::sleep(seed.millis(0, 30));
        }
    }
    // All of them are over when the last one, with something of its own, is.
    let last = format!(
        "{}sensors:\n{}{}",
        head(bridge.folder(), &mqtt(&broker)),
        counter("steady", "10ms", ""),
        counter("last", "10ms", "")
    );
    bridge.configure(&last);
    bridge.signal("HUP");
    witness.wait_for_one(SOON, |message| message.topic == "t/pi/last/value");
    reload(&bridge, &format!("{}sensors:\n{QUIET}", head(bridge.folder(), &mqtt(&broker))));
    wait_for_all(&bridge, &witness);
    assert!(bridge.terminate().success());
    assert_once_and_in_order(&bridge, &witness.finish());
    assert_goes_on(&bridge, "steady");
}
