//! Changed enough? Calibrates the values of one sensor's sample, turns away what cannot be true, and
//! says which of the rest are worth passing on. Pure: the time is an argument, no clock, no I/O.
//!
//! A decision has two halves. [`SensorFilter::judge`] only looks; [`SensorFilter::settle`] moves the
//! filter on, and is told whether the values really went into the log. A sample that was dropped
//! on the way thus leaves the filter as it was, and the next one passes in its place.
//!
//! Times are durations on a monotonic clock since any fixed origin: a step of the wall clock can
//! neither fire a heartbeat nor hold a value back.

mod calibrate;
mod change;
mod gate;
mod trace;

use std::fmt;
use std::time::Duration;

use crate::config;
use crate::reading::{Measured, Moment, Quantity, Shape, Value};
use gate::{Action, Gate};

pub use trace::{Fate, Seen, Trace};

/// A driver's value as the user wants to see it: unit, polynomial and rounding applied.
pub fn calibrate(quantity: &config::Quantity, value: &Value) -> Value {
    quantity.calibration.apply(value)
}

/// The filters of one sensor's quantities.
///
/// A quantity that is published by itself, or only logged, is decided by itself. Quantities that share
/// one message per sample (`publish.shape` is [`Shape::Sample`], same topic) are decided together,
/// since a message is whole: when one of them passes, all that the sample holds pass; the largest
/// `min_interval` among them rules; what was turned away as impossible is left out.
#[derive(Debug)]
pub struct SensorFilter {
    slots: Vec<Slot>,
    gates: Vec<Gate>,
    /// Position in `slots` by the driver's index; quantities not wanted have none.
    by_index: Vec<Option<usize>>,
}

/// One quantity: what is believed of it, and which gate it goes through.
#[derive(Debug)]
struct Slot {
    quantity: config::Quantity,
    gate: usize,
}

/// What [`SensorFilter::judge`] thinks of one sample. Positions are those of the sensor's quantities.
#[derive(Debug, Default, PartialEq)]
#[must_use = "settle it, or the filter does not move on"]
pub struct Verdict {
    /// What passes: position and calibrated value, in the order of the quantities.
    pub passed: Vec<(usize, Value)>,
    /// What cannot be true.
    pub rejected: Vec<Rejection>,
    /// Changed, but too soon after the last one: kept until its time has come.
    held: Vec<(usize, Value)>,
    /// Not changed enough, and how many those are; by position.
    quiet: Vec<Option<Value>>,
    suppressed: usize,
    /// By gate.
    actions: Vec<Action>,
}

/// A value that was kept back by `min_interval` and whose time has come.
#[derive(Debug, PartialEq)]
#[must_use = "settle it, or the values in it are lost uncounted"]
pub struct Due {
    /// When it was taken; not when it passes.
    pub at: Moment,
    /// Position and calibrated value.
    pub values: Vec<(usize, Value)>,
    gate: usize,
}

/// What became of values, for the counters. Every value of a wanted quantity that is judged ends in
/// exactly one of these, or is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Went into the log.
    pub passed: usize,
    /// Not changed enough, or replaced by a newer one before its time had come.
    pub suppressed: usize,
    /// Cannot be true.
    pub rejected: usize,
    /// Should have passed, but the log did not take it.
    pub dropped: usize,
}

/// A value that was turned away. Its `Display` is the reason, for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Which quantity.
    pub quantity: Quantity,
    /// Its position among the sensor's quantities.
    pub position: usize,
    /// The value: the driver's, or after calibration for [`Reason::Invalid`].
    pub value: Value,
    /// Why.
    pub reason: Reason,
}

/// Why a value was turned away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// Not a number, or infinite.
    NotFinite,
    /// Outside what the part can measure (data sheet), in the driver's unit: the sensor is faulty.
    OutsideRange(f64, f64),
    /// Outside what the user believes (`valid`), in the user's unit.
    Invalid(f64, f64),
}

