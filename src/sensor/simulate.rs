//! The `simulate:` option of drivers on a simulated bus: how each quantity moves, and what goes wrong when.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::OptionProblem;
use super::options::{self, Span};
use crate::bus::sim::Simulated;
use crate::bus::sim::fault::{self, Faulty};
use crate::bus::sim::recording::Recording;
use crate::bus::sim::scenario::{Random, Replay, Scenario, Walk};
use crate::bus::{BusName, SpiName};

/// How one simulated quantity moves.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", try_from = "Given")]
#[schemars(with = "Given")]
pub(super) struct Course(Scenario);

impl Course {
    /// The scenario.
    pub(super) fn scenario(self) -> Scenario {
        self.0
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Given {
    /// Always this value.
    Constant(f64),
    /// Between two values and back, once per period.
    Sine(Sine),
    /// Up to one step up or down every second.
    RandomWalk(RandomWalk),
    /// What a CSV file holds, over and over.
    Replay(Recorded),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sine {
    /// Lowest value.
    min: f64,
    /// Highest value.
    max: f64,
    /// Time of one wave.
    period: Span,
    /// Part of a period (0 to 1) by which it is ahead.
    #[serde(default)]
    phase: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RandomWalk {
    /// First value; the middle unless given.
    start: Option<f64>,
    /// Largest step.
    step: f64,
    /// Lowest value.
    min: f64,
    /// Highest value.
    max: f64,
    /// The same seed walks the same way.
    #[serde(default = "first_seed")]
    seed: u64,
}

fn first_seed() -> u64 {
    1
}

/// A file alone, or with what to take from it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(untagged)]
enum Recorded {
    /// The file: a value a line, or time and value with a comma between; relative to the configuration's folder.
    File(PathBuf),
    /// A column of a file that has several.
    Column(Column),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Column {
    /// The file; its first column is the time, in seconds or as in RFC 3339; relative to the configuration's folder.
    file: PathBuf,
    /// Name of the column, as in the file's first line; value unless given.
    column: Option<String>,
    /// What its values are multiplied by, to be in the unit of the part; 1 unless given.
    scale: Option<f64>,
}

impl TryFrom<Value> for Recorded {
    type Error = String;

    /// By hand: of an untagged enum, serde says only that nothing fits.
    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(file) => Ok(Recorded::File(file.into())),
            Value::Object(_) => {
                serde_json::from_value(value).map(Recorded::Column).map_err(|error| error.to_string())
            }
            other => Err(format!("{other} is no file: write replay: day.csv")),
        }
    }
}

impl Recorded {
    fn load(self) -> Result<Recording, String> {
        match self {
            Recorded::File(file) => Recording::load(&file, None),
            Recorded::Column(Column { file, column, scale }) => {
                let recording = Recording::load(&file, column.as_deref())?;
                Ok(scale.map_or(recording.clone(), |factor| recording.scaled(factor)))
            }
        }
    }
}

impl TryFrom<Given> for Course {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        Ok(Course(match given {
            Given::Constant(value) => Scenario::Constant(value),
            Given::Sine(Sine { min, max, period: Span(period), phase }) => sine(min, max, period, phase)?,
            Given::RandomWalk(RandomWalk { start, step, min, max, seed }) => {
                Scenario::Walk(walk(start, step, min, max, seed)?)
            }
            Given::Replay(recorded) => Scenario::Replay(Replay::new(recorded.load()?)),
        }))
    }
}

/// A sine, if its numbers make one.
pub(super) fn sine(min: f64, max: f64, period: Duration, phase: f64) -> Result<Scenario, String> {
    ordered(min, max)?;
    if period.is_zero() {
        return Err("period must be longer than 0s".to_owned());
    }
    Ok(Scenario::Sine { min, max, period, phase })
}

/// A random walk, if its numbers make one.
pub(super) fn walk(start: Option<f64>, step: f64, min: f64, max: f64, seed: u64) -> Result<Walk, String> {
    ordered(min, max)?;
    let start = start.unwrap_or(min + (max - min) / 2.0);
    if !(min..=max).contains(&start) {
        return Err(format!("start {start} does not lie between min {min} and max {max}"));
    }
    if step <= 0.0 {
        return Err(format!("step must be more than 0, not {step}"));
    }
    Ok(Walk::new(start, step, min, max, seed))
}

fn ordered(min: f64, max: f64) -> Result<(), String> {
    if min <= max { Ok(()) } else { Err(format!("min {min} is more than max {max}")) }
}

/// The name of a bus that can be simulated.
pub(super) trait Simulatable: std::fmt::Display {
    /// Whether this one is.
    fn is_simulated(&self) -> bool;
    /// One that is, for a message.
    const EXAMPLE: &str;
}

impl Simulatable for BusName {
    fn is_simulated(&self) -> bool {
        BusName::is_simulated(*self)
    }
    const EXAMPLE: &str = "sim-1";
}

impl Simulatable for SpiName {
    fn is_simulated(&self) -> bool {
        SpiName::is_simulated(*self)
    }
    const EXAMPLE: &str = "sim-0.0";
}

/// Whether `simulate` may be given at all; if not, that is a problem.
fn on_simulated_bus<B: Simulatable>(bus: Option<B>, problems: &mut Vec<OptionProblem>) -> Option<()> {
    match bus {
        Some(bus) if !bus.is_simulated() => {
            problems.push(OptionProblem::new(
                "simulate",
                format!("{bus} is no simulated bus: remove this, or write bus: {}", B::EXAMPLE),
            ));
            None
        }
        _ => Some(()),
    }
}

/// The option itself: read with its problems, or what is simulated without it.
pub(super) fn option<T: DeserializeOwned + JsonSchema + Default>(
    bus: Option<impl Simulatable>,
    given: Option<&Map<String, Value>>,
    problems: &mut Vec<OptionProblem>,
) -> Option<T> {
    let Some(given) = given else { return Some(T::default()) };
    on_simulated_bus(bus, problems)?;
    let (simulate, more) = options::parse("simulate.", given);
    problems.extend(more);
    Some(simulate)
}

/// A fault of the simulated part, to see what the bridge makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// What goes wrong: `nack` (as if unplugged), `garbage` (random bytes), `bit-error` (one bit of what is
    /// read is wrong: parts with a checksum notice) or `hang` (blocks the bus for a quarter of a second).
    kind: FaultKind,
    /// Part of the transfers (0 to 1) that it happens to; all unless given.
    rate: Option<Rate>,
    /// When it begins, counted from the first use; at once unless given.
    after: Option<Span>,
    /// How long it lasts; for ever unless given.
    #[serde(rename = "for")]
    lasting: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum FaultKind {
    Nack,
    Garbage,
    BitError,
    Hang,
}

/// A part of all, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
#[schemars(extend("minimum" = 0, "maximum" = 1))]
struct Rate(f64);

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&rate) {
            Ok(Rate(rate))
        } else {
            Err(format!("rate {rate} is not from 0 to 1"))
        }
    }
}

