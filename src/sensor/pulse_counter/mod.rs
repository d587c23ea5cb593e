//! A meter that pulses: water and gas meters, flow sensors, rain gauges, the S0 output of an energy meter.
//! Counts the edges of a pin and makes of them a total, which goes on over restarts, and a rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, Span, interned, note};
use super::pins::{DebouncedInput, Given, OnPins, PinNumber, Place, PullOption, Simulate};
use super::{
    Attachment, Device, Driver, DriverKind, Events, OptionProblem, QuantityInfo, SensorError, Taken,
};
use crate::bus::Buses;
use crate::bus::gpio::Waker;
use crate::enrich::clock::monotonic;
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "pulse-counter",
    summary: "a meter that pulses on a pin (rain, flow, water, energy): total and rate",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Reed contacts bounce for less, and no meter pulses faster than a hundred times a second but flow sensors.
const USUAL_DEBOUNCE: Duration = Duration::from_millis(5);

/// Pulses are read at the interval; only so many edges are worth waking anybody before.
const WAKE_AT: usize = 1024;

const TOTAL: usize = 0;
const RATE: usize = 1;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// BCM number of the pin: 17 for GPIO17, which is pin 11 of the header.
    #[schemars(required)]
    pin: Option<PinNumber>,
    /// Whose pins: gpio for this machine's, gpio-sim for simulated ones.
    #[schemars(extend("default" = "gpio"))]
    bus: Option<OnPins>,
    /// What holds the pin when nothing drives it: up, down or none.
    #[schemars(extend("default" = "up"))]
    pull: Option<PullOption>,
    /// Which edge is the pulse: falling (a contact to ground closes) or rising.
    #[schemars(extend("default" = "falling"))]
    edge: Option<Which>,
    /// An edge counts once the level has stayed for so long. Flow sensors that pulse faster want 0s.
    #[schemars(extend("default" = "5ms"))]
    debounce: Option<Span>,
    /// What one pulse stands for, in `unit`.
    #[schemars(extend("default" = 1))]
    per_pulse: Option<f64>,
    /// Unit of the total.
    #[schemars(extend("default" = ""))]
    unit: Option<String>,
    /// Time that the rate is per: s, min or h.
    #[schemars(extend("default" = "h"))]
    per: Option<Per>,
    /// Unit of the rate where its usual name is another, such as W for Wh/h.
    rate_unit: Option<String>,
    /// The total when nothing has been logged yet, such as what the meter shows.
    #[schemars(extend("default" = 0))]
    start: Option<f64>,
    /// On simulated pins: how it moves.
    simulate: Option<Simulate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Which {
    Falling,
    Rising,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Per {
    S,
    Min,
    H,
}

impl Per {
    fn seconds(self) -> f64 {
        match self {
            Per::S => 1.0,
            Per::Min => 60.0,
            Per::H => 3600.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Per::S => "s",
            Per::Min => "min",
            Per::H => "h",
        }
    }
}

#[derive(Debug)]
struct PulseCounter {
    place: Place,
    rising: bool,
    per_pulse: f64,
    /// Seconds of the time that the rate is per.
    per: f64,
    meter: Arc<Mutex<Meter>>,
    quantities: [QuantityInfo; 2],
}

/// What has been counted. It outlives the device, which is closed and opened again after a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Meter {
    /// The total before the first pulse.
    start: f64,
    pulses: u64,
}

fn lock(meter: &Mutex<Meter>) -> MutexGuard<'_, Meter> {
    // Two numbers that are whole at any time.
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    fn total(self, per_pulse: f64) -> f64 {
        tidy(self.start + self.pulses as f64 * per_pulse)
    }
}

