//! The board: what state each part is in, and its counters. It shows; it changes nothing.
//!
//! Every room gets a [`Part`] and writes its state there; a change of state is one log line, never a flood.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::{info, warn};

/// State of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not heard from yet.
    Starting,
    /// As it should be.
    Ok,
    /// Works, but something should be looked at.
    Degraded(String),
    /// Does not work; retried with back-off.
    Failed(String),
    /// Ended in order.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Starting => f.write_str("starting"),
            State::Ok => f.write_str("ok"),
            State::Degraded(why) => write!(f, "degraded: {why}"),
            State::Failed(why) => write!(f, "failed: {why}"),
            State::Stopped => f.write_str("stopped"),
        }
    }
}

/// All parts. Cheap to clone; every clone is the same board.
#[derive(Debug, Clone, Default)]
pub struct Board {
    parts: Arc<Mutex<BTreeMap<String, Part>>>,
}

/// One part's place on the board.
#[derive(Debug, Clone)]
pub struct Part {
    name: Arc<str>,
    state: Arc<Mutex<(State, Instant)>>,
    figures: Arc<Mutex<BTreeMap<&'static str, Figure>>>,
}

/// A number on the board: a counter when only added to, a gauge when set.
#[derive(Debug, Clone, Default)]
pub struct Figure(Arc<AtomicI64>);

impl Figure {
    /// Adds to a counter.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A board's lock is held for a few instructions that cannot panic halfway, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// An empty board.
    pub fn new() -> Self {
        Self::default()
    }

    /// The part of this name, made on first use: `sensor air`, `log`, `publisher`, `mirror csv`.
    pub fn part(&self, name: &str) -> Part {
        lock(&self.parts).entry(name.to_owned()).or_insert_with(|| Part::new(name)).clone()
    }

    /// Every part as it is now, by name.
    pub fn parts(&self) -> Vec<Part> {
        lock(&self.parts).values().cloned().collect()
    }
}

impl fmt::Display for Board {
    /// One line a part: name, state, seconds since it changed, figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.parts() {
            let (state, since) = part.state();
            write!(f, "{}: {state} (for {} s)", part.name, since.elapsed().as_secs())?;
            for (name, value) in part.figures() {
                write!(f, " {name}={value}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Part {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            state: Arc::new(Mutex::new((State::Starting, Instant::now()))),
            figures: Arc::default(),
        }
    }

    /// Name on the board.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the state; logs it if it is new. Answers whether it was.
    pub fn set(&self, state: State) -> bool {
        {
            let mut current = lock(&self.state);
            if current.0 == state {
                return false;
            }
            *current = (state.clone(), Instant::now());
        }
        match state {
            State::Degraded(_) | State::Failed(_) => warn!("{}: {state}", self.name),
            _ => info!("{}: {state}", self.name),
        }
        true
    }

    /// State, and since when.
    pub fn state(&self) -> (State, Instant) {
        lock(&self.state).clone()
    }

    /// The figure of this name, made on first use.
    pub fn figure(&self, name: &'static str) -> Figure {
        lock(&self.figures).entry(name).or_default().clone()
    }

    /// Every figure by name.
    pub fn figures(&self) -> Vec<(&'static str, i64)> {
        lock(&self.figures).iter().map(|(name, figure)| (*name, figure.get())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_news_only_once() {
        let part = Board::new().part("log");
        assert!(part.set(State::Failed("disk full".into())));
        assert!(!part.set(State::Failed("disk full".into())));
        assert!(part.set(State::Ok));
    }

    #[test]
    fn the_same_name_is_the_same_part() {
        let board = Board::new();
        board.part("log").figure("rows").add(3);
        board.part("log").figure("rows").add(4);
        assert!(board.to_string().contains("log: starting (for 0 s) rows=7"));
    }
}
