//! Attributes and RPC: what is said and heard beside telemetry. What shared attributes desire of the outputs is judged in
//! `desired`, RPC is carried out by `calls`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::calls::{Calls, answer};
use super::super::desired::{Desired, How};
use super::super::reported::{ACK, json_value};
use super::super::{About, Act, Dialogue, Heard, Outcome, Say};
use super::key;
use crate::reading::{Moment, Qos};

const ATTRIBUTES: &str = "v1/devices/me/attributes";
const REQUEST: &str = "v1/devices/me/attributes/request/";
const RESPONSE: &str = "v1/devices/me/attributes/response/";
const RPC: &str = "v1/devices/me/rpc/request/";
const RPC_ANSWER: &str = "v1/devices/me/rpc/response/";

/// When the attributes asked for do not come, they are asked for again after this long, µs.
const PATIENCE: i64 = 30_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Talk {
    about: Arc<About>,
    keys: String,
    desired: Desired,
    calls: Calls,
    requests: u32,
    /// Asked for under this number, and again at this time, µs since boot.
    asked: Option<(u32, i64)>,
}

/// "Request attribute values from the server": the response.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    client: Map<String, Value>,
    shared: Map<String, Value>,
}

/// "Server-side RPC".
#[derive(Debug, Deserialize)]
struct Call {
    method: String,
    #[serde(default)]
    params: Value,
}

impl Talk {
    pub(super) fn new(about: Arc<About>, keys: String, restore: bool) -> Self {
        let desired = Desired::new(&about, str::to_owned, restore);
        Self { about, keys, desired, calls: Calls::default(), requests: 0, asked: None }
    }

    /// Client attributes: what the bridge is. The names of the position are those that ThingsBoard's maps look for.
    fn introduction(&self) -> Say {
        let mut attributes = json!({"device": self.about.device, "version": self.about.version});
        if let Some(place) = &self.about.place {
            let given = [
                ("place", place.name.as_ref().map(|name| json!(name))),
                ("latitude", place.latitude.map(Value::from)),
                ("longitude", place.longitude.map(Value::from)),
                ("altitude", place.altitude.map(Value::from)),
            ];
            for (key, value) in given {
                if let Some(value) = value {
                    attributes[key] = value;
                }
            }
        }
        say(ATTRIBUTES.to_owned(), &attributes)
    }

    /// Asks for the attributes of the outputs; nothing without outputs.
    fn ask(&mut self, now: Moment) -> Option<Act> {
        let levels: Vec<_> = self.desired.levels().collect();
        if levels.is_empty() {
            return None;
        }
        let acks = levels.iter().map(|(output, _)| key(&self.keys, output, ACK));
        let wished = levels.iter().map(|(output, quantity)| key(&self.keys, output, quantity));
        let listed = |keys: Vec<String>| keys.join(",");
        let wanted = json!({"clientKeys": listed(acks.collect()), "sharedKeys": listed(wished.collect())});
        self.requests = self.requests.wrapping_add(1);
        self.asked = Some((self.requests, now.since_boot.saturating_add(PATIENCE)));
        Some(Act::Say(say(format!("{REQUEST}{}", self.requests), &wanted)))
    }

    /// Those of these attributes that are levels of outputs, as a document; the others are none of ours.
    fn document(&self, attributes: &Map<String, Value>) -> Map<String, Value> {
        let levels = self.desired.levels().filter_map(|(output, quantity)| {
            let value = attributes.get(&key(&self.keys, output, quantity))?;
            Some((output.to_owned(), json!({quantity: value})))
        });
        levels.collect()
    }

    fn attributes(&mut self, response: &Attributes) -> Vec<Act> {
        self.asked = None;
        let acks = self.desired.levels().filter_map(|(output, _)| {
            let ack = response.client.get(&key(&self.keys, output, ACK))?;
            Some((output.to_owned(), json!({ACK: ack})))
        });
        let acks: Map<String, Value> = acks.collect();
        self.desired.answered_before(&acks);
        let document = self.document(&response.shared);
        let is = self.levels_now();
        self.desired.document(&document, Some(&is), |_, _| None, How::State)
    }

    /// The outputs' levels as a document.
    fn levels_now(&self) -> Map<String, Value> {
        let mut levels = Map::new();
        for reading in (self.about.latest)() {
            let (sensor, quantity) = (reading.channel.sensor.as_str(), reading.channel.quantity.as_str());
            if self.desired.levels().any(|level| level == (sensor, quantity)) {
                levels.insert(sensor.to_owned(), json!({quantity: json_value(&reading.value)}));
            }
        }
        levels
    }

