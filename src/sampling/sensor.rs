//! One sensor as its worker knows it: reads its device, filters what it says, and hands over what passes. When that is,
//! is the worker's ([`super::worker`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SensorPlan;
use super::backoff::Backoff;
use super::cell::Cell;
use super::contain::contained;
use super::watch::Watched;
use super::worker::Shared;
use crate::bus::Buses;
use crate::bus::gpio::Waker;
use crate::config::Quantity;
use crate::enrich::{self, clock::Anchor};
use crate::filter::{Rejection, SensorFilter};
use crate::reading::{ChannelId, Measured, Moment, Reading};
use crate::sensor::{Device, Driver, EventSample, SensorError, Taken};

/// Longest that a worker waits for the log with one sample; a shorter interval makes it shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Between two attempts to hand a sample over.
const PAUSE: Duration = Duration::from_millis(5);

/// One sensor as its worker knows it.
pub(super) struct Sensor {
    pub(super) cell: Arc<Cell>,
    pub(super) driver: Arc<dyn Driver>,
    pub(super) quantities: Vec<Quantity>,
    pub(super) channels: Vec<ChannelId>,
    pub(super) interval: Duration,
    pub(super) device: Option<Box<dyn Device>>,
    pub(super) filter: SensorFilter,
    pub(super) backoff: Backoff,
    /// What a device that notices by itself calls.
    pub(super) waker: Waker,
    /// Whether the opened device is one.
    pub(super) listens: bool,
    /// Whether the opened device has said anything yet.
    pub(super) said: bool,
    /// The last moment that one of its samples carried.
    pub(super) last: Option<Moment>,
    /// When the schedule comes back for a held value.
    pub(super) flush: Option<Duration>,
    /// When the schedule comes back for what will have happened.
    pub(super) listen: Option<Duration>,
    /// Read only when ordered to.
    pub(super) paused: bool,
    /// Not among the sensors any more.
    pub(super) gone: bool,
}

impl Sensor {
    pub(super) fn new(plan: SensorPlan, cell: &Arc<Cell>, waker: Waker) -> Self {
        Self {
            cell: Arc::clone(cell),
            filter: SensorFilter::new(&plan.sensor.quantities),
            backoff: Backoff::new(plan.sensor.interval),
            interval: plan.sensor.interval,
            driver: plan.sensor.driver,
            quantities: plan.sensor.quantities,
            channels: plan.channels,
            device: None,
            waker,
            listens: false,
            said: false,
            last: None,
            flush: None,
            listen: None,
            paused: false,
            gone: false,
        }
    }

    /// Goes over to another configuration of the same device, which stays open. The driver stays too: it may know how
    /// far a meter has come. The interval is the worker's to change.
    pub(super) fn adjust(&mut self, plan: SensorPlan, shared: &Shared) {
        // What is held was meant for where readings went until now.
        self.flush(shared, Duration::MAX, self.give_up());
        self.filter.adjust(&plan.sensor.quantities);
        self.cell.adjust(&plan, &self.quantities);
        self.quantities = plan.sensor.quantities;
        self.channels = plan.channels;
    }

    /// Reads, opening first if need be. After any error the device is closed: only a fresh
    /// initialisation is known to cure it.
    pub(super) fn read(&mut self, buses: &Buses) -> Result<Vec<Measured>, SensorError> {
        let Self { device, driver, listens, waker, .. } = self;
        let answer = contained(|| match device {
            Some(device) => device.read(),
            None => {
                let device = device.insert(driver.open(buses)?);
                if let Some(events) = device.events() {
                    events.wake_by(Arc::clone(waker));
                    *listens = true;
                }
                device.read()
            }
        });
        if answer.is_err() {
            self.close();
        }
        answer
    }

    /// What has happened by `now`, and when to ask again.
    pub(super) fn events(&mut self, now: Duration) -> Result<(Taken, Option<Duration>), SensorError> {
        let device = &mut self.device;
        let answer = contained(|| match device.as_mut().and_then(|device| device.events()) {
            Some(events) => events.take(now).map(|taken| (taken, events.due())),
            None => Ok((Taken::default(), None)),
        });
        if answer.is_err() {
            self.close();
        }
        answer
    }

    pub(super) fn close(&mut self) {
        self.listens = false;
        self.said = false;
        let device = self.device.take();
        // A driver may fail in its `drop` too.
        if let Err(error) = contained(|| {
            drop(device);
            Ok(())
        }) {
            tracing::debug!("sensor {}: closing it: {error}", self.cell.id);
        }
    }

