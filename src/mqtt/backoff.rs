//! How long to wait before the next connection: doubling, with a ceiling and jitter. Pure; the caller waits.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Doubling delays between a least and a longest.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `min`, never beyond `max`.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// The next delay. `chance` in 0…1 spreads it over its upper half, so that a hundred devices that lost
    /// the same broker do not come back in the same instant.
    pub(super) fn delay(&mut self, chance: f64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.max);
        full.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    /// Begins again at the least delay.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }
}

/// A random number in 0…1 from the seed that the standard library draws for its hash maps. Good enough for
/// jitter, and no dependency.
pub(super) fn chance() -> f64 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_ceiling_and_begins_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let delays: Vec<u64> = (0..8).map(|_| backoff.delay(1.0).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.delay(1.0), Duration::from_secs(1));
    }

    #[test]
    fn jitter_takes_at_most_half() {
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(10));
        for (chance, expected) in [(0.0, 5.0), (0.5, 7.5), (1.0, 10.0), (7.0, 10.0)] {
            assert_eq!(backoff.delay(chance), Duration::from_secs_f64(expected));
        }
    }
}
