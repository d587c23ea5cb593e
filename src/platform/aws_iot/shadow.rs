//! The device shadow: reported by us, desired by others. A state machine over its topics; the document itself is made in
//! `reported`, what is desired is judged in `desired`.
//!
//! The broker's session may hold deltas from while we were away, in any order. They are passed over: what counts is the
//! shadow as it is when it is asked for on a new connection, and what changes after that.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::desired::{Desired, How};
use super::super::reported::{Reported, Style};
use super::super::{About, Act, Dialogue, Heard, Outcome, Say};
use crate::reading::{Moment, Qos};

/// Least time between two reports unless the configuration says otherwise.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Quota "Maximum size of a JSON state document": 8 KB, of which a part is left for what is desired.
const LARGEST_DOCUMENT: usize = 7 * 1024;

/// When something was not answered or not taken for now, it is tried again after this long, µs. The developer guide
/// warns that messages may come late after a subscription.
const PATIENCE: i64 = 30_000_000;

/// Longest reason of a rejection that is said again, characters.
const LONGEST_REASON: usize = 200;

/// What the configuration says.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The shadow's topics, up to `/update` and so on.
    pub(super) topics: String,
    /// Least time between two reports.
    pub(super) interval: Duration,
    /// Every reading, or states only.
    pub(super) readings: bool,
    /// Ask again after a start for what was asked for before.
    pub(super) restore: bool,
}

/// How far we know the shadow on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no connection, or it is new.
    Away,
    /// It was asked for, and will be again at this time, µs since boot.
    Asked(i64),
    /// As of this version.
    Known(i64),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shadow {
    topics: String,
    reported: Reported,
    desired: Desired,
    phase: Phase,
    /// The client token of the last question. Answers to earlier ones may wait in the session.
    asked: String,
    /// By which our requests are known from those of others: the time of the start.
    start: Option<i64>,
    requests: u64,
}

/// Error response document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rejected {
    code: i64,
    message: String,
    #[serde(rename = "clientToken")]
    client_token: Option<String>,
}

/// Response state document of `/get/accepted`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Accepted {
    state: State,
    metadata: Metadata,
    version: i64,
    #[serde(rename = "clientToken")]
    client_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    desired: Option<Map<String, Value>>,
    reported: Option<Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    desired: Value,
}

/// Response state document of `/update/delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    state: Map<String, Value>,
    metadata: Value,
    version: i64,
}

impl Shadow {
    pub(super) fn new(settings: &Settings, about: Arc<About>) -> Self {
        let style = Style {
            readings: settings.readings,
            most: LARGEST_DOCUMENT,
            interval: i64::try_from(settings.interval.as_micros()).unwrap_or(i64::MAX),
            key: str::to_owned,
        };
        Self {
            topics: settings.topics.clone(),
            desired: Desired::new(&about, style.key, settings.restore),
            reported: Reported::new(about, style),
            phase: Phase::Away,
            asked: String::new(),
            start: None,
            requests: 0,
        }
    }

    fn say(&self, verb: &str, payload: Vec<u8>) -> Say {
        Say { topic: format!("{}/{verb}", self.topics), payload, qos: Qos::AtLeastOnce, retain: false }
    }

    fn get(&mut self, now: Moment) -> Act {
        self.phase = Phase::Asked(now.since_boot.saturating_add(PATIENCE));
        self.asked = self.next_token();
        Act::Say(self.say("get", json!({"clientToken": self.asked}).to_string().into_bytes()))
    }

    /// Whether this is the token of an earlier question, or of somebody else's.
    fn is_of_another(&self, token: Option<&String>) -> bool {
        token.is_some_and(|token| *token != self.asked)
    }

    /// A request state document. Without a version: what we report is so, whatever else has changed meanwhile.
    fn update(&mut self, reported: Map<String, Value>) -> Say {
        let token = self.next_token();
        let document = json!({"state": {"reported": reported}, "clientToken": token});
        self.say("update", document.to_string().into_bytes())
    }

    fn next_token(&mut self) -> String {
        self.requests += 1;
        format!("{}-{}", self.token(), self.requests)
    }

    fn token(&self) -> String {
        format!("sensor-bridge-{:x}", self.start.unwrap_or(0))
    }

