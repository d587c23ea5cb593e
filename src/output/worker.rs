//! One worker: drives the outputs of one bus, when they are asked to and when time says so. Decides neither what
//! is allowed ([`super::governor`]) nor what is said of it ([`super::seat`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::seat::Seat;
use super::{SetError, Shared};
use crate::bus::Buses;

/// What a worker is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Set an output, by its position among all. After `by` nobody waits for it, and it has been reported as not done.
    Set {
        index: usize,
        level: f64,
        hold: Option<Duration>,
        by: Instant,
        reply: SyncSender<Result<(), SetError>>,
    },
    /// Something shared has changed.
    Look,
}

/// One thread's work.
pub(super) struct Worker {
    seats: Vec<Seat>,
    buses: Arc<Buses>,
    shared: Arc<Shared>,
    asked: Receiver<Ask>,
    start: Instant,
}

impl Worker {
    pub(super) fn new(
        seats: Vec<Seat>,
        buses: Arc<Buses>,
        shared: Arc<Shared>,
        asked: Receiver<Ask>,
    ) -> Self {
        Self { seats, buses, shared, asked, start: Instant::now() }
    }

    /// Works until asked to leave, and makes everything safe then.
    pub(super) fn run(mut self) {
        loop {
            let leaving = self.shared.leaving.load(Ordering::SeqCst);
            let link_up = self.shared.link_up.load(Ordering::SeqCst);
            let now = self.start.elapsed();
            for seat in &mut self.seats {
                match leaving {
                    true => seat.leave(now, &self.buses),
                    false => seat.look(now, link_up, &self.buses),
                }
                self.shared.states()[seat.index] = seat.state();
            }
            if leaving {
                return;
            }
            match self.wait() {
                Some(Ask::Set { by, .. }) if Instant::now() >= by => {}
                Some(Ask::Set { index, level, hold, reply, .. }) => {
                    let done = self.set(index, level, hold);
                    // Nobody listens when it took too long.
                    reply.try_send(done).unwrap_or_default();
                }
                Some(Ask::Look) | None => {}
            }
        }
    }

    /// The next question, or none when something is due first. Every handle gone means to leave.
    fn wait(&self) -> Option<Ask> {
        let due = self.seats.iter().filter_map(Seat::due).min();
        let asked = match due {
            Some(due) => self.asked.recv_timeout(due.saturating_sub(self.start.elapsed())),
            None => self.asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if matches!(asked, Err(RecvTimeoutError::Disconnected)) {
            self.shared.leaving.store(true, Ordering::SeqCst);
        }
        asked.ok()
    }

    fn set(&mut self, index: usize, level: f64, hold: Option<Duration>) -> Result<(), SetError> {
        if self.shared.leaving.load(Ordering::SeqCst) {
            return Err(SetError::Leaving);
        }
        let now = self.start.elapsed();
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.index == index) else {
            return Err(SetError::Busy);
        };
        let done = seat.set(now, level, hold, &self.buses);
        self.shared.states()[index] = seat.state();
        done
    }
}
