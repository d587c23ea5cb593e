//! What a platform's document desires of the outputs, `{output: {on: true}}` or `{output: {level: 40}}`, turned into
//! orders: each desired level is asked for once, when it is new. An output that went to its safe level by itself is thus
//! not switched on again by a document that still says so. Knows no platform and no topic.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::reported::{ACK, plain};
use super::{About, Act, Order, Outcome, Wish};

/// Tags of these orders begin here; a dialogue's own are smaller.
const TAGS: u64 = 1 << 32;

/// Longest name or message of others that is said again, characters.
const LONGEST: usize = 100;

/// Most orders under way.
const MOST: usize = 100;

/// A desired level.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    value: Value,
    /// When it was desired, if the platform says so: what is desired anew is new though it is the same.
    at: Option<i64>,
}

#[derive(Debug)]
struct Output {
    id: String,
    key: String,
    quantity: String,
    digital: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Desired {
    outputs: Vec<Output>,
    /// After a start, what was asked for before it is asked for again.
    restore: bool,
    /// By the output's key.
    last: HashMap<String, Wanted>,
    under_way: HashMap<u64, (usize, Wanted)>,
    next: u64,
}

/// How a level comes to be desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The document says so, maybe as before.
    State,
    /// Somebody has just said so.
    Event,
}

/// What came of a desired level.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Done {
    /// The output's key.
    pub(super) output: String,
    /// The quantity of its level, and its level now if that is known.
    pub(super) level: Option<(String, Value)>,
    /// To be reported under [`ACK`].
    pub(super) ack: Value,
}

impl Desired {
    pub(super) fn new(about: &About, key: fn(&str) -> String, restore: bool) -> Self {
        let outputs = about.outputs.iter().map(|output| Output {
            id: output.id.to_string(),
            key: key(output.id.as_str()),
            quantity: output.level.quantity.to_string(),
            digital: output.percent.is_none(),
        });
        Self {
            outputs: outputs.collect(),
            restore,
            last: HashMap::new(),
            under_way: HashMap::new(),
            next: TAGS,
        }
    }

    /// Keys and quantities of the outputs.
    pub(super) fn levels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.outputs.iter().map(|output| (output.key.as_str(), output.quantity.as_str()))
    }

    /// What the platform has kept of our answers before this start: it is not asked for again, unless that is wanted.
    pub(super) fn answered_before(&mut self, reported: &Map<String, Value>) {
        for output in &self.outputs {
            let ack = reported.get(&output.key).and_then(|values| values.get(ACK));
            let Some(value) = ack.and_then(|ack| ack.get("value")) else { continue };
            let at = ack.and_then(|ack| ack.get("at")).and_then(Value::as_i64);
            if !self.restore && !self.last.contains_key(&output.key) {
                self.last.insert(output.key.clone(), Wanted { value: value.clone(), at });
            }
        }
    }

    /// What is to be done about a document, or the part of it that has changed. `at` says when a level was desired;
    /// what `reported` has already needs nothing to be done. It comes with the whole document, in which what is missing
    /// is desired no more.
    pub(super) fn document(
        &mut self,
        document: &Map<String, Value>,
        reported: Option<&Map<String, Value>>,
        at: impl Fn(&str, &str) -> Option<i64>,
        how: How,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut is_told = false;
        for (key, values) in document.iter().filter(|(key, _)| !key.starts_with('$')) {
            let Some(index) = self.outputs.iter().position(|output| output.key == *key) else {
                // One is enough to tell: there can be thousands.
                if !is_told {
                    acts.push(not_understood(&format!("{} is no output of ours", quoted(key))));
                    is_told = true;
                }
                continue;
            };
            match self.level(index, values) {
                Ok(None) => {
                    self.last.remove(key);
                }
                Ok(Some(value)) => {
                    let quantity = &self.outputs[index].quantity;
                    let is = reported.and_then(|reported| reported.get(key)?.get(quantity));
                    let wanted = Wanted { value: value.clone(), at: at(key, quantity) };
                    // What the last run reported last may be older than the safe level since.
                    let unsure = self.restore && !self.last.contains_key(key);
                    if is.is_some_and(|is| same(is, &value)) && !unsure {
                        self.last.insert(key.clone(), wanted);
                    } else if how == How::Event || self.last.get(key) != Some(&wanted) {
                        acts.push(self.order(index, wanted));
                    }
                }
                Err(why) => acts.push(not_understood(&why)),
            }
        }
        if reported.is_some() {
            self.last.retain(|key, _| document.contains_key(key));
        }
        acts
    }

    /// The level that an output's part of the document asks for; `None`: none any more.
    fn level(&self, index: usize, values: &Value) -> Result<Option<Value>, String> {
        let Output { key, quantity, digital, .. } = &self.outputs[index];
        let example = if *digital { "true" } else { "40" };
        let wrong = || format!("of {}, only {{\"{quantity}\": {example}}} can be desired", quoted(key));
        let value = match values {
            Value::Null => return Ok(None),
            Value::Object(values) if values.keys().all(|key| key == quantity) => values.get(quantity),
            _ => return Err(wrong()),
        };
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(value @ Value::Bool(_)) if *digital => Ok(Some(value.clone())),
            Some(value @ Value::Number(_)) if !*digital => Ok(Some(value.clone())),
            Some(_) => Err(wrong()),
        }
    }

    fn order(&mut self, index: usize, wanted: Wanted) -> Act {
        let Output { id, key, .. } = &self.outputs[index];
        if self.under_way.len() >= MOST {
            return Act::Note(format!("more is desired of {} than can be done", quoted(key)));
        }
        let tag = self.next;
        self.next += 1;
        let command = json!({"action": "set", "output": id, "value": wanted.value});
        self.last.insert(key.clone(), wanted.clone());
        self.under_way.insert(tag, (index, wanted));
        let Value::Object(command) = command else { return Act::Note(String::new()) };
        Act::Do(Order { tag, id: None, wish: Wish::Command(command) })
    }

    /// What came of an order, if it is one of these.
    pub(super) fn done(&mut self, tag: u64, outcome: &Outcome) -> Option<Done> {
        let (index, wanted) = self.under_way.remove(&tag)?;
        let Output { key, quantity, .. } = &self.outputs[index];
        let message: String = outcome.message.chars().take(LONGEST).collect();
        let mut ack = json!({"value": wanted.value, "code": outcome.rc, "message": message});
        if let Some(at) = wanted.at {
            ack["at"] = json!(at);
        }
        let level = outcome.data.as_ref().and_then(|data| data.get(quantity));
        let level =
            level.map(|level| (quantity.clone(), level.as_f64().map_or_else(|| level.clone(), plain)));
        Some(Done { output: key.clone(), level, ack })
    }
}

