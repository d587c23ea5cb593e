//! What good configurations come out as.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::*;
use crate::reading::{Place, Qos, Shape};

#[test]
fn the_smallest_configuration_has_all_defaults() {
    let config =
        read(&format!("device: {{id: pi}}\nmqtt: {{url: \"mqtt://broker\"}}\n{SENSOR}")).unwrap().config;
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!(mqtt.broker.to_string(), "mqtt://broker:1883");
    assert_eq!(mqtt.client_id, "sensor-bridge-pi");
    assert_eq!(mqtt.version, MqttVersion::V311);
    assert_eq!(mqtt.keep_alive, Duration::from_secs(30));
    assert_eq!(mqtt.backlog, Backlog::InOrder);
    assert_eq!((mqtt.window, mqtt.max_packet_size), (100, 32_000_000));
    assert_eq!(mqtt.status_topic.as_deref(), Some("sensors/pi/status"));
    assert!(mqtt.credentials.is_none());
    assert_eq!(config.log.path, Path::new("/var/lib/sensor-bridge/bridge.db"));
    assert_eq!((config.log.sync, config.log.commit_interval), (Sync::Full, Duration::ZERO));
    assert_eq!(config.log.retention, Retention::default());
    assert_eq!(config.clock, ClockPolicy::Mark);

    let sensor = &config.sensors[0];
    assert_eq!((sensor.interval, sensor.timeout), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!(sensor.quantities.len(), 3);
    let temperature = &sensor.quantities[0];
    assert_eq!((temperature.index, &temperature.filter), (0, &Filter::default()));
    assert_eq!(temperature.calibration, Calibration::default());
    assert_eq!(temperature.channel.unit, "°C");
    let publish = temperature.channel.publish.as_ref().unwrap();
    assert_eq!(publish.topic, "sensors/pi/air/temperature");
    assert_eq!((publish.qos, publish.retain, publish.buffer), (Qos::AtLeastOnce, false, true));
    assert_eq!((publish.shape, &publish.late_topic), (Shape::Quantity, &None));
    assert_eq!(sensor.state.publish.as_ref().unwrap().topic, "sensors/pi/air/state");
    assert_eq!(sensor.state.kind, ValueKind::Text);

    let gap = &config.gap_channel;
    assert_eq!(
        (gap.sensor.as_str(), gap.quantity.as_str(), gap.unit.as_str()),
        ("bridge", "lost", "readings")
    );
    assert_eq!(gap.publish.as_ref().unwrap().topic, "sensors/pi/bridge/lost");
}

#[test]
fn without_a_broker_nothing_is_published() {
    let config = read(SENSOR).unwrap().config;
    assert!(config.mqtt.is_none());
    assert!(config.sensors[0].quantities.iter().all(|q| q.channel.publish.is_none()));
    assert!(config.sensors[0].state.publish.is_none() && config.gap_channel.publish.is_none());
    assert!(!config.device.id.is_empty(), "the host name");
}

#[test]
fn every_key_arrives() {
    let yaml = r#"
device:
  id: greenhouse-pi
  location: { name: Greenhouse 2, latitude: 47.5912, longitude: -0.9155, altitude: 112, precision: 2 }
mqtt:
  url: wss://broker.example/live
  username: greenhouse
  password: geheim
  client_id: mine
  version: 5
  keep_alive: 1m
  topic: "castel/{device}/{sensor}"
  qos: 0
  retain: true
  buffer: false
  backlog: live-first
  late_topic: "late/{sensor}"
  late_rate: 200/s
  window: 20
  max_packet_size: 1MiB
  status_topic: "castel/{device}/alive"
log:
  path: bridge.db
  sync: normal
  commit_interval: 1s
  retention: { max_age: 90d, max_size: 2GB }
clock: { unsynced: hold, max_hold: 1h }
status: { socket: /run/x/y.sock, interval: 90s }
sensors:
  - id: air
    driver: bme280
    bus: i2c-1
    address: 0x77
    interval: 1m30s
    timeout: 20s
    qos: 1
    retain: false
    buffer: true
    quantities:
      temperature:
        unit: degF
        scale: 1.02
        offset: -0.4
        round: 1
        change: 0.1
        heartbeat: 10m
        min_interval: 2m
        valid: [-40, 185]
      humidity: { change: 1%, topic: "castel/humidity", qos: 2, retain: true, buffer: false }
      pressure: { enabled: false }
  - { id: panel, driver: panel, quantities: { bytes: { unit: MiB }, count: { polynomial: [0, 1, 0.5] }, Door: { change: always } } }
  - { id: spare, driver: bme280, bus: i2c-1, address: 0x77, enabled: false }
"#;
    let checked = read(yaml).unwrap();
    assert_eq!(checked.disabled, ["spare"]);
    assert_eq!(checked.warnings.len(), 1, "the password: {:?}", checked.warnings);
    let config = checked.config;
    let place = Place {
        name: Some("Greenhouse 2".into()),
        latitude: Some(47.59),
        longitude: Some(-0.92),
        altitude: Some(112.0),
    };
    assert_eq!(config.device.place.as_ref(), Some(&place));
    let status =
        Status { socket: Socket::At("/run/x/y.sock".into()), interval: Some(Duration::from_secs(90)) };
    assert_eq!(config.status, status);
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!((mqtt.broker.transport, mqtt.broker.port), (Transport::SecureWebSocket, 443));
    assert_eq!(mqtt.broker.path, "/live");
    let credentials = mqtt.credentials.as_ref().unwrap();
    assert_eq!((credentials.username.as_str(), &credentials.password), ("greenhouse", &fixed("geheim")));
    assert_eq!((mqtt.client_id.as_str(), mqtt.version), ("mine", MqttVersion::V5));
    assert_eq!(mqtt.keep_alive, Duration::from_secs(60));
    assert_eq!(mqtt.backlog, Backlog::LiveFirst { rate: 200 });
    assert_eq!((mqtt.window, mqtt.max_packet_size), (20, 1_048_576));
    assert_eq!(mqtt.status_topic.as_deref(), Some("castel/greenhouse-pi/alive"));
    assert_eq!(config.log.sync, Sync::Normal);
    assert_eq!(config.log.commit_interval, Duration::from_secs(1));
    let retention = Retention {
        max_age: Some(Duration::from_secs(90 * 86_400)),
        max_size: Some(2_000_000_000),
        ..Retention::default()
    };
    assert_eq!(config.log.retention, retention);
    assert_eq!(config.clock, ClockPolicy::Hold(Duration::from_secs(3600)));

    let air = &config.sensors[0];
    assert_eq!((air.interval, air.timeout), (Duration::from_secs(90), Duration::from_secs(20)));
    let [temperature, humidity] = air.quantities.as_slice() else { panic!("{:?}", air.quantities) };
    assert_eq!(
        temperature.calibration,
        Calibration { factor: 1.8, shift: 32.0, polynomial: vec![-0.4, 1.02], round: Some(1) }
    );
    assert_eq!(temperature.channel.unit, "°F");
    let filter = Filter {
        change: Change::Absolute(0.1),
        heartbeat: Some(Duration::from_secs(600)),
        min_interval: Some(Duration::from_secs(120)),
        valid: Some((-40.0, 185.0)),
    };
    assert_eq!(temperature.filter, filter);
    assert_eq!(temperature.channel.place.as_ref(), Some(&place));
    let publish = temperature.channel.publish.as_ref().unwrap();
    assert_eq!((publish.topic.as_str(), publish.shape), ("castel/greenhouse-pi/air", Shape::Sample));
    assert_eq!((publish.qos, publish.retain, publish.buffer), (Qos::AtLeastOnce, false, true));
    assert_eq!(publish.late_topic.as_deref(), Some("late/air"));
    assert_eq!(air.state.publish.as_ref(), Some(publish));
    assert_eq!(humidity.filter.change, Change::Relative(0.01));
    let publish = humidity.channel.publish.as_ref().unwrap();
    assert_eq!((publish.topic.as_str(), publish.shape), ("castel/humidity", Shape::Quantity));
    assert_eq!((publish.qos, publish.retain, publish.buffer), (Qos::ExactlyOnce, true, false));

    let panel = &config.sensors[1];
    let kinds: Vec<_> = panel.quantities.iter().map(|q| (q.info.name.as_str(), q.channel.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("Door", ValueKind::Bool),
            ("count", ValueKind::Float),
            ("bytes", ValueKind::Float),
            ("mode", ValueKind::Text)
        ]
    );
    assert_eq!(panel.quantities[0].filter.change, Change::Always, "names keep their capitals");
}

#[test]
fn mirrors() {
    let yaml = r#"
mqtt: { url: "mqtt://broker" }
mirror:
  - { topics: ["castel/+/+/temperature", "$share/g/other/#"], to: csv, path: "/data/{mirror}/{date}.csv" }
  - topics: ["castel/#"]
    to: csv
    path: /data/b.csv
    max_size: 1MB
    columns: [time, {celsius: value}, id, {lat: location.latitude}]
    qos: 2
  - { topics: ["a"], to: sqlite }
  - { id: weather, topics: ["a"], to: sqlite, table: weather, columns: { value: real, name: {path: "tags[0]", type: text} } }
  - { topics: ["b"], to: sqlite, table: Weather, columns: { value: real, name: {path: "/tags/0", type: text} } }
"#;
    let config = read(yaml).unwrap().config;
    let ids: Vec<_> = config.mirrors.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids, ["csv", "csv-2", "sqlite", "weather", "sqlite-2"]);
    assert_eq!(config.mirrors[0].qos, Qos::AtLeastOnce);
    let Sink::Csv { columns, max_size, .. } = &config.mirrors[1].sink else { panic!() };
    let field = |name: &str, path: &str| CsvColumn::Field { name: name.into(), path: JsonPath(path.into()) };
    assert_eq!(
        *columns,
        [CsvColumn::Time, field("celsius", "/value"), CsvColumn::Id, field("lat", "/location/latitude")]
    );
    assert_eq!(*max_size, Some(1_000_000));
    let Sink::Sqlite { table: Some(table) } = &config.mirrors[3].sink else { panic!() };
    assert_eq!(
        table.columns["name"],
        TableColumn { path: JsonPath("/tags/0".into()), kind: ColumnKind::Text }
    );
}

