//! ROHM BH1750FVI: illuminance over I2C (data sheet 10046EDT01).
//!
//! Written here rather than taken from the crate `bh1750`, which reads after 144 ms what may take 180. The
//! chip has neither id nor checksum nor registers to read back, so every reading sets everything anew.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, rounded, simulation};
use super::options::{self, Address, OnBus};
use super::simulate::{Course, Fault};
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::bh1750::Bh1750 as SimulatedBh1750;
use crate::bus::sim::scenario::Scenario;
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "bh1750",
    summary: "ROHM BH1750 on I2C: illuminance",
    options: options::schema::<Options>,
    configure,
};

/// ADDR low (or open, on modules), ADDR high ("Slave Address").
const ADDRESSES: [u8; 2] = [0x23, 0x5C];

// "Instruction Set Architecture".
const POWER_ON: u8 = 0x01;
const RESET: u8 = 0x07;

const DEFAULT_TIME: u8 = 69;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x23 (ADDR low or open) or 0x5c (ADDR to VCC).
    #[schemars(extend("default" = "0x23"))]
    address: Option<Address>,
    /// Resolution: high (1 lx, up to 54 612 lx), high2 (0.5 lx, half the range) or low (4 lx, eight times as fast).
    #[schemars(extend("default" = "high"))]
    resolution: Option<Resolution>,
    /// Measurement time register, 31 to 254: more is slower and finer (for chips behind a dark window), less
    /// reaches further.
    #[schemars(extend("default" = 69, "minimum" = 31, "maximum" = 254))]
    measurement_time: Option<u8>,
    /// On a simulated bus: how the light changes.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Resolution {
    #[default]
    High,
    High2,
    Low,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// lx.
    illuminance: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug, Clone)]
struct Bh1750 {
    resolution: Resolution,
    time: u8,
    illuminance: Option<Course>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("a BH1750", options.bus, options.address, &ADDRESSES, &mut problems);
    let time = options.measurement_time.unwrap_or(DEFAULT_TIME);
    if !(31..=254).contains(&time) {
        problems.push(OptionProblem::new("measurement_time", format!("{time} is not from 31 to 254")));
    }
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(Simulate { illuminance, fault })) = (wired, simulate) else {
        return Err(problems);
    };
    let chip = Bh1750 { resolution: options.resolution.unwrap_or_default(), time, illuminance };
    let quantities = vec![quantity("illuminance", "lx", (0.0, chip.lux(u16::MAX)))];
    OnI2c { name: KIND.name, wired, quantities, fault, chip }.unless(problems)
}

impl Bh1750 {
    /// "Measurement Mode" and the section on the measurement time register: 1.2 counts a lx.
    fn lux(&self, count: u16) -> f64 {
        let counts_per_lux = if self.resolution == Resolution::High2 { 2.4 } else { 1.2 };
        rounded(f64::from(count) / counts_per_lux * f64::from(DEFAULT_TIME) / f64::from(self.time), 2)
    }

    /// The instruction for one measurement, and its longest time ("Electrical Characteristics").
    fn instruction(&self) -> (u8, Duration) {
        let (instruction, milliseconds) = match self.resolution {
            Resolution::High => (0x20, 180),
            Resolution::High2 => (0x21, 180),
            Resolution::Low => (0x23, 24),
        };
        let time = Duration::from_millis(milliseconds) * u32::from(self.time) / u32::from(DEFAULT_TIME);
        (instruction, time + Duration::from_millis(1))
    }
}

impl Chip for Bh1750 {
    fn simulated(&self) -> Box<dyn Simulated> {
        let day = Scenario::Sine { min: 20.0, max: 800.0, period: Duration::from_secs(600), phase: 0.0 };
        Box::new(SimulatedBh1750::new(self.illuminance.clone().map_or(day, Course::scenario)))
    }

    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        link.write(&[POWER_ON])?;
        Ok(Box::new(Opened { link, chip: self.clone() }))
    }
}

struct Opened {
    link: Link,
    chip: Bh1750,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let (instruction, time) = self.chip.instruction();
        // The reset empties the data register: what is read afterwards is of this measurement or 0, never
        // the last one again. It is heard only when powered.
        let [high, low] = [0x40 | self.chip.time >> 5, 0x60 | self.chip.time & 0x1F];
        for byte in [POWER_ON, RESET, high, low, instruction] {
            self.link.write(&[byte])?;
        }
        sleep(time);
        let count = u16::from_be_bytes(self.link.read()?);
        if count == u16::MAX {
            let most = self.chip.lux(count);
            return Err(self.link.wrong(format!(
                "it is brighter than the {most} lx that it can measure so: choose resolution: high and a smaller \
                 measurement_time"
            )));
        }
        Ok(vec![measured(0, self.chip.lux(count))])
    }
}

#[cfg(test)]
mod tests;
