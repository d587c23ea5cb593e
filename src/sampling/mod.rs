//! When to read: one worker thread per bus, each sensor on its own fixed grid of time, with time-out,
//! back-off and health. Asks the filter what passes and hands that to the log; interprets no values.
//!
//! A device that notices by itself (edges of a pin) wakes its worker between its readings; what happened
//! goes the same way as what is read, each sample with the time at which it happened.
//!
//! One thread more, the supervisor, notices a worker that hangs inside a driver. A thread cannot be
//! interrupted there, so the others on that bus wait with it, while all other buses go on.

mod backoff;
mod bell;
mod cell;
mod contain;
mod control;
mod health;
mod schedule;
mod stop;
mod watch;
mod worker;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::bus::Buses;
use crate::config;
use crate::log::{Busy, Log};
use crate::reading::{ChannelId, Moment, Reading, SensorId};
use crate::status::Board;
use cell::Cell;
use control::Desks;
pub use control::{Control, Obeyed, Order, OrderError};
use stop::Stop;
use watch::{Life, Supervisor, Watched};
use worker::{Shared, Worker};

pub use cell::Seen;

/// How long [`Sampling::stop`] waits for the workers.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// By when a worker itself gives up on the log while ending: a little before it is given up.
const STOP_WORK: Duration = Duration::from_millis(2_500);

/// Where samples go: the log, or a test's list.
pub trait Output: Send + Sync {
    /// Takes one sample whole, or (busy) not at all. Never blocks.
    fn append(&self, sample: Vec<Reading>) -> Result<(), Busy>;

    /// Takes note that this many readings were given up after `append` had answered busy. Never blocks.
    fn record_loss(&self, readings: u64);
}

impl Output for Log {
    fn append(&self, sample: Vec<Reading>) -> Result<(), Busy> {
        Log::append(self, sample)
    }

    fn record_loss(&self, readings: u64) {
        Log::record_loss(self, readings);
    }
}

/// One sensor, and where its readings go.
#[derive(Debug, Clone)]
pub struct SensorPlan {
    /// The sensor.
    pub sensor: config::Sensor,
    /// Channels in the order of `sensor.quantities`.
    pub channels: Vec<ChannelId>,
    /// Channel of the sensor's own state.
    pub state_channel: ChannelId,
}

/// The running workers. Dropped without [`Sampling::stop`], they end by themselves, unwaited for.
pub struct Sampling {
    workers: Vec<(Arc<Watched>, JoinHandle<()>)>,
    supervisor: Option<JoinHandle<()>>,
    stop: Arc<Stop>,
    life: Arc<Life>,
    /// Disconnected once every worker has ended; nothing is ever sent.
    all_ended: Receiver<()>,
    control: Control,
}

/// What was last seen of each sensor, for those who ask. Reads nothing and changes nothing.
#[derive(Clone)]
pub struct View {
    cells: Vec<Arc<Cell>>,
}

impl View {
    /// What was last seen of this sensor.
    pub fn seen(&self, sensor: &SensorId) -> Option<Seen> {
        self.cells.iter().find(|cell| cell.id == *sensor).map(|cell| cell.seen())
    }
}

/// A worker that did not end in time and was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// Name of the bus or worker.
    pub worker: String,
    /// The sensor it was reading.
    pub sensor: Option<SensorId>,
}

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sensor {
            Some(sensor) => write!(f, "{}: sensor {sensor} does not come back from a read", self.worker),
            None => write!(f, "{}: its worker does not end", self.worker),
        }
    }
}

