//! Texas Instruments ADS1115 (16 bits, data sheet SBAS444D) and ADS1015 (12 bits, SBAS473E): voltages at
//! four inputs, against ground or between two of them, over I2C.
//!
//! The `ads1x1x` crate speaks the registers. Neither chip has an id, so what answers is told from other
//! parts, and from a chip that was reset meanwhile, by reading its configuration back.

mod settings;

use std::sync::Arc;
use std::time::Duration;

use ::ads1x1x::{Ads1x1x, Error, TargetAddr, channel, ic, mode};
use embedded_hal::i2c::I2c;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tracing::warn;

use settings::{CHANGING, Gain, Input, Rate, Speed, distinct, register, steps};

use super::i2c::failure;
use super::options::{self, Address, OnBus, note};
use super::simulate::{self, Course, Fault};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::sim::ads1x15::{Ads1x15 as SimulatedAds1x15, Model};
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry of the ADS1115.
pub(super) const ADS1115: DriverKind = DriverKind {
    name: "ads1115",
    summary: "TI ADS1115 on I2C: four voltages, 16 bits",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure: |given| configure(Model::Ads1115, given),
};

/// The registry's entry of the ADS1015.
pub(super) const ADS1015: DriverKind = DriverKind {
    name: "ads1015",
    summary: "TI ADS1015 on I2C: four voltages, 12 bits",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure: |given| configure(Model::Ads1015, given),
};

/// ADDR to ground, VDD, SDA, SCL (SBAS444D, "I2C Address Selection").
static ADDRESSES: [u8; 4] = [0x48, 0x49, 0x4A, 0x4B];

const CONFIG_REGISTER: u8 = 1;

/// Longest conversion of all, at 8 a second: somebody else may have started it.
const LONGEST: Duration = Duration::from_millis(140);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x48 (ADDR to ground), 0x49 (VDD), 0x4a (SDA) or 0x4b (SCL).
    #[schemars(extend("default" = "0x48"))]
    address: Option<Address>,
    /// Full-scale range: ± this many volts. Inputs must stay between ground and the supply whatever it is.
    #[schemars(extend("default" = 4.096, "enum" = [6.144, 4.096, 2.048, 1.024, 0.512, 0.256]))]
    gain: Option<f64>,
    /// Inputs to read: a0 to a3 against ground, or a0-a1, a0-a3, a1-a3, a2-a3.
    #[schemars(extend("default" = ["a0", "a1", "a2", "a3"], "minItems" = 1, "uniqueItems" = true))]
    channels: Option<Vec<Input>>,
    /// Conversions a second; slower means less noise. ADS1115: 8, 16, 32, 64, 128, 250, 475 or 860;
    /// ADS1015: 128, 250, 490, 920, 1600, 2400 or 3300.
    rate: Option<u16>,
    /// On a simulated bus: the voltages at the inputs.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// V at input 0.
    a0: Option<Course>,
    /// V at input 1.
    a1: Option<Course>,
    /// V at input 2.
    a2: Option<Course>,
    /// V at input 3.
    a3: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Ads1x15 {
    model: Model,
    bus: BusName,
    address: u8,
    gain: Gain,
    speed: Speed,
    inputs: Vec<Input>,
    simulate: Simulate,
    quantities: Vec<QuantityInfo>,
}

fn configure(model: Model, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let bus = options.bus.map(|bus| bus.0);
    let address = options.address.unwrap_or(Address(ADDRESSES[0])).one_of("this chip", &ADDRESSES);
    let address = note(&mut problems, "address", address);
    let inputs = options.channels.unwrap_or_else(|| vec![Input::A0, Input::A1, Input::A2, Input::A3]);
    let inputs = note(&mut problems, "channels", distinct(inputs));
    // ± 4.096 V is the first range that holds what a part on the Pi's 3.3 V can put out.
    let gain = note(&mut problems, "gain", Gain::of(options.gain.unwrap_or(4.096)));
    let speed = note(&mut problems, "rate", Speed::of(model, options.rate));
    let simulate = simulate::option(bus, options.simulate.as_ref(), &mut problems);
    match (bus, address, inputs, gain, speed, simulate) {
        (Some(bus), Some(address), Some(inputs), Some(gain), Some(speed), Some(simulate))
            if problems.is_empty() =>
        {
            let quantities = inputs.iter().map(|input| quantity(*input, gain.volts)).collect();
            Ok(Arc::new(Ads1x15 { model, bus, address, gain, speed, inputs, simulate, quantities }))
        }
        _ => Err(problems),
    }
}

