//! The state of the bridge as a document that a platform keeps, `{sensor: {quantity: value}}`: what of it has been
//! reported, and what has changed since. Knows no platform and no topic.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::About;
use crate::reading::{self, Channel, Moment, STATE, ValueKind};

/// Under this name the bridge speaks of itself; no sensor can have it.
const BRIDGE: &str = reading::BRIDGE;

/// The key beside an output's level that says what came of the last desired one.
pub(super) const ACK: &str = "ack";

/// Longest text in the document, characters: more than the names of states need.
const LONGEST_TEXT: usize = 200;

/// Whole numbers beyond this one are not whole any more to many who read JSON (and some platforms refuse them).
const LARGEST_WHOLE: u64 = 1 << 52;

/// How a platform wants the document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// With every reading, not only the states and the outputs.
    pub(super) readings: bool,
    /// Largest document, bytes of JSON.
    pub(super) most: usize,
    /// Least time between two reports, µs.
    pub(super) interval: i64,
    /// A name as the platform takes it as a key.
    pub(super) key: fn(&str) -> String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reported {
    about: Arc<About>,
    style: Style,
    /// Keys of the outputs.
    outputs: Vec<String>,
    /// As the platform has it, as far as it comes from us.
    said: Map<String, Value>,
    /// What came of what was desired, by the output's key.
    acks: Map<String, Value>,
    changed: bool,
    /// Not before, µs since boot.
    next: i64,
    /// What had no room.
    left_out: usize,
}

impl Reported {
    pub(super) fn new(about: Arc<About>, style: Style) -> Self {
        let outputs = about.outputs.iter().map(|output| (style.key)(output.id.as_str())).collect();
        let (said, acks) = (Map::new(), Map::new());
        Self { about, style, outputs, said, acks, changed: false, next: i64::MIN, left_out: 0 }
    }

    /// Something may have changed.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    /// When [`Reported::changes`] is worth calling, µs since boot.
    pub(super) fn due(&self) -> Option<i64> {
        self.changed.then_some(self.next)
    }

    /// Everything, whatever was reported before.
    pub(super) fn whole(&mut self, now: Moment) -> Map<String, Value> {
        self.said.clear();
        self.changes(now)
    }

    /// What is not as it was reported; empty when all is. Counts as reported.
    pub(super) fn changes(&mut self, now: Moment) -> Map<String, Value> {
        self.changed = false;
        self.next = now.since_boot.saturating_add(self.style.interval);
        let document = self.document();
        let changes = difference(&document, &self.said);
        self.said = document;
        changes
    }

    /// The platform did not take it: everything is reported again, after so many µs.
    pub(super) fn not_taken(&mut self, now: Moment, pause: i64) {
        self.said.clear();
        self.changed = true;
        self.next = now.since_boot.saturating_add(pause);
    }

    /// What came of a desired level, to be reported at once: with the level that the output has now, which as a
    /// reading is still on its way through the log.
    pub(super) fn answered(
        &mut self,
        output: &str,
        level: Option<(&str, Value)>,
        ack: Value,
    ) -> Map<String, Value> {
        self.acks.insert(output.to_owned(), ack.clone());
        let mut news = Map::from_iter([(ACK.to_owned(), ack)]);
        if let Some((quantity, value)) = level {
            news.insert(quantity.to_owned(), value);
        }
        if let Value::Object(said) = self.said.entry(output).or_insert_with(|| json!({})) {
            said.extend(news.clone());
        }
        Map::from_iter([(output.to_owned(), Value::Object(news))])
    }

    /// How many readings the document has no room for.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    fn document(&mut self) -> Map<String, Value> {
        let mut document = Map::from_iter([(BRIDGE.to_owned(), self.bridge())]);
        for reading in (self.about.latest)() {
            if self.wants(&reading.channel) {
                let key = self.style.key;
                let (sensor, quantity) =
                    (key(reading.channel.sensor.as_str()), key(reading.channel.quantity.as_str()));
                put(&mut document, sensor, quantity, json_value(&reading.value));
            }
        }
        for (output, ack) in &self.acks {
            put(&mut document, output.clone(), ACK.to_owned(), ack.clone());
        }
        self.left_out = fit(&mut document, self.style.most, &self.outputs);
        document
    }

    fn wants(&self, channel: &Channel) -> bool {
        let output = || self.about.outputs.iter().any(|output| output.id == channel.sensor);
        channel.kind != ValueKind::Image
            && (self.style.readings || channel.quantity.as_str() == STATE || output())
    }

    fn bridge(&self) -> Value {
        let mut bridge = json!({"version": self.about.version});
        if let Some(place) = &self.about.place {
            let numbers =
                [("latitude", place.latitude), ("longitude", place.longitude), ("altitude", place.altitude)];
            for (key, number) in numbers {
                if let Some(number) = number {
                    bridge[key] = json!(number);
                }
            }
            if let Some(name) = &place.name {
                bridge["place"] = json!(short(name));
            }
        }
        bridge
    }
}

fn put(document: &mut Map<String, Value>, sensor: String, quantity: String, value: Value) {
    if let Value::Object(inner) = document.entry(sensor).or_insert_with(|| json!({})) {
        inner.insert(quantity, value);
    }
}

