//! When to read: one worker thread per bus, each sensor on its own fixed grid of time, with time-out,
//! back-off and health. Asks the filter what passes and hands that to the log; interprets no values.
//!
//! A device that notices by itself (edges of a pin) wakes its worker between its readings; what happened
//! goes the same way as what is read, each sample with the time at which it happened.
//!
//! One thread more, the supervisor, notices a worker that hangs inside a driver. A thread cannot be
//! interrupted there, so the others on that bus wait with it, while all other buses go on.
//!
//! Sensors can be taken away, adjusted and added while the others go on ([`Sampling::remove`], [`Sampling::adjust`],
//! [`Sampling::add`]).

mod arrange;
mod backoff;
mod bell;
mod cell;
mod contain;
mod control;
mod health;
mod running;
mod schedule;
mod sensor;
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
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::bus::Buses;
use crate::config;
use crate::log::{Busy, Log};
use crate::reading::{ChannelId, Moment, Reading, SensorId};
use crate::status::Board;
use arrange::Step;
use cell::Cell;
pub use control::{Control, Obeyed, Order, OrderError, Ordered};
use running::Running;
use stop::Stop;
use watch::{Life, Roster, Supervisor};

pub use cell::Seen;

/// How long [`Sampling::stop`] waits for the workers.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// How long a worker may take to change its sensors: it may be in the midst of a reading, which takes at most as long as
/// the longest time-out among them, within these.
const ARRANGE_WAIT: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(10));

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

/// What workers are made with.
struct Means {
    buses: Arc<Buses>,
    output: Arc<dyn Output>,
    board: Board,
    clock: fn() -> Moment,
}

impl Means {
    fn cell(&self, plan: &SensorPlan, stop: &Arc<Stop>) -> Arc<Cell> {
        Arc::new(Cell::new(plan, &self.board, &self.output, stop))
    }
}

/// The running workers. Dropped without [`Sampling::stop`], they end by themselves, unwaited for.
pub struct Sampling {
    workers: Vec<Running>,
    supervisor: Option<JoinHandle<()>>,
    /// The supervisor's; each worker has one of its own.
    stop: Arc<Stop>,
    roster: Arc<Roster>,
    life: Arc<Life>,
    control: Control,
    means: Means,
}

/// What was last seen of each sensor, for those who ask. Reads nothing and changes nothing.
#[derive(Clone)]
pub struct View {
    roster: Arc<Roster>,
}

