//! How fast a backlog becomes smaller. Pure: the time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Over how long it is looked at: long enough for a steady number, short enough to follow.
const WINDOW: Duration = Duration::from_secs(10);

/// A shorter look tells nothing.
const SHORTEST: Duration = Duration::from_secs(2);

/// How many readings waited, lately.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<(Instant, i64)>);

impl Backlog {
    /// So many wait now.
    pub fn saw(&mut self, waiting: i64, now: Instant) {
        // After a while in which nobody looked, what was before tells nothing.
        while self.0.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, waiting));
    }

    /// By how many per second it becomes smaller (negative: larger); `None` when it is not known yet.
    pub fn drain(&self) -> Option<f64> {
        let ((begin, before), (end, after)) = (self.0.front()?, self.0.back()?);
        let seconds = end.duration_since(*begin);
        (seconds >= SHORTEST)
            .then(|| ((before - after) as f64 / seconds.as_secs_f64() * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_over_the_last_seconds() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        backlog.saw(1_000_000, at(0));
        assert_eq!(backlog.drain(), None);
        for second in 100..130 {
            backlog.saw(9_000 - 50 * second as i64, at(second));
        }
        assert_eq!(backlog.drain(), Some(50.0));
        for second in 130..141 {
            backlog.saw(2_500 + 20 * (second as i64 - 130), at(second));
        }
        assert_eq!(backlog.drain(), Some(-20.0));
    }
}
