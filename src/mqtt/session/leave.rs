//! The end of a connection: in order when told to stop, otherwise judged.

use std::time::Instant;

use tracing::debug;

use super::{End, FAREWELL, Phase, Session, Status, Stop, Waiting};
use crate::log::Stage;
use crate::mqtt::connection::{Dead, Requests};
use crate::mqtt::deaths::Life;
use crate::mqtt::lanes::Ticket;
use crate::mqtt::outbox::Outbox;
use crate::reading::Qos;

impl<O: Outbox, R: Requests> Session<'_, O, R> {
    /// Told to stop.
    pub(super) fn drain(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let leave = deadline - FAREWELL.min(left / 4);
        self.phase = Phase::Draining { leave, deadline };
        self.shared.lanes.rest();
    }

    /// The steps of leaving: what is committed goes out, then `offline`, then DISCONNECT.
    pub(super) fn leave(&mut self, now: Instant) -> Result<(), Stop> {
        match self.phase {
            Phase::Running => {
                if self.renewing && self.window.is_empty() && self.staged.is_empty() {
                    return Err(Stop::Renew);
                }
            }
            Phase::Draining { leave, deadline } => {
                let committed = *self.shared.committed.borrow();
                let under_way = !self.window.is_empty() || !self.staged.is_empty();
                let drained = !under_way
                    && self.waiting == Waiting::Nothing
                    && self.status != Status::Unsaid
                    && self.shared.lanes.is_drained(committed);
                if !drained && now < leave {
                    return Ok(());
                }
                let orderly =
                    self.window.resuming() == 0 && self.staged.is_empty() && self.window.has_spare();
                if !orderly {
                    // No packet id for a farewell; dropping the connection makes the broker say it for us.
                    return Err(Stop::Left);
                }
                self.last_words(now)?;
                self.say("offline", now)?;
                self.phase = Phase::Farewell { deadline };
                let unanswered = self.shared.config.status_topic.is_none();
                if unanswered || self.connected.max_qos == Qos::AtMostOnce {
                    self.disconnect(deadline);
                }
            }
            Phase::Farewell { deadline } => {
                if now >= deadline {
                    self.disconnect(now + FAREWELL);
                }
            }
            Phase::Leaving { deadline } => {
                if now >= deadline {
                    return Err(Stop::Left);
                }
            }
        }
        Ok(())
    }

    /// DISCONNECT; then the broker closes the connection.
    pub(super) fn disconnect(&mut self, deadline: Instant) {
        if self.requests.try_disconnect().is_err() {
            debug!("publisher: no room for a DISCONNECT; the broker will publish the last will");
        }
        self.phase = Phase::Leaving { deadline: deadline.min(Instant::now() + FAREWELL) };
    }

    /// Takes what the broker had still said, and judges the death.
    pub(super) fn end(mut self, stop: Stop) -> End {
        let now = Instant::now();
        let leaving = self.phase != Phase::Running;
        if let Some(talk) = &self.shared.talk {
            talk.link(false);
        }
        let end = match stop {
            Stop::Left => End::Stopped,
            Stop::Renew => End::Renew,
            Stop::Log(error) => End::Failed { why: format!("log: {error}"), useful: false },
            Stop::LogLost => {
                End::Failed { why: "the log could not store delivery progress".to_owned(), useful: false }
            }
            Stop::Dead(dead) => self.died(dead, now),
        };
        if let Some(progress) = self.shared.lanes.advance() {
            self.shared.saver.progress(progress);
        }
        self.shared.offline_since = now;
        self.shared.figures.in_flight.set(0);
        if leaving { End::Stopped } else { end }
    }

    pub(super) fn died(&mut self, dead: Dead, now: Instant) -> End {
        for event in dead.last {
            // What the broker had said before the error counts as if it had been read in time.
            if let Err(why) = self.apply(event, now) {
                debug!("publisher: after the end: {why}");
            }
        }
        let alone = self.window.in_flight() == 1 && self.staged.is_empty();
        let oldest = self.window.oldest().and_then(|slot| slot.ticket).filter(|_| self.staged.is_empty());
        let life = Life {
            lived: now - self.began,
            acknowledged: self.acknowledged,
            resume_stuck: self.resumed > 0 && self.window.resuming() == self.resumed,
            oldest: oldest.map(|ticket| ticket.row),
            proven: self.proven && alone,
            why: dead.why.clone(),
        };
        let verdict = self.shared.deaths.died(&life);
        if let (Some(row), Some(ticket)) = (verdict.poison, oldest) {
            self.convict(row, ticket, now);
        }
        End::Failed { why: self.shared.explain(&dead.why, verdict.rival), useful: verdict.useful }
    }

    /// This message is given up: the connection died each time that it was sent alone.
    pub(super) fn convict(&mut self, row: i64, ticket: Ticket, now: Instant) {
        let handshake = self.shared.handshakes.remove(&row).is_some();
        if handshake {
            self.shared.saver.handshake(row, 0, Stage::Done);
        }
        self.shared.lanes.done(ticket);
        let topic = match self.find(row, ticket.lane) {
            Ok(Some(outgoing)) => outgoing.topic,
            Ok(None) | Err(_) => format!("row {row}"),
        };
        let reason = "the connection breaks each time it is sent".to_owned();
        self.shared.refuse(row, &topic, reason, now);
    }
}
