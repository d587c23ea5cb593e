//! Azure IoT Hub, small: a door that checks the shared access signature as the documentation computes it, a mosquitto with
//! the device's topics behind it, and twin and direct methods as "Communicate with an IoT hub using the MQTT protocol" has
//! them.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::actor::{Actor, Answer, Service};
use crate::certificates::Certificates;
use crate::front::{Connect, Front};
use crate::support::{Bridge, Mosquitto, wait_until};

const SOON: Duration = Duration::from_secs(30);
const KEY: &[u8] = b"the device's primary key";
const USER: &str = "contoso.azure-devices.net/greenhouse-pi/?api-version=2021-04-12";

/// What a device may do; what stands before the first user is for the hub itself.
const RULES: &str = "\
topic readwrite #
topic readwrite $iothub/#
user contoso.azure-devices.net/greenhouse-pi/?api-version=2021-04-12
topic write devices/greenhouse-pi/messages/events/#
topic read $iothub/methods/POST/#
topic write $iothub/methods/res/#
topic write $iothub/twin/GET/#
topic write $iothub/twin/PATCH/properties/reported/#
topic read $iothub/twin/res/#
topic read $iothub/twin/PATCH/properties/desired/#
";

/// The hub behind its door.
#[derive(Default)]
struct Hub {
    desired: Map<String, Value>,
    desired_version: i64,
    reported: Map<String, Value>,
    reported_version: i64,
    events: Vec<(String, String)>,
    /// Status, number and body of the answers to methods.
    answers: Vec<(u16, String, Value)>,
    rejected: Vec<String>,
    gets: usize,
}

impl Hub {
    fn get(&mut self, number: &str) -> Answer {
        self.gets += 1;
        let (mut desired, mut reported) = (self.desired.clone(), self.reported.clone());
        desired.insert("$version".into(), json!(self.desired_version));
        reported.insert("$version".into(), json!(self.reported_version));
        let body = json!({"desired": desired, "reported": reported});
        (format!("$iothub/twin/res/200/?$rid={number}"), body.to_string().into_bytes())
    }

    fn patch(&mut self, number: &str, payload: &[u8]) -> Answer {
        let patch = serde_json::from_slice::<Map<String, Value>>(payload).ok().filter(|patch| good(patch, 1));
        let Some(patch) = patch else {
            self.rejected.push(String::from_utf8_lossy(payload).into_owned());
            return (format!("$iothub/twin/res/400/?$rid={number}"), Vec::new());
        };
        merge(&mut self.reported, &patch);
        self.reported_version += 1;
        (format!("$iothub/twin/res/204/?$rid={number}&$version={}", self.reported_version), Vec::new())
    }

    /// The back end desires something; connected devices are told.
    fn desire(&mut self, patch: Value) -> Answer {
        let mut patch = patch.as_object().unwrap().clone();
        merge(&mut self.desired, &patch);
        self.desired_version += 1;
        patch.insert("$version".into(), json!(self.desired_version));
        let topic = format!("$iothub/twin/PATCH/properties/desired/?$version={}", self.desired_version);
        (topic, Value::Object(patch).to_string().into_bytes())
    }

    fn at(&self, pointer: &str) -> Value {
        Value::Object(self.reported.clone()).pointer(pointer).cloned().unwrap_or(Value::Null)
    }
}

/// "Tags and properties format": keys, depth, whole numbers, texts.
fn good(values: &Map<String, Value>, depth: usize) -> bool {
    let key = |key: &String| !key.contains(['.', '$', ' ']) && !key.chars().any(char::is_control);
    let value = |value: &Value| match value {
        Value::Object(below) => depth < 10 && good(below, depth + 1),
        Value::Number(number) => number.as_i64().is_none_or(|n| n.abs() <= 4_503_599_627_370_496),
        Value::String(text) => text.len() <= 4_096,
        Value::Array(_) => false,
        _ => true,
    };
    values.keys().all(key) && values.values().all(value)
}

/// "A member set to null deletes the member from the containing object."
fn merge(whole: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (value, whole.get_mut(key)) {
            (Value::Null, _) => drop(whole.remove(key)),
            (Value::Object(below), Some(Value::Object(is))) => merge(is, below),
            _ => drop(whole.insert(key.clone(), value.clone())),
        }
    }
}

