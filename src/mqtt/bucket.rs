//! How often something may happen: the rate of the late lane, and that of a platform. Pure; time is an argument.

use std::time::{Duration, Instant};

/// A token bucket: `rate` a second, with a burst of a twentieth of a second, but of one at least.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// `rate` a second; what is no rate counts as one in a thousand seconds.
    pub(super) fn new(rate: f64, now: Instant) -> Self {
        Self { rate: rate.max(0.001), tokens: 1.0, at: now }
    }

    pub(super) fn has_token(&mut self, now: Instant) -> bool {
        let burst = (self.rate / 20.0).max(1.0);
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(burst);
        self.at = now;
        self.is_enough()
    }

    fn is_enough(&self) -> bool {
        // Many small steps do not add up to the whole that they are.
        self.tokens >= 1.0 - 1e-6
    }

    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// When the next token comes, if there was none when last asked. Not before a millisecond: the timers are not finer.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let missing = (1.0 - self.tokens).max(0.0) / self.rate;
        let next = (self.at + Duration::from_secs_f64(missing)).max(now + Duration::from_millis(1));
        (!self.is_enough()).then_some(next)
    }
}
