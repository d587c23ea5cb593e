//! A platform's dialogue on the publisher's connection, as far as it outlives one: what is waiting to be said, what was
//! ordered and is not done. The steps on a connection are in `session/talk.rs`.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use tokio::sync::mpsc;

use crate::platform::{Act, Dialogue, Order, Outcome, Say};
use crate::reading::{Moment, Qos};

/// Most that waits to be said: whoever makes us say more than the broker takes is not heard any more.
const MOST: usize = 20_000;

/// A dialogue, and who carries out what it orders.
pub struct Conversation {
    /// The platform's.
    pub dialogue: Box<dyn Dialogue>,
    /// Takes an order without waiting, or gives it back when too many are under way.
    pub orders: Box<dyn Fn(Order) -> Result<(), Order> + Send>,
    /// What came of the orders, by their tags.
    pub outcomes: mpsc::Receiver<(u64, Outcome)>,
    /// Is told whether the platform can be heard. Must not block.
    pub link: Box<dyn Fn(bool) + Send>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}

/// How far the dialogue is on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not begun.
    New,
    /// SUBSCRIBE packets whose SUBACK has not come.
    Subscribing(Vec<u16>),
    /// Under way.
    Talking,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Talk {
    with: Conversation,
    pub(super) stage: Stage,
    says: VecDeque<Say>,
    /// Messages of this connection that are acknowledged when what they ordered is done, by tag.
    unacknowledged: HashMap<u64, (u16, Qos)>,
    notes: Vec<String>,
    /// It wants another connection.
    renew: bool,
}

impl Talk {
    pub(super) fn new(with: Conversation) -> Self {
        Self {
            with,
            stage: Stage::New,
            says: VecDeque::new(),
            unacknowledged: HashMap::new(),
            notes: Vec::new(),
            renew: false,
        }
    }

    /// For a new connection. Packet ids of the last one mean nothing on it, and what was to be said will be said anew.
    pub(super) fn restart(&mut self) {
        self.stage = Stage::New;
        self.says.clear();
        self.unacknowledged.clear();
        self.renew = false;
    }

    /// Whether readings wait for it.
    pub(super) fn holds(&self) -> bool {
        self.with.dialogue.holds()
    }

    /// Whether it wants another connection.
    pub(super) fn wants_renewal(&self) -> bool {
        self.renew
    }

    /// The platform can be heard, or not any more.
    pub(super) fn link(&self, up: bool) {
        (self.with.link)(up);
    }

    pub(super) fn dialogue(&mut self) -> &mut dyn Dialogue {
        &mut *self.with.dialogue
    }

    pub(super) fn due(&self) -> Option<i64> {
        self.with.dialogue.due().filter(|_| self.stage == Stage::Talking)
    }

    /// The next to be said.
    pub(super) fn next(&self) -> Option<&Say> {
        self.says.front()
    }

    pub(super) fn said(&mut self) -> Option<Say> {
        self.says.pop_front()
    }

    /// What it wants noted since the last call.
    pub(super) fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The next outcome; for ever when nobody carries anything out any more.
    pub(super) async fn outcome(&mut self) -> (u64, Outcome) {
        match self.with.outcomes.recv().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    /// Does what the dialogue wants; `message` is what it heard, if that is why. Answers whether the message can be
    /// acknowledged at once.
    pub(super) fn act(&mut self, acts: Vec<Act>, message: Option<(u16, Qos)>, now: Moment) -> bool {
        let mut todo: VecDeque<Act> = acts.into();
        let mut ordered = None;
        while let Some(act) = todo.pop_front() {
            match act {
                Act::Say(_) if self.says.len() >= MOST => {
                    self.notes.push("there is more to say to the platform than the broker takes".to_owned());
                    break;
                }
                Act::Say(say) => self.says.push_back(say),
                Act::Note(text) => self.notes.push(text),
                Act::Renew => self.renew = true,
                Act::Do(order) => {
                    let tag = order.tag;
                    match (self.with.orders)(order) {
                        Ok(()) => ordered = Some(tag),
                        Err(order) => {
                            let message = "too many commands are under way".to_owned();
                            let busy = Outcome { rc: 503, message, data: None };
                            todo.extend(self.with.dialogue.done(order.tag, &busy, now));
                        }
                    }
                }
            }
        }
        match (ordered, message) {
            (Some(tag), Some(message)) => {
                self.unacknowledged.insert(tag, message);
                false
            }
            _ => true,
        }
    }

    /// An order is done; answers the message that can now be acknowledged.
    pub(super) fn done(&mut self, tag: u64, outcome: &Outcome, now: Moment) -> Option<(u16, Qos)> {
        let acts = self.with.dialogue.done(tag, outcome, now);
        self.act(acts, None, now);
        self.unacknowledged.remove(&tag)
    }
}
