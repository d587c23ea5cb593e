//! Sensirion SHT40, SHT41, SHT43 and SHT45: air temperature and relative humidity over I2C (data sheet
//! "SHT4x", version 6).
//!
//! Written here rather than taken from the crate `sht4x`, which brings a fixed-point library for two
//! multiplications.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::chip::{Chip, Link, OnI2c, Wired, measured, quantity, rounded, simulation};
use super::options::{self, Address, OnBus, Span};
use super::simulate::{Course, Fault};
use super::{Device, Driver, DriverKind, OptionProblem, SensorError};
use crate::bus::sim::Simulated;
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::bus::sim::sht::sht4x;
use crate::reading::Measured;

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "sht4x",
    summary: "Sensirion SHT40, SHT41, SHT43 or SHT45 on I2C: temperature and humidity",
    addresses: &ADDRESSES,
    options: options::schema::<Options>,
    configure,
};

/// By the letter of the part number: A (nearly all modules), B, C.
const ADDRESSES: [u8; 3] = [0x44, 0x45, 0x46];

/// Where Sensirion's checksums start ("Data Type & Length").
pub(super) const SUM_START: u8 = 0xFF;

// "Command Overview".
const SERIAL_NUMBER: u8 = 0x89;
/// 200 mW for a second.
const HEAT: u8 = 0x39;

/// Longest time of a heating of one second with the measurement that ends it ("Timing Specifications").
const HEATING: Duration = Duration::from_millis(1100);
/// At a heating of one second, the most often that keeps to the duty cycle of 10 % ("Heater Operation").
const MOST_OFTEN: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x44 (SHT4x-A), 0x45 (-B) or 0x46 (-C).
    #[schemars(extend("default" = "0x44"))]
    address: Option<Address>,
    /// Precision of a measurement: high (0.04 °C, 0.08 %), medium (0.07 °C, 0.15 %) or low (0.1 °C, 0.25 %).
    #[schemars(extend("default" = "high"))]
    precision: Option<Precision>,
    /// Heats the chip for a second that often (at least 10s), to drive off condensation; never unless given.
    heater_every: Option<Span>,
    /// On a simulated bus: how the air behaves.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

/// How long a chip averages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Precision {
    #[default]
    High,
    Medium,
    Low,
}

/// What a simulated chip of temperature and humidity does.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulate {
    /// °C.
    pub(super) temperature: Option<Course>,
    /// % relative humidity.
    pub(super) humidity: Option<Course>,
    /// What goes wrong, and when.
    pub(super) fault: Option<Fault>,
}

impl Simulate {
    /// °C and %: of a room unless told otherwise.
    pub(super) fn air(&self) -> (Scenario, Scenario) {
        let ten_minutes = Duration::from_secs(600);
        let temperature = Scenario::Sine { min: 18.0, max: 26.0, period: ten_minutes, phase: 0.0 };
        let humidity = Scenario::Walk(Walk::new(45.0, 0.5, 30.0, 70.0, 2));
        let or = |course: &Option<Course>, otherwise| course.clone().map_or(otherwise, Course::scenario);
        (or(&self.temperature, temperature), or(&self.humidity, humidity))
    }
}

#[derive(Debug)]
struct Sht4x {
    precision: Precision,
    heater: Option<Arc<Heater>>,
    simulate: Simulate,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let wired = Wired::of("an SHT4x", options.bus, options.address, &ADDRESSES, &mut problems);
    let heater_every = options.heater_every.map(|span| span.0);
    if heater_every.is_some_and(|every| every < MOST_OFTEN) {
        let message = "the chip may be heated for a tenth of the time: write 10s or more";
        problems.push(OptionProblem::new("heater_every", message));
    }
    let simulate = simulation::<Simulate>(options.bus, options.simulate.as_ref(), &mut problems);
    let (Some(wired), Some(simulate)) = (wired, simulate) else { return Err(problems) };
    let fault = simulate.fault;
    let heater = heater_every.map(|every| Arc::new(Heater::new(every)));
    let chip = Sht4x { precision: options.precision.unwrap_or_default(), heater, simulate };
    // Operating range; the humidity formula ends a little beyond.
    let quantities =
        vec![quantity("temperature", "°C", (-40.0, 125.0)), quantity("humidity", "%", (0.0, 100.0))];
    OnI2c { name: KIND.name, wired, quantities, fault, chip }.unless(problems)
}

