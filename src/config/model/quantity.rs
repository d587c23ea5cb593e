//! From the driver's value to the user's, and which values pass.

use std::time::Duration;

use crate::reading::Channel;
use crate::sensor::QuantityInfo;

/// How one quantity of one sensor is treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// Position in the driver's list.
    pub index: usize,
    /// What the driver declares.
    pub info: QuantityInfo,
    /// From the driver's value to the user's.
    pub calibration: Calibration,
    /// What passes.
    pub filter: Filter,
    /// Where it goes.
    pub channel: Channel,
}

/// From the driver's number to the user's: unit, then polynomial, then rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Factor of the unit conversion, applied first: `x × factor + shift`.
    pub factor: f64,
    /// Shift of the unit conversion, in the user's unit.
    pub shift: f64,
    /// Coefficients c0 + c1·x + c2·x² …, in the user's unit (`offset` and `scale` are c0 and c1).
    pub polynomial: Vec<f64>,
    /// Decimals to round to.
    pub round: Option<u8>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { factor: 1.0, shift: 0.0, polynomial: vec![0.0, 1.0], round: None }
    }
}

/// Which values pass; all in the user's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// How much must have changed.
    pub change: Change,
    /// Send after this long though unchanged.
    pub heartbeat: Option<Duration>,
    /// Never more often than this; the newest value is kept and sent when its time has come.
    pub min_interval: Option<Duration>,
    /// Smallest and largest believable value, both inclusive.
    pub valid: Option<(f64, f64)>,
}

/// How much a value must differ from the last one sent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Change {
    /// At all.
    #[default]
    Any,
    /// Not at all: every sample passes.
    Always,
    /// By at least this much, in the user's unit.
    Absolute(f64),
    /// By at least this fraction of the last value sent (1 % is 0.01).
    Relative(f64),
}

impl Change {
    /// Reads `any`, `always`, `0.1` or `1%`; how large it is, is not judged.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        match (text, text.strip_suffix('%')) {
            ("any", _) => Some(Change::Any),
            ("always", _) => Some(Change::Always),
            (_, Some(percent)) => percent.trim().parse().ok().map(|p: f64| Change::Relative(p / 100.0)),
            (number, None) => number.parse().ok().map(Change::Absolute),
        }
    }
}
