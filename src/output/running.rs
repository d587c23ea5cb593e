//! The workers from outside: made, given other outputs, ended or left behind. What one does is in `worker`.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::warn;

use super::seat::Seat;
use super::worker::{Ask, Step, Worker};
use super::{OutputPlan, Outputs, Place, Shared};
use crate::bus::Buses;
use crate::log::Log;
use crate::reading::{Moment, SensorId};
use crate::status::Board;

/// Questions that can wait for one worker.
const QUEUE: usize = 32;

/// How long [`Running::stop`], and changes, wait for all outputs to be safe.
const STOP_WAIT: Duration = Duration::from_secs(2);

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
