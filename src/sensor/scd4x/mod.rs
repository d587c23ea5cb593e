//! Sensirion SCD40 and SCD41: CO2, temperature and humidity over I2C (data sheet SCD4x, version 1.4).
//!
//! The chip measures by itself every 5 s. Opening stops what an earlier run left going, since nothing else is
//! answered meanwhile; a reading takes what is new, and is empty while there is nothing.

use std::sync::Arc;
use std::time::Duration;

use embedded_hal::i2c::{Error as _, ErrorKind, I2c};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::i2c::failure;
use super::options::{self, Address, OnBus, note};
use super::simulate::{self, Course, Fault};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::crc::crc8;
use crate::bus::sim::Clock;
use crate::bus::sim::scd4x::Scd4x as SimulatedScd4x;
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "scd4x",
    summary: "Sensirion SCD40, SCD41 on I2C: CO2, temperature and humidity",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure,
};

/// The only one (section 3.2).
static ADDRESSES: [u8; 1] = [0x62];

/// Commands of table 9.
const START: u16 = 0x21B1;
const START_LOW_POWER: u16 = 0x21AC;
const STOP: u16 = 0x3F86;
const READ_MEASUREMENT: u16 = 0xEC05;
const DATA_READY: u16 = 0xE4B8;
const SERIAL_NUMBER: u16 = 0x3682;
const SET_ALTITUDE: u16 = 0x2427;
const SET_TEMPERATURE_OFFSET: u16 = 0x241D;
const SET_SELF_CALIBRATION: u16 = 0x2416;

/// Execution times of table 9: after stopping, and of every other command used here.
const STOP_TIME: Duration = Duration::from_millis(500);
const COMMAND_TIME: Duration = Duration::from_millis(1);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x62, the only one.
    #[schemars(extend("default" = "0x62"))]
    address: Option<Address>,
    /// Height above sea level in m, 0 to 3000, by which CO2 is corrected.
    #[schemars(extend("default" = 0, "minimum" = 0, "maximum" = 3000))]
    altitude: Option<u16>,
    /// How much warmer (°C, 0 to 20) the chip is than the air, by its own heat in its housing.
    #[schemars(extend("default" = 4, "minimum" = 0, "maximum" = 20))]
    temperature_offset: Option<f64>,
    /// Whether the chip takes the lowest CO2 of the week for fresh air (400 ppm): right where a room is aired,
    /// wrong in a greenhouse.
    #[schemars(extend("default" = true))]
    self_calibration: Option<bool>,
    /// Measure every 30 s in place of every 5 s, with a fifth of the current.
    #[schemars(extend("default" = false))]
    low_power: Option<bool>,
    /// On a simulated bus: how the air behaves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// ppm.
    co2: Option<Course>,
    /// °C.
    temperature: Option<Course>,
    /// % relative humidity.
    humidity: Option<Course>,
    /// What goes wrong, and when.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Scd4x {
    bus: BusName,
    address: u8,
    settings: Settings,
    simulate: Simulate,
    quantities: [QuantityInfo; 3],
    time: Time,
}

/// Words as the chip takes them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    altitude: u16,
    temperature_offset: u16,
    self_calibration: u16,
    low_power: bool,
}

/// The thread's own clock and sleep, but in tests.
#[derive(Debug, Clone)]
struct Time {
    clock: Clock,
    sleep: fn(Duration),
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let time = Time { clock: Clock::default(), sleep: std::thread::sleep };
    checked(given, time).map(|driver| Arc::new(driver) as Arc<dyn Driver>)
}

fn checked(given: &Map<String, Json>, time: Time) -> Result<Scd4x, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let bus = options.bus.map(|bus| bus.0);
    let address = options.address.unwrap_or(Address(ADDRESSES[0])).one_of("an SCD4x", &ADDRESSES);
    let address = note(&mut problems, "address", address);
    let altitude = options.altitude.unwrap_or(0);
    if altitude > 3000 {
        problems.push(OptionProblem::new("altitude", format!("{altitude} m is not between 0 and 3000")));
    }
    let offset = options.temperature_offset.unwrap_or(4.0);
    if !(0.0..=20.0).contains(&offset) {
        problems
            .push(OptionProblem::new("temperature_offset", format!("{offset} °C is not between 0 and 20")));
    }
    let settings = Settings {
        altitude,
        // Section 3.6.1: offset × 65535 ÷ 175.
        temperature_offset: (offset * 65535.0 / 175.0).round() as u16,
        self_calibration: options.self_calibration.unwrap_or(true).into(),
        low_power: options.low_power.unwrap_or(false),
    };
    let simulate = simulate::option(bus, options.simulate.as_ref(), &mut problems);
    match (bus, address, simulate) {
        (Some(bus), Some(address), Some(simulate)) if problems.is_empty() => {
            Ok(Scd4x { bus, address, settings, simulate, quantities: quantities(), time })
        }
        _ => Err(problems),
    }
}

/// Output range of CO2 (table 1), operating range of temperature (table 3) and range of humidity (table 2).
fn quantities() -> [QuantityInfo; 3] {
    let quantity = |name: &'static str, unit, kind, range| QuantityInfo {
        name: name.into(),
        unit,
        kind,
        range: Some(range),
    };
    [
        quantity("co2", "ppm", ValueKind::Integer, (0.0, 40_000.0)),
        quantity("temperature", "°C", ValueKind::Float, (-10.0, 60.0)),
        quantity("humidity", "%", ValueKind::Float, (0.0, 100.0)),
    ]
}

