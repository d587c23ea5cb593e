//! The entities of a bridge and what discovery says of each. Pure: from what is known of the bridge to topics and JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Settings;
use super::class;
use crate::config::amount::format_duration;
use crate::platform::{About, OutputAbout, SensorAbout};
use crate::reading::{Channel, SensorId, Shape, ValueKind};

/// One entity.
#[derive(Debug)]
pub(super) struct Entity {
    /// What it is there: `sensor`, `switch`, …
    pub(super) component: &'static str,
    /// `<object_id>` of its topics.
    pub(super) object: String,
    /// What discovery says, less what all entities share.
    pub(super) body: Map<String, Value>,
    /// What a message on its command topic does.
    pub(super) control: Option<Control>,
    /// Topic of its readings, if they do not stay on the broker: said again for a Home Assistant that comes later.
    pub(super) passing: Option<String>,
}

/// What a command topic controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// An output that is on or off.
    Switch(SensorId),
    /// An output in percent.
    Level(SensorId),
    /// An action on a sensor without more to say.
    Press(&'static str, SensorId),
    /// The interval of a sensor.
    Interval(SensorId),
    /// Whether a sensor is read.
    Reading(SensorId),
}

/// `[a-zA-Z0-9_-]` only. Names that need no change stay as they are, in parts joined by `_`; others get a hash of what
/// they were, so that two never become one.
pub(super) fn identifier(parts: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut text = parts.join("_");
    let sound = !text.is_empty() && text.len() <= super::LONGEST_ID && text.chars().all(plain);
    if !sound {
        let mut short: String = text.chars().map(|c| if plain(c) { c } else { '_' }).collect();
        short.truncate(super::LONGEST_ID - 9);
        text = format!("{short}-{:08x}", hash(&parts.join("\0")));
    }
    text
}

/// FNV-1a, 32 bit. In ids that must stay, so it must not change.
pub(super) fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// All entities, and what cannot be one.
pub(super) fn all(settings: &Settings, about: &About) -> (Vec<Entity>, Vec<String>) {
    let mut list = List { settings, about, entities: Vec::new(), notes: Vec::new() };
    for sensor in &about.sensors {
        for (channel, longest) in &sensor.quantities {
            list.quantity(sensor, channel, *longest);
        }
        list.problem(&sensor.state, "state");
        list.settings_of(sensor);
    }
    for output in &about.outputs {
        list.output(output);
        list.text(&output.state, Some("diagnostic"));
    }
    (list.entities, list.notes)
}

struct List<'a> {
    settings: &'a Settings,
    about: &'a About,
    entities: Vec<Entity>,
    notes: Vec<String>,
}

