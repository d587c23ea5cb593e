//! Topics that are right by themselves, but not beside another.

use super::*;

#[test]
fn topics_of_two() {
    let mut table = Table::default();
    let yaml = |rest: &str| format!("device: {{id: x}}\nmqtt: {{url: \"mqtt://b\"}}\nsensors:\n{rest}");
    for (sensors, expected) in [
        (
            "  - {id: a, driver: panel, topic: t}\n  - {id: b, driver: panel, topic: t}",
            "line 5: sensors[1].quantities.Door: b/Door would publish on \"t\", as a/Door does; tell them apart with {sensor}",
        ),
        (
            "  - {id: a, driver: panel, quantities: {count: {topic: t}, bytes: {topic: t}}}",
            "line 4: sensors[0].quantities.bytes: a/bytes would publish on \"t\", as a/count does; tell them apart with {quantity}",
        ),
        (
            "  - {id: a, driver: panel, quantities: {count: {topic: sensors/x/status}}}",
            "line 4: sensors[0].quantities.count: a/count would publish on \"sensors/x/status\", as the status message does; choose another topic, or set `mqtt.status_topic`",
        ),
        (
            "  - {id: a, driver: panel, quantities: {count: {topic: sensors/x/bridge/lost}}}",
            "line 4: sensors[0].quantities.count: a/count would publish on \"sensors/x/bridge/lost\", as bridge/lost does; tell them apart with {sensor}",
        ),
        (
            "  - {id: a, driver: panel, topic: t, quantities: {count: {qos: 2}}}",
            "line 4: sensors[0].quantities.count.qos: the sensor's quantities travel in one message, which has one setting; set it for the sensor, or give the quantity a `topic` of its own",
        ),
        (
            "  - {id: a, driver: panel, topic: \"t/#\"}",
            "line 4: sensors[0].topic: a topic to publish to cannot have the wildcards \"+\" and \"#\"",
        ),
    ] {
        table.row(&yaml(sensors), expected);
    }
    let late = "device: {id: x}\nmqtt: {url: \"mqtt://b\", topic: \"t/{sensor}\", backlog: live-first, late_topic: \"l/{quantity}\"}\n";
    assert_eq!(
        problems(&format!("{late}{SENSOR}")),
        [
            "line 2: mqtt.late_topic: has {quantity}, but bridge publishes whole samples of several; leave {quantity} out here, or add it to the topic of the readings"
        ]
    );
    let fine = "  - {id: a, driver: panel, topic: t}\n  - {id: b, driver: panel, topic: t, enabled: false}";
    assert_eq!(problems(&yaml(fine)), Vec::<String>::new(), "a sensor switched off speaks on no topic");
    table.end();
}