/// The same level, however it is written.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| Some(one) == other.as_f64())
}

fn not_understood(why: &str) -> Act {
    Act::Note(format!("desired: {why}"))
}

fn quoted(name: &str) -> String {
    format!("{:?}", name.chars().take(LONGEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::super::contract::about;
    use super::*;

    fn desired(restore: bool) -> Desired {
        Desired::new(&about(&Rules::default()), str::to_owned, restore)
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// The commands and notes about a document.
    fn acts(desired: &mut Desired, document: Value, at: Option<i64>, how: How) -> Vec<String> {
        let acts = desired.document(&map(document), None, |_, _| at, how);
        let shown = acts.into_iter().map(|act| match act {
            Act::Do(Order { wish: Wish::Command(command), .. }) => {
                format!("{} {}", command["output"].as_str().unwrap(), command["value"])
            }
            Act::Note(note) => note,
            other => format!("{other:?}"),
        });
        shown.collect()
    }

    #[test]
    fn a_level_is_asked_for_once_for_each_time_that_it_is_desired() {
        let mut desired = desired(false);
        let on = json!({"fan": {"on": true}});
        for (at, how, asked) in [
            (Some(1), How::State, true),
            (Some(1), How::State, false),
            (Some(2), How::State, true),
            (Some(2), How::Event, true),
            (None, How::State, true),
            (None, How::State, false),
        ] {
            assert_eq!(acts(&mut desired, on.clone(), at, how).len(), usize::from(asked), "{at:?} {how:?}");
        }
        assert_eq!(acts(&mut desired, json!({"fan": {"on": false}}), None, How::State), ["fan false"]);
        assert_eq!(acts(&mut desired, json!({"vent": {"level": 40.5}}), None, How::State), ["vent 40.5"]);
    }

    #[test]
    fn what_is_no_level_of_an_output_is_said() {
        for (document, words) in [
            (json!({"fan": true}), "of \"fan\", only {\"on\": true}"),
            (json!({"fan": {"on": "yes"}}), "of \"fan\", only"),
            (json!({"fan": {"on": 1}}), "of \"fan\", only"),
            (json!({"fan": {"level": 40}}), "of \"fan\", only"),
            (json!({"vent": {"level": true}}), "of \"vent\", only {\"level\": 40}"),
            (json!({"air": {"temperature": 20}}), "\"air\" is no output of ours"),
        ] {
            let said = acts(&mut desired(false), document.clone(), None, How::State);
            assert!(said.len() == 1 && said[0].contains(words), "{document}: {said:?}");
        }
        let many: Map<String, Value> = (0..5_000).map(|n| (format!("x{n}"), json!({}))).collect();
        assert_eq!(acts(&mut desired(false), Value::Object(many), None, How::State).len(), 1);
        let among_others = json!({"a": 1, "b": {"on": true}, "fan": {"on": true}, "z": null});
        let said = acts(&mut desired(false), among_others, None, How::State);
        assert_eq!(said, ["desired: \"a\" is no output of ours", "fan true"]);
        for nothing in
            [json!({"fan": null}), json!({"fan": {}}), json!({"fan": {"on": null}}), json!({"$version": 7})]
        {
            assert!(acts(&mut desired(false), nothing.clone(), None, How::State).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn what_is_as_desired_needs_nothing_and_is_remembered() {
        let mut desired = desired(false);
        let (on, off) = (map(json!({"fan": {"on": true}})), map(json!({"fan": {"on": false}})));
        assert!(desired.document(&on, Some(&on), |_, _| None, How::State).is_empty());
        assert!(
            desired.document(&on, Some(&off), |_, _| None, How::State).is_empty(),
            "made safe since then"
        );
        assert_eq!(desired.document(&off, Some(&on), |_, _| None, How::State).len(), 1);
        let (whole, float) = (map(json!({"vent": {"level": 40}})), map(json!({"vent": {"level": 40.0}})));
        assert!(desired.document(&whole, Some(&float), |_, _| None, How::State).is_empty());
        let mut restoring = self::desired(true);
        assert_eq!(
            restoring.document(&on, Some(&on), |_, _| None, How::State).len(),
            1,
            "reported by the last run"
        );
        assert!(restoring.document(&on, Some(&on), |_, _| None, How::State).is_empty());
    }

    /// Taken out of the document while we were away, and desired anew while we were away again.
    #[test]
    fn what_is_desired_no_more_is_forgotten_also_when_only_the_whole_document_says_so() {
        let mut desired = desired(false);
        let (on, off, none) = (json!({"fan": {"on": true}}), map(json!({"fan": {"on": false}})), Map::new());
        let asked = |desired: &mut Desired, document: &Value, reported| {
            desired.document(&map(document.clone()), reported, |_, _| None, How::State).len()
        };
        assert_eq!(asked(&mut desired, &on, Some(&off)), 1);
        assert_eq!(
            asked(&mut desired, &json!({}), None),
            0,
            "a part that has changed says nothing of the rest"
        );
        assert_eq!(asked(&mut desired, &on, Some(&off)), 0);
        assert_eq!(asked(&mut desired, &json!({}), Some(&none)), 0);
        assert_eq!(asked(&mut desired, &on, Some(&off)), 1, "desired anew");
    }

    #[test]
    fn after_a_start_only_what_is_new_is_asked_for_unless_wanted() {
        let before = map(json!({"fan": {"on": false, "ack": {"value": true, "code": 200, "at": 5}}}));
        for (restore, at, asked) in [(false, 5, 0), (false, 6, 1), (true, 5, 1)] {
            let mut desired = desired(restore);
            desired.answered_before(&before);
            let said = acts(&mut desired, json!({"fan": {"on": true}}), Some(at), How::State);
            assert_eq!(said.len(), asked, "{restore} {at}");
        }
    }

    #[test]
    fn what_came_of_it_is_answered() {
        let mut desired = desired(false);
        let document = map(json!({"fan": {"on": true}}));
        let asked = desired.document(&document, None, |_, _| Some(5), How::State);
        let [Act::Do(order)] = &asked[..] else { panic!("{asked:?}") };
        let outcome =
            Outcome { rc: 200, message: "fan is on".into(), data: Some(json!({"on": true, "since": "…"})) };
        assert_eq!(desired.done(0, &outcome), None);
        let done = desired.done(order.tag, &outcome).unwrap();
        assert_eq!((done.output.as_str(), &done.level), ("fan", &Some(("on".to_owned(), json!(true)))));
        assert_eq!(done.ack, json!({"value": true, "code": 200, "message": "fan is on", "at": 5}));
        assert_eq!(desired.done(order.tag, &outcome), None);
    }
}
