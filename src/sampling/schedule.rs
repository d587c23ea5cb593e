//! When each sensor of one worker is due. Pure: the time is an argument. Waits for nothing itself.
//!
//! Every sensor has a fixed grid, `phase + k · interval`, so that no drift adds up. After a stall the
//! missed points of the grid are skipped and counted, never made up for in a burst.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Sensors that share a point of the grid. Read together, their readings share one commit of the log,
/// which spares the flash; more at once would only keep each other waiting.
const PER_SLOT: usize = 10;

/// Time between two such points.
const SLOT: Duration = Duration::from_millis(10);

/// What is to be done. At equal times in this order: what happened comes before what is, and a fresh
/// sample overtakes a held value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Something that happened will have been decided.
    Listen,
    /// A reading on the grid.
    Read,
    /// A new attempt after a failure, off the grid.
    Retry,
    /// A held value's time has come.
    Flush,
}

/// Something that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Which sensor.
    pub sensor: usize,
    /// What is to be done.
    pub task: Task,
    /// The time it stands for: for a reading the latest point of the grid that is not in the future,
    /// so that a wakeup that is a little late does not shift heartbeats; now for everything else.
    pub at: Duration,
    /// Points of the grid that were missed before it.
    pub skipped: u64,
}

/// All sensors of one worker. Times are durations since the start of the worker.
#[derive(Debug)]
pub(super) struct Schedule {
    grids: Vec<Grid>,
    /// With the turn that a reading belongs to.
    queue: BinaryHeap<Reverse<(Duration, Task, usize, u64)>>,
}

#[derive(Debug, Clone, Copy)]
struct Grid {
    phase: Duration,
    interval: Duration,
    /// Counts the readings planned: only the last one is still wanted.
    turn: u64,
    /// Whether somebody comes back for what happened, and for a held value.
    listens: bool,
    flushes: bool,
}

impl Schedule {
    /// Every sensor is first read at its phase: at once, or a few hundredths of a second later when
    /// there are many.
    pub fn new(intervals: impl IntoIterator<Item = Duration>) -> Self {
        let mut schedule = Self { grids: Vec::new(), queue: BinaryHeap::new() };
        for (sensor, interval) in intervals.into_iter().enumerate() {
            let phase = remainder(spread(sensor), at_least(interval));
            schedule.add(sensor, interval, phase);
        }
        schedule
    }

    /// Reads a sensor from `from` on. Its place is a free one, or the first behind all there are.
    pub fn add(&mut self, sensor: usize, interval: Duration, from: Duration) {
        let interval = at_least(interval);
        let grid =
            Grid { phase: remainder(from, interval), interval, turn: 0, listens: false, flushes: false };
        match self.grids.get_mut(sensor) {
            // The turns go on: readings that are planned for who sat there before are not for this one.
            Some(free) => *free = Grid { phase: grid.phase, interval, ..*free },
            None => self.grids.push(grid),
        }
        self.read(sensor, Task::Read, from);
    }

