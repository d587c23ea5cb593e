//! Whatever is thrown at it: an answer, never a panic.

use proptest::prelude::*;

use super::*;

/// Pieces that lead deep into the reader when strung together.
fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "device:",
        "mqtt:",
        "sensors:",
        "mirror:",
        "log:",
        "clock:",
        "\n",
        "\n  ",
        "\n    ",
        "\n  - ",
        "id: air",
        "driver: bme280",
        "driver: panel",
        "bus: i2c-1",
        "address: 0x76",
        "address: 300",
        "interval: 10s",
        "interval: 10",
        "quantities:",
        "temperature:",
        "{change: 1%}",
        "url: mqtt://b",
        "topic: \"a/{sensor}\"",
        "topic: \"{\"",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        "&a ",
        "*a",
        "|",
        ">",
        "'",
        "\"",
        "#",
        "---",
        "...",
        "? ",
        "!!str ",
        "!x ",
        "~",
        "null",
        "1e999",
        "0x",
        "-",
        "\t",
        "%",
        "to: csv",
        "to: sqlite",
        "topics: [a/#]",
        "columns: {v: real}",
        "columns: [time]",
        "table: t",
        "path: \"{date}\"",
        "\u{feff}",
        "\r\n",
        "<<: ",
        "@",
        "`",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "\\PC{0,5}", 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn strung_fragments(parts in prop::collection::vec(fragment(), 0..40)) {
        let yaml = parts.concat();
        if let Err(problems) = read(&yaml) {
            prop_assert!(!problems.list.is_empty());
        }
    }

    #[test]
    fn any_text(yaml in any::<String>(), name in "[A-Z_0-9]{0,20}", text in any::<String>()) {
        let name = format!("SENSOR_BRIDGE__{name}");
        if let Err(problems) = read_env(&yaml, &[(&name, &text)]) {
            prop_assert!(!problems.list.is_empty());
        }
    }

    /// Any value at any key of a good configuration.
    #[test]
    fn any_value_anywhere(
        key in prop::sample::select(vec![
            "DEVICE", "DEVICE__ID", "DEVICE__LOCATION", "MQTT__URL", "MQTT__TOPIC", "MQTT__LATE_RATE", "MQTT__VERSION", "LOG__PATH",
            "MQTT__MAX_PACKET_SIZE", "SENSORS", "SENSORS__0", "SENSORS__0__ID", "SENSORS__0__QUANTITIES", "SENSORS__0__ADDRESS",
            "SENSORS__0__QUANTITIES__TEMPERATURE__CHANGE", "SENSORS__0__QUANTITIES__TEMPERATURE__VALID", "MIRROR", "MIRROR__0__COLUMNS",
            "SENSORS__0__QUANTITIES__TEMPERATURE__UNIT", "MIRROR__0__PATH", "MIRROR__0__TOPICS", "CLOCK__MAX_HOLD", "MIRROR__0",
        ]),
        text in prop_oneof![
            "\\PC{0,20}",
            "-?[0-9]{0,20}(\\.[0-9]{1,3})?(e[0-9]{1,3})?[a-zA-Z%/]{0,3}",
            Just("[]".to_owned()), Just("{}".to_owned()), Just("[1, -1]".to_owned()), Just("[null]".to_owned()), Just("[[]]".to_owned()),
            Just("{\"\": {}}".to_owned()), Just("[{}]".to_owned()), Just("{\"a.b\": 1}".to_owned()), Just("[{\"a\": \"b\"}]".to_owned()),
            Just("{\"v\": {\"path\": \"\", \"type\": \"real\"}}".to_owned()),
        ],
    ) {
        let yaml = format!("mqtt: {{url: \"mqtt://b\"}}\n{SENSOR}mirror: [{{topics: [a], to: csv, path: x}}]\n");
        let name = format!("SENSOR_BRIDGE__{key}");
        if let Err(problems) = read_env(&yaml, &[(&name, &text)]) {
            prop_assert!(!problems.list.is_empty());
        }
    }
}
