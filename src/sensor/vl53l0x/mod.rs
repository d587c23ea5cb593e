//! ST VL53L0X: distance by time of flight, over I2C (data sheet DS11555).
//!
//! The `vl53l0x` crate speaks the registers, which ST documents by source code only. What it leaves out is done
//! here: it asks up to 65,535 times whether the chip is ready, so every transfer is counted; and it does not
//! look at the status of a range, so that "nothing there" reads as 8190 mm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::vl53l0x::{Error, VL53L0x};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::i2c::failure;
use super::options::{self, Address, OnBus, note};
use super::simulate::{self, Course, Fault};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::sim::scenario::Scenario;
use crate::bus::sim::vl53l0x::Vl53l0x as SimulatedVl53l0x;
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "vl53l0x",
    summary: "ST VL53L0X on I2C: distance up to 2 m",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure,
};

/// After power-up (section 3); another one is lost with the supply.
static ADDRESSES: [u8; 1] = [0x29];

const RANGE_STATUS: u8 = 0x14;

/// Device range status "measurement complete" (VL53L0X_DEVICEERROR_RANGECOMPLETE of ST's programming interface).
const COMPLETE: u8 = 11;

/// mm; the most that section 5.2 promises, to a white target in the dark.
const FARTHEST: u16 = 2000;

/// Initialisation is a hundred transfers and two calibrations of some ms.
const OPENING: Duration = Duration::from_secs(2);

/// Before a question of one register.
const PAUSE: Duration = Duration::from_micros(300);

/// A question with its pause on a bus of 100 kHz, where it is 39 bits. A bus of 400 kHz and more takes half of it.
const QUESTION: Duration = Duration::from_micros(700);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x29, the one after power-up.
    #[schemars(extend("default" = "0x29"))]
    address: Option<Address>,
    /// Time for one measurement in ms, 20 to 1000: longer is more precise (33 for ± 5 %, 200 for ± 3 %).
    #[schemars(extend("default" = 33, "minimum" = 20, "maximum" = 1000))]
    budget: Option<u16>,
    /// On a simulated bus: what it looks at.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// mm; beyond 2000 there is nothing to be seen.
    distance: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Vl53l0x {
    bus: BusName,
    address: u8,
    /// ms
    budget: u16,
    simulate: Simulate,
    quantities: [QuantityInfo; 2],
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let bus = options.bus.map(|bus| bus.0);
    let address = options.address.unwrap_or(Address(ADDRESSES[0])).one_of("a VL53L0X", &ADDRESSES);
    let address = note(&mut problems, "address", address);
    let budget = options.budget.unwrap_or(33);
    if !(20..=1000).contains(&budget) {
        problems.push(OptionProblem::new("budget", format!("{budget} ms is not between 20 and 1000")));
    }
    let simulate = simulate::option(bus, options.simulate.as_ref(), &mut problems);
    match (bus, address, simulate) {
        (Some(bus), Some(address), Some(simulate)) if problems.is_empty() => {
            Ok(Arc::new(Vl53l0x { bus, address, budget, simulate, quantities: quantities() }))
        }
        _ => Err(problems),
    }
}

fn quantities() -> [QuantityInfo; 2] {
    let range = Some((0.0, f64::from(FARTHEST)));
    [
        QuantityInfo { name: "distance".into(), unit: "mm", kind: ValueKind::Integer, range },
        QuantityInfo { name: "in_range".into(), unit: "", kind: ValueKind::Bool, range: Some((0.0, 1.0)) },
    ]
}

impl Vl53l0x {
    fn attach_simulated(&self, buses: &Buses) -> Result<(), SensorError> {
        let Simulate { distance, fault } = self.simulate.clone();
        let sweep = Scenario::Sine { min: 100.0, max: 1200.0, period: Duration::from_secs(60), phase: 0.0 };
        let make = |now| {
            let chip = SimulatedVl53l0x::new(distance.map_or(sweep, Course::scenario));
            simulate::with_fault(Box::new(chip), fault, now)
        };
        let description = format!("vl53l0x {:?}", self.simulate);
        Ok(buses.simulate(&self.bus.to_string(), self.address, &description, make)?)
    }
}

