//! Section `mqtt`, with what proves who we are to the broker.

use super::*;

#[test]
fn mqtt() {
    let mut table = Table::default();
    let url = |rest: &str| format!("url: \"mqtt://b\", {rest}");
    let cases = [
        ("topic: \"a/+/{sensor}\"", "topic: a topic to publish to cannot have the wildcards \"+\" and \"#\""),
        (
            "topic: \"a//{sensor}\"",
            "topic: the topic has an empty level: a \"/\" at its begin or end, or \"//\"",
        ),
        ("topic: \"$SYS/{sensor}\"", "topic: topics that begin with \"$\" belong to the broker"),
        ("topic: \"a\\0/{sensor}\"", "topic: a topic cannot contain the character NUL"),
        ("topic: \"a/{sensr}\"", "topic: unknown placeholder \"{sensr}\"; did you mean \"{sensor}\"?"),
        (
            "topic: \"a/{sensor\"",
            "topic: a single brace: placeholders are written {like_this}; possible: {device}, {sensor}, {quantity}",
        ),
        (
            "topic: readings",
            "topic: must contain {sensor}, or all sensors would share one topic; a topic for one sensor only goes under that sensor",
        ),
        ("qos: 3", "qos: must be between 0 and 2, not 3"),
        ("qos: 1.5", "qos: expected a whole number such as 2, found the number 1.5"),
        ("retain: on", "retain: expected true or false such as true, found the text \"on\"; write true"),
        ("version: 3", "version: unknown version \"3\"; possible: 3.1.1, 4, 5, 5.0"),
        ("version: \"3.1\"", "version: unknown version \"3.1\"; possible: 3.1.1, 4, 5, 5.0"),
        ("keep_alive: 1s", "keep_alive: must be between 5s and 18h12m15s, not 1s"),
        ("keep_alive: 5500ms", "keep_alive: must be whole seconds: MQTT knows no fractions"),
        ("window: 0", "window: must be between 1 and 1000 messages, not 0"),
        ("max_packet_size: 1GB", "max_packet_size: must be between 1kB and 268435455B, not 1GB"),
        (
            "max_packet_size: 10",
            "max_packet_size: expected a size such as 1MB, found the number 10; write \"10MB\"",
        ),
        ("backlog: in_order", "backlog: unknown value \"in_order\"; did you mean \"in-order\"?"),
        ("late_rate: 10", "late_rate: means nothing here; it goes with `backlog: live-first`"),
        (
            "late_topic: \"late/{sensor}\"",
            "late_topic: means nothing here; it goes with `backlog: live-first`",
        ),
        (
            "backlog: live-first, late_rate: 10/m",
            "late_rate: must be a number of messages per second between 1 and 100000; write for example 50 or \"50/s\"",
        ),
        (
            "backlog: live-first, late_topic: sensors/x/air/humidity",
            "late_topic: late readings of bridge/lost would come on \"sensors/x/air/humidity\", the topic of air/humidity",
        ),
        ("password: x", "username: is missing beside the password"),
        (
            "username: u, password: x, password_file: y",
            "password: is given twice: here and in `password_file`; keep `password_file` and remove `password`",
        ),
        (
            "username: u, password_file: /nowhere",
            "password_file: \"/nowhere\" cannot be read: No such file or directory (os error 2)",
        ),
        ("username: u, password_file: /", "password_file: \"/\" is a folder"),
        ("username: u, password_file: /dev/zero", "password_file: \"/dev/zero\" is not a file"),
        ("client_id: \"\"", "client_id: must be 1 to 1000 bytes without control characters"),
        (
            "status_topic: \"a/{sensor}\"",
            "status_topic: cannot contain {sensor} or {quantity}: it speaks of the whole device",
        ),
    ];
    for (keys, expected) in cases {
        let yaml = format!("mqtt: {{{}}}\ndevice: {{id: x}}\n{SENSOR}", url(keys));
        table.row(&yaml, &format!("line 1: mqtt.{expected}"));
    }
    expect_in(
        "mqtt",
        &[
            ("qos: 1", "url: is missing; write, for example, `url: mqtts://broker.example:8883`"),
            ("url: broker", "url: \"broker\" has no scheme; write \"mqtt://broker\", or mqtts:// for TLS"),
            (
                "url: \"mqtt://u:geheim@b\"",
                "url: user name and password do not belong in the URL; write them under `username` and `password_file`",
            ),
            (
                "url: \"mqtt://b\", tls: {ca_file: /dev/null}",
                "tls: mqtt://b:1883 is not encrypted; use mqtts:// or wss://, or leave it out",
            ),
            (
                "url: \"mqtts://b\", tls: {ca_file: /nowhere}",
                "tls.ca_file: \"/nowhere\" cannot be read: No such file or directory (os error 2)",
            ),
            (
                "url: \"mqtts://b\", tls: {ca_file: /dev/null, insecure: true}",
                "tls.insecure: contradicts `ca_file`; keep it, or `ca_file`",
            ),
            (
                "url: \"mqtts://b\", tls: {pin: [\"12:34\"]}",
                "tls.pin[0]: \"12:34\" is no SHA-256 fingerprint; 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256 -in FILE` prints",
            ),
            (
                "url: \"mqtts://b\", tls: {cert_file: /dev/null}",
                "tls.key_file: is missing beside `cert_file`",
            ),
            (
                "url: \"mqtts://b\", tls: {cert_file: /dev/null, key_file: /dev/null}",
                "tls.key_file: \"/dev/null\" holds no private key in PEM",
            ),
            (
                "url: \"mqtts://b\", tls: {insecure: true, server_name: c}",
                "tls.server_name: means nothing here: no name is looked at; leave it out, or trust by `ca_file` or the system's authorities",
            ),
            (
                "url: \"mqtts://b\", tls: {server_name: \"a b\"}",
                "tls.server_name: \"a b\" is no host name or address",
            ),
            (
                "url: \"mqtt://b\", headers: {a: b}",
                "headers: mqtt://b:1883 has no headers; they go with ws:// and wss://",
            ),
            ("url: \"ws://b\", headers: {\"a b\": c}", "headers.\"a b\": \"a b\" is no name of a header"),
            (
                "url: \"ws://b\", headers: {Host: c}",
                "headers.Host: belongs to the WebSocket hand-shake itself",
            ),
            (
                "url: \"ws://b\", headers: {a: \"b\\nc\"}",
                "headers.a: must be plain ASCII text without line ends",
            ),
            (
                "url: \"mqtt://b\", proxy: \"socks5://p\"",
                "proxy: a proxy of the kind \"socks5\" is not known; write \"http://p\"; TLS to the broker goes through it as it is",
            ),
            (
                "url: \"mqtt://b\", proxy: \"http://u:geheim@p\"",
                "proxy: user name and password do not belong in the URL; write them under `proxy_username` and `proxy_password_file`",
            ),
            (
                "url: \"mqtt://b\", proxy_username: u",
                "proxy_username: means nothing here; it goes with `proxy`",
            ),
            ("url: \"mqtt://b\", token: {}", "token: needs one of `command`, `file`, `jwt` and `sas`"),
            (
                "url: \"mqtt://b\", password: x, token: {file: /run/t}",
                "password: contradicts `token`; keep one of them",
            ),
            (
                "url: \"mqtt://b\", token: {command: [token]}",
                "token.command: the program must be named with its whole path: a service has no PATH of yours",
            ),
        ],
    );
    table.end();
}
