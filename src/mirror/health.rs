//! One state on the board out of the several things a mirror can suffer from. Changes nothing else.

use std::sync::{Arc, Mutex, PoisonError};

use crate::status::{Figure, Part, State};

/// What can be well or ill by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The connection to the broker.
    Link,
    /// The subscriptions.
    Filters,
    /// The sink: disk, database.
    Sink,
    /// What the messages contain.
    Content,
}

/// A mirror's part of the board. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Health {
    part: Part,
    aspects: Arc<Mutex<[State; 4]>>,
    /// Messages received.
    pub received: Figure,
    /// When the last one was received, µs since boot.
    pub last: Figure,
    /// Messages stored.
    pub stored: Figure,
    /// Messages received again and not stored again.
    pub repeats: Figure,
    /// Messages refused because they did not carry what the mirror asks for.
    pub refused: Figure,
    /// JSON fields that were not there, or null.
    pub missing_fields: Figure,
    /// JSON fields of a type that their column cannot take.
    pub refused_fields: Figure,
    /// Payloads that should be JSON and are not.
    pub bad_json: Figure,
    /// Connections lost.
    pub reconnects: Figure,
}

impl Health {
    /// All is well but the connection, which is not there yet.
    pub fn new(part: Part) -> Self {
        Self {
            aspects: Arc::new(Mutex::new([State::Starting, State::Ok, State::Ok, State::Ok])),
            received: part.figure("received"),
            last: part.figure("last_us"),
            stored: part.figure("stored"),
            repeats: part.figure("repeats"),
            refused: part.figure("refused"),
            missing_fields: part.figure("missing_fields"),
            refused_fields: part.figure("refused_fields"),
            bad_json: part.figure("bad_json"),
            reconnects: part.figure("reconnects"),
            part,
        }
    }

    /// Sets one aspect and shows the sum.
    pub fn set(&self, aspect: Aspect, state: State) {
        // Held over the write to the board as well, so that two threads cannot show their sums in the wrong
        // order. A poisoned lock is whole: nothing in here can panic halfway.
        let mut aspects = self.aspects.lock().unwrap_or_else(PoisonError::into_inner);
        aspects[aspect as usize] = state;
        self.part.set(sum(&aspects[..]));
    }
}

/// As bad as the worst, with the reasons of all that are ill.
fn sum(aspects: &[State]) -> State {
    if let Some(quiet) = aspects.iter().find(|state| matches!(state, State::Stopped)) {
        return quiet.clone();
    }
    let reasons = || {
        let ill = aspects.iter().filter_map(|state| match state {
            State::Failed(why) | State::Degraded(why) => Some(why.as_str()),
            _ => None,
        });
        ill.collect::<Vec<_>>().join("; ")
    };
    let worst = |is: fn(&State) -> bool| aspects.iter().any(is);
    if worst(|state| matches!(state, State::Failed(_))) {
        State::Failed(reasons())
    } else if worst(|state| matches!(state, State::Degraded(_))) {
        State::Degraded(reasons())
    } else if worst(|state| matches!(state, State::Starting)) {
        State::Starting
    } else {
        State::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Board;

    #[test]
    fn the_worst_shows_and_every_reason_is_named() {
        let part = Board::new().part("mirror csv");
        let health = Health::new(part.clone());
        let failed = |why: &str| State::Failed(why.into());
        let degraded = |why: &str| State::Degraded(why.into());
        for (aspect, state, expected) in [
            (Aspect::Link, State::Ok, State::Ok),
            (Aspect::Filters, degraded("a/# refused"), degraded("a/# refused")),
            (Aspect::Sink, failed("disk full"), failed("a/# refused; disk full")),
            (Aspect::Filters, State::Ok, failed("disk full")),
            (Aspect::Sink, State::Ok, State::Ok),
            (Aspect::Link, State::Starting, State::Starting),
            (Aspect::Content, degraded("no JSON"), degraded("no JSON")),
            (Aspect::Link, State::Stopped, State::Stopped),
        ] {
            health.set(aspect, state);
            assert_eq!(part.state().0, expected);
        }
    }
}
