//! DHT11 and DHT22 (AM2302): temperature and relative humidity over one wire of their own.
//!
//! A bit is the length of a pulse, tens of microseconds. Only the kernel can time that reliably: if its driver
//! has the pin (`dtoverlay=dht11,gpiopin=4`), it is asked. Otherwise we listen ourselves, and a reading fails
//! now and then when something else runs in between; a few failures in a row are passed over.

mod decode;
mod kernel;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options;
use super::pins::{OnPins, PinNumber};
use super::simulate::Course;
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::bus::gpio::{Pins, Wire};
use crate::bus::sim::dht::{Dht as SimulatedDht, Kind};
use crate::bus::sim::scenario::Scenario;
use crate::enrich::clock;
use crate::reading::{Measured, Value, ValueKind};
use decode::Air;

/// The registry's entries.
pub(super) const DHT11: DriverKind = DriverKind {
    name: "dht11",
    summary: "DHT11 on a pin: temperature and humidity, coarse",
    addresses: &[],
    options: options::schema::<Options>,
    configure: |given| configure(given, &MODEL_11),
};

/// See [`DHT11`].
pub(super) const DHT22: DriverKind = DriverKind {
    name: "dht22",
    summary: "DHT22 (AM2302) on a pin: temperature and humidity",
    addresses: &[],
    options: options::schema::<Options>,
    configure: |given| configure(given, &MODEL_22),
};

/// What tells the two apart.
#[derive(Debug)]
struct Model {
    name: &'static str,
    decode: fn([u8; 5]) -> Air,
    /// How long the host pulls the wire low to wake it, and some.
    low: Duration,
    /// Asked sooner it does not answer, or says again what it said before.
    gap: Duration,
    temperature: (f64, f64),
    simulated: Kind,
}

static MODEL_11: Model = Model {
    name: "dht11",
    decode: decode::dht11,
    simulated: Kind::Dht11,
    low: Duration::from_millis(20),
    gap: Duration::from_secs(1),
    temperature: (-20.0, 60.0),
};

static MODEL_22: Model = Model {
    name: "dht22",
    decode: decode::dht22,
    simulated: Kind::Dht22,
    low: Duration::from_millis(2),
    gap: Duration::from_secs(2),
    temperature: (-40.0, 80.0),
};

/// An answer takes 5 ms (40 bits of at most 120 µs, and the preface).
const LISTEN: Duration = Duration::from_millis(8);

/// So much sooner does no harm. An interval of the gap itself is on time within some milliseconds, early as often as
/// late.
const EARLY: Duration = Duration::from_millis(50);

/// So many readings in a row may fail before it counts as a failure of the sensor.
const PATIENCE: u32 = 3;

const TEMPERATURE: usize = 0;
const HUMIDITY: usize = 1;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// BCM number of the pin: 4 for GPIO4, which is pin 7 of the header.
    #[schemars(required)]
    pin: Option<PinNumber>,
    /// Whose pins: gpio for this machine's, gpio-sim for simulated ones.
    #[schemars(extend("default" = "gpio"))]
    bus: Option<OnPins>,
    /// On simulated pins: how the air behaves.
    simulate: Option<Simulate>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// °C.
    temperature: Option<Course>,
    /// % relative humidity.
    humidity: Option<Course>,
}

#[derive(Debug)]
struct Dht {
    model: &'static Model,
    pins: Pins,
    pin: u8,
    simulate: Simulate,
    quantities: [QuantityInfo; 2],
    asked: Asked,
}

/// When the part was asked last. It outlives the device, which is opened anew soon after a failure.
type Asked = Arc<Mutex<Option<Instant>>>;

fn configure(
    given: &Map<String, Json>,
    model: &'static Model,
) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let pins = options.bus.map_or(Pins::Header, |pins| pins.0);
    if options.simulate.is_some() && pins != Pins::Simulated {
        let message = "is for simulated pins: remove this, or write bus: gpio-sim";
        problems.push(OptionProblem::new("simulate", message));
    }
    let quantity = |name: &'static str, unit, range| QuantityInfo {
        name: name.into(),
        unit,
        kind: ValueKind::Float,
        range: Some(range),
    };
    match options.pin {
        Some(PinNumber(pin)) if problems.is_empty() => Ok(Arc::new(Dht {
            model,
            pins,
            pin,
            simulate: options.simulate.unwrap_or_default(),
            quantities: [
                quantity("temperature", "°C", model.temperature),
                quantity("humidity", "%", (0.0, 100.0)),
            ],
            asked: Asked::default(),
        })),
        _ => Err(problems),
    }
}

impl Driver for Dht {
    fn name(&self) -> &'static str {
        self.model.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Gpio { pins: self.pins, pin: self.pin }
    }

    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        if self.pins == Pins::Simulated {
            self.put_in_place(buses);
        }
        // The kernel's driver keeps the pin for itself.
        let of_kernel =
            (self.pins == Pins::Header).then(|| kernel::find(Path::new(kernel::DEVICES), self.pin)).flatten();
        let source = match of_kernel {
            Some(folder) => Source::Kernel(folder),
            None => Source::Wire(buses.wire(self.pins, self.pin)),
        };
        Ok(Box::new(Opened { source, model: self.model, failures: None, asked: Arc::clone(&self.asked) }))
    }
}

impl Dht {
    fn put_in_place(&self, buses: &Buses) {
        let course = |course: &Option<Course>, usual| {
            course.clone().map_or(Scenario::Constant(usual), |course| course.scenario())
        };
        let mut part = SimulatedDht::new(
            self.model.simulated,
            course(&self.simulate.temperature, 21.0),
            course(&self.simulate.humidity, 50.0),
        );
        let description = format!("{} {:?}", self.model.name, self.simulate);
        let answer = move || part.answer(clock::monotonic());
        buses.simulated_pins().simulate(self.pin, &description, answer);
    }
}

/// Who times the pulses.
#[derive(Debug)]
enum Source {
    Wire(Wire),
    Kernel(PathBuf),
}

#[derive(Debug)]
struct Opened {
    source: Source,
    model: &'static Model,
    /// Failures since the last answer; nothing before the first.
    failures: Option<u32>,
    asked: Asked,
}

impl Opened {
    fn ask(&self) -> Result<Air, SensorError> {
        match &self.source {
            Source::Kernel(folder) => kernel::read(folder),
            Source::Wire(wire) => {
                let edges = wire.exchange(self.model.low, LISTEN)?;
                let bytes = decode::bytes(&edges).map_err(|garbled| {
                    SensorError::WrongAnswer(format!("the {} on {wire} {garbled}", self.model.name))
                })?;
                Ok((self.model.decode)(bytes))
            }
        }
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        {
            // One value, whole at any time.
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is_some_and(|asked| asked.elapsed() + EARLY < self.model.gap) {
                return Ok(Vec::new());
            }
            *asked = Some(Instant::now());
        }
        match self.ask() {
            Ok(Air { temperature, humidity }) => {
                self.failures = Some(0);
                let float = |quantity, value| Measured { quantity, value: Value::Float(value) };
                Ok(vec![float(TEMPERATURE, temperature), float(HUMIDITY, humidity)])
            }
            Err(error) => match &mut self.failures {
                Some(failures) if *failures + 1 < PATIENCE => {
                    *failures += 1;
                    Ok(Vec::new())
                }
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests;
