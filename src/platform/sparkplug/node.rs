//! The session of the edge node with its hosts: who is born and has died, in which order everything was said, and what
//! hosts want done (specification 3.0.0, section 5).

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Sparkplug;
use super::device::{Device, Latest};
use super::host::Host;
use super::payload::{DataType, Metric, MetricValue, Payload, millis};
use crate::platform::{About, Act, Dialogue, Heard, Order, Outcome, Say, Wish};
use crate::reading::{Moment, Qos, Timestamp};

const REBIRTH: &str = "Node Control/Rebirth";
const BD_SEQ: &str = "bdSeq";

/// Births are not said more often than this, µs: a host that wants them all the time gets nothing else.
const BETWEEN_BIRTHS: i64 = 1_000_000;

/// A device that does not work is dead after so long without a message, µs: while its backlog goes out it is not.
const GRACE: i64 = 1_000_000;

/// Most metrics of one command that are carried out.
const MOST_WRITTEN: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    names: Sparkplug,
    about: Arc<About>,
    devices: BTreeMap<String, Device>,
    host: Option<Host>,
    /// What the topics of our readings begin with.
    data: String,
    /// Number of the connection; `None` before the first.
    bd_seq: Option<u8>,
    /// The next message's number.
    seq: u8,
    /// There is a connection, and its subscriptions are made.
    ready: bool,
    /// The births have been said on this connection: when, µs since boot.
    born: Option<i64>,
    /// Births are wanted again.
    again: bool,
    next_tag: u64,
}

impl Node {
    pub(super) fn new(names: Sparkplug, about: Arc<About>) -> Self {
        Self {
            devices: Device::all(&about),
            host: names.primary_host.as_deref().map(Host::new),
            data: names.device_topic("DDATA", ""),
            names,
            about,
            bd_seq: None,
            seq: 0,
            ready: false,
            born: None,
            again: false,
            next_tag: 0,
        }
    }

    fn number(&mut self) -> u8 {
        let next = self.seq.wrapping_add(1);
        mem::replace(&mut self.seq, next)
    }

    /// NBIRTH, and a DBIRTH for each device.
    fn births(&mut self, now: Moment) -> Vec<Act> {
        (self.born, self.again, self.seq) = (Some(now.since_boot), false, 0);
        let latest = Latest::of(&self.about);
        let mut payload = self.birth(now.wall);
        payload.seq = Some(u64::from(self.number()));
        let mut acts = vec![said(self.names.topic("NBIRTH"), &payload)];
        let names: Vec<String> = self.devices.keys().cloned().collect();
        acts.extend(names.iter().filter_map(|name| Some(Act::Say(self.device_birth(name, &latest, now)?))));
        acts
    }

    /// What is to be known of the bridge itself (section 4.1.4).
    fn birth(&self, now: Timestamp) -> Payload {
        let now = millis(now);
        let metric = |name: &str, datatype, value| Metric {
            name: name.to_owned(),
            timestamp: Some(now),
            datatype: Some(datatype),
            value,
            ..Metric::default()
        };
        let text = |name, text: &str| metric(name, DataType::String, MetricValue::Text(text.to_owned()));
        let mut metrics = vec![
            self.bd_seq_metric(now),
            metric(REBIRTH, DataType::Boolean, MetricValue::Bool(false)),
            text("Properties/Software", "sensor-bridge"),
            text("Properties/Version", self.about.version),
        ];
        let place = self.about.place.clone().unwrap_or_default();
        metrics.extend(place.name.as_deref().map(|name| text("Properties/Location", name)));
        for (name, number) in [
            ("Properties/Latitude", place.latitude),
            ("Properties/Longitude", place.longitude),
            ("Properties/Altitude", place.altitude),
        ] {
            metrics.extend(number.map(|number| metric(name, DataType::Double, MetricValue::Double(number))));
        }
        Payload { timestamp: Some(now), metrics, seq: None, uuid: None }
    }

    fn bd_seq_metric(&self, now: u64) -> Metric {
        Metric {
            name: BD_SEQ.to_owned(),
            timestamp: Some(now),
            datatype: Some(DataType::Int64),
            value: MetricValue::Long(u64::from(self.bd_seq.unwrap_or(0))),
            ..Metric::default()
        }
    }

    /// NDEATH: nothing but the number of the connection that it ends, and no sequence number (section 4.1.6).
    fn death(&self, now: Option<Timestamp>) -> Say {
        // The broker says it at a time that nobody knows yet; then it has none.
        let timestamp = now.map(millis);
        let bd_seq = Metric { timestamp, ..self.bd_seq_metric(0) };
        let payload = Payload { timestamp, metrics: vec![bd_seq], seq: None, uuid: None };
        Say { qos: Qos::AtLeastOnce, ..message(self.names.topic("NDEATH"), &payload) }
    }

