//! The last things that happened, in memory: changes of state and warnings. Bounded; nothing is written anywhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use super::{State, lock};

/// So many are kept.
pub const EVENTS: usize = 64;

/// Something that happened to one part.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, by the monotonic clock: the wall clock may be put right afterwards.
    pub at: Instant,
    /// Name of the part.
    pub part: Arc<str>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The part is in another state.
    State(State),
    /// Something that does not change its state and should be known.
    Warning(String),
    /// Something was done as it should be.
    Done(String),
}

impl Event {
    /// Whether somebody should look at it.
    pub fn is_warning(&self) -> bool {
        matches!(self.what, What::Warning(_) | What::State(State::Degraded(_) | State::Failed(_)))
    }
}

/// The last [`EVENTS`] of them, and how many warnings there ever were.
#[derive(Debug, Default)]
pub(super) struct Events {
    ring: Mutex<(VecDeque<Event>, u64)>,
}

impl Events {
    pub fn add(&self, part: &Arc<str>, what: What) {
        let event = Event { at: Instant::now(), part: Arc::clone(part), what };
        let (ring, warnings) = &mut *lock(&self.ring);
        *warnings += u64::from(event.is_warning());
        if ring.len() >= EVENTS {
            ring.pop_front();
        }
        ring.push_back(event);
    }

    /// Oldest first.
    pub fn list(&self) -> Vec<Event> {
        lock(&self.ring).0.iter().cloned().collect()
    }

    pub fn warnings(&self) -> u64 {
        lock(&self.ring).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_warnings_are_counted_for_ever() {
        let events = Events::default();
        let part: Arc<str> = "log".into();
        for number in 0..EVENTS {
            events.add(&part, What::Warning(number.to_string()));
        }
        events.add(&part, What::State(State::Ok));
        events.add(&part, What::State(State::Failed("disk full".into())));
        let list = events.list();
        assert_eq!(list.len(), EVENTS);
        assert_eq!(list[0].what, What::Warning("2".into()));
        assert_eq!(list[EVENTS - 1].what, What::State(State::Failed("disk full".into())));
        assert_eq!(events.warnings(), EVENTS as u64 + 1);
    }
}
