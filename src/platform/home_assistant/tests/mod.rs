//! Against Home Assistant's own documents: its rules of discovery, its templates, its commands.

mod classes;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::json;

use super::*;
use crate::payload;
use crate::platform::contract::{about, channel, logged, moment};
use crate::platform::{Act, Heard, Order, Outcome, Say, Wish, find};
use crate::reading::{Channel, Logged, Qos, Value as Reading, ValueKind};

fn platform(options: serde_json::Value) -> Arc<dyn Platform> {
    (find("home-assistant").unwrap().configure)(options.as_object().unwrap(), "greenhouse-pi").unwrap()
}

fn voice(options: serde_json::Value, about: &Arc<About>) -> Box<dyn Dialogue> {
    platform(options).dialogue(about).unwrap()
}

/// Topic → payload of what is said.
fn said(acts: &[Act]) -> BTreeMap<String, String> {
    let say = |act: &Act| match act {
        Act::Say(Say { topic, payload, .. }) => {
            Some((topic.clone(), String::from_utf8(payload.clone()).unwrap()))
        }
        _ => None,
    };
    acts.iter().filter_map(say).collect()
}

/// Whether a body is one that Home Assistant takes: required keys of each entity's page, ids of "Discovery topic".
fn valid(topic: &str, body: &Value) {
    let levels: Vec<&str> = topic.split('/').collect();
    let [prefix, component, node, object, "config"] = levels[..] else { panic!("{topic}") };
    assert_eq!(prefix, "homeassistant");
    for part in [node, object] {
        assert!(id(part).is_ok(), "{topic}");
    }
    let required: &[&str] = match component {
        "sensor" | "binary_sensor" => &["state_topic"],
        "switch" | "number" | "button" => &["command_topic"],
        "image" => &["image_topic"],
        other => panic!("{other}"),
    };
    for key in required.iter().chain(&["name", "unique_id", "availability_topic"]) {
        assert!(body[key].is_string(), "{topic}: {key}: {body}");
    }
    for (key, _) in body.as_object().unwrap().iter().filter(|(key, _)| key.ends_with("_topic")) {
        assert!(topic_is_one(body[key].as_str().unwrap()), "{topic}: {key}");
    }
    assert_eq!(body["device"]["identifiers"][0], "sensor-bridge-greenhouse-pi");
    assert!(body["origin"]["name"].is_string(), "required where there is an origin");
    if component == "number" {
        assert!(body["min"].as_f64() < body["max"].as_f64() && body["step"].as_f64().unwrap() >= 0.001);
    }
    let category = body["entity_category"].as_str();
    // "config" is for what can be set, "diagnostic" for what cannot (developers: "Entity", "entity_category").
    match component {
        "sensor" | "binary_sensor" => assert!(matches!(category, None | Some("diagnostic"))),
        _ => assert!(matches!(category, None | Some("config"))),
    }
}

fn topic_is_one(text: &str) -> bool {
    topic(text).is_ok()
}