    /// When something is due next, or was before it was planned anew.
    pub fn next(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes out what is due by `now`, the earliest first. A sensor that was read or retried comes
    /// again only after [`Schedule::again`] or [`Schedule::retry`].
    pub fn pop(&mut self, now: Duration) -> Option<Due> {
        let (due, task, sensor) = loop {
            if self.next()? > now {
                return None;
            }
            let Reverse((due, task, sensor, turn)) = self.queue.pop()?;
            let is_reading = matches!(task, Task::Read | Task::Retry);
            if !is_reading || turn == self.grids[sensor].turn {
                break (due, task, sensor);
            }
        };
        match task {
            Task::Listen => self.grids[sensor].listens = false,
            Task::Flush => self.grids[sensor].flushes = false,
            Task::Read | Task::Retry => {}
        }
        if task != Task::Read {
            return Some(Due { sensor, task, at: now, skipped: 0 });
        }
        let interval = self.grids[sensor].interval;
        let skipped = u64::try_from((now - due).as_nanos() / interval.as_nanos()).unwrap_or(u64::MAX);
        let at = now - remainder(now - due, interval);
        Some(Due { sensor, task, at, skipped })
    }

    /// Reads the sensor at the next point of its grid after `after`, which may already be past. Answers that point.
    pub fn again(&mut self, sensor: usize, after: Duration) -> Duration {
        let Grid { phase, interval, .. } = self.grids[sensor];
        let next = match after.checked_sub(phase) {
            Some(since) => after - remainder(since, interval) + interval,
            None => phase,
        };
        self.read(sensor, Task::Read, next);
        next
    }

    /// Tries a failed sensor again at `at`, in place of what was planned for it.
    pub fn retry(&mut self, sensor: usize, at: Duration) {
        self.read(sensor, Task::Retry, at);
    }

    /// Reads the sensor no more until [`Schedule::again`] or [`Schedule::retry`].
    pub fn hold(&mut self, sensor: usize) {
        self.grids[sensor].turn += 1;
    }

    /// Gives the sensor another grid, of which `from` is a point. What is planned stays planned.
    pub fn set_interval(&mut self, sensor: usize, interval: Duration, from: Duration) {
        let interval = at_least(interval);
        let grid = &mut self.grids[sensor];
        grid.interval = interval;
        grid.phase = remainder(from, interval);
    }

    fn read(&mut self, sensor: usize, task: Task, at: Duration) {
        let turn = &mut self.grids[sensor].turn;
        *turn += 1;
        self.queue.push(Reverse((at, task, sensor, *turn)));
    }

    /// Comes back for what happened at `at`, in place of what was planned.
    pub fn listen(&mut self, sensor: usize, at: Duration) {
        let planned = std::mem::replace(&mut self.grids[sensor].listens, true);
        self.plan(planned, Task::Listen, sensor, at);
    }

    /// Comes back for a held value at `at`, in place of what was planned.
    pub fn flush(&mut self, sensor: usize, at: Duration) {
        let planned = std::mem::replace(&mut self.grids[sensor].flushes, true);
        self.plan(planned, Task::Flush, sensor, at);
    }

    /// Whoever has come back plans anew, so that two plans for one thing would stay two for good.
    fn plan(&mut self, planned: bool, task: Task, sensor: usize, at: Duration) {
        if planned {
            self.queue.retain(|Reverse((_, other, whose, _))| (*other, *whose) != (task, sensor));
        }
        self.queue.push(Reverse((at, task, sensor, 0)));
    }
}

/// When the sensor of this number begins, if many begin at once.
pub(super) fn spread(sensor: usize) -> Duration {
    SLOT.saturating_mul(u32::try_from(sensor / PER_SLOT).unwrap_or(u32::MAX))
}

/// The configuration has no zero intervals; a division by one would take the worker down.
fn at_least(interval: Duration) -> Duration {
    interval.max(Duration::from_millis(1))
}

fn remainder(time: Duration, interval: Duration) -> Duration {
    // Fits: a remainder is less than the interval, and 584 years are nobody's interval.
    Duration::from_nanos(u64::try_from(time.as_nanos() % interval.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Pops everything due, putting readings back on the grid.
    fn drain(schedule: &mut Schedule, now: Duration) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| {
            let due = schedule.pop(now)?;
            schedule.again(due.sensor, due.at);
            Some((u64::try_from(due.at.as_millis()).unwrap(), due.skipped))
        })
        .collect()
    }

    #[test]
    fn late_wakeups_do_not_move_the_grid_and_missed_points_are_skipped() {
        let mut schedule = Schedule::new([ms(100)]);
        // now → (the point it stands for, points missed)
        let table: [(u64, &[(u64, u64)]); 7] = [
            (0, &[(0, 0)]),
            (99, &[]),
            (103, &[(100, 0)]),
            (299, &[(200, 0)]),
            (300, &[(300, 0)]),
            (1_250, &[(1_200, 8)]),
            (1_300, &[(1_300, 0)]),
        ];
        for (now, expected) in table {
            assert_eq!(drain(&mut schedule, ms(now)), expected, "at {now} ms");
        }
    }

    #[test]
    fn few_sensors_start_together_and_many_are_spread() {
        let start = |count: usize, interval: u64| -> Vec<u64> {
            let schedule = Schedule::new(vec![ms(interval); count]);
            schedule.grids.iter().map(|grid| u64::try_from(grid.phase.as_millis()).unwrap()).collect()
        };
        assert!(start(10, 1_000).iter().all(|phase| *phase == 0));
        let hundred = start(100, 100);
        for slot in 0..10 {
            assert_eq!(hundred.iter().filter(|phase| **phase == slot * 10).count(), 10);
        }
        assert!(start(1_000, 30).iter().all(|phase| *phase < 30), "no later than one interval");
    }

    #[test]
    fn after_a_retry_the_sensor_is_back_on_its_grid() {
        let mut schedule = Schedule::new([ms(1_000)]);
        let due = schedule.pop(ms(0)).unwrap();
        schedule.retry(due.sensor, ms(2_345));
        assert_eq!(schedule.pop(ms(2_344)), None);
        let due = schedule.pop(ms(2_350)).unwrap();
        assert_eq!(due, Due { sensor: 0, task: Task::Retry, at: ms(2_350), skipped: 0 });
        schedule.again(0, ms(2_350));
        assert_eq!(schedule.next(), Some(ms(3_000)));
    }

    #[test]
    fn a_retry_takes_the_place_of_the_reading_that_was_planned() {
        let mut schedule = Schedule::new([ms(100)]);
        drain(&mut schedule, ms(0));
        schedule.retry(0, ms(30));
        assert_eq!(schedule.pop(ms(50)).map(|due| due.task), Some(Task::Retry));
        schedule.again(0, ms(50));
        assert_eq!(drain(&mut schedule, ms(100)), [(100, 0)]);
        assert_eq!(schedule.queue.len(), 1);
    }

    #[test]
    fn at_one_time_events_come_before_readings_and_these_before_held_values() {
        let mut schedule = Schedule::new([ms(100)]);
        drain(&mut schedule, ms(0));
        schedule.flush(0, ms(100));
        schedule.listen(0, ms(100));
        assert_eq!(schedule.pop(ms(100)).map(|due| due.task), Some(Task::Listen));
        assert_eq!(schedule.pop(ms(100)).map(|due| due.task), Some(Task::Read));
        assert_eq!(schedule.pop(ms(100)).map(|due| due.task), Some(Task::Flush));
    }

    /// Of three values held for different times one was always due before the others: each time the queue grew by one.
    #[test]
    fn who_comes_back_earlier_than_planned_does_not_come_back_twice() {
        let mut schedule = Schedule::new([ms(60_000)]);
        drain(&mut schedule, ms(0));
        for now in 1..1_000 {
            for plan in [Schedule::flush, Schedule::listen] {
                plan(&mut schedule, 0, ms(50_000));
                plan(&mut schedule, 0, ms(now));
            }
            assert_eq!(schedule.pop(ms(now)).map(|due| due.task), Some(Task::Listen));
            assert_eq!(schedule.pop(ms(now)).map(|due| due.task), Some(Task::Flush));
            assert_eq!((schedule.pop(ms(now)), schedule.queue.len()), (None, 1));
        }
    }

    #[test]
    fn a_sensor_on_hold_is_not_read_and_another_interval_is_another_grid() {
        let mut schedule = Schedule::new([ms(100)]);
        drain(&mut schedule, ms(0));
        schedule.hold(0);
        assert_eq!(drain(&mut schedule, ms(1_000)), []);
        schedule.set_interval(0, ms(30), ms(1_010));
        schedule.again(0, ms(1_010));
        assert_eq!(drain(&mut schedule, ms(1_039)), []);
        assert_eq!(drain(&mut schedule, ms(1_041)), [(1_040, 0)]);
        assert_eq!(schedule.next(), Some(ms(1_070)));
    }

    #[test]
    fn a_place_that_is_taken_again_has_nothing_of_who_sat_there() {
        let mut schedule = Schedule::new([ms(100), ms(100)]);
        drain(&mut schedule, ms(0));
        schedule.hold(0);
        schedule.add(0, ms(30), ms(40));
        schedule.add(2, ms(1_000), ms(45));
        assert_eq!(drain(&mut schedule, ms(39)), []);
        assert_eq!(drain(&mut schedule, ms(45)), [(40, 0), (45, 0)]);
        let mut due: Vec<(u64, u64)> = drain(&mut schedule, ms(100));
        due.sort_unstable();
        assert_eq!(
            due,
            [(100, 0), (100, 1)],
            "the second of the old ones, and the new one, which has missed 70"
        );
    }

    #[test]
    fn an_interval_of_zero_does_not_spin_for_ever() {
        let mut schedule = Schedule::new([Duration::ZERO]);
        assert_eq!(drain(&mut schedule, ms(5)), [(5, 5)]);
    }

    proptest! {
        /// For arbitrary stalls: every point of the grid is read once or counted as skipped, no two
        /// readings stand for one point, and a stall is followed by one reading, not by many.
        #[test]
        fn no_drift_and_no_burst(
            intervals in prop::collection::vec(1_u64..500, 1..30),
            stalls in prop::collection::vec(0_u64..2_000, 1..100),
        ) {
            let mut schedule = Schedule::new(intervals.iter().copied().map(ms));
            let phases: Vec<Duration> = schedule.grids.iter().map(|grid| grid.phase).collect();
            let mut points = vec![0_u64; intervals.len()];
            let mut now = Duration::ZERO;
            for stall in stalls {
                now += ms(stall);
                let mut seen = vec![0_u32; intervals.len()];
                while let Some(due) = schedule.pop(now) {
                    seen[due.sensor] += 1;
                    prop_assert_eq!(seen[due.sensor], 1, "burst");
                    points[due.sensor] += due.skipped;
                    let k = u32::try_from(points[due.sensor]).unwrap();
                    prop_assert_eq!(due.at, phases[due.sensor] + ms(intervals[due.sensor]) * k, "drift");
                    prop_assert!(due.at <= now);
                    points[due.sensor] += 1;
                    schedule.again(due.sensor, due.at);
                }
                prop_assert!(schedule.next().unwrap() > now);
            }
        }
    }
}
