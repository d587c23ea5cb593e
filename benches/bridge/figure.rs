//! One measured number beside its limit and its target.

use std::fmt;

/// What is asked of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Of the number itself.
    AtMost(f64),
    /// Of the share of the limit, as a fraction.
    ShareAtLeast(f64),
    /// Nothing: for comparison.
    None,
}

/// One measured number.
#[derive(Debug)]
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    limit: Option<(&'static str, f64)>,
    target: Target,
}

impl Figure {
    /// A number and what is asked of it.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, target: Target) -> Self {
        Self { what: what.into(), value, unit, limit: None, target }
    }

    /// Puts a number measured in the same run beside it.
    pub fn beside(mut self, what: &'static str, value: f64) -> Self {
        self.limit = Some((what, value));
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.limit.map(|(_, limit)| self.value / limit);
        write!(f, "{:<44} {:>10} {}", self.what, short(self.value), self.unit)?;
        if let (Some((what, limit)), Some(share)) = (self.limit, share) {
            write!(f, "; {what} {} {} ({:.0} %)", short(limit), self.unit, share * 100.0)?;
        }
        let (asked, met) = match self.target {
            Target::None => return Ok(()),
            Target::AtMost(most) => (format!("≤ {} {}", short(most), self.unit), self.value <= most),
            Target::ShareAtLeast(least) => {
                (format!("≥ {:.0} %", least * 100.0), share.is_some_and(|share| share >= least))
            }
        };
        write!(f, "; target {asked}: {}", if met { "ok" } else { "MISSED" })
    }
}

/// Three figures that matter.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{:.0}", value),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
