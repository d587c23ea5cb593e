//! What an output may be set to and when it returns to its safe level. Pure: the time is an argument, a duration
//! since any fixed origin; nothing is driven here.

use std::fmt;
use std::time::Duration;

use crate::config::Limits;
use crate::config::amount::format_duration;

/// Between two steps of a slow change.
const STEP: Duration = Duration::from_millis(50);

/// Why an output went to its safe level by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was on for `max_on`.
    MaxOn(Duration),
    /// The command said for how long.
    TimeUp,
    /// The link over which it is commanded is lost for this long.
    LinkLost(Duration),
    /// It could not be driven as commanded.
    Failed,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::MaxOn(time) => write!(f, "it was on for {}, the longest allowed", format_duration(*time)),
            Cause::TimeUp => f.write_str("its time was up"),
            Cause::LinkLost(time) => write!(f, "the broker was away for {}", format_duration(*time)),
            Cause::Failed => f.write_str("it could not be driven as commanded"),
        }
    }
}

/// Why a level was not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Outside the limits.
    #[error("{level} % is outside its limits: 0, or {min} to {max} %")]
    Outside {
        /// The level asked for, percent.
        level: f64,
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// Too soon after the last change.
    #[error("it changed a moment ago and may change again in {}", format_duration(tenths(*.0)))]
    TooSoon(Duration),
}

/// Rounded up: whoever waits for so long is not refused again.
fn tenths(left: Duration) -> Duration {
    const TENTH: u128 = 100;
    let count = left.as_nanos().div_ceil(TENTH * 1_000_000);
    Duration::from_millis(u64::try_from(count * TENTH).unwrap_or(u64::MAX))
}

/// The rules of one output, and where it is by them.
#[derive(Debug)]
pub(super) struct Governor {
    limits: Limits,
    /// The level that it should come to.
    wanted: f64,
    /// The level that was written last; `None` before the first and after a failure.
    written: Option<f64>,
    /// When that was.
    written_at: Duration,
    /// When `wanted` changed last; not before the first command.
    changed: Option<Duration>,
    /// Since when it has been on.
    on_since: Option<Duration>,
    /// When the command said that it goes back.
    until: Option<Duration>,
    /// Whether the link is there.
    link_up: bool,
    /// Since when it is lost, as long as nothing came of it.
    link_lost: Option<Duration>,
    /// It goes where it should be at once, however fast it may change.
    at_once: bool,
    /// What is written is to be written once more.
    again: bool,
}

