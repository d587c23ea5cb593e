//! A device of the Watson IoT Platform's protocol: management, events and commands; and quickstart.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::wire::{Packet, Wire};
use super::support::{Bridge, Mosquitto, Publisher, find, holds_within};

const SOON: Duration = Duration::from_secs(30);
const TOKEN: &str = "s3cr3t-t0ken";
const MOST: usize = 131_072;

/// What may a device do: publish events and what belongs to management, hear its own commands and management. Whoever
/// has no name is the platform.
const RULES: &str = "topic readwrite #

user use-token-auth
topic write iot-2/evt/+/fmt/+
topic read iot-2/cmd/+/fmt/+
topic write iotdevice-1/#
topic read iotdm-1/#
";

/// A broker that holds registered devices to these rules, and says whom it denies what.
fn broker() -> (Mosquitto, TempDir) {
    let folder = TempDir::new().unwrap();
    let (passwords, rules) = (folder.path().join("passwords"), folder.path().join("rules"));
    fs::write(&passwords, format!("use-token-auth:{TOKEN}\n")).unwrap();
    assert!(Command::new(find("mosquitto_passwd")).arg("-U").arg(&passwords).status().unwrap().success());
    fs::write(&rules, RULES).unwrap();
    let options = format!(
        "password_file {}\nacl_file {}\nmessage_size_limit {MOST}\nlog_type all\n",
        passwords.display(),
        rules.display()
    );
    (Mosquitto::with(&options), folder)
}

/// A message of the device.
#[derive(Debug, Clone)]
struct Said {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    at: Instant,
}

impl Said {
    fn body(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }
}

/// The platform: hears everything, and answers what belongs to management.
struct Platform {
    said: Arc<Mutex<Vec<Said>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Platform {
    fn start(port: u16) -> Self {
        let mut wire = Wire::connect(port, "platform", true).unwrap().0;
        wire.subscribe("iot-2/evt/#", 1).unwrap();
        wire.subscribe("iotdevice-1/#", 1).unwrap();
        let (said, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (said, stop) = (Arc::clone(&said), Arc::clone(&stop));
            move || serve(&mut wire, &said, &stop)
        });
        Self { said, stop, thread: Some(thread) }
    }

    fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    /// The first message on the topic that fits, which may still have to come.
    #[track_caller]
    fn wait_for(&self, bridge: &Bridge, topic: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        let came = holds_within(SOON, || {
            found = self.said().iter().filter(|said| said.topic == topic).map(Said::body).find(&fits);
            found.is_some()
        });
        if !came {
            let topics: Vec<_> = self.said().iter().map(|said| (said.topic.clone(), said.body())).collect();
            panic!("nothing that fits on {topic} among {topics:#?}\n{}", bridge.last_words());
        }
        found.unwrap()
    }

    /// The device's answer to a request.
    #[track_caller]
    fn response(&self, bridge: &Bridge, id: &str) -> Value {
        self.wait_for(bridge, "iotdevice-1/response", |answer| answer["reqId"] == id)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or(());
        }
    }
}

fn serve(wire: &mut Wire, said: &Mutex<Vec<Said>>, stop: &AtomicBool) {
    let (mut conflicts, mut packet) = (1, 0);
    while !stop.load(Ordering::Relaxed) {
        let Ok(received) = wire.receive(Duration::from_millis(50)) else { return };
        let Some(Packet::Publish { topic, qos, retain, id, payload, .. }) = received else { continue };
        if qos > 0 {
            wire.puback(id);
        }
        let one = Said { topic, payload, qos, retain, at: Instant::now() };
        let request = one.body();
        if let (Some(rc), Some(id)) = (judged(&one, &mut conflicts), request["reqId"].as_str()) {
            packet += 1;
            let answer = json!({"rc": rc, "reqId": id}).to_string();
            wire.publish("iotdm-1/response", answer.as_bytes(), 1, packet, false);
        }
        said.lock().unwrap().push(one);
        if wire.flush().is_err() {
            return;
        }
    }
}

