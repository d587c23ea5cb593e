//! ThingsBoard, small: a mosquitto that knows the access token as a user name, and attributes and RPC as the "MQTT Device API
//! Reference" has them.

use std::fs;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::actor::{Actor, Answer, Service};
use crate::support::{Bridge, Mosquitto};

const TOKEN: &str = "ABC123";

/// What a device may do; what stands before the first user is for the server itself.
const RULES: &str = "\
topic readwrite #
user ABC123
topic write v1/devices/me/telemetry
topic readwrite v1/devices/me/attributes
topic write v1/devices/me/attributes/request/+
topic read v1/devices/me/attributes/response/+
topic read v1/devices/me/rpc/request/+
topic write v1/devices/me/rpc/response/+
";

#[derive(Default)]
struct Board {
    /// Time and values.
    telemetry: Vec<(i64, Map<String, Value>)>,
    client: Map<String, Value>,
    shared: Map<String, Value>,
    rpc: Vec<(String, Value)>,
    rejected: Vec<String>,
    requests: usize,
}

impl Board {
    fn latest(&self, key: &str) -> Option<&Value> {
        self.telemetry.iter().rev().find_map(|(_, values)| values.get(key))
    }

    fn asked(&mut self, number: &str, wanted: &Value) -> Answer {
        self.requests += 1;
        let some = |all: &Map<String, Value>, keys: &Value| -> Map<String, Value> {
            let keys = keys.as_str().unwrap_or_default().split(',');
            keys.filter_map(|key| Some((key.to_owned(), all.get(key)?.clone()))).collect()
        };
        let body = json!({"client": some(&self.client, &wanted["clientKeys"]), "shared": some(&self.shared, &wanted["sharedKeys"])});
        (format!("v1/devices/me/attributes/response/{number}"), body.to_string().into_bytes())
    }

    /// Somebody sets shared attributes; a connected device is told.
    fn share(&mut self, attributes: Value) -> Answer {
        self.shared.extend(attributes.as_object().unwrap().clone());
        ("v1/devices/me/attributes".to_owned(), attributes.to_string().into_bytes())
    }
}

impl Service for Board {
    fn filters(&self) -> Vec<String> {
        ["telemetry", "attributes", "attributes/request/+", "rpc/response/+"]
            .map(|below| format!("v1/devices/me/{below}"))
            .to_vec()
    }

    fn heard(&mut self, topic: &str, payload: &[u8]) -> Vec<Answer> {
        let Ok(body) = serde_json::from_slice::<Value>(payload) else {
            self.rejected.push(format!("{topic}: {}", String::from_utf8_lossy(payload)));
            return Vec::new();
        };
        let below = topic.strip_prefix("v1/devices/me/").unwrap();
        if let Some(number) = below.strip_prefix("attributes/request/") {
            assert!(number.parse::<u32>().is_ok(), "\"your integer request identifier\": {number}");
            return vec![self.asked(number, &body)];
        }
        if let Some(number) = below.strip_prefix("rpc/response/") {
            self.rpc.push((number.to_owned(), body));
        } else if below == "telemetry" {
            match (body["ts"].as_i64(), body["values"].as_object()) {
                (Some(time), Some(values)) => self.telemetry.push((time, values.clone())),
                _ => self.rejected.push(body.to_string()),
            }
        } else if let Value::Object(attributes) = body {
            // Our own words about shared attributes come by here as well: the broker is one for all.
            if !attributes.contains_key("fan.on") {
                self.client.extend(attributes);
            }
        }
        Vec::new()
    }
}

struct Cloud {
    _folder: TempDir,
    broker: Mosquitto,
    board: Actor<Board>,
}