/// Starts one worker per bus that the sensors sit on.
///
/// Each sensor gets its part on the board (`sensor <id>`), with the figures samples, passed,
/// suppressed, rejected, held, errors, skipped and dropped, and lost once an event was lost.
///
/// # Errors
/// When a plan has not one channel per quantity, or a thread cannot be started; then none runs.
pub fn start(
    sensors: Vec<SensorPlan>,
    buses: Arc<Buses>,
    output: Arc<dyn Output>,
    board: &Board,
    clock: fn() -> Moment,
) -> io::Result<Sampling> {
    if let Some(plan) = sensors.iter().find(|plan| plan.channels.len() != plan.sensor.quantities.len()) {
        let (channels, quantities) = (plan.channels.len(), plan.sensor.quantities.len());
        let text = format!("sensor {}: {channels} channels for {quantities} quantities", plan.sensor.id);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    contain::silence();
    let mut by_worker: BTreeMap<String, Vec<SensorPlan>> = BTreeMap::new();
    for plan in sensors {
        by_worker.entry(plan.sensor.driver.attachment().worker().to_owned()).or_default().push(plan);
    }
    let stop = Arc::new(Stop::default());
    let shared = Arc::new(Shared { buses, output, clock, stop: Arc::clone(&stop) });
    let (running, all_ended) = sync_channel(0);
    let life = Arc::new(Life::new());
    let mut desks = Desks::default();
    let mut sampling = Sampling {
        workers: Vec::new(),
        supervisor: None,
        stop,
        life,
        all_ended,
        control: Control::default(),
    };
    // An error on the way drops `sampling`, which ends what was started.
    for (name, plans) in by_worker {
        sampling.spawn(name, plans, &shared, board, running.clone(), &mut desks)?;
    }
    sampling.control = desks.control();
    if !sampling.workers.is_empty() {
        let supervisor = Supervisor {
            watched: sampling.workers.iter().map(|(watched, _)| Arc::clone(watched)).collect(),
            stop: Arc::clone(&sampling.stop),
            clock,
            life: Arc::clone(&sampling.life),
        };
        let thread = thread::Builder::new().name("supervisor".to_owned());
        sampling.supervisor = Some(thread.spawn(move || supervisor.run())?);
    }
    Ok(sampling)
}

impl Sampling {
    fn spawn(
        &mut self,
        name: String,
        plans: Vec<SensorPlan>,
        shared: &Arc<Shared>,
        board: &Board,
        running: SyncSender<()>,
        desks: &mut Desks,
    ) -> io::Result<()> {
        let cells = plans.iter().map(|plan| Arc::new(Cell::new(plan, board, &shared.output, &self.stop)));
        let watched = Arc::new(Watched::new(name, cells.collect()));
        // Only the jitter of back-offs hangs on it, which should differ between devices and starts.
        let seed = RandomState::new().hash_one(&watched.name);
        debug!("{}: back-off jitter from seed {seed}", watched.name);
        let worker = Worker::new(shared, &watched, plans, seed);
        for (sensor, cell) in watched.cells.iter().enumerate() {
            desks.add(cell.id.clone(), worker.bell(), sensor, cell.timeout);
        }
        let thread = thread::Builder::new().name(format!("bus {}", watched.name)).spawn(move || {
            let _running = running;
            worker.run();
        })?;
        self.workers.push((watched, thread));
        Ok(())
    }

    /// The way to order single sensors about.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// When the supervisor last found every worker alive: asleep until its next reading is due, at
    /// work, or known to hang inside a driver (that is a sensor's failure, which a restart of the
    /// program need not cure). Advances about twice a second, and stops when a worker has died or is
    /// stuck by a fault of the program: what a watchdog should hear of.
    pub fn last_sign_of_life(&self) -> Instant {
        if self.workers.is_empty() { Instant::now() } else { self.life.last() }
    }

    /// What was last seen of each sensor.
    pub fn view(&self) -> View {
        View { cells: self.workers.iter().flat_map(|(watched, _)| watched.cells.iter().cloned()).collect() }
    }

    /// Ends all workers: readings under way are finished, values held back by `min_interval` are handed
    /// over. Waits at most 3 s; workers still inside a driver then are left behind and named, and what
    /// they held counts as dropped.
    pub fn stop(mut self) -> Vec<Abandoned> {
        self.stop.ask(Instant::now() + STOP_WORK);
        let ended = matches!(self.all_ended.recv_timeout(STOP_WAIT), Err(RecvTimeoutError::Disconnected));
        let mut abandoned = Vec::new();
        for (watched, thread) in self.workers.drain(..) {
            if ended || thread.is_finished() {
                if thread.join().is_err() {
                    warn!("{}: its worker had ended by a fault of the program", watched.name);
                }
                continue;
            }
            let sensor = watched.current().map(|cell| cell.id.clone());
            watched.cells.iter().for_each(|cell| cell.close());
            abandoned.push(Abandoned { worker: watched.name.clone(), sensor });
        }
        // The supervisor waits for nothing but the signal to end.
        if self.supervisor.take().is_some_and(|supervisor| supervisor.join().is_err()) {
            warn!("the supervisor of the sensors had ended by a fault of the program");
        }
        abandoned
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        // After `stop` the signal stands already, with a deadline that must not move.
        if self.stop.deadline().is_none() {
            self.stop.ask(Instant::now() + STOP_WORK);
        }
    }
}
