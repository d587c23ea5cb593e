//! A simulated sensor without a bus: waves, walks, constants, the clock, or a recording, for demos, load
//! tests and trying a configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, Span, has_problem, interned, note};
use super::simulate::{sine, walk};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::bus::sim::recording::Recording;
use crate::bus::sim::scenario::{Scenario, Walk};
use crate::enrich::clock;
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "sim",
    summary: "a simulated sensor: a sine, a random walk, a constant, the clock, or a recording",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// 2026-01-01T00:00:00Z in µs since the Unix epoch: where the `clock` scenario counts from.
const CLOCK_EPOCH: i64 = 1_767_225_600_000_000;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// How the value moves: sine (default), random-walk, constant, clock (µs since 2026-01-01 UTC) or replay
    /// (a recording).
    #[schemars(extend("default" = "sine"))]
    scenario: Option<Course>,
    /// A new value every so many samples; in between the last one is repeated.
    #[schemars(extend("default" = 1), range(min = 1))]
    every: Option<u32>,
    /// Lowest value (sine, random-walk).
    #[schemars(extend("default" = 0))]
    min: Option<f64>,
    /// Highest value (sine, random-walk).
    #[schemars(extend("default" = 100))]
    max: Option<f64>,
    /// Time of one wave (sine).
    #[schemars(extend("default" = "60s"))]
    period: Option<Span>,
    /// Part of a period (0 to 1) by which the wave is ahead (sine).
    #[schemars(extend("default" = 0))]
    phase: Option<f64>,
    /// The value (constant).
    #[schemars(extend("default" = 0))]
    value: Option<f64>,
    /// Largest step from value to value (random-walk).
    #[schemars(extend("default" = 1))]
    step: Option<f64>,
    /// First value; the middle unless given (random-walk).
    start: Option<f64>,
    /// The same seed walks the same way (random-walk).
    #[schemars(extend("default" = 1))]
    seed: Option<u64>,
    /// The recording: a value a line, or time and value with a comma between, over and over; relative to the
    /// configuration's folder (replay).
    file: Option<PathBuf>,
    /// Which column of a recording that has several; value unless given (replay).
    column: Option<String>,
    /// Name of the quantity.
    #[schemars(extend("default" = "value"), regex(pattern = "^[a-z0-9_]+$"))]
    quantity: Option<String>,
    /// Unit of the value.
    #[schemars(extend("default" = ""))]
    unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Course {
    Sine,
    RandomWalk,
    Constant,
    Clock,
    Replay,
}

impl Course {
    /// The options that mean something to it, beside those that all have.
    fn own(self) -> &'static [&'static str] {
        match self {
            Course::Sine => &["min", "max", "period", "phase"],
            Course::RandomWalk => &["min", "max", "step", "start", "seed"],
            Course::Constant => &["value"],
            Course::Clock => &[],
            Course::Replay => &["file", "column"],
        }
    }

    fn takes(self, key: &str) -> bool {
        FOR_ALL.contains(&key) || self.own().contains(&key)
    }

    fn name(self) -> &'static str {
        match self {
            Course::Sine => "sine",
            Course::RandomWalk => "random-walk",
            Course::Constant => "constant",
            Course::Clock => "clock",
            Course::Replay => "replay",
        }
    }
}

const FOR_ALL: [&str; 4] = ["scenario", "every", "quantity", "unit"];

/// Where values come from.
#[derive(Debug, Clone)]
enum Values {
    Sine { wave: Scenario, decimals: i32 },
    Walk { walk: Walk, decimals: i32 },
    Constant(f64),
    Clock,
    Replay(Recording),
}

