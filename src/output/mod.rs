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
use worker::{Ask, Step, Worker};

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
#[derive(Debug, Default)]
struct Shared {
    places: Mutex<Vec<Place>>,
    link_up: AtomicBool,
    leaving: AtomicBool,
}

/// An output as others find it.
#[derive(Debug)]
struct Place {
    state: OutputState,
    /// Its worker's.
    queue: SyncSender<Ask>,
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        // Nothing under the lock can panic halfway through a change.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How an output is now. One that was taken away meanwhile is nobody's business.
    fn tell(&self, state: OutputState) {
        if let Some(place) = self.places().iter_mut().find(|place| place.state.id == state.id) {
            place.state = state;
        }
    }
}

/// Handle on the outputs, whichever there are at the time. Cheap to clone; every clone is the same outputs.
#[derive(Debug, Clone)]
pub struct Outputs {
    shared: Arc<Shared>,
}

impl Outputs {
    /// All outputs as they are now, in the order of the configuration.
    pub fn list(&self) -> Vec<OutputState> {
        self.shared.places().iter().map(|place| place.state.clone()).collect()
    }

    /// Sets an output, for so long if not for good. Waits until it is driven, at most 5 s. Answers its state.
    ///
    /// # Errors
    /// Why it is not where it was asked to be.
    pub fn set(&self, id: &str, level: Level, hold: Option<Duration>) -> Result<OutputState, SetError> {
        let (state, queue) = self.find(id).ok_or_else(|| SetError::Unknown(id.to_owned()))?;
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
        let ask = Ask::Set { id: state.id, level, hold, by, reply };
        if self.shared.leaving.load(Ordering::SeqCst) {
            return Err(SetError::Leaving);
        }
        match queue.try_send(ask) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(SetError::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(SetError::Leaving),
        }
        match answer.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {
                self.find(id).map(|(state, _)| state).ok_or_else(|| SetError::Unknown(id.to_owned()))
            }
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Timeout) => Err(SetError::Busy),
            Err(RecvTimeoutError::Disconnected) => Err(SetError::Leaving),
        }
    }

    /// Lists the outputs in this order from now on.
    pub fn order(&self, outputs: &[SensorId]) {
        let place = |place: &Place| outputs.iter().position(|id| *id == place.state.id);
        self.shared.places().sort_by_key(place);
    }

    fn find(&self, id: &str) -> Option<(OutputState, SyncSender<Ask>)> {
        let places = self.shared.places();
        let place = places.iter().find(|place| place.state.id.as_str() == id)?;
        Some((place.state.clone(), place.queue.clone()))
    }

    /// Says whether the link over which outputs are commanded is there.
    pub fn link(&self, up: bool) {
        if self.shared.link_up.swap(up, Ordering::SeqCst) != up {
            self.look();
        }
    }

    /// Wakes every worker. A full queue has it awake anyway.
    fn look(&self) {
        for place in self.shared.places().iter() {
            drop(place.queue.try_send(Ask::Look));
        }
    }
}

/// What outputs are made with.
#[derive(Debug)]
struct Means {
    buses: Arc<Buses>,
    log: Log,
    board: Board,
    clock: fn() -> Moment,
}

/// The running workers. Dropped without [`Running::stop`], they make everything safe and end, unwaited for.
#[derive(Debug)]
pub struct Running {
    outputs: Outputs,
    workers: Vec<Working>,
    means: Means,
}

/// A running worker from outside.
#[derive(Debug)]
struct Working {
    name: String,
    queue: SyncSender<Ask>,
    /// The outputs that it has, or will have once it comes to it.
    outputs: Vec<SensorId>,
    /// Disconnected once it has ended; nothing is ever sent.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
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
    let means = Means { buses: Arc::clone(buses), log: log.clone(), board: board.clone(), clock };
    let outputs = Outputs { shared: Arc::default() };
    let mut running = Running { outputs, workers: Vec::new(), means };
    running.add(plans)?;
    Ok(running)
}

impl Running {
    /// The handle for everybody else.
    pub fn outputs(&self) -> Outputs {
        self.outputs.clone()
    }

    /// Drives these as well; each becomes safe at once. Those that there are stay as they are. Afterwards workers that
    /// have no outputs left are ended.
    ///
    /// # Errors
    /// When a thread cannot be started, or a bus hangs and too much waits for it already.
    pub fn add(&mut self, plans: Vec<OutputPlan>) -> io::Result<()> {
        let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for plan in plans {
            let name = plan.output.driver.attachment().worker().to_owned();
            let seat = Seat::new(plan, self.means.log.clone(), &self.means.board, self.means.clock);
            let state = seat.state();
            let worker = self.worker(&name)?;
            worker.outputs.push(state.id.clone());
            let place = Place { state, queue: worker.queue.clone() };
            // Before it is driven: the worker tells how it is as soon as it knows.
            self.outputs.shared.places().push(place);
            steps.entry(name).or_default().push(Step::Add(Box::new(seat)));
        }
        for (name, steps) in steps {
            // What comes back would say when it is done; nobody waits for that.
            drop(self.worker(&name)?.ask(steps)?);
        }
        let (idle, left) = self.workers.drain(..).partition(|worker| worker.outputs.is_empty());
        self.workers = left;
        let until = Instant::now() + STOP_WAIT;
        for abandoned in Vec::into_iter(idle).filter_map(|worker| worker.end(until)) {
            warn!("{abandoned}");
        }
        Ok(())
    }