/// The platform's return code for a message of device management; `None` where it answers nothing.
fn judged(said: &Said, conflicts: &mut u32) -> Option<u16> {
    let d = &said.body()["d"];
    let good = match said.topic.strip_prefix("iotdevice-1/")? {
        "response" => return None,
        // 409: a conflict, which is over when it is tried again.
        "mgmt/manage" if *conflicts > 0 => {
            *conflicts -= 1;
            return Some(409);
        }
        "mgmt/manage" => {
            let lifetime = d["lifetime"].as_u64().unwrap_or(0);
            lifetime == 0 || lifetime >= 3600
        }
        "device/update/location" => d["latitude"].is_number() && d["longitude"].is_number(),
        "add/diag/errorCodes" => d["errorCode"].is_u64(),
        "add/diag/log" => d["message"].is_string() && d["timestamp"].is_string() && d["severity"].is_u64(),
        "notify" => d["fields"].is_array(),
        "mgmt/unmanage" | "clear/diag/errorCodes" | "clear/diag/log" => true,
        _ => return Some(404),
    };
    let refused = said.qos > 1 || said.retain;
    Some(if good && !refused { 200 } else { 400 })
}

fn send(broker: &Mosquitto, topic: &str, payload: &Value) {
    Publisher::once(broker.port(), topic, &["-q", "1", "-m", &payload.to_string()]);
}