#[test]
fn mirrors_of_other_programs() {
    let yaml = r#"
mqtt: { url: "mqtt://b" }
mirror:
  - { topics: ["tele/+/SENSOR"], payload: tasmota, time_zone: "+01:00", to: sqlite }
  - { topics: ["application/#"], payload: chirpstack, to: sqlite, table: lora }
  - { topics: ["zigbee2mqtt/+"], payload: zigbee2mqtt, to: csv, path: /data/z.csv }
"#;
    let mirrors = read(yaml).unwrap().config.mirrors;
    let table = |at: usize| match &mirrors[at].sink {
        Sink::Sqlite { table } => table.clone().unwrap().name,
        Sink::Csv { .. } => panic!(),
    };
    assert_eq!((table(0).as_str(), table(1).as_str()), ("tasmota", "lora"));
    let payload = mirrors[0].payload.as_ref().unwrap();
    assert!(payload.kind == PayloadKind::Tasmota && payload.zone.is_some());
    let Sink::Csv { columns, .. } = &mirrors[2].sink else { panic!() };
    assert_eq!(columns.len(), 10);
    assert_eq!(columns[2], CsvColumn::Told(ToldColumn::Device));
}

#[test]
fn a_password_file_loses_one_line_end_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    for (content, expected) in
        [("geheim\n", "geheim"), ("geheim\r\n", "geheim"), ("geheim\n\n", "geheim\n"), (" x ", " x ")]
    {
        std::fs::write(&file, content).unwrap();
        let yaml = format!(
            "mqtt: {{url: \"mqtt://b\", username: u, password_file: {:?}}}\n{SENSOR}",
            file.to_str().unwrap()
        );
        let checked = read(&yaml).unwrap();
        assert_eq!(
            checked.config.mqtt.as_ref().unwrap().credentials.as_ref().unwrap().password,
            fixed(expected)
        );
        assert!(!format!("{checked:?}").contains("geheim"));
    }
    std::fs::write(&file, "").unwrap();
    let yaml = format!(
        "mqtt: {{url: \"mqtt://b\", username: u, password_file: {:?}}}\n{SENSOR}",
        file.to_str().unwrap()
    );
    assert!(problems(&yaml)[0].ends_with("is empty"), "{:?}", problems(&yaml));
}

