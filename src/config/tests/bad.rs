//! What is wrong is said: where, what, and what to write instead.

use super::*;

/// Collects what came out otherwise than expected, so that a change of wording shows all its rows at once.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn row(&mut self, yaml: &str, expected: &str) {
        let found = problems(yaml);
        if found != [expected] {
            self.0.push(format!("{yaml}\n  expected {expected}\n  found    {}", found.join("\n           ")));
        }
    }

    fn end(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

/// Each configuration and the one line that a person sees.
fn expect(cases: &[(&str, &str)]) {
    let mut table = Table::default();
    for (yaml, expected) in cases {
        table.row(yaml, expected);
    }
    table.end();
}

/// The same for one section beside a sensor and, unless it is `mqtt` itself, a broker.
fn expect_in(section: &str, cases: &[(&str, &str)]) {
    let mut table = Table::default();
    for (keys, expected) in cases {
        let broker = if section == "mqtt" { "" } else { "mqtt: {url: \"mqtt://b\"}\n" };
        let yaml = format!("{section}: {{{keys}}}\n{broker}{SENSOR}");
        table.row(&yaml, &format!("line 1: {section}.{expected}"));
    }
    table.end();
}

#[test]
fn shapes() {
    expect(&[
        (
            "",
            "there is nothing to do; name at least one sensor under `sensors:` or topics to store under `mirror:`",
        ),
        (
            "sensor: []\nsensors: [{id: a, driver: panel}]",
            "line 1: sensor: unknown key \"sensor\"; did you mean \"sensors\"?",
        ),
        (
            "colour: red\nsensors: [{id: a, driver: panel}]",
            "line 1: colour: unknown key \"colour\"; possible: clock, commands, device, log, mirror, mqtt, outputs, sensors, status, web",
        ),
        (
            "sensors:\n  a: {driver: panel}",
            "line 1: sensors: expected a list, found a map; begin each item with \"- \"",
        ),
        ("sensors:\n  - air", "line 2: sensors[0]: expected a map, found the text \"air\""),
        ("sensors:\n  - {driver: panel}", "line 2: sensors[0].id: is missing; write, for example, `id: air`"),
        (
            "sensors:\n  - {id: a}",
            "line 2: sensors[0].driver: is missing; write, for example, `driver: bme280`",
        ),
        (
            "sensors:\n  - id: a\n    driver: bme208",
            "line 3: sensors[0].driver: unknown driver \"bme208\"; did you mean \"bme280\"?",
        ),
        (
            "sensors:\n  - {id: a, driver: bme280, bus: i2c-1, adress: 0x76}",
            "line 2: sensors[0].adress: unknown key \"adress\"; did you mean \"address\"?",
        ),
        (
            "sensors: [{id: 12, driver: panel}]",
            "line 1: sensors[0].id: expected text such as air, found the number 12; write \"12\" in quotes",
        ),
        (
            "sensors: [{id: a, driver: panel, invert: yes}]",
            "line 1: sensors[0].invert: expected true or false, found the text \"yes\"; write true",
        ),
        (
            "sensors: [{id: a, driver: panel, interval: 10}]",
            "line 1: sensors[0].interval: expected a duration such as 1m, found the number 10; write \"10s\"",
        ),
        (
            "sensors: [{id: a, driver: panel, quantities: {count: {round: 1.5}}}]",
            "line 1: sensors[0].quantities.count.round: expected a whole number such as 1, found the number 1.5",
        ),
        (
            "sensors: [{id: a, driver: panel, quantities: {count: {valid: [1]}}}]",
            "line 1: sensors[0].quantities.count.valid: needs 2 item(s), has 1",
        ),
        (
            "x: &x {driver: panel}\nsensors: [{id: a, driver: panel}]",
            "line 1: x: unknown key \"x\"; possible: clock, commands, device, log, mirror, mqtt, outputs, sensors, status, web",
        ),
        (
            "sensors: [{id: a, <<: 1, driver: panel}]",
            "line 1: sensors[0].<<: unknown key \"<<\"; YAML merge keys are not supported: write the keys out",
        ),
    ]);
}

#[test]
fn device() {
    expect_in(
        "device",
        &[
            ("id: a/b", "id: cannot contain '/': it is a level of MQTT topics"),
            ("id: \"\"", "id: is empty"),
            ("id: \"a+\"", "id: cannot contain '+': it is a level of MQTT topics"),
            (
                "location: {latitude: 91, longitude: 0}",
                "location.latitude: must be between -90 and 90 °, not 91",
            ),
            ("location: {latitude: 1}", "location.longitude: is missing beside `latitude`"),
            (
                "location: {precision: 2}",
                "location.precision: rounds `latitude` and `longitude`, which are not given",
            ),
            (
                "location: {latitude: \"1\", longitude: 0}",
                "location.latitude: expected a number such as 47.59, found the text \"1\"; write 1 without quotes",
            ),
        ],
    );
}

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

#[test]
fn log_and_clock() {
    expect_in(
        "log",
        &[
            (
                "path: \":memory:\"",
                "path: must be a plain path: what is in memory does not survive; write for example \"/var/lib/sensor-bridge/bridge.db\"",
            ),
            ("path: /data/", "path: names a folder, not a file; write \"/data/bridge.db\""),
            ("sync: off", "sync: unknown value \"off\"; possible: full, normal"),
            ("commit_interval: 1h", "commit_interval: must be between 0s and 10m, not 1h"),
            ("retention: {max_age: 1s}", "retention.max_age: must be between 1m and 36500d, not 1s"),
            ("retention: {max_size: 1kB}", "retention.max_size: must be at least 1MB, not 1kB"),
            (
                "retention: {max_size: 2G}",
                "retention.max_size: \"2G\": unknown unit of size \"G\"; write \"2GB\"",
            ),
            ("retention: 90d", "retention: expected a map, found the text \"90d\""),
        ],
    );
    expect_in(
        "clock",
        &[
            ("max_hold: 1m", "max_hold: means nothing here; it goes with `unsynced: hold`"),
            ("unsynced: hold, max_hold: 2w", "max_hold: \"2w\": unknown unit of time \"w\"; write \"7d\""),
            ("unsynced: wait", "unsynced: unknown value \"wait\"; possible: mark, hold"),
        ],
    );
}

#[test]
fn sensors() {
    let mut table = Table::default();
    let cases = [
        (
            "[{id: bridge, driver: panel}]",
            "[0].id: \"bridge\" is the name under which the bridge speaks of itself",
        ),
        ("[{id: a#, driver: panel}]", "[0].id: cannot contain '#': it is a level of MQTT topics"),
        ("[{id: a, driver: panel}, {id: a, driver: panel}]", "[1].id: \"a\" is the id of sensors[0] already"),
        ("[{id: a, driver: bme280}]", "[0].bus: is missing; write, for example, `bus: i2c-1`"),
        (
            "[{id: a, driver: bme280, bus: 1}]",
            "[0].bus: expected text such as i2c-1, found the number 1; write \"1\" in quotes",
        ),
        ("[{id: a, driver: bme280, bus: i2c-1, address: 0x10}]", "[0].address: is no address of a BME280"),
        (
            "[{id: a, driver: bme280, bus: i2c-1, oversampling: 3}]",
            "[0].oversampling: unknown value \"3\"; possible: 1, 2, 4",
        ),
        ("[{id: a, driver: bme280, bus: i2c-1, simulate: {fault: x}}]", "[0].simulate.fault: is no fault"),
        (
            "[{id: a, driver: bme280, bus: i2c-1}, {id: b, driver: bme280, bus: i2c-1, address: 0x76}]",
            "[1].address: address 0x76 on i2c-1 is taken by sensor \"a\"; each device on a bus has its own address",
        ),
        ("[{id: a, driver: panel, interval: 1ms}]", "[0].interval: must be between 10ms and 1d, not 1ms"),
        (
            "[{id: a, driver: panel, quantities: {door: {change: any}}}]",
            "[0].quantities.door: the driver panel has no quantity \"door\"; did you mean \"Door\"?",
        ),
        (
            "[{id: a, driver: panel, quantities: {state: {qos: 1}}}]",
            "[0].quantities.state: the driver panel has no quantity \"state\"; possible: Door, count, bytes, mode",
        ),
        (
            "[{id: a, driver: panel, quantities: {Door: {enabled: false}, count: {enabled: false}, bytes: {enabled: false}, mode: {enabled: false}}}]",
            "[0].quantities: every quantity is switched off; to switch the sensor off, write `enabled: false` beside its id",
        ),
        (
            "[{id: a, driver: panel, enabled: false, interval: 1}]",
            "[0].interval: expected a duration such as 1m, found the number 1; write \"1s\"",
        ),
    ];
    for (sensors, expected) in cases {
        let yaml = format!("sensors: {sensors}");
        table.row(&yaml, &format!("line 1: sensors{expected}"));
    }
    table.end();
}

#[test]
fn quantities() {
    let mut table = Table::default();
    let cases = [
        ("unit: hPa", "unit: \"°C\" cannot be converted to \"hPa\"; possible: °C, °F, K"),
        ("unit: bananas", "unit: unknown unit \"bananas\" for a value in \"°C\"; possible: °C, °F, K"),
        ("scale: 0", "scale: must not be 0: every value would be the same"),
        (
            "polynomial: [0, 1], offset: 1",
            "offset: cannot stand beside `polynomial`; the first two coefficients are offset and scale",
        ),
        ("polynomial: [5]", "polynomial: is constant: every value would be the same"),
        ("polynomial: [0,1,2,3,4,5,6,7,8,9,10]", "polynomial: needs 1 to 10 item(s), has 11"),
        ("polynomial: [0, x]", "polynomial[1]: expected a number, found the text \"x\""),
        ("round: 20", "round: must be between 0 and 12 decimals, not 20"),
        ("change: 0", "change: must be greater than 0; for every sample write always, for every change any"),
        (
            "change: sometimes",
            "change: \"sometimes\" is no size of change; write any, always, a number such as 0.1 or a percentage such as 1%",
        ),
        ("change: 5000%", "change: must be at most 1000%"),
        (
            "change: -1%",
            "change: must be greater than 0; for every sample write always, for every change any",
        ),
        (
            "change: true",
            "change: expected text or a number such as 0.1, found true; write \"true\" in quotes",
        ),
        (
            "heartbeat: 1m, min_interval: 5m",
            "heartbeat: is shorter than `min_interval`, so it could never be kept",
        ),
        (
            "valid: [85, -40]",
            "valid: the smaller value stands first: [85, -40] allows nothing; write [-40, 85]",
        ),
        ("valid: 5", "valid: expected a list such as [-40,85], found the number 5; write [5]"),
        ("chnage: 1", "chnage: unknown key \"chnage\"; did you mean \"change\"?"),
    ];
    for (keys, expected) in cases {
        let yaml =
            format!("sensors: [{{id: a, driver: bme280, bus: b, quantities: {{temperature: {{{keys}}}}}}}]");
        assert_eq!(
            problems(&yaml),
            [format!("line 1: sensors[0].quantities.temperature.{expected}")],
            "{yaml}"
        );
    }
    for (quantity, expected) in [
        ("Door: {change: 1}", "Door.change: the values are no numbers; write any or always"),
        ("mode: {scale: 2}", "mode.scale: the values are text, not numbers; leave it out"),
        (
            "count: {unit: m}",
            "count.unit: the value has no unit, which cannot be converted to \"m\"; leave `unit` out",
        ),
    ] {
        let yaml = format!("sensors: [{{id: a, driver: panel, quantities: {{{quantity}}}}}]");
        table.row(&yaml, &format!("line 1: sensors[0].quantities.{expected}"));
    }
    table.end();
}

#[test]
fn mirrors() {
    let mut table = Table::default();
    let sqlite = "topics: [a], to: sqlite";
    let csv = "topics: [a], to: csv, path: x.csv";
    let cases: Vec<(String, &str)> = vec![
        (
            "to: sqlite".into(),
            "topics: is missing; write, for example, `topics: [\"castel/+/+/temperature\"]`",
        ),
        ("topics: [a]".into(), "to: is missing; write, for example, `to: csv`"),
        ("topics: [], to: sqlite".into(), "topics: needs at least 1 item(s), has 0"),
        (
            "topics: a/b, to: sqlite".into(),
            "topics: expected a list such as [\"castel/+/+/temperature\"], found the text \"a/b\"; write [\"a/b\"]",
        ),
        ("topics: [a], to: postgres".into(), "to: unknown value \"postgres\"; possible: sqlite, csv"),
        ("topics: [a/#/b], to: sqlite".into(), "topics[0]: \"#\" must be the last level"),
        (
            "topics: [a+], to: sqlite".into(),
            "topics[0]: \"+\" must stand alone between slashes, not in \"a+\"",
        ),
        (
            "topics: [a/#, a/b], to: sqlite".into(),
            "topics[1]: \"a/b\" is covered by \"a/#\": its messages would arrive twice; leave the narrower one out",
        ),
        (
            "topics: [a/b, a/#], to: sqlite".into(),
            "topics[1]: \"a/#\" covers \"a/b\": its messages would arrive twice; leave the narrower one out",
        ),
        (
            "topics: [a/+, +/b], to: sqlite".into(),
            "topics[1]: \"a/+\" and \"+/b\" overlap: some messages would arrive twice; leave the narrower one out",
        ),
        ("topics: [a], to: sqlite, id: a b".into(), "id: must be 1 to 64 letters, digits, \"-\" or \"_\""),
        (
            format!("{sqlite}, path: x"),
            "path: goes with `to: csv`; `to: sqlite` writes into the log (`log.path`)",
        ),
        (
            format!("{sqlite}, table: t"),
            "columns: is missing beside `table`; write for example `columns: {value: real}`",
        ),
        (
            format!("{sqlite}, columns: {{v: real}}"),
            "table: is missing beside `columns`: name the table that has them",
        ),
        (
            format!("{sqlite}, table: t, columns: [time]"),
            "columns: a list of columns goes with `to: csv`; write a map: `columns: {value: real}`",
        ),
        (
            format!("{sqlite}, table: Readings, columns: {{v: real}}"),
            "table: \"Readings\" is a name of the log's own; choose another, for example \"my_readings\"",
        ),
        (
            format!("{sqlite}, table: sqlite_x, columns: {{v: real}}"),
            "table: \"sqlite_x\" is a name of the log's own; choose another, for example \"my_sqlite_x\"",
        ),
        (
            format!("{sqlite}, table: \"a;b\", columns: {{v: real}}"),
            "table: \"a;b\" must be 1 to 64 letters, digits or \"_\", and not begin with a digit",
        ),
        (
            format!("{sqlite}, table: t, columns: {{Time: text}}"),
            "columns.Time: every table has a column \"time\" already; choose another, for example \"payload_time\" with a `path`",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: real, V: real}}"),
            "columns.v: stands here twice: SQL does not tell capitals from small letters",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: float}}"),
            "columns.v: unknown value \"float\"; possible: integer, real, text",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: {{path: a}}}}"),
            "columns.v.type: is missing; write, for example, `type: real`",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: {{path: a..b, type: real}}}}"),
            "columns.v.path: \"a..b\" is no path into a JSON document; write for example value, location.latitude, list[0] or /location/latitude",
        ),
        (
            "topics: [a], to: csv".into(),
            "path: is missing: the CSV file to write; write for example `path: \"/var/lib/sensor-bridge/{date}.csv\"`",
        ),
        (
            "topics: [a], to: csv, path: \"{day}.csv\"".into(),
            "path: unknown placeholder \"{day}\"; did you mean \"{date}\"?",
        ),
        (
            "topics: [a], to: csv, path: /var/lib/sensor-bridge/bridge.db".into(),
            "path: is the database of the log (`log.path`)",
        ),
        (format!("{csv}, columns: [tme]"), "columns[0]: unknown column \"tme\"; did you mean \"time\"?"),
        (
            format!("{csv}, columns: [value]"),
            "columns[0]: unknown column \"value\"; for a field of the payload write {value: value}",
        ),
        (
            format!("{csv}, columns: [{{a: x, b: y}}]"),
            "columns[0]: must be one heading and its path; write for example {celsius: value}",
        ),
        (format!("{csv}, columns: [time, time]"), "columns[1]: the heading \"time\" stands here twice"),
        (
            format!("{csv}, columns: {{v: real}}"),
            "columns: a map of columns goes with `to: sqlite`; write a list: `columns: [time, topic, {celsius: value}]`",
        ),
        (format!("{csv}, max_size: 1B"), "max_size: must be at least 10kB, not 1B"),
        (format!("{csv}, table: t"), "table: goes with `to: sqlite`"),
        (
            format!("{csv}, payload: chirpstac"),
            "payload: unknown value \"chirpstac\"; did you mean \"chirpstack\"?",
        ),
        (
            format!("{csv}, payload: tasmota, columns: [time]"),
            "columns: cannot be chosen beside `payload`; leave it out",
        ),
        (
            format!("{csv}, payload: tasmota, time_zone: Mars/Base"),
            "time_zone: unknown time zone \"Mars/Base\"; write for example Europe/Berlin or +01:00",
        ),
        (
            format!("{csv}, payload: chirpstack, time_zone: Z"),
            "time_zone: goes with `payload: tasmota`, whose times are local",
        ),
        (
            "topics: [a], to: sqlite, payload: tasmota, table: readings".into(),
            "table: \"readings\" is a name of the log's own; choose another, for example \"my_readings\"",
        ),
        (
            "topics: [a], to: sqlite, payload: tasmota, path: x".into(),
            "path: goes with `to: csv`; `to: sqlite` writes into the log (`log.path`)",
        ),
    ];
    for (keys, expected) in cases {
        let yaml = format!("mirror: [{{{keys}}}]\nmqtt: {{url: \"mqtt://b\"}}\n");
        table.row(&yaml, &format!("line 1: mirror[0].{expected}"));
    }
    for (first, second, expected) in [
        (csv, csv, "path: mirror[0] writes this file already; use {mirror} in the path"),
        (
            "id: m, topics: [a], to: sqlite",
            "id: m, topics: [a], to: sqlite",
            "id: \"m\" is the id of mirror[0] already",
        ),
        (
            "topics: [a], to: sqlite, table: t, columns: {v: real}",
            "topics: [a], to: sqlite, table: T, columns: {v: text}",
            "table: mirror[0] fills the table \"T\" with other columns; name the same columns, or another table",
        ),
        (
            "topics: [a], to: sqlite, payload: tasmota",
            "topics: [a], to: sqlite, table: Tasmota, columns: {v: text}",
            "table: mirror[0] fills the table \"Tasmota\" with other columns; name the same columns, or another table",
        ),
    ] {
        let yaml = format!("mirror:\n  - {{{first}}}\n  - {{{second}}}\nmqtt: {{url: \"mqtt://b\"}}\n");
        table.row(&yaml, &format!("line 3: mirror[1].{expected}"));
    }
    let alone = problems("mirror: [{topics: [a], to: sqlite}]");
    assert_eq!(
        alone,
        ["line 1: mirror: a mirror needs a broker to subscribe at; add `mqtt:` with the `url` of the broker"]
    );
    table.end();
}

