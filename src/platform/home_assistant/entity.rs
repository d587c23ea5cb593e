//! The entities of a bridge and what discovery says of each. Pure: from what is known of the bridge to topics and JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::announce::{hashed, identifier};
use super::control::Control;
use super::{Settings, class};
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
    /// Its readings, if they do not stay on the broker: said again for a Home Assistant that comes later.
    pub(super) passing: Option<Passing>,
}

/// Readings that do not stay on the broker.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) topic: String,
    /// Messages are whole samples.
    pub(super) sampled: bool,
    pub(super) quantity: String,
}

impl Entity {
    /// How long a value of it is good, µs; `None` when nobody knows.
    pub(super) fn life(&self) -> Option<i64> {
        Some(self.body.get("expire_after")?.as_i64()?.saturating_mul(1_000_000))
    }
}

/// All entities, and what cannot be one. `intervals` are those that were set since the start.
pub(super) fn all(
    settings: &Settings,
    about: &About,
    intervals: &BTreeMap<SensorId, Duration>,
) -> (Vec<Entity>, Vec<String>) {
    let (entities, notes, taken) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut list = List { settings, about, intervals, entities, notes, taken };
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
    intervals: &'a BTreeMap<SensorId, Duration>,
    entities: Vec<Entity>,
    notes: Vec<String>,
    /// Components and object ids so far.
    taken: BTreeSet<(&'static str, String)>,
}

impl List<'_> {
    fn quantity(&mut self, sensor: &SensorAbout, channel: &Channel, longest: Option<Duration>) {
        let own = matches!(sensor.driver, "host" | "hwmon").then_some("diagnostic");
        let interval = self.intervals.get(&sensor.id).copied().unwrap_or(sensor.interval);
        // Nothing comes more often than it is read.
        let expires = longest.map(|longest| expires(longest.max(interval), interval));
        match channel.kind {
            ValueKind::Float | ValueKind::Integer => self.number(channel, own, expires),
            ValueKind::Bool => self.binary(channel, own, expires),
            ValueKind::Text => self.text(channel, own),
            ValueKind::Image => self.picture(channel),
        }
    }

    /// home-assistant.io, "MQTT Sensor".
    fn number(&mut self, channel: &Channel, category: Option<&str>, expires: Option<u64>) {
        let class = class::number(channel.quantity.as_str(), &channel.unit, channel.kind);
        let Some(body) = self.reading(channel, "", category) else { return };
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
        let object = self.object("binary_sensor", &[channel.sensor.as_str(), ending]);
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
        let object = self.object("image", &[channel.sensor.as_str(), channel.quantity.as_str()]);
        self.entities.push(Entity { component: "image", object, body, control: None, passing: None });
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
        let object = self.object("switch", &[output.id.as_str(), output.level.quantity.as_str()]);
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
        let object = self.object("number", &[output.id.as_str(), output.level.quantity.as_str()]);
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
        let object = self.object(component, &[id.as_str(), ending]);
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
        let object = self.object(component, &[channel.sensor.as_str(), channel.quantity.as_str()]);
        self.add(component, object, body, None, passing(channel));
    }

    /// The id of one more entity. `a_b` and `c` make the same as `a` and `b_c`: who comes second gets another one.
    fn object(&mut self, component: &'static str, parts: &[&str]) -> String {
        let plain = identifier(parts);
        let is_free = self.taken.insert((component, plain.clone()));
        if is_free { plain } else { hashed(parts) }
    }

    fn add(
        &mut self,
        component: &'static str,
        object: String,
        mut body: Map<String, Value>,
        control: Option<Control>,
        passing: Option<Passing>,
    ) {
        if control.is_some() {
            // No `qos`: at 0 the broker keeps no command for a bridge that is away, to be carried out hours later.
            body.insert("command_topic".to_owned(), json!(self.settings.topic(component, &object, "set")));
        }
        self.entities.push(Entity { component, object, body, control, passing });
    }
}

/// Seconds after which a value that was not renewed is none any more: half as long again as it may take when nothing
/// changes, and two readings may fail.
fn expires(longest: Duration, interval: Duration) -> u64 {
    let patience = longest.mul_f64(1.5) + 2 * interval;
    patience.as_secs_f64().ceil().max(30.0) as u64
}

/// Of a channel whose readings are not retained.
fn passing(channel: &Channel) -> Option<Passing> {
    let publish = channel.publish.as_ref().filter(|publish| !publish.retain)?;
    let sampled = publish.shape == Shape::Sample;
    Some(Passing { topic: publish.topic.clone(), sampled, quantity: channel.quantity.to_string() })
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
