//! A Home Assistant that knows nothing but what discovery tells it: it builds entities, renders their templates by Jinja,
//! presses what can be pressed, is restarted, and sees an entity go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use minijinja::{Environment, context};
use serde_json::Value;

use crate::support::{Bridge, Mosquitto, Publisher, Subscriber, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// What Home Assistant may, without a name, and what the bridge may.
const ACCESS: &str = "\
topic readwrite homeassistant/#
topic read castel/#
user greenhouse
topic write castel/greenhouse-pi/#
topic readwrite homeassistant/+/greenhouse-pi/#
topic read homeassistant/status
";

fn broker(folder: &Path) -> Mosquitto {
    let access = folder.join("access");
    fs::write(&access, ACCESS).unwrap();
    Mosquitto::with(&format!("acl_file {}", access.display()))
}

fn config(folder: &Path, broker: &Mosquitto, soil: &str) -> String {
    fs::write(folder.join("password"), "x\n").unwrap();
    format!(
        "device: {{ id: greenhouse-pi }}
log: {{ path: {folder}/bridge.db }}
mqtt:
  url: \"{url}\"
  version: \"5\"
  username: greenhouse
  password_file: {folder}/password
  topic: \"castel/{{device}}/{{sensor}}/{{quantity}}\"
  platform: {{ name: home-assistant, device_name: Greenhouse, area: Garden }}
sensors:
  - id: air
    driver: bme280
    bus: sim-1
    interval: 1h
    simulate: {{ temperature: {{ constant: 21 }} }}
    quantities: {{ humidity: {{ heartbeat: 2h }} }}
  - {{ id: door, driver: digital-input, bus: gpio-sim, pin: 17 }}
  - {{ id: whole, driver: sht4x, bus: sim-1, interval: 1h, topic: \"castel/{{device}}/{{sensor}}\", simulate: {{ temperature: {{ constant: 19.5 }} }} }}
{soil}
outputs:
  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}
  - {{ id: lamp, driver: pca9685, bus: sim-1, channel: 3, max: 80 }}
  - {{ id: heater, driver: digital-output, bus: gpio-sim, pin: 23 }}
commands:
  - {{ from: platform, allow: [fan, lamp, \"republish:air\", \"interval:air\"] }}
",
        folder = folder.display(),
        url = broker.url()
    )
}

const SOIL: &str = "  - { id: soil, driver: mcp9808, bus: sim-1, interval: 1h }";

/// One run of Home Assistant: from its start it hears what is retained and what is said.
struct Home {
    discovery: Subscriber,
    states: Subscriber,
}

impl Home {
    fn start(broker: &Mosquitto) -> Self {
        Self {
            discovery: Subscriber::start(broker.port(), &["homeassistant/+/+/+/config"], 0),
            states: Subscriber::start(broker.port(), &["castel/#", "homeassistant/+/+/+/state"], 0),
        }
    }

    /// Discovery: the last message of each topic; an empty one removes the entity.
    fn entities(&self) -> BTreeMap<String, Value> {
        let mut entities = BTreeMap::new();
        for message in self.discovery.messages() {
            let levels: Vec<&str> = message.topic.split('/').collect();
            let id = format!("{}.{}", levels[1], levels[3]);
            if message.payload.is_empty() {
                entities.remove(&id);
            } else {
                entities.insert(id, serde_json::from_str(&message.payload).unwrap());
            }
        }
        entities
    }

    /// The entity, once it is known.
    #[track_caller]
    fn entity(&self, id: &str) -> Value {
        wait_until(SOON, id, || self.entities().contains_key(id));
        self.entities().remove(id).unwrap()
    }

    /// Its state: what its template makes of the messages on its topic, empty ones left out; `unknown` at first.
    fn state(&self, entity: &Value) -> String {
        let mut state = "unknown".to_owned();
        let messages = self.states.messages();
        for message in messages.iter().filter(|message| message.topic == entity["state_topic"]) {
            let text = match entity["value_template"].as_str() {
                None => message.payload.clone(),
                Some(template) => render(template, &message.payload, &state),
            };
            if !text.is_empty() {
                state = text;
            }
        }
        state
    }

    #[track_caller]
    fn shows(&self, entity: &Value, expected: &str) {
        wait_until(SOON, &format!("{} is {expected}", entity["name"]), || self.state(entity) == expected);
    }

    fn available(&self, entity: &Value) -> bool {
        let messages = self.states.messages();
        let last = messages.iter().rfind(|message| message.topic == entity["availability_topic"]);
        last.is_some_and(|message| message.payload == "online")
    }
}

/// As Home Assistant does: Jinja, where a truth value is written as Python does.
fn render(template: &str, payload: &str, this: &str) -> String {
    let mut jinja = Environment::new();
    jinja.set_formatter(|out, state, value| match value.kind() {
        minijinja::value::ValueKind::Bool => {
            Ok(out.write_str(if value.is_true() { "True" } else { "False" })?)
        }
        minijinja::value::ValueKind::None => Ok(out.write_str("None")?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    let payload = jinja_value(&serde_json::from_str(payload).unwrap());
    jinja
        .render_str(template, context! { value_json => payload, this => context! { state => this } })
        .unwrap()
}

fn jinja_value(json: &Value) -> minijinja::Value {
    match json {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(state) => (*state).into(),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().unwrap().into(), minijinja::Value::from)
        }
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => list.iter().map(jinja_value).collect(),
        Value::Object(fields) => {
            minijinja::Value::from_pairs(fields.iter().map(|(key, value)| (key.as_str(), jinja_value(value))))
        }
    }
}

fn press(broker: &Mosquitto, entity: &Value, payload: &str) {
    Publisher::once(broker.port(), entity["command_topic"].as_str().unwrap(), &["-m", payload]);
}

fn born(broker: &Mosquitto) {
    Publisher::once(broker.port(), "homeassistant/status", &["-m", "online"]);
}

#[test]
fn found_shown_switched_born_again_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    let foreign = "homeassistant/sensor/greenhouse-pi/of_another/config";
    Publisher::once(broker.port(), foreign, &["-r", "-m", "{\"name\":\"x\",\"state_topic\":\"y\"}"]);
    let home = Home::start(&broker);
    let mut bridge = Bridge::start(|folder| config(folder, &broker, SOIL));

    // Found and shown.
    let temperature = home.entity("sensor.air_temperature");
    assert_eq!(temperature["device_class"], "temperature");
    assert_eq!(temperature["device"]["suggested_area"], "Garden");
    home.shows(&temperature, "21.0");
    wait_until(SOON, "available", || home.available(&temperature));
    home.shows(&home.entity("binary_sensor.door_active"), "True");
    home.shows(&home.entity("sensor.whole_temperature"), "19.5");
    home.shows(&home.entity("binary_sensor.air_state"), "False");
    assert_eq!(home.entity("sensor.air_humidity")["expire_after"], 18_000);
    home.entity("sensor.soil_temperature");

    // Switched, as far as it is allowed.
    let fan = home.entity("switch.fan_on");
    home.shows(&fan, "False");
    press(&broker, &fan, "ON");
    home.shows(&fan, "True");
    let lamp = home.entity("number.lamp_level");
    assert_eq!(lamp["max"], 80.0);
    press(&broker, &lamp, "40");
    home.shows(&lamp, "40.0");
    home.shows(&home.entity("binary_sensor.heater_on"), "False");
    assert!(!home.entities().contains_key("switch.heater_on"), "nobody allowed it");
    let interval = home.entity("number.air_interval");
    home.shows(&interval, "3600");
    press(&broker, &interval, "1800");
    home.shows(&interval, "1800");
    let count = || home.states.messages().iter().filter(|m| m.topic == temperature["state_topic"]).count();
    let before = count();
    press(&broker, &home.entity("button.air_republish"), "PRESS");
    wait_until(SOON, "published once more", || count() > before);

    // Home Assistant is restarted: it knows its entities, and no state until it says that it is there.
    let home = Home::start(&broker);
    let temperature = home.entity("sensor.air_temperature");
    assert_eq!(home.state(&temperature), "unknown");
    born(&broker);
    home.shows(&temperature, "21.0");
    home.shows(&home.entity("switch.fan_on"), "True");
    home.shows(&home.entity("number.air_interval"), "1800");
    let announced = |home: &Home| {
        home.discovery.messages().iter().filter(|m| m.topic.ends_with("/air_temperature/config")).count()
    };
    wait_until(SOON, "announced again", || announced(&home) > 1);

    // A sensor leaves the configuration.
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    wait_until(SOON, "offline", || !home.available(&temperature));
    bridge.configure(&config(bridge.folder(), &broker, ""));
    bridge.resume();
    wait_until(SOON, "soil is gone", || !home.entities().keys().any(|id| id.contains("soil")));
    wait_until(SOON, "available again", || home.available(&temperature));
    let later = Home::start(&broker);
    later.entity("sensor.air_temperature");
    later.entity("sensor.of_another");
    assert!(!later.entities().keys().any(|id| id.contains("soil")), "it would come back");

    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    let commands: Vec<String> = {
        let database = bridge.database();
        let sql = "SELECT source || ' ' || rc FROM commands ORDER BY id";
        let mut rows = database.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(commands, ["home-assistant 200"; 4]);
    assert!(!bridge.stderr().contains("refused by the broker"), "{}", bridge.stderr());
}

/// What is quiet, such as a door, says nothing between a reload of the bridge and a restart of Home Assistant.
#[test]
fn what_has_not_changed_since_a_reload_is_said_again_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    let home = Home::start(&broker);
    let bridge = Bridge::start(|folder| config(folder, &broker, SOIL));
    let shown = [
        ("binary_sensor.door_active", "True"),
        ("sensor.whole_temperature", "19.5"),
        ("switch.fan_on", "False"),
    ];
    shown.iter().for_each(|(entity, state)| home.shows(&home.entity(entity), state));
    // A reload leaves it as it was ordered.
    press(&broker, &home.entity("number.air_interval"), "1800");
    home.shows(&home.entity("number.air_interval"), "1800");
    bridge.configure(&config(bridge.folder(), &broker, ""));
    bridge.signal("HUP");
    wait_until(SOON, "soil is gone", || !home.entities().keys().any(|id| id.contains("soil")));
    let again = Home::start(&broker);
    again.entity("sensor.air_temperature");
    born(&broker);
    shown.iter().for_each(|(entity, state)| again.shows(&again.entity(entity), state));
    again.shows(&again.entity("number.air_interval"), "1800");
    // Our own mirrors know them for repeats.
    let ids = |home: &Home| -> BTreeSet<String> {
        let messages = home.states.messages();
        let whole = messages.iter().filter(|message| message.topic == "castel/greenhouse-pi/whole");
        whole.map(|one| serde_json::from_str::<Value>(&one.payload).unwrap()["id"].to_string()).collect()
    };
    assert_eq!(ids(&again), ids(&home));
}
