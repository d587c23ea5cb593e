//! The device twin and direct methods: a state machine over the topics below `$iothub`. The twin's document is made in
//! `reported`, what it desires is judged in `desired`, methods are carried out by `calls`.
//!
//! The hub sends changes of the desired properties only while we are connected, so after each connection the whole twin is
//! asked for ("Device reconnection flow"), and changes count once it has come.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::calls::{Calls, answer};
use super::super::desired::{Desired, How};
use super::super::reported::{Reported, Style};
use super::super::{About, Act, Dialogue, Heard, Outcome, Say};
use crate::reading::{Moment, Qos};

const METHODS: &str = "$iothub/methods/POST/";
const ANSWERS: &str = "$iothub/twin/res/";
const CHANGES: &str = "$iothub/twin/PATCH/properties/desired/";

/// "Device twin size": 32 KB of reported properties, counted in a way of their own.
const LARGEST_DOCUMENT: usize = 24 * 1024;

/// Least time between two reports, µs: twin operations are throttled, and states change seldom.
const INTERVAL: i64 = 10_000_000;

/// When something was not answered or not taken for now, it is tried again after this long, µs.
const PATIENCE: i64 = 30_000_000;

/// Reports whose answers are waited for: more are under way only when the hub answers none.
const MOST_REPORTS: usize = 64;

/// Longest number of a call that is answered, bytes.
const LONGEST_NUMBER: usize = 128;

/// How far we know the twin on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// There is no connection, or it is new.
    Away,
    /// It was asked for under this number, and will be again at this time, µs since boot.
    Asked(String, i64),
    /// Its desired properties as of this version.
    Known(i64),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Twin {
    reported: Reported,
    desired: Desired,
    calls: Calls,
    phase: Phase,
    /// The numbers of the reports that are not answered, oldest first.
    reporting: VecDeque<String>,
    /// In front of our numbers, so that they are not those of an earlier run: the time of the start.
    start: Option<i64>,
    numbers: u64,
}

/// "Retrieving a device twin's properties".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties {
    desired: Map<String, Value>,
    reported: Map<String, Value>,
}

impl Twin {
    pub(super) fn new(about: Arc<About>, restore: bool) -> Self {
        let style = Style { readings: false, most: LARGEST_DOCUMENT, interval: INTERVAL, key };
        Self {
            desired: Desired::new(&about, key, restore),
            reported: Reported::new(about, style),
            calls: Calls::default(),
            phase: Phase::Away,
            reporting: VecDeque::new(),
            start: None,
            numbers: 0,
        }
    }

    fn number(&mut self) -> String {
        self.numbers += 1;
        format!("{:x}-{}", self.start.unwrap_or(0), self.numbers)
    }

    fn get(&mut self, now: Moment) -> Act {
        let number = self.number();
        let topic = format!("$iothub/twin/GET/?$rid={number}");
        self.phase = Phase::Asked(number, now.since_boot.saturating_add(PATIENCE));
        Act::Say(say(topic, Vec::new()))
    }

    fn patch(&mut self, reported: Map<String, Value>) -> Say {
        let number = self.number();
        let topic = format!("$iothub/twin/PATCH/properties/reported/?$rid={number}");
        self.reporting.push_back(number);
        if self.reporting.len() > MOST_REPORTS {
            self.reporting.pop_front();
        }
        say(topic, Value::Object(reported).to_string().into_bytes())
    }

    fn report(&mut self, reported: Map<String, Value>) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.reported.left_out() > 0 {
            acts.push(Act::Note(
                "the twin has no room for every state, and those last by name are left out".into(),
            ));
        }
        if !reported.is_empty() {
            acts.push(Act::Say(self.patch(reported)));
        }
        acts
    }

    /// The answer to a request of ours.
    fn answered(&mut self, rest: &str, payload: &[u8], now: Moment) -> Vec<Act> {
        let (status, query) = rest.split_once('/').unwrap_or((rest, ""));
        let (Ok(status), Some(number)) = (status.parse::<u16>(), parameter(query, "$rid")) else {
            return vec![not_understood()];
        };
        let again = now.since_boot.saturating_add(PATIENCE);
        if let Phase::Asked(asked, due) = &mut self.phase
            && asked == number
        {
            if status == 200 {
                return match serde_json::from_slice(payload) {
                    Ok(properties) => self.known(&properties),
                    Err(_) => vec![not_understood()],
                };
            }
            *due = again;
            return vec![Act::Note(format!("the twin cannot be read: {status}"))];
        }
        if let Some(index) = self.reporting.iter().position(|reporting| reporting == number) {
            self.reporting.remove(index);
            if status >= 300 {
                if matches!(status, 429 | 500..) {
                    self.reported.not_taken(now, PATIENCE);
                }
                return vec![Act::Note(format!("the twin was not updated: {status}"))];
            }
        }
        Vec::new()
    }

    fn known(&mut self, properties: &Properties) -> Vec<Act> {
        self.phase = Phase::Known(version(&properties.desired).unwrap_or(0));
        self.desired.answered_before(&properties.reported);
        self.desired.document(&properties.desired, Some(&properties.reported), |_, _| None, How::State)
    }

    /// "Receiving desired properties update notifications".
    fn changed(&mut self, payload: &[u8]) -> Vec<Act> {
        let Phase::Known(known) = self.phase else { return Vec::new() };
        let Ok(desired) = serde_json::from_slice::<Map<String, Value>>(payload) else {
            return vec![not_understood()];
        };
        match version(&desired) {
            Some(version) if version > known => self.phase = Phase::Known(version),
            _ => return Vec::new(),
        }
        self.desired.document(&desired, None, |_, _| None, How::Event)
    }

    /// "Respond to a direct method".
    fn called(&mut self, rest: &str, payload: &[u8]) -> Vec<Act> {
        let (name, query) = rest.split_once('/').unwrap_or((rest, ""));
        let number = parameter(query, "$rid").filter(|number| good_number(number));
        let Some(number) = number else { return vec![not_understood()] };
        let parameters = match payload.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice(payload),
        };
        let refused = match parameters {
            Ok(parameters) => match self.calls.begin(number, name, parameters) {
                Ok(act) => return vec![act],
                Err(refused) => refused,
            },
            Err(error) => Outcome { rc: 400, message: format!("not JSON: {error}"), data: None },
        };
        vec![Act::Say(respond(number, &refused))]
    }
}

