//! An I2C chip as a driver: where it is wired, the simulated one in its place, and transfers whose errors
//! name it. What the chip's registers mean is for the chip's own file.

use std::fmt;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use embedded_hal::i2c::I2c;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::i2c::failure;
use super::options::{self, Address, OnBus, note};
use super::simulate::{self, Fault};
use super::{Attachment, Device, Driver, OptionProblem, QuantityInfo, SensorError};
use crate::bus::crc::crc8;
use crate::bus::sim::Simulated;
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::{Measured, Value, ValueKind};

/// Where a chip is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wired {
    pub(super) bus: BusName,
    /// 7 bits.
    pub(super) address: u8,
}

impl Wired {
    /// From the options, at the first of the `possible` addresses unless they say otherwise; `part` is for
    /// the message, with its article.
    pub(super) fn of(
        part: &str,
        bus: Option<OnBus>,
        address: Option<Address>,
        possible: &[u8],
        problems: &mut Vec<OptionProblem>,
    ) -> Option<Self> {
        let address = address.or(possible.first().copied().map(Address))?;
        let address = note(problems, "address", address.one_of(part, possible));
        Some(Self { bus: bus?.0, address: address? })
    }
}

/// The `simulate` option, which only a simulated bus may have.
pub(super) fn simulation<S: DeserializeOwned + JsonSchema + Default>(
    bus: Option<OnBus>,
    given: Option<&Map<String, Json>>,
    problems: &mut Vec<OptionProblem>,
) -> Option<S> {
    let Some(given) = given else { return Some(S::default()) };
    simulate::on_simulated_bus(bus.map(|bus| bus.0), problems)?;
    let (simulate, more) = options::parse("simulate.", given);
    problems.extend(more);
    Some(simulate)
}

/// A quantity whose values are numbers between these two (data sheet).
pub(super) fn quantity(name: &'static str, unit: &'static str, range: (f64, f64)) -> QuantityInfo {
    QuantityInfo { name: name.into(), unit, kind: ValueKind::Float, range: Some(range) }
}

/// A number that was measured.
pub(super) fn measured(quantity: usize, value: f64) -> Measured {
    Measured { quantity, value: Value::Float(value) }
}

/// To this many decimals: no digits that are only noise of the conversion.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// What a chip's file says of it, its options checked.
pub(super) trait Chip: fmt::Debug + Send + Sync {
    /// A simulated one, behaving as the `simulate` option says.
    fn simulated(&self) -> Box<dyn Simulated>;

    /// Sees that it is there and the right one, and sets it up. Called again after every failure.
    fn open(&self, link: Link) -> Result<Box<dyn Device>, SensorError>;
}

/// A chip at its address, as a driver.
#[derive(Debug)]
pub(super) struct OnI2c<C> {
    pub(super) name: &'static str,
    pub(super) wired: Wired,
    pub(super) quantities: Vec<QuantityInfo>,
    pub(super) fault: Option<Fault>,
    pub(super) chip: C,
}

impl<C: Chip + 'static> OnI2c<C> {
    /// The driver, unless something was wrong with the options.
    pub(super) fn unless(self, problems: Vec<OptionProblem>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
        if problems.is_empty() { Ok(Arc::new(self)) } else { Err(problems) }
    }
}

impl<C: Chip> Driver for OnI2c<C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::I2c { bus: self.wired.bus.to_string(), address: self.wired.address }
    }

    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        let Wired { bus, address } = self.wired;
        if bus.is_simulated() {
            let description = format!("{} {:?} {:?}", self.name, self.chip, self.fault);
            let make = |now| simulate::with_fault(self.chip.simulated(), self.fault, now);
            buses.simulate(&bus.to_string(), address, &description, make)?;
        }
        let link =
            || Ok::<_, SensorError>(Link { name: self.name, bus: buses.i2c(&bus.to_string())?, address });
        let device = self.chip.open(link()?)?;
        Ok(Box::new(Believable { device, link: link()?, quantities: self.quantities.clone() }))
    }
}

/// A device whose values beyond what the part can measure are errors.
struct Believable {
    device: Box<dyn Device>,
    link: Link,
    quantities: Vec<QuantityInfo>,
}

impl Device for Believable {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let measured = self.device.read()?;
        for one in &measured {
            let (info, value) = (&self.quantities[one.quantity], one.value.as_f64().unwrap_or_default());
            if let Some((low, high)) = info.range
                && !(low..=high).contains(&value)
            {
                let (name, unit) = (&info.name, info.unit);
                return Err(self.link.wrong(format!(
                    "its {name} of {value} {unit} is outside {low}…{high} {unit}; check wiring and power"
                )));
            }
        }
        Ok(measured)
    }
}

/// The way to one chip.
#[derive(Debug)]
pub(super) struct Link {
    name: &'static str,
    bus: I2cBus,
    address: u8,
}

impl Link {
    /// One write.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SensorError> {
        self.bus.write(self.address, bytes).map_err(|error| self.failure(&error))
    }

    /// One read.
    pub(super) fn read<const N: usize>(&mut self) -> Result<[u8; N], SensorError> {
        let mut buffer = [0; N];
        self.bus.read(self.address, &mut buffer).map_err(|error| self.failure(&error))?;
        Ok(buffer)
    }

    /// A write and, after a repeated start, a read: what a register holds.
    pub(super) fn ask<const N: usize>(&mut self, bytes: &[u8]) -> Result<[u8; N], SensorError> {
        let mut buffer = [0; N];
        self.bus.write_read(self.address, bytes, &mut buffer).map_err(|error| self.failure(&error))?;
        Ok(buffer)
    }

    /// What a command leads to after at most `time`. Until then the chip does not acknowledge; one that
    /// took the command and is still busy after as long again is stuck.
    pub(super) fn answer<const N: usize>(
        &mut self,
        command: &[u8],
        time: Duration,
    ) -> Result<[u8; N], SensorError> {
        self.write(command)?;
        sleep(time);
        match self.read() {
            Err(SensorError::NoAnswer { .. }) => sleep(time + Duration::from_millis(10)),
            result => return result,
        }
        match self.read() {
            Err(SensorError::NoAnswer { .. }) => {
                let what = "it took a command and does not answer it; check power and wiring";
                Err(self.wrong(what))
            }
            result => result,
        }
    }

    /// Two bytes, most significant first, if the third is their checksum from this starting value.
    pub(super) fn word(&self, start: u8, bytes: &[u8]) -> Result<u16, SensorError> {
        if let [high, low, sum] = *bytes
            && crc8(start, &[high, low]) == sum
        {
            return Ok(u16::from_be_bytes([high, low]));
        }
        Err(self.wrong_sum())
    }

    /// The error for an answer whose checksum does not fit.
    pub(super) fn wrong_sum(&self) -> SensorError {
        self.wrong("the checksum of its answer is wrong; use short wires, and pull-ups of 2 to 10 kΩ")
    }

    /// The error for a transfer that failed.
    pub(super) fn failure(&self, error: &I2cError) -> SensorError {
        failure(self.bus.name(), self.address, error)
    }

    /// The error for an answer that cannot be right; `what` says why and what to do.
    pub(super) fn wrong(&self, what: impl fmt::Display) -> SensorError {
        let (address, bus) = (self.address, self.bus.name());
        SensorError::WrongAnswer(format!("{} at address {address:#04x} on {bus}: {what}", self.name))
    }
}

#[cfg(test)]
impl Link {
    /// A way past the driver, to do what another program might.
    pub(super) fn for_test(name: &'static str, bus: I2cBus, address: u8) -> Self {
        Self { name, bus, address }
    }
}