#[test]
fn all_at_once_in_the_order_of_the_file() {
    let yaml = "\
device:
  id: green/house
mqtt:
  url: mqqt://broker
  qos: 3
  retian: true
log:
  retention: { max_age: 90 }
sensors:
  - id: air
    driver: bme280
    bus: i2c-1
    interval: 10sec
    quantities:
      temprature: { change: 0.1 }
      humidity: { change: 0 }
  - id: air
    driver: bme208
mirror:
  - topics: [\"a/#/b\"]
    to: csv
";
    assert_eq!(
        problems(yaml),
        [
            "line 2: device.id: cannot contain '/': it is a level of MQTT topics",
            "line 4: mqtt.url: unknown scheme \"mqqt\"; did you mean \"mqtt\"?",
            "line 5: mqtt.qos: must be between 0 and 2, not 3",
            "line 6: mqtt.retian: unknown key \"retian\"; did you mean \"retain\"?",
            "line 8: log.retention.max_age: expected a duration such as 90d, found the number 90; write \"90s\"",
            "line 13: sensors[0].interval: \"10sec\": unknown unit of time \"sec\"; write \"10s\"",
            "line 15: sensors[0].quantities.temprature: the driver bme280 has no quantity \"temprature\"; did you mean \"temperature\"?",
            "line 16: sensors[0].quantities.humidity.change: must be greater than 0; for every sample write always, for every change any",
            "line 17: sensors[1].id: \"air\" is the id of sensors[0] already",
            "line 18: sensors[1].driver: unknown driver \"bme208\"; did you mean \"bme280\"?",
            "line 20: mirror[0].topics[0]: \"#\" must be the last level",
            "line 20: mirror[0].path: is missing: the CSV file to write; write for example `path: \"/var/lib/sensor-bridge/{date}.csv\"`",
        ]
    );
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let none = || std::iter::empty();
    let missing = folder.path().join("none.yaml");
    let problems = crate::config::load(&missing, none()).unwrap_err().to_string();
    assert!(
        problems.contains("none.yaml: cannot be read: No such file") && problems.contains("--config"),
        "{problems}"
    );
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"a: 1\nb: Gr\xfcn\n").unwrap();
    let problems = crate::config::load(&latin, none()).unwrap_err().to_string();
    assert!(problems.contains("is not UTF-8 text (line 2)"), "{problems}");
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, "mqtt: {url: x\nlog:\n").unwrap();
    let problems = crate::config::load(&broken, none()).unwrap_err().to_string();
    assert!(problems.contains("broken.yaml:") && problems.contains("not valid YAML"), "{problems}");
    assert!(crate::config::load(folder.path(), none()).is_err());
}

