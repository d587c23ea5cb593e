//! What the connection reports: acknowledgements, refusals.

use std::time::Instant;

use super::{Phase, Session, Status};
use crate::log::{InFlight, Stage};
use crate::mqtt::connection::{Event, Requests};
use crate::mqtt::failure::Failure;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::window::Slot;
use crate::reading::Qos;

impl<O: Outbox, R: Requests> Session<'_, O, R> {
    pub(super) fn apply(&mut self, event: Event, now: Instant) -> Result<(), Failure> {
        if event.is_heard() {
            self.heard = now;
        }
        match event {
            Event::Sent(0) => {
                if let Some(ticket) = self.window.written() {
                    self.shared.lanes.done(ticket);
                    self.shared.figures.published.add(1);
                    self.shared.saver.acknowledged();
                    self.moved = true;
                }
            }
            Event::Sent(pkid) => self.window.sent(pkid).map_err(|mismatch| Failure::Collision(mismatch.0))?,
            Event::Rec(pkid) => {
                let slot = self.window.released(pkid).filter(|slot| slot.qos == Qos::ExactlyOnce);
                if let Some(row) = slot.and_then(|slot| slot.ticket).map(|ticket| ticket.row) {
                    let one = InFlight { row, packet_id: pkid, stage: Stage::Released };
                    self.shared.handshakes.insert(row, one);
                    self.shared.saver.handshake(row, pkid, Stage::Released);
                }
            }
            Event::Done { pkid, refused } => {
                if let Some(slot) = self.window.done(pkid) {
                    self.finish(pkid, &slot, refused, now);
                }
            }
            Event::Subscribing(pkid) => {
                self.window.sent(pkid).map_err(|mismatch| Failure::Collision(mismatch.0))?;
            }
            Event::SubAck { pkid, granted } => self.subscribed(pkid, &granted, now),
            Event::Message(message) => self.message(&message, now)?,
            _ => {}
        }
        Ok(())
    }

    /// A message with a packet id has come to its end.
    pub(super) fn finish(&mut self, pkid: u16, slot: &Slot, refused: Option<&'static str>, now: Instant) {
        let Some(ticket) = slot.ticket else {
            if self.said == Some(pkid) {
                self.said = None;
                self.status_acknowledged(refused, now);
            } else if let Some(reason) = refused {
                self.shared.complain("platform", &format!("refused by the broker: {reason}"), now);
            }
            return;
        };
        let shared = &mut *self.shared;
        self.acknowledged = true;
        self.moved = true;
        let took = now - slot.since;
        self.ack_max = self.ack_max.max(took);
        shared.figures.ack.observe(took);
        shared.figures.ack_us.set(i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
        shared.deaths.acknowledged();
        shared.saver.acknowledged();
        if slot.qos == Qos::ExactlyOnce {
            shared.handshakes.remove(&ticket.row);
            // Finished before others that were sent before it: remembered until the cursor has passed.
            shared.saver.handshake(ticket.row, pkid, Stage::Done);
        }
        if slot.resumed {
            shared.lanes.done_before(ticket.row, true);
        } else {
            shared.lanes.done(ticket);
        }
        match refused {
            None => shared.figures.published.add(1),
            Some(reason) => self.refused(ticket.row, reason, now),
        }
        if self.probing {
            // The suspect is innocent.
            self.probing = false;
            self.window.set_limit(usize::from(self.shared.config.window));
        }
    }

    pub(super) fn status_acknowledged(&mut self, refused: Option<&'static str>, now: Instant) {
        self.status = Status::Acknowledged;
        if let Some(reason) = refused {
            let topic = self.shared.config.status_topic.clone().unwrap_or_default();
            self.shared.complain(&topic, &format!("refused by the broker: {reason}"), now);
        }
        if let Phase::Farewell { deadline } = self.phase {
            self.disconnect(deadline);
        }
    }

    /// A negative acknowledgement of 5.0; on 3.1.1 the broker drops such messages in silence.
    pub(super) fn refused(&mut self, row: i64, reason: &str, now: Instant) {
        let lane = self.shared.lanes.lane_of(row);
        let topic = match self.find(row, lane) {
            Ok(Some(outgoing)) => outgoing.topic,
            Ok(None) | Err(_) => format!("row {row}"),
        };
        self.shared.refuse(row, &topic, format!("refused by the broker: {reason}"), now);
    }

    /// Guards against rumqttc's leak on 5.0: it sends nothing any more when its count of free slots, which
    /// negative acknowledgements wear down, has come to nothing.
    pub(super) fn note_lost_slots(&mut self, lost: u16) {
        if lost == 0 {
            return;
        }
        let left = self.window.ring().saturating_sub(lost);
        if !self.probing {
            self.window.set_limit(usize::from(self.shared.config.window.min(left)));
        }
        self.renewing |= left < self.window.ring().div_ceil(2);
    }
}