    /// Takes outputs away: each goes to its safe level first. Waits for that, at most 2 s; on a bus that hangs it is done
    /// as soon as it answers; answers in words where.
    ///
    /// # Errors
    /// Too much waits for a bus that hangs; then its outputs stay as they are.
    pub fn remove(&mut self, outputs: &[SensorId]) -> io::Result<Vec<String>> {
        let late = self.arrange(|id| outputs.contains(id).then(|| Step::Remove(id.clone())))?;
        for worker in &mut self.workers {
            worker.outputs.retain(|id| !outputs.contains(id));
        }
        self.outputs.shared.places().retain(|place| !outputs.contains(&place.state.id));
        Ok(late)
    }

    /// From now on the readings of these go elsewhere; their levels stay. Answers as [`Running::remove`].
    ///
    /// # Errors
    /// As [`Running::remove`].
    pub fn adjust(&mut self, plans: &[OutputPlan]) -> io::Result<Vec<String>> {
        self.arrange(|id| {
            let plan = plans.iter().find(|plan| plan.output.id == *id)?;
            Some(Step::Adjust(id.clone(), plan.level_channel, plan.state_channel))
        })
    }

    /// Asks every worker for what is wanted of its outputs, and waits until that is done. Answers who did not do it.
    fn arrange(&self, wanted: impl Fn(&SensorId) -> Option<Step>) -> io::Result<Vec<String>> {
        let mut asked = Vec::new();
        for worker in &self.workers {
            let steps: Vec<Step> = worker.outputs.iter().filter_map(&wanted).collect();
            if !steps.is_empty() {
                asked.push((&worker.name, worker.ask(steps)?));
            }
        }
        let until = Instant::now() + STOP_WAIT;
        let late = |(name, done): (&String, Receiver<()>)| {
            let late = done.recv_timeout(until.saturating_duration_since(Instant::now())).is_err();
            late.then(|| format!("{name}: its outputs do not answer; they follow as soon as they do"))
        };
        Ok(asked.into_iter().filter_map(late).collect())
    }

    /// The worker of this name, started if there is none.
    fn worker(&mut self, name: &str) -> io::Result<&mut Working> {
        let at = match self.workers.iter().position(|worker| worker.name == name) {
            Some(at) => at,
            None => {
                self.workers.push(Working::spawn(name, &self.means, &self.outputs.shared)?);
                self.workers.len() - 1
            }
        };
        Ok(&mut self.workers[at])
    }

    /// Makes every output safe and ends the workers. Waits at most 2 s; who hangs on a bus then is named.
    pub fn stop(mut self) -> Vec<String> {
        self.ask_to_end();
        let until = Instant::now() + STOP_WAIT;
        self.workers.drain(..).filter_map(|worker| worker.end(until)).collect()
    }

    fn ask_to_end(&self) {
        self.outputs.shared.leaving.store(true, Ordering::SeqCst);
        self.outputs.look();
    }
}

impl Working {
    fn spawn(name: &str, means: &Means, shared: &Arc<Shared>) -> io::Result<Self> {
        let (queue, asked) = sync_channel(QUEUE);
        let (running, ended) = sync_channel(0);
        let worker = Worker::new(Arc::clone(&means.buses), Arc::clone(shared), asked);
        let thread = std::thread::Builder::new().name(format!("out {name}")).spawn(move || {
            let _running: SyncSender<()> = running;
            worker.run();
        })?;
        Ok(Self { name: name.to_owned(), queue, outputs: Vec::new(), ended, thread })
    }

    /// Asks for changes; what comes back has a word when they are made. An error when too much waits already.
    fn ask(&self, steps: Vec<Step>) -> io::Result<Receiver<()>> {
        let (done, made) = sync_channel(1);
        match self.queue.try_send(Ask::Arrange { steps, done }) {
            Ok(()) => Ok(made),
            Err(_) => Err(io::Error::other(format!("{}: its outputs do not answer", self.name))),
        }
    }

    /// Waits for the end of one that is leaving or has no outputs; who hangs is named, and left behind.
    fn end(self, until: Instant) -> Option<String> {
        // Full or gone: it is awake, or needs no word.
        drop(self.queue.try_send(Ask::End));
        let patience = until.saturating_duration_since(Instant::now());
        let ended = self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        if !ended && !self.thread.is_finished() {
            return Some(format!(
                "{}: an output does not answer, and may not be at its safe level",
                self.name
            ));
        }
        if self.thread.join().is_err() {
            warn!("{}: its outputs had ended by a fault of the program", self.name);
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask_to_end();
    }
}
