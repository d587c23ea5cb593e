//! Which topic filters the broker's session has, which it should have, and how to come from one to the other.
//! Pure: answers in, requests out.
//!
//! One request is under way at a time. That costs a round trip per filter once, and makes it certain which
//! filter an answer is about.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::backoff::Backoff;
use crate::reading::Qos;
use crate::status::State;

/// First and longest wait before a refused filter is asked for again.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What to ask the broker for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Subscribe(String, Qos),
    Unsubscribe(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Filters {
    wanted: Vec<(String, Qos)>,
    /// What the session has.
    subscribed: Vec<(String, Qos)>,
    queue: VecDeque<Request>,
    /// What is wanted has changed, and the queue is of before.
    stale: bool,
    under_way: Option<Request>,
    /// Filters refused, or granted with less than asked for, and why.
    trouble: BTreeMap<String, String>,
    back_off: Backoff,
    /// When those that were refused are asked for again.
    again: Option<Instant>,
}

impl Filters {
    pub(super) fn new(wanted: Vec<(String, Qos)>, subscribed: Vec<(String, Qos)>) -> Self {
        Self {
            wanted,
            subscribed,
            queue: VecDeque::new(),
            stale: false,
            under_way: None,
            trouble: BTreeMap::new(),
            back_off: Backoff::new(BACK_OFF.0, BACK_OFF.1),
            again: None,
        }
    }

    /// A connection is made. Only what differs is asked for: a new SUBSCRIBE makes the broker send all its
    /// retained messages again.
    pub(super) fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.subscribed.clear();
        }
        self.under_way = None;
        self.again = None;
        // What is subscribed and in trouble was granted with less than asked for, and will not be asked for again.
        self.trouble.retain(|filter, _| self.subscribed.iter().any(|(had, _)| had == filter));
        self.plan();
    }

    /// Other filters are wanted from now on. The request under way is waited for before what is missing is known.
    pub(super) fn want(&mut self, wanted: Vec<(String, Qos)>) {
        self.wanted = wanted;
        self.again = None;
        self.trouble.retain(|filter, _| self.wanted.iter().any(|(wanted, _)| wanted == filter));
        self.stale = true;
    }

    fn plan(&mut self) {
        self.stale = false;
        let gone =
            self.subscribed.iter().filter(|(had, _)| !self.wanted.iter().any(|(filter, _)| filter == had));
        let gone = gone.map(|(filter, _)| Request::Unsubscribe(filter.clone()));
        let new = self.wanted.iter().filter(|wanted| !self.subscribed.contains(wanted));
        // The new ones first: what the old and the new cover both is then never without a subscription.
        self.queue = new.map(|(filter, qos)| Request::Subscribe(filter.clone(), *qos)).chain(gone).collect();
    }

    /// What the session has.
    pub(super) fn subscribed(&self) -> &[(String, Qos)] {
        &self.subscribed
    }

    /// The next request, if none is under way.
    pub(super) fn next(&mut self, now: Instant) -> Option<&Request> {
        if self.under_way.is_some() {
            return None;
        }
        if self.stale {
            self.plan();
        }
        if self.again.is_some_and(|at| now >= at) {
            self.again = None;
            let refused = self.wanted.iter().filter(|wanted| !self.subscribed.contains(wanted));
            self.queue.extend(refused.map(|(filter, qos)| Request::Subscribe(filter.clone(), *qos)));
        }
        self.under_way = self.queue.pop_front();
        self.under_way.as_ref()
    }

    /// Everything wanted is subscribed.
    pub(super) fn is_complete(&self) -> bool {
        self.wanted.iter().all(|wanted| self.subscribed.contains(wanted))
    }

    /// Nothing is wanted, and nothing subscribed.
    pub(super) fn is_done_with(&self) -> bool {
        self.wanted.is_empty() && self.subscribed.is_empty() && self.under_way.is_none()
    }

    /// A request is under way.
    pub(super) fn is_waiting(&self) -> bool {
        self.under_way.is_some()
    }

    /// When [`Filters::next`] has something again though nothing was answered.
    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }

    /// The request under way has to wait.
    pub(super) fn not_now(&mut self) {
        self.queue.extend(self.under_way.take());
    }

    /// The request under way could not even be sent.
    pub(super) fn not_sent(&mut self, now: Instant, chance: f64) {
        self.answered(Err("not a topic filter"), now, chance);
    }

    /// SUBACK: the QoS granted, or why not.
    pub(super) fn answered(&mut self, granted: Result<Qos, &str>, now: Instant, chance: f64) {
        let Some(Request::Subscribe(filter, asked)) = self.under_way.take() else { return };
        match granted {
            Ok(qos) => {
                self.subscribed.retain(|(had, _)| *had != filter);
                // As asked for, not as granted: otherwise it would look changed at every start.
                self.subscribed.push((filter.clone(), asked));
                if qos < asked {
                    let why = format!("only QoS {} granted", qos as u8);
                    self.trouble.insert(filter, why);
                } else {
                    self.trouble.remove(&filter);
                }
                if self.subscribed.len() >= self.wanted.len() {
                    self.back_off.reset();
                }
            }
            // Not wanted any more, it is no trouble either.
            Err(_) if !self.wanted.iter().any(|(wanted, _)| *wanted == filter) => {}
            Err(why) => {
                self.trouble.insert(filter, why.to_owned());
                if self.again.is_none() {
                    self.again = Some(now + self.back_off.delay(chance));
                }
            }
        }
    }

    /// UNSUBACK.
    pub(super) fn unsubscribed(&mut self) {
        if let Some(Request::Unsubscribe(filter)) = self.under_way.take() {
            self.subscribed.retain(|(had, _)| *had != filter);
        }
    }

    /// As it should be shown. Not well before everything is subscribed: what is published until then does not come.
    pub(super) fn state(&self) -> State {
        if self.trouble.is_empty() {
            return if self.is_complete() { State::Ok } else { State::Starting };
        }
        let list: Vec<_> = self.trouble.iter().map(|(filter, why)| format!("{filter} ({why})")).collect();
        let text = format!(
            "the broker does not give every topic filter: {}; check its access rules",
            list.join(", ")
        );
        let has = |(filter, _): &(String, Qos)| self.subscribed.iter().any(|(had, _)| had == filter);
        if self.wanted.iter().any(has) { State::Degraded(text) } else { State::Failed(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(filters: &[(&str, u8)]) -> Vec<(String, Qos)> {
        let qos = |level: u8| Qos::try_from(i64::from(level)).unwrap();
        filters.iter().map(|(filter, level)| ((*filter).to_owned(), qos(*level))).collect()
    }

    fn asked(wanted: &[(&str, u8)], had: &[(&str, u8)], session: bool) -> Vec<String> {
        let mut filters = Filters::new(list(wanted), list(had));
        filters.connected(session);
        let mut asked = Vec::new();
        while let Some(request) = filters.next(Instant::now()).cloned() {
            assert_eq!(filters.next(Instant::now()), None, "one at a time");
            asked.push(match request {
                Request::Subscribe(filter, qos) => {
                    filters.answered(Ok(qos), Instant::now(), 1.0);
                    format!("+{filter}:{}", qos as u8)
                }
                Request::Unsubscribe(filter) => {
                    filters.unsubscribed();
                    format!("-{filter}")
                }
            });
        }
        let mut now = filters.subscribed().to_vec();
        now.sort();
        let mut expected = list(wanted);
        expected.sort();
        assert_eq!(now, expected);
        assert_eq!(filters.state(), State::Ok);
        asked
    }

    #[test]
    fn only_what_differs_is_asked_for() {
        let ab = [("a/#", 1), ("b/+", 1)];
        for (wanted, had, session, expected) in [
            (&ab[..], &[][..], false, &["+a/#:1", "+b/+:1"][..]),
            (&ab, &ab, true, &[]),
            (&ab, &ab, false, &["+a/#:1", "+b/+:1"]),
            (&ab, &ab[..1], true, &["+b/+:1"]),
            (&ab[..1], &ab, true, &["-b/+"]),
            (&[("a/#", 2)], &ab[..1], true, &["+a/#:2"]),
            (&[("a/b", 1)], &ab[..1], true, &["+a/b:1", "-a/#"]),
        ] {
            assert_eq!(asked(wanted, had, session), expected, "{wanted:?} from {had:?}");
        }
    }

    #[test]
    fn what_is_wanted_can_change_at_any_time() {
        let now = Instant::now();
        let wants = |filters: &mut Filters| filters.next(now).cloned();
        let subscribe = |filter: &str| Some(Request::Subscribe(filter.to_owned(), Qos::AtLeastOnce));
        let leave = |filter: &str| Some(Request::Unsubscribe(filter.to_owned()));
        let mut filters = Filters::new(list(&[("a", 1), ("b", 1), ("c", 1)]), Vec::new());
        filters.connected(false);
        assert_eq!(wants(&mut filters), subscribe("a"));
        // With `a` on its way: `a` and `b` are not wanted any more, and `b` was never asked for.
        filters.want(list(&[("c", 1), ("d", 1)]));
        assert!(filters.next(now).is_none(), "one at a time");
        filters.answered(Ok(Qos::AtLeastOnce), now, 1.0);
        assert_eq!(wants(&mut filters), subscribe("c"));
        filters.answered(Ok(Qos::AtLeastOnce), now, 1.0);
        // With `d` on its way: refused, and then not wanted, it is neither asked for again nor complained of.
        assert_eq!(wants(&mut filters), subscribe("d"));
        filters.answered(Err("not authorised"), now, 1.0);
        assert!(!filters.is_complete() && filters.state() != State::Ok);
        filters.want(list(&[("c", 1)]));
        assert_eq!((filters.state(), filters.due()), (State::Ok, None));
        assert_eq!(wants(&mut filters), leave("a"));
        // Wanted again while it is being left.
        filters.want(list(&[("a", 1), ("c", 1)]));
        filters.unsubscribed();
        assert_eq!(wants(&mut filters), subscribe("a"));
        filters.answered(Ok(Qos::AtLeastOnce), now, 1.0);
        assert!(filters.next(now).is_none() && filters.is_complete());
        // The end of it all.
        filters.want(Vec::new());
        for filter in ["c", "a"] {
            assert!(!filters.is_done_with());
            assert_eq!(wants(&mut filters), leave(filter));
            filters.unsubscribed();
        }
        assert!(filters.is_done_with());
    }

    #[test]
    fn a_refused_filter_is_named_and_tried_again_and_the_others_go_on() {
        let mut now = Instant::now();
        let mut filters = Filters::new(list(&[("a", 1), ("secret", 1)]), Vec::new());
        filters.connected(false);
        filters.next(now).unwrap();
        filters.answered(Err("not authorised"), now, 1.0);
        assert!(matches!(filters.state(), State::Failed(why) if why.contains("a (not authorised)")));
        filters.next(now).unwrap();
        filters.answered(Ok(Qos::AtLeastOnce), now, 1.0);
        assert_eq!(filters.subscribed(), list(&[("secret", 1)]));
        assert!(matches!(filters.state(), State::Degraded(_)));
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(filters.next(now), None);
            assert_eq!(filters.due(), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
            assert_eq!(filters.next(now), Some(&Request::Subscribe("a".into(), Qos::AtLeastOnce)));
            filters.answered(Err("not authorised"), now, 1.0);
        }
        now += Duration::from_secs(60);
        filters.next(now).unwrap();
        filters.answered(Ok(Qos::AtLeastOnce), now, 1.0);
        assert_eq!((filters.state(), filters.due()), (State::Ok, None));
    }

    #[test]
    fn it_is_well_when_everything_is_subscribed_and_not_before() {
        let now = Instant::now();
        let mut filters = Filters::new(list(&[("a", 1), ("b", 1)]), Vec::new());
        filters.connected(false);
        for answered in 0..2 {
            assert_eq!(filters.state(), State::Starting, "{answered} of 2");
            filters.next(now).unwrap();
            filters.answered(Ok(Qos::AtLeastOnce), now, 1.0);
        }
        assert_eq!(filters.state(), State::Ok);
        // A session that has them needs no answer.
        filters.connected(true);
        assert_eq!(filters.state(), State::Ok);
        filters.connected(false);
        assert_eq!(filters.state(), State::Starting);
    }

    #[test]
    fn less_than_asked_for_is_shown_and_not_asked_for_again() {
        let mut filters = Filters::new(list(&[("a", 2)]), Vec::new());
        filters.connected(false);
        filters.next(Instant::now()).unwrap();
        filters.answered(Ok(Qos::AtMostOnce), Instant::now(), 1.0);
        assert!(matches!(filters.state(), State::Degraded(why) if why.contains("a (only QoS 0 granted)")));
        assert_eq!(filters.next(Instant::now()), None);
        assert_eq!(filters.due(), None);
        // A session that goes on has it as it was granted.
        filters.connected(true);
        assert!(matches!(filters.state(), State::Degraded(why) if why.contains("a (only QoS 0 granted)")));
        filters.connected(false);
        assert_eq!(filters.state(), State::Starting);
    }
}
