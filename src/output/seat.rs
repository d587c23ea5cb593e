//! One output as its worker knows it: its rules, its device, and what the world is told of it.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::device::{self, Device};
use super::governor::{Cause, Governor};
use super::{OutputPlan, OutputState, SetError};
use crate::bus::Buses;
use crate::config::{Limits, OutputDriver};
use crate::log::Log;
use crate::reading::{ChannelId, Moment, Reading, SensorId, Timestamp, Value};
use crate::status::{Board, Figure, Part, State};

/// First and longest wait before an output that failed is tried again.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Most readings kept while the log is busy, and when it is asked again.
const MOST_OWED: usize = 64;
const PAY_AGAIN: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Seat {
    id: SensorId,
    driver: OutputDriver,
    limits: Limits,
    governor: Governor,
    device: Option<Box<dyn Device>>,
    /// When the level was written last, for a part that is refreshed.
    refreshed: Duration,
    /// After a failure: when to try again, and how long to wait after the next.
    retry: Option<Duration>,
    delay: Duration,
    since: Option<Timestamp>,
    cause: Option<Cause>,
    failure: Option<String>,
    logged: Option<f64>,
    said: String,
    owed: VecDeque<Reading>,
    pay_at: Option<Duration>,
    left: bool,
    log: Log,
    clock: fn() -> Moment,
    level_channel: ChannelId,
    state_channel: ChannelId,
    part: Part,
    level: Figure,
    changes: Figure,
    refused: Figure,
    errors: Figure,
}

impl Seat {
    pub(super) fn new(plan: OutputPlan, log: Log, board: &Board, clock: fn() -> Moment) -> Self {
        let part = board.part(&format!("output {}", plan.output.id));
        // A part outlives a reload of the configuration; what it said of the old run is over.
        part.set(State::Starting);
        Self {
            governor: Governor::new(plan.output.limits.clone()),
            limits: plan.output.limits,
            id: plan.output.id,
            driver: plan.output.driver,
            device: None,
            refreshed: Duration::ZERO,
            retry: None,
            delay: BACK_OFF.0,
            since: None,
            cause: None,
            failure: None,
            logged: None,
            said: String::new(),
            owed: VecDeque::new(),
            pay_at: None,
            left: false,
            log,
            clock,
            level_channel: plan.level_channel,
            state_channel: plan.state_channel,
            level: part.figure("level_thousandths"),
            changes: part.figure("changes"),
            refused: part.figure("refused"),
            errors: part.figure("errors"),
            part,
        }
    }

    /// Its name.
    pub(super) fn id(&self) -> &SensorId {
        &self.id
    }

    /// Sends level and state elsewhere from now on: what was said last is said there again.
    pub(super) fn adjust(&mut self, now: Duration, level_channel: ChannelId, state_channel: ChannelId) {
        self.level_channel = level_channel;
        self.state_channel = state_channel;
        let at = (self.clock)();
        if let Some(level) = self.logged {
            self.owe(Reading { channel: level_channel, at, value: self.value(level) });
        }
        if !self.said.is_empty() {
            let value = Value::Text(self.said.as_str().into());
            self.owe(Reading { channel: state_channel, at, value });
        }
        self.pay(now);
    }

    fn value(&self, level: f64) -> Value {
        match self.driver.is_digital() {
            true => Value::Bool(level > 0.0),
            false => Value::Float(level),
        }
    }

    /// Does what time, the link and earlier failures call for.
    pub(super) fn look(&mut self, now: Duration, link_up: bool, buses: &Buses) {
        self.governor.link(now, link_up);
        if let Some(cause) = self.governor.pass(now) {
            self.went_safe(cause);
        }
        if self.refresh_due().is_some_and(|due| now >= due) {
            self.governor.write_again();
        }
        self.drive(now, buses);
        self.pay(now);
    }

    /// Takes a command; answers when it is driven or has failed.
    pub(super) fn set(
        &mut self,
        now: Duration,
        level: f64,
        hold: Option<Duration>,
        buses: &Buses,
    ) -> Result<(), SetError> {
        if let Err(refused) = self.governor.request(now, level, hold) {
            self.refused.add(1);
            return Err(refused.into());
        }
        self.cause = None;
        // Somebody asks for it: it is tried now, whatever failed before.
        self.retry = None;
        self.drive(now, buses);
        self.pay(now);
        match &self.failure {
            None => Ok(()),
            Some(why) => Err(SetError::Failed(why.clone())),
        }
    }