impl Precision {
    /// Command and longest time ("Command Overview", "Timing Specifications").
    fn command(self) -> (u8, Duration) {
        match self {
            Precision::High => (0xFD, Duration::from_micros(8_300)),
            Precision::Medium => (0xF6, Duration::from_micros(4_500)),
            Precision::Low => (0xE0, Duration::from_micros(1_600)),
        }
    }
}

impl Chip for Sht4x {
    fn simulated(&self) -> Box<dyn Simulated> {
        let (temperature, humidity) = self.simulate.air();
        sht4x(temperature, humidity)
    }

    /// The serial number is no secret and of no use; that it comes with right checksums says what is there.
    fn open(&self, mut link: Link) -> Result<Box<dyn Device>, SensorError> {
        let number: [u8; 6] = link.answer(&[SERIAL_NUMBER], Duration::from_millis(1))?;
        link.word(SUM_START, &number[..3])?;
        link.word(SUM_START, &number[3..])?;
        let heater = self.heater.clone();
        if let Some(heater) = &heater {
            heater.begin(Instant::now());
        }
        Ok(Box::new(Opened { link, precision: self.precision, heater, until: None }))
    }
}

/// When the chip is heated. It outlives the device: one that is opened anew after a failure now and then would
/// never be heated.
struct Heater {
    every: Duration,
    next: Mutex<Option<Instant>>,
}

impl Heater {
    fn new(every: Duration) -> Self {
        Self { every, next: Mutex::new(None) }
    }

    /// Counts from `now`, unless it does so already.
    fn begin(&self, now: Instant) {
        self.change(|next| *next = next.or(now.checked_add(self.every)));
    }

    fn is_due(&self, now: Instant) -> bool {
        self.change(|next| next.is_some_and(|next| now >= next))
    }

    fn heated(&self, now: Instant) {
        self.change(|next| *next = now.checked_add(self.every));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Option<Instant>) -> T) -> T {
        // One value, whole at any time.
        change(&mut self.next.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Heater {
    /// As it was configured: by this a simulated chip is known again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heater({:?})", self.every)
    }
}

struct Opened {
    link: Link,
    precision: Precision,
    heater: Option<Arc<Heater>>,
    /// When the heating that runs will have ended.
    until: Option<Instant>,
}

impl Opened {
    /// Begins heating when it is time: after a reading, so that the chip has the whole interval to cool.
    fn heat(&mut self) -> Result<(), SensorError> {
        let now = Instant::now();
        if let Some(heater) = &self.heater
            && heater.is_due(now)
        {
            self.link.write(&[HEAT])?;
            heater.heated(now);
            self.until = Some(now + HEATING);
        }
        Ok(())
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        if let Some(until) = self.until.take() {
            sleep(until.saturating_duration_since(Instant::now()));
        }
        let (command, time) = self.precision.command();
        let answer: [u8; 6] = self.link.answer(&[command], time)?;
        let temperature = f64::from(self.link.word(SUM_START, &answer[..3])?);
        let humidity = f64::from(self.link.word(SUM_START, &answer[3..])?);
        self.heat()?;
        // "Conversion of Signal Output", with its advice to cut what is beyond 0 and 100 %: saturated air is real.
        Ok(vec![
            measured(0, rounded(-45.0 + 175.0 * temperature / 65535.0, 2)),
            measured(1, rounded(-6.0 + 125.0 * humidity / 65535.0, 2).clamp(0.0, 100.0)),
        ])
    }
}

#[cfg(test)]
mod tests;
