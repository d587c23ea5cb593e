//! What each worker is doing, and the supervisor that looks at it: finds the worker that hangs inside
//! a read, and tells whether all others are alive. Reads no sensor itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::stop::Stop;
use crate::reading::Moment;

/// A worker that is neither reading nor asleep moves on within this time, or it is stuck by a fault of
/// ours. Much longer than the longest wait for the log.
const GRACE: Duration = Duration::from_secs(10);

/// One worker as the supervisor sees it.
pub(super) struct Watched {
    /// Name of the bus or worker.
    pub name: String,
    /// Its sensors.
    pub cells: Vec<Arc<Cell>>,
    activity: Mutex<Activity>,
}

#[derive(Debug, Clone, Copy)]
enum Activity {
    Working { since: Instant },
    Asleep { until: Option<Instant> },
    Reading { sensor: usize, since: Instant, hung: bool },
    Ended,
}

impl Watched {
    /// A worker about to start.
    pub fn new(name: String, cells: Vec<Arc<Cell>>) -> Self {
        Self { name, cells, activity: Mutex::new(Activity::Working { since: Instant::now() }) }
    }

    /// The worker is busy with something short.
    pub fn working(&self) {
        *self.lock() = Activity::Working { since: Instant::now() };
    }

    /// The worker has nothing to do before `until`.
    pub fn asleep(&self, until: Option<Instant>) {
        *self.lock() = Activity::Asleep { until };
    }

    /// The worker has ended, in order or not.
    pub fn ended(&self) {
        *self.lock() = Activity::Ended;
    }

    /// The worker goes into a driver.
    pub fn reading(&self, sensor: usize) {
        *self.lock() = Activity::Reading { sensor, since: Instant::now(), hung: false };
    }

    /// The worker is back from the driver. If it had been given up, the other sensors are free again;
    /// what became of its own is for the worker to say.
    pub fn back(&self, sensor: usize) {
        let before = std::mem::replace(&mut *self.lock(), Activity::Working { since: Instant::now() });
        if let Activity::Reading { hung: true, .. } = before {
            for other in self.others(sensor) {
                other.change(|health| health.held_up(None));
            }
        }
    }

    /// The sensor that the worker is reading.
    pub fn current(&self) -> Option<&Arc<Cell>> {
        match *self.lock() {
            Activity::Reading { sensor, .. } => self.cells.get(sensor),
            _ => None,
        }
    }

    /// Looks whether the worker hangs in a read; if so, says it once. Answers whether the worker is
    /// alive: one that hangs in a driver counts, since it is known and nothing of ours is wrong.
    fn look(&self, clock: fn() -> Moment, stop: &Stop) -> bool {
        // Held until all is said, so that a worker that comes back now finds it said, and takes it back.
        let mut activity = self.lock();
        let now = Instant::now();
        match &mut *activity {
            Activity::Working { since } => now.saturating_duration_since(*since) < GRACE,
            Activity::Asleep { until } => {
                until.is_none_or(|until| now.saturating_duration_since(until) < GRACE)
            }
            Activity::Ended if stop.deadline().is_some() => true,
            Activity::Ended => {
                let why = "its worker has ended by a fault of this program; restart it and report this";
                for cell in &self.cells {
                    cell.change(|health| health.failed(clock(), why.to_owned()));
                }
                false
            }
            Activity::Reading { sensor, since, hung } => {
                let cell = &self.cells[*sensor];
                if !*hung && now.saturating_duration_since(*since) >= cell.timeout {
                    *hung = true;
                    let why = format!("hung: no answer for {}", seconds(cell.timeout));
                    cell.change(|health| health.failed(clock(), why));
                    let why = format!("waits for sensor {}, which hangs on {}", cell.id, self.name);
                    for other in self.others(*sensor) {
                        other.change(|health| health.held_up(Some(why.clone())));
                    }
                }
                true
            }
        }
    }

    fn others(&self, sensor: usize) -> impl Iterator<Item = &Arc<Cell>> {
        self.cells.iter().enumerate().filter(move |(other, _)| *other != sensor).map(|(_, cell)| cell)
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `2 s`, `0.25 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The supervisor's work: looks at every worker until asked to end.
pub(super) struct Supervisor {
    pub watched: Vec<Arc<Watched>>,
    pub stop: Arc<Stop>,
    pub clock: fn() -> Moment,
    pub life: Arc<Life>,
}

impl Supervisor {
    /// Runs until asked to end.
    pub fn run(self) {
        let pause = self.pause();
        while !self.stop.wait(Some(Instant::now() + pause)) {
            let dead = self.watched.iter().filter(|worker| !worker.look(self.clock, &self.stop)).count();
            if dead == 0 {
                self.life.sign();
            }
            for cell in self.watched.iter().flat_map(|worker| &worker.cells) {
                // Busy: tried again at the next look.
                if cell.pay().is_err() {
                    break;
                }
            }
        }
    }

    /// Often enough for the shortest time-out, seldom enough to cost nothing.
    fn pause(&self) -> Duration {
        let cells = self.watched.iter().flat_map(|worker| &worker.cells);
        let shortest = cells.map(|cell| cell.timeout).min().unwrap_or(Duration::MAX);
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
    fn sign(&self) {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// When that was.
    pub fn last(&self) -> Instant {
        self.start + Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}
