//! What worker and supervisor share of one sensor: its health and its place on the board. The only
//! place that logs state readings, so that they stay in order whoever finds out first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Output;
use super::health::Health;
use super::stop::Stop;
use crate::config;
use crate::filter::{Counts, Due, Trace, Verdict};
use crate::log::Busy;
use crate::reading::{ChannelId, Moment, Reading, SensorId, Value};
use crate::status::{Board, Figure, Part, State};

/// One sensor as the others see it.
pub(super) struct Cell {
    pub id: SensorId,
    pub figures: Figures,
    part: Part,
    told: Mutex<Told>,
    seen: Mutex<Seen>,
    output: Arc<dyn Output>,
    stop: Arc<Stop>,
}

/// How the sensor is, and how and where that is told.
struct Told {
    health: Health,
    timeout: Duration,
    channel: ChannelId,
}

/// What was last seen of a sensor, for those who ask.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What became of the last values, by position among the sensor's quantities.
    pub traces: Vec<Trace>,
    /// When it will be read next; nothing before it was read first, and while it is paused.
    pub next_read: Option<Instant>,
}

/// The sensor's figures on the board.
#[derive(Debug)]
pub(super) struct Figures {
    /// Reads that were answered.
    pub samples: Figure,
    /// Reads and openings that failed.
    pub errors: Figure,
    /// Points of the grid that were missed.
    pub skipped: Figure,
    /// Values kept back by `min_interval` at the moment.
    pub held: Figure,
    /// Values (and state readings) that should have gone into the log, and did not.
    pub dropped: Figure,
    passed: Figure,
    suppressed: Figure,
    rejected: Figure,
}

impl Figures {
    /// Adds what became of values; the dropped ones are the cell's to add.
    fn count(&self, counts: Counts) {
        self.passed.add(counts.passed);
        self.suppressed.add(counts.suppressed);
        self.rejected.add(counts.rejected);
    }
}

impl Cell {
    /// A sensor not heard of yet.
    pub fn new(plan: &super::SensorPlan, board: &Board, output: &Arc<dyn Output>, stop: &Arc<Stop>) -> Self {
        let part = board.part(&format!("sensor {}", plan.sensor.id));
        // A part outlives a reload of the configuration; what it said of the old run is over.
        part.set(State::Starting);
        part.figure("held").set(0);
        let figures = Figures {
            samples: part.figure("samples"),
            errors: part.figure("errors"),
            skipped: part.figure("skipped"),
            held: part.figure("held"),
            dropped: part.figure("dropped"),
            passed: part.figure("passed"),
            suppressed: part.figure("suppressed"),
            rejected: part.figure("rejected"),
        };
        Self {
            id: plan.sensor.id.clone(),
            figures,
            part,
            told: Mutex::new(Told {
                health: Health::default(),
                timeout: plan.sensor.timeout,
                channel: plan.state_channel,
            }),
            seen: Mutex::new(Seen {
                traces: vec![Trace::default(); plan.sensor.quantities.len()],
                next_read: None,
            }),
            output: Arc::clone(output),
            stop: Arc::clone(stop),
        }
    }

    /// A read that takes longer hangs.
    pub fn timeout(&self) -> Duration {
        self.lock().timeout
    }

    /// Goes over to another configuration of the same sensor. `before` are the quantities until now. What is seen
    /// of a quantity stays if it is the same measure; a state that goes elsewhere is told again there.
    pub fn adjust(&self, plan: &super::SensorPlan, before: &[config::Quantity]) {
        {
            let mut told = self.lock();
            told.timeout = plan.sensor.timeout;
            if told.channel != plan.state_channel {
                // What is owed belongs to the old channel.
                if self.pay_from(&mut told).is_err() {
                    self.lose(told.health.forgive_all());
                }
                told.channel = plan.state_channel;
                told.health.tell_again();
            }
        }
        let mut seen = self.lock_seen();
        let mut old = std::mem::take(&mut seen.traces);
        let same = |new: &config::Quantity| {
            let of = |one: &config::Quantity| {
                (one.info.clone(), one.calibration.clone(), one.channel.unit.clone())
            };
            before.iter().position(|old| of(old) == of(new))
        };
        let trace =
            |new| same(new).and_then(|place| old.get_mut(place)).map(std::mem::take).unwrap_or_default();
        seen.traces = plan.sensor.quantities.iter().map(trace).collect();
    }

    /// Changes the health, shows it, and logs the state reading if it became one. While the log is busy
    /// the reading is owed; [`Cell::pay`] tries again.
    pub fn change<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut told = self.lock();
        let answer = change(&mut told.health);
        self.lose(told.health.forgive());
        if !self.stop.is_over() {
            self.part.set(told.health.state());
        }
        // Busy is no loss here: the reading stays owed, and every sample and the supervisor try again.
        if self.pay_from(&mut told).is_err() {
            tracing::debug!("sensor {}: its state waits for the log", self.id);
        }
        answer
    }

    /// Logs the state readings that are owed, oldest first.
    pub fn pay(&self) -> Result<(), Busy> {
        self.pay_from(&mut self.lock())
    }

    fn pay_from(&self, told: &mut Told) -> Result<(), Busy> {
        while let Some((at, text)) = told.health.owed() {
            if self.stop.is_over() {
                return Err(Busy);
            }
            let value = Value::Text(text.as_str().into());
            self.output.append(vec![Reading { channel: told.channel, at: *at, value }])?;
            told.health.paid();
        }
        Ok(())
    }

    /// Events are missing: shows how many, and that somebody should look at it.
    pub fn missed(&self, now: Duration, events: u64) {
        // A figure only for those who can lose something.
        self.part.figure("lost").add(usize::try_from(events).unwrap_or(usize::MAX));
        let why = format!("{events} edges were lost: they came faster than they could be taken");
        self.change(|health| health.sampled(now, Some(why), true));
    }

    /// The sensor is read no more: what is still owed or held is dropped, and counted, once.
    pub fn close(&self) {
        let mut told = self.lock();
        let held = usize::try_from(self.figures.held.get()).unwrap_or(0);
        self.figures.held.set(0);
        self.lose(told.health.forgive_all() + held);
        if !self.stop.is_over() {
            self.part.set(State::Stopped);
        }
    }

    /// Adds what became of values; what was dropped becomes a gap record once the log can write again.
    pub fn count(&self, counts: Counts) {
        self.figures.count(counts);
        self.lose(counts.dropped);
    }

    fn lose(&self, readings: usize) {
        if readings > 0 {
            self.figures.dropped.add(readings);
            self.output.record_loss(readings as u64);
        }
    }

    /// Takes note of what becomes of a sample, for those who ask why.
    pub fn note(&self, verdict: &Verdict, at: Moment, kept: bool) {
        verdict.trace(&mut self.lock_seen().traces, at, kept);
    }

    /// The same for values that had been held.
    pub fn note_due(&self, due: &Due, kept: bool) {
        let mut seen = self.lock_seen();
        for (position, value) in &due.values {
            if let Some(trace) = seen.traces.get_mut(*position) {
                trace.passed(value, due.at, kept);
            }
        }
    }

    /// The sensor will be read at this time, or at none.
    pub fn will_be_read(&self, at: Option<Instant>) {
        self.lock_seen().next_read = at;
    }

    /// What was last seen of it.
    pub fn seen(&self) -> Seen {
        self.lock_seen().clone()
    }

    fn lock_seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is held for changes that cannot panic halfway, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
