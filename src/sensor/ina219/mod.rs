//! Texas Instruments INA219: voltage of a supply and current through a shunt, over I2C (data sheet SBOS448G).
//!
//! The driver speaks the registers itself: the crate of this name chains write, read, write, read in one
//! transaction, which a Pi's controller refuses. Current and power are computed here from the two voltages,
//! which is exact for every shunt; the chip's own calibration would round, and is forgotten when the supply
//! drops. Every reading is a conversion of its own, started by writing the configuration.

use std::sync::Arc;
use std::time::Duration;

use embedded_hal::i2c::I2c;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::i2c::failure;
use super::options::{self, Address, OnBus, note};
use super::simulate::{self, Course, Fault};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::sim::ina219::Ina219 as SimulatedIna219;
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "ina219",
    summary: "TI INA219 on I2C: voltage, current and power of a supply",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure,
};

/// A1 and A0 to ground, VS+, SDA or SCL (table 1).
static ADDRESSES: [u8; 16] =
    [0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F];

/// Waits of one conversion's longest time, after which a chip that is not ready is stuck. Counted, not timed: on a busy
/// machine time goes by in which nobody asks.
const MOST_WAITS: u32 = 4;

const CONFIG: u8 = 0;
const SHUNT: u8 = 1;
const BUS: u8 = 2;

/// Bus range 32 V (BRNG), shunt range ± 320 mV (PG = ÷8), both voltages once (MODE). The smaller ranges clip
/// earlier and have the same steps: 10 µV and 4 mV (section 8.6.3).
const SETTINGS: u16 = 0x2000 | 0x1800 | 0b011;

/// V to a step of the registers.
const SHUNT_STEP: f64 = 10e-6;
const BUS_STEP: f64 = 4e-3;

/// Full scale of the shunt voltage, in steps: ± 320 mV.
const SHUNT_FULL_SCALE: i16 = 32_000;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x40 (A0 and A1 to ground) to 0x4f.
    #[schemars(extend("default" = "0x40"))]
    address: Option<Address>,
    /// Resistance of the shunt in Ω: 0.1 on most modules (marked R100).
    #[schemars(extend("default" = 0.1, "exclusiveMinimum" = 0, "maximum" = 1000))]
    shunt: Option<f64>,
    /// How many conversions the chip averages for a reading: 1, 2, 4, 8, 16, 32, 64 or 128.
    #[schemars(extend("default" = 1, "enum" = [1, 2, 4, 8, 16, 32, 64, 128]))]
    samples: Option<u8>,
    /// On a simulated bus: the supply.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// V.
    voltage: Option<Course>,
    /// A.
    current: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Ina219 {
    bus: BusName,
    address: u8,
    /// Ω
    shunt: f64,
    samples: u8,
    simulate: Simulate,
    quantities: [QuantityInfo; 3],
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let bus = options.bus.map(|bus| bus.0);
    let address = options.address.unwrap_or(Address(ADDRESSES[0])).one_of("an INA219", &ADDRESSES);
    let address = note(&mut problems, "address", address);
    let shunt = options.shunt.unwrap_or(0.1);
    if !(shunt > 0.0 && shunt <= 1000.0) {
        problems.push(OptionProblem::new(
            "shunt",
            format!("{shunt} Ω is no shunt: write its resistance, for example 0.1"),
        ));
    }
    let samples = options.samples.unwrap_or(1);
    if !samples.is_power_of_two() || samples > 128 {
        problems
            .push(OptionProblem::new("samples", format!("{samples} is none of 1, 2, 4, 8, 16, 32, 64, 128")));
    }
    let simulate = simulate::option(bus, options.simulate.as_ref(), &mut problems);
    match (bus, address, simulate) {
        (Some(bus), Some(address), Some(simulate)) if problems.is_empty() => {
            let quantities = quantities(shunt);
            Ok(Arc::new(Ina219 { bus, address, shunt, samples, simulate, quantities }))
        }
        _ => Err(problems),
    }
}

/// 26 V at the inputs (section 6.3), ± 320 mV across the shunt (section 8.6.2.1).
fn quantities(shunt: f64) -> [QuantityInfo; 3] {
    let quantity = |name: &'static str, unit, range| QuantityInfo {
        name: name.into(),
        unit,
        kind: ValueKind::Float,
        range: Some(range),
    };
    let most = 0.32 / shunt;
    [
        quantity("voltage", "V", (0.0, 26.0)),
        quantity("current", "A", (-most, most)),
        quantity("power", "W", (-26.0 * most, 26.0 * most)),
    ]
}

impl Ina219 {
    /// The configuration: settings and, for either voltage, how many samples are averaged (table 5).
    fn settings(&self) -> u16 {
        let averaging = 0b1000 | u16::try_from(self.samples.trailing_zeros()).unwrap_or(0);
        SETTINGS | averaging << 7 | averaging << 3
    }

