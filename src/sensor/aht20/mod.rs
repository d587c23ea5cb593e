//! ASAIR AHT20, AHT21, AM2301B and DHT20: air temperature and relative humidity over I2C (data sheets "AHT20"
//! A1 and "DHT20" A0).
//!
//! Written here: the crates for it loop for ever when the chip stays busy or its checksum stays wrong. The
//! older AHT10 answers without a checksum and is not supported.

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
use crate::bus::crc::crc8;
use crate::bus::sim::Simulated;
use crate::bus::sim::aht20::Aht20 as SimulatedAht20;
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "aht20",
    summary: "ASAIR AHT20, AHT21 or DHT20 on I2C: temperature and humidity",
    options: options::schema::<Options>,
    configure,
};

/// It has no other (section 5.2).
const ADDRESS: u8 = 0x38;

// Section 5.3.
const STATUS: [u8; 1] = [0x71];
const INITIALISE: [u8; 3] = [0xBE, 0x08, 0x00];
const MEASURE: [u8; 3] = [0xAC, 0x33, 0x00];
const RESET: [u8; 1] = [0xBA];

const BUSY: u8 = 0x80;
const CALIBRATED: u8 = 0x08;

/// Of one measurement (section 5.4).
const MEASURING: Duration = Duration::from_millis(80);
/// How often, and how long apart, the chip is asked again when it is still busy after that.
const PATIENCE: (usize, Duration) = (8, Duration::from_millis(20));

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one. Its address is always 0x38.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// On a simulated bus: how the air behaves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug)]
struct Aht20 {
    simulate: Simulate,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("an AHT20", options.bus, None, &[ADDRESS], &mut problems);
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(simulate)) = (wired, simulate) else { return Err(problems) };
    // Section 1, performance of the sensor.
    let quantities =
        vec![quantity("temperature", "°C", (-40.0, 85.0)), quantity("humidity", "%", (0.0, 100.0))];
    let (fault, chip) = (simulate.fault, Aht20 { simulate });
    OnI2c { name: KIND.name, wired, quantities, fault, chip }.unless(problems)
}

impl Chip for Aht20 {
    fn simulated(&self) -> Box<dyn Simulated> {
        let (temperature, humidity) = self.simulate.air();
        Box::new(SimulatedAht20::new(temperature, humidity))
    }

    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        let [status] = link.ask(&STATUS)?;
        if status & BUSY != 0 {
            // Somebody's measurement, or a chip that hangs: a reset ends both.
            link.write(&RESET)?;
            sleep(Duration::from_millis(20));
        }
        let [status] = link.ask(&STATUS)?;
        if status & CALIBRATED == 0 {
            link.write(&INITIALISE)?;
            // Section 5.4, step 1.
            sleep(Duration::from_millis(10));
        }
        let [status] = link.ask(&STATUS)?;
        if status & CALIBRATED == 0 {
            return Err(link.wrong(format!(
                "it does not let itself be initialised (status {status:#04x}): it is another part, or its supply is bad"
            )));
        }
        Ok(Box::new(Opened { link }))
    }
}

struct Opened {
    link: Link,
}

impl Opened {
    /// The status and what was measured, as soon as the chip is no longer busy.
    fn answer(&mut self) -> Result<[u8; 7], SensorError> {
        self.link.write(&MEASURE)?;
        sleep(MEASURING);
        let (times, pause) = PATIENCE;
        for _ in 0..times {
            let answer: [u8; 7] = self.link.read()?;
            if answer[0] & BUSY == 0 {
                return Ok(answer);
            }
            sleep(pause);
        }
        Err(self.link.wrong("it stays busy; check power and wiring"))
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let answer = self.answer()?;
        let [status, h1, h2, shared, t1, t2, sum] = answer;
        if crc8(0xFF, &answer[..6]) != sum {
            return Err(self.link.wrong_sum());
        }
        if status & CALIBRATED == 0 {
            return Err(self.link.wrong("it has lost its calibration, as after a drop of its supply"));
        }
        // 20 bits each, sharing a byte (section 6).
        let humidity = u32::from_be_bytes([0, h1, h2, shared]) >> 4;
        let temperature = u32::from_be_bytes([0, shared & 0x0F, t1, t2]);
        let part = |count: u32| f64::from(count) / f64::from(1 << 20);
        Ok(vec![
            measured(0, rounded(part(temperature) * 200.0 - 50.0, 2)),
            measured(1, rounded(part(humidity) * 100.0, 2)),
        ])
    }
}

#[cfg(test)]
mod tests;
