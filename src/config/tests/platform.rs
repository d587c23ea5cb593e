//! `mqtt.platform` and `commands` with `from`, whatever the platform: what is missing, unknown or contradicts.

use super::*;

const OUTPUT: &str = "outputs: [{id: fan, driver: digital-output, bus: gpio-sim, pin: 22}]\n";

#[test]
fn what_is_wrong_with_a_platform_is_said() {
    for (mqtt, expected) in [
        ("platform: {name: senml}", "line 1: mqtt.url: is missing: senml has no address for all"),
        (
            "url: \"mqtt://b\", platform: {name: homeassistant}",
            "line 1: mqtt.platform.name: unknown value \"homeassistant\"; did you mean \"home-assistant\"?",
        ),
        (
            "url: \"mqtt://b\", platform: {name: senml, colour: red}",
            "line 1: mqtt.platform.colour: unknown key \"colour\"; possible: name, base_name",
        ),
        (
            "url: \"mqtt://b\", platform: {}",
            "line 1: mqtt.platform.name: is missing; write, for example, `name: home-assistant`",
        ),
        (
            "url: \"mqtt://b\", integrity: crc32, platform: {name: senml}",
            "line 1: mqtt.integrity: goes with our own JSON: payloads of senml have no place for it",
        ),
        ("qos: 1", "line 1: mqtt.url: is missing; write, for example, `url: mqtts://broker.example:8883`"),
    ] {
        assert_eq!(problems(&format!("mqtt: {{{mqtt}}}\n{SENSOR}")), [expected]);
    }
}

#[test]
fn commands_come_on_a_topic_or_from_the_platform() {
    let platform = "mqtt: {url: \"mqtt://b\", platform: {name: home-assistant}}\n";
    let plain = "mqtt: {url: \"mqtt://b\"}\n";
    for (mqtt, commands, expected) in [
        (
            plain,
            "{from: platform, allow: [fan]}",
            "line 3: commands[0].from: there is no `mqtt.platform` that commands could come from",
        ),
        (
            platform,
            "{from: platform, topic: t, allow: [fan]}",
            "line 3: commands[0].topic: means nothing beside `from`: the platform lays it down",
        ),
        (
            platform,
            "{from: platform, allow: [fan]}, {from: platform, allow: [status]}",
            "line 3: commands[1].from: the platform has one list of what it may do",
        ),
        (
            platform,
            "{from: platform, allow: [fun]}",
            "line 3: commands[0].allow[0]: \"fun\" is neither an output nor an action; did you mean \"fan\"?",
        ),
        (
            plain,
            "{allow: [fan]}",
            "line 3: commands[0].topic: is missing; write, for example, `topic: castel/{device}/command`",
        ),
    ] {
        assert_eq!(problems(&format!("{mqtt}{OUTPUT}commands: [{commands}]\n{SENSOR}")), [expected]);
    }
    let config = read(&format!("{platform}{OUTPUT}commands: [{{from: platform, allow: [fan]}}]\n{SENSOR}"));
    let config = config.unwrap().config;
    assert!(config.commands.is_empty());
    assert_eq!(config.platform_commands.unwrap().topic, "home-assistant");
}