fn quantity(input: Input, full_scale: f64) -> QuantityInfo {
    QuantityInfo {
        name: input.quantity().into(),
        unit: "V",
        kind: ValueKind::Float,
        range: Some((-full_scale, full_scale)),
    }
}

impl Ads1x15 {
    fn attach_simulated(&self, buses: &Buses) -> Result<(), SensorError> {
        let Simulate { a0, a1, a2, a3, fault } = self.simulate.clone();
        let minute = Duration::from_secs(60);
        let or = |course: Option<Course>, otherwise| course.map_or(otherwise, Course::scenario);
        let model = self.model;
        let make = |now| {
            let chip = SimulatedAds1x15::new(
                model,
                [
                    or(a0, Scenario::Sine { min: 0.5, max: 2.5, period: minute, phase: 0.0 }),
                    or(a1, Scenario::Walk(Walk::new(1.2, 0.01, 0.2, 3.0, 4))),
                    or(a2, Scenario::Constant(1.65)),
                    or(a3, Scenario::Sine { min: 0.0, max: 3.3, period: minute * 10, phase: 0.25 }),
                ],
            );
            simulate::with_fault(Box::new(chip), fault, now)
        };
        let description = format!("{:?} {:?}", self.model, self.simulate);
        Ok(buses.simulate(&self.bus.to_string(), self.address, &description, make)?)
    }

    fn chip(&self, bus: I2cBus) -> Result<Box<dyn Chip>, Error<I2cError>> {
        let address = match self.address {
            0x49 => TargetAddr::Vdd,
            0x4A => TargetAddr::Sda,
            0x4B => TargetAddr::Scl,
            _ => TargetAddr::Gnd,
        };
        Ok(match self.speed.rate {
            Rate::Sixteen(rate) => {
                let mut chip = Ads1x1x::new_ads1115(bus, address);
                chip.set_full_scale_range(self.gain.range)?;
                chip.set_data_rate(rate)?;
                Box::new(chip)
            }
            Rate::Twelve(rate) => {
                let mut chip = Ads1x1x::new_ads1015(bus, address);
                chip.set_full_scale_range(self.gain.range)?;
                chip.set_data_rate(rate)?;
                Box::new(chip)
            }
        })
    }
}

impl Driver for Ads1x15 {
    fn name(&self) -> &'static str {
        match self.model {
            Model::Ads1115 => ADS1115.name,
            Model::Ads1015 => ADS1015.name,
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
        let bus = buses.i2c(&self.bus.to_string())?;
        let chip = self.chip(bus.clone()).map_err(|error| wrong(self.name(), &bus, self.address, error))?;
        let inputs = self.inputs.iter().map(|input| Opened { input: *input, beyond: false }).collect();
        let (name, address, gain, speed) = (self.name(), self.address, self.gain, self.speed);
        let mut adc = Adc { name, bus, address, chip, gain, speed, steps: steps(self.model), inputs };
        // Setting a range starts a conversion; what it finds is of no interest, its end is.
        adc.wait();
        adc.check_settings()?;
        Ok(Box::new(adc))
    }
}

/// The crate's two types under one name: each input is a type there, and a value here.
trait Chip: Send {
    /// Starts a conversion of this input, or answers the one that was started; `WouldBlock` until it ends.
    fn poll(&mut self, input: Input) -> nb::Result<i16, Error<I2cError>>;
}

macro_rules! chip {
    ($chip:ident, $resolution:ident) => {
        impl Chip for Ads1x1x<I2cBus, ic::$chip, ic::$resolution, mode::OneShot> {
            fn poll(&mut self, input: Input) -> nb::Result<i16, Error<I2cError>> {
                match input {
                    Input::A0 => self.read(channel::SingleA0),
                    Input::A1 => self.read(channel::SingleA1),
                    Input::A2 => self.read(channel::SingleA2),
                    Input::A3 => self.read(channel::SingleA3),
                    Input::A0A1 => self.read(channel::DifferentialA0A1),
                    Input::A0A3 => self.read(channel::DifferentialA0A3),
                    Input::A1A3 => self.read(channel::DifferentialA1A3),
                    Input::A2A3 => self.read(channel::DifferentialA2A3),
                }
            }
        }
    };
}
chip!(Ads1115, Resolution16Bit);
chip!(Ads1015, Resolution12Bit);