    fn device_birth(&mut self, name: &str, latest: &Latest, now: Moment) -> Option<Say> {
        let seq = self.number();
        let topic = self.names.device_topic("DBIRTH", name);
        let device = self.devices.get_mut(name)?;
        let say = message(topic, &device.birth(latest, now.wall, seq));
        if let Some(told) = &mut device.told {
            told.dies = told.failed.then_some(now.since_boot + GRACE);
        }
        Some(say)
    }

    /// Devices whose time has come.
    fn deaths(&mut self, now: Moment) -> Vec<Act> {
        let due = |device: &Device| {
            device.told.as_ref().is_some_and(|told| told.dies.is_some_and(|at| at <= now.since_boot))
        };
        let names: Vec<String> =
            self.devices.iter().filter(|(_, device)| due(device)).map(|(name, _)| name.clone()).collect();
        let mut acts = Vec::new();
        for name in names {
            let seq = Some(u64::from(self.number()));
            let payload = Payload { timestamp: Some(millis(now.wall)), seq, ..Payload::default() };
            acts.push(said(self.names.device_topic("DDEATH", &name), &payload));
            if let Some(device) = self.devices.get_mut(&name) {
                device.told = None;
            }
        }
        acts
    }

    /// What the host's coming and going changes.
    fn host_changed(&mut self, now: Moment) -> Vec<Act> {
        match (self.host.as_ref().is_none_or(Host::is_online), self.born) {
            (true, None) if self.ready => self.births(now),
            (false, Some(_)) => {
                // The connection ends without a DISCONNECT: so the broker says the NDEATH, and what comes after begins
                // with a new number (5.4, tck-id-message-flow-edge-node-birth-publish-phid-offline).
                self.born = None;
                vec![Act::Renew]
            }
            _ => Vec::new(),
        }
    }

    /// NCMD.
    fn commanded(&mut self, command: &Payload, now: Moment) -> Vec<Act> {
        let rebirth = |metric: &Metric| metric.name == REBIRTH && metric.value == MetricValue::Bool(true);
        if !command.metrics.iter().any(rebirth) {
            let other = command.metrics.iter().any(|metric| metric.name != REBIRTH);
            // Without the name: whoever sends always another one must not fill the log.
            let note = || Act::Note(format!("the host wants to write more of the node than \"{REBIRTH}\""));
            return other.then(note).into_iter().collect();
        }
        match self.born {
            Some(at) if now.since_boot - at >= BETWEEN_BIRTHS => self.births(now),
            Some(_) => {
                self.again = true;
                Vec::new()
            }
            // They come anyway.
            None => Vec::new(),
        }
    }

    /// DCMD.
    fn written(&mut self, device: &str, command: Payload) -> Vec<Act> {
        let writable = self.devices.get(device).and_then(|device| device.writable.clone());
        let mut acts = Vec::new();
        let mut is_told = false;
        for metric in command.metrics.into_iter().take(MOST_WRITTEN) {
            let value = writable
                .as_ref()
                .filter(|(name, _)| *name == metric.name)
                .and_then(|(_, is_switch)| level(&metric.value, *is_switch));
            let Some(value) = value else {
                // One is enough to tell, and what comes after it may be written.
                if mem::replace(&mut is_told, true) {
                    continue;
                }
                let known = self.devices.get(device).and_then(|known| known.metric(&metric.name));
                acts.push(Act::Note(match known {
                    Some(name) => format!(
                        "the host wants to write \"{name}\" of {device}, which cannot be, or not with such a value"
                    ),
                    None => "the host wants to write a metric that no birth has named".to_owned(),
                }));
                continue;
            };
            let wish = Map::from_iter([
                ("action".to_owned(), json!("set")),
                ("output".to_owned(), json!(device)),
                ("value".to_owned(), value),
            ]);
            let tag = self.next_tag;
            self.next_tag += 1;
            // Commands have no id in Sparkplug, and come at QoS 0: each is one of its own.
            acts.push(Act::Do(Order { tag, id: None, wish: Wish::Command(wish) }));
        }
        acts
    }
}

/// The level that a metric is written to: of what is on or off a truth value or 0 and 1, else percent.
fn level(value: &MetricValue, is_switch: bool) -> Option<Value> {
    let number = match value {
        MetricValue::Bool(state) if is_switch => return Some(json!(state)),
        MetricValue::Int(number) => f64::from(*number),
        MetricValue::Long(number) => *number as f64,
        MetricValue::Float(number) => f64::from(*number),
        MetricValue::Double(number) => *number,
        _ => return None,
    };
    match is_switch {
        true if number == 0.0 || number == 1.0 => Some(json!(number == 1.0)),
        true => None,
        // What is beyond 100 is refused by whoever knows the output.
        false => number.is_finite().then(|| json!(number)),
    }
}

