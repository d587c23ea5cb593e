//! Bosch BME280: air temperature, relative humidity and pressure over I2C (data sheet BST-BME280-DS001), and
//! the BMP280, the same without humidity (BST-BMP280-DS001).
//!
//! The `bme280` crate does the compensation. What it leaves out is done here: it takes a BMP280 for a
//! BME280, waits 40 ms whatever the oversampling, and limits nonsense to the ends of the range.

use std::sync::Arc;
use std::time::Duration;

use ::bme280::i2c::BME280;
use ::bme280::{Configuration, Error, IIRFilter, Oversampling};
use embedded_hal::i2c::I2c;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::i2c::{Wait, failure};
use super::options::{self, Address, OnBus, note};
use super::simulate::{self, Course, Fault};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::sim::bme280::Bme280 as SimulatedBme280;
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry of the BME280.
pub(super) const KIND: DriverKind = DriverKind {
    name: "bme280",
    summary: "Bosch BME280 on I2C: temperature, humidity and air pressure",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure: |given| configure(Model::Bme280, given),
};

/// The registry's entry of the BMP280.
pub(super) const BMP280: DriverKind = DriverKind {
    name: "bmp280",
    summary: "Bosch BMP280 on I2C: temperature and air pressure",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure: |given| configure(Model::Bmp280, given),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Bme280,
    Bmp280,
}

impl Model {
    /// As it is printed on the data sheet.
    fn part(self) -> &'static str {
        match self {
            Model::Bme280 => "BME280",
            Model::Bmp280 => "BMP280",
        }
    }

    fn id(self) -> u8 {
        match self {
            Model::Bme280 => 0x60,
            Model::Bmp280 => 0x58,
        }
    }
}

/// SDO to ground, SDO to VDDIO (section 6.2).
static ADDRESSES: [u8; 2] = [0x76, 0x77];

const ID_REGISTER: u8 = 0xD0;
/// The status register, with the data registers four further on (section 5.3).
const STATUS_REGISTER: u8 = 0xF3;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x76 (SDO to ground) or 0x77 (SDO to VDDIO).
    #[schemars(extend("default" = "0x76"))]
    address: Option<Address>,
    /// How often each value is measured and averaged: 1, 2, 4, 8 or 16 times.
    #[schemars(extend("default" = 1, "enum" = [1, 2, 4, 8, 16]))]
    oversampling: Option<u8>,
    /// Low-pass filter of the chip over successive readings (short pressure peaks): 0 (off), 2, 4, 8 or 16.
    #[schemars(extend("default" = 0, "enum" = [0, 2, 4, 8, 16]))]
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
    /// % relative humidity (BME280 only).
    humidity: Option<Course>,
    /// Pa.
    pressure: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Bme280 {
    model: Model,
    bus: BusName,
    address: u8,
    oversampling: u8,
    filter: u8,
    simulate: Simulate,
    quantities: Vec<QuantityInfo>,
}

fn configure(model: Model, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let bus = options.bus.map(|bus| bus.0);
    let address = match options.address {
        Some(address) => {
            let part = format!("a {}", model.part());
            note(&mut problems, "address", address.one_of(&part, &ADDRESSES))
        }
        None => Some(ADDRESSES[0]),
    };
    let oversampling = options.oversampling.unwrap_or(1);
    if oversampling_setting(oversampling).is_none() {
        problems
            .push(OptionProblem::new("oversampling", format!("{oversampling} is none of 1, 2, 4, 8, 16")));
    }
    let filter = options.filter.unwrap_or(0);
    if filter_setting(filter).is_none() {
        problems.push(OptionProblem::new("filter", format!("{filter} is none of 0, 2, 4, 8, 16")));
    }
    let simulate = simulate::option::<Simulate>(bus, options.simulate.as_ref(), &mut problems);
    if model == Model::Bmp280 && simulate.as_ref().is_some_and(|simulate| simulate.humidity.is_some()) {
        problems.push(OptionProblem::new("simulate.humidity", "a BMP280 does not measure humidity"));
    }
    match (bus, address, simulate) {
        (Some(bus), Some(address), Some(simulate)) if problems.is_empty() => {
            let quantities = quantities(model);
            Ok(Arc::new(Bme280 { model, bus, address, oversampling, filter, simulate, quantities }))
        }
        _ => Err(problems),
    }
}

