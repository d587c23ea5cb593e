//! Sensirion SHT30, SHT31 and SHT35: air temperature and relative humidity over I2C (data sheet "SHT3x-DIS",
//! version 7).
//!
//! Written here rather than taken from the crate `embedded-sht3x`, which brings a dozen others.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, rounded, simulation};
use super::options::{self, Address, OnBus};
use super::sht4x::{Precision, SUM_START, Simulate};
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::sht::sht3x;
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "sht3x",
    summary: "Sensirion SHT30, SHT31 or SHT35 on I2C: temperature and humidity",
    options: options::schema::<Options>,
    configure,
};

/// ADDR low, ADDR high ("I2C Address").
const ADDRESSES: [u8; 2] = [0x44, 0x45];

// "Break command", "Heater", "Status Register".
const BREAK: [u8; 2] = [0x30, 0x93];
const HEATER_OFF: [u8; 2] = [0x30, 0x66];
const STATUS: [u8; 2] = [0xF3, 0x2D];

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x44 (ADDR to ground) or 0x45 (ADDR to VDD).
    #[schemars(extend("default" = "0x44"))]
    address: Option<Address>,
    /// Precision of a measurement: high (0.04 °C, 0.08 %), medium (0.08 °C, 0.15 %) or low (0.15 °C, 0.21 %).
    #[schemars(extend("default" = "high"))]
    precision: Option<Precision>,
    /// On a simulated bus: how the air behaves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug)]
struct Sht3x {
    precision: Precision,
    simulate: Simulate,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("an SHT3x", options.bus, options.address, &ADDRESSES, &mut problems);
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(simulate)) = (wired, simulate) else { return Err(problems) };
    let fault = simulate.fault;
    let chip = Sht3x { precision: options.precision.unwrap_or_default(), simulate };
    // "Humidity Sensor Performance", "Temperature Sensor Performance".
    let quantities =
        vec![quantity("temperature", "°C", (-40.0, 125.0)), quantity("humidity", "%", (0.0, 100.0))];
    OnI2c { name: KIND.name, wired, quantities, fault, chip }.unless(problems)
}

/// Command of a single measurement without clock stretching, and its longest time ("Timing Specifications", at the
/// lowest supply).
fn command(precision: Precision) -> ([u8; 2], Duration) {
    match precision {
        Precision::High => ([0x24, 0x00], Duration::from_micros(15_500)),
        Precision::Medium => ([0x24, 0x0B], Duration::from_micros(6_500)),
        Precision::Low => ([0x24, 0x16], Duration::from_micros(4_500)),
    }
}

impl Chip for Sht3x {
    fn simulated(&self) -> Box<dyn Simulated> {
        let (temperature, humidity) = self.simulate.air();
        sht3x(temperature, humidity)
    }

    /// Another program may have left it measuring by itself, which it would go on with, or heating.
    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        link.write(&BREAK)?;
        // Until it is idle again ("Break command").
        sleep(Duration::from_millis(1));
        link.write(&HEATER_OFF)?;
        let status: [u8; 3] = link.answer(&STATUS, Duration::from_millis(1))?;
        link.word(SUM_START, &status)?;
        Ok(Box::new(Opened { link, precision: self.precision }))
    }
}

struct Opened {
    link: Link,
    precision: Precision,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let (command, time) = command(self.precision);
        let answer: [u8; 6] = self.link.answer(&command, time)?;
        let temperature = f64::from(self.link.word(SUM_START, &answer[..3])?);
        let humidity = f64::from(self.link.word(SUM_START, &answer[3..])?);
        // "Conversion of Signal Output".
        Ok(vec![
            measured(0, rounded(-45.0 + 175.0 * temperature / 65535.0, 2)),
            measured(1, rounded(100.0 * humidity / 65535.0, 2)),
        ])
    }
}

#[cfg(test)]
mod tests;