/// What of `new` is not so in `old`, by sensor and quantity.
fn difference(new: &Map<String, Value>, old: &Map<String, Value>) -> Map<String, Value> {
    let mut changes = Map::new();
    for (sensor, values) in new {
        let Value::Object(values) = values else { continue };
        let said = old.get(sensor);
        let differs = |(key, value): &(&String, &Value)| said.and_then(|said| said.get(*key)) != Some(*value);
        let news: Map<_, _> =
            values.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect();
        if !news.is_empty() {
            changes.insert(sensor.clone(), Value::Object(news));
        }
    }
    changes
}

/// Takes out readings, the last by name first, until the rest fits; answers how many. Outputs only when nothing else is
/// left: without their levels and answers nobody can tell what is still to be done.
fn fit(document: &mut Map<String, Value>, most: usize, outputs: &[String]) -> usize {
    let mut size = Value::Object(document.clone()).to_string().len();
    let mut removed = 0;
    while size > most {
        let last = document.keys().rfind(|key| *key != BRIDGE && !outputs.contains(key));
        let Some(last) = last.or_else(|| document.keys().rfind(|key| *key != BRIDGE)).cloned() else { break };
        if let Some(values) = document.remove(&last) {
            // Quotes, colon and comma of the member.
            size -= values.to_string().len() + last.len() + 4;
            removed += values.as_object().map_or(1, Map::len);
        }
    }
    removed
}

/// A value in the document.
pub(super) fn json_value(value: &reading::Value) -> Value {
    match value {
        reading::Value::Float(number) => plain(*number),
        reading::Value::Integer(number) if number.unsigned_abs() > LARGEST_WHOLE => json!(*number as f64),
        reading::Value::Integer(number) => json!(number),
        reading::Value::Bool(state) => json!(state),
        other => json!(short(&other.to_string())),
    }
}

/// A number without a fraction as a whole one: who desires 40 and is told 40.0 may take that for another level.
pub(super) fn plain(number: f64) -> Value {
    match number.fract() == 0.0 && number.abs() < LARGEST_WHOLE as f64 {
        true => json!(number as i64),
        false => json!(number),
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::super::contract::{about, moment};
    use super::*;

    fn style() -> Style {
        Style { readings: true, most: 7_000, interval: 10_000_000, key: str::to_owned }
    }

    #[test]
    fn first_everything_then_what_has_changed() {
        let mut reported = Reported::new(about(&Rules::default()), style());
        let whole = reported.whole(moment(0));
        assert_eq!(whole["air"]["temperature"], json!(21.4));
        assert_eq!(whole["air"]["count"], json!(i64::MAX as f64), "too large to be whole in JSON");
        assert_eq!(
            whole["bridge"],
            json!({"version": "0.1.0", "place": "Greenhouse 2", "latitude": 47.59, "longitude": 0.91})
        );
        assert_eq!(reported.due(), None, "nothing has happened");
        reported.touch();
        assert_eq!(reported.due(), Some(10_000_000));
        assert_eq!(reported.changes(moment(10_000_000)), Map::new());
        reported.said["air"]["temperature"] = json!(20.0);
        assert_eq!(
            Value::Object(reported.changes(moment(20_000_000))),
            json!({"air": {"temperature": 21.4}})
        );
        reported.not_taken(moment(20_000_000), 30_000_000);
        assert_eq!(reported.due(), Some(50_000_000));
        assert_eq!(reported.changes(moment(50_000_000)), whole);
    }

    #[test]
    fn whole_numbers_are_written_as_such() {
        for (number, text) in [(40.0, "40"), (-0.0, "0"), (40.5, "40.5"), (1e300, "1e+300")] {
            assert_eq!(plain(number).to_string(), text);
        }
    }

    #[test]
    fn without_readings_there_are_states_and_outputs() {
        let mut reported = Reported::new(about(&Rules::default()), Style { readings: false, ..style() });
        let whole = reported.whole(moment(0));
        assert_eq!(whole["air"], json!({"state": "failed: \"i2c-1\"\n0x76, é=1"}));
    }

    #[test]
    fn an_answer_stays_in_the_document() {
        let mut reported = Reported::new(about(&Rules::default()), style());
        reported.whole(moment(0));
        let ack = json!({"value": true, "code": 200});
        let news = reported.answered("fan", Some(("on", json!(true))), ack.clone());
        assert_eq!(Value::Object(news), json!({"fan": {"on": true, "ack": ack}}));
        assert_eq!(reported.changes(moment(1)), Map::new());
        assert_eq!(reported.whole(moment(2))["fan"]["ack"], ack);
    }

    /// What is desired is compared with what is reported of an output, and what was answered is known by it.
    #[test]
    fn readings_are_left_out_before_outputs_whatever_they_are_called() {
        let mut reported = Reported::new(about(&Rules::default()), Style { most: 160, ..style() });
        reported.answered("vent", Some(("level", json!(40))), json!({"value": 40, "code": 200}));
        let whole = reported.whole(moment(0));
        assert!(Value::Object(whole.clone()).to_string().len() <= 160);
        assert_eq!(whole.keys().collect::<Vec<_>>(), ["bridge", "vent"]);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let mut reported = Reported::new(about(&Rules::default()), Style { most: 100, ..style() });
        let whole = reported.whole(moment(0));
        assert!(Value::Object(whole.clone()).to_string().len() <= 100);
        assert_eq!((whole.contains_key("air"), reported.left_out()), (false, 4));
    }
}