/// The password found by `password_file: mqtt.password`, or the problem; with what in the credentials'
/// folder and beside the configuration.
fn found(credential: Option<&str>, beside: Option<&str>) -> String {
    let (credentials, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (place, content) in [(&credentials, credential), (&folder, beside)] {
        if let Some(content) = content {
            std::fs::write(place.path().join("mqtt.password"), content).unwrap();
        }
    }
    let file = folder.path().join("config.yaml");
    let yaml = format!("mqtt: {{url: \"mqtt://b\", username: u, password_file: mqtt.password}}\n{SENSOR}");
    let env = [("CREDENTIALS_DIRECTORY".to_owned(), credentials.path().to_str().unwrap().to_owned())];
    match read_with(&yaml, Some(&file), env.into_iter(), &DRIVERS) {
        Ok(checked) => match checked.config.mqtt.unwrap().credentials.unwrap().password {
            Password::Fixed(text) => text.0,
            other => panic!("{other:?}"),
        },
        Err(problems) => problems.to_string().replace(folder.path().to_str().unwrap(), "/etc"),
    }
}

#[test]
fn a_password_is_a_credential_of_systemd_or_stands_beside_the_configuration() {
    assert_eq!(found(Some("from systemd\n"), Some("from the file\n")), "from systemd");
    // The unit hands over an empty line where there is no file.
    assert_eq!(found(Some("\n"), Some("from the file\n")), "from the file");
    assert_eq!(found(None, Some("from the file\n")), "from the file");
    let missing = found(Some("\n"), None);
    assert!(missing.contains("password_file: \"/etc/mqtt.password\" cannot be read"), "{missing}");
}

#[test]
fn the_default_status_topic_follows_the_topic() {
    for (topic, expected) in [
        ("castel/{device}/{sensor}/{quantity}", "castel/pi/status"),
        ("{device}/{sensor}", "pi/pi/status"),
        ("{sensor}/{quantity}", "sensor-bridge/pi/status"),
    ] {
        let yaml = format!("device: {{id: pi}}\nmqtt: {{url: \"mqtt://b\", topic: \"{topic}\"}}\n{SENSOR}");
        let status = read(&yaml).unwrap().config.mqtt.unwrap().status_topic;
        assert_eq!(status.as_deref(), Some(expected));
    }
}

#[test]
fn keys_without_a_value_and_aliases_are_fine() {
    let yaml = "
device:
mqtt: {url: \"mqtt://b\", username: }
log:
  retention:
sensors:
  - {id: a, driver: panel, interval: &often 1s}
  - {id: b, driver: panel, interval: *often}
";
    let config = read(yaml).unwrap().config;
    assert_eq!(config.sensors[1].interval, Duration::from_secs(1));
}

#[test]
fn warnings_do_not_stop_anything() {
    let yaml = "sensors: [{id: a, driver: panel, interval: 1m, quantities: {count: {heartbeat: 10s}}}]";
    let checked = read(yaml).unwrap();
    let texts: Vec<_> = checked.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "sensors[0].quantities.count.heartbeat: is shorter than the sensor's interval: every sample is sent"
        ]
    );
}

