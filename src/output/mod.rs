//! Outputs: what can be switched or set, and the rules by which it returns to its safe level. Takes levels from
//! whoever may set them; who that is, is not decided here.
//!
//! One thread per bus or kind of pin, as with sensors, so that a bus that hangs keeps no other output from
//! becoming safe. Every output is at its safe level from the start until it is set, whenever its rules say so, and
//! at the end. Its level and its state go into the log as readings, like a sensor's.

mod device;
mod governor;
mod seat;
#[cfg(test)]
pub(crate) mod tests;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::bus::Buses;
use crate::config;
use crate::log::Log;
use crate::reading::{ChannelId, Moment, SensorId, Timestamp};
use crate::status::Board;

pub use device::DriveError;
pub use governor::{Cause, Refused};
use seat::Seat;
use worker::{Ask, Worker};

/// Questions that can wait for one worker.
const QUEUE: usize = 32;

/// How long whoever sets an output waits for it: a bus that hangs gives up sooner, but for several parts on it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long [`Running::stop`] waits for all outputs to be safe.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// One output, and where its readings go.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// The output.
    pub output: config::Output,
    /// Channel of its level.
    pub level_channel: ChannelId,
    /// Channel of its own state.
    pub state_channel: ChannelId,
}

/// A level as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// 0.
    Off,
    /// The largest that the output may be set to.
    On,
    /// Percent.
    Percent(f64),
}

/// Why an output was not set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetError {
    /// There is none of this name.
    #[error("there is no output \"{0}\"")]
    Unknown(String),
    /// It knows only on and off.
    #[error("it is either on or off; {0} % is neither")]
    NotDigital(f64),
    /// Its rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be driven; it goes to its safe level as soon as it can.
    #[error("{0}; it goes to its safe level as soon as it answers")]
    Failed(String),
    /// Too many wait already, or its bus hangs.
    #[error("its bus does not answer; try again later")]
    Busy,
    /// The bridge is leaving, and outputs are safe already.
    #[error("sensor-bridge is leaving; the output is at its safe level")]
    Leaving,
}

/// An output as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputState {
    /// Name.
    pub id: SensorId,
    /// Driver.
    pub driver: &'static str,
    /// Whether it knows only on and off.
    pub digital: bool,
    /// Level, percent; the one it is on its way to while it changes slowly.
    pub level: f64,
    /// Smallest, largest and safe level, percent.
    pub limits: (f64, f64, f64),
    /// When its level changed last.
    pub since: Option<Timestamp>,
    /// Why it went to its safe level by itself, until it is set again.
    pub cause: Option<Cause>,
    /// Why it cannot be driven.
    pub failure: Option<String>,
}

/// What everybody shares.
#[derive(Debug)]
struct Shared {
    states: Mutex<Vec<OutputState>>,
    link_up: AtomicBool,
    leaving: AtomicBool,
}

impl Shared {
    fn states(&self) -> MutexGuard<'_, Vec<OutputState>> {
        // Nothing under the lock can panic halfway through a change.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handle on the outputs. Cheap to clone; every clone is the same outputs.
#[derive(Debug, Clone)]
pub struct Outputs {
    shared: Arc<Shared>,
    /// By position in `states`: the worker's queue.
    queues: Arc<Vec<SyncSender<Ask>>>,
}

impl Outputs {
    /// All outputs as they are now, in the order of the configuration.
    pub fn list(&self) -> Vec<OutputState> {
        self.shared.states().clone()
    }

    /// Sets an output, for so long if not for good. Waits until it is driven, at most 5 s. Answers its state.
    ///
    /// # Errors
    /// Why it is not where it was asked to be.
    pub fn set(&self, id: &str, level: Level, hold: Option<Duration>) -> Result<OutputState, SetError> {
        let (index, state) = {
            let states = self.shared.states();
            let found = states.iter().enumerate().find(|(_, state)| state.id.as_str() == id);
            found
                .map(|(index, state)| (index, state.clone()))
                .ok_or_else(|| SetError::Unknown(id.to_owned()))?
        };
        let level = match level {
            Level::Off => 0.0,
            Level::On => state.limits.1,
            Level::Percent(percent) => percent,
        };
        if state.digital && level != 0.0 && level != 100.0 {
            return Err(SetError::NotDigital(level));
        }
        let (reply, answer) = sync_channel(1);
        let by = Instant::now() + PATIENCE;
        let ask = Ask::Set { index, level, hold, by, reply };
        if self.shared.leaving.load(Ordering::SeqCst) {
            return Err(SetError::Leaving);
        }
        match self.queues[index].try_send(ask) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(SetError::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(SetError::Leaving),
        }
        match answer.recv_timeout(PATIENCE) {
            Ok(Ok(())) => Ok(self.shared.states()[index].clone()),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Timeout) => Err(SetError::Busy),
            Err(RecvTimeoutError::Disconnected) => Err(SetError::Leaving),
        }
    }

