//! What a sensor driver is, and the one table of them. A driver reads one device and declares its
//! quantities; it starts no thread, knows no MQTT and decides no policy.

mod ads1x15;
mod bme280;
mod ds18b20;
mod host;
mod hwmon;
mod i2c;
mod iio;
mod ina219;
mod mcp3008;
mod options;
mod pms5003;
pub mod registry;
mod scan;
mod scd4x;
mod sim;
mod simulate;
mod sysfs;
mod vl53l0x;

use std::fmt;
use std::time::Duration;

use crate::bus::{BusError, Buses};
use crate::reading::{Measured, Quantity, ValueKind};

pub use registry::{DriverKind, OptionProblem, find, registry};
pub use scan::{KernelSensor, drivers_at, kernel_sensors};

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
    /// A chip select of an SPI controller (`spi-0.0`, `sim-0.0`).
    Spi {
        /// Name of the bus, chip select included.
        bus: String,
    },
    /// A serial port, all of it.
    Serial {
        /// Path of the port (`/dev/serial0`).
        port: String,
    },
    /// Nothing that could conflict; read by the worker of this name (`host`, `sim`).
    Worker(&'static str),
}

impl Attachment {
    /// Name of the worker that reads it.
    pub fn worker(&self) -> &str {
        match self {
            Attachment::I2c { bus, .. } | Attachment::Spi { bus } => bus,
            Attachment::Serial { port } => port,
            Attachment::Worker(name) => name,
        }
    }

    /// What it occupies, in words: no two sensors can sit in one place. `None` for what can be shared.
    pub fn place(&self) -> Option<String> {
        match self {
            Attachment::I2c { bus, address } => Some(format!("address {address:#04x} on {bus}")),
            Attachment::Spi { bus } => Some(bus.clone()),
            Attachment::Serial { port } => Some(port.clone()),
            Attachment::Worker(_) => None,
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

    /// How long a read takes by the data sheet, where that is more than a fraction of a second. The time-out
    /// is longer by this unless the user says one.
    fn read_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Opens and initialises the device. Called again after every failure, so it must leave nothing behind.
    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError>;
}

/// An opened device.
pub trait Device: Send {
    /// Reads once. May block for as long as a conversion takes (data sheet), never without a bound.
    ///
    /// A quantity that could not be read this time is left out; when none could, that is an error. An empty
    /// answer means that the part, though well, has measured nothing yet (its first value takes seconds).
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
