//! Commands that a platform calls by name with parameters and waits for: from the call to our own command, and back to
//! whoever called. Knows no platform and no topic.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Act, Order, Outcome, Wish};

/// Most calls under way: who calls more is told to wait.
const MOST: usize = 20;

/// Calls under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The platform's number of each, by our tag.
    under_way: HashMap<u64, String>,
    next: u64,
}

impl Calls {
    /// On a new connection nobody waits any more for what was called on the last.
    pub(super) fn forget(&mut self) {
        self.under_way.clear();
    }

    /// Begins what is called: `action`, with the other keys of our commands (docs/commands.md) in `parameters`; `output`
    /// or `sensor` may stand in the name, `set:fan`, and `value` alone for itself.
    ///
    /// # Errors
    /// The answer, at once.
    pub(super) fn begin(&mut self, number: &str, name: &str, parameters: Value) -> Result<Act, Outcome> {
        let refused = |rc, why: &str| Err(Outcome { rc, message: why.to_owned(), data: None });
        if self.under_way.len() >= MOST {
            return refused(503, "too many calls are under way");
        }
        let Some(command) = command(name, parameters) else {
            return refused(
                400,
                "the parameters are an object such as {\"output\": \"fan\", \"value\": true}",
            );
        };
        let tag = self.next;
        self.next = (self.next + 1) % (1 << 32);
        self.under_way.insert(tag, number.to_owned());
        Ok(Act::Do(Order { tag, id: None, wish: Wish::Command(command) }))
    }

    /// The platform's number of the call that is done.
    pub(super) fn done(&mut self, tag: u64) -> Option<String> {
        self.under_way.remove(&tag)
    }
}

fn command(name: &str, parameters: Value) -> Option<Map<String, Value>> {
    let (action, subject) = match name.split_once(':') {
        Some((action, subject)) => (action, Some(subject)),
        None => (name, None),
    };
    let mut command = match parameters {
        Value::Object(parameters) => parameters,
        Value::Null => Map::new(),
        value if action == "set" && subject.is_some() => Map::from_iter([("value".to_owned(), value)]),
        _ => return None,
    };
    command.insert("action".to_owned(), json!(action));
    if let Some(subject) = subject {
        command.insert(if action == "set" { "output" } else { "sensor" }.to_owned(), json!(subject));
    }
    Some(command)
}

/// An outcome as the body of an answer.
pub(super) fn answer(outcome: &Outcome) -> Value {
    let mut answer = json!({"rc": outcome.rc, "message": outcome.message});
    if let Some(data) = &outcome.data {
        answer["data"] = data.clone();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_command_of_ours() {
        for (name, parameters, expected) in [
            ("status", Value::Null, Some(json!({"action": "status"}))),
            (
                "set",
                json!({"output": "fan", "value": true, "for": "10m"}),
                Some(json!({"action": "set", "output": "fan", "value": true, "for": "10m"})),
            ),
            ("set:fan", json!(true), Some(json!({"action": "set", "output": "fan", "value": true}))),
            ("set:vent", json!({"value": 40}), Some(json!({"action": "set", "output": "vent", "value": 40}))),
            ("read:air", json!({}), Some(json!({"action": "read", "sensor": "air"}))),
            // What is in a call cannot say that it is another one.
            (
                "read:air",
                json!({"action": "set", "sensor": "x"}),
                Some(json!({"action": "read", "sensor": "air"})),
            ),
            ("set", json!(true), None),
            ("read:air", json!([1]), None),
        ] {
            assert_eq!(command(name, parameters.clone()).map(Value::Object), expected, "{name} {parameters}");
        }
    }

    #[test]
    fn answers_find_their_caller_and_calls_are_bounded() {
        let mut calls = Calls::default();
        let tags: Vec<u64> = (0..MOST)
            .map(|n| match calls.begin(&format!("r{n}"), "status", Value::Null) {
                Ok(Act::Do(order)) => order.tag,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(calls.begin("more", "status", Value::Null).unwrap_err().rc, 503);
        assert_eq!(calls.done(tags[3]).as_deref(), Some("r3"));
        assert_eq!(calls.done(tags[3]), None);
        assert!(calls.begin("more", "status", Value::Null).is_ok());
        calls.forget();
        assert_eq!(calls.done(tags[4]), None);
    }
}