    fn report(&mut self, reported: Map<String, Value>) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.reported.left_out() > 0 {
            let why = "the shadow has no room for every reading, and those last by name are left out; \
                       `shadow_content: states` makes it small";
            acts.push(Act::Note(why.to_owned()));
        }
        if !reported.is_empty() {
            acts.push(Act::Say(self.update(reported)));
        }
        acts
    }

    fn known(&mut self, accepted: &Accepted) -> Vec<Act> {
        if self.is_of_another(accepted.client_token.as_ref()) {
            return Vec::new();
        }
        self.phase = Phase::Known(accepted.version);
        let reported = accepted.state.reported.clone().unwrap_or_default();
        self.desired.answered_before(&reported);
        let desired = accepted.state.desired.clone().unwrap_or_default();
        let at = |output: &str, quantity: &str| timestamp(&accepted.metadata.desired, output, quantity);
        self.desired.document(&desired, Some(&reported), at, How::State)
    }

    fn delta(&mut self, delta: &Delta) -> Vec<Act> {
        match self.phase {
            // Versions rise with every update; messages may come in another order.
            Phase::Known(version) if delta.version >= version => self.phase = Phase::Known(delta.version),
            _ => return Vec::new(),
        }
        let at = |output: &str, quantity: &str| timestamp(&delta.metadata, output, quantity);
        self.desired.document(&delta.state, None, at, How::State)
    }

    fn get_rejected(&mut self, rejected: &Rejected, now: Moment) -> Vec<Act> {
        let is_of_another = self.is_of_another(rejected.client_token.as_ref());
        if !matches!(self.phase, Phase::Asked(_)) || is_of_another {
            return Vec::new();
        }
        // There is none yet: our first update makes it.
        if rejected.code == 404 {
            self.phase = Phase::Known(0);
            return Vec::new();
        }
        self.phase = Phase::Asked(now.since_boot.saturating_add(PATIENCE));
        vec![refused("cannot be read", rejected)]
    }

    fn update_rejected(&mut self, rejected: &Rejected, now: Moment) -> Vec<Act> {
        // Others update the shadow as well, and hear of it on the same topic.
        let ours = rejected.client_token.as_ref().is_some_and(|token| token.starts_with(&self.token()));
        if !ours {
            return Vec::new();
        }
        if matches!(rejected.code, 409 | 429 | 500..) {
            self.reported.not_taken(now, PATIENCE);
        }
        vec![refused("was not updated", rejected)]
    }
}

/// When this part of the document was set, seconds since 1970.
fn timestamp(metadata: &Value, output: &str, quantity: &str) -> Option<i64> {
    metadata.get(output)?.get(quantity)?.get("timestamp")?.as_i64()
}

fn refused(what: &str, rejected: &Rejected) -> Act {
    let reason: String = rejected.message.chars().take(LONGEST_REASON).collect();
    Act::Note(format!("the shadow {what}: {} {reason}", rejected.code))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8], then: impl FnOnce(T) -> Vec<Act>) -> Vec<Act> {
    match serde_json::from_slice(payload) {
        Ok(document) => then(document),
        Err(_) => vec![Act::Note("a message about the shadow was not understood".to_owned())],
    }
}

impl Dialogue for Shadow {
    /// One by one: the developer guide warns of wildcards here.
    fn filters(&self) -> Vec<String> {
        ["get/accepted", "get/rejected", "update/delta", "update/rejected"]
            .map(|verb| format!("{}/{verb}", self.topics))
            .to_vec()
    }

    /// Ours stays; but what is heard from now on until the shadow is asked for is old.
    fn will(&mut self) -> Option<Say> {
        self.phase = Phase::Away;
        None
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.start.get_or_insert(now.wall.0);
        let whole = self.reported.whole(now);
        let mut acts = self.report(whole);
        acts.push(self.get(now));
        acts
    }

    fn heard(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        let verb = message.topic.strip_prefix(&self.topics).and_then(|rest| rest.strip_prefix('/'));
        match verb {
            Some("get/accepted") if matches!(self.phase, Phase::Asked(_)) => {
                read(message.payload, |accepted| self.known(&accepted))
            }
            Some("get/rejected") => read(message.payload, |rejected| self.get_rejected(&rejected, now)),
            Some("update/delta") => read(message.payload, |delta| self.delta(&delta)),
            Some("update/rejected") => read(message.payload, |rejected| self.update_rejected(&rejected, now)),
            _ => Vec::new(),
        }
    }

    fn done(&mut self, tag: u64, outcome: &Outcome, _: Moment) -> Vec<Act> {
        let Some(done) = self.desired.done(tag, outcome) else { return Vec::new() };
        let level = done.level.as_ref().map(|(quantity, value)| (quantity.as_str(), value.clone()));
        let news = self.reported.answered(&done.output, level, done.ack);
        vec![Act::Say(self.update(news))]
    }

    fn due(&self) -> Option<i64> {
        let ask = match self.phase {
            Phase::Asked(again) => Some(again),
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
        if let Phase::Asked(again) = self.phase
            && again <= now.since_boot
        {
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
        if changes.is_empty() { Vec::new() } else { vec![self.update(changes)] }
    }
}

#[cfg(test)]
mod tests;
