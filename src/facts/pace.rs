//! How fast counters move: averages over the last while, from one look a second. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Instant;

/// What counts, and over how many seconds it is averaged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    /// Rows that wait for the broker.
    Backlog,
    /// Messages that a mirror has received.
    Mirror(String),
}

impl Counter {
    fn seconds(&self) -> f64 {
        match self {
            // Short: it says when a drain will be over.
            Counter::Backlog => 5.0,
            Counter::Mirror(_) => 30.0,
        }
    }
}

/// All counters that are watched.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rates: BTreeMap<Counter, Rate>,
}

#[derive(Debug)]
struct Rate {
    at: Instant,
    count: i64,
    per_second: Option<f64>,
}

impl Pace {
    /// The counter stands at `count` now.
    pub fn note(&mut self, counter: Counter, count: i64, now: Instant) {
        let seconds = counter.seconds();
        let rate = self.rates.entry(counter).or_insert(Rate { at: now, count, per_second: None });
        let passed = now.saturating_duration_since(rate.at).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        let fresh = (count - rate.count) as f64 / passed;
        let weight = 1.0 - (-passed / seconds).exp();
        rate.per_second = Some(rate.per_second.map_or(fresh, |old| old + weight * (fresh - old)));
        (rate.at, rate.count) = (now, count);
    }

    /// Per second; 0 as long as it is not known.
    pub fn of(&self, counter: &Counter) -> f64 {
        self.rates.get(counter).and_then(|rate| rate.per_second).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_steady_rate_is_found_and_an_end_noticed() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let counter = || Counter::Mirror("a".into());
        assert_eq!(pace.of(&counter()), 0.0);
        for second in 0..60_i64 {
            pace.note(counter(), 7 * second, start + Duration::from_secs(second as u64));
        }
        assert!((pace.of(&counter()) - 7.0).abs() < 0.01);
        for second in 60..240_i64 {
            pace.note(counter(), 7 * 59, start + Duration::from_secs(second as u64));
        }
        assert!(pace.of(&counter()) < 0.05);
    }

    #[test]
    fn a_backlog_that_shrinks_has_a_negative_rate() {
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.note(Counter::Backlog, 1000, start);
        pace.note(Counter::Backlog, 1000, start);
        pace.note(Counter::Backlog, 900, start + Duration::from_secs(2));
        assert_eq!(pace.of(&Counter::Backlog), -50.0);
    }
}