    /// Goes to the safe level for the last time. A second attempt, with the device opened anew, is all there is
    /// time for.
    pub(super) fn leave(&mut self, now: Duration, buses: &Buses) {
        for _ in 0..2 {
            self.governor.make_safe(now);
            self.retry = None;
            self.drive(now, buses);
            if self.failure.is_none() {
                break;
            }
        }
        self.left = true;
        self.pay(now);
        let lost = self.owed.len();
        if lost > 0 {
            self.log.record_loss(lost as u64);
        }
        match &self.failure {
            None => self.part.set(State::Stopped),
            Some(why) => self.part.set(State::Failed(format!("may not be at its safe level: {why}"))),
        };
    }

    /// When to look again though nothing is asked.
    pub(super) fn due(&self) -> Option<Duration> {
        let drive = match self.retry {
            Some(retry) => Some(retry),
            None => [self.governor.due(), self.refresh_due()].into_iter().flatten().min(),
        };
        [drive, self.pay_at].into_iter().flatten().min()
    }

    /// The output as others see it.
    pub(super) fn state(&self) -> OutputState {
        OutputState {
            id: self.id.clone(),
            driver: self.driver.name(),
            digital: self.driver.is_digital(),
            level: self.governor.wanted(),
            limits: (self.limits.min, self.limits.max, self.limits.safe),
            since: self.since,
            cause: self.cause,
            failure: self.failure.clone(),
        }
    }

    fn refresh_due(&self) -> Option<Duration> {
        self.device.as_ref()?.refresh().map(|every| self.refreshed + every)
    }

    fn went_safe(&mut self, cause: Cause) {
        info!("output {}: goes to its safe level: {cause}", self.id);
        self.cause = Some(cause);
    }

    /// Writes the level that is due, unless a failure is being waited out.
    fn drive(&mut self, now: Duration, buses: &Buses) {
        if self.retry.is_some_and(|retry| now < retry) {
            return self.show();
        }
        let Some(level) = self.governor.level(now) else { return self.show() };
        let driven = match &mut self.device {
            Some(device) => device.set(level),
            None => device::open(&self.driver, buses, level).map(|device| self.device = Some(device)),
        };
        match driven {
            Ok(()) => {
                self.governor.written(now, level);
                self.refreshed = now;
                self.retry = None;
                self.delay = BACK_OFF.0;
                self.failure = None;
                self.settled();
            }
            Err(error) => {
                self.errors.add(1);
                // Opened anew next time: whatever was wrong with it may be wrong with the handle.
                self.device = None;
                if self.governor.wanted() != self.limits.safe {
                    self.cause = Some(Cause::Failed);
                }
                self.governor.failed(now);
                self.retry = Some(now + self.delay);
                self.delay = (self.delay * 2).min(BACK_OFF.1);
                self.failure = Some(error.to_string());
            }
        }
        self.show();
    }

    /// Tells of a level that was come to; not of each step on the way.
    fn settled(&mut self) {
        let level = self.governor.wanted();
        if !self.governor.is_settled() || self.logged == Some(level) {
            return;
        }
        let at = (self.clock)();
        self.owe(Reading { channel: self.level_channel, at, value: self.value(level) });
        if self.logged.is_some() {
            self.changes.add(1);
        }
        self.logged = Some(level);
        self.since = Some(at.wall);
        debug!("output {}: {level} %", self.id);
    }

    /// Shows the level and the state, and logs the state if it is another.
    fn show(&mut self) {
        self.level.set((self.governor.wanted() * 1000.0).round() as i64);
        let (state, text) = match (&self.failure, self.cause) {
            (Some(why), _) => (State::Failed(why.clone()), format!("failed: {why}")),
            (None, Some(cause @ (Cause::MaxOn(_) | Cause::LinkLost(_) | Cause::Failed))) => {
                let why = format!("at its safe level, because {cause}");
                (State::Degraded(why), format!("safe: {cause}"))
            }
            (None, _) => (State::Ok, "ok".to_owned()),
        };
        self.part.set(state);
        if self.said != text {
            self.said.clone_from(&text);
            let at = (self.clock)();
            self.owe(Reading { channel: self.state_channel, at, value: Value::Text(text.into()) });
        }
    }

    fn owe(&mut self, reading: Reading) {
        self.owed.push_back(reading);
        if self.owed.len() > MOST_OWED {
            self.owed.pop_front();
            self.log.record_loss(1);
        }
    }

    /// Hands readings to the log, in order; what it does not take now is tried again.
    fn pay(&mut self, now: Duration) {
        while let Some(reading) = self.owed.front() {
            if self.log.append(vec![reading.clone()]).is_err() {
                self.pay_at = Some(now + PAY_AGAIN);
                return;
            }
            self.owed.pop_front();
        }
        self.pay_at = None;
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Seat {
    /// Also when the worker ends by a fault of the program: the device must not stay where it was.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if let Some(device) = &mut self.device
            && let Err(error) = device.set(self.limits.safe)
        {
            warn!("output {}: may not be at its safe level: {error}", self.id);
        }
    }
}