#[test]
fn a_chip_select_and_a_serial_port_serve_one_sensor() {
    let yaml = "
sensors:
  - { id: a, driver: mcp3008, bus: spi-0.0 }
  - { id: b, driver: mcp3008, bus: spi-0.1 }
  - { id: c, driver: mcp3008, bus: spi-0.0, channels: [ch1] }
  - { id: d, driver: pms5003, port: /dev/ttyUSB0 }
  - { id: e, driver: pms5003, port: /dev/ttyUSB0 }
  - { id: f, driver: ds18b20 }
  - { id: g, driver: ds18b20 }
";
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    // The real drivers: the paper ones of these tests sit on I2C only.
    let text = crate::config::load(file.path(), std::iter::empty()).unwrap_err().to_string();
    assert!(text.contains("spi-0.0 is taken by sensor \"a\""), "{text}");
    assert!(text.contains("sensors[4].port: /dev/ttyUSB0 is taken by sensor \"d\""), "{text}");
    assert_eq!(text.matches("is taken by").count(), 2, "{text}");
}

#[test]
fn pictures() {
    let camera = |keys: &str| format!("sensors: [{{id: sky, driver: camera{keys}}}]");
    let mut table = Table::default();
    for (keys, expected) in [
        (
            ", quantities: {image: {change: 5}}",
            "quantities.image.change: the values are pictures; write any, always, or a percentage of full contrast such as 2%",
        ),
        (
            ", quantities: {image: {change: 101%}}",
            "quantities.image.change: must be at most 100%: white after black",
        ),
        (
            ", quantities: {image: {change: 0%}}",
            "quantities.image.change: must be greater than 0; for every sample write always, for every change any",
        ),
        (
            ", quantities: {image: {round: 1}}",
            "quantities.image.round: the values are pictures, not numbers; leave it out",
        ),
        (", format: gif", "format: unknown value \"gif\"; possible: json, base64, binary"),
    ] {
        table.row(&camera(keys), &format!("line 1: sensors[0].{expected}"));
    }
    table.row(
        "sensors: [{id: p, driver: panel, format: binary}]",
        "line 1: sensors[0].format: the sensor takes no pictures; leave it out: only pictures have a choice",
    );
    table.row(
        "sensors: [{id: p, driver: panel, quantities: {mode: {format: binary}}}]",
        "line 1: sensors[0].quantities.mode.format: the values are no pictures; leave it out: only pictures have a choice",
    );
    table.row(
        "log: {retention: {images: {max_size: 1kB}}}\nsensors: [{id: p, driver: panel}]",
        "line 1: log.retention.images.max_size: must be at least 1MB, not 1kB",
    );
    table.end();
}