impl Cloud {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let rules = folder.path().join("rules");
        fs::write(&rules, RULES).unwrap();
        let broker = Mosquitto::with(&format!("log_type debug\nacl_file {}\n", rules.display()));
        let board = Actor::start(broker.port(), Board::default());
        Self { _folder: folder, broker, board }
    }

    fn bridge(&self) -> Bridge {
        Bridge::start(|folder| {
            fs::write(folder.join("access.token"), format!("{TOKEN}\n")).unwrap();
            format!(
                "device: {{ id: greenhouse-pi, location: {{ name: Greenhouse 2, latitude: 47.59, longitude: 0.91 }} }}
log: {{ path: {}/bridge.db }}
mqtt: {{ platform: {{ name: thingsboard }}, url: \"{}\", password_file: access.token }}
sensors: [{{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 100ms }}]
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
  - {{ id: pump, driver: digital-output, bus: gpio-sim, pin: 23 }}
commands: [{{ from: platform, allow: [fan] }}]
",
                folder.display(),
                self.broker.url(),
            )
        })
    }

    /// Calls the device; answers what it says.
    #[track_caller]
    fn call(&self, number: &str, method: &str, parameters: Value) -> Value {
        let body = json!({"method": method, "params": parameters}).to_string().into_bytes();
        let topic = format!("v1/devices/me/rpc/request/{number}");
        self.board.with(|_, answers| answers.push((topic, body)));
        let mut found = None;
        self.board.wait("an answer to the call", |board| {
            found = board.rpc.iter().find(|(answered, _)| answered == number).cloned();
            found.is_some()
        });
        found.unwrap().1
    }
}

#[test]
fn a_device_sends_telemetry_and_obeys_rpc_and_attributes() {
    let cloud = Cloud::start();
    let mut bridge = cloud.bridge();
    cloud.board.wait("telemetry", |board| board.telemetry.len() > 5 && board.latest("wave.value").is_some());
    cloud.board.with(|board, _| {
        let times: Vec<i64> = board
            .telemetry
            .iter()
            .filter(|(_, values)| values.contains_key("wave.value"))
            .map(|(time, _)| *time)
            .collect();
        assert!(times.is_sorted(), "milliseconds, in order: {times:?}");
        let now = sensor_bridge::enrich::clock::now().wall.0 / 1_000;
        assert!((now - times[0]).abs() < 120_000);
        assert_eq!(board.client["latitude"], json!(47.59));
        assert_eq!(board.client["version"], json!(env!("CARGO_PKG_VERSION")));
    });

    assert_eq!(cloud.call("1", "get:fan", json!({})), json!(false));
    assert_eq!(cloud.call("2", "set:fan", json!(true))["rc"], json!(200));
    cloud.board.wait("the fan's level as telemetry", |board| board.latest("fan.on") == Some(&json!(true)));
    assert_eq!(cloud.call("3", "get:fan", json!({})), json!(true));
    assert_eq!(cloud.call("4", "set:pump", json!(true))["rc"], json!(403));

    cloud.board.with(|board, answers| answers.push(board.share(json!({"fan.on": false, "fw_title": "x"}))));
    cloud.board.wait("the fan is off and says so", |board| {
        board.latest("fan.on") == Some(&json!(false))
            && board.client.get("fan.ack").is_some_and(|ack| ack["value"] == json!(false))
    });
    assert!(bridge.terminate().success());
    cloud.board.with(|board, _| drop(board.share(json!({"fan.on": true}))));
    bridge.resume();
    cloud.board.wait("the fan is on", |board| {
        board.latest("fan.on") == Some(&json!(true)) && board.client["fan.ack"]["value"] == json!(true)
    });
    // A start without anything new leaves the fan at its safe level.
    let requests = cloud.board.with(|board, _| board.requests);
    bridge.restart();
    cloud.board.wait("the attributes are read", |board| board.requests > requests);
    assert_eq!(cloud.call("5", "get:fan", json!({})), json!(false));

    cloud.board.with(|board, _| assert_eq!(board.rejected, Vec::<String>::new()));
    assert!(!cloud.broker.log().contains("Denied"), "{}", cloud.broker.log());
    let check = bridge.run(&["check"]);
    let said = [bridge.stderr(), String::from_utf8_lossy(&check.stdout).into_owned()].concat();
    assert!(!said.contains(TOKEN), "an access token is a secret");
}
