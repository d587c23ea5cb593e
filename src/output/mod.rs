//! Outputs: what can be switched or set, and the rules by which it returns to its safe level. Takes levels from
//! whoever may set them; who that is, is not decided here.
//!
//! One thread per bus or kind of pin, as with sensors, so that a bus that hangs keeps no other output from
//! becoming safe. Every output is at its safe level from the start until it is set, whenever its rules say so, and
//! at the end. Its level and its state go into the log as readings, like a sensor's.

mod device;
mod governor;
mod running;
mod seat;
#[cfg(test)]
pub(crate) mod tests;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config;
use crate::reading::{ChannelId, SensorId, Timestamp};

pub use device::DriveError;
pub use governor::{Cause, Refused};
pub use running::{Running, start};
use worker::Ask;

/// How long whoever sets an output waits for it: a bus that hangs gives up sooner, but for several parts on it.
const PATIENCE: Duration = Duration::from_secs(5);

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