fn say(topic: String, payload: Vec<u8>) -> Say {
    Say { topic, payload, qos: Qos::AtLeastOnce, retain: false }
}

fn respond(number: &str, outcome: &Outcome) -> Say {
    let topic = format!("$iothub/methods/res/{}/?$rid={number}", outcome.rc);
    say(topic, answer(outcome).to_string().into_bytes())
}

fn not_understood() -> Act {
    Act::Note("a message of the hub was not understood".to_owned())
}

/// What becomes part of a topic of ours again.
fn good_number(number: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && !"+#/&?".contains(c);
    (1..=LONGEST_NUMBER).contains(&number.len()) && number.chars().all(good)
}

/// A parameter behind the `?` at the end of a topic.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let parts = query.strip_prefix('?')?.split('&');
    parts.filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn version(desired: &Map<String, Value>) -> Option<i64> {
    desired.get("$version")?.as_i64()
}

/// "Tags and properties format": keys have no control characters, no `.`, `$` and space.
fn key(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || ".$ ".contains(c) { '_' } else { c }).collect()
}

impl Dialogue for Twin {
    fn filters(&self) -> Vec<String> {
        [METHODS, ANSWERS, CHANGES].map(|topics| format!("{topics}#")).to_vec()
    }

    /// None: the hub keeps nothing, and knows itself whether a device is there. What is heard from now on until the twin
    /// is asked for is old.
    fn will(&mut self) -> Option<Say> {
        self.phase = Phase::Away;
        None
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.start.get_or_insert(now.wall.0);
        self.calls.forget();
        self.reporting.clear();
        let whole = self.reported.whole(now);
        let mut acts = self.report(whole);
        acts.push(self.get(now));
        acts
    }

    fn heard(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        let Heard { topic, payload, .. } = message;
        if let Some(rest) = topic.strip_prefix(ANSWERS) {
            self.answered(rest, payload, now)
        } else if topic.starts_with(CHANGES) {
            self.changed(payload)
        } else if let Some(rest) = topic.strip_prefix(METHODS) {
            self.called(rest, payload)
        } else {
            Vec::new()
        }
    }

    fn done(&mut self, tag: u64, outcome: &Outcome, _: Moment) -> Vec<Act> {
        if let Some(number) = self.calls.done(tag) {
            return vec![Act::Say(respond(&number, outcome))];
        }
        let Some(done) = self.desired.done(tag, outcome) else { return Vec::new() };
        let level = done.level.as_ref().map(|(quantity, value)| (quantity.as_str(), value.clone()));
        let news = self.reported.answered(&done.output, level, done.ack);
        vec![Act::Say(self.patch(news))]
    }

    fn due(&self) -> Option<i64> {
        let ask = match &self.phase {
            Phase::Asked(_, again) => Some(*again),
            _ => None,
        };
        [ask, self.reported.due()].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Moment) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.reported.due().is_some_and(|due| due <= now.since_boot) {
            let changes = self.reported.changes(now);
            acts.extend(self.report(changes));
        }
        if matches!(&self.phase, Phase::Asked(_, again) if *again <= now.since_boot) {
            acts.push(self.get(now));
        }
        acts
    }

    fn seal(&mut self, _: &str, _: &mut Vec<u8>, _: Moment) -> Vec<Say> {
        self.reported.touch();
        Vec::new()
    }

    fn leaving(&mut self, now: Moment) -> Vec<Say> {
        let changes = self.reported.changes(now);
        if changes.is_empty() { Vec::new() } else { vec![self.patch(changes)] }
    }
}

#[cfg(test)]
mod tests;