impl Rejection {
    /// Whether the sensor is at fault, rather than the user in doubt.
    pub fn is_fault(&self) -> bool {
        !matches!(self.reason, Reason::Invalid(..))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quantity, value, reason, .. } = self;
        match reason {
            Reason::NotFinite => write!(f, "{quantity} came out as {value}, which is no measurement"),
            Reason::OutsideRange(low, high) => {
                write!(f, "{quantity} {value} is outside what the part can measure ({low} to {high})")
            }
            Reason::Invalid(low, high) => {
                write!(f, "{quantity} {value} is outside its valid range ({low} to {high})")
            }
        }
    }
}

impl SensorFilter {
    /// A filter that has seen nothing: the first value of each quantity passes.
    pub fn new(quantities: &[config::Quantity]) -> Self {
        let mut filter = Self { slots: Vec::new(), gates: Vec::new(), by_index: Vec::new() };
        let mut topics: Vec<(&str, usize)> = Vec::new();
        for (position, quantity) in quantities.iter().enumerate() {
            let message = quantity.channel.publish.as_ref().filter(|publish| publish.shape == Shape::Sample);
            let shared = message.and_then(|publish| topics.iter().find(|(topic, _)| *topic == publish.topic));
            let gate = match shared {
                Some((_, gate)) => *gate,
                None => {
                    filter.gates.push(Gate::default());
                    let gate = filter.gates.len() - 1;
                    topics.extend(message.map(|publish| (publish.topic.as_str(), gate)));
                    gate
                }
            };
            filter.gates[gate].join(position, &quantity.filter);
            if filter.by_index.len() <= quantity.index {
                filter.by_index.resize(quantity.index + 1, None);
            }
            filter.by_index[quantity.index] = Some(position);
            filter.slots.push(Slot { quantity: quantity.clone(), gate });
        }
        filter
    }

    /// Decides on a sample read at `now`, without moving on. Quantities not wanted are passed over;
    /// of a quantity that comes twice the later value counts.
    pub fn judge(&self, now: Duration, sample: &[Measured]) -> Verdict {
        let mut verdict = Verdict::default();
        let mut values: Vec<Option<Value>> = vec![None; self.slots.len()];
        for measured in sample {
            let Some(position) = self.by_index.get(measured.quantity).copied().flatten() else { continue };
            match self.slots[position].accept(position, &measured.value) {
                Ok(value) => verdict.suppressed += usize::from(values[position].replace(value).is_some()),
                Err(rejection) => verdict.rejected.push(rejection),
            }
        }
        verdict.actions.extend(self.gates.iter().map(|gate| gate.decide(now, &values)));
        for (position, slot) in values.iter_mut().enumerate() {
            let into = match verdict.actions[self.slots[position].gate] {
                Action::Pass => &mut verdict.passed,
                Action::Hold => &mut verdict.held,
                Action::Quiet | Action::Untouched => {
                    verdict.suppressed += usize::from(slot.is_some());
                    continue;
                }
            };
            into.extend(slot.take().map(|value| (position, value)));
        }
        // What is left in place is what stays behind.
        verdict.quiet = values;
        verdict
    }

    /// Moves on after a verdict. `at` is when the sample was taken, `now` the time it was judged by;
    /// `delivered` says whether what passed is in the log (true if nothing did).
    pub fn settle(&mut self, now: Duration, at: Moment, verdict: Verdict, delivered: bool) -> Counts {
        let Verdict { passed, rejected, held, quiet: _, suppressed, actions } = verdict;
        let mut counts = Counts { suppressed, rejected: rejected.len(), ..Counts::default() };
        *(if delivered { &mut counts.passed } else { &mut counts.dropped }) += passed.len();
        for (gate, action) in self.gates.iter_mut().zip(actions) {
            // What was held is older than this sample: it has been overtaken, unless nothing went
            // through the gate after all.
            let overtaken = match action {
                Action::Pass => delivered,
                Action::Hold | Action::Quiet => true,
                Action::Untouched => false,
            };
            if overtaken {
                counts.suppressed += gate.discard_held();
            }
        }
        if delivered {
            for (position, value) in passed {
                self.gates[self.slots[position].gate].passed(now, position, value, true);
            }
        }
        for (position, value) in held {
            self.gates[self.slots[position].gate].hold(at, position, value);
        }
        counts
    }

    /// When the next held value is due, if one is held.
    pub fn due(&self) -> Option<Duration> {
        self.gates.iter().filter_map(Gate::due).min()
    }

