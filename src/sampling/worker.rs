//! One worker: reads the sensors of one bus, one after another, each when it is due. Decides neither
//! when that is ([`super::schedule`]) nor what passes ([`crate::filter`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Random};
use super::bell::Bell;
use super::cell::Cell;
use super::control::{Obeyed, Order, OrderError};
use super::schedule::{Due, Schedule, Task};
use super::sensor::Sensor;
use super::stop::Stop;
use super::watch::Watched;
use super::{Output, SensorPlan};
use crate::bus::Buses;
use crate::enrich::clock::Anchor;
use crate::reading::{Measured, Moment, SensorId};
use crate::sensor::SensorError;

/// How long a sensor that has measured nothing yet is left alone, if its interval is longer.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A device that always wants to be heard at once must not keep the others from being read.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// What a worker works with.
pub(super) struct Shared {
    pub buses: Arc<Buses>,
    pub output: Arc<dyn Output>,
    pub clock: fn() -> Moment,
    pub stop: Arc<Stop>,
}

/// One thread's work.
pub(super) struct Worker {
    pub(super) shared: Shared,
    pub(super) watched: Arc<Watched>,
    /// By their places; one that is gone leaves its place free.
    pub(super) sensors: Vec<Sensor>,
    pub(super) schedule: Schedule,
    pub(super) bell: Arc<Bell>,
    random: Random,
    pub(super) start: Instant,
}