#[test]
fn everything_is_announced_as_home_assistant_wants_it() {
    let platform = platform(json!({}));
    let about = about(&platform.rules());
    let acts = platform.dialogue(&about).unwrap().connected(moment(0));
    assert!(acts.iter().all(|act| matches!(act, Act::Say(say) if say.retain && say.qos == Qos::AtLeastOnce)));
    let said = said(&acts);
    let mut ids = BTreeSet::new();
    for (topic, body) in &said {
        let body: Value = serde_json::from_str(body).unwrap();
        valid(topic, &body);
        let domain = topic.split('/').nth(1).unwrap().to_owned();
        assert!(ids.insert((domain, body["unique_id"].as_str().unwrap().to_owned())), "{topic}: twice");
        assert!(
            body["command_topic"].is_null() || body["qos"].is_null(),
            "commands must not wait on the broker"
        );
    }
    let names: Vec<&str> = said.keys().map(|topic| topic.strip_prefix("homeassistant/").unwrap()).collect();
    assert_eq!(
        names,
        [
            "binary_sensor/greenhouse-pi/air_dark/config",
            "binary_sensor/greenhouse-pi/air_state/config",
            "button/greenhouse-pi/air_read/config",
            "number/greenhouse-pi/air_interval/config",
            "number/greenhouse-pi/vent_level/config",
            "sensor/greenhouse-pi/air_count/config",
            "sensor/greenhouse-pi/air_temperature/config",
            "sensor/greenhouse-pi/fan_state/config",
            "sensor/greenhouse-pi/vent_state/config",
            "switch/greenhouse-pi/fan_on/config",
        ]
    );
    let body = |topic: &str| -> Value {
        serde_json::from_str(&said[&format!("homeassistant/{topic}/config")]).unwrap()
    };
    let mut temperature = body("sensor/greenhouse-pi/air_temperature");
    let device = temperature.as_object_mut().unwrap().remove("device").unwrap();
    assert_eq!(device["name"], "greenhouse-pi");
    assert_eq!(
        temperature,
        json!({
            "name": "Air temperature", "unique_id": "greenhouse-pi_air_temperature",
            "state_topic": "castel/greenhouse-pi/air/temperature", "availability_topic": "castel/greenhouse-pi/status",
            "value_template": "{{ '' if 'late' in value_json else value_json.value }}",
            "device_class": "temperature", "state_class": "measurement", "unit_of_measurement": "°C",
            // 1.5 × 10 min and two readings.
            "expire_after": 920,
            "origin": {"name": "sensor-bridge", "sw_version": "0.1.0"},
        })
    );
    assert!(body("sensor/greenhouse-pi/air_count")["expire_after"].is_null(), "it may be silent for ever");
    let vent = body("number/greenhouse-pi/vent_level");
    assert_eq!((&vent["min"], &vent["max"]), (&json!(0), &json!(90.0)), "0 switches off");
    assert_eq!(vent["command_topic"], "homeassistant/number/greenhouse-pi/vent_level/set");
}

#[test]
fn what_may_not_be_commanded_is_only_shown_and_pictures_are_images() {
    let rules = platform(json!({})).rules();
    let mut known = Arc::into_inner(about(&rules)).unwrap();
    known.actions.clear();
    known.outputs.iter_mut().for_each(|output| output.commandable = false);
    let mut picture = channel(&rules, "sky", "image", "B", ValueKind::Image);
    let mut shapes = Vec::new();
    for shape in [Shape::Binary, Shape::Base64, Shape::Quantity] {
        picture.sensor = format!("sky-{}", shapes.len()).as_str().into();
        picture.publish.as_mut().unwrap().shape = shape;
        shapes.push((picture.clone(), None));
    }
    known.sensors[0].quantities = shapes;
    let mut voice = voice(json!({"area": "Garden", "device_name": "Greenhouse"}), &Arc::new(known));
    assert!(voice.filters().iter().all(|filter| !filter.ends_with("/set")), "{:?}", voice.filters());
    let acts = voice.connected(moment(0));
    assert!(matches!(&acts[0], Act::Note(note) if note.contains("sky-2") && note.contains("format: binary")));
    let said = said(&acts);
    let body = |topic: &str| -> Value {
        serde_json::from_str(&said[&format!("homeassistant/{topic}/config")]).unwrap()
    };
    assert_eq!(body("image/greenhouse-pi/sky-0_image")["image_topic"], "castel/greenhouse-pi/sky/image");
    assert!(body("image/greenhouse-pi/sky-0_image")["image_encoding"].is_null());
    assert_eq!(body("image/greenhouse-pi/sky-1_image")["image_encoding"], "b64");
    assert_eq!(body("binary_sensor/greenhouse-pi/fan_on")["payload_on"], "True");
    assert_eq!(body("sensor/greenhouse-pi/vent_level")["unit_of_measurement"], "%");
    assert_eq!(body("sensor/greenhouse-pi/vent_level")["device"]["suggested_area"], "Garden");
    assert!(
        said.keys().all(|topic| !["switch", "number", "button"].contains(&topic.split('/').nth(1).unwrap()))
    );
}