    /// Takes out a held value whose time has come by `now`; ask again until there is none. With
    /// [`Duration::MAX`] everything held comes, as before an end.
    pub fn take_due(&mut self, now: Duration) -> Option<Due> {
        let gate = self.gates.iter().position(|gate| gate.due().is_some_and(|due| due <= now))?;
        self.gates[gate].take_held().map(|(at, values)| Due { at, values, gate })
    }

    /// Moves on after a due value was handed over, or was not (`delivered`).
    pub fn settle_due(&mut self, now: Duration, due: Due, delivered: bool) -> Counts {
        let count = due.values.len();
        if !delivered {
            return Counts { dropped: count, ..Counts::default() };
        }
        for (position, value) in due.values {
            self.gates[due.gate].passed(now, position, value, false);
        }
        Counts { passed: count, ..Counts::default() }
    }

    /// The sensor has come back after a failure: the next value of each quantity passes, whatever it
    /// is and however soon.
    pub fn reset(&mut self) {
        self.gates.iter_mut().for_each(Gate::reset);
    }

    /// Goes over to another list of quantities, or other rules. What is remembered of a quantity stays if it goes
    /// where it went before, in the same measure; of any other the next value passes. What is held has to be taken
    /// out first: it belongs to the old list.
    pub fn adjust(&mut self, quantities: &[config::Quantity]) {
        let mut fresh = Self::new(quantities);
        for (position, slot) in fresh.slots.iter().enumerate() {
            let same = |old: &config::Quantity| {
                let new = &slot.quantity;
                (&old.info, &old.calibration, &old.channel) == (&new.info, &new.calibration, &new.channel)
            };
            let Some(before) = self.slots.iter().position(|slot| same(&slot.quantity)) else { continue };
            if let Some(memory) = self.gates[self.slots[before].gate].forget(before) {
                fresh.gates[slot.gate].remember(position, memory);
            }
        }
        *self = fresh;
    }

    /// From now on a quantity passes when it has changed by so much. False when it is not among them.
    pub fn set_change(&mut self, quantity: &Quantity, change: config::Change) -> bool {
        let wanted = |slot: &Slot| slot.quantity.info.name == *quantity;
        let Some(position) = self.slots.iter().position(wanted) else { return false };
        self.slots[position].quantity.filter.change = change;
        self.gates[self.slots[position].gate].set_change(position, change);
        true
    }

    /// A sample as people see it: name, calibrated value and unit of each quantity that is wanted.
    pub fn calibrated(&self, sample: &[Measured]) -> Vec<(Quantity, Value, String)> {
        let slot = |measured: &Measured| {
            let position = self.by_index.get(measured.quantity).copied().flatten()?;
            let quantity = &self.slots[position].quantity;
            let value = calibrate(quantity, &measured.value);
            Some((quantity.info.name.clone(), value, quantity.channel.unit.clone()))
        };
        sample.iter().filter_map(slot).collect()
    }

    /// Values held back by `min_interval` at the moment.
    pub fn held(&self) -> usize {
        self.gates.iter().map(Gate::held).sum()
    }
}

impl Slot {
    fn accept(&self, position: usize, raw: &Value) -> Result<Value, Rejection> {
        let outside = |value: &Value, limits: Option<(f64, f64)>| match (value, limits) {
            (Value::Float(_) | Value::Integer(_), Some((low, high))) => {
                value.as_f64().filter(|number| *number < low || *number > high).map(|_| (low, high))
            }
            _ => None,
        };
        let finite = |value: &Value| value.as_f64().is_none_or(f64::is_finite);
        let reject = |value: &Value, reason| {
            let quantity = self.quantity.info.name.clone();
            Err(Rejection { quantity, position, value: value.clone(), reason })
        };
        if !finite(raw) {
            return reject(raw, Reason::NotFinite);
        }
        if let Some((low, high)) = outside(raw, self.quantity.info.range) {
            return reject(raw, Reason::OutsideRange(low, high));
        }
        let value = calibrate(&self.quantity, raw);
        if !finite(&value) {
            return reject(&value, Reason::NotFinite);
        }
        match outside(&value, self.quantity.filter.valid) {
            Some((low, high)) => reject(&value, Reason::Invalid(low, high)),
            None => Ok(value),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