/// A managed device with a sensor that works and one that does not, a picture that is too large, and a fan.
fn registered(folder: &Path, broker: &Mosquitto) -> String {
    let folder = folder.display();
    fs::write(format!("{folder}/token"), TOKEN).unwrap();
    format!(
        "device: {{ id: greenhouse, location: {{ name: Greenhouse 2, latitude: 47.59, longitude: 0.91 }} }}
log: {{ path: {folder}/bridge.db }}
mqtt:
  url: {url}
  password_file: token
  platform:
    name: watson-iot
    organization: x1y2z3
    device_type: raspberry-pi
    managed:
      lifetime: 1d
      metadata: {{ room: 4 }}
      reboot: [/usr/bin/touch, {folder}/rebooted]
      unmanage_on_exit: true
sensors:
  - {{ id: air, driver: bme280, bus: sim-1, interval: 200ms, simulate: {{ temperature: {{ constant: 21 }} }}, quantities: {{ temperature: {{ change: any }} }} }}
  - {{ id: hole, driver: bme280, bus: i2c-99, address: 0x76, interval: 200ms }}
  - {{ id: sky, driver: camera, command: [cat, {folder}/large.jpg], interval: 1h, format: binary }}
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
commands:
  - {{ from: platform, allow: [fan, \"read:air\"] }}
",
        url = broker.url()
    )
}

/// A JPEG of more bytes than the platform takes: noise does not compress.
fn large_picture(path: &Path) {
    let mut state = 7_u32;
    let noise = image::RgbImage::from_fn(400, 400, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(&noise).unwrap();
    assert!(bytes.len() > MOST, "{}", bytes.len());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_managed_device_is_managed_observed_commanded_and_keeps_to_its_topics() {
    let (broker, _files) = broker();
    let platform = Platform::start(broker.port());
    let mut bridge = Bridge::prepare(|folder| registered(folder, &broker));
    large_picture(&bridge.folder().join("large.jpg"));
    bridge.resume();

    // Managed, after a conflict; then where it is and what fails.
    let manage = platform.wait_for(&bridge, "iotdevice-1/mgmt/manage", |_| true);
    assert_eq!(manage["d"]["lifetime"], 86_400);
    assert_eq!(manage["d"]["supports"], json!({"deviceActions": true, "firmwareActions": false}));
    assert_eq!(manage["d"]["deviceInfo"]["descriptiveLocation"], "Greenhouse 2");
    let place = platform.wait_for(&bridge, "iotdevice-1/device/update/location", |_| true);
    assert_eq!(place["d"], json!({"latitude": 47.59, "longitude": 0.91}));
    let log = platform.wait_for(&bridge, "iotdevice-1/add/diag/log", |_| true);
    assert!(log["d"]["message"].as_str().unwrap().starts_with("hole: failed"), "{log}");
    let code = platform.wait_for(&bridge, "iotdevice-1/add/diag/errorCodes", |_| true);
    assert_eq!(code["d"]["errorCode"], 2, "the second sensor");

    // Readings, with their identity.
    let event =
        platform.wait_for(&bridge, "iot-2/evt/air/fmt/json", |event| event["d"]["temperature"].is_number());
    let d = &event["d"];
    assert!((d["temperature"].as_f64().unwrap() - 21.0).abs() < 0.1, "{event}");
    assert_eq!((&d["sensor"], &d["units"]["temperature"]), (&json!("air"), &json!("°C")));
    assert!(d["id"].as_str().unwrap().contains('-') && d["time"].as_str().unwrap().ends_with('Z'));

    commands(&broker, &platform, &bridge);
    requests(&broker, &platform, &bridge);

    assert!(
        holds_within(SOON, || bridge.stderr().contains("larger than the 131072")),
        "{}",
        bridge.last_words()
    );
    let status = bridge.terminate();
    assert!(status.success(), "{}", bridge.last_words());
    platform.wait_for(&bridge, "iotdevice-1/mgmt/unmanage", |request| request["reqId"].is_string());

    // While it is away: a command waits, a retained one does no good.
    send(&broker, "iot-2/cmd/set/fmt/json", &json!({"d": {"id": "waited", "output": "fan", "value": true}}));
    let retained = json!({"d": {"id": "kept", "output": "fan", "value": true}}).to_string();
    Publisher::once(broker.port(), "iot-2/cmd/read/fmt/json", &["-r", "-m", &retained]);
    bridge.resume();
    assert_eq!(answer(&platform, &bridge, "waited")["rc"], 200);
    platform.wait_for(&bridge, ANSWER, |answer| answer["d"]["rc"] == 410);

    for said in platform.said() {
        assert!(said.qos <= 1 && !said.retain && said.payload.len() <= MOST, "{said:?}");
    }
    let log = broker.log();
    assert!(!log.contains("Denied"), "{log}");
    assert!(log.contains("d:x1y2z3:raspberry-pi:greenhouse") && log.contains("u'use-token-auth'"), "{log}");
    let words = bridge.stderr();
    assert!(!words.contains(TOKEN), "{words}");
}

const ANSWER: &str = "iot-2/evt/answer/fmt/json";

#[track_caller]
fn answer(platform: &Platform, bridge: &Bridge, id: &str) -> Value {
    platform.wait_for(bridge, ANSWER, |answer| answer["d"]["id"] == id)["d"].clone()
}

/// Commands are obeyed as the configuration allows, and answered.
fn commands(broker: &Mosquitto, platform: &Platform, bridge: &Bridge) {
    let set = |id: &str, output: &str| json!({"d": {"id": id, "output": output, "value": true}});
    send(broker, "iot-2/cmd/set/fmt/json", &set("a", "fan"));
    let said = answer(platform, bridge, "a");
    assert_eq!(
        (&said["rc"], &said["command"], &said["message"]),
        (&json!(200), &json!("set"), &json!("fan is on"))
    );
    platform.wait_for(bridge, "iot-2/evt/fan/fmt/json", |event| event["d"]["on"] == true);
    send(broker, "iot-2/cmd/read/fmt/json", &json!({"d": {"id": "b", "sensor": "air"}}));
    assert!(answer(platform, bridge, "b")["data"].is_object());
    send(broker, "iot-2/cmd/pause/fmt/json", &json!({"d": {"id": "c", "sensor": "air"}}));
    assert_eq!(answer(platform, bridge, "c")["rc"], 403);
    send(broker, "iot-2/cmd/set/fmt/json", &set("d", "heater"));
    assert_eq!(answer(platform, bridge, "d")["rc"], 403);
    Publisher::once(broker.port(), "iot-2/cmd/set/fmt/json", &["-q", "1", "-m", "on"]);
    platform.wait_for(bridge, ANSWER, |answer| answer["d"]["rc"] == 400);
}

/// Requests of device management are answered as the configuration allows.
fn requests(broker: &Mosquitto, platform: &Platform, bridge: &Bridge) {
    let fields = |id: &str, fields: Value| json!({"reqId": id, "d": {"fields": fields}});
    send(broker, "iotdm-1/observe", &fields("o", json!([{"field": "metadata"}])));
    let observed = platform.response(bridge, "o");
    assert_eq!(
        (&observed["rc"], &observed["d"]["fields"][0]),
        (&json!(200), &json!({"field": "metadata", "value": {"room": 4}}))
    );
    let changed = json!([{"field": "metadata", "value": {"room": 5}}]);
    send(broker, "iotdm-1/device/update", &fields("u", changed.clone()));
    assert_eq!(platform.response(bridge, "u")["rc"], 204);
    let notice = platform.wait_for(bridge, "iotdevice-1/notify", |_| true);
    assert_eq!(notice["d"]["fields"], changed);
    send(broker, "iotdm-1/cancel", &fields("c", json!([{"field": "metadata"}])));
    assert_eq!(platform.response(bridge, "c")["rc"], 200);
    send(broker, "iotdm-1/device/update", &fields("x", json!([{"field": "mgmt.firmware", "value": {}}])));
    assert_eq!(platform.response(bridge, "x")["rc"], 404);

    for (id, request) in
        [("f", "mgmt/initiate/firmware/download"), ("r", "mgmt/initiate/device/factory_reset")]
    {
        send(broker, &format!("iotdm-1/{request}"), &json!({"reqId": id}));
        assert_eq!(platform.response(bridge, id)["rc"], 501);
    }
    send(broker, "iotdm-1/mgmt/initiate/device/reboot", &json!({"reqId": "b"}));
    assert_eq!(platform.response(bridge, "b")["rc"], 202);
    assert!(bridge.folder().join("rebooted").exists());
}

#[test]
fn quickstart_gets_a_message_a_second_and_each_sensor_its_turn() {
    let broker = Mosquitto::start();
    let platform = Platform::start(broker.port());
    let sensor = |n: u8| {
        format!(
            "  - {{ id: s{n}, driver: sim, scenario: clock, interval: 50ms, quantities: {{ value: {{ change: always }} }} }}\n"
        )
    };
    let started = Instant::now();
    let mut bridge = Bridge::start(|folder| {
        format!(
            "device: {{ id: pi }}
log: {{ path: {folder}/bridge.db }}
status: {{ socket: {folder}/s }}
mqtt:
  url: {url}
  platform: {{ name: watson-iot, organization: quickstart, device_type: pi }}
sensors:
{sensors}",
            folder = folder.display(),
            url = broker.url(),
            sensors = [1, 2, 3].map(sensor).concat()
        )
    });
    let values = |sensor: &str| -> Vec<i64> {
        let topic = format!("iot-2/evt/{sensor}/fmt/json");
        let events = platform.said().into_iter().filter(|said| said.topic == topic);
        events.filter_map(|said| said.body()["d"]["value"].as_i64()).collect()
    };
    let all_twice = || ["s1", "s2", "s3"].iter().all(|sensor| values(sensor).len() >= 2);
    assert!(holds_within(SOON, all_twice), "{:?}\n{}", platform.said(), bridge.last_words());
    for sensor in ["s1", "s2", "s3"] {
        let values = values(sensor);
        assert!(values.is_sorted_by(|a, b| a < b), "{sensor}: {values:?}");
    }
    // However late some of them come: never more than there were seconds, and one to begin with.
    for (count, said) in (1_u32..).zip(platform.said()) {
        let most = 1.0 + (said.at - started).as_secs_f64();
        assert!(f64::from(count) <= most, "{count} messages within {:?}", said.at - started);
        assert_eq!((said.qos, said.retain), (0, false));
    }
    let facts = bridge.run(&["status", "--json"]);
    let facts: Value = serde_json::from_slice(&facts.stdout).unwrap();
    let figure = |name: &str| facts["broker"][name].as_u64().unwrap_or_else(|| panic!("{name}: {facts}"));
    assert!(figure("thinned") > 20, "{facts}");
    // 60 rows a second come in. What waits is at most what came since the turn before last.
    assert!(figure("backlog_rows") < 60 * 20, "{facts}");
    assert!(bridge.terminate().success());
    let log = broker.log();
    assert!(log.contains("d:quickstart:pi:pi (p2, c1"), "{log}");
}
