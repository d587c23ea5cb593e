//! Starts and stops the publisher: readings from the log to the broker, on a thread of its own.

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, error, warn};

use super::outbox::{LogOutbox, Outbox};
use super::publishing::{Publishing, SETTLE};
use super::report::Report;
use super::talk::{Conversation, Talk};
use crate::config::{ClockPolicy, Mqtt};
use crate::log::{Log, LogError};
use crate::status::{Board, Part, State};

/// Why the publisher could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system gives no thread.
    #[error("cannot start the publisher's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running publisher.
#[derive(Debug)]
pub struct Publisher {
    stop: watch::Sender<Option<Instant>>,
    ended: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

/// What is published beside readings.
#[derive(Clone, Default)]
pub struct Beside {
    /// What the bridge says of itself.
    pub report: Option<Report>,
    /// Begins the dialogue with the platform, if it wants one.
    pub talk: Option<Arc<dyn Fn() -> std::io::Result<Conversation> + Send + Sync>>,
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside").field("report", &self.report).field("talk", &self.talk.is_some()).finish()
    }
}

/// What tests turn.
#[derive(Debug, Clone)]
pub(super) struct Tuning {
    /// Delays between connections: the least and the longest.
    pub backoff: (Duration, Duration),
}

impl Default for Tuning {
    fn default() -> Self {
        Self { backoff: (Duration::from_secs(1), Duration::from_secs(60)) }
    }
}

impl Publisher {
    /// Starts publishing what the log holds and gets, and whatever else is to be said. Needs no broker to be there: it is
    /// tried for ever.
    pub fn start(
        config: &Mqtt,
        policy: ClockPolicy,
        log: Log,
        board: &Board,
        beside: Beside,
    ) -> Result<Self, StartError> {
        let pseudonym = config.pseudonym.clone();
        let open = move || LogOutbox::open(log.clone(), pseudonym.clone());
        Self::start_with(config.clone(), policy, Tuning::default(), open, board, beside)
    }

    /// As [`Publisher::start`], over any outbox.
    pub(super) fn start_with<O: Outbox>(
        config: Mqtt,
        policy: ClockPolicy,
        tuning: Tuning,
        open: impl Fn() -> Result<O, LogError> + Send + 'static,
        board: &Board,
        beside: Beside,
    ) -> Result<Self, StartError> {
        // Opened once here so that a log that does not answer is an error of the caller; and what is
        // committed from here on is no backlog.
        let at_start = *open()?.committed().borrow();
        let (stop, stopped) = watch::channel(None);
        let (ending, ended) = mpsc::sync_channel(1);
        let part = board.part("publisher");
        // A thread of its own, because its SELECTs block: each takes at most a few hundred rows and so a
        // millisecond or two, in which no acknowledgement is lost, it only waits in the socket. A second
        // thread and a channel between them would cost more than that.
        let thread = std::thread::Builder::new().name("publisher".to_owned()).spawn(move || {
            let mut keeper = Keeper { config, policy, tuning, open, part, beside, at_start: Some(at_start) };
            keeper.keep_publishing(&stopped);
            if ending.send(()).is_err() {
                debug!("nobody waits for the publisher to end");
            }
        })?;
        Ok(Self { stop, ended, thread })
    }

    /// Publishes what is committed as far as `deadline` allows, waits for the acknowledgements, says
    /// `offline`, disconnects in order and saves progress. What is left stays in the log.
    pub fn stop(self, deadline: Instant) {
        if self.stop.send(Some(deadline)).is_err() {
            debug!("the publisher has ended already");
        }
        let patience = deadline.saturating_duration_since(Instant::now()) + 2 * SETTLE;
        match self.ended.recv_timeout(patience) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Left behind rather than waited for: it can only be stuck in the disk or the system's
                // name look-up, and progress not saved means repeats, not loss.
                warn!("the publisher does not end; leaving without it");
            }
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                if self.thread.join().is_err() {
                    error!("the publisher ended with a panic");
                }
            }
        }
    }
}

/// Runs the publisher on its thread, and begins again from the log if it should panic.
struct Keeper<F> {
    config: Mqtt,
    policy: ClockPolicy,
    tuning: Tuning,
    open: F,
    part: Part,
    beside: Beside,
    /// What was committed when the publisher started; for the first connection only.
    at_start: Option<i64>,
}

impl<F> Keeper<F> {
    fn keep_publishing<O: Outbox>(&mut self, stop: &watch::Receiver<Option<Instant>>)
    where
        F: Fn() -> Result<O, LogError>,
    {
        loop {
            let attempt = std::panic::catch_unwind(AssertUnwindSafe(|| self.publish(stop.clone())));
            let why = match attempt {
                Ok(Ok(())) => {
                    self.part.set(State::Stopped);
                    return;
                }
                Ok(Err(why)) => why,
                Err(_) => "internal error (panic); please report this".to_owned(),
            };
            self.part.set(State::Failed(why));
            // Not often, so a plain sleep with a look at the stop signal does.
            for _ in 0..50 {
                if stop.borrow().is_some() || stop.has_changed().is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    fn publish<O: Outbox>(&mut self, stop: watch::Receiver<Option<Instant>>) -> Result<(), String>
    where
        F: Fn() -> Result<O, LogError>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        let publishing = (self.open)()
            .and_then(|outbox| Publishing::new(&self.config, self.policy, &self.tuning, &self.part, outbox));
        let mut publishing = publishing.map_err(|error| format!("log: {error}"))?;
        publishing.committed_at_start = self.at_start.take();
        publishing.report = self.beside.report.clone();
        if let Some(talk) = &self.beside.talk {
            let conversation = talk().map_err(|error| format!("cannot start: {error}"))?;
            publishing.talk = Some(Talk::new(conversation));
        }
        runtime.block_on(publishing.run(stop));
        // Not waiting for a name look-up that hangs in a thread of the runtime.
        runtime.shutdown_background();
        Ok(())
    }
}
