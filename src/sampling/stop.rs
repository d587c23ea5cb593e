//! The signal to end, which interrupts every wait of this room.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bell::Bell;

/// Asked for once, seen by all.
#[derive(Debug, Default)]
pub(super) struct Stop {
    deadline: Mutex<Option<Instant>>,
    asked: Condvar,
    bells: Mutex<Vec<Arc<Bell>>>,
}

impl Stop {
    /// Asks everybody to end by `deadline`. What is not in the log by then is dropped.
    pub fn ask(&self, deadline: Instant) {
        *self.lock() = Some(deadline);
        self.asked.notify_all();
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell.ring());
    }

    /// Rings this bell, too, when the end is asked for. To be said before anybody waits at it.
    pub fn also_rings(&self, bell: &Arc<Bell>) {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(bell));
    }

    /// By when to end, if that was asked for.
    pub fn deadline(&self) -> Option<Instant> {
        *self.lock()
    }

    /// Whether the end should be over: somebody else may be writing in our place by now.
    pub fn is_over(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Waits until `until` (for ever without one), or until asked to end. Answers whether it was asked.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        let mut deadline = self.lock();
        while deadline.is_none() {
            deadline = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.asked.wait(deadline).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    self.asked.wait_timeout(deadline, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        deadline.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