    /// Says whether the link over which outputs are commanded is there.
    pub fn link(&self, up: bool) {
        if self.shared.link_up.swap(up, Ordering::SeqCst) != up {
            self.look();
        }
    }

    /// Wakes every worker. A full queue has it awake anyway.
    fn look(&self) {
        for queue in self.queues.iter() {
            drop(queue.try_send(Ask::Look));
        }
    }
}

/// The running workers. Dropped without [`Running::stop`], they make everything safe and end, unwaited for.
#[derive(Debug)]
pub struct Running {
    outputs: Outputs,
    workers: Vec<(String, JoinHandle<()>)>,
    /// Disconnected once every worker has ended; nothing is ever sent.
    all_ended: Receiver<()>,
}

/// Starts one worker per bus that outputs sit on; each makes its outputs safe at once.
///
/// Each output gets its part on the board (`output <id>`), with the figures changes, refused and errors. The link
/// counts as lost until [`Outputs::link`] says that it is there.
///
/// # Errors
/// When a thread cannot be started.
pub fn start(
    plans: Vec<OutputPlan>,
    buses: &Arc<Buses>,
    log: &Log,
    board: &Board,
    clock: fn() -> Moment,
) -> io::Result<Running> {
    let states = plans.iter().map(|plan| OutputState {
        id: plan.output.id.clone(),
        driver: plan.output.driver.name(),
        digital: plan.output.driver.is_digital(),
        level: plan.output.limits.safe,
        limits: (plan.output.limits.min, plan.output.limits.max, plan.output.limits.safe),
        since: None,
        cause: None,
        failure: None,
    });
    let shared = Arc::new(Shared {
        states: Mutex::new(states.collect()),
        link_up: AtomicBool::new(false),
        leaving: AtomicBool::new(false),
    });
    let mut by_worker: BTreeMap<String, Vec<Seat>> = BTreeMap::new();
    let mut names = Vec::with_capacity(plans.len());
    for (index, plan) in plans.into_iter().enumerate() {
        let name = plan.output.driver.attachment().worker().to_owned();
        names.push(name.clone());
        by_worker.entry(name).or_default().push(Seat::new(index, plan, log.clone(), board, clock));
    }
    let (running, all_ended) = sync_channel(0);
    let mut queues = BTreeMap::new();
    let mut workers = Vec::new();
    for (name, seats) in by_worker {
        let (queue, asked) = sync_channel(QUEUE);
        let worker = Worker::new(seats, Arc::clone(buses), Arc::clone(&shared), asked);
        let running: SyncSender<()> = running.clone();
        let thread = std::thread::Builder::new().name(format!("out {name}")).spawn(move || {
            let _running = running;
            worker.run();
        })?;
        queues.insert(name.clone(), queue);
        workers.push((name, thread));
    }
    let queues = names.iter().filter_map(|name| queues.get(name).cloned()).collect();
    let outputs = Outputs { shared, queues: Arc::new(queues) };
    Ok(Running { outputs, workers, all_ended })
}

impl Running {
    /// The handle for everybody else.
    pub fn outputs(&self) -> Outputs {
        self.outputs.clone()
    }

    /// Makes every output safe and ends the workers. Waits at most 2 s; who hangs on a bus then is named.
    pub fn stop(mut self) -> Vec<String> {
        self.ask_to_end();
        let ended = matches!(self.all_ended.recv_timeout(STOP_WAIT), Err(RecvTimeoutError::Disconnected));
        let mut abandoned = Vec::new();
        for (name, thread) in self.workers.drain(..) {
            if !ended && !thread.is_finished() {
                abandoned
                    .push(format!("{name}: an output does not answer, and may not be at its safe level"));
            } else if thread.join().is_err() {
                warn!("{name}: its outputs had ended by a fault of the program");
            }
        }
        abandoned
    }

    fn ask_to_end(&self) {
        self.outputs.shared.leaving.store(true, Ordering::SeqCst);
        self.outputs.look();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask_to_end();
    }
}