impl Driver for Vl53l0x {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::I2c { bus: self.bus.to_string(), address: self.address }
    }

    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        if self.bus.is_simulated() {
            self.attach_simulated(buses)?;
        }
        let bus = buses.i2c(&self.bus.to_string())?;
        let left = Transfers::default();
        left.enough_for(OPENING);
        let wrong = |error| wrong(&bus, self.address, error);
        let bounded = Bounded { bus: bus.clone(), left: left.clone() };
        let mut chip = VL53L0x::with_address(bounded, self.address).map_err(wrong)?;
        let budget = u32::from(self.budget) * 1000;
        if !chip.set_measurement_timing_budget(budget).map_err(|error| wrong(Error::BusError(error)))? {
            return Err(SensorError::WrongAnswer(format!(
                "VL53L0X at address {:#04x} on {}: it cannot measure within {} ms",
                self.address,
                bus.name(),
                self.budget
            )));
        }
        let patience = 3 * Duration::from_millis(self.budget.into()) + Duration::from_millis(200);
        Ok(Box::new(Opened { bus, address: self.address, chip, left, patience }))
    }
}

/// How many transfers are still let through; shared with the handle that the crate has swallowed. Counted, not timed:
/// on a busy machine time goes by in which nobody asks, and that is not the chip's fault.
#[derive(Debug, Clone, Default)]
struct Transfers(Arc<AtomicU32>);

impl Transfers {
    /// As many as there are questions in this time.
    fn enough_for(&self, time: Duration) {
        let questions = time.as_micros() / QUESTION.as_micros();
        self.0.store(u32::try_from(questions).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Whether there was one more.
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// The bus, for so many transfers: what bounds the crate's loops.
struct Bounded {
    bus: I2cBus,
    left: Transfers,
}

impl ErrorType for Bounded {
    type Error = I2cError;
}

impl I2c for Bounded {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        if !self.left.take() {
            let bus = self.bus.name();
            return Err(I2cError::other(format!(
                "VL53L0X at address {address:#04x} on {bus}: it does not finish its measurement; check its supply"
            )));
        }
        // The crate counts its questions and not the time: at most 10,000 of them, which a fast bus answers
        // before the chip has measured. A pause also leaves the bus to others.
        if let [Operation::Write([_]), Operation::Read([_])] = operations {
            std::thread::sleep(PAUSE);
        }
        self.bus.transaction(address, operations)
    }
}

fn wrong(bus: &I2cBus, address: u8, error: Error<I2cError>) -> SensorError {
    let what = match error {
        Error::BusError(error) => return failure(bus.name(), address, &error),
        Error::InvalidDevice(id) => format!("it answers as chip {id:#04x}, not as a VL53L0X (0xee)"),
        Error::Timeout => "it does not finish its measurement; check its supply".to_owned(),
        Error::InvalidAddress(address) => format!("{address:#04x} is no address"),
    };
    SensorError::WrongAnswer(format!("VL53L0X at address {address:#04x} on {}: {what}", bus.name()))
}

struct Opened {
    bus: I2cBus,
    address: u8,
    chip: VL53L0x<Bounded>,
    left: Transfers,
    /// For one measurement.
    patience: Duration,
}

impl Device for Opened {
    /// Nothing within reach is no failure: `in_range` says so, and there is no distance.
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.left.enough_for(self.patience);
        let millimetres = self
            .chip
            .read_range_single_millimeters_blocking()
            .map_err(|error| wrong(&self.bus, self.address, error))?;
        let mut status = [0];
        self.bus
            .write_read(self.address, &[RANGE_STATUS], &mut status)
            .map_err(|error| failure(self.bus.name(), self.address, &error))?;
        // A chip that was reset answers 0 mm with status 0 ("none yet"), a hung bus all ones.
        let status = status[0] >> 3 & 0b1111;
        if status == 0 || millimetres == 0xFFFF {
            return Err(SensorError::WrongAnswer(format!(
                "VL53L0X at address {:#04x} on {}: it has lost its settings, as after a drop of its supply",
                self.address,
                self.bus.name()
            )));
        }
        let seen = status == COMPLETE && millimetres <= FARTHEST;
        let mut measured = Vec::with_capacity(2);
        if seen {
            measured.push(Measured { quantity: 0, value: Value::Integer(millimetres.into()) });
        }
        measured.push(Measured { quantity: 1, value: Value::Bool(seen) });
        Ok(measured)
    }
}

#[cfg(test)]
mod tests;