#[test]
fn web_pages() {
    let example = "for example \"127.0.0.1:8480\"";
    expect_in(
        "web",
        &[
            ("", "listen: is missing; write, for example, `listen: 127.0.0.1:8480`"),
            (
                "listen: \"8480\"",
                "listen: \"8480\" is no address to listen on; write \"127.0.0.1:8480\" for this machine only, or \
                 \"0.0.0.0:8480\" for the network",
            ),
            ("listen: \"::1\"", "listen: \"::1\" is no address to listen on; add a port: \"[::1]:8480\""),
            (
                "listen: \"http://0.0.0.0:80\"",
                &format!(
                    "listen: \"http://0.0.0.0:80\" is no address to listen on; write address and port only, {example}"
                ),
            ),
            (
                "listen: \"127.0.0.1:84800\"",
                &format!(
                    "listen: \"127.0.0.1:84800\" is no address to listen on; write an IP address and a port, {example}"
                ),
            ),
            (
                "listen: \"127.0.0.1:1\", hosts: [\"https://x\"]",
                "hosts[0]: \"https://x\" is no host name; write it without scheme and port, for example \"pi.example.org\"",
            ),
            (
                "listen: \"[::]:80\", password: geheim",
                "password: the password must have at least 8 characters",
            ),
        ],
    );
    let mut table = Table::default();
    for address in ["0.0.0.0:80", "[::]:80", "192.168.0.7:80", "[::ffff:10.0.0.1]:80"] {
        table.row(
            &format!("web: {{listen: \"{address}\"}}\n{SENSOR}"),
            &format!(
                "line 1: web: a password is missing: {address} can be reached from the network; put a password into a \
                 file and name it with `password_file`, or listen on 127.0.0.1:80 for this machine only"
            ),
        );
    }
    table.end();
}

