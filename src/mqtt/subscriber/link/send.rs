//! What we say of ourselves on a connection: acknowledgements, SUBSCRIBE, answers, farewell; and how long we bear to
//! hear nothing.

use std::time::{Duration, Instant};

use tracing::warn;

use super::current::{Current, Leaving, silence};
use super::{End, Link};
use crate::mirror::Aspect;
use crate::mqtt::backoff::chance;
use crate::mqtt::connection::{NotTaken, Outgoing, Requests};
use crate::mqtt::failure::Failure;
use crate::mqtt::subscriber::filters::Request;
use crate::reading::Qos;

/// How long a released packet id waits for a message to share its commit with. Not longer: should we be
/// killed meanwhile, and the broker have given the id to another message with the same topic and payload,
/// that one would be taken for a repeat.
const COMPANY: Duration = Duration::from_millis(50);

/// A SUBSCRIBE is answered within this time, or the connection is no good.
const ANSWER: Duration = Duration::from_secs(30);

/// A filter that nobody subscribes to: to leave it is a question that changes nothing.
const NOTHING: &str = "$sensor-bridge/nothing";

impl Link<'_> {
    /// What is due by itself, apart from events and answers.
    pub(super) fn step<R: Requests>(
        &mut self,
        current: &mut Current<R>,
        leave_by: Option<Instant>,
    ) -> Option<End> {
        let now = Instant::now();
        while let Some((pkid, qos)) = current.owed.front().copied() {
            if current.requests.try_ack(pkid, qos).is_err() {
                break;
            }
            current.owed.pop_front();
            self.intake.acknowledged(pkid, qos);
        }
        let wait = self.intake.can_wait() && leave_by.is_none();
        current.waiting = if wait && !self.intake.is_empty() { current.waiting.or(Some(now)) } else { None };
        if current.waiting.is_none_or(|since| now - since >= COMPANY) {
            self.give();
        }
        if let Some(by) = leave_by {
            return self.leave(current, now, by);
        }
        self.answer(current, now);
        self.ask(current, now);
        let full = self.intake.is_full();
        if current.paused.is_some() && !full {
            // What the broker said meanwhile is in the socket.
            current.heard = now;
        }
        current.paused = if full { current.paused.or(Some(now)) } else { None };
        if current.paused.is_some_and(|since| now - since >= current.keep_alive / 2) {
            return Some(End::Stalled);
        }
        if current.paused.is_none() && now - current.heard >= silence(current.keep_alive) {
            return Some(End::Lost(Failure::Silent(silence(current.keep_alive).as_secs())));
        }
        let asked = [current.asked.map(|(_, since)| since), current.answering];
        let unanswered = asked.into_iter().flatten().any(|since| now - since >= ANSWER);
        unanswered.then_some(End::Lost(Failure::TimedOut))
    }

    /// The next step to the end in order, once everything is stored, answered and acknowledged.
    fn leave<R: Requests>(&mut self, current: &mut Current<R>, now: Instant, by: Instant) -> Option<End> {
        self.answer(current, now);
        let stored = self.storing.is_none() && self.intake.is_empty();
        let done = stored && current.owed.is_empty() && self.replies.is_empty();
        if done && current.leaving == Leaving::NotYet && current.requests.try_unsubscribe(NOTHING).is_ok() {
            current.leaving = Leaving::Asked;
        }
        if current.leaving == Leaving::Answered && current.requests.try_disconnect().is_ok() {
            current.leaving = Leaving::Told;
        }
        current.paused = None;
        (now >= by).then_some(End::Stopped)
    }

    /// When `step` has something to do though nothing happens.
    pub(super) fn due<R>(&self, current: &Current<R>, leave_by: Option<Instant>) -> Instant {
        let patience = match current.paused {
            Some(since) => since + current.keep_alive / 2,
            None => current.heard + silence(current.keep_alive),
        };
        // While the sink is busy, its answer is what is waited for.
        let waiting = current.waiting.filter(|_| self.storing.is_none()).map(|since| since + COMPANY);
        let asked = current.asked.map(|(_, since)| since + ANSWER);
        let answering = current.answering.map(|since| since + ANSWER);
        let again = self.filters.due().filter(|_| !self.filters.is_waiting());
        let expires = current.expires.filter(|_| leave_by.is_none());
        [waiting, asked, answering, again, leave_by, expires]
            .into_iter()
            .flatten()
            .fold(patience, Instant::min)
    }

    /// Sends the next SUBSCRIBE or UNSUBSCRIBE.
    fn ask<R: Requests>(&mut self, current: &mut Current<R>, now: Instant) {
        // Not before the old subscriptions are forgotten for good: if we were killed in between, the next run
        // would find a session, believe the old list, and never ask for what is missing.
        if self.intake.forgets() || self.storing.is_some_and(|storing| storing.forgets) {
            return;
        }
        // rumqttc numbers both, and would give both one packet id.
        if self.replies.is_waiting() {
            return;
        }
        while let Some(request) = self.filters.next(now) {
            let sent = match request {
                Request::Subscribe(filter, qos) => current.requests.try_subscribe(filter, *qos),
                Request::Unsubscribe(filter) => current.requests.try_unsubscribe(filter),
            };
            match sent {
                Ok(()) => {
                    current.asked = Some((None, now));
                    return;
                }
                Err(NotTaken::Full) => return self.filters.not_now(),
                Err(NotTaken::Invalid) => {
                    self.filters.not_sent(now, chance());
                    self.health.set(Aspect::Filters, self.filters.state());
                }
            }
        }
    }

    /// Sends the next answer, one at a time and not beside a SUBSCRIBE.
    fn answer<R: Requests>(&mut self, current: &mut Current<R>, now: Instant) {
        while current.asked.is_none()
            && let Some(reply) = self.replies.next()
        {
            let correlation = reply.correlation.clone();
            let payload = reply.payload.clone();
            let message =
                Outgoing { topic: reply.topic.clone(), qos: Qos::AtLeastOnce, retain: false, payload };
            // The properties: two bytes more of their length, an identifier, and two of the data's length.
            let size = message.packet_size() + correlation.as_ref().map_or(0, |data| data.len() + 5);
            // Ours as well: on 3.1.1 rumqttc ends the connection over it, and the next, and so on.
            let most = current.max_packet_size.unwrap_or(u32::MAX).min(self.mqtt.max_packet_size);
            let fits = size <= most as usize;
            let taken =
                if fits { current.requests.try_answer(message, correlation) } else { Err(NotTaken::Invalid) };
            match taken {
                Ok(()) => {
                    self.replies.handed_over();
                    current.answering = Some(now);
                    return;
                }
                Err(NotTaken::Full) => return,
                Err(NotTaken::Invalid) => {
                    warn!(
                        "{}: an answer to {} cannot be sent: too large, or no topic",
                        self.client_id, reply.topic
                    );
                    if let Some(number) = self.replies.give_up() {
                        self.intake.answered(number);
                    }
                }
            }
        }
    }
}
