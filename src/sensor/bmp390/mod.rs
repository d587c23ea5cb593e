//! Bosch BMP390 and BMP388: air pressure and temperature over I2C (data sheet BST-BMP390-DS002; the BMP388 has
//! the same registers and formulas, BST-BMP388-DS001).
//!
//! Written here: the crate that does it, `embedded-devices`, brings twenty others.

mod compensate;

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use compensate::Calibration;

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, rounded, simulation};
use super::options::{self, Address, OnBus};
use super::simulate::{Course, Fault};
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::bmp390::Bmp390 as SimulatedBmp390;
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "bmp390",
    summary: "Bosch BMP390 or BMP388 on I2C: air pressure and temperature",
    options: options::schema::<Options>,
    configure,
};

/// SDO to ground, SDO to VDDIO ("I2C interface"). Most modules pull it up.
const ADDRESSES: [u8; 2] = [0x77, 0x76];

// Section 4.2, register map.
const CHIP_ID: u8 = 0x00;
const STATUS: u8 = 0x03;
const DATA: u8 = 0x04;
const PWR_CTRL: u8 = 0x1B;
const OSR: u8 = 0x1C;
const CONFIG: u8 = 0x1F;
const CALIBRATION: u8 = 0x31;
const CMD: u8 = 0x7E;

const SOFT_RESET: u8 = 0xB6;
/// Both sensors on, forced mode: one measurement, then sleep.
const MEASURE: u8 = 0x13;
/// Pressure and temperature.
const DATA_READY: u8 = 0x60;

/// What a data register holds that was not measured into (registers DATA_0 to DATA_5).
const NOTHING: u32 = 0x80_0000;

/// How often, and how long apart, the chip is asked again when it is not ready in time.
const PATIENCE: (usize, Duration) = (10, Duration::from_millis(5));

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x77 (SDO to VDDIO, most modules) or 0x76 (SDO to ground).
    #[schemars(extend("default" = "0x77"))]
    address: Option<Address>,
    /// How often the pressure is measured and averaged: 1, 2, 4, 8, 16 or 32 times.
    #[schemars(extend("default" = 8, "enum" = [1, 2, 4, 8, 16, 32]))]
    oversampling: Option<u8>,
    /// Low-pass filter of the chip over successive readings: 0 (off), 1, 3, 7, 15, 31, 63 or 127.
    #[schemars(extend("default" = 0, "enum" = [0, 1, 3, 7, 15, 31, 63, 127]))]
    filter: Option<u8>,
    /// On a simulated bus: how the air behaves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// °C.
    temperature: Option<Course>,
    /// Pa.
    pressure: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Bmp390 {
    settings: Settings,
    simulate: Simulate,
}

/// What the OSR and CONFIG registers are to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    osr: u8,
    config: u8,
}

impl Settings {
    /// From a number of measurements and a filter coefficient: powers of two, and one less than such.
    fn of(oversampling: u8, filter: u8) -> Self {
        let pressure = oversampling.trailing_zeros() as u8;
        // The maker's advice ("Recommended settings"): the temperature once, and twice for 32 of the pressure.
        let temperature = u8::from(oversampling == 32);
        Self { osr: temperature << 3 | pressure, config: (filter.count_ones() as u8) << 1 }
    }

    /// Of one measurement (section 3.9.2), and a fifth more for a slow oscillator.
    fn measuring_time(self) -> Duration {
        let samples = |bits: u8| 1u64 << (bits & 0b111);
        let microseconds = 234 + 392 + samples(self.osr) * 2020 + 163 + samples(self.osr >> 3) * 2020;
        Duration::from_micros(microseconds * 12 / 10)
    }
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("a BMP390", options.bus, options.address, &ADDRESSES, &mut problems);
    let oversampling = options.oversampling.unwrap_or(8);
    if ![1, 2, 4, 8, 16, 32].contains(&oversampling) {
        let message = format!("{oversampling} is none of 1, 2, 4, 8, 16, 32");
        problems.push(OptionProblem::new("oversampling", message));
    }
    let filter = options.filter.unwrap_or(0);
    if ![0, 1, 3, 7, 15, 31, 63, 127].contains(&filter) {
        let message = format!("{filter} is none of 0, 1, 3, 7, 15, 31, 63, 127");
        problems.push(OptionProblem::new("filter", message));
    }
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(simulate)) = (wired, simulate) else { return Err(problems) };
    // "Electrical characteristics": operating ranges.
    let quantities =
        vec![quantity("temperature", "°C", (-40.0, 85.0)), quantity("pressure", "hPa", (300.0, 1250.0))];
    let (fault, settings) = (simulate.fault, Settings::of(oversampling, filter));
    OnI2c { name: KIND.name, wired, quantities, fault, chip: Bmp390 { settings, simulate } }.unless(problems)
}