#[test]
fn status() {
    let long = format!("socket: /{}", "x".repeat(120));
    expect_in(
        "status",
        &[
            ("interval: 10ms", "interval: must be between 1s and 1d, not 10ms"),
            (
                "socket: status.sock",
                "socket: must be an absolute path, or off; write for example /run/sensor-bridge/status.sock, or off",
            ),
            ("socket: /run/", "socket: names a folder, not a socket; write \"/run/status.sock\""),
            (&long, "socket: is longer than the 107 bytes that a socket's path may have"),
        ],
    );
    expect(&[
        (
            "status: {interval: 1m}\nsensors: [{id: a, driver: panel}]",
            "line 1: status.interval: means nothing here; it goes with `mqtt:`, the broker",
        ),
        (
            "mqtt: {url: \"mqtt://b\", topic: \"a/{device}/{sensor}/{quantity}\"}\ndevice: {id: d}\nsensors: [{id: x, driver: panel, quantities: {count: {topic: a/d/status/facts}}}]",
            "line 3: sensors[0].quantities.count: x/count would publish on \"a/d/status/facts\", as the status message does; choose another topic, or set `mqtt.status_topic`",
        ),
    ]);
}

#[test]
fn outputs() {
    let cases = [
        ("id: air, driver: digital-output, pin: 4", "outputs[0].id: \"air\" is the id of a sensor already"),
        (
            "id: read, driver: digital-output, pin: 4",
            "outputs[0].id: would be taken for an action in `commands.allow`: choose another name",
        ),
        ("id: x, driver: digital-output", "outputs[0].pin: is missing: the BCM number, 22 for GPIO22"),
        (
            "id: x, driver: pwm, pin: 4",
            "outputs[0].pin: pin 4 has no hardware PWM; hardware PWM is on pins 12, 13, 18 and 19",
        ),
        (
            "id: x, driver: pca9685, channel: 1, bus: sim-1, pin: 4",
            "outputs[0].pin: means nothing to this driver; `pca9685` has `channel`",
        ),
        (
            "id: x, driver: pca9685, channel: 1, bus: sim-1, address: 0x70",
            "outputs[0].address: is no address of a PCA9685: it can have 0x40 to 0x77 but for 0x70, which is everybody's",
        ),
        (
            "id: x, driver: pca9685, channel: 1",
            "outputs[0].bus: is missing: the I2C bus, i2c-1, or sim-1 for a simulated one",
        ),
        (
            "id: x, driver: digital-output, pin: 4, safe: 20",
            "outputs[0].safe: is neither on nor off; write off or on",
        ),
        (
            "id: x, driver: digital-output, pin: 4, max: 20",
            "outputs[0].max: means nothing here; `digital-output` is on or off",
        ),
        (
            "id: x, driver: digital-output, pin: 4, safe: on, max_on: 1h",
            "outputs[0].max_on: cannot be on for at most 1h: its safe level is on",
        ),
        (
            "id: x, driver: pwm, pin: 12, min: 50, max: 20",
            "outputs[0].max: leaves nothing to set: 50 to 20 %",
        ),
        (
            "id: x, driver: pwm, pin: 12, max: 50, safe: 60",
            "outputs[0].safe: lies outside `min` and `max` (0 to 50 %)",
        ),
        (
            "id: x, driver: digital-output, pin: 4, link_lost: 5m",
            "outputs[0].link_lost: no command reaches this output over the link; add x to the `allow` of a topic under \
             `commands`, or leave this out",
        ),
        (
            "id: x, driver: digital-input, pin: 4",
            "outputs[0].driver: unknown driver \"digital-input\"; did you mean \"digital-output\"?",
        ),
    ];
    let cases: Vec<(String, String)> = cases
        .into_iter()
        .map(|(keys, expected)| (format!("outputs: [{{{keys}}}]\n{SENSOR}"), format!("line 1: {expected}")))
        .collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(yaml, line)| (yaml.as_str(), line.as_str())).collect();
    expect(&cases);
    expect(&[
        (
            "outputs:\n  - {id: x, driver: digital-output, pin: 4}\n  - {id: y, driver: digital-output, pin: 4}",
            "line 3: outputs[1].pin: pin 4 is taken by output \"x\"; each sensor or output has its own pin",
        ),
        (
            "outputs:\n  - {id: x, driver: pca9685, bus: sim-1, channel: 1}\n  - {id: y, driver: pca9685, bus: sim-1, channel: 2, frequency: 50}",
            "line 3: outputs[1].frequency: output x has 200 Hz on the same chip, which has one for all",
        ),
        (
            "sensors: [{id: a, driver: bme280, bus: sim-1, address: 0x77}]\noutputs:\n  - {id: x, driver: pca9685, bus: sim-1, address: 0x77, channel: 1}",
            "line 3: outputs[0].channel: address 0x77 on sim-1 is taken by sensor \"a\"; each device on a bus has its own address",
        ),
    ]);
}

