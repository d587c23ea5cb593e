//! What a sensor driver is, and the one table of them. A driver reads one device and declares its
//! quantities; it starts no thread, knows no MQTT and decides no policy.

mod ads1x15;
mod bme280;
mod camera;
mod host;
mod i2c;
mod options;
pub mod registry;
mod sim;
mod simulate;

use std::fmt;
use std::time::Duration;

use crate::bus::{BusError, Buses};
use crate::reading::{Measured, Quantity, ValueKind};

pub use registry::{DriverKind, OptionProblem, find, registry};

/// What a driver says of one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantityInfo {
    /// Name, for example `temperature`.
    pub name: Quantity,
    /// Unit of the driver's values, for example `°C`; empty for none.
    pub unit: &'static str,
    /// Kind of the driver's values.
    pub kind: ValueKind,
    /// What the part can measure (data sheet), in `unit`; outside it a value is a fault.
    pub range: Option<(f64, f64)>,
}

/// What a driver shares with others: sensors on one bus are read by one worker, one after another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attachment {
    /// An address on an I2C bus (`i2c-1`, `sim-1`).
    I2c {
        /// Name of the bus.
        bus: String,
        /// 7-bit address.
        address: u8,
    },
    /// Nothing that could conflict; read by the worker of this name (`host`, `sim`).
    Worker(&'static str),
    /// Something slow that nothing else sits on: read by a worker of its own of this name, or with others of
    /// the same name, one after another.
    Alone(String),
}

impl Attachment {
    /// Name of the worker that reads it.
    pub fn worker(&self) -> &str {
        match self {
            Attachment::I2c { bus, .. } => bus,
            Attachment::Worker(name) => name,
            Attachment::Alone(name) => name,
        }
    }
}

/// A driver with its options checked: knows what it will yield, has opened nothing yet.
pub trait Driver: fmt::Debug + Send + Sync {
    /// The driver's name in the registry.
    fn name(&self) -> &'static str;

    /// What it measures; positions in this list are [`Measured::quantity`].
    fn quantities(&self) -> &[QuantityInfo];

    /// Where it sits.
    fn attachment(&self) -> Attachment;

    /// How long one read may take at most when all is well, opening included. Where that is more than the
    /// usual time-out, it is the time-out unless the configuration says otherwise.
    fn longest_read(&self) -> Duration {
        Duration::ZERO
    }

    /// Opens and initialises the device. Called again after every failure, so it must leave nothing behind.
    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError>;
}

/// An opened device.
pub trait Device: Send {
    /// Reads once. May block for as long as a conversion takes (data sheet), never without a bound.
    ///
    /// A quantity that could not be read this time is left out; when none could, that is an error.
    fn read(&mut self) -> Result<Vec<Measured>, SensorError>;
}

/// Why a sensor did not answer, worded for the person who wired it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SensorError {
    /// Nobody acknowledged the address.
    #[error("no answer from address {address:#04x} on {bus}: check wiring, power and address")]
    NoAnswer {
        /// Bus name.
        bus: String,
        /// 7-bit address.
        address: u8,
    },
    /// Something answered, but not what was expected.
    #[error("{0}")]
    WrongAnswer(String),
    /// The bus itself is not to be had.
    #[error("{0}")]
    Bus(String),
    /// The driver panicked.
    #[error("the driver failed: {0}")]
    Panicked(String),
}

impl From<BusError> for SensorError {
    fn from(error: BusError) -> Self {
        SensorError::Bus(error.to_string())
    }
}
