//! How long something took, counted by classes: a few atomics, added to without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes, µs, inclusive; one class more takes what is longer. From a broker on the same
/// machine to a link by satellite that is down half of the time.
pub const BOUNDS: [u64; 14] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    30_000_000,
    120_000_000,
];

/// Counts by class. Cheap to clone; every clone is the same histogram.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Arc<Classes>);

#[derive(Debug, Default)]
struct Classes {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

/// What a histogram holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many fell into each class of [`BOUNDS`], and into the one above; not cumulated.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Of all of them, µs.
    pub sum: u64,
}

impl Histogram {
    /// Adds one.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS.partition_point(|bound| *bound < micros);
        self.0.counts[class].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// As it is now. One that is being added may be in the classes and not yet in the sum.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { sum: self.0.sum.load(Ordering::Relaxed), ..Counts::default() };
        for (copy, count) in counts.counts.iter_mut().zip(&self.0.counts) {
            *copy = count.load(Ordering::Relaxed);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_falls_into_the_class_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 120_000_000, 120_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let Counts { counts, sum } = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert_eq!(sum, 240_002_002);
    }
}
