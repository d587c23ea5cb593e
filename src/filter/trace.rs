//! What became of a quantity's last values: a small record of fixed size, so that somebody can be told why a
//! value was not published. Decides nothing.

use super::{Reason, Verdict};
use crate::reading::{Moment, Value};

/// A value and when it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The value; in place of a picture its size in bytes, as in the log.
    pub value: Value,
    /// When it was taken.
    pub at: Moment,
}

/// What may become of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It went into the log.
    Passed,
    /// It had not changed enough.
    Unchanged,
    /// It came too soon after the one before.
    Held,
    /// It cannot be true.
    Refused,
    /// It should have gone into the log, which did not take it.
    Dropped,
}

impl Fate {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Passed => "passed",
            Fate::Unchanged => "unchanged",
            Fate::Held => "held",
            Fate::Refused => "refused",
            Fate::Dropped => "dropped",
        }
    }
}

/// The last values of one quantity, one for each fate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// What became of the last value.
    pub last: Option<Fate>,
    /// The last value that can be true, whatever became of it.
    pub plausible: Option<Seen>,
    /// The last value that went into the log.
    pub passed: Option<Seen>,
    /// The last one that had not changed enough, and what it was compared with.
    pub unchanged: Option<(Seen, Option<Value>)>,
    /// The last one that came too soon.
    pub held: Option<Seen>,
    /// The last one that cannot be true, as the driver gave it or (for [`Reason::Invalid`]) calibrated; and why.
    pub refused: Option<(Seen, Reason)>,
    /// The last one that the log did not take.
    pub dropped: Option<Seen>,
}

impl Trace {
    /// A value that went into the log (`kept`), or should have.
    pub fn passed(&mut self, value: &Value, at: Moment, kept: bool) {
        let seen = Seen::new(value, at);
        // What was held is older than what has been seen since.
        if self.plausible.as_ref().is_none_or(|last| last.at.since_boot <= at.since_boot) {
            self.plausible = Some(seen.clone());
            self.last = Some(if kept { Fate::Passed } else { Fate::Dropped });
        }
        *(if kept { &mut self.passed } else { &mut self.dropped }) = Some(seen);
    }

    fn unchanged(&mut self, value: &Value, at: Moment) {
        let seen = Seen::new(value, at);
        self.last = Some(Fate::Unchanged);
        self.plausible = Some(seen.clone());
        self.unchanged = Some((seen, self.passed.as_ref().map(|passed| passed.value.clone())));
    }

    fn held(&mut self, value: &Value, at: Moment) {
        let seen = Seen::new(value, at);
        self.last = Some(Fate::Held);
        self.plausible = Some(seen.clone());
        self.held = Some(seen);
    }
}

impl Seen {
    fn new(value: &Value, at: Moment) -> Self {
        let value = match value {
            Value::Image(image) => Value::Integer(i64::try_from(image.bytes.len()).unwrap_or(i64::MAX)),
            other => other.clone(),
        };
        Self { value, at }
    }
}

impl Verdict {
    /// Writes down what becomes of a sample taken `at`: `traces` by position, `kept` as in
    /// [`super::SensorFilter::settle`].
    pub fn trace(&self, traces: &mut [Trace], at: Moment, kept: bool) {
        for rejection in &self.rejected {
            if let Some(trace) = traces.get_mut(rejection.position) {
                trace.last = Some(Fate::Refused);
                trace.refused = Some((Seen::new(&rejection.value, at), rejection.reason));
            }
        }
        for (position, value) in &self.passed {
            if let Some(trace) = traces.get_mut(*position) {
                trace.passed(value, at, kept);
            }
        }
        for (position, value) in &self.held {
            if let Some(trace) = traces.get_mut(*position) {
                trace.held(value, at);
            }
        }
        for (trace, value) in traces.iter_mut().zip(&self.quiet) {
            if let Some(value) = value {
                trace.unchanged(value, at);
            }
        }
    }
}