impl Chip for Bmp390 {
    fn simulated(&self) -> Box<dyn Simulated> {
        let Simulate { temperature, pressure, .. } = self.simulate.clone();
        let ten_minutes = Duration::from_secs(600);
        let day = Scenario::Sine { min: 18.0, max: 26.0, period: ten_minutes, phase: 0.0 };
        let weather = Scenario::Walk(Walk::new(101_325.0, 4.0, 98_000.0, 104_000.0, 3));
        Box::new(SimulatedBmp390::new(
            temperature.map_or(day, Course::scenario),
            pressure.map_or(weather, Course::scenario),
        ))
    }

    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        let [id] = link.ask(&[CHIP_ID])?;
        // BMP388, BMP390.
        if ![0x50, 0x60].contains(&id) {
            return Err(link.wrong(format!(
                "it answers as chip {id:#04x}, not as a BMP390 (0x60) or BMP388 (0x50); a BMP280 or BME280, which has \
                 the same addresses, needs driver: bmp280 or bme280"
            )));
        }
        link.write(&[CMD, SOFT_RESET])?;
        // Start-up takes 2 ms ("Electrical characteristics").
        sleep(Duration::from_millis(5));
        let block: [u8; 21] = link.ask(&[CALIBRATION])?;
        if block == [0; 21] || block == [0xFF; 21] {
            return Err(link.wrong("its calibration is empty; check wiring and power"));
        }
        link.write(&[OSR, self.settings.osr])?;
        link.write(&[CONFIG, self.settings.config])?;
        Ok(Box::new(Opened { link, settings: self.settings, calibration: Calibration::of(&block) }))
    }
}

struct Opened {
    link: Link,
    settings: Settings,
    calibration: Calibration,
}

impl Opened {
    fn check_settings(&mut self) -> Result<(), SensorError> {
        let [osr] = self.link.ask(&[OSR])?;
        let [config] = self.link.ask(&[CONFIG])?;
        if (Settings { osr, config }) == self.settings {
            return Ok(());
        }
        Err(self.link.wrong("it has lost its settings, as after a drop of its supply"))
    }

    /// One measurement, from its beginning to its end.
    fn measure(&mut self) -> Result<(), SensorError> {
        self.link.write(&[PWR_CTRL, MEASURE])?;
        sleep(self.settings.measuring_time());
        let (times, pause) = PATIENCE;
        for _ in 0..times {
            let [status] = self.link.ask(&[STATUS])?;
            if status & DATA_READY == DATA_READY {
                return Ok(());
            }
            sleep(pause);
        }
        Err(self.link.wrong("it does not finish its measurement; check power and wiring"))
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.check_settings()?;
        self.measure()?;
        let [p0, p1, p2, t0, t1, t2]: [u8; 6] = self.link.ask(&[DATA])?;
        let (temperature, pressure) =
            (u32::from_le_bytes([t0, t1, t2, 0]), u32::from_le_bytes([p0, p1, p2, 0]));
        if temperature == NOTHING || pressure == NOTHING {
            return Err(self.link.wrong("it measured nothing, as after a drop of its supply"));
        }
        let celsius = self.calibration.temperature(temperature);
        let pascal = self.calibration.pressure(pressure, celsius);
        Ok(vec![measured(0, rounded(celsius, 2)), measured(1, rounded(pascal / 100.0, 3))])
    }
}

#[cfg(test)]
mod tests;