impl List<'_> {
    fn quantity(&mut self, sensor: &SensorAbout, channel: &Channel, longest: Option<Duration>) {
        let own = matches!(sensor.driver, "host" | "hwmon").then_some("diagnostic");
        match channel.kind {
            ValueKind::Float | ValueKind::Integer => self.number(channel, own, longest, sensor.interval),
            ValueKind::Bool => {
                let expires = longest.map(|longest| expires(longest, sensor.interval));
                self.binary(channel, own, expires);
            }
            ValueKind::Text => self.text(channel, own),
            ValueKind::Image => self.picture(channel),
        }
    }

    /// home-assistant.io, "MQTT Sensor".
    fn number(
        &mut self,
        channel: &Channel,
        category: Option<&str>,
        longest: Option<Duration>,
        interval: Duration,
    ) {
        let class = class::number(channel.quantity.as_str(), &channel.unit, channel.kind);
        let Some(body) = self.reading(channel, "", category) else { return };
        let expires = longest.map(|longest| expires(longest, interval));
        let body = with(body, "device_class", class.device);
        let body = with(body, "state_class", class.state);
        let body = with(body, "unit_of_measurement", class.unit);
        let body = with(body, "expire_after", expires);
        self.push("sensor", channel, body);
    }

    /// home-assistant.io, "MQTT Binary sensor". A template writes a truth value as Python does.
    fn binary(&mut self, channel: &Channel, category: Option<&str>, expires: Option<u64>) {
        let Some(body) = self.reading(channel, "", category) else { return };
        let body = with(body, "payload_on", Some("True"));
        let body = with(body, "payload_off", Some("False"));
        let body = with(body, "device_class", class::switch(channel.quantity.as_str()));
        let body = with(body, "expire_after", expires);
        self.push("binary_sensor", channel, body);
    }

    /// A sensor's own state: whether there is a problem, and which.
    fn problem(&mut self, channel: &Channel, ending: &str) {
        let Some(body) = self.reading(channel, " != 'ok'", Some("diagnostic")) else { return };
        let body = with(body, "payload_on", Some("True"));
        let body = with(body, "payload_off", Some("False"));
        let mut body = with(body, "device_class", Some("problem"));
        if let Some(publish) = channel.publish.as_ref().filter(|publish| publish.shape == Shape::Quantity) {
            // `value` among the attributes says why.
            body.insert("json_attributes_topic".to_owned(), json!(publish.topic));
        }
        let object = identifier(&[channel.sensor.as_str(), ending]);
        self.add("binary_sensor", object, body, None, passing(channel));
    }

    /// A state of Home Assistant has at most 255 characters.
    fn text(&mut self, channel: &Channel, category: Option<&str>) {
        let Some(mut body) = self.reading(channel, "[:255]", category) else { return };
        if let Some(Value::String(template)) = body.get_mut("value_template") {
            // An empty text is a state, too: only the state itself leaves it as it is.
            *template = template.replacen("''", "this.state", 1);
        }
        self.push("sensor", channel, body);
    }

    /// home-assistant.io, "MQTT Image".
    fn picture(&mut self, channel: &Channel) {
        let Some(publish) = &channel.publish else { return };
        if publish.shape == Shape::Quantity {
            self.notes.push(format!(
                "Home Assistant cannot show the pictures of {}: they go out as JSON; write `format: binary` there",
                channel.sensor
            ));
            return;
        }
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(words(channel.sensor.as_str(), "")));
        body.insert("image_topic".to_owned(), json!(publish.topic));
        body.insert("content_type".to_owned(), json!("image/jpeg"));
        if publish.shape == Shape::Base64 {
            body.insert("image_encoding".to_owned(), json!("b64"));
        }
        self.entities.push(Entity {
            component: "image",
            object: identifier(&[channel.sensor.as_str(), channel.quantity.as_str()]),
            body,
            control: None,
            passing: None,
        });
    }

    fn output(&mut self, output: &OutputAbout) {
        let channel = &output.level;
        match output.percent {
            None if output.commandable => self.switch(output),
            None => self.binary(channel, None, None),
            Some((_, most)) if output.commandable => self.level(output, most),
            Some(_) => {
                let Some(body) = self.reading(channel, "", None) else { return };
                let body = with(body, "unit_of_measurement", Some("%"));
                let body = with(body, "state_class", Some("measurement"));
                self.push("sensor", channel, body);
            }
        }
    }

    /// home-assistant.io, "MQTT Switch". Without a topic of its level it assumes that it did what it was told.
    fn switch(&mut self, output: &OutputAbout) {
        let mut body = self.reading(&output.level, "", None).unwrap_or_default();
        body.insert("name".to_owned(), json!(words(output.id.as_str(), "")));
        body.insert("payload_on".to_owned(), json!("ON"));
        body.insert("payload_off".to_owned(), json!("OFF"));
        body.insert("state_on".to_owned(), json!("True"));
        body.insert("state_off".to_owned(), json!("False"));
        let object = identifier(&[output.id.as_str(), output.level.quantity.as_str()]);
        let control = Some(Control::Switch(output.id.clone()));
        self.add("switch", object, body, control, passing(&output.level));
    }

    /// home-assistant.io, "MQTT Number". From 0, which switches off whatever the least is.
    fn level(&mut self, output: &OutputAbout, most: f64) {
        let mut body = self.reading(&output.level, "", None).unwrap_or_default();
        body.insert("name".to_owned(), json!(words(output.id.as_str(), "")));
        body.insert("unit_of_measurement".to_owned(), json!("%"));
        body.insert("min".to_owned(), json!(0));
        body.insert("max".to_owned(), json!(most));
        body.insert("step".to_owned(), json!(0.1));
        let object = identifier(&[output.id.as_str(), output.level.quantity.as_str()]);
        let control = Some(Control::Level(output.id.clone()));
        self.add("number", object, body, control, passing(&output.level));
    }

    /// Buttons, the interval, and whether it is read at all.
    fn settings_of(&mut self, sensor: &SensorAbout) {
        let id = &sensor.id;
        let may = |action: &str| {
            let fits = |(name, only): &(&str, Option<SensorId>)| {
                *name == action && only.as_ref().is_none_or(|only| only == id)
            };
            self.about.actions.iter().any(fits)
        };
        let (read, republish, interval) = (may("read"), may("republish"), may("interval"));
        let reading = may("pause") && may("resume");
        for (action, allowed, name) in [("read", read, "read"), ("republish", republish, "publish now")] {
            if allowed {
                self.own(id, "button", action, name, Control::Press(action, id.clone()), Map::new());
            }
        }
        if interval {
            let mut body = Map::new();
            body.insert("unit_of_measurement".to_owned(), json!("s"));
            body.insert("device_class".to_owned(), json!("duration"));
            body.insert("min".to_owned(), json!(0.01));
            body.insert("max".to_owned(), json!(86_400));
            body.insert("step".to_owned(), json!(0.01));
            body.insert("mode".to_owned(), json!("box"));
            self.own(id, "number", "interval", "interval", Control::Interval(id.clone()), body);
        }
        if reading {
            self.own(id, "switch", "reading", "reading", Control::Reading(id.clone()), Map::new());
        }
    }

    /// A setting of a sensor; its state, if it has one, is ours to say.
    fn own(
        &mut self,
        id: &SensorId,
        component: &'static str,
        ending: &str,
        name: &str,
        control: Control,
        mut body: Map<String, Value>,
    ) {
        body.insert("name".to_owned(), json!(words(id.as_str(), name)));
        body.insert("entity_category".to_owned(), json!("config"));
        let object = identifier(&[id.as_str(), ending]);
        if component != "button" {
            body.insert("state_topic".to_owned(), json!(self.settings.topic(component, &object, "state")));
        }
        self.add(component, object, body, Some(control), None);
    }

    /// What entities with readings share; `None` for what is only logged. `more` follows the value in the template.
    fn reading(&self, channel: &Channel, more: &str, category: Option<&str>) -> Option<Map<String, Value>> {
        let publish = channel.publish.as_ref()?;
        let quantity = channel.quantity.as_str().replace('\\', "\\\\").replace('\'', "\\'");
        // What follows an outage beside fresh readings is no state of now, and a sample need not have every quantity.
        // An empty text changes nothing.
        let (missing, value) = match publish.shape {
            Shape::Sample => (
                format!(" or '{quantity}' not in value_json['values']"),
                format!("value_json['values']['{quantity}']"),
            ),
            _ => (String::new(), "value_json.value".to_owned()),
        };
        let template = format!("{{{{ '' if 'late' in value_json{missing} else {value}{more} }}}}");
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(words(channel.sensor.as_str(), channel.quantity.as_str())));
        body.insert("state_topic".to_owned(), json!(publish.topic));
        body.insert("value_template".to_owned(), json!(template));
        Some(with(body, "entity_category", category))
    }

    fn push(&mut self, component: &'static str, channel: &Channel, body: Map<String, Value>) {
        let object = identifier(&[channel.sensor.as_str(), channel.quantity.as_str()]);
        self.add(component, object, body, None, passing(channel));
    }

    fn add(
        &mut self,
        component: &'static str,
        object: String,
        mut body: Map<String, Value>,
        control: Option<Control>,
        passing: Option<String>,
    ) {
        if control.is_some() {
            // No `qos`: at 0 the broker keeps no command for a bridge that is away, to be carried out hours later.
            body.insert("command_topic".to_owned(), json!(self.settings.topic(component, &object, "set")));
        }
        self.entities.push(Entity { component, object, body, control, passing });
    }
}

