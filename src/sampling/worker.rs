//! One worker: reads the sensors of one bus, one after another, each when it is due. Decides neither
//! when that is ([`super::schedule`]) nor what passes ([`crate::filter`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Random};
use super::cell::Cell;
use super::contain::contained;
use super::schedule::{Due, Schedule, Task};
use super::stop::Stop;
use super::watch::Watched;
use super::{Output, SensorPlan};
use crate::bus::Buses;
use crate::enrich;
use crate::filter::{Rejection, SensorFilter};
use crate::reading::{ChannelId, Measured, Moment, Reading};
use crate::sensor::{Device, Driver, SensorError};

/// Longest that a worker waits for the log with one sample; a shorter interval makes it shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Between two attempts to hand a sample over.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a sensor that has measured nothing yet is left alone, if its interval is longer.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What all workers share.
pub(super) struct Shared {
    pub buses: Arc<Buses>,
    pub output: Arc<dyn Output>,
    pub clock: fn() -> Moment,
    pub stop: Arc<Stop>,
}

/// One thread's work.
pub(super) struct Worker {
    shared: Arc<Shared>,
    watched: Arc<Watched>,
    sensors: Vec<Sensor>,
    schedule: Schedule,
    random: Random,
    start: Instant,
}

/// One sensor as its worker knows it.
struct Sensor {
    cell: Arc<Cell>,
    driver: Arc<dyn Driver>,
    channels: Vec<ChannelId>,
    interval: Duration,
    device: Option<Box<dyn Device>>,
    filter: SensorFilter,
    backoff: Backoff,
    /// When the schedule comes back for a held value.
    flush: Option<Duration>,
}

/// Says that the worker has ended, also when it ends by a panic: then the watchdog must hear of it.
struct Ending(Arc<Watched>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl Worker {
    /// A worker for these sensors, whose cells are those of `watched` in the same order.
    pub fn new(shared: &Arc<Shared>, watched: &Arc<Watched>, plans: Vec<SensorPlan>, seed: u64) -> Self {
        let schedule = Schedule::new(plans.iter().map(|plan| plan.sensor.interval));
        let sensors = plans.into_iter().zip(&watched.cells).map(|(plan, cell)| Sensor::new(plan, cell));
        Self {
            shared: Arc::clone(shared),
            watched: Arc::clone(watched),
            sensors: sensors.collect(),
            schedule,
            random: Random::new(seed),
            start: Instant::now(),
        }
    }

    /// Reads until asked to end, then hands over what is held.
    pub fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.watched));
        self.start = Instant::now();
        while self.shared.stop.deadline().is_none() {
            let now = self.start.elapsed();
            if let Some(due) = self.schedule.pop(now) {
                self.watched.working();
                self.attend(due);
            } else {
                let next = self.schedule.next().and_then(|at| self.start.checked_add(at));
                self.watched.asleep(next);
                self.shared.stop.wait(next);
            }
        }
        self.watched.working();
        for sensor in &mut self.sensors {
            sensor.end(&self.shared);
        }
    }

    fn attend(&mut self, due: Due) {
        let sensor = &mut self.sensors[due.sensor];
        if due.task == Task::Flush {
            sensor.flush = None;
            sensor.flush(&self.shared, due.at);
        } else {
            sensor.cell.figures.skipped.add(usize::try_from(due.skipped).unwrap_or(usize::MAX));
            self.watched.reading(due.sensor);
            let answer = sensor.read(&self.shared.buses);
            let at = (self.shared.clock)();
            self.watched.back(due.sensor);
            if self.shared.stop.is_over() {
                return; // Given up long ago, and all accounts are closed.
            }
            match answer {
                // Nothing measured yet: that is neither a sample nor a failure, and need not wait an interval.
                Ok(sample) if sample.is_empty() => {
                    let again = self.start.elapsed() + sensor.interval.min(ASK_AGAIN);
                    self.schedule.retry(due.sensor, again);
                }
                Ok(sample) => {
                    sensor.take(&self.shared, due.at, at, &sample);
                    let after = if due.task == Task::Read { due.at } else { self.start.elapsed() };
                    self.schedule.again(due.sensor, after);
                }
                Err(error) => {
                    sensor.fail(at, &error);
                    let pause = sensor.backoff.next(self.random.next());
                    self.schedule.retry(due.sensor, self.start.elapsed() + pause);
                }
            }
        }
        // The schedule may come back too early (something was overtaken), never too late.
        if let Some(at) = sensor.filter.due().filter(|at| sensor.flush.is_none_or(|planned| *at < planned)) {
            sensor.flush = Some(at);
            self.schedule.flush(due.sensor, at);
        }
    }
}

