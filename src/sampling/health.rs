//! What is wrong with one sensor, and what the world has been told of it. Pure: the time is an
//! argument; showing the state and logging the state readings is up to [`super::cell`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::reading::Moment;
use crate::status::State;

/// A complaint stays this long after its last cause. A sensor that is at fault now and then, many
/// times a second, thus makes one line in the journal, not thousands.
const LINGER: Duration = Duration::from_secs(10);

/// Most state readings kept while the log is busy.
const MOST_OWED: usize = 16;

/// Health of one sensor.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Whether it was well when it was last heard of; nothing before that.
    well: Option<bool>,
    failed: String,
    held_up: Option<String>,
    fault: Complaint,
    lagging: Complaint,
    paused: bool,
    owed: VecDeque<(Moment, String)>,
}

/// Something that should be looked at, and until when.
#[derive(Debug, Default)]
struct Complaint {
    why: Option<String>,
    until: Duration,
}

impl Complaint {
    /// The first reason stands until all is well: the next would differ in some digit only.
    fn update(&mut self, now: Duration, why: Option<String>) {
        if why.is_some() {
            self.until = now.saturating_add(LINGER);
            self.why = self.why.take().or(why);
        } else if now >= self.until {
            self.why = None;
        }
    }
}

impl Health {
    /// The sensor answered. Answers whether that is news: it had failed, or was never heard of.
    pub fn succeeded(&mut self, at: Moment) -> bool {
        let news = self.well != Some(true);
        if news {
            self.well = Some(true);
            self.owed.push_back((at, "ok".to_owned()));
        }
        news
    }

    /// What it was last heard of is to be told again, elsewhere: the next answer or failure is news.
    pub fn tell_again(&mut self) {
        self.well = None;
    }

    /// The sensor did not answer, answered nonsense, or hangs.
    pub fn failed(&mut self, at: Moment, why: String) {
        if self.well != Some(false) {
            self.well = Some(false);
            self.owed.push_back((at, format!("failed: {why}")));
        }
        self.failed = why;
    }

    /// Another sensor on the same bus hangs, or (`None`) does so no more.
    pub fn held_up(&mut self, why: Option<String>) {
        self.held_up = why;
    }

    /// A sample came in, with this fault in it or none; and (`kept`) the log took what passed.
    pub fn sampled(&mut self, now: Duration, fault: Option<String>, kept: bool) {
        self.fault.update(now, fault);
        let lagging = "the log does not keep up, samples are dropped: is the disk full or slow?";
        self.lagging.update(now, (!kept).then(|| lagging.to_owned()));
    }

    /// It is read no more by order, or again.
    pub fn paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The state to show: the worst first.
    pub fn state(&self) -> State {
        if self.paused {
            return State::Degraded("paused by a command".to_owned());
        }
        let complaint =
            self.held_up.as_ref().or(self.lagging.why.as_ref()).or(self.fault.why.as_ref()).cloned();
        match (self.well, complaint) {
            (Some(false), _) => State::Failed(self.failed.clone()),
            (_, Some(why)) => State::Degraded(why),
            (Some(true), None) => State::Ok,
            (None, None) => State::Starting,
        }
    }

    /// The oldest state reading that is not in the log yet.
    pub fn owed(&self) -> Option<&(Moment, String)> {
        self.owed.front()
    }

    /// The oldest one is in the log.
    pub fn paid(&mut self) {
        self.owed.pop_front();
    }

    /// Forgets the oldest beyond what is kept; answers how many.
    pub fn forgive(&mut self) -> usize {
        let excess = self.owed.len().saturating_sub(MOST_OWED);
        self.owed.drain(..excess).count()
    }

    /// Forgets all that are owed; answers how many.
    pub fn forgive_all(&mut self) -> usize {
        self.owed.drain(..).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Clock, Timestamp};

    const AT: Moment = Moment { wall: Timestamp(0), since_boot: 0, clock: Clock::Synced };

    fn texts(health: &Health) -> Vec<&str> {
        health.owed.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn degraded(why: &str) -> State {
        State::Degraded(why.into())
    }

    #[test]
    fn one_state_reading_per_transition() {
        let mut health = Health::default();
        assert_eq!(health.state(), State::Starting);
        assert!(health.succeeded(AT));
        assert!(!health.succeeded(AT));
        health.failed(AT, "no answer".into());
        health.failed(AT, "bus error".into());
        assert_eq!(health.state(), State::Failed("bus error".into()), "the board shows the newest reason");
        assert!(health.succeeded(AT));
        assert_eq!(texts(&health), ["ok", "failed: no answer", "ok"]);
        assert_eq!(health.state(), State::Ok);
    }

    #[test]
    fn a_sensor_that_never_answered_says_so() {
        let mut health = Health::default();
        health.failed(AT, "no answer".into());
        assert_eq!(texts(&health), ["failed: no answer"]);
    }

    #[test]
    fn a_complaint_lingers_and_keeps_its_first_reason() {
        let at = Duration::from_secs;
        let mut health = Health::default();
        health.succeeded(AT);
        // (s, fault) → shown
        let table = [
            (0, None, State::Ok),
            (1, Some("99 °C"), degraded("99 °C")),
            (2, None, degraded("99 °C")),
            (3, Some("98 °C"), degraded("99 °C")),
            (12, None, degraded("99 °C")),
            (13, None, State::Ok),
            (14, Some("97 °C"), degraded("97 °C")),
        ];
        for (seconds, fault, expected) in table {
            health.sampled(at(seconds), fault.map(str::to_owned), true);
            assert_eq!(health.state(), expected, "at {seconds} s");
        }
        assert_eq!(texts(&health), ["ok"]);
    }

    #[test]
    fn the_worst_is_shown_and_the_rest_comes_back_after_it() {
        let mut health = Health::default();
        health.succeeded(AT);
        health.sampled(Duration::ZERO, Some("fault".into()), true);
        health.held_up(Some("held up".into()));
        assert_eq!(health.state(), degraded("held up"));
        health.failed(AT, "dead".into());
        assert_eq!(health.state(), State::Failed("dead".into()));
        health.succeeded(AT);
        health.held_up(None);
        assert_eq!(health.state(), degraded("fault"));
        health.sampled(Duration::ZERO, None, false);
        assert!(matches!(health.state(), State::Degraded(why) if why.contains("does not keep up")));
    }

    #[test]
    fn the_oldest_debts_are_forgiven() {
        let mut health = Health::default();
        for _ in 0..10 {
            health.succeeded(AT);
            health.failed(AT, "x".into());
        }
        assert_eq!(health.forgive(), 4);
        assert_eq!(health.forgive(), 0);
        assert_eq!(health.forgive_all(), MOST_OWED);
        assert_eq!(health.owed(), None);
    }
}