/// Says that the worker has ended, also when it ends by a panic: then the watchdog must hear of it.
struct Ending(Arc<Watched>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// Takes no more orders, however the worker ends.
struct Closing(Arc<Bell>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Worker {
    /// A worker for these sensors, with their cells in the same order.
    pub fn new(
        shared: Shared,
        watched: &Arc<Watched>,
        plans: Vec<SensorPlan>,
        cells: &[Arc<Cell>],
        seed: u64,
    ) -> Self {
        let schedule = Schedule::new(plans.iter().map(|plan| plan.sensor.interval));
        let bell = Arc::new(Bell::default());
        shared.stop.also_rings(&bell);
        let cells = plans.into_iter().zip(cells).enumerate();
        let sensors = cells.map(|(index, (plan, cell))| Sensor::new(plan, cell, bell.waker(index)));
        Self {
            sensors: sensors.collect(),
            shared,
            watched: Arc::clone(watched),
            schedule,
            bell,
            random: Random::new(seed),
            start: Instant::now(),
        }
    }

    /// What orders are given to.
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Reads until asked to end, then hands over what is held.
    pub fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.watched));
        let _closing = Closing(Arc::clone(&self.bell));
        self.start = Instant::now();
        while self.shared.stop.deadline().is_none() {
            for sensor in self.bell.callers() {
                self.listen(sensor);
            }
            for order in self.bell.orders() {
                self.watched.working();
                let obeyed = match self.place(&order.sensor) {
                    Some(place) => self.obey(place, order.order),
                    None => Err(OrderError::UnknownSensor(order.sensor.to_string())),
                };
                // Nobody listens when it took too long.
                order.reply.try_send(obeyed).unwrap_or_default();
            }
            for arrangement in self.bell.arrangements() {
                self.arrange(arrangement);
            }
            let now = self.start.elapsed();
            if let Some(due) = self.schedule.pop(now) {
                self.watched.working();
                self.attend(due);
            } else {
                let next = self.schedule.next().and_then(|at| self.start.checked_add(at));
                self.watched.asleep(next);
                self.bell.wait(next);
            }
        }
        self.watched.working();
        for place in 0..self.sensors.len() {
            if !self.sensors[place].gone {
                self.look_once_more(place);
                self.sensors[place].end(&self.shared);
            }
        }
    }

    /// Where a sensor sits.
    pub(super) fn place(&self, id: &SensorId) -> Option<usize> {
        self.sensors.iter().position(|sensor| !sensor.gone && sensor.cell.id == *id)
    }

    fn attend(&mut self, due: Due) {
        let sensor = &mut self.sensors[due.sensor];
        if sensor.gone {
            return;
        }
        match due.task {
            Task::Flush => {
                sensor.flush = None;
                sensor.flush(&self.shared, due.at, sensor.give_up());
                self.plan_flush(due.sensor);
            }
            Task::Listen => {
                sensor.listen = None;
                self.listen(due.sensor);
            }
            Task::Read | Task::Retry => {
                // What happened before comes first.
                self.listen(due.sensor);
                drop(self.read(due));
            }
        }
    }

    /// Carries out an order.
    fn obey(&mut self, index: usize, order: Order) -> Obeyed {
        let now = self.start.elapsed();
        let sensor = &mut self.sensors[index];
        match order {
            Order::Read => return self.read_now(index),
            Order::Republish => {
                sensor.filter.reset();
                return self.read_now(index);
            }
            Order::Interval(interval) => self.set_interval(index, interval, now),
            Order::Change(quantity, change) => {
                if !sensor.filter.set_change(&quantity, change) {
                    return Err(OrderError::UnknownQuantity(sensor.cell.id.clone(), quantity));
                }
            }
            Order::Pause => {
                // It may not be resumed before the end.
                self.look_once_more(index);
                self.schedule.hold(index);
                let sensor = &mut self.sensors[index];
                sensor.paused = true;
                sensor.close();
                sensor.cell.will_be_read(None);
                sensor.cell.change(|health| health.paused(true));
            }
            Order::Resume => {
                if std::mem::take(&mut sensor.paused) {
                    sensor.cell.change(|health| health.paused(false));
                    self.schedule.retry(index, now);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Reads a sensor at another interval from `now` on.
    pub(super) fn set_interval(&mut self, index: usize, interval: Duration, now: Duration) {
        let sensor = &mut self.sensors[index];
        sensor.interval = interval;
        sensor.backoff = Backoff::new(interval);
        self.schedule.set_interval(index, interval, now);
        // One that has failed, or has measured nothing yet, is asked again soon: that stays planned.
        if sensor.said && !sensor.paused {
            let next = self.schedule.again(index, now);
            sensor.cell.will_be_read(self.start.checked_add(next));
        }
    }

    fn read_now(&mut self, index: usize) -> Obeyed {
        self.listen(index);
        let due = Due { sensor: index, task: Task::Retry, at: self.start.elapsed(), skipped: 0 };
        let read = self.read(due);
        let sensor = &mut self.sensors[index];
        if sensor.paused {
            self.schedule.hold(index);
            sensor.close();
            sensor.cell.will_be_read(None);
        }
        match read {
            Some(Ok(sample)) => Ok(sensor.filter.calibrated(&sample)),
            Some(Err(error)) => Err(OrderError::Failed(sensor.cell.id.clone(), error.to_string())),
            None => Err(OrderError::Ended),
        }
    }

    /// Reads a sensor and answers what it said, unless it came back too late to matter.
    fn read(&mut self, due: Due) -> Option<Result<Vec<Measured>, SensorError>> {
        let sensor = &mut self.sensors[due.sensor];
        sensor.cell.figures.skipped.add(usize::try_from(due.skipped).unwrap_or(usize::MAX));
        self.watched.reading(due.sensor);
        let answer = sensor.read(&self.shared.buses);
        let at = (self.shared.clock)();
        self.watched.back(due.sensor);
        if self.shared.stop.is_over() {
            return None; // Given up long ago, and all accounts are closed.
        }
        match &answer {
            // Opened, and nothing measured yet: neither a sample nor a failure, and it need not wait an interval.
            Ok(sample) if sample.is_empty() && !sensor.said && !sensor.listens => {
                let again = self.start.elapsed() + sensor.interval.min(ASK_AGAIN);
                self.schedule.retry(due.sensor, again);
                sensor.cell.will_be_read(self.start.checked_add(again));
            }
            Ok(sample) => {
                sensor.said = true;
                sensor.take(&self.shared, due.at, at, sample, sensor.give_up());
                let after = if due.task == Task::Read { due.at } else { self.start.elapsed() };
                let next = self.schedule.again(due.sensor, after);
                sensor.cell.will_be_read(self.start.checked_add(next));
                // It may know more now, or was only just opened: to learn when to listen next.
                self.listen(due.sensor);
            }
            Err(error) => self.fail(due.sensor, at, error),
        }
        self.plan_flush(due.sensor);
        Some(answer)
    }

    /// Takes what happened at a device that notices by itself, and plans when to look again.
    pub(super) fn listen(&mut self, index: usize) {
        let sensor = &mut self.sensors[index];
        if !sensor.listens {
            return;
        }
        self.watched.reading(index);
        let anchor = Anchor::read(self.shared.clock);
        let now = self.start.elapsed();
        let answer = sensor.events(anchor.monotonic());
        self.watched.back(index);
        if self.shared.stop.is_over() {
            return;
        }
        match answer {
            Ok((taken, due)) => {
                sensor.happened(&self.shared, &self.watched, &anchor, now, taken);
                if let Some(due) = due {
                    let at = now + due.saturating_sub(anchor.monotonic()).max(LEAST_WAIT);
                    if sensor.listen.is_none_or(|planned| at < planned) {
                        sensor.listen = Some(at);
                        self.schedule.listen(index, at);
                    }
                }
            }
            Err(error) => self.fail(index, anchor.moment_of(anchor.monotonic()), &error),
        }
        self.plan_flush(index);
    }

    fn fail(&mut self, index: usize, at: Moment, error: &SensorError) {
        let sensor = &mut self.sensors[index];
        sensor.fail(at, error);
        let pause = sensor.backoff.next(self.random.next());
        let at = self.start.elapsed() + pause;
        self.schedule.retry(index, at);
        sensor.cell.will_be_read(self.start.checked_add(at));
    }

    /// The schedule may come back too early (something was overtaken), never too late.
    fn plan_flush(&mut self, index: usize) {
        let sensor = &mut self.sensors[index];
        if let Some(at) = sensor.filter.due().filter(|at| sensor.flush.is_none_or(|planned| *at < planned)) {
            sensor.flush = Some(at);
            self.schedule.flush(index, at);
        }
    }

    /// Before the end: takes what happened, and what a meter has counted since it was last read, whatever the
    /// filter says; the next run goes on from there.
    pub(super) fn look_once_more(&mut self, index: usize) {
        self.listen(index);
        let sensor = &mut self.sensors[index];
        if sensor.device.is_none() || sensor.driver.resumes().is_empty() {
            return;
        }
        self.watched.reading(index);
        let answer = sensor.read(&self.shared.buses);
        let at = (self.shared.clock)();
        self.watched.back(index);
        if let Ok(sample) = answer
            && !self.shared.stop.is_over()
        {
            sensor.filter.reset();
            sensor.take(&self.shared, self.start.elapsed(), at, &sample, sensor.give_up());
        }
    }
}