#[test]
fn pictures_have_topics_shapes_and_time_of_their_own() {
    let shape = |mqtt: &str, keys: &str| {
        let yaml = format!(
            "device: {{id: pi}}\nmqtt: {{url: \"mqtt://b\"{mqtt}}}\nsensors: [{{id: sky, driver: camera{keys}}}]"
        );
        let config = read(&yaml).unwrap().config;
        let sensor = &config.sensors[0];
        let (image, state) = (&sensor.quantities[0].channel, &sensor.state);
        assert_eq!((image.kind, image.unit.as_str()), (ValueKind::Image, "B"));
        let (image, state) = (image.publish.clone().unwrap(), state.publish.clone().unwrap());
        assert_eq!(state.shape, Shape::Quantity);
        (image.shape, image.topic, state.topic)
    };
    let expect = |shape, image: &str, state: &str| (shape, image.to_owned(), state.to_owned());
    let usual = ("sensors/pi/sky/image", "sensors/pi/sky/state");
    assert_eq!(shape("", ""), expect(Shape::Quantity, usual.0, usual.1));
    assert_eq!(shape("", ", format: base64"), expect(Shape::Base64, usual.0, usual.1));
    let both = ", format: base64, quantities: {image: {format: binary}}";
    assert_eq!(shape("", both), expect(Shape::Binary, usual.0, usual.1));
    // A topic without {quantity} is the picture's alone.
    let topic = ", topic: \"castel/{device}/{sensor}/image\"";
    let own = ("castel/pi/sky/image", "castel/pi/sky/image/state");
    assert_eq!(shape("", topic), expect(Shape::Quantity, own.0, own.1));
    let common = ", topic: \"c/{sensor}\"";
    assert_eq!(
        shape(common, ", format: binary, quantities: {image: {qos: 2, change: 2%}}"),
        expect(Shape::Binary, "c/sky", "c/sky/state")
    );

    let timeout = |keys: &str| {
        let checked = read(&format!("sensors: [{{id: sky, driver: camera{keys}}}]")).unwrap();
        let warnings: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
        (checked.config.sensors[0].timeout, warnings)
    };
    assert_eq!(timeout(""), (Duration::from_secs(30), vec![]), "five seconds more than a reading may take");
    assert_eq!(timeout(", timeout: 1m"), (Duration::from_secs(60), vec![]));
    let (short, warnings) = timeout(", timeout: 3s");
    assert_eq!(short, Duration::from_secs(3));
    assert!(
        warnings[0].contains("shorter than a reading may take by the driver's own limits (25s)"),
        "{warnings:?}"
    );

    let yaml =
        format!("log: {{retention: {{max_age: 90d, images: {{max_age: 14d, max_size: 500MB}}}}}}\n{SENSOR}");
    let images = read(&yaml).unwrap().config.log.retention.images;
    assert_eq!(images.max_age, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(images.max_size, Some(500_000_000));
}

#[test]
fn outputs_and_commands() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef\n").unwrap();
    let yaml = format!(
        "
device: {{id: pi}}
mqtt: {{url: \"mqtt://b\", topic: \"t/{{device}}/{{sensor}}\"}}
sensors: [{{id: a, driver: panel}}]
outputs:
  - {{id: fan, driver: digital-output, pin: 22, active_low: true, safe: on, link_lost: 5m}}
  - {{id: lamp, driver: pwm, pin: 18, min: 10, max: 80, safe: 20, slew: 5, retain: true}}
  - {{id: valve, driver: pca9685, bus: sim-1, address: 0x41, channel: 15, frequency: 50, max_on: 1h}}
commands:
  - {{topic: \"c/{{device}}\", qos: 2, allow: [fan, read, \"interval:a\"], reply: \"r/{{device}}\"}}
  - {{topic: signed, allow: [status], hmac_key_file: {key:?}, unsynced: obey}}
"
    );
    let config = read(&yaml).unwrap().config;
    let [fan, lamp, valve] = config.outputs.as_slice() else { panic!() };
    assert_eq!((fan.limits.safe, fan.limits.link_lost), (100.0, Some(Duration::from_secs(300))));
    assert_eq!(fan.level.publish.as_ref().unwrap().topic, "t/pi/fan");
    assert_eq!((lamp.limits.safe, lamp.limits.max, lamp.limits.slew), (20.0, 80.0, Some(5.0)));
    assert!(lamp.level.publish.as_ref().unwrap().retain && !fan.level.publish.as_ref().unwrap().retain);
    assert_eq!(valve.driver.attachment().to_string(), "channel 15 of the PCA9685 at address 0x41 on sim-1");
    assert_eq!(valve.limits.max_on, Some(Duration::from_secs(3600)));
    let [plain, signed] = config.commands.as_slice() else { panic!() };
    assert_eq!(
        (plain.topic.as_str(), plain.reply.as_deref(), plain.qos),
        ("c/pi", Some("r/pi"), Qos::ExactlyOnce)
    );
    let allowed: Vec<String> = plain.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["fan", "read", "interval:a"]);
    let right = crate::integrity::Key::new(b"0123456789abcdef");
    assert_eq!(signed.key.as_ref().unwrap().pseudonym("x"), right.pseudonym("x"));
    assert!(signed.obey_unsynced && !plain.obey_unsynced);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}

#[test]
fn the_status_may_be_switched_off() {
    let status = |text: &str| {
        let yaml = format!("{text}mqtt: {{url: \"mqtt://b\"}}\nsensors: [{{id: a, driver: panel}}]");
        read(&yaml).unwrap().config.status
    };
    assert_eq!(status(""), Status { socket: Socket::Usual, interval: Some(Duration::from_secs(300)) });
    assert_eq!(
        status("status: {socket: off, interval: off}\n"),
        Status { socket: Socket::Off, interval: None }
    );
}

#[test]
fn payloads_that_can_be_checked_and_a_device_with_another_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [("a.key", "0123456789abcdef\n"), ("b.key", "another key, long")] {
        std::fs::write(folder.path().join(name), key).unwrap();
    }
    let at = folder.path().display();
    let yaml = format!(
        "
device: {{id: greenhouse-pi, pseudonym: {{key_file: {at}/a.key}}}}
mqtt: {{url: \"mqtt://b\", integrity: {{hmac_key_file: {at}/a.key}}, username: greenhouse-pi, topic: \"x/{{device}}/{{sensor}}\"}}
sensors:
  - {{id: a, driver: panel}}
  - {{id: b, driver: panel, topic: x/greenhouse-pi/b}}
commands: [{{topic: \"c/{{device}}\", allow: [status]}}]
mirror:
  - {{id: one, topics: [a], to: sqlite, integrity: crc32}}
  - {{id: two, topics: [b], to: sqlite, integrity: {{hmac_key_file: [{at}/a.key, {at}/b.key]}}}}
  - {{id: all, topics: [c, \"x/greenhouse-pi/#\"], to: sqlite}}
"
    );
    let checked = read(&yaml).unwrap();
    let config = checked.config;
    // printf greenhouse-pi | openssl dgst -sha256 -hmac 0123456789abcdef
    let name = "30b3abc33010d943";
    assert_eq!(
        (config.device.id.as_str(), config.device.pseudonym.as_ref().map(|pseudonym| pseudonym.id.as_str())),
        (name, Some("greenhouse-pi"))
    );
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!(mqtt.client_id, format!("sensor-bridge-{name}"));
    assert_eq!(mqtt.status_topic.as_deref(), Some(format!("x/{name}/status").as_str()));
    assert_eq!(config.commands[0].topic, format!("c/{name}"));
    let channel = &config.sensors[0].quantities[0].channel;
    assert!(channel.device == name && channel.publish.as_ref().unwrap().topic == format!("x/{name}/a"));
    assert_eq!(mqtt.integrity.as_ref().unwrap().to_string(), "an HMAC-SHA-256");
    let wanted: Vec<Option<String>> =
        config.mirrors.iter().map(|mirror| mirror.integrity.as_ref().map(ToString::to_string)).collect();
    let wanted: Vec<Option<&str>> = wanted.iter().map(Option::as_deref).collect();
    assert_eq!(wanted, [Some("a CRC-32"), Some("an HMAC-SHA-256 by one of 2 keys"), None]);
    let warned: Vec<String> = checked.warnings.iter().map(|warning| warning.path.to_string()).collect();
    let slips: Vec<&String> =
        warned.iter().filter(|path| !path.ends_with("key_file") && !path.contains("hmac")).collect();
    assert_eq!(slips, ["mqtt.username", "sensors[1]", "mirror[2].topics"], "{warned:?}");
    let printed = format!("{config:?}");
    assert!(!printed.contains("0123456789abcdef") && !printed.contains("another key"));
}
