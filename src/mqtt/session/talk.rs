//! A platform's dialogue on this connection: subscribing, hearing, saying. Without a dialogue nothing here does anything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tracing::debug;

use super::{Session, Stop};
use crate::enrich::clock;
use crate::mqtt::connection::{Message, Outgoing, Requests};
use crate::mqtt::failure::Failure;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::talk::{Stage, Talk};
use crate::platform::{Heard, Outcome, Say};
use crate::reading::Qos;

/// A dialogue is not asked more often than this, whatever it says.
const PAUSE: Duration = Duration::from_millis(20);

impl<O: Outbox, R: Requests> Session<'_, O, R> {
    /// Subscribes, once. Answers whether readings may go out: when the platform is ready for them.
    pub(super) fn begin_talk(&mut self, now: Instant) -> Result<bool, Stop> {
        let Some(talk) = &mut self.shared.talk else { return Ok(true) };
        match talk.stage {
            Stage::Talking => return Ok(true),
            Stage::Subscribing(_) => return Ok(false),
            Stage::New => {}
        }
        let mut subscribing = Vec::new();
        for filter in talk.dialogue().filters() {
            // rumqttc numbers a SUBSCRIBE in one row with the publishes.
            subscribing.push(self.window.number(None, Qos::AtLeastOnce, now));
            let taken = self.requests.try_subscribe(&filter, Qos::AtLeastOnce);
            taken.map_err(|error| Failure::Protocol(format!("{filter}: {error}")))?;
        }
        let ready = subscribing.is_empty();
        talk.stage = Stage::Subscribing(subscribing);
        if ready {
            self.talk();
        }
        Ok(ready)
    }

    fn talk(&mut self) {
        self.recall();
        let Some(talk) = &mut self.shared.talk else { return };
        let now = clock::now();
        talk.stage = Stage::Talking;
        talk.link(true);
        let acts = talk.dialogue().connected(now);
        talk.act(acts, None, now);
    }

    /// Shows the dialogue what went out before it was made, if it has to know.
    fn recall(&mut self) {
        let Some(talk) = &mut self.shared.talk else { return };
        let mut rows = talk.dialogue().forgotten();
        let lanes = &self.shared.lanes;
        let waits = |row: &i64| lanes.ranges().iter().any(|range| (range.next..=range.end).contains(row));
        rows.retain(|row| *row <= lanes.cursor() && !waits(row));
        // Oldest first, and a sample once.
        rows.sort_unstable();
        let mut seen = BTreeSet::new();
        for row in rows {
            let (first, outgoing) = match self.went_out(row) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // Nothing depends on it, and who needs the log more will say so.
                Err(error) => return debug!("publisher: what went out before is not known: {error}"),
            };
            if let Some(talk) =
                self.shared.talk.as_mut().filter(|_| seen.insert((first, outgoing.topic.clone())))
            {
                talk.dialogue().recall(&outgoing.topic, &outgoing.payload);
            }
        }
    }

    /// A SUBACK.
    pub(super) fn subscribed(&mut self, pkid: u16, granted: &[Result<Qos, &'static str>], now: Instant) {
        self.window.done(pkid);
        let Some(talk) = &mut self.shared.talk else { return };
        let Stage::Subscribing(waiting) = &mut talk.stage else { return };
        waiting.retain(|one| *one != pkid);
        let ready = waiting.is_empty();
        if let Some(Err(reason)) = granted.iter().find(|granted| granted.is_err()) {
            self.shared.complain("platform", &format!("a subscription was refused: {reason}"), now);
        }
        if ready {
            self.talk();
        }
    }

    /// A message came on this connection.
    pub(super) fn message(&mut self, message: &Message, now: Instant) -> Result<(), Failure> {
        let Some(talk) = &mut self.shared.talk else { return Ok(()) };
        let moment = clock::now();
        let heard = Heard { topic: &message.topic, payload: &message.payload, retained: message.retain };
        let acts = talk.dialogue().heard(heard, moment);
        if talk.act(acts, Some((message.pkid, message.qos)), moment) {
            self.acknowledge(message.pkid, message.qos)?;
        }
        self.notes(now);
        Ok(())
    }

    /// What was ordered has been carried out, or not.
    pub(super) fn outcome(&mut self, tag: u64, outcome: &Outcome) -> Result<(), Stop> {
        let Some(talk) = &mut self.shared.talk else { return Ok(()) };
        if let Some((pkid, qos)) = talk.done(tag, outcome, clock::now()) {
            self.acknowledge(pkid, qos)?;
        }
        Ok(())
    }

    fn acknowledge(&self, pkid: u16, qos: Qos) -> Result<(), Failure> {
        if qos == Qos::AtMostOnce {
            return Ok(());
        }
        self.requests.try_ack(pkid, qos).map_err(|error| Failure::Protocol(error.to_string()))
    }

    /// What is due by the clock, and what waits to be said, as far as there is room.
    pub(super) fn speak(&mut self, now: Instant) -> Result<(), Stop> {
        let Some(talk) = &mut self.shared.talk else { return Ok(()) };
        let moment = clock::now();
        if talk.due().is_some_and(|due| due <= moment.since_boot) && now >= self.next_tick {
            self.next_tick = now + PAUSE;
            let acts = talk.dialogue().tick(moment);
            talk.act(acts, None, moment);
        }
        while let Some(talk) = &mut self.shared.talk
            && let Some(say) = talk.next()
            && self.window.has_room(say.qos.min(self.connected.max_qos))
            && let Some(say) = talk.said()
        {
            self.say_it(say, now)?;
        }
        self.notes(now);
        Ok(())
    }

    /// Whether readings wait for the platform.
    pub(super) fn holds(&self) -> bool {
        self.shared.talk.as_ref().is_some_and(Talk::holds)
    }

    /// A message of readings goes out: what the platform adds to it, and says before it.
    pub(super) fn seal(&mut self, outgoing: &mut Outgoing, now: Instant) -> Result<(), Stop> {
        let Some(talk) = &mut self.shared.talk else { return Ok(()) };
        for say in talk.dialogue().seal(&outgoing.topic, &mut outgoing.payload, clock::now()) {
            // At QoS 0: the packet id for which there is room is the reading's.
            self.say_it(Say { qos: Qos::AtMostOnce, ..say }, now)?;
        }
        Ok(())
    }

    /// The last words, as far as there is room.
    pub(super) fn last_words(&mut self, now: Instant) -> Result<(), Stop> {
        let Some(talk) = &mut self.shared.talk else { return Ok(()) };
        for say in talk.dialogue().leaving(clock::now()) {
            if !self.window.has_spare() {
                break;
            }
            self.say_it(say, now)?;
        }
        Ok(())
    }

    fn say_it(&mut self, say: Say, now: Instant) -> Result<(), Stop> {
        let Say { topic, payload, qos, retain } = say;
        let qos = qos.min(Qos::AtLeastOnce).min(self.connected.max_qos);
        let outgoing = Outgoing { topic, qos, retain: retain && self.connected.retain_available, payload };
        if let Some(reason) = self.too_large(&outgoing) {
            self.shared.complain(&outgoing.topic, &reason, now);
            return Ok(());
        }
        self.window.number(None, qos, now);
        if self.staged.is_empty() {
            return self.give(outgoing);
        }
        // Handed over in the order of the numbers.
        self.staged.push_back(outgoing);
        Ok(())
    }

    fn notes(&mut self, now: Instant) {
        let Some(talk) = &mut self.shared.talk else { return };
        for note in talk.notes() {
            self.shared.complain("platform", &note, now);
        }
    }

    /// When the dialogue wants to be asked.
    pub(super) fn talk_due(&self, now: Instant) -> Option<Instant> {
        let due = self.shared.talk.as_ref()?.due()?;
        let left = u64::try_from(due.saturating_sub(clock::since_boot())).unwrap_or(0);
        Some((now + Duration::from_micros(left)).max(self.next_tick))
    }
}
