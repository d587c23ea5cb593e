//! What is said to Home Assistant beside readings: announcements, and values again for one that came later; and what is
//! done about its commands and about announcements of ours that are out of date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Settings;
use super::announce::{self, ORIGIN};
use super::control::{self, Control};
use super::entity::{self, Entity, Passing};
use super::last::{Last, Message};
use crate::platform::{About, Act, Dialogue, Heard, Order, Outcome, Say, Wish};
use crate::reading::{Moment, Qos, SensorId};

/// Home Assistant subscribes to the topics of an entity some time after it has heard of it; values are said again after
/// this, µs ("the state topics will need an update").
const SETTLE: i64 = 5_000_000;

/// Announcements are not repeated more often than this, µs, whoever says that he is born.
const PAUSE: i64 = 10_000_000;

/// Not all devices at once ("to avoid high IO loads … a random delay may be applied"), µs.
const SPREAD: i64 = 1_000_000;

/// Commands under way at most.
const UNDER_WAY: usize = 64;

/// Longest announcement that is read, bytes; ours have less than 2,000.
const LONGEST: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct Voice {
    settings: Arc<Settings>,
    about: Arc<About>,
    /// Discovery topics of what there is.
    ours: BTreeSet<String>,
    /// Command topics.
    controls: BTreeMap<String, Control>,
    /// Topics of readings that do not stay on the broker, with what went out last.
    passing: BTreeMap<String, Last>,
    /// What is set, as far as it is not among the readings: state topics and what is said there.
    set: BTreeMap<String, String>,
    /// Intervals that were set, by sensor.
    intervals: BTreeMap<SensorId, Duration>,
    /// Orders under way.
    orders: BTreeMap<u64, Control>,
    /// What an order will have set.
    wanted: BTreeMap<u64, (String, String)>,
    tag: u64,
    announced: i64,
    announce_at: Option<i64>,
    again_at: Option<i64>,
}

impl Voice {
    pub(super) fn new(settings: Arc<Settings>, about: Arc<About>) -> Self {
        let ordered = |id: &SensorId| Some((id.clone(), (about.ordered)(id).0?));
        let intervals: BTreeMap<_, _> =
            about.sensors.iter().filter_map(|sensor| ordered(&sensor.id)).collect();
        let (entities, _) = entity::all(&settings, &about, &intervals);
        let mut controls = BTreeMap::new();
        let mut set = BTreeMap::new();
        for entity in &entities {
            let Some(control) = &entity.control else { continue };
            controls.insert(settings.topic(entity.component, &entity.object, "set"), control.clone());
            if let Some(state) = control::first_state(control, &about) {
                set.insert(settings.topic(entity.component, &entity.object, "state"), state);
            }
        }
        let topic = |entity: &Entity| settings.topic(entity.component, &entity.object, "config");
        Self {
            ours: entities.iter().map(topic).collect(),
            passing: entities
                .into_iter()
                .filter_map(|entity| entity.passing)
                .map(|passing| (passing.topic, Last { sampled: passing.sampled, messages: Vec::new() }))
                .collect(),
            settings,
            about,
            controls,
            set,
            intervals,
            orders: BTreeMap::new(),
            wanted: BTreeMap::new(),
            tag: 0,
            announced: i64::MIN,
            announce_at: None,
            again_at: None,
        }
    }

    fn announce(&mut self, now: i64) -> Vec<Act> {
        self.announced = now;
        self.announce_at = None;
        self.again_at = Some(now + SETTLE);
        let (announcements, notes) = self.announcements();
        notes.into_iter().map(Act::Note).chain(announcements.into_iter().map(announcement)).collect()
    }

