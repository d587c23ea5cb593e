//! What goes through together: one quantity, or all that share a message. Keeps the last values that
//! passed, and the newest that must wait. Knows nothing of calibration or ranges.

use std::time::Duration;

use super::change::is_change;
use crate::config::{Change, Filter};
use crate::reading::{Moment, Value};

/// The memory of one message's worth of quantities.
#[derive(Debug, Default)]
pub(super) struct Gate {
    members: Vec<Member>,
    min_interval: Option<Duration>,
    passed_at: Option<Duration>,
    held: Option<(Moment, Vec<(usize, Value)>)>,
}

#[derive(Debug)]
struct Member {
    position: usize,
    change: Change,
    heartbeat: Option<Duration>,
    last: Option<(Value, Duration)>,
    /// The next value passes whatever it is: the first of all, or the first after a failure.
    fresh: bool,
}

/// What a gate remembers of one quantity.
#[derive(Debug)]
pub(super) struct Memory {
    last: Option<(Value, Duration)>,
    fresh: bool,
    passed_at: Option<Duration>,
}

/// What a gate does with a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The sample holds none of its quantities.
    Untouched,
    /// Lets all of them through.
    Pass,
    /// Changed enough, but too soon.
    Hold,
    /// Nothing new.
    Quiet,
}

impl Gate {
    /// Adds a quantity.
    pub fn join(&mut self, position: usize, filter: &Filter) {
        self.min_interval = self.min_interval.max(filter.min_interval);
        self.members.push(Member {
            position,
            change: filter.change,
            heartbeat: filter.heartbeat,
            last: None,
            fresh: true,
        });
    }

    /// Gives a quantity another measure of change.
    pub fn set_change(&mut self, position: usize, change: Change) {
        if let Some(member) = self.members.iter_mut().find(|member| member.position == position) {
            member.change = change;
        }
    }

    /// Takes out what is remembered of a quantity.
    pub fn forget(&mut self, position: usize) -> Option<Memory> {
        let passed_at = self.passed_at;
        let member = self.members.iter_mut().find(|member| member.position == position)?;
        Some(Memory { last: member.last.take(), fresh: member.fresh, passed_at })
    }

    /// Goes on with what another gate remembered of a quantity.
    pub fn remember(&mut self, position: usize, memory: Memory) {
        self.passed_at = self.passed_at.max(memory.passed_at);
        if let Some(member) = self.members.iter_mut().find(|member| member.position == position) {
            member.last = memory.last;
            member.fresh = memory.fresh;
        }
    }

    /// What to do with a sample, `values` by position.
    pub fn decide(&self, now: Duration, values: &[Option<Value>]) -> Action {
        let present = || self.members.iter().filter_map(|m| Some((m, values[m.position].as_ref()?)));
        if present().next().is_none() {
            Action::Untouched
        } else if present().any(|(member, _)| member.fresh) {
            Action::Pass
        } else if !present().any(|(member, value)| member.wants(now, value)) {
            Action::Quiet
        } else if self.opens_at().is_some_and(|opens| now < opens) {
            Action::Hold
        } else {
            Action::Pass
        }
    }

    /// Takes note of a value that passed. `taken_now` is false for one that had been held: it is older
    /// than a failure that may have come since, so it does not stand for the first value afterwards.
    pub fn passed(&mut self, now: Duration, position: usize, value: Value, taken_now: bool) {
        self.passed_at = Some(now);
        if let Some(member) = self.members.iter_mut().find(|member| member.position == position) {
            member.last = Some((value.remembered(), now));
            member.fresh &= !taken_now;
        }
    }

    /// Keeps a value until the gate opens.
    pub fn hold(&mut self, at: Moment, position: usize, value: Value) {
        self.held.get_or_insert_with(|| (at, Vec::new())).1.push((position, value));
    }

    /// Forgets what is held; answers how many values that were.
    pub fn discard_held(&mut self) -> usize {
        self.take_held().map_or(0, |(_, values)| values.len())
    }

    /// Takes out what is held.
    pub fn take_held(&mut self) -> Option<(Moment, Vec<(usize, Value)>)> {
        self.held.take()
    }

    /// How many values are held.
    pub fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |(_, values)| values.len())
    }

    /// When what is held may pass.
    pub fn due(&self) -> Option<Duration> {
        self.held.as_ref().map(|_| self.opens_at().unwrap_or_default())
    }

    /// Lets the next value of each quantity pass.
    pub fn reset(&mut self) {
        self.members.iter_mut().for_each(|member| member.fresh = true);
    }

    fn opens_at(&self) -> Option<Duration> {
        Some(self.passed_at?.saturating_add(self.min_interval?))
    }
}

impl Member {
    fn wants(&self, now: Duration, value: &Value) -> bool {
        self.last.as_ref().is_none_or(|(last, at)| {
            let overdue = self.heartbeat.is_some_and(|heartbeat| now.saturating_sub(*at) >= heartbeat);
            overdue || is_change(self.change, last, value)
        })
    }
}
