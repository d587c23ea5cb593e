//! What a platform lays down, by the example of one that lays down nearly everything.

use super::{SENSOR, problems, read};
use crate::reading::{Qos, Shape};

/// A configuration for quickstart with further keys of `mqtt` and at the top.
fn quickstart(mqtt: &str, top: &str) -> String {
    format!(
        "{SENSOR}mqtt: {{platform: {{name: watson-iot, organization: quickstart, device_type: pi, device_id: d}}{mqtt}}}\n{top}"
    )
}

/// The same for a managed device.
fn managed(mqtt: &str, top: &str) -> String {
    format!(
        "{SENSOR}mqtt: {{platform: {{name: watson-iot, organization: x, device_type: pi, device_id: d, managed: {{}}}}{mqtt}}}\n{top}"
    )
}

#[test]
fn what_is_laid_down_need_not_be_given() {
    let checked = read(&quickstart("", "")).unwrap_or_else(|problems| panic!("{problems}"));
    let mqtt = checked.config.mqtt.unwrap();
    assert_eq!((mqtt.client_id.as_str(), mqtt.rate, mqtt.clean), ("d:quickstart:pi:d", Some(1.0), true));
    assert_eq!((mqtt.status_topic, mqtt.max_payload), (None, Some(131_072)));
    let publish = checked.config.sensors[0].quantities[0].channel.publish.clone().unwrap();
    assert_eq!((publish.topic.as_str(), publish.shape), ("iot-2/evt/air/fmt/json", Shape::Sample));
    assert_eq!((publish.qos, publish.retain), (Qos::AtMostOnce, false));
}

#[test]
fn what_contradicts_it_is_refused() {
    for (yaml, part) in [
        (quickstart(", qos: 1", ""), "takes quality of service 0 at most, not 1"),
        (quickstart(", retain: true", ""), "nothing can be retained"),
        (quickstart(", backlog: live-first", ""), "mqtt.backlog: means nothing on watson-iot"),
        (quickstart(", password: x", ""), "takes no user name and no password"),
        (quickstart(", topic: \"a/{sensor}\"", ""), "mqtt.topic: cannot be chosen"),
        (
            quickstart("", "commands: [{from: platform, allow: [status]}]"),
            "commands[0].from: watson-iot brings no commands",
        ),
        (quickstart("", "mirror: [{topics: [a], to: sqlite}]"), "nothing but its own commands"),
        (managed(", password: x, qos: 2", ""), "takes quality of service 1 at most, not 2"),
        (managed("", ""), "mqtt.password_file: is missing"),
        (managed(", password: x, client_id: y", ""), "mqtt.client_id: must be \"d:x:pi:d\""),
    ] {
        let problems = problems(&yaml);
        assert!(problems.iter().any(|line| line.contains(part)), "{part}: {problems:#?}");
    }
}