impl Settings {
    /// `<discovery_prefix>/<component>/<node_id>/<object_id>/…` ("Discovery topic").
    pub(super) fn topic(&self, component: &str, object: &str, last: &str) -> String {
        format!("{}/{component}/{}/{object}/{last}", self.prefix, self.node)
    }

    /// Topic and payload of an announcement.
    pub(super) fn announcement(&self, entity: &Entity, about: &About) -> (String, Vec<u8>) {
        let mut device = json!({
            "identifiers": [self.identifier()],
            "name": self.name,
            "manufacturer": "sensor-bridge",
            "model": "sensor-bridge",
            "sw_version": about.version,
        });
        for (key, value) in [("suggested_area", &self.area), ("configuration_url", &self.url)] {
            if let Some(value) = value {
                device[key] = json!(value);
            }
        }
        let mut body = entity.body.clone();
        body.insert("unique_id".to_owned(), json!(format!("{}_{}", self.node, entity.object)));
        if let Some(topic) = &about.status_topic {
            // `online` and `offline` are what it expects there.
            body.insert("availability_topic".to_owned(), json!(topic));
        }
        body.insert("device".to_owned(), device);
        body.insert("origin".to_owned(), json!({"name": ORIGIN, "sw_version": about.version}));
        (self.topic(entity.component, &entity.object, "config"), Value::Object(body).to_string().into_bytes())
    }