/// Operating ranges of section 1.1 (tables 1 to 4); a BMP280's are the same (its table 2).
fn quantities(model: Model) -> Vec<QuantityInfo> {
    let quantity = |name: &'static str, unit, range| QuantityInfo {
        name: name.into(),
        unit,
        kind: ValueKind::Float,
        range: Some(range),
    };
    let mut quantities = vec![quantity("temperature", "°C", (-40.0, 85.0))];
    if model == Model::Bme280 {
        quantities.push(quantity("humidity", "%", (0.0, 100.0)));
    }
    quantities.push(quantity("pressure", "hPa", (300.0, 1100.0)));
    quantities
}

fn oversampling_setting(times: u8) -> Option<Oversampling> {
    Some(match times {
        1 => Oversampling::Oversampling1X,
        2 => Oversampling::Oversampling2X,
        4 => Oversampling::Oversampling4X,
        8 => Oversampling::Oversampling8X,
        16 => Oversampling::Oversampling16X,
        _ => return None,
    })
}

fn filter_setting(coefficient: u8) -> Option<IIRFilter> {
    Some(match coefficient {
        0 => IIRFilter::Off,
        2 => IIRFilter::Coefficient2,
        4 => IIRFilter::Coefficient4,
        8 => IIRFilter::Coefficient8,
        16 => IIRFilter::Coefficient16,
        _ => return None,
    })
}

impl Bme280 {
    /// Longest time of one measurement (section 9.1).
    fn measuring_time(&self) -> Duration {
        let samples = f64::from(self.oversampling);
        Duration::from_secs_f64((1.25 + 3.0 * 2.3 * samples + 2.0 * 0.575) / 1000.0)
    }

    fn attach_simulated(&self, buses: &Buses) -> Result<(), SensorError> {
        let Simulate { temperature, humidity, pressure, fault } = self.simulate.clone();
        let hour = Duration::from_secs(3600);
        let or = |course: Option<Course>, otherwise| course.map_or(otherwise, Course::scenario);
        let make = |now| {
            let chip = SimulatedBme280::new(
                or(temperature, Scenario::Sine { min: 18.0, max: 26.0, period: hour / 6, phase: 0.0 }),
                or(humidity, Scenario::Walk(Walk::new(45.0, 0.5, 30.0, 70.0, 2))),
                or(pressure, Scenario::Walk(Walk::new(101_325.0, 4.0, 98_000.0, 104_000.0, 3))),
            );
            simulate::with_fault(Box::new(chip.with_id(self.model.id())), fault, now)
        };
        let description = format!("{} {:?}", self.name(), self.simulate);
        Ok(buses.simulate(&self.bus.to_string(), self.address, &description, make)?)
    }

    fn check_id(&self, bus: &mut I2cBus) -> Result<(), SensorError> {
        let mut id = [0];
        bus.write_read(self.address, &[ID_REGISTER], &mut id)
            .map_err(|error| failure(self.bus, self.address, &error))?;
        let what = match id[0] {
            id if id == self.model.id() => return Ok(()),
            0x58 => " (a BMP280, the same without humidity: write driver: bmp280)",
            0x60 => " (a BME280: write driver: bme280)",
            0x55 => " (a BMP180)",
            0x61 => " (a BME680)",
            0x00 | 0xFF => " (nothing, or a bus whose lines are stuck)",
            _ => "",
        };
        Err(SensorError::WrongAnswer(format!(
            "address {:#04x} on {} answers as chip {:#04x}{what}, not as a {} ({:#04x})",
            self.address,
            self.bus,
            id[0],
            self.model.part(),
            self.model.id()
        )))
    }
}