/// Without the noise of the binary: three pulses of 0.2794 mm are 0.8382, not 0.8382000000000001.
fn tidy(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let given = Given {
        pin: options.pin,
        pins: options.bus,
        pull: options.pull,
        debounce: options.debounce,
        simulate: options.simulate,
        usual_debounce: USUAL_DEBOUNCE,
    };
    let place = Place::check(given, &mut problems);
    let per_pulse = options.per_pulse.unwrap_or(1.0);
    if !(per_pulse.is_finite() && per_pulse > 0.0) {
        note::<()>(&mut problems, "per_pulse", Err(format!("must be more than 0, not {per_pulse}")));
    }
    let per = options.per.unwrap_or(Per::H);
    let unit = options.unit.as_deref().unwrap_or_default();
    let rate_unit = options.rate_unit.clone().unwrap_or_else(|| format!("{unit}/{}", per.name()));
    match place {
        Some(place) if problems.is_empty() => Ok(Arc::new(PulseCounter {
            place,
            rising: options.edge == Some(Which::Rising),
            per_pulse,
            per: per.seconds(),
            meter: Arc::new(Mutex::new(Meter { start: options.start.unwrap_or(0.0), pulses: 0 })),
            quantities: [quantity("total", unit), quantity("rate", &rate_unit)],
        })),
        _ => Err(problems),
    }
}

fn quantity(name: &'static str, unit: &str) -> QuantityInfo {
    QuantityInfo { name: name.into(), unit: interned(unit), kind: ValueKind::Float, range: None }
}

impl Driver for PulseCounter {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Gpio { pins: self.place.pins, pin: self.place.pin }
    }

    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        Ok(Box::new(Opened {
            input: self.place.watch(buses, WAKE_AT)?,
            rising: self.rising,
            per_pulse: self.per_pulse,
            per: self.per,
            meter: Arc::clone(&self.meter),
            since: None,
        }))
    }

    fn resumes(&self) -> &[usize] {
        &[TOTAL]
    }

    fn resume(&self, quantity: usize, value: f64) {
        if quantity == TOTAL {
            *lock(&self.meter) = Meter { start: value, pulses: 0 };
        }
    }
}

struct Opened {
    input: DebouncedInput,
    rising: bool,
    per_pulse: f64,
    per: f64,
    meter: Arc<Mutex<Meter>>,
    /// When the last reading was, and how many pulses there were then.
    since: Option<(Duration, u64)>,
}

impl Opened {
    /// The reading at `now`: the total, and the rate since the reading before.
    fn sample(&mut self, now: Duration) -> Vec<Measured> {
        let meter = *lock(&self.meter);
        let float = |quantity, value| Measured { quantity, value: Value::Float(value) };
        let mut sample = vec![float(TOTAL, meter.total(self.per_pulse))];
        if let Some((before, pulses)) = self.since
            && now > before
        {
            let counted = meter.pulses.saturating_sub(pulses) as f64 * self.per_pulse;
            let rate = counted / (now - before).as_secs_f64() * self.per;
            sample.push(float(RATE, tidy(rate)));
        }
        self.since = Some((now, meter.pulses));
        sample
    }

    /// Counts what happened up to `now`; answers how many edges are missing.
    fn count(&mut self, now: Duration) -> Result<u64, SensorError> {
        let (changes, lost) = self.input.take(now)?;
        let pulses = changes.iter().filter(|change| change.high == self.rising).count();
        lock(&self.meter).pulses += pulses as u64;
        Ok(lost)
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        // What happened up to now was counted right before.
        Ok(self.sample(monotonic()))
    }

    fn events(&mut self) -> Option<&mut dyn Events> {
        Some(self)
    }
}

impl Events for Opened {
    fn wake_by(&mut self, waker: Waker) {
        self.input.wake_by(waker);
    }

    /// Counts, and says nothing: the total is read at the interval.
    fn take(&mut self, now: Duration) -> Result<Taken, SensorError> {
        Ok(Taken { samples: Vec::new(), lost: self.count(now)? })
    }

    /// Nothing is decided before the next reading, unless that cannot come.
    fn due(&self) -> Option<Duration> {
        self.input.ended()
    }
}

#[cfg(test)]
mod tests;
