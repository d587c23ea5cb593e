//! The way into a running worker: a few orders for one sensor, each answered once it is carried out. Decides
//! neither who may give them nor how they come.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bell::Bell;
use crate::config::Change;
use crate::reading::{Quantity, SensorId, Value};

/// Orders that can wait at one worker.
pub(super) const MOST_ORDERS: usize = 16;

/// Beyond its time-out a sensor hangs; nobody waits longer than this in any case.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a sensor can be ordered to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Be read now; what has changed enough goes the usual way.
    Read,
    /// Be read now; everything goes the usual way, whether it has changed or not.
    Republish,
    /// Be read at this interval from now on, until it starts again or its configuration changes.
    Interval(Duration),
    /// Let a quantity pass when it has changed by so much from now on; until the same.
    Change(Quantity, Change),
    /// Be read no more.
    Pause,
    /// Be read again, at once and then as before.
    Resume,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such sensor.
    #[error("there is no sensor \"{0}\"")]
    UnknownSensor(String),
    /// The sensor has no such quantity.
    #[error("sensor {0} has no quantity \"{1}\"")]
    UnknownQuantity(SensorId, Quantity),
    /// The sensor answered an error.
    #[error("sensor {0}: {1}")]
    Failed(SensorId, String),
    /// It is at work, or hangs; the order may still be carried out.
    #[error("sensor {0} does not answer: its bus is busy or hangs")]
    Busy(SensorId),
    /// The workers have ended.
    #[error("sensors are not read any more")]
    Ended,
}

/// What a sensor read, calibrated, with the unit; nothing for the other orders.
pub type Obeyed = Result<Vec<(Quantity, Value, String)>, OrderError>;

/// An order on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub sensor: SensorId,
    pub order: Order,
    pub reply: SyncSender<Obeyed>,
}

/// Where a sensor is read.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    /// Of its worker.
    pub bell: Arc<Bell>,
    /// Of the sensor.
    pub timeout: Duration,
    /// What it was ordered to do here.
    pub ordered: Ordered,
}

/// What lasts of the orders that a sensor was given since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ordered {
    /// It is read at this interval, not at that of its configuration.
    pub interval: Option<Duration>,
    /// It is not read.
    pub paused: bool,
}

/// Handle on the sensors of all workers, whichever there are at the time. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Control {
    desks: Arc<Mutex<BTreeMap<SensorId, Desk>>>,
}

impl Control {
    /// Gives an order and waits until it is carried out: as long as the sensor may take, at most 30 s.
    ///
    /// # Errors
    /// Why it was not.
    pub fn order(&self, sensor: &str, order: Order) -> Obeyed {
        let found = self.desks().get_key_value(sensor).map(|(id, desk)| (id.clone(), desk.clone()));
        let (id, desk) = found.ok_or_else(|| OrderError::UnknownSensor(sensor.to_owned()))?;
        let (reply, answer) = sync_channel(1);
        if !desk.bell.order(Pending { sensor: id.clone(), order: order.clone(), reply }) {
            return Err(OrderError::Busy(id));
        }
        let patience = desk.timeout.saturating_add(Duration::from_secs(1)).min(LONGEST_WAIT);
        match answer.recv_timeout(patience) {
            Ok(obeyed) => {
                if obeyed.is_ok() {
                    self.obeyed(&id, &order);
                }
                obeyed
            }
            Err(RecvTimeoutError::Timeout) => Err(OrderError::Busy(id)),
            Err(RecvTimeoutError::Disconnected) => Err(OrderError::Ended),
        }
    }

    /// What lasts of the orders to a sensor.
    pub fn ordered(&self, sensor: &str) -> Ordered {
        self.desks().get(sensor).map(|desk| desk.ordered).unwrap_or_default()
    }

    fn obeyed(&self, sensor: &SensorId, order: &Order) {
        let mut desks = self.desks();
        let Some(Desk { ordered, .. }) = desks.get_mut(sensor) else { return };
        match order {
            Order::Interval(interval) => ordered.interval = Some(*interval),
            Order::Pause => ordered.paused = true,
            Order::Resume => ordered.paused = false,
            Order::Read | Order::Republish | Order::Change(..) => {}
        }
    }

    /// From now on the sensor is read here, or nowhere.
    pub(super) fn seat(&self, sensor: &SensorId, desk: Option<Desk>) {
        match desk {
            Some(desk) => drop(self.desks().insert(sensor.clone(), desk)),
            None => drop(self.desks().remove(sensor)),
        }
    }

    /// The sensor's configuration has changed: it may take so long from now on, and its interval is the configured one.
    pub(super) fn adjusted(&self, sensor: &SensorId, timeout: Duration) {
        if let Some(desk) = self.desks().get_mut(sensor) {
            desk.timeout = timeout;
            desk.ordered.interval = None;
        }
    }

    fn desks(&self) -> MutexGuard<'_, BTreeMap<SensorId, Desk>> {
        // Nothing under the lock can panic halfway through a change.
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
