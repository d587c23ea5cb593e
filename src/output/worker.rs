//! One worker: drives the outputs of one bus, when they are asked to and when time says so. Decides neither what
//! is allowed ([`super::governor`]) nor what is said of it ([`super::seat`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::seat::Seat;
use super::{SetError, Shared};
use crate::bus::Buses;
use crate::reading::{ChannelId, SensorId};

/// What a worker is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Set an output. After `by` nobody waits for it, and it has been reported as not done.
    Set {
        id: SensorId,
        level: f64,
        hold: Option<Duration>,
        by: Instant,
        reply: SyncSender<Result<(), SetError>>,
    },
    /// Something shared has changed.
    Look,
    /// Take other outputs, and say so.
    Arrange { steps: Vec<Step>, done: SyncSender<()> },
    /// End, if there is nothing left to drive.
    End,
}

/// A change to a worker's outputs.
#[derive(Debug)]
pub(super) enum Step {
    /// Drive this one as well.
    Add(Box<Seat>),
    /// Make it safe, and let go of it.
    Remove(SensorId),
    /// Send its level and its state elsewhere.
    Adjust(SensorId, ChannelId, ChannelId),
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
    /// One that drives nothing yet.
    pub(super) fn new(buses: Arc<Buses>, shared: Arc<Shared>, asked: Receiver<Ask>) -> Self {
        Self { seats: Vec::new(), buses, shared, asked, start: Instant::now() }
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
                self.shared.tell(seat.state());
            }
            if leaving {
                return;
            }
            match self.wait() {
                Some(Ask::Set { by, .. }) if Instant::now() >= by => {}
                Some(Ask::Set { id, level, hold, reply, .. }) => {
                    let done = self.set(&id, level, hold);
                    // Nobody listens when it took too long.
                    reply.try_send(done).unwrap_or_default();
                }
                Some(Ask::Arrange { steps, done }) => {
                    steps.into_iter().for_each(|step| self.arrange(step));
                    done.try_send(()).unwrap_or_default();
                }
                Some(Ask::End) if self.seats.is_empty() => return,
                Some(Ask::Look | Ask::End) | None => {}
            }
        }
    }

    fn arrange(&mut self, step: Step) {
        let now = self.start.elapsed();
        match step {
            Step::Add(seat) => self.seats.push(*seat),
            Step::Remove(id) => {
                let Some(at) = self.seats.iter().position(|seat| *seat.id() == id) else { return };
                self.seats.remove(at).leave(now, &self.buses);
            }
            Step::Adjust(id, level, state) => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| *seat.id() == id) {
                    seat.adjust(now, level, state);
                }
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

    fn set(&mut self, id: &SensorId, level: f64, hold: Option<Duration>) -> Result<(), SetError> {
        if self.shared.leaving.load(Ordering::SeqCst) {
            return Err(SetError::Leaving);
        }
        let now = self.start.elapsed();
        // It was there when it was asked for.
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.id() == id) else {
            return Err(SetError::Unknown(id.to_string()));
        };
        let done = seat.set(now, level, hold, &self.buses);
        self.shared.tell(seat.state());
        done
    }
}