impl Governor {
    /// At its safe level, which is not written yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            wanted: limits.safe,
            limits,
            written: None,
            written_at: Duration::ZERO,
            changed: None,
            on_since: None,
            until: None,
            link_up: true,
            link_lost: None,
            at_once: true,
            again: false,
        }
    }

    /// Takes a command: a level in percent, and for how long if not for good.
    pub fn request(&mut self, now: Duration, level: f64, hold: Option<Duration>) -> Result<(), Refused> {
        let Limits { safe, min, max, .. } = self.limits;
        // Not a number is within no limits.
        if level != 0.0 && !(min..=max).contains(&level) {
            return Err(Refused::Outside { level, min, max });
        }
        if level != self.wanted
            && level != safe
            && let Some((changed, least)) = self.changed.zip(self.limits.min_interval)
            && let Some(left) = (changed + least).checked_sub(now).filter(|left| !left.is_zero())
        {
            return Err(Refused::TooSoon(left));
        }
        self.until = hold.filter(|_| level != safe).map(|hold| now.saturating_add(hold));
        self.want(now, level);
        self.at_once = false;
        Ok(())
    }

    fn want(&mut self, now: Duration, level: f64) {
        if level != self.wanted {
            self.wanted = level;
            self.changed = Some(now);
            // A ramp counts from here.
            self.written_at = now;
        }
    }

    /// The link is there, or is not; said as often as anybody likes.
    pub fn link(&mut self, now: Duration, up: bool) {
        if up != self.link_up {
            self.link_up = up;
            self.link_lost = (!up).then_some(now);
        }
    }

    /// Goes to the safe level now.
    pub fn make_safe(&mut self, now: Duration) {
        self.until = None;
        self.at_once = true;
        self.want(now, self.limits.safe);
    }

    /// Does what time brings; answers why if that was going to the safe level.
    pub fn pass(&mut self, now: Duration) -> Option<Cause> {
        let over = |since: Option<Duration>, most: Option<Duration>| {
            since.zip(most).filter(|(since, most)| now.saturating_sub(*since) >= *most).map(|(_, most)| most)
        };
        let lost = over(self.link_lost, self.limits.link_lost);
        if lost.is_some() {
            // Once for each loss: somebody on the spot may then set it all the same.
            self.link_lost = None;
        }
        let cause = lost
            .map(Cause::LinkLost)
            .or(over(self.on_since, self.limits.max_on).map(Cause::MaxOn))
            .or(self.until.filter(|until| now >= *until).map(|_| Cause::TimeUp))?;
        self.until = None;
        if self.wanted == self.limits.safe {
            return None;
        }
        self.make_safe(now);
        Some(cause)
    }

    /// The level that should be written now, if that is another than was.
    pub fn level(&self, now: Duration) -> Option<f64> {
        let next = match (self.written, self.limits.slew) {
            (Some(written), Some(slew)) if !self.at_once => {
                let most = slew * now.saturating_sub(self.written_at).as_secs_f64();
                written + (self.wanted - written).clamp(-most, most)
            }
            // Nobody knows where it is: a slow change begins where going at once is allowed.
            (None, Some(_)) if !self.at_once => self.limits.safe,
            _ => self.wanted,
        };
        (self.again || self.written != Some(next)).then_some(next)
    }

    /// A level was written.
    pub fn written(&mut self, now: Duration, level: f64) {
        self.written = Some(level);
        self.again = false;
        self.written_at = now;
        self.on_since = if level > 0.0 { self.on_since.or(Some(now)) } else { None };
    }

    /// A level could not be written: nobody knows where it is. It goes to the safe level as soon as it can.
    pub fn failed(&mut self, now: Duration) {
        self.written = None;
        self.make_safe(now);
    }

    /// Writes what is written once more.
    pub fn write_again(&mut self) {
        self.again = self.is_settled();
    }

    /// The level that it should come to, percent.
    pub fn wanted(&self) -> f64 {
        self.wanted
    }

    /// Whether it is where it should be.
    pub fn is_settled(&self) -> bool {
        self.written == Some(self.wanted)
    }

    /// When to look again though nothing is asked; for a failure that is for others to say.
    pub fn due(&self) -> Option<Duration> {
        let after = |since: Option<Duration>, time: Option<Duration>| {
            since.zip(time).map(|(since, time)| since.saturating_add(time))
        };
        let ramp = (self.written.is_some() && !self.is_settled()).then(|| self.written_at + STEP);
        let lost = after(self.link_lost, self.limits.link_lost);
        [after(self.on_since, self.limits.max_on), lost, self.until, ramp].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn limits() -> Limits {
        Limits {
            safe: 0.0,
            min: 0.0,
            max: 100.0,
            min_interval: None,
            slew: None,
            max_on: None,
            link_lost: None,
        }
    }

    /// Lets time pass and writes what is due, as the worker does.
    fn settle(governor: &mut Governor, now: Duration) -> (Option<Cause>, f64) {
        let cause = governor.pass(now);
        if let Some(level) = governor.level(now) {
            governor.written(now, level);
        }
        (cause, governor.written.unwrap())
    }

    fn started(limits: Limits) -> Governor {
        let mut governor = Governor::new(limits.clone());
        assert_eq!(settle(&mut governor, s(0)), (None, limits.safe), "safe at the start");
        governor
    }

    #[test]
    fn levels_outside_the_limits_are_refused_and_off_always_goes() {
        let mut governor = started(Limits { min: 30.0, max: 80.0, ..limits() });
        for level in [29.9, 80.1, -1.0, 101.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(governor.request(s(1), level, None), Err(Refused::Outside { .. })), "{level}");
        }
        for level in [30.0, 80.0, 0.0] {
            governor.request(s(1), level, None).unwrap();
            assert_eq!(settle(&mut governor, s(1)), (None, level));
        }
    }

    #[test]
    fn the_longest_time_on_is_not_prolonged_by_asking_again() {
        let mut governor = started(Limits { max_on: Some(s(60)), ..limits() });
        governor.request(s(10), 100.0, None).unwrap();
        settle(&mut governor, s(10));
        governor.request(s(50), 100.0, None).unwrap();
        governor.request(s(60), 50.0, None).unwrap();
        assert_eq!(settle(&mut governor, s(60)), (None, 50.0));
        assert_eq!(governor.due(), Some(s(70)));
        assert_eq!(settle(&mut governor, s(70)), (Some(Cause::MaxOn(s(60))), 0.0));
        assert_eq!(governor.due(), None);
        governor.request(s(71), 100.0, None).unwrap();
        assert_eq!(settle(&mut governor, s(130)), (None, 100.0), "counted from when it was written");
    }

    #[test]
    fn a_command_can_say_for_how_long() {
        let mut governor = started(limits());
        governor.request(s(0), 100.0, Some(s(5))).unwrap();
        settle(&mut governor, s(0));
        governor.request(s(3), 100.0, Some(s(5))).unwrap();
        assert_eq!(settle(&mut governor, s(7)), (None, 100.0), "a new command, a new time");
        assert_eq!(settle(&mut governor, s(8)), (Some(Cause::TimeUp), 0.0));
        governor.request(s(9), 100.0, Some(s(5))).unwrap();
        settle(&mut governor, s(9));
        governor.request(s(10), 100.0, None).unwrap();
        assert_eq!(governor.due(), None, "for good");
    }

    #[test]
    fn a_lost_link_makes_it_safe_once() {
        let mut governor = started(Limits { safe: 20.0, link_lost: Some(s(30)), ..limits() });
        governor.link(s(0), true);
        governor.request(s(1), 80.0, None).unwrap();
        settle(&mut governor, s(1));
        governor.link(s(10), false);
        governor.link(s(35), false);
        assert_eq!(settle(&mut governor, s(39)), (None, 80.0));
        assert_eq!(settle(&mut governor, s(40)), (Some(Cause::LinkLost(s(30))), 20.0));
        governor.request(s(41), 60.0, None).unwrap();
        assert_eq!(settle(&mut governor, s(500)), (None, 60.0), "somebody on the spot");
        governor.link(s(500), true);
        governor.link(s(501), false);
        governor.link(s(510), true);
        assert_eq!(governor.due(), None, "back in time");
    }

    #[test]
    fn changes_too_soon_are_refused_but_not_towards_safety() {
        let mut governor = started(Limits { min_interval: Some(s(10)), ..limits() });
        governor.request(s(0), 100.0, None).unwrap();
        settle(&mut governor, s(0));
        governor.request(s(1), 100.0, None).unwrap();
        assert_eq!(governor.request(s(4), 50.0, None), Err(Refused::TooSoon(s(6))));
        let soon = Refused::TooSoon(Duration::from_nanos(1_999_614_371)).to_string();
        assert!(soon.ends_with("may change again in 2s"), "{soon}");
        governor.request(s(5), 0.0, None).unwrap();
        assert_eq!(settle(&mut governor, s(5)), (None, 0.0));
        assert_eq!(governor.request(s(14), 50.0, None), Err(Refused::TooSoon(s(1))));
        governor.request(s(15), 50.0, None).unwrap();
    }

    #[test]
    fn a_slow_change_takes_its_time_but_for_safety() {
        let mut governor = started(Limits { slew: Some(10.0), max_on: Some(s(8)), ..limits() });
        settle(&mut governor, s(100));
        governor.request(s(100), 50.0, None).unwrap();
        assert_eq!(settle(&mut governor, s(101)), (None, 10.0), "from the command on, not from long ago");
        assert_eq!(governor.due(), Some(s(101) + STEP));
        assert_eq!(settle(&mut governor, s(103)), (None, 30.0));
        assert_eq!(settle(&mut governor, s(107)), (None, 50.0));
        assert_eq!(governor.due(), Some(s(109)));
        assert_eq!(settle(&mut governor, s(109)), (Some(Cause::MaxOn(s(8))), 0.0), "at once");
    }

    #[test]
    fn a_slow_change_begins_at_the_safe_level_when_nobody_knows_where_it_is() {
        let mut governor = started(Limits { slew: Some(10.0), safe: 20.0, ..limits() });
        governor.failed(s(100));
        governor.request(s(101), 100.0, None).unwrap();
        assert_eq!(settle(&mut governor, s(101)), (None, 20.0));
        assert_eq!(settle(&mut governor, s(103)), (None, 40.0));
        assert_eq!(settle(&mut governor, s(109)), (None, 100.0));
        // Written once more, it does not move.
        governor.write_again();
        assert_eq!(governor.level(s(120)), Some(100.0));
        governor.written(s(120), 100.0);
        assert_eq!(governor.level(s(121)), None);
    }

    #[test]
    fn after_a_failure_it_goes_to_its_safe_level_and_not_where_it_was_sent() {
        let mut governor = started(limits());
        governor.request(s(1), 100.0, None).unwrap();
        assert_eq!(governor.level(s(1)), Some(100.0));
        governor.failed(s(1));
        assert_eq!(governor.level(s(60)), Some(0.0));
        governor.written(s(60), 0.0);
        assert!(governor.is_settled());
        governor.write_again();
        assert_eq!(governor.level(s(90)), Some(0.0));
    }
}