#[test]
fn commands() {
    let outputs = "outputs: [{id: fan, driver: digital-output, pin: 4}]\nmqtt: {url: \"mqtt://b\"}";
    let cases = [
        (
            "topic: \"c/#\", allow: [fan]",
            "topic: a topic to publish to cannot have the wildcards \"+\" and \"#\"",
        ),
        (
            "topic: \"c/{sensor}\", allow: [fan]",
            "topic: cannot contain {sensor} or {quantity}: a command names what it is for",
        ),
        ("topic: c, allow: [fan, fan]", "allow[1]: \"fan\" stands here already"),
        (
            "topic: c, allow: [fam]",
            "allow[0]: \"fam\" is neither an output nor an action; did you mean \"fan\"?",
        ),
        ("topic: c, allow: [\"read:b\"]", "allow[0]: there is no sensor \"b\"; possible: air"),
        ("topic: c, allow: []", "allow: needs at least 1 item(s), has 0"),
        ("topic: c, allow: [fan], reply: c", "reply: answers would come in as commands on \"c\""),
        ("topic: c, allow: [fan], hmac_key_file: /dev/null", "hmac_key_file: \"/dev/null\" is not a file"),
    ];
    let cases: Vec<(String, String)> = cases
        .into_iter()
        .map(|(keys, expected)| {
            (
                format!("commands: [{{{keys}}}]\n{outputs}\n{SENSOR}"),
                format!("line 1: commands[0].{expected}"),
            )
        })
        .collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(yaml, line)| (yaml.as_str(), line.as_str())).collect();
    expect(&cases);
    expect(&[
        (
            "commands: [{topic: c, allow: [status]}]\nsensors: [{id: a, driver: panel}]",
            "line 1: commands: commands need a broker to come from; add `mqtt:` with the `url` of the broker",
        ),
        (
            "commands:\n  - {topic: c, allow: [status]}\n  - {topic: c, allow: [read]}\nmqtt: {url: \"mqtt://b\"}\nsensors: [{id: a, driver: panel}]",
            "line 3: commands[1].topic: is that of commands[0] already; a topic has one list of what it may do",
        ),
    ]);
}

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
        (mqtt("crc33"), "mqtt.integrity: unknown value \"crc33\"; did you mean \"crc32\"?".to_owned()),
        (
            mqtt("{}"),
            "mqtt.integrity.hmac_key_file: is missing; write, for example, `hmac_key_file: payload.key`".to_owned(),
        ),
        (
            mqtt("{hmac_key_file: [a, b]}"),
            "mqtt.integrity.hmac_key_file: one key signs; the list goes under `integrity` of a mirror, which takes any of them"
                .to_owned(),
        ),
        (
            mqtt("{hmac_key_file: /dev/null}"),
            "mqtt.integrity.hmac_key_file: \"/dev/null\" is not a file".to_owned(),
        ),
        (
            mqtt(&format!("{{hmac_key_file: {short}}}")),
            "mqtt.integrity.hmac_key_file: holds a key of less than 16 bytes; make one with `openssl rand -hex 32`"
                .to_owned(),
        ),
        (
            mirror("{hmac_key_file: []}"),
            "mirror[0].integrity.hmac_key_file: must name 1 to 16 files".to_owned(),
        ),
        (
            mirror("{hmac_key_file: [/dev/null]}"),
            "mirror[0].integrity.hmac_key_file[0]: \"/dev/null\" is not a file".to_owned(),
        ),
        (
            format!("device: {{pseudonym: {{}}}}\n{SENSOR}"),
            "device.pseudonym.key_file: is missing; write, for example, `key_file: pseudonym.key`".to_owned(),
        ),
        (
            format!("device: {{pseudonym: {{key_file: /nowhere}}}}\n{SENSOR}"),
            "device.pseudonym.key_file: \"/nowhere\" cannot be read: No such file or directory (os error 2)".to_owned(),
        ),
    ];
    let cases: Vec<(String, String)> =
        cases.into_iter().map(|(yaml, expected)| (yaml, format!("line 1: {expected}"))).collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(yaml, line)| (yaml.as_str(), line.as_str())).collect();
    expect(&cases);
}

#[cfg(not(feature = "sqlcipher"))]
#[test]
fn a_log_that_this_program_cannot_encrypt() {
    let yaml = format!("log: {{key_file: log.key}}\n{SENSOR}");
    let line = "line 1: log.key_file: this program cannot encrypt its log: it was built without SQLCipher; build it with `--features sqlcipher` (docs/privacy.md), put the log on an encrypted disk, or leave this out";
    expect(&[(yaml.as_str(), line)]);
}

#[cfg(feature = "sqlcipher")]
#[test]
fn a_key_that_is_none() {
    let yaml = format!("log: {{key_file: /nowhere}}\n{SENSOR}");
    let line = "line 1: log.key_file: \"/nowhere\" cannot be read: No such file or directory (os error 2)";
    expect(&[(yaml.as_str(), line)]);
}