/// As long as a hung bus blocks a real transfer.
const HANG: Duration = Duration::from_millis(250);

/// The device with its fault, if it has one. `now` is the time of its bus.
pub(super) fn with_fault(
    device: Box<dyn Simulated>,
    fault: Option<Fault>,
    now: Duration,
) -> Box<dyn Simulated> {
    let Some(fault) = fault else { return device };
    let kind = match fault.kind {
        FaultKind::Nack => fault::Fault::Nack,
        FaultKind::Garbage => fault::Fault::Garbage,
        FaultKind::BitError => fault::Fault::BitError,
        FaultKind::Hang => fault::Fault::Hang(HANG),
    };
    let from = now.saturating_add(fault.after.map_or(Duration::ZERO, |span| span.0));
    let until = fault.lasting.map_or(Duration::MAX, |span| from.saturating_add(span.0));
    let Rate(rate) = fault.rate.unwrap_or(Rate(1.0));
    // The same transfers fail in every run, so that what was seen once can be looked at again.
    let mut random = Random::new(first_seed());
    let strikes = move |now| (from <= now && now < until && random.unit() < rate).then_some(kind);
    Box::new(Faulty::new(device, strikes))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use crate::bus::sim::Answer;

    use super::*;

    #[test]
    fn courses_read_as_in_the_documentation() {
        let sine = json!({"sine": {"min": 18, "max": 26, "period": "10m"}});
        assert_eq!(
            from_value::<Course>(sine).unwrap().scenario(),
            Scenario::Sine { min: 18.0, max: 26.0, period: Duration::from_secs(600), phase: 0.0 }
        );
        let walk = json!({"random-walk": {"step": 1, "min": 40, "max": 60}});
        assert_eq!(
            from_value::<Course>(walk).unwrap().scenario(),
            Scenario::Walk(Walk::new(50.0, 1.0, 40.0, 60.0, 1))
        );
        assert_eq!(
            from_value::<Course>(json!({"constant": 101325})).unwrap().scenario(),
            Scenario::Constant(101_325.0)
        );
    }

    #[test]
    fn a_recording_is_followed_from_the_first_time_that_somebody_asks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "time,hPa\n0,1013.25\n10,1000\n").unwrap();
        let plain = from_value::<Course>(json!({"replay": file.path()})).unwrap();
        let scaled = json!({"replay": {"file": file.path(), "column": "hPa", "scale": 100}});
        let scaled = from_value::<Course>(scaled).unwrap();
        for (course, factor) in [(plain, 1.0), (scaled, 100.0)] {
            let mut scenario = course.scenario();
            for (seconds, value) in [(70, 1013.25), (79, 1013.25), (80, 1000.0), (90, 1013.25)] {
                assert_eq!(scenario.at(Duration::from_secs(seconds)), value * factor, "{seconds}");
            }
        }
    }

    #[test]
    fn a_rate_is_the_part_of_transfers_that_fail() {
        struct Well;
        impl Simulated for Well {
            fn write(&mut self, _: &[u8], _: Duration) -> Answer {
                Ok(())
            }
            fn read(&mut self, _: &mut [u8], _: Duration) -> Answer {
                Ok(())
            }
        }
        let fault = from_value::<Fault>(json!({"kind": "nack", "rate": 0.25})).unwrap();
        let mut device = with_fault(Box::new(Well), Some(fault), Duration::ZERO);
        let failed = (0..4000).filter(|_| device.write(&[0], Duration::ZERO).is_err()).count();
        assert!((900..1100).contains(&failed), "{failed}");
        assert!(from_value::<Fault>(json!({"kind": "nack", "rate": 1.5})).is_err());
    }

    #[test]
    fn courses_that_make_no_sense_say_why() {
        for (value, words) in [
            (json!({"sine": {"min": 3, "max": 2, "period": "1s"}}), "min 3 is more than max 2"),
            (json!({"sine": {"min": 1, "max": 2, "period": "0s"}}), "longer than 0s"),
            (json!({"sine": {"min": 1, "max": 2, "periode": "1s"}}), "unknown field `periode`"),
            (json!({"random-walk": {"start": 9, "step": 1, "min": 1, "max": 2}}), "start 9 does not lie"),
            (json!({"random-walk": {"step": 0, "min": 1, "max": 2}}), "step must be more than 0"),
            (json!({"square": 1}), "unknown variant `square`"),
            (json!({"replay": 5}), "5 is no file"),
            (json!({"replay": {"fil": "x"}}), "unknown field `fil`"),
            (json!({"replay": "/no/such/day.csv"}), "/no/such/day.csv cannot be read"),
        ] {
            let error = from_value::<Course>(value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
