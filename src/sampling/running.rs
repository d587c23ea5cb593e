//! A running worker from outside: made, asked to take other sensors, ended or left behind. What it does is in
//! `worker`.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tracing::{debug, warn};

use super::arrange::{Arrangement, Step};
use super::bell::Bell;
use super::cell::Cell;
use super::control::{Control, Desk, Ordered};
use super::stop::Stop;
use super::watch::Watched;
use super::worker::{Shared, Worker};
use super::{Abandoned, Means, SensorPlan};
use crate::reading::SensorId;

/// See the module.
pub(super) struct Running {
    pub watched: Arc<Watched>,
    /// The sensors that it reads, or will once it comes to it.
    pub sensors: Vec<SensorId>,
    bell: Arc<Bell>,
    /// Disconnected once it has ended; nothing is ever sent.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts a worker for these sensors and seats them with `control`.
    pub fn spawn(means: &Means, name: String, plans: Vec<SensorPlan>, control: &Control) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let cells: Vec<Arc<Cell>> = plans.iter().map(|plan| means.cell(plan, &stop)).collect();
        let desks: Vec<_> = plans.iter().map(|plan| (plan.sensor.id.clone(), plan.sensor.timeout)).collect();
        let watched = Arc::new(Watched::new(name, Arc::clone(&stop), cells.clone()));
        // Only the jitter of back-offs hangs on it, which should differ between devices and starts.
        let seed = RandomState::new().hash_one(&watched.name);
        debug!("{}: back-off jitter from seed {seed}", watched.name);
        let shared = Shared {
            buses: Arc::clone(&means.buses),
            output: Arc::clone(&means.output),
            clock: means.clock,
            stop,
        };
        let worker = Worker::new(shared, &watched, plans, &cells, seed);
        let bell = worker.bell();
        let (running, ended) = sync_channel(0);
        let thread = thread::Builder::new().name(format!("bus {}", watched.name)).spawn(move || {
            let _running: std::sync::mpsc::SyncSender<()> = running;
            worker.run();
        })?;
        for (id, timeout) in &desks {
            control.seat(
                id,
                Some(Desk { bell: Arc::clone(&bell), timeout: *timeout, ordered: Ordered::default() }),
            );
        }
        let sensors = desks.into_iter().map(|(id, _)| id).collect();
        Ok(Self { watched, sensors, bell, ended, thread })
    }

    /// Gives it more sensors; it may take a moment.
    pub fn add(&mut self, means: &Means, plans: Vec<SensorPlan>, control: &Control) -> io::Result<()> {
        let mut desks = Vec::with_capacity(plans.len());
        let mut steps = Vec::with_capacity(plans.len());
        for plan in plans {
            desks.push((plan.sensor.id.clone(), plan.sensor.timeout));
            let cell = means.cell(&plan, &self.watched.stop);
            steps.push(Step::Add(Box::new(plan), cell));
        }
        if self.ask(steps).is_none() {
            return Err(io::Error::other(format!("{}: its worker takes no more sensors", self.watched.name)));
        }
        for (id, timeout) in desks {
            control
                .seat(&id, Some(Desk { bell: Arc::clone(&self.bell), timeout, ordered: Ordered::default() }));
            self.sensors.push(id);
        }
        Ok(())
    }

    /// Asks for changes; what comes back ends when they are made, with a word if they were. Nothing comes back when
    /// too much waits already.
    pub fn ask(&self, steps: Vec<Step>) -> Option<Receiver<()>> {
        let (done, made) = sync_channel(1);
        self.bell.arrange(Arrangement { steps, done }).then_some(made)
    }

    /// Asks it to end by `deadline`; what is not in the log then is dropped.
    pub fn ask_to_end(&self, deadline: Instant) {
        // Asked before, the deadline must not move.
        if self.watched.stop.deadline().is_none() {
            self.watched.stop.ask(deadline);
        }
    }

    /// Waits for its end until `until`; leaves it behind then.
    pub fn end(self, until: Instant) -> Option<Abandoned> {
        let patience = until.saturating_duration_since(Instant::now());
        let ended = self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        if ended || self.thread.is_finished() {
            if self.thread.join().is_err() {
                warn!("{}: its worker had ended by a fault of the program", self.watched.name);
            }
            return None;
        }
        let sensor = self.watched.current().map(|cell| cell.id.clone());
        self.watched.cells().iter().for_each(|cell| cell.close());
        Some(Abandoned { worker: self.watched.name.clone(), sensor })
    }
}
