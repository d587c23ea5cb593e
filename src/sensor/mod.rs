//! What a sensor driver is, and the one table of them. A driver reads one device and declares its
//! quantities; it starts no thread, knows no MQTT and decides no policy.

mod ads1x15;
mod aht20;
mod bh1750;
mod bme280;
mod bmp390;
pub(crate) mod camera;
mod chip;
#[cfg(test)]
mod contract;
mod dht;
mod digital_input;
mod ds18b20;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod host;
mod hwmon;
mod i2c;
mod iio;
mod ina219;
mod lm75;
mod mcp3008;
mod mcp9808;
mod options;
mod pins;
mod pms5003;
mod pulse_counter;
pub mod registry;
mod scan;
mod scd4x;
mod sht3x;
mod sht4x;
mod si7021;
mod sim;
mod simulate;
mod sysfs;
#[cfg(test)]
mod testing;
mod veml7700;
mod vl53l0x;

use std::fmt;
use std::time::Duration;

use crate::bus::gpio::{Pins, Waker};
use crate::bus::{BusError, Buses};
use crate::reading::{Measured, Quantity, ValueKind};

pub use crate::config::options::OptionProblem;
pub use registry::{DriverKind, find, registry};
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
    /// A pin of its own.
    Gpio {
        /// Whose pins.
        pins: Pins,
        /// BCM number.
        pin: u8,
    },
    /// A pin of a port expander, which several sensors may share.
    Expander {
        /// Name of the bus.
        bus: String,
        /// 7-bit address.
        address: u8,
        /// Name of the chip.
        chip: &'static str,
        /// Number of the pin.
        pin: u8,
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
            Attachment::I2c { bus, .. } | Attachment::Spi { bus } | Attachment::Expander { bus, .. } => bus,
            Attachment::Serial { port } => port,
            Attachment::Gpio { pins, .. } => pins.name(),
            Attachment::Worker(name) => name,
            Attachment::Alone(name) => name,
        }
    }

    /// Why both cannot be there, in words that follow "is taken by …", or nothing.
    pub fn clash(&self, other: &Attachment) -> Option<String> {
        match (self, other) {
            (Attachment::Gpio { .. } | Attachment::Spi { .. } | Attachment::Serial { .. }, _)
                if self == other =>
            {
                Some(self.to_string())
            }
            (
                Attachment::Expander { bus, address, chip, pin },
                Attachment::Expander { bus: bus2, address: address2, chip: chip2, pin: pin2 },
            ) if (bus, address, chip) == (bus2, address2, chip2) => (pin == pin2).then(|| self.to_string()),
            _ if self.address().is_some() && self.address() == other.address() => {
                self.address().map(|(bus, address)| format!("address {address:#04x} on {bus}"))
            }
            _ => None,
        }
    }

    /// The pin of this machine's header (BCM number) that it takes, if it takes one.
    pub fn header_pin(&self) -> Option<u8> {
        match self {
            Attachment::Gpio { pins: Pins::Header, pin } => Some(*pin),
            _ => None,
        }
    }

    /// The bus and address that it answers to, if it has one.
    pub fn address(&self) -> Option<(&str, u8)> {
        match self {
            Attachment::I2c { bus, address } | Attachment::Expander { bus, address, .. } => {
                Some((bus, *address))
            }
            Attachment::Gpio { .. }
            | Attachment::Spi { .. }
            | Attachment::Serial { .. }
            | Attachment::Worker(_)
            | Attachment::Alone(_) => None,
        }
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attachment::I2c { bus, address } => write!(f, "address {address:#04x} on {bus}"),
            Attachment::Spi { bus } => f.write_str(bus),
            Attachment::Serial { port } => f.write_str(port),
            Attachment::Gpio { pins: Pins::Header, pin } => write!(f, "pin {pin}"),
            Attachment::Gpio { pins, pin } => write!(f, "pin {pin} of {pins}"),
            Attachment::Expander { bus, address, chip, pin } => {
                let place = if *chip == "PCA9685" { "channel" } else { "pin" };
                write!(f, "{place} {pin} of the {chip} at address {address:#04x} on {bus}")
            }
            Attachment::Worker(name) => f.write_str(name),
            Attachment::Alone(name) => f.write_str(name),
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

    /// How long one read may take at most when all is well, opening included, where that is more than a
    /// fraction of a second. The time-out is longer by this unless the configuration says one.
    fn longest_read(&self) -> Duration {
        Duration::ZERO
    }

    /// Opens and initialises the device. Called again after every failure, so it must leave nothing behind.
    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError>;

    /// Positions of the quantities that go on where the log left off, such as a meter's total.
    fn resumes(&self) -> &[usize] {
        &[]
    }

    /// The last logged value of one of them, in the driver's unit. Said before the first `open`, and not at all
    /// when there is none.
    fn resume(&self, _quantity: usize, _value: f64) {}
}

/// An opened device.
pub trait Device: Send {
    /// Reads once. May block for as long as a conversion takes (data sheet), never without a bound.
    ///
    /// A quantity that could not be read this time is left out; when none could, that is an error. A device
    /// that cannot say anything at this moment (it has measured nothing yet, or nothing new), and is not at
    /// fault, answers an empty list.
    fn read(&mut self) -> Result<Vec<Measured>, SensorError>;

    /// What it has to say between its readings, for a device that notices by itself.
    fn events(&mut self) -> Option<&mut dyn Events> {
        None
    }
}

/// What happens to a device between its readings. Times are of the kernel's monotonic clock.
pub trait Events {
    /// Names whom to call when there is something to take. Said once, after the device was opened.
    fn wake_by(&mut self, waker: Waker);

    /// What has happened up to `now`. Never waits. After an error the device is closed and opened again.
    fn take(&mut self, now: Duration) -> Result<Taken, SensorError>;

    /// When to take next though nobody called: something that is under way will be decided then.
    fn due(&self) -> Option<Duration>;
}

/// What has happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// Samples, each with its own time, oldest first, none older than what was taken or read before.
    pub samples: Vec<EventSample>,
    /// Edges (or whatever it counts) that are known to be missing.
    pub lost: u64,
}

/// A sample that an event brought about.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSample {
    /// When it happened, by the kernel's monotonic clock.
    pub at: Duration,
    /// What was measured.
    pub measured: Vec<Measured>,
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