impl Service for Hub {
    fn filters(&self) -> Vec<String> {
        [
            "$iothub/twin/GET/#",
            "$iothub/twin/PATCH/properties/reported/#",
            "$iothub/methods/res/#",
            "devices/#",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn heard(&mut self, topic: &str, payload: &[u8]) -> Vec<Answer> {
        if let Some(number) = topic.strip_prefix("$iothub/twin/GET/?$rid=") {
            return vec![self.get(number)];
        }
        if let Some(number) = topic.strip_prefix("$iothub/twin/PATCH/properties/reported/?$rid=") {
            return vec![self.patch(number, payload)];
        }
        if let Some(rest) = topic.strip_prefix("$iothub/methods/res/") {
            let (status, number) = rest.split_once("/?$rid=").unwrap();
            let body = serde_json::from_slice(payload).unwrap();
            self.answers.push((status.parse().unwrap(), number.to_owned(), body));
        } else {
            self.events.push((topic.to_owned(), String::from_utf8_lossy(payload).into_owned()));
        }
        Vec::new()
    }
}

/// RFC 2104 over SHA-256, with nothing of what the bridge computes it with.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// "Control access to IoT Hub with shared access signatures": what a service checks.
fn known(connect: &Connect) -> Result<(), String> {
    let refused = |why: &str| Err(format!("{why}: {connect:?}"));
    if connect.client_id != "greenhouse-pi" || connect.username != USER || connect.will {
        return refused("not this device");
    }
    let Some(fields) = connect.password.strip_prefix("SharedAccessSignature ") else {
        return refused("no signature");
    };
    let field = |name: &str| {
        fields
            .split('&')
            .filter_map(|field| field.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let (Some(resource), Some(signature), Some(expiry)) = (field("sr"), field("sig"), field("se")) else {
        return refused("a field is missing");
    };
    if decoded(resource) != "contoso.azure-devices.net/devices/greenhouse-pi" || field("skn").is_some() {
        return refused("another resource");
    }
    let now = sensor_bridge::enrich::clock::now().wall.0 / 1_000_000;
    if expiry.parse::<i64>().unwrap() <= now {
        return refused("expired");
    }
    match decoded(signature) == STANDARD.encode(hmac(KEY, &format!("{resource}\n{expiry}"))) {
        true => Ok(()),
        false => refused("a wrong signature"),
    }
}

struct Cloud {
    certificates: Certificates,
    front: Front,
    broker: Mosquitto,
    hub: Actor<Hub>,
}

impl Cloud {
    fn start() -> Self {
        let certificates = Certificates::of("greenhouse-pi");
        fs::write(certificates.file("rules"), RULES).unwrap();
        let broker =
            Mosquitto::with(&format!("log_type debug\nacl_file {}\n", certificates.file("rules").display()));
        let front = Front::start(broker.port(), &certificates, Box::new(known));
        let hub = Actor::start(broker.port(), Hub::default());
        Self { certificates, front, broker, hub }
    }

    fn bridge(&self, key: &[u8]) -> Bridge {
        Bridge::start(|folder| {
            fs::write(folder.join("device.sas"), STANDARD.encode(key)).unwrap();
            format!(
                "device: {{ id: greenhouse-pi }}
log: {{ path: {}/bridge.db }}
mqtt:
  platform: {{ name: azure-iot-hub, hub: contoso, properties: {{ building: \"43 A\" }} }}
  url: mqtts://localhost:{}
  token: {{ sas: {{ key_file: device.sas }} }}
  tls: {{ ca_file: {}/ca.pem }}
sensors: [{{ id: \"wave 1\", driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 100ms }}]
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
  - {{ id: pump, driver: digital-output, bus: gpio-sim, pin: 23 }}
commands: [{{ from: platform, allow: [fan, status] }}]
",
                folder.display(),
                self.front.port(),
                self.certificates.folder().display(),
            )
        })
    }

    /// Calls a direct method; answers status and body.
    #[track_caller]
    fn call(&self, method: &str, number: &str, payload: &str) -> (u16, Value) {
        let topic = format!("$iothub/methods/POST/{method}/?$rid={number}");
        self.hub.with(|_, answers| answers.push((topic, payload.as_bytes().to_vec())));
        let mut found = None;
        self.hub.wait("an answer to the method", |hub| {
            found = hub.answers.iter().find(|(_, answered, _)| answered == number).cloned();
            found.is_some()
        });
        let (status, _, body) = found.unwrap();
        (status, body)
    }

    fn desire(&self, patch: Value) {
        self.hub.with(|hub, answers| answers.push(hub.desire(patch)));
    }

    #[track_caller]
    fn is_content(&self) {
        self.hub.with(|hub, _| assert_eq!(hub.rejected, Vec::<String>::new()));
        assert_eq!(self.front.complaints(), Vec::<String>::new());
        assert!(!self.broker.log().contains("Denied"), "{}", self.broker.log());
    }
}

#[test]
fn a_device_sends_messages_and_answers_methods_and_its_twin() {
    let cloud = Cloud::start();
    let mut bridge = cloud.bridge(KEY);
    let topic = "devices/greenhouse-pi/messages/events/$.ct=application%2Fjson&$.ce=utf-8&sensor=wave%201&quantity=value&building=43%20A";
    cloud.hub.wait("messages with their properties", |hub| {
        hub.events.iter().filter(|(on, body)| on == topic && body.contains("\"quantity\":\"value\"")).count()
            >= 5
    });
    cloud.hub.wait("states in the twin", |hub| {
        hub.at("/fan/on") == json!(false) && hub.at("/wave_1/state") == json!("ok")
    });
    assert_eq!(cloud.hub.with(|hub, _| hub.at("/bridge/version")), json!(env!("CARGO_PKG_VERSION")));

    let (status, body) = cloud.call("set", "1", r#"{"output":"fan","value":true}"#);
    assert_eq!((status, &body["data"]["on"]), (200, &json!(true)), "{body}");
    cloud.hub.wait("the fan's level in the twin", |hub| hub.at("/fan/on") == json!(true));
    assert_eq!(cloud.call("set", "2", r#"{"output":"pump","value":true}"#).0, 403);
    assert_eq!(cloud.call("status", "3", "").0, 200);
    assert_eq!(cloud.call("explode", "4", "{}").0, 400);

    cloud.desire(json!({"fan": {"on": false}}));
    cloud.hub.wait("the fan is off and says so", |hub| {
        hub.at("/fan/on") == json!(false)
            && hub.at("/fan/ack") == json!({"value": false, "code": 200, "message": "fan is off"})
    });
    assert!(bridge.terminate().success());
    // Nobody is told of this; it is found in the twin at the next connection.
    cloud.hub.with(|hub, _| drop(hub.desire(json!({"fan": {"on": true}}))));
    bridge.resume();
    cloud.hub.wait("the fan is on", |hub| {
        hub.at("/fan/on") == json!(true) && hub.at("/fan/ack/value") == json!(true)
    });

    // A start without anything new leaves the fan at its safe level.
    let gets = cloud.hub.with(|hub, _| hub.gets);
    bridge.restart();
    cloud.hub.wait("the twin is read", |hub| hub.gets > gets);
    assert_eq!(cloud.call("status", "5", "").1["data"]["outputs"]["fan"]["on"], json!(false));
    cloud.is_content();
}

#[test]
fn a_wrong_key_is_not_let_in_and_nothing_is_lost() {
    let cloud = Cloud::start();
    let mut bridge = cloud.bridge(b"another key");
    wait_until(SOON, "it is refused", || {
        cloud.front.complaints().iter().any(|why| why.contains("a wrong signature"))
    });
    wait_until(SOON, "and says so", || bridge.stderr().contains("not authorised"));
    assert!(bridge.terminate().success());
    assert!(cloud.hub.with(|hub, _| hub.events.is_empty()));
    fs::write(bridge.folder().join("device.sas"), STANDARD.encode(KEY)).unwrap();
    bridge.resume();
    let first = "\"id\":\"";
    cloud.hub.wait("what was taken meanwhile", |hub| {
        hub.events.iter().any(|(_, body)| body.contains(first) && body.contains("-1\""))
    });
}
