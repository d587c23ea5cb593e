//! What each worker is doing, and the supervisor that looks at it: finds the worker that hangs inside
//! a read, and tells whether all others are alive. Reads no sensor itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cell::{Cell, Seen};
use super::stop::Stop;
use crate::reading::{Moment, SensorId};

/// A worker that is neither reading nor asleep moves on within this time, or it is stuck by a fault of
/// ours. Much longer than the longest wait for the log.
const GRACE: Duration = Duration::from_secs(10);

/// One worker as the supervisor sees it.
pub(super) struct Watched {
    /// Name of the bus or worker.
    pub name: String,
    /// The signal to end that concerns this worker.
    pub stop: Arc<Stop>,
    state: Mutex<State>,
}

struct State {
    activity: Activity,
    /// Its sensors by their places; an empty one had a sensor once.
    cells: Vec<Option<Arc<Cell>>>,
}

#[derive(Debug, Clone, Copy)]
enum Activity {
    Working { since: Instant },
    Asleep { until: Option<Instant> },
    Reading { sensor: usize, since: Instant, hung: bool },
    Ended,
}

impl State {
    fn cells(&self) -> impl Iterator<Item = &Arc<Cell>> {
        self.cells.iter().flatten()
    }

    fn others(&self, sensor: usize) -> impl Iterator<Item = &Arc<Cell>> {
        let others = self.cells.iter().enumerate().filter(move |(other, _)| *other != sensor);
        others.filter_map(|(_, cell)| cell.as_ref())
    }
}

impl Watched {
    /// A worker about to start.
    pub fn new(name: String, stop: Arc<Stop>, cells: Vec<Arc<Cell>>) -> Self {
        let activity = Activity::Working { since: Instant::now() };
        let cells = cells.into_iter().map(Some).collect();
        Self { name, stop, state: Mutex::new(State { activity, cells }) }
    }

    /// The sensor at this place is another one, or there is none any more.
    pub fn seat(&self, sensor: usize, cell: Option<Arc<Cell>>) {
        let mut state = self.lock();
        if state.cells.len() <= sensor {
            state.cells.resize(sensor + 1, None);
        }
        state.cells[sensor] = cell;
    }

    /// Its sensors.
    pub fn cells(&self) -> Vec<Arc<Cell>> {
        self.lock().cells().cloned().collect()
    }

    /// The worker is busy with something short.
    pub fn working(&self) {
        self.lock().activity = Activity::Working { since: Instant::now() };
    }

    /// The worker has nothing to do before `until`.
    pub fn asleep(&self, until: Option<Instant>) {
        self.lock().activity = Activity::Asleep { until };
    }

    /// The worker has ended, in order or not.
    pub fn ended(&self) {
        self.lock().activity = Activity::Ended;
    }

    /// The worker goes into a driver.
    pub fn reading(&self, sensor: usize) {
        self.lock().activity = Activity::Reading { sensor, since: Instant::now(), hung: false };
    }

    /// The worker is back from the driver. If it had been given up, the other sensors are free again;
    /// what became of its own is for the worker to say.
    pub fn back(&self, sensor: usize) {
        let mut state = self.lock();
        let now = Activity::Working { since: Instant::now() };
        if let Activity::Reading { hung: true, .. } = std::mem::replace(&mut state.activity, now) {
            for other in state.others(sensor) {
                other.change(|health| health.held_up(None));
            }
        }
    }

    /// The longest that it may be in a driver; nothing when it is known to hang there.
    pub fn patience(&self) -> Option<Duration> {
        let state = self.lock();
        match state.activity {
            Activity::Reading { hung: true, .. } => None,
            _ => state.cells().map(|cell| cell.timeout()).max(),
        }
    }

    /// The sensor that the worker is reading.
    pub fn current(&self) -> Option<Arc<Cell>> {
        let state = self.lock();
        match state.activity {
            Activity::Reading { sensor, .. } => state.cells.get(sensor).cloned().flatten(),
            _ => None,
        }
    }