    /// By which the device is known.
    pub(super) fn identifier(&self) -> String {
        format!("{ORIGIN}-{}", self.node)
    }
}

/// Who announces.
pub(super) const ORIGIN: &str = "sensor-bridge";

/// Seconds after which a value that was not renewed is none any more: half as long again as it may take when nothing
/// changes, and two readings may fail.
fn expires(longest: Duration, interval: Duration) -> u64 {
    let patience = longest.mul_f64(1.5) + 2 * interval;
    patience.as_secs_f64().ceil().max(30.0) as u64
}

/// The topic of a channel whose readings are not retained.
fn passing(channel: &Channel) -> Option<String> {
    let publish = channel.publish.as_ref().filter(|publish| !publish.retain)?;
    Some(publish.topic.clone())
}

fn with<T: serde::Serialize>(
    mut body: Map<String, Value>,
    key: &str,
    value: Option<T>,
) -> Map<String, Value> {
    if let Some(value) = value {
        body.insert(key.to_owned(), json!(value));
    }
    body
}

/// A name for people: `air`, `pm2_5` → `Air pm2 5`. Home Assistant puts the device's name before it.
fn words(sensor: &str, rest: &str) -> String {
    let text = format!("{sensor} {rest}").replace('_', " ");
    let mut letters = text.trim().chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a setting's state topic says.
pub(super) fn interval_state(interval: Duration) -> String {
    interval.as_secs_f64().to_string()
}

/// The command for what came on a command topic, or what is wrong with it.
pub(super) fn command(control: &Control, payload: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(payload).unwrap_or_default().trim();
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    let shown: String = text.chars().take(40).collect();
    let wrong = || format!("Home Assistant asks for {shown:?}, which is no value of it");
    let command = match control {
        Control::Switch(output) => match text {
            "ON" => json!({"action": "set", "output": output.as_str(), "value": true}),
            "OFF" => json!({"action": "set", "output": output.as_str(), "value": false}),
            _ => return Err(wrong()),
        },
        Control::Level(output) => {
            let percent = number().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(wrong)?;
            json!({"action": "set", "output": output.as_str(), "value": percent})
        }
        Control::Press(action, sensor) => match text {
            "PRESS" => json!({"action": action, "sensor": sensor.as_str()}),
            _ => return Err(wrong()),
        },
        Control::Interval(sensor) => {
            let seconds = number().filter(|seconds| (0.01..=86_400.0).contains(seconds)).ok_or_else(wrong)?;
            let interval = Duration::from_millis((seconds * 1e3).round() as u64);
            json!({"action": "interval", "sensor": sensor.as_str(), "interval": format_duration(interval)})
        }
        Control::Reading(sensor) => match text {
            "ON" => json!({"action": "resume", "sensor": sensor.as_str()}),
            "OFF" => json!({"action": "pause", "sensor": sensor.as_str()}),
            _ => return Err(wrong()),
        },
    };
    match command {
        Value::Object(command) => Ok(command),
        _ => Err(wrong()),
    }
}
