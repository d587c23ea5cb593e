//! Which topic belongs to whom, so that no two things speak on one.

use std::collections::{HashMap, HashSet};

use super::super::model::facts_topic;
use super::super::problem::{KeyPath, Report, quoted};
use crate::reading::{Publish, Shape};

/// Topics taken so far.
#[derive(Default)]
pub(super) struct Topics {
    owners: HashMap<String, Owner>,
    late: Vec<(String, Owner)>,
    /// Clashes already reported, by who and who: one line each is enough.
    reported: HashSet<(String, String)>,
}

/// Who speaks on a topic.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) sensor: String,
    pub(super) quantity: String,
}

impl Owner {
    pub(super) fn new(sensor: &str, quantity: &str) -> Self {
        Self { sensor: sensor.to_owned(), quantity: quantity.to_owned() }
    }

    fn is(&self, other: &Owner) -> bool {
        self.sensor == other.sensor && self.quantity == other.quantity
    }

    fn named(&self) -> String {
        match self.sensor.as_str() {
            "" => "the status message".to_owned(),
            sensor => format!("{sensor}/{}", self.quantity),
        }
    }
}

impl Topics {
    /// Takes the topics of the status message and of the facts.
    pub(super) fn claim_status(&mut self, topic: &str) {
        self.owners.insert(facts_topic(topic), Owner::new("", ""));
        self.owners.insert(topic.to_owned(), Owner::new("", ""));
    }

    /// Takes a channel's topic; reports at `path` when somebody else has it.
    pub(super) fn claim(&mut self, publish: &Publish, owner: Owner, path: &KeyPath, report: &mut Report) {
        if let Some(late) = publish.late_topic.as_ref().filter(|late| **late != publish.topic) {
            self.late.push((late.clone(), owner.clone()));
        }
        let Some(first) = self.owners.get(&publish.topic) else {
            self.owners.insert(publish.topic.clone(), owner);
            return;
        };
        let one_message = publish.shape == Shape::Sample && first.sensor == owner.sensor;
        // Two sensors of one name were reported as such.
        if one_message || first.is(&owner) {
            return;
        }
        let clash = if first.sensor == owner.sensor || first.sensor.is_empty() {
            (first.named(), owner.named())
        } else {
            (first.sensor.clone(), owner.sensor.clone())
        };
        if self.reported.insert(clash) {
            let message = format!(
                "{} would publish on {}, as {} does",
                owner.named(),
                quoted(&publish.topic),
                first.named()
            );
            let hint = match first.sensor == owner.sensor {
                true => "tell them apart with {quantity}",
                false if first.sensor.is_empty() => "choose another topic, or set `mqtt.status_topic`",
                false => "tell them apart with {sensor}",
            };
            report.suggest(path, message, Some(hint.to_owned()));
        }
    }

    /// Late readings may share a topic with each other (their payload names them), not with live ones.
    pub(super) fn check_late(&self, path: &KeyPath, report: &mut Report) {
        let clash = self.late.iter().find_map(|(topic, owner)| {
            let live = self.owners.get(topic).filter(|live| !live.is(owner))?;
            Some((topic, owner, live))
        });
        if let Some((topic, owner, live)) = clash {
            let message = format!(
                "late readings of {} would come on {}, the topic of {}",
                owner.named(),
                quoted(topic),
                live.named()
            );
            report.problem(path, message);
        }
    }
}