/// A template as Home Assistant renders it: by Jinja, with Python's way to write truth values and nothing.
fn render(template: &Value, payload: &[u8], this: &str) -> String {
    let mut jinja = Environment::new();
    jinja.set_undefined_behavior(UndefinedBehavior::Strict);
    jinja.set_formatter(|out, state, value| {
        let text = match value.kind() {
            minijinja::value::ValueKind::Bool => Some(if value.is_true() { "True" } else { "False" }),
            minijinja::value::ValueKind::None => Some("None"),
            _ => None,
        };
        match text {
            Some(text) => out.write_str(text).map_err(minijinja::Error::from),
            None => minijinja::escape_formatter(out, state, value),
        }
    });
    let payload: Value = serde_json::from_slice(payload).unwrap();
    let template = template.as_str().unwrap();
    jinja
        .render_str(
            template,
            context! { value_json => jinja_value(&payload), this => context! { state => this } },
        )
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

#[test]
fn the_templates_read_our_messages() {
    let rules = Rules::default();
    let of = |channel: &Channel| -> Value {
        let mut known = Arc::into_inner(about(&rules)).unwrap();
        known.sensors[0].quantities = vec![(channel.clone(), None)];
        let said = said(&voice(json!({}), &Arc::new(known)).connected(moment(0)));
        let object = announce::identifier(&[channel.sensor.as_str(), channel.quantity.as_str()]);
        let topic = said.keys().find(|topic| topic.contains(&format!("/{object}/"))).unwrap();
        serde_json::from_str::<Value>(&said[topic]).unwrap()["value_template"].clone()
    };
    let odd = "it's \"odd\" \\ }}";
    for shape in [Shape::Quantity, Shape::Sample] {
        for (quantity, value, expected) in [
            ("temperature", Reading::Float(21.4), "21.4"),
            ("temperature", Reading::Float(-40.0), "-40.0"),
            ("count", Reading::Integer(i64::MAX), "9223372036854775807"),
            ("dark", Reading::Bool(true), "True"),
            ("dark", Reading::Bool(false), "False"),
            ("mode", Reading::Text("auto \"x\"".into()), "auto \"x\""),
            (odd, Reading::Float(1.5), "1.5"),
            // A NaN is written as null; `None` makes the state unknown ("MQTT Sensor").
            ("temperature", Reading::Float(f64::NAN), "None"),
        ] {
            let mut channel = channel(&rules, "air", quantity, "", value.kind());
            channel.publish.as_mut().unwrap().shape = shape;
            let template = of(&channel);
            let message = |late| payload::json(&[logged(1, channel.clone(), value.clone())], late);
            assert_eq!(render(&template, &message(false), "before"), expected, "{quantity} {shape:?}");
            let kept = if value.kind() == ValueKind::Text { "before" } else { "" };
            assert_eq!(render(&template, &message(true), "before"), kept, "late: {quantity} {shape:?}");
            if shape == Shape::Sample {
                let other =
                    payload::json(&[logged(1, sample_of(&channel, "else"), Reading::Float(1.0))], false);
                assert_eq!(render(&template, &other, "before"), kept, "not in this sample: {quantity}");
            }
        }
    }
    let long = Reading::Text("x".repeat(300).into());
    let mode = channel(&rules, "air", "mode", "", ValueKind::Text);
    assert_eq!(render(&of(&mode), &payload::json(&[logged(1, mode.clone(), long)], false), "").len(), 255);
}

fn sample_of(channel: &Channel, quantity: &str) -> Channel {
    Channel { quantity: quantity.into(), ..channel.clone() }
}

#[test]
fn a_failed_sensor_is_a_problem() {
    let rules = Rules::default();
    let said = said(&voice(json!({}), &about(&rules)).connected(moment(0)));
    let body: Value =
        serde_json::from_str(&said["homeassistant/binary_sensor/greenhouse-pi/air_state/config"]).unwrap();
    assert_eq!(body["json_attributes_topic"], body["state_topic"]);
    let state = channel(&rules, "air", "state", "", ValueKind::Text);
    for (text, expected) in [("ok", "False"), ("failed: i2c-1 hangs", "True")] {
        let message: Logged = logged(1, state.clone(), Reading::Text(text.into()));
        assert_eq!(render(&body["value_template"], &payload::json(&[message], false), ""), expected);
    }
}

fn heard<'a>(topic: &'a str, payload: &'a str) -> Heard<'a> {
    Heard { topic, payload: payload.as_bytes(), retained: false }
}

#[test]
fn whoever_comes_later_hears_it_all_again() {
    let rules = platform(json!({})).rules();
    let mut voice = voice(json!({}), &about(&rules));
    let announced = said(&voice.connected(moment(0)));
    let topic = "castel/greenhouse-pi/air/temperature";
    let mut first = b"{\"id\":\"1\"}".to_vec();
    voice.seal(topic, &mut first, moment(0));
    // Later by the lane of the late ones: no value of now.
    voice.seal(topic, &mut b"{\"id\":\"0\",\"late\":true}".to_vec(), moment(0));
    voice.seal("castel/else", &mut b"{}".to_vec(), moment(0));
    assert_eq!(voice.due(), Some(5_000_000));
    assert!(voice.tick(moment(4_000_000)).is_empty());
    let again = said(&voice.tick(moment(5_000_000)));
    assert_eq!(again[topic], "{\"id\":\"1\"}");
    assert_eq!(again["homeassistant/number/greenhouse-pi/air_interval/state"], "10");
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!(voice.due(), None);

    let now = 60_000_000;
    assert!(voice.heard(heard("homeassistant/status", "offline"), moment(now)).is_empty());
    let retained = Heard { retained: true, ..heard("homeassistant/status", "online") };
    assert!(voice.heard(retained, moment(now)).is_empty());
    assert_eq!(voice.due(), None, "from before");
    assert!(voice.heard(heard("homeassistant/status", "online"), moment(now)).is_empty());
    let due = voice.due().unwrap();
    assert!((now..now + 1_000_000).contains(&due));
    assert_eq!(said(&voice.tick(moment(due))), announced);
    assert_eq!(voice.due(), Some(due + 5_000_000));
    assert_eq!(said(&voice.tick(moment(due + 5_000_000))), again);
    // Born over and over: not a flood of announcements.
    voice.heard(heard("homeassistant/status", "online"), moment(due + 5_100_000));
    assert!(voice.due().unwrap() >= due + 10_000_000);
}

/// A sensor that failed hours ago has no value of now for a Home Assistant that starts now.
#[test]
fn what_has_expired_is_not_said_again() {
    let rules = platform(json!({})).rules();
    let mut voice = voice(json!({}), &about(&rules));
    voice.connected(moment(0));
    // The one expires after 920 s, nobody knows how long the other may be silent.
    let topics = ["castel/greenhouse-pi/air/temperature", "castel/greenhouse-pi/air/dark"];
    topics.iter().for_each(|topic| assert!(voice.seal(topic, &mut b"{}".to_vec(), moment(0)).is_empty()));
    voice.tick(moment(5_000_000));
    for (at, expected) in [(600, vec![topics[1], topics[0]]), (3_600, vec![topics[1]])] {
        voice.heard(heard("homeassistant/status", "online"), moment(at * 1_000_000));
        let due = voice.due().unwrap();
        voice.tick(moment(due));
        let again = said(&voice.tick(moment(due + 5_000_000)));
        let readings: Vec<&str> =
            again.keys().map(String::as_str).filter(|topic| topic.starts_with("castel/")).collect();
        assert_eq!(readings, expected, "after {at} s");
    }
}

#[test]
fn of_samples_as_many_are_said_again_as_it_takes_for_every_quantity() {
    let rules = Rules::default();
    let mut known = Arc::into_inner(about(&rules)).unwrap();
    for (channel, _) in &mut known.sensors[0].quantities {
        let publish = channel.publish.as_mut().unwrap();
        publish.shape = Shape::Sample;
        publish.topic = "castel/air".to_owned();
    }
    let mut voice = voice(json!({}), &Arc::new(known));
    voice.connected(moment(0));
    for sample in ["{\"a\":1,\"b\":1}", "{\"c\":1}", "{\"b\":2}", "{\"c\":2,\"b\":3}", "{\"b\":4}"] {
        voice.seal("castel/air", &mut format!("{{\"values\":{sample}}}").into_bytes(), moment(0));
    }
    let acts = voice.tick(moment(5_000_000));
    let again = acts.iter().filter_map(|act| match act {
        Act::Say(say) if say.topic == "castel/air" => Some(String::from_utf8(say.payload.clone()).unwrap()),
        _ => None,
    });
    let expected = ["{\"a\":1,\"b\":1}", "{\"c\":2,\"b\":3}", "{\"b\":4}"];
    assert_eq!(again.collect::<Vec<_>>(), expected.map(|sample| format!("{{\"values\":{sample}}}")));
}

#[test]
fn retained_readings_are_not_said_again() {
    let rules = Rules::default();
    let mut known = Arc::into_inner(about(&rules)).unwrap();
    known.sensors[0].quantities[0].0.publish.as_mut().unwrap().retain = true;
    let mut voice = voice(json!({}), &Arc::new(known));
    voice.connected(moment(0));
    voice.seal("castel/greenhouse-pi/air/temperature", &mut b"{}".to_vec(), moment(0));
    assert!(!said(&voice.tick(moment(5_000_000))).contains_key("castel/greenhouse-pi/air/temperature"));
}

#[test]
fn what_is_gone_is_taken_back_and_nothing_else() {
    let rules = Rules::default();
    let mut voice = voice(json!({}), &about(&rules));
    let announced = said(&voice.connected(moment(0)));
    let ours = &announced["homeassistant/sensor/greenhouse-pi/air_temperature/config"];
    let gone = "homeassistant/sensor/greenhouse-pi/soil_moisture/config";
    let retained = |topic, payload| Heard { retained: true, ..heard(topic, payload) };
    let acts = voice.heard(retained(gone, ours), moment(1));
    let empty = Say { topic: gone.to_owned(), payload: Vec::new(), qos: Qos::AtLeastOnce, retain: true };
    assert_eq!(acts, [Act::Say(empty)]);
    // Its echo, and what is there.
    assert!(voice.heard(heard(gone, ""), moment(1)).is_empty());
    let there = "homeassistant/sensor/greenhouse-pi/air_temperature/config";
    assert!(voice.heard(retained(there, ours), moment(1)).is_empty());
    // Said at this moment by another bridge, of another node, of another program, or no JSON: not ours to take back.
    let other = ours.replace("sensor-bridge-greenhouse-pi", "sensor-bridge-other");
    let foreign = ours.replace("\"name\":\"sensor-bridge\"", "\"name\":\"esphome\"");
    for message in [heard(gone, ours), retained(gone, &other), retained(gone, &foreign), retained(gone, "[")]
    {
        let acts = voice.heard(message, moment(1));
        assert!(matches!(&acts[..], [Act::Note(note)] if note.contains("node_id")), "{acts:?}");
    }
}

#[test]
fn commands_become_ours() {
    let rules = Rules::default();
    let mut voice = voice(json!({}), &about(&rules));
    voice.connected(moment(0));
    assert!(voice.filters().contains(&"homeassistant/+/greenhouse-pi/+/set".to_owned()));
    for (topic, payload, expected) in [
        ("switch/greenhouse-pi/fan_on", "ON", json!({"action": "set", "output": "fan", "value": true})),
        ("switch/greenhouse-pi/fan_on", "OFF", json!({"action": "set", "output": "fan", "value": false})),
        (
            "number/greenhouse-pi/vent_level",
            "40.5",
            json!({"action": "set", "output": "vent", "value": 40.5}),
        ),
        ("button/greenhouse-pi/air_read", "PRESS", json!({"action": "read", "sensor": "air"})),
        (
            "number/greenhouse-pi/air_interval",
            "90.0",
            json!({"action": "interval", "sensor": "air", "interval": "1m30s"}),
        ),
    ] {
        let topic = format!("homeassistant/{topic}/set");
        let acts = voice.heard(heard(&topic, payload), moment(1));
        let [Act::Do(Order { tag, id: None, wish: Wish::Command(command) })] = &acts[..] else {
            panic!("{acts:?}")
        };
        assert_eq!(Value::Object(command.clone()), expected);
        let outcome = Outcome { rc: 200, message: "done".to_owned(), data: None };
        let acts = said(&voice.done(*tag, &outcome, moment(2)));
        match payload {
            "90.0" => assert_eq!(acts["homeassistant/number/greenhouse-pi/air_interval/state"], "90"),
            _ => assert!(acts.is_empty(), "{acts:?}"),
        }
    }
    let switch = "homeassistant/switch/greenhouse-pi/fan_on/set";
    let level = "homeassistant/number/greenhouse-pi/vent_level/set";
    let interval = "homeassistant/number/greenhouse-pi/air_interval/set";
    for (topic, payload) in
        [(switch, "on"), (switch, ""), (level, "101"), (level, "NaN"), (interval, "0"), (interval, "1e99")]
    {
        let acts = voice.heard(heard(topic, payload), moment(1));
        assert!(matches!(&acts[..], [Act::Note(_)]), "{payload}: {acts:?}");
    }
    let acts = voice.heard(Heard { retained: true, ..heard(switch, "ON") }, moment(1));
    assert!(matches!(&acts[..], [Act::Note(note)] if note.contains("retained")));
    assert!(voice.heard(heard("homeassistant/switch/greenhouse-pi/else/set", "ON"), moment(1)).is_empty());
    // Refused: said so, and the number goes back to what it is.
    let acts = voice.heard(heard(interval, "5"), moment(1));
    let [Act::Do(order)] = &acts[..] else { panic!("{acts:?}") };
    let refused = Outcome { rc: 403, message: "not allowed".to_owned(), data: None };
    let acts = voice.done(order.tag, &refused, moment(2));
    assert!(matches!(&acts[0], Act::Note(note) if note.contains("air: not allowed")));
    assert_eq!(said(&acts)[&interval.replace("/set", "/state")], "90");
    // No more than so many at a time.
    let all = (0..100).map(|_| voice.heard(heard(switch, "ON"), moment(3)));
    assert_eq!(all.filter(|acts| matches!(acts[..], [Act::Do(_)])).count(), 64);
}

/// With the number of our own that Home Assistant shows for it.
#[test]
fn a_longer_interval_makes_no_value_unknown() {
    let rules = Rules::default();
    let mut voice = voice(json!({}), &about(&rules));
    voice.connected(moment(0));
    let topic = "homeassistant/number/greenhouse-pi/air_interval/set";
    let acts = voice.heard(heard(topic, "3600"), moment(1));
    let [Act::Do(order)] = &acts[..] else { panic!("{acts:?}") };
    let outcome = Outcome { rc: 200, message: "done".to_owned(), data: None };
    let said = said(&voice.done(order.tag, &outcome, moment(2)));
    let config = "homeassistant/sensor/greenhouse-pi/air_temperature/config";
    let topics: Vec<&str> = said.keys().map(String::as_str).collect();
    assert_eq!(topics, ["homeassistant/number/greenhouse-pi/air_interval/state", config]);
    // 1.5 × 1 h and two readings.
    let body: Value = serde_json::from_str(&said[config]).unwrap();
    assert_eq!(body["expire_after"], 12_600);
}

/// A reload of the configuration leaves a sensor as it was ordered, and makes another dialogue.
#[test]
fn what_was_ordered_before_a_reload_is_shown_after_it() {
    let rules = Rules::default();
    let mut known = Arc::into_inner(about(&rules)).unwrap();
    known.actions = vec![("interval", None), ("pause", None), ("resume", None)];
    known.ordered = Box::new(|_| (Some(std::time::Duration::from_secs(3_600)), true));
    let mut voice = voice(json!({}), &Arc::new(known));
    let announced = said(&voice.connected(moment(0)));
    let temperature = &announced["homeassistant/sensor/greenhouse-pi/air_temperature/config"];
    assert_eq!(serde_json::from_str::<Value>(temperature).unwrap()["expire_after"], 12_600);
    let states = said(&voice.tick(moment(5_000_000)));
    assert_eq!(states["homeassistant/number/greenhouse-pi/air_interval/state"], "3600");
    assert_eq!(states["homeassistant/switch/greenhouse-pi/air_reading/state"], "OFF");
}

/// `pump` + `pressure_max` and `pump_pressure` + `max` are the same letters.
#[test]
fn no_two_entities_share_an_id() {
    let rules = Rules::default();
    let mut known = Arc::into_inner(about(&rules)).unwrap();
    let sensor = |id: &str, quantity: &str| {
        let mut sensor = known.sensors[0].clone();
        (sensor.id, sensor.state.sensor) = (id.into(), id.into());
        sensor.quantities = vec![(channel(&rules, id, quantity, "hPa", ValueKind::Float), None)];
        sensor
    };
    known.sensors = vec![sensor("pump", "pressure_max"), sensor("pump_pressure", "max")];
    let said = said(&voice(json!({}), &Arc::new(known)).connected(moment(0)));
    let states: BTreeSet<String> = said
        .iter()
        .filter(|(topic, _)| topic.starts_with("homeassistant/sensor/greenhouse-pi/pump"))
        .map(|(topic, body)| {
            let body: Value = serde_json::from_str(body).unwrap();
            valid(topic, &body);
            body["state_topic"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        states.iter().map(String::as_str).collect::<Vec<_>>(),
        ["castel/greenhouse-pi/pump/pressure_max", "castel/greenhouse-pi/pump_pressure/max"]
    );
}

#[test]
fn ids_are_stable_and_of_the_allowed_letters() {
    assert_eq!(announce::identifier(&["air", "pm2_5"]), "air_pm2_5");
    // These stay for ever: Home Assistant knows an entity by them.
    let odd = announce::identifier(&["Gewächshaus 1", "temperature"]);
    assert_eq!(odd, "Gew_chshaus_1_temperature-63ba8891");
    assert_ne!(odd, announce::identifier(&["Gewöchshaus 1", "temperature"]));
    let long = announce::identifier(&["x".repeat(100).as_str(), "t"]);
    assert!(long.len() <= 64 && id(&long).is_ok(), "{long}");
}

#[test]
fn options_are_checked() {
    for (key, value) in [
        ("discovery_prefix", "a/+"),
        ("discovery_prefix", ""),
        ("node_id", "a b"),
        ("node_id", ""),
        ("device_name", " "),
        ("area", "a\nb"),
        ("birth_topic", "a//b"),
        ("configuration_url", "greenhouse-pi.local"),
    ] {
        let given = Map::from_iter([(key.to_owned(), json!(value))]);
        let problems = configure(&given, "d").unwrap_err();
        assert!(problems.len() == 1 && problems[0].key == key, "{problems:?}");
    }
}