    /// Topics and payloads of all announcements, and what cannot be announced.
    fn announcements(&self) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
        let (entities, notes) = entity::all(&self.settings, &self.about, &self.intervals);
        let says = entities.iter().map(|entity| self.settings.announcement(entity, &self.about));
        (says.collect(), notes)
    }

    /// A sensor is read at another interval: how long its values are good is another time, too.
    fn interval_set(&mut self, sensor: &SensorId, interval: Duration) -> Vec<Act> {
        let (before, _) = self.announcements();
        self.intervals.insert(sensor.clone(), interval);
        let (now, _) = self.announcements();
        now.into_iter().filter(|(topic, now)| before.get(topic) != Some(now)).map(announcement).collect()
    }

    /// What is not retained, once more, but for what has expired. Messages of readings are as they were, `id` included.
    fn again(&mut self, now: i64) -> Vec<Act> {
        self.again_at = None;
        let lives = self.lives();
        let of_topic = |(topic, last): (&String, &Last)| -> Vec<Act> {
            let messages = last.messages.iter().filter(|message| is_good(&lives, topic, message, now));
            messages.map(|message| value(topic, message.payload.clone())).collect()
        };
        let readings = self.passing.iter().flat_map(of_topic);
        readings.chain(self.set.iter().map(|(topic, text)| value(topic, text.clone().into_bytes()))).collect()
    }

    /// How long the values of each quantity on a topic are good.
    fn lives(&self) -> Lives {
        let mut lives = Lives::new();
        for entity in entity::all(&self.settings, &self.about, &self.intervals).0 {
            let life = entity.life();
            if let Some(Passing { topic, quantity, .. }) = entity.passing {
                lives.entry(topic).or_default().push((quantity, life));
            }
        }
        lives
    }

    /// An announcement under our node id that is not among ours. What an earlier configuration left behind is taken back.
    fn stray(&self, topic: &str, payload: &[u8], retained: bool) -> Option<Act> {
        if payload.is_empty() || self.ours.contains(topic) {
            return None;
        }
        // Only what we said ourselves; and not what is said at this moment, which would come again and again.
        if retained && self.is_mine(payload) {
            let say =
                Say { topic: topic.to_owned(), payload: Vec::new(), qos: Qos::AtLeastOnce, retain: true };
            return Some(Act::Say(say));
        }
        let node = &self.settings.node;
        Some(Act::Note(format!(
            "somebody else announces to Home Assistant under the node id {node:?}; give each its own `node_id`"
        )))
    }

    fn is_mine(&self, payload: &[u8]) -> bool {
        if payload.len() > LONGEST {
            return false;
        }
        let Ok(said) = serde_json::from_slice::<Value>(payload) else { return false };
        said["origin"]["name"] == ORIGIN && said["device"]["identifiers"][0] == self.settings.identifier()
    }

    fn commanded(&mut self, topic: &str, control: &Control, message: Heard<'_>) -> Act {
        if message.retained {
            return Act::Note(format!("{topic}: a retained command is not carried out"));
        }
        if self.orders.len() >= UNDER_WAY {
            return Act::Note(format!("{topic}: too many commands of Home Assistant are under way"));
        }
        match control::command(control, message.payload) {
            Err(why) => Act::Note(format!("{topic}: {why}")),
            Ok(command) => {
                self.tag += 1;
                if let Some(state) = control::state_after(control, message.payload) {
                    let topic = format!("{}/state", topic.trim_end_matches("/set"));
                    self.wanted.insert(self.tag, (topic, state));
                }
                self.orders.insert(self.tag, control.clone());
                Act::Do(Order { tag: self.tag, id: None, wish: Wish::Command(command) })
            }
        }
    }
}

/// By topic: quantities, and how long their values are good, µs; `None` when nobody knows.
type Lives = BTreeMap<String, Vec<(String, Option<i64>)>>;

/// Whether one of the values in a message has not expired.
fn is_good(lives: &Lives, topic: &str, message: &Message, now: i64) -> bool {
    let known = lives.get(topic).map(Vec::as_slice).unwrap_or_default();
    let holds = |life: Option<i64>| life.is_none_or(|life| message.at.saturating_add(life) > now);
    if message.quantities.is_empty() {
        return known.is_empty() || known.iter().any(|(_, life)| holds(*life));
    }
    let life_of = |name: &String| known.iter().find(|(known, _)| known == name).and_then(|(_, life)| *life);
    message.quantities.iter().any(|name| holds(life_of(name)))
}

fn announcement((topic, payload): (String, Vec<u8>)) -> Act {
    Act::Say(Say { topic, payload, qos: Qos::AtLeastOnce, retain: true })
}

