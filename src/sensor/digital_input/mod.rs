//! A two-state input: a door contact, a button, a float switch, a motion detector. On a pin of the header its
//! changes are noticed when they happen; on a port expander it is read at the interval.

mod expander;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, Span, note};
use super::pins::debounce::Change;
use super::pins::{DebouncedInput, Given, OnPins, PinNumber, Place, PullOption, Simulate};
use super::{
    Attachment, Device, Driver, DriverKind, EventSample, Events, OptionProblem, QuantityInfo, SensorError,
    Taken,
};
use crate::bus::Buses;
use crate::bus::gpio::Waker;
use crate::enrich::clock::monotonic;
use crate::reading::{Measured, Value, ValueKind};
use expander::{Expander, ExpanderOptions};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "digital-input",
    summary: "a contact, switch or other two-state signal on a pin or a port expander",
    options: options::schema::<Options>,
    configure,
};

/// Contacts bounce for some milliseconds.
const USUAL_DEBOUNCE: Duration = Duration::from_millis(20);

/// A pin that has not come to rest for so long, and for many times its debounce, is at fault.
const RESTLESS: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// BCM number of the pin: 17 for GPIO17, which is pin 11 of the header. This or `expander`.
    pin: Option<PinNumber>,
    /// Whose pins: gpio for this machine's, gpio-sim for simulated ones.
    #[schemars(extend("default" = "gpio"))]
    bus: Option<OnPins>,
    /// What holds the pin when nothing drives it: up, down or none.
    #[schemars(extend("default" = "up"))]
    pull: Option<PullOption>,
    /// Whether a low level is the active one.
    #[schemars(extend("default" = false))]
    active_low: Option<bool>,
    /// A change counts once the level has stayed for so long.
    #[schemars(extend("default" = "20ms"))]
    debounce: Option<Span>,
    /// A pin of a port expander instead, read at the interval.
    #[schemars(with = "Option<ExpanderOptions>")]
    expander: Option<Map<String, Json>>,
    /// On simulated pins: how it moves.
    simulate: Option<Simulate>,
}

#[derive(Debug)]
struct DigitalInput {
    on: On,
    active_low: bool,
    quantities: [QuantityInfo; 1],
}

#[derive(Debug)]
enum On {
    Pin(Place),
    Expander(Expander),
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let active_low = options.active_low.unwrap_or(false);
    let on = match &options.expander {
        Some(expander) => on_expander(&options, expander, &mut problems).map(On::Expander),
        None => on_pin(&options, &mut problems).map(On::Pin),
    };
    match on {
        Some(on) if problems.is_empty() => {
            let active = QuantityInfo { name: "active".into(), unit: "", kind: ValueKind::Bool, range: None };
            Ok(Arc::new(DigitalInput { on, active_low, quantities: [active] }))
        }
        _ => Err(problems),
    }
}

fn on_pin(options: &Options, problems: &mut Vec<OptionProblem>) -> Option<Place> {
    if options.pin.is_none() {
        let message = "is missing: the BCM number of the pin, or `expander` for a pin of a port expander";
        note::<()>(problems, "pin", Err(message.to_owned()));
    }
    let given = Given {
        pin: options.pin,
        pins: options.bus,
        pull: options.pull,
        debounce: options.debounce,
        simulate: options.simulate,
        usual_debounce: USUAL_DEBOUNCE,
    };
    Place::check(given, problems)
}

fn on_expander(
    options: &Options,
    expander: &Map<String, Json>,
    problems: &mut Vec<OptionProblem>,
) -> Option<Expander> {
    let beside = [
        ("pin", options.pin.is_some(), "write the expander's pin under `expander`"),
        ("bus", options.bus.is_some(), "write the expander's bus under `expander`"),
        ("debounce", options.debounce.is_some(), "an expander is read at the interval, which is slower"),
        ("simulate", options.simulate.is_some(), "an expander on bus: sim-1 is simulated as it is"),
    ];
    for (key, _, why) in beside.into_iter().filter(|(_, is_given, _)| *is_given) {
        problems.push(OptionProblem::new(key, format!("cannot stand beside `expander`: {why}")));
    }
    let (expander, more) = options::parse::<ExpanderOptions>("expander.", expander);
    problems.extend(more);
    Expander::check(&expander, options.pull, problems)
}

impl Driver for DigitalInput {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        match &self.on {
            On::Pin(place) => Attachment::Gpio { pins: place.pins, pin: place.pin },
            On::Expander(expander) => expander.attachment(),
        }
    }

    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        match &self.on {
            On::Pin(place) => {
                let input = place.watch(buses, 1)?;
                let restless = RESTLESS.max(place.debounce * 20);
                Ok(Box::new(OnPin { input, active_low: self.active_low, restless, pin: place.pin, lost: 0 }))
            }
            On::Expander(expander) => expander.open(buses, self.active_low),
        }
    }
}

/// The sample of a level.
fn sample(is_high: bool, active_low: bool) -> Vec<Measured> {
    vec![Measured { quantity: 0, value: Value::Bool(is_high != active_low) }]
}

/// An opened pin.
struct OnPin {
    input: DebouncedInput,
    active_low: bool,
    restless: Duration,
    pin: u8,
    /// Edges found missing by the level.
    lost: u64,
}

impl Device for OnPin {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let now = monotonic();
        if !self.input.agrees(now) {
            self.lost += 1;
        }
        let restless =
            self.input.restless_since(now).filter(|since| now.saturating_sub(*since) > self.restless);
        if restless.is_some() {
            return Err(SensorError::WrongAnswer(format!(
                "pin {} has not come to rest for {} s: is it connected, does it need a pull, is debounce too long?",
                self.pin,
                self.restless.as_secs()
            )));
        }
        // While it may be about to change there is nothing to say: the change will have begun before this
        // reading, and must not come after it.
        if self.input.is_undecided() {
            return Ok(Vec::new());
        }
        Ok(sample(self.input.is_high(), self.active_low))
    }

    fn events(&mut self) -> Option<&mut dyn Events> {
        Some(self)
    }
}

impl Events for OnPin {
    fn wake_by(&mut self, waker: Waker) {
        self.input.wake_by(waker);
    }

    fn take(&mut self, now: Duration) -> Result<Taken, SensorError> {
        let (changes, lost) = self.input.take(now)?;
        let samples = changes
            .into_iter()
            .map(|Change { high, at }| EventSample { at, measured: sample(high, self.active_low) });
        Ok(Taken { samples: samples.collect(), lost: lost + std::mem::take(&mut self.lost) })
    }

    fn due(&self) -> Option<Duration> {
        self.input.due()
    }
}

#[cfg(test)]
mod tests;
