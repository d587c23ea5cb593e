//! Connections to the log for those who look, on threads that may wait for the disk. Bounded, and given back
//! to the system when nobody looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tracing::warn;

use crate::log::{Log, LogError, Reader};

/// Threads that may wait: one a lane, and one for the facts, which have a connection of their own.
pub(super) const THREADS: usize = 4;

/// What is read for. One at a time of each, so that a row of pictures or a long plot never keeps the rest waiting,
/// and nobody takes more than a part of a small machine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    /// A few rows.
    Quick,
    /// Up to a month of readings.
    Plot,
    /// Decoding a picture.
    Picture,
}

/// A connection that nobody used for this long is closed: each has a cache of up to 2 MB.
const IDLE: Duration = Duration::from_secs(30);

/// Read connections of the page.
#[derive(Debug)]
pub(super) struct Pool {
    log: Log,
    idle: Mutex<Vec<(Instant, Reader)>>,
    turns: [Semaphore; 3],
}

impl Pool {
    /// None is open yet.
    pub fn new(log: &Log) -> Self {
        let turns = std::array::from_fn(|_| Semaphore::new(1));
        Self { log: log.clone(), idle: Mutex::default(), turns }
    }

    /// Does `work` with a connection on a thread that may wait. `None` when that failed; it is in the journal.
    pub async fn read<T: Send + 'static>(
        self: Arc<Self>,
        lane: Lane,
        work: impl FnOnce(&mut Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Option<T> {
        // Taken here, not on the thread: requests wait their turn without one.
        let turn = self.turns[lane as usize].acquire().await.ok()?;
        let pool = self.clone();
        let done = tokio::task::spawn_blocking(move || pool.with_reader(work)).await;
        drop(turn);
        match done {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                warn!("web: reading the log: {error}");
                None
            }
            Err(error) => {
                warn!("web: reading the log: {error}; please report this");
                None
            }
        }
    }

    fn with_reader<T>(&self, work: impl FnOnce(&mut Reader) -> Result<T, LogError>) -> Result<T, LogError> {
        let taken = self.idle().pop();
        let mut reader = match taken {
            Some((_, reader)) => reader,
            None => self.log.reader()?,
        };
        // One that failed is not kept: its fault might be its own.
        let answer = work(&mut reader)?;
        self.idle().push((Instant::now(), reader));
        Ok(answer)
    }

    /// Closes what has not been used for a while.
    pub fn tidy(&self) {
        self.idle().retain(|(since, _)| since.elapsed() < IDLE);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Reader)>> {
        // Held for a push or a pop, which cannot panic halfway.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