struct Opened {
    input: Input,
    /// The last value was beyond the range; said once per change.
    beyond: bool,
}

struct Adc {
    name: &'static str,
    bus: I2cBus,
    address: u8,
    chip: Box<dyn Chip>,
    gain: Gain,
    speed: Speed,
    steps: i32,
    inputs: Vec<Opened>,
}

fn wrong(name: &str, bus: &I2cBus, address: u8, error: Error<I2cError>) -> SensorError {
    match error {
        Error::I2C(error) => failure(bus.name(), address, &error),
        Error::InvalidInputData => SensorError::WrongAnswer(format!(
            "{name} at address {address:#04x} on {}: the driver was given a setting that the chip has not",
            bus.name()
        )),
    }
}

impl Adc {
    /// Longest time of one conversion: the oscillator may be 10 % slow ("Electrical Characteristics", data
    /// rate variation), and waking up from power-down takes about 25 µs.
    fn conversion_time(&self) -> Duration {
        Duration::from_secs_f64(1.1 / f64::from(self.speed.per_second)) + Duration::from_micros(50)
    }

    fn wait(&self) {
        std::thread::sleep(self.conversion_time());
    }

    fn convert(&mut self, input: Input) -> Result<i16, SensorError> {
        // For one that was under way, and ours. Counted, not timed: on a busy machine time goes by in which nobody
        // asks, and that is not the chip's fault.
        let mut waits = 3 + LONGEST.as_micros() / self.conversion_time().as_micros();
        loop {
            match self.chip.poll(input) {
                Ok(value) => return Ok(value),
                Err(nb::Error::Other(error)) => return Err(wrong(self.name, &self.bus, self.address, error)),
                Err(nb::Error::WouldBlock) if waits == 0 => {
                    return Err(SensorError::WrongAnswer(format!(
                        "{} at address {:#04x} on {} does not finish its conversion: is it another part?",
                        self.name,
                        self.address,
                        self.bus.name()
                    )));
                }
                Err(nb::Error::WouldBlock) => {
                    waits -= 1;
                    self.wait();
                }
            }
        }
    }

    /// Whether the chip still has our range and rate, in single-shot mode.
    fn check_settings(&mut self) -> Result<(), SensorError> {
        let mut bytes = [0; 2];
        self.bus
            .write_read(self.address, &[CONFIG_REGISTER], &mut bytes)
            .map_err(|error| failure(self.bus.name(), self.address, &error))?;
        let config = u16::from_be_bytes(bytes);
        if config & !CHANGING == register(self.gain, self.speed) {
            return Ok(());
        }
        Err(SensorError::WrongAnswer(format!(
            "address {:#04x} on {} does not keep the settings of an {} (configuration reads {config:#06x}): it is \
             another part, or its supply dropped",
            self.address,
            self.bus.name(),
            self.name
        )))
    }

    fn volts(&self, raw: i16) -> f64 {
        let volts = f64::from(raw) * self.gain.volts / f64::from(self.steps);
        // Ten nanovolts: a thousandth of the smallest step, and no digits that are only binary noise.
        (volts * 1e8).round() / 1e8
    }
}

impl Device for Adc {
    /// Input by input. A voltage at the very end of the range is beyond it: it is left out, since what the
    /// converter says there is not what is at the input.
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let mut measured = Vec::with_capacity(self.inputs.len());
        for quantity in 0..self.inputs.len() {
            let input = self.inputs[quantity].input;
            let raw = self.convert(input)?;
            self.check_settings()?;
            let beyond = i32::from(raw) == self.steps - 1 || i32::from(raw) == -self.steps;
            if beyond && !self.inputs[quantity].beyond {
                warn!("{}", self.beyond(input));
            }
            self.inputs[quantity].beyond = beyond;
            if !beyond {
                measured.push(Measured { quantity, value: Value::Float(self.volts(raw)) });
            }
        }
        if measured.is_empty() {
            return Err(SensorError::WrongAnswer(self.beyond(self.inputs[0].input)));
        }
        Ok(measured)
    }
}

impl Adc {
    fn beyond(&self, input: Input) -> String {
        format!(
            "{} at address {:#04x} on {}: input {} is beyond ±{} V; choose a larger gain or check the input",
            self.name,
            self.address,
            self.bus.name(),
            input.quantity().replace('_', "-"),
            self.gain.volts
        )
    }
}

#[cfg(test)]
mod tests;