    fn changed(&mut self, attributes: &Map<String, Value>) -> Vec<Act> {
        let mut document = self.document(attributes);
        // "deleted" names those that are gone: desired no more.
        let gone = attributes.get("deleted").and_then(Value::as_array);
        let is_gone = |key: &str| gone.is_some_and(|gone| gone.iter().any(|name| name == key));
        let levels = self.desired.levels();
        let gone = levels.filter(|(output, quantity)| is_gone(&key(&self.keys, output, quantity)));
        document.extend(gone.map(|(output, _)| (output.to_owned(), Value::Null)));
        self.desired.document(&document, None, |_, _| None, How::Event)
    }

    fn called(&mut self, number: &str, call: Call) -> Vec<Act> {
        if let Some(asked) = call.method.strip_prefix("get:") {
            let value = self.value_of(asked).unwrap_or(Value::Null);
            return vec![Act::Say(say(format!("{RPC_ANSWER}{number}"), &value))];
        }
        match self.calls.begin(number, &call.method, call.params) {
            Ok(act) => vec![act],
            Err(refused) => vec![Act::Say(respond(number, &refused))],
        }
    }

    /// The last value of the quantity of this key, or the level of this output.
    fn value_of(&self, asked: &str) -> Option<Value> {
        let latest = (self.about.latest)();
        let found = latest.iter().find(|reading| {
            let (sensor, quantity) = (reading.channel.sensor.as_str(), reading.channel.quantity.as_str());
            key(&self.keys, sensor, quantity) == asked
                || (sensor == asked && self.desired.levels().any(|level| level == (sensor, quantity)))
        });
        found.map(|reading| json_value(&reading.value))
    }
}

fn say(topic: String, payload: &Value) -> Say {
    Say { topic, payload: payload.to_string().into_bytes(), qos: Qos::AtLeastOnce, retain: false }
}

fn respond(number: &str, outcome: &Outcome) -> Say {
    say(format!("{RPC_ANSWER}{number}"), &answer(outcome))
}

fn not_understood() -> Vec<Act> {
    vec![Act::Note("a message of ThingsBoard was not understood".to_owned())]
}

impl Dialogue for Talk {
    fn filters(&self) -> Vec<String> {
        vec![ATTRIBUTES.to_owned(), format!("{RESPONSE}+"), format!("{RPC}+")]
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.calls.forget();
        let mut acts = vec![Act::Say(self.introduction())];
        acts.extend(self.ask(now));
        acts
    }

    fn heard(&mut self, message: Heard<'_>, _: Moment) -> Vec<Act> {
        let Heard { topic, payload, .. } = message;
        if topic == ATTRIBUTES {
            return serde_json::from_slice(payload)
                .map_or_else(|_| not_understood(), |map| self.changed(&map));
        }
        if let Some(number) = topic.strip_prefix(RESPONSE) {
            // The answer to an older request says less than one that is to come.
            if self.asked.is_none_or(|(asked, _)| asked.to_string() != number) {
                return Vec::new();
            }
            return serde_json::from_slice(payload)
                .map_or_else(|_| not_understood(), |all| self.attributes(&all));
        }
        let Some(number) = topic.strip_prefix(RPC) else { return Vec::new() };
        // "$request_id is an integer request identifier"; it becomes part of a topic again.
        if number.is_empty() || number.len() > 20 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return not_understood();
        }
        match serde_json::from_slice(payload) {
            Ok(call) => self.called(number, call),
            Err(error) => {
                let refused = Outcome { rc: 400, message: format!("not a call: {error}"), data: None };
                vec![Act::Say(respond(number, &refused))]
            }
        }
    }

    fn done(&mut self, tag: u64, outcome: &Outcome, _: Moment) -> Vec<Act> {
        if let Some(number) = self.calls.done(tag) {
            return vec![Act::Say(respond(&number, outcome))];
        }
        let Some(done) = self.desired.done(tag, outcome) else { return Vec::new() };
        // The level itself follows as telemetry.
        let attributes = Map::from_iter([(key(&self.keys, &done.output, ACK), done.ack)]);
        vec![Act::Say(say(ATTRIBUTES.to_owned(), &Value::Object(attributes)))]
    }

    fn due(&self) -> Option<i64> {
        self.asked.map(|(_, again)| again)
    }

    fn tick(&mut self, now: Moment) -> Vec<Act> {
        match self.asked {
            Some((_, again)) if again <= now.since_boot => self.ask(now).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
