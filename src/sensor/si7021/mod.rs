//! Silicon Labs Si7021 (data sheet "Si7021-A20", rev. 1.3) and TE HTU21D (HPC199), with which Sensirion's SHT20
//! and SHT21 share their commands: air temperature and relative humidity over I2C.
//!
//! Written here: the crate `si70xx` panics below 0 °C.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, rounded, simulation};
use super::options::{self, OnBus};
use super::sht4x::Simulate;
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::si7021::{Model, si7021};
use crate::reading::Measured;

/// The registry's entry of the Si7021.
pub(super) const SI7021: DriverKind = DriverKind {
    name: "si7021",
    summary: "Silicon Labs Si7021 (or Si7006, Si7013, Si7020) on I2C: temperature and humidity",
    options: options::schema::<Options>,
    configure: |given| configure(Model::Si7021, given),
};

/// The registry's entry of the HTU21D.
pub(super) const HTU21D: DriverKind = DriverKind {
    name: "htu21d",
    summary: "TE HTU21D (or Sensirion SHT20, SHT21, SHT25) on I2C: temperature and humidity",
    options: options::schema::<Options>,
    configure: |given| configure(Model::Htu21d, given),
};

/// Neither chip has another.
const ADDRESS: u8 = 0x40;

// Si7021 "I2C Command Table", HPC199 "Commands": without holding the clock, which some of a Pi's controllers get wrong.
const TEMPERATURE: [u8; 1] = [0xF3];
const HUMIDITY: [u8; 1] = [0xF5];
const WRITE_USER: u8 = 0xE6;
const READ_USER: [u8; 1] = [0xE7];
const RESET: [u8; 1] = [0xFE];
const SECOND_ID: [u8; 2] = [0xFC, 0xC9];

/// User register: resolution (both bits 0: 12 bits of humidity, 14 of temperature) and heater.
const RESOLUTION_AND_HEATER: u8 = 0x85;

/// Where the checksums start.
const SUM_START: u8 = 0;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one. Its address is always 0x40.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// On a simulated bus: how the air behaves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug)]
struct Si7021 {
    model: Model,
    simulate: Simulate,
}

fn configure(model: Model, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let name = match model {
        Model::Si7021 => SI7021.name,
        Model::Htu21d => HTU21D.name,
    };
    let wired = Wired::of(name, options.bus, None, &[ADDRESS], &mut problems);
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(simulate)) = (wired, simulate) else { return Err(problems) };
    // Operating range of both.
    let quantities =
        vec![quantity("temperature", "°C", (-40.0, 125.0)), quantity("humidity", "%", (0.0, 100.0))];
    let fault = simulate.fault;
    OnI2c { name, wired, quantities, fault, chip: Si7021 { model, simulate } }.unless(problems)
}

impl Chip for Si7021 {
    fn simulated(&self) -> Box<dyn Simulated> {
        let (temperature, humidity) = self.simulate.air();
        si7021(self.model, temperature, humidity)
    }

    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        link.write(&RESET)?;
        // 15 ms at most for either.
        sleep(Duration::from_millis(20));
        if self.model == Model::Si7021 {
            check_id(&mut link)?;
        }
        // A reset leaves the HTU21D's heater as it was, and the reserved bits must stay as they are.
        let [user] = link.ask(&READ_USER)?;
        if user & RESOLUTION_AND_HEATER != 0 {
            link.write(&[WRITE_USER, user & !RESOLUTION_AND_HEATER])?;
        }
        Ok(Box::new(Opened { link, model: self.model }))
    }
}

/// Which of the Si70xx it is, by the section on its electronic serial number. An HTU21D on a board sold as Si7021 is found here.
fn check_id(link: &mut Link) -> Result<(), SensorError> {
    let answer: [u8; 6] = link.ask(&SECOND_ID)?;
    match answer[0] {
        // Si7006, Si7013, Si7020, Si7021; engineering samples.
        0x06 | 0x0D | 0x14 | 0x15 | 0x00 | 0xFF => link.word(SUM_START, &answer[..3]).map(drop),
        other => Err(link.wrong(format!(
            "it answers as device {other:#04x}, not as an Si7021 (0x15); is it an HTU21D? Then write driver: htu21d"
        ))),
    }
}

struct Opened {
    link: Link,
    model: Model,
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        // Longest times (Si7021 "General Specifications"; HPC199 and the slower SHT21's data sheet).
        let (humidity_time, temperature_time) = match self.model {
            Model::Si7021 => (Duration::from_millis(25), Duration::from_millis(12)),
            Model::Htu21d => (Duration::from_millis(30), Duration::from_millis(85)),
        };
        let answer: [u8; 3] = self.link.answer(&HUMIDITY, humidity_time)?;
        let humidity = self.link.word(SUM_START, &answer)?;
        let answer: [u8; 3] = self.link.answer(&TEMPERATURE, temperature_time)?;
        let temperature = self.link.word(SUM_START, &answer)?;
        // The last two bits say what was measured.
        let part = |count: u16| f64::from(count & !0b11) / 65536.0;
        // Si7021 sections 5.1.1 and 5.1.2, HPC199 "Conversion of Signal Outputs": humidity may leave
        // 0…100 % a little in saturated or dry air, and is cut there.
        Ok(vec![
            measured(0, rounded(175.72 * part(temperature) - 46.85, 2)),
            measured(1, rounded(125.0 * part(humidity) - 6.0, 2).clamp(0.0, 100.0)),
        ])
    }
}

#[cfg(test)]
mod tests;