impl Scd4x {
    fn attach_simulated(&self, buses: &Buses) -> Result<(), SensorError> {
        let Simulate { co2, temperature, humidity, fault } = self.simulate.clone();
        let hour = Duration::from_secs(3600);
        let or = |course: Option<Course>, otherwise| course.map_or(otherwise, Course::scenario);
        let make = |now| {
            let chip = SimulatedScd4x::new(
                or(co2, Scenario::Walk(Walk::new(700.0, 8.0, 420.0, 1800.0, 6))),
                or(temperature, Scenario::Sine { min: 19.0, max: 24.0, period: hour / 6, phase: 0.0 }),
                or(humidity, Scenario::Walk(Walk::new(45.0, 0.5, 30.0, 70.0, 7))),
            );
            simulate::with_fault(Box::new(chip), fault, now)
        };
        let description = format!("scd4x {:?}", self.simulate);
        Ok(buses.simulate(&self.bus.to_string(), self.address, &description, make)?)
    }

    fn opened(&self, buses: &Buses) -> Result<Opened, SensorError> {
        if self.bus.is_simulated() {
            self.attach_simulated(buses)?;
        }
        let period = Duration::from_secs(if self.settings.low_power { 30 } else { 5 });
        let mut chip = Opened {
            bus: buses.i2c(&self.bus.to_string())?,
            address: self.address,
            period,
            time: self.time.clone(),
            last: Duration::ZERO,
        };
        chip.stop()?;
        // No id: a chip that knows its serial number, with the right CRCs, is one of Sensirion's.
        chip.words::<3>(SERIAL_NUMBER)?;
        chip.set(SET_ALTITUDE, self.settings.altitude)?;
        chip.set(SET_TEMPERATURE_OFFSET, self.settings.temperature_offset)?;
        chip.set(SET_SELF_CALIBRATION, self.settings.self_calibration)?;
        chip.command(if self.settings.low_power { START_LOW_POWER } else { START })?;
        chip.last = chip.time.clock.now();
        Ok(chip)
    }
}

impl Driver for Scd4x {
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
        Ok(Box::new(self.opened(buses)?))
    }
}

struct Opened {
    bus: I2cBus,
    address: u8,
    /// Between two measurements of the chip.
    period: Duration,
    time: Time,
    /// When it was started, or last had something new.
    last: Duration,
}

impl Opened {
    fn failure(&self, error: &I2cError) -> SensorError {
        failure(self.bus.name(), self.address, error)
    }

    fn wrong(&self, what: &str) -> SensorError {
        SensorError::WrongAnswer(format!(
            "SCD4x at address {:#04x} on {}: {what}",
            self.address,
            self.bus.name()
        ))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SensorError> {
        self.bus.write(self.address, bytes).map_err(|error| self.failure(&error))?;
        (self.time.sleep)(COMMAND_TIME);
        Ok(())
    }

    fn command(&mut self, command: u16) -> Result<(), SensorError> {
        self.write(&command.to_be_bytes())
    }

    fn set(&mut self, command: u16, word: u16) -> Result<(), SensorError> {
        let ([a, b], [high, low]) = (command.to_be_bytes(), word.to_be_bytes());
        self.write(&[a, b, high, low, crc([high, low])])
    }

    /// Whatever it was doing, it is idle afterwards. A chip that is still stopping does not acknowledge this; if
    /// nobody is there, the next command shows it.
    fn stop(&mut self) -> Result<(), SensorError> {
        match self.bus.write(self.address, &STOP.to_be_bytes()) {
            Err(error) if !matches!(error.kind(), ErrorKind::NoAcknowledge(_)) => {
                return Err(self.failure(&error));
            }
            _ => (self.time.sleep)(STOP_TIME),
        }
        Ok(())
    }

    /// What the chip answers to a command: words, each with its CRC.
    fn words<const N: usize>(&mut self, command: u16) -> Result<[u16; N], SensorError> {
        self.command(command)?;
        let mut bytes = vec![0; 3 * N];
        self.bus.read(self.address, &mut bytes).map_err(|error| self.failure(&error))?;
        let mut words = [0; N];
        for (word, part) in words.iter_mut().zip(bytes.chunks_exact(3)) {
            let pair = [part[0], part[1]];
            if crc(pair) != part[2] {
                return Err(self.wrong("the CRC of its answer is wrong: check wiring, or it is another part"));
            }
            *word = u16::from_be_bytes(pair);
        }
        Ok(words)
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let now = self.time.clock.now();
        let [status] = self.words(DATA_READY)?;
        // Section 3.8.2: the 11 least significant bits are 0 while there is nothing.
        if status & 0x7FF == 0 {
            if now.saturating_sub(self.last) > 3 * self.period {
                let seconds = self.period.as_secs();
                return Err(self.wrong(&format!(
                    "it has measured nothing for three times {seconds} s: its supply dropped, or is too weak"
                )));
            }
            return Ok(Vec::new());
        }
        let [co2, temperature, humidity] = self.words(READ_MEASUREMENT)?;
        self.last = now;
        let part = |word: u16| f64::from(word) / 65535.0;
        let float = |quantity, value: f64| Measured {
            quantity,
            // Two decimals: noise begins before them (tables 2 and 3, repeatability).
            value: Value::Float((value * 100.0).round() / 100.0),
        };
        let mut measured = Vec::with_capacity(3);
        // No air has none: the chip says 0 while it has not settled.
        if co2 != 0 {
            measured.push(Measured { quantity: 0, value: Value::Integer(co2.into()) });
        }
        measured.push(float(1, -45.0 + 175.0 * part(temperature)));
        measured.push(float(2, 100.0 * part(humidity)));
        Ok(measured)
    }
}

/// CRC-8 of a word (section 3.11).
fn crc(bytes: [u8; 2]) -> u8 {
    crc8(0xFF, &bytes)
}

#[cfg(test)]
mod tests;
