//! The dialogue: what comes in is commands or device management; what is carried out is known by its tag.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commands;
use super::managed::{self, Management};
use super::options::Managed;
use crate::platform::{About, Act, Dialogue, Heard, Order, Outcome, Say, Wish};
use crate::reading::{Moment, Qos};

/// Orders under way, at most.
const ORDERS: usize = 100;

/// See the module.
pub(super) struct Talk {
    commands: bool,
    management: Option<Management>,
    /// By tag.
    orders: BTreeMap<u64, Under>,
    next: u64,
}

/// What an order is for.
enum Under {
    Command(commands::Asked),
    Action(managed::Asked),
}

impl Talk {
    pub(super) fn new(about: &Arc<About>, commands: bool, managed: Option<Arc<Managed>>) -> Self {
        let management = managed.map(|options| Management::new(options, about));
        Self { commands, management, orders: BTreeMap::new(), next: 1 }
    }

    fn command(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        match commands::read(message, now) {
            Ok((asked, command)) => {
                let id = asked.id();
                self.order(Under::Command(asked), id, Wish::Command(command), now)
            }
            Err(refused) => refused.acts(now),
        }
    }

    /// Hands an order over, unless too many are under way.
    fn order(&mut self, under: Under, id: Option<String>, wish: Wish, now: Moment) -> Vec<Act> {
        if self.orders.len() >= ORDERS {
            let busy = Outcome { rc: 503, message: "too many requests are under way".to_owned(), data: None };
            return self.finished(under, &busy, now);
        }
        let tag = self.next;
        self.next += 1;
        self.orders.insert(tag, under);
        vec![Act::Do(Order { tag, id, wish })]
    }

    fn finished(&mut self, under: Under, outcome: &Outcome, now: Moment) -> Vec<Act> {
        match under {
            Under::Command(asked) => vec![asked.answer(outcome, now)],
            Under::Action(asked) => {
                self.management.as_mut().map_or_else(Vec::new, |managed| managed.acted(&asked, outcome, now))
            }
        }
    }
}

impl Dialogue for Talk {
    fn filters(&self) -> Vec<String> {
        // A device may subscribe to nothing but its own, and these are.
        let commands = self.commands.then(|| commands::FILTER.to_owned());
        let managed = self.management.as_ref().map(|_| managed::FILTER.to_owned());
        commands.into_iter().chain(managed).collect()
    }

    fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.management.as_mut().map_or_else(Vec::new, |managed| managed.connected(now))
    }

    fn heard(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        if message.topic.starts_with("iot-2/cmd/") && self.commands {
            return self.command(message, now);
        }
        match &mut self.management {
            Some(managed) if message.topic.starts_with("iotdm-1/") => managed.heard(message, now),
            // Left in the session by an earlier configuration that subscribed to it.
            _ => vec![Act::Note("something came that was not asked for, and was refused".to_owned())],
        }
    }

    fn done(&mut self, tag: u64, outcome: &Outcome, now: Moment) -> Vec<Act> {
        match self.orders.remove(&tag) {
            Some(under) => self.finished(under, outcome, now),
            None => Vec::new(),
        }
    }

    fn due(&self) -> Option<i64> {
        self.management.as_ref()?.due()
    }

    fn tick(&mut self, now: Moment) -> Vec<Act> {
        let Some(managed) = &mut self.management else { return Vec::new() };
        let mut acts = managed.tick(now);
        if let Some((asked, program)) = managed.wanted(now) {
            let id = asked.id();
            acts.extend(self.order(Under::Action(asked), id, Wish::Run(program), now));
        }
        acts
    }

    fn seal(&mut self, _: &str, payload: &mut Vec<u8>, _: Moment) -> Vec<Say> {
        if let Some(managed) = &mut self.management {
            managed.saw(payload);
        }
        Vec::new()
    }

    fn leaving(&mut self, now: Moment) -> Vec<Say> {
        self.management.as_mut().and_then(|managed| managed.leaving(now)).into_iter().collect()
    }
}

/// A message as all of this dialogue are: at QoS 1, because at 2 management has no place, and never retained.
pub(super) fn say(topic: &str, payload: &serde_json::Value) -> Say {
    let payload = payload.to_string().into_bytes();
    Say { topic: topic.to_owned(), payload, qos: Qos::AtLeastOnce, retain: false }
}
