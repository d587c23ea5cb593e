//! LM75 and its relatives: one temperature over I2C. National/TI LM75 (data sheet SNIS153), TI TMP105
//! (SLLS648; the TMP75 has the same registers) and TMP102 (SBOS397).
//!
//! Written here rather than taken from a crate: `lm75` cannot set a TMP105 to more than half degrees. None
//! of these chips has an id, so what answers is told from other parts, and from a chip that was reset
//! meanwhile, by its configuration.

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
use crate::bus::sim::lm75::{Model, lm75};
use crate::bus::sim::scenario::Scenario;
use crate::reading::Measured;

/// The registry's entry of the LM75.
pub(super) const LM75: DriverKind = DriverKind {
    name: "lm75",
    summary: "LM75, LM75A, LM75B or PCT2075 on I2C: temperature",
    addresses: &ADDRESSES,
    options: options::schema::<Lm75Options>,
    configure: |given| {
        let (given, mut problems) = options::parse::<Lm75Options>("", given);
        let model = match given.bits {
            None | Some(9) => Model::Lm75,
            Some(11) => Model::Lm75B,
            Some(bits) => {
                problems.push(OptionProblem::new("bits", format!("{bits} is neither 9 nor 11")));
                Model::Lm75
            }
        };
        let Lm75Options { bus, address, simulate, .. } = given;
        configure(model, Options { bus, address, simulate }, problems)
    },
};

/// The registry's entry of the TMP102.
pub(super) const TMP102: DriverKind = DriverKind {
    name: "tmp102",
    summary: "TI TMP102 on I2C: temperature in steps of 0.0625 °C",
    addresses: &[0x48, 0x49, 0x4A, 0x4B],
    options: options::schema::<Options>,
    configure: |given| {
        let (options, problems) = options::parse("", given);
        configure(Model::Tmp102, options, problems)
    },
};

/// The registry's entry of the TMP105.
pub(super) const TMP105: DriverKind = DriverKind {
    name: "tmp105",
    summary: "TI TMP105 or TMP75 on I2C: temperature in steps of 0.0625 °C",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure: |given| {
        let (options, problems) = options::parse("", given);
        configure(Model::Tmp105, options, problems)
    },
};

/// By three address pins.
const ADDRESSES: [u8; 8] = [0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F];

const TEMPERATURE: u8 = 0;
const CONFIG: u8 = 1;

const SHUTDOWN: u16 = 0x0100;
/// R1 and R0: 12 bits. A TMP102 always has them set.
const TWELVE_BITS: u16 = 0x6000;
/// EM of a TMP102: 13 bits instead of 12.
const EXTENDED: u16 = 0x0010;

/// A conversion of 12 bits after the configuration was changed (SLLS648, "Electrical Characteristics":
/// 220 ms, 300 ms at most); the other chips are faster.
const CONVERSION: Duration = Duration::from_millis(320);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x48 to 0x4f by its address pins; 0x4b is a TMP102's last.
    #[schemars(extend("default" = "0x48"))]
    address: Option<Address>,
    /// On a simulated bus: how its temperature moves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Lm75Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x48 to 0x4f by its address pins.
    #[schemars(extend("default" = "0x48"))]
    address: Option<Address>,
    /// Resolution: 9 bits (0.5 °C), or 11 bits (0.125 °C) of a PCT2075 or NXP's LM75B.
    #[schemars(extend("default" = 9, "enum" = [9, 11]))]
    bits: Option<u8>,
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
struct Lm75 {
    model: Model,
    temperature: Option<Course>,
}

