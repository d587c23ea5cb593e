//! What wakes a worker: its next task is due, a device calls, an order comes, or the end. One bell a worker, so that an edge
//! on one bus wakes nobody else.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::arrange::Arrangement;
use super::control::{MOST_ORDERS, Pending};
use crate::bus::gpio::Waker;

/// Arrangements that can wait: more come only while the worker hangs.
const MOST_ARRANGEMENTS: usize = 16;

/// Rung by anybody, waited at by one worker.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    /// Sensors whose devices called, each once.
    callers: Vec<usize>,
    /// Given, and not carried out yet.
    orders: Vec<Pending>,
    /// Asked for, and not done yet.
    arrangements: Vec<Arrangement>,
    /// Nobody will look any more.
    closed: bool,
}

impl Bell {
    /// Wakes the worker.
    pub fn ring(&self) {
        self.lock().rung = true;
        self.rung.notify_one();
    }

    /// Wakes the worker for this sensor.
    fn call(&self, sensor: usize) {
        let mut state = self.lock();
        state.rung = true;
        if !state.callers.contains(&sensor) {
            state.callers.push(sensor);
        }
        drop(state);
        self.rung.notify_one();
    }

    /// What a sensor's device is given to call.
    pub fn waker(self: &Arc<Self>, sensor: usize) -> Waker {
        let bell = Arc::clone(self);
        Arc::new(move || bell.call(sensor))
    }

    /// The sensors that have called since the last look.
    pub fn callers(&self) -> Vec<usize> {
        std::mem::take(&mut self.lock().callers)
    }

    /// Hands over an order; false when too many wait, or nobody carries them out any more.
    pub fn order(&self, order: Pending) -> bool {
        let mut state = self.lock();
        if state.closed || state.orders.len() >= MOST_ORDERS {
            return false;
        }
        state.orders.push(order);
        state.rung = true;
        drop(state);
        self.rung.notify_one();
        true
    }

    /// The orders given since the last look, oldest first.
    pub fn orders(&self) -> Vec<Pending> {
        std::mem::take(&mut self.lock().orders)
    }

    /// Hands over an arrangement; false when too many wait, or nobody looks any more.
    pub fn arrange(&self, arrangement: Arrangement) -> bool {
        let mut state = self.lock();
        if state.closed || state.arrangements.len() >= MOST_ARRANGEMENTS {
            return false;
        }
        state.arrangements.push(arrangement);
        state.rung = true;
        drop(state);
        self.rung.notify_one();
        true
    }

    /// The arrangements asked for since the last look, oldest first.
    pub fn arrangements(&self) -> Vec<Arrangement> {
        std::mem::take(&mut self.lock().arrangements)
    }

    /// Takes no more orders; whoever waits for one is told by the end of its reply.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left = (std::mem::take(&mut state.orders), std::mem::take(&mut state.arrangements));
        drop(state);
        drop(left);
    }

    /// Waits until `until` (for ever without one), or until it rings; returns at once if it has rung since the
    /// last wait.
    pub fn wait(&self, until: Option<Instant>) {
        let mut state = self.lock();
        while !state.rung {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.rung.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.rung.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.rung = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_call_before_the_wait_is_not_missed_and_every_caller_is_named_once() {
        let bell = Arc::new(Bell::default());
        let (first, second) = (bell.waker(3), bell.waker(5));
        first();
        second();
        first();
        bell.wait(None);
        assert_eq!(bell.callers(), [3, 5]);
        assert_eq!(bell.callers(), [0; 0]);
        bell.wait(Some(Instant::now() + Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| bell.wait(None));
            bell.ring();
        });
    }
}
