//! What repeated deaths of connections mean: a message that kills them, a session that cannot be resumed, a
//! rival with our client id. Pure; the caller acts on the verdict.

use std::time::Duration;

use super::failure::Failure;

/// Deaths in a row before something is done about them.
const ENOUGH: u32 = 3;

/// A connection that ends this soon after it was accepted has hardly been used.
const SOON: Duration = Duration::from_secs(1);

/// How one accepted connection lived.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// Why it ended.
    pub why: Failure,
    /// How long after the CONNACK.
    pub lived: Duration,
    /// A reading was acknowledged on it.
    pub acknowledged: bool,
    /// Hand-shakes were to be resumed and none of them was finished.
    pub resume_stuck: bool,
    /// The row in flight that was sent first.
    pub oldest: Option<i64>,
    /// The broker had acknowledged our status before that row was sent, and nothing else was in flight: so
    /// the connection worked until then.
    pub proven: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Give this row up: each time it was sent, the connection died.
    pub poison: Option<i64>,
    /// Say that another client may be using our client id.
    pub rival: bool,
    /// The connection was of use, so the next one need not wait long.
    pub useful: bool,
}

/// The record over connections.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    suspect: Option<(i64, u32)>,
    stuck: u32,
    soon: u32,
}

impl Deaths {
    /// The row that was in flight when the last connection died without a single acknowledgement. As long as
    /// there is one, messages go out one by one, after the broker has acknowledged our status: then a death
    /// tells which message it was, and random cuts of the network do not convict an innocent one.
    pub(super) fn suspect(&self) -> Option<i64> {
        self.suspect.map(|(row, _)| row)
    }

    /// Whether to ask the broker to forget the session: resuming it has failed too often. That costs repeats,
    /// never a message.
    pub(super) fn wants_clean(&self) -> bool {
        self.stuck >= ENOUGH
    }

    /// The broker has accepted a connection with a clean session.
    pub(super) fn cleaned(&mut self) {
        self.stuck = 0;
    }

    /// A reading was acknowledged: whatever was suspected of stopping everything does not.
    pub(super) fn acknowledged(&mut self) {
        self.suspect = None;
        self.stuck = 0;
    }

    /// A connection could not be made: so the broker or the network comes and goes, and nobody needs to
    /// have pushed us out.
    pub(super) fn unreachable(&mut self) {
        self.soon = 0;
    }

    /// A connection that had been accepted has ended.
    pub(super) fn died(&mut self, life: &Life) -> Verdict {
        let mut verdict = Verdict::default();
        if life.acknowledged {
            self.acknowledged();
        }
        self.stuck = if life.resume_stuck { self.stuck + 1 } else { 0 };
        self.soon = if life.lived <= SOON { self.soon + 1 } else { 0 };
        verdict.rival = life.why == Failure::TakenOver || self.soon >= ENOUGH && is_closed(&life.why);
        verdict.useful = !verdict.rival && (life.acknowledged || life.lived > 10 * SOON);

        let innocent = matches!(life.why, Failure::TakenOver | Failure::Unavailable(_));
        let suspect = life.oldest.filter(|_| !innocent && !life.acknowledged && !life.resume_stuck);
        if let Some(row) = suspect {
            let before = self.suspect.filter(|(known, _)| *known == row).map_or(0, |(_, count)| count);
            let count = before + u32::from(life.proven);
            if count >= ENOUGH {
                self.suspect = None;
                verdict.poison = Some(row);
            } else {
                self.suspect = Some((row, count));
            }
        }
        verdict
    }
}

/// What it looks like on 3.1.1 when another client takes over.
fn is_closed(why: &Failure) -> bool {
    matches!(why, Failure::Lost(_) | Failure::Ended(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(oldest: Option<i64>, proven: bool) -> Life {
        Life {
            why: Failure::Lost("closed".to_owned()),
            lived: Duration::from_secs(2),
            acknowledged: false,
            resume_stuck: false,
            oldest,
            proven,
        }
    }

    #[test]
    fn three_proven_deaths_convict() {
        let mut deaths = Deaths::default();
        assert_eq!(deaths.died(&life(Some(7), false)).poison, None);
        assert_eq!(deaths.suspect(), Some(7));
        assert_eq!(deaths.died(&life(Some(7), true)).poison, None);
        assert_eq!(deaths.died(&life(None, false)).poison, None, "died before it was sent: no evidence");
        assert_eq!(deaths.died(&life(Some(7), true)).poison, None);
        assert_eq!(deaths.died(&life(Some(7), true)).poison, Some(7));
        assert_eq!(deaths.suspect(), None);
    }

    #[test]
    fn a_broker_that_goes_up_and_down_convicts_nobody() {
        let mut deaths = Deaths::default();
        for _ in 0..10 {
            assert_eq!(deaths.died(&life(Some(7), false)).poison, None, "others were in flight");
            let shut = Life { why: Failure::Unavailable("shutting down"), ..life(Some(7), true) };
            assert_eq!(deaths.died(&shut).poison, None);
        }
        deaths.died(&life(Some(7), true));
        deaths.died(&life(Some(7), true));
        deaths.died(&Life { acknowledged: true, ..life(Some(8), true) });
        assert_eq!(deaths.died(&life(Some(7), true)).poison, None, "an acknowledgement begins anew");
    }

    #[test]
    fn a_resume_that_never_works_asks_for_a_clean_session() {
        let stuck = || Life { resume_stuck: true, ..life(Some(7), false) };
        let mut deaths = Deaths::default();
        deaths.died(&stuck());
        deaths.died(&stuck());
        assert!(!deaths.wants_clean());
        deaths.died(&stuck());
        assert!(deaths.wants_clean());
        assert_eq!(deaths.suspect(), None);
        deaths.cleaned();
        assert!(!deaths.wants_clean());
    }

    #[test]
    fn a_rival_is_named() {
        let mut deaths = Deaths::default();
        let kicked =
            |why| Life { why, lived: Duration::from_millis(300), acknowledged: true, ..life(None, false) };
        let verdict = deaths.died(&kicked(Failure::TakenOver));
        assert!(verdict.rival && !verdict.useful);
        let mut deaths = Deaths::default();
        let closed = || kicked(Failure::Lost("closed".to_owned()));
        assert!(deaths.died(&closed()).useful && deaths.died(&closed()).useful);
        deaths.unreachable();
        assert!(!deaths.died(&closed()).rival && !deaths.died(&closed()).rival);
        assert!(deaths.died(&closed()).rival);
        assert!(!deaths.died(&life(None, false)).rival);
    }
}