impl Driver for Bme280 {
    fn name(&self) -> &'static str {
        match self.model {
            Model::Bme280 => KIND.name,
            Model::Bmp280 => BMP280.name,
        }
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
        let mut bus = buses.i2c(&self.bus.to_string())?;
        self.check_id(&mut bus)?;
        let mut device = Opened {
            model: self.model,
            address: self.address,
            chip: BME280::new(bus.clone(), self.address),
            bus,
            wait: self.measuring_time(),
        };
        let oversampling = oversampling_setting(self.oversampling).unwrap_or_default();
        let mut configuration = Configuration::default()
            .with_temperature_oversampling(oversampling)
            .with_pressure_oversampling(oversampling)
            .with_iir_filter(filter_setting(self.filter).unwrap_or_default());
        if self.model == Model::Bme280 {
            configuration = configuration.with_humidity_oversampling(oversampling);
        }
        // Reset takes 2 ms (section 1.1, start-up time), which the crate asks for.
        let mut start_up = Wait { at_least: Duration::ZERO };
        device.chip.init_with_config(&mut start_up, configuration).map_err(|error| device.failure(error))?;
        Ok(Box::new(device))
    }
}

struct Opened {
    model: Model,
    bus: I2cBus,
    address: u8,
    chip: BME280<I2cBus>,
    wait: Duration,
}

impl Opened {
    fn failure(&self, error: Error<I2cError>) -> SensorError {
        let what = match error {
            Error::Bus(error) => return failure(self.bus.name(), self.address, &error),
            Error::UnsupportedChip => "its chip id changes from read to read",
            Error::CompensationFailed | Error::InvalidData => "its registers hold what they cannot",
            Error::NoCalibrationData => "its calibration could not be read",
            Error::Delay => "the wait for it failed",
        };
        self.wrong(what)
    }

    fn wrong(&self, what: &str) -> SensorError {
        SensorError::WrongAnswer(format!(
            "{} at address {:#04x} on {}: {what}; check wiring and power",
            self.model.part(),
            self.address,
            self.bus.name()
        ))
    }

    /// The status, and the data registers once more: the crate looks at neither.
    fn check_raw(&mut self) -> Result<(), SensorError> {
        const MEASURING: u8 = 0b1000;
        let mut registers = [0; 10];
        self.bus
            .write_read(self.address, &[STATUS_REGISTER], &mut registers)
            .map_err(|error| failure(self.bus.name(), self.address, &error))?;
        let [status, _, _, _, raw @ ..] = registers;
        if raw != [0xFF; 6] && status & MEASURING != 0 {
            return Err(self.wrong("it does not finish its measurement"));
        }
        // After a brown-out the chip sleeps with everything switched off and these values in place of
        // data (section 5.4.7); compensated, they look like a mild day.
        if raw == [0x80, 0, 0, 0x80, 0, 0] {
            return Err(self.wrong("it has lost its settings, as after a drop of its supply"));
        }
        if raw == [0xFF; 6] || raw == [0; 6] {
            return Err(self.wrong("it answers the same for everything"));
        }
        Ok(())
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let mut wait = Wait { at_least: self.wait };
        let air = self.chip.measure(&mut wait).map_err(|error| self.failure(error))?;
        self.check_raw()?;
        let temperature = rounded(air.temperature);
        let humidity = rounded(air.humidity);
        let pressure = rounded(air.pressure / 100.0);
        // The crate limits values to the range, so the very end of it means "beyond". Humidity is
        // different: saturated air and noise around 0 and 100 % are real.
        if temperature <= -40.0 || temperature >= 85.0 {
            return Err(self.wrong("its temperature is outside −40…85 °C"));
        }
        if pressure <= 300.0 || pressure >= 1100.0 {
            return Err(self.wrong("its pressure is outside 300…1100 hPa"));
        }
        let measured = |quantity, value| Measured { quantity, value: Value::Float(value) };
        Ok(match self.model {
            Model::Bme280 => vec![measured(0, temperature), measured(1, humidity), measured(2, pressure)],
            Model::Bmp280 => vec![measured(0, temperature), measured(1, pressure)],
        })
    }
}

/// Two decimals: 0.01 °C and 0.01 hPa are the chip's output resolution and its noise (tables 2 to 4), and
/// single precision has no honest digits beyond.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