    /// Longest time of one conversion of either voltage, one after the other (section 6.5: 586 µs each).
    fn conversion_time(&self) -> Duration {
        2 * Duration::from_micros(586) * u32::from(self.samples)
    }

    fn attach_simulated(&self, buses: &Buses) -> Result<(), SensorError> {
        let Simulate { voltage, current, fault } = self.simulate.clone();
        let or = |course: Option<Course>, otherwise| course.map_or(otherwise, Course::scenario);
        let shunt = self.shunt;
        let make = |now| {
            let minute = Duration::from_secs(60);
            // What any shunt can show: up to 200 mV.
            let most = 0.2 / shunt;
            let chip = SimulatedIna219::new(
                or(voltage, Scenario::Walk(Walk::new(5.1, 0.02, 4.8, 5.3, 5))),
                or(current, Scenario::Sine { min: 0.1 * most, max: 0.5 * most, period: minute, phase: 0.0 }),
                shunt,
            );
            simulate::with_fault(Box::new(chip), fault, now)
        };
        let description = format!("ina219 {shunt} {:?}", self.simulate);
        Ok(buses.simulate(&self.bus.to_string(), self.address, &description, make)?)
    }
}

impl Driver for Ina219 {
    fn name(&self) -> &'static str {
        KIND.name
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
        let mut chip = Opened {
            bus: buses.i2c(&self.bus.to_string())?,
            address: self.address,
            shunt: self.shunt,
            settings: self.settings(),
            conversion_time: self.conversion_time(),
        };
        chip.start()?;
        chip.check_settings()?;
        Ok(Box::new(chip))
    }
}

struct Opened {
    bus: I2cBus,
    address: u8,
    shunt: f64,
    settings: u16,
    conversion_time: Duration,
}

impl Opened {
    fn failure(&self, error: &I2cError) -> SensorError {
        failure(self.bus.name(), self.address, error)
    }

    fn wrong(&self, what: &str) -> SensorError {
        SensorError::WrongAnswer(format!(
            "INA219 at address {:#04x} on {}: {what}",
            self.address,
            self.bus.name()
        ))
    }

    fn register(&mut self, register: u8) -> Result<u16, SensorError> {
        let mut bytes = [0; 2];
        self.bus.write_read(self.address, &[register], &mut bytes).map_err(|error| self.failure(&error))?;
        Ok(u16::from_be_bytes(bytes))
    }

    /// Writing the configuration starts a conversion.
    fn start(&mut self) -> Result<(), SensorError> {
        let [high, low] = self.settings.to_be_bytes();
        self.bus.write(self.address, &[CONFIG, high, low]).map_err(|error| self.failure(&error))
    }

    /// The chip has no id. What keeps what was written to its configuration is taken for one; a chip that was
    /// reset meanwhile does not.
    fn check_settings(&mut self) -> Result<(), SensorError> {
        let config = self.register(CONFIG)?;
        if config == self.settings {
            return Ok(());
        }
        Err(self.wrong(&format!(
            "it does not keep its settings (configuration reads {config:#06x}): it is another part, or its supply dropped"
        )))
    }

    /// The bus voltage register of the conversion that was started.
    fn finished(&mut self) -> Result<u16, SensorError> {
        const READY: u16 = 0b10;
        for _ in 0..MOST_WAITS {
            std::thread::sleep(self.conversion_time);
            let register = self.register(BUS)?;
            if register & READY != 0 {
                return Ok(register);
            }
        }
        Err(self.wrong("it does not finish its conversion: is it another part?"))
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.start()?;
        let bus = self.finished()?;
        let shunt = self.register(SHUNT)? as i16;
        self.check_settings()?;
        let volts = f64::from(bus >> 3) * BUS_STEP;
        let measured =
            |quantity, value, step| Measured { quantity, value: Value::Float(rounded(value, step)) };
        let voltage = measured(0, volts, BUS_STEP);
        // Bit 2 is always 0 (figure 21); the converter clips at full scale.
        if bus & 0b100 != 0 || volts > 32.0 {
            return Err(self.wrong(&format!(
                "its bus voltage register holds {bus:#06x}, which none does: check wiring"
            )));
        }
        if shunt.unsigned_abs() >= SHUNT_FULL_SCALE.unsigned_abs() {
            return Err(self.wrong(&format!(
                "the voltage across its shunt is beyond ±320 mV: more than {:.3} A, or a broken shunt",
                0.32 / self.shunt
            )));
        }
        let amperes = f64::from(shunt) * SHUNT_STEP / self.shunt;
        let step = SHUNT_STEP / self.shunt;
        Ok(vec![voltage, measured(1, amperes, step), measured(2, volts * amperes, step * BUS_STEP)])
    }
}

/// Digits down to a hundredth of a step: no more is measured, the rest is binary noise.
fn rounded(value: f64, step: f64) -> f64 {
    let power = 10f64.powi(2 - step.log10().floor() as i32);
    (value * power).round() / power
}

#[cfg(test)]
mod tests;