    pub(super) fn fail(&mut self, at: Moment, error: &SensorError) {
        self.cell.figures.errors.add(1);
        self.cell.change(|health| health.failed(at, error.to_string()));
    }

    /// Takes events in their order, each at its own time. `now` is the time of the anchor.
    pub(super) fn happened(
        &mut self,
        shared: &Shared,
        watched: &Watched,
        anchor: &Anchor,
        now: Duration,
        taken: Taken,
    ) {
        // One patience for all of them: a busy log must not keep the worker for a second each.
        let give_up = self.give_up();
        for EventSample { at: stamp, measured } in taken.samples {
            watched.working();
            let then = now.saturating_sub(anchor.age(stamp));
            self.flush(shared, then, give_up);
            let at = self.not_before_last(anchor.moment_of(stamp));
            self.take(shared, then, at, &measured, give_up);
        }
        if taken.lost > 0 {
            self.cell.missed(now, taken.lost);
        }
    }

    /// Clocks that are not read at one time differ by microseconds, which must not put an event before
    /// the sample that it follows.
    fn not_before_last(&self, at: Moment) -> Moment {
        self.last.filter(|last| last.since_boot > at.since_boot).unwrap_or(at)
    }

    /// Filters a sample and hands over what passes, before `give_up`. `now` is the time it stands for.
    pub(super) fn take(
        &mut self,
        shared: &Shared,
        now: Duration,
        at: Moment,
        sample: &[Measured],
        give_up: Instant,
    ) {
        self.last = Some(at);
        self.cell.figures.samples.add(1);
        self.backoff.reset();
        if self.cell.change(|health| health.succeeded(at)) {
            self.filter.reset();
        }
        let verdict = self.filter.judge(now, sample);
        for rejection in &verdict.rejected {
            tracing::debug!("sensor {}: {rejection}", self.cell.id);
        }
        let fault = verdict.rejected.iter().find(|rejection| rejection.is_fault()).map(Rejection::to_string);
        let kept = verdict.passed.is_empty()
            || self.hand_over(shared, give_up, || enrich::stamp(&self.channels, at, &verdict.passed));
        self.cell.note(&verdict, at, kept);
        self.cell.count(self.filter.settle(now, at, verdict, kept));
        self.cell.figures.held.set(i64::try_from(self.filter.held()).unwrap_or(i64::MAX));
        self.cell.change(|health| health.sampled(now, fault, kept));
    }

    /// Hands over the held values that are due by `now`, before `give_up`.
    pub(super) fn flush(&mut self, shared: &Shared, now: Duration, give_up: Instant) {
        while let Some(due) = self.filter.take_due(now) {
            let kept = self.hand_over(shared, give_up, || enrich::stamp(&self.channels, due.at, &due.values));
            self.cell.note_due(&due, kept);
            self.cell.count(self.filter.settle_due(now, due, kept));
            self.cell.figures.held.set(i64::try_from(self.filter.held()).unwrap_or(i64::MAX));
            if !kept {
                self.cell.change(|health| health.sampled(now, None, false));
            }
        }
    }

    /// Hands readings to the log, after the sensor's state if that is still owed. Waits until `give_up`
    /// while the log is busy; answers whether it took them.
    fn hand_over(&self, shared: &Shared, give_up: Instant, readings: impl Fn() -> Vec<Reading>) -> bool {
        let attempt = || self.cell.pay().is_ok() && shared.output.append(readings()).is_ok();
        Self::insist(shared, give_up, attempt)
    }

    /// How long to wait for the log from now on.
    pub(super) fn give_up(&self) -> Instant {
        Instant::now() + self.interval.min(LONGEST_WAIT)
    }

    fn insist(shared: &Shared, give_up: Instant, attempt: impl Fn() -> bool) -> bool {
        loop {
            // After the end has been waited for, a new run may be logging the same sensor.
            if shared.stop.is_over() {
                return false;
            }
            if attempt() {
                return true;
            }
            if Instant::now() >= give_up {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The last words: what is held, and a state still owed.
    pub(super) fn end(&mut self, shared: &Shared) {
        if !shared.stop.is_over() {
            self.flush(shared, Duration::MAX, self.give_up());
        }
        self.close();
        if !Self::insist(shared, self.give_up(), || self.cell.pay().is_ok()) {
            tracing::debug!("sensor {}: the log did not take its last state", self.cell.id);
        }
        self.cell.close();
    }
}
