//! AWS IoT Core, small: a mosquitto that wants the thing's certificate and keeps a policy, and a shadow service after the
//! developer guide ("Device Shadow MQTT topics", "Interacting with shadows", "Device Shadow error messages").

use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::actor::{Actor, Answer, Service};
use crate::certificates::Certificates;
use crate::support::{Bridge, Mosquitto, Port, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(30);
const TOPICS: &str = "$aws/things/greenhouse-pi/shadow";

/// The policy, in mosquitto's words; what stands before the first user is for the platform itself.
const POLICY: &str = "\
topic readwrite #
topic readwrite $aws/#
user greenhouse-pi
topic write dt/greenhouse-pi/#
topic write $aws/things/greenhouse-pi/shadow/get
topic write $aws/things/greenhouse-pi/shadow/update
topic read $aws/things/greenhouse-pi/shadow/get/accepted
topic read $aws/things/greenhouse-pi/shadow/get/rejected
topic read $aws/things/greenhouse-pi/shadow/update/delta
topic read $aws/things/greenhouse-pi/shadow/update/rejected
";

/// The classic shadow of one thing.
#[derive(Default)]
struct Shadow {
    exists: bool,
    desired: Map<String, Value>,
    /// When each part was desired, as in the document's metadata.
    set: Value,
    reported: Map<String, Value>,
    version: i64,
    now: i64,
    /// What AWS would have rejected.
    rejected: Vec<String>,
    deltas: usize,
}

impl Shadow {
    fn update(&mut self, payload: &[u8]) -> Vec<Answer> {
        match self.accept(payload) {
            Ok(token) => self.accepted(token),
            Err((code, message, token)) => {
                self.rejected.push(format!("{code} {message}: {}", String::from_utf8_lossy(payload)));
                let error =
                    json!({"code": code, "message": message, "timestamp": self.now, "clientToken": token});
                vec![message_on("update/rejected", &error)]
            }
        }
    }

    /// "Request state documents", strictly.
    fn accept(&mut self, payload: &[u8]) -> Result<Value, (u16, &'static str, Value)> {
        let bad = |message| (400, message, Value::Null);
        let document: Map<String, Value> =
            serde_json::from_slice(payload).map_err(|_| bad("Payload contains invalid json"))?;
        let token = document.get("clientToken").cloned().unwrap_or(Value::Null);
        if token.as_str().is_some_and(|token| token.len() > 64) {
            return Err(bad("Invalid clientToken"));
        }
        if document.keys().any(|key| !["state", "clientToken", "version"].contains(&key.as_str())) {
            return Err(bad("Unknown key"));
        }
        let Some(Value::Object(state)) = document.get("state") else {
            return Err(bad("Missing required node: state"));
        };
        if document.get("version").is_some_and(|version| *version != json!(self.version)) {
            return Err((409, "Version conflict", token));
        }
        let mut whole = Value::Object(self.reported.clone());
        for (section, values) in state {
            if section != "reported" || !values.is_object() {
                return Err(bad("State node must be an object"));
            }
            merge(&mut whole, values);
        }
        if whole.to_string().len() > 8_192 {
            return Err((413, "The payload exceeds the maximum size allowed", token));
        }
        self.reported = whole.as_object().unwrap().clone();
        Ok(token)
    }

    fn accepted(&mut self, token: Value) -> Vec<Answer> {
        self.exists = true;
        self.version += 1;
        let mut answers = Vec::new();
        let delta = difference(&self.desired, &self.reported);
        if !delta.is_empty() {
            self.deltas += 1;
            let document = json!({
                "state": delta, "metadata": self.set, "timestamp": self.now, "version": self.version, "clientToken": token
            });
            answers.push(message_on("update/delta", &document));
        }
        answers
    }

    /// "Enter an arbitrary value here and it is reflected in the response."
    fn get(&self, payload: &[u8]) -> Answer {
        let request: Value = serde_json::from_slice(payload).unwrap_or_default();
        let token = &request["clientToken"];
        if !self.exists {
            let message = "No shadow exists with name: 'greenhouse-pi'";
            let error = json!({"code": 404, "message": message, "clientToken": token});
            return message_on("get/rejected", &error);
        }
        let mut state = json!({"desired": self.desired, "reported": self.reported});
        let delta = difference(&self.desired, &self.reported);
        if !delta.is_empty() {
            state["delta"] = Value::Object(delta);
        }
        let document = json!({
            "state": state, "metadata": {"desired": self.set}, "timestamp": self.now, "version": self.version,
            "clientToken": token
        });
        message_on("get/accepted", &document)
    }

    /// Somebody desires something.
    fn desire(&mut self, state: Value) -> Vec<Answer> {
        self.now += 1;
        for (output, values) in state.as_object().unwrap() {
            for quantity in values.as_object().unwrap().keys() {
                self.set[output][quantity] = json!({"timestamp": self.now});
            }
        }
        let mut desired = Value::Object(std::mem::take(&mut self.desired));
        merge(&mut desired, &state);
        self.desired = desired.as_object().unwrap().clone();
        self.accepted(Value::Null)
    }

    fn delta(&self) -> Map<String, Value> {
        difference(&self.desired, &self.reported)
    }

    fn at(&self, pointer: &str) -> Value {
        Value::Object(self.reported.clone()).pointer(pointer).cloned().unwrap_or(Value::Null)
    }
}

fn message_on(verb: &str, document: &Value) -> Answer {
    (format!("{TOPICS}/{verb}"), document.to_string().into_bytes())
}

/// "Fields with a value of null are removed from the shadow document."
fn merge(whole: &mut Value, part: &Value) {
    let (Value::Object(whole), Value::Object(part)) = (whole, part) else { return };
    for (key, value) in part {
        match value {
            Value::Null => drop(whole.remove(key)),
            Value::Object(_) if whole.get(key).is_some_and(Value::is_object) => merge(&mut whole[key], value),
            _ => drop(whole.insert(key.clone(), value.clone())),
        }
    }
}

fn difference(desired: &Map<String, Value>, reported: &Map<String, Value>) -> Map<String, Value> {
    let mut delta = Map::new();
    for (key, wanted) in desired {
        match (wanted, reported.get(key)) {
            (Value::Object(wanted), Some(Value::Object(is))) => {
                let below = difference(wanted, is);
                if !below.is_empty() {
                    delta.insert(key.clone(), Value::Object(below));
                }
            }
            (wanted, is) if is != Some(wanted) => drop(delta.insert(key.clone(), wanted.clone())),
            _ => {}
        }
    }
    delta
}

impl Service for Shadow {
    fn filters(&self) -> Vec<String> {
        vec![format!("{TOPICS}/get"), format!("{TOPICS}/update")]
    }

    fn heard(&mut self, topic: &str, payload: &[u8]) -> Vec<Answer> {
        match topic.strip_prefix(TOPICS) {
            Some("/get") => vec![self.get(payload)],
            Some("/update") => self.update(payload),
            _ => Vec::new(),
        }
    }
}

struct Cloud {
    certificates: Certificates,
    port: Port,
    broker: Mosquitto,
    shadow: Actor<Shadow>,
}

impl Cloud {
    fn start() -> Self {
        let certificates = Certificates::of("greenhouse-pi");
        let (port, folder) = (Port::reserve(), certificates.folder().display().to_string());
        fs::write(certificates.file("policy"), POLICY).unwrap();
        // "require_certificate" belongs to the listener before it: the platform's own has none.
        let broker = Mosquitto::with(&format!(
            "log_type debug\nacl_file {folder}/policy\nlistener {} 127.0.0.1\ncafile {folder}/ca.pem\n\
             certfile {folder}/broker.pem\nkeyfile {folder}/broker.key\nrequire_certificate true\n\
             use_identity_as_username true\n",
            port.number()
        ));
        let shadow = Actor::start(broker.port(), Shadow { set: json!({}), ..Shadow::default() });
        Self { certificates, port, broker, shadow }
    }

    fn bridge(&self, options: &str, commands: &str) -> Bridge {
        Bridge::start(|folder| {
            format!(
                "device: {{ id: greenhouse-pi }}
log: {{ path: {}/bridge.db }}
mqtt:
  platform: {{ name: aws-iot{options} }}
  url: mqtts://localhost:{}
  topic: \"dt/{{device}}/{{sensor}}/{{quantity}}\"
  tls: {{ ca_file: {ca}/ca.pem, cert_file: {ca}/device.pem, key_file: {ca}/device.key }}
sensors: [{{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 100ms }}]
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
  - {{ id: pump, driver: digital-output, bus: gpio-sim, pin: 23 }}
  - {{ id: vent, driver: pca9685, bus: sim-1, channel: 3 }}
{commands}
",
                folder.display(),
                self.port.number(),
                ca = self.certificates.folder().display(),
            )
        })
    }

    fn desire(&self, state: Value) {
        self.shadow.with(|shadow, answers| answers.extend(shadow.desire(state)));
    }

    /// Nothing was said that AWS does not allow.
    #[track_caller]
    fn is_content(&self) {
        self.shadow.with(|shadow, _| assert_eq!(shadow.rejected, Vec::<String>::new()));
        let log = self.broker.log();
        assert!(!log.contains("Denied"), "{log}");
        assert!(log.contains("as greenhouse-pi "), "the client id is the thing's name: {log}");
        // "You can't publish to a reserved topic with the RETAIN flag set." A late subscriber would get what is retained.
        let reserved = Subscriber::start(self.broker.port(), &["$aws/#", "end"], 1);
        crate::support::Publisher::once(self.broker.port(), "end", &["-m", "end"]);
        reserved.wait_for_one(SOON, |message| message.topic == "end");
        assert!(reserved.messages().iter().all(|message| !message.retained));
    }
}

fn commands(bridge: &Bridge) -> Vec<String> {
    let database = bridge.database();
    let mut rows = database.prepare("SELECT payload || ' ' || rc FROM commands ORDER BY id").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_thing_reports_its_readings_and_does_what_its_shadow_desires() {
    let cloud = Cloud::start();
    let witness = Subscriber::start(cloud.broker.port(), &["dt/#"], 1);
    let mut bridge = cloud
        .bridge(", shadow: true, shadow_interval: 1s", "commands: [{ from: platform, allow: [fan, vent] }]");
    // Every reading on its topic, as our JSON.
    witness.wait_for_one(SOON, |message| {
        message.topic == "dt/greenhouse-pi/wave/value" && message.payload.starts_with("{\"id\":")
    });
    witness.wait_for_one(SOON, |message| {
        message.topic == "dt/greenhouse-pi/status" && message.payload == "online"
    });
    // The current state in the shadow, which goes on.
    cloud.shadow.wait("readings in the shadow", |shadow| shadow.at("/wave/value").is_number());
    let first = cloud.shadow.with(|shadow, _| shadow.at("/wave/value"));
    cloud.shadow.wait("another reading there", |shadow| shadow.at("/wave/value") != first);
    cloud.shadow.wait("the outputs", |shadow| shadow.at("/fan/on") == json!(false));

    cloud.desire(json!({"fan": {"on": true}}));
    cloud.shadow.wait("the fan is on and says so", |shadow| {
        shadow.at("/fan/on") == json!(true)
            && shadow.at("/fan/ack/code") == json!(200)
            && shadow.delta().is_empty()
    });
    // Written as it was desired, or AWS would see a difference for ever.
    cloud.desire(json!({"vent": {"level": 40}}));
    cloud.shadow.wait("the vent is at 40 %", |shadow| {
        shadow.at("/vent/level") == json!(40) && shadow.delta().is_empty()
    });
    // Refused: reported as such, and not tried again though AWS repeats the delta with every update.
    cloud.desire(json!({"pump": {"on": true}}));
    cloud.shadow.wait("a refusal", |shadow| shadow.at("/pump/ack/code") == json!(403));
    let before = cloud.shadow.with(|shadow, _| shadow.deltas);
    cloud.shadow.wait("the delta is repeated", |shadow| shadow.deltas > before + 1);
    assert_eq!(commands(&bridge).len(), 3, "{:?}", commands(&bridge));

    // An old delta that comes late.
    cloud.shadow.with(|_, answers| {
        let old = json!({"state": {"fan": {"on": false}}, "metadata": {"fan": {"on": {"timestamp": 0}}}, "version": 1});
        answers.push(message_on("update/delta", &old));
    });
    // While the bridge is away: what counts is what is desired when it comes back.
    assert!(bridge.terminate().success());
    cloud
        .shadow
        .wait("the safe level is the last that is reported", |shadow| shadow.at("/fan/on") == json!(false));
    assert_eq!(commands(&bridge).len(), 3, "the old one was passed over");
    cloud.desire(json!({"fan": {"on": false}}));
    cloud.desire(json!({"fan": {"on": true}}));
    bridge.resume();
    cloud.shadow.wait("the fan is on again", |shadow| {
        shadow.at("/fan/on") == json!(true) && shadow.delta().get("fan").is_none()
    });
    assert_eq!(commands(&bridge).len(), 4, "the pump is not tried again: {:?}", commands(&bridge));

    // A start without anything new leaves the fan at its safe level.
    bridge.restart();
    let version = cloud.shadow.with(|shadow, _| shadow.version);
    cloud.shadow.wait("it reports", |shadow| shadow.version > version + 1);
    assert_eq!(cloud.shadow.with(|shadow, _| shadow.at("/fan/on")), json!(false));
    assert_eq!(commands(&bridge).len(), 4);
    cloud.is_content();
}

#[test]
fn without_a_shadow_there_are_readings_only() {
    let cloud = Cloud::start();
    let witness = Subscriber::start(cloud.broker.port(), &["dt/+/wave/value"], 1);
    let bridge = cloud.bridge("", "");
    witness.wait_for(5, SOON);
    wait_until(SOON, "it is connected", || cloud.broker.log().contains("as greenhouse-pi "));
    drop(bridge);
    cloud.shadow.with(|shadow, _| assert_eq!(shadow.version, 0));
    cloud.is_content();
}