impl Sensor {
    fn new(plan: SensorPlan, cell: &Arc<Cell>) -> Self {
        Self {
            cell: Arc::clone(cell),
            filter: SensorFilter::new(&plan.sensor.quantities),
            backoff: Backoff::new(plan.sensor.interval),
            interval: plan.sensor.interval,
            driver: plan.sensor.driver,
            channels: plan.channels,
            device: None,
            flush: None,
        }
    }

    /// Reads, opening first if need be. After any error the device is closed: only a fresh
    /// initialisation is known to cure it.
    fn read(&mut self, buses: &Buses) -> Result<Vec<Measured>, SensorError> {
        let Self { device, driver, .. } = self;
        let answer = contained(|| match device {
            Some(device) => device.read(),
            None => device.insert(driver.open(buses)?).read(),
        });
        if answer.is_err() {
            self.close();
        }
        answer
    }

    fn close(&mut self) {
        let device = self.device.take();
        // A driver may fail in its `drop` too.
        if let Err(error) = contained(|| {
            drop(device);
            Ok(())
        }) {
            tracing::debug!("sensor {}: closing it: {error}", self.cell.id);
        }
    }

    fn fail(&mut self, at: Moment, error: &SensorError) {
        self.cell.figures.errors.add(1);
        self.cell.change(|health| health.failed(at, error.to_string()));
    }

    /// Filters a sample and hands over what passes. `now` is the time it stands for.
    fn take(&mut self, shared: &Shared, now: Duration, at: Moment, sample: &[Measured]) {
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
            || self.hand_over(shared, || enrich::stamp(&self.channels, at, &verdict.passed));
        self.cell.count(self.filter.settle(now, at, verdict, kept));
        self.cell.figures.held.set(i64::try_from(self.filter.held()).unwrap_or(i64::MAX));
        self.cell.change(|health| health.sampled(now, fault, kept));
    }

    /// Hands over the held values that are due by `now`.
    fn flush(&mut self, shared: &Shared, now: Duration) {
        while let Some(due) = self.filter.take_due(now) {
            let kept = self.hand_over(shared, || enrich::stamp(&self.channels, due.at, &due.values));
            self.cell.count(self.filter.settle_due(now, due, kept));
            self.cell.figures.held.set(i64::try_from(self.filter.held()).unwrap_or(i64::MAX));
            if !kept {
                self.cell.change(|health| health.sampled(now, None, false));
            }
        }
    }

    /// Hands readings to the log, after the sensor's state if that is still owed. Waits a bounded time
    /// while the log is busy; answers whether it took them.
    fn hand_over(&self, shared: &Shared, readings: impl Fn() -> Vec<Reading>) -> bool {
        self.insist(shared, || self.cell.pay().is_ok() && shared.output.append(readings()).is_ok())
    }

    fn insist(&self, shared: &Shared, attempt: impl Fn() -> bool) -> bool {
        let give_up = Instant::now() + self.interval.min(LONGEST_WAIT);
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
    fn end(&mut self, shared: &Shared) {
        if !shared.stop.is_over() {
            self.flush(shared, Duration::MAX);
        }
        self.close();
        if !self.insist(shared, || self.cell.pay().is_ok()) {
            tracing::debug!("sensor {}: the log did not take its last state", self.cell.id);
        }
        self.cell.close();
    }
}