/// QoS 0 and not retained, as everything but the NDEATH (section 4.1).
fn message(topic: String, payload: &Payload) -> Say {
    let mut bytes = Vec::with_capacity(64 * (1 + payload.metrics.len()));
    payload.encode(&mut bytes);
    Say { topic, payload: bytes, qos: Qos::AtMostOnce, retain: false }
}

fn said(topic: String, payload: &Payload) -> Act {
    Act::Say(message(topic, payload))
}

impl Dialogue for Node {
    fn filters(&self) -> Vec<String> {
        let writable = self.devices.iter().filter(|(_, device)| device.writable.is_some());
        let mut filters = vec![self.names.topic("NCMD")];
        filters.extend(writable.map(|(name, _)| self.names.device_topic("DCMD", name)));
        filters.extend(self.host.as_ref().map(|host| host.topic().to_owned()));
        filters
    }

    fn will(&mut self) -> Option<Say> {
        self.bd_seq = Some(self.bd_seq.map_or(0, |last| last.wrapping_add(1)));
        (self.ready, self.born, self.again) = (false, None, false);
        self.devices.values_mut().for_each(|device| device.told = None);
        if let Some(host) = &mut self.host {
            host.forget();
        }
        Some(self.death(None))
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.ready = true;
        self.host_changed(now)
    }

    fn heard(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        if let Some(host) = self.host.as_mut().filter(|host| host.topic() == message.topic) {
            return match host.heard(message.payload) {
                Ok(()) => self.host_changed(now),
                Err(why) => vec![Act::Note(why.to_owned())],
            };
        }
        let device = message.topic.strip_prefix(&self.names.device_topic("DCMD", ""));
        if device.is_none() && message.topic != self.names.topic("NCMD") {
            return Vec::new();
        }
        if message.retained {
            return vec![Act::Note(
                "a retained command is not carried out: who knows how old it is".to_owned(),
            )];
        }
        match (Payload::decode(message.payload), device) {
            (Err(_), _) => vec![Act::Note("a command is no Sparkplug payload".to_owned())],
            (Ok(command), None) => self.commanded(&command, now),
            (Ok(command), Some(device)) => self.written(device, command),
        }
    }

    fn done(&mut self, _: u64, outcome: &Outcome, _: Moment) -> Vec<Act> {
        // Sparkplug has no answers: what became of it shows in the metric.
        let Outcome { rc, message, .. } = outcome;
        if *rc < 400 {
            Vec::new()
        } else {
            vec![Act::Note(format!("a command of the host failed ({rc}): {message}"))]
        }
    }

    fn due(&self) -> Option<i64> {
        let born = self.born?;
        let again = self.again.then_some(born + BETWEEN_BIRTHS);
        let dies = self.devices.values().filter_map(|device| device.told.as_ref()?.dies).min();
        [again, dies].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Moment) -> Vec<Act> {
        match self.born {
            Some(at) if self.again && now.since_boot - at >= BETWEEN_BIRTHS => self.births(now),
            Some(_) => self.deaths(now),
            None => Vec::new(),
        }
    }

    fn holds(&self) -> bool {
        self.born.is_none()
    }

    fn seal(&mut self, topic: &str, payload: &mut Vec<u8>, now: Moment) -> Vec<Say> {
        // What was meant for another group, or written by another format, goes out as it is.
        let Some(name) = topic.strip_prefix(&self.data) else { return Vec::new() };
        let Ok(mut data) = Payload::decode(payload) else { return Vec::new() };
        let mut before = Vec::new();
        if !self.devices.get(name).is_some_and(|device| device.knows(&data.metrics)) {
            self.devices.entry(name.to_owned()).or_default().learn(&data.metrics);
            before.extend(self.device_birth(name, &Latest::of(&self.about), now));
        }
        if let Some(device) = self.devices.get(name) {
            device.settle_units(&mut data.metrics);
        }
        let row = data.uuid.take().and_then(|row| row.parse().ok()).unwrap_or(i64::MAX);
        if let Some(told) = self.devices.get_mut(name).and_then(|device| device.told.as_mut()) {
            told.compare(&mut data.metrics, row);
            told.dies = told.failed.then_some(now.since_boot + GRACE);
        }
        data.timestamp = Some(millis(now.wall));
        data.seq = Some(u64::from(self.number()));
        payload.clear();
        data.encode(payload);
        before
    }

    fn leaving(&mut self, now: Moment) -> Vec<Say> {
        self.born.take().map(|_| self.death(Some(now.wall))).into_iter().collect()
    }
}