impl View {
    /// What was last seen of this sensor.
    pub fn seen(&self, sensor: &SensorId) -> Option<Seen> {
        self.roster.seen(sensor)
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
    contain::silence();
    let mut sampling = Sampling {
        workers: Vec::new(),
        supervisor: None,
        stop: Arc::default(),
        roster: Arc::default(),
        life: Arc::new(Life::new()),
        control: Control::default(),
        means: Means { buses, output, board: board.clone(), clock },
    };
    // An error on the way drops `sampling`, which ends what was started.
    sampling.add(sensors)?;
    Ok(sampling)
}

impl Sampling {
    /// Reads these sensors from now on, beside those there are. Afterwards workers that have nothing left to read are
    /// ended.
    ///
    /// # Errors
    /// When a plan has not one channel per quantity, or a thread cannot be started.
    pub fn add(&mut self, sensors: Vec<SensorPlan>) -> io::Result<()> {
        if let Some(plan) = sensors.iter().find(|plan| plan.channels.len() != plan.sensor.quantities.len()) {
            let (channels, quantities) = (plan.channels.len(), plan.sensor.quantities.len());
            let text = format!("sensor {}: {channels} channels for {quantities} quantities", plan.sensor.id);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut by_worker: BTreeMap<String, Vec<SensorPlan>> = BTreeMap::new();
        for plan in sensors {
            by_worker.entry(plan.sensor.driver.attachment().worker().to_owned()).or_default().push(plan);
        }
        for (name, plans) in by_worker {
            match self.workers.iter_mut().find(|worker| worker.watched.name == name) {
                Some(worker) => worker.add(&self.means, plans, &self.control)?,
                None => {
                    let worker = Running::spawn(&self.means, name, plans, &self.control)?;
                    self.roster.add(&worker.watched);
                    self.workers.push(worker);
                }
            }
        }
        self.supervise()?;
        let idle = self.workers.extract_if(.., |worker| worker.sensors.is_empty()).collect();
        self.end(idle);
        Ok(())
    }

    /// Reads these sensors no more. What they have to say at the end is with the log when this returns, unless their
    /// bus hangs: after some seconds its worker is left behind. Answers the other sensors that went with it, to be added again.
    pub fn remove(&mut self, sensors: &[SensorId]) -> Vec<SensorId> {
        let mut orphans = self.arrange(|id| sensors.contains(id).then(|| Step::Remove(id.clone())));
        orphans.retain(|id| !sensors.contains(id));
        for worker in &mut self.workers {
            worker.sensors.retain(|id| !sensors.contains(id));
        }
        sensors.iter().for_each(|id| self.control.seat(id, None));
        orphans
    }

    /// Goes on with these sensors by another configuration; their devices stay open. Answers those that went with a
    /// worker that hangs, to be added again.
    pub fn adjust(&mut self, plans: &[SensorPlan]) -> Vec<SensorId> {
        let plan = |id: &SensorId| plans.iter().find(|plan| plan.sensor.id == *id);
        let orphans = self.arrange(|id| plan(id).map(|plan| Step::Adjust(Box::new(plan.clone()))));
        for plan in plans {
            self.control.adjusted(&plan.sensor.id, plan.sensor.timeout);
        }
        orphans
    }

    /// Asks every worker for what is wanted of its sensors, and waits until that is done. Who does not do it is left
    /// behind; answers the sensors that it had.
    fn arrange(&mut self, wanted: impl Fn(&SensorId) -> Option<Step>) -> Vec<SensorId> {
        let begun = Instant::now();
        let mut asked = Vec::new();
        for (place, worker) in self.workers.iter().enumerate() {
            let steps: Vec<Step> = worker.sensors.iter().filter_map(&wanted).collect();
            if !steps.is_empty() {
                // What is known to hang is not waited for.
                let patience =
                    worker.watched.patience().map(|most| most.clamp(ARRANGE_WAIT.0, ARRANGE_WAIT.1));
                asked.push((place, worker.ask(steps), begun + patience.unwrap_or_default()));
            }
        }
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let done = |made: Option<Receiver<()>>, until| {
            made.is_some_and(|made| made.recv_timeout(left(until)).is_ok())
        };
        let hung = asked.into_iter().filter_map(|(place, made, until)| (!done(made, until)).then_some(place));
        let hung: Vec<usize> = hung.collect();
        let mut left: Vec<Running> = Vec::new();
        for place in hung.into_iter().rev() {
            left.push(self.workers.swap_remove(place));
        }
        let orphans = left.iter().flat_map(|worker| worker.sensors.clone()).collect();
        left.iter().for_each(|worker| worker.ask_to_end(Instant::now()));
        self.end(left);
        orphans
    }

    /// Ends these workers; who does not end is left behind, and named in the journal.
    fn end(&mut self, workers: Vec<Running>) {
        workers.iter().for_each(|worker| worker.ask_to_end(Instant::now() + STOP_WORK));
        let until =
            workers.first().and_then(|worker| worker.watched.stop.deadline()).unwrap_or_else(Instant::now);
        for worker in workers {
            self.roster.remove(&worker.watched);
            if let Some(abandoned) = worker.end(until) {
                warn!("{abandoned}");
            }
        }
    }

    /// Starts the supervisor once there is something to look at.
    fn supervise(&mut self) -> io::Result<()> {
        if self.supervisor.is_some() || self.workers.is_empty() {
            return Ok(());
        }
        self.life.sign();
        let supervisor = Supervisor {
            roster: Arc::clone(&self.roster),
            stop: Arc::clone(&self.stop),
            clock: self.means.clock,
            life: Arc::clone(&self.life),
        };
        let thread = thread::Builder::new().name("supervisor".to_owned());
        self.supervisor = Some(thread.spawn(move || supervisor.run())?);
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

    /// What was last seen of each sensor, now and whenever it is asked.
    pub fn view(&self) -> View {
        View { roster: Arc::clone(&self.roster) }
    }

    /// Ends all workers: readings under way are finished, values held back by `min_interval` are handed
    /// over. Waits at most 3 s; workers still inside a driver then are left behind and named, and what
    /// they held counts as dropped.
    pub fn stop(mut self) -> Vec<Abandoned> {
        self.ask_to_end();
        let until = Instant::now() + STOP_WAIT;
        let abandoned = self.workers.drain(..).filter_map(|worker| worker.end(until)).collect();
        // The supervisor waits for nothing but the signal to end.
        if self.supervisor.take().is_some_and(|supervisor| supervisor.join().is_err()) {
            warn!("the supervisor of the sensors had ended by a fault of the program");
        }
        abandoned
    }

    fn ask_to_end(&self) {
        let deadline = Instant::now() + STOP_WORK;
        self.stop.ask(deadline);
        self.workers.iter().for_each(|worker| worker.ask_to_end(deadline));
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.ask_to_end();
    }
}
