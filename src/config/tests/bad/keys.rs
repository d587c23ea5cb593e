//! Files with keys: of payloads, and of the name that stands for the device id.

use super::*;

#[test]
fn keys_of_payloads_and_names() {
    let mqtt = |keys: &str| format!("mqtt: {{url: \"mqtt://b\", integrity: {keys}}}\n{SENSOR}");
    let mirror = |keys: &str| {
        format!(
            "mirror: [{{topics: [a], to: sqlite, integrity: {keys}}}]\nmqtt: {{url: \"mqtt://b\"}}\n{SENSOR}"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short.key");
    std::fs::write(&short, "fifteen letters\n").unwrap();
    let short = short.display();
    let cases = [
        (mqtt("crc33"), "mqtt.integrity: unknown value \"crc33\"; did you mean \"crc32\"?"),
        (
            mqtt("{}"),
            "mqtt.integrity.hmac_key_file: is missing; write, for example, `hmac_key_file: payload.key`",
        ),
        (
            mqtt("{hmac_key_file: [a, b]}"),
            "mqtt.integrity.hmac_key_file: one key signs; the list goes under `integrity` of a mirror, which takes any of them",
        ),
        (mqtt("{hmac_key_file: /dev/null}"), "mqtt.integrity.hmac_key_file: \"/dev/null\" is not a file"),
        (
            mqtt(&format!("{{hmac_key_file: {short}}}")),
            "mqtt.integrity.hmac_key_file: holds a key of less than 16 bytes; make one with `openssl rand -hex 32`",
        ),
        (mirror("{hmac_key_file: []}"), "mirror[0].integrity.hmac_key_file: must name 1 to 16 files"),
        (
            mirror("{hmac_key_file: [/dev/null]}"),
            "mirror[0].integrity.hmac_key_file[0]: \"/dev/null\" is not a file",
        ),
        (
            format!("device: {{pseudonym: {{}}}}\n{SENSOR}"),
            "device.pseudonym.key_file: is missing; write, for example, `key_file: pseudonym.key`",
        ),
        (
            format!("device: {{pseudonym: {{key_file: /nowhere}}}}\n{SENSOR}"),
            "device.pseudonym.key_file: \"/nowhere\" cannot be read: No such file or directory (os error 2)",
        ),
    ];
    let mut table = Table::default();
    for (yaml, expected) in cases {
        table.row(&yaml, &format!("line 1: {expected}"));
    }
    table.end();
}
