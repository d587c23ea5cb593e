//! Vishay VEML7700: illuminance over I2C (data sheet 84286 rev. 1.7, application note 84323).
//!
//! Written here rather than taken from the crate `veml7700`, which counts 0.0036 lx a step as the data sheet
//! did before revision 1.7 (now 0.0042), and brings an async layer for three registers.
//!
//! Its id register was documented late; what answers is told by its configuration.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, rounded, simulation};
use super::options::{self, OnBus, Span};
use super::simulate::{Course, Fault};
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::scenario::Scenario;
use crate::bus::sim::veml7700::veml7700;
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "veml7700",
    summary: "Vishay VEML7700 on I2C: illuminance up to full sun",
    options: options::schema::<Options>,
    configure,
};

/// It has no other ("Slave Address").
const ADDRESS: u8 = 0x10;

// "Command Register Format".
const CONFIG: u8 = 0;
const POWER_SAVING: u8 = 3;
const LIGHT: u8 = 4;

/// Gains with the bits that set them.
const GAINS: [(f64, u16); 4] = [(2.0, 0b01), (1.0, 0b00), (0.25, 0b11), (0.125, 0b10)];

/// Integration times in ms with the bits that set them.
const TIMES: [(u16, u16); 6] =
    [(25, 0b1100), (50, 0b1000), (100, 0b0000), (200, 0b0001), (400, 0b0010), (800, 0b0011)];

/// The most that the data sheet promises, in lx.
const BRIGHTEST: f64 = 140_000.0;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// Gain: 0.125 and 0.25 for daylight, 1 and 2 for less than 100 lx.
    #[schemars(extend("default" = 0.125, "enum" = [0.125, 0.25, 1, 2]))]
    gain: Option<f64>,
    /// Integration time: 25ms, 50ms, 100ms, 200ms, 400ms or 800ms; a longer one is finer and reaches less far.
    #[schemars(extend("default" = "100ms", "enum" = ["25ms", "50ms", "100ms", "200ms", "400ms", "800ms"]))]
    integration_time: Option<Span>,
    /// On a simulated bus: how the light changes.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
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
struct Veml7700 {
    gain: (f64, u16),
    time: (u16, u16),
    illuminance: Option<Course>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("a VEML7700", options.bus, None, &[ADDRESS], &mut problems);
    let gain = options.gain.unwrap_or(0.125);
    let gain = GAINS.into_iter().find(|(times, _)| *times == gain);
    if gain.is_none() {
        problems.push(OptionProblem::new("gain", "is none of 0.125, 0.25, 1, 2"));
    }
    let time = options.integration_time.map_or(Duration::from_millis(100), |span| span.0);
    let time = TIMES.into_iter().find(|(milliseconds, _)| u128::from(*milliseconds) == time.as_millis());
    if time.is_none() {
        problems.push(OptionProblem::new(
            "integration_time",
            "is none of 25ms, 50ms, 100ms, 200ms, 400ms, 800ms",
        ));
    }
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(gain), Some(time), Some(simulate)) = (wired, gain, time, simulate) else {
        return Err(problems);
    };
    let Simulate { illuminance, fault } = simulate;
    let chip = Veml7700 { gain, time, illuminance };
    let quantities = vec![quantity("illuminance", "lx", (0.0, chip.lux(u16::MAX).min(BRIGHTEST)))];
    OnI2c { name: KIND.name, wired, quantities, fault, chip }.unless(problems)
}

impl Veml7700 {
    fn config(&self) -> u16 {
        self.gain.1 << 11 | self.time.1 << 6
    }

    /// "Resolution and maximum detection range" of the data sheet; the polynomial is the application note's
    /// for gains 1/4 and 1/8. The note wants it above 1000 lx; below that it changes little, and using it
    /// everywhere avoids a jump of 7 % there.
    fn lux(&self, count: u16) -> f64 {
        let step = 0.0042 * (2.0 / self.gain.0) * (800.0 / f64::from(self.time.0));
        let lux = f64::from(count) * step;
        let straight = self.gain.0 >= 1.0;
        let polynomial = || (((6.0135e-13 * lux - 9.3924e-9) * lux + 8.1488e-5) * lux + 1.0023) * lux;
        rounded(if straight { lux } else { polynomial() }, 2)
    }
}

impl Chip for Veml7700 {
    fn simulated(&self) -> Box<dyn Simulated> {
        // Within reach of the finest setting.
        let day = Scenario::Sine { min: 5.0, max: 250.0, period: Duration::from_secs(600), phase: 0.0 };
        veml7700(self.illuminance.clone().map_or(day, Course::scenario))
    }

    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        let [low, high] = self.config().to_le_bytes();
        // The gain must be changed while shut down (bit 0; application note, "Initialization").
        link.write(&[CONFIG, low | 1, high])?;
        link.write(&[POWER_SAVING, 0, 0])?;
        link.write(&[CONFIG, low, high])?;
        // 2.5 ms to wake up, then two integrations, a tenth longer than they should be: the first may have
        // begun before the settings were in force.
        sleep(Duration::from_millis(3) + Duration::from_millis(self.time.0.into()) * 22 / 10);
        let mut opened = Opened { link, chip: self.clone() };
        opened.check_settings()?;
        Ok(Box::new(opened))
    }
}

struct Opened {
    link: Link,
    chip: Veml7700,
}

impl Opened {
    fn check_settings(&mut self) -> Result<(), SensorError> {
        let config = u16::from_le_bytes(self.link.ask(&[CONFIG])?);
        if config == self.chip.config() {
            return Ok(());
        }
        Err(self.link.wrong(format!(
            "it does not keep its settings (configuration reads {config:#06x}): it is another part, or its supply dropped"
        )))
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.check_settings()?;
        let count = u16::from_le_bytes(self.link.ask(&[LIGHT])?);
        if count == u16::MAX {
            return Err(self
                .link
                .wrong("it is too bright for its settings: choose a smaller gain or integration_time"));
        }
        Ok(vec![measured(0, self.chip.lux(count))])
    }
}

#[cfg(test)]
mod tests;