#[derive(Debug)]
struct Sim {
    values: Values,
    every: u32,
    quantities: [QuantityInfo; 1],
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let course = options.scenario.unwrap_or(Course::Sine);
    if !has_problem(&problems, "scenario") {
        for key in given.keys().filter(|key| !course.takes(key)) {
            let message = format!("means nothing to scenario {}: remove it", course.name());
            note::<()>(&mut problems, key, Err(message));
        }
    }
    let every = options.every.unwrap_or(1);
    if every == 0 {
        problems.push(OptionProblem::new("every", "must be 1 or more"));
    }
    let quantity = options.quantity.clone().unwrap_or_else(|| "value".to_owned());
    if quantity.is_empty()
        || !quantity.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        let message = format!("\"{quantity}\" is no name of a quantity: use a to z, 0 to 9 and _");
        problems.push(OptionProblem::new("quantity", message));
    }
    let key = if course == Course::Replay { "file" } else { "scenario" };
    let values = note(&mut problems, key, values(course, &options));
    let default_unit = if course == Course::Clock { "µs" } else { "" };
    let unit = interned(options.unit.as_deref().unwrap_or(default_unit));
    let kind = if course == Course::Clock { ValueKind::Integer } else { ValueKind::Float };
    match values {
        Some(values) if problems.is_empty() => {
            let info = QuantityInfo { name: quantity.into(), unit, kind, range: None };
            Ok(Arc::new(Sim { values, every, quantities: [info] }))
        }
        _ => Err(problems),
    }
}

fn values(course: Course, options: &Options) -> Result<Values, String> {
    let (min, max) = (options.min.unwrap_or(0.0), options.max.unwrap_or(100.0));
    Ok(match course {
        Course::Sine => {
            let period = options.period.map_or(Duration::from_secs(60), |span| span.0);
            let wave = sine(min, max, period, options.phase.unwrap_or(0.0))?;
            Values::Sine { wave, decimals: decimals(max - min) }
        }
        Course::RandomWalk => {
            let step = options.step.unwrap_or(1.0);
            let walk = walk(options.start, step, min, max, options.seed.unwrap_or(1))?;
            Values::Walk { walk, decimals: decimals(step) }
        }
        Course::Constant => Values::Constant(options.value.unwrap_or(0.0)),
        Course::Clock => Values::Clock,
        Course::Replay => {
            let file = options.file.as_ref().ok_or("is missing: the recording to replay")?;
            Values::Replay(Recording::load(file, options.column.as_deref())?)
        }
    })
}

/// Decimals that show a ten-thousandth of a span, as an instrument would.
fn decimals(span: f64) -> i32 {
    if span > 0.0 { (4 - span.log10().ceil() as i32).clamp(0, 12) } else { 12 }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

impl Driver for Sim {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Worker("sim")
    }

    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        Ok(Box::new(Opened {
            values: self.values.clone(),
            values_taken: 0,
            opened: Instant::now(),
            every: self.every,
            samples: 0,
            last: Value::Integer(0),
        }))
    }
}

struct Opened {
    values: Values,
    /// New values so far.
    values_taken: u64,
    opened: Instant,
    every: u32,
    /// Samples since the last new value; 0 before the first.
    samples: u32,
    last: Value,
}

impl Opened {
    fn next(&mut self) -> Value {
        match &mut self.values {
            Values::Sine { wave, decimals } => {
                // By the machine's time since boot, so that a wave goes on where it was after a restart.
                let now = Duration::from_micros(clock::since_boot().unsigned_abs());
                Value::Float(rounded(wave.at(now), *decimals))
            }
            Values::Walk { walk, decimals } => Value::Float(rounded(walk.step(), *decimals)),
            Values::Constant(value) => Value::Float(*value),
            Values::Clock => Value::Integer(clock::now().wall.0 - CLOCK_EPOCH),
            Values::Replay(recording) => {
                Value::Float(recording.sample(self.values_taken, self.opened.elapsed()))
            }
        }
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        if self.samples == 0 || self.samples >= self.every {
            self.last = self.next();
            self.values_taken += 1;
            self.samples = 0;
        }
        self.samples += 1;
        Ok(vec![Measured { quantity: 0, value: self.last.clone() }])
    }
}

#[cfg(test)]
mod tests;