    /// Looks whether the worker hangs in a read; if so, says it once. Answers whether the worker is
    /// alive: one that hangs in a driver counts, since it is known and nothing of ours is wrong.
    fn look(&self, clock: fn() -> Moment) -> bool {
        // Held until all is said, so that a worker that comes back now finds it said, and takes it back.
        let mut state = self.lock();
        let now = Instant::now();
        match state.activity {
            Activity::Working { since } => now.saturating_duration_since(since) < GRACE,
            Activity::Asleep { until } => {
                until.is_none_or(|until| now.saturating_duration_since(until) < GRACE)
            }
            Activity::Ended if self.stop.deadline().is_some() => true,
            Activity::Ended => {
                let why = "its worker has ended by a fault of this program; restart it and report this";
                for cell in state.cells() {
                    cell.change(|health| health.failed(clock(), why.to_owned()));
                }
                false
            }
            Activity::Reading { sensor, since, hung: false } => {
                let Some(cell) = state.cells.get(sensor).cloned().flatten() else { return true };
                let timeout = cell.timeout();
                if now.saturating_duration_since(since) >= timeout {
                    state.activity = Activity::Reading { sensor, since, hung: true };
                    let why = format!("hung: no answer for {}", seconds(timeout));
                    cell.change(|health| health.failed(clock(), why));
                    let why = format!("waits for sensor {}, which hangs on {}", cell.id, self.name);
                    for other in state.others(sensor) {
                        other.change(|health| health.held_up(Some(why.clone())));
                    }
                }
                true
            }
            Activity::Reading { .. } => true,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All workers there are at the time.
#[derive(Default)]
pub(super) struct Roster(Mutex<Vec<Arc<Watched>>>);

impl Roster {
    /// One more.
    pub fn add(&self, worker: &Arc<Watched>) {
        self.lock().push(Arc::clone(worker));
    }

    /// One less.
    pub fn remove(&self, worker: &Arc<Watched>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, worker));
    }

    /// What was last seen of a sensor.
    pub fn seen(&self, sensor: &SensorId) -> Option<Seen> {
        let workers = self.lock();
        workers
            .iter()
            .find_map(|worker| worker.lock().cells().find(|cell| cell.id == *sensor).map(|cell| cell.seen()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Watched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `2 s`, `0.25 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The supervisor's work: looks at every worker until asked to end.
pub(super) struct Supervisor {
    pub roster: Arc<Roster>,
    pub stop: Arc<Stop>,
    pub clock: fn() -> Moment,
    pub life: Arc<Life>,
}

impl Supervisor {
    /// Runs until asked to end.
    pub fn run(self) {
        while !self.stop.wait(Some(Instant::now() + self.pause())) {
            let workers = self.roster.lock();
            let dead = workers.iter().filter(|worker| !worker.look(self.clock)).count();
            if dead == 0 {
                self.life.sign();
            }
            for worker in workers.iter() {
                // Busy: tried again at the next look.
                if worker.lock().cells().any(|cell| cell.pay().is_err()) {
                    break;
                }
            }
        }
    }

    /// Often enough for the shortest time-out, seldom enough to cost nothing.
    fn pause(&self) -> Duration {
        let workers = self.roster.lock();
        let shortest = |worker: &Arc<Watched>| worker.lock().cells().map(|cell| cell.timeout()).min();
        let shortest = workers.iter().filter_map(shortest).min().unwrap_or(Duration::MAX);
        (shortest / 4).clamp(Duration::from_millis(25), Duration::from_millis(500))
    }
}

/// When all was last seen to be alive.
#[derive(Debug)]
pub(super) struct Life {
    start: Instant,
    micros: AtomicU64,
}

impl Life {
    /// Alive now.
    pub fn new() -> Self {
        Self { start: Instant::now(), micros: AtomicU64::new(0) }
    }

    /// Alive now, again.
    pub fn sign(&self) {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// When that was.
    pub fn last(&self) -> Instant {
        self.start + Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}
