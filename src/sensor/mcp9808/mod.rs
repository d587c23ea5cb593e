//! Microchip MCP9808: one temperature to ±0.25 °C over I2C (data sheet DS25095A).
//!
//! Written here: the crate `mcp9808` reads −10.25 °C as +11.75, and `embedded-devices` brings twenty crates
//! for three registers.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, simulation};
use super::options::{self, Address, OnBus};
use super::simulate::{Course, Fault};
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::mcp9808::mcp9808;
use crate::bus::sim::scenario::Scenario;
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "mcp9808",
    summary: "Microchip MCP9808 on I2C: temperature to a quarter of a degree",
    options: options::schema::<Options>,
    configure,
};

/// By A2, A1, A0 ("Address Pins").
const ADDRESSES: [u8; 8] = [0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F];

// Section 5, "Register Pointer".
const CONFIG: u8 = 1;
const TEMPERATURE: u8 = 5;
const MANUFACTURER: u8 = 6;
const DEVICE: u8 = 7;
const RESOLUTION: u8 = 8;

const SHUTDOWN: u16 = 0x0100;
/// Configuration bits that do not exist and read as 0 ("Configuration Register").
const NO_SUCH_BITS: u16 = 0xF800;

/// Steps in °C by the bits of the resolution register, with the typical time of a conversion ("Resolution Register").
const RESOLUTIONS: [(f64, Duration); 4] = [
    (0.5, Duration::from_millis(30)),
    (0.25, Duration::from_millis(65)),
    (0.125, Duration::from_millis(130)),
    (0.0625, Duration::from_millis(250)),
];

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x18 to 0x1f by A2, A1 and A0.
    #[schemars(extend("default" = "0x18"))]
    address: Option<Address>,
    /// Step in °C: 0.5, 0.25, 0.125 or 0.0625. A finer one takes longer: 30, 65, 130 or 250 ms.
    #[schemars(extend("default" = 0.0625, "enum" = [0.5, 0.25, 0.125, 0.0625]))]
    resolution: Option<f64>,
    /// On a simulated bus: how its temperature moves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// °C.
    temperature: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Mcp9808 {
    /// Position in [`RESOLUTIONS`].
    resolution: u8,
    temperature: Option<Course>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("an MCP9808", options.bus, options.address, &ADDRESSES, &mut problems);
    let step = options.resolution.unwrap_or(0.0625);
    let resolution = (0..4).find(|bits| RESOLUTIONS[usize::from(*bits)].0 == step);
    if resolution.is_none() {
        let message = format!("{step} is none of 0.5, 0.25, 0.125, 0.0625");
        problems.push(OptionProblem::new("resolution", message));
    }
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(resolution), Some(simulate)) = (wired, resolution, simulate) else {
        return Err(problems);
    };
    let Simulate { temperature, fault } = simulate;
    // "Temperature Characteristics": specified range.
    let quantities = vec![quantity("temperature", "°C", (-40.0, 125.0))];
    let chip = Mcp9808 { resolution, temperature };
    OnI2c { name: KIND.name, wired, quantities, fault, chip }.unless(problems)
}

impl Chip for Mcp9808 {
    fn simulated(&self) -> Box<dyn Simulated> {
        let ten_minutes = Duration::from_secs(600);
        let otherwise = Scenario::Sine { min: 18.0, max: 26.0, period: ten_minutes, phase: 0.0 };
        mcp9808(self.temperature.clone().map_or(otherwise, Course::scenario))
    }

    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        let manufacturer = u16::from_be_bytes(link.ask(&[MANUFACTURER])?);
        let device = u16::from_be_bytes(link.ask(&[DEVICE])?);
        // The lower byte is the revision ("Device ID/Revision Register").
        if manufacturer != 0x0054 || device >> 8 != 0x04 {
            return Err(link.wrong(format!(
                "it answers as device {device:#06x} of manufacturer {manufacturer:#06x}, not as an MCP9808 (0x04xx of \
                 0x0054)"
            )));
        }
        let config = u16::from_be_bytes(link.ask(&[CONFIG])?);
        let [resolution] = link.ask(&[RESOLUTION])?;
        if config & SHUTDOWN != 0 || resolution & 0b11 != self.resolution {
            let [high, low] = (config & !SHUTDOWN).to_be_bytes();
            link.write(&[CONFIG, high, low])?;
            link.write(&[RESOLUTION, self.resolution])?;
            // The conversion that runs, and one of ours; times are typical ones, so a quarter on top.
            let (_, time) = RESOLUTIONS[usize::from(self.resolution)];
            sleep((RESOLUTIONS[usize::from(resolution & 0b11)].1 + time) * 5 / 4);
        }
        Ok(Box::new(Opened { link }))
    }
}

struct Opened {
    link: Link,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        // After a drop of its supply it goes on at the finest resolution, which harms nobody.
        let config = u16::from_be_bytes(self.link.ask(&[CONFIG])?);
        if config & (NO_SUCH_BITS | SHUTDOWN) != 0 {
            return Err(self.link.wrong(format!(
                "its configuration reads {config:#06x}: it was shut down, or what answers is another part"
            )));
        }
        let register = u16::from_be_bytes(self.link.ask(&[TEMPERATURE])?);
        // Three flags of the alert pin, then 13 bits of two's complement (section 5.1.3).
        let sixteenths = (register << 3) as i16 >> 3;
        Ok(vec![measured(0, f64::from(sixteenths) / 16.0)])
    }
}

#[cfg(test)]
mod tests;