fn value(topic: &str, payload: Vec<u8>) -> Act {
    Act::Say(Say { topic: topic.to_owned(), payload, qos: Qos::AtLeastOnce, retain: false })
}

impl Dialogue for Voice {
    fn filters(&self) -> Vec<String> {
        let Settings { prefix, node, birth, .. } = &*self.settings;
        let mut filters = vec![birth.0.clone(), format!("{prefix}/+/{node}/+/config")];
        if !self.controls.is_empty() {
            // "by using one wildcard topic like <discovery_prefix>/+/<node_id>/+/set"
            filters.push(format!("{prefix}/+/{node}/+/set"));
        }
        filters
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.announce(now.since_boot)
    }

    fn heard(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        let Heard { topic, payload, retained } = message;
        let (birth, words) = &self.settings.birth;
        if topic == birth {
            // A retained one is from before: the announcements have just been made.
            if !retained && payload == words.as_bytes() && self.announce_at.is_none() {
                let spread = i64::from(announce::hash(&self.settings.node)) % SPREAD;
                let soonest = self.announced.saturating_add(PAUSE);
                self.announce_at = Some((now.since_boot + spread).max(soonest.min(now.since_boot + PAUSE)));
            }
            return Vec::new();
        }
        if let Some(control) = self.controls.get(topic).cloned() {
            return vec![self.commanded(topic, &control, message)];
        }
        if topic.ends_with("/config") {
            return self.stray(topic, payload, retained).into_iter().collect();
        }
        Vec::new()
    }

    fn done(&mut self, tag: u64, outcome: &Outcome, _: Moment) -> Vec<Act> {
        let wanted = self.wanted.remove(&tag);
        let Some(control) = self.orders.remove(&tag) else { return Vec::new() };
        if outcome.rc != 200 {
            let note =
                Act::Note(format!("Home Assistant's command for {}: {}", control.target(), outcome.message));
            // What it shows meanwhile is what it asked for.
            let truth =
                wanted.and_then(|(topic, _)| Some(value(&topic, self.set.get(&topic)?.clone().into())));
            return std::iter::once(note).chain(truth).collect();
        }
        let Some((topic, state)) = wanted else { return Vec::new() };
        self.set.insert(topic.clone(), state.clone());
        let mut acts = match &control {
            Control::Interval(sensor) => control::interval(&state)
                .map(|interval| self.interval_set(sensor, interval))
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        acts.push(value(&topic, state.into_bytes()));
        acts
    }

    fn due(&self) -> Option<i64> {
        self.announce_at.into_iter().chain(self.again_at).min()
    }

    fn tick(&mut self, now: Moment) -> Vec<Act> {
        let now = now.since_boot;
        if self.announce_at.is_some_and(|due| due <= now) {
            return self.announce(now);
        }
        if self.again_at.is_some_and(|due| due <= now) {
            return self.again(now);
        }
        Vec::new()
    }

    fn seal(&mut self, topic: &str, payload: &mut Vec<u8>, now: Moment) -> Vec<Say> {
        // What is late is no value of now. In a text the quotation marks would have escapes.
        const LATE: &[u8] = b",\"late\":true";
        let late = payload.windows(LATE.len()).any(|bytes| bytes == LATE);
        if let Some(last) = self.passing.get_mut(topic).filter(|_| !late) {
            last.keep(payload, now.since_boot);
        }
        Vec::new()
    }

    /// After a reload of the bridge, what is quiet says nothing by itself.
    fn forgotten(&self) -> Vec<i64> {
        let unknown = |topic: &String| self.passing.get(topic).is_some_and(|last| last.messages.is_empty());
        if !self.passing.keys().any(unknown) {
            return Vec::new();
        }
        let latest = (self.about.latest)().into_iter();
        let wanted =
            latest.filter(|one| one.channel.publish.as_ref().is_some_and(|publish| unknown(&publish.topic)));
        wanted.map(|one| one.row).collect()
    }

    fn recall(&mut self, topic: &str, payload: &[u8]) {
        if let Some(last) = self.passing.get_mut(topic) {
            // Nobody knows how old it is: only what does not expire is said again.
            last.keep(payload, i64::MIN);
        }
    }
}
