//! Everything worth knowing about the running daemon, gathered into one plain structure, and the shapes it is
//! shown in: health, Prometheus text, JSON, the answer to "why was this not published?".
//!
//! It looks and changes nothing. Nothing is gathered before somebody asks; what a look costs is a few locks held
//! for an instant and, at most every few seconds, three small queries on a connection of its own.
//!
//! | who | uses |
//! |---|---|
//! | a web page | [`Facts::snapshot`], [`prometheus::render`] with [`prometheus::CONTENT_TYPE`], [`Snapshot::health`] |
//! | the status socket | the same, and [`Facts::why`]; `socket` is the daemon's end, `ask` the command's |
//! | the retained JSON on MQTT | [`Facts::message`] |

pub mod ask;
mod gather;
mod health;
mod machine;
mod pace;
pub mod prometheus;
#[cfg(test)]
mod prometheus_tests;
mod snapshot;
pub mod socket;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod why;
pub mod words;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::log::{Extent, Log};
use crate::reading::Moment;
use crate::sampling::View;
use crate::status::Board;
use pace::Pace;
use socket::{Answer, Reply};

pub use health::{Health, judge};
pub use snapshot::{
    Broker, Clock, Condition, Event, Gap, Latency, LogFacts, Machine, Mirror, Output, Part, Quantity, Sensor,
    Shown, Snapshot, Word,
};
pub use why::{Why, WhyQuantity};

/// What the log says of itself is asked anew after this long.
const EXTENT_HOLDS: Duration = Duration::from_secs(5);

/// Where the facts come from. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Facts {
    inner: Arc<Inner>,
}

struct Inner {
    /// Whatever is configured at the moment.
    config: RwLock<Arc<Config>>,
    board: Board,
    log: Log,
    clock: fn() -> Moment,
    sensors: OnceLock<View>,
    pace: Mutex<Pace>,
    /// What the log said last, and when.
    extent: Mutex<Option<(Instant, Extent)>>,
}

impl Facts {
    /// Facts of a daemon of this configuration. The sensors are named later, by [`Facts::watch`]: they start after
    /// what tells of them.
    pub fn new(config: &Config, board: &Board, log: &Log, clock: fn() -> Moment) -> Self {
        let inner = Inner {
            config: RwLock::new(Arc::new(config.clone())),
            board: board.clone(),
            log: log.clone(),
            clock,
            sensors: OnceLock::new(),
            pace: Mutex::default(),
            extent: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// From now on the facts are about a daemon of this configuration; its log is the same.
    pub fn reconfigure(&self, config: &Config) {
        *self.inner.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config.clone());
    }

    /// The configuration that they are about.
    pub fn config(&self) -> Arc<Config> {
        self.inner.config()
    }

    /// The sensors whose values are told of. Only the first call counts.
    pub fn watch(&self, sensors: View) {
        self.inner.sensors.get_or_init(|| sensors);
    }

    /// Takes note of how fast things move; to be called about once a second. A few additions.
    pub fn tick(&self) {
        self.inner.note_pace(Instant::now());
    }

    /// All facts as they are now. Takes well under a millisecond, a few every five seconds.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.gather(Instant::now())
    }

    /// The facts as they are published, retained, on MQTT: JSON, the events cut down to the last few.
    pub fn message(&self) -> Vec<u8> {
        /// So many say what is going on; more would be sent each minute for nothing.
        const EVENTS: usize = 10;
        let mut snapshot = self.snapshot();
        let old = snapshot.events.len().saturating_sub(EVENTS);
        snapshot.events.drain(..old);
        // Plain structures of numbers and texts: there is nothing in them that JSON cannot hold.
        serde_json::to_vec(&snapshot).unwrap_or_default()
    }

    /// Why the last values of `SENSOR` or `SENSOR.QUANTITY` were not published, or when they will be.
    ///
    /// # Errors
    /// There is no such sensor or quantity; says which there are.
    pub fn why(&self, asked: &str) -> Result<Why, String> {
        self.inner.why(asked)
    }

    /// The answer to a request on the status socket, as JSON.
    fn answer(&self, request: &str) -> Vec<u8> {
        let answer = match request.split_once(' ').unwrap_or((request, "")) {
            ("status", "") => Answer::Status(Box::new(self.snapshot())),
            ("metrics", "") => Answer::Metrics(prometheus::render(&self.snapshot())),
            ("why", asked) if !asked.is_empty() => match self.why(asked.trim()) {
                Ok(why) => Answer::Why(why),
                Err(error) => Answer::Error(error),
            },
            _ => Answer::Error("ask for status, metrics, or why SENSOR[.QUANTITY]".to_owned()),
        };
        let database = self.inner.config().log.path.display().to_string();
        serde_json::to_vec(&Reply { database, answer }).unwrap_or_default()
    }
}