fn configure(
    model: Model,
    options: Options,
    mut problems: Vec<OptionProblem>,
) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (name, part, pins) = match model {
        Model::Lm75 | Model::Lm75B => (LM75.name, "an LM75", 8),
        Model::Tmp102 => (TMP102.name, "a TMP102", 4),
        Model::Tmp105 => (TMP105.name, "a TMP105 or TMP75", 8),
    };
    let addresses: Vec<u8> = (0x48..0x48 + pins).collect();
    let wired = Wired::of(part, options.bus, options.address, &addresses, &mut problems);
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(Simulate { temperature, fault })) = (wired, simulate) else {
        return Err(problems);
    };
    // Operating ranges; accuracy is specified from −40 °C for the TMP types.
    let highest = if name == LM75.name { 125.0 } else { 127.0 };
    let quantities = vec![quantity("temperature", "°C", (-55.0, highest))];
    OnI2c { name, wired, quantities, fault, chip: Lm75 { model, temperature } }.unless(problems)
}

impl Chip for Lm75 {
    fn simulated(&self) -> Box<dyn Simulated> {
        let ten_minutes = Duration::from_secs(600);
        let otherwise = Scenario::Sine { min: 18.0, max: 26.0, period: ten_minutes, phase: 0.0 };
        lm75(self.model, self.temperature.clone().map_or(otherwise, Course::scenario))
    }

    /// Settings that are not ours (alert pin, conversion rate) stay as they are.
    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        let model = self.model;
        let found = config(&mut link, model)?;
        if !is_set_up(model, found) {
            match model {
                Model::Lm75 | Model::Lm75B => {
                    let [high, _] = (found & 0x1E00).to_be_bytes();
                    link.write(&[CONFIG, high])?;
                }
                Model::Tmp105 => {
                    let [high, _] = ((found & 0x1E00) | TWELVE_BITS).to_be_bytes();
                    link.write(&[CONFIG, high])?;
                }
                Model::Tmp102 => {
                    let [high, low] = (found & !(0x8000 | SHUTDOWN | EXTENDED)).to_be_bytes();
                    link.write(&[CONFIG, high, low])?;
                }
            }
            sleep(CONVERSION);
        }
        let mut opened = Opened { link, model };
        opened.check_settings()?;
        Ok(Box::new(opened))
    }
}

/// The configuration; a chip with 8 bits of it has them in the upper byte.
fn config(link: &mut Link, model: Model) -> Result<u16, SensorError> {
    if model == Model::Tmp102 {
        return link.ask(&[CONFIG]).map(u16::from_be_bytes);
    }
    link.ask(&[CONFIG]).map(|[byte]: [u8; 1]| u16::from(byte) << 8)
}

/// Whether a chip with this configuration converts as we want it to.
fn is_set_up(model: Model, config: u16) -> bool {
    match model {
        // The upper three bits are reserved and 0 ("Configuration Register").
        Model::Lm75 | Model::Lm75B => config & (0xE000 | SHUTDOWN) == 0,
        Model::Tmp105 => config & (TWELVE_BITS | SHUTDOWN) == TWELVE_BITS,
        // The lower four bits are reserved and 0.
        Model::Tmp102 => config & (TWELVE_BITS | SHUTDOWN | EXTENDED | 0x000F) == TWELVE_BITS,
    }
}

struct Opened {
    link: Link,
    model: Model,
}

impl Opened {
    fn check_settings(&mut self) -> Result<(), SensorError> {
        let config = config(&mut self.link, self.model)?;
        if is_set_up(self.model, config) {
            return Ok(());
        }
        let what = "it does not keep its settings";
        Err(self.link.wrong(format!(
            "{what} (configuration reads {config:#06x}): it is another part, or its supply dropped"
        )))
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.check_settings()?;
        let count = i16::from_be_bytes(self.link.ask(&[TEMPERATURE])?);
        let count = match self.model {
            // What stands below the resolution is not defined.
            Model::Lm75 => count & !0x7F,
            Model::Lm75B => count & !0x1F,
            Model::Tmp102 | Model::Tmp105 if count & 0xF == 0 => count,
            Model::Tmp102 | Model::Tmp105 => {
                return Err(self.link.wrong(format!(
                    "its temperature reads {count:#06x}, whose last four bits should be 0: it is another part, or the \
                     wiring is bad"
                )));
            }
        };
        Ok(vec![measured(0, f64::from(count) / 256.0)])
    }
}

#[cfg(test)]
mod tests;
