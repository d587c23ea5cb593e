//! Changes to the sensors of a worker that runs: what it is asked, and how it goes about it. Reading goes on for all
//! sensors that are not named.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::SensorPlan;
use super::cell::Cell;
use super::schedule::spread;
use super::sensor::Sensor;
use super::worker::Worker;
use crate::reading::SensorId;

/// One change.
pub(super) enum Step {
    /// A sensor is read no more; it is looked at once more before, as at the end.
    Remove(SensorId),
    /// A sensor goes on by another configuration of the same device.
    Adjust(Box<SensorPlan>),
    /// A sensor is read from now on.
    Add(Box<SensorPlan>, Arc<Cell>),
}

/// Changes to be made together.
pub(super) struct Arrangement {
    pub steps: Vec<Step>,
    /// Is told when they are made; dropped untold if they never will be.
    pub done: SyncSender<()>,
}

impl std::fmt::Debug for Arrangement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrangement").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Worker {
    pub(super) fn arrange(&mut self, arrangement: Arrangement) {
        let Arrangement { steps, done } = arrangement;
        let mut added = 0;
        for step in steps {
            self.watched.working();
            match step {
                Step::Remove(id) => self.remove(&id),
                Step::Adjust(plan) => self.adjust(*plan),
                Step::Add(plan, cell) => {
                    self.add(*plan, &cell, added);
                    added += 1;
                }
            }
        }
        // Nobody waits when it took too long.
        done.try_send(()).unwrap_or_default();
    }

    fn remove(&mut self, id: &SensorId) {
        let Some(place) = self.place(id) else { return };
        self.look_once_more(place);
        self.schedule.hold(place);
        let sensor = &mut self.sensors[place];
        sensor.end(&self.shared);
        sensor.gone = true;
        self.watched.seat(place, None);
    }

    fn adjust(&mut self, plan: SensorPlan) {
        let Some(place) = self.place(&plan.sensor.id) else { return };
        self.listen(place);
        let now = self.start.elapsed();
        let sensor = &mut self.sensors[place];
        let interval = plan.sensor.interval;
        let changed = sensor.interval != interval;
        sensor.adjust(plan, &self.shared);
        if changed {
            self.set_interval(place, interval, now);
        }
    }

    /// In a free place, or behind the others. `added` have been before it at this time.
    fn add(&mut self, plan: SensorPlan, cell: &Arc<Cell>, added: usize) {
        let free = self.sensors.iter().position(|sensor| sensor.gone);
        let place = free.unwrap_or(self.sensors.len());
        let interval = plan.sensor.interval;
        let sensor = Sensor::new(plan, cell, self.bell.waker(place));
        match free {
            Some(place) => self.sensors[place] = sensor,
            None => self.sensors.push(sensor),
        }
        self.watched.seat(place, Some(Arc::clone(cell)));
        self.schedule.add(place, interval, self.start.elapsed() + spread(added));
    }
}
